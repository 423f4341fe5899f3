"""Semantic versions (SemVer 2.0.0): which texts are some, and their order."""

from __future__ import annotations

import re
from typing import Final

_NUMBER = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
PATTERN: Final = (
    rf"^({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?$(?!\n)"
)
_VERSION = re.compile(PATTERN)
_DIGITS = re.compile(r"[0-9]+")

KEY_LENGTH: Final = 512  # of the sort key of a version of 128 characters, with room to spare
_NO_VERSION: Final = "0"


def is_version(text: object) -> bool:
    """Whether this is a full SemVer 2.0.0: three numbers without leading zeros, pre-release and build allowed."""
    return isinstance(text, str) and _VERSION.match(text) is not None


def sort_key(version: str) -> str:
    """A text of the characters 0-9 and a-f whose byte order is the precedence of versions.

    Numbers of any length count as numbers, a release stands above its pre-releases, the build part is ignored.
    What is no SemVer stands below all that are. Digits and lower-case letters only, so that a database's collation
    cannot order it otherwise.
    """
    match = _VERSION.match(version)
    if match is None:
        return _NO_VERSION
    *core, pre_release = match.groups()
    return "1" + "".join(map(_number_key, core)) + ("1" if pre_release is None else "0" + _pre_release_key(pre_release))


def _number_key(digits: str) -> str:
    """The digits behind their count, behind the count's own count: a longer number is a larger one."""
    count = str(len(digits))
    return f"{len(count)}{count}{digits}"


def _pre_release_key(pre_release: str) -> str:
    """A number stands below a text, and both above the end; a text stands above every beginning of itself."""
    return "".join(map(_identifier_key, pre_release.split(".")))


def _identifier_key(identifier: str) -> str:
    if _DIGITS.fullmatch(identifier):
        return "1" + _number_key(identifier)
    return "2" + identifier.encode("ascii").hex() + "00"
