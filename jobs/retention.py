"""What grows, and how it stops growing: settings.RETENTION_DAYS is the table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.utils import timezone
from django_q.models import Task

from accounts import following
from accounts.models import Event, IdempotencyKey, ParkedEvent, Rate, WebhookDelivery
from clusters.providers.base import STREAMS, Provider
from controlplane.core import instruments, sets
from jobs import counts, states
from jobs.models import (
    Execution,
    Failure,
    FailureCluster,
    FailureCount,
    Job,
    JobCount,
    LoadSample,
    Operation,
    Span,
    ThroughputSample,
)
from jobs.models.count import MINUTE
from jobs.queries.outputs import copied_output

BATCH: Final = 2000
BATCHES: Final = 25
HOURS_KEPT: Final = timedelta(days=2)


def _cutoff(what: str) -> datetime:
    return timezone.now() - timedelta(days=settings.RETENTION_DAYS[what])


def delete_old_rows() -> dict[str, int]:
    """Delete rows past their days, a bounded number of each kind; the next run goes on."""
    return {
        "events": _delete(_events_passed_by(), "at", _cutoff("events")),
        "parked_events": _delete(ParkedEvent.objects.order_by("id"), "at", _cutoff("events")),
        "webhook_deliveries": _delete(
            WebhookDelivery.objects.order_by("id"), "created_at", _cutoff("webhook_deliveries")
        ),
        "idempotency_keys": _delete(
            IdempotencyKey.objects.order_by("created_at"), "created_at", _cutoff("idempotency_keys")
        ),
        "rates": _delete(Rate.objects.order_by("began_at"), "began_at", _cutoff("rates")),
        "sessions": _delete(Session.objects.order_by("expire_date"), "expire_date", timezone.now()),
        "load_samples": _delete(LoadSample.objects.order_by("at"), "at", _cutoff("load_samples")),
        "throughput_samples": _delete(ThroughputSample.objects.order_by("at"), "at", _cutoff("load_samples")),
        "operations": _delete(_ended_operations(), "created_at", _cutoff("operations")),
        # A job leaves one of these at most. Not a matter of taste: who reads them knows how long they are kept.
        "minute_counts": _delete(
            JobCount.objects.filter(span=MINUTE).order_by("minute"),
            "minute",
            counts.minute_of(timezone.now()) - counts.MINUTES_KEPT,
            batches=10 * BATCHES,
        ),
        **_delete_failures(),
        "failed_tasks": _delete(Task.objects.order_by("stopped"), "stopped", _cutoff("failed_tasks")),
    }


def _delete_failures() -> dict[str, int]:
    """Failures past their days, then the clusters that have none left. What staff have named stays.

    A sample of a log goes when the log does, and the counts of hours as soon as nobody asks for them.
    """
    cutoff = _cutoff("failures")
    samples = FailureCluster.objects.filter(sample_at__lt=_cutoff("executions")).exclude(sample_log="")
    samples.filter(pk__in=list(samples.values_list("pk", flat=True)[:BATCH])).update(sample_log="")
    hours, days = (FailureCount.objects.filter(span=span).order_by("begun_at") for span in (Span.HOUR, Span.DAY))
    failures = _delete(Failure.objects.order_by("id"), "at", cutoff)
    return {
        "failures": failures,
        "failure_hours": _delete(hours, "begun_at", timezone.now() - HOURS_KEPT),
        "failure_days": _delete(days, "begun_at", cutoff),
        "failure_clusters": 0 if failures == BATCH * BATCHES else _delete_clusters(cutoff),
    }


def _delete_clusters(cutoff: datetime) -> int:
    """Those without a name that had their last failure before `cutoff`, once no job names them any more."""
    ids = list(FailureCluster.objects.filter(named=None, last_seen__lt=cutoff).values_list("pk", flat=True)[:BATCH])
    jobs = Job.objects.filter(sets.among("failure_cluster", ids, Job))
    for _ in range(BATCHES):
        some = list(jobs.values_list("pk", flat=True)[:BATCH])
        Job.objects.filter(sets.among("id", some, Job)).update(failure_cluster=None)
        if len(some) < BATCH:
            return FailureCluster.objects.filter(pk__in=ids, named=None, last_seen__lt=cutoff).delete()[0] if ids else 0
    return 0


def _events_passed_by() -> QuerySet[Event]:
    """What no follower needs any more. The log has no index by time; its positions are in that order, but for the
    length of a transaction."""
    passed = following.passed_by_all()
    return Event.objects.filter(position__isnull=False, position__lte=passed).order_by("position")


def _ended_operations() -> QuerySet[Operation]:
    return Operation.objects.filter(status__in=states.OPERATION_FINAL).order_by("id")


def _delete(rows: QuerySet[Any], moment: str, cutoff: Any, *, batches: int | None = None) -> int:
    """Delete from the old end of `rows` what is older than `cutoff`, in as many `batches`, else BATCHES."""
    total = 0
    for _ in range(batches or BATCHES):
        ids = [pk for pk, at in rows.values_list("pk", moment)[:BATCH] if at < cutoff]
        total += rows.model.objects.filter(pk__in=ids).delete()[0] if ids else 0
        if len(ids) < BATCH:
            break
    return total


def forget_outputs(place_id: int, provider: Provider, limit: int = 200) -> int:
    """Delete the output of executions that ended long ago, at the place that keeps it. Returns how many."""
    old = Execution.objects.filter(place=place_id, logs_kept=True, ended_at__lt=_cutoff("executions"))
    rows = list(old.order_by("ended_at").values_list("id", "uuid")[:limit])
    if rows:
        with instruments.provider_call(provider.cloud, "forget"):
            provider.forget([str(uuid) for _, uuid in rows])
        Execution.objects.filter(pk__in=[pk for pk, _ in rows]).update(logs_kept=False)
    return len(rows)


def forget_copied_outputs(limit: int = 2000) -> int:
    """Delete what was copied of the output of executions at clouds that ended long ago. Returns of how many."""
    old = Execution.objects.exclude(handle="").filter(logs_kept=True, ended_at__lt=_cutoff("executions"))
    rows = list(old.order_by("ended_at").values_list("id", "uuid")[:limit])
    for pk, uuid in rows:
        for stream in STREAMS:
            copied_output(uuid, stream).delete()
        Execution.objects.filter(pk=pk).update(logs_kept=False, copy_at=None)
    return len(rows)
