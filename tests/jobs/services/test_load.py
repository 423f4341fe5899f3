from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from jobs import services, states
from jobs.models import Job, LoadSample, ThroughputSample
from tests.factories import Stage, make_job_in
from tests.jobs.counted import clock_at

pytestmark = pytest.mark.django_db
COUNTED = {
    **dict.fromkeys((states.PENDING, states.BLOCKED), "pending"),
    **dict.fromkeys((states.QUEUED, states.DELAYED, states.STARTING), "queued"),
    **dict.fromkeys((states.RUNNING, states.CANCELING), "running"),
}


@pytest.mark.parametrize("status", states.JOB_STATES)
def test_each_state_counts_where_v6_shows_it(status: str) -> None:
    make_job_in(status)
    sample = services.sample_load()
    if status in states.FINAL:
        assert sample is None
        return
    assert sample is not None
    counts = {name: getattr(sample, name) for name in ("pending", "queued", "running")}
    assert counts == {name: int(name == COUNTED[status]) for name in counts}
    assert (sample.at.second, sample.at.microsecond) == (0, 0)


def test_two_looks_in_one_minute_are_one_sample() -> None:
    stage = Stage()
    make_job_in(states.RUNNING, stage=stage)
    moments = {sample.at for sample in (services.sample_load(), services.sample_load()) if sample}
    assert LoadSample.objects.count() == len(moments)


def test_nothing_is_noted_once_and_then_not_again() -> None:
    assert services.sample_load() is None
    LoadSample.objects.create(at=timezone.now() - timedelta(minutes=5), pending=0, queued=1, running=0)
    sample = services.sample_load()
    assert sample is not None
    assert (sample.pending, sample.queued, sample.running) == (0, 0, 0)
    assert services.sample_load() is None


# --- What has ended --------------------------------------------------------------------------------

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)


def ended_at(moment: datetime, status: str = states.COMPLETED) -> Job:
    with clock_at(moment):
        return make_job_in(status)


def sampled(moment: datetime) -> dict[tuple[str, str, str], int]:
    with clock_at(moment):
        services.sample_throughput()
    rows = ThroughputSample.objects.order_by("at", "status", "category")
    return {(f"{row.at:%H:%M}", row.status, row.category): row.number for row in rows}


def test_what_ended_is_noted_by_spans_of_five_minutes_and_category() -> None:
    for minutes, status in ((-1, states.COMPLETED), (1, states.COMPLETED), (2, states.COMPLETED), (3, states.FAILED)):
        ended_at(NOON + timedelta(minutes=minutes), status)
    ended_at(NOON, states.CANCELED)
    failed = Job.objects.get(status=states.FAILED)
    assert failed.error is not None
    expected = {
        ("11:55", states.COMPLETED, ""): 1,
        ("12:00", states.CANCELED, ""): 1,
        ("12:00", states.COMPLETED, ""): 2,
        ("12:00", states.FAILED, failed.error.category): 1,
    }
    assert sampled(NOON + timedelta(minutes=4)) == expected
    assert sampled(NOON + timedelta(minutes=4)) == expected  # twice is the same


def test_a_span_is_counted_on_until_it_is_over_and_what_was_missed_is_made_good() -> None:
    ended_at(NOON)
    assert sampled(NOON + timedelta(minutes=1)) == {("12:00", states.COMPLETED, ""): 1}
    ended_at(NOON + timedelta(minutes=4))
    ended_at(NOON + timedelta(minutes=90))
    found = sampled(NOON + timedelta(hours=3))
    assert found == {("12:00", states.COMPLETED, ""): 2, ("13:30", states.COMPLETED, ""): 1}


def test_what_ended_more_than_a_day_ago_is_not_looked_for() -> None:
    ended_at(NOON)
    assert sampled(NOON + timedelta(hours=25)) == {}
