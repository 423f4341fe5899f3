"""Policies in the admin: on a job's page, on a job type's, and where a job is submitted."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.urls import reverse

from jobs.models import Job, JobTypePolicy
from jobs.policy import read_policy
from tests.browsers import OTHERS, browser
from tests.clouds import Skies
from tests.clusters.offers import priced
from tests.factories import make_job, make_job_type, make_operator, make_place

pytestmark = pytest.mark.django_db
ADD = "/admin/jobs/job/add/container/"
NEW = {"customer": "acme", "classification": "nightly", "cloud": "local", "image": "busybox", "command": "true"}
LADDER = {
    "places": [
        {"cloud": "aws", "region": "north-1", "capacity": "spot", "wait_seconds": 60},
        {"cloud": "aws", "region": "south-1"},
    ],
    "tries": {"SYSTEM": 3},
    "max_backoff_seconds": 30,
}


@pytest.fixture
def skies(monkeypatch: pytest.MonkeyPatch) -> Skies:
    return Skies(monkeypatch, "north-1", "south-1")


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return str(answer.content.decode())


def page_of(job: Job) -> str:
    return text_of(browser("operator").get(reverse("admin:jobs_job_change", args=[job.pk])))


# --- A job's page ----------------------------------------------------------------------------------


def test_a_job_shows_where_it_goes(skies: Skies) -> None:
    job = make_job(policy=read_policy(LADDER))
    text = page_of(job)
    for shown in ("Where it goes", "aws/north-1 (spot)", "HERE", "60 s", "as long as it takes", "SYSTEM: 3", "30 s"):
        assert shown in text
    assert "aws/north-1 (spot) is number 1 of 2 places that were asked for." in text


def test_a_job_without_a_policy_shows_none() -> None:
    make_place()
    assert "Its policy" not in page_of(make_job())


def test_what_it_shows_to_submit_again_is_taken(skies: Skies) -> None:
    priced("1", region="north-1", vcpus_milli=1000, memory_mib=1024)
    make_place()
    person = make_operator("someone")
    for wish in (
        {"policy": LADDER},
        {"cloud": "any", "policy": {"tries": {"DATA": 2}}},
        {"cloud": "aws", "region": "north-1", "capacity": "spot"},
    ):
        body = {"customer": "acme", "classification": "x", "image": "busybox", "command": ["true"], **wish}
        made = person.post("/v6/jobs/", body).json()
        text = page_of(Job.objects.get(pk=made["id"]))
        found = re.search(r"-d &#x27;(\{.*?\})&#x27;", text, re.DOTALL)
        assert found, text
        again = json.loads(found[1].replace("&quot;", '"'))
        for name in ("cloud", "capacity", "policy"):
            assert again.get(name) == wish.get(name), again
        assert person.post("/v6/jobs/", again).status_code == 201


# --- A job type's page -----------------------------------------------------------------------------


def test_a_policy_of_a_job_type_is_set_shown_and_taken_away() -> None:
    job_type = make_job_type()
    page, form = (reverse(f"admin:jobtypes_jobtype_{name}", args=[job_type.pk]) for name in ("change", "policy"))
    assert "None of its own." in text_of(browser("operator").get(page))
    wish = json.dumps({"tries": {"SYSTEM": 4}, "max_cost": "1.50", "places": [{"cloud": "local"}]})
    assert browser("operator").post(form, {"policy": wish}).status_code == 302
    text = text_of(browser("monitor").get(page))
    for shown in ("SYSTEM: 4", "1.5 USD", "local/local", "Set by"):
        assert shown in text
    assert "&quot;max_cost&quot;: &quot;1.5&quot;" in text_of(browser("operator").get(form))
    assert browser("operator").post(form, {"policy": ""}).status_code == 302
    assert not JobTypePolicy.objects.exists()


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("{", "Enter a valid JSON."),
        ("{}", "This says nothing"),
        ('{"tries": {"SYSTEM": 0}}', "tries.SYSTEM: "),
        ('{"places": [{"cloud": "local", "region": "nowhere"}]}', "There is no region"),
    ],
)
def test_a_wrong_one_is_told_at_its_field(typed: str, told: str) -> None:
    form = reverse("admin:jobtypes_jobtype_policy", args=[make_job_type().pk])
    answer = browser("operator").post(form, {"policy": typed})
    assert told in text_of(answer)
    assert not JobTypePolicy.objects.exists()


def test_who_may_not_has_neither_button_nor_page() -> None:
    job_type = make_job_type()
    page, form = (reverse(f"admin:jobtypes_jobtype_{name}", args=[job_type.pk]) for name in ("change", "policy"))
    assert form in text_of(browser("operator").get(page))
    assert form not in text_of(browser("monitor").get(page))
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        assert browser(role).post(form, {"policy": '{"backoff_seconds": 1}'}).status_code == status
    assert not JobTypePolicy.objects.exists()


# --- Submitting ------------------------------------------------------------------------------------


def test_a_job_is_submitted_with_a_policy(skies: Skies) -> None:
    browser("operator").post(ADD, {**NEW, "policy": json.dumps(LADDER)})
    job = Job.objects.select_related("place").get()
    assert (str(job.place), job.capacity, job.max_tries) == ("aws/north-1", "spot", 3)


def test_a_job_is_submitted_to_anywhere(skies: Skies) -> None:
    make_place()
    priced("1", region="south-1", vcpus_milli=1000, memory_mib=1024)
    browser("operator").post(ADD, {**NEW, "cloud": "any"})
    assert str(Job.objects.select_related("place").get().place) == "local/local"
    text = text_of(browser("operator").post(ADD, {**NEW, "cloud": "any", "check": "1"}))
    assert "local/local is number 1 of 3 places that could run it" in text
    assert "aws/south-1" in text


def test_a_kind_of_machine_is_asked_for(skies: Skies) -> None:
    browser("operator").post(ADD, {**NEW, "cloud": "aws", "region": "north-1", "capacity": "spot"})
    assert Job.objects.get().capacity == "spot"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"policy": "{}"}, "policy"),
        ({"policy": '{"places": [{"cloud": "moon", "region": "x"}]}'}, "policy"),
        ({"policy": '{"max_cost": 1}', "cloud": "aws", "region": "north-1"}, "policy"),
        ({"cloud": "any", "region": "north-1"}, "region"),
        ({"cloud": "any", "capacity": "spot"}, "capacity"),
        ({"cloud": "any", "vcpus": "9999"}, "cloud"),
        ({"cloud": "aws", "region": "north-1", "capacity": "on-demand"}, "capacity"),
        ({"capacity": "spot"}, "capacity"),
    ],
)
def test_what_is_refused_is_told_at_its_field(skies: Skies, wish: dict[str, str], field: str) -> None:
    make_place()
    answer = browser("operator").post(ADD, {**NEW, **wish})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert not Job.objects.exists()
