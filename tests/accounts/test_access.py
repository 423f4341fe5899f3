"""The whole table of DESIGN.md: who may do what to whose rows, why, and what stays hidden."""

from __future__ import annotations

import pytest

from accounts.access import CHANGE, COLLEAGUE, OWNER, PERSONAL, READ, STRANGER, TABLE, decide, demand, relation
from accounts.models import Role, User
from controlplane.core.errors import Forbidden

RC, R, NOTHING = frozenset({READ, CHANGE}), frozenset({READ}), frozenset[str]()
# Written down a second time on purpose: a change of the table in accounts.access is a decision.
EXPECTED = {
    "users": (RC, NOTHING, NOTHING, RC, NOTHING, NOTHING),
    "tokens": (RC, NOTHING, NOTHING, RC, NOTHING, NOTHING),
    "customers": (RC, RC, R, R, R, NOTHING),
    "jobs": (RC, RC, R, RC, R, NOTHING),
    "job_types": (RC, RC, R, R, R, R),
    "files": (RC, RC, R, RC, R, NOTHING),
    "artifacts": (RC, RC, R, RC, R, NOTHING),
    "operations": (RC, RC, R, RC, NOTHING, NOTHING),
    "holds": (RC, RC, R, R, NOTHING, NOTHING),
    "limit_requests": (RC, RC, R, R, NOTHING, NOTHING),
    "webhooks": (RC, R, R, RC, NOTHING, NOTHING),
    "clusters": (RC, R, R, RC, NOTHING, NOTHING),
    "bills": (RC, R, R, R, R, NOTHING),
    "budgets": (RC, RC, R, R, R, NOTHING),
    "prices": (RC, R, R, NOTHING, NOTHING, NOTHING),
    "payments": (RC, R, R, RC, NOTHING, NOTHING),
    "events": (R, R, R, R, R, NOTHING),
}
WHO = (Role.ADMIN, Role.OPERATOR, Role.MONITOR, OWNER, COLLEAGUE, STRANGER)


def somebody(who: str) -> User:
    """A user who is `who` to a row of owner 1 and customer 10. No database: the table needs none."""
    if who in Role.values:
        return User(pk=2, username=who, role=who)
    pk, customer = {OWNER: (1, 10), COLLEAGUE: (2, 10), STRANGER: (3, 11)}[who]
    return User(pk=pk, username=who, role=Role.CUSTOMER, customer_id=customer)


def test_the_table_has_no_other_areas_and_people() -> None:
    assert set(TABLE) == set(EXPECTED)
    assert all(set(row) == set(WHO) for row in TABLE.values())


@pytest.mark.parametrize("action", [READ, CHANGE])
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("area", EXPECTED)
def test_each_may_do_what_the_table_says_and_is_told_why(area: str, who: str, action: str) -> None:
    allowed = action in EXPECTED[area][WHO.index(who)]
    decision = decide(somebody(who), area, action, owner_id=1, customer_id=10)
    assert decision.allowed is allowed
    assert decision.why == f"{who}: {'may' if allowed else 'may not'} {action} {area}"


@pytest.mark.parametrize("action", [READ, CHANGE])
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("area", EXPECTED)
def test_a_row_is_hidden_from_customers_who_may_do_nothing_to_it_and_what_is_personal_from_staff_too(
    area: str, who: str, action: str
) -> None:
    decision = decide(somebody(who), area, action, owner_id=1, customer_id=10)
    hides = who in (COLLEAGUE, STRANGER) or area in PERSONAL
    assert decision.hidden is (hides and not EXPECTED[area][WHO.index(who)])


@pytest.mark.parametrize("action", [READ, CHANGE])
@pytest.mark.parametrize("role", [Role.OPERATOR, Role.MONITOR])
@pytest.mark.parametrize("area", sorted(PERSONAL))
def test_what_is_personal_belongs_to_its_owner_whatever_their_role(area: str, role: str, action: str) -> None:
    decision = decide(User(pk=1, username="ada", role=role), area, action, owner_id=1)
    assert (decision.allowed, decision.why) == (True, f"owner: may {action} {area}")


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.MONITOR, Role.CUSTOMER])
def test_what_nobody_owns_yet_is_made_by_who_may_and_else_refused_with_the_reason(role: str) -> None:
    demand(User(pk=1, username="root", role=Role.ADMIN), "users", CHANGE)
    with pytest.raises(Forbidden, match="may not change users"):
        demand(User(pk=2, username="ada", role=role, customer_id=10), "users", CHANGE)


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("area", EXPECTED)
def test_a_disabled_user_may_do_nothing(area: str, who: str) -> None:
    user = somebody(who)
    user.is_active = False
    decision = decide(user, area, READ, owner_id=1, customer_id=10)
    assert (decision.allowed, decision.hidden) == (False, False)
    assert decision.why == f"{who} is disabled"


@pytest.mark.parametrize("role", [Role.ADMIN, Role.OPERATOR, Role.MONITOR])
def test_staff_have_their_role_even_to_their_own_rows(role: str) -> None:
    assert relation(User(pk=1, role=role, customer_id=10), 1, 10) == role


def test_the_owner_is_the_owner_whatever_the_customer() -> None:
    assert relation(User(pk=1, role=Role.CUSTOMER, customer_id=11), 1, 10) == OWNER


def test_two_without_a_customer_are_no_colleagues() -> None:
    assert relation(User(pk=2, role=Role.CUSTOMER, customer_id=None), 1, None) == STRANGER


def test_a_row_without_an_owner_belongs_to_its_customer() -> None:
    assert relation(User(pk=2, role=Role.CUSTOMER, customer_id=10), None, 10) == COLLEAGUE
