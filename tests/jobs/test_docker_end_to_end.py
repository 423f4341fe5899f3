"""A real deployment runs Seed images and MapReduce tasks in real containers: Docker's and Podman's."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clusters import engines, python_image
from tests.clusters.engines import Engine
from tests.deployment import Factory
from tests.environment import CHECKOUT
from tests.factories import manifest_of
from tests.jobs.mapreduce.worker import programs
from tests.jobs.test_mapreduce_end_to_end import Client as MapReduceClient
from tests.jobs.test_mapreduce_end_to_end import count_of
from tests.jobs.test_seed_end_to_end import Client, seed_tour, wait

pytestmark = pytest.mark.runs_once("postgresql", "engines of containers do not know which database we have")

IMAGE = "localhost/upper:latest"
TEXT = CHECKOUT / "LICENSE"
COMMAND = 'sh -c \'tr a-z A-Z < "$TEXT" > "$OUTPUT_DIR/upper.txt"; echo said; [ -z "$CODE" ] || exit "$CODE"\''
MANIFEST = manifest_of(
    "upper",
    command=COMMAND,
    inputs={"files": [{"name": "TEXT"}], "json": [{"name": "CODE", "type": "integer", "required": False}]},
    outputs={"files": [{"name": "UPPER", "pattern": "upper.txt"}]},
)


ENGINES = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("dockerd", "podman")]


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engines.running(request.param) as engine:
        with contextlib.closing(engine.client()) as client:
            # Podman takes what follows the name as it is, Docker as a Dockerfile has it.
            text = json.dumps(MANIFEST)
            label = text if engine.name == "podman" else json.dumps(text).replace("$", "\\$")
            engines.add_image(client, IMAGE, ["ENV PATH=/bin", f"LABEL com.ngageoint.seed.manifest={label}"])
        yield engine


@pytest.fixture(scope="module")
def python(engine: Engine) -> str:
    """The name of an image with Python."""
    with contextlib.closing(engine.client()) as client:
        python_image.add_python_image(client)
    return python_image.IMAGE


def test_an_image_is_registered_from_its_label_and_run(engine: Engine, deployment: Factory) -> None:
    place = deployment(
        LOCAL_RUNTIME="docker",
        LOCAL_DOCKER_HOST=engine.url,
        LOCAL_DOCKER_NETWORK="none",
        LOCAL_DOCKER_PULL="never",
        DEBUG="1",
    )
    place.bootstrap("root")
    place.start_web()
    client = Client(place)
    broker = {"type": "host", "host_path": str(place.data_dir / "workspaces" / "texts")}
    client.call("POST", "/v6/workspaces/", {"name": "texts", "title": "Texts", "configuration": {"broker": broker}})
    configuration = place.folder / "configuration.json"
    configuration.write_text(json.dumps({"output_workspaces": {"default": "texts"}}))
    told = place.run_manage("register_seed_image", IMAGE, "--configuration", str(configuration))
    assert told.strip() == "Registered upper 1.0.0, revision 1."
    place.start_manage("work")
    file = seed_tour.upload(client, TEXT)

    def run(**given: Any) -> Any:
        body = {"job_type": {"name": "upper", "version": "1.0.0"}, "input": {"files": {"TEXT": [file]}, "json": given}}
        path = f"/v6/jobs/{client.call('POST', '/v6/jobs/', body)['id']}/"
        wait(lambda: client.call("GET", path)["ended"] is not None, place)
        return client.call("GET", path)

    job = run()
    assert (job["status"], job["error"]) == ("COMPLETED", None)
    kept = seed_tour.raw(client, f"/v6/files/{job['output']['files']['UPPER'][0]}/content/")
    assert kept == TEXT.read_bytes().upper()
    assert client.call("GET", f"/v6/jobs/{job['id']}/logs/stdout/?format=txt") == "said\n"
    failed = run(CODE=3)
    assert (failed["status"], failed["error"]["name"], failed["error"]["category"]) == ("FAILED", "no-text", "DATA")


@pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)  # how engines tell labels is seen with the provider
def test_an_image_that_is_not_there_and_one_without_a_label_are_named(engine: Engine, deployment: Factory) -> None:
    place = deployment(LOCAL_RUNTIME="docker", LOCAL_DOCKER_HOST=engine.url, LOCAL_DOCKER_PULL="never", DEBUG="1")
    for image, words in (("localhost/nothing:1", "cannot be read"), (engines.IMAGE, "has no label")):
        with pytest.raises(AssertionError, match=words):
            place.run_manage("register_seed_image", image)


def mapreduce_client(engine: Engine, python: str, deployment: Factory, folder: Path) -> MapReduceClient:
    """A client of a deployment whose tasks run in containers; in Podman's, as a user that we are not."""
    place = deployment(
        LOCAL_RUNTIME="docker",
        LOCAL_DOCKER_HOST=engine.url,
        LOCAL_DOCKER_PULL="never",
        LOCAL_DOCKER_USER="1000:1000" if engine.name == "podman" else "",
        MAPREDUCE_IMAGE=python,
        MAPREDUCE_FOLDERS=str(folder),
        DEBUG="1",
    )
    place.bootstrap("root")
    place.start_web()
    place.start_manage("work")
    return MapReduceClient(place)


def outputs(client: MapReduceClient, folder: Path, **wish: Any) -> list[str]:
    """What each reduce task of a job over `in.txt`, in three splits, has put out."""
    size = (folder / "in.txt").stat().st_size
    wish |= {"input": f"file://{folder}/in.txt", "output": f"file://{folder}/out"}
    job = client.ended(client.submit(**wish, reducers=2, split_bytes=-(-size // 3))["uuid"])
    assert job["status"] == "COMPLETED", f"{job['mapreduce']}\n{client.place.logs()}"
    assert (job["mapreduce"]["map"]["completed"], job["mapreduce"]["reduce"]["completed"]) == (3, 2)
    return [path.read_text() for path in sorted((folder / "out" / job["uuid"]).iterdir())]


def test_words_are_counted_by_streaming_programs(
    engine: Engine, python: str, deployment: Factory, tmp_path: Path
) -> None:
    client = mapreduce_client(engine, python, deployment, tmp_path)
    (tmp_path / "in.txt").write_bytes(TEXT.read_bytes())
    mapper, reducer = client.script("words.py", programs.MAPPER), client.script("sum.py", programs.REDUCER)
    found = outputs(client, tmp_path, mapper=mapper, reducer=reducer, combiner=reducer)
    counts = dict(line.split("\t") for text in found for line in text.splitlines())
    assert {word: int(count) for word, count in counts.items()} == count_of(TEXT.read_bytes())


@pytest.mark.needs("compiler")
@pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)  # sockets are the same to both
def test_words_are_counted_by_programs_of_apollo(
    engine: Engine, python: str, deployment: Factory, tmp_path: Path
) -> None:
    client = mapreduce_client(engine, python, deployment, tmp_path)
    text = b"the cat\nthe dog and the bird\n" * 20
    (tmp_path / "in.txt").write_bytes(text)
    for name, path in zip(("mapper", "reducer"), programs.compiled(tmp_path), strict=True):
        client.put(name, Path(path).read_bytes())
    found = outputs(client, tmp_path, mapper={"name": "mapper"}, reducer={"name": "reducer"})
    counts = {pair["key"]: pair["value"] for part in found for pair in json.loads(part)["pairs"]}
    assert counts == count_of(text)
