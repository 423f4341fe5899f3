"""Budgets in the admin: what may be spent, what is, and who set it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from accounts.models import Customer
from billing import money, services
from billing.admin.filters import SpentFilter
from billing.models import Budget, Period
from controlplane.core.admin import ServiceForm
from controlplane.core.admin_filters import ChoiceFilter
from controlplane.core.errors import InvalidRequest
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import ServiceAdmin
from jobtypes.models import JobType

_MOST: Final = Decimal(10**9)


class ChangeForm(ServiceForm):
    limit = forms.DecimalField(min_value=0, max_value=_MOST, decimal_places=9, help_text="In USD.")
    is_hard = forms.BooleanField(
        required=False,
        initial=True,
        label="Hard",
        help_text="Nothing more starts that might go beyond it; else it warns.",
    )


class BudgetForm(ChangeForm):
    customer = forms.CharField(max_length=255, required=False, help_text="The customer's whole name; or a job type.")
    job_type = forms.IntegerField(min_value=1, max_value=2**53, required=False, help_text="A job type's id.")
    period = forms.ChoiceField(choices=Period.choices, initial=Period.MONTH)
    begins = forms.DateField(required=False, help_text="The first day that counts (UTC); today if empty.")
    field_order = ("customer", "job_type", "period", "begins", "limit", "is_hard")


class PeriodFilter(ChoiceFilter):
    title = "period"
    parameters = ("period",)
    words = tuple(Period.choices)


class HardFilter(ChoiceFilter):
    title = "hard"
    parameters = ("is_hard",)
    words = (("1", "yes"), ("0", "no"))

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(is_hard=self.values["is_hard"] == ["1"])


@admin.register(Budget)
class BudgetAdmin(ServiceAdmin, KeysetAdmin):
    """Admins and operators set them, the rest of the staff look."""

    list_display = ("id", "of", "period", "limit", "spent", "share", "is_hard", "begins", "set_by")
    list_display_links = ("id", "of")
    list_filter = (PeriodFilter, HardFilter, SpentFilter)
    list_select_related = ("customer", "job_type", "set_by")
    fields = (
        *("uuid", "of", "period", "limit", "spent", "share", "is_hard", "begins", "counted_from"),
        *("set_by", "created_at", "changed_at", "archived_at"),
    )
    readonly_fields = ("of", "limit", "spent", "share")
    history_of = "budget"
    add_form = BudgetForm
    change_form = ChangeForm
    removal = "Lift"
    removal_warning = "It counts no more; jobs that it holds start as soon as their turn comes."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        rows = super().get_queryset(request).select_related("customer", "job_type", "set_by")
        return rows if request.resolver_match and request.resolver_match.kwargs else rows.filter(archived_at=None)

    @admin.display(description="of")
    def of(self, row: Budget) -> str:
        return str(row.customer or row.job_type)

    @admin.display(description="limit, USD")
    def limit(self, row: Budget) -> str:
        return money.text(row.limit_nano)

    @admin.display(description="spent, USD")
    def spent(self, row: Budget) -> str:
        return money.text(row.spent_nano)

    @admin.display(description="share")
    def share(self, row: Budget) -> SafeString | str:
        return f"{row.spent_nano * 100 // row.limit_nano} %" if row.limit_nano else "–"

    def may_change(self, request: HttpRequest, row: Any) -> bool:
        return bool(super().may_change(request, row)) and row.archived_at is None

    def may_remove(self, request: HttpRequest, row: Any) -> bool:
        return bool(super().may_remove(request, row)) and row.archived_at is None

    def configuration(self, row: Budget) -> dict[str, Any]:
        return services.facts_of_budget(row)

    def restored(self, row: Budget, state: Mapping[str, Any]) -> dict[str, Any]:
        words = {"limit": "limit", "is_hard": "hard"}
        return {field: state[word] for field, word in words.items() if word in state}

    def initial(self, row: Budget) -> dict[str, Any]:
        return {"limit": money.usd(row.limit_nano).normalize(), "is_hard": row.is_hard}

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Budget:
        return services.set_budget(
            actor=request.user,  # type: ignore[arg-type]
            customer=_named(Customer, "customer", name=wish["customer"]) if wish["customer"] else None,
            job_type=_named(JobType, "job_type", pk=wish["job_type"]) if wish["job_type"] else None,
            period=wish["period"],
            limit_nano=money.nano(wish["limit"]),
            is_hard=wish["is_hard"],
            begins=wish["begins"],
        )

    def change(self, request: HttpRequest, row: Budget, wish: dict[str, Any], form: Any) -> None:
        limit = money.nano(wish["limit"])
        services.change_budget(budget=row, actor=request.user, limit_nano=limit, is_hard=wish["is_hard"])  # type: ignore[arg-type]

    def remove(self, request: HttpRequest, row: Budget) -> None:
        services.lift_budget(budget=row, actor=request.user)  # type: ignore[arg-type]


def _named(model: Any, field: str, **by: Any) -> Any:
    """Raises InvalidRequest naming the field."""
    row = model.objects.filter(**by).first()
    if row is None:
        raise InvalidRequest("There is none of this name.", field=field)
    return row
