"""A Loki of the tests' own, over HTTP: as strict as the real one is, by its documentation, and with its refusals."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

MAX_LINES: Final = 5000
MAX_NANOSECONDS: Final = (30 * 24 + 1) * 3600 * 10**9
_STRING: Final = r'"((?:[^"\\\n]|\\.)*)"'
_QUERY: Final = re.compile(rf"\{{(\w+)={_STRING}\}}(?: \|~ {_STRING})?")
_ESCAPES: Final = {"\\": "\\", '"': '"', "n": "\n", "t": "\t"}


def unquoted(text: str) -> str:
    """As Go reads what stands between quotes. Raises KeyError for an escape that it does not know."""

    def plain(match: re.Match[str]) -> str:
        return chr(int(match[2], 16)) if match[2] else _ESCAPES[match[1]]

    return re.sub(r"\\(U([0-9a-f]{8})|.)", plain, text)


class Loki:
    """Lines by the labels of their streams; each (nanoseconds, text)."""

    def __init__(self, tenant: str = "") -> None:
        self.tenant = tenant
        self.streams: list[tuple[dict[str, str], list[tuple[int, str]]]] = []
        self.asked: list[dict[str, str]] = []
        self.headers: list[dict[str, str]] = []
        self.fault: tuple[int, bytes] | None = None
        self.url = ""

    def write(self, labels: dict[str, str], *lines: tuple[int, str]) -> None:
        self.streams.append((labels, list(lines)))

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, bytes]:
        target = urlsplit(path)
        asked = {name: values[0] for name, values in parse_qs(target.query, strict_parsing=True).items()}
        self.asked.append(asked)
        self.headers.append(headers)
        if self.fault:
            return self.fault
        if target.path != "/loki/api/v1/query_range":
            return 404, b"404 page not found\n"
        if self.tenant and headers.get("x-scope-orgid") != self.tenant:
            return 401, b"no org id\n"
        try:
            return self._found(asked)
        except Exception as error:
            return 400, f"parse error : {error!r}\n".encode()

    def _found(self, asked: dict[str, str]) -> tuple[int, bytes]:
        assert asked.keys() == {"query", "start", "end", "limit", "direction"}, "nothing is left to defaults"
        assert asked["direction"] == "backward"
        start, end, limit = int(asked["start"]), int(asked["end"]), int(asked["limit"])
        if end <= start:
            return 400, b"end timestamp must not be before or equal to start time\n"
        if end - start > MAX_NANOSECONDS:
            return 400, b"the query time range exceeds the limit (query length: 1000h, limit: 30d1h)\n"
        if not 0 < limit <= MAX_LINES:
            return 400, f"max entries limit per query exceeded, limit > max_entries_limit ({limit} > 5000)\n".encode()
        match = _QUERY.fullmatch(asked["query"])
        assert match, "syntax error: unexpected IDENTIFIER"
        name, value, pattern = match[1], unquoted(match[2]), match[3] and re.compile(unquoted(match[3]))
        entries = [
            (at, text, labels)
            for labels, lines in self.streams
            if labels.get(name) == value
            for at, text in lines
            if start <= at < end and (not pattern or pattern.search(text))
        ]
        entries = sorted(entries, key=lambda entry: -entry[0])[:limit]
        result: dict[str, Any] = {}
        for at, text, labels in entries:
            row = result.setdefault(json.dumps(labels), {"stream": labels, "values": []})
            row["values"].append([str(at), text])
        data = {"resultType": "streams", "result": list(result.values()), "stats": {"summary": {}}}
        return 200, json.dumps({"status": "success", "data": data}).encode()


@contextmanager
def running(tenant: str = "") -> Iterator[Loki]:
    loki = Loki(tenant)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and content are two writes

        def do_GET(self) -> None:
            status, body = loki.answer(self.path, {name.lower(): value for name, value in self.headers.items()})
            self.send_response(status)
            self.send_header("Content-Type", "application/json" if status == 200 else "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    loki.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield loki
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
