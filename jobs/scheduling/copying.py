"""Copy: what executions write at a cloud, into storage of our own, because clouds forget."""

from __future__ import annotations

import logging
import time
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from clusters.providers.base import Cloud
from clusters.providers.errors import NotFound
from controlplane.core import instruments
from jobs import states
from jobs.models import Execution
from jobs.queries.outputs import copied_output

logger = logging.getLogger("jobs.scheduling")
COPIED_AT_ONCE: Final = 50
PAGE_BYTES: Final = 2**20
GROWING_EVERY: Final = timedelta(seconds=30)
LATE_EVERY: Final = timedelta(seconds=5)
GIVEN_UP_AFTER: Final = timedelta(hours=1)


def copy_outputs(place_id: int, cloud: Cloud, seconds: float) -> int:
    """Copy what is due of a place's outputs, for about so long; how many were looked at.

    Raises what the cloud and the storage raise; the next call goes on where this one was.
    """
    over = Q(ended_at__isnull=False)
    due = over if cloud.keeps_logs else over | Q(status=states.RUNNING)
    rows = Execution.objects.filter(due, place=place_id, copy_at__lte=timezone.now()).order_by("copy_at")
    until, looked = time.monotonic() + seconds, 0
    for execution in rows.only("uuid", "handle", "ended_at", "status")[:COPIED_AT_ONCE]:
        if time.monotonic() > until:
            break
        _copy(execution, cloud, until)
        looked += 1
    return looked


def _copy(execution: Execution, cloud: Cloud, until: float) -> None:
    now, ended_at = timezone.now(), execution.ended_at
    try:
        ends = [_copy_stream(execution, cloud, stream, until) for stream in cloud.streams]
        finished = all(ends)
    except NotFound as error:
        logger.info("output of execution %s is not there: %s", execution.uuid, error)
        finished = ended_at is not None
    if ended_at is None:
        copy_at = now + GROWING_EVERY
    elif finished or now - ended_at > GIVEN_UP_AFTER:
        copy_at = None
    else:
        copy_at = now + LATE_EVERY
    Execution.objects.filter(pk=execution.pk).update(copy_at=copy_at)


def _copy_stream(execution: Execution, cloud: Cloud, stream: str, until: float) -> bool:
    """Copy what is new; whether nothing will follow."""
    output = copied_output(execution.uuid, stream)
    pieces = output.pieces()
    after = pieces[-1].end if pieces else 0
    written = sum(piece.size for piece in pieces)
    while True:
        with instruments.provider_call(cloud.cloud, "logs"):
            page = cloud.logs(execution.handle, stream, after, PAGE_BYTES)
        if page.next_after > after:
            output.append(after, page.next_after, page.text)
            written += len(page.text)
        if written > 2 * settings.LOG_CAP_MIB * 2**20:
            output.trim(output.pieces(), settings.LOG_CAP_MIB * 2**20)
            written = settings.LOG_CAP_MIB * 2**20
        is_new, after = page.next_after > after, page.next_after
        if page.ended or not is_new or time.monotonic() > until:
            if page.ended and written > settings.LOG_CAP_MIB * 2**20:
                output.trim(output.pieces(), settings.LOG_CAP_MIB * 2**20)
            return page.ended
