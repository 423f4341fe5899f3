"""Claim: which queued jobs start now."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from django.db import DatabaseError, OperationalError, transaction
from django.utils import timezone

from controlplane.core import sets
from controlplane.core.ids import uuid7
from jobs import gates, queries, sql, states
from jobs.models import Execution, Gate, Lane, Place
from jobs.services.move import move
from jobtypes.models import Error

logger = logging.getLogger("jobs.scheduling")
CLAIM_AT_MOST: Final = 256
Lanes = dict[int, sql.LaneFacts]


def claim(place_id: int, *, just_ended: int = 0, limit: int = CLAIM_AT_MOST) -> int | None:
    """Take queued jobs of a place, in order, past all that is held, capped or too large now.

    They become STARTING, each with a new execution CREATED. One transaction; None when another
    scheduler is claiming here. `just_ended`: how many short executions the place finished lately; so
    many more than fit may be handed to it, to wait in line there.
    """
    with transaction.atomic():
        place = Place.objects.select_for_update(skip_locked=True).filter(pk=place_id).first()
        if place is None:
            return None
        lanes = sql.lanes(place_id)
        counters = queries.counters(place, lanes.values())
        open_lanes = [lane for lane in lanes.values() if lane.claimable and not _closed(lane, counters)]
        if not open_lanes:
            return 0
        # Before the caps: whoever waits for a budget must not keep a job type's row from those who hold the budget.
        spending = queries.claim_spending(place, open_lanes)
        if _lock_gates(open_lanes, counters):
            counters = queries.counters(place, sql.lanes(place_id).values())
        # A lane made while its hold was placed may not be marked yet: the holds themselves decide.
        counters.holds = queries.holds_by_scope()
        counters.spending = spending
        counters.ahead = just_ended / max(1, counters.here().jobs)
        walk = Walk(lanes, counters)
        walk.admit_from([lane for lane in open_lanes if not spending or not spending.is_used_up(lane)], limit)
        walk.leave_paused()
        walk.note_blocked()
        return _start_or_fail(place_id, walk.admitted, walk.reserved)


def _closed(lane: sql.LaneFacts, counters: gates.Counters) -> bool:
    """Is a cap over the lane used up, whatever the job? A look without a lock, to leave out what cannot go."""
    if gates.of_type(lane, counters) is not None:
        return True
    for scope in gates.scopes(lane):
        gate = counters.gates.get(scope)
        if gate and gate.max_jobs is not None and counters.used.get(scope, gates.Used()).jobs >= gate.max_jobs:
            return True
    return False


def _lock_gates(open_lanes: Sequence[sql.LaneFacts], counters: gates.Counters) -> bool:
    """Lock the caps over these lanes, in one order everywhere. True if there are any: then count again."""
    touched = {scope for lane in open_lanes for scope in gates.scopes(lane)}
    ids = [gate.id for scope, gate in counters.gates.items() if scope in touched]
    locked = bool(ids) and bool(list(Gate.objects.select_for_update().filter(pk__in=ids).order_by("pk")))
    types = {lane.job_type.id for lane in open_lanes if lane.job_type and lane.job_type.max_scheduled is not None}
    return bool(sql.lock_job_types(list(types))) or locked


def _each(limit: int, lanes: int) -> int:
    """How many heads to read of each lane: all of `limit` from few lanes, some from many."""
    return limit if lanes <= 16 else max(4, 16 * limit // lanes)


class Walk:
    """One walk along the heads of lanes: who may start, and which lanes cannot go on now."""

    def __init__(self, lanes: Lanes, counters: gates.Counters) -> None:
        self.admitted: list[sql.Candidate] = []
        self.reserved: dict[int, int] = {}  # by the jobs' ids, billionths of USD
        self.refused: dict[int, gates.Reason] = {}
        self._lanes = lanes
        self._counters = counters

    def admit_from(self, open_lanes: Sequence[sql.LaneFacts], limit: int) -> None:
        """Admit up to `limit` candidates, in their order.

        The heads of lanes that cannot go on take places of those behind them: so look again past the
        refused lanes, until a look refuses none.

        Jobs of a lane may run for longer or shorter, and so come to more or less. One that its budget has not enough
        for lets those behind it pass that were read with it: waiting would not bring the money. Further
        looks leave its lane out, so a line of dear jobs costs a claim no more than a line that is capped.
        """
        taken: set[int] = set()
        while len(self.admitted) < limit:
            ids = [lane.id for lane in open_lanes if lane.id not in self.refused]
            refused = len(self.refused)
            for candidate in sql.heads(ids, _each(limit, len(ids)), limit):
                if candidate.job_id not in taken and len(self.admitted) < limit:
                    taken.add(candidate.job_id)
                    self._try(candidate)
            if len(self.refused) == refused:
                return

    def _try(self, candidate: sql.Candidate) -> None:
        lane, counters = self._lanes[candidate.lane_id], self._counters
        refused = self.refused.get(lane.id)
        if refused is not None and refused.code != gates.BUDGET:
            return  # every other gate treats the jobs of a lane alike
        reason = gates.admit(candidate, lane, counters)
        if reason is None:
            counters.count(lane, 1, candidate.vcpus_milli, candidate.memory_mib)
            if counters.spending is not None:
                self.reserved[candidate.job_id] = counters.spending.reserve(candidate, lane)
            self.admitted.append(candidate)
            return
        self.refused[lane.id] = reason
        counters.reserve(candidate, lane, reason)

    def leave_paused(self) -> None:
        """Leave out what is of a job type that was paused since we looked: once that is answered, none may start."""
        lanes = self._lanes
        types = {candidate.lane_id: lanes[candidate.lane_id].job_type for candidate in self.admitted}
        ids = list({job_type.id for job_type in types.values() if job_type})
        paused = {i for i, is_paused in sql.lock_job_types(ids, shared=True).items() if is_paused}
        if paused:
            left = {lane_id for lane_id, job_type in types.items() if job_type and job_type.id in paused}
            self.admitted = [candidate for candidate in self.admitted if candidate.lane_id not in left]

    def note_blocked(self) -> None:
        """Keep since when the head of each lane has not fitted; a lane of which one started starts afresh."""
        moving = {candidate.lane_id for candidate in self.admitted}
        freed = [i for i in moving if self._lanes[i].blocked_since is not None]
        stuck = [
            i
            for i, reason in self.refused.items()
            if reason.place_full and self._lanes[i].blocked_since is None and i not in moving
        ]
        if freed:
            Lane.objects.filter(pk__in=freed).update(blocked_since=None)
        if stuck:
            Lane.objects.filter(pk__in=stuck).update(blocked_since=self._counters.now)


def _start_or_fail(place_id: int, admitted: Sequence[sql.Candidate], reserved: Mapping[int, int]) -> int:
    """Start a set; one that the database refuses goes one by one, and the one it refuses then fails alone."""
    try:
        with transaction.atomic():
            return _start(place_id, admitted, reserved)
    except OperationalError:
        raise
    except DatabaseError:
        only = {"job_id": admitted[0].job_id} if len(admitted) == 1 else {}
        logger.exception("a claim of %d jobs was refused", len(admitted), extra=only)
    if len(admitted) > 1:
        return sum(_start_or_fail(place_id, [candidate], reserved) for candidate in admitted)
    error = Error.objects.get(name="database", is_builtin=True)
    values = {"ended_at": timezone.now(), "reason": "DATABASE", "error": error.pk}
    move({admitted[0].job_id: values}, states.FAILED, fields=tuple(values))
    return 0


def _start(place_id: int, admitted: Sequence[sql.Candidate], reserved: Mapping[int, int]) -> int:
    if not admitted:
        return 0
    tries = {candidate.job_id: candidate.tries + 1 for candidate in admitted}
    capacities = {candidate.job_id: candidate.capacity for candidate in admitted}
    moved = move({i: {"tries": n, "reason": ""} for i, n in tries.items()}, states.STARTING, fields=("tries", "reason"))
    now = timezone.now()
    fields = ("uuid", "job", "number", "place", "capacity", "status", "node", "detail", "created_at", "logs_kept")
    same = (states.CREATED, "", "", now, True)
    rows = [(uuid7(), i, tries[i], place_id, capacities[i], *same, reserved.get(i, 0)) for i in moved]
    sets.insert(Execution, (*fields, "reserved_nano"), rows)
    return len(moved)
