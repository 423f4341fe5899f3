"""Caps: what bounds the active and the queued jobs of a scope."""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.events import tell
from accounts.models import User
from controlplane.core.bells import ring
from jobs import sql
from jobs.models import Gate, Place


def let_no_claim_run() -> None:
    """Wait for claims that are under way to end, and keep others out until the caller's transaction ends.

    So what is held in it does not start any more once it has been answered.
    """
    list(Place.objects.select_for_update().order_by("pk").values_list("pk", flat=True))


def ring_all() -> None:
    places = Place.objects.values_list("cloud", "region")
    ring({sql.pulse_queue(cloud, region) for cloud, region in places})


def set_cap(
    *, scope: str, scope_id: str = "", max_jobs: int | None = None, max_vcpus_milli: int | None = None,
    max_queued_jobs: int | None = None, hint: str = "", actor: User | None = None,
) -> Gate:  # fmt: skip
    """Cap what may be active at once, or be queued, in this scope. What is there beyond a lower cap goes on."""
    limits = {"max_jobs": max_jobs, "max_vcpus_milli": max_vcpus_milli, "max_queued_jobs": max_queued_jobs}
    with transaction.atomic():
        values = {**limits, "hint": hint, "set_by": actor, "since": timezone.now()}
        known = Gate.objects.select_for_update().filter(scope=scope, scope_id=scope_id).first()
        gate, _ = Gate.objects.update_or_create(scope=scope, scope_id=scope_id, defaults=values)
        tell("cap.set", gate.pk, actor, facts_of(gate), before=facts_of(known) if known else None)
        ring_all()
    return gate


def lift_cap(gate: Gate, *, actor: User | None = None) -> None:
    """Take a cap away."""
    with transaction.atomic():
        tell("cap.lifted", gate.pk, actor, {"scope": gate.scope, "id": gate.scope_id}, before=facts_of(gate))
        gate.delete()
        ring_all()


def facts_of(gate: Gate) -> dict[str, Any]:
    """What may be said of a cap, as the event log has it."""
    names = ("max_jobs", "max_vcpus_milli", "max_queued_jobs", "hint")
    return {"scope": gate.scope, "id": gate.scope_id, **{name: getattr(gate, name) for name in names}}
