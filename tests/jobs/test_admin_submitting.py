"""Submitting a job in the admin: what it would come to is shown first, and both go through the services."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Customer
from jobs import queries, services
from jobs.models import Job, Scope
from tests.browsers import OTHERS, browser, somebody
from tests.factories import make_job, make_place

pytestmark = pytest.mark.django_db
PAGE = "/admin/jobs/job/add/"
GOOD: dict[str, Any] = {
    "customer": "acme",
    "classification": "nightly",
    "cloud": "local",
    "command": "sh -c 'echo $A'",
    "env": "A=1 = 2\n\nB=",
    "vcpus": "0.25",
    "memory_mib": "256",
    "priority": "7",
    "timeout_seconds": "60",
    "max_tries": "2",
}


def text_of(answer: Any) -> str:
    assert answer.status_code == 200
    return str(answer.content.decode())


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_a_job_is_submitted_for_a_customer(role: str) -> None:
    assert "Submit a job" in text_of(browser(role).get(PAGE))
    answer = browser(role).post(PAGE, GOOD)
    job = Job.objects.get()
    assert answer.headers["Location"] == reverse("admin:jobs_job_change", args=[job.pk])
    assert (job.command, job.vcpus_milli, job.memory_mib, job.priority) == (["sh", "-c", "echo $A"], 250, 256, 7)
    assert (job.timeout_seconds, job.max_tries, job.place.cloud, job.shape) == (60, 2, "local", "container")
    assert (job.owner, job.customer.name) == (somebody(role), "acme")
    assert queries.environment(job, job.owner) == {"A": "1 = 2", "B": ""}


def test_what_is_left_out_has_its_default() -> None:
    browser("operator").post(PAGE, {name: GOOD[name] for name in ("customer", "classification", "cloud", "command")})
    job = Job.objects.get()
    assert (job.vcpus_milli, job.memory_mib, job.priority, job.timeout_seconds, job.max_tries) == (
        500,
        512,
        100,
        None,
        3,
    )


def test_check_shows_the_forecast_and_submits_nothing() -> None:
    make_place()
    text = text_of(browser("operator").post(PAGE, {**GOOD, "customer": "new", "check": "1"}))
    for shown in ("vcpu + gb (local)", "0.0000000000 USD per hour", "Default", "no job like it has completed yet"):
        assert shown in text
    assert 'value="nightly"' in text
    assert not Job.objects.exists()
    assert not Customer.objects.filter(name="new").exists()


def test_check_says_what_it_would_wait_for() -> None:
    make_place()
    customer = make_job(customer="acme").customer_id
    services.place_hold(scope=Scope.CUSTOMER, scope_id=str(customer), code="UNPAID", hint="<b>Pay.</b>", actor=None)
    text = text_of(browser("operator").post(PAGE, {**GOOD, "check": "1"}))
    assert "UNPAID" in text
    assert "&lt;b&gt;Pay." in text


def test_check_marks_an_example(settings: Any) -> None:
    settings.AWS_REGIONS = ["eu-central-1"]
    settings.AWS_BATCH_QUEUES = {"eu-central-1": {"HIGH": "h", "LOW": "l"}}
    there = {**GOOD, "cloud": "aws", "region": "eu-central-1", "check": "1"}
    assert "EXAMPLE, no quote" in text_of(browser("operator").post(PAGE, there))
    machine = {**there, "command": "", "machine_image": "ami-1", "user_data": "#!/bin/sh\n"}
    assert "example-small (spot)" in text_of(browser("operator").post(PAGE, machine))
    browser("operator").post(PAGE, {name: value for name, value in machine.items() if name != "check"})
    assert Job.objects.get().shape == "instance"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("customer", ""), ("classification", ""), ("classification", "a\0b"), ("cloud", "moon"), ("cloud", "aws"),
        ("region", "nowhere"), ("command", ""), ("command", "echo 'open"), ("env", "no sign"), ("env", "=value"),
        ("machine_image", "ami-1"), ("user_data", "#!"), ("vcpus", "0"), ("vcpus", "0.0001"), ("memory_mib", "0"),
        ("priority", "-1"), ("queue", "nowhere"), ("timeout_seconds", "0"), ("max_tries", "0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("button", ["check", "submit"])
def test_what_is_refused_is_told_at_its_field(field: str, value: str, button: str) -> None:
    answer = browser("operator").post(PAGE, {**GOOD, field: value, button: "1"})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert not Job.objects.exists()


def test_a_quota_is_told() -> None:
    customer = make_job(customer="acme").customer_id
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(customer), max_queued_jobs=1, actor=None)
    for button in ("check", "submit"):
        assert "The quota of this customer" in text_of(browser("operator").post(PAGE, {**GOOD, button: "1"}))
    assert Job.objects.count() == 1


def test_who_may_not_gets_neither_link_nor_page_nor_deed() -> None:
    assert PAGE not in text_of(browser("monitor").get("/admin/jobs/job/"))
    assert PAGE in text_of(browser("operator").get("/admin/jobs/job/"))
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        assert browser(role).get(PAGE).status_code == status
        assert browser(role).post(PAGE, GOOD).status_code == status
    assert not Job.objects.exists()
