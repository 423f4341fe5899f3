"""Calls of programs that answer through a socket: a bounded number at once, one answer from each.

A call is one process. It answers by connecting to the socket on which we listen; a reducer first listens itself on
a socket of its own, by which it is given its request.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from .errors import BAD_OUTPUT, PROGRAM_FAILED, TaskFailed
from .programs import Programs

BACKLOG = 4096
LISTEN_SECONDS = 15  # within which a reducer must listen
_TRY_AGAIN_SECONDS = 0.002
_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7)
_SEND_BYTES = 1 << 16


class Call:
    """One process: `number` is its caller's; `request` and `listens_at` only where it is to be given something."""

    def __init__(
        self, number: int, argv: Sequence[str | bytes], request: Iterator[bytes] | None = None, listens_at: str = ""
    ) -> None:
        self.number = number
        self.argv = argv
        self.answer = b""
        self.request = request
        self.listens_at = listens_at
        self.started = 0.0
        self.pid = 0
        self.exit_code: int | None = None
        self.unsent = b""
        self.open = 0  # connections by which it answers

    @property
    def ended(self) -> bool:
        return self.exit_code is not None and not self.open


class Calls:
    """Starts calls and gathers their answers, in one thread. `who` names the program in messages."""

    def __init__(self, programs: Programs, who: str, socket_path: str, answer_bytes: int, at_once: int) -> None:
        self._programs = programs
        self._who = who
        self._path = socket_path
        self._answer_bytes = answer_bytes
        self._at_once = at_once or len(os.sched_getaffinity(0)) + 1
        self._running: dict[int, Call] = {}
        self._not_connected: list[Call] = []
        self._unclaimed: list[bytes] = []  # answers of processes that had gone before we saw them
        self._ended: list[Call] = []
        self._watched: dict[int, Callable[[], None]] = {}
        self._epoll = select.epoll()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with suppress(FileNotFoundError):
            os.unlink(socket_path)
        self._socket.bind(socket_path)
        self._socket.listen(BACKLOG)
        self._watch(self._socket.fileno(), select.EPOLLIN, self._accept)

    def close(self) -> None:
        self._socket.close()
        self._epoll.close()
        with suppress(FileNotFoundError):
            os.unlink(self._path)

    def run(self, calls: Iterator[Call]) -> Iterator[Call]:
        """Those that have ended, in any order; who fails raises TaskFailed, and ends it all."""
        for call in calls:
            self._start(call)
            while len(self._running) >= self._at_once:
                self._step()
            yield from self._take_ended()
        while self._running:
            self._step()
            yield from self._take_ended()

    def _take_ended(self) -> list[Call]:
        ended, self._ended = self._ended, []
        return ended

    def _start(self, call: Call) -> None:
        if call.listens_at:
            with suppress(FileNotFoundError):
                os.unlink(call.listens_at)
        call.started = time.monotonic()
        call.pid = self._programs.start(self._who, call.argv)
        self._running[call.pid] = call
        pidfd = os.pidfd_open(call.pid)
        self._watch(pidfd, select.EPOLLIN, partial(self._exited, call, pidfd))
        if call.listens_at:
            self._not_connected.append(call)
        self._step(0)

    def _watch(self, fd: int, events: int, then: Callable[[], None]) -> None:
        self._watched[fd] = then
        self._epoll.register(fd, events)

    def _forget(self, fd: int) -> None:
        del self._watched[fd]
        self._epoll.unregister(fd)

    def _step(self, timeout: float | None = None) -> None:
        if self._not_connected and timeout is None:
            timeout = _TRY_AGAIN_SECONDS
        for fd, _ in self._epoll.poll(timeout):
            if then := self._watched.get(fd):
                then()
        if self._not_connected:
            self._not_connected = [call for call in self._not_connected if not self._connects(call)]

    # Requests

    def _connects(self, call: Call) -> bool:
        """Whether no further try is needed."""
        if call.exit_code is not None:
            return True
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(call.listens_at)
        except OSError:
            connection.close()
            if time.monotonic() - call.started > LISTEN_SECONDS:
                message = f"The {self._who} did not listen on {call.listens_at} within {LISTEN_SECONDS} seconds."
                raise TaskFailed(PROGRAM_FAILED, message, program=self._who, number=call.number) from None
            return False
        self._watch(connection.fileno(), select.EPOLLOUT, partial(self._send, call, connection))
        self._send(call, connection)
        return True

    def _send(self, call: Call, connection: socket.socket) -> None:
        """As much as it takes now, much at a time: some programs read once only."""
        assert call.request is not None
        try:
            while True:
                while len(call.unsent) < _SEND_BYTES and (more := next(call.request, b"")):
                    call.unsent += more
                if not call.unsent:
                    # The connection stays open, as a program may look for who hangs up.
                    connection.shutdown(socket.SHUT_WR)
                    break
                call.unsent = call.unsent[connection.send(call.unsent) :]
        except BlockingIOError:
            return
        except OSError:  # it needs no more: its exit code decides
            call.unsent = b""
        self._forget(connection.fileno())
        connection.close()

    # Answers

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            connection.setblocking(False)
            call = self._caller(connection)
            if call is not None:
                call.open += 1
            receive = partial(self._receive, connection, call, [])
            self._watch(connection.fileno(), select.EPOLLIN, receive)
            receive()  # most answers are there already, whole

    def _caller(self, connection: socket.socket) -> Call | None:
        """Whose process, or whose process group's, it is."""
        pid = _UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))[0]
        if pid not in self._running:
            with suppress(OSError):
                pid = os.getpgid(pid)
        return self._running.get(pid)

    def _receive(self, connection: socket.socket, call: Call | None, parts: list[bytes]) -> None:
        try:
            while block := connection.recv(1 << 16):
                parts.append(block)
                if len(parts) * (1 << 16) > self._answer_bytes and sum(map(len, parts)) > self._answer_bytes:
                    message = f"An answer of the {self._who} is longer than {self._answer_bytes} bytes."
                    raise TaskFailed(BAD_OUTPUT, message, number=call.number if call else None)
        except BlockingIOError:
            return
        except ConnectionError:
            pass
        self._forget(connection.fileno())
        connection.close()
        answer = b"".join(parts)
        if call is None:
            self._unclaimed.append(answer)
            return
        call.open -= 1
        if call.answer and answer:
            raise TaskFailed(BAD_OUTPUT, f"The {self._who} answered twice.", number=call.number)
        call.answer = call.answer or answer
        self._end(call)

    def _exited(self, call: Call, pidfd: int) -> None:
        self._accept()  # what it sent last may wait there
        self._forget(pidfd)
        os.close(pidfd)
        call.exit_code = self._programs.wait(call.pid)
        self._end(call)

    def _end(self, call: Call) -> None:
        if not call.ended:
            return
        assert call.exit_code is not None
        self._programs.check(self._who, call.exit_code, number=call.number)
        if not call.answer and self._unclaimed:
            call.answer = self._unclaimed.pop(0)
        if not call.answer:
            self._programs.kill_all()
            said = self._programs.stderr.last_lines()
            message = f"The {self._who} ended without an answer on {os.path.basename(self._path)}."
            raise TaskFailed(BAD_OUTPUT, message, program=self._who, number=call.number, stderr=said)
        if call.listens_at:
            with suppress(FileNotFoundError):
                os.unlink(call.listens_at)
        del self._running[call.pid]
        self._ended.append(call)
