"""Deltas go over into the sums: once each, whoever adds them up."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from jobs import count_sql, counts, retention, services, states, tasks
from jobs.models import CountDelta, Job, JobCount
from jobs.models.count import ALL, HOUR, MINUTE
from jobs.queries import statistics
from jobs.services import fold
from jobtypes.models import Error
from tests.factories import make_jobs
from tests.jobs.counted import finish, make_type, move, submit
from tests.threads import at_once

pytestmark = pytest.mark.django_db


def sums() -> dict[tuple[int, int, int, str, int], int]:
    """Every sum there is, by job type, span, minute, status and error."""
    rows = JobCount.objects.values_list("job_type_id", "span", "minute", "status", "error_id", "number")
    return {(*key,): number for *key, number in rows}  # type: ignore[misc]


def expected(*, minutes_from: int = 0) -> dict[tuple[int, int, int, str, int], int]:
    """What the sums have to be, read off the jobs."""
    found: Counter[tuple[int, int, int, str, int]] = Counter()
    for job in Job.objects.filter(job_type__isnull=False):
        assert job.job_type_id is not None
        minute = counts.minute_of(job.moved_at)
        for span, begins in ((ALL, 0), (HOUR, minute - minute % 60), (MINUTE, minute)):
            if span != MINUTE or minute >= minutes_from:
                found[job.job_type_id, span, begins, job.status, job.error_id or 0] += 1
    return dict(found)


def test_the_sums_of_all_spans_say_what_there_is_and_the_deltas_are_gone() -> None:
    one, other = make_type(), make_type(1)
    now, error = datetime.now(UTC), Error.objects.get(name="refused")
    finish(submit(one, 3, at=now - timedelta(hours=5)), states.COMPLETED, at=now - timedelta(hours=2))
    finish(submit(one, 2, at=now), states.FAILED, at=now, error=error)
    submit(other, 4, at=now - timedelta(minutes=90))
    make_jobs(2)
    folded = CountDelta.objects.count()
    assert services.fold_counts() == folded > 0
    assert (sums(), CountDelta.objects.count()) == (expected(), 0)
    assert len(sums()) == 9
    assert services.fold_counts() == 0


def test_a_sum_that_comes_to_nothing_loses_its_row() -> None:
    now = datetime.now(UTC)
    ids = submit(make_type(), 2, at=now - timedelta(hours=3))
    tasks.fold_counts()
    assert {key[3] for key in sums()} == {states.QUEUED}
    move(ids, states.STARTING, at=now)
    tasks.fold_counts()
    assert sums() == expected()
    assert {key[3] for key in sums()} == {states.STARTING}


def test_what_cancels_out_leaves_nothing() -> None:
    now = datetime.now(UTC)
    ids = submit(make_type(), at=now)
    finish(ids, at=now)
    services.fold_counts()
    assert sums() == expected()
    assert {key[3] for key in sums()} == {states.COMPLETED}


def test_a_call_is_bounded_and_the_next_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "BATCH", 2)
    monkeypatch.setattr(fold, "BATCHES", 2)
    job_type, now = make_type(), datetime.now(UTC)
    for hours in range(7):
        submit(job_type, at=now - timedelta(hours=hours))
    assert [services.fold_counts() for _ in range(3)] == [4, 3, 0]
    assert sums() == expected()


def test_a_fold_that_breaks_off_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    submit(make_type(), 2)
    whole = count_sql.fold

    def broken(limit: int, first_minute: int) -> int:
        whole(limit, first_minute)
        raise RuntimeError("the machine stops")

    monkeypatch.setattr(count_sql, "fold", broken)
    with pytest.raises(RuntimeError):
        services.fold_counts()
    assert (sums(), CountDelta.objects.count()) == ({}, 1)


def test_minutes_that_are_kept_no_more_get_no_row() -> None:
    job_type, now = make_type(), datetime.now(UTC)
    submit(job_type, at=now - timedelta(hours=49))
    submit(job_type, at=now - timedelta(hours=46))
    services.fold_counts()
    assert sums() == expected(minutes_from=counts.minute_of(now) - counts.MINUTES_KEPT)
    assert [key[1] for key in sums()].count(MINUTE) == 1


def test_retention_deletes_minutes_past_their_time_and_keeps_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    now = counts.minute_of(timezone.now())
    for age in (50, 49, 47, 1):
        for span in (MINUTE, HOUR):
            JobCount.objects.create(
                job_type_id=1, span=span, minute=now - age * 60, status=states.COMPLETED, error_id=0, number=1
            )
    JobCount.objects.create(job_type_id=1, span=ALL, minute=0, status=states.COMPLETED, number=4)
    assert [retention.delete_old_rows()["minute_counts"] for _ in range(2)] == [2, 0]
    left = sorted(JobCount.objects.values_list("span", "minute"))
    ages = [(span, (now - minute) // 60) for span, minute in left if span != ALL]
    assert ages == [(MINUTE, 47), (MINUTE, 1), *((HOUR, age) for age in (50, 49, 47, 1))]
    assert len(left) == 7


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_many_who_add_up_while_jobs_move_count_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "BATCH", 5)
    types = [make_type(n) for n in range(3)]
    now = datetime.now(UTC)
    ids = [submit(job_type, 20, at=now - timedelta(minutes=n)) for n, job_type in enumerate(types)]

    def work(n: int) -> int:
        for job_id in ids[n]:
            finish([job_id])
        return 0

    def add_up() -> int:
        return sum(services.fold_counts() for _ in range(15))

    def read() -> int:
        for _ in range(40):
            found = statistics.counts_of([job_type.pk for job_type in types])
            assert [sum(each.values()) for each in found.values()] == [20, 20, 20], "a job is counted twice, or not"
        return 0

    found = at_once([*(lambda n=n: work(n) for n in range(3)), *[add_up] * 3, read])
    assert not [each for each in found if isinstance(each, Exception)], found
    assert sum(found) > 0, "nobody added up while jobs moved"
    while services.fold_counts():
        pass
    assert (sums(), CountDelta.objects.count()) == (expected(), 0)
