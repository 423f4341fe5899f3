"""Objects in S3 (a real server, over HTTP), behind plain http addresses, and compressed ones."""

from __future__ import annotations

import functools
import gzip
import http.server
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.mapreduce.worker.errors import TaskFailed
from jobs.mapreduce.worker.objects import input_lines
from jobs.mapreduce.worker.task import Place, Split, Store
from tests.jobs.mapreduce.worker import driver as drivers
from tests.jobs.mapreduce.worker import programs
from tests.jobs.mapreduce.worker.driver import Driver, run_task
from tests.servers import S3Server

pytestmark = pytest.mark.group("mapreduce")

TEXT = b"the cat\nthe dog\r\n\nand the bird"
CAT = programs.python(programs.CAT)


def of_path(path: Path, **members: Any) -> Split:
    size = path.stat().st_size
    split = {"start": 0, "end": size, "size": size, "gzip": False, **members}
    return Split(place=Place(path=str(path), url=None, store=Store()), **split)


# --- Compressed ----------------------------------------------------------------------------------


def test_all_members_of_a_gzip_file_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    big = b"line\n" * 1_000_000
    path.write_bytes(gzip.compress(TEXT + b"\n") + gzip.compress(big) + gzip.compress(b"") + b"\0" * 512)
    assert b"".join(input_lines(of_path(path, gzip=True))) == TEXT.replace(b"\r", b"") + b"\n" + big


@pytest.mark.parametrize("harm", ["cut", "garbage", "broken"])
def test_a_broken_gzip_file_is_told(tmp_path: Path, harm: str) -> None:
    path = tmp_path / "x.gz"
    packed = gzip.compress(TEXT * 100)
    broken = packed[:-6] + bytes([packed[-6] ^ 1]) + packed[-5:]  # in its checksum
    path.write_bytes({"cut": packed[:-10], "garbage": b"no gzip", "broken": broken}[harm])
    with pytest.raises(TaskFailed, match=r"x\.gz cannot be read") as caught:
        list(input_lines(of_path(path, gzip=True)))
    assert caught.value.code == "INPUT_UNREADABLE"


def test_an_empty_compressed_object_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(b"")
    assert list(input_lines(of_path(path, gzip=True))) == []


# --- http ----------------------------------------------------------------------------------------


class _Ranges(http.server.BaseHTTPRequestHandler):
    """Answers with TEXT, in parts; /whole knows no parts, /gone is not there, /short breaks off."""

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        if self.path.startswith("/gone"):
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.path != "/whole" else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(TEXT) - 1}/{len(TEXT)}")
        self.send_header("Content-Length", str(len(TEXT) - start))
        self.end_headers()
        self.wfile.write(TEXT[start:-5] if self.path == "/short" else TEXT[start:])

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ranges) as server:
        threading.Thread(target=functools.partial(server.serve_forever, 0.01), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def of_url(url: str, start: int, end: int, size: int = len(TEXT)) -> bytes:
    return b"".join(
        input_lines(Split(place=Place(path=None, url=url, store=Store()), start=start, end=end, size=size, gzip=False))
    )


def test_parts_are_read_over_http(web: str) -> None:
    parts = [of_url(f"{web}/text?signature=x", start, min(start + 6, len(TEXT))) for start in range(0, len(TEXT), 6)]
    assert b"".join(parts) == TEXT.replace(b"\r", b"") + b"\n"


@pytest.mark.parametrize(
    ("path", "start", "size", "message"),
    [
        ("/gone?signature=x", 3, len(TEXT), "/gone cannot be read: Not Found"),
        ("/whole", 3, len(TEXT), "the server does not answer with a part"),
        ("/text", 3, 99, f"it has {len(TEXT)} bytes, and had 99"),
        ("/short", 3, len(TEXT), "cannot be read: it ends after"),
    ],
)
def test_what_cannot_be_read_over_http_is_told(web: str, path: str, start: int, size: int, message: str) -> None:
    with pytest.raises(TaskFailed, match=message) as caught:
        of_url(web + path, start, size, size)
    assert "signature" not in caught.value.message


def test_nobody_listening_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobs.mapreduce.worker.addresses.PAUSE_SECONDS", 0)
    with pytest.raises(TaskFailed, match=r"cannot be read: .*Connection refused"):
        of_url("http://127.0.0.1:1/x", 0, 5)


# --- S3 ------------------------------------------------------------------------------------------


@pytest.fixture
def stored(s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, str, Driver]:
    """A client, a bucket with TEXT as `text` in it, and a driver that knows where it is."""
    monkeypatch.setattr(drivers, "PYTHON", [sys.executable])  # boto3 is among the site packages
    client, bucket = s3_server.client(), s3_server.make_bucket()
    client.put_object(Bucket=bucket, Key="in/text", Body=TEXT)
    stores = {"it": {"endpoint": s3_server.endpoint, "access_key_env": "KEY", "secret_key_env": "SECRET"}}
    return client, bucket, Driver(tmp_path, 2, protocol="streaming", stores=stores)


KEYS = {"KEY": "an-access-key", "SECRET": "a-very-secret-key"}


def run_on(bucket: str, folder: Path, driver: Driver) -> list[dict[str, Any]]:
    place = {"store": "it"}
    parts = [{**place, "url": f"s3://{bucket}/in/text", "start": start, "end": end, "size": len(TEXT)}
             for start, end in ((0, 9), (9, 20), (20, len(TEXT)))]  # fmt: skip
    mapper, reducer = programs.python(programs.MAPPER), programs.python(programs.REDUCER)
    middle = {**place, "url": f"s3://{bucket}/middle"}
    maps = [driver.map_task(index, [part], mapper, output=middle) for index, part in enumerate(parts)]
    driver.mapped = [run_task(folder, document, KEYS) for document in maps]
    outputs = [{**place, "url": f"s3://{bucket}/out/{index}"} for index in range(2)]
    reduces = [driver.reduce_task(index, reducer, output=output) for index, output in enumerate(outputs)]
    return [run_task(folder, document, KEYS) for document in reduces]


def test_a_job_runs_from_bucket_to_bucket(stored: tuple[Any, str, Driver], tmp_path: Path) -> None:
    client, bucket, driver = stored
    assert all(result["done"] for result in run_on(bucket, tmp_path, driver))
    output = b"".join(client.get_object(Bucket=bucket, Key=f"out/{index}")["Body"].read() for index in range(2))
    assert sorted(output.splitlines()) == [b"and\t1", b"bird\t1", b"cat\t1", b"dog\t1", b"the\t3"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("mapreduce-")) == []


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"url": "s3://{}/in/other"}, "INPUT_UNREADABLE", "in/other cannot be read: .*NoSuchKey"),
        ({"url": "s3://no-{}/in/text"}, "INPUT_UNREADABLE", "NoSuchBucket"),
        ({"size": 99}, "INPUT_UNREADABLE", "and had 99 when it was split"),
    ],
)
def test_what_cannot_be_read_from_a_bucket_is_told(
    stored: tuple[Any, str, Driver], tmp_path: Path, members: dict[str, Any], code: str, message: str
) -> None:
    _, bucket, driver = stored
    split = {"url": f"s3://{bucket}/in/text", "store": "it", "size": len(TEXT)} | members
    split["url"] = str(split["url"]).format(bucket)
    error = run_task(tmp_path, driver.map_task(0, [split], CAT), KEYS)["error"]
    assert error["code"] == code
    assert re.search(message, error["message"])


def test_output_to_a_bucket_that_is_not_there_is_told(stored: tuple[Any, str, Driver], tmp_path: Path) -> None:
    _, bucket, driver = stored
    driver.mapped = []
    document = driver.reduce_task(0, CAT, output={"url": f"s3://no-{bucket}/x", "store": "it"})
    error = run_task(tmp_path, document, KEYS)["error"]
    assert error["code"] == "OUTPUT_UNWRITABLE"
    assert "NoSuchBucket" in error["message"]


def test_without_boto3_s3_is_said_to_need_it(tmp_path: Path) -> None:
    document = Driver(tmp_path, protocol="streaming").map_task(0, [{"url": "s3://b/k", "size": 5}], CAT)
    error = run_task(tmp_path, document)["error"]
    assert error["code"] == "INPUT_UNREADABLE"
    assert "boto3 is not installed" in error["message"]
