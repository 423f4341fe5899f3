"""Stopping jobs, and taking ended ones back into the queue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone

from accounts.models import User
from controlplane.core import sets
from controlplane.core.bells import ring
from controlplane.core.enqueue import enqueue
from jobs import sql, states
from jobs.models import MOST_EXECUTIONS, Job, MapReduceSpec, Shape
from jobs.services.ladder import FOOTING, announce, footings
from jobs.services.move import move

CANCELED_BY_USER = "CANCELED_BY_USER"
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


def requeue_jobs(
    ids: Sequence[int], *, actor: User | None, priority: int | None = None, grants: bool = True
) -> list[int]:
    """Take FAILED and CANCELED jobs back into the queue, on the same rows. Returns the ids that went.

    Each gets as many tries more as it was granted at its submit, and a new execution when its turn comes, at the
    first place of its policy if it has one. Without `grants` it gets none, and only those go that have some left.

    One that was never queued waits for its parents again. One whose money is spent stays as it is. With a MapReduce
    job go those of its tasks that are not done, alone they cannot; one whose credentials were erased at its end stays
    as it is, too.
    """
    actor_id = actor.pk if actor else None
    with transaction.atomic():
        jobs = Job.objects.filter(sets.among("id", list(ids), Job), parent__isnull=True)
        if not grants:
            jobs = jobs.filter(tries__lt=F("max_tries"))
        moved = _requeue(jobs.exclude(mapreduce__had_credentials=True), actor_id, priority, grants)
        if specs := list(MapReduceSpec.objects.filter(pk__in=moved).only("job_id", "splits")):
            _requeue(Job.objects.filter(parent__in=[spec.pk for spec in specs]), actor_id, priority, grants)
            MapReduceSpec.objects.filter(pk__in=[spec.pk for spec in specs]).update(looks=0, failure="")
            for spec in specs:
                if spec.splits is None:
                    enqueue(LOOK_FOR_INPUT, job_id=spec.pk)
        _ring_for(moved)
    return moved


def _requeue(jobs: QuerySet[Job], actor_id: int | None, priority: int | None, grants: bool) -> list[int]:
    again: dict[str, Any] = {"ended_at": None, "started_at": None, "error": None, "reason": "REQUEUED"}
    ended = jobs.filter(status__in=(states.FAILED, states.CANCELED), superseded_at__isnull=True)
    rows = ended.select_for_update(of=("self",)).order_by("id")
    pending: dict[int, dict[str, Any]] = {}
    queued: dict[int, dict[str, Any]] = {}
    now = timezone.now()
    with_policy: set[int] = set()
    read: Iterable[Any] = rows.values_list(
        *("id", "policy", "shape", "queued_at", "priority", "tries", "max_tries", "tries_granted", "tries_before")
    )
    for job_id, policy_id, shape, queued_at, before, tries, max_tries, granted, tries_before in read:
        wish = {**again, "max_tries": max_tries, "tries_before": tries_before}
        if grants:
            wish |= {"max_tries": min(max_tries + granted, MOST_EXECUTIONS), "tries_before": tries}
        wish["priority"] = before if priority is None else priority
        is_pending = queued_at is None or shape == Shape.MAPREDUCE
        (pending if is_pending else queued)[job_id] = {**wish, "queued_at": None if queued_at is None else now}
        if policy_id is not None and not is_pending:
            with_policy.add(job_id)
    fields = (*again, "max_tries", "tries_before", "priority", "queued_at")
    # Those with places to choose from begin at the first of them; those whose money is spent stay as they are.
    first = footings(dict.fromkeys(with_policy, 0))
    plain = {i: wish for i, wish in queued.items() if i not in first}
    anew = {i: {**queued[i], **each.values} for i, each in first.items() if not each.is_broke}
    moved = move(pending, states.PENDING, fields=fields, actor_id=actor_id)
    moved += move(plain, states.QUEUED, fields=fields, actor_id=actor_id)
    placed = move(anew, states.QUEUED, fields=(*fields, *FOOTING), actor_id=actor_id)
    announce({i: first[i] for i in placed}, again["reason"])
    return moved + placed


def _ring_for(ids: Sequence[int]) -> None:
    """Wake the schedulers of these jobs' places."""
    rows = Job.objects.filter(sets.among("id", list(ids), Job))
    places = rows.order_by().values_list("place__cloud", "place__region").distinct()
    ring({sql.pulse_queue(cloud, region) for cloud, region in places} if ids else set())
