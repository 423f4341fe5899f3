"""Differences that the comparison found, in the admin: what is open comes first; staff resolve it with a note."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from billing import services
from billing.models import Difference, DifferenceKind
from controlplane.core.admin import ServiceForm, badge
from controlplane.core.admin_filters import ChoiceFilter
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, posted

_OPEN: Final = "open"


class OpenFilter(ChoiceFilter):
    """Without a word, the list is of what there is to do."""

    title = "what became of it"
    parameters = ("state",)
    words = (("resolved", "resolved"), ("all", "all of them"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.values.get("state", [_OPEN])
        if "all" in wanted:
            return queryset
        return queryset.filter(resolved_at__isnull="resolved" not in wanted)

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": _OPEN}
        yield from others


class KindFilter(ChoiceFilter):
    title = "between what"
    parameters = ("kind",)
    words = tuple((str(value), str(label)) for value, label in DifferenceKind.choices)


class ResolveForm(ServiceForm):
    note = forms.CharField(
        max_length=255, widget=forms.Textarea(attrs={"rows": 3}), help_text="What it was, and what was done about it."
    )


@admin.register(Difference)
class DifferenceAdmin(ServiceAdmin, KeysetAdmin):
    """All of the staff see them; admins and operators resolve."""

    list_display = ("id", "shown_state", "kind", "customer", "bill_month", "ours", "theirs", "first_seen", "last_seen")
    list_filter = (OpenFilter, KindFilter)
    list_select_related = ("customer",)
    history_of = "difference"
    fields = (
        *("kind", "customer", "bill_month", "ours", "theirs", "detail", "first_seen", "last_seen"),
        *("resolved_at", "resolved_by", "note"),
    )

    @admin.display(description="state")
    def shown_state(self, row: Difference) -> SafeString:
        return badge("resolved", "quiet") if row.resolved_at else badge(_OPEN, "waiting")

    def row_pages(self) -> Sequence[RowPage]:
        return (
            RowPage(
                "resolve",
                "Resolve",
                self.may_resolve,
                _resolve,
                lambda request, row: ResolveForm(posted(request)),
                warning=lambda request, row: (
                    "It is not raised again while both sides say what they say now. No money is moved by this."
                ),
            ),
        )

    def may_resolve(self, request: HttpRequest, row: Difference) -> bool:
        return row.resolved_at is None and self.may_change(request, row)


def _resolve(request: HttpRequest, row: Difference, wish: dict[str, Any], form: Any) -> str:
    services.resolve_difference(difference=row, actor=request.user, note=wish["note"])  # type: ignore[arg-type]
    return f"Resolved: {row}."
