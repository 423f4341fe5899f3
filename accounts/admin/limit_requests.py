"""Wishes for higher limits in the admin: what waits comes first, and is decided from the list or on its page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from accounts import queries, services, states
from accounts.models import LimitChangeRequest
from controlplane.core.admin import ServiceForm, badge
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.errors import ControlPlaneError
from controlplane.core.history import Subject
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import RowPage, ServiceAdmin, posted

_TONES: Final = {states.PENDING: "waiting", states.APPROVED: "good", states.REJECTED: "quiet"}


class WorkFilter(ChoiceFilter):
    """Without a word, the list is of what there is to do."""

    title = "what became of it"
    parameters = ("status",)
    words = ((states.APPROVED, "approved"), (states.REJECTED, "rejected"), ("all", "all of them"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.values.get("status", [states.PENDING])
        return queryset if wanted == ["all"] else queryset.filter(status__in=wanted)

    def choices(self, changelist: Any) -> Iterator[Any]:
        first, *others = super().choices(changelist)
        yield {**first, "display": "waiting"}
        yield from others


class OfUserFilter(TextFilter):
    title = "user, the whole name"
    parameters = ("user__username",)


class DecisionForm(ServiceForm):
    note = forms.CharField(
        max_length=1024, required=False, widget=forms.Textarea(attrs={"rows": 3}), help_text="Mailed with the decision."
    )


def _decision_form(request: HttpRequest, row: Any) -> ServiceForm:
    return DecisionForm(posted(request))


@admin.register(LimitChangeRequest)
class LimitChangeRequestAdmin(ServiceAdmin, KeysetAdmin):
    """All of the staff see them; admins and operators decide."""

    list_display = ("id", "shown_status", "user", "limit_then", "desired_limit", "reason", "created_at", "decided_by")
    list_filter = (WorkFilter, OfUserFilter)
    list_select_related = ("user", "decided_by")
    fields = (
        *("user", "present_limit", "limit_then", "desired_limit", "reason", "created_at", "status"),
        *("decided_by", "decided_at", "note"),
    )
    readonly_fields = ("present_limit",)
    actions = ("approve", "reject")

    def get_queryset(self, request: HttpRequest) -> QuerySet[LimitChangeRequest]:
        return queries.visible_limit_requests(request.user)  # type: ignore[arg-type]

    @admin.display(description="status")
    def shown_status(self, row: LimitChangeRequest) -> SafeString:
        return badge(row.status, _TONES[row.status])

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        return [*super().get_list_display(request), *(("decide",) if self.has_decide_permission(request) else ())]

    @admin.display(description="")
    def decide(self, row: LimitChangeRequest) -> SafeString | str:
        """Buttons that decide at once: they send the list's form, which has its CSRF token, to the row's pages."""
        if row.status != states.PENDING:
            return ""
        pages = (("approve", "Approve"), ("reject", "Reject"))
        paths = ((reverse(f"admin:accounts_limitchangerequest_{name}", args=[row.pk]), word) for name, word in pages)
        return format_html_join(" ", '<button type="submit" formaction="{}" formmethod="post">{}</button>', paths)

    @admin.display(description="limit now")
    def present_limit(self, row: LimitChangeRequest) -> int:
        return row.user.instance_limit

    def row_pages(self) -> Sequence[RowPage]:
        def act(decide: Callable[..., None], said: str) -> Callable[..., str]:
            def run(request: HttpRequest, row: LimitChangeRequest, wish: dict[str, Any], form: Any) -> str:
                decide(request=row, actor=request.user, note=wish["note"])
                return f"{said} of {row.user}."

            return run

        return (
            RowPage(
                "approve",
                "Approve",
                self.may_decide,
                act(services.approve_limit, "Approved the request"),
                _decision_form,
                warning=lambda request, row: f"{row.user} may have {row.desired_limit} instances from now on.",
            ),
            RowPage(
                "reject", "Reject", self.may_decide, act(services.reject_limit, "Rejected the request"), _decision_form
            ),
        )

    def may_decide(self, request: HttpRequest, row: LimitChangeRequest) -> bool:
        return row.status == states.PENDING and self.may_change(request, row)

    def log_subject(self, pk: int, row: LimitChangeRequest | None) -> Subject | None:
        """The log knows a request by its user, and its number."""
        return None if row is None else Subject("limit_request", "user", row.user_id, Q(after__request=pk))

    def configuration(self, row: LimitChangeRequest) -> dict[str, Any]:
        return {"request": row.pk, "desired_limit": row.desired_limit, "status": row.status, "note": row.note}

    def has_decide_permission(self, request: HttpRequest) -> bool:
        return self.permitted(request, "change")

    @admin.action(description="Approve", permissions=["decide"])
    def approve(self, request: HttpRequest, rows: QuerySet[LimitChangeRequest]) -> None:
        self._each(request, rows, "Approved", services.approve_limit)

    @admin.action(description="Reject", permissions=["decide"])
    def reject(self, request: HttpRequest, rows: QuerySet[LimitChangeRequest]) -> None:
        self._each(request, rows, "Rejected", services.reject_limit)

    def _each(
        self, request: HttpRequest, rows: QuerySet[LimitChangeRequest], said: str, decide: Callable[..., None]
    ) -> None:
        for row in rows:
            try:
                decide(request=row, actor=request.user)
                self.message_user(request, f"{said} the request of {row.user}.", messages.SUCCESS)
            except ControlPlaneError as error:
                self.message_user(request, f"{row.user}: {error.message}", messages.ERROR)
