from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from jobs import services, states
from jobs.models import LoadSample
from tests.factories import Stage, make_job_in

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
