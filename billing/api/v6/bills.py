"""Bills, and what became of them."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from billing import queries, services
from billing.api.v6 import rows, serializers
from billing.api.v6.filters import BillFilter
from billing.models import Bill
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import Key, Orders


class BillViewSet(NativeViewSet):
    """What customers owe for each month."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = Bill.objects.all()
    serializer_class = serializers.BillSerializer
    filterset_class = BillFilter
    lookup_value_regex = REFERENCE
    orders: ClassVar[Orders] = {"id": Key("pk"), "month": Key("month")}
    default_order = ("-month",)

    def get_queryset(self) -> QuerySet[Bill]:
        return queries.visible_bills(user_of(self.request))

    @extend_schema(
        summary="Bills, newest month first",
        description="All to staff; to others their customer's. A draft says what is metered so far.",
    )
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), lambda page: [rows.bill(each) for each in page])

    @extend_schema(summary="A bill with its lines, by id or uuid", responses={200: serializers.WholeBillSerializer})
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(rows.whole_bill(queries.find_bill(user_of(request), pk)))

    @extend_schema(
        summary="Say what became of a bill",
        operation_id="mark_bill",
        description="For admins: that it was paid, or is not to be paid. Stripe says the same of what it collects.",
        request=serializers.MarkSerializer,
        responses={200: serializers.WholeBillSerializer},
        examples=[OpenApiExample("It was paid", request_only=True, value={"status": "paid"})],
    )
    @action(detail=True, methods=["post"])
    def mark(self, request: Request, pk: str) -> Response:
        actor = user_of(request)
        bill = queries.find_bill(actor, pk, access.CHANGE)
        to = self.taken(serializers.MarkSerializer)["status"]
        self.once(lambda: [str(services.move_bill(bill=bill, to=to, actor=actor).pk)])
        return Response(rows.whole_bill(queries.find_bill(actor, str(bill.pk))))
