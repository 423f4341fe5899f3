"""What records, costs and bills show, and what changes of them take."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from billing import states
from billing.models import BillStatus, LineKind, UsageKind
from billing.services.ledger import NOTE
from clusters.queries import CURRENCY
from controlplane.core.bodies import AmountField, Body

MARKS = (states.PAID, states.VOID, states.UNCOLLECTIBLE)


class Row(serializers.Serializer[Any]):
    """A row that is shown as it was written."""

    def to_representation(self, instance: Any) -> Any:
        return instance


def usd(words: str = "In USD, as decimal text.", **more: Any) -> serializers.CharField:
    return serializers.CharField(help_text=words, **more)


def _currency() -> serializers.ChoiceField:
    return serializers.ChoiceField(choices=[CURRENCY])


# --- Records -----------------------------------------------------------------------------------------


class ReferenceSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField(allow_null=True, help_text="Null when it is gone.")


class UsageClusterSerializer(ReferenceSerializer):
    name = serializers.CharField()


class UsageJobTypeSerializer(Row):
    id = serializers.IntegerField()
    name = serializers.CharField()
    version = serializers.CharField()


class UsagePriceSerializer(Row):
    offer = serializers.CharField()
    per_hour = usd()
    currency = _currency()


class TimesSerializer(Row):
    run_seconds = serializers.FloatField()
    vcpu_seconds = serializers.FloatField()
    gb_seconds = serializers.FloatField(help_text="Of memory; 1 GB is 1024 MiB.")
    peer_seconds = serializers.FloatField()
    free_peer_seconds = serializers.FloatField(help_text="Of these, what cost nothing.")


class UsageSerializer(TimesSerializer):
    id = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=UsageKind.choices)
    number = serializers.IntegerField(help_text="From 1 on it says what the records before it said wrongly.")
    begun = serializers.DateTimeField()
    ended = serializers.DateTimeField()
    customer = serializers.CharField(allow_null=True)
    owner = serializers.CharField(allow_null=True)
    job = ReferenceSerializer(allow_null=True)
    root_job = ReferenceSerializer(allow_null=True, help_text="The job itself, or the MapReduce job whose task it is.")
    execution = ReferenceSerializer(allow_null=True)
    container = ReferenceSerializer(allow_null=True)
    job_type = UsageJobTypeSerializer(allow_null=True)
    cluster = UsageClusterSerializer(allow_null=True)
    shape = serializers.CharField(allow_blank=True)
    cloud = serializers.CharField(allow_blank=True)
    region = serializers.CharField(allow_blank=True)
    price = UsagePriceSerializer(allow_null=True, help_text="Null: it had no price, and cost nothing.")
    currency = _currency()
    cost = usd()
    month = serializers.CharField(help_text="On whose bill it is, such as 2026-03.")
    note = serializers.CharField(allow_blank=True)
    entered_by = serializers.CharField(allow_null=True, help_text="Who of staff, of a correction.")
    corrects = serializers.IntegerField(allow_null=True, help_text="Id of the record that a correction is of.")
    metered = serializers.DateTimeField()


class BillOfSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    month = serializers.CharField()
    status = serializers.ChoiceField(choices=BillStatus.choices)


class LineOfSerializer(Row):
    position = serializers.IntegerField()
    label = serializers.CharField()  # type: ignore[assignment] # a name of the wire


class StripeOfSerializer(Row):
    invoice = serializers.CharField()
    item = serializers.CharField(allow_null=True)


class ReceiptSerializer(UsageSerializer):
    bill = BillOfSerializer(allow_null=True, help_text="Null until it is drawn up.")
    line = LineOfSerializer(allow_null=True)
    stripe = StripeOfSerializer(allow_null=True)
    others = UsageSerializer(many=True, help_text="What the meter said of the same time besides; they add up.")
    corrections = UsageSerializer(many=True, help_text="What staff corrected of it.")


class NewCorrectionSerializer(Body):
    amount = AmountField(is_signed=True, help_text="In USD; less than nothing is given back.")
    note = serializers.CharField(max_length=NOTE, help_text="Why. The customer reads it.")
    customer = serializers.CharField(max_length=255, required=False, help_text="Its name; needed without a record.")
    record = serializers.IntegerField(
        min_value=1, max_value=2**53, required=False, allow_null=True, help_text="Id of the record that it is of."
    )


# --- Costs -------------------------------------------------------------------------------------------


class SpentSerializer(TimesSerializer):
    """Of what it was grouped by, those that were asked for."""

    customer = serializers.CharField(required=False, allow_null=True)
    kind = serializers.ChoiceField(choices=UsageKind.choices, required=False)
    shape = serializers.CharField(required=False, allow_blank=True)
    job_type = serializers.CharField(required=False, allow_null=True, help_text="Name and version.")
    cluster = serializers.CharField(required=False, allow_null=True)
    cloud = serializers.CharField(required=False, allow_blank=True)
    region = serializers.CharField(required=False, allow_blank=True)
    day = serializers.DateField(required=False)
    month = serializers.CharField(required=False)
    records = serializers.IntegerField()
    cost = usd()


@extend_schema_serializer(many=False)
class CostsSerializer(Row):
    currency = _currency()
    results = SpentSerializer(many=True)
    total = usd("Of all groups, in USD.")


class CostOfSerializer(Row):
    currency = _currency()
    so_far = usd("What is metered, and what runs since then.")
    metered = usd()
    running = usd("Since it was metered last.")
    estimated_total = usd("What it may come to; null where nobody knows.", allow_null=True)


# --- Bills -------------------------------------------------------------------------------------------


class BillSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    customer = serializers.CharField()
    month = serializers.CharField(help_text="Such as 2026-03.")
    status = serializers.ChoiceField(choices=BillStatus.choices)
    currency = _currency()
    amount = usd("In USD, in whole cents.")
    exact = usd("Before it was rounded.")
    peer_seconds = serializers.FloatField()
    free_peer_seconds = serializers.FloatField()
    drawn_up = serializers.DateTimeField()
    opened = serializers.DateTimeField(allow_null=True)
    settled = serializers.DateTimeField(allow_null=True)
    stripe_invoice = serializers.CharField(allow_null=True)
    invoice_url = serializers.URLField(allow_null=True)


class LineSerializer(Row):
    position = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=LineKind.choices)
    label = serializers.CharField()  # type: ignore[assignment] # a name of the wire
    shape = serializers.CharField(allow_blank=True)
    job_type_id = serializers.IntegerField(allow_null=True)
    cluster_id = serializers.IntegerField(allow_null=True)
    records = serializers.IntegerField()
    seconds = serializers.FloatField(help_text="Of runs; on lines of peers, of their time.")
    free_seconds = serializers.FloatField()
    vcpu_seconds = serializers.FloatField()
    gb_seconds = serializers.FloatField()
    amount = usd("In USD, in whole cents; all lines come to the bill's.")
    exact = usd("Before it was rounded.")


class WholeBillSerializer(BillSerializer):
    lines = LineSerializer(many=True)


class MarkSerializer(Body):
    status = serializers.ChoiceField(choices=MARKS)
