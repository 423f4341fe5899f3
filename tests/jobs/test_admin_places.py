"""Places in the admin: how each is, what it waits for, and whether its cloud has what it needs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from accounts.models import Event
from clusters.providers.base import Probe
from clusters.providers.errors import AuthFailed
from jobs import states
from jobs.models import Place, Submission
from tests.browsers import OTHERS, browser
from tests.clouds import REGION, CloudStage
from tests.factories import make_job, make_jobs, make_place
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/place/"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> CloudStage:
    return CloudStage(monkeypatch)


def page(place: Place, name: str = "change") -> str:
    return reverse(f"admin:jobs_place_{name}", args=[place.pk])


def text(path: str, role: str = "monitor") -> str:
    return browser(role).get(path).content.decode()


def rows() -> dict[str, Any]:
    return {str(row): row for row in browser("monitor").get(LIST).context["cl"].result_list}


def test_the_list_says_how_each_place_is(stage: CloudStage) -> None:
    make_place(vcpus_milli=8000, memory_mib=16_384)
    make_jobs(3)
    stage.submit(2)
    stage.turn()
    stage.submit(1)
    shown = text(LIST)
    for words in ("WORKS", "8 vCPUs, 16.0 GiB", "64 vCPUs, 256.0 GiB"):
        assert words in shown
    found = rows()
    assert (found["local/local"].active_jobs, found["local/local"].queued_jobs) == (0, 3)
    assert (found[f"aws/{REGION}"].active_jobs, found[f"aws/{REGION}"].queued_jobs) == (2, 1)
    since = timezone.now() - timedelta(minutes=5)
    Place.objects.filter(pk=stage.place.pk).update(failure="batch:SubmitJob: no <b>rights</b>", failing_since=since)
    shown = text(LIST)
    assert "FAILING" in shown
    assert "no &lt;b&gt;rights&lt;/b&gt;" in shown


@pytest.mark.parametrize(
    ("facts", "word"),
    [
        ({"seen_at": None}, "NEVER SEEN"),
        ({"seen_at": timezone.now() - timedelta(days=1)}, "SILENT"),
        ({"failing_since": timezone.now(), "failure": "no"}, "FAILING"),
        ({}, "WORKS"),
    ],
)
def test_a_place_has_its_state_in_a_word(stage: CloudStage, facts: dict[str, Any], word: str) -> None:
    Place.objects.filter(pk=stage.place.pk).update(**facts)
    assert word in text(page(stage.place))


def test_counts_are_bounded_and_the_list_costs_the_same_with_more(
    stage: CloudStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.queries.places.COUNTED", 2)
    monkeypatch.setattr("jobs.admin.places.COUNTED", 2)
    client, found = browser("monitor"), []
    client.get(LIST)
    for count in (1, 5):
        stage.submit(count)
        Place.objects.create(cloud="local", region=f"machine-{count}")
        with within_budget("admin: places") as statements:
            shown = client.get(LIST).content.decode()
        found.append(len(statements))
    assert found[0] == found[1]
    assert "more than 2" in shown


def test_a_cloud_s_page_says_what_is_on_its_way_and_what_is_set(stage: CloudStage, settings: Any) -> None:
    role = {"role_arn": "arn:aws:iam::210987654321:role/controlplane", "external_id": "a-secret-id"}
    settings.AWS_CUSTOMER_ROLES = {"acme": role}
    (job,) = stage.submit()
    stage.turn()
    job.refresh_from_db()
    assert job.status in states.ACTIVE
    caller = uuid4()
    Place.objects.filter(pk=stage.place.pk).update(
        failure="ec2:RunInstances: no <i>rights</i>",
        failing_since=timezone.now() - timedelta(minutes=5),
        caller=caller,
        called_until=timezone.now() + timedelta(seconds=30),
    )
    for _ in range(12):
        Submission.objects.create(
            place=stage.place, detail="batch:SubmitJob: <no>", calls=2, created_at=timezone.now() - timedelta(hours=2)
        )
    Submission.objects.create(place=stage.place, settled_at=timezone.now(), detail="was sent")
    client = browser("monitor")
    client.get(page(stage.place))  # what a process looks up once
    with within_budget("admin: place page"):
        shown = client.get(page(stage.place)).content.decode()
    for words in (
        *("FAILING", "no &lt;i&gt;rights&lt;/i&gt;", "5\xa0minutes ago", str(caller), "Holds it until"),
        *(
            "12 open, the oldest for 2\xa0hours",
            "batch:SubmitJob: &lt;no&gt;",
            "AWS_BATCH_QUEUES",
            "AWS_CUSTOMER_ROLES",
        ),
        *("<dd>64</dd>", "256.0 GiB", "<dt>batch</dt><dd>40</dd>"),
        f"?cloud=aws&amp;region={REGION}&amp;state={job.status}",
    ):
        assert words in shown, words
    assert "was sent" not in shown
    assert "a-secret-id" not in shown
    assert stage.cloud.calls.count("probe") == 0


def test_a_place_that_is_not_set_up_says_what_is_missing(settings: Any) -> None:
    settings.AZURE_REGION, settings.AZURE_BATCH_ENDPOINT, settings.AZURE_BATCH_POOLS = "", "https://a.example", {}
    place = Place.objects.create(cloud="azure", region="westeurope")
    shown = text(page(place))
    assert "NOT SET UP" in shown
    assert "not set: AZURE_REGION, AZURE_BATCH_POOLS" in shown
    assert "MISSING" in shown
    answer = browser("operator").post(page(place, "check"), {"customer": ""}).content.decode()
    assert "cannot be asked: not set: AZURE_REGION, AZURE_BATCH_POOLS" in answer


def test_a_machine_of_ours_has_its_disk_and_nothing_to_check() -> None:
    place = make_place(disk_free_mib=10_240)
    shown = text(page(place), "admin")
    assert "A machine of ours." in shown
    assert "10.0 GiB" in shown
    assert "Check now" not in shown
    assert browser("admin").get(page(place, "check")).status_code == 404


def test_the_cloud_is_asked_only_when_somebody_says_so(stage: CloudStage) -> None:
    stage.cloud.probes = [
        Probe("credentials", True, "we call as arn:aws:iam::1:role/us"),
        Probe("queue bulk", False, "there is <none>"),
        Probe("batch:SubmitJob", None, "cannot be told"),
    ]
    client = browser("operator")
    assert page(stage.place, "check") in client.get(page(stage.place)).content.decode()
    asked = client.get(page(stage.place, "check")).content.decode()
    assert "role/us" not in asked
    assert stage.cloud.calls == []
    shown = client.post(page(stage.place, "check"), {"customer": "acme"}).content.decode()
    assert stage.cloud.calls == ["probe"]
    for words in ("role/us", "there is &lt;none&gt;", ">OK<", ">NOT OK<", ">UNKNOWN<", "of acme"):
        assert words in shown
    assert not Event.objects.filter(subject_kind="place").exists()


def test_what_fails_when_it_is_asked_is_shown(stage: CloudStage) -> None:
    stage.cloud.failures["probe"] = [AuthFailed("sts:AssumeRole: <denied>")]
    answer = browser("operator").post(page(stage.place, "check"), {"customer": ""})
    assert answer.status_code == 200
    assert f"aws/{REGION} cannot be asked: sts:AssumeRole: &lt;denied&gt;" in answer.content.decode()


def test_a_name_that_is_too_long_is_refused(stage: CloudStage) -> None:
    answer = browser("operator").post(page(stage.place, "check"), {"customer": "a" * 256})
    assert list(answer.context["form"].errors) == ["customer"]
    assert stage.cloud.calls == []


@pytest.mark.parametrize(
    ("role", "checks"), [("admin", 200), ("operator", 200), ("monitor", 403), *((role, 302) for role in OTHERS)]
)
def test_who_may(stage: CloudStage, role: str, checks: int) -> None:
    client = browser(role)
    for path in (LIST, page(stage.place)):
        assert client.get(path).status_code == (302 if role in OTHERS else 200)
    assert client.get(page(stage.place, "check")).status_code == checks
    assert client.post(page(stage.place, "check"), {"customer": ""}).status_code == checks
    assert stage.cloud.calls == (["probe"] if checks == 200 else [])
    if role not in OTHERS:
        assert ("Check now" in client.get(page(stage.place)).content.decode()) is (checks == 200)


def test_a_job_s_page_leads_to_its_place() -> None:
    job = make_job()
    assert page(job.place) in text(reverse("admin:jobs_job_change", args=[job.pk]))
