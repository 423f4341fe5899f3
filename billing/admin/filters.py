"""Filters of bills and of usage records. What cannot be read is said, and matches nothing.

Records are found by their months: what is looked for by something else is looked up in the sums by day first.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from accounts.models import Customer
from billing import queries, states
from billing.hours import parse_month
from billing.models import UsageKind, UsageRecord
from clusters.queries import CLOUDS
from controlplane.core import sets
from controlplane.core.admin_filters import ChoiceFilter, ParameterFilter, TextFilter
from jobs.models import Job, Shape
from jobs.queries.recipes import jobs_inside


def parse_day(text: str) -> date | None:
    """A day that people write as `2026-03-05`."""
    try:
        return date.fromisoformat(text) if parse_month(text[:7]) and len(text) == 10 else None
    except ValueError:
        return None


def _parse_id(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


class _Read(ParameterFilter):
    """Values that are read before rows are looked for."""

    expected: ClassVar[str]

    def read(self, text: str) -> Any:
        """What is meant; None: nothing."""
        raise NotImplementedError

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        found = [self.read(text) for text in self.values[self.parameters[0]]]
        if None in found:
            messages.error(request, f"{self.title}: {self.expected}")
            return rows.none()
        return self.matching(rows, found)

    def matching(self, rows: QuerySet[Any], found: list[Any]) -> QuerySet[Any]:
        return rows.filter(**{f"{self.parameters[0]}__in": found})


class StatusFilter(ChoiceFilter):
    title = "status"
    parameters = ("status",)
    words = tuple((status, status) for status in states.BILL_STATES)


class DueFilter(ChoiceFilter):
    title = "what is wrong with it"
    parameters = ("due",)
    words = (("overdue", "open for more than two weeks"), ("unsent", "could not be sent"))

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        chosen = {"overdue": queries.overdue, "unsent": queries.unsent}.get(self.values["due"][-1])
        return chosen(rows) if chosen else rows.none()


class SpentFilter(ChoiceFilter):
    title = "how much is spent"
    parameters = ("spent",)
    words = (("used-up", "used up"),)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return queries.used_up(rows) if self.values["spent"] == ["used-up"] else rows.none()


class BillMonthFilter(_Read, TextFilter):
    title = "month, such as 2026-03"
    parameters = ("month",)
    expected = "This is no month, such as 2026-03."

    def read(self, text: str) -> Any:
        return parse_month(text)


class RecordMonthFilter(BillMonthFilter):
    """By the bill on which a record is."""

    title = "month of the bill, such as 2026-03"

    def matching(self, rows: QuerySet[Any], found: list[Any]) -> QuerySet[Any]:
        return rows.filter(bill_month__in=found)


class DayFilter(_Read, TextFilter):
    title = "day, such as 2026-03-05"
    parameters = ("day",)
    expected = "This is no day, such as 2026-03-05."

    def read(self, text: str) -> Any:
        return parse_day(text)

    def matching(self, rows: QuerySet[Any], found: list[Any]) -> QuerySet[Any]:
        wanted = Q(pk__in=[])
        for day in found:
            begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
            wanted |= Q(begun_at__gte=begin, begun_at__lt=begin + timedelta(days=1))
        return rows.filter(wanted, bill_month__in=queries.months_with(day__in=found))


class CustomerFilter(TextFilter):
    title = "customer, the whole name"
    parameters = ("customer",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        named = Customer.objects.filter(name__in=self.values["customer"])
        found = list(named.values_list("pk", flat=True))
        return rows.filter(customer__in=found, bill_month__in=queries.months_with(customer_id__in=found))


class KindFilter(ChoiceFilter):
    title = "kind"
    parameters = ("kind",)
    words = tuple((kind, str(kind.label)) for kind in UsageKind)


class CloudFilter(ChoiceFilter):
    title = "cloud"
    parameters = ("cloud",)
    words = tuple((cloud, cloud) for cloud in CLOUDS)


class JobFilter(_Read, TextFilter):
    title = "job, its id: tasks count to their MapReduce job, too"
    parameters = ("job",)
    expected = "This is no id."

    def read(self, text: str) -> Any:
        return _parse_id(text)

    def matching(self, rows: QuerySet[Any], found: list[Any]) -> QuerySet[Any]:
        # The index is by the whole job: a task's records are among those of the job that it is of.
        parents = Job.objects.filter(pk__in=found, parent__isnull=False).values_list("parent_id", flat=True)
        wanted = Q(root_id__in=found) | Q(job_id__in=found)
        return rows.filter(wanted, root_id__in=[*found, *parents])


class RecipeFilter(_Read, TextFilter):
    title = "recipe, its id: with the jobs of recipes inside it"
    parameters = ("recipe",)
    expected = "This is no id."

    def read(self, text: str) -> Any:
        return _parse_id(text)

    def matching(self, rows: QuerySet[Any], found: list[Any]) -> QuerySet[Any]:
        return rows.filter(sets.among("root_id", jobs_inside(found), UsageRecord))


class ShapeFilter(ChoiceFilter):
    title = "shape of the job"
    parameters = ("shape",)
    words = tuple((shape, str(shape.label)) for shape in Shape if shape not in (Shape.MAP, Shape.REDUCE))

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        wanted = Q(pk__in=[])
        for shape in self.values["shape"]:
            wanted |= queries.records_at(shape=shape)
        return rows.filter(wanted)


class _OfId(_Read, TextFilter):
    """By an id; 0: those that have none."""

    expected = "This is no id."

    def read(self, text: str) -> Any:
        return _parse_id(text)

    def matching(self, rows: QuerySet[Any], found: list[Any]) -> QuerySet[Any]:
        name = f"{self.parameters[0]}_id"
        wanted = Q(**{f"{name}__in": found})
        if 0 in found:
            return rows.filter(wanted | Q(**{f"{name}__isnull": True}))
        return rows.filter(wanted, bill_month__in=queries.months_with(**{f"{name}__in": found}))


class JobTypeFilter(_OfId):
    title = "job type, its id (0: none)"
    parameters = ("job_type",)


class ClusterFilter(_OfId):
    title = "cluster, its id (0: none)"
    parameters = ("cluster",)
