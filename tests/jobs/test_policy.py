"""Policies as they are written: what is read, and what is refused."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from controlplane.core.errors import InvalidRequest
from jobs.policy import MOST_PLACES, Policy, Rung, limit_seconds, read_policy, stored_policy

WHOLE: dict[str, Any] = {
    "places": [
        {"cloud": "aws", "region": "north-1", "capacity": "spot", "wait_seconds": 60},
        {"cloud": "local"},
    ],
    "tries": {"SYSTEM": 5, "DATA": 1},
    "backoff_seconds": 10,
    "max_backoff_seconds": 60,
    "max_cost": "2.50",
}


def test_all_of_it_is_read() -> None:
    assert read_policy(WHOLE, region="here") == Policy(
        places=(Rung("aws", "north-1", "spot", 60), Rung("local", "here")),
        tries={"SYSTEM": 5, "DATA": 1},
        backoff_seconds=10,
        max_backoff_seconds=60,
        max_cost=Decimal("2.5"),
    )


@pytest.mark.parametrize("given", [{name: value} for name, value in WHOLE.items()])
def test_each_part_stands_alone_and_is_stored_as_it_is(given: dict[str, Any]) -> None:
    policy = read_policy(given, region="here")
    assert stored_policy(json.loads(json.dumps(policy.document()))) == policy


def test_why_a_place_was_chosen_is_stored_but_not_taken() -> None:
    policy = Policy(places=(Rung("local", "here", chosen={"waits_for": []}),))
    assert stored_policy(policy.document()) == policy
    assert policy.is_chosen
    with pytest.raises(InvalidRequest):
        read_policy(policy.document())


@pytest.mark.parametrize("cost", ["2.50", 2.5, "0.0000000001", 10**9, "1E+3"])
def test_money_is_text_or_a_number(cost: Any) -> None:
    assert read_policy({"max_cost": cost}).max_cost == Decimal(str(cost))


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "policy"),
        ([], "policy"),
        (None, "policy"),
        ({"place": []}, "policy.place"),
        ({"places": {}}, "policy.places"),
        ({"places": []}, "policy"),
        ({"places": [{"cloud": "local"}] * (MOST_PLACES + 1)}, "policy.places"),
        ({"places": ["local"]}, "policy.places[0]"),
        ({"places": [{"cloud": "local"}, {"cloud": "aws"}]}, "policy.places[1].region"),
        ({"places": [{"region": "north-1"}]}, "policy.places[0].cloud"),
        ({"places": [{"cloud": "local", "region": "a\0"}]}, "policy.places[0].region"),
        ({"places": [{"cloud": "local", "region": 7}]}, "policy.places[0].region"),
        ({"places": [{"cloud": "aws", "region": "x", "capacity": "cheap"}]}, "policy.places[0].capacity"),
        ({"places": [{"cloud": "local", "wait_seconds": 0}]}, "policy.places[0].wait_seconds"),
        ({"places": [{"cloud": "local", "queue": "x"}]}, "policy.places[0].queue"),
        ({"tries": {"SYSTEM": 0}}, "policy.tries.SYSTEM"),
        ({"tries": {"SYSTEM": True}}, "policy.tries.SYSTEM"),
        ({"tries": {"OTHER": 1}}, "policy.tries.OTHER"),
        ({"tries": 3}, "policy.tries"),
        ({"backoff_seconds": -1}, "policy.backoff_seconds"),
        ({"max_backoff_seconds": "60"}, "policy.max_backoff_seconds"),
        ({"max_cost": 0}, "policy.max_cost"),
        ({"max_cost": "-1"}, "policy.max_cost"),
        ({"max_cost": "a lot"}, "policy.max_cost"),
        ({"max_cost": "NaN"}, "policy.max_cost"),
        ({"max_cost": "Infinity"}, "policy.max_cost"),
        ({"max_cost": True}, "policy.max_cost"),
        ({"max_cost": "0.00000000001"}, "policy.max_cost"),
        ({"max_cost": 10**10}, "policy.max_cost"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(given: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_policy(given, region="here")
    assert refused.value.field == field


def test_tries_of_all_kinds_bound_the_executions() -> None:
    assert read_policy({"tries": {"SYSTEM": 5, "ALGORITHM": 2, "DATA": 1}}).most_tries == 6
    assert read_policy({"backoff_seconds": 1}).most_tries is None


@pytest.mark.parametrize(
    ("given", "pauses"),
    [
        ({"max_cost": 1}, [2, 4, 8, 16, 20]),
        ({"backoff_seconds": 5}, [5, 10, 20, 20, 20]),
        ({"backoff_seconds": 0}, [0, 0, 0, 0, 0]),
        ({"max_backoff_seconds": 3}, [2, 3, 3, 3, 3]),
    ],
)
def test_pauses_double_up_to_their_bound(given: dict[str, Any], pauses: list[int]) -> None:
    policy = read_policy(given)
    assert [policy.pause(tries, 2, 20) for tries in range(1, 6)] == pauses
    assert policy.pause(32_767, 2, 20) == pauses[-1]


def test_the_last_place_stands_for_all_that_would_follow() -> None:
    policy = read_policy(WHOLE, region="here")
    assert [policy.has_next(number) for number in (0, 1, 2)] == [True, False, False]
    assert policy.rung(7) == Rung("local", "here")
    assert read_policy({"max_cost": 1}).rung(0) is None


@pytest.mark.parametrize(
    ("timeout", "affordable", "limit"), [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (5, 0, 0)]
)
def test_money_and_timeout_bound_an_execution(timeout: int | None, affordable: int | None, limit: int | None) -> None:
    assert limit_seconds(timeout, affordable) == limit
