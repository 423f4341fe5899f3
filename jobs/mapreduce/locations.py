"""Where a MapReduce job reads and writes, as users write it.

    http(s)://endpoint[:port]/bucket/key    S3, or anything that speaks it
    s3://bucket/key                         S3, at this deployment's own endpoint
    file:///folder/file                     this machine, in a folder that is allowed for it

A key or path that ends with "/" means everything below it. Output has no key: the bucket, and a prefix or
none; an endpoint alone means the bucket `reducers`, and one without a scheme has that of `use_ssl`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import checked_path

OUTPUT_BUCKET: Final = "reducers"
LONGEST: Final = 2048
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_HOST: Final = re.compile(r"([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?")
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://(.*)", re.DOTALL)
_SCHEMES: Final = "http, https, s3 or file"


@dataclass(frozen=True, slots=True)
class Location:
    """`endpoint` is "" for s3://, `bucket` "" for file://. `key`: "" is all there is, one ending with "/" a prefix."""

    scheme: str
    endpoint: str
    bucket: str
    key: str

    @property
    def is_file(self) -> bool:
        return self.scheme == "file"

    @property
    def is_prefix(self) -> bool:
        return not self.key or self.key.endswith("/")

    @property
    def is_gzip(self) -> bool:
        return self.key.endswith(".gz")

    def shown(self, path: str) -> str:
        """Another path of the same store, as users write it."""
        place = f"{self.endpoint or 's3:/'}/{self.bucket}" if not self.is_file else "file://"
        return f"{place}/{path}"


def read_input(text: str, field: str) -> Location:
    """An object, or all below a prefix. Raises InvalidRequest naming `field`."""
    scheme, rest = _parts(text, field)
    if scheme == "file":
        return _file(rest, field)
    if not scheme:
        raise InvalidRequest(f"This begins with the scheme of its store: {_SCHEMES}.", field=field)
    found = _object(scheme, rest, field)
    if not found.bucket:
        raise InvalidRequest(f"This names no bucket: {scheme}://endpoint/bucket/object is wanted.", field=field)
    if not found.key and not rest.endswith("/"):
        raise InvalidRequest("This names no object; with a / at its end it is all of the bucket.", field=field)
    return found


def read_output(text: str, field: str, *, use_ssl: bool = False) -> Location:
    """A bucket and a prefix, or a folder; the key is "" or ends with "/". Raises InvalidRequest naming `field`."""
    scheme, rest = _parts(text, field)
    scheme = scheme or ("https" if use_ssl else "http")
    found = _file(rest, field) if scheme == "file" else _object(scheme, rest, field)
    bucket = found.bucket or ("" if found.is_file else OUTPUT_BUCKET)
    key = found.key if found.is_prefix else f"{found.key}/"
    return Location(found.scheme, found.endpoint, bucket, key)


def _parts(text: str, field: str) -> tuple[str, str]:
    if not text or len(text) > LONGEST or not text.isprintable():
        raise InvalidRequest(f"A location has from 1 to {LONGEST} printable characters.", field=field)
    found = _SCHEME.fullmatch(text)
    if found is None:
        return "", text
    scheme = found[1].lower()
    if scheme not in ("http", "https", "s3", "file"):
        raise InvalidRequest(f"The scheme is {_SCHEMES}.", field=field)
    return scheme, found[2]


def _file(rest: str, field: str) -> Location:
    if not rest.startswith("/"):
        raise InvalidRequest("A file has an absolute path: file:///folder/file.", field=field)
    path = rest.strip("/")
    _check_key(path, field)
    return Location("file", "", "", f"{path}/" if path and rest.endswith("/") else path)


def _object(scheme: str, rest: str, field: str) -> Location:
    endpoint = ""
    if scheme != "s3":
        host, _, rest = rest.partition("/")
        if not _HOST.fullmatch(host) or not _has_port(f"{scheme}://{host}"):
            raise InvalidRequest("This names no endpoint: host, or host:port, is wanted.", field=field)
        endpoint = f"{scheme}://{host}"
    bucket, _, key = rest.partition("/")
    if bucket and not _BUCKET.fullmatch(bucket):
        raise InvalidRequest("This is not the name of a bucket.", field=field)
    if not bucket and (key or scheme == "s3"):
        raise InvalidRequest("This names no bucket.", field=field)
    _check_key(key.removesuffix("/"), field)
    return Location(scheme, endpoint, bucket, key)


def _has_port(address: str) -> bool:
    try:
        return urlsplit(address).port != 0
    except ValueError:
        return False


def _check_key(key: str, field: str) -> None:
    if key:
        checked_path(key, field)
