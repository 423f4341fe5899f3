"""Holds and caps: what keeps queued jobs from starting."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts import events
from accounts.models import User
from jobs import queries, sql, states
from jobs.models import Gate, Hold, Job, Lane, Place


def _told(kind: str, subject_id: int, scope: str, scope_id: str, actor: User | None, after: object) -> None:
    events.record([(kind, kind.split(".")[0], subject_id, actor.pk if actor else None, None, None, after)])


def _ring_all() -> None:
    places = Place.objects.values_list("cloud", "region")
    sql.ring({sql.pulse_queue(cloud, region) for cloud, region in places})


def place_hold(*, scope: str, scope_id: str = "", code: str, hint: str = "", actor: User | None = None) -> Hold:
    """Let nothing in this scope start until the hold is lifted. What runs goes on. The same hold twice is one."""
    with transaction.atomic():
        hold, made = Hold.objects.get_or_create(
            scope=scope, scope_id=scope_id, code=code, defaults={"hint": hint, "set_by": actor}
        )
        queries.lanes_of(scope, scope_id).update(held=True)
        if made:
            _told("hold.placed", hold.pk, scope, scope_id, actor, {"scope": scope, "id": scope_id, "code": code})
    return hold


def lift_hold(hold: Hold, *, actor: User | None = None) -> None:
    """Let what only this hold kept go on."""
    with transaction.atomic():
        _told("hold.lifted", hold.pk, hold.scope, hold.scope_id, actor, {"scope": hold.scope, "code": hold.code})
        hold.delete()
        refresh_held()
        _ring_all()


def set_cap(
    *, scope: str, scope_id: str = "", max_jobs: int | None = None, max_vcpus_milli: int | None = None,
    hint: str = "", actor: User | None = None,
) -> Gate:  # fmt: skip
    """Cap what may be active at once in this scope. What runs beyond a lower cap goes on."""
    with transaction.atomic():
        values = {"max_jobs": max_jobs, "max_vcpus_milli": max_vcpus_milli, "hint": hint, "set_by": actor}
        gate, _ = Gate.objects.update_or_create(
            scope=scope, scope_id=scope_id, defaults={**values, "since": timezone.now()}
        )
        after = {"scope": scope, "id": scope_id, "max_jobs": max_jobs, "max_vcpus_milli": max_vcpus_milli}
        _told("cap.set", gate.pk, scope, scope_id, actor, after)
        _ring_all()
    return gate


def lift_cap(gate: Gate, *, actor: User | None = None) -> None:
    """Take a cap away."""
    with transaction.atomic():
        _told("cap.lifted", gate.pk, gate.scope, gate.scope_id, actor, {"scope": gate.scope, "id": gate.scope_id})
        gate.delete()
        _ring_all()


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
            _ring_all()
    return woken
