"""Users, tokens, customers and the event log in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import services
from accounts.models import ApiToken, Customer, Event, Role, User
from controlplane.core.admin import ReadOnlyAdmin
from controlplane.core.errors import ControlPlaneError


class NewUserForm(forms.ModelForm):  # type: ignore[type-arg] # not generic at run time
    """What a new user needs. A password is for the admin; tokens are made with the list's action."""

    customer_name = forms.CharField(required=False, max_length=255, help_text="Needed for the role customer.")
    new_password = forms.CharField(required=False, widget=forms.PasswordInput, help_text="Empty: tokens only.")

    class Meta:
        model = User
        fields = ("username", "role")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("role") == Role.CUSTOMER and not cleaned.get("customer_name"):
            self.add_error("customer_name", "A user with the role customer belongs to a customer.")
        return cleaned


@admin.register(User)
class UserAdmin(ReadOnlyAdmin):
    list_display = ("username", "role", "customer", "is_active", "last_login")
    list_filter = ("role", "is_active")
    search_fields = ("username", "email")
    list_select_related = ("customer",)
    fields = ("username", "uuid", "email", "role", "customer", "is_active", "groups", "created_at", "last_login")
    actions = ("enable", "disable", "issue_token", "revoke_tokens")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.add_user"))

    def get_form(self, request: HttpRequest, obj: User | None = None, change: bool = False, **kwargs: Any) -> Any:
        return NewUserForm if obj is None else super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        return ("username", "role", "customer_name", "new_password") if obj is None else self.fields

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        made = services.create_user(
            username=obj.username,
            role=obj.role,
            actor=request.user,  # type: ignore[arg-type]
            customer=form.cleaned_data["customer_name"] or None,
            password=form.cleaned_data["new_password"] or None,
        )
        obj.pk = made.pk

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """The service has saved everything."""

    def _each(self, request: HttpRequest, users: QuerySet[User], verb: str, act: Any) -> None:
        for user in users:
            try:
                act(username=user.username, actor=request.user)
                self.message_user(request, f"{verb} {user}.", messages.SUCCESS)
            except ControlPlaneError as error:
                self.message_user(request, f"{user}: {error.message}", messages.ERROR)

    @admin.action(description="Enable", permissions=["manage"])
    def enable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self._each(request, users, "Enabled", services.enable_user)

    @admin.action(description="Disable", permissions=["manage"])
    def disable(self, request: HttpRequest, users: QuerySet[User]) -> None:
        self._each(request, users, "Disabled", services.disable_user)

    @admin.action(description="Issue a token (shown once)", permissions=["manage"])
    def issue_token(self, request: HttpRequest, users: QuerySet[User]) -> HttpResponse:
        issued: list[tuple[str, str]] = []
        for user in users:
            try:
                issued.append((user.username, services.issue_token(user=user, actor=request.user, name="admin")))  # type: ignore[arg-type]
            except ControlPlaneError as error:
                issued.append((user.username, error.message))
        # Shown in this answer and kept nowhere: not in a message, which would lie in a cookie or the session.
        context = {**self.admin_site.each_context(request), "title": "Tokens, shown only now", "issued": issued}
        response = render(request, "admin/accounts/tokens_shown_once.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @admin.action(description="Revoke all tokens", permissions=["manage"])
    def revoke_tokens(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in users:
            count = services.revoke_tokens(user=user, actor=request.user)  # type: ignore[arg-type]
            self.message_user(request, f"Revoked {count} tokens of {user}.", messages.SUCCESS)

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.change_user"))


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin):
    list_display = ("prefix", "user", "name", "created_at", "expires_at", "last_used_at", "archived_at")
    search_fields = ("prefix", "user__username")
    list_select_related = ("user",)
    fields = ("prefix", "user", "name", "created_at", "expires_at", "last_used_at", "archived_at")


@admin.register(Customer)
class CustomerAdmin(ReadOnlyAdmin):
    list_display = ("name", "created_at")
    search_fields = ("name",)


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("id", "at", "kind", "subject_kind", "subject_id", "actor", "customer", "before", "after")
    list_filter = ("kind",)
    list_select_related = ("actor", "customer")
    ordering = ("-id",)
