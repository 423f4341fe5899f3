"""Counts of job types' jobs are those that counting the jobs one by one gives, whenever deltas were added up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from jobs import counts, retention, services, states
from jobs.models import CountDelta, Job, JobCount
from jobs.models.count import MINUTE
from jobs.queries import statistics
from jobs.queries.statistics import StatusCount
from jobs.services import fold
from jobtypes.models import Error, JobType
from tests.factories import make_jobs
from tests.jobs.counted import counted_directly, finish, make_type, move, submit
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
TICK = timedelta(microseconds=1)


def whole(moment: datetime, unit: timedelta) -> datetime:
    """The beginning of the minute, or hour, of `moment`."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return moment - (moment - epoch) % unit


# --- Random histories ----------------------------------------------------------------------------


class History:
    """Jobs that move about at random, in a past of four days."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = timezone.now()
        self.types = [make_type(n) for n in range(3)]
        self.errors = list(Error.objects.filter(name__in=("refused", "timeout", "lost", "exit-code")))
        self.errors += [
            Error.objects.create(name=f"e-{name}", title="e", category=name) for name in ("DATA", "ALGORITHM")
        ]

    def moment(self) -> datetime:
        """Some time, often at the very beginning or end of a minute or an hour."""
        reach = self.random.choice((3_600, 4 * 3_600, 50 * 3_600, 96 * 3_600))
        moment = self.now - timedelta(seconds=self.random.uniform(-60, reach))
        if self.random.random() < 0.4:
            unit = self.random.choice((timedelta(minutes=1), timedelta(hours=1)))
            moment = whole(moment, unit) + self.random.choice((-TICK, timedelta(), TICK))
        return moment

    def step(self) -> None:
        """One thing that happens."""
        ids = list(Job.objects.order_by("id").values_list("id", "status"))
        if not ids or self.random.random() < 0.3:
            status = self.random.choice((states.QUEUED, states.PENDING))
            submit(self.random.choice(self.types), self.random.randint(1, 3), at=self.moment(), status=status)
            return
        job_id, state = self.random.choice(ids)
        ways = sorted(states.JOB.moves[state])
        if not ways:
            return
        to = self.random.choice(ways)
        error = self.random.choice([*self.errors, None]) if to in (*states.FINAL, states.DELAYED) else None
        move([job_id], to, at=self.moment(), error=error)

    def tidy(self) -> None:
        """What the tasks do now and then."""
        if self.random.random() < 0.2:
            services.fold_counts()
        if self.random.random() < 0.05:
            retention.delete_old_rows()

    def window(self) -> tuple[datetime, datetime | None]:
        """From and to, often at the moment of a job."""
        some = [*Job.objects.values_list("moved_at", flat=True), self.moment(), self.moment()]
        started, ended = self.random.choice(some), self.random.choice([*some, None, None])
        if ended is not None and ended < started and self.random.random() < 0.9:
            started, ended = ended, started
        return started, ended


def told(ids: Sequence[int], started: datetime, ended: datetime | None) -> dict[tuple[int, str, str | None], object]:
    found = statistics.status_counts(ids, started=started, ended=ended)
    assert list(found) == list(ids)
    return {
        (type_id, row.status, row.category): (row.number, row.most_recent)
        for type_id, rows in found.items()
        for row in rows
    }


def expected(started: datetime, ended: datetime | None) -> dict[tuple[int, str, str | None], object]:
    found: dict[tuple[int, str, str | None], object] = {}
    for key, moments in counted_directly().items():
        is_running = key[1] == states.RUNNING
        inside = [at for at in moments if is_running or (started <= at and (ended is None or at <= ended))]
        if inside:
            found[key] = (len(inside), max(inside))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_every_window_of_every_history_is_counted_exactly(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold, "BATCH", 7)
    monkeypatch.setattr(fold, "BATCHES", 2)
    history = History(seed)
    ids = [job_type.pk for job_type in history.types]
    for _ in range(60):
        history.step()
        history.tidy()
        for _ in range(3):
            started, ended = history.window()
            assert told(ids, started, ended) == expected(started, ended), (started, ended)
    assert Job.objects.count() > 10
    assert JobCount.objects.exists()
    directly = counted_directly()
    for number in (statistics.pending, statistics.running):
        shown = states.PENDING if number == statistics.pending else states.RUNNING
        wanted: dict[int, list[datetime]] = {}
        for (type_id, status, _), moments in directly.items():
            if status == shown:
                wanted.setdefault(type_id, []).extend(moments)
        rows, total = number(0, 100)
        assert total == len(wanted)
        assert [row.since for row in rows] == sorted(row.since for row in rows)
        assert {row.job_type.pk: (row.number, row.since) for row in rows} == {
            type_id: (len(moments), min(moments)) for type_id, moments in wanted.items()
        }


@pytest.mark.parametrize("seed", range(3))
def test_every_failure_of_the_system_is_counted_exactly(seed: int) -> None:
    history = History(seed)
    for _ in range(25):
        ids = submit(history.random.choice(history.types), history.random.randint(1, 3), at=history.moment())
        to = history.random.choice((states.FAILED, states.REJECTED, states.COMPLETED))
        error = None if to == states.COMPLETED else history.random.choice(history.errors)
        finish(ids, to, at=history.moment(), error=error)
        history.tidy()
        wanted: dict[tuple[int, int], list[datetime]] = {}
        for job in Job.objects.filter(error__category="SYSTEM", status__in=(states.FAILED, states.REJECTED)):
            assert job.job_type_id is not None
            assert job.error_id is not None
            wanted.setdefault((job.job_type_id, job.error_id), []).append(job.moved_at)
        rows, total = statistics.system_failures(0, 1000)
        assert total == len(rows) == len(wanted)
        assert [row.last for row in rows] == sorted((row.last for row in rows), reverse=True)
        assert {(row.job_type.pk, row.error.pk): (row.number, row.first, row.last) for row in rows} == {
            key: (len(moments), min(moments), max(moments)) for key, moments in wanted.items()
        }
        for start in range(0, total, 2):
            assert statistics.system_failures(start, 2) == (rows[start : start + 2], total)
    assert statistics.system_failures(1000, 2) == ([], 0)


# --- What is counted -----------------------------------------------------------------------------


def one_type() -> tuple[JobType, datetime]:
    return make_type(), timezone.now()


@pytest.mark.parametrize("folded", [True, False])
def test_the_sums_are_what_is_read_not_the_jobs(folded: bool) -> None:
    """Sums that are wrong show as such: nobody counts a million jobs behind their back."""
    job_type, now = one_type()
    finish(submit(job_type, 2, at=now), at=now - timedelta(hours=2))
    if folded:
        services.fold_counts()
    table = JobCount if folded else CountDelta
    table.objects.filter(status=states.COMPLETED).update(number=50)
    [row] = statistics.status_counts([job_type.pk], started=now - timedelta(hours=3))[job_type.pk]
    assert row.number == 50
    assert statistics.counts_of([job_type.pk])[job_type.pk][states.COMPLETED] == 50


@pytest.mark.parametrize("state", states.JOB_STATES)
def test_each_state_counts_as_the_status_that_v6_shows(state: str) -> None:
    job_type, now = one_type()
    ids = submit(job_type, at=now)
    ways = {
        states.QUEUED: (),
        states.PENDING: (states.CANCELED, states.PENDING),
        states.BLOCKED: (states.CANCELED, states.PENDING, states.BLOCKED),
        states.CANCELED: (states.CANCELED,),
        states.STARTING: (states.STARTING,),
        states.RUNNING: (states.STARTING, states.RUNNING),
        states.REJECTED: (states.STARTING, states.REJECTED),
        states.DELAYED: (states.STARTING, states.DELAYED),
    }
    move(ids, *ways.get(state, (states.STARTING, states.RUNNING, state)), at=now)
    [row] = statistics.status_counts([job_type.pk], started=now)[job_type.pk]
    assert row == StatusCount(states.SHOWN[state], None, 1, now)
    assert statistics.counts_of([job_type.pk]) == {job_type.pk: {state: 1}}


def test_running_jobs_count_whenever_they_began() -> None:
    job_type, now = one_type()
    long_ago = now - timedelta(days=40)
    move(submit(job_type, at=long_ago), states.STARTING, states.RUNNING, at=long_ago)
    finish(submit(job_type, at=long_ago), at=long_ago)
    for _ in range(2):
        found = statistics.status_counts([job_type.pk], started=now, ended=now)[job_type.pk]
        assert found == [StatusCount(states.RUNNING, None, 1, long_ago)]
        services.fold_counts()


def test_errors_of_one_category_count_together() -> None:
    job_type, now = one_type()
    errors = list(Error.objects.filter(category="SYSTEM")[:2])
    for n, error in enumerate(errors):
        finish(submit(job_type, at=now), states.FAILED, at=now - timedelta(minutes=n), error=error)
    finish(submit(job_type, at=now), states.FAILED, at=now)
    assert statistics.status_counts([job_type.pk], started=now - timedelta(hours=1))[job_type.pk] == [
        StatusCount(states.FAILED, None, 1, now),
        StatusCount(states.FAILED, "SYSTEM", 2, now),
    ]


def test_the_window_has_both_its_ends() -> None:
    job_type, now = one_type()
    at = whole(now - timedelta(hours=5), timedelta(minutes=1)) + timedelta(seconds=10)
    finish(submit(job_type, at=at), at=at)
    services.fold_counts()
    for started, ended, number in (
        *((at, at, 1), (at, None, 1), (at + TICK, None, 0), (at - TICK, at - TICK, 0), (at - TICK, at, 1)),
        *((at + TICK, at - TICK, 0), (now, at, 0), (at, datetime.max.replace(tzinfo=UTC), 1)),
        *((datetime.min.replace(tzinfo=UTC), None, 1), (datetime.max.replace(tzinfo=UTC), None, 0)),
    ):
        found = statistics.status_counts([job_type.pk], started=started, ended=ended)[job_type.pk]
        assert sum(row.number for row in found) == number, (started, ended)


@pytest.mark.parametrize("hours", [1, 30, 46, 47, 48, 49, 100])
def test_hours_whose_minutes_are_deleted_are_counted_all_the_same(hours: int) -> None:
    job_type, now = one_type()
    moments = [now - timedelta(hours=hours) + timedelta(minutes=minute) for minute in range(-70, 71, 5)]
    for at in moments:
        finish(submit(job_type, at=at), at=at)
    services.fold_counts()
    JobCount.objects.filter(span=MINUTE, minute__lt=counts.minute_of(now) - counts.MINUTES_KEPT).delete()
    for first in range(0, len(moments), 4):
        for last in range(first, len(moments), 5):
            found = statistics.status_counts([job_type.pk], started=moments[first], ended=moments[last])[job_type.pk]
            assert [row.number for row in found] == [last - first + 1], (first, last)


def test_what_is_left_of_a_window_is_less_than_an_hour_on_either_side() -> None:
    now = timezone.now()
    for hours in (0.5, 3, 46, 48, 1000):
        for width in (timedelta(seconds=30), timedelta(hours=2), timedelta(days=3), None):
            started = now - timedelta(hours=hours)
            window = statistics.window(started, started + width if width else None)
            near = timedelta(minutes=1) if hours < 40 else timedelta(hours=1)
            for first, last in window.rest:
                assert last - first <= (near if width is None or width > near else width + TICK), (hours, width)


def test_jobs_without_a_type_count_nowhere() -> None:
    job_type, now = one_type()
    make_jobs(3)
    assert statistics.status_counts([job_type.pk], started=now - timedelta(days=1)) == {job_type.pk: []}
    assert statistics.counts_of([job_type.pk]) == {job_type.pk: {}}
    assert statistics.pending(0, 10) == statistics.running(0, 10) == ([], 0)
    assert statistics.system_failures(0, 10) == ([], 0)


def test_nothing_to_count_is_asked_of_nobody() -> None:
    assert statistics.status_counts([], started=timezone.now()) == {}
    assert statistics.counts_of([]) == {}


def test_counts_take_one_statement_whatever_the_number_of_types() -> None:
    types = [make_type(n) for n in range(20)]
    for job_type in types:
        submit(job_type, 2)
    ids = [job_type.pk for job_type in types]
    with counted() as statements:
        assert statistics.counts_of(ids) == {type_id: {states.QUEUED: 2} for type_id in ids}
    assert len(statements) == 1, statements
    with counted() as statements:
        statistics.status_counts(ids, started=timezone.now())
    assert len(statements) == 1, statements
