"""Which executions the runner has on its hands, so that its successor need not look through all of history.

One append-only file: `+id` when work is accepted, `-id` when it has ended. It costs one write for each
message of works and one for each turn of the loop with endings, where a marker file for each execution
would cost two system calls more for every job. Accepted is written before anything is started, so an
execution that may have a process is always in it. A missing `-id` is harmless: `exit` tells.

The first line is the boot's id. After a reboot the file may have lost its end (nothing here is synced),
so it is not believed then: the one time all folders are looked through.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable

from clusters.providers.local import folders

_LINES_KEPT = 100_000


class Journal:
    """The open journal of one runner."""

    def __init__(self, root: str, boot: str) -> None:
        self._path = f"{root}/{folders.JOURNAL}"
        self._boot = boot
        self._fd = -1
        self._lines = 0

    def read(self) -> set[str] | None:
        """Ids that were in hand when the last runner went; None when the file is not to be believed."""
        try:
            with open(self._path, encoding="ascii", errors="replace") as file:
                if file.readline() != self._boot + "\n":
                    return None
                return self._replay(file)
        except FileNotFoundError:
            return None

    @staticmethod
    def _replay(lines: Iterable[str]) -> set[str]:
        in_hand: set[str] = set()
        for line in lines:
            sign, execution_id = line[:1], line[1:].rstrip("\n")
            if sign == "+" and folders.is_execution_id(execution_id):
                in_hand.add(execution_id)
            elif sign == "-":
                in_hand.discard(execution_id)
        return in_hand

    def rewrite(self, in_hand: Collection[str]) -> None:
        """Start the file anew with what is in hand now."""
        folders.write_whole(self._path, "".join([self._boot, "\n", *(f"+{id_}\n" for id_ in in_hand)]))
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        self._lines = len(in_hand)

    def accepted(self, ids: Collection[str]) -> None:
        """Note works, before any of them may start."""
        self._append("+", ids)

    def ended(self, ids: Collection[str]) -> None:
        """Note works whose `exit` is written."""
        self._append("-", ids)

    def is_long(self, in_hand: int) -> bool:
        """Whether it is time to rewrite."""
        return self._lines > max(_LINES_KEPT, 4 * in_hand)

    def _append(self, sign: str, ids: Collection[str]) -> None:
        if not ids:
            return
        os.write(self._fd, "".join([f"{sign}{id_}\n" for id_ in ids]).encode())
        self._lines += len(ids)
