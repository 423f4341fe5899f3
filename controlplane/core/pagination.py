"""The one pagination of native lists: pages by number that go on by key.

`next` and `previous` carry the page's number and the key of the row they start from, so a list of a
million rows is walked at the same cost per page. A page deep inside the list without such a key is
refused: reaching it would mean reading all before it.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from django.core.exceptions import ValidationError as NotOfItsType
from django.db import connection
from django.db.models import F, Field, Q, QuerySet, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from controlplane.core.sets import is_postgresql

PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000
DEEPEST: Final = 10_000
COUNT_HEADER: Final = "X-Count"
LONGEST_SECONDS: Final = 2**53 / 10**6  # of a span: microseconds that a float still tells apart
LAST_MOMENT: Final = datetime.datetime(9999, 12, 31, tzinfo=datetime.UTC)


@dataclass(frozen=True, slots=True)
class Key:
    """What a list may be ordered by. `absent` stands for null in comparisons, so that rows without one come last."""

    field: str | Combinable
    absent: Any = None

    def expression(self) -> Combinable:
        field = F(self.field) if isinstance(self.field, str) else self.field
        return field if self.absent is None else Coalesce(field, Value(self.absent))


# The orders a list offers: name -> key.
Orders = Mapping[str, Key]


def count_of(rows: QuerySet[Any], exact_to: int = DEEPEST) -> tuple[int, bool]:
    """How many rows there are, and whether that is exact: beyond `exact_to` PostgreSQL's estimate serves."""
    found = rows.order_by()
    if not is_postgresql():
        return found.count(), True
    count = found[: exact_to + 1].count()
    if count <= exact_to:
        return count, True
    with connection.cursor() as cursor:
        statement, parameters = found.values("pk").query.sql_with_params()
        cursor.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters)
        plan = cursor.fetchone()
    told = plan[0] if plan else "[]"
    rows_planned = (json.loads(told) if isinstance(told, str) else told)[0]["Plan"]["Plan Rows"]
    return max(int(rows_planned), count), False


class Pages(BasePagination):
    """`page`, `page_size`, `order`, and `after`/`before` as `next` and `previous` carry them."""

    page_size: ClassVar[int] = PAGE_SIZE
    _parameters: ClassVar[Sequence[tuple[str, Any, str]]] = (
        ("page", "integer", "Number of the page, from 1. Deep pages go on from `next` only."),
        (
            "page_size",
            ["integer", "string"],
            "Rows of a page: 100 if not given, 1000 at most. What is no number from 1 on counts as not given.",
        ),
        ("after", "string", "Where the page starts; as `next` carries it."),
        ("before", "string", "Where the page ends; as `previous` carries it."),
    )

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        self._request = request
        self._orders: Orders = view.orders
        names = request.query_params.getlist("order") or list(view.default_order)
        self._keys = self._chosen(names)
        self._size = _page_size(request.query_params.get("page_size"))
        exact_to = getattr(view, "count_exact_to", DEEPEST)
        self._count, self._exact = count_of(queryset, exact_to)
        self._page = self._number(request.query_params.get("page"))
        columns: Sequence[str] = getattr(view, "columns", ())
        rows = queryset.values(*columns) if columns else queryset
        rows = rows.annotate(**{f"key_{n}": key.expression() for n, (_, key, _) in enumerate(self._keys)})
        return self._read(rows)

    def _chosen(self, names: Sequence[str]) -> list[tuple[str, Key, bool]]:
        """Each key to order by, and whether it descends; the id last, so that no two rows are equal."""
        chosen: list[tuple[str, Key, bool]] = []
        for name in names:
            bare, descends = name.removeprefix("-"), name.startswith("-")
            if bare not in self._orders:
                raise ValidationError({"order": [f"This is one of {', '.join(self._orders)}, with - to descend."]})
            if bare not in {known for known, _, _ in chosen}:
                chosen.append((bare, self._orders[bare], descends))
        if "id" not in {known for known, _, _ in chosen}:
            chosen.append(("id", Key("pk"), chosen[-1][2] if chosen else False))
        return chosen

    def _number(self, text: str | None) -> int:
        last = max(1, -(-self._count // self._size))
        if text == "last" and self._exact:
            return last
        try:
            number = int("1" if text is None else text)
        except ValueError:
            raise NotFound("Invalid page.") from None
        if number < 1 or (self._exact and number > last and not self._has_key()):
            raise NotFound("Invalid page.")
        return number

    def _has_key(self) -> bool:
        return "after" in self._request.query_params or "before" in self._request.query_params

    def _read(self, rows: QuerySet[Any]) -> list[Any]:
        after, before = self._request.query_params.get("after"), self._request.query_params.get("before")
        backwards = after is None and before is not None
        ordered = rows.order_by(
            *(f"{'-' if descends != backwards else ''}key_{n}" for n, (_, _, descends) in enumerate(self._keys))
        )
        start = 0
        if after is not None or before is not None:
            name, text = ("before", before) if backwards else ("after", after)
            ordered = ordered.filter(self._beyond(self._values(name, text or ""), backwards))
        else:
            start = (self._page - 1) * self._size
            if start >= DEEPEST:
                raise ValidationError({"page": [f"Rows past {DEEPEST} are reached by following `next`."]})
        found = list(ordered[start : start + self._size + 1])
        more = len(found) > self._size
        self._rows = found[: self._size][::-1] if backwards else found[: self._size]
        self._more_after = more if not backwards else True
        self._more_before = more if backwards else self._page > 1
        return self._rows

    # --- Keys ------------------------------------------------------------------------------------

    def _beyond(self, values: Sequence[Any], backwards: bool) -> Q:
        """The rows after the one with these values in the list's order (before it, `backwards`)."""
        beyond = Q()
        for n in reversed(range(len(values))):
            name, value = f"key_{n}", values[n]
            side = "lt" if self._keys[n][2] != backwards else "gt"
            # The first condition alone already bounds the index; the rest decides among equals.
            strict = Q(**{f"{name}__{side}": value})
            beyond = strict if n == len(values) - 1 else Q(**{f"{name}__{side}e": value}) & (strict | beyond)
        return beyond

    def _text(self, row: Any) -> str:
        names = [f"key_{n}" for n in range(len(self._keys))]
        values = [_plain(row[name] if isinstance(row, dict) else getattr(row, name)) for name in names]
        return base64.urlsafe_b64encode(json.dumps(values, separators=(",", ":")).encode()).decode().rstrip("=")

    def _values(self, name: str, text: str) -> list[Any]:
        refused = ValidationError({name: ["This is not a key of this list: follow `next` and `previous`."]})
        try:
            values = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
        except (ValueError, binascii.Error, RecursionError):
            raise refused from None
        if not isinstance(values, list) or len(values) != len(self._keys):
            raise refused
        try:
            return [_rich(value, row_type) for value, row_type in zip(values, self._types(), strict=True)]
        except (ValueError, TypeError, OverflowError, NotOfItsType):
            raise refused from None

    def _types(self) -> list[Field[Any, Any]]:
        """The field whose values each key compares."""
        query = self._request.parser_context["view"].get_queryset().model.objects.all()
        named = query.annotate(**{f"key_{n}": key.expression() for n, (_, key, _) in enumerate(self._keys)})
        return [named.query.annotations[f"key_{n}"].output_field for n in range(len(self._keys))]

    # --- Answer ----------------------------------------------------------------------------------

    def _link(self, page: int, name: str, row: Any) -> str:
        url = self._request.build_absolute_uri()
        for other in ("after", "before"):
            url = remove_query_param(url, other)
        return replace_query_param(replace_query_param(url, "page", page), name, self._text(row))

    def get_paginated_response(self, data: Any) -> Response:
        forward = self._more_after and self._rows
        back = self._more_before and self._rows
        answer = {
            "count": self._count,
            "next": self._link(self._page + 1, "after", self._rows[-1]) if forward else None,
            "previous": self._link(max(1, self._page - 1), "before", self._rows[0]) if back else None,
            "results": data,
        }
        return Response(answer, headers={} if self._exact else {COUNT_HEADER: "estimate"})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        link = {"type": ["string", "null"], "format": "uri", "example": None}
        return {
            "type": "object",
            "required": ["count", "next", "previous", "results"],
            "properties": {
                "count": {
                    "type": "integer",
                    "description": "Exact to 10 000; beyond, X-Count may say `estimate`.",
                    "example": 1,
                },
                "next": link,
                "previous": link,
                "results": schema,
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        orders = [name for each in view.orders for name in (each, f"-{each}")]
        given = [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": kind}}
            for name, kind, text in self._parameters
        ]
        order = {"type": "array", "items": {"type": "string", "enum": orders}}
        text = f"What to order by, - to descend; `{', '.join(view.default_order)}` if not given."
        return [*given, {"name": "order", "in": "query", "required": False, "description": text, "schema": order}]


# A computed list: the rows of a page, given its first row's place and its size, and how many rows there are in all
# (or 0, when there are none on that page).
Computed = Callable[[int, int], tuple[list[Any], int]]
MOST_COMPUTED: Final = 2**31


class ComputedPages(Pages):
    """`page` and `page_size` of a list that has no rows in the database: it is `Computed`, a page at a time."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        read: Computed = queryset
        self._request, self._exact = request, True
        for name in ("order", "after", "before"):
            if name in request.query_params:
                raise ValidationError({name: ["This list has one order, and pages by number only."]})
        self._size, text = _page_size(request.query_params.get("page_size")), request.query_params.get("page")
        self._count = read(0, 1)[1] if text == "last" else MOST_COMPUTED
        self._page = self._number(text)
        self._rows, self._count = read((self._page - 1) * self._size, self._size)
        if not self._rows and self._page > 1:
            raise NotFound("Invalid page.")
        return self._rows

    def get_paginated_response(self, data: Any) -> Response:
        url, more = self._request.build_absolute_uri(), self._page * self._size < self._count
        answer = {
            "count": self._count,
            "next": replace_query_param(url, "page", self._page + 1) if more else None,
            "previous": replace_query_param(url, "page", self._page - 1) if self._page > 1 else None,
            "results": data,
        }
        return Response(answer)

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return [
            {"name": name, "in": "query", "required": False, "description": text, "schema": {"type": kind}}
            for name, kind, text in self._parameters
            if name in ("page", "page_size")
        ]


def _page_size(text: str | None) -> int:
    """Scale's rule: what is no number from 1 on counts as not given, and more than the most as the most."""
    if not text or not text.isascii() or not text.isdigit() or not text.strip("0"):
        return PAGE_SIZE
    return MAX_PAGE_SIZE if len(text.lstrip("0")) > 4 else min(int(text), MAX_PAGE_SIZE)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    return (
        str(value)
        if isinstance(value, decimal.Decimal) or (hasattr(value, "hex") and not isinstance(value, float))
        else value
    )


def _rich(value: Any, field: Field[Any, Any]) -> Any:
    """A key's value as the database compares it."""
    kind = field.get_internal_type()
    if kind == "DateTimeField":
        moment = datetime.datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment.astimezone(datetime.UTC)
    if kind == "DurationField":
        if abs(float(value)) > LONGEST_SECONDS:
            raise ValueError(value)
        return datetime.timedelta(seconds=float(value))
    if kind == "FloatField":
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(value)
        return float(value)
    if "Integer" in kind or "AutoField" in kind:
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
            raise ValueError(value)
        return value
    if kind == "BooleanField":
        if not isinstance(value, bool):
            raise ValueError(value)
        return value
    if not isinstance(value, str) or "\0" in value:
        raise ValueError(value)
    value.encode()  # half a surrogate pair is a ValueError here, not first in the database's driver
    return field.to_python(value)
