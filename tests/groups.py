"""Groups of tests: by folder, with the time each may take (groups.toml)."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

# Set by tests.run: what runs on one database only is left out on the other.
EACH_ONCE = "TEST_EACH_ONCE"
# Set by tests.run: of a function's many parameters, each is tried on one of the two databases.
SHARED_OUT = "TEST_SHARED_OUT"
_TABLE = Path(__file__).with_name("groups.toml")


@dataclass(frozen=True)
class Groups:
    rows: dict[str, dict[str, Any]]

    @classmethod
    def load(cls) -> Groups:
        return cls(tomllib.loads(_TABLE.read_text()))

    def allowance_seconds(self, group: str, database: str) -> float | None:
        value = self.rows.get(group, {}).get(database)
        return None if value is None else float(value)


def group_of(item: pytest.Item) -> str:
    """The `group` marker's name, else the folder below tests/."""
    marker = item.get_closest_marker("group")
    if marker:
        return str(marker.args[0])
    parts = item.path.relative_to(Path(__file__).parent).parts
    return parts[0] if len(parts) > 1 else "tests"
