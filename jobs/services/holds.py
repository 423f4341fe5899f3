"""Holds: on everything that a scope covers, and on single jobs that wait."""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts.events import tell
from accounts.models import User
from controlplane.core import sets
from jobs import queries, states
from jobs.models import Hold, Job, Lane, Scope, Shape
from jobs.services.gates import let_no_claim_run, ring_all
from jobs.services.places import twin_lane_id
from jobs.services.steer import waiting
from jobs.services.told import tell_of_jobs


def place_hold(*, scope: str, scope_id: str = "", code: str, hint: str = "", actor: User | None = None) -> Hold:
    """Let nothing in this scope start until the hold is lifted. What runs goes on. The same hold twice is one.

    A single job is held by jobs.services.hold_jobs.
    """
    with transaction.atomic():
        let_no_claim_run()
        hold, made = Hold.objects.get_or_create(
            scope=scope, scope_id=scope_id, code=code, defaults={"hint": hint, "set_by": actor}
        )
        queries.lanes_of(scope, scope_id).update(held=True)
        if made:
            tell("hold.placed", hold.pk, actor, facts_of_hold(hold))
    return hold


def lift_hold(hold: Hold, *, actor: User | None = None) -> None:
    """Let what only this hold kept go on."""
    if hold.scope == Scope.JOB:
        release_jobs([int(hold.scope_id)], actor=actor)
        return
    with transaction.atomic():
        after = {"scope": hold.scope, "code": hold.code}
        tell("hold.lifted", hold.pk, actor, after, before=facts_of_hold(hold))
        hold.delete()
        refresh_held()
        ring_all()


def facts_of_hold(hold: Hold) -> dict[str, str]:
    """What is said of a hold, as the event log has it."""
    return {"scope": hold.scope, "id": hold.scope_id, "code": hold.code, "hint": hold.hint}


def hold_jobs(ids: Sequence[int], *, actor: User | None, hint: str = "") -> list[int]:
    """Keep waiting jobs from starting until they are released. Returns the ids that are held by this call.

    They go over to the lane of held jobs; who holds them, since when and why is a Hold each. A MapReduce job is in
    no line that it could be held in; its tasks are.
    """
    with transaction.atomic():
        let_no_claim_run()
        found = _change_lanes(waiting(ids).filter(lane__on_hold=False).exclude(shape=Shape.MAPREDUCE))
        now, actor_id = timezone.now(), actor.pk if actor else None
        sets.insert(
            Hold,
            ("scope", "scope_id", "code", "hint", "set_by", "since"),
            [(Scope.JOB, str(i), queries.HELD, hint, actor_id, now) for i in found],
        )
        tell_of_jobs("job.held", {i: (customer, None, {"hint": hint}) for i, customer in found.items()}, actor)
    return list(found)


def release_jobs(ids: Sequence[int], *, actor: User | None) -> list[int]:
    """Let held jobs go on. Returns the ids that were held one by one, and are not any more."""
    with transaction.atomic():
        held = Job.objects.filter(sets.among("id", list(ids), Job), lane__on_hold=True)
        found = _change_lanes(held.select_for_update(of=("self",)).order_by("id"))
        Hold.objects.filter(
            sets.among("scope_id", [str(i) for i in found], Hold), scope=Scope.JOB, code=queries.HELD
        ).delete()
        tell_of_jobs("job.released", {i: (customer, None, None) for i, customer in found.items()}, actor)
        ring_all()
    return list(found)


def _change_lanes(jobs: QuerySet[Job]) -> dict[int, int]:
    """Move jobs from the lanes of free ones to those of held ones, or back. Returns each one's customer by its id."""
    rows = list(jobs.values_list("id", "customer_id", "lane_id"))
    by_lane: dict[int, list[int]] = {}
    for job_id, _, lane_id in rows:
        by_lane.setdefault(lane_id, []).append(job_id)
    now = timezone.now()
    twins = {lane.pk: twin_lane_id(lane) for lane in Lane.objects.filter(pk__in=by_lane)}
    for lane_id, members in by_lane.items():
        Job.objects.filter(sets.among("id", members, Job)).update(lane=twins[lane_id], modified_at=now)
    Lane.objects.filter(pk__in=twins.values(), waiting=False).update(waiting=True)
    return {job_id: customer_id for job_id, customer_id, _ in rows}


def refresh_held() -> None:
    """Make every lane's `held` say what the holds say."""
    holds = queries.holds_by_scope()
    lanes = list(Lane.objects.all())
    held = {lane.pk for lane in lanes if queries.is_held(lane, holds)}
    Lane.objects.filter(pk__in=[lane.pk for lane in lanes if lane.held and lane.pk not in held]).update(held=False)
    Lane.objects.filter(pk__in=[lane.pk for lane in lanes if not lane.held and lane.pk in held]).update(held=True)


def refresh_lanes() -> int:
    """Make the lanes' hints true again, and wake the schedulers of lanes that had been forgotten.

    A lane without queued jobs stops waiting; one with queued jobs waits. The second is what heals the
    lost race between a submit that found the lane waiting and a sweep that was about to clear it.
    """
    queued = Job.objects.filter(lane=OuterRef("pk"), status=states.QUEUED)
    with transaction.atomic():
        refresh_held()
        Lane.objects.filter(~Exists(queued), waiting=True).update(waiting=False, blocked_since=None)
    with transaction.atomic():
        woken = Lane.objects.filter(Exists(queued), waiting=False).update(waiting=True)
        if woken:
            ring_all()
    return woken
