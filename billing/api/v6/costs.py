"""What was spent: grouped, and of one thing."""

from __future__ import annotations

from typing import ClassVar, Final

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from billing import queries
from billing.api.v6 import rows, serializers
from billing.api.v6.filters import CostFilter
from billing.models import UsageDay
from clusters.models import Cluster
from clusters.queries import find_cluster_for
from jobs.models import Job
from jobs.queries import check_may_read_all, find_job
from jobtypes.api.v6.views.job_types import NAME, VERSION
from jobtypes.models import JobType
from jobtypes.queries import find_job_type

JOB: Final = OpenApiParameter("job", str, "path", description="Its id or uuid.")
CLUSTER: Final = OpenApiParameter("cluster", str, "path", description="Its id or uuid.")


class CostsViewSet(NativeViewSet):
    """Sums of what was used."""

    queryset = UsageDay.objects.all()
    serializer_class = serializers.CostsSerializer
    filterset_class = CostFilter
    pagination_class = None

    @extend_schema(
        summary="What was spent, grouped",
        description=f"By what `group_by` names. At most {queries.MOST_GROUPS} groups, without pages.",
        responses={200: serializers.CostsSerializer},
    )
    def list(self, request: Request) -> Response:
        days = queries.visible_days(user_of(request))
        wish = CostFilter(request.query_params, queryset=days).checked()
        by = [name for names in wish.form.cleaned_data["group_by"] for name in names]
        return Response(rows.costs(queries.costs_by(wish.qs, by)))


class _CostViewSet(NativeViewSet):
    serializer_class = serializers.CostOfSerializer
    pagination_class = None
    filter_backends = ()


class JobCostViewSet(_CostViewSet):
    """What a job costs."""

    noun: ClassVar[str] = "job"
    queryset = Job.objects.all()

    @extend_schema(
        summary="What a job costs",
        description="All its tries, and all tasks of a MapReduce job; with what it may come to, by what its like took.",
        operation_id="get_job_cost",
        parameters=[JOB],
    )
    def retrieve(self, request: Request, job: str) -> Response:
        return Response(rows.cost(queries.job_cost(find_job(user_of(request), job, access.READ))))


class ClusterCostViewSet(_CostViewSet):
    """What a cluster costs."""

    noun: ClassVar[str] = "cluster"
    queryset = Cluster.objects.all()

    @extend_schema(
        summary="What a cluster costs",
        description="All its containers, up to the last full hour.",
        operation_id="get_cluster_cost",
        parameters=[CLUSTER],
    )
    def retrieve(self, request: Request, cluster: str) -> Response:
        return Response(rows.cost(queries.cluster_cost(find_cluster_for(user_of(request), cluster, access.READ))))


class JobTypeCostViewSet(_CostViewSet):
    """What the jobs of a job type cost. For staff: what a type is used for by all is no customer's affair."""

    noun: ClassVar[str] = "statistics"
    queryset = JobType.objects.all()
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"retrieve": (403,)}

    @extend_schema(
        summary="What all jobs of a job type cost",
        description="Of this version of it. For staff.",
        operation_id="get_job_type_cost",
        parameters=[NAME, VERSION],
    )
    def retrieve(self, request: Request, name: str, version: str) -> Response:
        user = user_of(request)
        check_may_read_all(user)
        return Response(rows.cost(queries.job_type_cost(find_job_type(user, name, version))))
