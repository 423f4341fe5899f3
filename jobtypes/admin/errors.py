"""Named errors: those of the scheduler to look at, staff's own to add and change."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest

from controlplane.core.admin import ReadOnlyAdmin, ServiceForm
from controlplane.core.service_admin import ServiceAdmin
from jobtypes import services
from jobtypes.models import Category, Error


class ErrorForm(ServiceForm):
    title = forms.CharField(max_length=128)
    description = forms.CharField(widget=forms.Textarea(attrs={"rows": 3}), required=False)
    category = forms.ChoiceField(choices=Category.choices, help_text="Whose fault it is.")
    should_be_retried = forms.BooleanField(required=False, help_text="Give another try while the job's tries last.")


class NewErrorForm(ErrorForm):
    name = forms.CharField(max_length=64, help_text="Lower-case words joined by dashes; it stays as it is.")
    field_order = ("name",)


@admin.register(Error)
class ErrorAdmin(ServiceAdmin, ReadOnlyAdmin):
    list_display = ("name", "job_type_name", "title", "category", "should_be_retried", "is_builtin")
    list_filter = ("category", "is_builtin")
    search_fields = ("name", "job_type_name")
    fields = ("name", "job_type_name", "title", "description", "category", "should_be_retried", "is_builtin")
    history_of = "error"
    add_form = NewErrorForm
    change_form = ErrorForm

    def may_change(self, request: HttpRequest, row: Any) -> bool:
        return not row.is_builtin and not row.job_type_name and super().may_change(request, row)

    def initial(self, row: Error) -> dict[str, Any]:
        return {name: getattr(row, name) for name in ("title", "description", "category", "should_be_retried")}

    def configuration(self, row: Error) -> dict[str, Any]:
        return services.facts_of_error(row)

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Error:
        return services.create_error(**wish, actor=request.user)  # type: ignore[arg-type]

    def change(self, request: HttpRequest, row: Error, wish: dict[str, Any], form: Any) -> None:
        services.update_error(row, **wish, actor=request.user)  # type: ignore[arg-type]
