"""A row as it was: what the changes of it say, folded back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.history import Change, Past, as_it_was, differing

pytestmark = pytest.mark.runs_once("sqlite", "no database is used")
NAMES = ("role", "limit", "settings", "hint")
VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(0, 3), st.dictionaries(st.sampled_from("ab"), st.integers(0, 2))
)
STATES = st.fixed_dictionaries(dict.fromkeys(NAMES, VALUES))
START = datetime(2026, 1, 1, tzinfo=UTC)


def change(number: int, before: Any, after: Any, **more: Any) -> Change:
    return Change(number, START + timedelta(minutes=number), "thing.changed", before, after, **more)


def recorded(states: list[dict[str, Any]], *, ends: bool) -> list[Change]:
    """What the log has of a row that was in these states, one after the other, newest first."""
    found = [change(1, {}, states[0], begins=True)]
    for number, (old, new) in enumerate(pairwise(states), start=2):
        found.append(change(number, *differing(old, new)))
    if ends:
        found.append(change(len(states) + 1, states[-1], {}, ends=True))
    return found[::-1]


@given(states=st.lists(STATES, min_size=1, max_size=8), ends=st.booleans())
def test_every_state_that_was_is_found_again(states: list[dict[str, Any]], ends: bool) -> None:
    changes = recorded(states, ends=ends)
    current = None if ends else states[-1]
    for number, state in enumerate(states, start=1):
        assert as_it_was(current, changes, number) == Past(state)
        # The log may be read to where it is needed only.
        assert as_it_was(current, [each for each in changes if each.id >= number], number) == Past(state)
        for seconds in (0, 59):
            assert as_it_was(current, changes, START + timedelta(minutes=number, seconds=seconds)) == Past(state)
    assert as_it_was(current, changes, 0) == Past(None)
    assert as_it_was(current, changes, START) == Past(None)
    assert as_it_was(current, changes, len(states) + 1) == Past(current)


@given(states=st.lists(STATES, min_size=3, max_size=8))
def test_what_the_log_has_forgotten_does_not_spoil_what_it_knows(states: list[dict[str, Any]]) -> None:
    kept = recorded(states, ends=False)[:-1]  # how it came to be is forgotten
    assert as_it_was(states[-1], kept, 0) == Past(states[0])


def test_a_change_that_tells_no_value_makes_the_earlier_one_unknown_until_it_is_told() -> None:
    silent = change(3, {}, {"fields": ["token", "hint"], "name": "a"})
    told = change(2, {"hint": "old"}, {"hint": "new"})
    current = {"hint": "newest", "name": "a"}
    assert as_it_was(current, [silent, told], 3) == Past(current)
    assert as_it_was(current, [silent, told], 2) == Past(current, frozenset({"token", "hint"}))
    assert as_it_was(current, [silent, told], 1) == Past({"hint": "old", "name": "a"}, frozenset({"token"}))


def test_what_looks_like_a_beginning_is_none_when_there_was_something_before() -> None:
    again = change(2, {}, {"limit": 5}, begins=True)
    first = change(1, {}, {"limit": 3}, begins=True)
    assert as_it_was({"limit": 5}, [again, first], 1).state is not None
    assert as_it_was({"limit": 5}, [again, first], 0).state is None


def test_only_what_differs_is_told() -> None:
    assert differing({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ({"b": 2}, {"b": 3, "c": 4})
