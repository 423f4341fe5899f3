"""Webhooks for tests, and receivers of them: real ones, at free ports of 127.0.0.1."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from accounts.models import User, Webhook
from controlplane.core.encryption import encrypt
from tests.waiting import until

SECRET: Final = "whsec_" + base64.b64encode(b"a secret of 24 bytes. ok").decode()
WAIT_SECONDS: Final = 30


def make_webhook(owner: User, url: str = "https://example.com/hook", **more: Any) -> Webhook:
    """A webhook that signs with SECRET; `authorization`: and says this."""
    secrets = {"signing": SECRET, "authorization": more.pop("authorization", "")}
    facts = {"name": "hook", "secrets": encrypt({name: text for name, text in secrets.items() if text}), **more}
    return Webhook.objects.create(owner=owner, url=url, **facts)


class Receiver:
    """Takes webhooks and keeps them; `answers` each with a status and headers, after it has waited for `gate`."""

    def __init__(self) -> None:
        self.taken: list[tuple[dict[str, str], str]] = []
        self.answers: Callable[[dict[str, str], str], tuple[int, dict[str, str]]] = lambda headers, body: (204, {})
        self.gate = threading.Event()
        self.gate.set()
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.handle(self)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Who called has not waited for the answer."""

            request_queue_size = 128
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"])).decode()
        headers = {name.lower(): value for name, value in request.headers.items()}
        with self._lock:
            self.taken.append((headers, body))
            self.at_once += 1
            self.most_at_once = max(self.at_once, self.most_at_once)
        self.gate.wait(WAIT_SECONDS)
        status, more = self.answers(headers, body)
        with self._lock:
            self.at_once -= 1
        request.send_response(status)
        text = more.pop("body", "").encode()
        for name, value in {**more, "Content-Length": str(len(text))}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(text)

    def ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.taken]

    def bodies(self) -> list[Any]:
        return [json.loads(body) for _, body in self.taken]

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def receivers() -> Iterator[Callable[[], Receiver]]:
    made: list[Receiver] = []

    def make() -> Receiver:
        made.append(Receiver())
        return made[-1]

    try:
        yield make
    finally:
        for each in made:
            each.close()


def wait_until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """As `until`, and longer: calls hang for some seconds here."""
    until(condition, what, seconds)
