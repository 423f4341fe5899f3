"""POST /v6/jobs/?dry_run=true: the submit's own checks, where, what for, how much; and nothing made."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Customer, Event
from clusters.models import Offer
from clusters.services import set_price
from jobs import services, states
from jobs.models import Execution, Job, Lane, Scope
from jobs.services.requests import MapReducePart
from jobtypes.models import JobType
from tests.clusters.offers import priced
from tests.factories import Person, Stage, make_job, make_job_in, make_place
from tests.jobs.api.v6.answers import assert_error, good
from tests.jobs.api.v6.conftest import People
from tests.mapreduce import end, folder, make_mapreduce, program, tasks, write_input
from tests.query_budget import counted, within_budget
from tests.seeds import Scene

pytestmark = pytest.mark.django_db
PATH = "/v6/jobs/?dry_run=true"
GOOD: dict[str, Any] = {"customer": "acme", "classification": "nightly", "command": ["true"]}
CLOUD: dict[str, Any] = {**GOOD, "cloud": "aws", "region": "eu-central-1", "image": "busybox"}


@pytest.fixture
def aws(settings: Any) -> None:
    settings.AWS_REGIONS = ["eu-central-1"]
    settings.AWS_BATCH_QUEUES = {"eu-central-1": {"HIGH": "h", "LOW": "l"}}


def took(job: Job, seconds: float) -> None:
    """Let the last execution of a job have taken so long."""
    execution = job.executions.latest("number")
    now = timezone.now()
    Execution.objects.filter(pk=execution.pk).update(started_at=now - timedelta(seconds=seconds), ended_at=now)


def ended(owner: Person, *seconds: float, **wishes: Any) -> None:
    stage = Stage()
    for each in seconds:
        took(make_job_in(states.COMPLETED, owner, stage=stage, **wishes), each)


# --- What it says ----------------------------------------------------------------------------------


def test_a_job_that_would_start_at_once_here(people: People) -> None:
    make_place()
    assert good(people.owner.post(PATH, GOOD)) == {
        "place": {"cloud": "local", "region": "local"},
        "policy": None,
        "vcpus": 0.5,
        "memory_mib": 512,
        "offer": {"name": "vcpu + gb", "capacity": "local"},
        "waits_for": [],
        "cost": {
            "currency": "USD",
            "rate_per_hour": "0.0000000000",
            "p50": None,
            "p90": None,
            "jobs": 0,
            "source": "default",
            "is_example": False,
        },
    }


def test_a_figure_that_is_only_an_example_says_so(people: People, aws: None) -> None:
    found = good(people.owner.post(PATH, CLOUD))
    assert found["place"] == {"cloud": "aws", "region": "eu-central-1"}
    assert found["offer"] == {"name": "example-small", "capacity": "on-demand"}
    assert (found["cost"]["source"], found["cost"]["is_example"]) == ("example", True)
    priced("0.08", name="real.large")
    found = good(people.owner.post(PATH, CLOUD))
    assert (found["offer"]["name"], found["cost"]["rate_per_hour"]) == ("real.large", "0.0100000000")
    assert (found["cost"]["source"], found["cost"]["is_example"]) == ("staff", False)


def test_an_instance_job_is_a_whole_machine(people: People, aws: None) -> None:
    priced("0.08", name="real.large", capacity="spot")
    body = {name: value for name, value in CLOUD.items() if name not in ("image", "command")}
    found = good(people.owner.post(PATH, {**body, "machine_image": "ami-1", "user_data": "#!/bin/sh"}))
    assert found["offer"] == {"name": "real.large", "capacity": "spot"}
    assert found["cost"]["rate_per_hour"] == "0.0800000000"


def test_a_customer_is_told_its_own_price(people: People, aws: None) -> None:
    people.owner  # noqa: B018 - makes the customer
    priced("0.02", name="own", customer=Customer.objects.get(name="acme"))
    priced("0.08", name="everybodys")
    assert good(people.owner.post(PATH, CLOUD))["offer"]["name"] == "own"
    assert good(people.stranger.post(PATH, {**CLOUD, "customer": "other"}))["offer"]["name"] == "everybodys"


def test_what_nothing_is_large_enough_for_has_no_rate(people: People, aws: None) -> None:
    found = good(people.owner.post(PATH, {**CLOUD, "vcpus": 9000}))
    assert found["offer"] is None
    assert (found["cost"]["rate_per_hour"], found["cost"]["source"]) == (None, None)


def test_jobs_like_it_tell_what_it_will_cost(people: People) -> None:
    for name in ("vcpu", "gb"):
        set_price(Offer.objects.get(cloud="local", name=name), amount=Decimal(1), actor=None)
    ended(people.owner, *(36 * n for n in range(1, 11)))
    ended(people.owner, 9000, classification="another")
    ended(people.stranger, 9000, customer="other")
    cost = good(people.owner.post(PATH, GOOD))["cost"]
    assert (cost["rate_per_hour"], cost["jobs"]) == ("1.0000000000", 10)
    assert (cost["p50"], cost["p90"]) == ("0.0500000000", "0.0900000000")


def test_all_tries_of_a_job_count_and_those_that_failed_do_not_stand_for_it(people: People) -> None:
    stage = Stage()
    job = make_job_in(states.DELAYED, people.owner, stage=stage)
    took(job, 100)
    services.move(
        {job.pk: {"queued_at": timezone.now(), "due_at": None}}, states.QUEUED, fields=("queued_at", "due_at")
    )
    stage.start(job)
    stage.end(job)
    took(job, 50)
    took(make_job_in(states.FAILED, people.owner, stage=stage), 9000)
    found = services.dry_run(people.owner.user, [_request()])[0]
    assert found.history is not None
    assert (found.history.jobs, found.history.p90_seconds) == (1, Decimal(150))


def _request() -> services.JobRequest:
    return services.JobRequest(customer="acme", region="local", classification="nightly", command=["true"])


@pytest.mark.parametrize("shape", ["seed", "mapreduce"])
def test_seed_and_mapreduce_jobs_are_asked_for_as_they_are_submitted(
    people: People, tmp_path: Path, settings: Any, shape: str
) -> None:
    make_place()
    if shape == "seed":
        settings.WORKSPACE_ROOTS = [str(tmp_path)]
        scene = Scene(tmp_path / "workspace", people.owner)
        body = {"job_type_id": scene.job_type().pk, "input": {"files": {"TEXT": [scene.file().pk]}}}
    else:
        program(people.owner), program(people.owner, "reducer")
        inner = {"mapper": {"name": "mapper"}, "reducer": {"name": "reducer"}}
        body = {"mapreduce": {**inner, "input": write_input(), "output": f"file://{folder()}"}}
    found = good(people.owner.post(PATH, body))
    assert (found["place"]["cloud"], found["waits_for"], found["vcpus"]) == ("local", [], 0.5)
    assert not Job.objects.exists()
    assert good(people.owner.post("/v6/jobs/", body), 201)["shape"] == shape


def test_a_mapreduce_job_took_what_its_tasks_took(people: People) -> None:
    job = make_mapreduce(people.owner)
    for task in tasks(job):
        end(task, output={"files": []})
        took(task, 60)
    Job.objects.filter(pk=job.pk).update(status="COMPLETED", ended_at=timezone.now())
    request = services.JobRequest(
        customer="acme",
        region="local",
        classification=job.classification,
        command=(),
        mapreduce=MapReducePart(),
    )
    found = services.dry_run(people.owner.user, [request])[0]
    assert found.history is not None
    assert (found.history.jobs, found.history.p50_seconds) == (1, Decimal(180))


# --- What it would wait for --------------------------------------------------------------------------


def test_it_names_what_explain_would_name(people: People) -> None:
    make_place(vcpus_milli=1000)
    customer = make_job(people.owner).customer_id
    services.place_hold(scope=Scope.CUSTOMER, scope_id=str(customer), code="UNPAID", hint="Pay.", actor=None)
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(customer), max_jobs=0, actor=None)
    body = {**GOOD, "vcpus": 2}
    foreseen = good(people.owner.post(PATH, body))["waits_for"]
    made = good(people.owner.post("/v6/jobs/", body), 201)["id"]
    assert foreseen == good(people.owner.get(f"/v6/jobs/{made}/explain/"))["reasons"]
    assert [each["code"] for each in foreseen] == ["UNPAID", "CAP_JOBS", "TOO_LARGE_VCPUS"]


def test_a_place_that_nobody_serves_is_told(people: People) -> None:
    assert good(people.owner.post(PATH, GOOD))["waits_for"][0]["code"] == "NO_WORKER"


def test_a_paused_job_type_is_told(people: People, tmp_path: Path, settings: Any) -> None:
    make_place()
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    scene = Scene(tmp_path / "workspace", people.owner)
    body = {"job_type_id": scene.job_type().pk, "input": {"files": {"TEXT": [scene.file().pk]}}}
    JobType.objects.update(is_paused=True, paused_at=timezone.now())
    assert [each["code"] for each in good(people.owner.post(PATH, body))["waits_for"]] == ["PAUSED"]


# --- Lists, refusals, people -------------------------------------------------------------------------


def test_a_list_is_answered_in_its_order(people: People) -> None:
    make_place(vcpus_milli=4000)
    found = good(people.owner.post(PATH, [{**GOOD, "vcpus": n} for n in (1, 8, 2)]))
    assert [each["vcpus"] for each in found] == [1, 8, 2]
    assert [[why["code"] for why in each["waits_for"]] for each in found] == [[], ["TOO_LARGE_VCPUS"], []]


def test_a_list_of_jobs_that_are_alike_costs_as_much_as_one(people: People) -> None:
    make_place()
    with counted() as one:
        good(people.owner.post(PATH, [GOOD]))
    with counted() as many:
        good(people.owner.post(PATH, [GOOD] * 500))
    assert len(many) <= len(one)


def test_a_dry_run_is_within_its_budget(people: People) -> None:
    ended(people.owner, 10, 20)
    with within_budget("POST /v6/jobs/?dry_run=true"):
        good(people.owner.post(PATH, GOOD))


@pytest.mark.parametrize(
    ("body", "field", "index"),
    [
        ({**GOOD, "vcpus": 0}, "vcpus", None),
        ({**GOOD, "odd": 1}, "odd", None),
        ({**GOOD, "region": "nowhere"}, "region", None),
        ({**GOOD, "command": None}, "command", None),
        ([GOOD, {**GOOD, "region": "nowhere"}], "region", 1),
        ([GOOD, {**GOOD, "timeout_seconds": "1"}], "timeout_seconds", 1),
        ({"mapreduce": {}}, "mapreduce.mapper", None),
        ({"job_type_id": 0}, "job_type_id", None),
    ],
)
def test_what_the_submit_refuses_is_refused_alike(people: People, body: Any, field: str, index: int | None) -> None:
    for path in (PATH, "/v6/jobs/"):
        assert_error(people.owner.post(path, body), 400, field=field, index=index)


def test_what_a_quota_refuses_is_refused(people: People) -> None:
    customer = make_job(people.owner).customer_id
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(customer), max_queued_jobs=1, actor=None)
    dry, real = (people.owner.post(path, GOOD) for path in (PATH, "/v6/jobs/"))
    assert (dry.status_code, dry.json()) == (real.status_code, real.json())
    assert dry.json()["code"] == "QUOTA"


@pytest.mark.parametrize("value", ["", "yes", "1", "True", "0"])
def test_what_is_neither_true_nor_false_is_refused(people: People, value: str) -> None:
    assert_error(people.owner.post(f"/v6/jobs/?dry_run={value}", GOOD), 400, field="dry_run")
    assert not Job.objects.exists()


def test_with_false_it_is_a_submit(people: People) -> None:
    good(people.owner.post("/v6/jobs/?dry_run=false", GOOD), 201)


def test_more_than_can_be_foreseen_are_refused(people: People) -> None:
    assert_error(people.owner.post(PATH, [GOOD] * (services.MOST_FORECAST + 1)), 400)


def test_nothing_is_made(people: People) -> None:
    make_place()
    people.operator  # noqa: B018 - is made when first called for
    before = Event.objects.count()
    good(people.operator.post(PATH, {**GOOD, "customer": "never heard of"}, headers={"Idempotency-Key": "k"}))
    assert not Job.objects.exists()
    assert not Lane.objects.exists()
    assert not Customer.objects.filter(name="never heard of").exists()
    assert Event.objects.count() == before
    good(people.operator.post("/v6/jobs/", GOOD, headers={"Idempotency-Key": "k"}), 201)


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("admin", 200),
        ("operator", 200),
        ("owner", 200),
        ("colleague", 200),
        ("monitor", 403),
        ("stranger", 403),
        ("disabled", 401),
        ("anonymous", 401),
    ],
)
def test_who_may_submit_for_a_customer_may_ask(people: People, who: str, status: int) -> None:
    for body in (GOOD, [GOOD]):
        response = people[who].post(PATH, body)
        if status == 200:
            good(response)
        else:
            assert_error(response, status)
