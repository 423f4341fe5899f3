"""What lists of money's rows can be asked for."""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Final

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field

from accounts.models import Customer
from billing.models import Bill, BillStatus, Budget, Period, UsageDay, UsageKind, UsageRecord
from billing.queries import GROUPS, of_jobs, of_sources
from billing.queries.records import OF_CONTAINERS
from clusters.models import Cluster, Container
from controlplane.core.filters import ChoicesFilter, FilterSet, MomentFilter, ReferencesFilter, SingleInput, TextsFilter
from jobs.models import Execution
from jobtypes.models import JobType

MONTH: Final = "[0-9]{4}-(0[1-9]|1[0-2])"
DAY: Final = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


def read_month(text: str) -> date:
    try:
        return date.fromisoformat(f"{text}-01" if re.fullmatch(MONTH, text) else "")
    except ValueError:
        raise ValueError("This is a month, such as 2026-03.") from None


def read_groups(text: str) -> list[str]:
    """One or more of what costs are grouped by, between commas."""
    names = [each.strip() for each in text.split(",")]
    if wrong := [each for each in names if each not in GROUPS]:
        raise ValueError(f"{wrong[0][:64]!r} is not one of {', '.join(GROUPS)}.")
    return names


# An empty value counts as not given, as a form sends it.
@extend_schema_field({"type": "array", "items": {"type": "string", "pattern": f"^({MONTH})?$"}})
class MonthsFilter(TextsFilter):
    """Months."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, read=read_month, **more)


@extend_schema_field({"type": "array", "items": {"type": "string", "enum": [*GROUPS, ""]}})
class GroupsFilter(TextsFilter):
    """What to group by, one or more in each value."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, read=read_groups, **more)


class DayField(forms.Field):
    """A day, such as 2026-03-31."""

    widget = SingleInput

    def to_python(self, value: Any) -> date | None:
        if value in (None, ""):
            return None
        try:
            return date.fromisoformat(value if re.fullmatch(DAY, value) else "")
        except ValueError:
            raise ValidationError("This is a day, such as 2026-03-31.") from None


@extend_schema_field({"type": "string", "pattern": f"^({DAY})?$"})
class DayFilter(django_filters.Filter):
    """A day; `lookup_expr` says on which side of it."""

    field_class = DayField


class UsageFilter(FilterSet):
    """Filters of what was used."""

    kind = ChoicesFilter(choices=UsageKind.values, field_name="kind", label="of what it was used")
    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    owner = TextsFilter(field_name="owner__username", label="user name of whose it was")
    job = ReferencesFilter(method="of_job", label="id or uuid of a job; of a MapReduce job, all its tasks")
    execution = ReferencesFilter(method="of_execution", label="uuid or id of an execution")
    container = ReferencesFilter(method="of_container", label="uuid or id of a container")
    cluster = ReferencesFilter(method="of_cluster", label="uuid or id of a cluster")
    job_type = TextsFilter(method="of_job_type", label="name of a job type, all its versions")
    cloud = TextsFilter(field_name="cloud", label="cloud")
    region = TextsFilter(field_name="region", label="region")
    since = MomentFilter(field_name="begun_at", lookup_expr="gte", label="begun at or after")
    until = MomentFilter(field_name="begun_at", lookup_expr="lt", label="begun before")
    month = MonthsFilter(field_name="bill_month", label="month on whose bill it is, such as 2026-03")

    class Meta:
        model = UsageRecord
        fields: list[str] = []

    def of_job(self, rows: QuerySet[UsageRecord], name: str, value: list[Any]) -> QuerySet[UsageRecord]:
        return of_jobs(rows, value) if value else rows

    def of_execution(self, rows: QuerySet[UsageRecord], name: str, value: list[Any]) -> QuerySet[UsageRecord]:
        return of_sources(rows, Execution, (UsageKind.EXECUTION,), value) if value else rows

    def of_container(self, rows: QuerySet[UsageRecord], name: str, value: list[Any]) -> QuerySet[UsageRecord]:
        return of_sources(rows, Container, OF_CONTAINERS, value) if value else rows

    def of_cluster(self, rows: QuerySet[UsageRecord], name: str, value: list[Any]) -> QuerySet[UsageRecord]:
        return _of_clusters(rows, value)

    def of_job_type(self, rows: QuerySet[UsageRecord], name: str, value: list[str]) -> QuerySet[UsageRecord]:
        return _of_job_types(rows, value)


class CostFilter(FilterSet):
    """Which costs, and how to group them."""

    group_by = GroupsFilter(
        method="kept", label="what to group by, repeated or between commas; without it all come to one"
    )
    since = DayFilter(field_name="day", lookup_expr="gte", label="first day, of UTC")
    until = DayFilter(field_name="day", lookup_expr="lte", label="last day, of UTC")
    month = MonthsFilter(field_name="bill_month", label="month on whose bill it is, such as 2026-03")
    customer = TextsFilter(method="of_customer", label="name of the customer")
    job_type = TextsFilter(method="of_job_type", label="name of a job type, all its versions")
    cloud = TextsFilter(field_name="cloud", label="cloud")
    region = TextsFilter(field_name="region", label="region")
    cluster = ReferencesFilter(method="of_cluster", label="uuid or id of a cluster")

    class Meta:
        model = UsageDay
        fields: list[str] = []

    def kept(self, rows: QuerySet[UsageDay], name: str, value: object) -> QuerySet[UsageDay]:
        """The view groups them."""
        return rows

    def of_customer(self, rows: QuerySet[UsageDay], name: str, value: list[str]) -> QuerySet[UsageDay]:
        return rows.filter(customer_id__in=Customer.objects.filter(name__in=value).values("pk")) if value else rows

    def of_job_type(self, rows: QuerySet[UsageDay], name: str, value: list[str]) -> QuerySet[UsageDay]:
        return _of_job_types(rows, value)

    def of_cluster(self, rows: QuerySet[UsageDay], name: str, value: list[Any]) -> QuerySet[UsageDay]:
        return _of_clusters(rows, value)


class BillFilter(FilterSet):
    """Filters of bills."""

    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    month = MonthsFilter(field_name="month", label="month, such as 2026-03")
    status = ChoicesFilter(choices=BillStatus.values, field_name="status", label="status")

    class Meta:
        model = Bill
        fields: list[str] = []


class BudgetFilter(FilterSet):
    """Filters of budgets."""

    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    job_type = TextsFilter(field_name="job_type__name", label="name of the job type")
    period = ChoicesFilter(choices=Period.values, field_name="period", label="over what it is counted")

    class Meta:
        model = Budget
        fields: list[str] = []


def _of_job_types(rows: QuerySet[Any], names: list[str]) -> QuerySet[Any]:
    return rows.filter(job_type_id__in=JobType.objects.filter(name__in=names).values("pk")) if names else rows


def _of_clusters(rows: QuerySet[Any], named: list[Any]) -> QuerySet[Any]:
    """Those that are gone are known by their ids still."""
    if not named:
        return rows
    uuids = [each for each in named if not isinstance(each, int)]
    ids = set(Cluster.objects.filter(uuid__in=uuids).values_list("pk", flat=True)) if uuids else set()
    return rows.filter(cluster_id__in=ids | {each for each in named if isinstance(each, int)})
