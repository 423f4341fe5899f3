"""Whether a run is well: tried again and again, without anybody waiting for it."""

from __future__ import annotations

import os
import selectors
import socket
from collections.abc import Callable
from typing import NamedTuple

from clusters.providers.local import sessions, spawn
from clusters.providers.local.hosting.ports import family
from clusters.providers.local.hosting.wishes import Check
from clusters.providers.local.line import Work

# Until it is well for the first time a run is tried this often, so that it serves as soon as it can.
QUICK_SECONDS = 0.1
_STATUS_LINE_BYTES = 4096
_GOOD = range(200, 400)


class Outcome(NamedTuple):
    """How a try went; `words` say what was wrong."""

    is_well: bool
    words: str = ""


class Attempt:
    """One try. Whoever finds out how it went sets `outcome` and calls `changed`; it may be there from the beginning."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self.outcome: Outcome | None = None
        self._changed = changed

    def give_up(self) -> None:
        """Leave nothing of it behind."""

    def _found(self, outcome: Outcome) -> None:
        self.give_up()
        self.outcome = outcome
        self._changed()


class Checker:
    """The health of one run, which began at `now` (of the monotonic clock). `begin` makes a try.

    `is_well` is None until it is known. A failure counts when the last that did is `interval_seconds` ago, however
    often it was tried meanwhile.
    """

    def __init__(self, check: Check, begin: Callable[[], Attempt], now: float) -> None:
        self._check = check
        self._begin = begin
        self._attempt: Attempt | None = None
        self._next_at = self._until = now
        self._counts_at = now + max(check.start_seconds, check.interval_seconds)
        self._failures = 0
        self.was_well = False
        self.is_well: bool | None = None
        self.words = ""  # of the last try, if it failed

    def look(self, now: float) -> float:
        """Do what is due; when it wants to be called again, if nothing changes before."""
        if self._attempt is None and now >= self._next_at:
            self._attempt, self._until = self._begin(), now + self._check.timeout_seconds
        if self._attempt is None:
            return self._next_at
        outcome = self._attempt.outcome
        if outcome is None and now < self._until:
            return self._until
        self._attempt.give_up()
        self._attempt = None
        self._take(outcome or Outcome(False, f"no answer within {self._check.timeout_seconds} s"), now)
        return self._next_at

    def stop(self) -> None:
        """Try no more."""
        if self._attempt is not None:
            self._attempt.give_up()
            self._attempt = None

    def _take(self, outcome: Outcome, now: float) -> None:
        self.words = outcome.words
        if outcome.is_well:
            self.is_well = self.was_well = True
            self._failures = 0
        elif self.was_well or now >= self._counts_at:
            self._failures += 1
            self._counts_at = now + self._check.interval_seconds
            if self._failures >= self._check.retries:
                self.is_well = False
        self._next_at = now + (self._check.interval_seconds if self.was_well else QUICK_SECONDS)


class Knock(Attempt):
    """Connects to a port, and with a path asks for it by HTTP."""

    def __init__(
        self, selector: selectors.BaseSelector, host: str, port: int, path: str, changed: Callable[[], None]
    ) -> None:
        super().__init__(changed)
        self._selector = selector
        self._where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._path = path
        self._received = b""
        self._socket: socket.socket | None = None
        try:
            sock = self._socket = socket.socket(family(host), socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
            sock.connect_ex((host, port))  # what it says comes again by SO_ERROR
            selector.register(sock, selectors.EVENT_WRITE, self._connected)
        except OSError as error:  # no file descriptors left
            self.give_up()
            self.outcome = Outcome(False, f"{self._where}: {error.strerror}")

    def give_up(self) -> None:
        if self._socket is not None:
            if self._socket.fileno() in self._selector.get_map():
                self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def _connected(self, _mask: int) -> None:
        sock = self._socket
        if sock is None:
            return
        if error := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._found(Outcome(False, f"{self._where}: {os.strerror(error)}"))
        elif not self._path:
            self._found(Outcome(True))
        else:
            path = self._path if self._path.startswith("/") else f"/{self._path}"
            asked = f"GET {path} HTTP/1.1\r\nHost: {self._where}\r\nUser-Agent: health\r\nConnection: close\r\n\r\n"
            try:
                sock.send(asked.encode(), socket.MSG_NOSIGNAL)
            except OSError as failed:
                self._found(Outcome(False, f"{self._where}: {failed.strerror}"))
            else:
                self._selector.modify(sock, selectors.EVENT_READ, self._answered)

    def _answered(self, _mask: int) -> None:
        if self._socket is None:
            return
        try:
            piece = self._socket.recv(_STATUS_LINE_BYTES)
        except BlockingIOError:
            return
        except OSError as failed:
            self._found(Outcome(False, f"{self._where}: {failed.strerror}"))
            return
        self._received += piece
        if piece and b"\n" not in self._received and len(self._received) < _STATUS_LINE_BYTES:
            return
        words = self._received.split(b"\n", 1)[0].split()
        if len(words) < 2 or not words[0].startswith(b"HTTP/") or not words[1].isdigit():
            self._found(Outcome(False, f"{self._where}{self._path}: no answer of HTTP"))
            return
        status = int(words[1])
        self._found(Outcome(status in _GOOD, "" if status in _GOOD else f"{self._where}{self._path}: status {status}"))


class Errand(Attempt):
    """Runs a command; `watched` (by process id) is where its end is told."""

    def __init__(
        self, spawner: spawn.Spawner, work: Work, watched: dict[int, Callable[[int], None]], changed: Callable[[], None]
    ) -> None:
        super().__init__(changed)
        self._watched = watched
        self._work = work
        try:
            os.chdir(work.folder)
            spawner.spawn(work)
            watched[work.pid] = self._ended
        except spawn.CannotStart as refusal:
            self.outcome = Outcome(False, refusal.reason)
        except OSError as error:
            self.outcome = Outcome(False, str(error))
        finally:
            os.chdir("/")

    def give_up(self) -> None:
        if self._watched.pop(self._work.pid, None) is not None:
            sessions.kill({self._work.pid})

    def _ended(self, status: int) -> None:
        sessions.kill_group(self._work.pid)
        code, detail = spawn.exit_code_of(status)
        detail = f" ({detail})" if detail else ""
        self._found(Outcome(code == 0, "" if code == 0 else f"{self._work.command[0]}: exit code {code}{detail}"))
