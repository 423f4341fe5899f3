"""How texts begin: found by an index on both databases, and in its order, so that the first few cost a few rows.

LIKE needs an operator class on PostgreSQL, as the database's own order of texts is a language's; SQLite uses no index
for it at all, but does for a range.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import models
from django.db.backends.ddl_references import Statement
from django.db.models import F, Q, QuerySet
from django.db.models.expressions import OrderBy
from django.db.models.functions import Upper

from controlplane.core.sets import is_postgresql

_HIGHEST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)  # no text has them


class BeginningIndex(models.Index):
    """An index by which `begins` finds: make it of Upper(field)."""

    def create_sql(self, model: Any, schema_editor: Any, using: str = "", **more: Any) -> Statement:
        statement = super().create_sql(model, schema_editor, using, **more)
        if schema_editor.connection.vendor == "postgresql":
            parts: dict[str, Any] = statement.parts
            parts["columns"] = f"{parts['columns']} text_pattern_ops"
        return statement


class _InOrderOfBytes(OrderBy):
    """The order of an index of the class text_pattern_ops, which no collation names."""

    template = "%(expression)s USING ~<~ /* %(ordering)s */"  # Django looks for that word


def above(text: str) -> str:
    """The least text that is greater than all that begin with `text`, byte by byte; "" where there is none."""
    while text and ord(text[-1]) == _HIGHEST:
        text = text[:-1]
    if not text:
        return ""
    following = ord(text[-1]) + 1
    return text[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def upper(text: str) -> str:
    """As the database's UPPER has it: letter by letter, and on SQLite those of ASCII only."""
    return "".join(
        letter.upper() if len(letter.upper()) == 1 and (letter.isascii() or is_postgresql()) else letter
        for letter in text
    )


def beginning(field: str, text: str) -> Q:
    """`field` begins with `text`, in this very case: for a plain index, on PostgreSQL of a class for patterns."""
    if is_postgresql() or not above(text):
        return Q(**{f"{field}__startswith": text})
    return Q(**{f"{field}__gte": text, f"{field}__lt": above(text)})


def begins(rows: QuerySet[Any], field: str, text: str, *, any_case: bool = True) -> QuerySet[Any]:
    """Those whose `field` begins with `text`."""
    if not any_case:
        return rows.filter(beginning(field, text))
    found: QuerySet[Any] = rows.alias(beginning=Upper(field)).filter(beginning("beginning", upper(text)))
    return found


def first(rows: QuerySet[Any], field: str, text: str, *, any_case: bool = True) -> QuerySet[Any]:
    """Those whose `field` begins with `text`, in the order of the alphabet."""
    by: Upper | F = Upper(field) if any_case else F(field)
    order = _InOrderOfBytes(by) if is_postgresql() else OrderBy(by)
    return begins(rows, field, text, any_case=any_case).order_by(order)
