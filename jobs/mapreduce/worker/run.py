"""Runs the task of a document from its begin to its result, within its time."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from .errors import BAD_TASK, INTERNAL, PROGRAM_UNREADABLE, STOPPED, TIMEOUT, TaskFailed
from .objects import bring_program, local_files, put, remove_folder, room_beside
from .programs import Programs, Stderr
from .shuffle import APOLLO_KEYS, RESULT_KEYS, STREAMING_KEYS, Sort, cut, join
from .task import APOLLO, MAP, VERSION, Place, Store, Task, read_task

TYPE_CHECKING = False  # typing would take a fifth of the start
if TYPE_CHECKING:
    from typing import Any

DONE, FAILED, MISUSED = 0, 1, 2
TASK_URL = "MAPREDUCE_TASK_URL"
_NOT_FOR_PROGRAMS = frozenset(
    {"PYTHONUNBUFFERED"}  # each print would be a write(2): it doubles what a mapper costs
)
# How clouds tell a container where it gets credentials.
_OF_CLOUDS = ("AWS_", "AZ_BATCH_", "AZURE_", "ECS_", "IDENTITY_", "MSI_")


def main(arguments: Sequence[str]) -> int:
    """`worker TASK.json`: the exit code, 0 when the task is done. The result lies in TASK.result.json then.

    Without an argument, the task document is at the address in MAPREDUCE_TASK_URL, and says where the result goes.
    """
    url = None
    if not arguments and TASK_URL in os.environ:
        from .addresses import taken_from_environment

        url = taken_from_environment(TASK_URL)
    if len(arguments) != 1 and url is None:
        print(f"usage: worker TASK.json, or {TASK_URL}=https://… worker", file=sys.stderr)
        return MISUSED
    began = time.monotonic()
    task = None
    result: dict[str, Any] = {"version": VERSION}
    try:
        task = read_task(_fetched(url) if url is not None else _read(arguments[0]))
        result |= _run(task)
    except TaskFailed as failure:
        result |= _failed(failure)
    except Exception as fault:
        import traceback

        traceback.print_exc()
        result |= _failed(TaskFailed(INTERNAL, f"The worker failed: {type(fault).__name__}: {fault}"))
    result["seconds"] = round(time.monotonic() - began, 3)
    _tell(result)
    beside = f"{arguments[0].removesuffix('.json')}.result.json" if arguments else None
    written = _write_result(beside, task, result)
    return DONE if written and "error" not in result else FAILED


def _failed(failure: TaskFailed) -> dict[str, Any]:
    return {"done": False, "error": {"code": failure.code, "message": failure.message, **failure.facts}}


def _tell(result: dict[str, Any]) -> None:
    if "error" in result:
        print(f"{result['error']['code']}: {result['error']['message']}", file=sys.stderr)


def _write_result(beside: str | None, task: Task | None, result: dict[str, Any]) -> bool:
    """Where the task wants it, or else to the path `beside`; whether that could be done."""
    if task is None or task.result is None:
        if beside is None:
            return False
        part = f"{beside}.{os.urandom(6).hex()}.part"
        with open(part, "w", encoding="utf-8") as file:
            json.dump(result, file)
        os.replace(part, beside)
        return True
    try:
        with _folder() as folder:
            with open(f"{folder}/result", "w", encoding="utf-8") as file:
                json.dump(result, file)
            put(f"{folder}/result", task.result, durable=False)
    except TaskFailed as failure:
        _tell(_failed(failure))
        return False
    return True


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise TaskFailed(BAD_TASK, f"{path} cannot be read: {error.strerror}.") from error


def _fetched(url: str) -> bytes:
    """The document at an address, which holds addresses: it is never on a disk that programs see."""
    from .addresses import is_address
    from .objects import whole

    if not is_address(url):
        raise TaskFailed(BAD_TASK, f"{TASK_URL} is not an http(s) address.")
    return whole(Place(path=None, url=url, store=Store()))


def _run(task: Task) -> dict[str, Any]:
    with _within(task.limits.seconds), _folder() as folder:
        _bring_programs(task, folder)
        programs = Programs(_environment(task), Stderr(task.limits.stderr_bytes))
        try:
            done = _map(task, programs, folder) if task.stage == MAP else _reduce(task, programs, folder)
        finally:
            _stop_no_more()
            programs.kill_all()
        programs.stderr.last_lines()
    return {"done": True, "task": task.id, **done}


def _bring_programs(task: Task, folder: str) -> None:
    for name, place in task.to_bring.items():
        try:
            path = bring_program(place, folder, name)
        except TaskFailed as failure:
            raise TaskFailed(PROGRAM_UNREADABLE, f"The {name} could not be fetched: {failure.message}") from failure
        setattr(task, name, (path, *getattr(task, name)[1:]))


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    """TaskFailed is raised in this thread when the time is up, or when we are asked to end."""

    def stop(number: int, frame: FrameType | None) -> None:
        _stop_no_more()
        if number == signal.SIGALRM:
            raise TaskFailed(TIMEOUT, f"The task was stopped after {seconds:g} seconds.", limit_seconds=seconds)
        raise TaskFailed(STOPPED, "The task was asked to end.")

    before = [(number, signal.signal(number, stop)) for number in (signal.SIGALRM, signal.SIGTERM)]
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before:
            signal.signal(number, handler)


def _stop_no_more() -> None:
    """What is being cleaned up is not to be stopped."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextmanager
def _folder() -> Iterator[str]:
    """A folder for what is sorted, gone at the end."""
    folder = f"{os.environ.get('TMPDIR') or '/tmp'}/mapreduce-{os.urandom(6).hex()}"  # noqa: S108 - 0700, a new name
    os.mkdir(folder, 0o700)
    try:
        yield folder
    finally:
        remove_folder(folder)


def _environment(task: Task) -> dict[str, str]:
    """What programs see: ours without keys or ways to get some, and the names that Hadoop gives to streaming ones."""
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in task.secret_names and name not in _NOT_FOR_PROGRAMS and not name.startswith(_OF_CLOUDS)
    }
    env |= {
        "mapreduce_job_id": task.job,
        "mapreduce_task_id": task.id,
        "mapreduce_task_partition": str(task.number),
        "mapreduce_task_ismap": "true" if task.stage == MAP else "false",
    }
    if task.splits:
        split = task.splits[0]
        env |= {
            "mapreduce_map_input_file": str(split.place),
            "mapreduce_map_input_start": str(split.start),
            "mapreduce_map_input_length": str(split.end - split.start),
        }
    return env


class _Read:
    """What a map task has read so far."""

    lines = size = 0

    def count(self, block: bytes) -> None:
        self.lines += block.count(b"\n")
        self.size += len(block)


def _map(task: Task, programs: Programs, folder: str) -> dict[str, Any]:
    read = _Read()
    keys = APOLLO_KEYS if task.protocol == APOLLO else STREAMING_KEYS

    def new_sort(share: int) -> Sort:
        return Sort(programs, folder, task.limits.sort_bytes // share, keys)

    warnings = []
    if task.protocol == APOLLO:
        from . import apollo

        sort = new_sort(1)
        sort.open()
        records_out = apollo.map_lines(task, programs, sort, read.count).pairs
    else:
        from . import streaming

        mapped, sort = streaming.map_splits(task, programs, new_sort, read.count)
        records_out = mapped.lines
        if mapped.unread:
            warnings.append("The mapper ended without reading all of its input.")
    outputs = (_put_joined if task.output.is_address else _put_apart)(task, sort, folder)
    return {
        "records_in": read.lines,
        "bytes_in": read.size,
        "records_out": records_out,
        "bytes_out": sum(spill["size"] for spill in outputs),
        "outputs": outputs,
        "warnings": warnings,
    }


def _put_apart(task: Task, sort: Sort, folder: str) -> list[dict[str, Any]]:
    """An object for each partition."""
    outputs = []
    with room_beside(task.output.below(task.id), folder) as room:
        for spill in cut(sort.blocks(), room):
            place = task.output.below(f"{task.id}_{spill.partition}")
            put(spill.path, place, durable=False)
            outputs.append({**place.document(), "map": task.number, "partition": spill.partition, "size": spill.size})
    return outputs


def _put_joined(task: Task, sort: Sort, folder: str) -> list[dict[str, Any]]:
    """One object with all partitions, one after the other; none where there are no records."""
    path, start = f"{folder}/joined", 0
    outputs = []
    for spill in join(sort.blocks(), path):
        outputs.append({"map": task.number, "partition": spill.partition, "start": start, "size": spill.size})
        start += spill.size
    if outputs:
        put(path, task.output, durable=False)
    return outputs


def _reduce(task: Task, programs: Programs, folder: str) -> dict[str, Any]:
    files = local_files(task.map_outputs, folder)
    keys = APOLLO_KEYS if task.protocol == APOLLO else STREAMING_KEYS
    merged = Sort(programs, folder, task.limits.sort_bytes, keys)
    if files:
        merged.merge(files)
    warnings = []
    with room_beside(task.output, folder) as room:
        target = f"{room}/object"
        if task.protocol == APOLLO:
            from . import apollo

            ordered = Sort(programs, folder, task.limits.sort_bytes, RESULT_KEYS)
            ordered.open()
            groups = apollo.Groups(merged.blocks(), f"{folder}/groups")
            groups_in = records_out = apollo.reduce_groups(task, programs, groups, ordered, target).pairs
            records_in = groups.values
        else:
            from . import streaming

            reduced = streaming.reduce_records(task, programs, merged.blocks(), target)
            groups_in, records_in = reduced.groups, reduced.lines
            records_out = _count_lines(target)
            if reduced.unread:
                warnings.append("The reducer ended without reading all of its input.")
        written = os.stat(target).st_size
        put(target, task.output, durable=True)
    return {
        "records_in": records_in,
        "bytes_in": sum(output.size for output in task.map_outputs),
        "groups": groups_in,
        "records_out": records_out,
        "bytes_out": written,
        "warnings": warnings,
    }


def _count_lines(path: str) -> int:
    lines = 0
    with suppress(OSError), open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 20):
            lines += block.count(b"\n")
    return lines
