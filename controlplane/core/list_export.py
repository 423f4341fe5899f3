"""A list of the admin as a file: every row of the present filter and search, streamed a chunk at a time.

It shows the columns of the list, behind the row's id and uuid, to whoever may see the list. What a page holds
of it at once is a chunk, and between chunks no connection is held: a slow reader keeps nobody waiting.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from html.parser import HTMLParser
from typing import Any, Final

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import label_for_field, lookup_field
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseRedirect, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.utils.safestring import SafeString

from controlplane.core.connections import give_back
from controlplane.core.spreadsheets import harmless

PARAMETER: Final = "_export"
CHUNK: Final = 500
_NOT_A_COLUMN: Final = "action_checkbox"
_CUT: Final = "…"


def exported(its: Any, request: HttpRequest) -> HttpResponseBase:
    """The list of this ModelAdmin as the file that the address asks for."""
    if not its.has_view_or_change_permission(request):
        raise PermissionDenied
    query = request.GET.copy()
    form = str(query.pop(PARAMETER)[-1])
    if form not in _FORMS:
        raise Http404
    for name in ("older", "newer", "p", "all"):  # all of it, whichever page was shown
        query.pop(name, None)
    request.GET = query  # type: ignore[assignment]
    try:
        listed = its.get_changelist_instance(request)
    except IncorrectLookupParameters:
        # The list says what is wrong with it.
        return HttpResponseRedirect(f"{request.path}?{query.urlencode()}")
    media_type, write = _FORMS[form]
    columns = _columns(its, listed.list_display)
    written = write([key for key, _ in columns], _rows(its, request, listed, columns))
    answer = StreamingHttpResponse(written, content_type=media_type)
    name = f"{its.opts.verbose_name_plural}-{datetime.now(UTC):%Y-%m-%d}".replace(" ", "-")
    answer["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    answer["Cache-Control"] = "no-store"
    return answer


# --- Columns -------------------------------------------------------------------------------------

Column = tuple[str, Callable[[Any], Any]]  # what it is called, and what a row has there


def _columns(its: Any, names: Sequence[Any]) -> list[Column]:
    found: dict[str, Callable[[Any], Any]] = {"id": lambda row: row.pk}
    try:
        its.opts.get_field("uuid")
        found["uuid"] = lambda row: row.uuid
    except FieldDoesNotExist:
        pass
    for name in names:
        if name != _NOT_A_COLUMN:
            found.setdefault(_key(str(label_for_field(name, its.model, its))), _reader(its, name))
    return list(found.items())


def _key(label: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")


def _reader(its: Any, name: Any) -> Callable[[Any], Any]:
    def read(row: Any) -> Any:
        try:
            return lookup_field(name, row, its)[2]
        except ObjectDoesNotExist:
            return None

    return read


def plain(value: Any) -> Any:
    """A cell of a list as JSON has it: without markup, times in ISO 8601 and whole."""
    if isinstance(value, SafeString):
        return text_of(value)
    if value is None or isinstance(value, str | bool | int | float | Decimal | dict | list):
        return value
    return value.isoformat() if isinstance(value, date) else str(value)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._moment, self._title = False, ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._title = given.get("title") or ""
        if tag == "time" and given.get("datetime"):
            self.parts.append(str(given["datetime"]))
            self._moment = True

    def handle_endtag(self, tag: str) -> None:
        self._title = ""
        self._moment = self._moment and tag != "time"

    def handle_data(self, data: str) -> None:
        if not self._moment:
            is_cut = data.endswith(_CUT) and self._title.startswith(data.removesuffix(_CUT))
            self.parts.append(self._title if is_cut else data)


def text_of(markup: str) -> str:
    """What a cell says: a time in full, and in full what is cut short for the eye."""
    if "<" not in markup and "&" not in markup:
        return str(markup)
    parser = _Text()
    parser.feed(markup)
    parser.close()
    return "".join(parser.parts).strip()


# --- Rows ----------------------------------------------------------------------------------------


def _rows(its: Any, request: HttpRequest, listed: Any, columns: Sequence[Column]) -> Iterator[list[list[Any]]]:
    chunks = listed.chunks(request, CHUNK) if hasattr(listed, "chunks") else _numbered(request, listed)
    for chunk in chunks:
        cells = [[plain(read(row)) for _, read in columns] for row in chunk]
        give_back()
        yield cells


def _numbered(request: HttpRequest, listed: ChangeList) -> Iterator[list[Any]]:
    """A list that Django pages by number; such are short."""
    listed.list_per_page, listed.show_all, number = CHUNK, False, 1
    while True:
        listed.page_num = number
        listed.get_results(request)
        yield list(listed.result_list)
        if number >= listed.paginator.num_pages:
            return
        number += 1


def _csv(heads: Sequence[str], chunks: Iterator[list[list[Any]]]) -> Iterator[str]:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(heads)
    for chunk in chunks:
        writer.writerows([harmless(_flat(cell)) for cell in row] for row in chunk)
        yield written.getvalue()
        written.seek(0)
        written.truncate()


def _flat(cell: Any) -> Any:
    return json.dumps(cell, ensure_ascii=False) if isinstance(cell, dict | list) else cell


def _jsonl(heads: Sequence[str], chunks: Iterator[list[list[Any]]]) -> Iterator[str]:
    for chunk in chunks:
        lines = (json.dumps(dict(zip(heads, row, strict=True)), ensure_ascii=False, default=str) for row in chunk)
        yield "".join(f"{line}\n" for line in lines)


_FORMS: Final[dict[str, tuple[str, Callable[..., Iterator[str]]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "jsonl": ("application/jsonl; charset=utf-8", _jsonl),
}


def is_export(request: HttpRequest) -> bool:
    return request.method == "GET" and PARAMETER in request.GET
