"""Filters of the job list: the same ones, by the same names, as the native API and bulk work have.

So what a list shows is what an operation on "everything that matches" takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict

from accounts.models import Customer
from clusters.queries import CLOUDS
from controlplane.core.admin_filters import ChoiceFilter, ParameterFilter, TextFilter
from controlplane.core.beginnings import beginning
from controlplane.core.filters import read_reference
from jobs import states
from jobs.filters import TASKS_TOO, JobFilter
from jobs.models import Job, Shape
from jobtypes.models import Category


class _OfJobs(ParameterFilter):
    """Narrows by jobs.filters.JobFilter; what that refuses is said, and matches nothing."""

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        data = QueryDict(mutable=True)
        for name, given in self.values.items():
            data.setlist(name, given)
        found = JobFilter(data, queryset=rows)
        if found.is_valid():
            return found.qs
        for faults in found.faults().values():
            messages.error(request, f"{self.title}: {faults[0]}")
        return rows.none()


class StateFilter(_OfJobs, ChoiceFilter):
    title = "status"
    parameters = ("state",)
    words = tuple((state, state) for state in states.JOB_STATES)


class CloudFilter(_OfJobs, ChoiceFilter):
    title = "cloud"
    parameters = ("cloud",)
    words = tuple((cloud, cloud) for cloud in CLOUDS)


class RegionFilter(_OfJobs, TextFilter):
    title = "region"
    parameters = ("region",)


class CustomerFilter(_OfJobs, TextFilter):
    title = "customer, its whole name"
    parameters = ("customer",)


class ShapeFilter(_OfJobs, ChoiceFilter):
    title = "kind of work"
    parameters = ("shape",)
    words = tuple((value, str(text)) for value, text in Shape.choices)


class QueueFilter(_OfJobs, TextFilter):
    title = "queue"
    parameters = ("queue",)


class ClassFilter(_OfJobs, TextFilter):
    title = "class, its whole name"
    parameters = ("classification",)


class ReasonFilter(_OfJobs, TextFilter):
    title = "reason, such as CAP_JOBS or EXIT_1"
    parameters = ("reason",)


class CategoryFilter(_OfJobs, ChoiceFilter):
    title = "category of error"
    parameters = ("error_category",)
    words = tuple(Category.choices)


class JobTypeFilter(_OfJobs, TextFilter):
    title = "job type, its id"
    parameters = ("job_type_id",)


class FailureClusterFilter(_OfJobs, TextFilter):
    title = "failure cluster, its id"
    parameters = ("failure_cluster",)


class RecipeFilter(_OfJobs, TextFilter):
    title = "recipe, its id or uuid"
    parameters = ("recipe_id",)


class ParentFilter(_OfJobs, TextFilter):
    title = "tasks of the MapReduce job, its id or uuid"
    parameters = ("parent",)


class TasksFilter(_OfJobs, ChoiceFilter):
    title = "tasks of MapReduce jobs"
    parameters = (TASKS_TOO,)
    words = (("true", "with them"),)

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": "without them"}
        yield from others


class ChangedFilter(_OfJobs, TextFilter):
    title = "changed last"
    parameters = ("started", "ended")
    labels = ("from (2026-01-31T08:00Z, or PT1H ago)", "to")
    shortcuts = (("last hour", {"started": "PT1H"}), ("day", {"started": "P1D"}))


class SubmittedFilter(_OfJobs, TextFilter):
    title = "submitted"
    parameters = ("created_after", "created_before")
    labels = ("from (2026-01-31T08:00Z, or PT1H ago)", "to")
    shortcuts = (
        ("last hour", {"created_after": "PT1H"}),
        ("day", {"created_after": "P1D"}),
        ("week", {"created_after": "P7D"}),
    )


JOB_FILTERS: Final = (
    StateFilter,
    CloudFilter,
    RegionFilter,
    QueueFilter,
    ShapeFilter,
    CustomerFilter,
    ClassFilter,
    ReasonFilter,
    CategoryFilter,
    JobTypeFilter,
    FailureClusterFilter,
    RecipeFilter,
    ParentFilter,
    TasksFilter,
    ChangedFilter,
    SubmittedFilter,
)
SELECTABLE: Final = tuple(name for each in JOB_FILTERS for name in each.parameters)


def selection_of(data: QueryDict) -> dict[str, list[str]]:
    """The filters that an address gives, as bulk work takes them."""
    found = {name: given for name in SELECTABLE if (given := [value for value in data.getlist(name) if value])}
    return {} if found.keys() == {TASKS_TOO} else found


def jobs_meant(rows: QuerySet[Job], term: str) -> QuerySet[Job]:
    """The jobs that people mean by `term`: a uuid, an id, an exact customer, or how a class begins."""
    try:
        key = read_reference(term)
    except ValueError:
        # By ids that are known: over two tables, no index serves an OR.
        customers = list(Customer.objects.filter(name=term).values_list("pk", flat=True))
        return rows.filter(beginning("classification", term) | Q(customer__in=customers))
    return rows.filter(pk=key) if isinstance(key, int) else rows.filter(uuid=key)
