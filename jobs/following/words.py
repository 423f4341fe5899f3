"""Why a job is where it is: what the gates say, and in its own words the cloud that has it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Final

from django.utils import timezone

from clusters.providers.errors import ProviderError
from clusters.queries import cloud_at
from controlplane.core.instruments import provider_call
from controlplane.core.remembered import Remembered
from jobs import gates, queries, states
from jobs.models import Execution, Job

SENDING: Final = "SENDING"
AT_PROVIDER: Final = "AT_PROVIDER"
ASK_AGAIN_SECONDS: Final = 10.0
_said: Remembered[str, tuple[float, datetime, str]] = Remembered(limit=5000)


def explain(job: Job) -> list[gates.Reason]:
    """Everything that keeps the job from running; of one that a cloud has, what the cloud says of it, and when.

    A cloud that does not answer is told as that.
    """
    if job.place.cloud == "local" or job.status not in states.ACTIVE:
        return queries.explain(job)
    executions = Execution.objects.filter(job=job).select_related("submission", "place")
    execution = executions.order_by("-number").first()
    if execution is None or execution.status not in states.EXECUTION_AT_PROVIDER:
        return []
    if not execution.handle:
        return [_on_its_way(execution)]
    at, words = _words(execution)
    return [gates.Reason(AT_PROVIDER, words, since=at, value=execution.handle)] if words else []


def _on_its_way(execution: Execution) -> gates.Reason:
    words = execution.submission.detail if execution.submission else ""
    place = execution.place
    hint = f"{place} has not taken it: {words}" if words else place.failure or f"It is being handed to {place}."
    return gates.Reason(SENDING, hint, since=execution.created_at)


def _words(execution: Execution) -> tuple[datetime, str]:
    """What the cloud says, and when it did: it is not asked more often than every few seconds."""
    known = _said.get(execution.handle)
    if known is not None and time.monotonic() - known[0] < ASK_AGAIN_SECONDS:
        return known[1:]
    cloud = cloud_at(execution.place.cloud, execution.place.region)
    now = timezone.now()
    try:
        with provider_call(cloud.cloud, "explain"):
            words = cloud.explain(execution.handle)
    except ProviderError as error:
        return now, f"{execution.place} does not say: {error}"
    _said.put(execution.handle, (time.monotonic(), now, words))
    return now, words
