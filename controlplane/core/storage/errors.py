"""What can go wrong with stored files. No message holds a secret, or a sentence of a server's that might."""

from __future__ import annotations

from controlplane.core.errors import ControlPlaneError


class StorageError(ControlPlaneError):
    """The storage cannot do this."""

    code = "STORAGE_ERROR"
    http_status = 502


class NoSuchFile(StorageError):
    """There is no such file."""

    code = "NO_SUCH_FILE"
    http_status = 404


class TooBig(StorageError):
    """The file is too big."""

    code = "FILE_TOO_BIG"
    http_status = 413

    def __init__(self, limit: int = 0) -> None:
        self.limit = limit  # bytes
        super().__init__(f"The file has more than {limit} bytes.")


class StorageUnavailable(StorageError):
    """The storage cannot be reached just now; try again soon."""

    code = "STORAGE_UNAVAILABLE"
    http_status = 503
    retry_after_seconds = 5


class StorageRefused(StorageError):
    """The storage refuses: its credentials, its permissions, or what it is said to be are wrong. No use in retrying."""

    code = "STORAGE_REFUSED"
