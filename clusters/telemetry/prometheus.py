"""Prometheus's HTTP API: a query at one moment, or at moments between two. Answers have the form of the wire."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any, Final, TypedDict

from django.conf import settings

from clusters.errors import MetricsUnavailable, MetricsUnreadable
from controlplane.core.errors import InvalidRequest
from controlplane.core.stores import Answer, AnswerTooLarge, CallFailed, Store, post

logger = logging.getLogger("controlplane.telemetry")
SECONDS: Final = 20.0
# Prometheus ends a query by itself before we turn away.
QUERY_SECONDS: Final = 15
MAX_ANSWER_BYTES: Final = 16 * 2**20
MAX_POINTS: Final = 11_000  # of a series: Prometheus's own limit
LEAST_STEP_SECONDS: Final = 0.001
LAST_MOMENT: Final = 253_402_300_799  # of the year 9999
# Its access is ours to mend, or it is asked too often: nothing is wrong with the query.
_NOT_THE_QUERY: Final = (401, 403, 407, 429)


class Sample(TypedDict):
    """`value`: a moment in Unix seconds, and a number as text, which may be "NaN", "+Inf" or "-Inf"."""

    metric: dict[str, str]
    value: tuple[float, str]


class Series(TypedDict):
    """`values`: as of Sample, one for each moment that has one."""

    metric: dict[str, str]
    values: list[tuple[float, str]]


def instant(query: str, at: float | None = None) -> list[Sample]:
    """What `query` is at a moment in Unix seconds, now by default.

    Raises MetricsUnavailable, MetricsUnreadable; InvalidRequest for no moment, and where there is too much to look at.
    """
    form = {"query": query}
    if at is not None:
        _check_moment("time", at)
        form["time"] = _number(at)
    try:
        rows = _result("query", form, "vector")
    except AnswerTooLarge as error:
        raise MetricsUnreadable("Prometheus's answer is too large to be read.") from error
    return [Sample(metric=_labels(row), value=_point(row.get("value"))) for row in rows]


def over_time(query: str, start: float, end: float, step: float) -> list[Series]:
    """What `query` is at `start` and every `step` seconds on until `end`.

    Raises as `instant`, and InvalidRequest for times that go together with nothing, or answers that are too large.
    """
    check_times(start, end, step)
    # A step beyond the end is as good as any other, and Prometheus does not read it if it is very long.
    form = {"start": _number(start), "end": _number(end), "step": _number(min(step, end - start + 1))}
    try:
        rows = _result("query_range", {"query": query, **form}, "matrix")
    except AnswerTooLarge as error:
        raise InvalidRequest("The answer is too large: ask for a larger step, or for less.", field="step") from error
    return [Series(metric=_labels(row), values=_points(row.get("values"))) for row in rows]


def check_times(start: float, end: float, step: float) -> None:
    """Raise InvalidRequest, naming the field, for times that `over_time` does not take."""
    for name, moment in (("start", start), ("end", end)):
        _check_moment(name, moment)
    if end < start:
        raise InvalidRequest("end is before start.", field="end")
    if not step >= LEAST_STEP_SECONDS:
        raise InvalidRequest(f"step has to be {LEAST_STEP_SECONDS:g} seconds at least.", field="step")
    if math.floor((end - start) / step) + 1 > MAX_POINTS:
        raise InvalidRequest(f"Too many points: {MAX_POINTS} at most. Give a larger step.", field="step")


def _check_moment(name: str, moment: float) -> None:
    if not abs(moment) <= LAST_MOMENT:
        raise InvalidRequest(f"{name} is a moment in Unix seconds.", field=name)


def _number(value: float) -> str:
    """Without an exponent, and to the millisecond."""
    return f"{value:.3f}".rstrip("0").rstrip(".")


# --- What it says -----------------------------------------------------------------------------------------------------


def _result(action: str, form: Mapping[str, str], kind: str) -> list[dict[str, Any]]:
    """The rows of an answer of the type `kind`. Raises AnswerTooLarge, too."""
    if not settings.PROMETHEUS_URL:
        raise MetricsUnavailable("There are no metrics here: PROMETHEUS_URL is not set.")
    store = Store(settings.PROMETHEUS_URL, settings.PROMETHEUS_USER, settings.PROMETHEUS_TOKEN)
    asked = {**form, "timeout": f"{QUERY_SECONDS}s"}
    try:
        answer = post(store, f"/api/v1/{action}", asked, seconds=SECONDS, max_bytes=MAX_ANSWER_BYTES)
    except CallFailed as error:
        logger.warning("Prometheus cannot be asked: %s", error)
        raise MetricsUnavailable from error
    if answer.status != 200:
        raise _failure(answer, form["query"])
    told = _document(answer.body)
    data = told.get("data")
    if told.get("status") != "success" or not isinstance(data, dict) or data.get("resultType") != kind:
        raise MetricsUnreadable
    rows = data.get("result")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise MetricsUnreadable
    return rows


def _failure(answer: Answer, query: str) -> MetricsUnavailable | MetricsUnreadable | InvalidRequest:
    try:
        words = str(_document(answer.body).get("error", ""))
    except MetricsUnreadable:
        words = ""
    if answer.status == 422 and "too many samples" in words:
        return InvalidRequest("That is too much to look at: ask for a shorter interval, or for less.", field="interval")
    logger.warning("Prometheus answers %d %r to %s", answer.status, words[:500], query[:2000])
    if answer.status >= 500 or answer.status in _NOT_THE_QUERY:
        return MetricsUnavailable()
    return MetricsUnreadable()


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MetricsUnreadable from error
    if not isinstance(found, dict):
        raise MetricsUnreadable
    return found


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    labels = row.get("metric")
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise MetricsUnreadable
    return labels


def _points(values: Any) -> list[tuple[float, str]]:
    if not isinstance(values, list):
        raise MetricsUnreadable
    return [_point(value) for value in values]


def _point(value: Any) -> tuple[float, str]:
    if not isinstance(value, list) or len(value) != 2:
        raise MetricsUnreadable
    at, number = value
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at) or not isinstance(number, str):
        raise MetricsUnreadable
    try:
        float(number)
    except ValueError as error:
        raise MetricsUnreadable from error
    return at, number
