"""Taking over what a Mapsor deployment has: its users with their tokens, and its ended jobs as history.

A line of JSON for each: `{"user": …, "role": …, "token": …}`, or a row of Mapsor's own `/list` with its customer.
"""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from django.db import DatabaseError
from jsonschema import Draft202012Validator

from accounts import services as accounts
from accounts.models import ApiToken, Role, User
from accounts.queries import digest, find_user
from controlplane.core.errors import ControlPlaneError, InvalidRequest
from controlplane.core.importing import Outcome, Report
from jobs import states
from jobs.models import Priority
from jobs.services.history import PastJob, check_region, keep_past_jobs, known_jobs
from jobtypes.seed.documents import check, find_fault

AT_ONCE: Final = 500
MAX_LINE: Final = 2**20
TOKEN_NAME: Final = "imported from Mapsor"  # noqa: S105 - what it is called
ENDED: Final = {
    "SUCCEEDED": states.COMPLETED,
    "FAILED": states.FAILED,
    "CANCELLED": states.CANCELED,
    "REJECTED": states.REJECTED,
}
RUNNING: Final = ("QUEUED", "RUNNING", "CANCELLING")
_CUSTOMER: Final = "customer"

_TEXT: Final = {"type": "string", "minLength": 1, "maxLength": 255}
_SOME: Final = {"type": ["string", "null"], "maxLength": 255}
_LONG: Final = {"type": ["string", "null"], "maxLength": 1024}
_MOMENT: Final = {"type": ["number", "null"], "minimum": 0, "maximum": 253_402_300_799_000}
_FLAG: Final = {"type": "boolean"}


def _schema(required: Sequence[str], properties: Mapping[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({"type": "object", "required": list(required), "properties": dict(properties)})


_USER: Final = _schema(
    ["user"],
    {"user": _TEXT, "role": {"enum": Role.values}, "token": _SOME, "email": _SOME, "customer": _TEXT, "enabled": _FLAG},
)
_JOB: Final = _schema(
    ["id", "status", _CUSTOMER, "cloud_provider", "region", "submitted_at"],
    {
        "id": {"type": "string", "format": "uuid"},
        "status": {"enum": [*ENDED, *RUNNING]},
        **dict.fromkeys((_CUSTOMER, "region", "owner"), _TEXT),
        "cloud_provider": {"enum": ["aws", "azure", "local"]},
        "submitted_at": {**_MOMENT, "type": "number"},
        **dict.fromkeys(("started_at", "finished_at"), _MOMENT),
        **dict.fromkeys(("image", "ami"), _LONG),
        **dict.fromkeys(("classification_id", "queue"), _SOME),
        "command": {"type": ["array", "null"], "items": {"type": "string"}},
        "env": {"type": ["object", "null"], "additionalProperties": {"type": "string"}},
        "tags": {"type": ["object", "null"]},
        "priority": {"enum": ["HIGH", "LOW", None]},
        "timeout": {"type": ["integer", "null"], "minimum": 1, "maximum": 2**31 - 1},
        "resources": {
            "type": ["object", "null"],
            "properties": {
                "vcpus": {"type": "number", "minimum": 0, "maximum": 10_000},
                "memory": {"type": "number", "minimum": 0, "maximum": 16_384},
            },
        },
    },
)


def take_lines(lines: Iterable[bytes], report: Report, *, owner: str = "", dry_run: bool = False) -> None:
    """Each line by itself; jobs by AT_ONCE in a transaction.

    `owner`: the name of the user, who may be of the lines before, whose the jobs are that name nobody.
    """
    waiting: list[tuple[str, PastJob]] = []
    owners: dict[str, User | None] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        with report.attempt("line", str(number)):
            document = _read(line)
            if "user" in document and "status" not in document:
                owners[document["user"]] = _take_user(document, report, dry_run)
            elif (job := _past_job(document, report, owner, owners)) is not None:
                waiting.append((f"{number}, job {job.uuid}", job))
        if len(waiting) == AT_ONCE:
            _keep(waiting, report, dry_run)
            waiting.clear()
    _keep(waiting, report, dry_run)


def _read(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_LINE:
        raise InvalidRequest("it is longer than 1 MiB")
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        raise InvalidRequest("it is not JSON") from None
    if not isinstance(document, dict):
        raise InvalidRequest("it is no object")
    if fault := find_fault(document):
        raise InvalidRequest(fault.rule, field=fault.path or None)
    fault = check(document, _USER if "user" in document and "status" not in document else _JOB)
    if fault:
        raise InvalidRequest(fault.rule, field=fault.path or None)
    return document


# --- Users ---------------------------------------------------------------------------------------


def _take_user(document: Mapping[str, Any], report: Report, dry_run: bool) -> User:
    """A user; then their token, told by itself, as one without the other is worth having."""
    name, role = document["user"], document.get("role", Role.OPERATOR)
    user = find_user(name)
    if user is None:
        more = {each: document.get(each) for each in (_CUSTOMER, "email")}
        user = User(username=name) if dry_run else accounts.create_user(username=name, role=role, actor=None, **more)
        report.tell(Outcome.NEW, "user", name, f"role {role}")
    elif user.role != role:
        report.tell(Outcome.LEFT, "user", name, f"has the role {user.role} here, and keeps it")
    else:
        report.tell(Outcome.KEPT, "user", name)
    if secret := document.get("token"):
        _take_token(secret, name, user, report, dry_run)
    if document.get("enabled") is False and user.is_active:
        if not dry_run:
            accounts.disable_user(username=name, actor=None)
        report.tell(Outcome.CHANGED, "user", name, "is disabled, as there")
    return user


def _take_token(secret: str, name: str, user: User, report: Report, dry_run: bool) -> None:
    told = f"{secret[:4]}… of {name}"
    known = ApiToken.objects.filter(digest=digest(secret)).select_related("user").first()
    if known is not None and known.user_id == user.pk:
        report.tell(Outcome.KEPT, "token", told)
        return
    with report.attempt("token", told):
        if known is not None:
            raise InvalidRequest(f"{known.user.username} has it here already")
        if dry_run:
            accounts.check_importable(secret)
        else:
            accounts.import_token(secret, user=user, name=TOKEN_NAME)
        report.tell(Outcome.NEW, "token", told)


# --- Jobs ----------------------------------------------------------------------------------------


def _past_job(
    document: Mapping[str, Any], report: Report, owner: str, owners: dict[str, User | None]
) -> PastJob | None:
    """The job of a line; None for one that has not ended. Raises InvalidRequest."""
    if document["status"] in RUNNING:
        why = f"it is {document['status']} there; import again when it has ended"
        report.tell(Outcome.LEFT, "job", document["id"], why)
        return None
    try:
        key = uuid.UUID(document["id"])
    except ValueError:
        raise InvalidRequest("this is no UUID, so nobody could ask for it here", field="id") from None
    check_region(document["cloud_provider"], document["region"])
    resources = document.get("resources") or {}
    ended = next(at for name in ("finished_at", "started_at", "submitted_at") if (at := document.get(name)) is not None)
    return PastJob(
        uuid=key,
        owner=_owner_of(document, owner, owners),
        customer=document[_CUSTOMER],
        cloud=document["cloud_provider"],
        region=document["region"],
        status=ENDED[document["status"]],
        submitted_at=_moment(document["submitted_at"]),
        started_at=None if document.get("started_at") is None else _moment(document["started_at"]),
        ended_at=_moment(ended),
        classification=document.get("classification_id") or "",
        image=document.get("image") or "",
        machine_image=document.get("ami") or "",
        command=document.get("command") or [],
        env=document.get("env") or {},
        tags=document.get("tags") or {},
        vcpus_milli=max(1, math.ceil(1000 * resources.get("vcpus", 1))),
        memory_mib=max(1, math.ceil(1024 * resources.get("memory", 0.5))),
        priority=Priority.HIGH if document.get("priority") == "HIGH" else Priority.LOW,
        queue=(document.get("queue") or "")[:64],
        timeout_seconds=document.get("timeout"),
    )


def _owner_of(document: Mapping[str, Any], owner: str, owners: dict[str, User | None]) -> User:
    name = document.get("owner", owner)
    if not name:
        raise InvalidRequest("nobody is said to own it: name somebody with --owner", field="owner")
    if name not in owners:
        owners[name] = find_user(name)
    found = owners[name]
    if found is None:
        raise InvalidRequest(f"there is no user {name!r} here", field="owner")
    return found


def _moment(epoch_milliseconds: float) -> datetime:
    return datetime.fromtimestamp(epoch_milliseconds / 1000, UTC)


def _keep(waiting: Sequence[tuple[str, PastJob]], report: Report, dry_run: bool) -> None:
    """Together; one by one where that is refused, so that the others are kept."""
    jobs = [job for _, job in waiting]
    if not jobs:
        return
    try:
        new = _count_new(jobs) if dry_run else keep_past_jobs(jobs)
    except (ControlPlaneError, DatabaseError):
        for line, job in waiting:
            with report.attempt("line", line):
                report.count(Outcome.NEW if keep_past_jobs([job]) else Outcome.KEPT, "job")
        return
    report.count(Outcome.NEW, "job", new)
    report.count(Outcome.KEPT, "job", len(jobs) - new)


def _count_new(jobs: Sequence[PastJob]) -> int:
    uuids = {job.uuid for job in jobs}
    return len(uuids - known_jobs(list(uuids)))
