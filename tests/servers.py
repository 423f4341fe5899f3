"""Storage servers of the tests' own, on loopback: S3 (moto) and Azure Blob (Azurite). One of each per process.

A test that takes `azurite` is marked `@pytest.mark.needs("azurite")`.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.needs import azurite_program
from tests.postgresql import free_port

if TYPE_CHECKING:
    from azure.storage.blob import BlobServiceClient

START_SECONDS: Final = 60
AZURITE_ACCOUNT: Final = "devstoreaccount1"
# Azurite's own, printed in its documentation.
AZURITE_KEY: Final = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class S3Server:
    endpoint: str
    access_key: str = "an-access-key"
    secret_key: str = "a-very-secret-key"
    region: str = "us-east-1"

    @cache  # noqa: B019 - one a process; to make a client reads megabytes of its service's description
    def client(self) -> Any:
        import boto3  # here, since every test process reads this module

        return boto3.session.Session(self.access_key, self.secret_key, region_name=self.region).client(
            "s3", endpoint_url=self.endpoint
        )

    def make_bucket(self) -> str:
        name = f"bucket-{uuid.uuid4().hex}"
        self.client().create_bucket(Bucket=name)
        return name

    def configuration(self, bucket: str, **members: Any) -> dict[str, Any]:
        """A workspace's configuration for `bucket`."""
        credentials = {"access_key_id": self.access_key, "secret_access_key": self.secret_key}
        broker = {"type": "s3", "bucket_name": bucket, "region_name": self.region, "endpoint_url": self.endpoint}
        return {"broker": {**broker, "credentials": credentials, **members}}

    @contextmanager
    def known_keys_only(self) -> Iterator[None]:
        """Meanwhile the server refuses keys it has not given out, as AWS does; otherwise it takes any."""
        self._reset_auth("0")
        try:
            yield
        finally:
            self._reset_auth("inf")

    def _reset_auth(self, free_requests: str) -> None:
        url, headers = f"{self.endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(url, free_requests.encode(), headers, method="POST")).close()


@dataclass(frozen=True)
class Azurite:
    account_url: str
    account_name: str = AZURITE_ACCOUNT
    account_key: str = AZURITE_KEY

    def client(self) -> BlobServiceClient:
        from azure.storage.blob import BlobServiceClient

        credential = {"account_name": self.account_name, "account_key": self.account_key}
        return BlobServiceClient(self.account_url, credential=credential)

    def make_container(self) -> str:
        name = f"container-{uuid.uuid4().hex}"
        self.client().create_container(name)
        return name

    def configuration(self, container: str, **members: Any) -> dict[str, Any]:
        """A workspace's configuration for `container`."""
        credentials = {"account_name": self.account_name, "account_key": self.account_key}
        broker = {"type": "azure", "account_url": self.account_url, "container_name": container}
        return {"broker": {**broker, "credentials": credentials, **members}}


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running_server(command, port, tmp_path_factory.mktemp("moto")):
        yield S3Server(f"http://127.0.0.1:{port}")


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Azurite]:
    port, folder = free_port(), tmp_path_factory.mktemp("azurite")
    command = [azurite_program(), "--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", str(folder)]
    with running_server([*command, "--silent", "--skipApiVersionCheck", "--disableTelemetry"], port, folder):
        yield Azurite(f"http://127.0.0.1:{port}/{AZURITE_ACCOUNT}")


@contextmanager
def running_server(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """A server that listens on `port`, until the block ends."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder)
    try:
        _wait(process, port, log)
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                said = log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{process.args!r} does not listen: {said}") from None
            time.sleep(0.05)
