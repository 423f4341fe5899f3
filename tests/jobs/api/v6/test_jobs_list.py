"""GET /v6/jobs/: who sees what, filters, orders, pages, counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Event
from jobs import services, states
from jobs.api.v6.views.jobs import JOB_ORDERS, JobViewSet
from jobs.filters import JobFilter
from jobs.models import Job, Place
from jobtypes.models import Error
from tests.factories import Stage, make_job, make_job_in, make_jobs, make_operator
from tests.jobs.api.v6.answers import assert_error, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/jobs/"


# --- Who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        *[(who, {"ours", "theirs"}) for who in ("admin", "operator", "monitor")],
        *[("owner", {"ours"}), ("colleague", {"ours"}), ("stranger", {"theirs"})],
    ],
)
def test_everybody_sees_what_they_may(people: People, who: str, sees: set[str]) -> None:
    made = {"ours": make_job(people.owner).pk, "theirs": make_job(people.stranger, customer="other").pk}
    assert set(listed(people[who], PATH)) == {made[name] for name in sees}
    assert set(listed(people[who], PATH.rstrip("/"), customer=["acme", "other"])) == {made[name] for name in sees}


@pytest.mark.parametrize("who", ["disabled", "anonymous"])
def test_nobody_sees_without_a_token(people: People, who: str) -> None:
    assert_error(people[who].get(PATH), 401, "UNAUTHORIZED")


def test_a_row_is_the_job_without_what_only_its_page_shows(people: People) -> None:
    job = make_job_in(states.FAILED, people.owner, tags={"a": 1})
    (row,) = good(people.owner.get(PATH))["results"]
    detail = good(people.owner.get(f"{PATH}{job.pk}/"))
    assert row == {name: value for name, value in detail.items() if name in row}
    assert set(detail) - set(row) == {
        *("env", "secret_env", "execution", "resources", "input", "output", "configuration", "superseded_by_job"),
        *("mapreduce", "policy"),
    }


# --- Filters -------------------------------------------------------------------------------------


def _two(people: People) -> tuple[Job, Job]:
    """Two jobs that no filter takes for each other; the first, which failed, is asked for."""
    stage = Stage()
    place = Place.objects.create(cloud="local", region="elsewhere")
    second = make_job_in(states.RUNNING, people.stranger, stage=stage, customer="other", classification="daily")
    tags = {"project": "tour", "ok": True, "n": 5, "x": "a:b"}
    first = make_job_in(states.FAILED, people.owner, stage=stage, classification="nightly", tags=tags)
    Job.objects.filter(pk=second.pk).update(place=place)
    return first, second


FOUND: list[tuple[str, Any]] = [
    *[("status", "FAILED"), ("status", ["FAILED", "CANCELED"]), ("status", "failed"), ("state", "FAILED")],
    *[("customer", "acme"), ("owner", "owner"), ("region", "local"), ("classification", "nightly")],
    *[
        ("customer", ["acme", "nobody"]),
        ("tag", "project"),
        ("tag", "project:tour"),
        ("tag", "ok:true"),
        ("tag", "n:5"),
    ],
    *[("tag", "x:a:b"), ("tag", ["nope", "project:tour"]), ("reason", "EXIT_3"), ("reason", ["EXIT_3", "NOPE"])],
    *[("error_category", "ALGORITHM")],
]
FOUND_BOTH: list[tuple[str, Any]] = [
    *[("cloud", "local"), ("shape", "container"), ("queue", "default"), ("on_hold", "false"), ("status", "")],
    *[("is_superseded", "false"), ("region", ["local", "elsewhere"]), ("status", ["FAILED", "RUNNING"])],
    ("tasks", "true"),
    *[("started", "PT1H"), ("created_after", "PT1H"), ("ended", "PT0S"), ("created_before", "PT0S")],
    *[("started", "2020-01-01T00:00:00Z"), ("ended", "2999-01-01T00:00:00+02:00")],
]
FOUND_NOT: list[tuple[str, Any]] = [
    *[(name, "x") for name in ("customer", "owner", "region", "classification", "queue", "reason")],
    *[("cloud", "aws"), ("on_hold", "true"), ("is_superseded", "true"), ("error_id", "999"), ("retry_of", "999")],
    *[("classification", "night"), ("tag", "project:"), ("tag", "project:tou"), ("tag", "ok:True"), ("tag", ":")],
    *[("started", "2999-01-01T00:00:00Z"), ("ended", "P1D"), ("created_after", "2999-01-01T00:00:00Z")],
    *[(name, "1") for name in ("job_type_id", "job_type_name", "batch_id", "recipe_id", "parent", "source_sensor")],
    *[(name, "1") for name in ("source_sensor_class", "source_collection", "source_task")],
    ("failure_cluster", "1"),
    *[("job_id", "0"), ("job_id", "9" * 18), ("error_id", "0"), ("created_before", "P1D")],
]


def test_each_filter_finds_what_it_names(people: People) -> None:
    first, second = _two(people)
    for name, value in FOUND:
        assert listed(people.admin, PATH, **{name: value}) == [first.pk], (name, value)
    for name, value in FOUND_BOTH:
        assert set(listed(people.admin, PATH, **{name: value})) == {first.pk, second.pk}, (name, value)
    for name, value in FOUND_NOT:
        assert listed(people.admin, PATH, **{name: value}) == [], (name, value)


def test_every_filter_is_tried() -> None:
    assert {name for name, _ in FOUND_BOTH + FOUND + FOUND_NOT} == set(JobFilter.base_filters)


def test_jobs_are_found_by_either_id(people: People) -> None:
    first, second, _ = make_jobs(3)
    wanted = [first.pk, str(second.uuid)]
    assert listed(people.admin, PATH, job_id=wanted, order="id") == [first.pk, second.pk]
    assert listed(people.admin, PATH, job_id=second.uuid.hex.upper()) == [second.pk]


def test_retries_are_found_by_what_they_retry(people: People) -> None:
    job = make_job_in(states.FAILED)
    retry = services.retry_job(job, actor=people.admin.user)
    for reference in (job.pk, job.uuid):
        assert listed(people.admin, PATH, retry_of=reference) == [retry.id]


def test_errors_are_found_by_id(people: People) -> None:
    job = make_job_in(states.FAILED)
    other = Error.objects.exclude(name="exit-code")[0]
    assert listed(people.admin, PATH, error_id=job.error_id) == [job.pk]
    assert listed(people.admin, PATH, error_id=[other.pk, job.error_id]) == [job.pk]
    assert listed(people.admin, PATH, error_id=other.pk) == []


def test_filters_are_anded_and_their_values_ored(people: People) -> None:
    first, second = _two(people)
    both = {"classification": ["nightly", "daily"]}
    assert set(listed(people.admin, PATH, **both)) == {first.pk, second.pk}
    assert listed(people.admin, PATH, **both, customer="other") == [second.pk]


def test_held_jobs_are_found(people: People) -> None:
    held, _ = make_jobs(2)
    services.hold_jobs([held.pk], actor=None)
    assert listed(people.admin, PATH, on_hold="true") == [held.pk]
    assert listed(people.admin, PATH, reason="HELD") == [held.pk]


def test_a_window_of_time_is_about_the_last_change(people: People) -> None:
    old, new = make_jobs(2)
    Job.objects.filter(pk=old.pk).update(modified_at=timezone.now() - timedelta(days=2))
    assert listed(people.admin, PATH, started="P1D") == [new.pk]
    assert listed(people.admin, PATH, ended="P1D") == [old.pk]
    assert listed(people.admin, PATH, started="P3D", ended="P1D") == [old.pk]


REFUSED = [
    *[("status", "STARTING"), ("state", "LIMBO"), ("cloud", "moon"), ("shape", "x"), ("error_category", "X")],
    *[("job_id", "nope"), ("job_id", "-1"), ("job_id", "1" * 40), ("retry_of", "1.5"), ("error_id", "x")],
    *[("started", "yesterday"), ("started", "2020-01-01T00:00:00"), ("ended", "P1Y"), ("created_after", "1")],
    *[("on_hold", "maybe"), ("is_superseded", "2"), ("customer", "a\0b"), ("tag", "x" * 1025)],
    *[("statuses", "FAILED"), ("nonsense", ""), ("order", "nonsense"), ("order", "-"), ("order", "customer")],
    *[("after", "x"), ("after", "W10"), ("before", "bnVsbA"), ("after", "")],
]


def test_what_a_list_cannot_read_is_refused_by_name(people: People) -> None:
    make_job()
    for name, value in REFUSED:
        assert_error(people.admin.get(PATH, **{name: value}), 400, "INVALID_REQUEST", field=name)


# --- Orders and pages ----------------------------------------------------------------------------


def _mixed() -> list[int]:
    """Jobs in many states, some of them alike in every order but by id."""
    stage, owner = Stage(), make_operator()
    made = [
        make_job_in(state, owner, stage=stage, priority=n % 3, classification=f"c{n % 2}", max_tries=3)
        for n, state in enumerate(
            (states.QUEUED, states.COMPLETED, states.FAILED, states.CANCELED, states.RUNNING, states.PENDING) * 2
        )
        if state != states.QUEUED
    ]
    made += make_jobs(3, owner)
    now = timezone.now()
    Job.objects.filter(pk__in=[made[0].pk, made[5].pk]).update(started_at=now, ended_at=now + timedelta(seconds=1.5))
    Job.objects.filter(pk__in=[job.pk for job in made[-2:]]).update(modified_at=now, moved_at=now)
    return [job.pk for job in made]


@pytest.mark.parametrize("order", [f"{sign}{name}" for name in JOB_ORDERS for sign in ("", "-")])
def test_every_order_is_walked_to_its_end_and_back(people: People, order: str) -> None:
    made = _mixed()
    forth, last = walk(people.admin, PATH, order=order, page_size=4)
    assert sorted(forth) == sorted(made)
    whole = good(people.admin.get(PATH, order=order))["results"]
    assert forth == [row["id"] for row in whole]
    back, _ = walk(people.admin, last, "previous")
    assert back == forth
    name = order.removeprefix("-")
    if name in ("duration", "status"):
        return
    values = [row[name] for row in whole if row[name] is not None]
    assert values == sorted(values, reverse=order.startswith("-"))
    nulls = [row[name] is None for row in whole]
    assert nulls == sorted(nulls, reverse=order.startswith("-")), "what has none comes last, or first when descending"


def test_several_orders_are_taken_one_after_the_other(people: People) -> None:
    made = _mixed()
    forth, _ = walk(people.admin, PATH, order=["-priority", "classification"], page_size=3)
    assert sorted(forth) == sorted(made)
    jobs = Job.objects.in_bulk(made)
    keys = [(-jobs[i].priority, jobs[i].classification, i) for i in forth]
    assert [key[:2] for key in keys] == sorted(key[:2] for key in keys)


def test_a_walk_keeps_its_filters_and_meets_no_row_twice_while_jobs_come(people: People) -> None:
    made = [job.pk for job in make_jobs(6, classification="wanted")]
    first = good(people.admin.get(PATH, classification="wanted", order="id", page_size=4))
    make_jobs(3, classification="other")
    second = good(people.admin.client.get(first["next"]))
    assert [row["id"] for row in first["results"] + second["results"]] == made


def test_the_default_order_is_that_of_change(people: People) -> None:
    first, second = make_jobs(2)
    services.set_priority([first.pk], priority=1, actor=None)
    assert listed(people.admin, PATH) == [second.pk, first.pk]


@pytest.mark.parametrize(("size", "rows"), [("2", 2), ("0", 5), ("x", 5), ("-1", 5), ("99999999999", 5)])
def test_a_page_has_the_size_asked_for(people: People, size: str, rows: int) -> None:
    make_jobs(5)
    assert len(good(people.admin.get(PATH, page_size=size))["results"]) == rows


@pytest.mark.parametrize("page", ["0", "-1", "2", "x", "1e3", "9" * 30])
def test_a_page_that_is_not_there_is_404(people: People, page: str) -> None:
    make_job()
    assert_error(people.admin.get(PATH, page=page), 404, "NOT_FOUND")


def test_the_last_page_is_found_by_its_name(people: People) -> None:
    made = [job.pk for job in make_jobs(5)]
    assert listed(people.admin, PATH, page="last", page_size=2, order="id") == made[4:]


def test_an_empty_list_has_one_page(people: People) -> None:
    assert good(people.admin.get(PATH, page=1)) == {"count": 0, "next": None, "previous": None, "results": []}


def test_the_count_is_exact_up_to_its_bound_and_an_estimate_beyond(people: People, monkeypatch) -> None:
    monkeypatch.setattr(JobViewSet, "count_exact_to", 5, raising=False)
    owner = make_operator()
    make_jobs(5, owner)
    response = people.admin.get(PATH)
    assert (good(response)["count"], "X-Count" in response.headers) == (5, False)
    make_jobs(1, owner)
    response = people.admin.get(PATH, page_size=4)
    if connection.vendor == "postgresql":
        assert response.headers["X-Count"] == "estimate"
        assert good(response)["count"] >= 6
    else:
        assert "X-Count" not in response.headers
        assert good(response)["count"] == 6
    assert len(walk(people.admin, PATH, page_size=2)[0]) == 6


# --- Reasons -------------------------------------------------------------------------------------


def test_jobs_are_found_by_why_they_wait(people: People) -> None:
    Stage()
    ours, theirs = make_job(customer="acme"), make_job(customer="other")
    assert set(listed(people.admin, PATH, reason="NEXT")) == {ours.pk, theirs.pk}
    services.place_hold(scope="customer", scope_id=str(ours.customer_id), code="UNPAID", actor=None)
    assert listed(people.admin, PATH, reason="UNPAID") == [ours.pk]
    assert listed(people.admin, PATH, reason="NEXT") == [theirs.pk]
    assert set(listed(people.admin, PATH, reason=["UNPAID", "NEXT"])) == {ours.pk, theirs.pk}
    assert listed(people.stranger, PATH, reason="UNPAID") == []


# --- Costs ---------------------------------------------------------------------------------------


def test_a_page_costs_the_same_for_few_jobs_and_for_many(people: People) -> None:
    make_job_in(states.FAILED)
    good(people.owner.get(PATH))
    with within_budget("GET /v6/jobs/"):
        good(people.owner.get(PATH))
    good(people.admin.get(PATH))
    with counted() as few:
        good(people.admin.get(PATH))
    for n in range(4):
        make_job_in(states.FAILED, customer=f"c{n}")
    make_jobs(40)
    with counted() as many:
        good(people.admin.get(PATH))
    assert len(many) == len(few), str(many)


def test_the_filter_by_reason_costs_the_same_for_many_lanes(people: People) -> None:
    Stage()
    make_job()
    listed(people.admin, PATH)
    with within_budget("GET /v6/jobs/?reason"):
        listed(people.admin, PATH, reason="NEXT")
    with counted() as few:
        listed(people.admin, PATH, reason="NEXT")
    for n in range(5):
        make_jobs(3, vcpus_milli=100 + n)
    with counted() as many:
        assert len(listed(people.admin, PATH, reason="NEXT")) == 16
    assert len(many) == len(few), str(many)


def test_reading_leaves_no_trace(people: People) -> None:
    make_job(people.owner)
    before = Event.objects.count()
    listed(people.owner, PATH)
    assert Event.objects.count() == before


@pytest.mark.parametrize("who", ["admin", "owner"])
def test_a_browser_gets_a_page_with_the_filters(people: People, who: str) -> None:
    make_job(people.owner)
    response = people[who].client.get(PATH, {"status": ["QUEUED", "FAILED"]}, headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert b"nightly" in response.content
