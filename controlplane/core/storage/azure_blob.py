"""Files in a container of Azure Blob Storage, or of its emulator."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import ClassVar, Final
from urllib.parse import urlsplit

from azure.core import exceptions
from azure.core.credentials import AzureNamedKeyCredential
from azure.identity import DefaultAzureCredential
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobSasPermissions,
    ContainerClient,
    ContentSettings,
    ExponentialRetry,
    StorageStreamDownloader,
    generate_blob_sas,
)

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage.base import (
    DEFAULT_MEDIA_TYPE,
    PART_BYTES,
    Measure,
    Stat,
    Storage,
    Stored,
    UploadAddress,
    checked_seconds,
    checked_start,
    in_chunks,
    in_parts,
)
from controlplane.core.storage.errors import NoSuchFile, StorageError, StorageRefused, StorageUnavailable
from controlplane.core.storage.paths import checked_path, is_legal

BLOCKS: Final = 50_000  # of one blob, at most
READ_BYTES: Final = 2 * 1024**2  # asked for at once; the SDK sets aside ten times as much
CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
RETRIES: Final = 2  # after the first attempt
_NO_CONNECTION: Final = (
    exceptions.ServiceRequestError,
    exceptions.ServiceResponseError,
    exceptions.IncompleteReadError,
)


class AzureBlobStorage(Storage):
    """`prefix` is "" or a path below which all lies. Without a key, the credentials are those of this machine."""

    kind: ClassVar[str] = "azure"

    def __init__(
        self,
        account_url: str,
        container: str,
        *,
        prefix: str = "",
        account_name: str | None = None,
        account_key: str | None = None,
    ) -> None:
        self._container = container
        self._prefix = f"{prefix}/" if prefix else ""
        self._key: AzureNamedKeyCredential | None = None
        if account_key is not None:
            self._key = AzureNamedKeyCredential(account_name or account_of(account_url), account_key)
        self._client = ContainerClient(
            account_url,
            container,
            credential=self._key or _own_credential(),
            connection_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retry_policy=ExponentialRetry(
                initial_backoff=1, increment_base=2, random_jitter_range=1, retry_total=RETRIES
            ),
            permit_redirects=False,
            max_single_get_size=READ_BYTES,
            max_chunk_get_size=READ_BYTES,
        )

    def put(
        self,
        path: str,
        source: Iterable[bytes],
        *,
        media_type: str = DEFAULT_MEDIA_TYPE,
        max_bytes: int | None = None,
    ) -> Stored:
        """Blocks of an upload that failed stay with the service, seen by nobody, until it drops them after a week."""
        blob = self._blob(path)
        most = BLOCKS * PART_BYTES
        measure = Measure(most if max_bytes is None else min(most, max_bytes))
        kept = ContentSettings(content_type=media_type)
        blocks: list[BlobBlock] = []
        upload = secrets.token_hex(16)
        for part in in_parts(measure.through(source), PART_BYTES):
            with self._plain_words(path):
                if not blocks and len(part) < PART_BYTES:
                    blob.upload_blob(part, overwrite=True, content_settings=kept)
                    return measure.stored()
                block = BlobBlock(f"{upload}-{len(blocks):08}")  # all names of a blob's blocks have one length
                blob.stage_block(block.id, part, length=len(part))
                blocks.append(block)
        with self._plain_words(path):
            blob.commit_block_list(blocks, content_settings=kept)
        return measure.stored()

    def get(self, path: str, start: int = 0) -> Iterator[bytes]:
        blob = self._blob(path)
        try:
            with self._plain_words(path):
                # What comes after the first piece is asked for by its ETag.
                stream = blob.download_blob(offset=checked_start(start) or None, max_concurrency=1)
        except _PastTheEnd:
            return iter(())
        return in_chunks(self._read(stream, path))

    def stat(self, path: str) -> Stat:
        with self._plain_words(path):
            found = self._blob(path).get_blob_properties()
        return Stat(size=found.size, media_type=found.content_settings.content_type, modified=found.last_modified)

    def walk(self, folder: str = "") -> Iterator[tuple[str, int]]:
        place = checked_path(self._prefix + checked_path(folder)) + "/" if folder else self._prefix
        with self._plain_words(folder):
            for found in self._client.list_blobs(name_starts_with=place or None):
                path = str(found.name).removeprefix(self._prefix)
                if is_legal(path):
                    yield path, int(found.size)

    def delete(self, path: str) -> None:
        blob = self._blob(path)
        try:
            with self._plain_words(path):
                blob.delete_blob(delete_snapshots="include")
        except NoSuchFile:
            return

    def url(self, path: str, seconds: int) -> str | None:
        """None without an account key."""
        return self._signed(path, seconds, BlobSasPermissions(read=True))

    def upload_url(self, path: str, seconds: int, *, media_type: str = DEFAULT_MEDIA_TYPE) -> UploadAddress | None:
        """As `url`."""
        url = self._signed(path, seconds, BlobSasPermissions(create=True, write=True))
        headers = {"Content-Type": media_type, "x-ms-blob-type": "BlockBlob"}
        return None if url is None else UploadAddress(url, headers)

    def _signed(self, path: str, seconds: int, permission: BlobSasPermissions) -> str | None:
        blob = self._blob(path)
        expires = datetime.now(UTC) + timedelta(seconds=checked_seconds(seconds))
        if self._key is None:
            return None
        name, key = self._key.named_key
        query = generate_blob_sas(
            name, self._container, blob.blob_name, account_key=key, permission=permission, expiry=expires
        )
        return f"{blob.url}?{query}"

    def _blob(self, path: str) -> BlobClient:
        name = checked_path(self._prefix + checked_path(path))
        if any(segment.endswith(".") for segment in name.split("/")):
            # Azure drops the dot, and "a." would write over "a".
            raise InvalidRequest("Azure Blob has no names that end with a dot.", field="path")
        return self._client.get_blob_client(name)

    def _read(self, stream: StorageStreamDownloader[bytes], path: str) -> Iterator[bytes]:
        pieces = stream.chunks()
        while True:
            with self._plain_words(path):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece

    @contextmanager
    def _plain_words(self, path: str) -> Iterator[None]:
        """An error of the SDK as one of ours, with nothing of its text: that can hold keys and addresses."""
        try:
            yield
        except exceptions.HttpResponseError as error:
            raise self._meant(error, path) from None
        except _NO_CONNECTION as error:
            reason = type(error).__name__
            raise StorageUnavailable(f"The container {self._container} cannot be reached ({reason}).") from None
        except exceptions.AzureError as error:
            reason = type(error).__name__
            raise StorageError(f"The container {self._container} cannot be used ({reason}).") from None

    def _meant(self, error: exceptions.HttpResponseError, path: str) -> StorageError:
        code = str(
            getattr(getattr(error, "error_code", None), "value", None) or getattr(error, "error_code", None) or ""
        )
        status = error.status_code or 0
        why = code or status
        if code == "ContainerNotFound":
            return StorageRefused(f"There is no container {self._container}.")
        if status == 404:
            return NoSuchFile(f"There is no file {path}.")
        if status == 416:
            return _PastTheEnd()
        # 412: written over while it was read. InvalidBlockList: another upload to the same path won.
        if status in (408, 412, 429) or status >= 500 or code == "InvalidBlockList":
            return StorageUnavailable(f"The container {self._container} cannot do this just now ({why}).")
        if status in (401, 403) or isinstance(error, exceptions.ClientAuthenticationError):
            return StorageRefused(f"The container {self._container} refuses these credentials ({why or 'none'}).")
        return StorageError(f"The container {self._container} cannot do this ({why}).")


class _PastTheEnd(StorageError):
    """There is nothing at this place of the file."""


@cache
def _own_credential() -> DefaultAzureCredential:
    """One for the process, since it keeps its tokens until they expire."""
    return DefaultAzureCredential()


def account_of(account_url: str) -> str:
    """The account's name, as an address at Azure has it first in its host, and an emulator last in its path."""
    parts = urlsplit(account_url)
    return parts.path.strip("/") or (parts.hostname or "").partition(".")[0]
