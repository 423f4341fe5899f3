"""Stopping jobs, and taking ended ones back into the queue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import User
from controlplane.core import sets
from controlplane.core.enqueue import enqueue
from jobs import sql, states
from jobs.models import Job, MapReduceSpec, Shape
from jobs.services.move import move

CANCELED_BY_USER = "CANCELED_BY_USER"
MAX_TRIES = 32_767  # what its column holds
LOOK_FOR_INPUT = "jobs.tasks.look_for_input"


def cancel_jobs(ids: Sequence[int], *, actor: User | None) -> dict[int, str]:
    """Ask for jobs to be stopped. Returns the status that each which moved has now.

    One that has not been handed to a provider is CANCELED at once; one that has becomes CANCELING
    until the provider says that it ended. Ended ones are left alone. The tasks of a MapReduce job are stopped with it.
    """
    actor_id = actor.pk if actor else None
    with transaction.atomic():
        # The job before its tasks, so that it makes no more of them.
        found = _cancel(ids, actor_id)
        tasks = Job.objects.filter(sets.among("parent", list(ids), Job)).exclude(status__in=states.FINAL)
        _cancel(list(tasks.values_list("pk", flat=True)), actor_id)
    return found


def _cancel(ids: Sequence[int], actor_id: int | None) -> dict[int, str]:
    if not ids:
        return {}
    # Waiting first: a job that starts between the two statements is caught by the second.
    values = {"ended_at": timezone.now(), "reason": CANCELED_BY_USER, "due_at": None}
    rows = Job.objects.filter(sets.among("id", list(ids), Job), status__in=states.WAITING)
    waiting = dict(rows.select_for_update().order_by("id").values_list("id", "shape"))
    done = move(dict.fromkeys(waiting, values), states.CANCELED, fields=tuple(values), actor_id=actor_id)
    asked = move({i: {} for i in ids if i not in set(done)}, states.CANCELING, actor_id=actor_id)
    _ring_for(asked)
    if ended := [i for i in done if waiting[i] == Shape.MAPREDUCE]:
        MapReduceSpec.objects.filter(pk__in=ended).update(credentials="")
    return {**dict.fromkeys(done, states.CANCELED), **dict.fromkeys(asked, states.CANCELING)}


def requeue_jobs(ids: Sequence[int], *, actor: User | None, priority: int | None = None) -> list[int]:
    """Take FAILED and CANCELED jobs back into the queue, on the same rows. Returns the ids that went.

    Each gets as many tries more as it was granted at its submit, and a new execution when its turn
    comes; one that was never queued waits for its parents again. With a MapReduce job go those of its tasks that
    are not done, alone they cannot; one whose credentials were erased at its end stays where it is.
    """
    actor_id = actor.pk if actor else None
    with transaction.atomic():
        jobs = Job.objects.filter(sets.among("id", list(ids), Job), parent__isnull=True)
        moved = _requeue(jobs.exclude(mapreduce__had_credentials=True), actor_id, priority)
        if specs := list(MapReduceSpec.objects.filter(pk__in=moved).only("job_id", "splits")):
            _requeue(Job.objects.filter(parent__in=[spec.pk for spec in specs]), actor_id, priority)
            MapReduceSpec.objects.filter(pk__in=[spec.pk for spec in specs]).update(looks=0, failure="")
            for spec in specs:
                if spec.splits is None:
                    enqueue(LOOK_FOR_INPUT, job_id=spec.pk)
        _ring_for(moved)
    return moved


def _requeue(jobs: QuerySet[Job], actor_id: int | None, priority: int | None) -> list[int]:
    again = {"ended_at": None, "started_at": None, "error": None, "reason": "REQUEUED"}
    ended = jobs.filter(status__in=(states.FAILED, states.CANCELED), superseded_at__isnull=True)
    rows = ended.select_for_update(of=("self",)).order_by("id")
    values: dict[str, dict[int, dict[str, Any]]] = {states.QUEUED: {}, states.PENDING: {}}
    now = timezone.now()
    for job_id, shape, queued_at, before, max_tries, granted in rows.values_list(
        "id", "shape", "queued_at", "priority", "max_tries", "tries_granted"
    ):
        raised = min(max_tries + granted, MAX_TRIES)
        wish = {**again, "max_tries": raised, "priority": before if priority is None else priority}
        to = states.PENDING if queued_at is None or shape == Shape.MAPREDUCE else states.QUEUED
        values[to][job_id] = {**wish, "queued_at": None if queued_at is None else now}
    fields = (*again, "max_tries", "priority", "queued_at")
    return [i for to, chosen in values.items() for i in move(chosen, to, fields=fields, actor_id=actor_id)]


def _ring_for(ids: Sequence[int]) -> None:
    """Wake the schedulers of these jobs' places."""
    rows = Job.objects.filter(sets.among("id", list(ids), Job))
    places = rows.order_by().values_list("place__cloud", "place__region").distinct()
    sql.ring({sql.pulse_queue(cloud, region) for cloud, region in places} if ids else set())
