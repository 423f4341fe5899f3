"""How many statements a request may cost: the numbers are in query_budget.toml, per database.

Counted are the ORM's statements and ours (`controlplane.core.sets.run`, which Django does not see on
PostgreSQL), without BEGIN, COMMIT and savepoints.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from unittest import mock

from django.apps import apps
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext

from controlplane.core import sets

BUDGETS: Final[dict[str, dict[str, int]]] = tomllib.loads(Path(__file__).with_suffix(".toml").read_text())
_FREE: Final = ("SAVEPOINT", "RELEASE", "ROLLBACK TO", "BEGIN", "COMMIT")


@dataclass
class Statements:
    """What was run."""

    texts: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def __str__(self) -> str:
        return "\n".join(f"{number}. {text}" for number, text in enumerate(self.texts, 1))


@contextlib.contextmanager
def counted() -> Iterator[Statements]:
    """Gather the statements that are run inside."""
    found, run = Statements(), sets.run

    def noted(statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        if sets.is_postgresql():
            found.texts.append(statement)
        return run(statement, parameters)

    with mock.patch.object(sets, "run", noted), CaptureQueriesContext(connection) as captured:
        yield found
    found.texts += [each["sql"] for each in captured.captured_queries if not each["sql"].startswith(_FREE)]


@contextlib.contextmanager
def within_budget(name: str) -> Iterator[Statements]:
    """Fail, and show the statements, when more are run inside than query_budget.toml allows for `name`."""
    # Processes keep these for good; whether one has them already is chance.
    ContentType.objects.get_for_models(*apps.get_models())
    allowed = BUDGETS[name][connection.vendor]
    with counted() as found:
        yield found
    print(f"{name}: {len(found)} statements, {allowed} allowed")
    assert len(found) <= allowed, f"{name} takes {len(found)} statements, not {allowed}:\n{found}"
