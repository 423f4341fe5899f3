"""Bulk work: in batches, under a lease, gone on with by whoever comes next."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.db import DataError
from django.utils import timezone
from django_q.models import OrmQ

from accounts import services as accounts
from accounts.models import Event
from controlplane.core.errors import InvalidRequest
from jobs import services, states, tasks
from jobs.errors import EmptySelection, OperationState
from jobs.models import Job, Kind, Operation, OperationFailure
from jobs.services import operations
from tests.factories import Person, make_customer_user, make_job, make_job_in, make_jobs, make_operator
from tests.threads import at_once

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> Person:
    return make_operator("op")


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "BATCH", 3)


def begin(actor: Person, kind: str = Kind.PRIORITY, **selection: list[Any]) -> Operation:
    parameters = {"priority": 5} if kind == Kind.PRIORITY else {}
    chosen = selection or {"customer": ["acme"]}
    return services.start_operation(kind=kind, selection=chosen, parameters=parameters, actor=actor.user)


def changed() -> int:
    return Job.objects.filter(priority=5).count()


def told() -> list[int]:
    """The jobs that the log says were changed, once for each time."""
    return sorted(Event.objects.filter(kind="job.priority-changed").values_list("subject_id", flat=True))


class Killed(BaseException):
    """As a process that is killed: nothing after it is run."""


def die_in_batch(number: int) -> Any:
    """Let the process die when it has begun the batch of this number, before it is committed."""
    count = 0
    acts = dict(operations._ACTS)

    def act(ids: Any, user: Any, more: Any) -> Any:
        nonlocal count
        count += 1
        done = acts[Kind.PRIORITY](ids, user, more)
        if count == number:
            raise Killed
        return done

    return mock.patch.dict(operations._ACTS, {Kind.PRIORITY: act})


def let_the_lease_run_out() -> None:
    Operation.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


# --- A whole one ---------------------------------------------------------------------------------


def test_work_is_done_in_batches_and_counted(operator: Person) -> None:
    jobs = make_jobs(8)
    operation = begin(operator)
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.total, operation.done, operation.failed) == (states.COMPLETED, 8, 8, 0)
    assert (changed(), told()) == (8, [job.pk for job in jobs])
    kinds = Event.objects.filter(subject_kind="operation").order_by("id").values_list("kind", "actor__username")
    assert list(kinds) == [("operation.started", "op"), ("operation.ended", None)]


@pytest.mark.parametrize("count", [0, 2, 3, 6])
def test_any_number_comes_to_its_end(operator: Person, count: int) -> None:
    make_jobs(count, operator)
    operation = begin(operator)
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.done, changed()) == (states.COMPLETED, count, count)


def test_jobs_submitted_after_it_are_left_alone(operator: Person) -> None:
    make_jobs(2)
    operation = begin(operator)
    later = make_job()
    services.carry_on(operation.pk)
    later.refresh_from_db()
    assert (changed(), later.priority) == (2, 100)


def test_what_no_longer_matches_is_left_alone(operator: Person) -> None:
    first, _ = make_jobs(2)
    operation = begin(operator, status=["QUEUED"])
    services.cancel_jobs([first.pk], actor=None)
    services.carry_on(operation.pk)
    assert changed() == 1


def test_an_empty_or_unreadable_choice_starts_nothing(operator: Person) -> None:
    with pytest.raises(EmptySelection):
        begin(operator, status=[])
    with pytest.raises(InvalidRequest) as refused:
        begin(operator, nonsense=["x"])
    assert refused.value.field == "nonsense"
    with pytest.raises(InvalidRequest) as refused:
        services.start_operation(kind=Kind.PRIORITY, selection={"owner": ["x"]}, parameters={}, actor=operator.user)
    assert refused.value.field == "priority"
    assert not Operation.objects.exists()


def test_named_jobs_that_cannot_be_changed_are_noted_batch_by_batch(operator: Person) -> None:
    ended = [make_job_in(states.CANCELED) for _ in range(4)]
    waiting = make_jobs(3)
    operation = begin(operator, job_id=[job.pk for job in ended + waiting])
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.total, operation.done, operation.failed) == (7, 3, 4)
    failures = OperationFailure.objects.order_by("job").values_list("job", "code")
    assert list(failures) == [(job.pk, "JOB_STATE") for job in ended]


def test_of_many_failures_the_first_are_kept(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "FAILURES_KEPT", 4)
    ended = [make_job_in(states.CANCELED) for _ in range(7)]
    operation = begin(operator, job_id=[job.pk for job in ended])
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.failed, OperationFailure.objects.count()) == (7, 4)


def test_a_customers_user_changes_their_own_jobs_only() -> None:
    owner, colleague = make_customer_user("owner"), make_customer_user("colleague")
    make_jobs(2, owner)
    make_jobs(2, colleague)
    operation = begin(owner)
    services.carry_on(operation.pk)
    assert set(Job.objects.filter(priority=5).values_list("owner__username", flat=True)) == {"owner"}
    operation.refresh_from_db()
    assert (operation.total, operation.done) == (2, 2)


# --- Slices, crashes, leases ---------------------------------------------------------------------


def test_after_its_slice_of_time_it_is_passed_on(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "SLICE_SECONDS", 0.0)
    make_jobs(5)
    operation = begin(operator)
    OrmQ.objects.all().delete()
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.total, operation.done, operation.lease_until) == (states.RUNNING, 5, 3, None)
    assert OrmQ.objects.count() == 1
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.done, len(told())) == (states.COMPLETED, 5, 5)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_killed_in_the_middle_nothing_is_done_twice_and_nothing_lost(operator: Person, batch: int) -> None:
    jobs = make_jobs(8)
    operation = begin(operator)
    with die_in_batch(batch), pytest.raises(Killed):
        services.carry_on(operation.pk)
    assert changed() == len(told()) == 3 * (batch - 1)
    services.carry_on(operation.pk)
    assert changed() == 3 * (batch - 1), "its lease has not run out"
    let_the_lease_run_out()
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.total, operation.done, operation.failed) == (states.COMPLETED, 8, 8, 0)
    assert told() == [job.pk for job in jobs]


def test_one_that_lost_its_worker_is_taken_up_by_the_sweep(operator: Person) -> None:
    make_jobs(5)
    operation = begin(operator)
    with die_in_batch(2), pytest.raises(Killed):
        services.carry_on(operation.pk)
    OrmQ.objects.all().delete()
    assert services.carry_on_forgotten() == 0
    let_the_lease_run_out()
    tasks.sweep()
    assert OrmQ.objects.exclude(key__startswith="pulse").count() == 1
    tasks.carry_on(operation.pk)
    assert len(told()) == 5


def test_one_whose_first_task_was_lost_is_taken_up_by_the_sweep(operator: Person) -> None:
    operation = begin(operator)
    OrmQ.objects.all().delete()
    assert services.carry_on_forgotten() == 0
    Operation.objects.update(created_at=timezone.now() - timedelta(minutes=1))
    assert services.carry_on_forgotten() == 1
    services.carry_on(operation.pk)
    assert services.carry_on_forgotten() == 0


def test_a_task_that_comes_twice_does_nothing_more(operator: Person) -> None:
    make_jobs(2)
    operation = begin(operator)
    for _ in range(3):
        services.carry_on(operation.pk)
    services.carry_on(10**15)
    assert len(told()) == 2


def test_the_start_is_noted_once(operator: Person) -> None:
    make_jobs(5)
    operation = begin(operator)
    with die_in_batch(2), pytest.raises(Killed):
        services.carry_on(operation.pk)
    operation.refresh_from_db()
    started = operation.started_at
    let_the_lease_run_out()
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert operation.started_at == started


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_two_workers_at_once_do_not_both_work(operator: Person) -> None:
    jobs = make_jobs(12)
    operation = begin(operator)
    assert at_once([lambda: services.carry_on(operation.pk)] * 4) == [None] * 4
    operation.refresh_from_db()
    assert (operation.status, operation.done, operation.failed) == (states.COMPLETED, 12, 0)
    assert told() == [job.pk for job in jobs]


def test_while_one_holds_the_lease_the_others_go_away(operator: Person) -> None:
    make_jobs(2)
    operation = begin(operator)
    Operation.objects.update(lease_until=timezone.now() + timedelta(seconds=30))
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, changed()) == ("WAITING", 0)


# --- Stops ---------------------------------------------------------------------------------------


def test_a_stop_in_the_middle_keeps_what_is_done(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "SLICE_SECONDS", 0.0)
    make_jobs(8)
    operation = begin(operator)
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert services.stop_operation(operation, actor=operator.user).status == states.STOPPING
    assert services.stop_operation(operation, actor=operator.user).status == states.STOPPING, "asked twice"
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.total, operation.done, changed()) == (states.STOPPED, 8, 3, 3)
    with pytest.raises(OperationState):
        services.stop_operation(operation, actor=operator.user)
    kinds = Event.objects.filter(subject_kind="operation").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == ["operation.started", "operation.stopped", "operation.ended"]


def test_what_has_not_begun_stops_at_once(operator: Person) -> None:
    operation = begin(operator)
    assert services.stop_operation(operation, actor=operator.user).status == states.STOPPED
    assert operation.ended_at is not None


def test_a_stop_of_one_whose_worker_died_is_made_by_the_next(operator: Person) -> None:
    make_jobs(5)
    operation = begin(operator)
    with die_in_batch(2), pytest.raises(Killed):
        services.carry_on(operation.pk)
    operation.refresh_from_db()
    services.stop_operation(operation, actor=operator.user)
    let_the_lease_run_out()
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.done, changed()) == (states.STOPPED, 3, 3)


def test_the_work_of_a_user_who_was_disabled_fails(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "SLICE_SECONDS", 0.0)
    make_jobs(8)
    operation = begin(operator)
    services.carry_on(operation.pk)
    accounts.disable_user(username="op", actor=None)
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.done, changed()) == (states.FAILED, 3, 3)


def test_one_whose_filter_cannot_be_read_any_more_fails(operator: Person) -> None:
    make_job(operator)
    operation = begin(operator)
    Operation.objects.update(selection={"no_such_filter": ["x"]})
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, changed()) == (states.FAILED, 0)
    assert services.carry_on_forgotten() == 0


def test_a_job_that_the_database_refuses_fails_alone(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = make_jobs(4, operator)
    operation = begin(operator)
    act = operations._ACTS[Kind.PRIORITY]

    def refusing(ids: Any, user: Any, more: Any) -> Any:
        if jobs[1].pk in ids:
            raise DataError("out of range")
        return act(ids, user, more)

    monkeypatch.setitem(operations._ACTS, Kind.PRIORITY, refusing)
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.status, operation.done, operation.failed) == (states.COMPLETED, 3, 1)
    assert [failure.job_id for failure in operation.failures.all()] == [jobs[1].pk]
