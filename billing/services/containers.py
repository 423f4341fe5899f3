"""The meter of containers: how long they are up, by the event log; how long peers were connected, as clusters count it.

Of peers' time a customer has so much for nothing in each month: what comes first is free. The rest costs what the
offer of peers says for the hour; a container's own time what that of its machine type says, which is nothing unless
staff set a price.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Final

from django.conf import settings
from django.db.models import F, Max, Sum
from django.utils import timezone

from accounts.following import follow
from accounts.models import Event, Standing
from billing import hours, money
from billing.models import MeteredContainer, UsageDay, UsageKind, UsageRecord
from billing.queries import billed_rate
from billing.services.ledger import Entry, enter, locked
from billing.services.metering import AT_ONCE, SETTLES_AFTER
from clusters import states
from clusters.locations import MACHINE_TYPES
from clusters.models import FLEET, PEER_OFFER, Container, PeerTime
from clusters.queries import fleet_rates
from clusters.services import note_metered_peers

FOLLOWER: Final = "container-meter"
KIND: Final = "container.moved"


def meter_containers(now: datetime | None = None) -> int:
    """Meter what containers did: up to the last full hour, and to the end of those that went. How many records."""
    while follow(FOLLOWER, {KIND}, _follow_moves, AT_ONCE):
        pass
    upto = hours.hour_of((now or timezone.now()) - SETTLES_AFTER)
    return _meter_up(upto) + _meter_peers(upto)


# --- Being up ------------------------------------------------------------------------------------------------------


def _follow_moves(events: Sequence[Event]) -> None:
    with locked():
        ids = {event.subject_id for event in events}
        rows = Container.objects.in_bulk(ids)
        up = MeteredContainer.objects.in_bulk(ids)
        gone: list[tuple[MeteredContainer, datetime]] = []
        for event in events:
            pk, is_up = event.subject_id, (event.after or {})["status"] in states.UP
            if is_up and pk not in up and pk in rows:
                row = rows[pk]
                up[pk] = MeteredContainer(
                    container_id=pk,
                    machine_type=row.machine_type,
                    location=row.location,
                    up_since=event.at,
                    metered_to=event.at,
                )
            elif not is_up and pk in up:
                gone.append((up.pop(pk), event.at))
        MeteredContainer.objects.filter(pk__in=ids).delete()
        MeteredContainer.objects.bulk_create(up.values())
        enter(_of_containers([(row, max(at, row.metered_to)) for row, at in gone]))


def _meter_up(upto: datetime) -> int:
    made, last = 0, 0
    while True:
        with locked():
            rows = list(MeteredContainer.objects.filter(metered_to__lt=upto, pk__gt=last).order_by("pk")[:AT_ONCE])
            entries = _of_containers([(row, upto) for row in rows])
            enter(entries)
            MeteredContainer.objects.filter(pk__in=[row.pk for row in rows]).update(metered_to=upto)
        made += len(entries)
        if len(rows) < AT_ONCE:
            return made
        last = rows[-1].pk


def _of_containers(spans: Iterable[tuple[MeteredContainer, datetime]]) -> list[Entry]:
    """What containers were up from when they were metered last, by hours."""
    pieces = [
        (row, begun, ended)
        for row, end in spans
        for begun, ended in hours.pieces(hours.milliseconds(row.metered_to), hours.milliseconds(end))
    ]
    owners = _owners({row.container_id for row, _, _ in pieces})
    keys = [
        (row.machine_type, row.location, owners[row.container_id].customer_id, hours.moment_of(begun))
        for row, begun, _ in pieces
    ]
    rates = fleet_rates(keys)
    numbers = _numbers(UsageKind.CONTAINER, owners)
    entries = []
    for key, (row, begun, ended) in zip(keys, pieces, strict=True):
        container, size, rate = owners[row.container_id], MACHINE_TYPES[row.machine_type], rates[key]
        per_hour, ms = billed_rate(rate.per_hour, rate.source) if rate else None, ended - begun
        entries.append(
            Entry(
                UsageKind.CONTAINER,
                row.container_id,
                begun,
                ended,
                container.customer_id,
                container.owner_id,
                money.cost(per_hour, ms),
                number=numbers.get((row.container_id, begun), 0),
                cloud=FLEET,
                region=row.location,
                cluster_id=container.cluster_id,
                run_ms=ms,
                vcpu_ms=ms * size.vcpus_milli // 1000,
                gib_ms=ms * size.memory_mib // 1024,
                offer=row.machine_type,
                rate=per_hour,
            )
        )
    return entries


def _owners(ids: Iterable[int]) -> dict[int, Container]:
    return Container.objects.only("owner", "customer", "cluster", "location").in_bulk(list(ids))


def _numbers(kind: str, ids: Iterable[int]) -> dict[tuple[int, int], int]:
    """The next number of records of these that begin at a moment at which some do already."""
    rows = UsageRecord.objects.filter(kind=kind, source_id__in=list(ids)).values_list("source_id", "begun_at")
    return {(pk, hours.milliseconds(begun)): last + 1 for pk, begun, last in rows.annotate(Max("number"))}


# --- Peers ---------------------------------------------------------------------------------------------------------


def _meter_peers(upto: datetime) -> int:
    made = 0
    while True:
        with locked():
            unmetered = PeerTime.objects.filter(milliseconds__gt=F("metered_ms"), hour__lt=upto)
            rows = list(unmetered.select_related("container").order_by("hour", "container")[:AT_ONCE])
            enter(_of_peers(rows))
            note_metered_peers({row.pk: row.milliseconds for row in rows})
        made += len(rows)
        if len(rows) < AT_ONCE:
            return made


def _of_peers(rows: Sequence[PeerTime]) -> list[Entry]:
    free = _free_left({(row.container.customer_id, hours.month_of(row.hour)) for row in rows})
    keys = [(PEER_OFFER, row.container.location, row.container.customer_id, row.hour) for row in rows]
    rates = fleet_rates(keys)
    numbers = _numbers(UsageKind.PEERS, {row.container_id for row in rows})
    entries = []
    for key, row in zip(keys, rows, strict=True):
        container, rate = row.container, rates[key]
        per_hour = billed_rate(rate.per_hour, rate.source) if rate else None
        begun, added = hours.milliseconds(row.hour), row.milliseconds - row.metered_ms
        whose = (container.customer_id, hours.month_of(row.hour))
        for_nothing = min(added, max(0, free[whose]))
        free[whose] -= for_nothing
        entries.append(
            Entry(
                UsageKind.PEERS,
                row.container_id,
                begun,
                begun + hours.HOUR_MS,
                container.customer_id,
                container.owner_id,
                money.cost(per_hour, added - for_nothing),
                number=numbers.get((row.container_id, begun), 0),
                cloud=FLEET,
                region=container.location,
                cluster_id=container.cluster_id,
                peer_ms=added,
                free_ms=for_nothing,
                offer=PEER_OFFER,
                rate=per_hour,
            )
        )
    return entries


def _free_left(wanted: Iterable[tuple[int | None, date]]) -> dict[tuple[int | None, date], int]:
    """Milliseconds that customers have left for nothing in months."""
    found: dict[tuple[int | None, date], int] = {}
    months: dict[date, set[int]] = defaultdict(set)
    for customer_id, month in wanted:
        months[month].add(customer_id or 0)
    for month, customers in months.items():
        standings = {row.customer_id: row.free for row in Standing.objects.filter(customer__in=customers)}
        used = UsageDay.objects.filter(
            customer_id__in=customers, kind=UsageKind.PEERS, day__gte=month, day__lt=hours.next_month(month)
        )
        taken = dict(used.values_list("customer_id").annotate(Sum("free_ms")))
        for pk in customers:
            allowance = standings.get(pk, settings.FREE_TIER_JELLYSECONDS)
            found[pk or None, month] = allowance * 1000 - (taken.get(pk) or 0)
    return found
