"""What the caller's customer has used of media, and its bills."""

from __future__ import annotations

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fishjam.base import Operation, declared
from accounts.api.v6.base import user_of
from billing import hours, queries
from billing.api.fishjam import usage_serializers as serializers


class MonthlyBilling(Operation):
    noun = "own bills"

    @declared(
        "fishjam_list_monthly_billing",
        "The customer's bills, newest month first",
        200,
        serializers.PagedMonthlyBillingSerializer,
        *(401, 422),
        parameters=[serializers.BillingQuestion],
    )
    def get(self, request: Request) -> Response:
        asked = self.taken_query(serializers.BillingQuestion)
        found = queries.own_bills(user_of(request)).order_by("-month")
        page = found[asked["offset"] : asked["offset"] + asked["limit"]]
        return Response({"items": [serializers.billing_row(each) for each in page], "count": found.count()})


class CurrentUsage(Operation):
    noun = "own bills"

    @declared(
        "fishjam_get_current_usage",
        "Peer-seconds that the customer has used this month",
        200,
        serializers.CurrentUsageSerializer,
        *(401,),
    )
    def get(self, request: Request) -> Response:
        standing = queries.standing_of(user_of(request))
        end = hours.begin(hours.next_month(hours.month_of(timezone.now())))
        return Response(serializers.usage_row(standing, end))
