"""What places offer at what price."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any, Final, NamedTuple

from django.conf import settings
from django.db.models import F, Q
from django.utils import timezone

from clusters.models import FLEET, Capacity, Measure, Price, Source
from controlplane.core import sets

CURRENCY: Final = "USD"
_SMALLEST: Final = Decimal("1e-10")  # as prices are stored
_HOUR: Final = 3600
# Machines that somebody wants back are for instance jobs, which ask for nothing firmer; else what is firm comes first.
_WHOLE: Final = (Capacity.SPOT, Capacity.ON_DEMAND)
_SHARED: Final = (Capacity.ON_DEMAND, Capacity.SPOT, Capacity.LOCAL)


@dataclass(frozen=True, slots=True)
class Rate:
    """What an hour of what a job asks for costs, in USD, by which offer: a snapshot, which stays as it is."""

    offer: str
    capacity: str
    per_hour: Decimal
    source: str

    @property
    def is_example(self) -> bool:
        return self.source == Source.EXAMPLE


@dataclass(frozen=True, slots=True)
class _Priced:
    """An offer with the price that is valid of it. vCPUs in thousandths, MiB, USD per hour."""

    region: str
    name: str
    capacity: str
    measure: str
    vcpus_milli: int
    memory_mib: int
    gpus: int
    amount: Decimal
    source: str


_PRICED: Final = ("region", "name", "capacity", "measure", "vcpus_milli", "memory_mib", "gpus")


class PriceList:
    """What a region offers a customer at one moment. Read once, asked for any number of jobs."""

    def __init__(self, cloud: str, priced: Sequence[_Priced]) -> None:
        self._cloud = cloud
        real = {(each.measure, each.capacity) for each in priced if each.source != Source.EXAMPLE}
        # An example stands for a price that is not known: where one is, there are none.
        self._priced = [
            each for each in priced if each.source != Source.EXAMPLE or (each.measure, each.capacity) not in real
        ]

    def rates(self, vcpus_milli: int, memory_mib: int, gpus: int = 0, *, whole: bool = False) -> list[Rate]:
        """What such a job may be priced by, the cheapest first.

        A container job takes a share of a machine, as large as the largest of its shares in vCPUs, memory and
        GPUs, or so many units; an instance job takes the `whole` machine.
        """
        if not whole and _sells_units(self._cloud):
            return sorted(self._of_units(vcpus_milli, memory_mib, gpus), key=_by_rate)
        wish, found = (vcpus_milli, memory_mib, gpus), []
        for each in self._priced:
            size = (each.vcpus_milli, each.memory_mib, each.gpus)
            if each.measure != Measure.MACHINE or any(need > there for need, there in zip(wish, size, strict=True)):
                continue
            share = Fraction(1)
            if not whole:
                share = max(Fraction(need, there) for need, there in zip(wish, size, strict=True) if there)
            found.append(Rate(each.name, each.capacity, _part(each.amount, share), each.source))
        return sorted(found, key=_by_rate)

    def rate(
        self, vcpus_milli: int, memory_mib: int, gpus: int = 0, *, whole: bool = False, capacity: str = ""
    ) -> Rate | None:
        """What such a job is priced by: the cheapest that is no example, of the `capacity` that it runs on.

        None: nothing that is offered is large enough, or nothing of it has a price.
        """
        rates = self.rates(vcpus_milli, memory_mib, gpus, whole=whole)
        order = (capacity,) if capacity else _WHOLE if whole else _SHARED
        found = [rate for capacity in order for rate in rates if rate.capacity == capacity]
        return min(found, key=lambda rate: rate.is_example, default=None)

    def _of_units(self, vcpus_milli: int, memory_mib: int, gpus: int) -> list[Rate]:
        """One rate for each capacity of which there are both units; nothing sells units of GPUs."""
        found = []
        for capacity in Capacity if not gpus else ():
            own = [each for each in self._priced if each.measure == Measure.UNIT and each.capacity == capacity]
            by_cpu = min((each for each in own if each.vcpus_milli), key=_by_unit, default=None)
            by_memory = min((each for each in own if each.memory_mib), key=_by_unit, default=None)
            if by_cpu is None or by_memory is None:
                continue
            cpu = _part(by_cpu.amount, Fraction(vcpus_milli, by_cpu.vcpus_milli))
            memory = _part(by_memory.amount, Fraction(memory_mib, by_memory.memory_mib))
            sources = (by_cpu.source, by_memory.source)
            source = Source.EXAMPLE if Source.EXAMPLE in sources else sources[0]
            found.append(Rate(f"{by_cpu.name} + {by_memory.name}", capacity, cpu + memory, str(source)))
        return found


def price_list(cloud: str, region: str, *, customer_id: int | None = None, at: datetime | None = None) -> PriceList:
    """What a region offers a customer (None: one without prices of its own) at a moment, else now. One statement."""
    own = Q(customer=customer_id)
    return _price_list(cloud, [row[1:] for row in _prices_at(cloud, region, own, at or timezone.now())])


def price_lists(cloud: str, region: str, customers: Collection[int]) -> dict[int, PriceList]:
    """What a region offers each of these customers now, in one statement; those without own prices share a list."""
    rows = _prices_at(cloud, region, sets.among("customer", list(customers), Price), timezone.now())
    everybodys = _price_list(cloud, [row[1:] for row in rows if row[0] is None])
    found = dict.fromkeys(customers, everybodys)
    for customer in {row[0] for row in rows if row[0] is not None}:
        found[customer] = _price_list(cloud, [row[1:] for row in rows if row[0] in (None, customer)])
    return found


def _prices_at(cloud: str, region: str, own: Q, at: datetime) -> list[Any]:
    """Whose price it is, None for everybody's, and the rest as in _Priced; the later ones win."""
    return list(
        Price.objects.filter(_valid(at, own))
        .filter(offer__cloud=cloud, offer__region__in=(region, ""), offer__available=True)
        .order_by("offer__region", *_LAST_WINS)
        .values_list("customer", *(f"offer__{name}" for name in _PRICED), "amount", "source")
    )


def _price_list(cloud: str, rows: Sequence[Sequence[Any]]) -> PriceList:
    # Of the same name, what is said of the region wins over what is said of every region.
    found = {(row[1], row[2]): _Priced(*row) for row in rows}
    return PriceList(cloud, list(found.values()))


def offers_for(
    cloud: str,
    region: str,
    vcpus_milli: int,
    memory_mib: int,
    gpus: int = 0,
    *,
    whole: bool = False,
    customer_id: int | None = None,
    at: datetime | None = None,
) -> list[Rate]:
    """What a region offers for such a job, the cheapest first; see PriceList.rates."""
    return price_list(cloud, region, customer_id=customer_id, at=at).rates(vcpus_milli, memory_mib, gpus, whole=whole)


# --- Of long-running containers ------------------------------------------------------------------

# The name of a fleet's offer, a location, a customer (None: one without prices of its own), and the moment.
FleetKey = tuple[str, str, int | None, datetime]


def fleet_rate(name: str, location: str, customer_id: int | None, at: datetime) -> Rate | None:
    """What an hour of a connected peer (PEER_OFFER), or of a container of a machine type, costs at a location.

    The customer's own price wins over everybody's; of either, that of the location over that of every location.
    """
    key = (name, location, customer_id, at)
    return fleet_rates([key])[key]


def fleet_rates(keys: Iterable[FleetKey]) -> dict[FleetKey, Rate | None]:
    """Each as `fleet_rate`; all in one statement."""
    wanted = set(keys)
    if not wanted:
        return {}
    moments = [key[3] for key in wanted]
    customers = {key[2] for key in wanted}
    ended = Q(valid_to__isnull=False, valid_to__lte=min(moments))
    rows = (
        Price.objects.filter(Q(customer__isnull=True) | Q(customer__in=customers - {None}))
        .filter(valid_from__lte=max(moments), offer__cloud=FLEET, offer__name__in={key[0] for key in wanted})
        .exclude(ended)
        .order_by("valid_from")
        .values_list("offer__name", "offer__region", "customer", "valid_from", "valid_to", *_OF_RATE)
    )
    spans: dict[tuple[str, str, int | None], list[_Span]] = {}
    for name, region, customer_id, begins, ends, *rate in rows:
        spans.setdefault((name, region, customer_id), []).append(_Span(begins, ends, Rate(name, *rate)))
    return {key: _fleet_rate(spans, *key) for key in wanted}


_OF_RATE: Final = ("offer__capacity", "amount", "source")


class _Span(NamedTuple):
    """From when to when (None: for good) a rate is valid."""

    begins: datetime
    ends: datetime | None
    rate: Rate


def _fleet_rate(
    spans: Mapping[tuple[str, str, int | None], Sequence[_Span]],
    name: str,
    location: str,
    customer_id: int | None,
    at: datetime,
) -> Rate | None:
    for whose in dict.fromkeys((customer_id, None)):
        for region in dict.fromkeys((location, "")):
            valid = (each for each in spans.get((name, region, whose), ()) if each.begins <= at)
            found = [each.rate for each in valid if each.ends is None or each.ends > at]
            if found:
                return found[-1]
    return None


def price_for(offer_id: int, customer_id: int | None, at: datetime) -> Price | None:
    """The price of an offer for a customer at a moment: its own, else everybody's. None when there is none."""
    return Price.objects.filter(_valid(at, Q(customer=customer_id)), offer=offer_id).order_by(*_LAST_WINS).last()


def amount(rate: Decimal, seconds: Decimal | int) -> Decimal:
    """What so many seconds cost in USD at `rate` per hour. Less than no time costs nothing."""
    return _part(rate, Fraction(max(seconds, 0)) / _HOUR)


# Everybody's before the customer's own, the older before the newer: the last is the one that holds.
_LAST_WINS: Final = (F("customer").asc(nulls_first=True), "valid_from")


def _valid(at: datetime, own: Q) -> Q:
    """Prices, everybody's and those of their `own`, that have begun and not ended."""
    return (Q(customer__isnull=True) | own) & Q(valid_from__lte=at) & (Q(valid_to__isnull=True) | Q(valid_to__gt=at))


def _sells_units(cloud: str) -> bool:
    """Does a container job there take vCPUs and memory, and no share of a machine?"""
    return cloud == "local" or (cloud == "aws" and settings.AWS_BATCH_PLATFORM == "FARGATE")


def _part(per_unit: Decimal, share: Fraction) -> Decimal:
    exact = Fraction(per_unit) * share
    # Twice as many digits as a price has: what is rounded then is rounded once.
    with localcontext(prec=60):
        return (Decimal(exact.numerator) / exact.denominator).quantize(_SMALLEST, ROUND_HALF_UP)


def _by_rate(rate: Rate) -> tuple[Decimal, str]:
    return rate.per_hour, rate.offer


def _by_unit(each: _Priced) -> Fraction:
    return Fraction(each.amount) / (each.vcpus_milli or each.memory_mib)
