"""Rows that staff may add, change and remove in the admin, by services: each write has a form and a page of its own.

Django's own forms write to the model; these give what was typed to a service, and show what it refuses.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.contrib import messages
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse

from controlplane.core.admin import ReadOnlyAdmin, ServiceForm
from controlplane.core.errors import ControlPlaneError


class ServiceAdmin(ReadOnlyAdmin):
    """Set `add_form`, `change_form` and `removal` (what removing is called) for what there is a service for.

    Who holds Django's permission to add, change or delete the model gets the buttons; nobody else sees them.
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

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Any:
        """Make the row by a service; return what `added` is to be told of."""
        raise NotImplementedError

    def added(self, request: HttpRequest, made: Any) -> HttpResponse:
        """The answer after `add`."""
        self.message_user(request, f"Added: {made}.", messages.SUCCESS)
        return HttpResponseRedirect(reverse(f"admin:{self._name('change')}", args=[made.pk]))

    def change(self, request: HttpRequest, row: Any, wish: dict[str, Any], form: Any) -> None:
        raise NotImplementedError

    def remove(self, request: HttpRequest, row: Any) -> None:
        raise NotImplementedError

    # --- Who may -------------------------------------------------------------------------------------

    def _permitted(self, request: HttpRequest, action: str) -> bool:
        return bool(request.user.has_perm(f"{self.opts.app_label}.{get_permission_codename(action, self.opts)}"))

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.add_form is not None and self._permitted(request, "add")

    def may_change(self, request: HttpRequest, row: Any) -> bool:
        return self.change_form is not None and self._permitted(request, "change")

    def may_remove(self, request: HttpRequest, row: Any) -> bool:
        return bool(self.removal) and self._permitted(request, "delete")

    # --- Pages ---------------------------------------------------------------------------------------

    def _name(self, page: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{page}"

    def get_urls(self) -> list[Any]:
        own = [
            path("<int:pk>/edit/", self.admin_site.admin_view(self._edit_view), name=self._name("edit")),
            path("<int:pk>/remove/", self.admin_site.admin_view(self._remove_view), name=self._name("remove")),
        ]
        return [*own, *super().get_urls()]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if self.add_form is None or not self.has_add_permission(request):
            raise PermissionDenied
        form = self.add_form(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                made = self.add(request, form.cleaned_data, form)
            except ControlPlaneError as error:
                form.refuse(error)
            else:
                return self.added(request, made)
        title = f"Add {self.opts.verbose_name}"
        return self._page(request, title, form, "Add", reverse(f"admin:{self._name('changelist')}"))

    def _row(self, pk: int) -> Any:
        row = self.model._default_manager.filter(pk=pk).first()
        if row is None:
            raise Http404
        return row

    def _edit_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._row(pk)
        if self.change_form is None or not self.may_change(request, row):
            raise PermissionDenied
        back = reverse(f"admin:{self._name('change')}", args=[pk])
        form = self.change_form(request.POST or None, initial=self.initial(row))
        if request.method == "POST" and form.is_valid():
            try:
                self.change(request, row, form.cleaned_data, form)
            except ControlPlaneError as error:
                form.refuse(error)
            else:
                self.message_user(request, f"Changed: {row}.", messages.SUCCESS)
                return HttpResponseRedirect(back)
        return self._page(request, f"Change {row}", form, "Save", back)

    def _remove_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._row(pk)
        if not self.may_remove(request, row):
            raise PermissionDenied
        back = reverse(f"admin:{self._name('change')}", args=[pk])
        if request.method == "POST":
            try:
                self.remove(request, row)
            except ControlPlaneError as error:
                self.message_user(request, error.message, messages.ERROR)
                return HttpResponseRedirect(back)
            self.message_user(request, f"{self.removal}: {row}.", messages.SUCCESS)
            return HttpResponseRedirect(reverse(f"admin:{self._name('changelist')}"))
        title = f"{self.removal}: {row}?"
        return self._page(request, title, ServiceForm(), self.removal, back, warning=self.removal_warning)

    def _page(
        self, request: HttpRequest, title: str, form: Any, button: str, back: str, warning: str = ""
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": title,
            "form": form,
            "button": button,
            "back": back,
            "warning": warning,
        }
        return TemplateResponse(request, "admin/service_page.html", context)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False,
        form_url: str = "", obj: Any = None,
    ) -> HttpResponse:  # fmt: skip
        buttons = []
        if obj is not None and self.may_change(request, obj):
            buttons.append(("Change", reverse(f"admin:{self._name('edit')}", args=[obj.pk])))
        if obj is not None and self.may_remove(request, obj):
            buttons.append((self.removal, reverse(f"admin:{self._name('remove')}", args=[obj.pk])))
        return super().render_change_form(request, {**context, "buttons": buttons}, add, change, form_url, obj)
