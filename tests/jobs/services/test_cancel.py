from __future__ import annotations

from typing import Any

import pytest

from clusters.providers.base import End
from jobs import scheduling, services, states
from jobs.errors import JobState
from tests.factories import Stage, make_job_in, make_operator

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
