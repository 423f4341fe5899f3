"""Webhooks and their deliveries in the admin: how each does, what was sent and answered, sending again."""

from __future__ import annotations

import json
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts import queries, services
from accounts.models import DeliveryStatus, Form, Webhook, WebhookDelivery
from accounts.services.webhooks import LARGEST_ID
from controlplane.core.admin import ServiceForm, badge, facts, link, shown_json, table, when
from controlplane.core.admin_filters import ChoiceFilter, TextFilter
from controlplane.core.beginnings import begins
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.filters import read_reference
from controlplane.core.keyset_admin import KeysetAdmin, KeysetChangeList
from controlplane.core.service_admin import RowPage, ServiceAdmin, plain_form, posted

_TONES: Final = {
    DeliveryStatus.PENDING: "waiting",
    DeliveryStatus.DELIVERED: "good",
    DeliveryStatus.FAILED: "bad",
}
SHOWN_URL: Final = 60


def how_it_does(webhook: Webhook) -> SafeString:
    if not webhook.is_enabled:
        return badge("disabled", "bad" if webhook.disabled_because else "quiet")
    return badge("failing", "bad") if webhook.failing_since else badge("enabled", "good")


def status_badge(row: WebhookDelivery) -> SafeString:
    return badge(row.status, _TONES[DeliveryStatus(row.status)])


def webhook_link(webhook: Webhook) -> SafeString:
    return link(reverse("admin:accounts_webhook_change", args=[webhook.pk]), webhook.name)


# --- Webhooks ------------------------------------------------------------------------------------


class OwnerFilter(TextFilter):
    title = "owner, the whole name"
    parameters = ("owner__username",)


class FormFilter(ChoiceFilter):
    title = "form"
    parameters = ("form",)
    words = tuple(Form.choices)


class DoesFilter(ChoiceFilter):
    title = "how it does"
    parameters = ("does",)
    words = (
        *(("enabled", "enabled"), ("failing", "failing"), ("disabled", "disabled")),
        ("given-up", "disabled, as it did not answer"),
    )

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.values["does"][-1]
        if wanted == "given-up":
            return queries.given_up_webhooks(rows)
        if wanted == "failing":
            return rows.filter(is_enabled=True, failing_since__isnull=False)
        return rows.filter(is_enabled=wanted == "enabled") if wanted in ("enabled", "disabled") else rows.none()


class WebhookChangeList(KeysetChangeList):
    """A page of webhooks, each with what is not sent yet."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        backlog = queries.backlog_of(self.result_list)
        for row in self.result_list:
            row.backlog = backlog.get(row.pk, 0)


class RangeForm(ServiceForm):
    first = forms.IntegerField(min_value=1, max_value=LARGEST_ID, help_text="Position of an event.")
    last = forms.IntegerField(min_value=1, max_value=LARGEST_ID, help_text="Position of the last one.")


@admin.register(Webhook)
class WebhookAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """Admins change them, the rest of the staff look."""

    list_display = ("name", "owner", "address", "form", "does", "failing", "waiting", "created")
    list_filter = (OwnerFilter, FormFilter, DoesFilter)
    list_select_related = ("owner",)
    search_fields = ("uuid",)
    search_help_text = "An id, a whole uuid, or how a name begins"
    fields = ("uuid",)
    history_of = "webhook"
    removal = "Delete"
    removal_warning = "Its deliveries go with it, also those that are not sent yet."

    def get_queryset(self, request: HttpRequest) -> QuerySet[Webhook]:
        return queries.visible_webhooks(request.user).defer("secrets")  # type: ignore[arg-type]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[WebhookChangeList]:
        return WebhookChangeList

    def search(self, rows: QuerySet[Webhook], term: str) -> QuerySet[Webhook]:
        try:
            key = read_reference(term)
        except ValueError:
            return begins(rows, "name", term)
        return rows.filter(pk=key) if isinstance(key, int) else rows.filter(uuid=key)

    @admin.display(description="address")
    def address(self, row: Webhook) -> SafeString:
        cut = row.url if len(row.url) <= SHOWN_URL else f"{row.url[:SHOWN_URL]}…"
        return format_html("<span title='{}'>{}</span>", row.url, cut)

    @admin.display(description="how it does")
    def does(self, row: Webhook) -> SafeString:
        return how_it_does(row)

    @admin.display(description="failing since")
    def failing(self, row: Webhook) -> SafeString | str:
        return when(row.failing_since)

    @admin.display(description="not sent yet")
    def waiting(self, row: Any) -> int:
        backlog: int = row.backlog
        return backlog

    @admin.display(description="made")
    def created(self, row: Webhook) -> SafeString | str:
        return when(row.created_at)

    def detail(self, request: HttpRequest, row: Webhook) -> Detail:
        return Detail(
            title=f"Webhook {row.name}",
            badges=[how_it_does(row)],
            line=row.url,
            cards=(("What it is", _what_it_is(row)), ("How it does", _how(row))),
            sections=(("Deliveries", _newest(row)),),
        )

    # --- Buttons -------------------------------------------------------------------------------------

    def row_pages(self) -> list[RowPage]:
        return [
            RowPage(
                name="enable",
                label="Enable",
                allowed=lambda request, row: self.may_change(request, row) and not row.is_enabled,
                act=_enable,
                form=plain_form,
                warning=lambda request, row: "It is called again, and its failures of before are forgotten.",
                sets={"is_enabled": True},
            ),
            RowPage(
                name="disable",
                label="Disable",
                allowed=lambda request, row: self.may_change(request, row) and row.is_enabled,
                act=_disable,
                form=plain_form,
                warning=lambda request, row: "It is not called any more until it is enabled.",
                sets={"is_enabled": False},
            ),
            RowPage(
                name="redeliver",
                label="Send again",
                title="Send a range of deliveries to {row} again?",
                allowed=lambda request, row: self.may_change(request, row) and row.is_enabled,
                act=_redeliver,
                form=lambda request, row: RangeForm(posted(request)),
                warning=lambda request, row: "Those that it has taken are sent again, too, under the id that they had.",
            ),
            *super().row_pages(),
        ]

    def remove(self, request: HttpRequest, row: Webhook) -> None:
        services.delete_webhook(webhook=row, actor=request.user)  # type: ignore[arg-type]

    def configuration(self, row: Webhook) -> dict[str, Any]:
        return services.facts_of_webhook(row)


def _enable(request: HttpRequest, row: Webhook, wish: dict[str, Any], form: Any) -> str:
    services.change_webhook(webhook=row, actor=request.user, is_enabled=True)  # type: ignore[arg-type]
    return f"Enabled: {row}."


def _disable(request: HttpRequest, row: Webhook, wish: dict[str, Any], form: Any) -> str:
    services.change_webhook(webhook=row, actor=request.user, is_enabled=False)  # type: ignore[arg-type]
    return f"Disabled: {row}."


def _redeliver(request: HttpRequest, row: Webhook, wish: dict[str, Any], form: Any) -> str:
    count = services.redeliver(webhook=row, actor=request.user, **wish)  # type: ignore[arg-type]
    return f"Sent again: {count}."


def _what_it_is(row: Webhook) -> SafeString | str:
    subject = row.subject_kind if row.subject_id is None else f"{row.subject_kind} {row.subject_id}"
    return facts(
        (
            ("UUID", row.uuid),
            ("Owner", row.owner.username),
            ("Form", row.get_form_display()),
            ("Kinds", ", ".join(row.kinds) or "all"),
            ("Subject", subject or "any"),
            ("Made", when(row.created_at)),
        )
    )


def _how(row: Webhook) -> SafeString | str:
    return facts(
        (
            ("Not sent yet", queries.backlog_of([row]).get(row.pk, 0)),
            ("Failures in a row", row.failures),
            ("Failing since", when(row.failing_since)),
            ("Called next", when(row.next_call_at)),
            ("Disabled because", row.disabled_because),
        )
    )


def _newest(row: Webhook) -> SafeString:
    every = f"{reverse('admin:accounts_webhookdelivery_changelist')}?{urlencode({'webhook': row.pk})}"
    heads = ("Position", "Kind", "Subject", "Status", "Attempts", "Made", "Ended")
    rows = [_line(each) for each in row.deliveries.defer("body").order_by("-pk")[:10]]
    if not rows:
        return format_html("<p class='cp-note'>{}</p>", "None yet.")
    return format_html("{}<p>{}</p>", table(heads, rows), link(every, "All of them"))


def _line(row: WebhookDelivery) -> tuple[Any, ...]:
    page = reverse("admin:accounts_webhookdelivery_change", args=[row.pk])
    subject = f"{row.subject_kind} {row.subject_id}"
    ends = (when(row.created_at), when(row.ended_at))
    return (link(page, row.position), row.kind, subject, status_badge(row), row.attempts, *ends)


# --- Deliveries ----------------------------------------------------------------------------------


class OfWebhookFilter(TextFilter):
    title = "webhook, its id"
    parameters = ("webhook",)

    def narrow(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        given = [text for text in self.values["webhook"] if text.isascii() and text.isdigit() and len(text) < 19]
        return rows.filter(webhook__in=[int(text) for text in given])


class StatusFilter(ChoiceFilter):
    """Those that wait and those that failed have an index each; delivered are all but those."""

    title = "status"
    parameters = ("status",)
    words = tuple(DeliveryStatus.choices)


@admin.register(WebhookDelivery)
class DeliveryAdmin(DetailAdmin, ServiceAdmin, KeysetAdmin):
    """What was sent and is to be sent, the newest first."""

    list_display = ("number", "of_webhook", "kind", "subject", "state", "attempts", "created", "ended")
    list_filter = (OfWebhookFilter, StatusFilter)
    list_select_related = ("webhook",)
    search_fields = ("position",)
    search_help_text = "The id of a webhook and a position, such as 3 42"
    fields = ("position",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        rows = WebhookDelivery.objects.select_related("webhook__owner").defer("webhook__secrets")
        if request.resolver_match is not None and str(request.resolver_match.url_name).endswith("_changelist"):
            return rows.defer("webhook__secrets", "body", "tries")
        return rows

    def search(self, rows: QuerySet[WebhookDelivery], term: str) -> QuerySet[WebhookDelivery]:
        numbers = term.split()
        if len(numbers) != 2 or not all(each.isascii() and each.isdigit() and len(each) < 19 for each in numbers):
            return rows.none()
        return rows.filter(webhook=int(numbers[0]), position=int(numbers[1]))

    @admin.display(description="position")
    def number(self, row: WebhookDelivery) -> int:
        return row.position

    @admin.display(description="webhook")
    def of_webhook(self, row: WebhookDelivery) -> SafeString:
        return webhook_link(row.webhook)

    @admin.display(description="subject")
    def subject(self, row: WebhookDelivery) -> str:
        return f"{row.subject_kind} {row.subject_id}"

    @admin.display(description="status")
    def state(self, row: WebhookDelivery) -> SafeString:
        return status_badge(row)

    @admin.display(description="made")
    def created(self, row: WebhookDelivery) -> SafeString | str:
        return when(row.created_at)

    @admin.display(description="ended")
    def ended(self, row: WebhookDelivery) -> SafeString | str:
        return when(row.ended_at)

    def detail(self, request: HttpRequest, row: WebhookDelivery) -> Detail:
        what = facts(
            (
                ("Webhook", webhook_link(row.webhook)),
                ("Owner", row.webhook.owner.username),
                ("Kind", row.kind),
                ("Subject", f"{row.subject_kind} {row.subject_id}"),
            )
        )
        return Detail(
            title=f"Event {row.position} to {row.webhook.name}",
            badges=[status_badge(row)],
            line=row.webhook.url,
            cards=(("What it is", what), ("How far it is", _how_far(row))),
            sections=(("Calls", _calls(row)), ("What is sent", _body(row.body))),
        )

    def row_pages(self) -> list[RowPage]:
        return [
            RowPage(
                name="redeliver",
                label="Send again",
                title="Send event {row.position} again?",
                allowed=lambda request, row: (
                    bool(request.user.has_perm("accounts.change_webhook")) and row.webhook.is_enabled
                ),
                act=_send_again,
                form=plain_form,
                warning=lambda request, row: "It is sent under the id that it had.",
            )
        ]


def _send_again(request: HttpRequest, row: WebhookDelivery, wish: dict[str, Any], form: Any) -> str:
    where = {"first": row.position, "last": row.position}
    count = services.redeliver(webhook=row.webhook, actor=request.user, **where)  # type: ignore[arg-type]
    return f"Sent again: {row}." if count else f"Being sent just now: {row}."


def _how_far(row: WebhookDelivery) -> SafeString | str:
    due = when(row.due_at) if row.status == DeliveryStatus.PENDING else ""
    return facts(
        (
            ("Attempts", row.attempts),
            ("Made", when(row.created_at)),
            ("Sent first", when(row.first_sent_at)),
            ("Due", due),
            ("Ended", when(row.ended_at)),
        )
    )


def _calls(row: WebhookDelivery) -> SafeString:
    heads = ("At", "Answer", "Took", "How the answer begins")
    rows = [
        (each.get("at", ""), each.get("status") or each.get("error", ""), _took(each), each.get("answer", ""))
        for each in row.tries
    ]
    return table(heads, rows) if rows else format_html("<p class='cp-note'>{}</p>", "None yet.")


def _took(each: dict[str, Any]) -> str:
    return f"{each['took_ms']} ms" if each.get("took_ms") is not None else ""


def _body(text: str) -> SafeString:
    try:
        return shown_json(json.loads(text))
    except ValueError:
        return format_html("<pre class='cp-log'>{}</pre>", text)
