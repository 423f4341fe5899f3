"""A row's page in the admin that is written for its reader: facts first, then sections, none of them a form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django.db.models import Model
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from controlplane.core.admin import ReadOnlyAdmin

Section = tuple[str, SafeString | str]  # heading, and what stands below it; nothing: it is left out


@dataclass(frozen=True)
class Live:
    """How a page follows its row without being loaded again: controlplane/live.js says what becomes of it.

    `stream` is the address of server-sent events, of which `events` say that something is new; whatever they say, the
    page is asked for each `every_seconds`, too.
    """

    stream: str = ""
    events: Sequence[str] = ()
    every_seconds: int = 15


@dataclass(frozen=True)
class Detail:
    """What the page shows. `cards` stand side by side, `sections` below each other. `live`: None once it has ended."""

    title: str
    badges: Sequence[SafeString]
    line: SafeString | str = ""
    cards: Sequence[Section] = ()
    sections: Sequence[Section] = field(default_factory=tuple)
    live: Live | None = None


_ADDED: Final[dict[type[Model], list[Callable[[HttpRequest, Any], Section]]]] = {}


def add_section(model: type[Model], section: Callable[[HttpRequest, Any], Section]) -> None:
    """Have the page of a model's rows show what a floor above the model's own knows of the row."""
    _ADDED.setdefault(model, []).append(section)


def added_sections(request: HttpRequest, row: Any) -> list[Section]:
    """Those that are not empty, in the order in which they were added."""
    found = [section(request, row) for section in _ADDED.get(type(row), ())]
    return [(heading, body) for heading, body in found if body]


class DetailAdmin(ReadOnlyAdmin):
    """Base: say in `detail` what the page of a row shows."""

    change_form_template = "admin/detail.html"

    def detail(self, request: HttpRequest, row: Any) -> Detail:
        raise NotImplementedError

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False,
        form_url: str = "", obj: Any = None,
    ) -> HttpResponse:  # fmt: skip
        detail = self.detail(request, obj)
        detail = replace(detail, sections=(*added_sections(request, obj), *detail.sections))
        more = {"detail": detail, "live": detail.live, "title": detail.title, "subtitle": None}
        return super().render_change_form(request, {**context, **more}, add, change, form_url, obj)
