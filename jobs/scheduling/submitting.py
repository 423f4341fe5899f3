"""Submit: hand executions over to a cloud, each once, whatever dies or stands still in between.

A note first, jobs.models.Submission, then the call, then what came of it. Whoever finds a note that somebody may
have sent asks the cloud for it before sending it again. A caller that was suspended past its lease does not send;
one that was suspended on its very way out has sent what another sent, too: it stops its own when it comes to know,
and so does whoever looks at `check_at`. One whose call fails keeps its lease no longer than what it sent may need to
arrive.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from clusters.providers.base import Cloud, Work
from clusters.providers.errors import AuthFailed, NoCapacity, ProviderError, Refused, Throttled
from controlplane.core import instruments, sets
from jobs import staging, states
from jobs.models import STAGED, TASKS, Execution, Shape, Submission
from jobs.queries.policies import policy_of
from jobs.scheduling.applying import as_stored, conclude
from jobs.scheduling.calling import reject, works_of
from jobs.scheduling.retrying import NO_CAPACITY
from jobs.services.machines import for_machine
from jobs.services.move import move_executions

logger = logging.getLogger("jobs.scheduling")
NOTED_AT_ONCE: Final = 2000
SENT_AT_ONCE: Final = 100
NO_ROOM_SECONDS: Final = 30.0
MISSED_SECONDS: Final = 120.0
_NOTHING_STARTED: Final = (NoCapacity, Throttled, AuthFailed, Refused)


def note(place_id: int, cloud: Cloud) -> int:
    """Write down, in groups that the cloud takes at once, the executions that are to be submitted; how many."""
    rows = Execution.objects.filter(place=place_id, status=states.CREATED, submission=None)
    ready = ~Q(job__shape__in=STAGED) | Q(job__shape__in=TASKS, prepared_at__isnull=False)
    waiting = rows.filter(ready, job__status=states.STARTING).order_by("id")[:NOTED_AT_ONCE]
    works, unreadable = _works(waiting)
    if unreadable:
        with transaction.atomic():
            reject({i: (job_id, words) for i, job_id, words in unreadable})
    for group in cloud.group(works):
        with transaction.atomic():
            submission = Submission.objects.create(place_id=place_id)
            chosen = sets.among("uuid", [UUID(work.execution_id) for work in group], Execution)
            Execution.objects.filter(chosen, submission=None, status=states.CREATED).update(submission=submission)
    return len(works)


def to_send(place_id: int) -> list[int]:
    """The notes of a place that are to be sent, or to be asked about, now."""
    rows = Submission.objects.filter(_free(), place=place_id, settled_at=None)
    return list(rows.order_by("id").values_list("id", flat=True)[:SENT_AT_ONCE])


def take_over(place_id: int, caller: UUID, cloud: Cloud) -> None:
    """The one who had these leases is dead."""
    rows = Submission.objects.filter(place=place_id, settled_at=None, caller=caller)
    _wait_for_arrival(rows, cloud)


def send(submission_id: int, cloud: Cloud, caller: UUID | None = None) -> bool:
    """Submit a group, once, and write down what the cloud calls its executions. Has the cloud answered?

    Raises what the cloud raises: the note stays then, for another time.
    """
    token = uuid4()
    lease = timedelta(seconds=4 * cloud.CALL_SECONDS)
    mine = Submission.objects.filter(pk=submission_id, settled_at=None, token=token)
    free = Submission.objects.filter(_free(), pk=submission_id, settled_at=None)
    if not free.update(token=token, caller=caller, leased_until=Now() + lease):
        return False
    submission = Submission.objects.get(pk=submission_id)
    if submission.calls:
        works = _works_of(submission)
        try:
            with instruments.provider_call(cloud.cloud, "find"):
                found = cloud.find(str(submission.uuid), works)
        except ProviderError:
            _wait_for_arrival(mine, cloud)
            raise
        if found:
            _record(submission, token, works, found[0], cloud)
            _stop_all_but(found[0], found, cloud)
            return True
    # Here a process may have stood still for any time: only who still has time enough goes on.
    in_time = mine.filter(leased_until__gt=Now() + timedelta(seconds=2 * cloud.CALL_SECONDS))
    if not in_time.update(calls=F("calls") + 1):
        return False
    submission.refresh_from_db()
    works = _works_of(submission)
    if not works:
        mine.update(settled_at=timezone.now())
        return False
    try:
        with instruments.provider_call(cloud.cloud, "submit"):
            handles = cloud.submit(str(submission.uuid), works)
    except _NOTHING_STARTED as error:
        _not_sent(mine, submission, works, error)
        if not isinstance(error, Refused):
            raise
    except ProviderError:
        _wait_for_arrival(mine, cloud)
        raise
    else:
        _record(submission, token, works, handles, cloud)
    return True


def check(place_id: int, cloud: Cloud) -> None:
    """Ask for what may have been sent twice, and stop what there is too much of."""
    due = Submission.objects.filter(place=place_id, check_at__lte=Now()).order_by("check_at")[:SENT_AT_ONCE]
    for submission in due:
        works = _works_of(submission)
        executions = Execution.objects.filter(submission=submission, position__isnull=False).order_by("position")
        recorded = list(executions.values_list("handle", flat=True))
        _stop_all_but(recorded, cloud.find(str(submission.uuid), works) if works else [], cloud)
        Submission.objects.filter(pk=submission.pk).update(check_at=None)


def conclude_unsent(place_id: int) -> int:
    """End what has never been on its way to the cloud, and is to be stopped, or to go on elsewhere by now; how many."""
    late = Q(job__status=states.STARTING, job__leaves_at__lte=timezone.now())
    rows = Execution.objects.filter(Q(job__status=states.CANCELING) | late, place=place_id, status=states.CREATED)
    ended = 0
    for uuid, submission_id, status in rows.values_list("uuid", "submission_id", "job__status"):
        with transaction.atomic():
            noted = Submission.objects.select_for_update().filter(pk=submission_id)
            if not any(noted.values_list("calls", flat=True)):
                name = NO_CAPACITY if status == states.STARTING else "canceled-outside"
                ended += conclude(uuid, error_name=name)
    return ended


# --- Parts of it ---------------------------------------------------------------------------------


def _free() -> Q:
    return Q(leased_until__isnull=True) | Q(leased_until__lt=Now())


def _wait_for_arrival(rows: QuerySet[Submission], cloud: Cloud) -> None:
    """Who has these leases sends no more: they end when what was sent last has arrived, or never will."""
    soon = Now() + timedelta(seconds=cloud.CALL_SECONDS)
    rows.filter(leased_until__gt=soon).update(leased_until=soon)


def _works(rows: QuerySet[Execution]) -> tuple[list[Work], list[tuple[int, int, str]]]:
    """What the cloud is to run; and the id, job and fault of those that cannot, as no present key reads them."""
    own = ("id", "uuid", "job_id", "status", "job__shape", "job__image", "job__command", "job__env")
    limits = ("job__vcpus_milli", "job__memory_mib", "job__timeout_seconds", "job__priority", "job__affordable_seconds")
    more = ("job__queue", "job__customer__name", "capacity", "job__user_data")
    found = list(rows.values_list(*own, *limits, *more))
    plain, unreadable = works_of([row[:13] for row in found if row[4] not in TASKS])
    staged, cannot = staging.works([row[1] for row in found if row[4] in TASKS])
    unreadable |= {uuid: fault.detail for uuid, fault in cannot.items()}
    made = {work.execution_id: work for work in (*plain, *staged)}
    full = []
    for row in found:
        if (work := made.get(str(row[1]))) is not None:
            shape, (queue, customer, capacity, user_data) = row[4], row[13:]
            work = replace(work, queue=queue, customer=customer, capacity=capacity)
            full.append(for_machine(work, user_data) if shape == Shape.INSTANCE else work)
    faults = [(row[0], row[2], unreadable[str(row[1])]) for row in found if str(row[1]) in unreadable]
    return full, faults


def _works_of(submission: Submission) -> list[Work]:
    """The works of a note, in the order in which they are sent or were sent first."""
    rows = Execution.objects.filter(submission=submission)
    if not rows.filter(position__isnull=False).exists():
        wanted = rows.filter(status=states.CREATED, job__status=states.STARTING).order_by("id")
        places = [(i, n) for n, i in enumerate(wanted.values_list("id", flat=True))]
        if not places:
            return []
        with transaction.atomic():
            sets.update_where(Execution, ("position",), places, (states.CREATED,), ())
    works, unreadable = _works(rows.filter(position__isnull=False).order_by("position"))
    if unreadable and not submission.calls:
        with transaction.atomic():
            reject({i: (job_id, words) for i, job_id, words in unreadable})
    return works


def _not_sent(mine: QuerySet[Submission], submission: Submission, works: Sequence[Work], error: Exception) -> None:
    """The cloud has started nothing: the note is as if it had never been sent."""
    if isinstance(error, Refused):
        _refused(mine, submission, works, str(error))
        return
    seconds = error.retry_after_seconds if isinstance(error, Throttled) else NO_ROOM_SECONDS
    until = Now() + timedelta(seconds=seconds)
    with transaction.atomic():
        if mine.update(calls=F("calls") - 1, leased_until=until, detail=as_stored(str(error), 1000)):
            rows = Execution.objects.filter(submission=submission, submission__calls=0)
            rows.update(position=None)
            if isinstance(error, NoCapacity):
                _go_elsewhere(rows, str(error))


def _go_elsewhere(rows: QuerySet[Execution], words: str) -> None:
    """Let the jobs go on whose policy names another place. Caller holds the transaction."""
    for uuid, policy_id, rung in rows.filter(status=states.CREATED).values_list("uuid", "job__policy", "job__rung"):
        policy = policy_of(policy_id)
        if policy is not None and policy.has_next(rung):
            conclude(uuid, error_name=NO_CAPACITY, detail=words)


def _refused(mine: QuerySet[Submission], submission: Submission, works: Sequence[Work], words: str) -> None:
    """Never going to work: reject them; of works that differ, each is tried by itself."""
    first = replace(works[0], execution_id="")
    alike = all(replace(work, execution_id="") == first for work in works)
    with transaction.atomic():
        if not mine.update(settled_at=timezone.now(), detail=as_stored(words, 1000)):
            return
        executions = Execution.objects.filter(submission=submission, position__isnull=False)
        if alike:
            reject({i: (job_id, words) for i, job_id in executions.values_list("id", "job_id")})
            return
        for execution in executions:
            alone = Submission.objects.create(place_id=submission.place_id)
            Execution.objects.filter(pk=execution.pk).update(submission=alone, position=None)


def _record(submission: Submission, token: UUID, works: Sequence[Work], handles: Sequence[str], cloud: Cloud) -> None:
    """Write down what the cloud calls them, if it is still ours to say; else what we have started is too much."""
    handle_of = {UUID(work.execution_id): handle for work, handle in zip(works, handles, strict=True)}
    now = timezone.now()
    with transaction.atomic():
        rows = Submission.objects.filter(pk=submission.pk, settled_at=None, token=token)
        check_at = now + timedelta(seconds=MISSED_SECONDS) if submission.calls > 1 else None
        if is_ours := rows.update(settled_at=now, detail="", check_at=check_at):
            ids = Execution.objects.filter(submission=submission).values_list("id", "uuid")
            values = {i: {"handle": handle_of[uuid], "copy_at": now} for i, uuid in ids if uuid in handle_of}
            move_executions(values, states.SUBMITTED, fields=("handle", "copy_at"))
    if is_ours:
        return
    recorded = Execution.objects.filter(submission=submission).exclude(handle="")
    _stop_all_but(list(recorded.values_list("handle", flat=True)), [handles], cloud)


def _stop_all_but(recorded: Sequence[str], found: Sequence[Sequence[str]], cloud: Cloud) -> None:
    extra = [handle for handles in found for handle in handles if handle not in set(recorded)]
    if extra:
        logger.warning("%d executions were started twice; stopping what is too much", len(extra))
        cloud.cancel(extra)
