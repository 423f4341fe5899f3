"""Apollo's jobs and their tasks: parse, call one service or query, say the answer in Apollo's words."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Final, NoReturn

from django.conf import settings
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse
from rest_framework.request import Request
from rest_framework.response import Response

from accounts import access
from accounts.api.v6.base import user_of
from accounts.models import TokenScope, User
from controlplane.core.errors import InvalidRequest
from controlplane.core.rest import JSONBody
from jobs import queries, services, states
from jobs.api.fields import storable, whole
from jobs.api.mapreduce.base import Operation, declared, said
from jobs.api.mapreduce.serializers import JobRequestSerializer, JobSerializer, TaskSerializer
from jobs.errors import ArtifactNotFound
from jobs.mapreduce.locations import LONGEST, read_output
from jobs.models import Artifact, ArtifactVersion, Job, MapReduceSpec, Shape
from jobs.queries.artifacts import find_artifact
from jobs.queries.mapreduce import JOB_WORDS, TASK_WORDS, find_mapreduce, mapreduce_jobs, spec_of, tasks_of
from jobs.services.artifacts import NAME_LENGTH
from jobs.services.mapreduce import MAX_REDUCERS, SIDES

ID: Final = OpenApiParameter("id", str, "path", description="Job id.")
INPUT_TYPE: Final = "file/txt"
MAX_SECRET: Final = 1024
_NEEDED: Final = ("nReducers", "inputPath", "inputType", "outputPath", "mapperName", "reducerName")
_CREDENTIALS: Final = tuple(f"{side}StorageCredentials" for side in SIDES)
_FIELDS: Final = (*_NEEDED, "useSSL", "splitSize", *_CREDENTIALS)
# Ours, as this surface names them.
_NAMES: Final = {"reducers": "nReducers", "input": "inputPath", "output": "outputPath", "protocol": "mapperName"}


class Jobs(Operation):
    noun: ClassVar[str] = "job"
    scopes: ClassVar = {"post": TokenScope.SUBMIT}
    parser_classes = (JSONBody,)

    @declared("mapreduce_list_jobs", "All scheduled jobs", {200: JobSerializer(many=True)})
    def get(self, request: Request) -> HttpResponseBase:
        rows = mapreduce_jobs(user_of(request)).order_by("pk")
        return Response([_job(each, each.mapreduce) for each in rows.iterator(chunk_size=2000)])

    @declared(
        "mapreduce_schedule_job",
        "Schedule a job",
        {201: JobSerializer},
        *(400, 403, 404, 415),
        request=JobRequestSerializer,
    )
    def post(self, request: Request) -> HttpResponseBase:
        user = user_of(request)
        queries.check_may_submit(user)
        job = services.submit_mapreduce(owner=user, wish=_wish(user, request.data))
        return Response(_job(job, job.mapreduce), status=201)


class OneJob(Operation):
    noun: ClassVar[str] = "job"
    parser_classes = ()

    @declared("mapreduce_get_job", "One job", {200: JobSerializer}, 404, parameters=[ID])
    def get(self, request: Request, id: str) -> HttpResponseBase:
        job = find_mapreduce(user_of(request), id, access.READ)
        return Response(_job(job, spec_of(job)))

    @declared(
        "mapreduce_stop_job",
        "Stop a job",
        {(200, "text/plain"): OpenApiResponse(OpenApiTypes.STR, description="Confirmation line.")},
        *(403, 404, 406),
        parameters=[ID],
    )
    def delete(self, request: Request, id: str) -> HttpResponseBase:
        user = user_of(request)
        job = find_mapreduce(user, id, access.CHANGE)
        moved = services.cancel_jobs([job.pk], actor=user)
        job.refresh_from_db(fields=["status"])
        if job.pk not in moved and job.status in states.FINAL:
            return said(f"Job {job.uuid} has ended already.\n", 406)
        return said(f"Job {job.uuid} was successfully stopped")


class Tasks(Operation):
    noun: ClassVar[str] = "job"
    parser_classes = ()

    @declared(
        "mapreduce_list_job_tasks",
        "Map and reduce tasks of a job",
        {200: TaskSerializer(many=True)},
        404,
        parameters=[ID],
    )
    def get(self, request: Request, id: str) -> HttpResponseBase:
        job = find_mapreduce(user_of(request), id, access.READ)
        spec = spec_of(job)
        return Response([_task(job, spec, each) for each in tasks_of(job).iterator(chunk_size=2000)])


# --- What is asked for -------------------------------------------------------------------------------


def _wish(user: User, body: Any) -> services.MapReduceWish:
    """Raises InvalidRequest naming the field, ArtifactNotFound, Forbidden."""
    given = _members(body, _FIELDS, "")
    for name in _NEEDED:
        if name not in given:
            raise InvalidRequest("This is needed.", field=name)
    if given["inputType"] != INPUT_TYPE:
        raise InvalidRequest(f"This is {INPUT_TYPE}.", field="inputType")
    use_ssl = given.get("useSSL", False)
    if not isinstance(use_ssl, bool):
        raise InvalidRequest("This is true or false.", field="useSSL")
    reducers = whole(given["nReducers"], "nReducers", 1, MAX_REDUCERS)
    split_bytes = given.get("splitSize")
    if split_bytes is not None:
        split_bytes = whole(split_bytes, "splitSize", 1, 2**53)
    texts = {name: storable(given[name], name, LONGEST) for name in ("inputPath", "outputPath")}
    credentials = {side: pair for side in SIDES if (pair := _credentials(given, f"{side}StorageCredentials"))}
    mapper, reducer = (_program(user, given, name) for name in ("mapperName", "reducerName"))
    if mapper.artifact.protocol != reducer.artifact.protocol:
        message = f"It is of the protocol {reducer.artifact.protocol}, the mapper of {mapper.artifact.protocol}."
        raise InvalidRequest(message, field="reducerName")
    cloud, _, region = settings.MAPREDUCE_PLACE.partition("/")
    return services.MapReduceWish(
        cloud=cloud,
        region=region,
        mapper=mapper,
        reducer=reducer,
        protocol=mapper.artifact.protocol,
        inputs=[texts["inputPath"]],
        output=texts["outputPath"],
        use_ssl=use_ssl,
        reducers=reducers,
        split_bytes=split_bytes,
        credentials=credentials,
        fields=_NAMES,
    )


def _members(value: Any, names: tuple[str, ...], field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest("A JSON object is wanted here.", field=field or None)
    unknown = next((name for name in value if name not in names), None)
    if unknown is not None:
        name = f"{field}.{unknown}" if field else unknown
        raise InvalidRequest(f"There is no such field; there are {', '.join(names)}.", field=name[:64])
    return value


def _credentials(given: dict[str, Any], field: str) -> dict[str, str]:
    if given.get(field) is None:
        return {}
    pair = _members(given[field], ("username", "password"), field)
    for name in ("username", "password"):
        if name not in pair:
            raise InvalidRequest("This is needed.", field=f"{field}.{name}")
    return {name: storable(text, f"{field}.{name}", MAX_SECRET) for name, text in pair.items()}


def _program(user: User, given: dict[str, Any], field: str) -> ArtifactVersion:
    name = storable(given[field], field, NAME_LENGTH)
    try:
        artifact = find_artifact(user, name, access.READ)
    except ArtifactNotFound:
        _missing(name)
    return artifact.versions.select_related("artifact").get(number=artifact.version)


def _missing(name: str) -> NoReturn:
    raise ArtifactNotFound(f"{name} artifact metadata can't be found!") from None


# --- What there is -----------------------------------------------------------------------------------


def _job(job: Job, spec: MapReduceSpec) -> dict[str, Any]:
    location = read_output(spec.output, "outputPath", use_ssl=spec.use_ssl)
    shown: dict[str, Any] = {
        "id": str(job.uuid),
        "nReducers": spec.reducers,
        "outputLocation": {"location": spec.output, "useSSL": location.scheme == "https"},
        "inputData": {
            "id": str(job.pk),
            "path": spec.inputs[0],
            "type": INPUT_TYPE,
            "splitStart": 0,
            "splitEnd": spec.input_bytes or 0,
        },
        "startTime": _moment(job.submitted_at),
        "status": JOB_WORDS[job.status],
    }
    if job.ended_at is not None:
        shown["endTime"] = _moment(job.ended_at)
    if job.status in (states.FAILED, states.REJECTED):
        shown["error"] = spec.failure or (job.error.title if job.error else job.reason)
    return shown


def _task(job: Job, spec: MapReduceSpec, task: Any) -> dict[str, Any]:
    is_map = task.shape == Shape.MAP
    shown: dict[str, Any] = {
        "id": f"{job.uuid}-{'m' if is_map else 'r'}-{task.part}",
        "type": "mapper" if is_map else "reducer",
        "status": TASK_WORDS[task.status],
        "program": _artifact(spec.mapper if is_map else spec.reducer),
        "podName": f"worker-{task.worker.hex[-12:]}" if task.worker else "",
        "startTime": _moment(task.started_at or task.submitted_at),
    }
    if is_map:
        split = task.input
        shown["inputData"] = {
            "id": str(task.pk),
            "path": spec.objects_found[split["object"]]["path"],
            "type": INPUT_TYPE,
            "splitStart": split["start"],
            "splitEnd": split["end"],
        }
    if task.ended_at is not None:
        shown["endTime"] = _moment(task.ended_at)
    return shown


def _artifact(version: ArtifactVersion) -> dict[str, Any]:
    """As it was when the job was submitted, whatever became of it."""
    artifact: Artifact = version.artifact
    return {"name": artifact.name, "type": "executable", "size": version.size, "hash": version.sha256}


def _moment(at: datetime) -> int:
    """Milliseconds since 1970."""
    return int(at.timestamp() * 1000)
