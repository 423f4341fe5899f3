"""Rollouts: another image version for a cluster, container after container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from clusters import states
from clusters.errors import RolloutNotFound, RolloutState
from clusters.judging import NOT_TAKEN
from clusters.models import Cluster, Container, ImageVersion, Rollout
from clusters.queries import version_for
from clusters.services.clusters import reconfigure, tell
from clusters.services.containers import MOST, lock_cluster
from clusters.services.fleet_moves import wake_keepers
from controlplane.core.errors import InvalidRequest
from controlplane.core.transitions import compare_and_set

_ENDS: Final = (states.COMPLETED, states.ROLLED_BACK)


def start_rollout(*, cluster: Cluster, actor: User | None, image_version: str, max_unavailable: int = 1) -> Rollout:
    """Have the cluster's containers run another version, so many at a time; new ones run it at once.

    Raises InvalidRequest, UnknownImageVersion, ClusterNotFound, and RolloutState while another is under way.
    """
    version = version_for(cluster.owner, image_version)
    if not 1 <= max_unavailable <= MOST:
        raise InvalidRequest(f"This is a whole number from 1 to {MOST}.", field="max_unavailable")
    with transaction.atomic():
        row = lock_cluster(cluster)
        if row.rollouts.filter(status__in=states.ROLLOUT_OPEN).exists():
            raise RolloutState("Another rollout of the cluster is under way.")
        if version.pk == row.image_version_id:
            raise InvalidRequest("The cluster has this image version already.", field="image_version")
        made = Rollout.objects.create(
            cluster=row, before_id=row.image_version_id, target=version, max_unavailable=max_unavailable
        )
        before = {"image_version": row.image_version.version}
        row.image_version = version
        row.save(update_fields=["image_version"])
        tell("cluster.rollout-started", row, actor, {"image_version": version.version}, before=before)
        wake_keepers()
    return made


def pause_rollout(*, rollout: Rollout, actor: User | None) -> Rollout:
    """Change no further containers for now. Raises RolloutState, RolloutNotFound."""
    with transaction.atomic():
        row = _locked(rollout)
        _move(row, states.PAUSED, reason="")
        tell("cluster.rollout-paused", row.cluster, actor, {})
    return row


def resume_rollout(*, rollout: Rollout, actor: User | None) -> Rollout:
    """Go on, and try those again that did not come up. Raises RolloutState, RolloutNotFound."""
    with transaction.atomic():
        row = _locked(rollout)
        _move(row, states.ROLLING, reason="")
        _retry(row)
        tell("cluster.rollout-resumed", row.cluster, actor, {})
        wake_keepers()
    return row


def roll_back(*, rollout: Rollout, actor: User | None) -> Rollout:
    """Go back to the version before, under the same bound. Raises RolloutState, RolloutNotFound."""
    with transaction.atomic():
        row = _locked(rollout)
        if row.status not in states.ROLLOUT_OPEN or row.is_back:
            raise RolloutState("Only a rollout that is under way can be rolled back, and once.")
        if row.status == states.PAUSED:
            _move(row, states.ROLLING, reason="")
        row.is_back = True
        row.save(update_fields=["is_back"])
        row.cluster.image_version = row.before
        row.cluster.save(update_fields=["image_version"])
        before = {"image_version": row.target.version}
        tell("cluster.rollout-rolled-back", row.cluster, actor, {"image_version": row.before.version}, before=before)
        wake_keepers()
    return row


def advance_rollouts() -> None:
    """Do what can be done of the rollouts that are under way. Any number of processes may be at it."""
    for pk in Rollout.objects.filter(status=states.ROLLING).order_by("pk").values_list("pk", flat=True):
        with transaction.atomic():
            rows = Rollout.objects.select_for_update(skip_locked=True, of=("self",))
            row = rows.select_related("cluster", "before", "target").filter(pk=pk, status=states.ROLLING).first()
            if row is not None:
                _advance(row)


def _advance(row: Rollout) -> None:
    goal = goal_of(row)
    there = list(Container.objects.select_for_update().filter(cluster=row.cluster, archived_at=None).order_by("pk"))
    for each in there:
        if _has_failed(each, goal):
            said = f"{each.name} did not come up with {goal.version}: {each.detail or each.reason}"[:1000]
            _move(row, states.PAUSED, reason=said)
            tell("cluster.rollout-paused", row.cluster, None, {"reason": said})
            return
    others = [each for each in there if each.image_version_id != goal.pk]
    # What does not run changes without anybody's noticing.
    idle = [each for each in others if each.status in (states.STOPPED, states.FAILED)]
    if idle:
        reconfigure(idle, goal, None)
    waiting = [each for each in others if each not in idle]
    away = [
        each
        for each in there
        if each.desired == states.UP_WANTED and each.status not in (states.RUNNING, states.FAILED)
    ]
    room = row.max_unavailable - len(away)
    unwell = [each for each in waiting if each.status == states.UNHEALTHY]  # down already
    chosen = unwell + [each for each in waiting if each.status == states.RUNNING][: max(0, room)]
    if chosen:
        reconfigure(chosen, goal, None)
    elif not waiting and not away:
        status = states.ROLLED_BACK if row.is_back else states.COMPLETED
        _move(row, status, reason="")
        tell("cluster.rollout-ended", row.cluster, None, {"status": status})


def goal_of(row: Rollout) -> ImageVersion:
    """Where it goes."""
    return row.before if row.is_back else row.target


def _has_failed(container: Container, goal: ImageVersion) -> bool:
    """Has it been given the version, and not come up?"""
    has_not_taken = container.status == states.UNHEALTHY and container.reason == NOT_TAKEN
    is_down = container.status == states.FAILED and container.desired == states.UP_WANTED and bool(container.reason)
    return container.image_version_id == goal.pk and (has_not_taken or is_down)


def _retry(row: Rollout) -> None:
    goal = goal_of(row)
    there = Container.objects.select_for_update().filter(cluster=row.cluster, archived_at=None).order_by("pk")
    again = [each for each in there if _has_failed(each, goal)]
    if again:
        reconfigure([each for each in again if each.status == states.UNHEALTHY], goal, None)
        Container.objects.filter(pk__in=[each.pk for each in again if each.status == states.FAILED]).update(reason="")


def _locked(rollout: Rollout) -> Rollout:
    rows = Rollout.objects.select_for_update(of=("self",)).select_related("cluster", "before", "target")
    row = rows.filter(pk=rollout.pk).first()
    if row is None:
        raise RolloutNotFound
    return row


def _move(row: Rollout, to: str, *, reason: str) -> None:
    """Raises RolloutState."""
    values: Mapping[str, Any] = {"reason": reason, "ended_at": timezone.now() if to in _ENDS else None}
    if not compare_and_set(Rollout, states.ROLLOUT, to, {row.pk: values}, tuple(values)):
        raise RolloutState(f"The rollout is {row.status.lower().replace('_', ' ')}, which does not allow this.")
    row.refresh_from_db(fields=["status", *values])
