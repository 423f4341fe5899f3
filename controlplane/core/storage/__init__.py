"""Where files of workspaces are kept: a folder of this machine, S3, or Azure Blob.

`open_storage` gives a `Storage` for the configuration of a workspace; `storage.base` says what that does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controlplane.core.storage.base import Stat, Storage, Stored, UploadAddress
from controlplane.core.storage.broker import (
    MASK,
    AzureBroker,
    Broker,
    HostBroker,
    S3Broker,
    masked,
    merge_secrets,
    read_broker,
)
from controlplane.core.storage.errors import NoSuchFile, StorageError, StorageRefused, StorageUnavailable, TooBig
from controlplane.core.storage.host import HostStorage
from controlplane.core.storage.paths import checked_path

__all__ = [
    "MASK",
    "AzureBroker",
    "Broker",
    "HostBroker",
    "NoSuchFile",
    "S3Broker",
    "Stat",
    "Storage",
    "StorageError",
    "StorageRefused",
    "StorageUnavailable",
    "Stored",
    "TooBig",
    "UploadAddress",
    "checked_path",
    "masked",
    "merge_secrets",
    "open_storage",
    "read_broker",
]


def open_storage(
    configuration: Mapping[str, Any], *, allowed_roots: Sequence[str] = (), allowed_endpoints: Sequence[str] = ()
) -> Storage:
    """The storage of a configuration with its secrets in the clear. Nothing is asked of it yet: see `Storage.check`.

    What is allowed is that of `read_broker`, and asked for again here: links and settings change. InvalidRequest.
    """
    broker = read_broker(configuration, allowed_roots=allowed_roots, allowed_endpoints=allowed_endpoints)
    if isinstance(broker, HostBroker):
        return HostStorage(broker.host_path)
    # The SDKs take half a second and tens of MiB each: only where they are used.
    if isinstance(broker, S3Broker):
        from controlplane.core.storage.s3 import S3Storage

        return S3Storage(
            broker.bucket_name,
            prefix=broker.prefix,
            region=broker.region_name,
            endpoint=broker.endpoint_url,
            access_key=broker.access_key_id,
            secret_key=broker.secret_access_key,
            encryption=broker.sse,
        )
    from controlplane.core.storage.azure_blob import AzureBlobStorage

    return AzureBlobStorage(
        broker.account_url,
        broker.container_name,
        prefix=broker.prefix,
        account_name=broker.account_name,
        account_key=broker.account_key,
    )
