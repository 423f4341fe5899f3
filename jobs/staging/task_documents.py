"""What tasks of MapReduce jobs have in common wherever they run: the document they are given, the result they leave."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from controlplane.core.remembered import Remembered
from jobs import states
from jobs.mapreduce.locations import Location
from jobs.models import Job, MapReduceSpec, Protocol, Shape
from jobs.queries import stores
from jobs.staging.facts import StagingFault
from jobs.staging.keeping import Kept

MAX_RESULT_BYTES: Final = 64 * 2**20
# What the worker's codes are called here; see the migration of these errors.
_ERRORS: Final = {
    "PROGRAM_FAILED": "program-failed",
    "PROGRAM_UNREADABLE": "program-unreadable",
    "BAD_OUTPUT": "program-output",
    "BAD_LINE": "input-line",
    "LINE_TOO_LONG": "input-line",
    "INPUT_UNREADABLE": "input-unreadable",
    "INPUT_REFUSED": "input-refused",
    "OUTPUT_UNWRITABLE": "output-unwritable",
    "OUTPUT_REFUSED": "output-refused",
    "TIMEOUT": "timeout",
}
_FACTS: Final = ("records_in", "records_out", "bytes_in", "bytes_out", "groups")
_objects: Remembered[int, list[dict[str, Any]]] = Remembered(limit=20)


def spec_of(job: Job) -> MapReduceSpec:
    """What the job of a task is to do."""
    rows = MapReduceSpec.objects.select_related("job", "mapper", "reducer", "combiner")
    return rows.defer("objects_found", "job__env").get(pk=job.parent_id)


# --- The document ------------------------------------------------------------------------------------


def document_of(job: Job, spec: MapReduceSpec) -> dict[str, Any]:
    """All of a task's document but its programs and its places."""
    is_map = job.shape == Shape.MAP
    return {
        "version": 1,
        "id": f"{spec.job.uuid}-{'m' if is_map else 'r'}-{job.part}",
        "job": str(spec.job.uuid),
        "stage": "map" if is_map else "reduce",
        "index": job.part,
        "protocol": spec.protocol,
        "partitions": spec.reducers,
        "limits": {"sort_bytes": max(2**20, min(64 * 2**20, job.memory_mib * 2**20 // 4))},
    }


def roles_of(job: Job, spec: MapReduceSpec) -> dict[str, str]:
    """The members of the document that are programs, and which of the job's programs they are."""
    if job.shape != Shape.MAP:
        return {"program": "reducer"}
    return {"program": "mapper", **({"combiner": "combiner"} if spec.combiner is not None else {})}


@dataclass(frozen=True, slots=True)
class InputSplit:
    """What a map task reads: an object of a store, and the part of it, as the document has that."""

    location: Location
    key: str
    part: dict[str, Any]


def split_of(job: Job, spec: MapReduceSpec) -> InputSplit:
    given: Mapping[str, int] = job.input or {}
    found = _object(spec, given["object"])
    part = {"start": given["start"], "end": given["end"], "size": found["size"], "gzip": found["key"].endswith(".gz")}
    return InputSplit(stores.inputs_of(spec)[found["input"]], found["key"], part)


def _object(spec: MapReduceSpec, number: int) -> dict[str, Any]:
    """One object of a job's input. They may be many, do not change, and every task asks for one."""
    known = _objects.get(spec.pk)
    return (_objects.keep(spec.pk, spec.objects_found) if known is None else known)[number]


@dataclass(frozen=True, slots=True)
class Left:
    """What a map task has left for one partition. `folder` names it; `sizes`: the bytes of each partition."""

    part: int
    folder: str
    partition: int
    sizes: Mapping[str, int]

    @property
    def size(self) -> int:
        return self.sizes[str(self.partition)]

    @property
    def start(self) -> int:
        """Where it begins when all partitions lie one after the other."""
        return sum(size for number, size in self.sizes.items() if int(number) < self.partition)

    @property
    def whole(self) -> int:
        return sum(self.sizes.values())


def left_by_maps(job: Job) -> tuple[list[Left], list[int]]:
    """What the map tasks have left for a reduce task, ordered by map task; and those that have nothing to show."""
    found: list[Left] = []
    lost: list[int] = []
    maps = Job.objects.filter(parent=job.parent_id, shape=Shape.MAP, superseded_at=None).order_by("part")
    for part, status, output in maps.values_list("part", "status", "output"):
        assert part is not None
        assert job.part is not None
        if status != states.COMPLETED:
            lost.append(part)
            continue
        left = Left(part, str((output or {}).get("folder")), job.part, (output or {}).get("outputs", {}))
        if left.sizes.get(str(job.part)):
            found.append(left)
    return found, lost


def check_none_lost(lost: Sequence[int]) -> None:
    """Raise StagingFault, which has those maps run again."""
    if lost:
        words = f"What the map tasks {list(lost[:5])} have left is gone; they run again."
        raise StagingFault("intermediate-lost", words, tuple(lost))


# --- The result --------------------------------------------------------------------------------------


def read_result(text: bytes) -> dict[str, Any]:
    """The worker's own word, whatever it says. Raises StagingFault when it is no good one."""
    try:
        result = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise no_result() from error
    if len(text) > MAX_RESULT_BYTES or not isinstance(result, dict):
        raise StagingFault("worker-failed", "The worker's result cannot be read.")
    return result


def no_result() -> StagingFault:
    return StagingFault("worker-failed", "The worker ended without a result.")


def error_in(result: Mapping[str, Any]) -> dict[str, Any]:
    """What the worker says has gone wrong."""
    given = result.get("error")
    return given if isinstance(given, dict) else {}


def check_done(result: Mapping[str, Any]) -> None:
    """Raise the StagingFault that the worker has ended with."""
    if result.get("done") is True:
        return
    why = error_in(result)
    message, stderr = (str(why.get(name, "")) for name in ("message", "stderr"))
    raise StagingFault(_ERRORS.get(str(why.get("code")), "worker-failed"), f"{message}\n{stderr}".strip()[:1000])


def kept_of(job: Job, result: Mapping[str, Any], **more: Any) -> Kept:
    """What is written down of a task that is done."""
    facts: dict[str, Any] = {name: _number(result.get(name)) for name in _FACTS if name in result}
    if job.shape == Shape.MAP:
        facts["outputs"] = _sizes(result)
    warnings = tuple(str(text)[:500] for text in result.get("warnings", ())[:10])
    return Kept(facts={**facts, **more}, warnings=warnings)


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else 0


def _sizes(result: Mapping[str, Any]) -> dict[str, int]:
    """The bytes for each partition that has any."""
    outputs = result.get("outputs")
    found = {}
    for each in outputs if isinstance(outputs, list) else ():
        if isinstance(each, dict):
            found[str(_number(each.get("partition")))] = _number(each.get("size"))
    return found


def media_type_of(spec: MapReduceSpec) -> str:
    return "application/json" if spec.protocol == Protocol.APOLLO else "text/tab-separated-values"
