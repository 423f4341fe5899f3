"""One execution from the moment there is room for it until its container is gone, in a thread of its own.

What it has come to is read from the engine and from the execution's folder, never remembered: so a process
that was killed anywhere is followed by one that goes on from there. In the folder (see `folders`)

    started   empty: taken, and nothing has run; with the node: from now on the container may have run;
              with the time: it has
    stop      the end that a container of ours is stopped for, written before the first signal
    exit      the end; the container and its volumes are removed after it is written
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from clusters.providers.base import STREAMS, End, Work
from clusters.providers.errors import NotFound, Refused
from clusters.providers.local import folders
from clusters.providers.local.docker import containers
from clusters.providers.local.docker.engine import Engine, Output, State
from clusters.providers.local.docker.images import Images
from clusters.providers.local.docker.output import Files

logger = logging.getLogger("controlplane.docker")
STOP: Final = "stop"
AGAIN_SECONDS: Final = 1.0  # after the engine failed
KILL_AGAIN_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05
_LOOK_AT_MOST_SECONDS: Final = 1.0
_LOOK, _FOLLOW, _SETTLE = "look", "follow", "settle"
_NOT_FOUND, _NOT_EXECUTABLE = 127, 126


class _Closing(Exception):
    """This process hangs up; the container goes on without it."""


@dataclass(frozen=True, slots=True)
class House:
    """What all executions of a deployment share."""

    engine: Engine
    images: Images
    root: str
    node: str
    shape: containers.Shape
    log_cap_bytes: int
    grace_seconds: float
    closing: threading.Event = field(default_factory=threading.Event)


class Life:
    """One execution. `work` is None for one that was found with its container made.

    `tell` is called when it has started, and when it has ended: it needs no room any more. `leave` is called
    when nothing is left to do for it.
    """

    def __init__(
        self,
        house: House,
        execution_id: str,
        work: Work | None,
        *,
        room: tuple[int, int],
        timeout_seconds: int | None,
        tell: Callable[[Life], None],
        leave: Callable[[Life], None],
    ) -> None:
        self.execution_id = execution_id
        self.vcpus_milli, self.memory_mib = room
        self.folder = folders.folder_of(house.root, execution_id)
        self.has_ended = False
        self.priority = work.priority if work else 0
        self._house = house
        self._work = work
        self._timeout_seconds = timeout_seconds
        self._tell = tell
        self._leave = leave
        self._lock = threading.RLock()
        self._may_run = False
        self._started: float | None = None
        self._end: End | None = None  # what it is to be stopped for
        self._pressed_at: float | None = None  # when the last signal was sent, by the monotonic clock
        self._output: Output | None = None
        self._ended_by_itself = False

    # --- What others ask of it; none of it waits for long ----------------------------------------

    def start(self) -> threading.Thread:
        """Begin, in a new thread."""
        thread = threading.Thread(target=self._live, name=f"container-{self.execution_id}", daemon=True)
        thread.start()
        return thread

    def stop(self, end: End) -> None:
        """Have it stopped for `end`; one that cannot have run ends at once."""
        with self._lock:
            if self._end is None:
                self._end = end
            if not self._may_run:
                self._conclude(self._ended_unstarted(self._end))

    def press(self) -> None:
        """Send the signal that is due, if any. Called every now and then."""
        with self._lock:
            if self.has_ended or self._started is None or self._ended_by_itself:
                return
            if self._end is None and self._timeout_seconds is not None:
                self._end = End.TIMED_OUT if time.time() >= self._started + self._timeout_seconds else None
            if self._end is None:
                return
            now = time.monotonic()
            if self._pressed_at is None:
                folders.write_whole(f"{self.folder}/{STOP}", self._end)
                self._pressed_at = now
                self._signal("SIGTERM")
            elif now - self._pressed_at >= self._house.grace_seconds:
                self._pressed_at = now + KILL_AGAIN_SECONDS
                self._signal("SIGKILL")

    def cut_off(self) -> None:
        """Stop following for now: the house is closing, or the container has ended and its output does not."""
        with self._lock:
            if self._output is not None:
                self._output.close()

    # --- Its own thread --------------------------------------------------------------------------

    def _live(self) -> None:
        closing = self._house.closing
        while not closing.is_set():
            try:
                if not self._is_over():
                    self._run()
                containers.remove(self._house.engine, self._house.root, self.execution_id)
                break
            except _Closing:
                break
            except Exception:  # whatever it is: a container must not be left alone
                if not closing.is_set():
                    logger.warning("execution %s: trying again", self.execution_id, exc_info=True)
                closing.wait(AGAIN_SECONDS)
        self._leave(self)

    def _is_over(self) -> bool:
        with self._lock:
            self.has_ended = self.has_ended or folders.has_ended(self.folder)
            return self.has_ended

    def _run(self) -> None:
        """Make the container, start it and follow it to its end, from wherever that stands."""
        state = self._state()
        if state is None and (self._work is None or self._has_run()):
            if self._has_run():
                self._conclude(self._ended(End.LOST, None, "The container is gone."))
            return
        try:
            if state is None and self._work is not None:
                self._make(self._work)
            if state is None or state.is_fresh:
                if not self._take():
                    return
                self._house.engine.start(self.execution_id)
        except (NotFound, Refused) as refusal:
            if isinstance(refusal, NotFound) and self._state() is None:
                raise
            self._refuse(str(refusal))  # some engines say "not found" of a command
            return
        state = self._state()
        if state is not None:
            self._note_start(state)
            state = self._follow()
        if state is None:
            self._conclude(self._ended(End.LOST, None, "The container was removed."))
        else:
            self._conclude_as(state)

    def _state(self) -> State | None:
        return containers.find(self._house.engine, self._house.root, self.execution_id)

    def _has_run(self) -> bool:
        """Whether the container was there, or may have been. What was taken and no more can still be started."""
        return bool(folders.read_started(self.folder))

    def _make(self, work: Work) -> None:
        """Make the container; one of ours that is there already is taken as it is."""
        house = self._house
        folders.make_folder(self.folder)
        with contextlib.suppress(FileExistsError):
            os.close(folders.take(f"{self.folder}/{folders.STARTED}"))
        house.images.ensure(work.image)
        self._stay()
        try:
            containers.make(house.engine, house.root, work, house.shape)
        except NotFound as error:  # the image went away this moment, or a volume's driver is unknown
            raise Refused(str(error)) from error
        except Refused:
            if self._state() is None:
                raise

    def _take(self) -> bool:
        """Note that it may run from now on, unless it has been ended before."""
        self._stay()
        folders.make_folder(self.folder)
        with self._lock:
            if self._is_over():
                return False
            self._may_run = True
            folders.write_whole(f"{self.folder}/{folders.STARTED}", json.dumps({"node": self._house.node}))
        return True

    def _note_start(self, state: State) -> None:
        folders.make_folder(self.folder)
        with self._lock:
            self._may_run = True
            self._started = state.started or time.time()
            started: folders.Started = {"started": self._started, "node": self._house.node}
            folders.write_whole(f"{self.folder}/{folders.STARTED}", json.dumps(started))
            with contextlib.suppress(FileNotFoundError), open(f"{self.folder}/{STOP}", encoding="ascii") as file:
                self._end = End(file.read())
                self._pressed_at = time.monotonic()
        self._tell(self)

    def _follow(self) -> State | None:
        """Copy what it writes until it is over; None when somebody has removed it.

        Podman answers a follower only once there is something to tell, and keeps the questions of those who
        went away meanwhile: so what is still silent is looked at every now and then.
        """
        began = time.monotonic()
        try:
            while True:
                self._copy(_FOLLOW if self._has_written() else _LOOK)
                self._stay()
                state = self._house.engine.state(self.execution_id)
                if state.is_over:
                    self._copy(_SETTLE)
                    return state
                age = time.monotonic() - began
                self._house.closing.wait(min(max(age / 10, _LOOK_SECONDS), _LOOK_AT_MOST_SECONDS))
        except NotFound:
            return None

    def _has_written(self) -> bool:
        paths = [f"{self.folder}/{stream}" for stream in STREAMS]
        return any(os.path.exists(path) and os.path.getsize(path) for path in paths)

    def _copy(self, how: str) -> None:
        with Files(self.folder, self._house.log_cap_bytes) as files:
            output = self._house.engine.output(self.execution_id, follow=how == _FOLLOW)
            try:
                with self._lock:
                    self._output = output
                self._stay()
                if how == _SETTLE:
                    files.settle(output)
                else:
                    files.copy(output)
            finally:
                with self._lock:
                    self._output = None
                output.close()

    def _stay(self) -> None:
        if self._house.closing.is_set():
            raise _Closing

    def _signal(self, signal: str) -> None:
        """Send it; the caller holds the lock. A container that has ended before was not stopped by us."""
        try:
            self._house.engine.kill(self.execution_id, signal)
        except (NotFound, Refused):
            state = self._state()
            if signal == "SIGTERM" and (state is None or state.is_over):
                self._ended_by_itself = True
                os.unlink(f"{self.folder}/{STOP}")
        except Exception:  # the engine does not answer: after the grace time there is another signal
            logger.warning("execution %s: %s was not sent", self.execution_id, signal, exc_info=True)

    # --- Ends ------------------------------------------------------------------------------------

    def _conclude_as(self, state: State) -> None:
        detail = state.error
        if state.out_of_memory:
            detail = f"OOMKilled: it wanted more than its {self.memory_mib} MiB. {detail}".strip()
        with self._lock:
            was_stopped = self._pressed_at is not None and not self._ended_by_itself
            end = self._end if self._end and was_stopped else End.EXITED
            self._started = state.started or self._started
            self._conclude(self._ended(end, state.exit_code, detail, state.finished))

    def _refuse(self, words: str) -> None:
        """The engine would not make it or start it: its words go where the command's own would have gone."""
        with self._lock:
            if self._is_over():
                return
            state = self._state()
            code = state.exit_code if state and state.exit_code else _code_of(words)
            with open(f"{self.folder}/stderr", "w", encoding="utf-8") as file:
                file.write(f"{words}\n")
            self._conclude(self._ended(End.CANNOT_START, code, words))

    def _ended_unstarted(self, end: End) -> folders.Ended:
        folders.make_folder(self.folder)
        with contextlib.suppress(FileExistsError):
            os.close(folders.take(f"{self.folder}/{folders.STARTED}"))
        return self._ended(end, None, "")

    def _ended(self, end: End, code: int | None, detail: str, at: float | None = None) -> folders.Ended:
        # Podman's clock of ends may be a little behind its clock of starts.
        return {
            "started": self._started,
            "ended": max(at or time.time(), self._started or 0.0),
            "code": code,
            "end": end.value,
            "detail": detail,
            "node": self._house.node,
        }

    def _conclude(self, record: folders.Ended) -> None:
        with self._lock:
            if self._is_over():
                return
            folders.write_exit(self.folder, record)
            self.has_ended = True
        self._tell(self)


def _code_of(words: str) -> int | None:
    """What a shell would have said where the engine gives no code."""
    if "permission denied" in words.lower():
        return _NOT_EXECUTABLE
    missing = ("not found", "no such file", "was not found")
    return _NOT_FOUND if any(text in words.lower() for text in missing) else None
