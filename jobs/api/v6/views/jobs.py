"""Jobs: submit, list, show, steer one by one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.db.models import DurationField, ExpressionWrapper, F, QuerySet
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_view,
)
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from controlplane.core.errors import InvalidRequest
from controlplane.core.filters import FilterSet
from controlplane.core.openapi import REFERENCE
from controlplane.core.pagination import LAST_MOMENT, Key, Orders
from jobs import following, queries, services
from jobs.api.v6 import examples, rows, serializers
from jobs.api.v6.decode import decode, priority_of
from jobs.api.v6.dry_run import forecasts, is_dry_run
from jobs.api.v6.dry_run_serializers import ForecastSerializer
from jobs.api.v6.filters import ExecutionFilter
from jobs.api.v6.mapreduce_decode import decode_mapreduce, is_mapreduce
from jobs.api.v6.mapreduce_serializers import NewMapReduceJobSerializer
from jobs.api.v6.policy_rows import standing
from jobs.errors import JobState
from jobs.filters import JobFilter, listed
from jobs.models import Execution, Job
from jobtypes.api.v6.examples import body as body_example

DURATION = ExpressionWrapper(F("ended_at") - F("started_at"), output_field=DurationField())
NO_DURATION = timedelta(days=100_000)  # longer than any job takes, and still told apart in a key
JOB_ORDERS: Orders = {
    "last_modified": Key("modified_at"),
    "id": Key("pk"),
    "created": Key("submitted_at"),
    "queued": Key("queued_at", LAST_MOMENT),
    "started": Key("started_at", LAST_MOMENT),
    "ended": Key("ended_at", LAST_MOMENT),
    "last_status_change": Key("moved_at"),
    "duration": Key(DURATION, NO_DURATION),
    "status": Key("status"),
    "priority": Key("priority"),
    "classification": Key("classification"),
    "num_exes": Key("tries"),
    "max_tries": Key("max_tries"),
}
NEW_JOBS = PolymorphicProxySerializer(
    "NewJobs",
    [
        serializers.NewJobSerializer,
        serializers.NewJobSerializer(many=True),
        serializers.NewSeedJobSerializer,
        serializers.NewSeedJobSerializer(many=True),
        NewMapReduceJobSerializer,
    ],
    resource_type_field_name=None,
    many=False,
)
MADE_JOBS = PolymorphicProxySerializer(
    "MadeJobs",
    [serializers.JobDetailSerializer, serializers.SubmittedSerializer(many=True)],
    resource_type_field_name=None,
    many=False,
)
FORECASTS = PolymorphicProxySerializer(
    "Forecasts",
    [ForecastSerializer, ForecastSerializer(many=True)],
    resource_type_field_name=None,
    many=False,
)
DRY_RUN = OpenApiParameter(
    "dry_run",
    bool,
    description="With true nothing is submitted: the answer, 200, says where each job would run, what it would wait "
    f"for and what it will cost. Up to {services.MOST_FORECAST} jobs.",
)


@extend_schema_view(
    list=extend_schema(
        summary="Jobs, by default in the order in which they changed",
        description="Staff see all jobs, a customer's user those of the customer. Each filter may be repeated: "
        "values of one are OR-ed, different filters AND-ed. `started` and `ended` are about the last change of a "
        "job, and take a span before now, too: `PT2H`. Follow `next` for the rest.",
    )
)
class JobViewSet(NativeViewSet):
    """Jobs of every shape, whichever surface they came through."""

    scopes: ClassVar = {"create": TokenScope.SUBMIT}
    queryset = Job.objects.all()
    serializer_class = serializers.JobSerializer
    filterset_class = JobFilter
    orders = JOB_ORDERS
    default_order = ("last_modified",)
    columns = queries.LISTED
    lookup_value_regex = REFERENCE
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"create": (404,), "explain": (403,), "list": (403,)}

    def get_queryset(self) -> QuerySet[Job, Any]:
        return queries.visible_jobs(user_of(self.request))

    def _job(self, pk: str, may: str) -> Job:
        return queries.find_job(user_of(self.request), pk, may)

    def _detail(self, job_id: int) -> dict[str, Any]:
        return rows.job_detail(self._job(str(job_id), access.READ), user_of(self.request))

    def _made(self, job_id: int) -> Response:
        return self.made(self._detail(job_id), "job-detail", job_id)

    def list(self, request: Request) -> Response:
        return self.page(listed(self.get_queryset(), request.query_params), rows.jobs)

    @extend_schema(
        summary="Submit a job, or a list of up to 10 000: all of them or none",
        description="One job is answered with all there is of it, a list with the ids in the same order. Staff say for "
        "which `customer` it is. With an `Idempotency-Key` a request can be sent again safely.",
        parameters=[DRY_RUN],
        request=NEW_JOBS,
        responses={200: FORECASTS, 201: MADE_JOBS},
        examples=[
            body_example("one job", examples.NEW_JOB),
            body_example("a MapReduce job", examples.NEW_MAPREDUCE_JOB),
            body_example("two at once", [examples.NEW_JOB, {**examples.NEW_JOB, "priority": 10}]),
            OpenApiExample("a dry run", examples.FORECAST, response_only=True, status_codes=["200"]),
        ],
    )
    def create(self, request: Request) -> Response:
        user, body = user_of(request), request.data
        queries.check_may_submit(user)
        if is_dry_run(request.query_params):
            return Response(forecasts(body, user))
        if isinstance(body, dict) and is_mapreduce(body):
            wish = decode_mapreduce(body, user)
            return self._made(int(self.once(lambda: [str(services.submit_mapreduce(owner=user, wish=wish).pk)])[0]))
        many = isinstance(body, list)
        wanted = decode(body, user)

        def submit() -> list[str]:
            made = services.submit_jobs(owner=user, requests=wanted)
            return [f"{job.id}:{job.uuid}" for job in made]

        made = [each.split(":") for each in self.once(submit)]
        if not many:
            return self._made(int(made[0][0]))
        return Response([{"id": int(job_id), "uuid": uuid} for job_id, uuid in made], status=201)

    @extend_schema(summary="One job", responses=serializers.JobDetailSerializer)
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(rows.job_detail(self._job(pk, access.READ), user_of(request)))

    @extend_schema(
        summary="Change a waiting job's priority",
        request=serializers.JobChangeSerializer,
        responses=serializers.JobDetailSerializer,
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        job = self._job(pk, access.CHANGE)
        body = _object(request.data, ("priority",))
        priority = priority_of(body, None)
        if priority is None:
            raise InvalidRequest("This field is required.", field="priority")
        return self._changed(job, services.set_priority([job.pk], priority=priority, actor=user_of(request)))

    def _changed(self, job: Job, changed: Any) -> Response:
        """The job as it is now, if the change was made."""
        if job.pk not in changed:
            job.refresh_from_db(fields=["status"])
            raise JobState(f"The job is {rows.shown_status(job)}; that does not allow this.")
        return Response(self._detail(job.pk))

    # --- One job's own verbs ---------------------------------------------------------------------

    @extend_schema(
        summary="Stop a job", operation_id="cancel_job", request=None, responses=serializers.JobDetailSerializer
    )
    @action(detail=True, methods=["post"])
    def cancel(self, request: Request, pk: str) -> Response:
        job = self._job(pk, access.CHANGE)
        self.once(lambda: [str(i) for i in services.cancel_jobs([job.pk], actor=user_of(request))])
        return Response(self._detail(job.pk))

    @extend_schema(
        summary="Take a failed or cancelled job back into the queue, on the same row",
        operation_id="requeue_job",
        request=serializers.RequeueSerializer,
        responses=serializers.JobDetailSerializer,
    )
    @action(detail=True, methods=["post"])
    def requeue(self, request: Request, pk: str) -> Response:
        job = self._job(pk, access.CHANGE)
        priority = priority_of(_object(request.data, ("priority",)), None)

        def requeue() -> list[str]:
            return [str(i) for i in services.requeue_jobs([job.pk], priority=priority, actor=user_of(request))]

        return self._changed(job, [int(i) for i in self.once(requeue)])

    @extend_schema(
        summary="Submit an ended job again, as a new job",
        operation_id="retry_job",
        request=None,
        responses={201: serializers.JobDetailSerializer},
    )
    @action(detail=True, methods=["post"])
    def retry(self, request: Request, pk: str) -> Response:
        job = self._job(pk, access.CHANGE)
        made = self.once(lambda: [str(services.retry_job(job, actor=user_of(request)).id)])
        return self._made(int(made[0]))

    @extend_schema(
        summary="Keep a waiting job from starting",
        operation_id="hold_job",
        request=serializers.HintSerializer,
        responses=serializers.JobDetailSerializer,
    )
    @action(detail=True, methods=["post"])
    def hold(self, request: Request, pk: str) -> Response:
        job = self._job(pk, access.CHANGE)
        body = serializers.HintSerializer(data=_object(request.data, ("hint",)))
        body.is_valid(raise_exception=True)
        hint = body.validated_data.get("hint") or ""
        held = self.once(lambda: [str(i) for i in services.hold_jobs([job.pk], hint=hint, actor=user_of(request))])
        return self._changed(job, [int(i) for i in held])

    @extend_schema(
        summary="Let a held job go on",
        operation_id="release_job",
        request=None,
        responses=serializers.JobDetailSerializer,
    )
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: str) -> Response:
        job = self._job(pk, access.CHANGE)
        freed = self.once(lambda: [str(i) for i in services.release_jobs([job.pk], actor=user_of(request))])
        return self._changed(job, [int(i) for i in freed])

    @extend_schema(
        summary="Everything that keeps a job from running now",
        operation_id="explain_job",
        responses=serializers.ExplanationSerializer,
    )
    @action(detail=True, methods=["get"])
    def explain(self, request: Request, pk: str) -> Response:
        job = self._job(pk, access.READ)
        reasons = [rows.reason(each, user_of(request)) for each in following.explain(job)]
        said = {"status": rows.shown_status(job), "state": job.status, "reasons": reasons}
        return Response({**said, "policy": standing(job)})


class ExecutionViewSet(NativeViewSet):
    """The tries of one job, the newest first."""

    queryset = Execution.objects.all()
    serializer_class = serializers.ExecutionSerializer
    filterset_class: type[FilterSet] = ExecutionFilter
    orders: ClassVar[Orders] = {"exe_num": Key("number"), "id": Key("pk")}
    default_order = ("-exe_num",)

    @extend_schema(summary="The executions of a job", operation_id="list_executions")
    def list(self, request: Request, job: str) -> Response:
        found = queries.find_job(user_of(request), job, access.READ)
        return self.page(queries.executions(found), lambda page: [rows.execution(each) for each in page])

    @extend_schema(
        summary="One execution, by its number",
        operation_id="get_execution",
        responses=serializers.ExecutionDetailSerializer,
    )
    def retrieve(self, request: Request, job: str, number: str) -> Response:
        found = queries.find_job(user_of(request), job, access.READ)
        return Response(rows.execution_detail(queries.find_execution(found, int(number))))


def _object(body: Any, fields: tuple[str, ...]) -> dict[str, Any]:
    """A body that is an object of these fields; nothing at all is an empty one."""
    if not isinstance(body, dict):
        raise InvalidRequest("The body is a JSON object.")
    for name in body:
        if name not in fields:
            raise InvalidRequest(f"There is no such field; there is {', '.join(fields)}.", field=str(name)[:64])
    return body
