"""/v6/budgets/."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing import services
from billing.models import Budget
from jobs.models import Hold, SpendGate
from tests.answers import json_of
from tests.billing.scene import follow_from_here, price_here, ran
from tests.factories import Person, Stage, make_job, make_job_type
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
BUDGETS = "/v6/budgets/"
NEW = {"customer": "acme", "limit": "100"}


@pytest.fixture
def people() -> Mapping[str, Person]:
    follow_from_here()
    return everybody()


@pytest.fixture
def budget(people: Mapping[str, Person]) -> Budget:
    customer = people["owner"].user.customer
    return services.set_budget(actor=people["operator"].user, limit_nano=10 * 10**9, customer=customer)


@pytest.mark.parametrize("who", WHO)
def test_staff_read_all_and_customers_their_own(who: str, people: Mapping[str, Person], budget: Budget) -> None:
    services.set_budget(actor=None, limit_nano=1, job_type=make_job_type())
    answers = [people[who].get(BUDGETS), *(people[who].get(f"{BUDGETS}{key}/") for key in (budget.pk, budget.uuid))]
    if who in ("anonymous", "disabled"):
        for answer in answers:
            refused(answer, 401)
    elif who == "stranger":
        assert json_of(answers[0])["results"] == []
        for answer in answers[1:]:
            refused(answer, 404, "BUDGET_NOT_FOUND")
    else:
        of_customer = who in ("owner", "colleague")
        assert json_of(answers[0])["count"] == (1 if of_customer else 2)
        assert json_of(answers[1]) == json_of(answers[2])


@pytest.mark.parametrize("who", WHO)
def test_admins_and_operators_change(who: str, people: Mapping[str, Person], budget: Budget) -> None:
    path = f"{BUDGETS}{budget.pk}/"
    answers = [
        people[who].post(BUDGETS, {**NEW, "period": "all"}),
        people[who].patch(path, {"limit": "20"}),
        people[who].delete(path),
    ]
    if who in ("admin", "operator"):
        assert [answer.status_code for answer in answers] == [201, 200, 204], answers[0].content
        refused(people[who].get(path), 404, "BUDGET_NOT_FOUND")
        return
    for answer, hidden in zip(answers, (403, 404, 404), strict=True):
        refused(answer, {"stranger": hidden, "anonymous": 401, "disabled": 401}.get(who, 403))
    assert Budget.objects.get().limit_nano == budget.limit_nano


def test_a_budget_says_what_is_spent_and_reserved(people: Mapping[str, Person], budget: Budget) -> None:
    price_here("1")
    operator, began = people["operator"], timezone.now().replace(minute=0, second=0, microsecond=0)
    asked: dict[str, Any] = {"owner": people["owner"], "vcpus_milli": 1000, "timeout_seconds": 3600}
    ran(began, timedelta(hours=8), **asked)
    services.meter()
    make_job(**asked)
    Stage().claim()
    services.count_budgets()
    with within_budget("GET /v6/budgets/"):
        [row] = json_of(people["owner"].get(BUDGETS))["results"]
    whose = ("customer", "job_type", "period", "currency", "limit", "is_hard", "set_by")
    assert [row[name] for name in whose] == ["acme", None, "month", "USD", "10", True, operator.user.username]
    assert (row["spent"], row["reserved"], row["share"], row["warned"]) == ("8", "1", 80, 80)
    assert row["is_used_up"] is False
    with within_budget("PATCH /v6/budgets/{id}/"):
        used_up = json_of(operator.patch(f"{BUDGETS}{budget.pk}/", {"limit": "7.5"}))
    assert (used_up["limit"], used_up["is_used_up"], used_up["share"]) == ("7.5", True, 106)
    assert Hold.objects.filter(code="BUDGET", scope="customer").exists()


def test_it_is_made_changed_and_lifted(people: Mapping[str, Person]) -> None:
    operator, job_type = people["operator"], make_job_type()
    with within_budget("POST /v6/budgets/"):
        answer = operator.post(BUDGETS, {"job_type_id": job_type.pk, "limit": "0.5", "begins": "2026-01-01"})
    made = json_of(answer)
    assert answer.headers["Location"].endswith(f"{BUDGETS}{made['id']}/")
    assert made["job_type"] == {"id": job_type.pk, "name": job_type.name, "version": job_type.version}
    assert (made["customer"], made["begins"], made["limit"]) == (None, "2026-01-01", "0.5")
    assert SpendGate.objects.get().limit_nano == 5 * 10**8
    path = f"{BUDGETS}{made['uuid']}/"
    assert json_of(operator.patch(path, {"is_hard": False}))["is_hard"] is False
    assert not SpendGate.objects.exists()
    with within_budget("DELETE /v6/budgets/{id}/"):
        assert operator.delete(path).status_code == 204
    refused(operator.delete(path), 404, "BUDGET_NOT_FOUND")
    assert json_of(operator.get(BUDGETS))["results"] == []


def test_the_same_key_sets_one(people: Mapping[str, Person]) -> None:
    key = {"headers": {"Idempotency-Key": "one"}}
    answers = [json_of(people["admin"].post(BUDGETS, NEW, **key)) for _ in range(2)]
    assert answers[0] == answers[1]
    refused(people["admin"].post(BUDGETS, NEW), 409, "BUDGET_EXISTS")


def test_filters_find_what_they_name(people: Mapping[str, Person], budget: Budget) -> None:
    job_type = make_job_type()
    other = services.set_budget(actor=None, limit_nano=1, job_type=job_type, period="all")
    for question, expected in (
        ({"customer": "acme"}, [budget.pk]),
        ({"job_type": job_type.name}, [other.pk]),
        ({"period": ["all", "month"]}, [budget.pk, other.pk]),
        ({"order": "-id"}, [other.pk, budget.pk]),
    ):
        found = json_of(people["monitor"].get(BUDGETS, **question))["results"]
        assert [row["id"] for row in found] == expected, question
    for field, value in (("period", "year"), ("owner", "ada"), ("order", "spent")):
        refused(people["owner"].get(BUDGETS, **{field: value}), 400, "INVALID_REQUEST", field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": "1"}, "customer"),
        ({**NEW, "job_type_id": None, "customer": None}, "customer"),
        ({**NEW, "customer": "nobody"}, "customer"),
        ({"job_type_id": 10**9, "limit": "1"}, "job_type_id"),
        ({**NEW, "limit": "-1"}, "limit"),
        ({**NEW, "limit": 5}, "limit"),
        ({**NEW, "limit": "1000000001"}, "limit"),
        ({"customer": "acme"}, "limit"),
        ({**NEW, "period": "year"}, "period"),
        ({**NEW, "is_hard": "yes"}, "is_hard"),
        ({**NEW, "begins": "soon"}, "begins"),
        ({**NEW, "spent": "0"}, "spent"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_by_field(
    body: dict[str, Any], field: str, people: Mapping[str, Person]
) -> None:
    refused(people["admin"].post(BUDGETS, body), 400, "INVALID_REQUEST", field)
    assert not Budget.objects.exists()


def test_a_change_that_cannot_be_is_refused_by_field(people: Mapping[str, Person], budget: Budget) -> None:
    for body, field in (({"limit": "x"}, "limit"), ({"limit": "1000000001"}, "limit"), ({"period": "all"}, "period")):
        refused(people["admin"].patch(f"{BUDGETS}{budget.pk}/", body), 400, "INVALID_REQUEST", field)
    assert Budget.objects.get().limit_nano == budget.limit_nano
