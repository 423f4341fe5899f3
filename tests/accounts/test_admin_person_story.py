"""What a user's page in the admin shows beside their fields."""

from __future__ import annotations

import pytest
from django.urls import reverse

from accounts import services
from accounts.models import Event, LimitChangeRequest, Role, User
from billing import services as money
from billing.models import Bill
from clusters.models import Cluster
from jobs.models import Job
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.factories import Person, make_customer_user, make_job
from tests.fleet import make_cluster, make_container
from tests.hooks import make_webhook
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db


def _page(user: User) -> str:
    return reverse("admin:accounts_user_change", args=[user.pk])


def _mary() -> User:
    return make_customer_user("mary", "acme").user


def _busy(user: User, count: int = 1) -> None:
    """Rows in every section, `count` of those of which there may be many."""
    for number in range(count):
        services.issue_token(user=user, actor=None, name=f"laptop-{number}")
        make_webhook(user, name=f"ci-{number}")
        make_cluster(user, name=f"rooms-{user.username}-{Cluster.objects.count()}")
        make_job(Person(user, ""))
    if user.customer is not None:
        money.correct(actor=user, customer=user.customer, amount_nano=10**9, note="Used.")
        money.draw_up_drafts()
    if not user.limit_requests.exists():
        services.request_limit(user=user, desired_limit=50, reason="More rooms.")


def test_an_admin_sees_what_somebody_has_and_asks_for_and_what_happened_to_them() -> None:
    mary = _mary()
    _busy(mary)
    text = text_of(browser("admin").get(_page(mary)))
    for heading in ("Elsewhere", "Limit request", "Tokens", "Webhooks", "What happened"):
        assert f"<h2>{heading}</h2>" in text
    wish = LimitChangeRequest.objects.get()
    token, webhook = mary.tokens.get(name="laptop-0"), mary.webhooks.get()
    for name, row, shown in (
        ("limitchangerequest", wish, "50"),
        ("apitoken", token, f"{token.prefix}…"),
        ("webhook", webhook, "ci-0"),
        ("customer", mary.customer, "Customer acme"),
    ):
        assert row is not None
        address = reverse(f"admin:accounts_{name}_change", args=[row.pk])
        assert f"{address}&#x27;>{shown}</a>" in text or f"{address}'>{shown}</a>" in text, name
    for shown in ("laptop-0", "More rooms.", "enabled", "user.created", "webhook", "limit_request.made"):
        assert shown in text
    assert token.digest not in text


def test_the_lists_that_the_page_leads_to_are_theirs() -> None:
    mary, client = _mary(), browser("admin")
    _busy(mary)
    _busy(make_customer_user("eve", "elsewhere").user)
    for model, parameters, owner in (
        ("apitoken", {"user__username": "mary"}, "user"),
        ("webhook", {"owner__username": "mary"}, "owner"),
        ("limitchangerequest", {"user__username": "mary", "status": "all"}, "user"),
    ):
        path = reverse(f"admin:accounts_{model}_changelist")
        query = "&amp;".join(f"{name}={value}" for name, value in parameters.items())
        assert f"{path}?{query}" in text_of(client.get(_page(mary)))
        rows = client.get(path, parameters).context["cl"].result_list
        assert {getattr(row, owner) for row in rows} == {mary}
    events = reverse("admin:accounts_event_changelist")
    assert f"{events}?q=user+{mary.pk}" in text_of(client.get(_page(mary)))
    assert f"{reverse('admin:jobs_job_changelist')}?customer=acme" in text_of(client.get(_page(mary)))


def test_a_decided_wish_and_what_nobody_has_is_left_out() -> None:
    mary = services.create_user(username="mary", role=Role.OPERATOR, actor=None)
    services.request_limit(user=mary, desired_limit=50, reason="")
    services.reject_limit(request=LimitChangeRequest.objects.get(), actor=None)
    text = text_of(browser("admin").get(_page(mary)))
    for heading in ("Limit request", "Tokens", "Webhooks"):
        assert f"<h2>{heading}</h2>" not in text
    assert "<h2>What happened</h2>" in text
    assert "Customer " not in text.split("<h2>Elsewhere</h2>")[1]


def test_jobs_clusters_and_spend_are_told_of_them_and_nobody_else() -> None:
    mary, eve = make_customer_user("mary", "acme"), make_customer_user("eve", "elsewhere")
    for person in (mary, eve):
        assert person.user.customer is not None
        make_job(person, customer=person.user.customer.name, classification=f"nightly-{person.user.username}")
        make_container(make_cluster(person.user, name=f"rooms-{person.user.username}"))
        cents = 150 if person is mary else 275
        money.correct(actor=person.user, customer=person.user.customer, amount_nano=cents * 10**7, note="Used.")
    money.draw_up_drafts()
    client = browser("admin")
    text = text_of(client.get(_page(mary.user)))
    for heading in ("Spend", "Clusters", "Jobs"):
        assert f"<h2>{heading}</h2>" in text
    bill, cluster = Bill.objects.get(customer=mary.user.customer), Cluster.objects.get(owner=mary.user)
    job = Job.objects.get(owner=mary.user)
    for name, row in (("billing_bill", bill), ("clusters_cluster", cluster), ("jobs_job", job)):
        assert reverse(f"admin:{name}_change", args=[row.pk]) in text
    for shown in ("nightly-mary", "rooms-mary", "1.50", "draft", "1 PENDING"):
        assert shown in text, shown
    assert "-eve" not in text
    assert "2.75" not in text
    for model, query in (
        ("jobs_job", "customer=acme"),
        ("clusters_cluster", "owner__username=mary"),
        ("billing_bill", "q=acme"),
        ("billing_usagerecord", "customer=acme"),
    ):
        path = f"{reverse(f'admin:{model}_changelist')}?{query}"
        assert path in text
        assert client.get(path).status_code == 200


def test_what_somebody_made_up_is_shown_as_text() -> None:
    mary = _mary()
    services.issue_token(user=mary, actor=None, name="<script>alert(1)</script>")
    text = text_of(browser("admin").get(_page(mary)))
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;alert(1)" in text


@pytest.mark.parametrize("role", [*STAFF, *OTHERS])
def test_everybody_below_admin_reads_such_a_page_of_themselves_only(role: str) -> None:
    mary, client = _mary(), browser(role)
    answer = client.get(_page(mary))
    if role == "admin":
        assert answer.status_code == 200
        return
    assert answer.status_code == 302
    if role in STAFF:
        own = somebody(role)
        services.issue_token(user=own, actor=None, name="of-my-own")
        assert "of-my-own" in text_of(client.get(_page(own)))


def test_the_page_costs_the_same_with_more_of_everything() -> None:
    mary, client = _mary(), browser("admin")
    _busy(mary)
    client.get(_page(mary))  # what a process does once is done
    found = []
    for more in (1, 12):
        _busy(mary, more)
        with within_budget("admin: user page") as statements:
            text = text_of(client.get(_page(mary)))
        found.append(len(statements))
        assert text.count("laptop-") <= 10
        assert Event.objects.filter(subject_kind="user", subject_id=mary.pk).count() > more
    assert found[0] == found[1]
