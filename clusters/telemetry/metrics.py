"""Metrics of long-running containers: what views ask. Whom a scope names is theirs to check."""

from __future__ import annotations

from clusters.telemetry import prometheus, promql
from clusters.telemetry.prometheus import Sample, Series
from clusters.telemetry.promql import Question


def instant(question: Question, at: int | None = None) -> list[Sample]:
    """Its value at a moment in Unix seconds, now by default: one row, or one for each value of `group_by`.

    None where nothing is known. Raises MetricsUnavailable (503), MetricsUnreadable (500), InvalidRequest (400).
    """
    if not question.scope.values:
        return []
    return prometheus.instant(promql.expression(question), at)


def over_time(question: Question, start: int, end: int, step: float) -> list[Series]:
    """Its values at `start` and every `step` seconds on until `end`, which are Unix seconds. Raises as `instant`."""
    prometheus.check_times(start, end, step)
    if not question.scope.values:
        return []
    return prometheus.over_time(promql.expression(question, step), start, end, step)
