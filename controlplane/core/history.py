"""What was changed of a row, and how it was at a time: plain values, of whatever log they are from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.db.models import Q

FIELDS: Final = "fields"  # the word under which a change names what it changed, also what it does not tell


@dataclass(frozen=True)
class Subject:
    """Whose changes the log is asked for: what people call it, and what the log knows it by.

    `having`: of the events of that subject, those that are of this one.
    """

    noun: str
    kind: str
    id: int
    having: Q = field(default_factory=Q)


@dataclass(frozen=True, slots=True)
class Change:
    """A change as it was recorded: of what was changed, how it was before and after. Secrets are only named.

    `begins`, `ends`: the row came to be by it, or is no more.
    """

    id: int
    at: datetime
    kind: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    actor_id: int | None = None
    actor: str = ""
    begins: bool = False
    ends: bool = False

    def named(self) -> set[str]:
        """What it changed without saying from what: secrets, and what was not told once."""
        listed = self.after.get(FIELDS)
        return (
            {each for each in listed if isinstance(each, str)} - set(self.before) if isinstance(listed, list) else set()
        )


@dataclass(frozen=True, slots=True)
class Past:
    """How a row was. `state` None: it was not there. `untold`: what was changed since, from what nobody knows."""

    state: Mapping[str, Any] | None
    untold: frozenset[str] = frozenset()


def differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Of two descriptions by the same words what is other: as it was, and as it is."""
    names = [name for name in after if name not in before or before[name] != after[name]]
    return {name: before[name] for name in names if name in before}, {name: after[name] for name in names}


def as_it_was(current: Mapping[str, Any] | None, changes: Sequence[Change], at: int | datetime) -> Past:
    """How a row was after the change with the id `at`, or at a moment.

    `current`: how it is, None when it is no more. `changes`: all there are from the newest back, to beyond `at` if
    they reach there.
    """
    state = None if current is None else dict(current)
    untold: set[str] = set()
    for number, change in enumerate(changes):
        if change.id <= at if isinstance(at, int) else change.at <= at:
            break
        is_first = number == len(changes) - 1
        if change.begins and is_first:
            state, untold = None, set()
        elif change.ends:
            state, untold = dict(change.before), set()
        else:
            state = {**(state or {}), **change.before}
            untold = (untold - set(change.before)) | change.named()
    return Past(state, frozenset(untold))
