"""Failures come to the clusters of what they have in common, each once, whatever becomes of logs and processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.conf import settings
from django.db import DataError
from django.db.models import F
from django.utils import timezone

from accounts.models import Follower
from clusters.providers.local import folders
from jobs import failures, retention, services, states
from jobs.fingerprint import Fingerprint
from jobs.models import Execution, Failure, FailureCluster, FailureCount, Job, MapReduceSpec, Place, Span
from jobs.queries.outputs import copied_output
from jobs.services import failures as noting
from jobtypes.models import Error
from tests.factories import Stage, keep_output, make_customer_user, make_job, make_job_in, make_jobs
from tests.jobs.counted import make_type
from tests.jobs.failing import cluster_of, fail, failed_jobs, failed_of_type, trace
from tests.mapreduce import make_mapreduce
from tests.query_budget import counted
from tests.threads import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _from_here() -> None:
    """The follower begins at the end of the log."""
    failures.group_failures()


def totals() -> list[int]:
    return sorted(FailureCluster.objects.values_list("total", flat=True))


def counts(span: str) -> int:
    return sum(FailureCount.objects.filter(span=span).values_list("number", flat=True))


# --- What has something in common ----------------------------------------------------------------


def test_one_fault_of_many_jobs_is_one_cluster() -> None:
    jobs, others = failed_jobs(3), failed_jobs(2, "missing")
    cluster, other = cluster_of(jobs[0]), cluster_of(others[0])
    assert cluster.title == "ValueError: the lens of camera # is dirty"
    assert other.title == "ValueError: the lens of camera # is missing"
    assert (cluster.total, other.total) == (3, 2)
    assert cluster.error == Error.objects.get(name="exit-code")
    assert list(Job.objects.filter(failure_cluster=cluster).order_by("pk")) == jobs
    assert cluster.first_seen <= cluster.last_seen <= timezone.now()
    assert (counts(Span.HOUR), counts(Span.DAY)) == (5, 5)


def test_the_sample_is_of_the_last_failure_that_has_a_log() -> None:
    first = failed_jobs(1)[0]
    cluster = cluster_of(first)
    assert (cluster.sample_job, cluster.sample_number) == (first, 1)
    assert cluster.sample_log == "reading\n" + trace(first.pk)
    second = failed_jobs(1)[0]
    assert cluster_of(second).sample_job == second


def test_a_sample_is_kept_without_what_no_database_keeps_and_not_too_much_of_it() -> None:
    job = fail(make_jobs(1), stderr=["a\0b\n" * 20_000])[0]
    log = cluster_of(job).sample_log
    assert "\0" not in log
    assert len(log) <= noting.SAMPLE_CHARACTERS


def test_exit_code_and_error_tell_failures_apart() -> None:
    jobs = [failed_jobs(1, exit_code=1)[0], failed_jobs(1, exit_code=2)[0]]
    assert len({cluster_of(job).pk for job in jobs}) == 2


def test_jobs_that_wrote_nothing_are_told_apart_by_error_and_code() -> None:
    stage = Stage()
    jobs = [*fail(make_jobs(2), stage=stage), *fail(make_jobs(1), stage=stage, exit_code=137)]
    assert cluster_of(jobs[0]) == cluster_of(jobs[1])
    assert cluster_of(jobs[2]).title == "exit-code, exit code 137, without output"


def test_the_error_is_that_of_the_job_s_type() -> None:
    error = Error.objects.create(name="no-light", title="No light", category="DATA")
    ids = failed_of_type(make_type(), 2, error)
    assert cluster_of(Job.objects.get(pk=ids[0])).error == error
    assert FailureCount.objects.get(span=Span.DAY).job_type_id == make_type().pk


def test_what_a_provider_refuses_is_a_failure_and_what_was_stopped_is_none() -> None:
    rejected = make_job_in(states.REJECTED)
    make_job_in(states.CANCELED)
    make_job_in(states.COMPLETED)
    assert cluster_of(rejected).title.startswith("refused")
    assert totals() == [1]


def test_a_mapreduce_job_says_why_and_its_tasks_are_not_counted() -> None:
    job = make_mapreduce()
    MapReduceSpec.objects.filter(pk=job.pk).update(failure="map 3 of 7: the mapper could not be run")
    error = Error.objects.get(name="worker-failed")
    values = {"ended_at": timezone.now(), "error": error.pk, "reason": "WORKER_FAILED"}
    for each in (*Job.objects.filter(parent=job), job):
        if each.status == states.QUEUED or each == job:
            services.move({each.pk: values}, states.FAILED, fields=tuple(values))
    cluster = cluster_of(job)
    assert (cluster.title, cluster.total) == ("map # of #: the mapper could not be run", 1)
    assert cluster.error == error


def test_customers_and_types_are_counted_by_day() -> None:
    ada, bob = make_customer_user(customer="acme"), make_customer_user(customer="zeta")
    stage = Stage()
    failed_jobs(2, owner=ada, stage=stage)
    job = failed_jobs(1, owner=bob, customer="zeta", stage=stage)[0]
    cluster = cluster_of(job)
    found = dict(FailureCount.objects.filter(cluster=cluster, span=Span.DAY).values_list("customer_id", "number"))
    assert found == {ada.user.customer_id: 2, bob.user.customer_id: 1}


def test_an_error_of_too_many_kinds_of_failures_has_one_for_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "MOST_NEW", 2)
    stage = Stage()
    for word in ("dirty", "missing", "broken", "stolen", "dirty"):
        failed_jobs(1, word, stage=stage)
    failures.group_failures()
    assert totals() == [1, 2, 2]
    rest = FailureCluster.objects.get(title="exit-code, exit code 1, without output")
    assert rest.total == 2
    assert rest.sample_log


# --- Jobs that go on -----------------------------------------------------------------------------


def test_a_job_that_was_requeued_is_a_past_failure() -> None:
    stage = Stage()
    job = failed_jobs(1, stage=stage)[0]
    services.requeue_jobs([job.pk], actor=None)
    cluster = cluster_of(job)
    assert (cluster.total, job.status) == (1, states.QUEUED)
    stage.start(job)
    stage.end(job)
    assert cluster_of(job) == cluster
    assert totals() == [1]


def test_a_job_that_fails_twice_is_counted_twice_and_names_the_cluster_of_the_last_time() -> None:
    stage = Stage()
    job = failed_jobs(1, stage=stage)[0]
    services.requeue_jobs([job.pk], actor=None)
    fail([job], stage=stage, stderr=[trace(1, "missing")])  # before anybody has looked at the first
    assert cluster_of(job).title.endswith("is missing")
    first, second = Failure.objects.order_by("position")
    assert (first.number, second.number) == (1, 2)
    assert first.cluster is not None
    assert first.cluster.title.endswith("is dirty")


def test_a_job_that_fails_while_it_waits_is_not_told_by_the_log_of_before() -> None:
    stage = Stage()
    job = failed_jobs(1, stage=stage)[0]
    services.requeue_jobs([job.pk], actor=None)
    error = Error.objects.get(name="max-cost")
    values = {"ended_at": timezone.now(), "error": error.pk, "reason": "MAX_COST"}
    services.move({job.pk: values}, states.FAILED, fields=tuple(values))
    assert cluster_of(job).title == "max-cost, without output"


# --- Once ----------------------------------------------------------------------------------------


def test_the_same_events_twice_add_nothing() -> None:
    begun = Follower.objects.get(name=noting.FOLLOWER).position
    failed_jobs(3)
    failures.group_failures()
    Follower.objects.filter(name=noting.FOLLOWER).update(position=begun)
    failures.group_failures()
    assert (totals(), counts(Span.HOUR), Failure.objects.count()) == ([3], 3, 3)


class Killed(BaseException):
    """As a process that is killed: nothing after it is run."""


@pytest.mark.parametrize("where", ["_count", "_mark_jobs", "_choose"])
def test_whoever_comes_after_a_killed_one_counts_each_once(where: str) -> None:
    failed_jobs(3)
    with mock.patch.object(noting, where, side_effect=Killed), pytest.raises(Killed):
        failures.group_failures()
    assert totals() == []
    failures.group_failures()
    assert (totals(), counts(Span.DAY)) == ([3], 3)


def test_one_that_is_brought_to_its_cluster_already_is_left_alone() -> None:
    failed_jobs(2)
    services.note_failures()
    waiting = services.waiting_failures(10)
    told = [services.Told(each.pk, Fingerprint("d", "t"), Fingerprint("d", "t"), "") for each in waiting]
    assert [services.cluster_failures(told) for _ in range(2)] == [2, 0]
    assert totals() == [2]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_who_group_at_once_count_each_once() -> None:
    stage = Stage()
    for word in ("dirty", "missing"):
        failed_jobs(10, word, stage=stage)
    at_once([failures.group_failures] * 4)
    failures.group_failures()
    assert (totals(), counts(Span.HOUR)) == ([10, 10], 20)


def test_a_failure_that_the_database_refuses_keeps_none_of_the_others() -> None:
    jobs = failed_jobs(3)
    real = noting._grow

    def refuse(cluster: Any, members: Any, by_id: Any) -> None:
        if any(each.job_id == jobs[1].pk for each in members):
            raise DataError("no")
        real(cluster, members, by_id)

    with mock.patch.object(noting, "_grow", refuse):
        failures.group_failures()
    assert totals() == [2]
    Failure.objects.update(due_at=F("at"))
    failures.group_failures()
    assert totals() == [3]


# --- Logs that are not to be had -----------------------------------------------------------------


def break_log(job: Job) -> Path:
    """A folder in the place of its standard error."""
    keep_output(job)
    execution = job.executions.latest("number")
    path = Path(folders.folder_of(str(settings.LOCAL_ROOT), str(execution.uuid))) / "stderr"
    path.unlink()
    path.mkdir()
    return path


def test_a_log_that_cannot_be_read_is_looked_for_again() -> None:
    job = make_job()
    fail([job])
    path = break_log(job)
    failures.group_failures()
    assert totals() == []
    path.rmdir()
    path.write_text(trace(1))
    Failure.objects.update(due_at=F("at"))
    assert cluster_of(job).title.startswith("ValueError")


def test_a_log_that_stays_unreadable_keeps_nobody() -> None:
    job, other = make_jobs(2)
    fail([job, other], stderr=["", trace(1)])
    break_log(job)
    Failure.objects.all().delete()
    services.note_failures()
    Failure.objects.update(at=F("at") - failures.LATE_AT_MOST)
    assert cluster_of(job).title == "exit-code, exit code 1, without output"
    other.refresh_from_db()
    assert other.failure_cluster is not None  # of the same place, so it was not read either


def at_a_cloud(job: Job, copy_at: datetime | None) -> Execution:
    place = Place.objects.get_or_create(cloud="aws", region="north-1")[0]
    execution = job.executions.latest("number")
    Execution.objects.filter(pk=execution.pk).update(place=place, handle="job-1", copy_at=copy_at)
    return execution


def test_the_log_of_a_cloud_is_waited_for_until_it_is_copied() -> None:
    job = fail([make_job()])[0]
    execution = at_a_cloud(job, timezone.now())
    failures.group_failures()
    assert totals() == []
    copied_output(execution.uuid, "stdout").append(0, 100, trace(7))
    Execution.objects.update(copy_at=None)
    Failure.objects.update(due_at=F("at"))
    assert cluster_of(job).title.startswith("ValueError")


def test_the_log_of_a_cloud_that_does_not_come_is_done_without() -> None:
    job = fail([make_job()])[0]
    at_a_cloud(job, timezone.now())
    services.note_failures()
    Failure.objects.update(at=F("at") - failures.LATE_AT_MOST)
    assert cluster_of(job).title == "exit-code, exit code 1, without output"


def test_output_past_its_days_is_not_looked_for() -> None:
    job = failed_jobs(1)[0]
    Execution.objects.update(logs_kept=False)
    assert cluster_of(job).title == "exit-code, exit code 1, without output"


# --- What it costs, and what stays -----------------------------------------------------------------


def test_more_failures_of_a_kind_cost_no_more_statements() -> None:
    stage = Stage()
    numbers = []
    for count in (1, 2, 9):
        failed_jobs(count, stage=stage)
        services.note_failures()
        with counted() as found:
            failures.group_failures()
        numbers.append(len(found))
    assert numbers[1] == numbers[2]


def test_clusters_go_with_their_failures_and_what_has_a_name_stays(settings) -> None:
    settings.RETENTION_DAYS = {**settings.RETENTION_DAYS, "failures": 40, "executions": 30}
    old, named = failed_jobs(1)[0], failed_jobs(1, "missing")[0]
    for job, days in ((old, 41), (named, 41)):
        cluster, at = cluster_of(job), timezone.now() - timedelta(days=days)
        FailureCluster.objects.filter(pk=cluster.pk).update(last_seen=at, sample_at=at)
        Failure.objects.filter(job=job).update(at=at)
    FailureCount.objects.update(begun_at=datetime(2026, 1, 1, tzinfo=UTC))
    FailureCluster.objects.filter(title__endswith="missing").update(
        named=Error.objects.get(name="lost"), named_at=timezone.now()
    )
    young = failed_jobs(1, "stolen")[0]
    cluster_of(young)
    deleted = retention.delete_old_rows()
    assert {name: number for name, number in deleted.items() if name.startswith("failure")} == {
        "failures": 2,
        "failure_hours": 2,
        "failure_days": 2,
        "failure_clusters": 1,
    }
    old.refresh_from_db()
    assert old.failure_cluster is None
    assert [each.title.split()[-1] for each in FailureCluster.objects.order_by("id")] == ["missing", "stolen"]
    assert [bool(each.sample_log) for each in FailureCluster.objects.order_by("id")] == [False, True]
