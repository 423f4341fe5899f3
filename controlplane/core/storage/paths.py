"""The names of stored files: relative paths that mean the same on a disk, in S3 and in Azure Blob."""

from __future__ import annotations

import unicodedata
from typing import Final

from controlplane.core.errors import InvalidRequest

PATH_BYTES: Final = 1024  # what S3 allows a key
SEGMENT_BYTES: Final = 255  # what Linux allows a file's name
# Cc: NUL and other controls; Cs: halves of characters, which are not UTF-8.
_NOT_TEXT: Final = ("Cc", "Cs")


def checked_path(path: str, field: str = "path") -> str:
    """`path` if it is legal, else InvalidRequest: relative, `/` between segments, none of them "", "." or ".."."""
    if reason := _fault(path):
        raise InvalidRequest(f"The path of a file {reason}.", field=field)
    return path


def is_legal(path: str) -> bool:
    return not _fault(path)


def _fault(path: str) -> str:
    if not path:
        return "must not be empty"
    if path.startswith("/"):
        return "must be relative"
    if "\\" in path or any(unicodedata.category(character) in _NOT_TEXT for character in path):
        return "must hold no backslash and no control character"
    if len(path.encode()) > PATH_BYTES:
        return f"must have at most {PATH_BYTES} bytes"
    segments = path.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        return "must have no empty segment and none that is . or .."
    if any(len(segment.encode()) > SEGMENT_BYTES for segment in segments):
        return f"must have at most {SEGMENT_BYTES} bytes between slashes"
    return ""
