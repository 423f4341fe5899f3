"""The admin's base: read-only, because every write has rules above the model. Buttons call services.

Which ModelAdmin it stands on is settings.ADMIN_THEME's to say; what is ours uses neither's own hooks, so
every page works on both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ORDER_VAR, SEARCH_VAR
from django.db import models
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from controlplane.core.errors import Conflict, ControlPlaneError
from controlplane.core.history import Past, Subject
from controlplane.core.list_export import exported, is_export

if TYPE_CHECKING or settings.ADMIN_THEME != "unfold":
    ModelAdmin = admin.ModelAdmin
else:
    from unfold.admin import ModelAdmin


class ReadOnlyAdmin(ModelAdmin):  # type: ignore[type-arg] # not generic at run time
    """Shows rows; adds, changes and deletes nothing, not even for superusers.

    What happens is told by the event log, in the transaction in which it happens, so Django's own log of
    the admin is not kept. `history_of` is the kind under which the event log knows the rows: see also `log_subject`.
    """

    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 15  # a row costs a millisecond to render
    list_filter_sheet = False  # of unfold: filters stand beside the list where there is room
    history_of = ""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return self._with_times(super().get_list_display(request))

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        return self._with_times(super().get_fields(request, obj))

    def _with_times(self, names: Sequence[Any]) -> list[Any]:
        """These columns or fields, moments among them as times that pages show in the reader's zone."""
        moments = {field.name: field for field in self.opts.get_fields() if isinstance(field, models.DateTimeField)}
        return [_moment(moments[name]) if name in moments else name for name in names]

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        return None

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return None

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """The list; or all of it as a file."""
        if is_export(request):
            return exported(self, request)  # type: ignore[return-value] # streamed, which is no HttpResponse
        return super().changelist_view(request, extra_context)

    def takes(self, request: HttpRequest, name: str) -> bool:
        """Whether the list's address has such a parameter: of a filter, the search or the order."""
        if name in (SEARCH_VAR, ORDER_VAR):
            return bool(self.get_search_fields(request)) if name == SEARCH_VAR else self.sortable_by != ()
        return any(
            name.partition("__")[0] == each.partition("__")[0]
            if isinstance(each, str)
            else name in getattr(each, "parameters", ())
            for each in self.get_list_filter(request)
        )

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        """Who changed what of the row, and how it was: the site knows the log."""
        if not (object_id.isascii() and object_id.isdigit() and len(object_id) < 19):
            raise Http404
        shown: HttpResponse = self.admin_site.row_history(request, self, int(object_id))  # type: ignore[attr-defined]
        return shown

    # --- What subclasses say of the history of their rows ----------------------------------------------

    def log_subject(self, pk: int, row: Any) -> Subject | None:
        """What the event log knows a row by; `row` is None when it is gone. None: the log tells nothing of it."""
        return Subject(self.history_of, self.history_of, pk) if self.history_of else None

    def configuration(self, row: Any) -> dict[str, Any] | None:
        """What people may say of the row, as it is, in the words of the event log. None: nothing."""
        return None

    def restorable(self, request: HttpRequest, row: Any, past: Past, at: str) -> list[tuple[str, str]]:
        """Labels and addresses of the pages on which this user makes the row again what it was, `at` as it is asked."""
        return []

    def around(self, request: HttpRequest, row: Any, past: Past, at: int | datetime) -> list[tuple[str, Any]]:
        """What else is to be said of how it was: headings and what stands below them."""
        return []


class ServiceForm(forms.Form):
    """A form whose values go to a service. Its inputs look the same on every page, whatever the theme."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        dress(self)

    def refuse(self, error: ControlPlaneError) -> None:
        """Show what a service had against it, at the field that is at fault if there is one.

        A place inside a document, such as `configuration.broker.type`, is told at the document's field.
        """
        whole, _, inside = (error.field or "").partition(".")
        name = error.field if error.field in self.fields else whole
        message = f"{inside}: {error.message}" if inside and name == whole else error.message
        self.add_error(name if name in self.fields else None, message)


class SeenForm(ServiceForm):
    """A form that takes the place of what was seen, and so must not take the place of something else.

    It begins with `seen`: stamp_of the row that it shows.
    """

    seen = forms.CharField(widget=forms.HiddenInput)

    def check_seen(self, row: Any) -> None:
        """Raise Conflict if the row was changed since the form was opened."""
        if self.cleaned_data["seen"] != stamp_of(row):
            raise Conflict("It was changed since you opened this page: go back and begin from what it is now.")


def stamp_of(row: Any) -> str:
    """What tells a row, which has a `modified_at`, from what it is after a change."""
    stamp: str = row.modified_at.isoformat()
    return stamp


class JsonField(forms.JSONField):
    """A JSON document, laid out over lines. Empty is None."""

    def __init__(self, *, rows: int = 16, **more: Any) -> None:
        attrs = {"rows": rows, "spellcheck": "false", "class": "cp-input cp-code"}
        super().__init__(widget=forms.Textarea(attrs=attrs), **more)

    def to_python(self, value: Any) -> Any:
        try:
            return super().to_python(value)
        except (RecursionError, ValueError):
            # Nested too deep, or a number too long to be read.
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from None

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, as it was typed: read and written again, it may hold what no page can."""
        return data

    def prepare_value(self, value: Any) -> Any:
        if value is None:
            return ""
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)


def dress(form: forms.BaseForm) -> None:
    """Give our look to inputs that have none of their own."""
    for field in form.fields.values():
        field.widget.attrs.setdefault("class", "cp-input")


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> SafeString:
    """A small table; every cell is escaped."""
    head = format_html_join("", "<th scope='col'>{}</th>", ((text,) for text in heads))
    body = format_html_join(
        "", "<tr>{}</tr>", ((format_html_join("", "<td>{}</td>", ((cell,) for cell in row)),) for row in rows)
    )
    return format_html(
        "<div class='cp-scroll'><table class='cp-table'><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
        head,
        body,
    )


def facts(pairs: Iterable[tuple[str, Any]]) -> SafeString | str:
    """Names and values, without those that are None or empty; nothing when none is left."""
    shown = [(name, value) for name, value in pairs if value not in (None, "")]
    if not shown:
        return ""
    return format_html("<dl>{}</dl>", format_html_join("", "<dt>{}</dt><dd>{}</dd>", shown))


def shown_json(value: Any) -> SafeString:
    """A JSON value, laid out over lines."""
    return format_html("<pre class='cp-log' tabindex='0'>{}</pre>", json.dumps(value, ensure_ascii=False, indent=2))


def when(at: Any) -> SafeString | str:
    """A time in UTC to the second, whole on hover."""
    return (
        format_html("<time datetime='{0}' title='{0}'>{1}</time>", at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S}")
        if at
        else ""
    )


def _moment(field: models.DateTimeField[Any, Any]) -> Callable[[Any], SafeString | str | None]:
    """A column of the admin that shows this field."""

    def shown(row: Any) -> SafeString | str | None:
        return when(getattr(row, field.name)) or None

    return admin.display(shown, description=field.verbose_name, ordering=field.name, empty_value="-")


def badge(text: str, tone: str) -> SafeString:
    """A word in a colour: good, bad, busy, waiting or quiet. The word says it all; the colour only helps."""
    return format_html("<span class='cp-badge cp-{}'>{}</span>", tone, text)


def link(url: str, text: object) -> SafeString:
    return format_html("<a href='{}'>{}</a>", url, text)


def link_out(url: str, text: object) -> SafeString:
    """A link to somebody else's page, beside ours."""
    return format_html("<a href='{}' target='_blank' rel='noopener noreferrer'>{}</a>", url, text)
