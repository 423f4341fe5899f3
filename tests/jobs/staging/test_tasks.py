"""Around tasks of MapReduce jobs: what they are given, and what is kept of what they leave."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st

from controlplane.core.storage import StorageUnavailable
from controlplane.core.storage.host import HostStorage
from jobs import states
from jobs.mapreduce.worker.objects import input_lines
from jobs.mapreduce.worker.task import Place, Split, Store, read_task
from jobs.models import Execution, Job, MapReduceSpec, Shape
from jobs.queries.artifacts import artifact_storage, path_of
from jobs.staging import StagingFault, bring, clear_leftovers, keep, room_of, works
from jobs.staging import tasks as staging
from jobtypes.models import Error
from tests import mapreduce
from tests.factories import make_customer_user
from tests.mapreduce import end, make_mapreduce, run, tasks, write_input
from tests.servers import S3Server


def alive() -> None: ...


def task_of(execution: Execution) -> Any:
    """The task document that was brought, as the worker reads it."""
    return read_task((room_of(execution.uuid).output / "task.json").read_bytes())


def left(execution: Execution, result: Any) -> Path:
    """Let the worker have left `result`; its folder."""
    folder = room_of(execution.uuid).output
    (folder / "task.result.json").write_text(result if isinstance(result, str) else json.dumps(result))
    return folder


# --- The lines of a split that is fetched ----------------------------------------------------------


@given(
    st.lists(st.sampled_from([b"", b"a", b"bc", b"\xc3\xa9", b"long" * 9]), max_size=12).map(b"\n".join),
    st.booleans(),
    st.integers(1, 12),
    st.integers(1, 7),
)
@effort(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_line_is_in_the_split_that_has_its_first_byte(
    tmp_path: Path, text: bytes, ends: bool, split_bytes: int, chunk: int
) -> None:
    text += b"\n" if ends else b""
    source = tmp_path / "source"
    source.write_bytes(text)

    class InChunks(HostStorage):
        def get(self, path: str, start: int = 0) -> Any:
            return (text[i : i + chunk] for i in range(start, len(text), chunk))

    found: list[bytes] = []
    for start in range(0, len(text), split_bytes):
        target = tmp_path / "piece"
        target.unlink(missing_ok=True)
        split = {"start": start, "end": min(start + split_bytes, len(text)), "size": len(text), "gzip": False}
        made = staging._copied(InChunks(str(tmp_path)), "source", split, target, alive, [])
        del made["path"]
        found += input_lines(Split(place=Place(path=str(target), url=None, store=Store()), **made))
    assert b"".join(found).splitlines() == text.splitlines()


# --- Brought ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_map_task_of_a_file_reads_it_where_it_lies() -> None:
    job = make_mapreduce(arguments={"mapper": ["-v", ""]})
    execution = run(tasks(job)[1])
    bring(execution, alive)
    task, path = task_of(execution), MapReduceSpec.objects.get(pk=job.pk).inputs[0].removeprefix("file://")
    [split] = task.splits
    assert (split.place.path, split.start, split.end, split.size) == (path, 2, 4, 6)
    assert task.program[1:] == ("-v", "")
    program = Path(task.program[0])
    assert (program.read_bytes(), program.stat().st_mode & 0o777) == (mapreduce.PROGRAM, 0o755)
    [[work], faults] = works([execution.uuid])
    assert faults == {}
    shown = {mount.source: mount.read_only for mount in work.mounts}
    assert shown == {path: True, str(program): True, staging.WORKER: True, str(room_of(execution.uuid).output): False}
    assert (work.command[1:4], work.image) == (["-I", "-S", staging.WORKER], settings.MAPREDUCE_IMAGE)


@pytest.mark.django_db
def test_a_task_whose_user_is_another_may_write_what_it_leaves() -> None:
    """Whoever runs in a container: LOCAL_DOCKER_USER, or the image's user."""
    before = os.umask(0o077)
    try:
        execution = run(tasks(make_mapreduce())[0])
        bring(execution, alive)
    finally:
        os.umask(before)
    output = room_of(execution.uuid).output
    assert {name: (output / name).stat().st_mode & 0o777 for name in ("tmp", "pairs")} == {"tmp": 0o777, "pairs": 0o777}


@pytest.mark.django_db
def test_a_map_task_of_a_bucket_is_brought_its_lines(s3_server: S3Server, settings: Any) -> None:
    settings.MAPREDUCE_S3_ENDPOINT = s3_server.endpoint
    bucket = s3_server.make_bucket()
    s3_server.client().put_object(Bucket=bucket, Key="in", Body=b"first\nsecond\nthird\n")
    secret = {"input": {"username": s3_server.access_key, "password": s3_server.secret_key}}
    job = make_mapreduce(inputs=[f"s3://{bucket}/in"], split_bytes=8, credentials=secret)
    execution = run(tasks(job)[1])
    bring(execution, alive)
    [split] = task_of(execution).splits
    assert Path(split.place.path).read_bytes() == b"econd\nthird\n"  # the byte before it, and to its last line's end
    assert (split.start, split.end, split.size) == (1, 9, 12)
    said = (room_of(execution.uuid).output / "task.json").read_text() + str(works([execution.uuid]))
    assert s3_server.secret_key not in said
    assert s3_server.access_key not in said


@pytest.mark.django_db
def test_a_reduce_task_is_shown_what_the_maps_have_left_for_it() -> None:
    job = make_mapreduce(reducers=2)
    for number, task in enumerate(tasks(job)):
        end(task, output={"folder": f"{number}-1", "outputs": {"1": 3} if number != 1 else {"0": 9}})
        place = staging.pairs_of(job.uuid) / f"{number}-1"
        place.mkdir(parents=True)
        (place / "1").write_bytes(b"abc")
    mapreduce.carry_on(job)
    execution = run(tasks(job, Shape.REDUCE)[1])
    bring(execution, alive)
    assert [(each.map_index, each.size) for each in task_of(execution).map_outputs] == [(0, 3), (2, 3)]
    [[work], _] = works([execution.uuid])
    assert str(staging.pairs_of(job.uuid)) in {mount.source for mount in work.mounts if mount.read_only}


@pytest.mark.django_db
@pytest.mark.parametrize("harm", ["gone", "cut"])
def test_what_is_lost_of_the_maps_is_named(harm: str) -> None:
    job = make_mapreduce()
    for number, task in enumerate(tasks(job)):
        end(task, output={"folder": f"{number}-1", "outputs": {"0": 3}})
        place = staging.pairs_of(job.uuid) / f"{number}-1"
        place.mkdir(parents=True)
        (place / "0").write_bytes(b"abc")
    lost = staging.pairs_of(job.uuid) / "1-1" / "0"
    lost.unlink() if harm == "gone" else lost.write_bytes(b"a")
    mapreduce.carry_on(job)
    with pytest.raises(StagingFault) as caught:
        bring(run(tasks(job, Shape.REDUCE)[0]), alive)
    assert (caught.value.error_name, caught.value.lost_maps) == ("intermediate-lost", (1,))


def _harm_program(job: Job) -> None:
    version = MapReduceSpec.objects.get(pk=job.pk).mapper
    artifact_storage().put(path_of(version), [b"something else"])


def _remove_program(job: Job) -> None:
    artifact_storage().delete(path_of(MapReduceSpec.objects.get(pk=job.pk).mapper))


def _remove_input(job: Job) -> None:
    Path(MapReduceSpec.objects.get(pk=job.pk).inputs[0].removeprefix("file://")).unlink()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("harm", "error_name", "said"),
    [
        (_harm_program, "program-unreadable", "not what was uploaded"),
        (_remove_program, "program-unreadable", "could not be fetched"),
        (_remove_input, "input-refused", "There is no file"),
    ],
)
def test_what_cannot_be_brought_is_told(harm: Callable[[Job], None], error_name: str, said: str) -> None:
    owner = make_customer_user()
    mapper = mapreduce.program(owner, "only-here", protocol="streaming")
    (staging._programs() / mapper.sha256).unlink(missing_ok=True)
    job = make_mapreduce(owner, mapper=mapper)
    harm(job)
    with pytest.raises(StagingFault, match=said) as caught:
        bring(run(tasks(job)[0]), alive)
    assert caught.value.error_name == error_name
    (staging._programs() / mapper.sha256).unlink(missing_ok=True)


@pytest.mark.django_db
def test_programs_of_apollo_want_isolation(settings: Any) -> None:
    settings.LOCAL_ISOLATION = False
    job = make_mapreduce(protocol="apollo")
    with pytest.raises(StagingFault, match="a /tmp of their own"):
        bring(run(tasks(job)[0]), alive)


# --- Kept ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_the_pairs_of_a_map_task_are_taken_once_and_out_of_its_reach() -> None:
    job = make_mapreduce(reducers=2)
    execution = run(tasks(job)[2])
    bring(execution, alive)
    outputs = [{"path": "/anywhere", "map": 2, "partition": 1, "size": 4}]
    folder = left(execution, {"done": True, "records_in": 1, "bytes_in": -3, "outputs": outputs, "warnings": ["w"]})
    (folder / "pairs" / f"{job.uuid}-m-2_1").write_bytes(b"abcd")
    (folder / "pairs" / "other").write_bytes(b"x")
    (folder / "pairs" / f"{job.uuid}-m-2_0").symlink_to("/etc/passwd")
    for _ in range(2):  # once more, by whoever takes over
        kept = keep(execution, alive)
        assert kept.facts == {"records_in": 1, "bytes_in": 0, "outputs": {"1": 4}, "folder": "2-1"}
        assert kept.warnings == ("w",)
    there = staging.pairs_of(job.uuid) / "2-1"
    assert {path.name: path.read_bytes() for path in there.iterdir()} == {"1": b"abcd"}


@pytest.mark.django_db
@pytest.mark.parametrize(("protocol", "kind"), [("streaming", "tsv"), ("apollo", "json")])
def test_the_object_of_a_reduce_task_is_put_where_the_job_wants_it(protocol: str, kind: str) -> None:
    target = mapreduce.folder()
    job = make_mapreduce(inputs=[write_input(b"")], protocol=protocol, output=f"file://{target}/deep")
    execution = run(tasks(job, Shape.REDUCE)[0])
    bring(execution, alive)
    (left(execution, {"done": True, "records_out": 2}) / "object").write_bytes(b"a\t1\n")
    facts = keep(execution, alive).facts
    assert facts is not None
    assert facts["path"].endswith(f"deep/{job.uuid}/0.{kind}")
    assert (target / "deep" / str(job.uuid) / f"0.{kind}").read_bytes() == b"a\t1\n"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("result", "error_name", "said"),
    [
        ("no json", "worker-failed", "without a result"),
        ("[" * 100_000, "worker-failed", "without a result"),
        ("[]", "worker-failed", "cannot be read"),
        ({"done": False}, "worker-failed", ""),
        ({"done": 1, "error": "x"}, "worker-failed", ""),
        (
            {"done": False, "error": {"code": "PROGRAM_FAILED", "message": "It ended with 3.", "stderr": "oh\n"}},
            "program-failed", "It ended with 3.\noh",
        ),
        ({"done": False, "error": {"code": "BAD_LINE", "message": "A NUL."}}, "input-line", "A NUL."),
    ],
)  # fmt: skip
def test_a_result_that_is_no_good_one_is_told(result: Any, error_name: str, said: str) -> None:
    execution = run(tasks(make_mapreduce())[0])
    bring(execution, alive)
    left(execution, result)
    with pytest.raises(StagingFault) as caught:
        keep(execution, alive)
    assert (caught.value.error_name, said in caught.value.detail) == (error_name, True)


@pytest.mark.django_db
def test_an_object_that_is_a_link_is_not_followed() -> None:
    job = make_mapreduce(inputs=[write_input(b"")])
    execution = run(tasks(job, Shape.REDUCE)[0])
    bring(execution, alive)
    (left(execution, {"done": True}) / "object").symlink_to("/etc/passwd")
    with pytest.raises(StagingFault, match="is not there"):
        keep(execution, alive)


def reduced(job: Job) -> Execution:
    """The execution of its only reduce task, whose worker has left an object."""
    execution = run(tasks(job, Shape.REDUCE)[0])
    bring(execution, alive)
    (left(execution, {"done": True}) / "object").write_bytes(b"a\t1\n")
    return execution


@pytest.mark.django_db
def test_the_bucket_of_apollo_is_made_when_it_is_missing_and_no_other_is(s3_server: S3Server, settings: Any) -> None:
    settings.MAPREDUCE_S3_ENDPOINT = s3_server.endpoint
    owner, nothing = make_customer_user(), [write_input(b"")]
    secret = {"output": {"username": s3_server.access_key, "password": s3_server.secret_key}}
    facts = keep(
        reduced(make_mapreduce(owner, inputs=nothing, output="s3://reducers", credentials=secret)), alive
    ).facts
    assert facts is not None
    assert s3_server.client().get_object(Bucket="reducers", Key=facts["path"])["Body"].read() == b"a\t1\n"
    with pytest.raises(StagingFault, match="There is no bucket elsewhere") as caught:
        keep(reduced(make_mapreduce(owner, inputs=nothing, output="s3://elsewhere", credentials=secret)), alive)
    assert caught.value.error_name == "output-refused"


@pytest.mark.django_db
def test_a_store_that_is_out_of_reach_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise StorageUnavailable("away")

    execution = reduced(make_mapreduce(inputs=[write_input(b"")]))
    monkeypatch.setattr(HostStorage, "put", fail)
    with pytest.raises(StagingFault) as caught:
        keep(execution, alive)
    assert caught.value.error_name == "output-unwritable"
    assert Error.objects.get(name="output-unwritable").should_be_retried


@pytest.mark.django_db
def test_what_ended_jobs_have_left_is_cleared_and_that_of_others_stays() -> None:
    owner = make_customer_user()
    going, done = make_mapreduce(owner), make_mapreduce(owner)
    for job in (going, done):
        (staging.pairs_of(job.uuid) / "0-1").mkdir(parents=True)
    Job.objects.filter(pk=done.pk).update(status=states.COMPLETED, ended_at=done.submitted_at)
    clear_leftovers()
    assert staging.pairs_of(going.uuid).is_dir()
    assert not staging.pairs_of(done.uuid).exists()
