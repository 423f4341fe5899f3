"""Rows that staff may add, change and remove in the admin, by services: each write has a form and a page of its own.

Django's own forms write to the model; these give what was typed to a service, and show what it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, Final, Protocol
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from controlplane.core.admin import ReadOnlyAdmin, SeenForm, ServiceForm, stamp_of
from controlplane.core.errors import ControlPlaneError
from controlplane.core.history import Past

AS_OF: Final = "as_of"  # an event's id, or a time


class Finding(Protocol):
    """Something that is wrong, or worth a word. `name` is stable, `description` for people."""

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...


class Verdict(Protocol):
    """What would be refused, and what would be done but is worth a word; `details`, if it has any, stand below."""

    @property
    def errors(self) -> Sequence[Finding]: ...
    @property
    def warnings(self) -> Sequence[Finding]: ...


@dataclass(frozen=True)
class RowPage:
    """One thing that staff do to a row: a page with a form, or only with a question.

    `allowed(request, row)`: may this user do it to this row as it is now; else there is no button and no page.
    `act(request, row, wish, form)` gives the form's values to a service, and returns what is said then.
    `check(request, row, wish)`: what the service would say; with it the page has a button that only asks.
    `restores(row, state)`: what the form begins with to make the row again as it was, {} where it cannot.
    `sets`: what a page that is only a question makes of the row.
    `is_last`: the row has no page any more afterwards.
    """

    name: str
    label: str
    allowed: Callable[[HttpRequest, Any], bool]
    act: Callable[[HttpRequest, Any, dict[str, Any], Any], str]
    form: Callable[[HttpRequest, Any], ServiceForm]
    title: str = "{label}: {row}?"
    button: str = ""
    warning: Callable[[HttpRequest, Any], str] = lambda request, row: ""
    check: Callable[[HttpRequest, Any, dict[str, Any]], Verdict] | None = None
    is_last: bool = False
    restores: Callable[[Any, Mapping[str, Any]], dict[str, Any]] | None = None
    sets: Mapping[str, Any] = field(default_factory=dict)

    def brings_back(self, row: Any, current: Mapping[str, Any], past: Mapping[str, Any]) -> bool:
        """Would it change anything to do what it does with how the row was?"""
        if self.restores is not None:
            return self.restores(row, past) not in ({}, self.restores(row, current))
        was = [name in past and past[name] == value != current.get(name) for name, value in self.sets.items()]
        return bool(was) and all(was)


def plain_form(request: HttpRequest, row: Any) -> ServiceForm:
    """The form of a page that has nothing but a question."""
    return ServiceForm(posted(request))


def filled(form: type[ServiceForm], initial: Callable[[Any], dict[str, Any]]) -> Callable[[HttpRequest, Any], Any]:
    """A form that begins with what the row has, and where it is a SeenForm, with which of its states that is."""

    def make(request: HttpRequest, row: Any) -> ServiceForm:
        seen = {"seen": stamp_of(row)} if issubclass(form, SeenForm) else {}
        return form(posted(request), initial={**initial(row), **seen})

    return make


def same_names(form: type[ServiceForm]) -> Callable[[Any, Mapping[str, Any]], dict[str, Any]]:
    """Of how a row was, what a form has fields of the same name for."""
    return lambda row, state: {name: state[name] for name in form.base_fields if name in state}


def posted(request: HttpRequest) -> Any:
    """What a form is to be made of: what was typed, or nothing yet."""
    return request.POST if request.method == "POST" else None


def known(past: Past) -> dict[str, Any]:
    """What is known of how a row was."""
    return {name: value for name, value in (past.state or {}).items() if name not in past.untold}


class ServiceAdmin(ReadOnlyAdmin):
    """Set `add_form`, `change_form` and `removal` (what removing is called) for what there is a service for.

    What else is done to a row is a RowPage, added to `row_pages`. Who holds Django's permission to add, change or
    delete the model gets the buttons; nobody else sees them.
    """

    change_form_template = "admin/service_change_form.html"
    add_form: ClassVar[type[ServiceForm] | None] = None
    change_form: ClassVar[type[ServiceForm] | None] = None
    removal: ClassVar[str] = ""
    removal_warning: ClassVar[str] = ""

    # --- What subclasses do --------------------------------------------------------------------------

    def initial(self, row: Any) -> dict[str, Any]:
        """What the form for a change starts with."""
        return {}

    def restored(self, row: Any, state: Mapping[str, Any]) -> dict[str, Any]:
        """What the form for a change starts with to make the row again what it was: of `state`, in the log's words."""
        return {} if self.change_form is None else same_names(self.change_form)(row, state)

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Any:
        """Make the row by a service; return what `added` is to be told of."""
        raise NotImplementedError

    def added(self, request: HttpRequest, made: Any) -> HttpResponse:
        """The answer after `add`."""
        self.message_user(request, f"Added: {made}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse(f"admin:{self._name('change')}", args=[made.pk]))

    # What adding would say, where that can be asked without adding.
    check_add: Callable[[HttpRequest, dict[str, Any]], Verdict] | None = None

    def change(self, request: HttpRequest, row: Any, wish: dict[str, Any], form: Any) -> None:
        raise NotImplementedError

    def remove(self, request: HttpRequest, row: Any) -> None:
        raise NotImplementedError

    def row_pages(self) -> Sequence[RowPage]:
        """What can be done to a row, in the order of its buttons."""
        pages = []
        if self.change_form is not None:
            form = filled(self.change_form, self.initial)
            edit = RowPage("edit", "Change", self.may_change, self._changed, form, "Change {row}", "Save")
            pages.append(replace(edit, restores=self.restored))
        if self.removal:
            pages.append(
                RowPage(
                    name="remove",
                    label=self.removal,
                    allowed=self.may_remove,
                    act=self._removed,
                    form=plain_form,
                    warning=lambda request, row: self.removal_warning,
                    is_last=True,
                )
            )
        return pages

    def _changed(self, request: HttpRequest, row: Any, wish: dict[str, Any], form: Any) -> str:
        self.change(request, row, wish, form)
        return f"Changed: {row}."

    def _removed(self, request: HttpRequest, row: Any, wish: dict[str, Any], form: Any) -> str:
        self.remove(request, row)
        return f"{self.removal}: {row}."

    # --- Who may -------------------------------------------------------------------------------------

    def permitted(self, request: HttpRequest, action: str) -> bool:
        """Whether this user holds Django's permission to `add`, `change` or `delete` such rows."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename(action, self.opts)}"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.add_form is not None and self.permitted(request, "add")

    def may_change(self, request: HttpRequest, row: Any) -> bool:
        return self.permitted(request, "change")

    def may_remove(self, request: HttpRequest, row: Any) -> bool:
        return self.permitted(request, "delete")

    # --- Pages ---------------------------------------------------------------------------------------

    def _name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def get_urls(self) -> list[Any]:
        own = [
            path(
                f"<int:pk>/{page.name}/",
                self.admin_site.admin_view(partial(self._row_view, page=page)),
                name=self._name(page.name),
            )
            for page in self.row_pages()
        ]
        return [*own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if self.add_form is None or not self.has_add_permission(request):
            raise PermissionDenied
        form = self.add_form(posted(request), request.FILES or None)
        more: dict[str, Any] = {"button": "Add", "checks": self.check_add is not None}
        if request.method == "POST" and form.is_valid():
            try:
                if "check" in request.POST and self.check_add is not None:
                    more["verdict"] = self.check_add(request, form.cleaned_data)
                else:
                    return self.added(request, self.add(request, form.cleaned_data, form))
            except ControlPlaneError as error:
                form.refuse(error)
        title = f"Add {self.opts.verbose_name}"
        return self._page(request, title, form, reverse(f"admin:{self._name('changelist')}"), more)

    def _row(self, request: HttpRequest, pk: int) -> Any:
        """One of those that this user sees."""
        row = self.get_queryset(request).filter(pk=pk).first()
        if row is None:
            raise Http404
        return row

    def _row_view(self, request: HttpRequest, pk: int, page: RowPage) -> HttpResponse:
        row = self._row(request, pk)
        if not page.allowed(request, row):
            raise PermissionDenied
        back = reverse(f"admin:{self._name('change')}", args=[pk])
        form = page.form(request, row)
        more: dict[str, Any] = {"button": page.button or page.label, "checks": page.check is not None}
        more["restored"] = self._fill(request, row, page, form)
        if request.method == "POST" and form.is_valid():
            wish = {name: value for name, value in form.cleaned_data.items() if name != "seen"}
            try:
                if "check" in request.POST and page.check is not None:
                    more["verdict"] = page.check(request, row, wish)
                else:
                    if isinstance(form, SeenForm):
                        form.check_seen(row)
                    said = page.act(request, row, wish, form)
                    self.message_user(request, said, messages.SUCCESS)
                    after = reverse(f"admin:{self._name('changelist')}") if page.is_last else back
                    return HttpResponseRedirect(after)
            except ControlPlaneError as error:
                if not form.fields:
                    self.message_user(request, error.message, messages.ERROR)
                    return HttpResponseRedirect(back)
                form.refuse(error)
        more["warning"] = page.warning(request, row)
        return self._page(request, page.title.format(label=page.label, row=row), form, back, more)

    def _fill(self, request: HttpRequest, row: Any, page: RowPage, form: Any) -> str:
        """Have the form begin with how the row was at `?as_of=`; what to say of that."""
        at = request.GET.get(AS_OF, "")
        if not at or page.restores is None or request.method != "GET":
            return ""
        past: Past | None = self.admin_site.past_of(self, row, at)  # type: ignore[attr-defined]
        if past is None or past.state is None:
            return "How it was then is not known: the form begins with how it is."
        values = page.restores(row, known(past))
        form.initial |= {name: value for name, value in values.items() if name in form.fields}
        return "The form begins with how it was then. Nothing is changed until you send it."

    def restorable(self, request: HttpRequest, row: Any, past: Past, at: str) -> list[tuple[str, str]]:
        current, state = self.configuration(row), known(past)
        if current is None or not state:
            return []
        query = urlencode({AS_OF: at})
        return [
            (
                page.label,
                f"{reverse(f'admin:{self._name(page.name)}', args=[row.pk])}{f'?{query}' if page.restores else ''}",
            )
            for page in self.row_pages()
            if page.allowed(request, row) and page.brings_back(row, current, state)
        ]

    def _page(self, request: HttpRequest, title: str, form: Any, back: str, more: dict[str, Any]) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "form": form,
            "back": back,
            **more,
        }
        return TemplateResponse(request, "admin/service_page.html", context)

    def warn(self, request: HttpRequest, verdict: Verdict) -> None:
        """Say what is worth a word of what was done."""
        for finding in verdict.warnings:
            self.message_user(request, f"{finding.name}: {finding.description}", messages.WARNING)

    def buttons(self, request: HttpRequest, row: Any) -> list[tuple[str, str]]:
        """Label and address of what this user may do to the row."""
        return [
            (page.label, reverse(f"admin:{self._name(page.name)}", args=[row.pk]))
            for page in self.row_pages()
            if page.allowed(request, row)
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False,
        form_url: str = "", obj: Any = None,
    ) -> HttpResponse:  # fmt: skip
        buttons = [] if obj is None else self.buttons(request, obj)
        return super().render_change_form(request, {**context, "buttons": buttons}, add, change, form_url, obj)
