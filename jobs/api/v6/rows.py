"""Our rows in the native surface's words.

Written out by hand: a page of a hundred jobs has three thousand values, and a serializer's machinery for
each of them costs more than the page itself. The serializers beside this module declare the same for the
schema, and tests hold the two together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any, Final

from accounts.models import User
from clusters.queries import CURRENCY, amount
from jobs import gates, queries, states
from jobs.api.v6.mapreduce_rows import mapreduce
from jobs.api.v6.policy_rows import standing
from jobs.models import Execution, Gate, Hold, Job, Operation, OperationFailure, Place, Scope, Shape
from jobs.queries import files_of
from jobtypes.api.v6.rows import brief, error, moment, revision_detail
from jobtypes.seed.allocation import MIB


def shown_status(job: Job) -> str:
    return states.shown(job.status, started=job.started_at is not None)


_MICROSECOND: Final = timedelta(microseconds=1)
# What Scale's clients look for, and no job here has.
_SCALE: Final[dict[str, Any]] = {
    **dict.fromkeys(("event", "ingest_event", "batch", "node", "source_started", "source_ended")),
    **dict.fromkeys(("source_sensor_class", "source_sensor", "source_collection", "source_task")),
}


def jobs(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Jobs as lists show them, from the columns queries.LISTED."""
    around = queries.around(found)
    return [_job(row, around) for row in found]


def _job(row: Mapping[str, Any], around: queries.Around) -> dict[str, Any]:
    job_type, revision_num = around.job_types.get(row["job_type_id"]), around.revisions.get(row["revision_id"])
    return {
        "id": row["id"],
        "uuid": str(row["uuid"]),
        "shape": row["shape"],
        "status": states.shown(row["status"], started=row["started_at"] is not None),
        "state": row["status"],
        "reason": row["reason"],
        "customer": row["customer__name"],
        "owner": row["owner__username"],
        "classification": row["classification"],
        "cloud": row["place__cloud"],
        "region": row["place__region"],
        "capacity": row["capacity"] or None,
        "image": "" if row["shape"] == Shape.INSTANCE else row["image"],
        "machine_image": row["image"] if row["shape"] == Shape.INSTANCE else "",
        "command": row["command"],
        "tags": row["tags"],
        "vcpus": row["vcpus_milli"] / 1000,
        "memory_mib": row["memory_mib"],
        "priority": row["priority"],
        "queue": row["lane__queue"],
        "on_hold": row["lane__on_hold"],
        "timeout_seconds": row["timeout_seconds"],
        "max_tries": row["max_tries"],
        "num_exes": row["tries"],
        "error": error(around.errors.get(row["error_id"])),
        "retry_of": row["retry_of_id"],
        "created": moment(row["submitted_at"]),
        "queued": moment(row["queued_at"]),
        "started": moment(row["started_at"]),
        "ended": moment(row["ended_at"]),
        "last_status_change": moment(row["moved_at"]),
        "last_modified": moment(row["modified_at"]),
        "job_type": None if job_type is None else brief(job_type),
        "job_type_rev": None
        if job_type is None
        else {"id": row["revision_id"], "job_type": {"id": job_type.pk}, "revision_num": revision_num},
        "parent": None if row["parent_id"] is None else {"id": row["parent_id"]},
        "part": row["part"],
        "recipe": None if row["recipe_id"] is None else {"id": row["recipe_id"]},
        "is_superseded": row["superseded_at"] is not None,
        "superseded": moment(row["superseded_at"]),
        "superseded_job": None if row["supersedes_id"] is None else {"id": row["supersedes_id"]},
        "input_file_size": None if row["input_bytes"] is None else row["input_bytes"] / MIB,
        "input_files": {
            name: [around.files[i] for i in ids if i in around.files] for name, ids in files_of(row["input"]).items()
        },
        **_SCALE,
    }


def job_detail(row: Job, reader: User) -> dict[str, Any]:
    """A job with what only its own page shows; `reason` says why it waits, too."""
    found = _job(queries.columns_of(row), queries.around_one(row))
    if row.status in states.WAITING:
        found["reason"] = next((why.code for why in queries.explain(row)), row.reason)
    last = queries.last_execution(row)
    return {
        **found,
        "env": queries.environment(row, reader),
        "secret_env": row.secret_env,
        "execution": execution(last) if last else None,
        "resources": {"resources": _resources(row)},
        "input": row.input,
        "output": row.output,
        "configuration": queries.shown_configuration(row),
        "superseded_by_job": queries.superseding(row),
        "mapreduce": mapreduce(row),
        "policy": standing(row),
        **(
            {}
            if row.revision is None or row.job_type is None
            else {"job_type_rev": revision_detail(row.revision, row.job_type)}
        ),
    }


def _resources(row: Job) -> dict[str, Any]:
    asked = queries.allocation_of(row)
    return {
        "cpus": row.vcpus_milli / 1000,
        "mem": row.memory_mib,
        "disk": asked.disk_mib if asked else 0,
        "gpus": asked.gpus if asked else 0,
    }


def execution(row: Execution) -> dict[str, Any]:
    """One try. Loaded with it: its error, its job and that job's type."""
    job = row.job
    return {
        "id": row.pk,
        "uuid": str(row.uuid),
        "job": {"id": row.job_id},
        "exe_num": row.number,
        "status": states.SHOWN_EXECUTION[row.status],
        "state": row.status,
        "node": {"hostname": row.node} if row.node else None,
        "exit_code": row.exit_code,
        "detail": row.detail,
        "capacity": row.capacity or None,
        "error": error(row.error),
        "logs_kept": row.logs_kept,
        "job_type": None if job.job_type is None else brief(job.job_type),
        "timeout": job.timeout_seconds,
        "input_file_size": None if job.input_bytes is None else job.input_bytes / MIB,
        "cluster_id": str(row.uuid),
        "created": moment(row.created_at),
        "started": moment(row.started_at),
        "ended": moment(row.ended_at),
    }


def execution_detail(row: Execution) -> dict[str, Any]:
    """One try, with what it ran by and what it gave."""
    return {
        **execution(row),
        "resources": {"resources": _resources(row.job)},
        "configuration": queries.executed_configuration(row.job),
        "output": row.job.output if row.status == states.COMPLETED else None,
        "price": _price(row),
    }


def _price(row: Execution) -> dict[str, Any] | None:
    """What an hour of it cost, and all of it; None until that has been looked up, which is after its end."""
    if not row.price_source:
        return None
    rate, spent = row.price_rate, None
    if rate is not None and row.ended_at is not None:
        ran = row.ended_at - (row.started_at or row.ended_at)
        spent = amount(rate, Decimal(ran // _MICROSECOND) / 10**6)
    return {
        "currency": CURRENCY,
        "rate_per_hour": money(rate),
        "amount": money(spent),
        "offer": row.price_offer or None,
        "source": None if rate is None else row.price_source,
    }


def money(value: Decimal | None) -> str | None:
    """As text: as a number it would be a float to most who read it."""
    return None if value is None else f"{value:f}"


def reason(found: gates.Reason, reader: User) -> dict[str, Any]:
    """Why a job waits, as `reader` may know it. vCPUs are in thousandths inside, and shown as the quotas have them."""
    row = found.told_to(reader)
    scale = 1000 if row.code.endswith("VCPUS") else 1
    return {
        "code": row.code,
        "hint": row.hint,
        "since": moment(row.since),
        "value": None if row.value is None else str(row.value / scale if scale > 1 else row.value),
        "limit": None if row.limit is None else str(row.limit / scale if scale > 1 else row.limit),
        "set_by": row.set_by,
    }


def operation(row: Operation) -> dict[str, Any]:
    """Bulk work and how far it is. Loaded with it: who started it."""
    return {
        "id": row.pk,
        "kind": row.kind,
        "status": row.status,
        "selection": row.selection,
        "parameters": row.parameters,
        "total": row.total,
        "done": row.done,
        "failed": row.failed,
        "created_by": row.created_by.username,
        "created": moment(row.created_at),
        "started": moment(row.started_at),
        "ended": moment(row.ended_at),
    }


def failure(row: OperationFailure) -> dict[str, Any]:
    """A job that bulk work could not change."""
    return {"id": row.pk, "job": row.job_id, "code": row.code, "message": row.message}


def target(row: Hold | Gate, names: queries.Names) -> dict[str, Any]:
    """What a hold or a quota covers, by the names people use."""
    said: dict[str, Any] = dict.fromkeys(("cloud", "region", "customer", "owner", "queue", "job_type", "job"))
    if row.scope in (Scope.PLACE, Scope.QUEUE):
        place_id, _, queue = row.scope_id.partition(":")
        said["cloud"], said["region"] = names.places[int(place_id)]
        said["queue"] = queue or None
    elif row.scope == Scope.CUSTOMER:
        said["customer"] = names.customers[int(row.scope_id)]
    elif row.scope == Scope.OWNER:
        said["owner"] = names.owners[int(row.scope_id)]
    elif row.scope == Scope.JOB_TYPE:
        said["job_type"] = int(row.scope_id)
    elif row.scope == Scope.JOB:
        said["job"] = int(row.scope_id)
    return {"id": row.pk, "scope": row.scope, **said}


def hold(row: Hold, names: queries.Names) -> dict[str, Any]:
    return {**target(row, names), "code": row.code, **_set(row)}


def quota(row: Gate, names: queries.Names) -> dict[str, Any]:
    return {
        **target(row, names),
        "max_jobs": row.max_jobs,
        "max_vcpus": None if row.max_vcpus_milli is None else row.max_vcpus_milli / 1000,
        "max_queued_jobs": row.max_queued_jobs,
        **_set(row),
    }


def _set(row: Hold | Gate) -> dict[str, Any]:
    by = row.set_by.username if row.set_by else None
    return {"hint": row.hint, "set_by": by, "since": moment(row.since)}


def place(row: Place, used: gates.Used) -> dict[str, Any]:
    """Where work runs: what it holds, and what is active there."""
    return {
        "cloud": row.cloud,
        "region": row.region,
        "runs_for": row.runs_for,
        "seen": moment(row.seen_at),
        "vcpus": row.vcpus_milli / 1000,
        "memory_mib": row.memory_mib,
        "active_jobs": used.jobs,
        "active_vcpus": used.vcpus_milli / 1000,
        "active_memory_mib": used.memory_mib,
    }


def queue_row(row: queries.QueueRow) -> dict[str, Any]:
    return {
        "job_type": None,
        "customer": row.customer,
        "cloud": row.cloud,
        "region": row.region,
        "queue": row.queue,
        "count": row.count,
        "longest_queued": moment(row.oldest),
        "highest_priority": row.priority,
        "reasons": sorted(row.reasons),
    }
