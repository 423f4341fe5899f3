"""Handles: what we call what was started. "<way>:<account>:<id>", where the id may have colons of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import quote, unquote

from clusters.providers.errors import AuthFailed

Seen = TypeVar("Seen")
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


def change_by_account(texts: Sequence[str], ways: Sequence[str], change: Callable[[Sequence[Handle]], None]) -> None:
    """Do it account by account: a customer who took back a role stops nobody else's. Raises that refusal at the end."""
    refused: AuthFailed | None = None
    for of_account in by_account(texts, *ways):
        try:
            change(of_account)
        except AuthFailed as error:
            if not error.customer:
                raise
            refused = error
    if refused:
        raise refused


def seen_by_account(
    texts: Sequence[str],
    ways: Sequence[str],
    look: Callable[[Sequence[Handle]], Sequence[Seen]],
    unseen: Callable[[str, str], Seen],
) -> list[Seen]:
    """What is seen account by account; where a customer took back a role, `unseen` of each handle and AWS's words."""
    found: list[Seen] = []
    for of_account in by_account(texts, *ways):
        try:
            found += look(of_account)
        except AuthFailed as error:
            if not error.customer:
                raise
            found += [unseen(str(handle), str(error)) for handle in of_account]
    return found
