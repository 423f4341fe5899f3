"""GET /v6/jobs/{id}/executions/ and …/executions/{number}/."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from clusters.models import Offer
from clusters.providers.base import End
from clusters.services import set_price
from jobs import services, states
from jobs.models import Execution, Job
from jobtypes.models import Error
from tests.clusters.offers import BEGUN
from tests.factories import Stage, make_job, make_job_in
from tests.jobs.api.v6.answers import assert_error, good, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db


def make_tried(people: People, tries: int = 3) -> Job:
    """A job that failed, was requeued and failed again, and at last completed."""
    stage = Stage()
    job = make_job(people.owner, max_tries=1)
    for n in range(1, tries + 1):
        stage.start(job)
        stage.end(job, exit_code=n if n < tries else 0)
        if n < tries:
            services.requeue_jobs([job.pk], actor=None)
    return job


def numbers(people: People, job: Job, **parameters: Any) -> list[int]:
    rows = good(people.owner.get(f"/v6/jobs/{job.pk}/executions/", **parameters))["results"]
    return [row["exe_num"] for row in rows]


def test_executions_are_listed_newest_first(people: People) -> None:
    job = make_tried(people)
    rows = good(people.owner.get(f"/v6/jobs/{job.uuid}/executions/"))["results"]
    assert [(row["exe_num"], row["status"], row["exit_code"]) for row in rows] == [
        (3, "COMPLETED", 0),
        (2, "FAILED", 2),
        (1, "FAILED", 1),
    ]
    assert {row["job"]["id"] for row in rows} == {job.pk}
    for row in rows:
        shown = good(people.owner.get(f"/v6/jobs/{job.pk}/executions/{row['exe_num']}/"))
        assert row == {name: value for name, value in shown.items() if name in row}


def test_executions_of_other_jobs_are_not_among_them(people: People) -> None:
    make_tried(people)
    assert numbers(people, make_job(people.owner)) == []


@pytest.mark.parametrize("order", ["exe_num", "-exe_num", "id", "-id"])
def test_every_order_is_walked_to_its_end_and_back(people: People, order: str) -> None:
    job = make_tried(people, tries=5)
    path = f"/v6/jobs/{job.pk}/executions/"
    forth, last = walk(people.owner, path, order=order, page_size=2)
    ids = list(job.executions.order_by(order.replace("exe_num", "number")).values_list("pk", flat=True))
    assert forth == ids
    assert walk(people.owner, last, "previous")[0] == ids


def test_filters_choose_among_them(people: People) -> None:
    job = make_tried(people)
    failed = Error.objects.get(name="exit-code").pk
    assert numbers(people, job, status="FAILED") == [2, 1]
    assert numbers(people, job, status=["COMPLETED", "RUNNING"]) == [3]
    assert numbers(people, job, error_id=failed) == [2, 1]
    assert numbers(people, job, error_category="ALGORITHM") == [2, 1]
    assert numbers(people, job, error_category="SYSTEM") == []
    assert numbers(people, job, node_id="1") == []


@pytest.mark.parametrize(
    ("name", "value"), [("status", "LOST"), ("error_id", "x"), ("nonsense", "1"), ("order", "status"), ("after", "x")]
)
def test_what_cannot_be_read_is_refused_by_name(people: People, name: str, value: str) -> None:
    job = make_job(people.owner)
    assert_error(people.owner.get(f"/v6/jobs/{job.pk}/executions/", **{name: value}), 400, field=name)


@pytest.mark.parametrize("number", ["0", "2", "32768", "99999"])
def test_one_that_is_not_there_is_404(people: People, number: str) -> None:
    job = make_job_in(states.COMPLETED, people.owner)
    assert_error(people.owner.get(f"/v6/jobs/{job.pk}/executions/{number}/"), 404, "NOT_FOUND")
    assert_error(people.owner.get(f"/v6/jobs/{job.pk}/executions/123456/"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("who", "status"),
    [("monitor", 200), ("colleague", 200), ("stranger", 404), ("disabled", 401), ("anonymous", 401)],
)
def test_who_may_read_an_execution(people: People, who: str, status: int) -> None:
    job = make_job_in(states.COMPLETED, people.owner)
    response = people[who].get(f"/v6/jobs/{job.pk}/executions/1")
    good(response) if status == 200 else assert_error(response, status)


def price_of(people: People, job: Job) -> Any:
    return good(people.owner.get(f"/v6/jobs/{job.pk}/executions/1/"))["price"]


def test_what_it_cost_is_told_once_it_was_priced(people: People) -> None:
    job = make_job_in(states.COMPLETED, people.owner)
    ended_at = job.executions.get().ended_at
    assert ended_at is not None
    Execution.objects.update(started_at=ended_at - timedelta(minutes=30, milliseconds=1))
    assert price_of(people, job) is None
    for name, rate in (("vcpu", "0.02"), ("gb", "0")):
        offer = Offer.objects.get(cloud="local", name=name)
        set_price(offer, amount=Decimal(rate), actor=None, valid_from=BEGUN)
    Job.objects.update(vcpus_milli=2000)
    services.price_executions()
    told = price_of(people, job)
    assert told == {
        "currency": "USD",
        "rate_per_hour": "0.0400000000",
        "amount": "0.0200000111",
        "offer": "vcpu + gb",
        "source": "staff",
    }
    assert people.stranger.get(f"/v6/jobs/{job.pk}/executions/1/").status_code == 404
    assert "price" not in good(people.owner.get(f"/v6/jobs/{job.pk}/executions/"))["results"][0]


def test_what_never_ran_cost_nothing(people: People) -> None:
    job = make_job_in(states.COMPLETED, people.owner)
    Execution.objects.update(started_at=None, price_rate=Decimal(5), price_offer="vcpu + gb", price_source="staff")
    assert price_of(people, job)["amount"] == "0.0000000000"


def test_that_no_price_was_known_is_told(people: People) -> None:
    job = make_job_in(states.COMPLETED, people.owner)
    Execution.objects.update(price_source="none")
    assert price_of(people, job) == {"currency": "USD", **dict.fromkeys(("rate_per_hour", "amount", "offer", "source"))}


@pytest.mark.parametrize(
    ("state", "status"),
    [
        *[(state, "QUEUED") for state in (states.CREATED, states.SUBMITTED)],
        *[(state, "FAILED") for state in (states.LOST, states.INTERRUPTED)],
        *[(state, state) for state in (states.RUNNING, states.COMPLETED, states.FAILED, states.CANCELED)],
    ],
)
def test_each_state_is_shown_as_v6_has_it_and_found_by_that_status(people: People, state: str, status: str) -> None:
    stage = Stage()
    job = make_job(people.owner)
    stage.claim()
    if state == states.SUBMITTED:
        stage.start()
    elif state != states.CREATED:
        stage.start(job)
    ends = {
        states.COMPLETED: (End.EXITED, 0),
        states.FAILED: (End.EXITED, 1),
        states.LOST: (End.LOST, None),
        states.INTERRUPTED: (End.INTERRUPTED, None),
        states.CANCELED: (End.CANCELED, None),
    }
    if state in ends:
        stage.end(job, end=ends[state][0], exit_code=ends[state][1])
    shown = good(people.owner.get(f"/v6/jobs/{job.pk}/executions/1/"))
    assert (shown["state"], shown["status"]) == (state, status)
    for each in states.SHOWN_EXECUTION_STATES:
        assert numbers(people, job, status=each) == ([1] if each == status else [])


def test_a_page_costs_the_same_for_few_executions_and_for_many(people: People) -> None:
    job = make_tried(people, tries=2)
    path = f"/v6/jobs/{job.pk}/executions/"
    with within_budget("GET /v6/jobs/{id}/executions/"):
        good(people.owner.get(path))
    with counted() as few:
        good(people.owner.get(path))
    last = job.executions.get(number=2)
    Execution.objects.bulk_create(
        Execution(job=job, number=n, place=last.place, status=states.COMPLETED, ended_at=last.ended_at)
        for n in range(3, 40)
    )
    with counted() as many:
        assert good(people.owner.get(path))["count"] == 39
    assert len(many) == len(few), str(many)
    with within_budget("GET /v6/jobs/{id}/executions/{number}/"):
        good(people.owner.get(f"{path}1/"))
