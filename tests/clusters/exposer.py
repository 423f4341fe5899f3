"""A server of metrics, on loopback, whose every answer a test decides on."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

METRIC = "fishjam_room_peer_time_total_seconds"


def exposition(seconds: Mapping[str, float]) -> str:
    """What a media server would say of rooms with so many seconds of peers."""
    lines = [f'{METRIC}{{room_id="{room}"}} {value!r}' for room, value in seconds.items()]
    return "\n".join(
        ["# TYPE fishjam_rooms gauge", f"fishjam_rooms {len(seconds)}", f"# TYPE {METRIC} counter", *lines, ""]
    )


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]).encode() + body


class Exposer:
    """Answers with what `say` or `answer` was given last; `paths` has what it was asked for."""

    def __init__(self, server: socketserver.ThreadingTCPServer) -> None:
        self.port: int = server.server_address[1]
        self.paths: list[str] = []
        self.respond: Callable[[socket.socket], None]
        self.say({})

    def say(self, seconds: Mapping[str, float]) -> None:
        self.answer(http(exposition(seconds).encode()))

    def answer(self, data: bytes) -> None:
        self.respond = lambda sock: sock.sendall(data)


@contextlib.contextmanager
def exposer() -> Iterator[Exposer]:
    """For a fixture."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            asked = b""
            while b"\r\n\r\n" not in asked:
                if not (more := self.request.recv(4096)):
                    return
                asked += more
            made.paths.append(asked.split(b" ")[1].decode())
            with contextlib.suppress(OSError):
                made.respond(self.request)

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Who is asked no more is no error."""

    with Server(("127.0.0.1", 0), Handler) as server:
        made = Exposer(server)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
