"""What waits, and what keeps it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from controlplane.core import sets
from jobs import alive_sql, gates, sql, states
from jobs.alive_sql import LOOKING, RETRY, WAITS_FOR_NODE, WAITS_FOR_TASKS, Alive
from jobs.models import Job, Lane, Place, Scope, Shape
from jobs.queries import mapreduce
from jobs.queries.recipes import kept_back
from jobs.queries.spending import spending, spending_everywhere

HELD: Final = "HELD"
NEXT: Final = "NEXT"
# Whom the codes mean that no job is marked with.
NOT_QUEUED: Final = {
    WAITS_FOR_NODE: Q(status=states.PENDING) & ~Q(shape=Shape.MAPREDUCE) | Q(status=states.BLOCKED, reason=""),
    LOOKING: Q(status=states.PENDING, shape=Shape.MAPREDUCE, mapreduce__splits__isnull=True),
    WAITS_FOR_TASKS: Q(status=states.PENDING, shape=Shape.MAPREDUCE, mapreduce__splits__isnull=False),
}


def holds_by_scope(job_id: int | None = None) -> dict[gates.ScopeKey, list[sql.HoldFacts]]:
    """The holds that cover more than one job, and those of the job `job_id`."""
    found: dict[gates.ScopeKey, list[sql.HoldFacts]] = {}
    for hold in sql.holds(job_id):
        found.setdefault((hold.scope, hold.scope_id), []).append(hold)
    return found


def is_held(lane: Lane, holds: dict[gates.ScopeKey, list[sql.HoldFacts]] | None = None) -> bool:
    """Does a hold cover this lane?"""
    holds = holds_by_scope() if holds is None else holds
    return lane.on_hold or any(scope in holds for scope in gates.scopes(lane))


def lanes_of(scope: str, scope_id: str) -> QuerySet[Lane]:
    """The lanes that a hold or cap of this scope covers."""
    lanes = Lane.objects.all()
    if scope == Scope.ALL:
        return lanes
    if scope == Scope.QUEUE:
        place, _, queue = scope_id.partition(":")
        return lanes.filter(place_id=int(place), queue=queue)
    return lanes.filter(**{f"{scope}_id": int(scope_id)})


def counters(place: Place, lanes: Iterable[sql.LaneFacts]) -> gates.Counters:
    """What a claim at `place` decides by, now, but holds and budgets: asked for when there is somebody to start."""
    found = gates.Counters(place, timezone.now())
    found.gates = {(cap.scope, cap.scope_id): cap for cap in sql.caps()}
    for lane in lanes:
        if lane.jobs:
            found.count(lane, lane.jobs, lane.vcpus_milli, lane.memory_mib)
    return found


def explain(job: Job) -> list[gates.Reason]:
    """Everything that keeps the job from running now; empty when it runs or has ended."""
    if job.status == states.DELAYED:
        hint = "Waits before its next try."
        retry = gates.Reason(RETRY, hint, since=job.due_at, value=job.tries, limit=job.max_tries)
        return [retry, *_kept(job)]
    if job.status in (states.PENDING, states.BLOCKED):
        return kept_back(job) if job.shape != Shape.MAPREDUCE else mapreduce.kept_back(job)
    if job.status != states.QUEUED:
        return []
    found = _kept(job)
    return found or [gates.Reason(NEXT, "Nothing keeps it: the next scheduling pass starts it, or one ahead of it.")]


def _kept(job: Job) -> list[gates.Reason]:
    """What the gates have against the job."""
    lanes = sql.lanes(job.place_id, also=job.lane_id)
    lane = lanes[job.lane_id]
    now = counters(job.place, lanes.values())
    now.holds = holds_by_scope(job.pk)
    assert job.queued_at is not None
    now.spending = spending(job.place, lanes.values())
    candidate = sql.Candidate(
        *(job.pk, lane.id, job.priority, job.queued_at, job.vcpus_milli, job.memory_mib, job.tries, job.capacity),
        *(job.timeout_seconds, job.affordable_seconds, job.shape == Shape.INSTANCE),
    )
    reserve(now, lanes, candidate)
    return list(gates.reasons(candidate, lane, now))


def reserve(now: gates.Counters, lanes: Mapping[int, sql.LaneFacts], candidate: sql.Candidate) -> None:
    """Note for whom room is kept by those in line before `candidate`, as the claim does on its way to it."""
    blocked = [lane.id for lane in lanes.values() if lane.claimable and lane.blocked_since is not None]
    for head in sql.heads(blocked, 1, len(blocked)):
        if (head.priority, head.queued_at, head.job_id) >= (candidate.priority, candidate.queued_at, candidate.job_id):
            return
        reason = gates.admit(head, lanes[head.lane_id], now)
        if reason is not None:
            now.reserve(head, lanes[head.lane_id], reason)


@dataclass(frozen=True, slots=True)
class WaitingLane:
    """A lane with queued jobs, what is in line there, and what keeps its first job, whose id is `first`."""

    lane: sql.LaneFacts
    line: Alive
    reasons: list[gates.Reason]
    first: int


class Present:
    """All that waits or is active, looked at once."""

    def __init__(self) -> None:
        self.alive: list[Alive] = alive_sql.alive()

    @property
    def counted_at(self) -> datetime | None:
        """When it was counted; None: just now."""
        return self.alive[0].counted_at if self.alive else None

    @property
    def active(self) -> list[Alive]:
        return [each for each in self.alive if each.status in states.ACTIVE]

    @property
    def queued(self) -> int:
        return sum(each.jobs for each in self.alive if each.status == states.QUEUED)

    @cached_property
    def lanes(self) -> list[WaitingLane]:
        """Every lane that has queued jobs. Gates treat all jobs of a lane alike, so one look is enough for each.

        The same few statements however many places and lanes there are; where budgets are, each place asks for its
        prices.
        """
        lines = {each.lane_id: each for each in self.alive if each.status == states.QUEUED}
        heads = _heads(self.active) if lines else ()
        return [
            WaitingLane(lane, lines[lane.id], reasons, head.job_id)
            for lane, head, reasons in heads
            if lane.id in lines  # it may have been counted before the job was queued
        ]


def _heads(active: Iterable[Alive]) -> Iterator[tuple[sql.LaneFacts, sql.Candidate, list[gates.Reason]]]:
    """The first job in line of every lane that has one, and what keeps it. Costs the lanes, not what is queued."""
    lanes = sql.every_lane(active)
    heads = sql.heads(list(lanes), 1, len(lanes))
    looks = _looks(lanes) if heads else {}
    for head in heads:
        lane = lanes[head.lane_id]
        now = looks[lane.place_id]
        reasons = list(gates.reasons(head, lane, now))
        if lane.on_hold:
            reasons.insert(0, gates.Reason(HELD, "These jobs are held one by one; each has its own hold."))
        elif reasons:
            now.reserve(head, lane, reasons[0])
        yield lane, head, reasons


def _looks(lanes: Mapping[int, sql.LaneFacts]) -> dict[int, gates.Counters]:
    """What a claim decides by, now, at each place."""
    places = list(Place.objects.all())
    first = counters(places[0], lanes.values())
    budgets, holds = spending_everywhere(places, lanes.values()), holds_by_scope()
    return {
        place.pk: gates.Counters(place, first.now, first.gates, holds, first.used, budgets.get(place.pk))
        for place in places
    }


def for_reasons(jobs: QuerySet[Job], codes: Sequence[str]) -> QuerySet[Job]:
    """Those of `jobs` that wait, or ended, for one of these reasons; NEXT: nothing keeps them but their turn."""
    lanes = [
        lane.id
        for lane, _, reasons in _heads(alive_sql.active_now())
        if {reason.code for reason in reasons} & set(codes) or (not reasons and NEXT in codes)
    ]
    wanted = Q(reason__in=codes)
    if lanes:
        wanted |= Q(lane__in=lanes, status=states.QUEUED)  # a list: a statement within an OR has no index looked into
    if RETRY in codes:
        wanted |= Q(status=states.DELAYED)
    for code in NOT_QUEUED.keys() & set(codes):
        wanted |= NOT_QUEUED[code]
    if HELD in codes:
        wanted |= Q(lane__on_hold=True, status__in=states.WAITING)
    return jobs.filter(wanted)


def places_in_use() -> tuple[list[tuple[Place, gates.Used]], int]:
    """Every place with what is active there, and how many jobs are queued in all."""
    used: dict[int, gates.Used] = {}
    present = Present()
    for each in present.active:
        used.setdefault(each.place_id, gates.Used()).add(each.jobs, each.vcpus_milli, each.memory_mib)
    found = [(place, used.get(place.pk, gates.Used())) for place in Place.objects.order_by("cloud", "region")]
    return found, present.queued


@dataclass(slots=True)
class QueueRow:
    """What is in line of one customer in one queue of one place."""

    customer: str
    cloud: str
    region: str
    queue: str
    count: int
    oldest: datetime
    priority: int
    reasons: set[str]


def queue_rows() -> list[QueueRow]:
    """What is in line: what may go first, then by priority and age."""
    waiting = Present().lanes
    lanes = {
        lane.pk: lane
        for lane in Lane.objects.select_related("customer", "place").filter(
            sets.among("id", [each.lane.id for each in waiting], Lane)
        )
    }
    found: dict[tuple[int, int, str], QueueRow] = {}
    for each in waiting:
        lane, line = lanes[each.lane.id], each.line
        row = found.setdefault(
            (lane.place_id, lane.customer_id, lane.queue),
            QueueRow(
                lane.customer.name,
                lane.place.cloud,
                lane.place.region,
                lane.queue,
                0,
                line.since,
                line.priority,
                set(),
            ),
        )
        row.count += line.jobs
        row.oldest, row.priority = min(row.oldest, line.since), min(row.priority, line.priority)
        row.reasons |= {reason.code for reason in each.reasons}
    return sorted(found.values(), key=lambda row: (bool(row.reasons), row.priority, row.oldest))
