"""Budgets in the admin: seen by staff, set by admins and operators."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from billing import services
from billing.models import Budget, Period
from jobs.models import SpendGate
from tests.answers import text_of
from tests.browsers import browser
from tests.factories import make_customer_user, make_job_type
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
BUDGETS = "/admin/billing/budget/"


def page(budget: Budget, name: str) -> str:
    return reverse(f"admin:billing_budget_{name}", args=[budget.pk])


def a_budget(**more: Any) -> Budget:
    customer = make_customer_user(customer="acme").user.customer
    return services.set_budget(actor=None, customer=customer, limit_nano=1_500_000_000, **more)


@pytest.mark.parametrize("role", ["admin", "operator", "monitor"])
def test_staff_see_what_may_be_spent(role: str) -> None:
    budget = a_budget()
    Budget.objects.update(spent_nano=750_000_000)
    for path in (BUDGETS, page(budget, "change")):
        told = text_of(browser(role).get(path))
        assert all(word in told for word in ("acme", "1.5", "0.75", "50 %"))


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_it_is_set_changed_and_lifted(role: str) -> None:
    make_customer_user(customer="acme")
    client = browser(role)
    wish = {"customer": "acme", "period": "month", "limit": "12.5", "is_hard": "on"}
    assert client.post(BUDGETS + "add/", wish).status_code == 302
    budget = Budget.objects.get()
    assert (budget.limit_nano, budget.period, budget.is_hard) == (12_500_000_000, Period.MONTH, True)
    assert budget.set_by is not None
    assert SpendGate.objects.get().limit_nano == budget.limit_nano
    assert client.post(page(budget, "edit"), {"limit": "20"}).status_code == 302
    budget.refresh_from_db()
    assert (budget.limit_nano, budget.is_hard) == (20_000_000_000, False)
    assert client.post(page(budget, "remove")).status_code == 302
    budget.refresh_from_db()
    assert budget.archived_at is not None
    told = text_of(client.get(page(budget, "change")))
    assert not any(page(budget, name) in told for name in ("edit", "remove"))


def test_one_of_a_job_type() -> None:
    job_type = make_job_type()
    wish = {"job_type": str(job_type.pk), "period": "all", "begins": "2026-03-01", "limit": "3"}
    assert browser("admin").post(BUDGETS + "add/", wish).status_code == 302
    budget = Budget.objects.get()
    assert (budget.job_type_id, budget.period, str(budget.begins)) == (job_type.pk, Period.ALL, "2026-03-01")


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({}, "of a customer or of a job type"),
        ({"customer": "nobody"}, "none of this name"),
        ({"customer": "acme", "limit": "-1"}, "greater than or equal to 0"),
        ({"customer": "acme", "limit": "a lot"}, "Enter a number"),
        ({"customer": "acme", "period": "week"}, "Select a valid choice"),
        ({"customer": "acme", "job_type": "1"}, "none of this name"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(wish: dict[str, str], said: str) -> None:
    make_customer_user(customer="acme")
    answer = browser("admin").post(BUDGETS + "add/", {"period": "month", "limit": "1", **wish})
    assert answer.status_code == 200
    assert said in text_of(answer)
    assert not Budget.objects.exists()


def test_there_is_one_of_a_kind() -> None:
    a_budget()
    answer = browser("admin").post(BUDGETS + "add/", {"customer": "acme", "period": "month", "limit": "1"})
    assert "There is a budget of that already" in text_of(answer)


def test_who_may_look_only_may_not_set() -> None:
    budget = a_budget()
    client = browser("monitor")
    for path in (BUDGETS + "add/", page(budget, "edit"), page(budget, "remove")):
        assert client.get(path).status_code == 403
        assert client.post(path, {"limit": "1"}).status_code == 403


def test_the_list_is_narrowed() -> None:
    budget = a_budget()
    client = browser("monitor")
    for query, found in (
        ({"period": budget.period}, [budget]),
        ({"period": "never"}, []),
        ({"is_hard": str(int(budget.is_hard))}, [budget]),
        ({"is_hard": str(int(not budget.is_hard))}, []),
    ):
        assert client.get(BUDGETS, query).context["cl"].result_list == found, query


def test_a_list_costs_the_same_for_any_number() -> None:
    client = browser("monitor")
    client.get(BUDGETS)
    for count in (1, 5):
        for n in range(count):
            customer = make_customer_user(customer=f"c{count}-{n}").user.customer
            services.set_budget(actor=None, customer=customer, limit_nano=1)
        with within_budget("admin: budgets"):
            client.get(BUDGETS)
