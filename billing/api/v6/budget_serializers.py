"""What budgets take and show."""

from __future__ import annotations

from rest_framework import serializers

from billing.api.v6.serializers import Row, UsageJobTypeSerializer, usd
from billing.models import Period
from clusters.queries import CURRENCY
from controlplane.core.bodies import AmountField, Body


class BudgetSerializer(Row):
    id = serializers.IntegerField()
    uuid = serializers.UUIDField()
    customer = serializers.CharField(allow_null=True)
    job_type = UsageJobTypeSerializer(allow_null=True)
    period = serializers.ChoiceField(choices=Period.choices, help_text="Each month of UTC anew, or all from `begins`.")
    begins = serializers.DateField(help_text="The first day that counts.")
    counted_from = serializers.DateField(allow_null=True, help_text="The first day of what is spent now.")
    currency = serializers.ChoiceField(choices=[CURRENCY])
    limit = usd()
    is_hard = serializers.BooleanField(help_text="Nothing starts that might go beyond it.")
    spent = usd("What is metered.")
    reserved = usd("What runs may still come to.")
    share = serializers.IntegerField(help_text="Of it, what is spent, in percent.")
    warned = serializers.IntegerField(help_text="The highest share that was told of, in percent.")
    is_used_up = serializers.BooleanField()
    set_by = serializers.CharField(allow_null=True)
    created = serializers.DateTimeField()
    changed = serializers.DateTimeField()


class NewBudgetSerializer(Body):
    customer = serializers.CharField(
        max_length=255, required=False, allow_null=True, help_text="Its name: a budget is of a customer or a job type."
    )
    job_type_id = serializers.IntegerField(min_value=1, max_value=2**53, required=False, allow_null=True)
    period = serializers.ChoiceField(choices=Period.choices, required=False, help_text="`month` if not given.")
    limit = AmountField(help_text="In USD, up to a billion.")
    is_hard = serializers.BooleanField(required=False, help_text="True if not given.")
    begins = serializers.DateField(required=False, help_text="The first day that counts; today if not given.")


class BudgetChangeSerializer(Body):
    limit = AmountField(required=False)
    is_hard = serializers.BooleanField(required=False)
