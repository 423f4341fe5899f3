"""/v6/limit-change-requests/, and what /v6/users/ says and changes of limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from accounts import services
from accounts.models import LimitChangeRequest
from tests.answers import json_of
from tests.factories import Person
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/limit-change-requests/"
BODY = {"desired_limit": 20, "reason": "More rooms."}
FIELDS = {
    *("id", "user", "limit_then", "desired_limit", "reason", "status", "note", "created", "decided_by", "decided"),
}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


def wish(person: Person) -> LimitChangeRequest:
    return services.request_limit(user=person.user, **BODY)  # type: ignore[arg-type]


@pytest.mark.parametrize("who", WHO)
def test_staff_list_all_and_everybody_else_their_own(who: str, people: Mapping[str, Person]) -> None:
    for person in ("owner", "colleague", "stranger"):
        wish(people[person])
    with within_budget("GET /v6/limit-change-requests/"):
        answer = people[who].get(PATH)
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
        return
    rows = json_of(answer)["results"]
    staff = who in ("admin", "operator", "monitor")
    assert {row["user"] for row in rows} == ({"owner", "colleague", "stranger"} if staff else {who})
    assert all(set(row) == FIELDS for row in rows)


@pytest.mark.parametrize("who", WHO)
def test_a_wish_is_there_for_its_user_and_staff(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].get(f"{PATH}{wish(people['owner']).pk}/")
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
    elif who in ("colleague", "stranger"):
        refused(answer, 404, "LIMIT_REQUEST_NOT_FOUND")
    else:
        assert json_of(answer)["desired_limit"] == 20


@pytest.mark.parametrize("who", WHO)
def test_everybody_asks_for_themselves_once_at_a_time(who: str, people: Mapping[str, Person]) -> None:
    answer = people[who].post(PATH, BODY, headers={"Idempotency-Key": "one"})
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
        return
    assert (answer.status_code, answer.json()["status"]) == (201, "PENDING")
    assert answer.headers["Location"].endswith(f"{PATH}{answer.json()['id']}/")
    again = people[who].post(PATH, BODY, headers={"Idempotency-Key": "one"})
    assert (again.status_code, again.json()) == (201, answer.json())
    refused(people[who].post(PATH, BODY), 409, "LIMIT_REQUEST_PENDING")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "x"}, "desired_limit"), ({"desired_limit": 9}, "reason"),
        ({"desired_limit": 5, "reason": "x"}, "desired_limit"), ({"desired_limit": 0, "reason": "x"}, "desired_limit"),
        ({"desired_limit": 10**6 + 1, "reason": "x"}, "desired_limit"),
        ({"desired_limit": "9", "reason": "x"}, "desired_limit"), ({**BODY, "status": "APPROVED"}, "status"),
        ({**BODY, "reason": "x" * 1025}, "reason"),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_had_names_the_field(body: Any, field: str, people: Mapping[str, Person]) -> None:
    refused(people["owner"].post(PATH, body), 400, field=field)
    assert not LimitChangeRequest.objects.exists()


@pytest.mark.parametrize("verb", ["approve", "reject"])
@pytest.mark.parametrize("who", WHO)
def test_admins_and_operators_decide_once(who: str, verb: str, people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    path = f"{PATH}{wish(owner).pk}/{verb}/"
    answer = people[who].post(path, {"note": "As you like."})
    status = {"anonymous": 401, "disabled": 401, "colleague": 404, "stranger": 404, "monitor": 403, "owner": 403}
    owner.user.refresh_from_db()
    if who in status:
        refused(answer, status[who])
        assert (owner.user.instance_limit, LimitChangeRequest.objects.get().status) == (5, "PENDING")
        return
    assert answer.status_code == 200
    decided = {"approve": ("APPROVED", 20), "reject": ("REJECTED", 5)}[verb]
    assert (answer.json()["status"], owner.user.instance_limit) == decided
    assert answer.json()["decided_by"] == people[who].user.username
    seen = owner.get(f"{PATH}{answer.json()['id']}/").json()
    assert (seen["decided_by"], seen["note"], seen["status"]) == (None, "As you like.", decided[0])
    for other in ("approve", "reject"):
        refused(people[who].post(f"{PATH}{answer.json()['id']}/{other}/", {}), 409, "LIMIT_REQUEST_DECIDED")


def test_a_decision_is_about_something_and_has_a_note_only(people: Mapping[str, Person]) -> None:
    refused(people["admin"].post(f"{PATH}999/approve/", {}), 404, "LIMIT_REQUEST_NOT_FOUND")
    path = f"{PATH}{wish(people['owner']).pk}/approve/"
    for body, field in (({"note": 7}, "note"), ({"limit": 9}, "limit"), ({"note": "x" * 1025}, "note")):
        refused(people["admin"].post(path, body), 400, field=field)
    assert people["admin"].post(path).status_code == 200


def test_the_list_is_filtered_and_ordered(people: Mapping[str, Person]) -> None:
    services.reject_limit(request=wish(people["owner"]), actor=None)
    wish(people["stranger"])
    for parameters, users in (
        ({"status": "PENDING"}, ["stranger"]),
        ({"user": "owner"}, ["owner"]),
        ({"order": "id"}, ["owner", "stranger"]),
        ({}, ["stranger", "owner"]),
    ):
        rows = json_of(people["monitor"].get(PATH, **parameters))["results"]
        assert [row["user"] for row in rows] == users, parameters
    refused(people["monitor"].get(PATH, status="MAYBE"), 400, field="status")


# --- Users ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", WHO)
def test_limits_and_features_are_changed_by_admins_only(who: str, people: Mapping[str, Person]) -> None:
    user = people["owner"].user
    body = {"instance_limit": 9, "allowed_features": ["recordings"]}
    answer = people[who].patch(f"/v6/users/{user.pk}/", body)
    user.refresh_from_db()
    if who == "admin":
        assert {name: answer.json()[name] for name in body} == body
        assert answer.json()["is_verified"] is True
        assert (user.instance_limit, user.allowed_features) == (9, ["recordings"])
    else:
        refused(answer, {"anonymous": 401, "disabled": 401, "owner": 403}.get(who, 404))
        assert (user.instance_limit, user.allowed_features) == (5, [])
    if who not in ("admin", "anonymous", "disabled"):
        refused(people[who].patch("/v6/users/me/", body), 403)


@pytest.mark.parametrize(
    "body",
    [
        {"instance_limit": -1}, {"instance_limit": 10**6 + 1}, {"instance_limit": None}, {"instance_limit": "9"},
        {"allowed_features": ["flying"]}, {"allowed_features": "recordings"}, {"allowed_features": None},
        {"allowed_features": ["recordings", "recordings"]},
    ],
)  # fmt: skip
def test_a_limit_or_a_feature_that_is_none_is_refused(body: Any, people: Mapping[str, Person]) -> None:
    path = f"/v6/users/{people['owner'].user.pk}/"
    refused(people["admin"].patch(path, body), 400)
