"""Filters of lists: what they read, what they refuse and by which name."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import EmptyResultSet
from django.http import QueryDict
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import ApiToken, Role, User
from controlplane.core.filters import (
    MAX_LENGTH,
    MAX_VALUES,
    AbsentFilter,
    BooleanFilter,
    ChoicesFilter,
    FilterSet,
    MomentFilter,
    ReferencesFilter,
    TextsFilter,
    WholesFilter,
    one_of,
    read_reference,
    read_whole,
)
from tests.factories import make_monitor, make_operator


class Tokens(FilterSet):
    """One of each kind."""

    name = TextsFilter(field_name="name")
    user = ReferencesFilter(field_name="user")
    user_id = WholesFilter(field_name="user_id")
    role = ChoicesFilter(choices=Role.values, field_name="user__role")
    enabled = BooleanFilter(field_name="user__is_active")
    made_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    batch_id = AbsentFilter()

    class Meta:
        model = ApiToken
        fields: list[str] = []


class Users(FilterSet):
    user = ReferencesFilter(field_name="id")

    class Meta:
        model = User
        fields: list[str] = []


def tokens(query: str | dict[str, Any]) -> Tokens:
    return Tokens(QueryDict(query) if isinstance(query, str) else query, ApiToken.objects.order_by("pk"))


def found(query: str | dict[str, Any]) -> list[str]:
    filters = tokens(query)
    assert filters.is_valid(), filters.faults()
    return [token.user.username for token in filters.qs.select_related("user")]


def faults(query: str | dict[str, Any]) -> dict[str, list[str]]:
    filters = tokens(query)
    assert not filters.is_valid()
    return filters.faults()


@pytest.mark.django_db
def test_values_of_one_filter_are_ored_and_filters_are_anded() -> None:
    ada, bob, eve = make_operator("ada"), make_operator("bob"), make_monitor("eve")
    assert found("") == ["ada", "bob", "eve"]
    assert found("role=operator") == ["ada", "bob"]
    assert found("role=OPERATOR&role=monitor") == ["ada", "bob", "eve"]
    assert found(f"user={ada.user.pk}&user={eve.user.uuid}") == ["ada", "eve"]
    assert found(f"user={ada.user.pk}&user={eve.user.uuid}&role=monitor") == ["eve"]
    assert found(f"user_id={bob.user.pk}") == ["bob"]
    assert found("enabled=true") == ["ada", "bob", "eve"]
    assert found("enabled=F") == []
    assert found("made_after=PT1H") == ["ada", "bob", "eve"]
    assert found("made_after=2999-01-01T00:00:00Z") == []
    assert found("batch_id=7") == []
    assert found("name=&role=&enabled=&made_after=") == ["ada", "bob", "eve"]
    assert found("role=&role=monitor") == ["eve"]


@pytest.mark.django_db
def test_a_row_itself_is_named_by_id_or_uuid() -> None:
    ada, bob = make_operator("ada"), make_operator("bob")
    make_operator("eve")
    query = QueryDict(f"user={ada.user.pk}&user={bob.user.uuid.hex}")
    assert {user.username for user in Users(query, User.objects.all()).qs} == {"ada", "bob"}


@pytest.mark.django_db
@pytest.mark.parametrize("enabled", ["true", True, ["true"], ["false", "true"], None, []])
def test_a_body_says_the_same_as_an_address(enabled: Any) -> None:
    ada = make_operator("ada")
    make_monitor("eve")
    assert found({"role": ["operator", "monitor"], "enabled": enabled}) == ["ada", "eve"]
    assert found({"role": "operator", "user": ada.user.pk, "name": None}) == ["ada"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("rol=operator", "rol"), ("role=root", "role"), ("role=operator&role=root", "role"), ("user=ada", "user"),
        ("user=-1", "user"), ("user=" + "9" * 19, "user"), ("user_id=1.5", "user_id"), ("user_id=x", "user_id"),
        ("enabled=maybe", "enabled"), ("made_after=today", "made_after"), ("name=%00", "name"),
        ("made_after=%00", "made_after"), ("made_after=2026-03-01T00:00:00", "made_after"),
        ("name=" + "x" * (MAX_LENGTH + 1), "name"), ("enabled=%00", "enabled"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(query: str, field: str) -> None:
    assert list(faults(query)) == [field]


def test_every_fault_is_told() -> None:
    assert set(faults("rol=operator&enabled=maybe&user=x&page=1&order=id")) == {"rol", "enabled", "user"}


def test_too_many_values_and_halves_of_characters_are_refused() -> None:
    assert list(faults({"name": ["x"] * (MAX_VALUES + 1)})) == ["name"]
    assert list(faults({"name": ["\ud800"]})) == ["name"]


def test_what_lists_take_besides_is_no_filter() -> None:
    assert tokens("page=1&page_size=2&order=id&after=x&before=y&format=json").is_valid()


def test_what_was_chosen_means_the_same_later() -> None:
    filters = tokens("role=OPERATOR&enabled=0&made_after=PT1H&user=7")
    assert filters.is_valid()
    chosen = filters.chosen()
    moment = datetime.fromisoformat(chosen.pop("made_after")[0])
    assert abs(datetime.now(UTC) - timedelta(hours=1) - moment) < timedelta(seconds=10)
    assert chosen == {"role": ["operator"], "enabled": ["false"], "user": ["7"]}
    assert Tokens(chosen, ApiToken.objects.all()).is_valid()


@given(st.text(max_size=60) | st.integers().map(str) | st.uuids().map(str))
def test_readers_read_or_refuse(text: str) -> None:
    for read in (read_reference, read_whole, one_of(["One", "two"])):
        try:
            value = read(text)
        except ValueError:
            continue
        assert not isinstance(value, int) or 0 <= value < 10**18


@given(st.sampled_from(["name", "user", "user_id", "role", "enabled", "made_after", "batch_id"]), st.text(max_size=40))
def test_no_value_is_more_than_refused(name: str, text: str) -> None:
    filters = tokens({name: [text] if name not in ("enabled", "made_after") else text})
    if filters.is_valid():
        with contextlib.suppress(EmptyResultSet):
            str(filters.qs.query)
    else:
        assert list(filters.faults()) == [name]
