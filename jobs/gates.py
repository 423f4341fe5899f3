"""The gates between a queued job and its start: one function decides and explains.

`reasons` names everything that keeps a candidate from starting now; the claim admits a candidate for
which it names nothing, `jobs.queries.explain` shows all it names. So they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from accounts.models import Role, User
from jobs.models import Lane, Place, RunsFor, Scope
from jobs.spend_sql import SpendFacts
from jobs.sql import Candidate, CapFacts, HoldFacts, LaneFacts

RESERVE_AFTER = timedelta(minutes=5)
WORKER_SILENT_AFTER = timedelta(seconds=15)
CALLER_SILENT_AFTER = timedelta(minutes=5)  # who calls a cloud may rest, or wait for an answer

ScopeKey = tuple[str, str]

BUDGET: Final = "BUDGET"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a job waits: a stable code, and what would free it. `place_full` ones pass when running work ends.

    `scope` is what the hold, cap or budget covers, or whose the reason is: a job type's, a place's.
    """

    code: str
    hint: str
    since: datetime | None = None
    value: Any = None
    limit: Any = None
    set_by: str | None = None
    place_full: bool = False
    scope: ScopeKey | None = None

    def told_to(self, reader: User) -> Reason:
        """What of it `reader` may know: what other customers have spent, too, is for staff alone."""
        is_of_others = self.code == BUDGET and self.scope is not None and self.scope[0] != Scope.CUSTOMER
        is_hidden = is_of_others and reader.role == Role.CUSTOMER
        return replace(self, value=None, limit=None) if is_hidden else self


@dataclass(slots=True)
class Used:
    """What is active in a scope."""

    jobs: int = 0
    vcpus_milli: int = 0
    memory_mib: int = 0

    def add(self, jobs: int, vcpus_milli: int, memory_mib: int) -> None:
        self.jobs += jobs
        self.vcpus_milli += vcpus_milli
        self.memory_mib += memory_mib


def scopes(lane: Lane | LaneFacts) -> tuple[ScopeKey, ...]:
    """Every scope that covers the jobs of `lane`."""
    job_type = lane.job_type_id if isinstance(lane, Lane) else lane.job_type.id if lane.job_type else None
    return _scopes(lane.place_id, lane.customer_id, lane.owner_id, lane.queue, job_type)


@lru_cache(maxsize=20_000)
def _scopes(
    place_id: int, customer_id: int, owner_id: int, queue: str, job_type_id: int | None
) -> tuple[ScopeKey, ...]:
    """Asked for many times of each lane in every look."""
    return (
        (Scope.ALL, ""),
        (Scope.PLACE, str(place_id)),
        (Scope.CUSTOMER, str(customer_id)),
        (Scope.OWNER, str(owner_id)),
        (Scope.QUEUE, f"{place_id}:{queue}"),
        *(((Scope.JOB_TYPE, str(job_type_id)),) if job_type_id is not None else ()),
    )


@dataclass(slots=True)
class Spending:
    """Budgets, what is reserved of them by scope, and what a candidate would come to; billionths of USD."""

    gates: dict[ScopeKey, list[SpendFacts]]
    reserved: dict[ScopeKey, int]
    cost: Callable[[Candidate, LaneFacts], int]

    def over(self, lane: LaneFacts) -> list[tuple[SpendFacts, int]]:
        """The budgets that cover a lane, each with what is spent and reserved of it."""
        return [
            (gate, gate.spent_nano + self.reserved.get(scope, 0))
            for scope in scopes(lane)
            for gate in self.gates.get(scope, ())
        ]

    def is_used_up(self, lane: LaneFacts) -> bool:
        """Is there no money for any job of the lane, not even one that costs nothing?"""
        return any(used > gate.limit_nano for gate, used in self.over(lane))

    def reserve(self, candidate: Candidate, lane: LaneFacts) -> int:
        """Keep what `candidate` may come to, if a budget covers it; how much that is."""
        if not self.over(lane):
            return 0
        cost = self.cost(candidate, lane)
        for scope in scopes(lane):
            self.reserved[scope] = self.reserved.get(scope, 0) + cost
        return cost


@dataclass(slots=True)
class Counters:
    """What a claim decides by, kept up to date while it walks its candidates.

    `ahead` is how much more than its room the place is given, to wait in line there (0.5: half as much
    again): what it finishes while a claim is made, so nothing when jobs are long.
    """

    place: Place
    now: datetime
    gates: dict[ScopeKey, CapFacts] = field(default_factory=dict)
    holds: dict[ScopeKey, list[HoldFacts]] = field(default_factory=dict)
    used: dict[ScopeKey, Used] = field(default_factory=dict)
    spending: Spending | None = None
    ahead: float = 0.0
    reserved_for: int | None = None

    def count(self, lane: LaneFacts, jobs: int, vcpus_milli: int, memory_mib: int) -> None:
        for scope in scopes(lane):
            self.used.setdefault(scope, Used()).add(jobs, vcpus_milli, memory_mib)

    def reserve(self, candidate: Candidate, lane: LaneFacts, reason: Reason) -> None:
        """Keep what ends from now on for `candidate`, refused for `reason`, if it has waited so long for room."""
        waited = lane.blocked_since is not None and self.now - lane.blocked_since > RESERVE_AFTER
        if waited and reason.place_full and self.reserved_for is None:
            self.reserved_for = candidate.job_id
            self.ahead = 0.0

    def here(self) -> Used:
        """What is active at the place."""
        return self.used.get((Scope.PLACE, str(self.place.pk)), Used())


def reasons(candidate: Candidate, lane: LaneFacts, counters: Counters) -> Iterator[Reason]:
    """Everything that keeps `candidate` from starting now."""
    yield from _held(candidate, lane, counters)
    yield from _of_type(lane, counters)
    yield from _capped(candidate, lane, counters)
    yield from _afforded(candidate, lane, counters)
    yield from _place(lane, counters)
    yield from _room(candidate, counters)


def silent_after(place: Place) -> timedelta:
    """How long nobody may have been seen to serve a place before it counts as not served."""
    return WORKER_SILENT_AFTER if place.cloud == "local" else CALLER_SILENT_AFTER


def of_type(lane: LaneFacts, counters: Counters) -> Reason | None:
    """What the job type has against all of its jobs now."""
    return next(_of_type(lane, counters), None)


def admit(candidate: Candidate, lane: LaneFacts, counters: Counters) -> Reason | None:
    """The first reason not to start `candidate` now; None admits it."""
    return next(reasons(candidate, lane, counters), None)


def _held(candidate: Candidate, lane: LaneFacts, counters: Counters) -> Iterator[Reason]:
    # A job that is held itself stands in a lane that no claim looks at: only who explains meets its hold here.
    for scope in (*scopes(lane), (Scope.JOB, str(candidate.job_id))):
        for hold in counters.holds.get(scope, ()):
            hint = hold.hint or "Somebody has to lift the hold."
            value = " ".join(filter(None, scope))
            yield Reason(hold.code, hint, since=hold.since, value=value, set_by=hold.set_by, scope=scope)


def _of_type(lane: LaneFacts, counters: Counters) -> Iterator[Reason]:
    job_type = lane.job_type
    if job_type is None:
        return
    scope = (Scope.JOB_TYPE, str(job_type.id))
    if job_type.paused_at is not None:
        hint = f"The job type {job_type.name} is paused; somebody has to resume it."
        yield Reason("PAUSED", hint, job_type.paused_at, scope=scope)
    if job_type.special:
        hint = f"No place offers {job_type.special}: the manifest has to ask for something else."
        yield Reason("UNMET_RESOURCES", hint, value=job_type.special, scope=scope)
    used = counters.used.get(scope, Used()).jobs
    if job_type.max_scheduled is not None and used + 1 > job_type.max_scheduled:
        hint = "Waits until running jobs of this job type end, or its max_scheduled is raised."
        yield Reason("MAX_SCHEDULED", hint, value=used, limit=job_type.max_scheduled, scope=scope)


def _capped(candidate: Candidate, lane: LaneFacts, counters: Counters) -> Iterator[Reason]:
    for scope in scopes(lane):
        gate = counters.gates.get(scope)
        if gate is None:
            continue
        used = counters.used.get(scope, Used())
        hint = gate.hint or f"Waits until running jobs of this {scope[0]} end, or its cap is raised."
        by = gate.set_by
        if gate.max_jobs is not None and used.jobs + 1 > gate.max_jobs:
            yield Reason("CAP_JOBS", hint, gate.since, used.jobs, gate.max_jobs, by, scope=scope)
        if gate.max_vcpus_milli is not None and used.vcpus_milli + candidate.vcpus_milli > gate.max_vcpus_milli:
            yield Reason("CAP_VCPUS", hint, gate.since, used.vcpus_milli, gate.max_vcpus_milli, by, scope=scope)


def _afforded(candidate: Candidate, lane: LaneFacts, counters: Counters) -> Iterator[Reason]:
    over = counters.spending.over(lane) if counters.spending else []
    if not over or counters.spending is None:
        return
    cost = counters.spending.cost(candidate, lane)
    for gate, used in over:
        if used + cost > gate.limit_nano:
            whose = {Scope.CUSTOMER: "its customer", Scope.JOB_TYPE: "its job type"}.get(Scope(gate.scope), "all jobs")
            hint = f"The budget of {whose} has not enough left for the {dollars(cost)} USD that this job may come to."
            hint, scope = f"{hint} {gate.hint}".strip(), (gate.scope, gate.scope_id)
            yield Reason(BUDGET, hint, gate.since, dollars(used), dollars(gate.limit_nano), scope=scope)


def dollars(nano: int) -> str:
    """Billionths of USD as text in USD, exactly."""
    return f"{(Decimal(nano) / 10**9).normalize():f}"


def _place(lane: LaneFacts, counters: Counters) -> Iterator[Reason]:
    place = counters.place
    if place.seen_at is None or counters.now - place.seen_at > silent_after(place):
        hint = f"Nothing serves {place}: start `manage.py work` there."
        yield Reason("NO_WORKER", hint, since=place.seen_at)
    if place.failure:
        yield Reason("PROVIDER_FAILING", f"{place} cannot be called now: {place.failure}", since=place.failing_since)
    if place.runs_for == RunsFor.STAFF and lane.owner_role == Role.CUSTOMER:
        yield Reason("UNISOLATED", f"{place} runs jobs without isolation, and so only those of admins and operators.")
    elif place.seen_at is not None and place.runs_for == RunsFor.NOBODY:
        yield Reason("UNISOLATED", f"{place} cannot isolate jobs: install bubblewrap there, or set LOCAL_UNISOLATED=1.")
    if place.disk_free_mib is not None and place.disk_free_mib < place.disk_floor_mib:
        hint = f"Free some disk at {place}, in MiB."
        yield Reason("DISK", hint, value=place.disk_free_mib, limit=place.disk_floor_mib)


def _room(candidate: Candidate, counters: Counters) -> Iterator[Reason]:
    place = counters.place
    if counters.reserved_for is not None and counters.reserved_for != candidate.job_id:
        hint = "A job ahead has waited so long for room that what ends now is kept for it."
        yield Reason("RESERVED", hint, value=counters.reserved_for, place_full=True)
    room = 1 + counters.ahead
    here = counters.here()
    for code, need, used, total in (
        ("VCPUS", candidate.vcpus_milli, here.vcpus_milli, place.vcpus_milli),
        ("MEMORY", candidate.memory_mib, here.memory_mib, place.memory_mib),
    ):
        if need > total:
            yield Reason(
                f"TOO_LARGE_{code}", f"{place} is smaller than this job: ask for less.", value=need, limit=total
            )
        elif used + need > total * room:
            yield Reason(f"NO_ROOM_{code}", "Waits until running jobs end.", value=used, limit=total, place_full=True)
