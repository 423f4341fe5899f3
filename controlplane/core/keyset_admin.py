"""Lists in the admin of tables that grow without end: older and newer pages by the key, no OFFSET, no count."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import ALL_VAR, ChangeList
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from controlplane.core.admin import ReadOnlyAdmin

OLDER: Final = "older"
NEWER: Final = "newer"
Key = tuple[datetime | None, int]


class KeysetChangeList(ChangeList):
    """Rows by falling id. `?older=<id>` shows what comes after that row, `?newer=<id>` what comes before it.

    Where the admin names a moment, rows are by that and then by id, and the parameters have both: `<moment>~<id>`.
    A page is one statement, which reads a row more than it shows: that tells whether there is a next one.
    """

    result_list: list[Any]
    model_admin: Any

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        # Where the page is belongs to no filter, and not into the links that change one.
        for name in (OLDER, NEWER, ALL_VAR):
            self.params.pop(name, None)
            self.filter_params.pop(name, None)
        return super().get_queryset(request, exclude_parameters)

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        return [f"-{name}" for name in self._names()]

    def _names(self) -> list[str]:
        moment = self.model_admin.keyset_moment
        return [moment, "pk"] if moment else ["pk"]

    def _beyond(self, key: Key, side: str) -> Q:
        """The rows on that side of the one with this key: `lt` or `gt`."""
        moment, pk = key
        if moment is None:
            return Q(**{f"pk__{side}": pk})
        name = self.model_admin.keyset_moment
        # The first condition alone bounds the index.
        return Q(**{f"{name}__{side}e": moment}) & (Q(**{f"{name}__{side}": moment}) | Q(**{f"pk__{side}": pk}))

    def _key_of(self, row: Any) -> str:
        moment = self.model_admin.keyset_moment
        return f"{getattr(row, moment).isoformat()}~{row.pk}" if moment else str(row.pk)

    def get_results(self, request: HttpRequest) -> None:
        has_moment = bool(self.model_admin.keyset_moment)
        older, newer = _key(request, OLDER, has_moment), _key(request, NEWER, has_moment)
        size = self.list_per_page
        if newer is not None:
            rows = list(self.queryset.filter(self._beyond(newer, "gt")).order_by(*self._names())[: size + 1])
            self.has_newer, self.has_older = len(rows) > size, True
            rows = rows[:size][::-1]
        else:
            found = self.queryset if older is None else self.queryset.filter(self._beyond(older, "lt"))
            rows = list(found[: size + 1])
            self.has_newer, self.has_older = older is not None, len(rows) > size
            rows = rows[:size]
        self.result_list = rows
        # What the templates of both themes ask for: this page is all there is to count.
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = False
        self.show_admin_actions = True
        self.can_show_all = self.multi_page = False
        self.paginator = Paginator(rows, size)

    def chunks(self, request: HttpRequest, size: int) -> Iterator[list[Any]]:
        """All rows of the list, from the newest on, so many at a time."""
        self.list_per_page = size
        query = request.GET.copy()
        while True:
            request.GET = query  # type: ignore[assignment]
            self.get_results(request)
            yield self.result_list
            if not self.has_older:
                return
            query = query.copy()
            query[OLDER] = str(self.result_list[-1].pk)

    def newest_url(self) -> str:
        return self.get_query_string()

    def newer_url(self) -> str:
        return (
            self.get_query_string({NEWER: self._key_of(self.result_list[0])}) if self.result_list else self.newest_url()
        )

    def older_url(self) -> str:
        return (
            self.get_query_string({OLDER: self._key_of(self.result_list[-1])})
            if self.result_list
            else self.newest_url()
        )


def _key(request: HttpRequest, name: str, has_moment: bool) -> Key | None:
    given = request.GET.get(name)
    if given is None:
        return None
    text, _, pk = given.rpartition("~")
    moment = _moment(text) if has_moment else None
    if not (pk.isascii() and pk.isdigit() and len(pk) < 19) or bool(text) is not has_moment:
        raise IncorrectLookupParameters
    return moment, int(pk)


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise IncorrectLookupParameters from None
    if moment.tzinfo is None:
        raise IncorrectLookupParameters
    return moment


class KeysetAdmin(ReadOnlyAdmin):
    """A list that costs the same on its first and its last page, with a thousand rows and with a million.

    `list_filter` has classes of controlplane.core.admin_filters only. Rows are found by their indexes: a
    list that is searched says so in get_search_results.
    """

    change_list_template = "admin/keyset_change_list.html"
    keyset_moment = ""  # the moment by which rows are listed, the latest first; empty: by id alone
    ordering = ("-id",)
    sortable_by = ()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """Only what a filter takes: Django would allow every field of the table, indexed or not."""
        return any(lookup in getattr(each, "parameters", ()) for each in self.list_filter)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip().replace("\0", "")
        return (self.search(queryset, term) if term else queryset), False

    def search(self, rows: QuerySet[Any], term: str) -> QuerySet[Any]:
        """`rows` that people mean by `term`."""
        return rows.none()
