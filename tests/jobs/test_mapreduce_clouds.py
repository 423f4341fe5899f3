"""MapReduce jobs at a cloud: real workers, all data in moto's S3 over HTTP, nobody but us with credentials."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.core import serializers
from django.urls import reverse
from django.utils import timezone

from clusters.providers.base import End
from controlplane.core.storage import StorageUnavailable
from controlplane.core.storage.s3 import S3Storage
from jobs import carrying, scheduling, services, staging, states
from jobs.mapreduce.worker.run import TASK_URL
from jobs.models import Execution, Job, MapReduceSpec, Shape
from jobs.services import submit_mapreduce
from jobs.services.mapreduce import again
from tests.browsers import browser
from tests.mapreduce import tasks
from tests.mapreduce_clouds import MapReduceStage
from tests.servers import S3Server

pytestmark = pytest.mark.django_db

TEXT = b"the cat\nthe dog\r\nand the bird and the cat\n" * 50


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, tmp_path: Path) -> Iterator[MapReduceStage]:
    made = MapReduceStage(monkeypatch, s3_server, tmp_path)
    yield made
    made.cloud.stop()


def counted(output: dict[str, bytes]) -> Counter[str]:
    lines = [line.split("\t") for text in output.values() for line in text.decode().splitlines()]
    assert len({word for word, _ in lines}) == len(lines), "a word was counted by two reducers"
    return Counter({word: int(number) for word, number in lines})


def everything_written(stage: MapReduceStage, job: Job, caplog: pytest.LogCaptureFixture) -> str:
    """All that can be read of it: rows of all tables, logs, the containers' output, pages, answers."""
    rows = [serializers.serialize("json", model._default_manager.all()) for model in apps.get_models()]
    client = browser("operator")
    pages = [
        client.get(reverse("admin:jobs_job_change", args=[pk]))
        for pk in (job.pk, *job.parts.values_list("pk", flat=True))
    ]
    answers = [stage.owner.client.get(f"/v6/jobs/{job.uuid}/"), stage.owner.client.get(f"/v6/jobs/?parent={job.uuid}")]
    text = [answer.content.decode() for answer in (*pages, *answers)]
    assert all(answer.status_code == 200 for answer in (*pages, *answers))
    return "\n".join([*rows, *text, *stage.cloud.said.values(), caplog.text])


def check_no_secrets(stage: MapReduceStage, job: Job, caplog: pytest.LogCaptureFixture) -> None:
    text = everything_written(stage, job, caplog)
    for secret in (stage.server.secret_key, stage.server.access_key, "X-Amz", "Signature="):
        assert secret not in text


def test_a_job_at_a_cloud_counts_words(stage: MapReduceStage, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    job = stage.make(TEXT, combiner=stage.program("reducer", "from itertools import groupby\n" + _SUM))
    job = stage.finish(job)
    assert (job.status, MapReduceSpec.objects.get(pk=job.pk).failure) == (states.COMPLETED, "")
    assert set(stage.output()) == {"0.tsv", "1.tsv"}
    assert counted(stage.output()) == Counter(TEXT.decode().split())
    assert dict(stage.storage.walk()) == {}, "what lay between is gone"
    maps = tasks(job)
    assert len(maps) > 2
    assert sum(task.output["records_in"] for task in maps) == TEXT.count(b"\n")
    check_no_secrets(stage, job, caplog)


_SUM = """
import sys
lines = (line.rstrip("\\n").split("\\t") for line in sys.stdin)
for word, found in groupby(lines, lambda each: each[0]):
    print(word, sum(int(number) for _, number in found), sep="\\t")
"""


def test_the_container_is_given_one_address_and_nothing_else(stage: MapReduceStage) -> None:
    stage.cloud.starts = False
    job = stage.make(TEXT)
    stage.turn()
    work = next(iter(stage.cloud.works.values()))
    assert (list(work.command), work.image_entrypoint, work.network) == ([], True, True)
    assert set(work.env) == {TASK_URL, "LC_ALL"}
    assert stage.server.secret_key not in str(work)
    assert (work.customer, work.timeout_seconds) == ("acme", settings.MAPREDUCE_TASK_TIMEOUT_SECONDS)
    document = next(b"".join(stage.storage.get(path)) for path, _ in stage.storage.walk(f"mapreduce/{job.uuid}/tasks"))
    assert stage.server.secret_key.encode() not in document
    assert json.loads(document)["stage"] == "map"


def test_a_failing_program_fails_the_job_with_its_words(
    stage: MapReduceStage, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bad = stage.program("bad", "import sys\nprint('no idea what that is', file=sys.stderr)\nsys.exit(3)\n")
    job = stage.finish(stage.make(TEXT, reducer=bad))
    failure = MapReduceSpec.objects.get(pk=job.pk).failure
    assert (job.status, job.reason) == (states.FAILED, "PROGRAM_FAILED")
    assert "no idea what that is" in failure
    assert stage.output() == {}
    assert dict(stage.storage.walk()) == {}
    check_no_secrets(stage, job, caplog)


def map_all(stage: MapReduceStage, job: Job) -> list[Job]:
    """Let all map tasks run and be kept, and no reduce task be made yet."""
    stage.turn()
    stage.cloud.wait()
    scheduling.observe_cloud(stage.place.pk, stage.cloud, scheduling.Watch({}))
    carrying.carry_here(stage.place.pk, 10)
    found = tasks(job)
    assert {task.status for task in found} == {states.COMPLETED}
    return found


@pytest.mark.parametrize("harm", ["gone", "cut", "gone while its reader waits", "cut while its reader waits"])
def test_lost_pairs_have_only_their_map_task_run_again(stage: MapReduceStage, harm: str) -> None:
    job = stage.make(TEXT)
    maps = map_all(stage, job)
    if "waits" in harm:
        stage.cloud.starts = False
        stage.turn()
    path = f"mapreduce/{job.uuid}/pairs/{maps[2].output['folder']}"
    whole = b"".join(stage.storage.get(path))
    stage.storage.delete(path)
    if "cut" in harm:
        stage.storage.put(path, [whole[:-1]])
    stage.cloud.start_all()
    job = stage.finish(job)
    assert (MapReduceSpec.objects.get(pk=job.pk).failure, job.status) == ("", states.COMPLETED)
    assert counted(stage.output()) == Counter(TEXT.decode().split())
    superseded = Job.objects.filter(parent=job, superseded_at__isnull=False)
    assert set(superseded.values_list("shape", "part")) == {(Shape.MAP, 2)}
    assert Job.objects.filter(parent=job, shape=Shape.MAP).count() == len(maps) + 1
    assert dict(stage.storage.walk()) == {}


def test_a_canceled_job_is_stopped_and_leaves_nothing(stage: MapReduceStage) -> None:
    job = stage.make(TEXT, mapper=stage.program("slow", "import time\ntime.sleep(600)\n"))
    stage.turn()
    assert [path for path, _ in stage.storage.walk()] != []
    services.cancel_jobs([job.pk], actor=None)
    job = stage.finish(job)
    assert job.status == states.CANCELED
    assert {task.status for task in tasks(job)} == {states.CANCELED}
    assert dict(stage.storage.walk()) == {}
    assert stage.output() == {}


def test_what_fails_by_itself_is_tried_again(stage: MapReduceStage) -> None:
    """A container that is taken away, and a worker that leaves no word."""
    stage.cloud.starts = False
    job = stage.make(TEXT)
    stage.turn()
    interrupted, silent = stage.cloud.handles[:2]
    for handle in (interrupted, silent):
        stage.cloud.start(handle)
    stage.cloud.end(interrupted, exit_code=None, end=End.INTERRUPTED)
    stage.cloud.end(silent, exit_code=1)
    stage.cloud.start_all()
    job = stage.finish(job)
    assert job.status == states.COMPLETED
    assert counted(stage.output()) == Counter(TEXT.decode().split())
    names = Execution.objects.exclude(error=None).values_list("error__name", flat=True)
    assert sorted(names) == ["interrupted", "worker-failed"]


def test_who_waits_too_long_in_the_clouds_line_is_tried_again(stage: MapReduceStage) -> None:
    stage.cloud.starts = False
    job = stage.make(b"one\n", reducers=1)
    stage.cloud.before["capacity"] = lambda: None
    stage.turn()
    execution = Execution.objects.get()
    Execution.objects.update(prepared_at=timezone.now() - timedelta(days=2))
    execution.refresh_from_db()
    [[work], faults] = staging.works([execution.uuid])
    assert faults == {}
    assert "X-Amz-Expires=60&" in work.env[TASK_URL]
    assert job.status == states.PENDING


def test_addresses_hold_for_the_line_and_the_timeout_and_a_week_at_most(stage: MapReduceStage) -> None:
    stage.cloud.starts = False
    job = stage.make(b"one\n", timeout_seconds=1000)
    stage.turn()
    work = stage.cloud.works[stage.cloud.handles[0]]
    lives = [int(life) for life in re.findall(r"X-Amz-Expires=(\d+)", str(work.env))]
    assert lives == [pytest.approx(23 * 3600, abs=60)]
    [path] = [path for path, _ in stage.storage.walk(f"mapreduce/{job.uuid}/tasks")]
    lives = [int(life) for life in re.findall(rb"X-Amz-Expires=(\d+)", b"".join(stage.storage.get(path)))]
    assert {life // 3600 for life in lives} == {24, 25}


def test_storage_that_cannot_be_reached_is_waited_for(
    stage: MapReduceStage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    job = stage.make(b"one\n", reducers=1)
    with monkeypatch.context() as broken:
        broken.setattr(S3Storage, "stat", _unreachable)
        stage.turn()
    assert "waits for storage: no route" in caplog.text
    assert Execution.objects.get().status == states.CREATED
    Execution.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    stage.turn()
    stage.cloud.wait()
    with monkeypatch.context() as broken:
        broken.setattr(S3Storage, "get", _unreachable)
        stage.turn()
    assert Execution.objects.get().status == states.FINISHING
    Execution.objects.update(leased_until=timezone.now() - timedelta(seconds=1))
    assert stage.finish(job).status == states.COMPLETED
    assert Execution.objects.exclude(status=states.COMPLETED).count() == 0


def _unreachable(*args: Any, **kwargs: Any) -> Any:
    raise StorageUnavailable("no route")


def test_it_does_not_wait_for_storage_for_ever(stage: MapReduceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "STAGING_TIMEOUT_SECONDS", 0)
    monkeypatch.setattr(S3Storage, "stat", _unreachable)
    stage.make(b"one\n")
    stage.turn()
    execution = Execution.objects.select_related("error").get()
    assert execution.error is not None
    assert (execution.error.name, execution.detail) == ("pre-timeout", "no route")


def test_without_its_storage_tasks_are_told_so(stage: MapReduceStage, monkeypatch: pytest.MonkeyPatch) -> None:
    job = stage.make(b"one\n", max_tries=1)
    monkeypatch.setattr(settings, "MAPREDUCE_CLOUD_STORAGE", {})
    stage.turns(lambda: Job.objects.get(pk=job.pk).status == states.FAILED)
    assert "MAPREDUCE_CLOUD_STORAGE cannot be used" in MapReduceSpec.objects.get(pk=job.pk).failure


def test_input_that_its_credentials_may_not_read_fails_the_job(stage: MapReduceStage) -> None:
    job = stage.make(b"one\n", max_tries=1)
    stage.server.client().delete_object(Bucket=stage.bucket, Key="in/text")
    job = stage.finish(job)
    assert (job.status, job.reason) == (states.FAILED, "INPUT_REFUSED")


def test_output_without_a_bucket_goes_to_one_that_is_made(stage: MapReduceStage) -> None:
    job = stage.finish(stage.make(b"one two\n", output=stage.server.endpoint, reducers=1))
    assert job.status == states.COMPLETED
    found = stage.server.client().get_object(Bucket="reducers", Key=f"{job.uuid}/0.tsv")
    assert found["Body"].read() == b"one\t1\ntwo\t1\n"


def test_it_can_be_submitted_again_at_the_same_place(stage: MapReduceStage) -> None:
    job = stage.finish(stage.make(b"one\n", credentials={}))
    assert job.status == states.COMPLETED, "what is public needs no credentials"
    twin = submit_mapreduce(owner=stage.owner.user, wish=again(job))
    assert (twin.place_id, twin.retry_of_id) == (job.place_id, job.pk)


def test_a_job_that_is_taken_back_makes_anew_what_was_cleared(stage: MapReduceStage) -> None:
    job = stage.make(TEXT, credentials={})
    map_all(stage, job)
    services.cancel_jobs([job.pk], actor=None)
    assert stage.finish(job).status == states.CANCELED
    assert dict(stage.storage.walk()) == {}
    services.requeue_jobs([job.pk], actor=None)
    assert stage.finish(job).status == states.COMPLETED
    assert counted(stage.output()) == Counter(TEXT.decode().split())
    assert dict(stage.storage.walk()) == {}


def test_leftovers_are_removed_a_piece_at_a_time(stage: MapReduceStage) -> None:
    job = stage.make(TEXT)
    map_all(stage, job)
    staging.clear_cloud_leftovers(stage.place.pk, 60)
    before = dict(stage.storage.walk())
    assert before, "the job has not ended"
    services.cancel_jobs([job.pk], actor=None)
    Job.objects.filter(pk=job.pk).update(status=states.CANCELED, ended_at=timezone.now())
    staging.clear_cloud_leftovers(stage.place.pk, 0)
    assert len(dict(stage.storage.walk())) == len(before) - 1
    staging.clear_cloud_leftovers(stage.place.pk, 60)
    assert dict(stage.storage.walk()) == {}
    assert not MapReduceSpec.objects.get(pk=job.pk).to_clear
