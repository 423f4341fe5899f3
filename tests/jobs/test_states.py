"""The tables of states: every pair is tried, allowed and refused, on real rows."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from controlplane.core.transitions import compare_and_set
from jobs import services, states
from jobs.models import Execution, Job, Kind, Operation
from tests.factories import Stage, make_job, make_job_in, make_operator

FIELDS = ("queued_at", "due_at", "started_at", "ended_at")


def _values(status: str) -> dict[str, object]:
    """What a row must say to be in `status`."""
    now = timezone.now()
    return {
        "queued_at": now,
        "due_at": now if status == states.DELAYED else None,
        "started_at": now,
        "ended_at": now if status in states.FINAL else None,
    }


@pytest.mark.django_db
@pytest.mark.parametrize("source", states.JOB_STATES)
def test_a_job_moves_only_where_the_table_allows(source: str) -> None:
    stage = Stage()
    for to in states.JOB_STATES:
        job = make_job_in(source, stage=stage)
        with transaction.atomic():
            moved = services.move({job.pk: _values(to)}, to, fields=FIELDS)
        job.refresh_from_db()
        assert (moved == [job.pk]) is states.JOB.allows(source, to), f"{source} to {to}"
        assert job.status == (to if states.JOB.allows(source, to) else source)


@pytest.mark.django_db
@pytest.mark.parametrize("source", states.EXECUTION_STATES)
def test_an_execution_moves_only_where_the_table_allows(source: str) -> None:
    for to in states.EXECUTION_STATES:
        job = make_job()
        ended = timezone.now() if source in states.EXECUTION_FINAL else None
        execution = Execution.objects.create(job=job, number=1, place=job.place, status=source, ended_at=ended)
        values = {"ended_at": timezone.now() if to in states.EXECUTION_FINAL else None}
        with transaction.atomic():
            moved = services.move_executions({execution.pk: values}, to, fields=("ended_at",))
        assert (moved == [execution.pk]) is states.EXECUTION.allows(source, to), f"{source} to {to}"


@pytest.mark.django_db
@pytest.mark.parametrize("source", states.OPERATION_STATES)
def test_an_operation_moves_only_where_the_table_allows(source: str) -> None:
    facts = {"kind": Kind.CANCEL, "selection": {"owner": ["x"]}, "created_by": make_operator().user, "up_to": 0}
    for to in states.OPERATION_STATES:
        ended = timezone.now() if source in states.OPERATION_FINAL else None
        operation = Operation.objects.create(**facts, status=source, ended_at=ended)
        values = {"ended_at": timezone.now() if to in states.OPERATION_FINAL else None}
        with transaction.atomic():
            moved = compare_and_set(Operation, states.OPERATION, to, {operation.pk: values}, ("ended_at",))
        operation.refresh_from_db()
        assert (list(moved) == [operation.pk]) is states.OPERATION.allows(source, to), f"{source} to {to}"
        assert operation.status == (to if states.OPERATION.allows(source, to) else source)


@pytest.mark.django_db
@pytest.mark.parametrize("status", states.OPERATION_STATES)
def test_an_operation_has_ended_when_it_is_final(status: str) -> None:
    facts = {"kind": Kind.CANCEL, "selection": {"owner": ["x"]}, "created_by": make_operator().user, "up_to": 0}
    wrong = None if status in states.OPERATION_FINAL else timezone.now()
    with pytest.raises(IntegrityError), transaction.atomic():
        Operation.objects.create(**facts, status=status, ended_at=wrong)


def test_final_states_have_no_exit_but_requeue() -> None:
    for status in states.FINAL:
        assert states.JOB.moves[status] <= {states.QUEUED, states.PENDING}
    for status in states.EXECUTION_FINAL:
        assert not states.EXECUTION.moves[status]
    for status in states.OPERATION_FINAL:
        assert not states.OPERATION.moves[status]


def test_every_state_is_waiting_active_or_final() -> None:
    assert sorted((*states.WAITING, *states.ACTIVE, *states.FINAL)) == sorted(states.JOB_STATES)
    assert set(states.OPERATION_FINAL) < set(states.OPERATION_STATES)
    assert set(states.SHOWN) == set(states.JOB_STATES)
    assert set(states.SHOWN.values()) == set(states.SHOWN_STATES)
    assert set(states.SHOWN_EXECUTION) == set(states.EXECUTION_STATES)
    assert set(states.SHOWN_EXECUTION.values()) == set(states.SHOWN_EXECUTION_STATES)
    assert sorted((*states.EXECUTION_ACTIVE, *states.EXECUTION_FINAL)) == sorted(states.EXECUTION_STATES)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "values"),
    [
        (states.COMPLETED, {"ended_at": None}),
        (states.QUEUED, {"ended_at": "now"}),
        (states.DELAYED, {"due_at": None}),
        (states.RUNNING, {"due_at": "now"}),
        (states.QUEUED, {"queued_at": None}),
        ("LIMBO", {}),
    ],
)
def test_the_database_refuses_what_must_never_be(status: str, values: dict[str, str | None]) -> None:
    job = make_job()
    row = {name: timezone.now() if value else None for name, value in values.items()}
    with pytest.raises(IntegrityError), transaction.atomic():
        Job.objects.filter(pk=job.pk).update(status=status, **row)


@pytest.mark.django_db
def test_a_job_has_one_active_execution() -> None:
    job = make_job_in(states.RUNNING)
    with pytest.raises(IntegrityError), transaction.atomic():
        Execution.objects.create(job=job, number=2, place=job.place, status=states.CREATED)
