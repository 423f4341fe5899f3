"""What lists of jobs and of clusters of failures can be asked for; bulk work selects its jobs by the same filters."""

from __future__ import annotations

from typing import Final

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import QueryDict

from clusters.queries import CLOUDS
from controlplane.core.filters import (
    AbsentFilter,
    BooleanField,
    BooleanFilter,
    ChoicesFilter,
    FilterSet,
    MomentFilter,
    ReferencesFilter,
    TextsFilter,
    WholesFilter,
)
from jobs import queries, sql, states
from jobs.models import FailureCluster, Job, Shape
from jobtypes.models import Category

TASKS_TOO: Final = "tasks"


def listed(jobs: QuerySet[Job], asked: QueryDict) -> QuerySet[Job]:
    """Those of `jobs` that a list is about: tasks of MapReduce jobs only where they, or their parent, are asked for."""
    with_tasks = "parent" in asked or BooleanField.WORDS.get(asked.get(TASKS_TOO, "").lower())
    return jobs if with_tasks else jobs.filter(parent__isnull=True)


class JobFilter(FilterSet):
    """Filters of jobs. `started` and `ended` are about the last change, as in Scale."""

    status = ChoicesFilter(choices=states.SHOWN_STATES, method="of_status", label="status, as v6 shows it")
    state = ChoicesFilter(choices=states.JOB_STATES, field_name="status", label="state, the finer one")
    job_id = ReferencesFilter(field_name="id", label="id or uuid")
    customer = TextsFilter(field_name="customer__name", label="name of the customer")
    owner = TextsFilter(field_name="owner__username", label="user name of the owner")
    cloud = ChoicesFilter(choices=CLOUDS, field_name="place__cloud", label="cloud")
    region = TextsFilter(field_name="place__region", label="region")
    shape = ChoicesFilter(choices=Shape.values, field_name="shape", label="kind of work")
    classification = TextsFilter(field_name="classification", label="class, exactly")
    queue = TextsFilter(field_name="lane__queue", label="queue")
    tag = TextsFilter(method="tagged", label="key, or key:value")
    reason = TextsFilter(method="for_reason", label="code of why it waits, or ended as it did")
    error_id = WholesFilter(field_name="error_id", label="id of its error")
    error_category = ChoicesFilter(choices=Category.values, field_name="error__category", label="whose fault")
    failure_cluster = WholesFilter(method="of_cluster", label="id of the cluster of its last failure")
    retry_of = ReferencesFilter(field_name="retry_of", label="id or uuid of the job it retries")
    on_hold = BooleanFilter(field_name="lane__on_hold", label="held one by one")
    started = MomentFilter(field_name="modified_at", lookup_expr="gte", label="changed at or after")
    ended = MomentFilter(field_name="modified_at", lookup_expr="lte", label="changed at or before")
    created_after = MomentFilter(field_name="submitted_at", lookup_expr="gte", label="submitted at or after")
    created_before = MomentFilter(field_name="submitted_at", lookup_expr="lte", label="submitted at or before")
    is_superseded = BooleanFilter(
        field_name="superseded_at", lookup_expr="isnull", exclude=True, label="superseded by another job"
    )
    job_type_id = WholesFilter(field_name="job_type_id", label="id of its job type")
    job_type_name = TextsFilter(field_name="job_type__name", label="name of its job type")
    parent = ReferencesFilter(field_name="parent", label="id or uuid of the MapReduce job whose task it is")
    tasks = BooleanFilter(method="with_tasks", label="true: with the tasks of MapReduce jobs")
    recipe_id = ReferencesFilter(field_name="recipe", label="id or uuid of its recipe")
    # Of Scale's, for what no job here has.
    batch_id = AbsentFilter(label="id of its batch")
    source_sensor_class = AbsentFilter(label="of its source files")
    source_sensor = AbsentFilter(label="of its source files")
    source_collection = AbsentFilter(label="of its source files")
    source_task = AbsentFilter(label="of its source files")

    class Meta:
        model = Job
        fields: list[str] = []

    def of_status(self, jobs: QuerySet[Job], name: str, value: list[str]) -> QuerySet[Job]:
        shown = [state for state in states.JOB_STATES if states.SHOWN[state] in value]
        # Between the two CANCELINGs stands whether an execution has started.
        if ("QUEUED" not in value and "RUNNING" not in value) or {"QUEUED", "RUNNING"} <= set(value):
            return jobs.filter(status__in=shown) if value else jobs
        plain = Q(status__in=[state for state in shown if state != states.CANCELING])
        return jobs.filter(plain | Q(status=states.CANCELING, started_at__isnull="QUEUED" in value))

    def of_cluster(self, jobs: QuerySet[Job], name: str, value: list[int]) -> QuerySet[Job]:
        """One is said as a range of one. To whom it equals a constant, ordering by it first says nothing: PostgreSQL
        would go through all jobs by their ids for a page of those of a cluster."""
        if len(value) != 1:
            return jobs.filter(failure_cluster__in=value) if value else jobs
        return jobs.filter(failure_cluster__gte=value[0], failure_cluster__lte=value[0])

    def chosen(self) -> dict[str, list[str]]:
        """As of every list; that tasks are meant, too, chooses nothing."""
        found: dict[str, list[str]] = super().chosen()
        return {} if found.keys() == {TASKS_TOO} else found

    def with_tasks(self, jobs: QuerySet[Job], name: str, value: bool) -> QuerySet[Job]:
        return jobs  # `listed` has left them out, or not

    def tagged(self, jobs: QuerySet[Job], name: str, value: list[str]) -> QuerySet[Job]:
        wanted = Q()
        for tag in value:
            key, colon, text = tag.partition(":")
            wanted |= Q(sql.tagged(key, text)) if colon else Q(sql.has_tag(key))
        return jobs.filter(wanted)

    def for_reason(self, jobs: QuerySet[Job], name: str, value: list[str]) -> QuerySet[Job]:
        return queries.for_reasons(jobs, value) if value else jobs


class FailureClusterFilter(FilterSet):
    """Filters of clusters. The error is the one that staff have named, else the one that its failures had."""

    error_id = WholesFilter(method="of_error", label="id of its error")
    error_category = ChoicesFilter(choices=Category.values, method="of_category", label="whose fault")
    is_named = BooleanFilter(field_name="named", lookup_expr="isnull", exclude=True, label="staff have named it")
    is_open = BooleanFilter(method="with_failed", label="some of its jobs are failed now")
    started = MomentFilter(field_name="last_seen", lookup_expr="gte", label="seen last at or after")
    ended = MomentFilter(field_name="last_seen", lookup_expr="lte", label="seen last at or before")

    class Meta:
        model = FailureCluster
        fields: list[str] = []

    def of_error(self, rows: QuerySet[FailureCluster], name: str, value: list[int]) -> QuerySet[FailureCluster]:
        return rows.filter(Q(named__in=value) | Q(named=None, error__in=value)) if value else rows

    def of_category(self, rows: QuerySet[FailureCluster], name: str, value: list[str]) -> QuerySet[FailureCluster]:
        chosen = Q(named__category__in=value) | Q(named=None, error__category__in=value)
        return rows.filter(chosen) if value else rows

    def with_failed(self, rows: QuerySet[FailureCluster], name: str, value: bool) -> QuerySet[FailureCluster]:
        failed = Exists(Job.objects.filter(failure_cluster=OuterRef("pk"), status__in=states.FAILED_STATES))
        return rows.filter(failed if value else ~failed)
