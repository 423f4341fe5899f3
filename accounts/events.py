"""The event log: what happened, written in the transaction in which it happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils import timezone

from accounts.models import Event, User
from controlplane.core import sets

FIELDS = ("at", "kind", "subject_kind", "subject_id", "actor", "customer", "before", "after")

# kind, subject kind, subject id, actor id, customer id, before, after
Entry = tuple[str, str, int, int | None, int | None, Any, Any]


def record(entries: Sequence[Entry], fishjam: Any = None) -> None:
    """Append `entries` to the log. Caller holds the transaction of what they tell of.

    `before` and `after` are JSON values; of a secret they say that it changed, never what it is. `fishjam`: what
    Fishjam's webhooks are to say of each.
    """
    now = timezone.now()
    if fishjam is None:
        sets.insert(Event, FIELDS, [(now, *entry) for entry in entries])
    else:
        sets.insert(Event, (*FIELDS, "fishjam"), [(now, *entry, fishjam) for entry in entries])


def tell(kind: str, subject_id: int, actor: User | None, after: object, *, before: object = None) -> None:
    """Put one event of nobody's row into the log; the first word of `kind` ("hold.placed") names its subject's kind."""
    record([(kind, kind.split(".")[0], subject_id, actor.pk if actor else None, None, before, after)])
