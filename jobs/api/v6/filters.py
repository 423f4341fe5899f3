"""Filters of the lists beside the jobs'."""

from __future__ import annotations

from django.db.models import QuerySet

from controlplane.core.filters import (
    AbsentFilter,
    ChoicesFilter,
    FilterSet,
    MomentFilter,
    TextsFilter,
    WholesFilter,
)
from jobs import states
from jobs.models import Execution, Gate, Hold, Kind, LoadSample, Operation, OperationFailure, Scope
from jobtypes.models import Category


class ExecutionFilter(FilterSet):
    """Filters of a job's executions."""

    status = ChoicesFilter(choices=states.SHOWN_EXECUTION_STATES, method="of_status", label="status, as v6 shows it")
    node_id = AbsentFilter(label="id of its node")
    error_id = WholesFilter(field_name="error_id", label="id of its error")
    error_category = ChoicesFilter(choices=Category.values, field_name="error__category", label="whose fault")

    class Meta:
        model = Execution
        fields: list[str] = []

    def of_status(self, rows: QuerySet[Execution], name: str, value: list[str]) -> QuerySet[Execution]:
        shown = [state for state, as_shown in states.SHOWN_EXECUTION.items() if as_shown in value]
        return rows.filter(status__in=shown) if value else rows


class OperationFilter(FilterSet):
    """Filters of bulk work."""

    kind = ChoicesFilter(choices=Kind.values, field_name="kind")
    status = ChoicesFilter(choices=states.OPERATION_STATES, field_name="status")
    created_by = TextsFilter(field_name="created_by__username", label="user name of who started it")

    class Meta:
        model = Operation
        fields: list[str] = []


class FailureFilter(FilterSet):
    """What bulk work could not do is not filtered: anything asked for is refused by name."""

    class Meta:
        model = OperationFailure
        fields: list[str] = []


class HoldFilter(FilterSet):
    """Filters of holds."""

    scope = ChoicesFilter(choices=Scope.values, field_name="scope")
    code = TextsFilter(field_name="code")
    job = TextsFilter(method="of_job", label="id of a job that is held by itself")

    class Meta:
        model = Hold
        fields: list[str] = []

    def of_job(self, holds: QuerySet[Hold], name: str, value: list[str]) -> QuerySet[Hold]:
        return holds.filter(scope=Scope.JOB, scope_id__in=value) if value else holds


class QuotaFilter(FilterSet):
    """Filters of quotas."""

    scope = ChoicesFilter(choices=[scope for scope in Scope.values if scope != Scope.JOB], field_name="scope")

    class Meta:
        model = Gate
        fields: list[str] = []


class LoadFilter(FilterSet):
    """Filters of the load."""

    started = MomentFilter(method="kept", label="from; seven days ago if not given")
    ended = MomentFilter(method="kept", label="to; now if not given")
    job_type_id = AbsentFilter(label="id of a job type")
    job_type_name = AbsentFilter(label="name of a job type")

    class Meta:
        model = LoadSample
        fields: list[str] = []

    def kept(self, rows: QuerySet[LoadSample], name: str, value: object) -> QuerySet[LoadSample]:
        """The view bounds the time itself, since it has a default and a longest span."""
        return rows
