"""On which line of a bill something is."""

from __future__ import annotations

from typing import NamedTuple

from billing.models import LineKind, UsageKind
from jobs.models import Shape


class Position(NamedTuple):
    """For what a line is, in the order of a bill. Ids are 0 where there is none."""

    kind: str
    shape: str
    job_type_id: int
    cluster_id: int


def position_of(kind: str, shape: str, job_type_id: int, cluster_id: int) -> Position:
    """The line of what was used of this kind, shape, job type and cluster."""
    if kind == UsageKind.CORRECTION:
        return Position(LineKind.CORRECTION, "", 0, 0)
    if kind == UsageKind.EXECUTION:
        # The tasks of a MapReduce job are on one line with it.
        named = Shape.MAPREDUCE if shape in (Shape.MAP, Shape.REDUCE) else shape
        return Position(LineKind.JOB_TYPE if job_type_id else LineKind.JOBS, str(named), job_type_id, 0)
    line = LineKind.PEERS if kind == UsageKind.PEERS else LineKind.CONTAINERS
    return Position(line, "", 0, cluster_id)
