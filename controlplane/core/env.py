"""Typed readers of environment variables, with faults collected instead of raised.

A setting that cannot be read takes its default and leaves a `Fault`; the numbered system checks
in `controlplane.checks` report them all at once, each with a hint, instead of the first as a
traceback. `NAME_FILE` names a file that holds the value of `NAME` (django-environ's FileAwareEnv).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import environ
from django.core.exceptions import ImproperlyConfigured

T = TypeVar("T")
ENGINES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")


@dataclass(frozen=True)
class Fault:
    """A variable that could not be read as what it should be."""

    name: str
    expected: str


class Reader:
    """Reads settings from the environment."""

    def __init__(self) -> None:
        self._env = environ.FileAwareEnv()
        self.faults: list[Fault] = []

    def _read(self, name: str, default: T, read: Callable[..., Any], expected: str) -> T:
        try:
            value: T = read(name, default=default)
        except (ValueError, TypeError, OSError, ImproperlyConfigured):
            self.faults.append(Fault(name, expected))
            return default
        return value

    def text(self, name: str, default: str = "") -> str:
        return self._read(name, default, self._env.str, "text")

    def flag(self, name: str, default: bool = False) -> bool:
        text = self.text(name, "").strip().lower()
        if not text:
            return default
        if text in {"1", "true", "yes", "on"}:
            return True
        if text in {"0", "false", "no", "off"}:
            return False
        self.faults.append(Fault(name, "1 or 0"))
        return default

    def whole(self, name: str, default: int, minimum: int = 0) -> int:
        value = self._read(name, default, self._env.int, "a whole number")
        if value < minimum:
            self.faults.append(Fault(name, f"a whole number of at least {minimum}"))
            return default
        return value

    def names(self, name: str, default: tuple[str, ...] = ()) -> list[str]:
        text = self.text(name, ",".join(default))
        return [part.strip() for part in text.split(",") if part.strip()]

    def document(self, name: str, default: dict[str, Any]) -> dict[str, Any]:
        """A JSON object."""
        found: Any = self._read(name, default, self._env.json, "a JSON object")
        if isinstance(found, dict):
            return {str(key): value for key, value in found.items()}
        self.faults.append(Fault(name, "a JSON object"))
        return default

    def database(self, name: str, default: str) -> dict[str, Any]:
        """A database by URL, as django-environ reads it: sqlite:///path, postgresql://user@host/name."""
        try:
            found = dict(self._env.db_url(name, default=default))
        except (ValueError, ImproperlyConfigured):
            found = {}
        if found.get("ENGINE") in ENGINES:
            return found
        self.faults.append(Fault(name, "a database URL, such as postgresql://user:password@host:5432/name"))
        return dict(environ.Env.db_url_config(default))
