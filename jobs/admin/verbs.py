"""What staff do to jobs: each verb with its permission, what it asks for, and what cannot be undone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django import forms

from accounts.models import User
from controlplane.core.admin import ServiceForm
from controlplane.core.errors import ControlPlaneError
from jobs import services, states
from jobs.models import MAX_PRIORITY, Job, Kind, Shape


class PlainForm(ServiceForm):
    """Nothing but the confirmation."""


class PriorityForm(ServiceForm):
    priority = forms.IntegerField(min_value=0, max_value=MAX_PRIORITY, help_text="Smaller runs first.")


class RequeueForm(ServiceForm):
    priority = forms.IntegerField(
        min_value=0, max_value=MAX_PRIORITY, required=False, help_text="Smaller runs first. Empty: as it was."
    )


class HoldForm(ServiceForm):
    hint = forms.CharField(max_length=255, required=False, help_text="Why, and what has to happen; all can read it.")


@dataclass(slots=True)
class Outcome:
    """The jobs that were changed, and of the others what was wrong, where anybody said."""

    changed: list[int]
    faults: dict[int, str] = field(default_factory=dict)


Act = Callable[[Sequence[Job], User, Mapping[str, Any]], Outcome]


@dataclass(frozen=True)
class Verb:
    """`stops` what runs, `runs_again` what has ended: either is a matter of money.

    `kind`: the operation that does it to any number of jobs; None: only to those that are chosen."""

    name: str
    label: str
    done: str
    permission: str
    warning: str
    act: Act
    applies: Callable[[Job], bool]
    form: type[ServiceForm] = PlainForm
    stops: bool = False
    runs_again: bool = False
    kind: str | None = None


def _ids(jobs: Sequence[Job]) -> list[int]:
    return [job.pk for job in jobs]


def _retry(jobs: Sequence[Job], user: User, wish: Mapping[str, Any]) -> Outcome:
    outcome = Outcome([])
    for job in jobs:
        try:
            services.retry_job(job, actor=user)
            outcome.changed.append(job.pk)
        except ControlPlaneError as error:
            outcome.faults[job.pk] = error.message
    return outcome


VERBS: Final[dict[str, Verb]] = {
    verb.name: verb
    for verb in (
        Verb(
            name="cancel",
            label="Cancel",
            done="cancelled or asked to stop",
            permission="cancel_job",
            warning="What runs is stopped, and what it has not saved is lost. A cancelled job can be requeued.",
            act=lambda jobs, user, wish: Outcome(list(services.cancel_jobs(_ids(jobs), actor=user))),
            applies=lambda job: job.status not in (*states.FINAL, states.CANCELING),
            stops=True,
            kind=Kind.CANCEL,
        ),
        Verb(
            name="requeue",
            label="Requeue",
            done="back in the queue",
            permission="requeue_job",
            warning="The same jobs run again, with a new execution each. What they ended with is forgotten, but for "
            "their executions and the log of events.",
            act=lambda jobs, user, wish: Outcome(
                services.requeue_jobs(_ids(jobs), actor=user, priority=wish["priority"])
            ),
            applies=lambda job: job.status in (states.FAILED, states.CANCELED) and job.parent_id is None,
            form=RequeueForm,
            runs_again=True,
            kind=Kind.REQUEUE,
        ),
        Verb(
            name="retry",
            label="Retry",
            done="submitted again as new jobs",
            permission="retry_job",
            warning="A new job with the same request is submitted for each; the ended ones stay as they are.",
            act=_retry,
            applies=lambda job: job.status in states.FINAL and job.parent_id is None,
            runs_again=True,
        ),
        Verb(
            name="priority",
            label="Change priority",
            done="given another priority",
            permission="prioritize_job",
            warning="Only jobs that wait are changed.",
            act=lambda jobs, user, wish: Outcome(
                services.set_priority(_ids(jobs), actor=user, priority=wish["priority"])
            ),
            applies=lambda job: job.status in states.WAITING,
            form=PriorityForm,
            kind=Kind.PRIORITY,
        ),
        Verb(
            name="hold",
            label="Hold",
            done="held",
            permission="hold_job",
            warning="They do not start until somebody releases them. What runs already goes on.",
            act=lambda jobs, user, wish: Outcome(services.hold_jobs(_ids(jobs), actor=user, hint=wish["hint"])),
            applies=lambda job: job.status in states.WAITING and not job.lane.on_hold and job.shape != Shape.MAPREDUCE,
            form=HoldForm,
            kind=Kind.HOLD,
        ),
        Verb(
            name="release",
            label="Release",
            done="released",
            permission="hold_job",
            warning="They start as soon as their turn comes.",
            act=lambda jobs, user, wish: Outcome(services.release_jobs(_ids(jobs), actor=user)),
            applies=lambda job: job.lane.on_hold,
            kind=Kind.RELEASE,
        ),
    )
}


def parameters_of(wish: Mapping[str, Any]) -> dict[str, Any]:
    """What a form gave, as an operation keeps it."""
    return {name: value for name, value in wish.items() if value not in (None, "")}
