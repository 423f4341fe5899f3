"""A receiver of webhooks in a process of its own: `python -m tests.webhook_receiver [SECRET]` prints its port.

It checks signatures with the library that the Standard Webhooks specification comes with, if there is a SECRET. What
comes below /hang is never answered. `GET /taken` tells what was taken: path, id and moment of each, in their order, and
how many signatures were wrong.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tests.environment import CHECKOUT


class Taker:
    def __init__(self, secret: str) -> None:
        self.taken: list[tuple[str, str, float]] = []
        self.wrong = 0
        self._checker: Any = None
        if secret:
            from standardwebhooks import Webhook  # here, since the benchmark does without

            self._checker = Webhook(secret)

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:  # a connection may bring several
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.split("\r\n")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                path = first.split(" ")[1]
                if path == "/taken":
                    answer = json.dumps({"taken": self.taken, "wrong": self.wrong}).encode()
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
                    continue
                if path.startswith("/hang"):
                    await asyncio.sleep(3600)
                self._note(path, headers, body)
                writer.write(b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _note(self, path: str, headers: dict[str, str], body: bytes) -> None:
        if self._checker is not None:
            try:
                self._checker.verify(body, headers)
            except Exception:
                self.wrong += 1
        self.taken.append((path, headers.get("webhook-id", ""), time.time()))


async def main(secret: str) -> None:
    server = await asyncio.start_server(Taker(secret).take, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@dataclass(frozen=True)
class Running:
    url: str

    def taken(self) -> list[tuple[str, str, float]]:
        return self._told()["taken"]

    def wrong(self) -> int:
        return self._told()["wrong"]

    def _told(self) -> Any:
        with urllib.request.urlopen(f"{self.url}/taken", timeout=30) as answer:
            return json.load(answer)


@contextmanager
def running(secret: str = "") -> Iterator[Running]:
    """Meanwhile such a process runs."""
    command = [sys.executable, "-m", "tests.webhook_receiver", *([secret] if secret else [])]
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield Running(f"http://127.0.0.1:{int(process.stdout.readline())}")
        finally:
            process.kill()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else ""))
