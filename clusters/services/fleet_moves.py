"""The moves of containers and of what stands of them: sets of rows, each with its event, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.conf import settings
from django.utils import timezone

from accounts import events
from accounts.fishjam_events import TITLES
from clusters import states
from clusters.models import Container, Placement
from controlplane.core.bells import ring
from controlplane.core.transitions import compare_and_set

Values = Mapping[int, Mapping[str, Any]]
REASON: Final = 32  # characters
DETAIL: Final = 1000
_ALSO: Final = ("owner", "customer", "uuid", "name")


def move(values: Values, to: str, *, fields: Sequence[str] = (), actor_id: int | None = None) -> list[int]:
    """Move the containers named by `values` to `to`, setting `fields`, `reason` and `detail` of each from its mapping.

    Caller holds a transaction. Those whose present state does not allow it are left alone. Returns the ids that moved.
    """
    now = timezone.now()
    stamped = {
        pk: {**given, "moved_at": now, "reason": given.get("reason", ""), "detail": given.get("detail", "")[:DETAIL]}
        for pk, given in values.items()
    }
    moved = compare_and_set(
        Container, states.CONTAINER, to, stamped, (*fields, "reason", "detail", "moved_at"), also=_ALSO
    )
    entries = []
    for pk, (before, owner_id, customer_id, uuid, name) in moved.items():
        reason = stamped[pk]["reason"]
        after = {"status": to, "reason": reason} if reason else {"status": to}
        entry: events.Entry = ("container.moved", "container", pk, actor_id, customer_id, {"status": before}, after)
        said = _fishjam(before, to, str(Container._meta.get_field("uuid").to_python(uuid)), name, reason)
        entries.append(events.Personal(entry, owner_id, said))
    events.record_personal(entries)
    return list(moved)


def move_placements(values: Values, to: str, *, fields: Sequence[str] = ()) -> list[int]:
    """Move what stands at places; the container's own move tells the log of it. Caller holds a transaction."""
    return list(compare_and_set(Placement, states.PLACEMENT, to, values, fields))


def release(containers: Iterable[int]) -> list[int]:
    """Have what stands of these containers retired. Caller holds a transaction. Those of which nothing stands."""
    ids = list(containers)
    rows = Placement.objects.filter(container__in=ids)
    move_placements({pk: {} for pk in rows.filter(status__in=states.HELD).values_list("pk", flat=True)}, states.LEAVING)
    there = set(rows.filter(status__in=states.THERE).values_list("container", flat=True))
    return [pk for pk in ids if pk not in there]


def wake_keepers() -> None:
    """Have keepers look at once, when the caller's transaction is committed."""
    ring({settings.CONTAINERS})


def _fishjam(before: str, to: str, uuid: str, name: str, reason: str) -> dict[str, Any] | None:
    """What Fishjam's webhooks say of a move: how making or deleting a container came out."""
    kind = "create_container"
    if states.DELETING in (before, to):
        kind = "delete_container"
    outcome: dict[str, str]
    if to == states.FAILED and before in (states.PENDING, states.CREATING, states.DELETING):
        outcome = {"reason": reason or "failed"}
    elif to == states.DELETED or (to == states.RUNNING and before in (states.PENDING, states.CREATING)):
        outcome = {"status": to.lower()}
    else:
        return None
    return {"kind": kind, "data": {"uuid": uuid, "name": name, **outcome, "title": TITLES[kind]}}
