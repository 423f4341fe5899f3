"""A control plane process's connection to the resident process of a root folder, which it starts where there is none.

That is the runner, or what keeps services; "the local runner" in what is said here.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from clusters.providers.errors import ProviderError
from clusters.providers.local import folders

_RUNNER = "clusters.providers.local.runner"
_PROJECT = Path(__file__).parents[3]
_ANSWERS_WITHIN_SECONDS = 10.0
_PAUSES_SECONDS = (0.0, 0.0, 0.1, 0.5)
_TAKES_WITHIN_SECONDS = 10.0
_LOG_BYTES = 1 << 20
_LOG_TAIL_BYTES = 500

Message = dict[str, object]


class Connection:
    """One connection, made when it is needed and made again when it is lost.

    `handed` are the execution ids sent over it; a lost connection forgets them, because what a dead
    runner had in line is gone. Any thread may use it, and a forked child gets one of its own.
    """

    def __init__(self, root: Path, arguments: Sequence[str], module: str = _RUNNER) -> None:
        self._root = root
        self._module = module
        self._arguments = arguments
        self._lock = threading.RLock()
        self._socket: socket.socket | None = None
        self._owner = 0
        self._received = b""
        self._asked = 0
        self.handed: set[str] = set()

    def fileno(self) -> int:
        """The socket's descriptor, -1 while there is none."""
        with self._lock:
            return self._socket.fileno() if self._socket is not None and self._owner == os.getpid() else -1

    def ensure(self) -> None:
        """Be connected. ProviderError when no runner answers in 10 seconds."""
        with self._lock:
            if not self._is_alive():
                self.close()
                self._socket, self._owner = self._connect_or_start(), os.getpid()

    def send(self, message: Message, handed: Sequence[str] = ()) -> None:
        """Send one message; it is sent a second time when the connection was lost meanwhile (every op may be)."""
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            for attempt in (1, 2):
                self.ensure()
                try:
                    self._send(line)
                except OSError as error:
                    self.close()
                    if attempt == 2:
                        raise ProviderError(f"the local runner went away: {error}") from error
                else:
                    self.handed.update(handed)
                    return

    def ask(self, message: Message) -> Message:
        """Send one message and wait for its answer, which says by "re" what it answers.

        It is asked again when the connection was lost meanwhile: the socket of one that is being killed still takes
        connections for a moment. Raises ProviderError, also when there is no answer in 10 seconds: whether it was done
        is not known then.
        """
        with self._lock:
            for pause in _PAUSES_SECONDS:
                time.sleep(pause)
                self._asked += 1
                self.send({**message, "re": self._asked})
                answer = self._answer(self._asked, time.monotonic() + _ANSWERS_WITHIN_SECONDS)
                if answer is not None:
                    return answer
        raise ProviderError(f"the local runner at {self._root} went away: {self._last_words()}")

    def _answer(self, number: int, deadline: float) -> Message | None:
        """The answer of that number; None when the connection was lost."""
        while self._socket is not None:
            for message in self.receive():
                if message.get("re") == number:
                    return message
            poll, left = select.poll(), deadline - time.monotonic()
            if self._socket is not None:
                poll.register(self._socket, select.POLLIN)
                if left <= 0 or not poll.poll(left * 1000):
                    self.close()
                    raise ProviderError(f"the local runner at {self._root} does not answer")
        return None

    def receive(self) -> list[Message]:
        """The messages that are there, without waiting. Closes when the runner is gone."""
        with self._lock:
            if self.fileno() < 0 or self._socket is None:
                return []
            pieces = [self._received]
            while piece := self._receive_piece(self._socket):
                pieces.append(piece)
            *lines, self._received = b"".join(pieces).split(b"\n")
            if piece is not None:
                self.close()
            return [json.loads(line) for line in lines]

    @staticmethod
    def _receive_piece(sock: socket.socket) -> bytes | None:
        """Bytes; empty at the end; None when there is nothing yet."""
        try:
            return sock.recv(1 << 18)
        except BlockingIOError:
            return None
        except OSError:
            return b""

    def close(self) -> None:
        """Forget the connection; the runner goes on."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
            self._socket, self._received = None, b""
            self.handed.clear()

    def connect(self) -> bool:
        """Connect to a runner that is there; False when there is none."""
        with self._lock:
            if not self._is_alive():
                self.close()
                self._socket, self._owner = self._connect(), os.getpid()
            return self._socket is not None

    def _is_alive(self) -> bool:
        if self._socket is None or self._owner != os.getpid():
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return not poll.poll(0)

    def _send(self, line: bytes) -> None:
        if self._socket is None:
            raise ConnectionError("not connected")
        self._socket.settimeout(_TAKES_WITHIN_SECONDS)
        self._socket.sendall(line, socket.MSG_NOSIGNAL)
        self._socket.setblocking(False)

    def _connect(self) -> socket.socket | None:
        """By way of /proc, like the runner: the path of a socket may have 107 bytes only."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(_TAKES_WITHIN_SECONDS)
        try:
            at = os.open(self._root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sock.connect(f"/proc/self/fd/{at}/{folders.SOCKET}")
            finally:
                os.close(at)
        except OSError:
            sock.close()
            return None
        sock.setblocking(False)
        return sock

    def _connect_or_start(self) -> socket.socket:
        deadline = time.monotonic() + _ANSWERS_WITHIN_SECONDS
        while (sock := self._connect()) is None:
            if time.monotonic() > deadline:
                raise ProviderError(f"no local runner answers at {self._root}: {self._last_words()}")
            # Returns when its socket is there, or another one's lock: that one may just be leaving.
            if self._start() != 0:
                raise ProviderError(f"the local runner does not start: {self._last_words()}")
            if (sock := self._connect()) is not None:
                break
            time.sleep(0.05)
        return sock

    def _start(self) -> int:
        """Start a runner that is no child of ours; its environment has none of our secrets."""
        os.makedirs(self._root, 0o700, exist_ok=True)
        command = [sys.executable, "-E", "-s", "-S", "-X", "utf8", "-m", self._module, "--detach", *self._arguments]
        env = {"PATH": os.environ.get("PATH", os.defpath)}
        with self._open_log() as log:
            process = subprocess.Popen(
                command,
                cwd=_PROJECT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            return process.wait(_ANSWERS_WITHIN_SECONDS)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise ProviderError("the local runner does not start in time") from error

    def _open_log(self) -> BinaryIO:
        path = self._root / folders.LOG
        is_long = path.exists() and path.stat().st_size > _LOG_BYTES
        return open(path, "wb" if is_long else "ab")

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return (self._root / folders.LOG).read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return ""
