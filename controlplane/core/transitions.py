"""The one guarded move of a state machine: compare and set, over a set of rows.

Each app's `states.py` has a table of allowed moves; `compare_and_set` moves those rows of a table whose
present state allows it, and tells which they were and where they came from. Nobody else assigns a
status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import models

from controlplane.core import sets
from controlplane.core.machine import Machine


def compare_and_set(
    model: type[models.Model],
    machine: Machine,
    to: str,
    values: Mapping[int, Mapping[str, Any]],
    fields: Sequence[str] = (),
    also: Sequence[str] = (),
) -> dict[int, tuple[Any, ...]]:
    """Move the rows named by `values` to `to`, setting `fields` of each from its mapping.

    Caller holds a transaction. Rows are locked in the order of their ids, so that two callers cannot
    deadlock. Returns, of those that moved, {id: (the state it came from, the columns `also`)}; the
    others are left alone.
    """
    if not values:
        return {}
    rows = [(i, to, *(values[i].get(name) for name in fields)) for i in values]
    moved = sets.update_where(model, ("status", *fields), rows, machine.sources(to), ("status", *also))
    return {row[0]: row[1:] for row in moved}
