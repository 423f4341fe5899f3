"""What was used, record by record, and what staff put right."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import Customer, TokenScope
from billing import money, queries, services
from billing.api.v6 import rows, serializers
from billing.api.v6.filters import UsageFilter
from billing.errors import UsageNotFound
from billing.models import UsageRecord
from controlplane.core.errors import InvalidRequest
from controlplane.core.pagination import Key, Orders


class UsageViewSet(NativeViewSet):
    """Records of at most an hour each, and corrections of them; never edited."""

    queryset = UsageRecord.objects.all()
    serializer_class = serializers.UsageSerializer
    filterset_class = UsageFilter
    orders: ClassVar[Orders] = {"id": Key("pk")}
    default_order = ("-id",)

    @extend_schema(
        summary="What was used, newest first",
        description="All to staff; to others what their customer's jobs and their own containers used. A running job "
        "is metered up to the last full hour.",
    )
    def list(self, request: Request) -> Response:
        return self.page(queries.shown_records(user_of(request)), rows.records)

    @extend_schema(
        summary="The receipt of a record",
        description="With the line of the bill where it is, its item at Stripe, and what was said of it later.",
        responses={200: serializers.ReceiptSerializer},
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(receipt(request, int(pk)))


class CorrectionViewSet(NativeViewSet):
    """Amounts that staff put onto a customer's next bill."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = UsageRecord.objects.all()
    serializer_class = serializers.NewCorrectionSerializer
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"create": (404,)}

    @extend_schema(
        summary="Put an amount onto a customer's next bill",
        description="For admins. What was metered stays as it is: a correction is a record of its own.",
        request=serializers.NewCorrectionSerializer,
        responses={201: serializers.ReceiptSerializer},
        examples=[
            OpenApiExample(
                "Give something back",
                request_only=True,
                value={"customer": "acme", "amount": "-12.50", "note": "The outage of 3 March."},
            )
        ],
    )
    def create(self, request: Request) -> Response:
        actor = user_of(request)
        access.demand(actor, "bills", access.CHANGE)
        wish = self.taken()
        record = _corrected(request, wish.get("record"))
        customer = _customer(wish.get("customer"), record)
        amount_nano = money.nano(wish["amount"])

        def work() -> list[str]:
            made = services.correct(
                actor=actor, customer=customer, amount_nano=amount_nano, note=wish["note"], record=record
            )
            return [str(made.pk)]

        made = int(self.once(work)[0])
        return self.made(receipt(request, made), "usage-detail", made)


def receipt(request: Request, record_id: int) -> dict[str, Any]:
    """Raises UsageNotFound."""
    row = queries.find_record(user_of(request), record_id)
    return rows.receipt(row, queries.billed_on(row), queries.others_of(row), queries.corrections_of(row))


def _corrected(request: Request, record_id: int | None) -> UsageRecord | None:
    if record_id is None:
        return None
    try:
        return queries.find_record(user_of(request), record_id)
    except UsageNotFound as error:
        raise InvalidRequest(error.message, field="record") from error


def _customer(name: str | None, record: UsageRecord | None) -> Customer:
    if name is None:
        if record is None or record.customer is None:
            raise InvalidRequest("Say whose bill it is for.", field="customer")
        return record.customer
    found = Customer.objects.filter(name=name).first()
    if found is None:
        raise InvalidRequest("There is no such customer.", field="customer")
    return found
