"""What is alive, counted when somebody asks and kept when it is much: both say the same."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone

from jobs import alive_sql, queries, services, states
from jobs.models import Job, LaneCount
from tests.factories import Stage, make_job, make_job_in, make_jobs
from tests.jobs.test_admin_waiting import furnish_waiting

pytestmark = pytest.mark.django_db


@pytest.fixture
def kept_from_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive_sql, "MANY", 1)


def facts() -> set[tuple[object, ...]]:
    return {
        (
            *(each.lane_id, each.status, each.shape, each.code, each.jobs, each.vcpus_milli, each.memory_mib),
            *(each.since, each.priority, each.first, each.place_id, each.customer_id, each.job_type_id),
        )
        for each in alive_sql.alive()
    }


def furnish() -> None:
    furnish_waiting()
    stage = Stage()
    for status in states.JOB_STATES:
        make_job_in(status, stage=stage)


def test_each_state_that_is_alive_is_counted() -> None:
    furnish()
    found: dict[str, int] = {}
    for each in alive_sql.alive():
        found[each.status] = found.get(each.status, 0) + each.jobs
        assert each.counted_at is None
    every = Job.objects.exclude(status__in=states.FINAL).values_list("status", flat=True)
    assert found == {status: list(every).count(status) for status in set(every)}
    assert found.keys() == {*states.WAITING, *states.ACTIVE}


def test_what_is_kept_is_what_was_counted(kept_from_one: None) -> None:
    furnish()
    counted = facts()
    reasons = queries.waiting_reasons(queries.Present())
    services.count_lanes()
    assert LaneCount.objects.count() == len(counted)
    assert facts() == counted
    assert all(each.counted_at for each in alive_sql.alive())
    assert queries.waiting_reasons(queries.Present()) == reasons


def test_a_count_replaces_the_one_before(kept_from_one: None) -> None:
    gone, (first, second) = make_job(customer="one"), make_jobs(2, customer="two")
    services.count_lanes()
    services.cancel_jobs([gone.pk, first.pk], actor=first.owner)
    services.count_lanes()
    assert [(each.lane_id, each.jobs) for each in alive_sql.alive()] == [(second.lane_id, 1)]
    assert LaneCount.objects.count() == 1


def test_few_are_counted_when_somebody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive_sql, "MANY", 3)
    make_jobs(3)
    services.count_lanes()
    assert LaneCount.objects.exists()
    services.cancel_jobs([Job.objects.order_by("pk")[0].pk], actor=Job.objects.order_by("pk")[0].owner)
    services.count_lanes()
    assert not LaneCount.objects.exists()
    assert [(each.jobs, each.counted_at) for each in alive_sql.alive()] == [(2, None)]


def test_counts_that_nobody_renews_are_not_believed(kept_from_one: None) -> None:
    job, _ = make_jobs(2)
    services.count_lanes()
    services.cancel_jobs([job.pk], actor=job.owner)
    assert [each.jobs for each in alive_sql.alive()] == [2]
    LaneCount.objects.update(at=timezone.now() - alive_sql.KEPT_FOR - timedelta(seconds=1))
    assert [each.jobs for each in alive_sql.alive()] == [1]


def test_the_oldest_of_a_long_line_that_has_started_gives_way_to_the_next(kept_from_one: None) -> None:
    first, second = make_jobs(2)
    services.count_lanes()
    services.cancel_jobs([first.pk], actor=first.owner)
    oldest = queries.oldest_waiting(queries.Present())
    assert oldest is not None
    assert oldest.job_id == second.pk


def test_a_lane_that_came_after_the_count_waits_for_the_next(kept_from_one: None) -> None:
    make_job(customer="one")
    services.count_lanes()
    make_job(customer="two")
    assert [each.line.jobs for each in queries.Present().lanes] == [1]


def test_claims_and_filters_never_read_what_was_kept(kept_from_one: None) -> None:
    """A job that started a moment ago takes room at once."""
    make_job_in(states.RUNNING)
    services.count_lanes()
    Job.objects.filter(status=states.RUNNING).update(status=states.CANCELED, ended_at=timezone.now())
    assert alive_sql.active_now() == []
    assert [each.jobs for each in alive_sql.alive()] == [1]


def test_a_count_that_is_broken_off_leaves_the_one_before(kept_from_one: None) -> None:
    make_job()
    services.count_lanes()
    before = facts()
    make_job(customer="another")
    with transaction.atomic():
        alive_sql.keep_counts()
        transaction.set_rollback(True)
    assert facts() == before
