"""Clusters of failures over HTTP: what staff read, what they name, and what customers do not see."""

from __future__ import annotations

from typing import Any

import pytest

from jobs import failures, states, tasks
from jobs.models import FailureCluster, Job
from jobtypes.models import Error
from tests.factories import Stage, make_monitor
from tests.jobs.api.v6.answers import assert_error, good
from tests.jobs.api.v6.conftest import People
from tests.jobs.failing import cluster_of, failed_jobs
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/failure-clusters/"
NAME = {"name": "dirty-lens", "title": "Dirty lens", "category": "DATA"}


@pytest.fixture(autouse=True)
def _from_here() -> None:
    failures.group_failures()


@pytest.fixture
def clusters(people: People) -> list[FailureCluster]:
    """One of three jobs, and one of a single job, which is seen last."""
    stage = Stage()
    jobs = failed_jobs(3, owner=people.owner, stage=stage)
    other = failed_jobs(1, "missing", stage=stage)[0]
    return [cluster_of(jobs[0]), cluster_of(other)]


def ids(answer: Any) -> list[int]:
    return [each["id"] for each in good(answer)["results"]]


def test_the_list_has_numbers_and_costs_the_same_with_more(people: People, clusters: list[FailureCluster]) -> None:
    operator = people.operator
    with within_budget("GET /v6/failure-clusters/"):
        page = good(operator.get(PATH))
    assert page["count"] == 2
    assert [each["id"] for each in page["results"]] == [clusters[1].pk, clusters[0].pk]
    row = page["results"][1]
    assert row["title"] == "ValueError: the lens of camera # is dirty"
    assert (row["category"], row["exit_code"], row["error"]["name"], row["named"]) == (
        "ALGORITHM",
        1,
        "exit-code",
        None,
    )
    assert (row["total"], row["last_24_hours"], row["failed_now"], row["failed_now_is_exact"]) == (3, 3, 3, True)
    assert (row["customers"], row["job_types"]) == (1, 1)
    assert ids(people.operator.get(PATH, order="-total")) == [clusters[0].pk, clusters[1].pk]


def test_pages_go_on_by_key(people: People, clusters: list[FailureCluster]) -> None:
    first = good(people.operator.get(PATH, page_size=1))
    assert ids(people.operator.get(first["next"])) == [clusters[0].pk]


def test_one_has_whose_jobs_and_a_sample(people: People, clusters: list[FailureCluster]) -> None:
    operator = people.operator
    with within_budget("GET /v6/failure-clusters/{id}/"):
        found = good(operator.get(f"{PATH}{clusters[0].pk}/"))
    assert found["of_customers"] == [{"customer": "acme", "failures": 3}]
    assert found["of_job_types"] == [{"job_type": None, "failures": 3}]
    assert (len(found["by_day"]), found["by_day"][-1]["failures"]) == (30, 3)
    assert found["sample"]["log"].endswith("is dirty\n")
    assert_error(people.operator.get(f"{PATH}99999/"), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("wish", "number"),
    [
        ({"error_category": "ALGORITHM"}, 2),
        ({"error_category": ["DATA", "SYSTEM"]}, 0),
        ({"is_named": "false"}, 2),
        ({"is_named": "true"}, 0),
        ({"is_open": "true"}, 2),
        ({"is_open": "false"}, 0),
        ({"started": "PT1H"}, 2),
        ({"ended": "PT1H"}, 0),
    ],
)
def test_filters(people: People, clusters: list[FailureCluster], wish: dict[str, Any], number: int) -> None:
    assert len(ids(people.operator.get(PATH, **wish))) == number


def test_filters_go_by_the_error_that_was_named(people: People, clusters: list[FailureCluster]) -> None:
    named = good(people.operator.post(f"{PATH}{clusters[0].pk}/name/", NAME))
    Job.objects.filter(failure_cluster=clusters[1]).update(status=states.QUEUED, ended_at=None)
    before = Error.objects.get(name="exit-code")
    assert ids(people.operator.get(PATH, error_category="DATA")) == [clusters[0].pk]
    assert ids(people.operator.get(PATH, error_id=named["named"]["id"])) == [clusters[0].pk]
    assert ids(people.operator.get(PATH, error_id=before.pk)) == [clusters[1].pk]
    assert ids(people.operator.get(PATH, is_open="true")) == [clusters[0].pk]
    assert_error(people.operator.get(PATH, mood="bad"), 400, "INVALID_REQUEST", field="mood")


def test_a_name_is_an_error_and_its_jobs_have_it(people: People, clusters: list[FailureCluster]) -> None:
    path = f"{PATH}{clusters[0].pk}/"
    found = good(people.operator.post(f"{path}name/", NAME, headers={"Idempotency-Key": "k"}))
    assert (found["named"]["name"], found["category"], found["named_by"]) == (
        "dirty-lens",
        "DATA",
        people.operator.user.username,
    )
    again = good(people.operator.post(f"{path}name/", NAME, headers={"Idempotency-Key": "k"}))
    assert again["named"] == found["named"]
    tasks.rename_failures(clusters[0].pk)
    assert len(ids(people.operator.get("/v6/jobs/", error_id=found["named"]["id"]))) == 3
    other = good(people.operator.post(f"{PATH}{clusters[1].pk}/name/", {"error_id": found["named"]["id"]}))
    assert other["named"] == found["named"]
    assert good(people.operator.post(f"{path}unname/"))["named"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "x", "title": "X"}, "category"),
        ({**NAME, "name": "Not Good"}, "name"),
        ({**NAME, "name": "lost"}, "name"),
        ({**NAME, "mood": "bad"}, "mood"),
        ({**NAME, "error_id": 1}, "name"),
        ({"error_id": 10**6}, "error_id"),
        ({**NAME, "category": "WEATHER"}, "category"),
    ],
)
def test_what_is_no_name_is_refused(
    people: People, clusters: list[FailureCluster], body: dict[str, Any], field: str
) -> None:
    answer = people.operator.post(f"{PATH}{clusters[0].pk}/name/", body)
    assert_error(answer, 400, "INVALID_REQUEST", field=field)
    assert not FailureCluster.objects.filter(named__isnull=False).exists()


def test_jobs_are_found_and_requeued_by_their_cluster(people: People, clusters: list[FailureCluster]) -> None:
    assert len(ids(people.operator.get("/v6/jobs/", failure_cluster=clusters[0].pk))) == 3
    assert len(ids(people.operator.get("/v6/jobs/", failure_cluster=[each.pk for each in clusters]))) == 4
    assert_error(people.operator.get("/v6/jobs/", failure_cluster="x"), 400, field="failure_cluster")
    wish = {"failure_cluster": clusters[0].pk, "error_category": ["SYSTEM", "ALGORITHM"]}
    operation = good(people.operator.post("/v6/jobs/requeue/", wish), 202)
    tasks.carry_on(operation["id"])
    assert Job.objects.filter(status=states.QUEUED).count() == 3
    row = good(people.operator.get(f"{PATH}{clusters[0].pk}/"))
    assert (row["failed_now"], row["total"]) == (0, 3)


def test_staff_alone_read_them_and_monitors_name_none(people: People, clusters: list[FailureCluster]) -> None:
    path = f"{PATH}{clusters[0].pk}/"
    monitor = make_monitor()
    good(monitor.get(PATH))
    good(monitor.get(path))
    for person in (monitor, people.owner):
        for verb in ("name", "unname"):
            assert_error(person.post(f"{path}{verb}/", NAME), 403, "FORBIDDEN")
    for asked in (PATH, path):
        assert_error(people.owner.get(asked), 403, "FORBIDDEN")
