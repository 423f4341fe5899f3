"""The little of S3's protocol that a script speaks: where a bucket is, and an object put into one."""

from __future__ import annotations

import urllib.parse
from typing import Any


def understood(method: str, path: str) -> tuple[str, dict[str, Any]]:
    """The action and what it is given, of a request that names the bucket in its path."""
    whole = urllib.parse.urlsplit(path)
    bucket, _, key = urllib.parse.unquote(whole.path).lstrip("/").partition("/")
    if method == "GET" and whole.query == "location":
        return "GetBucketLocation", {"Bucket": bucket}
    assert method == "PUT", method
    assert key, path
    return "PutObject", {"Bucket": bucket, "Key": key}


def answered(action: str, told: dict[str, Any]) -> str:
    if action == "PutObject":
        return ""
    place = told.get("LocationConstraint", "")
    return f'<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{place}</LocationConstraint>'


def refused(code: str, message: str) -> str:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
