"""Sending again what was sent to a webhook, or given up."""

from __future__ import annotations

from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts.errors import WebhookDisabled, WebhookNotFound
from accounts.models import DeliveryStatus, User, Webhook
from accounts.services.webhooks import tell
from controlplane.core.errors import InvalidRequest

MAX_AT_ONCE: Final = 10_000


def redeliver(*, webhook: Webhook, actor: User | None, first: int, last: int) -> int:
    """Send the deliveries of the events from position `first` to `last` again, and return how many there are.

    Each keeps its position, which is the id that it is sent under, and what came of its calls so far. One that is
    being sent at this moment is left alone. The address is called at once, whatever pause it was given. Raises
    InvalidRequest for a range that is none or too much, WebhookDisabled, WebhookNotFound.
    """
    if not 1 <= first <= last:
        raise InvalidRequest("The last position does not come before the first, which is 1 or more.", field="last")
    now = timezone.now()
    anew: dict[str, Any] = dict.fromkeys(("held_until", "holder", "ended_at", "first_sent_at"))
    anew |= {"status": DeliveryStatus.PENDING, "due_at": now, "attempts": 0}
    with transaction.atomic():
        row = Webhook.objects.select_for_update(of=("self",)).select_related("owner").filter(pk=webhook.pk).first()
        if row is None:
            raise WebhookNotFound
        if not row.is_enabled:
            raise WebhookDisabled
        being_sent = Q(status=DeliveryStatus.PENDING, held_until__isnull=False, held_until__gt=now)
        chosen = row.deliveries.filter(position__range=(first, last)).exclude(being_sent)
        if chosen.order_by("position")[MAX_AT_ONCE : MAX_AT_ONCE + 1].exists():
            raise InvalidRequest(f"At most {MAX_AT_ONCE} deliveries are sent again at once.", field="last")
        count = chosen.update(**anew)
        if count:
            Webhook.objects.filter(pk=row.pk).update(next_call_at=None)
            tell("webhook.redelivered", row, actor, {"first": first, "last": last, "count": count})
    return count
