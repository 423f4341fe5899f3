"""Files in a bucket of S3, or of anything else that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from itertools import chain
from threading import Lock
from typing import Any, ClassVar, Final

import boto3
from botocore import UNSIGNED, exceptions
from botocore.config import Config

from controlplane.core.storage.base import (
    CHUNK_BYTES,
    DEFAULT_MEDIA_TYPE,
    PART_BYTES,
    Measure,
    Stat,
    Storage,
    Stored,
    UploadAddress,
    checked_seconds,
    checked_start,
    in_parts,
)
from controlplane.core.storage.errors import NoSuchFile, StorageError, StorageRefused, StorageUnavailable
from controlplane.core.storage.paths import checked_path, is_legal

PARTS: Final = 10_000  # of one file, at most
DEFAULT_REGION: Final = "us-east-1"
CONNECT_SECONDS: Final = 10
READ_SECONDS: Final = 60
ATTEMPTS: Final = 3
_BUSY: Final = {
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "RequestTimeout",
    "OperationAborted",
    "RequestLimitExceeded",
}
_GONE: Final = {"NoSuchKey", "404"}
_PAST_THE_END: Final = {"InvalidRange", "416"}
_REFUSED_HERE: Final = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.TokenRetrievalError,
    exceptions.NoAuthTokenError,
)
_NO_CONNECTION: Final = (exceptions.HTTPClientError, exceptions.ConnectionError, exceptions.IncompleteReadError)
_LOCK: Final = Lock()  # clients may be shared by threads, the session that makes them may not


class S3Storage(Storage):
    """`prefix` is "" or a path below which all lies. Without keys, the credentials are those of this machine.

    `anonymous`: without keys, requests are not signed at all, and what is asked for has to be public.
    """

    kind: ClassVar[str] = "s3"

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        region: str | None = None,
        endpoint: str | None = None,
        access_key: str | None = None,
        secret_key: str | None = None,
        encryption: str | None = None,
        anonymous: bool = False,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._extra = {"ServerSideEncryption": encryption} if encryption else {}
        with self._plain_words(""), _LOCK:
            session = _session()
            self._client: Any = session.client(
                "s3",
                region_name=region or session.region_name or DEFAULT_REGION,
                endpoint_url=endpoint,
                aws_access_key_id=access_key,
                aws_secret_access_key=secret_key,
                config=_config(own_endpoint=endpoint is not None, anonymous=anonymous),
            )

    def put(
        self,
        path: str,
        source: Iterable[bytes],
        *,
        media_type: str = DEFAULT_MEDIA_TYPE,
        max_bytes: int | None = None,
    ) -> Stored:
        key = self._key(path)
        most = PARTS * PART_BYTES
        measure = Measure(most if max_bytes is None else min(most, max_bytes))
        parts = in_parts(measure.through(source), PART_BYTES)
        headers = {"ContentType": media_type, **self._extra}
        first = next(parts)
        if len(first) < PART_BYTES:
            with self._plain_words(path):
                self._client.put_object(Bucket=self._bucket, Key=key, Body=first, **headers)
        else:
            self._put_parts(path, chain([first], parts), headers)
        return measure.stored()

    def get(self, path: str, start: int = 0) -> Iterator[bytes]:
        key = self._key(path)
        extra = {"Range": f"bytes={start}-"} if checked_start(start) else {}
        try:
            with self._plain_words(path):
                body = self._client.get_object(Bucket=self._bucket, Key=key, **extra)["Body"]
        except _PastTheEnd:
            return iter(())
        return self._read(body, path)

    def stat(self, path: str) -> Stat:
        key = self._key(path)
        with self._plain_words(path):
            found: Mapping[str, Any] = self._client.head_object(Bucket=self._bucket, Key=key)
        return Stat(size=found["ContentLength"], media_type=found.get("ContentType"), modified=found["LastModified"])

    def walk(self, folder: str = "") -> Iterator[tuple[str, int]]:
        place = f"{self._key(folder)}/" if folder else self._prefix
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=place)
        with self._plain_words(folder):
            for page in pages:
                for found in page.get("Contents", ()):
                    path = str(found["Key"]).removeprefix(self._prefix)
                    if is_legal(path):
                        yield path, int(found["Size"])

    def make_bucket(self) -> None:
        """Make the bucket, if it is not there. Raises StorageRefused, StorageUnavailable."""
        region = self._client.meta.region_name
        where = {} if region == DEFAULT_REGION else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        try:
            with self._plain_words(""):
                self._client.create_bucket(Bucket=self._bucket, **where)
        except StorageError:
            with self._plain_words(""):
                self._client.head_bucket(Bucket=self._bucket)  # somebody else's, or there already

    def delete(self, path: str) -> None:
        key = self._key(path)
        with self._plain_words(path):
            self._client.delete_object(Bucket=self._bucket, Key=key)

    def url(self, path: str, seconds: int) -> str:
        """With credentials that expire, as a machine's do, the address ends with them if that is sooner."""
        parameters = {"Bucket": self._bucket, "Key": self._key(path)}
        with self._plain_words(path):
            return str(
                self._client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=checked_seconds(seconds))
            )

    def upload_url(self, path: str, seconds: int, *, media_type: str = DEFAULT_MEDIA_TYPE) -> UploadAddress:
        """As `url`."""
        parameters = {"Bucket": self._bucket, "Key": self._key(path), "ContentType": media_type, **self._extra}
        headers = {"Content-Type": media_type}
        if "ServerSideEncryption" in self._extra:
            headers["x-amz-server-side-encryption"] = self._extra["ServerSideEncryption"]
        with self._plain_words(path):
            url = self._client.generate_presigned_url(
                "put_object", Params=parameters, ExpiresIn=checked_seconds(seconds)
            )
        return UploadAddress(str(url), headers)

    def _key(self, path: str) -> str:
        return checked_path(self._prefix + checked_path(path))

    def _put_parts(self, path: str, parts: Iterable[bytes], headers: Mapping[str, str]) -> None:
        place = {"Bucket": self._bucket, "Key": self._key(path)}
        with self._plain_words(path):
            upload = self._client.create_multipart_upload(**place, **headers)["UploadId"]
        try:
            done = [self._put_part(path, upload, number, part) for number, part in enumerate(parts, start=1)]
            with self._plain_words(path):
                self._client.complete_multipart_upload(**place, UploadId=upload, MultipartUpload={"Parts": done})
        except BaseException:
            # What hinders this one is what hindered the upload; the first error is the one to tell.
            with suppress(exceptions.ClientError, exceptions.BotoCoreError):
                self._client.abort_multipart_upload(**place, UploadId=upload)
            raise

    def _put_part(self, path: str, upload: str, number: int, part: bytes) -> dict[str, Any]:
        with self._plain_words(path):
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=self._key(path), UploadId=upload, PartNumber=number, Body=part
            )
        sums = {name: answer[name] for name in ("ChecksumCRC32",) if name in answer}
        return {"PartNumber": number, "ETag": answer["ETag"], **sums}

    def _read(self, body: Any, path: str) -> Iterator[bytes]:
        with body:
            while True:
                with self._plain_words(path):
                    piece = body.read(CHUNK_BYTES)
                if not piece:
                    return
                yield piece

    @contextmanager
    def _plain_words(self, path: str) -> Iterator[None]:
        """An error of the SDK as one of ours, with nothing of its text: that can hold keys and addresses."""
        try:
            yield
        except exceptions.ClientError as error:
            raise self._meant(error, path) from None
        except _REFUSED_HERE as error:
            raise StorageRefused(
                f"No usable credentials for the bucket {self._bucket} ({type(error).__name__})."
            ) from None
        except _NO_CONNECTION as error:
            reason = type(error).__name__
            raise StorageUnavailable(f"The bucket {self._bucket} cannot be reached ({reason}).") from None
        except exceptions.BotoCoreError as error:
            raise StorageError(f"The bucket {self._bucket} cannot be used ({type(error).__name__}).") from None

    def _meant(self, error: exceptions.ClientError, path: str) -> StorageError:
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        if code in _GONE:
            return NoSuchFile(f"There is no file {path}.")
        if code in _PAST_THE_END:
            return _PastTheEnd()
        if code == "NoSuchBucket":
            return StorageRefused(f"There is no bucket {self._bucket}.")
        if code in _BUSY or status >= 500:
            return StorageUnavailable(f"The bucket {self._bucket} cannot be reached just now ({code}).")
        if status in (401, 403) or code in ("ExpiredToken", "InvalidToken"):
            return StorageRefused(f"The bucket {self._bucket} refuses these credentials ({code}).")
        return StorageError(f"The bucket {self._bucket} cannot do this ({code}).")


class _PastTheEnd(StorageError):
    """There is nothing at this place of the file."""


@cache
def _session() -> Any:
    """One for the process: it reads AWS's descriptions, which takes half a second, and keeps this machine's keys."""
    return boto3.session.Session()


def _config(*, own_endpoint: bool, anonymous: bool) -> Config:
    # Not everything that speaks S3 knows AWS's newer checksums, nor buckets as host names.
    checksums = "when_required" if own_endpoint else "when_supported"
    return Config(
        connect_timeout=CONNECT_SECONDS,
        read_timeout=READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        signature_version=UNSIGNED if anonymous else "s3v4",
        request_checksum_calculation=checksums,
        response_checksum_validation=checksums,
        s3={"addressing_style": "path" if own_endpoint else "auto"},
    )
