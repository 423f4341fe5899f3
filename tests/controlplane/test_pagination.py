"""Lists by pages that go on by key, tried on real ones."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.api.v6.views import Tokens, Users
from accounts.models import ApiToken, User
from controlplane.core import pagination
from controlplane.core.pagination import MAX_PAGE_SIZE, PAGE_SIZE, count_of
from tests.answers import json_of
from tests.factories import Person, make_admin, make_operator
from tests.people import refused

pytestmark = pytest.mark.django_db
START = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = [f"{sign}{name}" for name in Tokens.orders for sign in ("", "-")]
# What is slow here is the request, not the making of examples.
_FEW = hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def admin() -> Person:
    return make_admin("root")


@pytest.fixture
def rows(admin: Person) -> list[ApiToken]:
    """Tokens with equal and with absent values in every column."""
    owners = [admin.user, *(make_operator(f"operator-{number}").user for number in range(2))]
    for number in range(10):
        moment = START + timedelta(hours=number // 3, microseconds=number % 2)
        ApiToken.objects.create(
            user=owners[number % 3],
            name=f"name-{number % 4}" if number % 2 else "",
            prefix="prefix",
            digest=f"digest-{number}",
            created_at=moment,
            expires_at=moment if number % 3 else None,
            last_used_at=None if number % 2 else moment,
        )
    return list(ApiToken.objects.order_by("pk"))


def page(person: Person, query: str) -> Any:
    return json_of(person.get(f"/v6/tokens/?{query}"))


def follow(person: Person, first: Any, link: str) -> list[Any]:
    """The pages from `first` on."""
    pages = [first]
    while pages[-1][link] is not None:
        pages.append(json_of(person.client.get(pages[-1][link])))
        assert len(pages) < 50
    return pages


def ids(pages: list[Any]) -> list[str]:
    return [row["id"] for each in pages for row in each["results"]]


def key_of(*values: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


# --- Walking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [*ORDERS, "-name&order=expires", "last_used&order=-created", "user&order=-expires"])
@pytest.mark.parametrize("size", [4, 100])
def test_walking_on_and_back_gives_each_row_once(order: str, size: int, admin: Person, rows: list[ApiToken]) -> None:
    whole = ids([page(admin, f"order={order}&page_size=1000")])
    assert len(whole) == len(set(whole)) == len(rows)
    forward = follow(admin, page(admin, f"order={order}&page_size={size}"), "next")
    assert ids(forward) == whole
    assert [each["count"] for each in forward] == [len(rows)] * len(forward)
    backward = follow(admin, forward[-1], "previous")[::-1]
    assert ids(backward) == whole
    assert backward[0]["previous"] is None
    assert forward[-1]["next"] is None


@pytest.mark.parametrize("order", ORDERS)
def test_rows_come_in_the_order_asked_for_and_absent_values_last(
    order: str, admin: Person, rows: list[ApiToken]
) -> None:
    name = order.removeprefix("-")
    shown = [row[name] for row in page(admin, f"order={order}&page_size=1000")["results"]]
    if name == "id":
        expected = [str(row.uuid) for row in rows]
        assert shown == (expected if order == "id" else expected[::-1])
        return
    # Absent is later than everything: last, or first where the order descends.
    moment = datetime.fromisoformat if name in ("created", "expires", "last_used") else str
    keys = [(value is None, "" if value is None else moment(value)) for value in shown]
    assert keys == sorted(keys, reverse=order.startswith("-"))


def test_a_list_that_grows_and_shrinks_while_it_is_walked_loses_no_row_that_stays(
    admin: Person, rows: list[ApiToken]
) -> None:
    first = page(admin, "order=created&page_size=4")
    ApiToken.objects.create(user=admin.user, prefix="new", digest="new", created_at=START - timedelta(days=1))
    ApiToken.objects.filter(uuid=first["results"][0]["id"]).delete()
    rest = follow(admin, json_of(admin.client.get(first["next"])), "next")
    assert len(ids([first, *rest])) == len(set(ids([first, *rest]))) == len(rows)
    # What was made before the first page is found on the way back.
    back = follow(admin, rest[0], "previous")
    assert json_of(admin.client.get(back[-1]["next"]))["results"] != []
    assert any(row["prefix"] == "new" for each in back for row in each["results"])


def test_pages_of_one_row_can_be_walked_too(admin: Person, rows: list[ApiToken]) -> None:
    pages = follow(admin, page(admin, "order=-expires&page_size=1"), "next")
    assert ids(follow(admin, pages[-1], "previous")[::-1]) == ids(pages)
    assert len(pages) == len(rows)


def test_links_keep_what_was_asked_for(admin: Person, rows: list[ApiToken]) -> None:
    first = page(admin, "order=-name&order=user&archived=false&page_size=2")
    query = parse_qs(urlsplit(first["next"]).query)
    assert query.pop("after")
    assert query == {"order": ["-name", "user"], "archived": ["false"], "page_size": ["2"], "page": ["2"]}
    second = parse_qs(urlsplit(json_of(admin.client.get(first["next"]))["previous"]).query)
    assert ("after" in second, "before" in second, second["page"]) == (False, True, ["1"])


def test_pages_by_number_are_those_by_key(admin: Person, rows: list[ApiToken]) -> None:
    pages = follow(admin, page(admin, "page_size=3"), "next")
    by_number = [page(admin, f"page_size=3&page={number}") for number in range(1, len(pages) + 1)]
    assert ids(by_number) == ids(pages)
    assert ids([page(admin, "page_size=3&page=last")]) == ids(pages[-1:])


# --- Pages ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["0", "-1", "99", "x", "1.5", "", "9" * 30, "9" * 5000, "%00", "last "])
def test_a_page_that_is_none_is_404(number: str, admin: Person, rows: list[ApiToken]) -> None:
    answer = admin.get(f"/v6/tokens/?page={number}&page_size=3")
    refused(answer, 404, "NOT_FOUND", None, "Invalid page.")


def test_a_deep_page_is_reached_by_key_only(
    admin: Person, rows: list[ApiToken], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pagination, "DEEPEST", 6)
    pages = follow(admin, page(admin, "order=id&page_size=3"), "next")
    assert ids(pages) == [str(row.uuid) for row in rows]
    assert page(admin, "order=id&page_size=3&page=2")["results"] == pages[1]["results"]
    refused(admin.get("/v6/tokens/?order=id&page_size=3&page=3"), 400, "INVALID_REQUEST", "page", "next")


@pytest.mark.parametrize(
    ("given", "size"),
    [("1", 1), ("007", 7), ("1000", 1000), ("1001", 1000), ("9" * 50, 1000), ("0", 100), ("000", 100), ("", 100),
     ("-1", 100), ("x", 100), ("1.5", 100), ("²", 100), ("٣", 100)],
)  # fmt: skip
def test_what_is_no_size_counts_as_not_given(given: str, size: int) -> None:
    assert pagination._page_size(given) == size
    assert pagination._page_size(None) == PAGE_SIZE


@_FEW
@given(text=st.text(max_size=30) | st.integers().map(str))
def test_every_size_is_within_bounds(text: str) -> None:
    assert 1 <= pagination._page_size(text) <= MAX_PAGE_SIZE


def test_an_empty_list_has_one_page(admin: Person) -> None:
    assert page(admin, "name=nothing") == {"count": 0, "next": None, "previous": None, "results": []}
    assert page(admin, "name=nothing&page=1&page_size=5")["results"] == []
    refused(admin.get("/v6/tokens/?name=nothing&page=2"), 404)


@pytest.mark.parametrize("order", ["digest", "--id", "-", "id,name", "%00", "user__password", "+id"])
def test_an_order_that_is_none_is_400_and_named(order: str, admin: Person) -> None:
    refused(admin.get(f"/v6/tokens/?order={order}"), 400, "INVALID_REQUEST", "order")


# --- Keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["after", "before"])
@pytest.mark.parametrize(
    "key",
    ["", "x", "%00", "!!!!", "é", "a" * 5, key_of(), key_of(1), key_of(1, 2), key_of(None, None), key_of("now", 1),
     key_of("2026-01-01T00:00:00", 1), key_of("0001-01-01T00:00:00+14:00", 1), key_of("9999-12-31T23:59:59-14:00", 1),
     key_of("2026-01-01T00:00:00Z", "1"), key_of("2026-01-01T00:00:00Z", True), key_of("2026-01-01T00:00:00Z", 2**63),
     key_of("2026-01-01T00:00:00Z", 1.5), key_of({}, []), key_of("2026-01-01T00:00:00Z", 1, 1),
     base64.urlsafe_b64encode(b"[" * 5000).decode(), base64.urlsafe_b64encode(b'{"a": 1}').decode()],
)  # fmt: skip
def test_a_key_that_is_none_is_400_and_named(key: str, name: str, admin: Person) -> None:
    refused(admin.client.get(f"/v6/tokens/?{name}={key}"), 400, "INVALID_REQUEST", name)


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20), st.sampled_from(["\0", "\ud800"]),
    st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat()), st.lists(st.integers(), max_size=2),
)  # fmt: skip


@_FEW
@given(order=st.sampled_from(ORDERS), values=st.lists(_VALUES, max_size=3), name=st.sampled_from(["after", "before"]))
def test_no_key_is_more_than_refused(order: str, values: list[Any], name: str, admin: Person) -> None:
    answer = admin.get("/v6/tokens/", **{"order": order, name: key_of(*values)})
    if answer.status_code != 200:
        refused(answer, 400, "INVALID_REQUEST", name)


@_FEW
@given(text=st.text(max_size=60))
def test_no_text_for_a_key_is_more_than_refused(text: str, admin: Person) -> None:
    refused(admin.get("/v6/users/", after=text.replace("\ud800", "")), 400, "INVALID_REQUEST", "after")


def test_a_key_of_another_order_or_list_is_no_key(admin: Person, rows: list[ApiToken]) -> None:
    link = page(admin, "order=name&page_size=1")["next"]
    refused(admin.client.get(link.replace("order=name", "order=created")), 400, "INVALID_REQUEST", "after")
    refused(admin.client.get(link.replace("tokens", "users")), 400, "INVALID_REQUEST")


def test_every_order_of_users_can_be_walked(admin: Person) -> None:
    for number in range(4):
        make_operator(f"operator-{number}")
    User.objects.filter(username="operator-1").update(last_login=START)
    for name in Users.orders:
        for order in (name, f"-{name}"):
            pages = follow(admin, json_of(admin.get("/v6/users/", order=order, page_size=2)), "next")
            assert len(set(ids(pages))) == len(ids(pages)) == 5, order


# --- Counts --------------------------------------------------------------------------------------


def test_a_count_is_exact_to_its_limit_and_on_postgresql_an_estimate_beyond(
    admin: Person, rows: list[ApiToken], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert count_of(ApiToken.objects.all(), len(rows)) == (len(rows), True)
    assert "X-Count" not in admin.get("/v6/tokens/").headers
    monkeypatch.setattr(Tokens, "count_exact_to", 5, raising=False)
    answer = admin.get("/v6/tokens/?page_size=4")
    if connection.vendor == "postgresql":
        assert answer.headers["X-Count"] == "estimate"
        assert json_of(answer)["count"] > 5
        assert ids(follow(admin, json_of(answer), "next")) == ids([page(admin, "")])
        refused(admin.get("/v6/tokens/?page=last"), 404)
    else:
        assert "X-Count" not in answer.headers
        assert json_of(answer)["count"] == len(rows)


def test_an_estimate_reads_filters_with_values(admin: Person, rows: list[ApiToken]) -> None:
    count, _ = count_of(ApiToken.objects.filter(name__in=["name-1", "name-3"], user__username="root"), 0)
    assert count >= 1
