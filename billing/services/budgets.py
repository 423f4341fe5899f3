"""Budgets: set by staff, counted as things are metered, told of, and kept by the queue.

A hard budget is a spend gate of jobs, which no claim can overrun; once it is used up it is a hold, too, so that claims
need not look at what may not start.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

from django.db import transaction
from django.db.models import Q, Sum
from django.utils import timezone

from accounts import events
from accounts.models import Customer, User
from accounts.services import mails
from billing import money
from billing.errors import BudgetExists
from billing.models import Budget, Period, UsageDay
from billing.queries import scope_of
from billing.services.ledger import MOST_NANO, Entry
from controlplane.core.enqueue import enqueue
from controlplane.core.errors import InvalidRequest
from jobs.gates import BUDGET
from jobs.models import Hold, SpendGate
from jobs.services import drop_spend_gate, lift_hold, note_spent, place_hold, set_spend_gate, settle_reservations
from jobtypes.models import JobType

MAIL: Final = "billing.tasks.send_budget_mail"
WARNED_AT: Final = (50, 80, 100)  # percent
READERS: Final = 20
_HINT: Final = "The budget is used up: somebody has to raise it, or a new month has to begin."


def set_budget(
    *,
    actor: User | None,
    limit_nano: int,
    customer: Customer | None = None,
    job_type: JobType | None = None,
    period: str = Period.MONTH,
    is_hard: bool = True,
    begins: date | None = None,
) -> Budget:
    """Say how much may be spent on a customer's work, or on jobs of a job type. What runs goes on.

    `begins` is the first day that counts (UTC), today by default; of a monthly budget it counts in its first month.
    Raises BudgetExists; InvalidRequest naming the field.
    """
    if (customer is None) == (job_type is None):
        raise InvalidRequest("A budget is of a customer or of a job type.", field="customer")
    if period not in Period.values:
        raise InvalidRequest(f"This is one of {', '.join(Period.values)}.", field="period")
    _check_limit(limit_nano)
    with transaction.atomic():
        there = Budget.objects.filter(customer=customer, job_type=job_type, period=period, archived_at=None)
        if there.exists():
            raise BudgetExists(field="period")
        made = Budget.objects.create(
            customer=customer,
            job_type=job_type,
            period=period,
            limit_nano=limit_nano,
            is_hard=is_hard,
            begins=begins or timezone.now().date(),
            set_by=actor,
        )
        _tell("budget.created", made, actor)
    count_budgets(only=[made.pk])
    made.refresh_from_db()
    return made


def change_budget(
    *, budget: Budget, actor: User | None, limit_nano: int | None = None, is_hard: bool | None = None
) -> Budget:
    """Raise or lower a budget, or have it only warn. Raises InvalidRequest naming the field."""
    with transaction.atomic():
        row = Budget.objects.select_for_update().get(pk=budget.pk)
        before = facts_of(row)
        if limit_nano is not None:
            _check_limit(limit_nano)
            row.limit_nano = limit_nano
            row.warned = max(0, min(row.warned, row.share))  # more may be credited than was spent
        if is_hard is not None:
            row.is_hard = is_hard
        if facts_of(row) != before:
            row.changed_at, row.set_by = timezone.now(), actor
            row.save()
            _tell("budget.changed", row, actor, before)
    count_budgets(only=[row.pk])
    row.refresh_from_db()
    return row


def lift_budget(*, budget: Budget, actor: User | None) -> None:
    """Have a budget count no more; what it held goes on."""
    with transaction.atomic():
        row = Budget.objects.select_for_update().get(pk=budget.pk)
        if row.archived_at is not None:
            return
        before = facts_of(row)
        row.archived_at = timezone.now()
        row.save(update_fields=["archived_at"])
        _tell("budget.lifted", row, actor, before)
    count_budgets(only=[row.pk])


# --- Counting ------------------------------------------------------------------------------------------------------


def count_budgets(now: datetime | None = None, *, only: Collection[int] | None = None) -> int:
    """See what is spent of each budget: warn, hold what it covers when it is used up, let go of it when it is not.

    Safe to call at any time, and twice. How many budgets were counted.
    """
    today = (now or timezone.now()).date()
    rows = Budget.objects.filter(archived_at=None) if only is None else Budget.objects.filter(pk__in=only)
    counted = list(rows.order_by("pk"))
    for row in counted:
        _count(row, today)
    _keep_holds()
    return len(counted)


def _count(budget: Budget, today: date) -> None:
    if budget.archived_at is not None or not budget.is_hard:
        drop_spend_gate(key=key_of(budget))
    if budget.archived_at is not None:
        return
    start, spent = counted_from(budget, today), spent_of(budget, today)
    with transaction.atomic():
        row = Budget.objects.select_for_update().get(pk=budget.pk)
        if row.counted_from != start:
            row.counted_from, row.warned = start, 0
        row.spent_nano = spent
        reached = max((each for each in WARNED_AT if row.share >= each), default=0)
        if reached > row.warned:
            row.warned = reached
            _tell("budget.reached", row, None)
            enqueue(MAIL, budget_id=row.pk, share=reached)
        row.save(update_fields=["counted_from", "spent_nano", "warned"])
    if budget.is_hard:
        scope, scope_id = scope_of(budget)
        key = key_of(budget)
        gate = SpendGate.objects.filter(key=key).first()
        if gate is None or gate.limit_nano != budget.limit_nano:
            set_spend_gate(
                key=key, scope=scope, scope_id=scope_id, limit_nano=budget.limit_nano, spent_nano=max(0, spent)
            )
        else:
            note_spent({key: max(0, spent)})


def _keep_holds() -> None:
    """A hold for each thing of which a hard budget is used up, and no others of this code."""
    used_up = Budget.objects.filter(archived_at=None, is_hard=True, counted_from__isnull=False)
    wanted = {scope_of(row) for row in used_up if row.is_used_up}
    there = {(hold.scope, hold.scope_id): hold for hold in Hold.objects.filter(code=BUDGET)}
    for scope, scope_id in sorted(wanted - there.keys()):
        place_hold(scope=scope, scope_id=scope_id, code=BUDGET, hint=_HINT)
    for at in there.keys() - wanted:
        lift_hold(there[at])


def settle(entries: Sequence[Entry], ended: Collection[int]) -> None:
    """Tell the queue what was metered of executions. In the transaction that meters them."""
    customers = {entry.customer_id for entry in entries if entry.cost_nano}
    types = {entry.job_type_id for entry in entries if entry.cost_nano}
    touched = Budget.objects.filter(Q(customer__in=customers - {None}) | Q(job_type__in=types - {None}))
    today = timezone.now().date()
    budgets = list(touched.filter(archived_at=None, is_hard=True)) if customers or types else []
    note_spent({key_of(row): max(0, spent_of(row, today)) for row in budgets})
    metered: dict[int, int] = defaultdict(int)
    for entry in entries:
        metered[entry.source_id] += entry.cost_nano
    settle_reservations(metered, ended=ended)


def counted_from(budget: Budget, today: date) -> date:
    """The first day of what counts now."""
    return max(budget.begins, today.replace(day=1)) if budget.period == Period.MONTH else budget.begins


def spent_of(budget: Budget, today: date) -> int:
    """Billionths of a dollar that were metered of what a budget covers, since it counts."""
    days = UsageDay.objects.filter(day__gte=counted_from(budget, today))
    of = {"customer_id": budget.customer_id} if budget.customer_id else {"job_type_id": budget.job_type_id}
    return days.filter(**of).aggregate(sum=Sum("cost_nano"))["sum"] or 0


def key_of(budget: Budget) -> str:
    return f"budget:{budget.uuid.hex}"


def readers_of(customer_id: int) -> list[User]:
    """Who of a customer's users is mailed of its money."""
    return list(User.objects.filter(customer=customer_id, is_active=True).exclude(email=None).order_by("pk")[:READERS])


def send_budget_mail(budget_id: int, share: int) -> None:
    """Tell those whose work a budget covers, or who set it, that so much of it is spent."""
    budget = Budget.objects.select_related("customer", "job_type", "set_by").filter(pk=budget_id).first()
    if budget is None:
        return
    readers = {budget.set_by} if budget.set_by else set()
    if budget.customer_id is not None:
        readers |= set(readers_of(budget.customer_id))
    told: Mapping[str, Any] = {
        "budget": budget,
        "share": share,
        "limit": money.text(budget.limit_nano),
        "spent": money.text(budget.spent_nano),
    }
    for reader in sorted(readers, key=lambda user: user.pk):
        if reader.is_active and reader.email:
            mails.send(reader, f"{share} % of a budget is spent", "budget", **told)


def _check_limit(limit_nano: int) -> None:
    if not 0 <= limit_nano <= MOST_NANO:
        raise InvalidRequest("This is an amount from 0 to a billion dollars.", field="limit")


def facts_of(row: Budget) -> dict[str, Any]:
    """What may be said of a budget, as the event log has it; the amount in dollars."""
    return {
        "customer": row.customer and row.customer.name,
        "job_type": row.job_type_id,
        "period": row.period,
        "limit": money.text(row.limit_nano),
        "hard": row.is_hard,
        "begins": row.begins.isoformat(),
        "lifted": row.archived_at is not None,
    }


def _tell(kind: str, row: Budget, actor: User | None, before: object = None) -> None:
    after = {**facts_of(row), "share": row.warned}
    pk = actor.pk if actor else None
    events.record([(kind, "budget", row.pk, pk, row.customer_id, before, after)])
