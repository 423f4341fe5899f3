"""A server that answers as scripted, request by request, and refuses everything that was not expected.

For what a real server cannot be made to do: drop a connection after it took the request, cut a stream in
the middle of a character, answer nonsense.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = Callable[["_Handler"], None]


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def answer(status: int, body: Any, *, content_type: str = "application/json", **headers: str) -> Reply:
    """A whole answer; `body` is JSON unless it is bytes. `retry_after="1"` is the header Retry-After."""

    def reply(handler: _Handler) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        for name, value in {"content_type": content_type, "content_length": str(len(content)), **headers}.items():
            handler.send_header(name.replace("_", "-").title(), value)
        handler.end_headers()
        handler.wfile.write(content)

    return reply


def drop(handler: _Handler) -> None:
    """Reset the connection without a word, the request having been read."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.close_connection = True
    handler.connection.close()


def events(*pieces: bytes, whole: bool = False) -> Reply:
    """A stream of events in these chunks; not `whole`, the connection breaks after the last."""

    def reply(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for piece in pieces:
            handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            handler.wfile.flush()
        if whole:
            handler.wfile.write(b"0\r\n\r\n")
        handler.close_connection = True

    return reply


@dataclass
class FakeServer:
    """Answers `expected` in turn. What was asked stands in `requests`, what should not have been in `faults`."""

    base_url: str = ""
    expected: list[tuple[str, str, Reply]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def expect(self, *steps: tuple[str, str, Reply]) -> None:
        """Each step: method, path with its query (a `*` at the end stands for any rest), and the answer."""
        self.expected += steps

    def take(self, request: Request) -> Reply:
        self.requests.append(request)
        if not self.expected:
            self.faults.append(f"unexpected: {request.method} {request.path}")
            return answer(599, {"detail": "unexpected", "code": "UNEXPECTED"})
        method, path, reply = self.expected.pop(0)
        same = request.path.startswith(path[:-1]) if path.endswith("*") else request.path == path
        if request.method != method or not same:
            self.faults.append(f"expected {method} {path}, not {request.method} {request.path}")
        return reply

    def check(self) -> None:
        assert self.faults == []
        assert self.expected == [], "was not asked for"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and content are two writes

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        script: FakeServer = self.server.script  # type: ignore[attr-defined]
        script.take(Request(self.command, self.path, dict(self.headers.items()), body))(self)

    do_GET = do_POST = do_PATCH = _serve  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: tests print what matters."""


def serve() -> Iterable[FakeServer]:
    """A fake server on a free port; checked when it is stopped."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    script = FakeServer(f"http://127.0.0.1:{server.server_address[1]}")
    server.script = script  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    script.check()
