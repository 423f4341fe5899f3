"""GET /list: a customer's jobs of a time window, whole, in order, and to whom it shows what."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts.models import User
from jobs import states
from jobs.api.mapsor import views
from jobs.models import Job, Place
from tests.answers import assert_refused, json_of, text_of
from tests.factories import (
    Person,
    make_admin,
    make_customer_user,
    make_job,
    make_job_in,
    make_jobs,
    make_monitor,
    make_operator,
)
from tests.jobs.api.test_mapsor_jobs import WORDS
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
NOON = datetime(2025, 11, 25, 12, tzinfo=UTC)
NOON_MS = int(NOON.timestamp() * 1000)
FOREVER: dict[str, Any] = {"customer": "acme", "start_time": 0, "end_time": 4_102_444_800_000}


@pytest.fixture
def operator() -> Person:
    return make_operator()


def listed(person: Person, **parameters: Any) -> list[dict[str, Any]]:
    body = json_of(person.get("/list", **{**FOREVER, **parameters}))
    assert set(body) == {"response"}
    rows: list[dict[str, Any]] = body["response"]
    return rows


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def submitted_at(job: Job, at: datetime) -> str:
    Job.objects.filter(pk=job.pk).update(submitted_at=at)
    return str(job.uuid)


# --- Rows ----------------------------------------------------------------------------------------


def test_a_row_says_all_that_was_asked_for_and_what_became_of_it(operator: Person) -> None:
    job = make_job_in(
        states.COMPLETED, operator, image="i:1", command=["a"], env={"A": "1"}, tags={"t": [1, None]},
        vcpus_milli=1500, memory_mib=1536, timeout_seconds=60, classification="Transcode_23",
    )  # fmt: skip
    assert job.started_at is not None
    assert job.ended_at is not None
    [row] = listed(operator)
    milliseconds = {name: row.pop(name) for name in ("submitted_at", "started_at", "finished_at")}
    assert row == {
        "id": str(job.uuid), "classification_id": "Transcode_23", "customer": "acme", "cloud_provider": "local",
        "region": "local", "resources": {"vcpus": 2, "memory": 1.5}, "image": "i:1", "command": ["a"], "ami": None,
        "queue": None, "env": {"A": "1"}, "tags": {"t": [1, None]}, "priority": "LOW", "status": "SUCCEEDED",
        "timeout": 60, "retry_of": None,
    }  # fmt: skip
    for name, at in (("submitted_at", job.submitted_at), ("started_at", job.started_at), ("finished_at", job.ended_at)):
        assert milliseconds[name] == (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


@pytest.mark.parametrize("status", states.JOB_STATES)
def test_a_job_is_listed_in_every_state(status: str, operator: Person) -> None:
    job = make_job_in(status, operator)
    [row] = listed(operator)
    assert row["status"] == WORDS[status][0]
    assert (row["started_at"] is None) is (job.started_at is None)
    assert (row["finished_at"] is None) is (status not in states.FINAL)


@pytest.mark.parametrize(
    ("wishes", "priority", "queue"),
    [
        ({"priority": 50}, "HIGH", None),
        ({"priority": 99}, "HIGH", None),
        ({"priority": 100}, "LOW", None),
        ({"priority": 50, "queue": "default"}, None, "default"),
    ],
)
def test_priority_and_queue_replace_each_other(
    wishes: dict[str, Any], priority: str | None, queue: str | None, operator: Person
) -> None:
    make_job(operator, **wishes)
    [row] = listed(operator)
    assert (row["priority"], row["queue"]) == (priority, queue)


def test_a_retry_names_what_it_repeats(operator: Person) -> None:
    job = make_job_in(states.FAILED, operator)
    made = json_of(operator.get(f"/retry/{job.uuid}"))["job_id"]
    assert [(row["id"], row["retry_of"]) for row in listed(operator)] == [(made, str(job.uuid)), (str(job.uuid), None)]


def test_a_job_without_an_image_shows_none(operator: Person) -> None:
    make_job(operator, image="")
    assert listed(operator)[0]["image"] is None


# --- The window ----------------------------------------------------------------------------------


def test_the_newest_comes_first_and_of_one_instant_the_later_made(operator: Person) -> None:
    jobs = make_jobs(4, operator)
    for job, minutes in zip(jobs, (0, 2, 1, 1), strict=True):
        submitted_at(job, NOON + timedelta(minutes=minutes))
    assert ids(listed(operator)) == [str(jobs[n].uuid) for n in (1, 3, 2, 0)]


def test_both_ends_of_the_window_belong_to_it(operator: Person) -> None:
    jobs = make_jobs(4, operator)
    found = [submitted_at(job, NOON + timedelta(milliseconds=n)) for n, job in enumerate(jobs)]
    assert ids(listed(operator, start_time=NOON_MS + 1, end_time=NOON_MS + 2)) == [found[2], found[1]]
    assert ids(listed(operator, start_time=NOON_MS, end_time=NOON_MS)) == [found[0]]
    assert ids(listed(operator, start_time=NOON_MS + 4, end_time=NOON_MS + 9)) == []


@pytest.mark.parametrize("microseconds", [0, 1, 499, 500, 999])
def test_a_job_is_in_the_window_of_its_own_shown_time(microseconds: int, operator: Person) -> None:
    submitted_at(make_job(operator), NOON + timedelta(milliseconds=123, microseconds=microseconds))
    shown = listed(operator)[0]["submitted_at"]
    assert shown == NOON_MS + 123
    assert len(listed(operator, start_time=shown, end_time=shown)) == 1
    assert listed(operator, start_time=shown + 1, end_time=shown + 1) == []
    assert listed(operator, start_time=0, end_time=shown - 1) == []


@pytest.mark.parametrize(
    ("start", "end", "count"),
    [
        ("0", "4e12", 1), ("-1e300", "1e300", 1), ("-0.0", "4102444800000.5", 1), ("1e300", "1e300", 0),
        ("-1e300", "-1e300", 0), ("0", "0", 0), ("253402300799999", "9e99", 0), ("1e-400", "4e12", 1),
    ],
)  # fmt: skip
def test_a_window_may_reach_beyond_the_calendar(start: str, end: str, count: int, operator: Person) -> None:
    make_job(operator)
    assert len(listed(operator, start_time=start, end_time=end)) == count


@pytest.mark.parametrize("name", ["start_time", "end_time"])
@pytest.mark.parametrize(
    "value", ["", "x", "nan", "inf", "-inf", "Infinity", "1e400", "2025-11-25", "0x1", "\0", "1,5"]
)
def test_a_time_that_is_no_number_is_400_and_named(name: str, value: str, operator: Person) -> None:
    answer = operator.get("/list", **{**FOREVER, name: value})
    assert_refused(answer, 400, "INVALID_REQUEST", f"{name}: ")


@pytest.mark.parametrize("name", ["customer", "start_time", "end_time"])
def test_a_parameter_that_is_missing_is_400_and_named(name: str, operator: Person) -> None:
    given = {key: value for key, value in FOREVER.items() if key != name}
    assert_refused(operator.get("/list", **given), 400, "INVALID_REQUEST", f"{name}: ")


def test_a_window_that_ends_before_it_starts_is_400(operator: Person) -> None:
    answer = operator.get("/list", customer="acme", start_time=2, end_time=1)
    assert_refused(answer, 400, "INVALID_REQUEST", "start_time: ")


# --- Filters -------------------------------------------------------------------------------------


def test_the_customer_is_exact(operator: Person) -> None:
    job = make_job(operator, customer="acme")
    make_job(operator, customer="Acme")
    make_job(operator, customer="acme 2")
    assert ids(listed(operator)) == [str(job.uuid)]
    assert listed(operator, customer="nobody") == []


def test_the_classification_is_exact(operator: Person) -> None:
    jobs = [make_job(operator, classification=name) for name in ("a", "A", "ab")]
    assert ids(listed(operator, id="a")) == [str(jobs[0].uuid)]
    assert listed(operator, id="") == listed(operator, id="%") == []


def test_cloud_and_region_choose(operator: Person) -> None:
    Place.objects.create(cloud="local", region="other")
    here, there = make_job(operator), make_job(operator, region="other")
    assert ids(listed(operator, cloud="local")) == [str(there.uuid), str(here.uuid)]
    assert ids(listed(operator, region="other")) == [str(there.uuid)]
    assert ids(listed(operator, cloud="local", region="local", id="nightly")) == [str(here.uuid)]
    assert listed(operator, cloud="aws") == listed(operator, cloud="azure") == listed(operator, region="x") == []


@pytest.mark.parametrize("cloud", ["", "gcp", "LOCAL", "\0"])
def test_an_unknown_cloud_is_400_and_named(cloud: str, operator: Person) -> None:
    assert_refused(operator.get("/list", **FOREVER, cloud=cloud), 400, "INVALID_REQUEST", "cloud: ")


@pytest.mark.parametrize("name", ["customer", "id", "region"])
def test_a_filter_with_a_nul_is_400_and_named(name: str, operator: Person) -> None:
    assert_refused(operator.get("/list", **{**FOREVER, name: "a\0"}), 400, "INVALID_REQUEST", f"{name}: ")


@pytest.mark.parametrize("value", ["%FF", "%ED%A0%80", "'; DROP TABLE jobs_job; --", "x" * 5000])
def test_a_filter_of_anything_else_finds_nothing(value: str, operator: Person) -> None:
    path = f"/list?start_time=0&end_time=4e12&customer=acme&id={value}&region={value}"
    make_job(operator)
    assert json_of(operator.client.get(path)) == {"response": []}


# --- Who, and what they are shown --------------------------------------------------------------------

ENV = {"PLAIN": "visible", "SECRET": "hunter2"}


def env_seen_by(person: Person) -> dict[str, str]:
    env: dict[str, str] = listed(person)[0]["env"]
    return env


def test_env_is_whole_to_the_owner_and_operators_but_for_its_secrets() -> None:
    owner = make_customer_user()
    make_job(owner, env=ENV, secret_env=["SECRET"])
    for person in (owner, make_admin(), make_operator()):
        assert env_seen_by(person) == {"PLAIN": "visible", "SECRET": "*****"}


def test_env_is_masked_to_monitors_and_colleagues() -> None:
    make_job(make_customer_user(), env=ENV)
    for person in (make_monitor(), make_customer_user()):
        assert env_seen_by(person) == {"PLAIN": "*****", "SECRET": "*****"}
        assert "visible" not in text_of(person.get("/list", **FOREVER))


def test_a_monitors_own_role_decides_even_about_their_own_jobs() -> None:
    person = make_operator()
    make_job(person, env=ENV)
    User.objects.filter(pk=person.user.pk).update(role="monitor")
    assert env_seen_by(person) == {"PLAIN": "*****", "SECRET": "*****"}


def test_staff_list_any_customer_and_a_customer_user_only_their_own() -> None:
    job = make_job(make_customer_user(customer="acme"))
    for person in (make_admin(), make_operator(), make_monitor(), make_customer_user(customer="acme")):
        assert ids(listed(person)) == [str(job.uuid)]
    stranger = make_customer_user(customer="other")
    assert listed(stranger, customer="other") == []
    for customer in ("acme", "no such customer"):
        assert_refused(stranger.get("/list", **{**FOREVER, "customer": customer}), 403, "FORBIDDEN", "customer: ")


def test_without_a_token_it_is_401_and_a_cookie_is_none() -> None:
    browser = Client()
    browser.force_login(make_admin().user)
    for client in (Client(), browser):
        assert_refused(client.get("/list", FOREVER), 401, "UNAUTHORIZED")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_there_is_no_other_method(method: str, operator: Person) -> None:
    answer = getattr(operator.client, method)("/list")
    assert_refused(answer, 405, "METHOD_NOT_ALLOWED", method.upper())
    assert answer.headers["Allow"] == "GET, HEAD"


def test_head_answers_as_get_without_a_body(operator: Person) -> None:
    make_job(operator)
    answer = operator.client.head("/list", FOREVER)
    assert (answer.status_code, text_of(answer), answer.headers["Content-Type"]) == (200, "", "application/json")


def test_a_slash_at_the_end_is_the_same_path_and_nothing_is_kept(operator: Person) -> None:
    answer = operator.get("/list/", **FOREVER)
    assert json_of(answer) == {"response": []}
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")


# --- Many ----------------------------------------------------------------------------------------


def test_a_list_over_its_cap_is_400_and_one_at_its_cap_comes_whole(
    operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "LIST_AT_MOST", 5)
    make_jobs(5, operator)
    assert len(listed(operator)) == 5
    make_job(operator)
    assert_refused(operator.get("/list", **FOREVER), 400, "TOO_MANY_ROWS", "start_time: ")


def test_the_cap_is_the_contracts() -> None:
    assert views.LIST_AT_MOST == 100_000


def test_rows_are_sent_as_they_are_read(operator: Person) -> None:
    make_jobs(3, operator)
    answer = operator.get("/list", **FOREVER)
    assert answer.streaming
    pieces = list(answer.streaming_content)
    assert len(pieces) == 4
    assert pieces[0].startswith(b'{"response":[{')
    assert all(piece.startswith(b",{") for piece in itertools.islice(pieces, 1, 3))
    assert pieces[3] == b"]}"


def test_a_long_list_comes_whole_and_in_order(operator: Person) -> None:
    jobs = make_jobs(2_500, operator)
    assert ids(listed(operator)) == [str(job.uuid) for job in reversed(jobs)]


def test_the_cost_is_within_its_budget_whatever_the_number_of_rows(operator: Person) -> None:
    make_jobs(3, operator, env=ENV, tags={"a": 1})
    json_of(operator.get(f"/retry/{make_job_in(states.FAILED, operator).uuid}"))
    with within_budget("GET /list") as few:
        assert len(listed(operator)) == 5
    make_jobs(60, operator, env=ENV, customer="acme")
    with counted() as many:
        assert len(listed(operator)) == 65
    assert len(many) == len(few)
