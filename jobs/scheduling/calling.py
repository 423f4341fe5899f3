"""Call: hand executions over to a provider, and tell it of those to be stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from clusters.providers.base import Provider, Work
from clusters.providers.errors import Refused
from controlplane.core import instruments, sets
from controlplane.core.encryption import SecretUnreadable, decrypt
from jobs import staging, states
from jobs.models import STAGED, Execution
from jobs.policy import limit_seconds
from jobs.scheduling.applying import as_stored, conclude
from jobs.services.move import Ended, move, move_executions
from jobtypes.models import Error


def hand_over(place_id: int, provider: Provider, again: Sequence[str] = ()) -> int:
    """Give the provider every execution that it has not been given, or has forgotten (`again`: their uuids).

    A crash after the call and before the note of it only means that the call is made once more: the
    provider starts nothing twice.
    """
    rows = Execution.objects.filter(place=place_id, job__status__in=(states.STARTING, states.RUNNING))
    # What is staged waits until its input is there.
    fresh = rows.filter(~Q(job__shape__in=STAGED) | Q(prepared_at__isnull=False), status=states.CREATED)
    forgotten = [UUID(execution_id) for execution_id in again]
    wanted = fresh if not forgotten else rows.filter(sets.among("uuid", forgotten, Execution)).union(fresh)
    fields = ("id", "uuid", "job_id", "status", "job__shape", "job__image", "job__command", "job__env")
    limits = ("job__vcpus_milli", "job__memory_mib", "job__timeout_seconds", "job__priority", "job__affordable_seconds")
    executions = list(wanted.values_list(*fields, *limits))
    works, refused = works_of([row for row in executions if row[4] not in STAGED])
    staged, faults = staging.works([row[1] for row in executions if row[4] in STAGED])
    works += staged
    refused |= _run(provider, works) if works else {}
    given_up = refused.keys() | faults.keys()
    fresh_ids = [row[0] for row in executions if row[3] == states.CREATED and str(row[1]) not in given_up]
    if fresh_ids or given_up:
        with transaction.atomic():
            reject({row[0]: (row[2], refused[str(row[1])]) for row in executions if str(row[1]) in refused})
            for execution_id, fault in faults.items():
                conclude(UUID(execution_id), error_name=fault.error_name, detail=fault.detail)
            move_executions({i: {} for i in fresh_ids}, states.SUBMITTED)
    return len(executions) - len(given_up)


def works_of(executions: Sequence[tuple[Any, ...]]) -> tuple[list[Work], dict[str, str]]:
    """The works of executions, and those whose environment no present key can read: they can never run.

    Each row is an execution's id, uuid, job, status and shape, and then what `_work` takes beside the uuid.
    """
    works: list[Work] = []
    unreadable: dict[str, str] = {}
    for row in executions:
        try:
            works.append(_work(str(row[1]), *row[5:]))
        except SecretUnreadable as error:
            unreadable[str(row[1])] = error.message
    return works, unreadable


def _work(
    execution_id: str,
    image: str,
    command: list[str],
    env: str,
    vcpus_milli: int,
    memory_mib: int,
    timeout_seconds: int | None,
    priority: int,
    affordable_seconds: int | None,
) -> Work:
    return Work(
        execution_id=execution_id,
        image=image,
        command=command,
        env=decrypt(env),
        vcpus_milli=vcpus_milli,
        memory_mib=memory_mib,
        timeout_seconds=limit_seconds(timeout_seconds, affordable_seconds),
        priority=priority,
    )


def _run(provider: Provider, works: Sequence[Work]) -> dict[str, str]:
    """Hand `works` over; returns those that the provider refuses for good, and its words."""
    try:
        with instruments.provider_call(provider.cloud, "run"):
            provider.run(works)
    except Refused as error:
        if len(works) == 1:
            return {works[0].execution_id: str(error)}
        refused: dict[str, str] = {}
        for work in works:
            refused |= _run(provider, [work])
        return refused
    return {}


def reject(refused: dict[int, tuple[int, str]]) -> None:
    """The provider will never run these: end them. Caller holds the transaction."""
    if not refused:
        return
    now, error = timezone.now(), Error.objects.get(name="refused", is_builtin=True)
    jobs = {job_id: {"ended_at": now, "reason": "REFUSED", "error": error.pk} for job_id, _ in refused.values()}
    executions = {
        i: {"ended_at": now, "detail": as_stored(words, 1000), "error": error.pk} for i, (_, words) in refused.items()
    }
    active = Execution.objects.filter(pk__in=refused, status__in=states.EXECUTION_ACTIVE)
    rows = active.values_list("pk", "job", "number", "job__customer")
    # The job first: the one order in which everybody locks.
    ended = [Ended(*row, states.FAILED) for row in rows]
    move(jobs, states.REJECTED, fields=("ended_at", "reason", "error"), ended=ended)
    move_executions(executions, states.FAILED, fields=("ended_at", "detail", "error"))


def pass_on_cancels(place_id: int, provider: Provider) -> int:
    """Tell the provider of every active execution whose job is to be stopped."""
    rows = Execution.objects.filter(place=place_id, status__in=states.EXECUTION_ACTIVE, job__status=states.CANCELING)
    ids = [str(uuid) for uuid in rows.values_list("uuid", flat=True)]
    if ids:
        with instruments.provider_call(provider.cloud, "cancel"):
            provider.cancel(ids)
    return len(ids)
