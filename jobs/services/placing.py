"""Where jobs go: the first place of their policy, and for those that leave it to us the place that we choose.

A job that may run anywhere gets a ladder of all places that could ever run it: first those that have room for it now,
then by what an hour costs there. Why is kept with it, for explain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from accounts.models import Customer, User
from clusters.queries import Rate, cloud_regions
from controlplane.core.errors import ControlPlaneError, InvalidRequest
from jobs import gates
from jobs.models import Place
from jobs.policy import MOST_PLACES, Policy, Rung
from jobs.queries.outlook import NEW_CUSTOMER, Outlook, lane_thought_of
from jobs.queries.rates import Rates
from jobs.services.places import place_id
from jobs.services.policies import check_places, check_seed_place, digest_of
from jobs.services.requests import JobRequest, line_key
from jobs.services.where import check_place

ANYWHERE: Final = "any"  # as `cloud` of a JobRequest
# A job that we have placed goes on when it has waited so long: there may be room elsewhere by now.
WAIT_SECONDS: Final = 300
# Why a place could not run a job as long as it is set up as it is. Of one that was never seen it is not known.
_NEVER: Final = ("TOO_LARGE_VCPUS", "TOO_LARGE_MEMORY", "UNISOLATED")


def placed(owner: User, requests: Sequence[JobRequest]) -> list[JobRequest]:
    """The requests with their policies, each at the first place of its own.

    Raises InvalidRequest for places that there are not, for a job that no place can run, and for a limit of money
    where there is no price.
    """
    placer = _Placer(owner)
    return [placer.placed(request) for request in requests]


@dataclass(frozen=True, slots=True)
class _Choice:
    """A place that could run a job: what would keep it there now, and what an hour costs."""

    cloud: str
    region: str
    waits_for: Sequence[gates.Reason]
    rate: Rate | None

    def order(self) -> tuple[Any, ...]:
        unknown = self.rate is None
        return bool(self.waits_for), unknown, self.rate.per_hour if self.rate else 0, self.cloud != "local", self.region

    def rung(self) -> Rung:
        why: dict[str, Any] = {"waits_for": [reason.code for reason in self.waits_for]}
        if self.rate is not None:
            why |= {"rate_per_hour": f"{self.rate.per_hour:f}", "source": self.rate.source, "offer": self.rate.offer}
        return Rung(self.cloud, self.region, wait_seconds=WAIT_SECONDS, chosen=why)


class _Placer:
    """Places the jobs of a submit; those that are alike are thought about once."""

    def __init__(self, owner: User) -> None:
        self._owner = owner
        self._outlook = Outlook()
        self._rates = Rates()
        self._customers: dict[str, int] = {}
        self._ladders: dict[Any, tuple[Rung, ...]] = {}
        self._checked: set[Any] = set()

    def placed(self, request: JobRequest) -> JobRequest:
        if request.cloud == ANYWHERE:
            request = self._anywhere(request)
        policy = request.policy
        if policy is None:
            return request
        tries = request.max_tries or policy.most_tries
        if tries is None and policy.places:
            tries = max(request.default_tries or settings.DEFAULT_MAX_TRIES, len(policy.places))
        request = replace(request, max_tries=tries)
        first = policy.rung(0)
        if first is not None:
            request = replace(request, cloud=first.cloud, region=first.region, capacity=first.capacity)
        key = (digest_of(policy), line_key(request), bool(request.machine_image), bool(request.command))
        if key not in self._checked:
            self._check(request, policy)
            self._checked.add(key)
        return request

    def _check(self, request: JobRequest, policy: Policy) -> None:
        """Could it run at each of its places, and be stopped there when its money is spent?"""
        check_places(policy, check_seed_place if request.seed else partial(_check_fits, request))
        if policy.max_cost is None:
            return
        for rung in policy.places or (Rung(request.cloud, request.region, request.capacity),):
            rate = self._rate(request, rung.cloud, rung.region, rung.capacity)
            if rate is None or rate.is_example:
                raise InvalidRequest(
                    f"What jobs cost at {rung} is not known: set or import its prices, or give no limit.",
                    field="policy.max_cost",
                    code="NO_PRICE",
                )

    # --- Anywhere ------------------------------------------------------------------------------------

    def _anywhere(self, request: JobRequest) -> JobRequest:
        policy = request.policy or Policy()
        given = (bool(request.machine_image), bool(request.command), bool(request.image))
        key = (line_key(request), given, request.priority, request.timeout_seconds, policy.max_cost)
        if key not in self._ladders:
            self._ladders[key] = self._ladder(request, policy.max_cost)
        return replace(request, policy=replace(policy, places=self._ladders[key]))

    def _ladder(self, request: JobRequest, max_cost: Decimal | None) -> tuple[Rung, ...]:
        found = [self._choice(request, cloud, region, max_cost) for cloud, region in _places()]
        choices = [each for each in found if isinstance(each, _Choice)]
        if not choices:
            told = "; ".join(each for each in found if isinstance(each, str))
            raise InvalidRequest(f"No place can run this. {told}"[:1000], field="cloud", code="NO_PLACE")
        choices.sort(key=_Choice.order)
        return tuple(choice.rung() for choice in choices[:MOST_PLACES])

    def _choice(self, request: JobRequest, cloud: str, region: str, max_cost: Decimal | None) -> _Choice | str:
        """What speaks for a place, or why it cannot run the job."""
        there = replace(request, cloud=cloud, region=region)
        try:
            _check_fits(there, Rung(cloud, region))
        except ControlPlaneError as fault:
            return f"{cloud}/{region}: {fault.message}"
        if cloud != "local" and not (request.image or request.machine_image):
            return f"{cloud}/{region}: a container takes an image."
        rate = self._rate(there, cloud, region)
        if max_cost is not None and (rate is None or rate.is_example):
            return f"{cloud}/{region}: its price is not known, so money cannot bound jobs there."
        _, _, _, queue, vcpus_milli, memory_mib, _ = line_key(there)
        place, customer = place_id(cloud, region), self._customer(request.customer)
        lane = lane_thought_of(
            self._owner, place, customer, queue=queue, vcpus_milli=vcpus_milli, memory_mib=memory_mib
        )
        whole = bool(request.machine_image)
        waits_for = self._outlook.reasons(lane, request.priority, timeout_seconds=request.timeout_seconds, whole=whole)
        known = not any(reason.code == "NO_WORKER" and reason.since is None for reason in waits_for)
        if known and (never := next((reason for reason in waits_for if reason.code in _NEVER), None)):
            return f"{cloud}/{region}: {never.hint}"
        return _Choice(cloud, region, waits_for, rate)

    def _rate(self, request: JobRequest, cloud: str, region: str, capacity: str = "") -> Rate | None:
        _, _, _, _, vcpus_milli, memory_mib, _ = line_key(request)
        customer, whole = self._customer(request.customer), bool(request.machine_image)
        return self._rates.rate(cloud, region, customer, vcpus_milli, memory_mib, whole=whole, capacity=capacity)

    def _customer(self, name: str) -> int:
        if name not in self._customers:
            found = Customer.objects.filter(name=name).values_list("pk", flat=True).first()
            self._customers[name] = found or NEW_CUSTOMER
        return self._customers[name]


def _check_fits(request: JobRequest, rung: Rung) -> None:
    """Raise why the job could never run there as it is set up."""
    check_place(
        rung.cloud,
        queue=request.queue or None,
        command=request.command,
        region=rung.region,
        capacity=rung.capacity,
        whole=bool(request.machine_image),
    )


def _places() -> list[tuple[str, str]]:
    """Where jobs may go: the clouds that are set up, this machine, and its peers that were seen lately."""
    seen = Q(cloud="local", seen_at__gt=timezone.now() - gates.WORKER_SILENT_AFTER)
    local = list(Place.objects.filter(seen).order_by("region").values_list("cloud", "region"))
    own = ("local", settings.LOCAL_REGION)
    return [*(local if own in local else [own, *local]), *cloud_regions()]
