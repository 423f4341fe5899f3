"""/api/v1/feedback and /api/v1/limit-change-requests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from accounts.models import Feedback, LimitChangeRequest
from tests.contracts.fishjam import AUTH, FEEDBACK, LIMITS
from tests.factories import Person
from tests.people import WHO, everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
NOBODY = ("anonymous", "disabled")


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


@pytest.mark.parametrize("who", WHO)
def test_everybody_who_is_known_says_something_and_asks_for_themselves(who: str, people: Mapping[str, Person]) -> None:
    with within_budget("POST /api/v1/feedback"):
        said = people[who].post(FEEDBACK, {"feedback_type": "good", "message": "It flies."})
    with within_budget("POST /api/v1/limit-change-requests"):
        asked = people[who].post(LIMITS, {"desired_limit": 6, "reason": ""})
    if who in NOBODY:
        assert (said.status_code, asked.status_code) == (401, 401)
        assert not Feedback.objects.exists()
        assert not LimitChangeRequest.objects.exists()
        return
    assert (said.status_code, set(said.json())) == (200, {"detail"})
    assert (asked.status_code, set(asked.json())) == (201, {"detail"})
    assert Feedback.objects.get().user == people[who].user
    request = LimitChangeRequest.objects.get()
    assert (request.user, request.status, request.desired_limit) == (people[who].user, "PENDING", 6)
    assert people[who].get(f"{AUTH}/user").json()["last_feedback_timestamp"] is not None


@pytest.mark.parametrize(
    "body",
    [
        {}, {"feedback_type": "praise"}, {"feedback_type": None}, {"feedback_type": 7},
        {"feedback_type": "bug", "message": "x" * 2001}, {"feedback_type": "bug", "message": 7},
        {"feedback_type": "bug", "message": None}, {"feedback_type": "bug", "message": "a\0b"}, [], b"{",
    ],
)  # fmt: skip
def test_feedback_that_cannot_be_read_is_refused(body: Any, people: Mapping[str, Person]) -> None:
    assert people["owner"].post(FEEDBACK, body).status_code == 422
    assert not Feedback.objects.exists()


def test_feedback_needs_no_message(people: Mapping[str, Person]) -> None:
    for kind in ("good", "bad", "bug", "feature_request", "general_feedback"):
        assert people["owner"].post(FEEDBACK, {"feedback_type": kind}).status_code == 200
    assert people["owner"].post(FEEDBACK, {"feedback_type": "bug", "message": "ü" * 2000}).status_code == 200


def test_too_much_feedback_is_told_when_to_come_again(people: Mapping[str, Person]) -> None:
    answers = [people["owner"].post(FEEDBACK, {"feedback_type": "bug"}) for _ in range(11)]
    assert [each.status_code for each in answers] == [200] * 10 + [429]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 3600
    assert people["colleague"].post(FEEDBACK, {"feedback_type": "bug"}).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422), ({"desired_limit": 9}, 422), ({"reason": "x"}, 422), ({"desired_limit": 0, "reason": "x"}, 422),
        ({"desired_limit": -1, "reason": "x"}, 422), ({"desired_limit": "9", "reason": "x"}, 422),
        ({"desired_limit": 9.5, "reason": "x"}, 422), ({"desired_limit": True, "reason": "x"}, 422),
        ({"desired_limit": 9, "reason": "x" * 1025}, 422), ({"desired_limit": 9, "reason": None}, 422),
        ({"desired_limit": 9, "reason": "\0"}, 422), ({"desired_limit": 5, "reason": "x"}, 400),
        ({"desired_limit": 10**6 + 1, "reason": "x"}, 400), ({"desired_limit": 10**30, "reason": "x"}, 400),
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_had_is_refused(body: Any, status: int, people: Mapping[str, Person]) -> None:
    assert people["owner"].post(LIMITS, body).status_code == status
    assert not LimitChangeRequest.objects.exists()


def test_one_wish_waits_at_a_time(people: Mapping[str, Person]) -> None:
    body = {"desired_limit": 9, "reason": "x" * 1024}
    assert [people["owner"].post(LIMITS, body).status_code for _ in range(2)] == [201, 409]
    assert people["colleague"].post(LIMITS, body).status_code == 201
