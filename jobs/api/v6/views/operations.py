"""Bulk work on jobs: asked for by filter, answered with 202 and an operation that tells how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema, inline_serializer
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from accounts import access
from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import User
from controlplane.core.errors import InvalidRequest
from controlplane.core.filters import MAX_VALUES, FilterSet
from controlplane.core.pagination import Key, Orders
from jobs import queries, services
from jobs.api.fields import MAX_TEXT, text_of
from jobs.api.v6 import rows, serializers
from jobs.api.v6.decode import priority_of
from jobs.api.v6.filters import FailureFilter, OperationFilter
from jobs.filters import JobFilter
from jobs.models import Kind, Operation, OperationFailure
from jobtypes.queries import job_type_ids

# Scale's plural names for the filters of the list.
PLURALS: Final[dict[str, str]] = {
    "job_ids": "job_id",
    "job_type_ids": "job_type_id",
    "job_type_names": "job_type_name",
    "batch_ids": "batch_id",
    "recipe_ids": "recipe_id",
    "error_ids": "error_id",
    "error_categories": "error_category",
}
JOB_TYPES: Final = "job_types"  # Scale's, too: by name and version, which are two filters' worth
# What belongs to the work itself, not to the choice of jobs.
PARAMETERS: Final[dict[str, tuple[str, ...]]] = {
    Kind.CANCEL: (),
    Kind.REQUEUE: ("priority",),
    Kind.PRIORITY: ("priority",),
    Kind.HOLD: ("hint",),
    Kind.RELEASE: (),
}


def selection_serializer(kind: str) -> Serializer[Any]:
    """The body of a bulk call, declared from the list's own filters."""
    one_or_more: dict[str, Any] = {
        name: serializers.OneOrMoreField(required=False, allow_null=True)
        for name in (*JobFilter.base_filters, *PLURALS)
    }
    more: dict[str, Any] = {
        JOB_TYPES: serializers.JobTypeNameSerializer(
            many=True, required=False, allow_null=True, help_text="Job types by name and version; with those by id."
        )
    }
    if "priority" in PARAMETERS[kind]:
        shape = serializers.JobChangeSerializer if kind == Kind.PRIORITY else serializers.RequeueSerializer
        more["priority"] = shape().fields["priority"]
    if "hint" in PARAMETERS[kind]:
        more["hint"] = serializers.HintSerializer().fields["hint"]
    made: Serializer[Any] = inline_serializer(f"{kind.capitalize()}Jobs", {**one_or_more, **more})
    return made


def bulk(kind: str, summary: str) -> Any:
    """Declare a bulk call of this kind."""
    example = {"customer": "acme", **({"priority": 10} if kind == Kind.PRIORITY else {})}
    return extend_schema(
        summary=summary,
        description="The body has the filters of the list of jobs, each with one value or several, and at least one of "
        "them. The answer is an operation: ask for it again to see how far it is.",
        operation_id=f"{kind}_jobs" if kind != Kind.PRIORITY else "prioritize_jobs",
        request=selection_serializer(kind),
        responses={202: serializers.OperationSerializer},
        examples=[OpenApiExample("of one customer", value=example, request_only=True)],
    )


class BulkViewSet(NativeViewSet):
    """Work on every job that matches a filter. An empty filter is refused: it would mean every job there is."""

    queryset = Operation.objects.all()
    serializer_class = serializers.OperationSerializer
    pagination_class = None
    filter_backends = ()

    def _start(self, request: Request, kind: str) -> Response:
        user = user_of(request)
        queries.check_may_submit(user)
        selection, parameters = read_selection(request.data, kind, user)

        def start() -> list[str]:
            made = services.start_operation(kind=kind, selection=selection, parameters=parameters, actor=user)
            return [str(made.pk)]

        operation = queries.find_operation(user, int(self.once(start)[0]), access.READ)
        return self.made(rows.operation(operation), "operation-detail", operation.pk, status=202)

    @bulk(Kind.CANCEL, "Stop every job that matches")
    def cancel(self, request: Request) -> Response:
        return self._start(request, Kind.CANCEL)

    @bulk(Kind.REQUEUE, "Take every failed or cancelled job that matches back into the queue")
    def requeue(self, request: Request) -> Response:
        return self._start(request, Kind.REQUEUE)

    @bulk(Kind.PRIORITY, "Give every waiting job that matches another priority")
    def priority(self, request: Request) -> Response:
        return self._start(request, Kind.PRIORITY)

    @bulk(Kind.HOLD, "Keep every waiting job that matches from starting")
    def hold(self, request: Request) -> Response:
        return self._start(request, Kind.HOLD)

    @bulk(Kind.RELEASE, "Let every held job that matches go on")
    def release(self, request: Request) -> Response:
        return self._start(request, Kind.RELEASE)


def read_selection(body: Any, kind: str, user: User) -> tuple[dict[str, list[str]], dict[str, Any]]:
    """Filters with their values, and the work's own parameters. Raises InvalidRequest naming the field."""
    if not isinstance(body, dict):
        raise InvalidRequest("The body is a JSON object.")
    parameters: dict[str, Any] = {}
    if "priority" in PARAMETERS[kind] and body.get("priority") is not None:
        parameters["priority"] = priority_of(body, None)
    if "hint" in PARAMETERS[kind] and body.get("hint") is not None:
        hint = serializers.HintSerializer(data={"hint": body["hint"]})
        hint.is_valid(raise_exception=True)
        parameters["hint"] = hint.validated_data["hint"]
    others = (JOB_TYPES, *PARAMETERS[kind])
    selection = _filters({name: value for name, value in body.items() if name not in others})
    if body.get(JOB_TYPES) is not None:
        selection["job_type_id"] = [*selection.get("job_type_id", []), *_job_type_ids(body[JOB_TYPES], user)]
    return selection, parameters


def _job_type_ids(named: Any, user: User) -> list[str]:
    """The ids of job types that are named as `{"name": …, "version": …}`. Raises InvalidRequest."""
    if not isinstance(named, list) or not 1 <= len(named) <= MAX_VALUES:
        raise InvalidRequest(
            f"This is a list of 1 to {MAX_VALUES} job types, each by name and version.", field=JOB_TYPES
        )
    versions = [_version(each) for each in named]
    known = job_type_ids(user, versions)
    for name, version in versions:
        if (name, version) not in known:
            raise InvalidRequest(f"There is no job type {name} of version {version}.", field=JOB_TYPES)
    return [str(known[each]) for each in dict.fromkeys(versions)]


def _version(value: Any) -> tuple[str, str]:
    if not isinstance(value, dict) or value.keys() != {"name", "version"}:
        raise InvalidRequest("Each is an object of name and version.", field=JOB_TYPES)
    try:
        return text_of(value, "name", MAX_TEXT, needed=True), text_of(value, "version", MAX_TEXT, needed=True)
    except InvalidRequest as error:
        raise InvalidRequest(f"{error.field}: {error.message}", field=JOB_TYPES) from error


def _filters(body: Mapping[str, Any]) -> dict[str, list[str]]:
    selection: dict[str, list[str]] = {}
    for name, value in body.items():
        known = PLURALS.get(name, name)
        if known not in JobFilter.base_filters:  # `page` and its like are for lists
            raise InvalidRequest("There is no such filter.", field=str(name)[:64])
        values = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(each, str | int | float) for each in values):
            raise InvalidRequest("This is a text, a number or a list of them.", field=str(name)[:64])
        if value == []:
            raise InvalidRequest("An empty list chooses nothing; leave it out to choose by the others.", field=name)
        texts = [str(each).lower() if isinstance(each, bool) else str(each) for each in values]
        selection[known] = [*selection.get(known, []), *texts]
    return {name: values for name, values in selection.items() if values}


class OperationViewSet(NativeViewSet):
    """Bulk work: how far it is, and what it could not do."""

    queryset = Operation.objects.all()
    serializer_class = serializers.OperationSerializer
    filterset_class: type[FilterSet] | None = OperationFilter
    orders: ClassVar[Orders] = {"id": Key("pk"), "created": Key("created_at")}
    default_order = ("-id",)
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"stop": (409,)}

    def get_queryset(self) -> QuerySet[Operation]:
        return queries.visible_operations(user_of(self.request))

    @extend_schema(summary="Bulk work, the newest first")
    def list(self, request: Request) -> Response:
        return self.page(self.get_queryset(), lambda page: [rows.operation(each) for each in page])

    @extend_schema(summary="One piece of bulk work")
    def retrieve(self, request: Request, pk: str) -> Response:
        return Response(rows.operation(queries.find_operation(user_of(request), int(pk), access.READ)))

    @extend_schema(summary="Stop bulk work; what is done stays done", operation_id="stop_operation", request=None)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, pk: str) -> Response:
        user = user_of(request)
        operation = queries.find_operation(user, int(pk), access.CHANGE)
        self.once(lambda: [str(services.stop_operation(operation, actor=user).pk)])
        operation.refresh_from_db()
        return Response(rows.operation(operation))


class FailureViewSet(NativeViewSet):
    """The jobs that a piece of bulk work could not change."""

    queryset = OperationFailure.objects.all()
    serializer_class = serializers.OperationFailureSerializer
    filterset_class: type[FilterSet] = FailureFilter

    @extend_schema(summary="What bulk work could not do, and why", operation_id="list_operation_failures")
    def list(self, request: Request, operation: str) -> Response:
        found = queries.find_operation(user_of(request), int(operation), access.READ)
        return self.page(found.failures.all(), lambda page: [rows.failure(each) for each in page])
