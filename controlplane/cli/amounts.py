"""Amounts as people write them (`90`, `5m`, `2g`), as the API takes them."""

from __future__ import annotations

import re
from typing import Final

import typer

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_MIB: Final = {"": 1, "m": 1, "g": 1024, "t": 1024 * 1024}


def seconds(text: str) -> int:
    """`90`, `90s`, `5m`, `2h`, `1d`."""
    found = re.fullmatch(r"([0-9]{1,10})([smhd]?)", text.strip().lower())
    if found is None:
        raise typer.BadParameter("This is a number of seconds, or such as 5m, 2h, 1d.")
    return int(found[1]) * _SECONDS[found[2]]


def mib(text: str) -> int:
    """`512`, `512m`, `1.5g`; a number alone is MiB."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)([mgt]?)(?:i?b)?", text.strip().lower())
    if found is None:
        raise typer.BadParameter("This is a number of MiB, or such as 512m, 2g.")
    return round(float(found[1]) * _MIB[found[2]])


def moment(text: str) -> str:
    """A time for the API: `2h` (ago) becomes ISO 8601; everything else goes as it is."""
    if re.fullmatch(r"[0-9]{1,10}[smhd]", text.strip().lower()):
        return f"PT{seconds(text)}S"
    return text
