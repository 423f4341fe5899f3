"""Handles: what we call what was started. "<way>:<account>:<id>", where the id may have colons of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

BATCH: Final = "batch"
LONGEST_ACCOUNT: Final = 200  # as it is quoted in a handle, which has 255 characters at most
_JOB_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?::\d{1,5})?")


@dataclass(frozen=True, slots=True)
class Handle:
    """`way`: how it was started; `account`: the customer whose account it is in, "" for our own; `id`: AWS's name."""

    way: str
    account: str
    id: str

    def __str__(self) -> str:
        return f"{self.way}:{quote(self.account, safe='')}:{self.id}"

    @classmethod
    def parse(cls, text: str) -> Handle | None:
        """None for what none of us ever gave out."""
        way, _, rest = text.partition(":")
        account, _, name = rest.partition(":")
        if way != BATCH or not _JOB_ID.fullmatch(name):
            return None
        return cls(way, unquote(account), name)
