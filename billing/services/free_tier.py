"""What is free: how much of it customers have used, who is told, and what stops when it is used up and nobody pays."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum
from django.utils import timezone

from accounts.models import Standing
from accounts.services import mails
from billing import hours
from billing.models import FreeTierMonth, UsageDay, UsageKind
from billing.services.budgets import readers_of
from clusters.errors import ContainerNotFound, ContainerState
from clusters.models import Container, PeerTime
from clusters.services import stop_container
from clusters.states import UP_WANTED
from controlplane.core.enqueue import enqueue

MAIL: Final = "billing.tasks.send_free_tier_mail"
WARNED_AT: Final = (80, 100)  # percent


def keep_standings(now: datetime | None = None) -> int:
    """Say what customers have used of what is free this month; warn them; stop what runs past it and its grace.

    Peers' time counts as soon as it was read, before it is metered. How many customers were looked at.
    """
    at = now or timezone.now()
    month = hours.month_of(at)
    used = used_in(month)
    there = {row.customer_id: row for row in Standing.objects.filter(Q(used__gt=0) | Q(customer__in=used))}
    for pk in sorted(used.keys() | there.keys()):
        seconds = used.get(pk, 0) // 1000
        if pk not in there or there[pk].used != seconds:
            values = {"used": seconds, "updated_at": at}
            standing, _ = Standing.objects.update_or_create(customer_id=pk, defaults=values)
            _tell(standing, month, at)
    _stop_unpaid(month, at)
    return len(used)


def used_in(month: date) -> dict[int, int]:
    """Milliseconds of peers' time by customer, metered or not."""
    days = UsageDay.objects.filter(kind=UsageKind.PEERS, day__gte=month, day__lt=hours.next_month(month))
    found = dict(days.exclude(customer_id=0).values_list("customer_id").annotate(Sum("peer_ms")))
    new = PeerTime.objects.filter(
        milliseconds__gt=F("metered_ms"), hour__gte=hours.begin(month), hour__lt=hours.begin(hours.next_month(month))
    )
    rows = new.exclude(container__customer=None).values_list("container__customer")
    for customer_id, added in rows.annotate(added=Sum(F("milliseconds") - F("metered_ms"))):
        found[customer_id] = found.get(customer_id, 0) + added
    return found


def _tell(standing: Standing, month: date, at: datetime) -> None:
    share = standing.used * 100 // standing.free if standing.free else 100
    reached = max((each for each in WARNED_AT if share >= each), default=0)
    if not reached and not standing.is_surpassed:
        return
    with transaction.atomic():
        of = FreeTierMonth.objects.select_for_update()
        row, _ = of.get_or_create(customer_id=standing.customer_id, month=month)
        if standing.is_surpassed and row.surpassed_at is None:
            row.surpassed_at = at
        if reached > row.warned:
            row.warned = reached
            enqueue(MAIL, customer_id=standing.customer_id, share=reached)
        row.save()


def _stop_unpaid(month: date, at: datetime) -> None:
    """Containers of customers who have had their grace and no payment details. Each is stopped by itself."""
    late = at - timedelta(hours=settings.FREE_TIER_GRACE_HOURS)
    rows = FreeTierMonth.objects.filter(month=month, surpassed_at__lte=late)
    unpaid = rows.exclude(customer__standing__has_payment_details=True)
    for row in unpaid.select_related("customer__standing"):
        if not row.customer.standing.is_surpassed:
            continue  # it was given more
        for container in Container.objects.filter(customer=row.customer_id, archived_at=None, desired=UP_WANTED):
            with suppress(ContainerState, ContainerNotFound):  # it is on its way; the next round finds it
                stop_container(container=container, actor=None)
        FreeTierMonth.objects.filter(pk=row.pk, stopped_at=None).update(stopped_at=at)


def send_free_tier_mail(customer_id: int, share: int) -> None:
    """Tell a customer's users that so much of what is free is used, in percent."""
    standing = Standing.objects.filter(customer=customer_id).first()
    if standing is None:
        return
    told = {
        "share": share,
        "used": standing.used // 60,
        "free": standing.free // 60,
        "pays": standing.has_payment_details,
        "grace": settings.FREE_TIER_GRACE_HOURS,
    }
    for reader in readers_of(customer_id):
        mails.send(reader, f"{share} % of your free minutes are used", "free_tier", **told)
