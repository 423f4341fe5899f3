from __future__ import annotations

from typing import Any

import pytest
from django_q.models import OrmQ

from accounts.models import Event
from clusters.providers.base import End
from jobs import scheduling, services, states
from jobs.errors import JobState
from jobs.models import Job
from tests.factories import Stage, make_job, make_job_in, make_operator

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("status", states.WAITING)
def test_a_waiting_job_is_canceled_at_once(status: str) -> None:
    job = make_job_in(status)
    assert services.cancel_jobs([job.pk], actor=None) == {job.pk: states.CANCELED}
    job.refresh_from_db()
    assert (job.status, job.reason) == (states.CANCELED, "CANCELED_BY_USER")


@pytest.mark.parametrize("status", [states.STARTING, states.RUNNING])
def test_an_active_job_is_asked_to_stop(status: str) -> None:
    job = make_job_in(status)
    assert services.cancel_jobs([job.pk], actor=None) == {job.pk: states.CANCELING}


@pytest.mark.parametrize("status", [states.CANCELING, *states.FINAL])
def test_one_that_is_stopping_or_has_ended_is_left_alone(status: str) -> None:
    job = make_job_in(status)
    assert services.cancel_jobs([job.pk], actor=None) == {}


def test_what_was_never_handed_over_ends_without_ever_starting() -> None:
    stage = Stage()
    job = make_job_in(states.STARTING, stage=stage)
    services.cancel_jobs([job.pk], actor=None)
    scheduling.hand_over(stage.place.pk, stage.provider)
    scheduling.pass_on_cancels(stage.place.pk, stage.provider)
    scheduling.observe(stage.place.pk, stage.provider, scheduling.Watch({}))
    job.refresh_from_db()
    assert (job.status, job.started_at, stage.provider.works) == (states.CANCELED, None, {})


@pytest.mark.parametrize(
    ("end", "exit_code", "becomes"),
    [
        (End.CANCELED, 143, states.CANCELED),
        (End.LOST, None, states.CANCELED),
        (End.INTERRUPTED, None, states.CANCELED),
        (End.EXITED, 0, states.COMPLETED),
        (End.EXITED, 1, states.FAILED),
        (End.TIMED_OUT, 143, states.FAILED),
    ],
)
def test_a_stopping_job_ends_as_the_provider_says(end: End, exit_code: int | None, becomes: str) -> None:
    stage = Stage()
    job = make_job_in(states.CANCELING, stage=stage)
    stage.end(job, end=end, exit_code=exit_code)
    assert job.status == becomes


def test_a_retry_is_a_new_job_with_the_whole_request() -> None:
    operator = make_operator()
    wishes: dict[str, Any] = {
        "env": {"A": "1", "B": "2"},
        "secret_env": ["B"],
        "tags": {"x": [1]},
        "timeout_seconds": 7,
        "queue": "default",
    }
    job = make_job_in(states.FAILED, operator, vcpus_milli=250, memory_mib=100, priority=50, **wishes)
    made = services.retry_job(job, actor=operator.user)
    again = type(job).objects.get(pk=made.id)
    same = ("classification", "image", "command", "secret_env", "tags", "vcpus_milli", "memory_mib", "priority",
            "timeout_seconds", "queue", "owner_id", "customer_id", "place_id", "lane_id", "max_tries")  # fmt: skip
    assert [getattr(again, name) for name in same] == [getattr(job, name) for name in same]
    assert (again.retry_of_id, again.status, again.tries) == (job.pk, states.QUEUED, 0)


@pytest.mark.parametrize("status", [*states.WAITING, *states.ACTIVE])
def test_only_an_ended_job_can_be_retried(status: str) -> None:
    job = make_job_in(status)
    with pytest.raises(JobState, match=status):
        services.retry_job(job, actor=make_operator().user)


# --- Requeue -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [states.FAILED, states.CANCELED])
def test_a_requeued_job_is_in_line_again_with_more_tries(status: str) -> None:
    operator = make_operator()
    job = make_job_in(status, max_tries=2)
    before = job.queued_at
    OrmQ.objects.all().delete()
    Event.objects.all().delete()
    assert services.requeue_jobs([job.pk], actor=operator.user) == [job.pk]
    job.refresh_from_db()
    assert (job.status, job.max_tries, job.priority, job.reason) == (states.QUEUED, 4, 100, "REQUEUED")
    assert (job.started_at, job.ended_at, job.error) == (None, None, None)
    assert before is not None
    assert job.queued_at is not None
    assert job.queued_at > before
    assert OrmQ.objects.filter(key="pulse-local").count() == 1
    (event,) = Event.objects.all()
    assert (event.kind, event.actor_id, event.before) == ("job.moved", operator.user.pk, {"status": status})


@pytest.mark.parametrize("status", [each for each in states.JOB_STATES if each not in (states.FAILED, states.CANCELED)])
def test_nothing_else_is_requeued(status: str) -> None:
    job = make_job_in(status)
    before = Job.objects.values().get()
    assert services.requeue_jobs([job.pk], actor=None, priority=1) == []
    assert Job.objects.values().get() == before


def test_a_requeue_twice_is_one() -> None:
    job = make_job_in(states.FAILED, max_tries=1)
    assert services.requeue_jobs([job.pk, job.pk], actor=None, priority=7) == [job.pk]
    assert services.requeue_jobs([job.pk], actor=None, priority=8) == []
    job.refresh_from_db()
    assert (job.max_tries, job.priority) == (2, 7)


def test_a_requeued_job_really_runs_in_a_new_execution() -> None:
    stage = Stage()
    job = make_job_in(states.FAILED, stage=stage, max_tries=1)
    first = stage.execution(job)
    services.requeue_jobs([job.pk], actor=None)
    stage.start(job)
    second = stage.execution(job)
    assert (job.status, second.number, job.tries) == (states.RUNNING, 2, 2)
    assert second.uuid != first.uuid
    stage.end(job, exit_code=None, end=End.LOST)
    assert (job.status, job.error is not None) == (states.FAILED, True), "the try that was granted is used up"
    services.requeue_jobs([job.pk], actor=None)
    stage.start(job)
    stage.end(job)
    assert (job.status, job.tries, job.max_tries) == (states.COMPLETED, 3, 3)


def test_a_job_that_was_never_queued_waits_for_its_parents_again() -> None:
    job = make_job_in(states.CANCELED)
    Job.objects.filter(pk=job.pk).update(queued_at=None)
    assert services.requeue_jobs([job.pk], actor=None) == [job.pk]
    job.refresh_from_db()
    assert (job.status, job.queued_at) == (states.PENDING, None)


def test_tries_are_raised_up_to_what_their_column_holds() -> None:
    job = make_job_in(states.FAILED, max_tries=1000)
    Job.objects.filter(pk=job.pk).update(max_tries=32_700)
    services.requeue_jobs([job.pk], actor=None)
    job.refresh_from_db()
    assert job.max_tries == 32_767


def test_many_are_requeued_in_a_handful_of_statements(django_assert_max_num_queries) -> None:
    jobs = [make_job().pk for _ in range(20)]
    services.cancel_jobs(jobs, actor=None)
    with django_assert_max_num_queries(10):
        assert len(services.requeue_jobs(jobs, actor=None)) == 20
