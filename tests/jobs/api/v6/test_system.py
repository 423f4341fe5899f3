"""The system as a whole: /v6/scheduler/, /v6/status/, /v6/version/, /v6/queue/status/, /v6/load/."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import Event
from jobs import services, states
from jobs.models import Hold, LoadSample, Scope
from tests.factories import Stage, make_job, make_job_in, make_jobs
from tests.jobs.api.v6.answers import assert_error, good
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
EVERYBODY = ("admin", "operator", "monitor", "owner", "colleague", "stranger")
STAFF = EVERYBODY[:3]


@pytest.mark.parametrize(
    ("path", "may"),
    [
        *[("scheduler", EVERYBODY), ("version", EVERYBODY)],
        *[(path, STAFF) for path in ("status", "queue/status", "load")],
    ],
)
def test_who_may_look(people: People, path: str, may: tuple[str, ...]) -> None:
    for form in (f"/v6/{path}/", f"/v6/{path}"):
        for who in EVERYBODY:
            response = people[who].get(form)
            good(response) if who in may else assert_error(response, 403, "FORBIDDEN")
        for who in ("disabled", "anonymous"):
            assert_error(people[who].get(form), 401, "UNAUTHORIZED")


def test_the_version_is_ours(people: People) -> None:
    assert good(people.owner.get("/v6/version/")) == {"version": settings.SPECTACULAR_SETTINGS["VERSION"]}


# --- The scheduler -------------------------------------------------------------------------------


def test_the_scheduler_is_paused_and_goes_on(people: People) -> None:
    stage = Stage()
    make_job()
    assert good(people.owner.get("/v6/scheduler/")) == {"is_paused": False, "paused_since": None, "paused_by": None}
    paused = good(people.operator.patch("/v6/scheduler/", {"is_paused": True}))
    assert (paused["is_paused"], paused["paused_by"]) == (True, "op")
    assert good(people.admin.patch("/v6/scheduler", {"is_paused": True})) == paused
    assert (stage.claim(), Hold.objects.count()) == (0, 1)
    assert good(people.owner.get("/v6/scheduler/")) == paused
    assert good(people.admin.patch("/v6/scheduler/", {"is_paused": False}))["is_paused"] is False
    assert good(people.admin.patch("/v6/scheduler/", {"is_paused": False}))["is_paused"] is False
    assert stage.claim() == 1
    told = Event.objects.filter(subject_kind="hold").order_by("id").values_list("kind", "actor__username")
    assert list(told) == [("hold.placed", "op"), ("hold.lifted", "root")]


def test_going_on_leaves_other_holds(people: People) -> None:
    stage = Stage()
    make_job()
    services.place_hold(scope=Scope.ALL, code="STOP")
    good(people.operator.patch("/v6/scheduler/", {"is_paused": True}))
    good(people.operator.patch("/v6/scheduler/", {"is_paused": False}))
    assert (stage.claim(), Hold.objects.get().code) == (0, "STOP")


@pytest.mark.parametrize(
    ("who", "status"), [("monitor", 403), ("owner", 403), ("stranger", 403), ("disabled", 401), ("anonymous", 401)]
)
def test_others_do_not_pause_it(people: People, who: str, status: int) -> None:
    assert_error(people[who].patch("/v6/scheduler/", {"is_paused": True}), status)
    assert not Hold.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        *[({}, "is_paused"), ({"is_paused": None}, "is_paused"), ({"is_paused": "x"}, "is_paused")],
        *[({"is_paused": 1}, "is_paused"), ({"is_paused": True, "nonsense": 1}, "nonsense"), ([], None), (None, None)],
    ],
)
def test_a_bad_pause_is_refused(people: People, body: Any, field: str | None) -> None:
    assert_error(people.operator.patch("/v6/scheduler/", body), 400, field=field)
    assert not Hold.objects.exists()


# --- At a glance ---------------------------------------------------------------------------------


def test_the_status_tells_of_places_and_the_queue(people: People) -> None:
    stage = Stage(vcpus_milli=4000)
    make_job_in(states.RUNNING, stage=stage, vcpus_milli=1500, memory_mib=100)
    make_jobs(3)
    found = good(people.monitor.get("/v6/status/"))
    (place,) = found["places"]
    assert (place["cloud"], place["region"], place["vcpus"], place["runs_for"]) == ("local", "local", 4.0, "everyone")
    assert (place["active_jobs"], place["active_vcpus"], place["active_memory_mib"]) == (1, 1.5, 100)
    assert (found["queued_jobs"], found["scheduler"]["is_paused"]) == (3, False)
    assert found["timestamp"].endswith("Z")


def test_the_status_of_nothing_is_empty(people: People) -> None:
    found = good(people.monitor.get("/v6/status/"))
    assert (found["places"], found["queued_jobs"]) == ([], 0)


def test_the_queue_is_told_by_customer_and_queue_with_what_keeps_it(people: People) -> None:
    Stage()
    make_job(customer="free", priority=200)
    held, _ = make_jobs(2, customer="held", priority=5)
    first = make_job(customer="first", priority=7)
    other_size = make_job(customer="first", vcpus_milli=77)
    assert first.lane_id != other_size.lane_id
    services.place_hold(scope=Scope.CUSTOMER, scope_id=str(held.customer_id), code="UNPAID")
    rows = good(people.monitor.get("/v6/queue/status/"))
    assert [(row["customer"], row["count"], row["highest_priority"], row["reasons"]) for row in rows] == [
        ("first", 2, 7, []),
        ("free", 1, 200, []),
        ("held", 2, 5, ["UNPAID"]),
    ]
    assert {(row["job_type"], row["cloud"], row["region"], row["queue"]) for row in rows} == {
        (None, "local", "local", "default")
    }
    assert datetime.fromisoformat(rows[0]["longest_queued"]) == first.queued_at


def test_jobs_held_one_by_one_are_told_too(people: People) -> None:
    Stage()
    held, _ = make_jobs(2, people.owner)
    services.hold_jobs([held.pk], actor=None)
    (row,) = good(people.monitor.get("/v6/queue/status/"))
    assert (row["count"], row["reasons"]) == (2, ["HELD"])


def test_looks_at_the_whole_cost_the_same_however_much_waits(people: People) -> None:
    Stage()
    make_job()
    good(people.monitor.get("/v6/version/"))
    counts: dict[str, list[int]] = {"/v6/status/": [], "/v6/queue/status/": []}
    for n in range(2):
        for path, found in counts.items():
            with counted() as statements:
                good(people.monitor.get(path))
            found.append(len(statements))
        for m in range(5 * (1 - n)):
            make_jobs(4, customer=f"c{m}", vcpus_milli=100 + m)
    for path, found in counts.items():
        assert len(set(found)) == 1, f"{path}: {found}"
        with within_budget(f"GET {path}"):
            good(people.monitor.get(path))


# --- Load ----------------------------------------------------------------------------------------


def _samples(*ago: timedelta) -> list[LoadSample]:
    now = timezone.now().replace(microsecond=0)
    return [LoadSample.objects.create(at=now - each, pending=1, queued=2, running=3) for each in ago]


def times(people: People, **parameters: Any) -> list[datetime]:
    rows = good(people.monitor.get("/v6/load/", **parameters))["results"]
    return [datetime.fromisoformat(row["time"]) for row in rows]


def test_the_load_is_told_minute_by_minute(people: People) -> None:
    (sample,) = _samples(timedelta(minutes=1))
    (row,) = good(people.monitor.get("/v6/load/"))["results"]
    assert datetime.fromisoformat(row.pop("time")) == sample.at
    assert row == {"pending_count": 1, "queued_count": 2, "running_count": 3}


def test_the_load_is_that_of_the_time_asked_for(people: People) -> None:
    old, week, new = _samples(timedelta(days=20), timedelta(days=6), timedelta(hours=1))
    assert times(people) == [week.at, new.at]
    assert times(people, started="P25D") == [old.at, week.at, new.at]
    assert times(people, started="P25D", ended="P10D") == [old.at]
    assert times(people, order="-time") == [new.at, week.at]
    assert times(people, job_type_id="1") == times(people, job_type_name="x") == []


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        *[({"started": "P32D"}, "started"), ({"started": "P1D", "ended": "P2D"}, "started")],
        *[({"started": "x"}, "started"), ({"ended": "x"}, "ended"), ({"nonsense": "1"}, "nonsense")],
        *[
            ({"order": "queued"}, "order"),
            ({"ended": "P40D"}, "started"),
            ({"started": "2999-01-01T00:00:00Z"}, "started"),
        ],
    ],
)
def test_a_bad_span_is_refused(people: People, parameters: dict[str, str], field: str) -> None:
    assert_error(people.monitor.get("/v6/load/", **parameters), 400, field=field)


@pytest.mark.parametrize("order", ["time", "-time"])
def test_the_load_is_walked_to_its_end_and_back(people: People, order: str) -> None:
    at = [each.at for each in _samples(*[timedelta(hours=n) for n in range(7, 0, -1)])]
    answer, found = good(people.monitor.get("/v6/load/", order=order, page_size=3)), []
    for _ in range(3):
        found += [datetime.fromisoformat(row["time"]) for row in answer["results"]]
        answer = good(people.monitor.client.get(answer["next"])) if answer["next"] else answer
    assert found == (at if order == "time" else at[::-1])
    assert answer["next"] is None
    with within_budget("GET /v6/load/"):
        good(people.monitor.client.get(answer["previous"]))


@pytest.mark.parametrize("path", ["scheduler", "status", "version", "queue/status", "load"])
def test_a_browser_gets_a_page(people: People, path: str) -> None:
    make_job()
    response = people.operator.client.get(f"/v6/{path}/", headers={"Accept": "text/html"})
    assert response.status_code == 200
