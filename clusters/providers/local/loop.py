"""The runner's event loop: what is asked, what is due, what has ended, and who is told."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple

from clusters.providers.local import folders, logcap, recovery, resident, sessions, spawn
from clusters.providers.local.clients import Client, Clients, Message
from clusters.providers.local.deadlines import Deadlines
from clusters.providers.local.journal import Journal
from clusters.providers.local.line import Line, Malformed, Work, execution_id

_STARTS_PER_TURN = 32
_TELL_EVERY_SECONDS = 0.005
_TERM_AGAIN_SECONDS = 0.05
_TRY_AGAIN_SECONDS = 1.0
_LOG_CHECK_SECONDS = 0.5
_LOG_SLACK_BYTES = 1 << 20


class Options(NamedTuple):
    """How one runner is to behave."""

    root: str
    vcpus_milli: int
    memory_mib: int
    log_cap_bytes: int
    readable: Sequence[str]
    hidden: Sequence[str]
    grace_seconds: float
    idle_exit_seconds: float


class Runner:
    """The event loop. Every method runs in its one thread and may not wait for anything."""

    def __init__(self, options: Options, listener: socket.socket, boot: str) -> None:
        self._root = options.root
        self._boot = boot
        self._grace_seconds = options.grace_seconds
        self._idle_exit_seconds = options.idle_exit_seconds
        self._stream_cap_bytes = options.log_cap_bytes // 2
        self._spawner = spawn.Spawner(boot, options.readable, [self._root, *options.hidden])
        self._journal = Journal(self._root, boot)
        self._line = Line(options.vcpus_milli, options.memory_mib)
        self._deadlines = Deadlines()
        self._selector = selectors.DefaultSelector()
        self._clients = Clients(self._selector, listener, self._handle)
        self._running: dict[int, Work] = {}
        self._by_id: dict[str, Work] = {}
        self._stopped: list[int] = []
        self._events: list[object] = []
        self._over: list[str] = []
        self._unwritten: list[tuple[str, str, folders.Ended]] = []
        self._can_start_more = False
        self._told_at = self._checked_at = self._busy_at = self._tried_at = time.monotonic()
        self._leaving = False
        self._wake = resident.wake_on_signals()
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)

    def serve(self) -> None:
        """Work until told to leave."""
        lost = recovery.recover(self._root, self._journal, self._boot, self._spawner.node)
        self._clients.tell_first(lost)
        while not self._is_done():
            for key, mask in self._selector.select(self._wait_seconds()):
                key.data(mask)
            self._turn()

    def _turn(self) -> None:
        self._reap()
        self._deadlines.run_due()
        self._start_some()
        self._look_around()
        self._tell()

    def _wait_seconds(self) -> float:
        now, waits = time.monotonic(), [self._idle_exit_seconds]
        if self._unwritten:
            waits.append(self._tried_at + _TRY_AGAIN_SECONDS - now)
        if self._events:
            waits.append(self._told_at + _TELL_EVERY_SECONDS - now)
        if self._running:
            waits.append(self._checked_at + _LOG_CHECK_SECONDS - now)
        if (due := self._deadlines.wait_seconds()) is not None:
            waits.append(due)
        if self._can_start_more:
            return 0.0
        return max(0.0, min(waits))

    def _is_done(self) -> bool:
        if self._running or self._line.waiting or self._over or self._events or self._unwritten:
            self._busy_at = time.monotonic()
            return False
        if self._leaving:
            return True
        if self._clients:
            self._busy_at = time.monotonic()
        return time.monotonic() - self._busy_at >= self._idle_exit_seconds

    def _woken(self, _mask: int) -> None:
        if resident.is_asked_to_go(self._wake):
            self._leaving = True

    # What clients ask

    def _handle(self, client: Client, message: Message) -> None:
        try:
            self._do(client, message)
        except OSError as error:  # a full disk: its sender sees that it is not heard, and tries again
            raise Malformed(f"cannot do that now: {error}") from error

    def _do(self, client: Client, message: Message) -> None:
        match message.get("op"):
            case "run":
                self._accept([Work(self._root, wish) for wish in _list(message.get("works"))])
            case "cancel":
                self._cancel([execution_id(wish) for wish in _list(message.get("ids"))])
            case "status":
                self._clients.answer(client, {"status": self._status()})
            case "leave":
                self._leaving = True
            case _:
                raise Malformed("no such op")

    def _status(self) -> Message:
        return {
            "pid": os.getpid(),
            "running": len(self._running),
            "waiting": len(self._line.waiting),
            "vcpus_milli_used": self._line.vcpus_milli_used,
        }

    def _accept(self, works: list[Work]) -> None:
        new = {work.execution_id: work for work in works if not self._has(work.execution_id)}
        self._journal.accepted(new)
        for work in new.values():
            self._line.add(work)

    def _has(self, execution_id: str) -> bool:
        return execution_id in self._by_id or execution_id in self._line.waiting

    def _cancel(self, ids: list[str]) -> None:
        self._reap()  # what has ended by itself by now was not ended by us
        self._stop([self._by_id[id_] for id_ in ids if id_ in self._by_id], "canceled")
        others = [id_ for id_ in ids if id_ not in self._by_id and not self._has_ended(id_)]
        self._journal.accepted(others)
        for id_ in others:
            self._line.remove(id_)
            self._never_start(id_)

    def _has_ended(self, execution_id: str) -> bool:
        return folders.has_ended(folders.folder_of(self._root, execution_id))

    def _never_start(self, execution_id: str) -> None:
        folder = folders.folder_of(self._root, execution_id)
        folders.make_folder(folder)
        try:
            os.close(folders.take(f"{folder}/{folders.STARTED}"))
        except FileExistsError:
            self._over.append(execution_id)
            return
        self._conclude(folder, execution_id, self._ended(None, "canceled", "canceled before it started"))

    # Starting and ending

    def _start_some(self) -> None:
        started = 0
        while started < _STARTS_PER_TURN and (work := self._line.next()):
            self._start(work)
            started += 1
        if started:
            os.chdir("/")
        self._can_start_more = started == _STARTS_PER_TURN

    def _start(self, work: Work) -> None:
        try:
            if not self._spawner.start(work):
                self._line.leave(work)
                self._over.append(work.execution_id)
                return
        except spawn.CannotStart as refusal:
            spawn.write_reason(work, refusal.reason)
            self._line.leave(work)
            ended = self._ended(refusal.code, "cannot-start", refusal.reason)
            self._conclude(work.folder, work.execution_id, ended)
            return
        except OSError as error:
            self._line.leave(work)  # no folder to say it in, so only who listens is told
            self._over.append(work.execution_id)
            ended = self._ended(spawn.NOT_EXECUTABLE, "cannot-start", f"no folder: {error.strerror}")
            self._events.append({"id": work.execution_id, **ended})
            return
        work.command, work.env = [], {}
        self._running[work.pid] = self._by_id[work.execution_id] = work
        self._events.append({"id": work.execution_id, "started": work.started, "node": self._spawner.node})
        if work.timeout_seconds is not None:
            self._deadlines.add(work.timeout_seconds, self._time_out, work)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if work := self._running.pop(pid, None):
                self._finish(work, status)
        if self._stopped:  # what left the group of a command that was stopped goes with it
            sessions.kill(self._stopped)
            self._stopped = []

    def _finish(self, work: Work, status: int) -> None:
        sessions.kill_group(work.pid)
        del self._by_id[work.execution_id]
        self._deadlines.over(work)
        self._line.leave(work)
        for stream in logcap.STREAMS:
            self._trim(work, stream, 0)
        code, detail = spawn.exit_code_of(status)
        end = "exited"
        if work.signalled:
            end = work.stop
            self._stopped.append(work.pid)
        elif refusal := spawn.refusal_of_bubblewrap(work, code):
            end, code, detail = "cannot-start", refusal.code, refusal.reason
        ended = self._ended(code, end, detail, None if end == "cannot-start" else work.started)
        self._conclude(work.folder, work.execution_id, ended)

    def _ended(self, code: int | None, end: str, detail: str, started: float | None = None) -> folders.Ended:
        return {
            "started": started,
            "ended": time.time(),
            "code": code,
            "end": end,
            "detail": detail,
            "node": self._spawner.node,
        }

    def _conclude(self, folder: str, execution_id: str, ended: folders.Ended) -> None:
        """Write `exit`, then tell. On a full disk it is tried again until it is written."""
        try:
            folders.write_exit(folder, ended)
        except FileNotFoundError:
            pass  # somebody removed the folder: nobody is left to read it
        except OSError:
            self._unwritten.append((folder, execution_id, ended))
            return
        self._over.append(execution_id)
        self._events.append({"id": execution_id, **ended})

    # Stopping

    def _time_out(self, works: list[Work]) -> None:
        self._stop(works, "timed-out")

    def _stop(self, works: list[Work], end: str) -> None:
        """SIGTERM, and SIGKILL after the grace. What was asked to stop before keeps its reason and its grace."""
        new = [work for work in works if not work.stop]
        for work in new:
            work.stop = end
            self._deadlines.add(self._grace_seconds, self._kill, work)
        self._terminate(new)

    def _terminate(self, works: list[Work]) -> None:
        """SIGTERM to everything the commands started. One that has just ended by itself has nobody to get it."""
        if not works:
            return
        living = sessions.living({work.pid for work in works})
        for work in works:
            # bubblewrap would die of it and take the command along without its grace
            members = [one for one in living[work.pid] if not (work.isolate and one.name == "bwrap")]
            if sessions.send(members, signal.SIGTERM):
                work.signalled = True
            else:  # bubblewrap has not got as far as the command
                self._deadlines.add(_TERM_AGAIN_SECONDS, self._terminate, work)

    def _kill(self, works: list[Work]) -> None:
        reached = sessions.kill({work.pid for work in works})
        for work in works:
            work.signalled = work.signalled or work.pid in reached
            self._deadlines.add(_TRY_AGAIN_SECONDS, self._kill, work)

    # Now and then

    def _look_around(self) -> None:
        now = time.monotonic()
        if self._unwritten and now - self._tried_at >= _TRY_AGAIN_SECONDS:
            self._tried_at = now
            unwritten, self._unwritten = self._unwritten, []
            for one in unwritten:
                self._conclude(*one)
        if not self._running or now - self._checked_at < _LOG_CHECK_SECONDS:
            return
        self._checked_at = now
        young = time.time() - _LOG_CHECK_SECONDS
        slack_bytes = min(_LOG_SLACK_BYTES, self._stream_cap_bytes // 2)
        for work in self._running.values():
            if work.started < young:
                for stream in logcap.STREAMS:
                    self._trim(work, stream, slack_bytes)

    def _trim(self, work: Work, stream: str, slack_bytes: int) -> None:
        with contextlib.suppress(OSError):  # what cannot be cut now is cut next time
            cut = logcap.trim(work.folder, stream, self._stream_cap_bytes, slack_bytes, work.cuts.get(stream))
            if cut:
                work.cuts[stream] = cut

    def _tell(self) -> None:
        """Send what happened: at once, or with more of it a little later when much happens."""
        if self._over:
            self._note_over()
        now = time.monotonic()
        if self._events and now - self._told_at >= _TELL_EVERY_SECONDS:
            self._told_at = now
            events, self._events = self._events, []
            self._clients.tell(events)

    def _note_over(self) -> None:
        over, self._over = self._over, []
        with contextlib.suppress(OSError):  # a full disk: `exit` tells the same
            self._journal.ended(over)
            if self._journal.is_long(len(self._by_id) + len(self._line.waiting)):
                self._journal.rewrite([*self._by_id, *self._line.waiting])


def _list(wish: object) -> list[object]:
    if not isinstance(wish, list):
        raise Malformed("not a list")
    return wish
