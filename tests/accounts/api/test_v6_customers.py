"""/v6/customers/."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from accounts.models import Customer, Event
from tests.answers import json_of
from tests.factories import Person, make_operator
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


@pytest.fixture
def operator() -> Person:
    return make_operator("mary")


@pytest.mark.parametrize("who", WHO)
def test_staff_list_all_and_a_customers_users_their_own(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].get("/v6/customers/")
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
        return
    own = {"owner": ["acme"], "colleague": ["acme"], "stranger": ["other"]}
    assert [each["name"] for each in json_of(answer)["results"]] == own.get(who, ["acme", "other"])


@pytest.mark.parametrize("who", WHO)
def test_another_customer_does_not_exist_for_a_customers_user(who: str, people: Mapping[str, Person]) -> None:
    acme = Customer.objects.get(name="acme")
    answer = people[who].get(f"/v6/customers/{acme.pk}/")
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
    elif who == "stranger":
        refused(answer, 404, "CUSTOMER_NOT_FOUND")
    else:
        found = json_of(answer)
        assert set(found) == {"id", "name", "created"}
        assert (found["id"], found["name"]) == (acme.pk, "acme")


@pytest.mark.parametrize("who", WHO)
def test_admins_and_operators_make_customers(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].post("/v6/customers/", {"name": "new"})
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
    elif who in ("admin", "operator"):
        assert answer.status_code == 201
        assert json_of(people[who].get(answer.headers["Location"])) == json_of(answer)
        made = Event.objects.get(kind="customer.created")
        assert (made.actor, made.customer_id) == (people[who].user, json_of(answer)["id"])
    else:
        refused(answer, 403, "FORBIDDEN")
    assert Customer.objects.filter(name="new").exists() is (who in ("admin", "operator"))


@pytest.mark.parametrize("customer_id", ["999999", "9" * 18, "9" * 19, "acme", "-1"])
def test_what_is_no_customer_is_404(customer_id: str, operator: Person) -> None:
    refused(operator.get(f"/v6/customers/{customer_id}/"), 404)


@pytest.mark.parametrize("name", [None, "", " ", "x" * 256, "a\0b", "a\nb", [], {}, True])
def test_a_name_that_is_none_is_400_and_named(name: Any, operator: Person) -> None:
    refused(operator.post("/v6/customers/", {"name": name}), 400, "INVALID_REQUEST", "name")
    assert not Customer.objects.exists()


def test_a_name_is_taken_once_and_a_repeated_request_is_one(operator: Person) -> None:
    key = {"Idempotency-Key": "k"}
    first, second = (operator.post("/v6/customers/", {"name": "acme"}, headers=key) for _ in range(2))
    assert (first.status_code, json_of(first)) == (second.status_code, json_of(second))
    refused(operator.post("/v6/customers/", {"name": "acme"}), 409, "CUSTOMER_EXISTS")


@pytest.mark.parametrize("method", ["put", "patch", "delete"])
def test_there_is_no_other_method(method: str, operator: Person) -> None:
    made = json_of(operator.post("/v6/customers/", {"name": "acme"}))
    refused(getattr(operator.client, method)(f"/v6/customers/{made['id']}/"), 405, "METHOD_NOT_ALLOWED")


def test_filters_orders_and_what_a_list_costs(operator: Person) -> None:
    for number in range(12):
        Customer.objects.create(name=f"customer-{number:02}")
    found = json_of(operator.get("/v6/customers/?name=customer-03&name=customer-01&order=-name"))["results"]
    assert [each["name"] for each in found] == ["customer-03", "customer-01"]
    refused(operator.get("/v6/customers/?nam=x"), 400, "INVALID_REQUEST", "nam")
    with within_budget("GET /v6/customers/"):
        assert json_of(operator.get("/v6/customers/"))["count"] == 12
