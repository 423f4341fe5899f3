"""What differs between two manifests, place by place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from jobtypes.seed.verdicts import spelled_name

_NAMES: Final = ("name", "code")  # what tells the items of a manifest's lists apart


class Kind(StrEnum):
    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """`path` reads `job.interface.inputs.files[TEXT].required`. None stands for what is not there."""

    path: str
    kind: Kind
    before: Any
    after: Any


def difference(before: Any, after: Any) -> list[Change]:
    """All that differs between two JSON values, in the order of the newer one. Equal ones differ in nothing.

    Items of lists are told apart by their names, where they have any: one that is put in between changes none of
    the others. A list of plain values is one value.
    """
    return list(_between(before, after, ""))


def _between(before: Any, after: Any, path: str) -> Iterator[Change]:
    if _are_same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _of_members(before, after, path, "{}.{}")
        return
    if isinstance(before, list) and isinstance(after, list):
        for name in _NAMES:
            old, new = _by_name(before, name), _by_name(after, name)
            if old is not None and new is not None:
                yield from _of_members(old, new, path, "{}[{}]")
                yield from _of_order(list(old), list(new), path)
                return
    yield Change(path, Kind.CHANGED, before, after)


def _of_members(old: Mapping[str, Any], new: Mapping[str, Any], path: str, shape: str) -> Iterator[Change]:
    for name, value in new.items():
        where = shape.format(path, spelled_name(name)).removeprefix(".")
        if name in old:
            yield from _between(old[name], value, where)
        else:
            yield Change(where, Kind.ADDED, None, value)
    for name, value in old.items():
        if name not in new:
            yield Change(shape.format(path, spelled_name(name)).removeprefix("."), Kind.REMOVED, value, None)


def _of_order(old: Sequence[str], new: Sequence[str], path: str) -> Iterator[Change]:
    """Of those that are in both."""
    was, now = [name for name in old if name in set(new)], [name for name in new if name in set(old)]
    if was != now:
        yield Change(f"{path} (order)", Kind.CHANGED, was, now)


def _by_name(items: list[Any], member: str) -> dict[str, Any] | None:
    """The items by this member; None unless each has one of its own."""
    named = {str(each[member]): each for each in items if isinstance(each, dict) and member in each}
    return named if len(named) == len(items) else None


def _are_same(one: Any, other: Any) -> bool:
    """As JSON, where true is not 1, but 1.0 is."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_are_same(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_are_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)
