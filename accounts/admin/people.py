"""Users and customers in the admin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts import queries, services, viewing
from accounts.admin.person_story import person_story
from accounts.admin.tokens import shown_once
from accounts.models import Customer, Feature, Role, User
from accounts.services.limits import HIGHEST
from controlplane.core.admin import ServiceForm
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.beginnings import begins
from controlplane.core.detail_admin import Section
from controlplane.core.errors import ControlPlaneError
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, filled, plain_form, same_names

# Services name fields as the first surface did; the admin's forms have names of their own.
_FIELDS = {"user": "username", "customer": "customer_name", "password": "new_password"}


class _UserFieldsForm(ServiceForm):
    email = forms.EmailField(required=False)
    new_password = forms.CharField(
        required=False, widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}), strip=False
    )

    def refuse(self, error: ControlPlaneError) -> None:
        error.field = _FIELDS.get(error.field or "", error.field)
        super().refuse(error)


class NewUserForm(_UserFieldsForm):
    """What a new user needs. A password is for the admin; tokens are made with the list's action."""

    username = forms.CharField(max_length=150)
    role = forms.ChoiceField(choices=Role.choices, initial=Role.OPERATOR)
    customer_name = forms.CharField(required=False, max_length=255, help_text="Needed for the role customer.")
    field_order = ("username", "role", "customer_name", "email", "new_password")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["new_password"].help_text = "Empty: tokens only."


class UserForm(_UserFieldsForm):
    """What may be changed of a user. A password is set or replaced, never shown."""

    role = forms.ChoiceField(choices=Role.choices)
    field_order = ("role", "email", "new_password")

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["new_password"].help_text = "Empty: as it is."


class LimitsForm(ServiceForm):
    """How much a user may have, and what they may use beyond what everybody may."""

    instance_limit = forms.IntegerField(min_value=0, max_value=HIGHEST, help_text="Instances at a time.")
    allowed_features = forms.MultipleChoiceField(
        choices=Feature.choices, required=False, widget=forms.CheckboxSelectMultiple
    )


def _limits(row: User) -> dict[str, Any]:
    return {"instance_limit": row.instance_limit, "allowed_features": row.allowed_features}


class RoleFilter(ChoiceFilter):
    title = "role"
    parameters = ("role",)
    words = tuple(Role.choices)


class EnabledFilter(ChoiceFilter):
    title = "enabled"
    parameters = ("is_active",)
    words = (("1", "yes"), ("0", "no"))

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.filter(is_active=self.values["is_active"] == ["1"])


class CustomerNameFilter(TextFilter):
    title = "customer, its whole name"
    parameters = ("customer__name",)


@admin.register(User)
class UserAdmin(ServiceAdmin, KeysetAdmin):
    """Admins see everybody, the rest of the staff themselves, as everywhere."""

    list_display = ("username", "role", "customer", "is_active", "last_login")
    list_filter = (RoleFilter, EnabledFilter, CustomerNameFilter)
    search_fields = ("username",)
    search_help_text = "How a user name or, with its @, an e-mail address begins"
    list_select_related = ("customer",)
    fields = (
        *("username", "uuid", "email", "is_verified", "google_linked", "role", "customer", "is_active", "groups"),
        *("instance_limit", "allowed_features", "has_used_instances", "last_feedback_at", "created_at", "last_login"),
    )
    readonly_fields = ("google_linked",)
    actions = ("enable", "disable", "issue_token", "revoke_tokens")
    history_of = "user"
    add_form = NewUserForm
    change_form = UserForm
    change_form_template = "admin/accounts/user/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return queries.visible_users(request.user)  # type: ignore[arg-type]

    def search(self, rows: QuerySet[User], term: str) -> QuerySet[User]:
        return begins(rows, "email" if "@" in term else "username", term)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False,
        form_url: str = "", obj: Any = None,
    ) -> HttpResponse:  # fmt: skip
        more = {**context, "sections": self.sections(request, obj)}
        return super().render_change_form(request, more, add, change, form_url, obj)

    def sections(self, request: HttpRequest, person: User) -> list[Section]:
        return person_story(person, request.user)  # type: ignore[arg-type]

    @admin.display(description="signs in with Google", boolean=True)
    def google_linked(self, row: User) -> bool:
        return row.google_subject is not None

    def row_pages(self) -> Sequence[RowPage]:
        form = filled(LimitsForm, _limits)
        limits = RowPage(
            *("limits", "Limits", self.may_change, self._limited, form, "Limits of {row}", "Save"),
            restores=same_names(LimitsForm),
        )
        see = RowPage(
            "see",
            "See as this user",
            self.may_see_as,
            self._seeing,
            plain_form,
            warning=lambda request, row: (
                "The API's pages show you what they show this user, and change nothing. The event log tells who looked."
            ),
        )
        stop = RowPage("stop-seeing", "Stop seeing as this user", self.sees_as, self._stopped, plain_form)
        totp = RowPage(
            "reset-totp",
            "Reset one-time codes",
            self.may_reset_totp,
            self._totp_reset,
            plain_form,
            warning=lambda request, row: (
                "They are out of the admin at once, and enrol another device when they next sign in."
            ),
        )
        return (*super().row_pages(), limits, see, stop, totp)

    def _limited(self, request: HttpRequest, row: User, wish: dict[str, Any], form: Any) -> str:
        services.update_user(
            user=row,
            actor=request.user,  # type: ignore[arg-type]
            instance_limit=wish["instance_limit"],
            allowed_features=wish["allowed_features"],
        )
        return f"Changed: {row}."

    def configuration(self, row: User) -> dict[str, Any]:
        return services.facts_of_user(row)

    def initial(self, row: User) -> dict[str, Any]:
        return {"role": row.role, "email": row.email}

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> User:
        return services.create_user(
            username=wish["username"],
            role=wish["role"],
            customer=wish["customer_name"] or None,
            email=wish["email"] or None,
            password=wish["new_password"] or None,
            actor=request.user,  # type: ignore[arg-type]
        )

    def change(self, request: HttpRequest, row: User, wish: dict[str, Any], form: Any) -> None:
        changes: services.UserChanges = {"role": wish["role"], "email": wish["email"] or None}
        if wish["new_password"]:
            changes["password"] = wish["new_password"]
        services.update_user(user=row, actor=request.user, **changes)  # type: ignore[arg-type]

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
        return shown_once(self, request, issued)

    @admin.action(description="Revoke all tokens", permissions=["manage"])
    def revoke_tokens(self, request: HttpRequest, users: QuerySet[User]) -> None:
        for user in users:
            count = services.revoke_tokens(user=user, actor=request.user)  # type: ignore[arg-type]
            self.message_user(request, f"Revoked {count} tokens of {user}.", messages.SUCCESS)

    def may_see_as(self, request: HttpRequest, row: User) -> bool:
        staff: User = request.user  # type: ignore[assignment]
        enabled = row.role == Role.CUSTOMER and row.is_active
        return enabled and viewing.may_view(staff) and not self.sees_as(request, row)

    def may_reset_totp(self, request: HttpRequest, row: User) -> bool:
        may = settings.STAFF_TOTP and row != request.user and self.may_change(request, row)
        return may and queries.has_totp(row)

    def _totp_reset(self, request: HttpRequest, row: User, wish: dict[str, Any], form: Any) -> str:
        services.reset_totp(user=row, actor=request.user)  # type: ignore[arg-type]
        return f"{row} enrols another device when they next sign in."

    def sees_as(self, request: HttpRequest, row: User) -> bool:
        return viewing.viewed(request.session, request.user) == row  # type: ignore[arg-type]

    def _seeing(self, request: HttpRequest, row: User, wish: dict[str, Any], form: Any) -> str:
        viewing.begin(request.session, user=row, actor=request.user)  # type: ignore[arg-type]
        minutes = int(viewing.LASTS.total_seconds() // 60)
        words = '<a href="{}">The API\'s pages</a> show you what they show {}, for {} minutes.'
        return format_html(words, reverse("api-root"), row, minutes)

    def _stopped(self, request: HttpRequest, row: User, wish: dict[str, Any], form: Any) -> str:
        viewing.end(request.session, actor=request.user)  # type: ignore[arg-type]
        return "You see with your own eyes again."

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.change_user"))


class NewCustomerForm(ServiceForm):
    name = forms.CharField(max_length=255, help_text="It stays as it is.")


@admin.register(Customer)
class CustomerAdmin(ServiceAdmin, KeysetAdmin):
    list_display = ("name", "created_at")
    search_fields = ("name",)
    search_help_text = "How a name begins"
    fields = ("name", "created_at")
    readonly_fields = ("created_at",)
    history_of = "customer"
    add_form = NewCustomerForm

    def search(self, rows: QuerySet[Customer], term: str) -> QuerySet[Customer]:
        return begins(rows, "name", term)

    def add(self, request: HttpRequest, wish: dict[str, Any], form: Any) -> Customer:
        return services.create_customer(name=wish["name"], actor=request.user)  # type: ignore[arg-type]

    def configuration(self, row: Customer) -> dict[str, Any]:
        return {"name": row.name}
