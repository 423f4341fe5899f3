"""The event log of one row: page by page, and folded back to how the row was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, NamedTuple

from django.db.models import QuerySet

from accounts.configured import CONFIGURED, Told
from accounts.models import Event
from controlplane.core.history import Change, Past, Subject, as_it_was

MOST_CHANGES: Final = 1_000  # that are folded


class Then(NamedTuple):
    """How a row was. `is_known`: the log reaches back that far; if not, `past` is as far as it does, which is since
    `since`. `is_near`: no more changes lie in between than are folded."""

    past: Past
    is_known: bool
    since: datetime | None
    is_near: bool


def page_of(subject: Subject, *, older: int | None, size: int) -> tuple[list[Change], bool]:
    """The newest `size` changes, or those before the one with the id `older`; and whether there are older ones."""
    rows = _events(subject)
    if older is not None:
        rows = rows.filter(pk__lt=older)
    found = _read(rows[: size + 1], subject)
    return found[:size], len(found) > size


def then(subject: Subject, current: Mapping[str, Any] | None, at: int | datetime) -> Then:
    """How a row was after an event, or at a moment; `current` is how it is."""
    told = CONFIGURED[subject.noun]
    changes = _read(_events(subject).filter(kind__in=told.kinds)[: MOST_CHANGES + 1], subject)
    is_near = len(changes) <= MOST_CHANGES or _is_before(changes[-1], at)
    past = as_it_was(current, changes, at)
    first = Event.objects.order_by("pk").values_list("pk", "at").first()
    starts = bool(changes) and changes[-1].begins and len(changes) <= MOST_CHANGES
    reaches = first is not None and (first[0] <= at if isinstance(at, int) else first[1] <= at)
    return Then(past, starts or reaches, first[1] if first else None, is_near)


def _is_before(change: Change, at: int | datetime) -> bool:
    return change.id <= at if isinstance(at, int) else change.at <= at


def _events(subject: Subject) -> QuerySet[Event]:
    rows = Event.objects.filter(subject.having, subject_kind=subject.kind, subject_id=subject.id)
    return rows.select_related("actor").order_by("-pk")


def _read(rows: QuerySet[Event], subject: Subject) -> list[Change]:
    told = CONFIGURED.get(subject.noun, Told())
    return [_change(each, told) for each in rows]


def _change(event: Event, told: Told) -> Change:
    return Change(
        id=event.pk,
        at=event.at,
        kind=event.kind,
        before=_words(event.before),
        after=_words(event.after),
        actor_id=event.actor_id,
        actor=event.actor.username if event.actor else "",
        begins=event.kind in told.begins and not event.before,
        ends=event.kind in told.ends,
    )


def _words(said: Any) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}
