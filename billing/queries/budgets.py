"""Budgets, as they may be seen, and what is reserved of them."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from accounts import access
from accounts.models import Role, User
from billing.errors import BudgetNotFound
from billing.models import Budget
from controlplane.core.filters import key_of
from jobs.models import Scope
from jobs.queries import reserved

_WITH_IT = ("customer", "job_type", "set_by")


def visible_budgets(user: User) -> QuerySet[Budget]:
    """Those that count: all to staff, to others their customer's."""
    rows = Budget.objects.filter(archived_at=None).select_related(*_WITH_IT)
    return rows if user.role != Role.CUSTOMER else rows.filter(customer=user.customer_id or -1)


def find_budget(user: User, reference: str, action: str) -> Budget:
    """A budget that counts, by id or uuid. Raises BudgetNotFound, Forbidden."""
    row = Budget.objects.filter(archived_at=None, **key_of(reference, BudgetNotFound)).select_related(*_WITH_IT).first()
    if row is None:
        raise BudgetNotFound
    access.enforce(access.decide(user, "budgets", action, customer_id=row.customer_id), BudgetNotFound)
    return row


def scope_of(budget: Budget) -> tuple[str, str]:
    """What it covers, as holds and gates of jobs name it."""
    if budget.customer_id is not None:
        return Scope.CUSTOMER, str(budget.customer_id)
    return Scope.JOB_TYPE, str(budget.job_type_id)


def reserved_of(budgets: Sequence[Budget]) -> dict[int, int]:
    """Billionths of a dollar that what runs may still come to, by the budget's id. One statement."""
    by_scope = reserved() if budgets else {}
    return {each.pk: by_scope.get(scope_of(each), 0) for each in budgets}
