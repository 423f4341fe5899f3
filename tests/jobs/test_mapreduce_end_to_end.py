"""A real deployment runs MapReduce jobs: programs in over HTTP, tasks in the sandbox, objects out."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.deployment import Deployment, Factory
from tests.jobs.mapreduce.worker import programs
from tests.jobs.test_seed_end_to_end import Client as Native
from tests.jobs.test_seed_end_to_end import wait
from tests.servers import S3Server

pytestmark = [
    pytest.mark.needs("bubblewrap"),
    pytest.mark.runs_once("sqlite", "the statements are tried on both by the tests of services; this is the rest"),
]
SHEBANG = "#!/usr/bin/env python3"
TEXT = b"the cat\nthe dog\r\n\nand \xc3\xa9t\xc3\xa9 the bird" * 50
BOUNDARY = "program-boundary"


class Client(Native):
    """A client of one deployment: Apollo's surface, and the native one."""

    def put(self, name: str, content: bytes) -> None:
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="program"; filename="{name}"\r\n\r\n'
        body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        self.call("PUT", "/api/v1/artifacts", body, f"multipart/form-data; boundary={BOUNDARY}")

    def script(self, name: str, code: str) -> dict[str, str]:
        self.call("POST", f"/v6/artifacts/?name={name}&protocol=streaming", f"{SHEBANG}\n{code}".encode(), "text/plain")
        return {"name": name}

    def submit(self, **wish: Any) -> Any:
        return self.call("POST", "/v6/jobs/", {"mapreduce": wish, "customer": "acme"})

    def ended(self, uuid: str) -> Any:
        """The job once it has ended."""
        wait(lambda: self.call("GET", f"/v6/jobs/{uuid}/")["ended"], self.place)
        return self.call("GET", f"/v6/jobs/{uuid}/")


def count_of(text: bytes, at: bytes | None = None) -> Counter[str]:
    return Counter(word.decode() for line in text.split(b"\n") for word in line.split(at))


@pytest.fixture
def place(deployment: Factory, tmp_path: Path, s3_server: S3Server) -> Deployment:
    made = deployment(
        MAPREDUCE_FOLDERS=str(tmp_path), STORAGE_ENDPOINTS=s3_server.endpoint, MAPREDUCE_S3_ENDPOINT=s3_server.endpoint
    )
    made.bootstrap("root")
    made.start_web()
    made.start_manage("work")
    return made


def test_words_of_files_are_counted_by_streaming_programs(place: Deployment, tmp_path: Path) -> None:
    client = Client(place)
    (tmp_path / "in").mkdir()
    for name in ("a.txt", "b.txt"):
        (tmp_path / "in" / name).write_bytes(TEXT)
    mapper, reducer = client.script("words.py", programs.MAPPER), client.script("sum.py", programs.REDUCER)
    made = client.submit(
        mapper=mapper, reducer=reducer, combiner=reducer, input=f"file://{tmp_path}/in/", output=f"file://{tmp_path}/out",
        reducers=3, split_bytes=200,
    )  # fmt: skip
    job = client.ended(made["uuid"])
    assert job["status"] == "COMPLETED", f"{job['mapreduce']}\n{place.logs()}"
    outputs = job["mapreduce"]["outputs"]
    lines = [line for each in outputs for line in Path(each.removeprefix("file://")).read_text().splitlines()]
    assert {word: int(n) for word, n in (line.split("\t") for line in lines)} == count_of(TEXT + b"\n" + TEXT)
    progress = job["mapreduce"]["map"]
    assert progress["completed"] == progress["tasks"] == 2 * -(-len(TEXT) // 200)
    # Without the CRs, and with the newline that the last line lacks.
    assert progress["bytes_in"] == 2 * (len(TEXT) - TEXT.count(b"\r") + 1)


def test_a_job_of_apollo_goes_from_bucket_to_bucket(place: Deployment, s3_server: S3Server, tmp_path: Path) -> None:
    client, bucket = Client(place), s3_server.make_bucket()
    s3_server.client().put_object(Bucket=bucket, Key="folder/text", Body=TEXT)
    for name, path in zip(("mapper", "reducer"), programs.compiled(tmp_path), strict=True):
        client.put(name, Path(path).read_bytes())
    secret = {"username": s3_server.access_key, "password": s3_server.secret_key}
    body = {
        "nReducers": 2, "inputPath": f"{s3_server.endpoint}/{bucket}/folder/text", "inputType": "file/txt",
        "outputPath": s3_server.endpoint.removeprefix("http://"), "useSSL": False, "splitSize": 64,
        "mapperName": "mapper", "reducerName": "reducer",
        "inputStorageCredentials": secret, "outputStorageCredentials": secret,
    }  # fmt: skip
    made = client.call("POST", "/api/v1/jobs", body)
    job = client.ended(made["id"])
    assert job["status"] == "COMPLETED", f"{job['mapreduce']}\n{place.logs()}"
    shown = client.call("GET", f"/api/v1/jobs/{made['id']}")
    assert shown["status"] == "completed"
    assert shown["inputData"]["splitEnd"] == len(TEXT)
    tasks = client.call("GET", f"/api/v1/jobs/{made['id']}/tasks")
    assert [each["type"] for each in tasks] == ["mapper"] * -(-len(TEXT) // 64) + ["reducer"] * 2
    found: Counter[str] = Counter()
    for number in range(2):
        answer = s3_server.client().get_object(Bucket="reducers", Key=f"{made['id']}/{number}.json")["Body"].read()
        found.update({pair["key"]: pair["value"] for pair in json.loads(answer)["pairs"]})
    assert found == Counter(
        word.decode() for line in TEXT.replace(b"\r\n", b"\n").split(b"\n") for word in (line.split() or [b""])
    )
    [(credentials,)] = place.rows("SELECT credentials FROM jobs_mapreducespec")
    assert credentials == ""


BROKEN = {
    "crashes": ("import sys\nsys.stdin.read()\nprint('of no use', file=sys.stderr)\nsys.exit(3)", "PROGRAM_FAILED"),
    "writes a line without end": ("import sys\nwhile True: sys.stdout.write('x' * 65536)", "INPUT_LINE"),
    "hangs": ("import time\ntime.sleep(600)", "TIMEOUT"),
    "is no program": (None, "PROGRAM_FAILED"),
}


def test_a_mapper_that_is_no_good_fails_its_job_and_leaves_nothing(place: Deployment, tmp_path: Path) -> None:
    """Each of its own kind, at once: the rest of the job is stopped, and what is wrong is told on job and task."""
    client = Client(place)
    (tmp_path / "in.txt").write_bytes(TEXT)
    reducer = client.script("sum.py", programs.REDUCER)
    made = {}
    for number, (how, (code, _)) in enumerate(BROKEN.items()):
        name = f"broken{number}"
        if code is None:
            client.call(
                "POST", f"/v6/artifacts/?name={name}&protocol=streaming", b"\x7fELF of another world", "text/plain"
            )
        else:
            client.script(name, code)
        wish = {"mapper": {"name": name}, "reducer": reducer, "split_bytes": 600}
        wish |= {"input": f"file://{tmp_path}/in.txt", "output": f"file://{tmp_path}/out"}
        body = {"mapreduce": wish, "customer": "acme", "timeout_seconds": 5, "max_tries": 2}
        made[how] = client.call("POST", "/v6/jobs/", body)["uuid"]
    for how, (_, reason) in BROKEN.items():
        job = client.ended(made[how])
        assert (how, job["status"], job["reason"]) == (how, "FAILED", reason), job["mapreduce"]
        assert job["mapreduce"]["failure"].startswith("map task ")
        parts = client.call("GET", f"/v6/jobs/?parent={job['id']}")["results"]
        assert {part["status"] for part in parts} <= {"FAILED", "CANCELED"}
        assert "FAILED" in {part["status"] for part in parts}
    assert "of no use" in client.call("GET", f"/v6/jobs/{made['crashes']}/")["mapreduce"]["failure"]
    assert not (tmp_path / "out").exists()
    wait(lambda: not [p for p in place.processes() if "mapreduce/worker" in " ".join(p.cmdline())], place)


def test_a_job_that_is_stopped_stops_and_leaves_nothing(place: Deployment, tmp_path: Path) -> None:
    client = Client(place)
    (tmp_path / "in.txt").write_bytes(TEXT)
    slow = client.script("slow.py", "import time\ntime.sleep(600)")
    where = {"input": f"file://{tmp_path}/in.txt", "output": f"file://{tmp_path}/out"}
    uuid = client.submit(mapper=slow, reducer=slow, split_bytes=100, **where)["uuid"]
    wait(lambda: client.call("GET", f"/v6/jobs/{uuid}/")["status"] == "RUNNING", place)
    assert client.call("DELETE", f"/api/v1/jobs/{uuid}") == f"Job {uuid} was successfully stopped"
    job = client.ended(uuid)
    assert job["status"] == "CANCELED"
    assert client.call("GET", f"/v6/jobs/?parent={job['id']}&state=QUEUED&state=RUNNING&state=STARTING")["count"] == 0
    assert not (tmp_path / "out").exists()


def test_what_is_lost_between_the_stages_is_made_again(place: Deployment, tmp_path: Path) -> None:
    """What the map tasks have left is removed under the reducers' feet."""
    client = Client(place)
    (tmp_path / "in.txt").write_bytes(TEXT)
    mapper, reducer = client.script("words.py", programs.MAPPER), client.script("sum.py", programs.REDUCER)
    client.call("POST", "/v6/holds/", {"scope": "all", "code": "WAIT"})
    where = {"input": f"file://{tmp_path}/in.txt", "output": f"file://{tmp_path}/out"}
    uuid = client.submit(mapper=mapper, reducer=reducer, split_bytes=900, **where)["uuid"]
    pairs = place.data_dir / "local" / "local" / "mapreduce" / uuid
    removed = False
    [hold] = client.call("GET", "/v6/holds/")["results"]
    client.call("DELETE", f"/v6/holds/{hold['id']}/")

    def lose() -> bool:
        nonlocal removed
        if not removed and (pairs / "0-1").is_dir():
            shutil.rmtree(pairs / "0-1")
            removed = True
        return bool(client.call("GET", f"/v6/jobs/{uuid}/")["ended"])

    wait(lose, place)
    job = client.call("GET", f"/v6/jobs/{uuid}/")
    assert (removed, job["status"]) == (True, "COMPLETED"), job["mapreduce"]
    lines = Path(job["mapreduce"]["outputs"][0].removeprefix("file://")).read_text().splitlines()
    assert {word: int(n) for word, n in (line.split("\t") for line in lines)} == count_of(TEXT)
    [(superseded,)] = place.rows("SELECT count(*) FROM jobs_job WHERE shape = 'map' AND superseded_at IS NOT NULL")
    assert superseded == 1
