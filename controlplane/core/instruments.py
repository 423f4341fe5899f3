"""What is counted and timed as it happens, in whichever process: /metrics tells it, see controlplane.metrics.

Counting never fails the work that is counted: a process that cannot write its files counts nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final

from prometheus_client import Counter, Histogram

from controlplane.core import metric_files

logger = logging.getLogger("controlplane.instruments")
# From what is noticed by nobody to what is noticed by everybody.
REQUEST_BUCKETS: Final = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
CALL_BUCKETS: Final = (0.001, 0.005, 0.025, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
WAIT_BUCKETS: Final = (
    *(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
    *(60.0, 180.0, 600.0, 1800.0, 3600.0, 10800.0, 43200.0),
)
# None of these is in a registry: their files are read, not they.
_REQUESTS: Final = Histogram(
    "controlplane_http_request_duration_seconds",
    "Time from a request to the beginning of its answer.",
    ("surface", "status"),
    buckets=REQUEST_BUCKETS,
    registry=None,
)
_CALLS: Final = Counter(
    "controlplane_provider_calls",
    "Calls of a provider; outcome is ok or the name of the error.",
    ("provider", "verb", "outcome"),
    registry=None,
)
_CALL_SECONDS: Final = Histogram(
    "controlplane_provider_call_duration_seconds",
    "How long calls of a provider took.",
    ("provider", "verb", "outcome"),
    buckets=CALL_BUCKETS,
    registry=None,
)


class _Nothing:
    """Takes the place of an instrument that cannot keep anything."""

    def inc(self, amount: float = 1) -> None: ...

    def observe(self, amount: float) -> None: ...


@cache
def _child(metric: Counter | Histogram, *labels: str) -> Any:
    try:
        metric_files.prepare()
        return metric.labels(*labels)
    except OSError as error:
        logger.warning("this process keeps no metrics: %s", error)
        return _Nothing()


@cache
def _waits() -> Any:
    """Made when first needed: without labels it opens its file at once."""
    try:
        metric_files.prepare()
        return Histogram(
            "controlplane_scheduling_latency_seconds",
            "Time from when a job was queued to the start of its execution.",
            buckets=WAIT_BUCKETS,
            registry=None,
        )
    except OSError as error:
        logger.warning("this process keeps no metrics: %s", error)
        return _Nothing()


def note_request(surface: str, status_class: str, seconds: float) -> None:
    """A request was answered; `status_class` is 2xx and the like."""
    _child(_REQUESTS, surface, status_class).observe(seconds)


def note_waits(seconds: Iterable[float]) -> None:
    """Executions have started, so long after their jobs were queued."""
    for each in seconds:
        _waits().observe(max(0.0, each))


@contextmanager
def provider_call(provider: str, verb: str) -> Iterator[None]:
    """Counts and times the call made inside, also one that fails."""
    begun, outcome = time.perf_counter(), "ok"
    try:
        yield
    except BaseException as error:
        outcome = type(error).__name__
        raise
    finally:
        _child(_CALLS, provider, verb, outcome).inc()
        _child(_CALL_SECONDS, provider, verb, outcome).observe(time.perf_counter() - begun)
