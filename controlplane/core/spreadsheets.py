"""Tables as CSV, which people open in spreadsheets: no text of ours is a formula there."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

from django.http import HttpResponse

# What spreadsheets take for the beginning of a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def as_csv(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Text that would be a formula begins with an apostrophe; numbers stay numbers, nothing is empty."""
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(heads)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    return written.getvalue()


def csv_answer(name: str, heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> HttpResponse:
    """A file to keep; `name` is ours, not a user's."""
    answer = HttpResponse(as_csv(heads, rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def harmless(cell: Any) -> Any:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULAS) else cell
