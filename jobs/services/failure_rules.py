"""The errors that staff give to clusters of failures: to what is failed, in the background, and to what fails later."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from accounts.events import tell
from accounts.models import User
from controlplane.core import sets
from controlplane.core.enqueue import enqueue
from controlplane.core.errors import InvalidRequest
from jobs import counts, states
from jobs.errors import FailureClusterNotFound
from jobs.models import FailureCluster, Job, Shape
from jobs.queries.policies import policy_of
from jobs.services.cancel import requeue_jobs
from jobs.services.told import Change, tell_of_jobs
from jobtypes.models import Error
from jobtypes.services import create_error

TASK: Final = "jobs.tasks.rename_failures"
BATCH: Final = 500
SLICE_SECONDS: Final = 20.0


def name_cluster(cluster_id: int, *, actor: User, error_id: int | None = None, **new: Any) -> FailureCluster:
    """Give a cluster an error: one that staff have named before, else a new one (`new`: what create_error takes).

    Its failed jobs get it in the background, what fails so later at once; what is tried again goes by it, too. Raises
    FailureClusterNotFound, and InvalidRequest naming the field.
    """
    with transaction.atomic():
        cluster = _locked(cluster_id)
        error = create_error(**new, actor=actor) if error_id is None else _staffs_own(error_id)
        before = facts_of_failures(cluster)
        cluster.named, cluster.named_by, cluster.named_at = error, actor, timezone.now()
        _save(cluster)
        after = {"name": error.name, "category": error.category, "should_be_retried": error.should_be_retried}
        tell("failure_cluster.named", cluster.pk, actor, {**after, **facts_of_failures(cluster)}, before=before)
        enqueue(TASK, cluster_id=cluster.pk)
    return cluster


def unname_cluster(cluster_id: int, *, actor: User) -> FailureCluster:
    """Let what fails so later keep the error it has. What was given the cluster's stays as it is."""
    with transaction.atomic():
        cluster = _locked(cluster_id)
        if cluster.named is not None:
            before = facts_of_failures(cluster)
            after = {"name": cluster.named.name, "error": None}
            cluster.named = cluster.named_by = cluster.named_at = None
            _save(cluster)
            tell("failure_cluster.unnamed", cluster.pk, actor, after, before=before)
    return cluster


def facts_of_failures(cluster: FailureCluster) -> dict[str, str | None]:
    """What staff say of a cluster, as the event log has it."""
    return {"error": cluster.named.name if cluster.named else None}


def _locked(cluster_id: int) -> FailureCluster:
    rows = FailureCluster.objects.select_for_update(of=("self",)).select_related("error", "named", "named_by")
    cluster = rows.filter(pk=cluster_id).first()
    if cluster is None:
        raise FailureClusterNotFound
    return cluster


def _save(cluster: FailureCluster) -> None:
    cluster.modified_at = timezone.now()
    cluster.save(update_fields=["named", "named_by", "named_at", "modified_at"])


def _staffs_own(error_id: int) -> Error:
    error = Error.objects.filter(pk=error_id, is_builtin=False, job_type_name="").first()
    if error is None:
        raise InvalidRequest("This is the id of an error that staff have named.", field="error_id")
    return error


def rename_failures(cluster_id: int, after: int = 0) -> None:
    """Give a cluster's error to its failed jobs behind the id `after`, for a slice of time; then pass it on."""
    end = time.monotonic() + SLICE_SECONDS
    while True:
        with transaction.atomic():
            cluster = FailureCluster.objects.select_related("named").filter(pk=cluster_id).first()
            if cluster is None or cluster.named is None:
                return
            rows = Job.objects.filter(failure_cluster=cluster_id, status__in=states.FAILED_STATES, pk__gt=after)
            rows = rows.select_for_update(of=("self",)).order_by("pk")
            ids = list(rows.values_list("pk", flat=True)[:BATCH])
            _give(cluster.named, ids)
            if len(ids) < BATCH:
                return
            after = ids[-1]
            if time.monotonic() >= end:
                enqueue(TASK, cluster_id=cluster_id, after=after)
                return


def follow_rules(error: Error, job_ids: Sequence[int]) -> None:
    """Give the error to jobs that have just failed, and take back into the queue those that it gives another try.

    Caller holds the transaction, and the jobs. None is tried more often than its max_tries, or its policy, lets it.
    """
    _give(error, job_ids)
    again = _to_try_again(error, job_ids)
    if again:
        requeue_jobs(again, actor=None, grants=False)


def _to_try_again(error: Error, job_ids: Sequence[int]) -> list[int]:
    rows = Job.objects.filter(sets.among("id", list(job_ids), Job), status=states.FAILED)
    rows = rows.exclude(shape=Shape.MAPREDUCE)
    found = []
    for job_id, policy_id, tries, tries_before in rows.values_list("id", "policy_id", "tries", "tries_before"):
        policy = policy_of(policy_id)
        most = policy.tries.get(error.category) if policy else None
        # As after an execution: what the policy says of such errors goes before what the error says.
        if error.should_be_retried if most is None else tries - tries_before < most:
            found.append(job_id)
    return found


_BEFORE: Final = ("status", "moved_at", "job_type", "error", "customer")


def _give(error: Error, job_ids: Sequence[int]) -> None:
    """Let these failed jobs have that error, with their events and counts. Caller holds the transaction."""
    if not job_ids:
        return
    now = timezone.now()
    rows = [(job_id, error.pk, now) for job_id in job_ids]
    given = sets.update_where(Job, ("error", "modified_at"), rows, states.FAILED_STATES, _BEFORE)
    names = _names({row[4] for row in given})
    told: dict[int, Change] = {}
    changes: list[counts.Change] = []
    for job_id, status, moved_at, job_type_id, before, customer_id in given:
        if before == error.pk:
            continue
        told[job_id] = (customer_id, {"error": names.get(before)}, {"error": error.name})
        minute = counts.minute_of(sets.aware(moved_at))
        changes.append((minute, job_type_id, status, before, -1))
        changes.append((minute, job_type_id, status, error.pk, 1))
    tell_of_jobs("job.error-changed", told, None)
    counts.record(changes)


def _names(ids: set[int | None]) -> Mapping[int | None, str]:
    return dict(Error.objects.filter(pk__in={each for each in ids if each is not None}).values_list("pk", "name"))
