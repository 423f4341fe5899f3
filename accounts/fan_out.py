"""From the event log to webhooks: a delivery for each event and each webhook that wants it, made once."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.utils import timezone
from rest_framework.utils.encoders import JSONEncoder

from accounts import event_log, states
from accounts.following import follow
from accounts.models import Event, Form, Webhook, WebhookDelivery
from controlplane.core import sets

FOLLOWER: Final = "webhooks"
AT_MOST: Final = 100  # events at a time: what is due is sent in between
_FIELDS: Final = (
    *("webhook", "position", "kind", "subject_kind", "subject_id", "body", "status", "created_at", "due_at"),
    *("attempts", "tries"),
)
_Hook = tuple[Webhook, event_log.Choice]


def fan_out() -> int:
    """Make the deliveries of the next events; how many positions of the log that went on, as `follow` has it."""
    return follow(FOLLOWER, (), _make_deliveries, AT_MOST)


def _make_deliveries(events: Sequence[Event]) -> None:
    hooks = list(Webhook.objects.filter(is_enabled=True, owner__is_active=True).select_related("owner"))
    if not hooks:
        return
    everywhere: list[_Hook] = []
    of_customer: defaultdict[int | None, list[_Hook]] = defaultdict(list)
    of_owner: defaultdict[int | None, list[_Hook]] = defaultdict(list)
    for hook in hooks:
        choice = event_log.choose(hook.owner, wanted_by(hook))
        if hook.form == Form.FISHJAM:
            of_owner[hook.owner_id].append((hook, choice))
        elif choice.own_id is None:
            everywhere.append((hook, choice))
        elif hook.owner.customer_id is not None:
            of_customer[hook.owner.customer_id].append((hook, choice))
    told = _told(events)
    now = timezone.now()
    rows: list[Sequence[Any]] = []
    for event in events:
        for hook, choice in (
            *everywhere,
            *of_customer.get(event.customer_id, ()),
            *of_owner.get(event.owner_id, ()),
        ):
            body = _body(event, told[event.position], hook, choice) if event.at >= hook.created_at else None
            if body is not None:
                said = (event.position, event.kind, event.subject_kind, event.subject_id)
                rows.append((hook.pk, *said, body, states.PENDING, now, now, 0, []))
    sets.insert(WebhookDelivery, _FIELDS, rows, new_only=True)


def wanted_by(hook: Webhook) -> event_log.Wanted:
    """The events that a webhook asks for."""
    return event_log.Wanted(frozenset(hook.kinds), hook.subject_kind, hook.subject_id)


def _told(events: Sequence[Event]) -> Mapping[int | None, event_log.Told]:
    """The documents of events that follow each other in the log."""
    first, last = events[0].position, events[-1].position
    assert first is not None
    assert last is not None
    return {each.position: each for each in event_log.between(first - 1, last, len(events))}


def _body(event: Event, told: event_log.Told, hook: Webhook, choice: event_log.Choice) -> str | None:
    """What is sent; None of what is not asked for or not the owner's to read, and of what the form has no word for."""
    if hook.form == Form.FISHJAM:
        return _json(event.fishjam) if event.fishjam is not None and choice.asks_for(told) else None
    if not choice.takes(told):
        return None
    return f'{{"type":{_json(event.kind)},"timestamp":{_json(event.at)},"data":{choice.text(told)}}}'


def _json(value: Any) -> str:
    return json.dumps(value, cls=JSONEncoder, separators=(",", ":"), ensure_ascii=False)
