"""What staff name a cluster of failures is the error of what is failed, and of what fails so later."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from django_q.models import OrmQ

from accounts.models import Event
from controlplane.core.errors import InvalidRequest
from jobs import failures, services, states, tasks
from jobs.errors import FailureClusterNotFound
from jobs.models import FailureCluster, Job, Kind, Policy
from jobs.policy import Policy as Said
from jobs.queries.statistics import status_counts
from jobs.services import failure_rules
from jobtypes.models import Category, Error
from jobtypes.services import create_error
from tests.factories import Person, Stage, make_operator
from tests.jobs.counted import counted_directly, make_type
from tests.jobs.failing import cluster_of, fail, failed_jobs, failed_of_type, trace

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Person:
    return make_operator("op")


@pytest.fixture(autouse=True)
def _from_here() -> None:
    failures.group_failures()


def name(cluster: FailureCluster, actor: Person, **wishes: Any) -> Error:
    wish = {"name": "bad-lens", "title": "Bad lens", "category": Category.DATA, **wishes}
    named = services.name_cluster(cluster.pk, actor=actor.user, **wish).named
    assert named is not None
    return named


def errors_of(jobs: list[Job]) -> list[str]:
    return [Job.objects.select_related("error").get(pk=job.pk).error.name for job in jobs]  # type: ignore[union-attr]


def test_failed_jobs_get_the_error_and_no_others(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_rules, "BATCH", 2)
    stage = Stage()
    jobs, others = failed_jobs(5, stage=stage), failed_jobs(2, "missing", stage=stage)
    cluster = cluster_of(jobs[0])
    services.requeue_jobs([jobs[4].pk], actor=None)
    error = name(cluster, operator)
    assert OrmQ.objects.count()
    assert errors_of(jobs[:1]) == ["exit-code"]  # in the background
    tasks.rename_failures(cluster.pk)
    assert errors_of(jobs[:4]) == ["bad-lens"] * 4
    assert errors_of(others) == ["exit-code"] * 2
    jobs[4].refresh_from_db()
    assert (jobs[4].status, jobs[4].error) == (states.QUEUED, None)
    told = Event.objects.filter(kind="job.error-changed").order_by("id")
    assert list(told.values_list("subject_id", "before", "after")) == [
        (job.pk, {"error": "exit-code"}, {"error": "bad-lens"}) for job in jobs[:4]
    ]
    tasks.rename_failures(cluster.pk)
    assert told.count() == 4
    cluster.refresh_from_db()
    assert (cluster.named, cluster.named_by) == (error, operator.user)
    named = Event.objects.get(kind="failure_cluster.named")
    after = {"name": "bad-lens", "category": "DATA", "should_be_retried": False, "error": "bad-lens"}
    assert (named.before, named.after) == ({"error": None}, after)


def test_work_that_is_not_done_in_a_slice_is_passed_on(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failure_rules, "BATCH", 2)
    monkeypatch.setattr(failure_rules, "SLICE_SECONDS", 0)
    jobs = failed_jobs(3)
    cluster = cluster_of(jobs[0])
    name(cluster, operator)
    passed: list[Any] = []
    with mock.patch.object(failure_rules, "enqueue", lambda task, **given: passed.append(given)):
        tasks.rename_failures(cluster.pk)
    assert passed == [{"cluster_id": cluster.pk, "after": jobs[1].pk}]
    assert errors_of(jobs) == ["bad-lens", "bad-lens", "exit-code"]
    tasks.rename_failures(**passed[0])
    assert errors_of(jobs) == ["bad-lens"] * 3


def test_counts_of_job_types_go_with_the_error(operator: Person) -> None:
    job_type = make_type()
    before = Error.objects.create(name="no-light", title="No light", category=Category.ALGORITHM)
    ids = failed_of_type(job_type, 3, before)
    services.fold_counts()
    cluster = cluster_of(Job.objects.get(pk=ids[0]))
    name(cluster, operator)
    tasks.rename_failures(cluster.pk)
    failed_of_type(job_type, 2, before)
    failures.group_failures()
    for fold in (False, True):
        if fold:
            services.fold_counts()
        started = Job.objects.earliest("submitted_at").submitted_at
        found = status_counts([job_type.pk], started=started)[job_type.pk]
        assert [(each.status, each.category, each.number) for each in found] == [("FAILED", "DATA", 5)]
    assert {key[2]: len(times) for key, times in counted_directly().items()} == {"DATA": 5}


def test_what_fails_so_later_gets_it_too_and_is_in_the_same_cluster(operator: Person) -> None:
    cluster = cluster_of(failed_jobs(1)[0])
    name(cluster, operator)
    later, other = failed_jobs(1), failed_jobs(1, "missing")
    assert cluster_of(later[0]) == cluster
    assert (errors_of(later), errors_of(other)) == (["bad-lens"], ["exit-code"])
    assert later[0].executions.get().error == Error.objects.get(name="exit-code")  # as it ended


def test_no_name_any_more_lets_later_ones_keep_their_own(operator: Person) -> None:
    jobs = failed_jobs(1)
    cluster = cluster_of(jobs[0])
    name(cluster, operator)
    tasks.rename_failures(cluster.pk)
    assert services.unname_cluster(cluster.pk, actor=operator.user).named is None
    services.unname_cluster(cluster.pk, actor=operator.user)
    assert Event.objects.filter(kind="failure_cluster.unnamed").count() == 1
    later = failed_jobs(1)
    assert cluster_of(later[0]) == cluster
    assert (errors_of(jobs), errors_of(later)) == (["bad-lens"], ["exit-code"])
    tasks.rename_failures(cluster.pk)
    assert errors_of(later) == ["exit-code"]


def test_an_error_named_before_serves_another_cluster_but_no_builtin_does(operator: Person) -> None:
    error = create_error(name="bad-lens", title="Bad lens", category=Category.DATA, actor=None)
    cluster = cluster_of(failed_jobs(1)[0])
    assert services.name_cluster(cluster.pk, actor=operator.user, error_id=error.pk).named == error
    for wrong in (Error.objects.get(name="lost").pk, 999_999):
        with pytest.raises(InvalidRequest) as refused:
            services.name_cluster(cluster.pk, actor=operator.user, error_id=wrong)
        assert refused.value.field == "error_id"
    with pytest.raises(InvalidRequest) as refused:
        name(cluster, operator)
    assert refused.value.field == "name"
    with pytest.raises(FailureClusterNotFound):
        services.name_cluster(999_999, actor=operator.user, error_id=error.pk)


# --- Tried again -----------------------------------------------------------------------------------


def fail_again(stage: Stage, job: Job) -> str:
    """Let it fail once more in the same way; its status, when that is grouped."""
    fail([job], stage=stage, stderr=[trace(job.pk)])
    failures.group_failures()
    job.refresh_from_db()
    return job.status


def test_later_ones_are_tried_again_while_tries_are_left(operator: Person) -> None:
    stage = Stage()
    first = failed_jobs(1, stage=stage, max_tries=3)[0]
    name(cluster_of(first), operator, category=Category.SYSTEM, should_be_retried=True)
    tasks.rename_failures(cluster_of(first).pk)
    first.refresh_from_db()
    assert first.status == states.FAILED  # what is failed already has a button
    job = failed_jobs(1, stage=stage, max_tries=3)[0]
    failures.group_failures()
    job.refresh_from_db()
    assert (job.status, job.error, job.tries) == (states.QUEUED, None, 1)
    assert [fail_again(stage, job) for _ in range(2)] == [states.QUEUED, states.FAILED]
    assert (job.tries, job.max_tries, errors_of([job])) == (3, 3, ["bad-lens"])
    assert cluster_of(job).total == 4


def test_no_more_tries_than_the_policy_has(operator: Person) -> None:
    stage = Stage()
    name(cluster_of(failed_jobs(1, stage=stage)[0]), operator, category=Category.DATA, should_be_retried=True)
    job = failed_jobs(1, stage=stage, max_tries=5, policy=Said(tries={"DATA": 2}))[0]
    assert Policy.objects.count() == 1
    failures.group_failures()
    job.refresh_from_db()
    assert job.status == states.QUEUED
    assert fail_again(stage, job) == states.FAILED
    assert job.tries < job.max_tries


def test_one_that_has_gone_on_meanwhile_is_left_alone(operator: Person) -> None:
    stage = Stage()
    name(cluster_of(failed_jobs(1, stage=stage)[0]), operator)
    job = failed_jobs(1, stage=stage)[0]
    services.requeue_jobs([job.pk], actor=None)
    stage.start(job)
    failures.group_failures()
    job.refresh_from_db()
    assert (job.status, job.error) == (states.RUNNING, None)


def test_these_are_requeued_and_not_those_with_errors_of_data(operator: Person) -> None:
    stage = Stage()
    jobs, others = failed_jobs(3, stage=stage), failed_jobs(1, "missing", stage=stage)
    cluster = cluster_of(jobs[0])
    data = create_error(name="bad-file", title="Bad file", category=Category.DATA, actor=None)
    Job.objects.filter(pk=jobs[0].pk).update(error=data)
    selection = {"failure_cluster": [str(cluster.pk)], "error_category": ["SYSTEM", "ALGORITHM"]}
    operation = services.start_operation(kind=Kind.REQUEUE, selection=selection, parameters={}, actor=operator.user)
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.done, operation.failed) == (2, 0)
    assert [Job.objects.get(pk=job.pk).status for job in (*jobs, *others)] == ["FAILED", "QUEUED", "QUEUED", "FAILED"]
