"""What job types ask for and no place has: a hint that the sweep keeps true."""

from __future__ import annotations

from typing import Final

from controlplane.core import sets
from jobs import sql
from jobs.models import Lane
from jobtypes.models import JobType

CPUS: Final = "cpus"
MEMORY: Final = "mem"
LONGEST: Final = 250


def refresh_unmet() -> int:
    """Let each job type name the resources for lack of which queued jobs of it never fit; returns how many changed.

    A job stays at its place, so what counts is what that place has when nothing else runs there. Places that
    nobody has served yet may be of any size.
    """
    found = {type_id: ",".join(names)[:LONGEST] for type_id, names in _missing().items()}
    stale = JobType.objects.filter(unmet_resources__isnull=False).values_list("id", "unmet_resources")
    before: dict[int, str | None] = dict(stale)
    changed: dict[str | None, list[int]] = {}
    for type_id in found.keys() | before.keys():
        if found.get(type_id) != before.get(type_id):
            changed.setdefault(found.get(type_id), []).append(type_id)
    for unmet, ids in changed.items():
        JobType.objects.filter(sets.among("id", ids, JobType)).update(unmet_resources=unmet)
    return sum(map(len, changed.values()))


def _missing() -> dict[int, list[str]]:
    """The names of what is missing, by job type, each once: what the manifest asks for last."""
    waiting = Lane.objects.filter(waiting=True, job_type__isnull=False).select_related("place", "job_type")
    # A job type's manifest may be long, and this is looked at every few seconds.
    lanes = {lane.pk: lane for lane in waiting.only("place", "job_type__special_resources")}
    found: dict[int, dict[str, None]] = {}
    for head in sql.heads(list(lanes), 1, len(lanes)):
        lane = lanes[head.lane_id]
        assert lane.job_type is not None
        place, special = lane.place, lane.job_type.special_resources
        too_much = [CPUS] if head.vcpus_milli > place.vcpus_milli else []
        too_much += [MEMORY] if head.memory_mib > place.memory_mib else []
        names = [*(too_much if place.seen_at is not None else []), *(special.split(",") if special else [])]
        if names:
            found.setdefault(lane.job_type.pk, {}).update(dict.fromkeys(name.strip() for name in names))
    return {type_id: list(names) for type_id, names in found.items()}
