"""Answers worth keeping in a process: ids of rows that are never deleted, found by their natural keys."""

from __future__ import annotations

from functools import partial
from typing import Generic, TypeVar

from django.db import transaction

K = TypeVar("K")
V = TypeVar("V")

_all: list[Remembered[object, object]] = []


class Remembered(dict[K, V], Generic[K, V]):
    """A mapping that starts afresh when it has grown to `limit` entries."""

    def __init__(self, limit: int = 50_000) -> None:
        super().__init__()
        self._limit = limit
        _all.append(self)  # type: ignore[arg-type]

    def keep(self, key: K, value: V) -> V:
        """Remember `value` once the present transaction has committed; returns it."""
        transaction.on_commit(partial(self.put, key, value))
        return value

    def put(self, key: K, value: V) -> None:
        """Remember `value` now: for what no transaction can take back."""
        if len(self) >= self._limit:
            self.clear()
        self[key] = value


def forget_all() -> None:
    """Forget everything: after a database was emptied or restored under us."""
    for mapping in _all:
        mapping.clear()
