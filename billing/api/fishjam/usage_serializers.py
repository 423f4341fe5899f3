"""What Fishjam's operations on usage and bills take and give."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from accounts.models import Standing
from billing import hours
from billing.models import Bill, BillStatus
from jobtypes.api.v6.rows import moment

LARGEST: Final = 2**53


class BillingQuestion(serializers.Serializer[Any]):
    """Which of the bills."""

    limit = serializers.IntegerField(min_value=1, max_value=LARGEST, default=100)
    offset = serializers.IntegerField(min_value=0, max_value=LARGEST, default=0)


@extend_schema_serializer(component_name="MonthlyBillingOut")
class MonthlyBillingSerializer(serializers.Serializer[Any]):
    uuid = serializers.UUIDField(required=False)
    period_start = serializers.DateTimeField()
    period_end = serializers.DateTimeField()
    jellyseconds = serializers.IntegerField(help_text="Peers' time.")
    free_jellyseconds = serializers.IntegerField(required=False)
    billed_jellyseconds = serializers.IntegerField(required=False)
    amount = serializers.IntegerField(help_text="Of the whole bill, in cents.")
    currency = serializers.CharField()
    status = serializers.ChoiceField(choices=BillStatus.choices)
    invoice_url = serializers.URLField(required=False, allow_null=True)


@extend_schema_serializer(component_name="PagedMonthlyBillingOut")
class PagedMonthlyBillingSerializer(serializers.Serializer[Any]):
    items = MonthlyBillingSerializer(many=True)
    count = serializers.IntegerField(min_value=0)


@extend_schema_serializer(component_name="CurrentUsageOut")
class CurrentUsageSerializer(serializers.Serializer[Any]):
    amount = serializers.IntegerField(help_text="Peer-seconds used so far.")
    updated_at = serializers.DateTimeField(allow_null=True)
    end_timestamp = serializers.DateTimeField(help_text="When the month ends.")


def billing_row(bill: Bill) -> dict[str, Any]:
    used, free = bill.peer_ms // 1000, bill.free_ms // 1000
    return {
        "uuid": bill.uuid,
        "period_start": moment(hours.begin(bill.month)),
        "period_end": moment(hours.begin(hours.next_month(bill.month))),
        "jellyseconds": used,
        "free_jellyseconds": free,
        "billed_jellyseconds": used - free,
        "amount": bill.amount,
        "currency": bill.currency.lower(),
        "status": bill.status,
        "invoice_url": bill.invoice_url or None,
    }


def usage_row(standing: Standing | None, end: datetime) -> dict[str, Any]:
    return {
        "amount": standing.used if standing else 0,
        "updated_at": moment(standing.updated_at) if standing else None,
        "end_timestamp": moment(end),
    }
