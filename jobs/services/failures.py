"""Failures of jobs, as the event log tells of them, and the clusters of those that have something in common.

First each is noted, in the transaction in which the follower of the log moves on. Then whoever reads logs says what
each has in common with others, and it comes to its cluster: once, whoever dies in between, for it leaves those that
wait in the transaction that counts it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils import timezone

from accounts.following import follow
from accounts.models import Event
from controlplane.core import sets
from controlplane.core.unstorable import UNSTORABLE
from jobs import states
from jobs.fingerprint import Fingerprint
from jobs.models import Execution, Failure, FailureCluster, FailureCount, Job, Span
from jobs.services.failure_rules import follow_rules

FOLLOWER: Final = "failures"
KIND: Final = "job.moved"
AT_ONCE: Final = 500
SAMPLE_CHARACTERS: Final = 8192
# More kinds of failures than these, of one error, begun within NEW_WITHIN: what tells them apart is no fault of theirs.
MOST_NEW: Final = 500
NEW_WITHIN: Final = timedelta(days=1)
_FAILS: Final = Q(after__status__in=states.FAILED_STATES)
_NOTED: Final = ("position", "at", "job", "customer_id", "job_type_id", "number", "error", "exit_code", "due_at")


# --- Noting --------------------------------------------------------------------------------------


def note_failures() -> int:
    """Note the next failures that the log tells of. How many positions that went on; 0 when there is nothing new."""
    return follow(FOLLOWER, {KIND}, _note, AT_ONCE, _FAILS, ("subject_id", "at", "before"))


def _note(events: Sequence[Event]) -> None:
    """Tasks of MapReduce jobs are not noted: their job fails with them, and says of which."""
    ids = sorted({event.subject_id for event in events})
    rows = Job.objects.filter(sets.among("id", ids, Job), parent__isnull=True)
    jobs = {row[0]: row for row in rows.values_list("id", "customer_id", "job_type_id", "status", "error_id")}
    ends = _executions(list(jobs))
    found = []
    for event in events:
        if event.subject_id not in jobs:
            continue
        _, customer_id, job_type_id, status, error_id = jobs[event.subject_id]
        ended = None
        if event.before is not None and event.before["status"] in states.ACTIVE:
            ended = _ended(ends.get(event.subject_id, ()), event.at)
        # One that is on its way again, and ran nothing, has left no word.
        what = ended or (None, error_id if status in states.FAILED_STATES else None, None)
        found.append((event.position, event.at, event.subject_id, customer_id, job_type_id or 0, *what, event.at))
    sets.insert(Failure, _NOTED, found, new_only=True)


class _End(NamedTuple):
    """An execution: when it was made, its number, and with what it ended."""

    made_at: datetime
    number: int
    error_id: int | None
    exit_code: int | None


def _executions(job_ids: list[int]) -> Mapping[int, Sequence[_End]]:
    found: dict[int, list[_End]] = defaultdict(list)
    rows = Execution.objects.filter(sets.among("job", job_ids, Execution)).order_by("job", "number")
    columns = ("job_id", "created_at", "number", "error_id", "exit_code")
    for job_id, made_at, number, error_id, exit_code in rows.values_list(*columns):
        found[job_id].append(_End(made_at, number, error_id, exit_code))
    return found


def _ended(ends: Sequence[_End], at: datetime) -> tuple[int, int | None, int | None] | None:
    """The execution with which a job failed at that moment: the last one that there was then."""
    return next((each[1:] for each in reversed(ends) if each.made_at <= at), None)


# --- Those that wait -----------------------------------------------------------------------------


def waiting_failures(limit: int) -> list[Failure]:
    """Failures without a cluster whose time has come, the longest due first."""
    rows = Failure.objects.filter(cluster__isnull=True, due_at__lte=timezone.now()).select_related("error")
    return list(rows.order_by("due_at", "id")[:limit])


def put_off_failures(ids: Sequence[int], pause: timedelta) -> None:
    """Have these looked for again later."""
    if ids:
        rows = Failure.objects.filter(sets.among("id", list(ids), Failure), cluster__isnull=True)
        rows.update(due_at=timezone.now() + pause)


# --- Clusters ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a failure: its fingerprint, that by its error and exit code alone, and the end of its log."""

    failure_id: int
    fingerprint: Fingerprint
    plain: Fingerprint
    log: str


def cluster_failures(told: Sequence[Told]) -> int:
    """Bring failures to their clusters, which are made where there are none, and follow the rules of these.

    Those that have a cluster, or are being brought to one by somebody else, are left alone. How many that were.
    """
    by_id = {each.failure_id: each for each in told}
    with transaction.atomic():
        rows = Failure.objects.select_for_update(skip_locked=True, of=("self",)).order_by("id")
        failures = list(rows.filter(sets.among("id", list(by_id), Failure), cluster__isnull=True))
        chosen = _choose(failures, by_id)
        clusters = _clusters(failures, chosen)
        members: dict[int, list[Failure]] = defaultdict(list)
        for failure in failures:
            members[clusters[chosen[failure.pk].digest].pk].append(failure)
        for cluster in clusters.values():
            _grow(cluster, members[cluster.pk], by_id)
        _count(members)
        _mark_jobs(clusters.values(), members)
    return len(failures)


def _choose(failures: Sequence[Failure], by_id: Mapping[int, Told]) -> dict[int, Fingerprint]:
    """The fingerprint of each failure: the plain one where its error has too many new ones already."""
    wanted = {each.pk: by_id[each.pk].fingerprint for each in failures}
    digests = list({each.digest for each in wanted.values()})
    rows = FailureCluster.objects.filter(sets.among("fingerprint", digests, FailureCluster))
    known = set(rows.values_list("fingerprint", flat=True))
    new = [each for each in failures if wanted[each.pk].digest not in known]
    if not new:
        return wanted
    lately = FailureCluster.objects.filter(first_seen__gte=timezone.now() - NEW_WITHIN)
    lately = lately.filter(Q(error__in={each.error_id for each in new}) | Q(error__isnull=True))
    numbers: Counter[int | None] = Counter(dict(lately.values_list("error").annotate(Count("id"))))
    for failure in new:
        digest = wanted[failure.pk].digest
        if digest in known:
            continue
        if numbers[failure.error_id] >= MOST_NEW:
            wanted[failure.pk] = by_id[failure.pk].plain
        else:
            numbers[failure.error_id] += 1
            known.add(digest)
    return wanted


def _clusters(failures: Sequence[Failure], chosen: Mapping[int, Fingerprint]) -> dict[str, FailureCluster]:
    """The clusters by fingerprint, locked; those that are not there are made."""
    new: dict[str, tuple[Any, ...]] = {}
    for failure in failures:
        found = chosen[failure.pk]
        what = (found.title, failure.error_id, failure.exit_code, failure.at, failure.at, 0, "", failure.at)
        new.setdefault(found.digest, (found.digest, *what))
    fields = ("fingerprint", "title", "error", "exit_code", "first_seen", "last_seen", "total", "sample_log")
    sets.insert(FailureCluster, (*fields, "modified_at"), [new[digest] for digest in sorted(new)], new_only=True)
    rows = FailureCluster.objects.select_for_update(of=("self",)).select_related("named")
    rows = rows.filter(sets.among("fingerprint", list(new), FailureCluster)).order_by("id")
    return {each.fingerprint: each for each in rows}


def _grow(cluster: FailureCluster, failures: Sequence[Failure], by_id: Mapping[int, Told]) -> None:
    cluster.total += len(failures)
    cluster.first_seen = min(cluster.first_seen, *(each.at for each in failures))
    cluster.last_seen = max(cluster.last_seen, *(each.at for each in failures))
    # One without a log is better than none.
    best = max(failures, key=lambda each: (bool(by_id[each.pk].log), each.at))
    log = UNSTORABLE.sub("", by_id[best.pk].log)[-SAMPLE_CHARACTERS:]
    if cluster.sample_at is None or ((log or not cluster.sample_log) and best.at >= cluster.sample_at):
        cluster.sample_job_id, cluster.sample_number = best.job_id, best.number
        cluster.sample_at, cluster.sample_log = best.at, log
    cluster.save(update_fields=["total", "first_seen", "last_seen", *_SAMPLE])
    Failure.objects.filter(sets.among("id", [each.pk for each in failures], Failure)).update(cluster=cluster)


_SAMPLE: Final = ("sample_job", "sample_number", "sample_at", "sample_log")


def _count(members: Mapping[int, Sequence[Failure]]) -> None:
    numbers: Counter[tuple[int, str, datetime, int, int]] = Counter()
    for cluster_id, failures in members.items():
        for each in failures:
            hour = each.at.replace(minute=0, second=0, microsecond=0)
            numbers[cluster_id, Span.HOUR, hour, 0, 0] += 1
            numbers[cluster_id, Span.DAY, hour.replace(hour=0), each.customer_id, each.job_type_id] += 1
    key = ("cluster", "span", "begun_at", "customer_id", "job_type_id")
    rows = [(*what, number) for what, number in sorted(numbers.items())]
    sets.upsert(FailureCount, (*key, "number"), rows, key=key, add=("number",))


def _mark_jobs(clusters: Iterable[FailureCluster], members: Mapping[int, Sequence[Failure]]) -> None:
    """Let jobs name the cluster of their last failure; those that are still failed with it go by its rule."""
    ids = sorted({each.job_id for failures in members.values() for each in failures})
    rows = Failure.objects.filter(sets.among("job", ids, Failure))
    last = dict(rows.values_list("job").annotate(Max("position")))
    jobs = Job.objects.select_for_update(of=("self",)).filter(sets.among("id", ids, Job)).order_by("id")
    locked = {each.pk: each for each in jobs.only("status", "moved_at")}
    for cluster in clusters:
        ended = [each for each in members[cluster.pk] if last[each.job_id] == each.position and each.job_id in locked]
        Job.objects.filter(sets.among("id", [each.job_id for each in ended], Job)).update(failure_cluster=cluster)
        if cluster.named is not None:
            # A move is told of after it was made.
            still = [
                each.job_id
                for each in ended
                if locked[each.job_id].status in states.FAILED_STATES and locked[each.job_id].moved_at <= each.at
            ]
            follow_rules(cluster.named, still)
