"""Holds and quotas: set and lifted here by staff who may, through the services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.safestring import SafeString

from clusters.queries import CLOUDS
from controlplane.core.admin import ServiceForm, link
from controlplane.core.admin_filters import ChoiceFilter
from controlplane.core.errors import ControlPlaneError
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import ServiceAdmin
from jobs import queries, services
from jobs.models import Gate, Hold, Scope

_SCOPES: Final = [(value, text) for value, text in Scope.choices if value != Scope.JOB]


class TargetForm(ServiceForm):
    """What a hold or quota covers. Which of the names are needed follows from the scope."""

    scope = forms.ChoiceField(choices=_SCOPES)
    cloud = forms.ChoiceField(
        choices=[("", "–"), *((c, c) for c in CLOUDS)], required=False, help_text="Of a place or queue."
    )
    region = forms.CharField(max_length=64, required=False, help_text="Of a place or queue.")
    queue = forms.CharField(max_length=64, required=False, help_text="Of a queue.")
    customer = forms.CharField(max_length=255, required=False, help_text="The customer's whole name.")
    owner = forms.CharField(max_length=150, required=False, help_text="The owner's user name.")
    job_type = forms.IntegerField(min_value=1, max_value=2**53, required=False, help_text="A job type's id.")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if "scope" in cleaned:
            try:
                cleaned["scope_id"] = queries.scope_id_of(cleaned["scope"], cleaned)
            except ControlPlaneError as error:
                self.refuse(error)
        return cleaned


class HoldForm(TargetForm):
    code = forms.RegexField(
        r"^[A-Z][A-Z0-9_]*$", max_length=32, initial="HELD", help_text="What jobs show as their reason: HELD, DEPLOY…"
    )
    hint = forms.CharField(max_length=255, required=False, help_text="Why, and what has to happen; all can read it.")


class LimitsForm(ServiceForm):
    max_jobs = forms.IntegerField(min_value=0, max_value=2**31 - 1, required=False, help_text="Active at once.")
    max_vcpus = forms.DecimalField(
        min_value=0, max_value=2_000_000, decimal_places=3, required=False, help_text="Of what is active at once."
    )
    max_queued_jobs = forms.IntegerField(
        min_value=0, max_value=2**31 - 1, required=False, help_text="Beyond it, submits are refused."
    )
    hint = forms.CharField(max_length=255, required=False, help_text="Why; all can read it.")

    def limits(self) -> dict[str, Any]:
        wish = self.cleaned_data
        vcpus = wish["max_vcpus"]
        return {
            "max_jobs": wish["max_jobs"],
            "max_vcpus_milli": None if vcpus is None else int(vcpus * 1000),
            "max_queued_jobs": wish["max_queued_jobs"],
            "hint": wish["hint"],
        }


class QuotaForm(TargetForm, LimitsForm):
    """A new quota."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if Gate.objects.filter(scope=cleaned.get("scope"), scope_id=cleaned.get("scope_id", "-")).exists():
            self.add_error("scope", "There is a quota of this scope; change that one.")
        return cleaned


class _CoversAdmin(ServiceAdmin, KeysetAdmin):
    """Rows whose scope and scope_id say what they cover."""

    list_select_related = ("set_by",)

    @admin.display(description="covers")
    def covers(self, row: Hold | Gate) -> SafeString | str:
        """Shown by id; the id leads to what it names, so that a list asks for no names."""
        pages = {
            Scope.CUSTOMER: "accounts_customer",
            Scope.PLACE: "jobs_place",
            Scope.JOB_TYPE: "jobtypes_jobtype",
        }
        if row.scope == Scope.JOB:
            return link(reverse("admin:jobs_job_change", args=[row.scope_id]), f"job {row.scope_id}")
        if row.scope in pages:
            name = f"admin:{pages[Scope(row.scope)]}_change"
            return link(reverse(name, args=[row.scope_id]), f"{row.scope} {row.scope_id}")
        if row.scope == Scope.QUEUE:
            place, _, queue = row.scope_id.partition(":")
            return link(reverse("admin:jobs_place_change", args=[place]), f"queue {queue} of place {place}")
        return f"{row.scope} {row.scope_id}" if row.scope_id else "everything"


class StandsFilter(ChoiceFilter):
    title = "stands"
    parameters = ("stands",)
    words = (("long", "for more than a day, over more than one job"),)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(pk__in=queries.old_holds().values("pk"))


@admin.register(Hold)
class HoldAdmin(_CoversAdmin):
    list_display = ("id", "code", "covers", "hint", "set_by", "since")
    list_display_links = ("id", "code")
    list_filter = (StandsFilter,)
    fields = ("code", "covers", "hint", "set_by", "since")
    readonly_fields = ("covers",)
    history_of = "hold"
    add_form = HoldForm
    removal = "Lift"
    removal_warning = "What only this hold keeps from starting starts as soon as its turn comes."

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Hold:
        return services.place_hold(
            scope=wish["scope"],
            scope_id=wish["scope_id"],
            code=wish["code"],
            hint=wish["hint"],
            actor=request.user,  # type: ignore[arg-type]
        )

    def remove(self, request: HttpRequest, row: Hold) -> None:
        services.lift_hold(row, actor=request.user)  # type: ignore[arg-type]

    def configuration(self, row: Hold) -> dict[str, Any]:
        return services.facts_of_hold(row)


@admin.register(Gate)
class GateAdmin(_CoversAdmin):
    list_display = ("id", "covers", "max_jobs", "max_vcpus_milli", "max_queued_jobs", "hint", "set_by", "since")
    fields = ("covers", "max_jobs", "max_vcpus_milli", "max_queued_jobs", "hint", "set_by", "since")
    readonly_fields = ("covers",)
    history_of = "cap"
    add_form = QuotaForm
    change_form = LimitsForm
    removal = "Lift"
    removal_warning = "What waits for it alone starts as soon as its turn comes."

    def initial(self, row: Gate) -> dict[str, Any]:
        vcpus = None if row.max_vcpus_milli is None else row.max_vcpus_milli / 1000
        return {
            "max_jobs": row.max_jobs,
            "max_vcpus": vcpus,
            "max_queued_jobs": row.max_queued_jobs,
            "hint": row.hint,
        }

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Gate:
        limits = form.limits()
        return services.set_cap(scope=wish["scope"], scope_id=wish["scope_id"], **limits, actor=request.user)  # type: ignore[arg-type]

    def change(self, request: HttpRequest, row: Gate, wish: dict[str, Any], form: Any) -> None:
        services.set_cap(scope=row.scope, scope_id=row.scope_id, **form.limits(), actor=request.user)  # type: ignore[arg-type]

    def remove(self, request: HttpRequest, row: Gate) -> None:
        services.lift_cap(row, actor=request.user)  # type: ignore[arg-type]

    def configuration(self, row: Gate) -> dict[str, Any]:
        return services.facts_of_cap(row)

    def restored(self, row: Gate, state: Mapping[str, Any]) -> dict[str, Any]:
        found = super().restored(row, state)
        if "max_vcpus_milli" in state:
            vcpus = state["max_vcpus_milli"]
            found["max_vcpus"] = None if vcpus is None else vcpus / 1000
        return found
