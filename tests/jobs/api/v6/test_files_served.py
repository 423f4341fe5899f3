"""Uploads and downloads of /v6/files/ through the real web server."""

from __future__ import annotations

import hashlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.deployment import Deployment, Factory

MIB = 2**20
DEADLINE_SECONDS = 30


class Served:
    """A deployment with a workspace `raw`, and an admin who calls it."""

    def __init__(self, place: Deployment) -> None:
        self.place = place
        self.token = place.bootstrap("root")
        self.address = urlsplit(place.start_web()).netloc
        self.folder = place.data_dir / "workspaces" / "raw"
        broker = {"type": "host", "host_path": str(self.folder)}
        made = {"title": "Raw", "name": "raw", "configuration": {"broker": broker}}
        assert self.call("POST", "/v6/workspaces/", json.dumps(made), {"Content-Type": "application/json"})[0] == 201

    def call(
        self, method: str, path: str, body: Any = None, headers: Any = None, **more: Any
    ) -> tuple[int, Any, bytes]:
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            said = {"Authorization": f"Bearer {self.token}", **(headers or {})}
            connection.request(method, path, body, said, **more)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def files(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file()]


@pytest.fixture
def served(deployment: Factory) -> Served:
    return Served(deployment())


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_SECONDS
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)


def pieces(count: int) -> Iterator[bytes]:
    return (bytes([n % 256]) * MIB for n in range(count))


@pytest.mark.runs_once("sqlite", "bytes flow past the database")
def test_bytes_flow_both_ways_in_little_memory(served: Served) -> None:
    expected = hashlib.sha256()
    for piece in pieces(200):
        expected.update(piece)
    processes = served.place.processes()
    before = sum(each.memory_info().rss for each in processes)
    upload = "/v6/files/upload/?workspace=raw&path=big"
    status, _, body = served.call("POST", upload, pieces(200), {"Content-Length": str(200 * MIB)})
    made = json.loads(body)
    assert (status, made["file_size"], made["sha256"]) == (201, 200 * MIB, expected.hexdigest())
    status, headers, content = served.call("GET", urlsplit(made["url"]).path)
    assert (status, hashlib.sha256(content).hexdigest()) == (200, expected.hexdigest())
    assert headers["Content-Length"] == str(200 * MIB)
    after = sum(each.memory_info().rss for each in processes)
    assert after - before < 64 * MIB
    asked = {"Range": f"bytes={3 * MIB - 1}-{3 * MIB}"}
    status, headers, content = served.call("GET", urlsplit(made["url"]).path, headers=asked)
    assert (status, content) == (206, b"\2\3")
    status, headers, content = served.call("HEAD", urlsplit(made["url"]).path)
    assert (status, headers["Content-Length"], content) == (200, str(200 * MIB), b"")


@pytest.mark.runs_once("sqlite", "bytes flow past the database")
def test_a_body_in_chunks_is_taken_whole(served: Served) -> None:
    upload = "/v6/files/upload/?workspace=raw&path=in/chunked.bin"
    status, _, body = served.call(
        "POST", upload, pieces(3), encode_chunked=True, headers={"Transfer-Encoding": "chunked"}
    )
    assert (status, json.loads(body)["file_size"]) == (201, 3 * MIB)
    assert (served.folder / "in" / "chunked.bin").read_bytes() == b"".join(pieces(3))


@pytest.mark.parametrize("framing", [{"Content-Length": str(4 * MIB)}, {"Transfer-Encoding": "chunked"}])
def test_a_client_that_goes_away_leaves_nothing(served: Served, framing: dict[str, str]) -> None:
    connection = http.client.HTTPConnection(served.address, timeout=30)
    connection.putrequest("POST", "/v6/files/upload/?workspace=raw&path=in/half")
    for name, value in {"Authorization": f"Bearer {served.token}", **framing}.items():
        connection.putheader(name, value)
    connection.endheaders()
    half = b"a" * MIB
    connection.send(b"%x\r\n%s\r\n" % (MIB, half) if "Transfer-Encoding" in framing else half)
    wait(lambda: any(path.name.startswith(".part-") for path in served.files()))
    connection.close()
    wait(lambda: served.files() == [])
    assert served.place.rows("SELECT count(*) FROM jobs_file") == [(0,)]
    status, _, _ = served.call("POST", "/v6/files/upload/?workspace=raw&path=in/half", b"whole")
    assert status == 201


@pytest.mark.runs_once("sqlite", "bytes flow past the database")
def test_more_than_is_allowed_is_refused_and_leaves_nothing(deployment: Factory) -> None:
    served = Served(deployment(MAX_UPLOAD_MIB="1"))
    upload = "/v6/files/upload/?workspace=raw&path=big"
    status, _, body = served.call("POST", upload, pieces(2), {"Content-Length": str(2 * MIB)})
    assert (status, json.loads(body)["code"]) == (413, "FILE_TOO_BIG")
    status, _, body = served.call("POST", upload, pieces(2), {"Transfer-Encoding": "chunked"}, encode_chunked=True)
    assert (status, json.loads(body)["code"]) == (413, "FILE_TOO_BIG")
    assert served.files() == []
