"""Having followers of the event log try again what they left behind, or nobody deal with it any more."""

from __future__ import annotations

from django.db import transaction

from accounts import events
from accounts.models import Follower, ParkedEvent, User


def try_again(*, follower: str, actor: User | None, position: int | None = None) -> int:
    """Have a follower deal with what it has parked, or with the event at one position, when it looks at the log next.

    How many events that are; 0 when there are none.
    """
    with transaction.atomic():
        # First, as the follower does: it has its own row when it touches these.
        Follower.objects.select_for_update().filter(name=follower).first()
        rows = ParkedEvent.objects.filter(follower=follower, again=False)
        if position is not None:
            rows = rows.filter(position=position)
        chosen = list(rows.order_by("position"))
        ParkedEvent.objects.filter(pk__in=[row.pk for row in chosen]).update(again=True)
        if chosen:
            Follower.objects.filter(name=follower).update(takes_parked=True)
            actor_id = actor.pk if actor else None
            events.record([_tried(row, actor_id) for row in chosen])
    return len(chosen)


def dismiss_parked(*, parked: ParkedEvent, actor: User | None) -> None:
    """Take a parked event away: what had to be done about it has been. Nobody deals with it any more."""
    with transaction.atomic():
        if ParkedEvent.objects.filter(pk=parked.pk).delete()[0]:
            after = {"follower": parked.follower, "position": parked.position, "kind": parked.kind}
            events.tell("parked_event.dismissed", parked.pk, actor, after)


def _tried(row: ParkedEvent, actor_id: int | None) -> events.Entry:
    after = {"follower": row.follower, "position": row.position}
    return ("parked_event.tried-again", "parked_event", row.pk, actor_id, None, None, after)
