"""Tokens in the admin: issued and shown once, listed by how they begin, archived."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from accounts import queries, services
from accounts.models import ApiToken, TokenScope
from controlplane.core.admin import ServiceForm
from controlplane.core.admin_filters import TextFilter
from controlplane.core.beginnings import beginning
from controlplane.core.history import Subject
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import ServiceAdmin

_TOLD_WITHIN: Final = timedelta(minutes=1)  # of its end, the log tells of it


def shown_once(of: ModelAdmin[Any], request: HttpRequest, issued: Sequence[tuple[str, str]]) -> HttpResponse:
    """Tokens with the names of their users, in this answer and nowhere else.

    Not in a message, which would lie in a cookie or the session.
    """
    context = {**of.admin_site.each_context(request), "title": "Tokens, shown only now", "issued": issued}
    response = render(request, "admin/accounts/tokens_shown_once.html", context)
    response["Cache-Control"] = "no-store"
    return response


class NewTokenForm(ServiceForm):
    username = forms.CharField(max_length=150)
    name = forms.CharField(max_length=128, required=False, help_text="What it is for.")
    scope = forms.ChoiceField(
        choices=TokenScope.choices,
        initial=TokenScope.ADMIN,
        help_text="How far it reaches, each as far as those before it; admin is all that its owner may.",
    )
    expires = forms.DateTimeField(required=False, help_text="In UTC, such as 2027-01-31 08:00. Empty: never.")


class OfUserFilter(TextFilter):
    title = "user, the whole name"
    parameters = ("user__username",)


@admin.register(ApiToken)
class ApiTokenAdmin(ServiceAdmin, KeysetAdmin):
    """Admins see everybody's, the rest of the staff their own."""

    list_display = ("prefix", "user", "name", "scope", "created_at", "expires_at", "last_used_at", "archived_at")
    list_filter = (OfUserFilter,)
    search_fields = ("prefix",)
    search_help_text = "How a token begins"
    fields = ("prefix", "user", "name", "scope", "created_at", "expires_at", "last_used_at", "archived_at")
    add_form = NewTokenForm
    removal = "Archive"
    removal_warning = "The token is refused from now on, for good."

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        return queries.visible_tokens(request.user)  # type: ignore[arg-type]

    def search(self, rows: QuerySet[ApiToken], term: str) -> QuerySet[ApiToken]:
        return rows.filter(beginning("prefix", term[: queries.TOKEN_PREFIX_LENGTH]))

    def may_remove(self, request: HttpRequest, row: ApiToken) -> bool:
        return row.archived_at is None and super().may_remove(request, row)

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> services.NewToken:
        user = queries.user_named(wish["username"], field="username")
        new = {"name": wish["name"], "scope": wish["scope"], "expires_at": wish["expires"]}
        return services.create_token(user=user, actor=request.user, **new)  # type: ignore[arg-type]

    def added(self, request: HttpRequest, made: services.NewToken) -> HttpResponse:
        return shown_once(self, request, [(made.row.user.username, made.secret)])

    def remove(self, request: HttpRequest, row: ApiToken) -> None:
        services.archive_token(token=row, actor=request.user)  # type: ignore[arg-type]

    def log_subject(self, pk: int, row: ApiToken | None) -> Subject | None:
        """The log knows a token by its user and how it begins; those that went at once, by when they went."""
        if row is None:
            return None
        until = row.archived_at + _TOLD_WITHIN if row.archived_at else timezone.now()
        at_once = Q(kind="token.revoked", after__has_key="tokens", at__gte=row.created_at, at__lte=until)
        return Subject("token", "user", row.user_id, Q(after__prefix=row.prefix) | at_once)

    def configuration(self, row: ApiToken) -> dict[str, Any]:
        return services.facts_of_token(row)
