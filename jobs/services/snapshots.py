"""What executions cost, kept with them once they have ended, whatever becomes of prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from django.db import transaction

from controlplane.core import sets
from jobs import states
from jobs.models import Execution
from jobs.queries.rates import Rates

AT_ONCE: Final = 2000
UNPRICED: Final = "none"
_FIELDS: Final = ("price_offer", "price_rate", "price_source")
_READ: Final = (
    *("id", "started_at", "ended_at", "capacity", "place__cloud", "place__region"),
    *("job__shape", "job__vcpus_milli", "job__memory_mib", "job__customer_id"),
)


def price_executions(
    limit: int = AT_ONCE, *, jobs: Sequence[int] | None = None, executions: Sequence[int] | None = None
) -> int:
    """Keep the price of executions that have ended, up to `limit`, of `jobs` only if given; returns of how many.

    Of `executions` that are named all get theirs, those that go on, too: they have to have started.

    Not done where they end: prices are dated, so what was valid when one began, to the minute, can be asked
    afterwards, and the scheduler's own transactions do not wait for it. Safe to call at any time, and twice.
    """
    priceable = states.EXECUTION_FINAL if executions is None else states.EXECUTION_STATES
    waiting = Execution.objects.filter(price_source="").order_by("id")
    if executions is None:
        waiting = waiting.filter(status__in=priceable)
    else:
        waiting, limit = waiting.filter(sets.among("id", list(executions), Execution)), len(executions)
    if jobs is not None:
        waiting = waiting.filter(sets.among("job", list(jobs), Execution))
    rates = Rates()
    rows = [_priced(row, rates) for row in waiting.values_list(*_READ)[:limit]]
    if rows:
        with transaction.atomic():
            sets.update_where(Execution, _FIELDS, rows, priceable, ())
    return len(rows)


def _priced(row: tuple[Any, ...], rates: Rates) -> tuple[Any, ...]:
    execution_id, started_at, ended_at, *asked = row
    rate = rates.since(started_at or ended_at, *asked)
    if rate is None:
        return execution_id, "", None, UNPRICED
    return execution_id, rate.offer, rate.per_hour, rate.source
