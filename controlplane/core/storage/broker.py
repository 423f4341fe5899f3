"""The configuration of a workspace: which storage holds its files, as Scale writes it.

    {"broker": {"type": "host", "host_path": "/data/in"}}
    {"broker": {"type": "s3", "bucket_name": "in", "region_name": "eu-west-1", "prefix": "raw", "sse": "AES256",
                "endpoint_url": "https://minio.example.com",
                "credentials": {"access_key_id": "…", "secret_access_key": "…"}}}
    {"broker": {"type": "azure", "account_url": "https://acme.blob.core.windows.net", "container_name": "in",
                "prefix": "raw", "credentials": {"account_name": "acme", "account_key": "…"}}}

`prefix`, `endpoint_url` and `sse` are ours, as is the type `azure`. Without `credentials`, this machine's own
are used; so addresses that are not the vendor's must be allowed by whoever runs the service. `nfs` means a folder
that is mounted already, and is the same as `host`.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage.paths import checked_path

MASK: Final = "*****"
FIELD: Final = "configuration.broker"
_SECRETS: Final = ("account_key", "secret_access_key")
_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_REGION: Final = re.compile(r"[a-z]{2}[a-z0-9-]{1,30}")
_CONTAINER: Final = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(-[a-z0-9]+)*|\$root|\$web")
_ACCOUNT: Final = re.compile(r"[a-z0-9]{3,24}")
_ACCESS_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
_SECRET_KEY: Final = re.compile(r"(?!\*+\Z)[\x21-\x7e]{1,512}")  # the mask is none
_AZURE: Final = re.compile(
    r"[a-z0-9-]{3,40}\.blob\.(core\.windows\.net|core\.usgovcloudapi\.net|core\.chinacloudapi\.cn)"
)
_LONGEST: Final = 2048  # characters of any text


@dataclass(frozen=True, slots=True)
class HostBroker:
    host_path: str  # without symbolic links


@dataclass(frozen=True, slots=True)
class S3Broker:
    bucket_name: str
    prefix: str = ""
    region_name: str | None = None
    endpoint_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    sse: str | None = None

    def __repr__(self) -> str:
        return f"S3Broker({self.bucket_name!r})"


@dataclass(frozen=True, slots=True)
class AzureBroker:
    account_url: str
    container_name: str
    prefix: str = ""
    account_name: str | None = None
    account_key: str | None = None

    def __repr__(self) -> str:
        return f"AzureBroker({self.account_url!r}, {self.container_name!r})"


Broker = HostBroker | S3Broker | AzureBroker


def read_broker(document: Any, *, allowed_roots: Sequence[str] = (), allowed_endpoints: Sequence[str] = ()) -> Broker:
    """The broker of a configuration. InvalidRequest names the member that is wrong.

    `allowed_roots`: folders of this machine below which (or at which) a host path may lie. `allowed_endpoints`:
    addresses besides those of AWS and Azure that storage may be at, such as "https://minio.example.com:9000".
    """
    configuration = _Members(document, "configuration")
    broker = configuration.members("broker")
    configuration.no_others()
    kind = broker.text("type")
    if kind in ("host", "nfs"):
        read: Broker = _read_host(broker, allowed_roots)
    elif kind == "s3":
        read = _read_s3(broker, allowed_endpoints)
    elif kind == "azure":
        read = _read_azure(broker, allowed_endpoints)
    else:
        raise InvalidRequest("The type of a broker is host, nfs, s3 or azure.", field=f"{FIELD}.type")
    broker.no_others()
    return read


def masked(document: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration that `read_broker` took, with its secrets masked. `document` stays as it is."""
    shown = deepcopy(dict(document))
    for credentials, name in _secrets_of(shown):
        credentials[name] = MASK
    return shown


def merge_secrets(new: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
    """`new` with the secrets of `old` where it has the mask. Both stay as they are; `new` need not be valid.

    A secret stays with the place it was given for: when the type, the bucket's or account's address or the key's
    name has changed, InvalidRequest asks for it anew. Otherwise whoever may edit, but not see it, could have it
    sent to a server of theirs.
    """
    merged = deepcopy(dict(new))
    known = {name: credentials[name] for credentials, name in _secrets_of(dict(old))}
    for credentials, name in _secrets_of(merged):
        if credentials[name] != MASK:
            continue
        if name not in known or _place(new) != _place(old):
            message = "The masked secret is not known for this place; send the secret itself."
            raise InvalidRequest(message, field=f"{FIELD}.credentials.{name}")
        credentials[name] = known[name]
    return merged


def _secrets_of(document: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    """Each secret: the members it is among, and its name there."""
    broker = document.get("broker")
    credentials = broker.get("credentials") if isinstance(broker, dict) else None
    if not isinstance(broker, dict) or not isinstance(credentials, dict):
        return []
    return [(credentials, name) for name in _SECRETS if name in credentials]


def _place(document: Mapping[str, Any]) -> tuple[Any, ...]:
    broker = document["broker"]
    names = ("access_key_id", "account_name")
    return (
        *(broker.get(name) for name in ("type", "endpoint_url", "account_url")),
        *(broker["credentials"].get(name) for name in names),
    )


def _read_host(broker: _Members, allowed_roots: Sequence[str]) -> HostBroker:
    for name in ("mount", "nfs_path"):
        if broker.has(name):
            message = "Nothing is mounted from here: mount it on the machine, and name the folder in host_path."
            raise InvalidRequest(message, field=f"{FIELD}.{name}")
    path, field = broker.text("host_path"), f"{FIELD}.host_path"
    if not path.startswith("/") or "\0" in path:
        raise InvalidRequest("A host path is absolute.", field=field)
    real = os.path.realpath(path)
    roots = [os.path.realpath(root) for root in allowed_roots]
    if real == "/" or not any(real == root or real.startswith(root.rstrip("/") + "/") for root in roots):
        # Whether the folder is there is not said: that is nobody's to probe.
        raise InvalidRequest("The host path lies in none of the folders that are allowed for files.", field=field)
    return HostBroker(host_path=real)


def _read_s3(broker: _Members, allowed_endpoints: Sequence[str]) -> S3Broker:
    credentials = broker.members_or_none("credentials")
    if sse := broker.text_or_none("sse"):
        _demand(sse in ("AES256", "aws:kms"), "The encryption is AES256 or aws:kms.", f"{FIELD}.sse")
    endpoint = broker.text_or_none("endpoint_url")
    if endpoint is not None:
        _check_endpoint(endpoint, f"{FIELD}.endpoint_url", allowed_endpoints)
    key_id = key = None
    if credentials:
        key_id = credentials.text("access_key_id", _ACCESS_KEY, "This is not the id of a key.")
        key = credentials.text("secret_access_key", _SECRET_KEY, "This is not a key.")
        credentials.no_others()
    return S3Broker(
        bucket_name=broker.text("bucket_name", _BUCKET, "This is not the name of a bucket."),
        prefix=_prefix(broker),
        region_name=broker.text_or_none("region_name", _REGION, "This is not the name of a region."),
        endpoint_url=endpoint,
        access_key_id=key_id,
        secret_access_key=key,
        sse=sse,
    )


def _read_azure(broker: _Members, allowed_endpoints: Sequence[str]) -> AzureBroker:
    credentials = broker.members_or_none("credentials")
    url, field = broker.text("account_url"), f"{FIELD}.account_url"
    if not (url.startswith("https://") and _AZURE.fullmatch(url.removeprefix("https://").rstrip("/"))):
        _check_endpoint(url, field, allowed_endpoints)
    name = key = None
    if credentials:
        name = credentials.text_or_none("account_name", _ACCOUNT, "This is not the name of an account.")
        key = credentials.text("account_key", _SECRET_KEY, "This is not a key.")
        _demand(_is_base64(key), "The key is not Base64.", f"{FIELD}.credentials.account_key")
        credentials.no_others()
    else:
        _demand(url.startswith("https://"), "Without credentials the address must begin with https://.", field)
    return AzureBroker(
        account_url=url.rstrip("/"),
        container_name=broker.text("container_name", _CONTAINER, "This is not the name of a container."),
        prefix=_prefix(broker),
        account_name=name,
        account_key=key,
    )


def _prefix(broker: _Members) -> str:
    prefix = broker.text_or_none("prefix")
    return checked_path(prefix.rstrip("/"), f"{FIELD}.prefix") if prefix else ""


def _check_endpoint(url: str, field: str, allowed: Sequence[str]) -> None:
    """This machine's credentials may be sent there, and what it answers is read: so only where it is allowed."""
    wanted = url.rstrip("/").lower()
    bases = [base.rstrip("/").lower() for base in allowed]
    inside = any(wanted == base or wanted.startswith(f"{base}/") for base in bases)
    straight = ".." not in url and not set(url) & set("?#@\\ ")
    _demand(inside and straight, "This address is not among those that are allowed for storage.", field)


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except binascii.Error:
        return False


def _demand(holds: bool, message: str, field: str) -> None:
    if not holds:
        raise InvalidRequest(message, field=field)


class _Members:
    """The members of a JSON object, each asked for by name; those never asked for are refused."""

    def __init__(self, value: Any, field: str) -> None:
        if not isinstance(value, Mapping):
            raise InvalidRequest("An object is wanted here.", field=field)
        self._value = value
        self._field = field
        self._asked: set[str] = set()

    def has(self, name: str) -> bool:
        return name in self._value

    def members(self, name: str) -> _Members:
        return _Members(self._needed(name), f"{self._field}.{name}")

    def members_or_none(self, name: str) -> _Members | None:
        return None if self._taken(name) is None else self.members(name)

    def text(self, name: str, pattern: re.Pattern[str] | None = None, message: str = "") -> str:
        value, field = self._needed(name), f"{self._field}.{name}"
        if not isinstance(value, str) or not value or len(value) > _LONGEST:
            raise InvalidRequest(f"A text of 1 to {_LONGEST} characters is wanted here.", field=field)
        _demand(pattern is None or pattern.fullmatch(value) is not None, message, field)
        return value

    def text_or_none(self, name: str, pattern: re.Pattern[str] | None = None, message: str = "") -> str | None:
        return None if self._taken(name) is None else self.text(name, pattern, message)

    def no_others(self) -> None:
        for name in self._value:
            _demand(name in self._asked, "There is no such member.", f"{self._field}.{name}")

    def _taken(self, name: str) -> Any:
        self._asked.add(name)
        return self._value.get(name)

    def _needed(self, name: str) -> Any:
        value = self._taken(name)
        if value is None:
            raise InvalidRequest("This is needed.", field=f"{self._field}.{name}")
        return value
