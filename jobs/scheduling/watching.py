"""Observe: ask a provider about all that is active."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from clusters.providers.base import Cloud, End, Observation, Phase, Provider
from controlplane.core import instruments
from jobs import states
from jobs.models import Execution, Job
from jobs.scheduling.applying import apply
from jobs.services.ladder import wake_on_ladder
from jobs.services.move import move

DELAYED_AT_ONCE: Final = 1000


@dataclass(slots=True)
class Watch:
    """What one scheduler remembers between two looks at a place: since when the provider misses an execution."""

    missing: dict[str, datetime]
    lost_after: timedelta = timedelta(seconds=60)

    def note(self, missed: Iterable[str]) -> list[str]:
        """These are missed now, and all others are not: those that are lost by it."""
        now = timezone.now()
        self.missing = {i: self.missing.get(i, now) for i in missed}
        return [i for i, since in self.missing.items() if now - since > self.lost_after]


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
    gone = [i for i in watch.note(active.keys() - known) if active[i] == states.RUNNING]
    apply([*observations, *map(_lost, gone)])
    return [i for i in watch.missing if active[i] == states.SUBMITTED]


def observe_cloud(place_id: int, cloud: Cloud, watch: Watch) -> int:
    """Ask the cloud about all that is active there and has a handle, and apply what it says; how many there are.

    What it has not known for longer than the bound is LOST, whether it was seen to run or not.
    """
    rows = Execution.objects.filter(place=place_id, status__in=states.EXECUTION_AT_PROVIDER).exclude(handle="")
    uuids = {handle: str(uuid) for handle, uuid in rows.values_list("handle", "uuid")}
    observations: list[Observation] = []
    if uuids:
        with instruments.provider_call(cloud.cloud, "observe"):
            observations = cloud.observe(list(uuids))
    known = {observation.execution_id for observation in observations}
    lost = map(_lost, watch.note(uuids.keys() - known))
    apply([replace(each, execution_id=uuids[each.execution_id]) for each in (*observations, *lost)])
    return len(uuids)


def _lost(execution_id: str) -> Observation:
    return Observation(
        execution_id, Phase.ENDED, ended_at=timezone.now(), end=End.LOST, detail="The provider forgot it."
    )


def wake_delayed() -> int:
    """Queue the jobs whose next try is due, those with a policy where it is to be; how many."""
    now = timezone.now()
    due = Job.objects.filter(status=states.DELAYED, due_at__lte=now).order_by("due_at")[:DELAYED_AT_ONCE]
    found: list[Any] = list(due.values_list("id", "policy"))
    plain = [i for i, policy_id in found if policy_id is None]
    on_ladder = [i for i, policy_id in found if policy_id is not None]
    woken = wake_on_ladder(on_ladder) if on_ladder else 0
    if not plain:
        return woken
    values = {i: {"queued_at": now, "due_at": None, "reason": "RETRY", "error": None} for i in plain}
    with transaction.atomic():
        return woken + len(move(values, states.QUEUED, fields=("queued_at", "due_at", "reason", "error")))
