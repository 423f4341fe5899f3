"""Image versions in the admin: added here by admins, who also say whom each is for. What it runs is never edited."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts.models import Customer
from clusters import services
from clusters.admin.story import timeline
from clusters.models import ImageVersion
from clusters.services.image_versions import MAX_PORT
from controlplane.core.admin import JsonField, ServiceForm, badge, facts, when
from controlplane.core.beginnings import begins
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import ServiceAdmin


class ChoiceForm(ServiceForm):
    """Who may choose a version, and whether they should."""

    is_default = forms.BooleanField(required=False, label="Default")
    is_deprecated = forms.BooleanField(required=False, label="Deprecated")
    customers = forms.CharField(
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "class": "cp-input"}),
        help_text="Whole names of the customers who may choose it, one a line. Empty: everybody.",
    )

    def clean_customers(self) -> list[Customer]:
        names = {line.strip() for line in self.cleaned_data["customers"].splitlines() if line.strip()}
        found = list(Customer.objects.filter(name__in=names))
        if missing := sorted(names - {each.name for each in found}):
            raise forms.ValidationError(f"There is no such customer: {', '.join(missing)}.")
        return found


class VersionForm(ChoiceForm):
    version = forms.CharField(max_length=128, help_text="The name that customers choose it by.")
    image = forms.CharField(max_length=255)
    command = JsonField(rows=3, required=False, help_text='A list of words, such as ["media", "--port", "5002"].')
    env = JsonField(rows=4, required=False, label="Environment", help_text='An object, such as {"LEVEL": "info"}.')
    ports = JsonField(
        rows=4, required=False, help_text='Such as [{"number": 5002, "protocol": "tcp"}]; clients are led to the first.'
    )
    probe_port = forms.IntegerField(required=False, min_value=1, max_value=MAX_PORT, help_text="Well is who answers.")
    probe_path = forms.CharField(required=False, max_length=255, help_text="With it, by HTTP.")
    metrics_port = forms.IntegerField(required=False, min_value=1, max_value=MAX_PORT)
    metrics_path = forms.CharField(required=False, max_length=255, initial="/metrics")
    max_restarts = forms.IntegerField(
        required=False, min_value=0, max_value=2**31 - 1, initial=5, help_text="In a row. Empty: for ever."
    )
    field_order = ("version", "image", "command", "env", "ports")

    def clean_command(self) -> list[str]:
        given = self.cleaned_data["command"]
        if given is None:
            return []
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            raise forms.ValidationError("This is a list of texts.")
        return given

    def clean_env(self) -> dict[str, Any]:
        given = self.cleaned_data["env"]
        if given is not None and not isinstance(given, dict):
            raise forms.ValidationError("This is an object of names and texts.")
        return given or {}

    def clean_ports(self) -> list[dict[str, Any]]:
        given = self.cleaned_data["ports"]
        if given is None:
            return []
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise forms.ValidationError("This is a list of objects.")
        return given


@admin.register(ImageVersion)
class ImageVersionAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    list_display = ("version", "image", "state", "for_whom", "created")
    search_fields = ("version",)
    search_help_text = "How a version begins"
    fields = ("version",)
    history_of = "image_version"
    add_form = VersionForm
    change_form = ChoiceForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[ImageVersion]:
        return ImageVersion.objects.prefetch_related("customers")

    def search(self, rows: QuerySet[ImageVersion], term: str) -> QuerySet[ImageVersion]:
        return begins(rows, "version", term)

    @admin.display(description="state")
    def state(self, row: ImageVersion) -> SafeString:
        return format_html_join(" ", "{}", ((each,) for each in _badges(row)))

    @admin.display(description="for")
    def for_whom(self, row: ImageVersion) -> str:
        return _for_whom(row)

    @admin.display(description="added")
    def created(self, row: ImageVersion) -> SafeString | str:
        return when(row.created_at)

    def detail(self, request: HttpRequest, row: ImageVersion) -> Detail:
        return Detail(
            title=f"Image version {row.version}",
            badges=_badges(row),
            line=row.image,
            cards=(("What it runs", _what_it_runs(row)), ("When it is well", _when_well(row))),
            sections=(("What happened", timeline("image_version", row.pk)),),
        )

    def initial(self, row: ImageVersion) -> dict[str, Any]:
        names = "\n".join(sorted(each.name for each in row.customers.all()))
        return {"is_default": row.is_default, "is_deprecated": row.is_deprecated, "customers": names}

    def configuration(self, row: ImageVersion) -> dict[str, Any]:
        return services.facts_of_image_version(row)

    def restored(self, row: ImageVersion, state: Mapping[str, Any]) -> dict[str, Any]:
        found = super().restored(row, state)
        return {**found, "customers": "\n".join(found["customers"])} if "customers" in found else found

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> ImageVersion:
        return services.add_image_version(actor=request.user, **wish)  # type: ignore[arg-type]

    def change(self, request: HttpRequest, row: ImageVersion, wish: dict[str, Any], form: Any) -> None:
        services.edit_image_version(row=row, actor=request.user, **wish)  # type: ignore[arg-type]


def _badges(row: ImageVersion) -> list[SafeString]:
    found = [badge("default", "good")] if row.is_default else []
    return [*found, badge("deprecated", "waiting")] if row.is_deprecated else found


def _for_whom(row: ImageVersion) -> str:
    return ", ".join(sorted(each.name for each in row.customers.all())) or "everybody"


def _what_it_runs(row: ImageVersion) -> SafeString | str:
    return facts(
        (
            ("Image", row.image),
            ("Command", shlex.join(row.command)),
            ("Environment", ", ".join(f"{name}=…" for name in row.env)),
            ("Ports", ", ".join(f"{each['number']}/{each.get('protocol', 'tcp')}" for each in row.ports)),
            ("For", _for_whom(row)),
            ("Added", when(row.created_at)),
        )
    )


def _when_well(row: ImageVersion) -> SafeString | str:
    probe = "" if row.probe_port is None else f"{row.probe_port}{row.probe_path}"
    metrics = "" if row.metrics_port is None else f"{row.metrics_port}{row.metrics_path}"
    return facts(
        (
            ("Answers at", probe or "anywhere: it is not asked"),
            ("Metrics at", metrics),
            ("Given up after", "never" if row.max_restarts is None else f"{row.max_restarts} ends in a row"),
        )
    )
