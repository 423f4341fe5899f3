"""How the jobs of each job type are doing. For staff: what a type is used for by all is no customer's affair."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.v6.base import NativeViewSet, user_of
from controlplane.core.pagination import Computed, ComputedPages, Key, Orders
from jobs import queries
from jobs.api.v6 import statistics_rows as rows
from jobs.api.v6 import statistics_serializers as serializers
from jobs.api.v6.statistics_filters import NoFilter, StatusFilter
from jobs.queries import statistics
from jobtypes.models import JobType
from jobtypes.queries import DOCUMENTS

USUAL: Final = timedelta(hours=3)


class StatusViewSet(NativeViewSet):
    """Jobs by status."""

    noun: ClassVar[str] = "statistics"
    queryset = JobType.objects.all()
    serializer_class = serializers.JobTypeStatusSerializer
    filterset_class = StatusFilter
    orders: ClassVar[Orders] = {"last_modified": Key("modified_at")}
    default_order = ("last_modified",)
    count_exact_to = sys.maxsize - 1
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"list": (403,)}

    def get_queryset(self) -> QuerySet[JobType]:
        return JobType.objects.defer(*DOCUMENTS)

    @extend_schema(
        summary="Job types with their jobs by status: those of a time, and all that run",
        operation_id="scale_list_job_type_status",
    )
    def list(self, request: Request) -> Response:
        queries.check_may_read_all(user_of(request))
        wish = StatusFilter(request.query_params, queryset=self.get_queryset()).checked()
        found: list[JobType] = self.paginate_queryset(wish.qs) or []
        times = wish.form.cleaned_data
        started = times["started"] or timezone.now() - USUAL
        counts = statistics.status_counts([each.pk for each in found], started=started, ended=times["ended"])
        return self.get_paginated_response([rows.status(each, counts[each.pk]) for each in found])


class _ComputedViewSet(NativeViewSet):
    """A list of job types that have jobs of some kind."""

    noun: ClassVar[str] = "statistics"
    queryset = JobType.objects.all()
    pagination_class = ComputedPages
    filterset_class = NoFilter
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"list": (403,)}

    def computed(self, read: Computed, show: Callable[[Any], dict[str, Any]]) -> Response:
        queries.check_may_read_all(user_of(self.request))
        NoFilter(self.request.query_params, queryset=self.get_queryset()).checked()
        page: Any = read  # a queryset as a rule
        return self.get_paginated_response([show(row) for row in self.paginate_queryset(page) or []])


class PendingViewSet(_ComputedViewSet):
    """Jobs that wait for their input."""

    serializer_class = serializers.JobTypePendingSerializer

    @extend_schema(summary="Job types with pending jobs, longest first", operation_id="scale_list_job_types_pending")
    def list(self, request: Request) -> Response:
        return self.computed(statistics.pending, lambda row: rows.in_state(row, "longest_pending"))


class RunningViewSet(_ComputedViewSet):
    """Jobs that run."""

    serializer_class = serializers.JobTypeRunningSerializer

    @extend_schema(summary="Job types with running jobs, longest first", operation_id="scale_list_job_types_running")
    def list(self, request: Request) -> Response:
        return self.computed(statistics.running, lambda row: rows.in_state(row, "longest_running"))


class SystemFailureViewSet(_ComputedViewSet):
    """Jobs that failed, and not by their own fault."""

    serializer_class = serializers.JobTypeSystemFailureSerializer

    @extend_schema(
        summary="What jobs of each job type failed with that was the system's fault, the latest first",
        operation_id="scale_list_job_type_system_failures",
    )
    def list(self, request: Request) -> Response:
        return self.computed(statistics.system_failures, rows.failures)
