"""Handles: what we call what was started. "<way>:<account>:<id>", where the id may have colons of its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, unquote

BATCH: Final = "batch"
EC2: Final = "ec2"
ECS: Final = "ecs"
JOBS: Final = (BATCH, EC2)  # what executions are started by
LONGEST_ACCOUNT: Final = 200  # as it is quoted in a handle, which has 255 characters at most
_IDS: Final = {
    BATCH: re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?::\d{1,5})?"),
    EC2: re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})"),
    ECS: re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
}


@dataclass(frozen=True, slots=True)
class Handle:
    """`way`: how it was started; `account`: the customer whose account it is in, "" for our own; `id`: AWS's name.

    That of a service of ECS is the name that we gave it.
    """

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
        if way not in _IDS or not _IDS[way].fullmatch(name):
            return None
        return cls(way, unquote(account), name)


def by_account(texts: Sequence[str], *ways: str) -> list[list[Handle]]:
    """Those that can be ours, of these ways, those of each account by themselves."""
    found: dict[str, list[Handle]] = {}
    for handle in map(Handle.parse, texts):
        if handle is not None and handle.way in ways:
            found.setdefault(handle.account, []).append(handle)
    return list(found.values())
