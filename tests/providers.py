"""A provider in memory that does what a test tells it, and refuses what the contract refuses."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from clusters.providers.base import STREAMS, Capacity, End, LogPage, Observation, Phase, Provider, Work
from clusters.providers.errors import NotFound, ProviderError, Refused

NODE = "stage-1"


class ScriptedProvider(Provider):
    """`start`, `write` and `end` are what happens there; nothing happens by itself.

    `failure`: raised by every call, as a provider that is out of reach does. What was handed over stays
    known, whatever became of it, so that handing it over again starts nothing.
    """

    cloud: ClassVar[str] = "scripted"

    def __init__(self, capacity: Capacity | None = None) -> None:
        self._capacity = capacity or Capacity(64_000, 262_144)
        self._seen: dict[str, Observation] = {}
        self._output: dict[tuple[str, str], bytes] = {}
        self.works: dict[str, Work] = {}
        self.calls: list[tuple[str, tuple[str, ...]]] = []
        self.failure: ProviderError | None = None

    # What happens there

    def start(self, execution_id: str) -> None:
        seen = self._seen[execution_id]
        assert seen.phase is Phase.WAITING, f"{execution_id} is {seen.phase}: it does not start"
        assert execution_id in self.works, f"{execution_id} was canceled before it was handed over"
        self._seen[execution_id] = replace(seen, phase=Phase.RUNNING, started_at=datetime.now(UTC), node=NODE)

    def write(self, execution_id: str, stream: str, text: str) -> None:
        assert self._seen[execution_id].phase is Phase.RUNNING, f"{execution_id} does not run: it writes nothing"
        key = (execution_id, stream)
        self._output[key] = self._output.get(key, b"") + text.encode()

    def end(self, execution_id: str, *, exit_code: int | None = 0, end: End = End.EXITED, detail: str = "") -> None:
        seen = self._seen[execution_id]
        assert seen.phase is not Phase.ENDED, f"{execution_id} has ended"
        assert (exit_code is not None) or end is not End.EXITED, "what exits has a code"
        assert seen.phase is Phase.RUNNING or end is not End.EXITED, "what never ran does not exit"
        self._seen[execution_id] = replace(
            seen, phase=Phase.ENDED, ended_at=datetime.now(UTC), end=end, exit_code=exit_code, detail=detail
        )

    # What a provider is asked

    def _called(self, verb: str, ids: Sequence[str]) -> None:
        self.calls.append((verb, tuple(ids)))
        if self.failure is not None:
            raise self.failure
        if verb in ("run", "cancel"):
            for execution_id in ids:
                try:
                    well_formed = str(uuid.UUID(execution_id)) == execution_id
                except ValueError:
                    well_formed = False
                if not well_formed:
                    raise Refused(f"not an execution id: {execution_id!r}")

    def run(self, works: Sequence[Work]) -> None:
        self._called("run", [work.execution_id for work in works])
        for work in works:
            if work.execution_id not in self._seen:
                self.works[work.execution_id] = work
                self._seen[work.execution_id] = Observation(work.execution_id, Phase.WAITING)

    def observe(self, execution_ids: Sequence[str]) -> list[Observation]:
        self._called("observe", execution_ids)
        return [self._seen[each] for each in execution_ids if each in self._seen]

    def cancel(self, execution_ids: Sequence[str]) -> None:
        """What waits, or is unknown, ends at once; what runs ends when the test says so."""
        self._called("cancel", execution_ids)
        for each in execution_ids:
            seen = self._seen.get(each, Observation(each, Phase.WAITING))
            if seen.phase is Phase.WAITING:
                now = datetime.now(UTC)
                self._seen[each] = replace(seen, phase=Phase.ENDED, ended_at=now, end=End.CANCELED)

    def logs(self, execution_id: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        if stream not in STREAMS:
            raise ValueError(f"no such stream: {stream}")
        self._called("logs", [execution_id])
        if execution_id not in self._seen:
            raise NotFound(f"no execution {execution_id}")
        written = self._output.get((execution_id, stream), b"")
        piece = written[after : after + limit]
        is_last = after + len(piece) >= len(written)
        if not is_last:
            while piece and written[after + len(piece)] & 0b1100_0000 == 0b1000_0000:
                piece = piece[:-1]  # a page does not end inside a character
        is_over = self._seen[execution_id].phase is Phase.ENDED
        return LogPage(piece.decode(errors="replace"), after + len(piece), is_last and is_over)

    def tail(self, execution_id: str, stream: str, limit: int) -> str:
        return self.logs(execution_id, stream, 0, 2**30).text[-limit:]

    def explain(self, execution_id: str) -> str:
        seen = self._seen.get(execution_id)
        return "" if seen is None else f"{seen.phase} on the stage"

    def capacity(self) -> Capacity:
        return self._capacity

    def forget(self, execution_ids: Sequence[str]) -> None:
        """Ended ones lose their output, and are known no more."""
        self._called("forget", execution_ids)
        for each in execution_ids:
            if each in self._seen and self._seen[each].phase is Phase.ENDED:
                del self._seen[each]
                self.works.pop(each, None)
                for stream in STREAMS:
                    self._output.pop((each, stream), None)
