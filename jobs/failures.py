"""Grouping failures: reading what they wrote last, and telling from it what they have in common.

Logs are read outside of transactions, and a place whose logs cannot be read stops nobody: its failures are put off for
a while, and then grouped by error and exit code alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from django.db import DatabaseError, OperationalError
from django.utils import timezone

from clusters.providers.errors import ProviderError
from controlplane.core import sets
from jobs import following, services
from jobs.fingerprint import LOOKED_AT, Fingerprint, fingerprint
from jobs.models import Failure, MapReduceSpec

logger = logging.getLogger("jobs.failures")
SLICE_SECONDS: Final = 20.0
BATCH: Final = 200
SLOW_SECONDS: Final = 2.0  # for one log; who takes longer is not asked again in this run
READ_AGAIN: Final = timedelta(seconds=10)
# For so long a log may be late: what is written at a cloud is copied after the end.
LATE_AT_MOST: Final = timedelta(minutes=2)
REFUSED_FOR: Final = timedelta(hours=1)
SAMPLED: Final = 4096  # characters of each stream


def group_failures(seconds: float = SLICE_SECONDS) -> int:
    """Note what has failed since, and bring it to its clusters, for a slice of time. How many failures that were."""
    end, done, reader = time.monotonic() + seconds, 0, Reader()
    while time.monotonic() < end:
        gone = services.note_failures()
        waiting = services.waiting_failures(BATCH)
        if not gone and not waiting:
            break
        done += _group(waiting, reader, end)
    return done


def _group(waiting: Sequence[Failure], reader: Reader, end: float) -> int:
    facts = following.look(sorted({each.job_id for each in waiting}))
    said = _said_of_mapreduce([each.job_id for each in waiting if each.number is None])
    told, late = [], []
    for failure in waiting:
        if time.monotonic() >= end:
            break
        job = facts.get(failure.job_id)
        execution = None if job is None or failure.number is None else job.execution(failure.number)
        ends = reader.ends(execution) if execution else (said.get(failure.job_id, ""), "")
        if ends is not None:
            told.append(_told(failure, *ends))
        elif timezone.now() - failure.at < LATE_AT_MOST:
            late.append(failure.pk)
        else:
            told.append(_told(failure, "", ""))
    services.put_off_failures(late, READ_AGAIN)
    return _cluster(told)


def _cluster(told: Sequence[services.Told]) -> int:
    """A set that the database refuses goes one by one, and the one it refuses then is put off."""
    try:
        return services.cluster_failures(told) if told else 0
    except OperationalError:
        raise
    except DatabaseError:
        logger.exception("a set of %d failures was refused", len(told))
    if len(told) == 1:
        services.put_off_failures([told[0].failure_id], REFUSED_FOR)
        return 0
    return sum(_cluster([each]) for each in told)


class Reader:
    """Reads the ends of logs during one run."""

    def __init__(self) -> None:
        self._left_alone: set[tuple[str, str]] = set()

    def ends(self, execution: following.ExecutionFacts) -> tuple[str, str] | None:
        """What it wrote last to standard error and output; None: it is not to be had now."""
        place = execution.cloud, execution.region
        is_late = execution.cloud != "local" and execution.handle and execution.is_kept and not execution.is_copied
        if is_late or place in self._left_alone:
            return None
        began = time.monotonic()
        try:
            return following.ends(execution, LOOKED_AT)
        except ProviderError as error:
            logger.warning("the log of execution %s cannot be read: %s", execution.uuid, error)
            self._left_alone.add(place)
            return None
        finally:
            if time.monotonic() - began > SLOW_SECONDS:
                self._left_alone.add(place)


def _told(failure: Failure, stderr: str, stdout: str) -> services.Told:
    error = str(failure.error) if failure.error else ""
    plain: Fingerprint = fingerprint("", "", error, failure.exit_code)
    found = fingerprint(stderr, stdout, error, failure.exit_code)
    return services.Told(failure.pk, found, plain, stdout[-SAMPLED:] + stderr[-SAMPLED:])


def _said_of_mapreduce(job_ids: list[int]) -> Mapping[int, str]:
    """Why MapReduce jobs have failed, of those among these jobs: they run nothing themselves, and so have no log."""
    if not job_ids:
        return {}
    rows = MapReduceSpec.objects.filter(sets.among("job", job_ids, MapReduceSpec))
    return dict(rows.values_list("job_id", "failure"))
