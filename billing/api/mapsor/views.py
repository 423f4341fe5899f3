"""Mapsor's report of usage and costs by customer."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter

from accounts.api.mapsor import parameters
from accounts.api.mapsor.base import ADMIN, Operation, answer
from accounts.models import User
from billing import hours, queries
from billing.api.mapsor import serializers
from clusters.queries import CLOUDS
from controlplane.core.errors import InvalidRequest
from jobs.api.mapsor.views import declared

FIRST_MS: Final = hours.milliseconds(datetime(1, 1, 1, tzinfo=UTC))
LAST_MS: Final = hours.milliseconds(datetime(9999, 1, 1, tzinfo=UTC))
MOST: Final = 2**63 - 1
_WHOLE: Final = re.compile(r"[0-9]{1,19}")

START: Final = OpenApiParameter("start_date", float, required=True, description="Window start, epoch milliseconds.")
END: Final = OpenApiParameter("end_date", float, required=True, description="Window end, epoch milliseconds.")
CLOUD: Final = OpenApiParameter("cloud_provider", str, required=True, enum=CLOUDS)
REGION: Final = OpenApiParameter("region", str, required=True)
PRICE: Final = OpenApiParameter(
    "price",
    {"type": "integer", "format": "int64", "minimum": 0},
    description="Total amount to share out between the customers, in whole units of any currency.",
)


class GetMetrics(Operation):
    roles: ClassVar[tuple[str, ...]] = ADMIN

    @declared(
        "mapsor_get_metrics",
        "Usage per customer, and cost per customer when a price is given",
        {200: serializers.MapsorMetricsSerializer},
        *(400, 401, 403),
        parameters=[START, END, CLOUD, REGION, PRICE],
    )
    def get(self) -> None:
        """Stands for `handle` in the schema."""

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        since, until = _moment(request, "start_date"), _moment(request, "end_date")
        if until <= since:
            raise InvalidRequest("The window ends before it starts, or as it does.", field="end_date")
        cloud = parameters.required(request, "cloud_provider")
        if cloud not in CLOUDS:
            raise InvalidRequest(f"This must be one of {', '.join(CLOUDS)}.", field="cloud_provider")
        region, price = parameters.required(request, "region"), _price(request)
        found = queries.usage_by_customer(cloud=cloud, region=region, since_ms=since, until_ms=until, price=price)
        asked = {"start_date": since, "end_date": until, "cloud_provider": cloud, "region": region}
        told = {} if price is None else {"price": price}
        return answer({"response": {**asked, **told, "metrics": [_row(each) for each in found]}})


def _moment(request: HttpRequest, name: str) -> int:
    """Whole epoch milliseconds: what is less than one does not count."""
    value = math.floor(parameters.milliseconds(request, name))
    if not FIRST_MS <= value <= LAST_MS:
        raise InvalidRequest("This lies beyond the calendar: it is epoch milliseconds.", field=name)
    return value


def _price(request: HttpRequest) -> int | None:
    text = request.GET.get("price")
    if text is None:
        return None
    if not _WHOLE.fullmatch(text) or int(text) > MOST:
        raise InvalidRequest(f"This is a whole number from 0 to {MOST}.", field="price")
    return int(text)


def _row(usage: queries.CustomerUsage) -> dict[str, Any]:
    row = {
        "customer": usage.customer,
        "jobs": usage.jobs,
        "run_seconds": usage.run_ms / 1000,
        "vcpu_seconds": usage.vcpu_ms / 1000,
        "memory_gb_seconds": usage.gib_ms / 1000,
        "share": usage.share,
    }
    return row if usage.cost is None else {**row, "cost": usage.cost}
