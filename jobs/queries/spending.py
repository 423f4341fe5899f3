"""Budgets over what may start, and what an execution is reckoned with there before it has run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from decimal import ROUND_CEILING, Decimal
from typing import Final

from clusters.queries import amount
from jobs import gates, spend_sql, sql
from jobs.models import SPENT_SCOPES, Place, Scope
from jobs.policy import limit_seconds
from jobs.queries.quantiles import of_ten, seconds_of
from jobs.queries.rates import Rates

NANO: Final = 10**9
LOOKED_AT: Final = 200  # executions of a job type, the newest
UNBOUNDED_SECONDS: Final = 86_400  # reckoned with where nothing says how long it may take


class Costs:
    """What executions at a place would come to: as long as nine in ten of their type took, and no longer than they may.

    Asked for any number, it reads what it needs for all of `lanes` at once.
    """

    def __init__(self, place: Place, lanes: Iterable[sql.LaneFacts] = ()) -> None:
        self._place = place
        lanes = list(lanes)
        self._customers = {lane.customer_id for lane in lanes}
        self._types = {lane.job_type.id for lane in lanes if lane.job_type}
        self._rates = Rates()
        self._usual: dict[int, Decimal | None] = {}
        self._found: dict[tuple[object, ...], int] = {}

    def nano(self, candidate: sql.Candidate, customer_id: int, job_type_id: int | None) -> int:
        """Billionths of USD, rounded up; nothing where nothing has a price."""
        most = limit_seconds(candidate.timeout_seconds, candidate.affordable_seconds)
        asked = (candidate.vcpus_milli, candidate.memory_mib, candidate.whole, candidate.capacity)
        key = (customer_id, job_type_id, most, *asked)
        if key not in self._found:
            self._found[key] = self._reckon(candidate, customer_id, job_type_id, most)
        return self._found[key]

    def _reckon(self, candidate: sql.Candidate, customer_id: int, job_type_id: int | None, most: int | None) -> int:
        if self._customers:
            self._rates.read(self._place.cloud, self._place.region, self._customers)
            self._customers = set()
        where = (self._place.cloud, self._place.region, customer_id, candidate.vcpus_milli, candidate.memory_mib)
        rate = self._rates.rate(*where, whole=candidate.whole, capacity=candidate.capacity)
        if rate is None or rate.is_example or not rate.per_hour:
            return 0  # an example is nobody's price
        known = [each for each in (self._usually(job_type_id), most) if each is not None]
        cost = amount(rate.per_hour, min(known, default=UNBOUNDED_SECONDS))
        return int((cost * NANO).to_integral_value(ROUND_CEILING))

    def _usually(self, job_type_id: int | None) -> Decimal | None:
        """How many seconds nine in ten executions of the job type took at most; None when there is no history."""
        if job_type_id is None:
            return None
        if job_type_id not in self._usual:
            self._types.add(job_type_id)
            found = spend_sql.taken(sorted(self._types - self._usual.keys()), LOOKED_AT)
            self._usual |= dict.fromkeys(self._types)
            self._usual |= {i: of_ten(sorted(map(seconds_of, each)), 9) for i, each in found.items()}
        return self._usual[job_type_id]


def spending(place: Place, lanes: Iterable[sql.LaneFacts]) -> gates.Spending | None:
    """The budgets there are, as whoever explains sees them at `place`; None when there are none."""
    found = spend_sql.spend_gates()
    return _with_reserved(place, lanes, found) if found else None


def spending_everywhere(places: Iterable[Place], lanes: Collection[sql.LaneFacts]) -> dict[int, gates.Spending]:
    """As `spending`, for each of `places` by its id; empty when there are no budgets."""
    found = spend_sql.spend_gates()
    kept = reserved() if found else {}
    return {place.pk: _spending(place, lanes, found, kept) for place in places} if found else {}


def claim_spending(place: Place, lanes: Iterable[sql.LaneFacts]) -> gates.Spending | None:
    """The budgets over these lanes, locked until the claim is done; None when there are none.

    One statement when there are none. What is reserved is added up behind the locks: so what claims at other places
    reserve of the same budgets is in it.
    """
    lanes = list(lanes)
    touched = {f"{scope}:{i}" for lane in lanes for scope, i in gates.scopes(lane) if scope in SPENT_SCOPES}
    found = spend_sql.lock_spend_gates(sorted(touched))
    return _with_reserved(place, lanes, found) if found else None


def reserved() -> dict[gates.ScopeKey, int]:
    """What executions have reserved, in billionths of USD, by what a budget may cover. One statement."""
    found: dict[gates.ScopeKey, int] = {}
    for customer_id, job_type_id, nano in spend_sql.reserved():
        for scope in ((Scope.ALL, ""), (Scope.CUSTOMER, str(customer_id)), (Scope.JOB_TYPE, str(job_type_id))):
            found[scope] = found.get(scope, 0) + nano
    return found


def _with_reserved(
    place: Place, lanes: Iterable[sql.LaneFacts], found: Iterable[spend_sql.SpendFacts]
) -> gates.Spending:
    return _spending(place, lanes, found, reserved())


def _spending(
    place: Place, lanes: Iterable[sql.LaneFacts], found: Iterable[spend_sql.SpendFacts], kept: dict[gates.ScopeKey, int]
) -> gates.Spending:
    by_scope: dict[gates.ScopeKey, list[spend_sql.SpendFacts]] = {}
    for gate in found:
        by_scope.setdefault((gate.scope, gate.scope_id), []).append(gate)
    here = [lane for lane in lanes if lane.place_id == place.pk]
    covered = [lane for lane in here if any(scope in by_scope for scope in gates.scopes(lane))]
    costs = Costs(place, covered)

    def cost(candidate: sql.Candidate, lane: sql.LaneFacts) -> int:
        return costs.nano(candidate, lane.customer_id, lane.job_type.id if lane.job_type else None)

    return gates.Spending(by_scope, kept, cost)
