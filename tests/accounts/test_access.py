"""The whole table of DESIGN.md: who may do what to whose rows, why, and what stays hidden."""

from __future__ import annotations

import pytest

from accounts.access import CHANGE, COLLEAGUE, OWNER, READ, STRANGER, TABLE, decide, relation
from accounts.models import Role, User

RC, R, NOTHING = frozenset({READ, CHANGE}), frozenset({READ}), frozenset[str]()
# Written down a second time on purpose: a change of the table in accounts.access is a decision.
EXPECTED = {
    "users": (RC, NOTHING, NOTHING, R, NOTHING, NOTHING),
    "jobs": (RC, RC, R, RC, R, NOTHING),
    "holds": (RC, RC, R, R, NOTHING, NOTHING),
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
def test_a_row_is_hidden_from_customers_who_may_do_nothing_to_it_and_from_nobody_else(
    area: str, who: str, action: str
) -> None:
    decision = decide(somebody(who), area, action, owner_id=1, customer_id=10)
    assert decision.hidden is (who in (COLLEAGUE, STRANGER) and not EXPECTED[area][WHO.index(who)])


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
