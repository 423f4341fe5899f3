"""What the lines of bills are of: of each record the one line, and of each line its records."""

from __future__ import annotations

from datetime import date
from typing import Any, NamedTuple

from django.db.models import Q

from billing.models import LineKind, UsageDay, UsageKind
from jobs.models import Shape


class Position(NamedTuple):
    """For what a line is, in the order of a bill."""

    kind: str
    shape: str
    job_type_id: int
    cluster_id: int


# The tasks of a MapReduce job are on one line with it.
_TASKS = (Shape.MAP, Shape.REDUCE)


def position_of(kind: str, shape: str, job_type_id: int, cluster_id: int) -> Position:
    """For what the line is that has the records which have these in common; 0 is none."""
    if kind == UsageKind.CORRECTION:
        return Position(LineKind.CORRECTION, "", 0, 0)
    if kind == UsageKind.EXECUTION:
        named = Shape.MAPREDUCE if shape in _TASKS else shape
        return Position(LineKind.JOB_TYPE if job_type_id else LineKind.JOBS, str(named), job_type_id, 0)
    line = LineKind.PEERS if kind == UsageKind.PEERS else LineKind.CONTAINERS
    return Position(line, "", 0, cluster_id)


_KINDS = {
    LineKind.JOBS: UsageKind.EXECUTION,
    LineKind.JOB_TYPE: UsageKind.EXECUTION,
    LineKind.CONTAINERS: UsageKind.CONTAINER,
    LineKind.PEERS: UsageKind.PEERS,
    LineKind.CORRECTION: UsageKind.CORRECTION,
}


def kind_at(line: str) -> UsageKind:
    """The kind of a line's records."""
    return _KINDS[LineKind(line)]


def records_at(*, shape: str) -> Q:
    """Records whose line says this shape."""
    return Q(shape__in=(shape, *_TASKS)) if shape == Shape.MAPREDUCE else Q(shape=shape)


def months_with(**of: Any) -> list[date]:
    """The months on whose bills there is something that the sums by day have in common with `of`."""
    rows = UsageDay.objects.filter(**of).order_by("bill_month")
    return list(rows.values_list("bill_month", flat=True).distinct())
