"""Instance jobs of Mapsor clients: submit, and what a machine may ask about itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from clusters.providers.base import End
from clusters.providers.errors import ProviderError
from jobs import states
from jobs.models import Execution, Job
from tests.answers import json_of, text_of
from tests.clouds import REGION, CloudStage
from tests.factories import make_customer_user, make_monitor, make_operator
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
BODY = {
    "customer": "acme", "cloud": "aws", "region": REGION, "id": "render", "ami": "ami-0abc",
    "user_data": "#!/bin/sh\necho hello\n", "env": {"MODE": "fast"}, "resources": {"vcpus": 4, "memory": 8},
}  # fmt: skip


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, settings: Any) -> CloudStage:
    settings.PUBNUB_PUBLISH_KEY, settings.PUBNUB_SUBSCRIBE_KEY = "pub-1", "sub-1"
    settings.PUBLIC_URL = "https://plane.example.com"
    return CloudStage(monkeypatch)


def submitted(stage: CloudStage, person: Any = None, **wishes: Any) -> tuple[Job, str, str]:
    """A job whose machine stands: the job, the machine's id, its token."""
    answer = (person or make_operator()).post("/submit", {**BODY, **wishes})
    assert answer.status_code == 200, answer.json()
    stage.turn()
    _, (work,), (handle,) = stage.cloud.submitted[-1]
    stage.cloud.start(handle)
    stage.turn()
    return (
        Job.objects.get(uuid=answer.json()["job_id"]),
        handle.replace("handle-", "i-"),
        work.env["CONTROLPLANE_TOKEN"],
    )


def get(path: str, token: str) -> Any:
    return Client(headers={"Authorization": f"Bearer {token}"}).get(path)


def test_an_instance_job_boots_with_its_data_and_a_token_of_its_own(stage: CloudStage) -> None:
    operator = make_operator()
    job, _, token = submitted(stage, operator)
    _, (work,), _ = stage.cloud.submitted[0]
    assert (work.machine_image, work.user_data, work.image) == ("ami-0abc", BODY["user_data"], "")
    assert (work.env["MODE"], work.env["CONTROLPLANE_URL"]) == ("fast", "https://plane.example.com")
    assert (work.vcpus_milli, work.memory_mib) == (4000, 8192)
    assert job.shape == "instance"
    row = json_of(operator.get("/list", customer="acme", start_time=0, end_time=4e12))["response"][0]
    assert (row["ami"], row["image"], row["command"], row["status"]) == ("ami-0abc", None, [], "RUNNING")
    shown = text_of(operator.get(f"/v6/jobs/{job.pk}/"))
    assert "echo hello" not in shown + job.user_data
    assert token not in shown


def test_a_retry_boots_with_the_same(stage: CloudStage) -> None:
    operator = make_operator()
    job, machine, token = submitted(stage, operator)
    get(f"/destroy/{REGION}/{machine}", token)
    again = operator.get(f"/retry/{job.uuid}")
    assert again.status_code == 200
    stage.turn()
    _, (work,), _ = stage.cloud.submitted[1]
    assert (work.machine_image, work.user_data) == ("ami-0abc", BODY["user_data"])
    assert work.env["CONTROLPLANE_TOKEN"] != token


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"cloud": "local", "region": "local"}, "ami"),
        ({"command": ["true"]}, "command"),
        ({"queue": "gpu"}, "queue"),
        ({"image": "busybox"}, "ami"),
        ({"user_data": "x" * 13_000}, "user_data"),
        ({"region": "nowhere"}, "region"),
    ],
)
def test_what_does_not_go_with_a_machine_is_refused_by_name(stage: CloudStage, wishes: Any, field: str) -> None:
    answer = make_operator().post("/submit", {**BODY, **wishes})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"{field}:")


@pytest.mark.parametrize(
    ("wishes", "field"),
    [
        ({"image": "busybox"}, "image"),
        ({"command": ["true"]}, "command"),
        ({"cloud": "local", "region": None}, "machine_image"),
        ({"machine_image": None}, "machine_image"),
        ({"shape": "container"}, "machine_image"),
    ],
)
def test_the_native_api_refuses_it_by_name_too(stage: CloudStage, wishes: Any, field: str) -> None:
    body = {"customer": "acme", "classification": "render", "cloud": "aws", "region": REGION, "shape": "instance"}
    answer = make_operator().post("/v6/jobs/", {**body, "machine_image": "ami-1", **wishes})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_the_native_api_takes_instance_jobs(stage: CloudStage) -> None:
    operator = make_operator()
    body = {"customer": "acme", "classification": "render", "cloud": "aws", "region": REGION, "machine_image": "ami-1"}
    answer = operator.post("/v6/jobs/", body)
    assert answer.status_code == 201, answer.json()
    job = operator.get(f"/v6/jobs/{answer.json()['id']}/").json()
    assert (job["shape"], job["machine_image"], job["image"]) == ("instance", "ami-1", "")


# --- get-info and destroy --------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_machine_asks_about_itself(stage: CloudStage, method: str) -> None:
    job, machine, token = submitted(stage)
    client = Client(headers={"Authorization": f"Bearer {token}"})
    answer = getattr(client, method)(f"/get-info/{REGION}/{machine}")
    assert answer.status_code == 201
    assert answer.json() == {"job_id": str(job.uuid), "publish_key": "pub-1", "subscribe_key": "sub-1"}
    assert get(f"/get-info/{REGION}/{machine}?token={token}", token).status_code == 201


def test_a_machine_ends_its_job(stage: CloudStage) -> None:
    job, machine, token = submitted(stage)
    answer = get(f"/destroy/{REGION}/{machine}", token)
    assert (answer.status_code, answer.json()) == (201, {"response": "Terminated instance"})
    job.refresh_from_db()
    assert (job.status, stage.execution(job).exit_code) == (states.COMPLETED, 0)
    assert stage.cloud.terminated == {stage.cloud.handles[0]}
    assert get(f"/destroy/{REGION}/{machine}", token).status_code == 201, "said twice, it is the same"
    stage.turn()
    job.refresh_from_db()
    assert job.status == states.COMPLETED


def test_a_job_that_is_to_be_stopped_is_canceled_by_it(stage: CloudStage) -> None:
    operator = make_operator()
    job, machine, token = submitted(stage, operator)
    operator.get(f"/cancel/{job.uuid}")
    get(f"/destroy/{REGION}/{machine}", token)
    job.refresh_from_db()
    assert job.status == states.CANCELED


def test_a_machine_that_disappears_without_a_word_fails_its_job(stage: CloudStage) -> None:
    job, _, _ = submitted(stage)
    stage.cloud.end(
        stage.cloud.handles[0], exit_code=None, end=End.INTERRUPTED, detail="Server.SpotInstanceTermination"
    )
    stage.turn()
    job.refresh_from_db()
    assert (job.status, job.reason) == (states.DELAYED, "INTERRUPTED")


@pytest.mark.parametrize("path", ["get-info", "destroy"])
def test_what_its_calls_cost(stage: CloudStage, path: str) -> None:
    _, machine, token = submitted(stage)
    with within_budget(f"GET /{path}"):
        assert get(f"/{path}/{REGION}/{machine}", token).status_code == 201


def test_until_the_cloud_shows_the_machine_it_is_400(stage: CloudStage) -> None:
    _, machine, token = submitted(stage)
    stage.cloud.hidden.add(stage.cloud.handles[0])
    for path in ("get-info", "destroy"):
        answer = get(f"/{path}/{REGION}/{machine}", token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "SPOT_NOT_VISIBLE")


def test_a_machine_asks_about_no_other(stage: CloudStage) -> None:
    _, _, token = submitted(stage)
    other, machine, _ = submitted(stage)
    for path in ("get-info", "destroy"):
        answer = get(f"/{path}/{REGION}/{machine}", token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "SPOT_NOT_VISIBLE")
    other.refresh_from_db()
    assert other.status == states.RUNNING


@pytest.mark.parametrize(
    "path", ["/status/{job}", "/logs/{job}", "/cancel/{job}", "/v6/jobs/{job}/", "/list?customer=acme"]
)
def test_its_token_is_for_nothing_else(stage: CloudStage, path: str) -> None:
    job, _, token = submitted(stage)
    assert get(path.format(job=job.uuid), token).status_code == 401


def test_its_token_ends_with_its_execution(stage: CloudStage) -> None:
    _, machine, token = submitted(stage)
    get(f"/destroy/{REGION}/{machine}", token)
    Execution.objects.update(ended_at=timezone.now() - timedelta(minutes=16))
    assert get(f"/get-info/{REGION}/{machine}", token).status_code == 401


@pytest.mark.parametrize(
    "spoil", [lambda t: t[:-1] + ("A" if t[-1] != "A" else "B"), lambda t: t.partition(".")[2], lambda t: "job.x.y"]
)
def test_a_token_that_was_changed_is_none(stage: CloudStage, spoil: Any) -> None:
    _, machine, token = submitted(stage)
    assert get(f"/get-info/{REGION}/{machine}", spoil(token)).status_code == 401


def test_who_may_ask_beside_the_machine(stage: CloudStage) -> None:
    owner, colleague, stranger = (
        make_customer_user(customer="acme"), make_customer_user(customer="acme"), make_customer_user(customer="other"),
    )  # fmt: skip
    _, machine, _ = submitted(stage, owner)
    path = f"/get-info/{REGION}/{machine}"
    answers = {person.user.pk: person.get(path).status_code for person in (owner, colleague, stranger, make_monitor())}
    assert list(answers.values()) == [201, 403, 404, 403]
    assert make_operator().get(path).status_code == 201
    assert Client().get(path).status_code == 401


def test_head_is_no_method_of_theirs(stage: CloudStage) -> None:
    _, machine, token = submitted(stage)
    client = Client(headers={"Authorization": f"Bearer {token}"})
    for path in ("get-info", "destroy"):
        assert client.head(f"/{path}/{REGION}/{machine}").status_code == 405


def test_a_cloud_or_region_that_is_not_set_up_is_400(stage: CloudStage, settings: Any) -> None:
    operator = make_operator()
    assert operator.get("/get-info/nowhere/i-1").json()["error"]["message"].startswith("region:")
    settings.AWS_REGIONS = []
    assert operator.get(f"/get-info/{REGION}/i-1").json()["error"]["code"] == "PROVIDER_NOT_CONFIGURED"


def test_a_machine_that_could_not_be_terminated_is_found_by_its_tag(stage: CloudStage) -> None:
    job, machine, token = submitted(stage)
    stage.cloud.failures["cancel"] = [ProviderError("timed out")]
    assert get(f"/destroy/{REGION}/{machine}", token).status_code == 500
    job.refresh_from_db()
    assert job.status == states.COMPLETED
    stage.caller._sweep_at = 0.0
    stage.turn()
    assert stage.cloud.terminated == {stage.cloud.handles[0]}
