"""Observe: ask a provider about all that is active."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from clusters.providers.base import End, Observation, Phase, Provider
from controlplane.core import instruments
from jobs import states
from jobs.models import Execution, Job
from jobs.scheduling.applying import apply
from jobs.services.move import move

DELAYED_AT_ONCE: Final = 1000


@dataclass(slots=True)
class Watch:
    """What one scheduler remembers between two looks at a place: since when the provider misses an execution."""

    missing: dict[str, datetime]
    lost_after: timedelta = timedelta(seconds=60)


def observe(place_id: int, provider: Provider, watch: Watch) -> list[str]:
    """Ask the provider about all that is active, and apply what it says.

    Returns the uuids it knows nothing of and that may not have started, to be handed over again. One that
    ran and is missing for longer than the bound is LOST.
    """
    rows = Execution.objects.filter(place=place_id, status__in=states.EXECUTION_AT_PROVIDER)
    active = {str(uuid): status for uuid, status in rows.values_list("uuid", "status")}
    observations: list[Observation] = []
    if active:
        with instruments.provider_call(provider.cloud, "observe"):
            observations = provider.observe(list(active))
    known = {observation.execution_id for observation in observations}
    now = timezone.now()
    watch.missing = {i: watch.missing.get(i, now) for i in active if i not in known}
    gone = [i for i, since in watch.missing.items() if active[i] == states.RUNNING and now - since > watch.lost_after]
    lost = [Observation(i, Phase.ENDED, ended_at=now, end=End.LOST, detail="The provider forgot it.") for i in gone]
    apply([*observations, *lost])
    return [i for i in watch.missing if active[i] == states.SUBMITTED]


def wake_delayed() -> int:
    """Queue the jobs whose next try is due."""
    now = timezone.now()
    due = Job.objects.filter(status=states.DELAYED, due_at__lte=now).order_by("due_at")[:DELAYED_AT_ONCE]
    ids = list(due.values_list("id", flat=True))
    if not ids:
        return 0
    values = {i: {"queued_at": now, "due_at": None, "reason": "RETRY", "error": None} for i in ids}
    with transaction.atomic():
        return len(move(values, states.QUEUED, fields=("queued_at", "due_at", "reason", "error")))
