"""Why work waits, the other way round: each reason with all that it keeps back, and what frees it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from controlplane.core import sets
from jobs import gates, states
from jobs.alive_sql import LOOKING, RETRY, WAITS_FOR_NODE, WAITS_FOR_TASKS
from jobs.models import Lane
from jobs.queries.recipes import INPUT_MISSING, PARENT_FAILED
from jobs.queries.waiting import HELD, NEXT, Present

_FULL: Final = "Running work takes the room. It frees it as it ends; else the place has to grow."
# What each code means, and who frees it; any other is the code of a hold.
MEANINGS: Final = {
    NEXT: "Nothing keeps them but their turn: the next scheduling pass starts them, or those ahead of them.",
    HELD: "Held, one by one or all together, until somebody releases them or lifts the hold.",
    "PAUSED": "The scheduler or the job type is paused until somebody resumes it.",
    gates.BUDGET: "A budget has not enough left. Raise it, or wait for the month to end.",
    "CAP_JOBS": "A quota on jobs that are active at once is reached. Raise it, or wait for some to end.",
    "CAP_VCPUS": "A quota on vCPUs that are in use at once is reached. Raise it, or wait for jobs to end.",
    "MAX_SCHEDULED": "As many jobs of the type are active as it allows. Raise its max_scheduled, or wait.",
    "UNMET_RESOURCES": "The job type asks for a resource that no place offers. Change its manifest.",
    "NO_WORKER": "Nothing serves the place: start `manage.py work` there.",
    "PROVIDER_FAILING": "The cloud refuses our calls. Its own words are on the place's page, and Check finds out more.",
    "UNISOLATED": "The place cannot isolate jobs, and so runs none of customers: install bubblewrap there.",
    "DISK": "The place has too little free disk: free some there.",
    "RESERVED": "A job ahead has waited so long that what ends now is kept for it.",
    "NO_ROOM_VCPUS": _FULL,
    "NO_ROOM_MEMORY": _FULL,
    "TOO_LARGE_VCPUS": "They ask for more vCPUs than the place has, and never start there: cancel them.",
    "TOO_LARGE_MEMORY": "They ask for more memory than the place has, and never start there: cancel them.",
    RETRY: "They failed in a way that passes, and are tried again after a while, by themselves.",
    WAITS_FOR_NODE: "Jobs of recipes whose nodes before them are not done. They go on by themselves.",
    PARENT_FAILED: "A job before them in their recipe failed or was canceled. Requeue that one, or cancel these.",
    INPUT_MISSING: "A job before them in their recipe gave too little. Run it anew, or cancel these.",
    LOOKING: "The input of a MapReduce job is being looked for.",
    WAITS_FOR_TASKS: "None of the tasks of a MapReduce job has started; each says itself what keeps it.",
}


@dataclass(slots=True)
class WaitingReason:
    """How much waits for one reason: a job may wait for several. `oldest`: since when the first one has waited."""

    code: str
    statuses: set[str] = field(default_factory=set)
    jobs: int = 0
    customers: set[int] = field(default_factory=set)
    oldest: datetime | None = None

    def add(self, status: str, jobs: int, customer_id: int, oldest: datetime) -> None:
        self.statuses.add(status)
        self.jobs += jobs
        self.customers.add(customer_id)
        self.oldest = oldest if self.oldest is None else min(oldest, self.oldest)


def waiting_reasons(present: Present) -> list[WaitingReason]:
    """Every reason why jobs wait, that with the most first."""
    found: dict[str, WaitingReason] = {}
    for code, status, kept in _all(present):
        reason = found.setdefault(code, WaitingReason(code))
        reason.add(status, kept.jobs, kept.customer_id, kept.since)
    return sorted(found.values(), key=lambda each: (-each.jobs, each.code))


_OF_LANES: Final = (
    *("customer", "place", "job_type", "queue", "customer__name", "place__cloud", "place__region"),
    *("job_type__name", "job_type__version"),
)


@dataclass(frozen=True, slots=True)
class _InLane:
    """What waits in a lane for a reason."""

    lane_id: int
    customer_id: int
    place_id: int
    jobs: int
    since: datetime
    first: int
    reasons: tuple[gates.Reason, ...]


def _all(present: Present) -> Iterator[tuple[str, str, _InLane]]:
    """(Code, status, what waits in a lane for it), each code of a lane once."""
    for each in present.lanes:
        by_code: dict[str, list[gates.Reason]] = {} if each.reasons else {NEXT: []}
        for reason in each.reasons:
            by_code.setdefault(reason.code, []).append(reason)
        for code, reasons in by_code.items():
            lane = (each.lane.id, each.lane.customer_id, each.lane.place_id)
            kept = _InLane(*lane, each.line.jobs, each.line.since, each.first, tuple(reasons))
            yield code, states.QUEUED, kept
    for other in present.alive:
        if other.code:
            lane = (other.lane_id, other.customer_id, other.place_id)
            yield other.code, other.status, _InLane(*lane, other.jobs, other.since, other.first, ())


@dataclass(slots=True)
class Kept:
    """What waits of a customer in a queue of a place, of one job type or of none. `first` is the id of one of them:
    that which runs first, as far as there is a line."""

    customer: str
    customer_id: int
    cloud: str
    region: str
    queue: str
    job_type: str | None
    job_type_id: int | None
    status: str
    jobs: int
    oldest: datetime
    first: int


@dataclass(slots=True)
class FreedBy:
    """One thing that keeps jobs back: the gates' own words of it, and what it covers (a place if nothing else)."""

    reason: gates.Reason
    scope: gates.ScopeKey
    jobs: int = 0


@dataclass(slots=True)
class HeldBack:
    """All that one reason keeps back: `rows`, the most first, and what frees them."""

    total: WaitingReason
    rows: list[Kept]
    freed_by: list[FreedBy]


def held_back_by(code: str) -> HeldBack:
    """Everything that waits for this reason. The same few statements however much that is."""
    kept = [(status, each) for its, status, each in _all(Present()) if its == code]
    total = WaitingReason(code)
    lanes = Lane.objects.select_related("customer", "place", "job_type").only(*_OF_LANES)
    known = {lane.pk: lane for lane in lanes.filter(sets.among("id", [each.lane_id for _, each in kept], Lane))}
    rows: dict[tuple[object, ...], Kept] = {}
    freed: dict[tuple[gates.ScopeKey, object], FreedBy] = {}
    for status, each in kept:
        total.add(status, each.jobs, each.customer_id, each.since)
        lane = known[each.lane_id]
        key = (lane.customer_id, lane.place_id, lane.queue, lane.job_type_id, status)
        row = rows.setdefault(key, _kept(lane, status, each))
        row.jobs += each.jobs
        if each.since < row.oldest:
            row.oldest, row.first = each.since, each.first
        for reason in each.reasons:
            scope = reason.scope or ("place", str(each.place_id))
            freed.setdefault((scope, reason.limit), FreedBy(reason, scope)).jobs += each.jobs
    return HeldBack(
        total,
        sorted(rows.values(), key=lambda row: (-row.jobs, row.oldest)),
        sorted(freed.values(), key=lambda each: -each.jobs),
    )


def _kept(lane: Lane, status: str, each: _InLane) -> Kept:
    """A row of the lane's kind without its jobs."""
    job_type = lane.job_type
    return Kept(
        *(lane.customer.name, lane.customer_id, lane.place.cloud, lane.place.region, lane.queue),
        f"{job_type.name} {job_type.version}" if job_type else None,
        *(lane.job_type_id, status, 0, each.since, each.first),
    )
