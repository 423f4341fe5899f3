"""POST /submit with a token that this process has seen before: two statements, and no less strict."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts import services
from accounts.models import ApiToken, Role
from jobs.models import Job
from tests.factories import make_operator
from tests.query_budget import counted

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
GOOD = {"customer": "acme", "cloud": "local", "region": "local", "id": "x", "image": "x", "command": ["true"]}


def test_a_token_seen_before_submits_in_fewer_statements() -> None:
    operator = make_operator()
    assert operator.post("/submit", GOOD).status_code == 200
    with counted() as second:
        assert operator.post("/submit", GOOD).status_code == 200
    assert len(second) == (2 if connection.vendor == "postgresql" else 7), str(second)
    assert Job.objects.filter(owner=operator.user).count() == 2


@pytest.mark.parametrize(
    "happens",
    [
        lambda person: services.disable_user(username=person.user.username, actor=None),
        lambda person: services.revoke_tokens(user=person.user, actor=None),
        lambda person: services.regenerate_token(username=person.user.username, actor=None),
        lambda person: ApiToken.objects.update(expires_at=timezone.now()),
    ],
)
@pytest.mark.parametrize("body", [GOOD, {}])
def test_a_token_seen_before_is_refused_at_once_when_it_ends(happens: Any, body: Any) -> None:
    operator = make_operator()
    assert operator.post("/submit", GOOD).status_code == 200
    happens(operator)
    assert operator.post("/submit", body).status_code == 401
    assert Job.objects.count() == 1


def test_a_token_seen_before_submits_in_the_role_its_user_has_now() -> None:
    operator = make_operator()
    assert operator.post("/submit", GOOD).status_code == 200
    services.set_role(user=operator.user, role=Role.MONITOR, actor=None)
    assert operator.post("/submit", GOOD).status_code == 403
    assert Job.objects.count() == 1


def test_the_same_key_twice_goes_the_ordinary_way() -> None:
    operator = make_operator()
    header = {"Idempotency-Key": "k"}
    assert operator.post("/submit", GOOD).status_code == 200
    answers = [operator.post("/submit", GOOD, headers=header).content for _ in range(2)]
    assert answers[0] == answers[1]
    assert Job.objects.count() == 2
