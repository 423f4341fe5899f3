"""The event log: what happened, written in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from django.utils import timezone

from accounts.models import Event, User
from controlplane.core import sets

FIELDS = ("at", "kind", "subject_kind", "subject_id", "actor", "customer", "before", "after")
_PERSONAL_FIELDS = (*FIELDS, "owner", "fishjam")

# kind, subject kind, subject id, actor id, customer id, before, after
Entry = tuple[str, str, int, int | None, int | None, Any, Any]


class Personal(NamedTuple):
    """An entry of what is one user's alone, and what Fishjam's webhooks say of it; nothing: they say nothing."""

    entry: Entry
    owner_id: int
    fishjam: Mapping[str, Any] | None = None


def record(entries: Sequence[Entry]) -> None:
    """Append `entries` to the log. Caller holds the transaction of what they tell of.

    `before` and `after` are JSON values; of a secret they say that it changed, never what it is.
    """
    now = timezone.now()
    sets.insert(Event, FIELDS, [(now, *entry) for entry in entries])


def record_personal(entries: Sequence[Personal]) -> None:
    """The same for what only its owner, and staff, may read."""
    now = timezone.now()
    sets.insert(Event, _PERSONAL_FIELDS, [(now, *each.entry, each.owner_id, each.fishjam) for each in entries])


def tell(kind: str, subject_id: int, actor: User | None, after: object, *, before: object = None) -> None:
    """Put one event of nobody's row into the log; the first word of `kind` ("hold.placed") names its subject's kind."""
    record([(kind, kind.split(".")[0], subject_id, actor.pk if actor else None, None, before, after)])
