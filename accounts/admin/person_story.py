"""What a user's page shows beside their fields: tokens, webhooks, what they ask for, what happened to them."""

from __future__ import annotations

from typing import Any, Final

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts import queries, states
from accounts.admin.webhooks import how_it_does, webhook_link
from accounts.models import Event, User
from controlplane.core.admin import link, table, when
from controlplane.core.detail_admin import Section

SHOWN: Final = 10


def person_story(person: User, reader: User) -> list[Section]:
    """The sections that `reader` may see, each of the newest rows and by one statement."""
    sections = [("Elsewhere", _elsewhere(person, reader))]
    if _may_see(reader, "accounts_limitchangerequest"):
        sections.append(("Limit request", _limit_request(person, reader)))
    if _may_see(reader, "accounts_apitoken"):
        sections.append(("Tokens", _tokens(person, reader)))
    if _may_see(reader, "accounts_webhook"):
        sections.append(("Webhooks", _webhooks(person, reader)))
    if _may_see(reader, "accounts_event"):
        sections.append(("What happened", _events(person)))
    return [(heading, body) for heading, body in sections if body]


def _may_see(reader: User, model: str) -> bool:
    """Does `reader` see the list of `model`, named as in addresses of the admin?"""
    app, _, name = model.partition("_")
    return bool(reader.has_perm(f"{app}.view_{name}"))


def _elsewhere(person: User, reader: User) -> SafeString | str:
    """Links to the customer, its jobs (no index has those of one owner), and lists of what is the person's."""
    lists = [
        ("Tokens", "accounts_apitoken", {"user__username": person.username}),
        ("Webhooks", "accounts_webhook", {"owner__username": person.username}),
        ("Limit requests", "accounts_limitchangerequest", {"user__username": person.username, "status": "all"}),
        ("Events", "accounts_event", {"q": f"user {person.pk}"}),
    ]
    found = []
    customer = person.customer
    if customer is not None:
        lists.append((f"Jobs of {customer.name}", "jobs_job", {"customer": customer.name}))
        if _may_see(reader, "accounts_customer"):
            page = reverse("admin:accounts_customer_change", args=[customer.pk])
            found.append(link(page, f"Customer {customer.name}"))
    found += [link(_list(model, wish), text) for text, model, wish in lists if _may_see(reader, model)]
    return format_html("<p class='cp-row'>{}</p>", format_html_join(" ", "{}", ((each,) for each in found)))


def _list(model: str, wish: dict[str, str]) -> str:
    return f"{reverse(f'admin:{model}_changelist')}?{urlencode(wish)}"


def _limit_request(person: User, reader: User) -> SafeString | str:
    """The wish that waits, if there is one."""
    rows = queries.visible_limit_requests(reader).filter(user=person, status=states.PENDING)
    return _table(
        ("Asks for", "Instead of", "Since", "Reason"),
        [
            (
                link(reverse("admin:accounts_limitchangerequest_change", args=[row.pk]), row.desired_limit),
                *(person.instance_limit, when(row.created_at), row.reason),
            )
            for row in rows
        ],
    )


def _tokens(person: User, reader: User) -> SafeString | str:
    rows = queries.visible_tokens(reader).filter(user=person).order_by("-created_at")[:SHOWN]
    return _table(
        ("Token", "Name", "Scope", "Made", "Last used", "Archived"),
        [
            (
                link(reverse("admin:accounts_apitoken_change", args=[row.pk]), row),
                *(row.name, row.scope, when(row.created_at), when(row.last_used_at), when(row.archived_at)),
            )
            for row in rows
        ],
    )


def _webhooks(person: User, reader: User) -> SafeString | str:
    rows = queries.visible_webhooks(reader).filter(owner=person).defer("secrets").order_by("-pk")[:SHOWN]
    return _table(
        ("Webhook", "How it does", "Address", "Failures in a row", "Made"),
        [(webhook_link(row), how_it_does(row), row.url, row.failures, when(row.created_at)) for row in rows],
    )


def _events(person: User) -> SafeString | str:
    rows = Event.objects.filter(subject_kind="user", subject_id=person.pk).select_related("actor")
    return _table(
        ("What", "When", "Who"),
        [
            (
                link(reverse("admin:accounts_event_change", args=[row.pk]), row.kind),
                *(when(row.at), row.actor or ""),
            )
            for row in rows.order_by("-pk")[:SHOWN]
        ],
    )


def _table(heads: tuple[str, ...], rows: list[tuple[Any, ...]]) -> SafeString | str:
    return table(heads, rows) if rows else ""
