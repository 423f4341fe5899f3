"""The statements that Django's ORM has no words for, one per database vendor, all in this module."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.db import connection
from django.db.models import BooleanField, IntegerField
from django.db.models.expressions import RawSQL
from django.utils import timezone

from accounts import events
from accounts.models import User
from controlplane.core import sets
from controlplane.core.bells import bell_of, ring, sound_after_commit
from jobs import counts, states
from jobs.alive_sql import TAKES_ROOM, Alive
from jobs.models import Job, Lane, Scope, Shape


def pulse_queue(cloud: str, region: str) -> str:
    """The queue whose bell wakes whoever schedules this place."""
    return f"pulse-{region}" if cloud == "local" else str(settings.CLOUDS)


# --- Submit --------------------------------------------------------------------------------------

_VARYING: Final = (
    ("uuid", "uuid"), ("customer_id", "bigint"), ("place_id", "bigint"), ("lane_id", "bigint"),
    ("classification", "text"), ("image", "text"), ("command", "jsonb"), ("env", "text"), ("user_data", "text"),
    ("secret_env", "jsonb"), ("tags", "jsonb"), ("vcpus_milli", "integer"), ("memory_mib", "integer"),
    ("priority", "integer"), ("queue", "text"), ("timeout_seconds", "integer"), ("max_tries", "smallint"),
    ("tries_granted", "smallint"), ("retry_of_id", "bigint"), ("shape", "text"), ("job_type_id", "bigint"),
    ("revision_id", "bigint"), ("input", "jsonb"), ("configuration", "jsonb"), ("input_bytes", "bigint"),
    ("recipe_id", "bigint"), ("supersedes_id", "bigint"), ("parent_id", "bigint"), ("part", "integer"),
    ("policy_id", "bigint"), ("capacity", "text"), ("affordable_seconds", "integer"), ("leaves_at", "timestamptz"),
)  # fmt: skip
JOB_FIELDS: Final = tuple(name.removesuffix("_id") for name, _ in _VARYING)
_NAMES: Final = ", ".join(name for name, _ in _VARYING)
_TYPED: Final = ", ".join(f"{name} {kind}" for name, kind in _VARYING)
# The rows come as one JSON text, which is quicker to write and to read than an array for each column.
_SUBMIT_POSTGRESQL: Final = f"""
WITH made AS (
    INSERT INTO jobs_job ({_NAMES}, owner_id, tries, status, reason, submitted_at, queued_at, moved_at, modified_at)
    SELECT {_NAMES}, %s, 0, %s, '', %s, %s, %s, %s
    FROM jsonb_to_recordset(%s::jsonb) AS v({_TYPED})
    WHERE (%s::text IS NULL OR EXISTS (
        SELECT 1 FROM accounts_apitoken t JOIN accounts_user u ON u.id = t.user_id
        WHERE t.digest = %s AND u.id = %s AND u.role = %s AND u.is_active AND t.archived_at IS NULL
            AND (t.expires_at IS NULL OR t.expires_at > %s)
    )) AND NOT EXISTS (
        SELECT 1 FROM jobs_gate WHERE max_queued_jobs IS NOT NULL AND scope || ':' || scope_id = ANY(%s)
    )
    RETURNING id, uuid, owner_id, customer_id, lane_id, submitted_at, status, job_type_id
), counted AS (
    INSERT INTO jobs_countdelta (minute, job_type_id, status, error_id, number)
    SELECT %s, job_type_id, status, 0, count(*) FROM made WHERE job_type_id IS NOT NULL GROUP BY job_type_id, status
), told AS (
    INSERT INTO accounts_event (at, kind, subject_kind, subject_id, actor_id, customer_id, after)
    SELECT submitted_at, 'job.submitted', 'job', id, owner_id, customer_id, jsonb_build_object('status', status)
    FROM made
), woken AS (
    UPDATE jobs_lane SET waiting = true
    WHERE NOT waiting AND id IN (SELECT lane_id FROM made WHERE status = '{states.QUEUED}')
), rung AS (
    INSERT INTO django_q_ormq (key, payload, lock)
    SELECT queue, payload, %s FROM unnest(%s::text[], %s::text[]) AS bells (queue, payload)
    WHERE EXISTS (SELECT 1 FROM made WHERE status = '{states.QUEUED}')
)
SELECT id, uuid FROM made
"""  # noqa: S608 - the names are ours


def submit(
    owner: User,
    rows: Sequence[Sequence[Any]],
    queues: set[str],
    *,
    token_digest: str | None = None,
    unless_bounded: Sequence[str] = (),
    status: str = states.QUEUED,
) -> dict[uuid.UUID, int]:
    """Insert jobs (each row in the order of JOB_FIELDS) as QUEUED or PENDING, their events and their bells.

    On PostgreSQL it is one statement, and so a transaction of its own; it does nothing when `token_digest`
    is not that of a live token of the owner, in the role that `owner` has here, or when a gate bounds what
    may be queued in one of the scopes `unless_bounded` ("customer:7"). On SQLite the caller holds a
    transaction and has looked at both. Returns the id of each uuid that was made.
    """
    now = timezone.now()
    queued_at, minute = now if status == states.QUEUED else None, counts.minute_of(now)
    if sets.is_postgresql():
        objects = [
            {name: value for (name, _), value in zip(_VARYING, row, strict=True) if value is not None} for row in rows
        ]
        text = json.dumps(objects, separators=(",", ":"), ensure_ascii=False, default=str)
        proof = (token_digest, token_digest, owner.pk, owner.role, now, list(unless_bounded))
        names = sorted(queues)
        moments = (owner.pk, status, now, queued_at, now, now)
        bells = (now, names, [bell_of(name) for name in names])
        made = sets.run(_SUBMIT_POSTGRESQL, [*moments, text, *proof, minute, *bells])
        sound_after_commit(queues)
        return {row[1]: row[0] for row in made}
    fixed = (owner.pk, 0, status, "", now, queued_at, now, now)
    fields = (*JOB_FIELDS, "owner", "tries", "status", "reason")
    fields = (*fields, "submitted_at", "queued_at", "moved_at", "modified_at")
    sets.insert(Job, fields, [(*row, *fixed) for row in rows])
    found = Job.objects.filter(sets.among("uuid", [row[0] for row in rows], Job)).values_list("uuid", "id", "customer")
    ids = {made_uuid: job_id for made_uuid, job_id, _ in found}
    after = {"status": status}
    events.record([("job.submitted", "job", i, owner.pk, customer, None, after) for _, i, customer in found])
    type_at = JOB_FIELDS.index("job_type")
    counts.record([(minute, row[type_at], status, None, 1) for row in rows])
    if status == states.QUEUED:
        Lane.objects.filter(sets.among("id", list({row[3] for row in rows}), Lane), waiting=False).update(waiting=True)
        ring(queues)
    return ids


# --- Claim ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Candidate:
    """A queued job at the head of a lane: all that a gate may ask of the job itself."""

    job_id: int
    lane_id: int
    priority: int
    queued_at: datetime.datetime
    vcpus_milli: int
    memory_mib: int
    tries: int
    capacity: str = ""
    timeout_seconds: int | None = None
    affordable_seconds: int | None = None
    whole: bool = False  # it is a machine


_HEAD: Final = f"""
j.id, j.lane_id, j.priority, j.queued_at, j.vcpus_milli, j.memory_mib, j.tries, j.capacity, j.timeout_seconds,
j.affordable_seconds, j.shape = '{Shape.INSTANCE}'
"""
_IN_LINE: Final = f"status = '{states.QUEUED}' ORDER BY priority, queued_at, id LIMIT %s"
_HEADS_POSTGRESQL: Final = f"""
SELECT {_HEAD} FROM unnest(%s::bigint[]) AS l(id)
CROSS JOIN LATERAL (SELECT * FROM jobs_job WHERE lane_id = l.id AND {_IN_LINE}) j
ORDER BY j.priority, j.queued_at, j.id LIMIT %s
"""  # noqa: S608
# CROSS JOIN keeps SQLite to this order of the loops: lanes outside, the heads of each inside.
_HEADS_SQLITE: Final = f"""
SELECT {_HEAD} FROM json_each(%s) l
CROSS JOIN jobs_job j ON j.id IN (SELECT id FROM jobs_job WHERE lane_id = l.value AND {_IN_LINE})
ORDER BY j.priority, j.queued_at, j.id LIMIT %s
"""  # noqa: S608


def heads(lane_ids: Sequence[int], each: int, limit: int) -> list[Candidate]:
    """The first `each` queued jobs of each lane, in the order in which they run, `limit` in all."""
    if not lane_ids:
        return []
    if sets.is_postgresql():
        rows = sets.run(_HEADS_POSTGRESQL, [list(lane_ids), each, limit])
    else:
        found = sets.run(_HEADS_SQLITE, [json.dumps(list(lane_ids)), each, limit])
        rows = [(*row[:3], _aware(row[3]), *row[4:10], bool(row[10])) for row in found]
    return [Candidate(*row) for row in rows]


def _aware(at: datetime.datetime | None) -> datetime.datetime | None:
    """As sets.aware, of a time that may be missing."""
    return None if at is None else sets.aware(at)


@dataclass(frozen=True, slots=True)
class TypeFacts:
    """A job type as gates see it. `special`: names of resources that it needs and no place offers."""

    id: int
    name: str
    max_scheduled: int | None
    paused_at: datetime.datetime | None
    special: str


@dataclass(frozen=True, slots=True)
class LaneFacts:
    """A lane as gates see it, and what of it is active now."""

    id: int
    place_id: int
    customer_id: int
    owner_id: int
    owner_role: str
    queue: str
    job_type: TypeFacts | None
    blocked_since: datetime.datetime | None
    on_hold: bool
    claimable: bool
    jobs: int
    vcpus_milli: int
    memory_mib: int


_LANES_OF: Final = """
SELECT l.id, l.place_id, l.customer_id, l.owner_id, u.role, l.queue, l.blocked_since, l.on_hold,
    {claimable}, {active}, t.id, t.name, t.max_scheduled, t.paused_at, t.special_resources
FROM {chosen} JOIN accounts_user u ON u.id = l.owner_id LEFT JOIN jobtypes_jobtype t ON t.id = l.job_type_id
"""
_CHOSEN: Final = f"""
WITH active AS (
    SELECT lane_id, count(*) AS jobs, sum(vcpus_milli) AS vcpus, sum(memory_mib) AS memory FROM jobs_job
    WHERE {TAKES_ROOM} GROUP BY lane_id
), chosen AS (
    SELECT id FROM jobs_lane WHERE place_id = %s AND waiting AND (NOT held OR %s)
    UNION SELECT id FROM jobs_lane WHERE id = %s UNION SELECT lane_id FROM active
)
"""  # noqa: S608 - the names are ours
_LANES: Final = _CHOSEN + _LANES_OF.format(
    claimable="l.place_id = %s AND l.waiting AND NOT l.held",
    active="coalesce(a.jobs, 0), coalesce(a.vcpus, 0), coalesce(a.memory, 0)",
    chosen="chosen JOIN jobs_lane l ON l.id = chosen.id LEFT JOIN active a ON a.lane_id = l.id",
)
_EVERY_LANE: Final = (
    _LANES_OF.format(claimable="l.waiting AND NOT l.held", active="0, 0, 0", chosen="jobs_lane l")
    + " WHERE l.waiting OR l.id {among}"
)


def lanes(place_id: int, *, also: int = 0, held: bool = False) -> dict[int, LaneFacts]:
    """The claimable lanes of a place, and all lanes in which something is active, by id.

    Costs what is active and the number of lanes, not what is queued or past. `also`: one lane more;
    `held`: the waiting lanes that a hold covers, too.
    """
    rows = sets.run(_LANES, [place_id, held, also, place_id])
    return {row[0]: _lane(row) for row in rows}


def every_lane(active: Iterable[Alive]) -> dict[int, LaneFacts]:
    """The waiting lanes of all places, held ones too, and all lanes in which something is active, by id."""
    used: dict[int, list[int]] = {}
    for each in active:
        total = used.setdefault(each.lane_id, [0, 0, 0])
        total[:] = total[0] + each.jobs, total[1] + each.vcpus_milli, total[2] + each.memory_mib
    rows = sets.run(_EVERY_LANE.format(among=sets.in_one()), [sets.as_one(list(used))])
    return {row[0]: _lane((*row[:9], *used.get(row[0], (0, 0, 0)), *row[12:])) for row in rows}


def _lane(row: Sequence[Any]) -> LaneFacts:
    type_id, name, most, paused_at, special = row[12:]
    job_type = None if type_id is None else TypeFacts(type_id, name, most, _aware(paused_at), special)
    return LaneFacts(*(*row[:6], job_type, _aware(row[6]), bool(row[7]), bool(row[8]), *map(int, row[9:12])))


def lock_job_types(ids: Sequence[int], *, shared: bool = False) -> dict[int, bool]:
    """Keep these job types as they are until the caller's transaction ends: id -> is it paused?

    `shared`: others may keep them so, too. Without it they wait, so that what is counted against a type's cap
    stays true. Locked in the order of their ids.
    """
    if not ids:
        return {}
    statement = f"SELECT id, paused_at IS NOT NULL FROM jobtypes_jobtype WHERE id {sets.in_one()} ORDER BY id"  # noqa: S608
    if sets.is_postgresql():
        statement += " FOR SHARE" if shared else " FOR NO KEY UPDATE"
    return {row[0]: bool(row[1]) for row in sets.run(statement, [sets.as_one(ids)])}


@dataclass(frozen=True, slots=True)
class CapFacts:
    """A cap on what is active in a scope, and who set it."""

    id: int
    scope: str
    scope_id: str
    max_jobs: int | None
    max_vcpus_milli: int | None
    hint: str
    since: datetime.datetime
    set_by: str | None


_CAPS: Final = """
SELECT g.id, g.scope, g.scope_id, g.max_jobs, g.max_vcpus_milli, g.hint, g.since, u.username
FROM jobs_gate g LEFT JOIN accounts_user u ON u.id = g.set_by_id
"""


def caps() -> list[CapFacts]:
    """Every cap there is."""
    return [CapFacts(*(*row[:6], sets.aware(row[6]), row[7])) for row in sets.run(_CAPS)]


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """A hold, and who set it."""

    scope: str
    scope_id: str
    code: str
    hint: str
    since: datetime.datetime
    set_by: str | None


# Not "all but those of jobs": there may be a hundred thousand of these, and this way the index leads past them.
_HOLDS: Final = f"""
SELECT h.scope, h.scope_id, h.code, h.hint, h.since, u.username
FROM jobs_hold h LEFT JOIN accounts_user u ON u.id = h.set_by_id
WHERE h.scope IN ({", ".join(f"'{scope}'" for scope in Scope.values if scope != Scope.JOB)})
    OR (h.scope = '{Scope.JOB}' AND h.scope_id = %s)
ORDER BY h.since, h.id
"""  # noqa: S608 - the names are ours


def holds(job_id: int | None = None) -> list[HoldFacts]:
    """The holds that cover more than one job, and those of the job `job_id`, the oldest first."""
    rows = sets.run(_HOLDS, ["" if job_id is None else str(job_id)])
    return [HoldFacts(*(*row[:4], sets.aware(row[4]), row[5])) for row in rows]


_COUNTED_AT: Final = """SELECT count(*) FROM (
    SELECT 1 FROM jobs_job JOIN jobs_lane l ON l.id = jobs_job.lane_id
    WHERE l.place_id = jobs_place.id AND {} LIMIT %s
) found"""


def active_at(most: int) -> RawSQL:
    """Of places: how many jobs are active there, counted up to `most`."""
    return RawSQL(_COUNTED_AT.format(TAKES_ROOM), (most,), output_field=IntegerField())  # noqa: S611 - ours


def queued_at(most: int) -> RawSQL:
    """Of places: how many jobs are queued there, counted up to `most`."""
    condition = f"l.waiting AND status = '{states.QUEUED}'"
    return RawSQL(_COUNTED_AT.format(condition), (most,), output_field=IntegerField())  # noqa: S611 - ours


# --- Apply ---------------------------------------------------------------------------------------

_ACTIVE_EXECUTIONS: Final = """
SELECT e.id, e.job_id, e.uuid, j.shape, j.status, j.tries, j.max_tries, j.revision_id, j.superseded_at IS NOT NULL,
    j.policy_id, j.rung, j.affordable_seconds < coalesce(j.timeout_seconds, j.affordable_seconds + 1), j.leaves_at,
    j.started_at, j.queued_at, e.started_at, e.stopped_at,
    e.number, e.exit_code, j.customer_id
FROM jobs_execution e JOIN jobs_job j ON j.id = e.job_id
WHERE e.uuid {among} AND e.status {among} ORDER BY j.id
"""


@dataclass(frozen=True, slots=True)
class ActiveExecution:
    """An execution that has not ended, and what decides what becomes of its job."""

    id: int
    job_id: int
    uuid: uuid.UUID
    shape: str
    job_status: str
    tries: int
    max_tries: int
    revision_id: int | None
    superseded: bool
    policy_id: int | None
    rung: int
    money_bound: bool  # it is stopped when its money is spent, before its timeout
    leaves_at: datetime.datetime | None
    job_started_at: datetime.datetime | None
    job_queued_at: datetime.datetime | None
    started_at: datetime.datetime | None
    stopped_at: datetime.datetime | None
    number: int
    exit_code: int | None
    customer_id: int


def lock_active_executions(uuids: Sequence[uuid.UUID], statuses: Sequence[str]) -> list[ActiveExecution]:
    """Those of `uuids` in one of `statuses`, with their jobs locked in the order of the jobs' ids."""
    if sets.is_postgresql():
        statement = _ACTIVE_EXECUTIONS.format(among="= ANY(%s)") + "FOR UPDATE OF j"
        return [ActiveExecution(*row) for row in sets.run(statement, [list(uuids), list(statuses)])]
    statement = _ACTIVE_EXECUTIONS.format(among="IN (SELECT value FROM json_each(%s))")
    rows = sets.run(statement, [json.dumps([each.hex for each in uuids]), json.dumps(list(statuses))])
    return [
        ActiveExecution(
            *(*row[:2], uuid.UUID(row[2]), *row[3:8], bool(row[8])),
            *(*row[9:11], bool(row[11]), *map(_aware, row[12:17]), *row[17:]),
        )
        for row in rows
    ]


# --- Tags ----------------------------------------------------------------------------------------

_TAGGED_SQLITE: Final = """EXISTS (SELECT 1 FROM json_each(jobs_job.tags) t WHERE t.key = %s AND %s =
    CASE t.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(t.value AS TEXT) END)"""


_HAS_TAG_SQLITE: Final = "EXISTS (SELECT 1 FROM json_each(jobs_job.tags) t WHERE t.key = %s)"


def has_tag(key: str) -> RawSQL:
    """A condition on jobs: there is a tag `key`. Django's own look-up misses keys with quotes on SQLite."""
    statement = "jobs_job.tags ? %s::text" if sets.is_postgresql() else _HAS_TAG_SQLITE
    return RawSQL(statement, (key,), output_field=BooleanField())  # noqa: S611 - values are parameters


def tagged(key: str, text: str) -> RawSQL:
    """A condition on jobs: the tag `key` has the value whose text is `text`."""
    statement = "jobs_job.tags ->> %s::text = %s" if sets.is_postgresql() else _TAGGED_SQLITE
    return RawSQL(statement, (key, text), output_field=BooleanField())  # noqa: S611 - values are parameters


# --- Beats ---------------------------------------------------------------------------------------

_TAKE_BEAT: Final = "UPDATE jobs_beat SET due_at = {next} WHERE name = %s AND due_at <= {now}"


def take_beat(name: str, every_seconds: float) -> bool:
    """True for exactly one caller per period, by the database's clock."""
    if sets.is_postgresql():
        statement = _TAKE_BEAT.format(now="clock_timestamp()", next="clock_timestamp() + %s * interval '1 second'")
    else:
        now = "strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now')"
        statement = _TAKE_BEAT.format(now=now, next="strftime('%%Y-%%m-%%d %%H:%%M:%%f000', 'now', %s || ' seconds')")
    with connection.cursor() as cursor:
        cursor.execute(statement, [every_seconds, name])
        return bool(cursor.rowcount == 1)
