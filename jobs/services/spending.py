"""Budgets over what starts (jobs.models.SpendGate), written by whoever owns them, and what is reserved of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

from django.db import transaction
from django.db.models import Exists

from controlplane.core import sets
from controlplane.core.errors import InvalidRequest
from jobs import sql, states
from jobs.models import SPENT_SCOPES, Execution, Place, Scope, Shape, SpendGate
from jobs.queries.spending import Costs
from jobs.services.gates import let_no_claim_run, ring_all

MOST_NANO: Final = 2**63 - 1  # what the column holds
_READ: Final = (
    *("id", "job_id", "place_id", "capacity", "created_at", "job__customer_id", "job__job_type_id", "job__vcpus_milli"),
    *("job__memory_mib", "job__timeout_seconds", "job__affordable_seconds", "job__shape"),
)


def set_spend_gate(
    *, key: str, scope: str, scope_id: str = "", limit_nano: int, spent_nano: int = 0, hint: str = ""
) -> SpendGate:
    """Let no claim take more than `limit_nano` in this scope, of which so much is spent. What runs goes on.

    Makes it or changes it. Where it is new, what is active there and has nothing reserved gets a reservation, as
    if it had just started. Waits for claims that are under way: so call it, as place_hold, outside of transactions
    that have written budgets before.
    """
    _check(key, scope, scope_id, {"limit_nano": limit_nano, "spent_nano": spent_nano}, hint)
    values = {"scope": scope, "scope_id": scope_id, "limit_nano": limit_nano, "spent_nano": spent_nano, "hint": hint}
    with transaction.atomic():
        let_no_claim_run()
        before = SpendGate.objects.filter(key=key).values_list("scope", "scope_id").first()
        gate, _ = SpendGate.objects.update_or_create(key=key, defaults=values)
        if before != (scope, scope_id):
            _reserve_for_active(scope, scope_id)
        ring_all()
    return gate


def drop_spend_gate(*, key: str) -> None:
    """Bound nothing by this budget any more. Reservations stay, and bind nothing where no budget is."""
    with transaction.atomic():
        dropped, _ = SpendGate.objects.filter(key=key).delete()
        if dropped:
            ring_all()


def note_spent(spent: Mapping[str, int]) -> None:
    """Set what is spent of budgets, by their keys; unknown keys are left out.

    Before settle_reservations, and in one transaction with it: else a claim between them may count money of
    executions nowhere.
    """
    for key, nano in spent.items():
        _check_nano(f"spent.{key}", nano)
    with transaction.atomic():
        among = sets.among("key", list(spent), SpendGate)
        gates = list(SpendGate.objects.select_for_update().filter(among).order_by("key"))
        before = {gate.key: gate.spent_nano for gate in gates}
        for gate in gates:
            gate.spent_nano = spent[gate.key]
        SpendGate.objects.bulk_update([gate for gate in gates if gate.spent_nano != before[gate.key]], ["spent_nano"])
        if any(gate.spent_nano < before[gate.key] for gate in gates):
            ring_all()


def settle_reservations(metered: Mapping[int, int], *, ended: Collection[int] = frozenset()) -> None:
    """Give back what is not reserved any more: `metered` is what more was metered of executions, by their ids.

    Of those that have `ended`, whether they are in `metered` or not, nothing stays reserved.
    """
    with transaction.atomic():
        among = sets.among("id", sorted({*metered, *ended}), Execution)
        kept = Execution.objects.filter(among, reserved_nano__gt=0).select_for_update().order_by("id")
        rows = [
            (i, 0 if i in ended else max(0, nano - metered[i])) for i, nano in kept.values_list("id", "reserved_nano")
        ]
        if not rows:
            return
        sets.update_where(Execution, ("reserved_nano",), rows, states.EXECUTION_STATES, ())
        if any(i in ended for i, _ in rows) and SpendGate.objects.exists():
            ring_all()


def forget_reservations() -> int:
    """Let go of what ended executions have reserved where there are no budgets, and so nobody who settles."""
    ended = Execution.objects.filter(reserved_nano__gt=0, status__in=states.EXECUTION_FINAL)
    return ended.filter(~Exists(SpendGate.objects.all())).update(reserved_nano=0)


def _reserve_for_active(scope: str, scope_id: str) -> None:
    active = Execution.objects.filter(status__in=states.EXECUTION_ACTIVE, reserved_nano=0)
    if scope != Scope.ALL:
        active = active.filter(**{f"job__{scope}": int(scope_id)})
    found = [dict(zip(_READ, row, strict=True)) for row in active.values_list(*_READ)]
    costs = {place.pk: Costs(place) for place in Place.objects.filter(pk__in={each["place_id"] for each in found})}
    rows = [(each["id"], _cost(costs[each["place_id"]], each)) for each in found]
    if rows:
        sets.update_where(Execution, ("reserved_nano",), rows, states.EXECUTION_ACTIVE, ())


def _cost(costs: Costs, row: Mapping[str, Any]) -> int:
    candidate = sql.Candidate(
        job_id=row["job_id"],
        lane_id=0,
        priority=0,
        queued_at=row["created_at"],
        vcpus_milli=row["job__vcpus_milli"],
        memory_mib=row["job__memory_mib"],
        tries=0,
        capacity=row["capacity"],
        timeout_seconds=row["job__timeout_seconds"],
        affordable_seconds=row["job__affordable_seconds"],
        whole=row["job__shape"] == Shape.INSTANCE,
    )
    return costs.nano(candidate, row["job__customer_id"], row["job__job_type_id"])


def _check(key: str, scope: str, scope_id: str, amounts: Mapping[str, int], hint: str) -> None:
    if not 1 <= len(key) <= 64:
        raise InvalidRequest("A budget's key has 1 to 64 characters.", field="key")
    if scope not in SPENT_SCOPES:
        raise InvalidRequest(f"Money is bounded for {', '.join(SPENT_SCOPES)} only.", field="scope")
    if scope == Scope.ALL and scope_id:
        raise InvalidRequest("What covers everything names nothing.", field="scope_id")
    if scope != Scope.ALL and not (scope_id.isascii() and scope_id.isdigit()):
        raise InvalidRequest("Names the row by its id.", field="scope_id")
    if len(hint) > 255:
        raise InvalidRequest("A hint has at most 255 characters.", field="hint")
    for name, nano in amounts.items():
        _check_nano(name, nano)


def _check_nano(name: str, nano: int) -> None:
    if not 0 <= nano <= MOST_NANO:
        raise InvalidRequest("From 0 to 9 223 372 036 USD, in billionths.", field=name)
