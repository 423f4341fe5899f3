"""How submitters call their jobs: the classes that there are."""

from __future__ import annotations

from typing import Final

from controlplane.core import sets
from controlplane.core.beginnings import above

# From one class to the next by the index job_of_class: it costs what is found, however many jobs each has. On
# PostgreSQL the operators are those of the index, which compares bytes.
_STEPS: Final = """
WITH RECURSIVE found (class, number) AS (
    SELECT ({first}), 1
    UNION ALL
    SELECT ({following}), number + 1 FROM found WHERE class IS NOT NULL AND number < %s
)
SELECT class FROM found WHERE class IS NOT NULL
"""
_NEXT: Final = """
SELECT classification FROM jobs_job
WHERE parent_id IS NULL AND classification {after} AND classification {lt} %s
ORDER BY classification {order} LIMIT 1
"""


def classes_beginning(text: str, limit: int) -> list[str]:
    """The first classes whose name begins with `text`, in the order of the alphabet."""
    operators = {"ge": ">=", "gt": ">", "lt": "<", "order": ""}
    if sets.is_postgresql():
        operators = {"ge": "~>=~", "gt": "~>~", "lt": "~<~", "order": "USING ~<~"}
    lt, order, end = operators["lt"], operators["order"], above(text)
    first = _NEXT.format(after=f"{operators['ge']} %s", lt=lt, order=order)
    following = _NEXT.format(after=f"{operators['gt']} found.class", lt=lt, order=order)
    rows = sets.run(_STEPS.format(first=first, following=following), [text, end, end, limit])
    return [str(row[0]) for row in rows]
