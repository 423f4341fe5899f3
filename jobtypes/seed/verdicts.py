"""What is said of a manifest or a configuration: findings, and the exception of a refusal."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

_LISTED: Final = 10
_NAME_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """One error or warning. `name` is stable and for machines; `description` never quotes a setting's value."""

    name: str
    description: str


class Invalid(Exception):
    """A manifest or a configuration is refused; `where` says which: "manifest" or "configuration"."""

    def __init__(self, name: str, description: str, *, where: str) -> None:
        self.finding = Finding(name, description)
        self.where = where
        super().__init__(f"{name}: {description}")


def spelled_name(name: str) -> str:
    """A name that a stranger chose, as it may stand in a message: cut short, and without control characters."""
    short = name[:_NAME_LENGTH]
    return short if short.isprintable() else short.encode("unicode_escape").decode()


def listed(names: Collection[str]) -> str:
    """The names for a message, at most ten of them."""
    shown = ", ".join(spelled_name(name) for name in list(names)[:_LISTED])
    return f"{shown} and {len(names) - _LISTED} more" if len(names) > _LISTED else shown
