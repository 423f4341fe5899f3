"""Invitations in the admin: made, their token shown once, listed by how it begins, revoked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts import queries, services
from accounts.models import Feature, Invitation
from accounts.services.invitations import MOST_USES
from accounts.services.limits import HIGHEST
from controlplane.core.admin import ServiceForm
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import ServiceAdmin

USUAL: Final = timedelta(days=14)


def _in_two_weeks() -> str:
    return f"{timezone.now() + USUAL:%Y-%m-%d %H:%M}"


class NewInvitationForm(ServiceForm):
    name = forms.CharField(max_length=128, help_text="Whom it is for, or what.")
    note = forms.CharField(max_length=255, required=False)
    email = forms.EmailField(required=False, help_text="For this address only. Empty: for whoever has the token.")
    uses_allowed = forms.IntegerField(min_value=1, max_value=MOST_USES, initial=1, help_text="Accounts it may make.")
    expires_at = forms.DateTimeField(initial=_in_two_weeks, help_text="In UTC, such as 2027-01-31 08:00.")
    instance_limit = forms.IntegerField(
        min_value=0, max_value=HIGHEST, required=False, help_text="Of the users it makes. Empty: as for everybody."
    )
    allowed_features = forms.MultipleChoiceField(
        choices=Feature.choices, required=False, widget=forms.CheckboxSelectMultiple
    )


@admin.register(Invitation)
class InvitationAdmin(ServiceAdmin, KeysetAdmin):
    """All of the staff see them; admins and operators make and revoke them."""

    list_display = ("name", "prefix", "email", "uses", "uses_allowed", "expires_at", "revoked_at", "created_by")
    list_select_related = ("created_by",)
    search_fields = ("prefix",)
    search_help_text = "A whole token, or the address that it is for"
    fields = (
        *("name", "note", "prefix", "email", "uses", "uses_allowed", "instance_limit", "allowed_features"),
        *("created_by", "created_at", "expires_at", "revoked_at"),
    )
    history_of = "invitation"
    add_form = NewInvitationForm
    removal = "Revoke"
    removal_warning = "Nobody can sign up by it from now on. Accounts that it made stay."

    def search(self, rows: QuerySet[Invitation], term: str) -> QuerySet[Invitation]:
        return queries.invitations_meant_by(term)

    def may_remove(self, request: HttpRequest, row: Invitation) -> bool:
        return row.revoked_at is None and super().may_remove(request, row)

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> services.NewInvitation:
        return services.create_invitation(**{**wish, "email": wish["email"] or None}, actor=request.user)  # type: ignore[arg-type]

    def added(self, request: HttpRequest, made: services.NewInvitation) -> HttpResponse:
        """The token, in this answer and nowhere else: a message would lie in a cookie or the session."""
        context = {**self.admin_site.each_context(request), "title": "Invitation, shown only now", "made": made}
        response = render(request, "admin/accounts/invitation_shown_once.html", context)
        response["Cache-Control"] = "no-store"
        return response

    def remove(self, request: HttpRequest, row: Invitation) -> None:
        services.revoke_invitation(invitation=row, actor=request.user)  # type: ignore[arg-type]

    def configuration(self, row: Invitation) -> dict[str, Any]:
        return services.facts_of_invitation(row)
