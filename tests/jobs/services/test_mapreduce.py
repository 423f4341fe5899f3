"""MapReduce jobs: submitted, looked for, carried on, stopped, tried again."""

from __future__ import annotations

import gzip
import os
from typing import Any

import pytest
from django.conf import settings
from django_q.models import OrmQ

from controlplane.core import storage
from controlplane.core.encryption import decrypt
from controlplane.core.errors import InvalidRequest
from controlplane.core.storage.host import HostStorage
from jobs import queries, services, sql, states
from jobs.errors import ArtifactNotFound, JobState
from jobs.models import Job, MapReduceSpec, Shape
from jobs.queries.mapreduce import progress_of
from jobs.services import look_again, look_for_input
from jobs.services import mapreduce as mapreduce_services
from jobs.services import mapreduce_steps as steps
from jobs.services.artifacts import delete_artifact, put_artifact
from tests import mapreduce
from tests.factories import make_customer_user, make_operator
from tests.mapreduce import carry_on, complete, end, make_mapreduce, program, run, tasks, write_input
from tests.servers import S3Server

pytestmark = pytest.mark.django_db
SECRET = {"input": {"username": "reader", "password": "in secret"}, "output": {"username": "w", "password": "out"}}


def spec_of(job: Job) -> MapReduceSpec:
    return MapReduceSpec.objects.get(pk=job.pk)


# --- Submitted -----------------------------------------------------------------------------------


def test_it_waits_for_its_input_to_be_looked_for() -> None:
    job = make_mapreduce(looked=False)
    assert (job.status, job.shape, job.image, job.classification) == ("PENDING", "mapreduce", "mapper", "mapreduce")
    assert [reason.code for reason in queries.explain(job)] == ["LOOKING_FOR_INPUT"]
    [queued] = OrmQ.objects.filter(key="work")
    assert queued.func() == "jobs.tasks.look_for_input"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"reducers": 0}, "nReducers"),
        ({"reducers": 10_001}, "nReducers"),
        ({"protocol": "smoke"}, "protocol"),
        ({"inputs": []}, "inputPath"),
        ({"inputs": ["http://elsewhere/bucket/key"]}, "inputPath"),
        ({"inputs": ["file:///etc/passwd"]}, "inputPath"),
        ({"inputs": ["http://"]}, "inputPath"),
        ({"output": "http://elsewhere"}, "outputPath"),
        ({"output": "file:///etc"}, "outputPath"),
    ],
)
def test_what_is_wrong_is_named_in_the_callers_words(wish: dict[str, Any], field: str) -> None:
    names = {"reducers": "nReducers", "input": "inputPath", "output": "outputPath"}
    owner = make_customer_user()
    more = {role: program(owner, role) for role in ("mapper", "reducer")}
    with pytest.raises(InvalidRequest) as caught:
        make_mapreduce(owner, looked=False, fields=names, **{**more, **wish})
    assert caught.value.field == field
    assert not Job.objects.exists()


def test_a_combiner_is_for_streaming_programs() -> None:
    owner = make_customer_user()
    with pytest.raises(InvalidRequest, match="combiner is for programs of the streaming"):
        make_mapreduce(owner, protocol="apollo", combiner=program(owner, "c"))


def test_an_address_of_storage_endpoints_is_allowed_however_it_is_written(settings: Any) -> None:
    settings.STORAGE_ENDPOINTS = ("http://MinIO.example.com:9000/",)
    job = make_mapreduce(
        looked=False, inputs=["http://minio.example.com:9000/texts/a"], output="minio.EXAMPLE.com:9000"
    )
    assert spec_of(job).output == "minio.EXAMPLE.com:9000"


def test_its_credentials_are_encrypted_until_it_ends() -> None:
    job = make_mapreduce(credentials=SECRET)
    kept = spec_of(job).credentials
    assert decrypt(kept)["input.password"] == "in secret"
    assert "secret" not in kept
    complete(job)
    assert job.status == states.COMPLETED
    assert (spec_of(job).credentials, spec_of(job).had_credentials) == ("", True)


@pytest.mark.parametrize("moment", ["waiting", "running"])
def test_its_credentials_are_erased_when_it_is_stopped(moment: str) -> None:
    job = make_mapreduce(credentials=SECRET)
    task = tasks(job)[0]
    if moment == "running":
        run(task)
        carry_on(job)
    services.cancel_jobs([job.pk], actor=None)
    if moment == "running":
        services.move({task.pk: {"ended_at": task.submitted_at}}, states.CANCELED, fields=("ended_at",))
    assert carry_on(job).status == states.CANCELED
    assert spec_of(job).credentials == ""


def test_a_program_that_is_deleted_meanwhile_is_missed() -> None:
    owner = make_customer_user()
    mapper = program(owner)
    delete_artifact(mapper.artifact, actor=owner.user)
    with pytest.raises(ArtifactNotFound):
        make_mapreduce(owner, mapper=mapper)


def test_it_keeps_the_program_that_it_began_with() -> None:
    owner = make_customer_user()
    job = make_mapreduce(owner)
    first = spec_of(job).mapper
    put_artifact(actor=owner.user, name="mapper", source=[b"#!/bin/false"])
    delete_artifact(first.artifact, actor=owner.user)
    assert [version.number for version in first.artifact.versions.order_by("number")] == [1]
    assert queries.artifacts.artifact_storage().stat(queries.artifacts.path_of(first)).size == len(mapreduce.PROGRAM)


# --- Its input -----------------------------------------------------------------------------------


def test_its_splits_are_queued_as_map_tasks() -> None:
    job = make_mapreduce(inputs=[write_input(b"a\nb\nc"), write_input(b"d\n")], split_bytes=2)
    found = tasks(job)
    assert [(task.part, task.status, task.input) for task in found] == [
        (0, "QUEUED", {"object": 0, "start": 0, "end": 2}),
        (1, "QUEUED", {"object": 0, "start": 2, "end": 4}),
        (2, "QUEUED", {"object": 0, "start": 4, "end": 5}),
        (3, "QUEUED", {"object": 1, "start": 0, "end": 2}),
    ]
    assert {(task.owner_id, task.customer_id, task.lane_id, task.max_tries) for task in found} == {
        (job.owner_id, job.customer_id, job.lane_id, job.max_tries)
    }
    assert job.input_bytes == spec_of(job).input_bytes == 7
    assert [reason.code for reason in queries.explain(job)] == ["WAITS_FOR_TASKS"]
    assert OrmQ.objects.filter(key=settings.PULSE).exists()


def test_all_below_a_prefix_is_read_in_order_and_compressed_objects_whole() -> None:
    folder = mapreduce.folder()
    for name, text in (("b/2.txt", b"four"), ("b/1.gz", gzip.compress(b"x" * 9)), ("a.txt", b""), (".part-1", b"half")):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(text)
    os.symlink("/etc/passwd", folder / "link")
    job = make_mapreduce(inputs=[f"file://{folder}/"], split_bytes=2)
    found = spec_of(job).objects_found
    assert [each["path"].removeprefix(f"file://{folder}/") for each in found] == ["a.txt", "b/1.gz", "b/2.txt"]
    assert [task.input["object"] for task in tasks(job)] == [1, 2, 2]


def test_without_input_there_are_reduce_tasks_alone() -> None:
    job = make_mapreduce(inputs=[write_input(b"")], reducers=2)
    assert (len(tasks(job)), len(tasks(job, Shape.REDUCE))) == (0, 2)
    assert complete(job).status == states.COMPLETED


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        (lambda: [f"file://{mapreduce.folder()}/none.txt"], "There is no file"),
        (lambda: [f"file://{mapreduce.folder()}/"], "There is nothing below"),
        (lambda: [f"file://{mapreduce.folder()}"], "but a folder"),
    ],
)
def test_a_job_whose_input_is_not_there_fails_and_says_so(inputs: Any, said: str) -> None:
    job = make_mapreduce(inputs=inputs(), credentials=SECRET)
    assert job.error is not None
    assert (job.status, job.reason, job.error.name) == (states.FAILED, "INPUT_REFUSED", "input-refused")
    assert said in spec_of(job).failure
    assert spec_of(job).credentials == ""


def test_a_store_that_cannot_be_reached_is_asked_again_and_then_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_mapreduce(looked=False)

    def fail(*_: Any) -> None:
        raise storage.StorageUnavailable("The disk is away.")

    monkeypatch.setattr(HostStorage, "stat", fail)
    for _ in range(mapreduce_services.MAX_LOOKS - 1):
        look_for_input(job.pk)
        job.refresh_from_db()
        assert job.status == states.PENDING
    assert look_again() == 0  # it was changed just now
    Job.objects.update(modified_at=job.submitted_at - 2 * mapreduce_services.LOOK_AGAIN_AFTER)
    assert look_again() == 1
    look_for_input(job.pk)
    job.refresh_from_db()
    assert (job.status, job.reason, spec_of(job).failure) == ("FAILED", "INPUT_UNREADABLE", "The disk is away.")


def test_a_look_that_comes_twice_makes_no_task_twice() -> None:
    job = make_mapreduce()
    before = [task.pk for task in tasks(job)]
    MapReduceSpec.objects.update(splits=None, maps=0)
    with pytest.raises(Exception, match=r"(?i)unique"):
        look_for_input(job.pk)
    assert [task.pk for task in tasks(job)] == before


def test_too_many_splits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapreduce_services, "MAX_SPLITS", 2)
    assert spec_of(make_mapreduce()).failure == "That would be 3 splits; there may be 2. Ask for larger ones."


def test_a_bucket_is_read_by_its_address(s3_server: S3Server, settings: Any) -> None:
    settings.STORAGE_ENDPOINTS = (s3_server.endpoint,)
    settings.MAPREDUCE_S3_ENDPOINT = s3_server.endpoint
    bucket = s3_server.make_bucket()
    for key in ("all/a", "all/b", "one"):
        s3_server.client().put_object(Bucket=bucket, Key=key, Body=b"1234")
    secret = {"input": {"username": s3_server.access_key, "password": s3_server.secret_key}}
    owner, both = make_customer_user(), [f"{s3_server.endpoint}/{bucket}/all/", f"s3://{bucket}/one"]
    job = make_mapreduce(owner, inputs=both, credentials=secret)
    assert [each["path"] for each in spec_of(job).objects_found] == [
        f"{s3_server.endpoint}/{bucket}/all/a", f"{s3_server.endpoint}/{bucket}/all/b", f"s3://{bucket}/one",
    ]  # fmt: skip
    with s3_server.known_keys_only():
        refused = make_mapreduce(owner, inputs=[f"s3://{bucket}/one"], credentials=secret)
    assert refused.reason == "INPUT_REFUSED"
    assert s3_server.secret_key not in spec_of(refused).failure


# --- Carried on ----------------------------------------------------------------------------------


def test_it_runs_when_a_task_does_and_reduces_when_all_maps_are_done() -> None:
    job = make_mapreduce(reducers=2)
    run(tasks(job)[0])
    assert carry_on(job).status == states.RUNNING
    assert job.started_at is not None
    services.move({tasks(job)[0].pk: {"ended_at": job.started_at}}, states.COMPLETED, fields=("ended_at",))
    end(tasks(job)[1])
    assert not tasks(carry_on(job), Shape.REDUCE)
    end(tasks(job)[2])
    reduces = tasks(carry_on(job), Shape.REDUCE)
    assert [task.part for task in reduces] == [0, 1]
    for task in reduces:
        assert job.status == states.RUNNING
        end(task)
        carry_on(job)
    assert (job.status, job.reason) == (states.COMPLETED, "")
    assert carry_on(job).status == states.COMPLETED


def test_tasks_are_made_as_they_are_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "IN_LINE", 4)
    job = make_mapreduce(inputs=[write_input(b"x" * 20)], split_bytes=1)
    made = []
    while tasks(job)[-1].status != states.COMPLETED:
        made.append(len(tasks(job)))
        assert sum(task.status == states.QUEUED for task in tasks(job)) <= 4
        end(next(task for task in tasks(job) if task.status == states.QUEUED))
        carry_on(job)
    # A new batch when half of the last one is gone.
    assert made == [4, 4, 6, 6, 8, 8, 10, 10, 12, 12, 14, 14, 16, 16, 18, 18, 20, 20, 20, 20]


def test_no_more_are_there_at_once_than_may_be() -> None:
    job = make_mapreduce(inputs=[write_input(b"x" * 9)], split_bytes=1, max_parallel=2, reducers=5)
    for stage in (Shape.MAP, Shape.REDUCE):
        done = 0
        while done < len(tasks(job, stage)):
            alive = [task for task in tasks(job, stage) if task.status not in states.FINAL]
            assert len(alive) <= 2
            end(alive[0])
            done += 1
            carry_on(job)
    assert job.status == states.COMPLETED


def test_it_takes_no_room_and_its_tasks_do() -> None:
    job = make_mapreduce()
    run(tasks(job)[0])
    carry_on(job)
    assert sql.lanes(job.place_id)[job.lane_id].jobs == 1
    (active,) = queries.Present().active
    assert (active.place_id, active.status, active.jobs) == (job.place_id, "RUNNING", 1)


def test_the_load_counts_its_tasks() -> None:
    job = make_mapreduce()
    run(tasks(job)[0])
    end(tasks(job)[1], output={})
    carry_on(job)
    sample = services.sample_load()
    assert sample is not None
    assert (sample.pending, sample.queued, sample.running) == (0, 1, 1)


def test_a_task_that_fails_stops_the_rest() -> None:
    job = make_mapreduce()
    first, second, _ = tasks(job)
    run(second)
    end(first, states.FAILED, error="program-failed")
    carry_on(job)
    assert [task.status for task in tasks(job)] == ["FAILED", "CANCELING", "CANCELED"]
    assert job.status == states.RUNNING
    services.move({second.pk: {"ended_at": first.submitted_at}}, states.CANCELED, fields=("ended_at",))
    carry_on(job)
    assert job.error is not None
    assert (job.status, job.reason, job.error.name) == (states.FAILED, "PROGRAM_FAILED", "program-failed")
    assert spec_of(job).failure == "map task 0: it was program-failed"


def test_a_task_that_is_stopped_alone_fails_the_job() -> None:
    job = make_mapreduce()
    services.cancel_jobs([tasks(job)[1].pk], actor=None)
    assert carry_on(job).status == states.FAILED
    assert (job.reason, spec_of(job).failure) == (steps.TASK_STOPPED, "One of its tasks was stopped.")


def test_what_is_gone_of_map_tasks_is_made_again() -> None:
    job = make_mapreduce()
    for task in tasks(job):
        end(task, output={"folder": "x"})
    carry_on(job)
    [reduce] = tasks(job, Shape.REDUCE)
    tries, lost = reduce.max_tries, tasks(job)[1]
    for _ in range(2):  # once more, while the map task is on its way
        steps.run_maps_again(reduce, [1])
    again = tasks(job)[1]
    assert (again.supersedes_id, again.status, again.input) == (lost.pk, "QUEUED", lost.input)
    reduce.refresh_from_db()
    assert reduce.max_tries == tries + 2
    assert [task.part for task in tasks(job)] == [0, 1, 2]
    end(again)
    end(reduce)
    assert carry_on(job).status == states.COMPLETED


def test_its_progress_is_counted() -> None:
    job = make_mapreduce()
    first, second, _ = tasks(job)
    for task in (first, second):
        end(task, output={"bytes_in": 5, "records_in": 2, "records_out": 7, "bytes_out": 2**40})
    found = progress_of(spec_of(job))["map"]
    assert (found.planned, found.completed, dict(found.tasks)) == (3, 2, {"COMPLETED": 2, "QUEUED": 1})
    assert (found.bytes_in, found.records_in, found.records_out, found.bytes_out) == (10, 4, 14, 2**41)


# --- Stopped, and tried again ----------------------------------------------------------------------


def test_stopping_it_stops_all_of_it() -> None:
    job = make_mapreduce()
    run(tasks(job)[0])
    carry_on(job)
    assert services.cancel_jobs([job.pk], actor=None) == {job.pk: states.CANCELING}
    assert [task.status for task in tasks(job)] == ["CANCELING", "CANCELED", "CANCELED"]
    assert carry_on(job).status == states.CANCELING
    services.move({tasks(job)[0].pk: {"ended_at": job.submitted_at}}, states.CANCELED, fields=("ended_at",))
    assert carry_on(job).status == states.CANCELED
    assert job.reason == "CANCELED_BY_USER"


def test_requeued_it_goes_on_where_it_stood() -> None:
    job = make_mapreduce()
    first, second, _ = tasks(job)
    end(first)
    end(second, states.FAILED, error="program-failed")
    carry_on(job)
    assert job.status == states.FAILED
    assert services.requeue_jobs([second.pk], actor=None) == []
    assert services.requeue_jobs([job.pk], actor=None) == [job.pk]
    job.refresh_from_db()
    assert (job.status, spec_of(job).failure) == (states.PENDING, "")
    assert [task.status for task in tasks(job)] == ["COMPLETED", "QUEUED", "QUEUED"]
    assert complete(carry_on(job)).status == states.COMPLETED


def test_requeued_after_its_input_was_missing_it_looks_again() -> None:
    folder = mapreduce.folder()
    job = make_mapreduce(inputs=[f"file://{folder}/late.txt"])
    OrmQ.objects.all().delete()
    (folder / "late.txt").write_bytes(b"x")
    assert services.requeue_jobs([job.pk], actor=None) == [job.pk]
    [queued] = OrmQ.objects.filter(key="work")
    look_for_input(**queued.kwargs())
    assert len(tasks(job)) == 1


def test_with_erased_credentials_it_is_neither_requeued_nor_retried() -> None:
    job = make_mapreduce(credentials=SECRET)
    services.cancel_jobs([job.pk], actor=None)
    carry_on(job)
    assert services.requeue_jobs([job.pk], actor=None) == []
    job.refresh_from_db()
    with pytest.raises(JobState, match="credentials were erased"):
        services.retry_job(job, actor=job.owner)


def test_retried_it_is_a_new_job_of_the_same_wish() -> None:
    job = make_mapreduce(reducers=3, max_parallel=7, arguments={"mapper": ["-x"]}, tags={"a": 1}, priority=9)
    complete(job)
    made = Job.objects.get(pk=services.retry_job(job, actor=make_operator().user).id)
    old, new = spec_of(job), spec_of(made)
    same = ("mapper_id", "reducer_id", "arguments", "reducers", "max_parallel", "inputs", "output", "split_bytes")
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    assert (made.retry_of_id, made.owner_id, made.tags, made.priority) == (job.pk, job.owner_id, {"a": 1}, 9)
    with pytest.raises(JobState, match="A task runs again with its MapReduce job"):
        services.retry_job(tasks(job)[0], actor=job.owner)
