"""Prices: set by staff, or taken over from a cloud's price list. Each ends the one before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import Any, Final

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from accounts import events
from accounts.models import Customer, User
from clusters.locations import LOCATIONS, MACHINE_TYPES
from clusters.models import FLEET, PEER_OFFER, Capacity, Measure, Offer, Price, Source
from controlplane.core.errors import InvalidRequest
from controlplane.core.history import differing

AT_ONCE: Final = 500
MAX_AMOUNT: Final = Decimal(10) ** 10
DECIMALS: Final = Decimal("1e-10")
NEW, CHANGED, KEPT = "new", "changed", "kept"


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """A line of a price list that we take: an offer, and what an hour of it costs from when on. Units as in Offer."""

    cloud: str
    region: str
    name: str
    capacity: str
    vcpus_milli: int
    memory_mib: int
    amount: Decimal
    valid_from: datetime
    gpus: int = 0
    measure: str = Measure.MACHINE

    def key(self) -> OfferKey:
        return self.cloud, self.region, self.name, str(self.capacity)


OfferKey = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class _Put:
    """What became of a price: its row, what that said `before` if it was there, and the row that it ended with when
    that would have ended."""

    outcome: str
    price: Price
    before: dict[str, Any] | None = None
    ended: tuple[Price, datetime | None] | None = None


@dataclass(slots=True)
class Imported:
    """What an import came to: how many prices were new, changed and kept as they were, and the offers it made.

    `left` counts what a second line of the same file says of an offer and a moment.
    """

    prices: Counter[str] = field(default_factory=Counter)
    offers: int = 0
    left: int = 0
    regions: set[tuple[str, str]] = field(default_factory=set)


def set_price(
    offer: Offer, *, amount: Decimal, actor: User | None, customer: Customer | None = None,
    valid_from: datetime | None = None,
) -> Price:  # fmt: skip
    """What an hour of `offer` costs from a moment on, else from now on: for a customer, else for everybody.

    The same moment again takes the place of what was said of it; what is so already stays the price it was. Raises
    InvalidRequest naming the field.
    """
    if not amount.is_finite() or not 0 <= amount < MAX_AMOUNT:
        raise InvalidRequest(f"This is from 0 to {MAX_AMOUNT:f} USD.", field="amount")
    if amount != amount.quantize(DECIMALS):
        raise InvalidRequest("This has 10 decimals at most.", field="amount")
    now = timezone.now()
    begins, customer_id = valid_from or now, customer.pk if customer else None
    with transaction.atomic():
        Offer.objects.select_for_update().get(pk=offer.pk)
        known = list(Price.objects.filter(offer=offer, customer=customer_id).order_by("valid_from"))
        new = Price(offer=offer, customer=customer, amount=amount, valid_from=begins, source=Source.STAFF)
        put = _put(known, new)
        events.record(_entries(put, actor))
    return put.price


def facts_of_price(price: Price) -> dict[str, Any]:
    """What is said of a price, as the event log has it."""
    return {
        "offer": str(price.offer),
        "amount": f"{price.amount.normalize():f}",
        "valid_from": price.valid_from.isoformat(),
        "valid_to": _moment(price.valid_to),
        "source": price.source,
    }


def _moment(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _entries(put: _Put, actor: User | None) -> list[events.Entry]:
    """What the event log is told of it."""
    if put.outcome == KEPT:
        return []
    price, by = put.price, actor.pk if actor else None
    found: list[events.Entry] = []
    if put.ended is not None:
        last, valid_to = put.ended
        before, after = {"valid_to": _moment(valid_to)}, {"valid_to": _moment(last.valid_to)}
        found.append(("price.ended", "price", last.pk, by, price.customer_id, before, after))
    return [*found, ("price.set", "price", price.pk, by, price.customer_id, put.before, facts_of_price(price))]


def set_fleet_price(
    *, name: str, location: str = "", amount: Decimal, actor: User | None, customer: Customer | None = None,
    valid_from: datetime | None = None,
) -> Price:  # fmt: skip
    """What an hour of a connected peer, or of a container of a machine type, costs at a location ("": at all).

    As `set_price`; the offer is made where there is none.
    """
    if name != PEER_OFFER and name not in MACHINE_TYPES:
        raise InvalidRequest(f"There is no machine type {name[:64]!r}.", field="name")
    if location and location not in LOCATIONS:
        raise InvalidRequest(f"There is no location {location[:64]!r}.", field="location")
    measure = Measure.PEER if name == PEER_OFFER else Measure.CONTAINER
    size = {"measure": measure, "vcpus_milli": 0, "memory_mib": 0}
    key = {"cloud": FLEET, "region": location, "name": name, "capacity": Capacity.ON_DEMAND}
    with transaction.atomic():
        offer, _ = Offer.objects.get_or_create(**key, defaults=size)
        return set_price(offer, amount=amount, actor=actor, customer=customer, valid_from=valid_from)


def import_prices(listed: Iterable[ListedPrice], source: Source) -> Imported:
    """Take over what a price list says; twice is as good as once. Reads `listed` a few hundred lines at a time.

    What it says no more is left as it was.
    """
    done, seen = Imported(), set[tuple[OfferKey, datetime]]()
    lines = iter(_once(listed, seen, done))
    while group := list(islice(lines, AT_ONCE)):
        with transaction.atomic():
            offers = _offers(group, done)
            _take(group, offers, source, done)
    return done


def _once(listed: Iterable[ListedPrice], seen: set[tuple[OfferKey, datetime]], done: Imported) -> Iterable[ListedPrice]:
    for each in listed:
        if (key := (each.key(), each.valid_from)) in seen:
            done.left += 1
            continue
        seen.add(key)
        done.regions.add((each.cloud, each.region))
        yield each


def _offers(group: Sequence[ListedPrice], done: Imported) -> dict[OfferKey, Offer]:
    """The offers of these lines, made where there are none, of the size that the list says now; and locked."""
    size = {each.key(): each for each in group}
    chosen = Q(cloud__in={key[0] for key in size}, region__in={key[1] for key in size}, name__in={k[2] for k in size})
    missing = size.keys() - _by_key(chosen).keys()
    made = [
        Offer(
            cloud=each.cloud,
            region=each.region,
            name=each.name,
            capacity=each.capacity,
            measure=each.measure,
            vcpus_milli=each.vcpus_milli,
            memory_mib=each.memory_mib,
            gpus=each.gpus,
        )
        for each in (size[key] for key in sorted(missing))
    ]
    Offer.objects.bulk_create(made, ignore_conflicts=True)
    done.offers += len(made)
    found = {key: offer for key, offer in _by_key(chosen).items() if key in size}
    for key, offer in found.items():
        facts = facts_of_offer(offer)
        now = (size[key].vcpus_milli, size[key].memory_mib, size[key].gpus)
        if (offer.vcpus_milli, offer.memory_mib, offer.gpus) != now:
            offer.vcpus_milli, offer.memory_mib, offer.gpus = now
            offer.save(update_fields=["vcpus_milli", "memory_mib", "gpus"])
            before, after = differing(facts, facts_of_offer(offer))
            events.tell("offer.changed", offer.pk, None, after, before=before)
    return found


def facts_of_offer(offer: Offer) -> dict[str, Any]:
    """What may be said of an offer, as the event log has it."""
    return {name: getattr(offer, name) for name in ("vcpus_milli", "memory_mib", "gpus", "available")}


def _by_key(chosen: Q) -> dict[OfferKey, Offer]:
    rows = Offer.objects.select_for_update().filter(chosen).order_by("pk")
    return {(row.cloud, row.region, row.name, row.capacity): row for row in rows}


def _take(group: Sequence[ListedPrice], offers: Mapping[OfferKey, Offer], source: Source, done: Imported) -> None:
    known: dict[int, list[Price]] = {}
    told: list[events.Entry] = []
    ids = [offer.pk for offer in offers.values()]
    for price in Price.objects.filter(offer__in=ids, customer=None).order_by("valid_from"):
        known.setdefault(price.offer_id, []).append(price)
    for each in group:
        offer = offers[each.key()]
        new = Price(offer=offer, amount=each.amount, valid_from=each.valid_from, source=source)
        prices = known.setdefault(offer.pk, [])
        is_first = not prices  # an offer's first price changes none: it tells of itself
        put = _put(prices, new)
        done.prices[put.outcome] += 1
        told += [] if is_first else _entries(put, None)
    events.record(told)


def _put(known: list[Price], new: Price) -> _Put:
    """Put a price among those `known` of its offer and customer, oldest first; what became of it.

    Caller holds the transaction and the lock of the offer.
    """
    same = next((each for each in known if each.valid_from == new.valid_from), None)
    if same is not None:
        if (same.amount, same.source) == (new.amount, new.source):
            return _Put(KEPT, same)
        facts = facts_of_price(same)
        same.amount, same.source, same.imported_at = new.amount, new.source, timezone.now()
        same.save(update_fields=["amount", "source", "imported_at"])
        return _Put(CHANGED, same, differing(facts, facts_of_price(same))[0])
    before = [each for each in known if each.valid_from < new.valid_from]
    after = known[len(before) :]
    last = before[-1] if before else None
    ended = None
    if last is not None and (last.valid_to is None or last.valid_to > new.valid_from):
        if (last.amount, last.source) == (new.amount, new.source):
            return _Put(KEPT, last)
        ended = last, last.valid_to
        last.valid_to = new.valid_from
        last.save(update_fields=["valid_to"])
    new.valid_to = after[0].valid_from if after else None
    new.save()
    known.insert(len(before), new)
    return _Put(NEW, new, ended=ended)
