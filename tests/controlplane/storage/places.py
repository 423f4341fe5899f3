"""One of each storage, empty, and a look behind it that does not go through it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from controlplane.core.storage import Storage, open_storage
from tests.servers import Azurite, S3Server

PREFIX = "below/here"


@dataclass(frozen=True)
class Place:
    storage: Storage
    files: Callable[[], set[str]]  # what is there for readers
    halves: Callable[[], int]  # what unfinished writes have left behind


def in_folder(folder: Path) -> Place:
    root = folder / "root"
    root.mkdir()

    def found() -> set[str]:
        return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}

    return Place(
        storage=open_storage({"broker": {"type": "host", "host_path": str(root)}}, allowed_roots=[str(folder)]),
        files=found,
        halves=lambda: sum(os.path.basename(name).startswith(".part-") for name in found()),
    )


def in_s3(server: S3Server) -> Place:
    bucket = server.make_bucket()
    configuration = server.configuration(bucket, prefix=PREFIX)
    client = server.client()

    def found() -> set[str]:
        keys = {item["Key"] for item in client.list_objects_v2(Bucket=bucket).get("Contents", [])}
        return {key.removeprefix(f"{PREFIX}/") for key in keys}

    return Place(
        storage=open_storage(configuration, allowed_endpoints=[server.endpoint]),
        files=found,
        halves=lambda: len(client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])),
    )


def in_azure(server: Azurite) -> Place:
    container = server.make_container()
    configuration = server.configuration(container, prefix=PREFIX)
    client = server.client().get_container_client(container)

    def found() -> set[str]:
        return {blob.name.removeprefix(f"{PREFIX}/") for blob in client.list_blobs()}

    return Place(
        storage=open_storage(configuration, allowed_endpoints=[server.account_url]),
        files=found,
        halves=lambda: 0,  # the service drops uncommitted blocks by itself
    )
