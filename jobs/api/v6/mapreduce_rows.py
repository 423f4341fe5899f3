"""A MapReduce job in the native surface's words: what it is to do, and how far it is."""

from __future__ import annotations

from typing import Any

from jobs import states
from jobs.models import ArtifactVersion, Job, MapReduceSpec, Shape
from jobs.queries import stores
from jobs.queries.mapreduce import StageProgress, progress_of, spec_of


def mapreduce(job: Job) -> dict[str, Any] | None:
    """Of a MapReduce job; None of any other."""
    if job.shape != Shape.MAPREDUCE:
        return None
    spec = spec_of(job)
    progress = progress_of(spec)
    return {
        "mapper": _program(spec, "mapper"),
        "reducer": _program(spec, "reducer"),
        "combiner": _program(spec, "combiner"),
        "protocol": spec.protocol,
        "input": spec.inputs,
        "output": spec.output,
        "reducers": spec.reducers,
        "split_bytes": spec.split_bytes,
        "max_parallel": spec.max_parallel,
        "has_credentials": bool(spec.credentials),
        "input_bytes": spec.input_bytes,
        "objects": None if spec.objects_found is None else len(spec.objects_found),
        "failure": spec.failure,
        "map": _stage(progress[Shape.MAP]),
        "reduce": _stage(progress[Shape.REDUCE]),
        "outputs": outputs(job, spec),
    }


def outputs(job: Job, spec: MapReduceSpec) -> list[str]:
    """Where the objects of a completed job are."""
    if job.status != states.COMPLETED:
        return []
    location = stores.output_of(spec)
    paths = [stores.output_path(spec, location.key.removesuffix("/"), number) for number in range(spec.reducers)]
    return [location.shown(path) for path in paths]


def _program(spec: MapReduceSpec, role: str) -> dict[str, Any] | None:
    version: ArtifactVersion | None = getattr(spec, role)
    if version is None:
        return None
    return {
        "name": version.artifact.name,
        "version": version.number,
        "sha256": version.sha256,
        "size": version.size,
        "arguments": spec.arguments.get(role, []),
    }


def _stage(stage: StageProgress) -> dict[str, Any]:
    return {
        "tasks": stage.planned,
        "made": stage.tasks.total(),
        "completed": stage.completed,
        "states": dict(sorted(stage.tasks.items())),
        "bytes_in": stage.bytes_in,
        "records_in": stage.records_in,
        "records_out": stage.records_out,
        "bytes_out": stage.bytes_out,
    }
