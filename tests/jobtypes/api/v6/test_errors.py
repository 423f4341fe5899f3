"""/v6/errors/."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Event
from jobtypes.models import Error
from tests.jobs.api.v6.answers import assert_error, each_of, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/errors/"
NEW: dict[str, Any] = {"name": "no-license", "title": "No licence", "category": "DATA"}


def test_an_error_is_named_and_changed(people: People) -> None:
    response = people.operator.post(PATH, {**NEW, "description": "Ask for one.", "should_be_retried": True})
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver{PATH}{made['id']}/"
    assert (made["name"], made["is_builtin"], made["job_type_name"]) == ("no-license", False, None)
    assert (made["description"], made["should_be_retried"]) == ("Ask for one.", True)
    changed = good(people.admin.patch(f"{PATH}{made['id']}", {"title": "None", "name": "no-license"}))
    assert (changed["title"], changed["description"]) == ("None", "Ask for one.")
    assert changed["last_modified"] > made["last_modified"]
    assert good(people.owner.get(f"{PATH}{made['id']}/")) == changed
    told = Event.objects.filter(subject_kind="error").order_by("id").values_list("kind", "actor__username")
    assert list(told) == [("error.created", "op"), ("error.changed", "root")]


@pytest.mark.parametrize(
    ("who", "read", "write"),
    [
        *[(who, 200, 201) for who in ("admin", "operator")],
        *[(who, 200, 403) for who in ("monitor", "owner", "stranger")],
        *[(who, 401, 401) for who in ("disabled", "anonymous")],
    ],
)
def test_who_may_read_and_name_errors(people: People, who: str, read: int, write: int) -> None:
    error = Error.objects.create(**{**NEW, "name": "other"})
    for path in (PATH, PATH.rstrip("/"), f"{PATH}{error.pk}/"):
        response = people[who].get(path)
        good(response) if read == 200 else assert_error(response, read)
    response = people[who].post(PATH, NEW)
    good(response, 201) if write == 201 else assert_error(response, write)
    response = people[who].patch(f"{PATH}{error.pk}/", {"title": "Changed"})
    good(response) if write == 201 else assert_error(response, write)
    assert Error.objects.filter(name="no-license").exists() == (write == 201)


BAD: list[tuple[str, Any]] = [
    *each_of("name", None, "", "Upper", "two words", "-a", "a--b", "x" * 65, "a\0", 1),
    *each_of("title", None, "", "x" * 129, "a\0", []),
    *each_of("description", None, "x" * 4097, "a\0", {}),
    *each_of("category", None, "", "FAULT", 1),
    *each_of("should_be_retried", None, "x", 1),
    *[("nonsense", 1)],
]


def test_a_bad_field_is_named_and_nothing_changes(people: People) -> None:
    error = Error.objects.create(**{**NEW, "name": "other"})
    for field, value in BAD:
        assert_error(people.operator.post(PATH, {**NEW, field: value}), 400, "INVALID_REQUEST", field=field)
        assert_error(people.operator.patch(f"{PATH}{error.pk}/", {field: value}), 400, field=field)
    for field in NEW:
        body = {name: value for name, value in NEW.items() if name != field}
        assert_error(people.operator.post(PATH, body), 400, field=field)
    no_objects: tuple[Any, ...] = (None, [], "x")
    for each in no_objects:
        assert_error(people.operator.post(PATH, each), 400)
    assert Error.objects.filter(is_builtin=False).count() == 1


def test_a_name_is_given_once_and_stays(people: People) -> None:
    made = good(people.operator.post(PATH, NEW), 201)
    assert_error(people.operator.post(PATH, NEW), 400, field="name")
    assert_error(people.operator.patch(f"{PATH}{made['id']}/", {"name": "another"}), 400, field="name")


def test_what_the_scheduler_names_itself_is_not_changed(people: People) -> None:
    builtin = Error.objects.filter(is_builtin=True)[0]
    assert_error(people.admin.patch(f"{PATH}{builtin.pk}/", {"title": "x"}), 409, "BUILTIN")
    assert_error(people.admin.client.delete(f"{PATH}{builtin.pk}/"), 405, "METHOD_NOT_ALLOWED")


def test_an_error_with_the_same_key_is_made_once(people: People) -> None:
    key = {"headers": {"Idempotency-Key": "k"}}
    first = good(people.operator.post(PATH, NEW, **key), 201)
    assert good(people.operator.post(PATH.rstrip("/"), NEW, **key), 201) == first
    assert Event.objects.filter(kind="error.created").count() == 1
    response = people.operator.post(PATH, {**NEW, "name": "other"}, **key)
    assert_error(response, 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("reference", ["0", "9" * 18, "9" * 40, "x"])
def test_an_error_that_is_not_there_is_404(people: People, reference: str) -> None:
    assert_error(people.admin.get(f"{PATH}{reference}/"), 404, "NOT_FOUND")
    assert_error(people.admin.patch(f"{PATH}{reference}/", {}), 404, "NOT_FOUND")


def test_errors_are_filtered(people: People) -> None:
    made = good(people.operator.post(PATH, NEW), 201)["id"]
    assert listed(people.owner, PATH, name="no-license") == [made]
    assert listed(people.owner, PATH, is_builtin="false") == [made]
    assert listed(people.owner, PATH, category="DATA", is_builtin="f") == [made]
    assert listed(people.owner, PATH, started="PT1H", is_builtin="0") == [made]
    assert listed(people.owner, PATH, ended="P1D", is_builtin="0") == []
    assert listed(people.owner, PATH, job_type_name="x") == []
    assert made not in listed(people.owner, PATH, is_builtin="true")
    for name, value in (("category", "x"), ("is_builtin", "x"), ("started", "x"), ("nonsense", "1"), ("order", "x")):
        assert_error(people.owner.get(PATH, **{name: value}), 400, field=name)


@pytest.mark.parametrize(
    "order", [f"{sign}{name}" for name in ("id", "name", "title", "category", "created") for sign in ("", "-")]
)
def test_every_order_is_walked_to_its_end_and_back(people: People, order: str) -> None:
    forth, last = walk(people.owner, PATH, order=order, page_size=3)
    assert sorted(forth) == sorted(Error.objects.values_list("pk", flat=True))
    assert walk(people.owner, last, "previous")[0] == forth
    with within_budget("GET /v6/errors/"):
        good(people.owner.get(PATH))


def test_a_page_costs_the_same_however_many(people: People) -> None:
    good(people.owner.get(PATH))
    with counted() as few:
        good(people.owner.get(PATH, page_size=1))
    with counted() as many:
        good(people.owner.get(PATH))
    assert len(many) == len(few)


@pytest.mark.parametrize("who", ["admin", "owner"])
def test_a_browser_gets_pages(people: People, who: str) -> None:
    for path in (PATH, f"{PATH}{Error.objects.all()[0].pk}/"):
        assert people[who].client.get(path, headers={"Accept": "text/html"}).status_code == 200
