"""How the jobs of job types are doing: /v6/job-types/status/, pending/, running/, system-failures/."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import services, states
from jobtypes.models import Error, JobType
from tests.factories import Person, make_jobs
from tests.jobs.api.v6.answers import assert_error, good
from tests.jobs.api.v6.conftest import People
from tests.jobs.counted import finish, make_type, move, submit
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/job-types/"
LISTS = ("status", "pending", "running", "system-failures")
EVERYBODY = ("admin", "operator", "monitor", "owner", "colleague", "stranger")
STAFF = EVERYBODY[:3]


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def told(person: Person, what: str, **parameters: Any) -> list[dict[str, Any]]:
    body = good(person.get(f"{PATH}{what}/", **parameters))
    assert body["count"] >= len(body["results"])
    rows: list[dict[str, Any]] = body["results"]
    return rows


def fill() -> tuple[list[JobType], datetime]:
    """Three types: one with jobs of every kind, one with a few, one without any."""
    now = timezone.now()
    types = [make_type(n) for n in range(3)]
    refused, lost = Error.objects.get(name="refused"), Error.objects.get(name="lost")
    hour = timedelta(hours=1)
    submit(types[0], 2, at=now - hour, status=states.PENDING)
    submit(types[1], 1, at=now - 9 * hour, status=states.PENDING)
    move(submit(types[0], 3, at=now - hour), states.STARTING, states.RUNNING, at=now - 5 * hour)
    move(submit(types[1], 1, at=now - hour), states.STARTING, states.RUNNING, at=now - 2 * hour)
    finish(submit(types[0], 4, at=now - hour), at=now - hour)
    finish(submit(types[0], 1, at=now - hour), states.FAILED, at=now - hour, error=refused)
    finish(submit(types[0], 2, at=now - hour), states.FAILED, at=now - 4 * hour, error=refused)
    finish(submit(types[1], 1, at=now - hour), states.REJECTED, at=now - 2 * hour, error=lost)
    make_jobs(2)
    return types, now


# --- Who may look --------------------------------------------------------------------------------


@pytest.mark.parametrize("what", LISTS)
def test_staff_may_look_and_others_may_not(people: People, what: str) -> None:
    fill()
    for form in (f"{PATH}{what}/", f"{PATH}{what}"):
        for who in EVERYBODY:
            response = people[who].get(form)
            good(response) if who in STAFF else assert_error(response, 403, "FORBIDDEN")
        for who in ("disabled", "anonymous"):
            assert_error(people[who].get(form), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nobody_changes_them(people: People, what: str, method: str) -> None:
    assert_error(getattr(people.admin.client, method)(f"{PATH}{what}/"), 405)


# --- By status -----------------------------------------------------------------------------------


def test_every_type_has_its_row_with_what_came_to_its_state_in_three_hours_and_all_that_runs(people: People) -> None:
    types, now = fill()
    hour = timedelta(hours=1)
    for _ in range(2):
        rows = told(people.monitor, "status")
        assert [row["job_type"]["id"] for row in rows] == [job_type.pk for job_type in types]
        assert rows[0]["job_counts"] == [
            {"status": "COMPLETED", "count": 4, "most_recent": iso(now - hour), "category": None},
            {"status": "FAILED", "count": 1, "most_recent": iso(now - hour), "category": "SYSTEM"},
            {"status": "PENDING", "count": 2, "most_recent": iso(now - hour), "category": None},
            {"status": "RUNNING", "count": 3, "most_recent": iso(now - 5 * hour), "category": None},
        ]
        assert rows[1]["job_counts"] == [
            {"status": "FAILED", "count": 1, "most_recent": iso(now - 2 * hour), "category": "SYSTEM"},
            {"status": "RUNNING", "count": 1, "most_recent": iso(now - 2 * hour), "category": None},
        ]
        assert rows[2]["job_counts"] == []
        services.fold_counts()


def test_it_shows_the_job_type_as_it_is(people: People) -> None:
    make_type(7, title="Sum", icon_code="f15c", description="Adds", unmet_resources="cpus", is_system=True)
    [row] = told(people.monitor, "status")
    del row["job_type"]["id"]
    words = {"name": "count-words", "version": "1.0.7", "title": "Sum", "description": "Adds", "icon_code": "f15c"}
    flags = {"is_published": True, "is_active": True, "is_paused": False, "is_system": True}
    assert row["job_type"] == {**words, **flags, "unmet_resources": "cpus"}


@pytest.mark.parametrize(
    ("started", "ended", "completed"),
    [
        *[(90, None, True), (30, None, False), (60, 60, True), (90, 70, False), (61, 59, True), (30, 90, False)],
        *[("PT1H30M", "", True), ("PT10M", None, False), ("P1D", "PT1H1M", False), ("P1D", "PT0S", True)],
        (None, "PT2H", False),
    ],
)
def test_the_window_is_as_asked_for(people: People, started: Any, ended: Any, completed: bool) -> None:
    """Minutes before now, or words; the jobs have ended an hour ago, to the microsecond."""
    types, now = fill()
    asked = {
        name: iso(now - timedelta(minutes=value)) if isinstance(value, int) else value
        for name, value in (("started", started), ("ended", ended))
        if value is not None
    }
    counts = {each["status"] for each in told(people.monitor, "status", **asked)[0]["job_counts"]}
    assert ("COMPLETED" in counts, "RUNNING" in counts) == (completed, True)
    assert types


@pytest.mark.parametrize("name", ["started", "ended"])
@pytest.mark.parametrize("value", ["x", "2026-01-01", "2026-01-01T00:00:00", "P1Y", "-PT1H", "7", "P999999D"])
def test_a_bad_time_is_refused_by_name(people: People, name: str, value: str) -> None:
    assert_error(people.monitor.get(f"{PATH}status/", **{name: value}), 400, field=name)


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-01T00:00:00-05:00"])
def test_any_time_there_is_can_be_asked_for(people: People, value: str) -> None:
    fill()
    for name in ("started", "ended"):
        assert len(told(people.monitor, "status", **{name: value})) == 3


def test_active_types_are_told_from_the_others(people: People) -> None:
    types, now = fill()
    JobType.objects.filter(pk=types[0].pk).update(is_active=False, deprecated_at=now)
    for word, chosen in (("true", types[1:]), ("f", types[:1]), ("0", types[:1]), ("", types)):
        rows = told(people.monitor, "status", is_active=word)
        assert {row["job_type"]["id"] for row in rows} == {job_type.pk for job_type in chosen}
    assert_error(people.monitor.get(f"{PATH}status/", is_active="perhaps"), 400, field="is_active")


def test_the_type_that_changed_longest_ago_comes_first_and_the_id_decides_between_equals(people: People) -> None:
    now = timezone.now()
    ages = {n: make_type(n, modified_at=now - timedelta(days=n // 2)).pk for n in range(5)}
    shown = [row["job_type"]["id"] for row in told(people.monitor, "status")]
    assert shown == [ages[n] for n in (4, 2, 3, 0, 1)]


# --- Pending and running -------------------------------------------------------------------------


def test_pending_jobs_are_counted_and_the_longest_comes_first(people: People) -> None:
    types, now = fill()
    for _ in range(2):
        rows = told(people.monitor, "pending")
        assert [(row["job_type"]["id"], row["count"], row["longest_pending"]) for row in rows] == [
            (types[1].pk, 1, iso(now - timedelta(hours=9))),
            (types[0].pk, 2, iso(now - timedelta(hours=1))),
        ]
        services.fold_counts()


def test_running_jobs_are_counted_and_the_longest_comes_first(people: People) -> None:
    types, now = fill()
    for _ in range(2):
        rows = told(people.monitor, "running")
        assert [(row["job_type"]["id"], row["count"], row["longest_running"]) for row in rows] == [
            (types[0].pk, 3, iso(now - timedelta(hours=5))),
            (types[1].pk, 1, iso(now - timedelta(hours=2))),
        ]
        services.fold_counts()


def test_a_queued_job_is_neither(people: People) -> None:
    submit(make_type(), 3)
    assert told(people.monitor, "pending") == told(people.monitor, "running") == []


# --- Failures ------------------------------------------------------------------------------------


def test_failures_are_told_by_type_and_error_and_the_latest_comes_first(people: People) -> None:
    types, now = fill()
    hour = timedelta(hours=1)
    for _ in range(2):
        rows = told(people.monitor, "system-failures")
        assert [
            (row["job_type"]["id"], row["error"]["name"], row["count"], row["first_error"], row["last_error"])
            for row in rows
        ] == [
            (types[0].pk, "refused", 3, iso(now - 4 * hour), iso(now - hour)),
            (types[1].pk, "lost", 1, iso(now - 2 * hour), iso(now - 2 * hour)),
        ]
        services.fold_counts()
    assert rows[0]["error"] == {**good(people.monitor.get(f"/v6/errors/{rows[0]['error']['id']}/"))}
    assert (rows[0]["error"]["is_builtin"], rows[0]["error"]["category"]) == (True, "SYSTEM")


def test_what_is_not_the_systems_fault_is_not_told(people: People) -> None:
    job_type = make_type()
    for category in ("DATA", "ALGORITHM"):
        error = Error.objects.create(name=category.lower(), title="x", category=category)
        finish(submit(job_type), states.FAILED, error=error)
    finish(submit(job_type), states.FAILED)
    finish(submit(job_type), states.CANCELED, error=Error.objects.get(name="lost"))
    assert told(people.monitor, "system-failures") == []


# --- Pages ---------------------------------------------------------------------------------------


def key_of(row: dict[str, Any]) -> int:
    return int(row["job_type"]["id"])


def many() -> list[int]:
    """Five types which all lists show, in the order of all of them."""
    now, error = timezone.now(), Error.objects.get(name="lost")
    for n in range(5):
        job_type, at = make_type(n), now - timedelta(minutes=50 - n)
        submit(job_type, at=at, status=states.PENDING)
        move(submit(job_type, at=at), states.STARTING, states.RUNNING, at=at)
        finish(submit(job_type, at=at), states.FAILED, at=now - timedelta(minutes=n), error=error)
    services.fold_counts()
    return list(JobType.objects.order_by("id").values_list("id", flat=True))


@pytest.mark.parametrize("what", LISTS)
def test_the_pages_are_the_list(people: People, what: str) -> None:
    ids = many()
    found: list[int] = []
    address: Any = f"{PATH}{what}/?page_size=2"
    for number in (1, 2, 3):
        body = good(people.monitor.client.get(address))
        assert (body["count"], body["previous"] is None) == (5, number == 1)
        found += [key_of(row) for row in body["results"]]
        address = body["next"]
    assert address is None
    assert found == ids
    back = good(people.monitor.client.get(body["previous"]))
    assert [key_of(row) for row in back["results"]] == ids[2:4]
    by_number = [key_of(row) for row in told(people.monitor, what, page_size=2, page=2)]
    last = [key_of(row) for row in told(people.monitor, what, page_size=2, page="last")]
    assert (by_number, last) == (ids[2:4], ids[4:])


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize("page", ["0", "-1", "x", "4", "99999999999999999999", "1.5"])
def test_a_page_that_is_not_there_is_not_found(people: People, what: str, page: str) -> None:
    many()
    response = people.monitor.get(f"{PATH}{what}/", page_size=2, page=page)
    assert_error(response, 404)
    assert response.json()["detail"] == "Invalid page."


@pytest.mark.parametrize("what", LISTS)
def test_nothing_is_one_empty_page(people: People, what: str) -> None:
    for page in ("1", "last"):
        body = good(people.monitor.get(f"{PATH}{what}/", page=page))
        assert body == {"count": 0, "next": None, "previous": None, "results": []}
    assert_error(people.monitor.get(f"{PATH}{what}/", page=2), 404)


@pytest.mark.parametrize("what", LISTS)
@pytest.mark.parametrize(("size", "shown"), [("0", 5), ("-3", 5), ("x", 5), ("", 5), ("3", 3), ("99999", 5)])
def test_a_page_size_is_never_refused(people: People, what: str, size: str, shown: int) -> None:
    many()
    assert len(told(people.monitor, what, page_size=size)) == shown


@pytest.mark.parametrize("what", LISTS)
def test_an_unknown_filter_is_refused_by_name(people: People, what: str) -> None:
    assert_error(people.monitor.get(f"{PATH}{what}/", nonsense="1"), 400, field="nonsense")
    if what != "status":
        for name in ("started", "is_active", "order", "after", "before"):
            assert_error(people.monitor.get(f"{PATH}{what}/", **{name: "1"}), 400, field=name)
    else:
        assert_error(people.monitor.get(f"{PATH}{what}/", order="nonsense"), 400, field="order")


# --- What it costs -------------------------------------------------------------------------------


@pytest.mark.parametrize("what", LISTS)
def test_it_stays_within_its_budget_whatever_the_number_of_types(people: People, what: str) -> None:
    person = people.monitor
    many()
    with counted() as few:
        told(person, what)
    for n in range(5, 25):
        job_type = make_type(n)
        submit(job_type, status=states.PENDING)
        move(submit(job_type), states.STARTING, states.RUNNING)
        finish(submit(job_type), states.FAILED, error=Error.objects.get(name="lost"))
    with within_budget(f"GET /v6/job-types/{what}/") as statements:
        assert len(told(person, what)) == 25
    assert len(statements) == len(few)
