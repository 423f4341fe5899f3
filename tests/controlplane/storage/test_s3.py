"""What is peculiar to S3: who may, what is there, what the network does, what is sent."""

from __future__ import annotations

import socket
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from controlplane.core.storage import Storage, StorageError, StorageRefused, StorageUnavailable, open_storage
from controlplane.core.storage.base import PART_BYTES
from tests.postgresql import free_port
from tests.servers import S3Server

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def opened(configuration: dict[str, Any]) -> Storage:
    return open_storage(configuration, allowed_endpoints=[configuration["broker"]["endpoint_url"]])


def everything(storage: Storage) -> list[Callable[[], object]]:
    return [
        storage.check,
        lambda: storage.put("file", [b"abc"]),
        lambda: storage.put("file", [bytes(PART_BYTES + 1)]),
        lambda: storage.get("file"),
        lambda: storage.stat("file"),
        lambda: storage.delete("file"),
    ]


def said(error: BaseException) -> str:
    """The message, and those of the errors that led to it."""
    return f"{error} {error!r} {error.__cause__} " + ("" if error.__suppress_context__ else f"{error.__context__!r}")


def test_unknown_keys_are_refused_in_words_without_the_secret(s3_server: S3Server) -> None:
    bucket = s3_server.make_bucket()
    credentials = {"access_key_id": "AKIANOBODY", "secret_access_key": SECRET}
    storage = opened(s3_server.configuration(bucket, credentials=credentials))
    with s3_server.known_keys_only():
        for use in everything(storage):
            with pytest.raises(StorageRefused, match="refuses these credentials") as caught:
                use()
            assert SECRET not in said(caught.value)
            assert "AKIANOBODY" not in said(caught.value)


def test_a_bucket_that_is_not_there_is_named(s3_server: S3Server) -> None:
    storage = opened(s3_server.configuration("no-such-bucket"))
    uses = everything(storage)
    del uses[4]  # S3 answers HEAD without saying what is missing
    for use in uses:
        with pytest.raises(StorageRefused, match="no bucket no-such-bucket"):
            use()


def test_a_server_that_is_not_there_can_be_tried_again(s3_server: S3Server) -> None:
    configuration = s3_server.configuration("bucket", endpoint_url=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StorageUnavailable, match="cannot be reached") as caught:
        opened(configuration).check()
    assert caught.value.http_status == 503
    assert s3_server.secret_key not in said(caught.value)


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """A server that gives everyone this answer and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_an_answer_that_breaks_off_is_an_error_and_no_short_file(s3_server: S3Server, tmp_path: Any) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: x\r\n\r\nhalf") as url:
        storage = opened(s3_server.configuration("bucket", endpoint_url=url))
        with pytest.raises(StorageUnavailable):
            storage.fetch("file", str(tmp_path / "copy"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        ("503 Slow Down", "SlowDown", StorageUnavailable),
        ("500 Internal", "InternalError", StorageUnavailable),
        ("403 Forbidden", "AccessDenied", StorageRefused),
        ("400 Bad Request", "ExpiredToken", StorageRefused),
        ("400 Bad Request", "InvalidArgument", StorageError),
    ],
)
def test_it_tells_what_the_server_means(s3_server: S3Server, status: str, code: str, error: type[StorageError]) -> None:
    body = f"<Error><Code>{code}</Code><Message>for {SECRET}</Message></Error>"
    answer = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    with answering(answer.encode()) as url:
        storage = opened(s3_server.configuration("bucket", endpoint_url=url))
        with pytest.raises(error, match=code) as caught:
            storage.get("file")
    assert type(caught.value) is error
    assert SECRET not in said(caught.value)


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_it_asks_for_encryption_when_told(s3_server: S3Server, size: int) -> None:
    bucket = s3_server.make_bucket()
    opened(s3_server.configuration(bucket, sse="aws:kms")).put("file", [bytes(size)])
    found = s3_server.client().head_object(Bucket=bucket, Key="file")
    assert found["ServerSideEncryption"] == "aws:kms"


def test_an_address_to_write_at_asks_for_encryption_and_is_bound_to_its_headers(s3_server: S3Server) -> None:
    bucket = s3_server.make_bucket()
    address = opened(s3_server.configuration(bucket, sse="AES256")).upload_url("file", 60, media_type="text/csv")
    assert address is not None
    assert "X-Amz-SignedHeaders=content-type%3Bhost%3Bx-amz-server-side-encryption&" in address.url
    urllib.request.urlopen(urllib.request.Request(address.url, b"abc", dict(address.headers), method="PUT")).close()
    found = s3_server.client().head_object(Bucket=bucket, Key="file")
    assert (found["ServerSideEncryption"], found["ContentType"]) == ("AES256", "text/csv")


def test_an_upload_that_cannot_be_ended_is_given_up(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = s3_server.make_bucket()
    storage = opened(s3_server.configuration(bucket))

    def interrupted(**_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storage._client, "complete_multipart_upload", interrupted)  # type: ignore[attr-defined]
    with pytest.raises(KeyboardInterrupt):
        storage.put("file", [bytes(PART_BYTES + 1)])
    client = s3_server.client()
    assert "Uploads" not in client.list_multipart_uploads(Bucket=bucket)
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
