"""Mapsor's job operations: parse, call one service or query, say the answer in Mapsor's words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiParameter, extend_schema

from accounts import access
from accounts.api.mapsor import parameters
from accounts.api.mapsor.base import MONITOR, Operation, answer, read_json, token_of
from accounts.api.mapsor.schema import AUTH, JOB_ID, errors, text
from accounts.idempotency import once
from accounts.models import Role, TokenScope, User
from accounts.queries import TOKEN_PREFIX_LENGTH, digest, remember_user, remembered_user
from clusters.queries import CLOUDS
from controlplane.core.errors import ControlPlaneError, Forbidden, InvalidRequest
from controlplane.core.logs import name_caller
from jobs import following, queries, services, states
from jobs.api.mapsor import serializers, words
from jobs.api.mapsor.decode import decode_submit
from jobs.errors import JobState, TooManyRows

LIST_AT_MOST: Final = 100_000


def declared(operation_id: str, summary: str, responses: dict[Any, Any], *codes: int, **more: Any) -> Any:
    """What an operation takes and gives, for the OpenAPI schema."""
    return extend_schema(
        operation_id=operation_id,
        tags=["Mapsor"],
        summary=summary,
        description=f"{summary}.",  # else the stand-in method's docstring
        auth=AUTH,  # type: ignore[arg-type]
        responses={**responses, **errors(*codes)},
        **{"request": None, **more},
    )


IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key", str, OpenApiParameter.HEADER, description="The same key twice within 24 h submits one job."
)


class Submit(Operation):
    noun: ClassVar[str] = "job"
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    scope: ClassVar[str] = TokenScope.SUBMIT

    @declared(
        "mapsor_submit_job",
        "Queue a container job or an instance job",
        {200: serializers.MapsorNewJobSerializer},
        *(400, 401, 403, 409, 422),
        request=serializers.MapsorSubmitSerializer,
        parameters=[IDEMPOTENCY_KEY],
    )
    def post(self) -> None:
        """Stands for `handle` in the schema."""

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        wanted = decode_submit(read_json(request), user)

        def submit() -> list[str]:
            return [str(job.uuid) for job in services.submit_jobs(owner=user, requests=[wanted])]

        key = request.headers.get("Idempotency-Key")
        made = submit() if key is None else once(user, key, b"POST /submit\n" + request.body, submit)
        remember_user(token_of(request), user)
        return answer({"job_id": made[0]})

    @classmethod
    def quick(cls, request: HttpRequest, token: str) -> HttpResponseBase | None:
        """Submit by one statement, if the token is still whose it was when this process last saw it.

        Whatever is unusual (a token not seen yet, or not valid any more; a request that is refused) goes the
        ordinary way, from the start, and is answered there for the user as they are now.
        """
        user = remembered_user(token)
        if user is None or "Idempotency-Key" in request.headers:
            return None
        name_caller(user.username, token[:TOKEN_PREFIX_LENGTH])
        try:
            wanted = decode_submit(read_json(request), user)
            made = services.submit_jobs(owner=user, requests=[wanted], token_digest=digest(token))
        except ControlPlaneError:
            return None
        return answer({"job_id": str(made[0].uuid)})


class Status(Operation):
    noun: ClassVar[str] = "job"

    @declared(
        "mapsor_get_job_status",
        "State of one job",
        {200: serializers.MapsorJobStatusSerializer},
        *(401, 403, 404),
        parameters=[JOB_ID],
    )
    def get(self) -> None:
        """Stands for `handle` in the schema."""

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        job = queries.find_job(user, path["id"], access.READ)
        reason = job.reason
        if job.status in states.WAITING:
            reason = next((why.code for why in queries.explain(job)), reason)
        return answer({"status": words.STATUS[job.status], "reason": reason})


class Change(Operation):
    """An operation that changes something, by GET as Mapsor has it, and by POST; never by HEAD or with a cookie."""

    noun: ClassVar[str] = "job"
    methods: ClassVar[tuple[str, ...]] = ("GET", "POST")
    scope: ClassVar[str] = TokenScope.MANAGE


class Cancel(Change):
    @declared(
        "mapsor_cancel_job",
        "Ask for a job to be cancelled",
        {200: serializers.MapsorTextSerializer},
        *(400, 401, 403, 404),
        parameters=[JOB_ID],
    )
    def get(self) -> None:
        """Stands for `handle` in the schema."""

    @declared(
        "mapsor_cancel_job_by_post",
        "Ask for a job to be cancelled",
        {200: serializers.MapsorTextSerializer},
        *(400, 401, 403, 404),
        parameters=[JOB_ID],
    )
    def post(self) -> None:
        """Stands for `handle` in the schema."""

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        job = queries.find_job(user, path["id"], access.CHANGE)
        now = services.cancel_jobs([job.pk], actor=user).get(job.pk)
        if now is None:
            job.refresh_from_db(fields=["status"])
            if job.status in states.FINAL:
                raise JobState(f"The job is {words.STATUS[job.status]} already.")
            now = job.status
        return answer({"response": "Job cancelled" if now == states.CANCELED else "Cancellation requested"})


class Retry(Change):
    @declared(
        "mapsor_retry_job",
        "Submit an ended job again as a new job",
        {200: serializers.MapsorNewJobSerializer},
        *(400, 401, 403, 404),
        parameters=[JOB_ID],
    )
    def get(self) -> None:
        """Stands for `handle` in the schema."""

    @declared(
        "mapsor_retry_job_by_post",
        "Submit an ended job again as a new job",
        {200: serializers.MapsorNewJobSerializer},
        *(400, 401, 403, 404),
        parameters=[JOB_ID],
    )
    def post(self) -> None:
        """Stands for `handle` in the schema."""

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        job = queries.find_job(user, path["id"], access.CHANGE)
        return answer({"job_id": str(services.retry_job(job, actor=user).uuid)})


class Logs(Operation):
    noun: ClassVar[str] = "job"

    @declared(
        "mapsor_get_job_logs",
        "Output of a job",
        text(200, "Log text: what it wrote to standard output, then to standard error."),
        *(400, 401, 403, 404),
        parameters=[JOB_ID],
    )
    def get(self) -> None:
        """Stands for `handle` in the schema."""

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        job = queries.find_job(user, path["id"], access.READ)
        return StreamingHttpResponse(following.text(job), content_type="text/plain; charset=utf-8")


CUSTOMER: Final = OpenApiParameter("customer", str, required=True, description="Customer name, exact.")
START: Final = OpenApiParameter("start_time", float, required=True, description="Submitted at or after, epoch ms.")
END: Final = OpenApiParameter("end_time", float, required=True, description="Submitted at or before, epoch ms.")
CLASS: Final = OpenApiParameter("id", str, description="The submitter's classification id given at /submit.")
CLOUD: Final = OpenApiParameter("cloud", str, enum=CLOUDS)
REGION: Final = OpenApiParameter("region", str)


class List(Operation):
    noun: ClassVar[str] = "job"
    roles: ClassVar[tuple[str, ...]] = MONITOR

    @declared(
        "mapsor_list_jobs",
        "Jobs of a customer submitted in a time window",
        {200: serializers.MapsorJobListSerializer},
        *(400, 401, 403),
        parameters=[CUSTOMER, START, END, CLASS, CLOUD, REGION],
    )
    def get(self) -> None:
        """Stands for `handle` in the schema."""

    @classmethod
    def handle(cls, user: User, request: HttpRequest, **path: str) -> HttpResponseBase:
        customer = parameters.required(request, "customer")
        start, end = parameters.milliseconds(request, "start_time"), parameters.milliseconds(request, "end_time")
        if start > end:
            raise InvalidRequest("The window ends before it starts.", field="start_time")
        cloud = request.GET.get("cloud")
        if cloud is not None and cloud not in CLOUDS:
            raise InvalidRequest(f"This must be one of {', '.join(CLOUDS)}.", field="cloud")
        if user.role == Role.CUSTOMER and (user.customer is None or user.customer.name != customer):
            raise Forbidden("You may list jobs of your own customer only.", field="customer")
        jobs = queries.submitted_between(
            user,
            customer,
            words.moment(start),
            words.end_of_millisecond(end),
            classification=parameters.storable(request, "id"),
            cloud=cloud,
            region=parameters.storable(request, "region"),
        )
        if jobs[: LIST_AT_MOST + 1].count() > LIST_AT_MOST:
            raise TooManyRows(field="start_time")
        rows = (words.row(job, user) for job in jobs.iterator(chunk_size=1000))
        return StreamingHttpResponse(_array(rows), content_type="application/json")


def _array(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """`{"response": [...]}`, row by row, so that no answer has to fit into memory."""
    separator = '{"response":['
    for item in rows:
        yield separator + json.dumps(item, separators=(",", ":"), ensure_ascii=False)
        separator = ","
    yield ("]}" if separator == "," else '{"response":[]}')
