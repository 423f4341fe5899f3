"""A caller of a cloud dies, or stands still, at every line between the note and what came of it: one job each time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

import pytest
from django.db import connection
from django.utils import timezone

from clusters.providers.errors import ProviderError
from jobs import states
from jobs.models import Execution, Job, Place, Submission
from jobs.scheduling import submitting
from tests.at_lines import Died, at_line, die, reconnect, some_of
from tests.clouds import CloudStage

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.runs_once("postgresql", "what the database keeps of a transaction that is cut off is Django's on both"),
]
WATCHED: Final = (submitting.__file__,)


def pass_of_time() -> None:
    """Every lease is over, and everything that is looked at later is looked at."""
    past = timezone.now() - timedelta(hours=1)
    Submission.objects.update(leased_until=past)
    Submission.objects.filter(check_at__isnull=False).update(check_at=past)
    Place.objects.update(called_until=past)


def round_of(stage: CloudStage, count: int) -> list[Any]:
    """Jobs of a round of its own: nothing is left of the one before."""
    Execution.objects.all().delete()
    Submission.objects.all().delete()
    Job.objects.all().delete()
    stage.cloud.submitted.clear()
    pass_of_time()
    return stage.submit(count)


def settle(stage: CloudStage) -> None:
    """Others call, for as long as it takes."""
    for _ in range(4):
        pass_of_time()
        other = stage.another()
        other.turn()


def one_each(stage: CloudStage, jobs: list[Any], what: str) -> None:
    living = stage.cloud.living()
    assert sorted(living) == sorted(stage.handle(job) for job in jobs), what
    for job in jobs:
        assert stage.execution(job).status == states.SUBMITTED, what
        assert job.executions.count() == 1, what


def lines_of_a_turn(stage: CloudStage) -> int:
    round_of(stage, 2)
    with at_line(WATCHED, 0, lambda: None) as seen:
        stage.turn()
    assert len(stage.cloud.living()) == 2
    return seen[0]


@pytest.mark.parametrize("group_size", [1, 10])
def test_a_caller_that_dies_at_any_line_leaves_one_of_each(monkeypatch: pytest.MonkeyPatch, group_size: int) -> None:
    stage = CloudStage(monkeypatch, group_size=group_size)
    lines = lines_of_a_turn(stage)
    assert lines > 50

    for number in some_of(lines):
        jobs = round_of(stage, 2)
        with at_line(WATCHED, number, die), pytest.raises(Died):
            stage.turn()
        reconnect()
        settle(stage)
        one_each(stage, jobs, f"died at line {number} of {lines}")


@pytest.mark.parametrize("group_size", [1, 10])
def test_a_caller_that_stands_still_at_any_line_past_its_lease_leaves_one_of_each(
    monkeypatch: pytest.MonkeyPatch, group_size: int
) -> None:
    stage = CloudStage(monkeypatch, group_size=group_size)
    lines = lines_of_a_turn(stage)
    stood = 0

    def meanwhile() -> None:
        nonlocal stood
        if connection.in_atomic_block:
            return  # what it holds locked, others wait for
        stood += 1
        settle(stage)

    for number in some_of(lines):
        jobs = round_of(stage, 2)
        with at_line(WATCHED, number, meanwhile):
            stage.turn()
        settle(stage)
        one_each(stage, jobs, f"stood still at line {number} of {lines}")
    assert stood > 0


def test_a_caller_that_dies_after_a_lost_answer_leaves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call, which asks first: the lines of finding again, too."""
    stage = CloudStage(monkeypatch)

    def begun() -> list[Any]:
        jobs = round_of(stage, 1)
        stage.cloud.lost["submit"] = [ProviderError("the answer was lost")]
        stage.turn()
        pass_of_time()
        return jobs

    begun()
    with at_line(WATCHED, 0, lambda: None) as seen:
        stage.turn()
    for number in some_of(seen[0]):
        jobs = begun()
        with at_line(WATCHED, number, die), pytest.raises(Died):
            stage.turn()
        reconnect()
        settle(stage)
        one_each(stage, jobs, f"died at line {number} of {seen[0]}")
