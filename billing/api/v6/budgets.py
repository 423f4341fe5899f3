"""Budgets: how much may be spent, and how much is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import Customer, TokenScope
from billing import money, queries, services
from billing.api.v6 import budget_serializers as serializers
from billing.api.v6.filters import BudgetFilter
from billing.models import Budget
from controlplane.core.errors import InvalidRequest
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import Key, Orders
from jobtypes.api.v6.rows import moment
from jobtypes.models import JobType


class BudgetViewSet(NativeViewSet):
    """How much may be spent on a customer's work, or on jobs of a job type."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = Budget.objects.all()
    serializer_class = serializers.BudgetSerializer
    filterset_class = BudgetFilter
    lookup_value_regex = REFERENCE
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"create": (404,)}
    orders: ClassVar[Orders] = {"id": Key("pk"), "created": Key("created_at")}

    def get_queryset(self) -> QuerySet[Budget]:
        return queries.visible_budgets(user_of(self.request))

    @extend_schema(summary="Budgets", description="All to staff; to others those of their customer.")
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), _budgets)

    @extend_schema(summary="A budget, by id or uuid")
    def retrieve(self, request: Request, pk: str) -> Response:
        return self._shown(queries.find_budget(user_of(request), pk, access.READ))

    @extend_schema(
        summary="Say how much may be spent",
        description="On a customer's work, or on jobs of a job type. What runs goes on; with `is_hard` nothing starts "
        "that might go beyond it, else it only warns, at 50, 80 and 100 %.",
        request=serializers.NewBudgetSerializer,
        responses={201: serializers.BudgetSerializer},
        examples=[
            OpenApiExample("100 USD a month", request_only=True, value={"customer": "acme", "limit": "100"}),
        ],
    )
    def create(self, request: Request) -> Response:
        actor = user_of(request)
        access.demand(actor, "budgets", access.CHANGE)
        wish = self.taken(serializers.NewBudgetSerializer)
        named = _named(Customer, "customer", name=wish.get("customer"))
        job_type = _named(JobType, "job_type_id", pk=wish.get("job_type_id"))
        more = {name: wish[name] for name in ("period", "is_hard", "begins") if name in wish}
        limit_nano = money.nano(wish["limit"])

        def work() -> list[str]:
            made = services.set_budget(actor=actor, limit_nano=limit_nano, customer=named, job_type=job_type, **more)
            return [str(made.pk)]

        row = queries.find_budget(actor, self.once(work)[0], access.READ)
        return self.made(_budgets([row])[0], "budget-detail", row.pk)

    @extend_schema(
        summary="Raise or lower a budget, or have it only warn",
        request=serializers.BudgetChangeSerializer,
        responses={200: serializers.BudgetSerializer},
        examples=[OpenApiExample("Raise it", request_only=True, value={"limit": "250.50"})],
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        actor = user_of(request)
        row = queries.find_budget(actor, pk, access.CHANGE)
        wish = self.taken(serializers.BudgetChangeSerializer)
        limit_nano = money.nano(wish["limit"]) if "limit" in wish else None
        services.change_budget(budget=row, actor=actor, limit_nano=limit_nano, is_hard=wish.get("is_hard"))
        return self._shown(queries.find_budget(actor, str(row.pk), access.READ))

    @extend_schema(summary="Have a budget count no more", description="What it held goes on.")
    def destroy(self, request: Request, pk: str) -> Response:
        actor = user_of(request)
        services.lift_budget(budget=queries.find_budget(actor, pk, access.CHANGE), actor=actor)
        return Response(status=204)

    def _shown(self, row: Budget) -> Response:
        return Response(_budgets([row])[0])


def _named(model: Any, field: str, **key: Any) -> Any:
    """The row of this key, None where none is named. Raises InvalidRequest naming the field."""
    if None in key.values():
        return None
    found = model.objects.filter(**key).first()
    if found is None:
        raise InvalidRequest("There is no such one.", field=field)
    return found


def _budgets(page: Sequence[Budget]) -> list[dict[str, Any]]:
    reserved = queries.reserved_of(page)
    return [_budget(each, reserved) for each in page]


def _budget(row: Budget, reserved: Mapping[int, int]) -> dict[str, Any]:
    of = row.job_type
    return {
        "id": row.pk,
        "uuid": row.uuid,
        "customer": row.customer.name if row.customer else None,
        "job_type": {"id": of.pk, "name": of.name, "version": of.version} if of else None,
        "period": row.period,
        "begins": row.begins.isoformat(),
        "counted_from": row.counted_from.isoformat() if row.counted_from else None,
        "currency": money.CURRENCY,
        "limit": money.text(row.limit_nano),
        "is_hard": row.is_hard,
        "spent": money.text(row.spent_nano),
        "reserved": money.text(reserved[row.pk]),
        "share": row.share,
        "warned": row.warned,
        "is_used_up": row.is_used_up,
        "set_by": row.set_by.username if row.set_by else None,
        "created": moment(row.created_at),
        "changed": moment(row.changed_at),
    }
