"""Sockets on which a call ends in time, whatever the other side does."""

from __future__ import annotations

import socket
import time
from typing import Any


class Timed:
    """A socket on which nothing waits beyond `end`: its own time is for each read, and a body may drip for ever."""

    end = float("inf")

    def _set_time(self) -> None:
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        self.settimeout(left)  # type: ignore[attr-defined]

    def recv_into(self, *args: Any, **kwargs: Any) -> Any:
        self._set_time()
        return super().recv_into(*args, **kwargs)  # type: ignore[misc]

    def send(self, *args: Any, **kwargs: Any) -> Any:
        self._set_time()
        return super().send(*args, **kwargs)  # type: ignore[misc]

    def sendall(self, *args: Any, **kwargs: Any) -> Any:
        self._set_time()
        return super().sendall(*args, **kwargs)  # type: ignore[misc]


class TimedSocket(Timed, socket.socket):
    """Without TLS."""
