"""Outputs as they are now: a page after a cursor, the whole, the end of it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from clusters.providers.base import STREAMS, LogPage
from clusters.providers.errors import NotFound as ProviderNotFound
from clusters.providers.errors import ProviderError
from clusters.queries import cloud_at, local_provider
from controlplane.core.connections import give_back
from controlplane.core.errors import InvalidRequest
from controlplane.core.instruments import provider_call
from controlplane.core.remembered import Remembered
from controlplane.core.storage import StorageError
from jobs.errors import ExecutionNotFound, JobNotFound, JobState, OutputGone
from jobs.following.cursors import Cursor, known
from jobs.following.facts import ExecutionFacts, JobFacts, look
from jobs.models import Job
from jobs.queries.outputs import copied_output

PAGE_BYTES: Final = 2**20
ASK_AGAIN_SECONDS: Final = 3.0


@dataclass(frozen=True, slots=True)
class Page:
    """Output of one execution: `pieces` of (stream, text). `ended`: nothing will follow `cursor`."""

    execution: int
    pieces: tuple[tuple[str, str], ...]
    cursor: str
    ended: bool

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)


def read(
    job: Job, streams: Sequence[str], after: str = "", *, execution: int | None = None, limit: int = PAGE_BYTES
) -> Page:
    """What the job has written after the cursor `after`: about `limit` bytes at most, the rest on the next call.

    Without a cursor, of the execution with number `execution`, else of the last one that started. When all of
    an execution has been read, its cursor goes on with the job's next one, unless `execution` is named.
    Raises JobState when nothing has started, OutputGone when retention has deleted it, ExecutionNotFound,
    InvalidRequest.
    """
    streams = known(streams)
    facts = facts_of(job.pk)
    cursor = first_cursor(facts, streams, after, execution)
    if cursor is None:
        raise JobState("The job has not started, so it has no output yet.")
    while True:
        chosen = _started(facts, cursor.execution)
        page = _page(chosen, cursor, limit)
        following = None if execution is not None else facts.after(chosen.number)
        if page.pieces or not page.ended or following is None or not following.has_started:
            over = page.ended and (execution is not None or (facts.is_final and following is None))
            return Page(page.execution, page.pieces, page.cursor, over)
        cursor = Cursor.start(following.number, streams)


def facts_of(job_id: int) -> JobFacts:
    """The facts of a job that exists."""
    facts = look([job_id]).get(job_id)
    if facts is None:
        raise JobNotFound
    return facts


def first_cursor(facts: JobFacts, streams: Sequence[str], after: str, execution: int | None) -> Cursor | None:
    """Where a reader begins; None while there is no execution. Raises ExecutionNotFound, InvalidRequest, OutputGone."""
    if after:
        cursor = Cursor.read(after, streams)
        if execution not in (None, cursor.execution):
            raise InvalidRequest("The cursor is of another execution.", field="after")
    else:
        chosen = facts.to_read() if execution is None else facts.execution(execution)
        if chosen is None and execution is None:
            return None
        cursor = Cursor.start(chosen.number if chosen else execution or 0, streams)
    found = facts.execution(cursor.execution)
    if found is None:
        raise ExecutionNotFound
    if not found.is_kept:
        raise OutputGone
    return cursor


def _started(facts: JobFacts, number: int) -> ExecutionFacts:
    """An execution that may have written something. Raises JobState, ExecutionNotFound, OutputGone."""
    found = facts.execution(number)
    if found is None:
        raise ExecutionNotFound
    if not found.has_started:
        raise JobState("It has not started, so it has no output yet.")
    if not found.is_kept:
        raise OutputGone
    return found


def _page(execution: ExecutionFacts, cursor: Cursor, limit: int) -> Page:
    """Of each stream in turn as much as `limit` leaves. At least a few bytes of each, so that all get on."""
    pieces, ended = [], True
    for stream, position in cursor.positions.items():
        page = _logs(execution, stream, position, max(limit, 4))
        limit -= page.next_after - position
        cursor = cursor.moved(stream, page.next_after)
        ended &= page.ended or (execution.ends_in_silence and page.next_after == position)
        if page.text:
            pieces.append((stream, page.text))
    return Page(execution.number, tuple(pieces), str(cursor), ended)


def ask(execution: ExecutionFacts, stream: str, after: int, limit: int) -> LogPage:
    """The output of an execution, of whoever has it: this machine, the cloud that runs it, or our own storage.

    Raises the errors of providers.
    """
    if execution.cloud == "local":
        provider = local_provider()
        with provider_call(provider.cloud, "logs"):
            return provider.logs(execution.uuid, stream, after, limit)
    if execution.is_copied:
        try:
            return LogPage(*copied_output(execution.uuid, stream).read(after, limit))
        except StorageError as error:
            raise ProviderError(f"The copy of the output cannot be read: {error.message}") from error
    if not execution.handle:
        return LogPage("", after, ended=execution.has_ended)
    return _ask_cloud(execution, stream, after, limit)


# What a cloud had nothing new of, and when: many may follow, and each would ask several times a second.
_quiet: Remembered[tuple[str, str, int], float] = Remembered(limit=10_000)


def _ask_cloud(execution: ExecutionFacts, stream: str, after: int, limit: int) -> LogPage:
    cloud = cloud_at(execution.cloud, execution.region)
    if stream not in cloud.streams:
        return LogPage("", after, ended=True)
    key = (execution.handle, stream, after)
    if time.monotonic() - _quiet.get(key, -ASK_AGAIN_SECONDS) < ASK_AGAIN_SECONDS:
        return LogPage("", after, ended=False)
    with provider_call(cloud.cloud, "logs"):
        page = cloud.logs(execution.handle, stream, after, limit)
    if page.next_after == after and not page.ended:
        _quiet.put(key, time.monotonic())
    return page


def _logs(execution: ExecutionFacts, stream: str, after: int, limit: int = PAGE_BYTES) -> LogPage:
    try:
        return ask(execution, stream, after, limit)
    except ProviderNotFound as error:
        raise OutputGone("The provider has no output of this job.") from error


def text(job: Job, streams: Sequence[str] = STREAMS, *, execution: int | None = None, after: str = "") -> Iterator[str]:
    """The whole output of an execution, stream after stream, piece by piece.

    Of the execution with number `execution`, or of the job's last one that started. Raises as `read` does,
    before the first piece; whoever reads on holds no database connection.
    """
    return _without_connection(_whole(job, streams, execution, after))


def tail(job: Job, limit: int) -> str:
    """The last `limit` characters of the job's output. Raises as `read` does."""
    kept: deque[str] = deque()
    size = 0
    for piece in _whole(job, STREAMS, None, ""):
        kept.append(piece)
        size += len(piece)
        while len(kept) > 1 and size - len(kept[0]) > limit:
            size -= len(kept.popleft())
    return "".join(kept)[-limit:]


def _whole(job: Job, streams: Sequence[str], execution: int | None, after: str) -> Iterator[str]:
    facts = facts_of(job.pk)
    cursor = first_cursor(facts, known(streams), after, execution)
    if cursor is None:
        raise JobState("The job has not started, so it has no output yet.")
    chosen = _started(facts, cursor.execution)
    first = {stream: _logs(chosen, stream, at) for stream, at in cursor.positions.items()}
    return _pages(chosen, cursor, first)


def _pages(execution: ExecutionFacts, cursor: Cursor, first: dict[str, LogPage]) -> Iterator[str]:
    for stream, after in cursor.positions.items():
        page = first.pop(stream)
        while page.next_after > after:
            yield page.text
            after = page.next_after
            page = _logs(execution, stream, after)


def _without_connection(pieces: Iterator[str]) -> Iterator[str]:
    give_back()
    yield from pieces
