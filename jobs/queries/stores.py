"""The stores that MapReduce jobs read and write, by location."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import PurePosixPath

from django.conf import settings

from controlplane.core.encryption import decrypt
from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import Storage
from controlplane.core.storage.host import HostStorage
from jobs.mapreduce.locations import Location, read_input, read_output
from jobs.models import MapReduceSpec

Credentials = Mapping[str, str]  # username and password, or neither


def check_allowed(location: Location, field: str) -> None:
    """Whether jobs may go there: an address of STORAGE_ENDPOINTS, S3 itself, a folder of MAPREDUCE_FOLDERS.

    Raises InvalidRequest naming `field`. Whether it is there is not looked at.
    """
    if location.is_file:
        if _folder_of(location) is None:
            raise InvalidRequest("This lies in none of the folders that are open to MapReduce jobs.", field=field)
    elif location.endpoint:
        allowed = {address.rstrip("/").lower() for address in settings.STORAGE_ENDPOINTS}
        if location.endpoint.lower() not in allowed:
            raise InvalidRequest(f"The address {location.endpoint} is not open to jobs.", field=field)


def open_store(location: Location, credentials: Credentials) -> tuple[Storage, str]:
    """The store of a location, and the path or prefix there ("" or without its last "/"). Nothing is asked of it.

    Raises InvalidRequest when jobs may not go there (any more).
    """
    check_allowed(location, "location")
    if location.is_file:
        root = _folder_of(location)
        assert root is not None
        path = os.path.relpath(f"/{location.key}", root).removeprefix(".")
        return HostStorage(os.path.realpath(root)), path.strip("/")
    # The SDK takes half a second and tens of MiB: only where it is used.
    from controlplane.core.storage.s3 import S3Storage

    name, secret = credentials.get("username"), credentials.get("password")
    endpoint = location.endpoint or settings.MAPREDUCE_S3_ENDPOINT or None
    store = S3Storage(location.bucket, endpoint=endpoint, access_key=name, secret_key=secret, anonymous=name is None)
    return store, location.key.removesuffix("/")


def inputs_of(spec: MapReduceSpec) -> list[Location]:
    return [read_input(text, "input") for text in spec.inputs]


def output_of(spec: MapReduceSpec) -> Location:
    return read_output(spec.output, "output", use_ssl=spec.use_ssl)


def output_path(spec: MapReduceSpec, prefix: str, partition: int) -> str:
    """The object of one reduce task, below the prefix of the output."""
    kind = "json" if spec.protocol == "apollo" else "tsv"
    return f"{prefix}/{spec.job.uuid}/{partition}.{kind}".removeprefix("/")


def credentials_of(spec: MapReduceSpec, side: str) -> Credentials:
    """Those for `side`, input or output, in the clear. Raises SecretUnreadable."""
    kept = decrypt(spec.credentials)
    found = {name: kept.get(f"{side}.{name}") for name in ("username", "password")}
    return {name: value for name, value in found.items() if value is not None}


def _folder_of(location: Location) -> str | None:
    """The folder of MAPREDUCE_FOLDERS that the file lies in, without following its links: HostStorage follows none."""
    path = PurePosixPath(f"/{location.key}")
    return next((root for root in settings.MAPREDUCE_FOLDERS if path.is_relative_to(os.path.normpath(root))), None)
