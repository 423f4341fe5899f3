"""Submitting a job in the admin: what it would come to is shown first, and both go through the services."""

from __future__ import annotations

import html
import json
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Customer, Event
from controlplane.core.encryption import decrypt
from jobs import queries, services
from jobs.admin.shapes import PAGES
from jobs.models import Job, Scope
from jobs.policy import read_policy
from tests.browsers import OTHERS, browser, somebody
from tests.factories import make_job, make_operator, make_place
from tests.mapreduce import make_mapreduce
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
SHAPES = "/admin/jobs/job/add/"
PAGE = f"{SHAPES}container/"
INSTANCE = f"{SHAPES}instance/"
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
    assert "Submit: Container" in text_of(browser(role).get(PAGE))
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
    machine = {**there, "machine_image": "ami-1", "user_data": "#!/bin/sh\n"}
    assert "example-small (spot)" in text_of(browser("operator").post(INSTANCE, machine))
    browser("operator").post(INSTANCE, {name: value for name, value in machine.items() if name != "check"})
    job = Job.objects.get()
    assert (job.shape, job.image, decrypt(job.user_data)) == ("instance", "ami-1", {"user_data": "#!/bin/sh\n"})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("customer", ""), ("classification", ""), ("classification", "a\0b"), ("cloud", "moon"), ("cloud", "aws"),
        ("region", "nowhere"), ("command", ""), ("command", "echo 'open"), ("env", "no sign"), ("env", "=value"),
        ("secret_env", "B=2"),
        ("secret_env", "C="),
        ("tags", "[1]"), ("tags", '{"a": "\\u0000"}'), ("vcpus", "0"), ("vcpus", "0.0001"), ("memory_mib", "0"),
        ("priority", "-1"), ("queue", "nowhere"), ("timeout_seconds", "0"), ("max_tries", "0"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("button", ["check", "submit"])
def test_what_is_refused_is_told_at_its_field(field: str, value: str, button: str) -> None:
    answer = browser("operator").post(PAGE, {**GOOD, field: value, button: "1"})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert not Job.objects.exists()


def test_an_instance_takes_an_image_and_no_place_here() -> None:
    for field, wrong in (("machine_image", ""), ("cloud", "local")):
        answer = browser("operator").post(INSTANCE, {**GOOD, "cloud": "aws", "machine_image": "ami-1", field: wrong})
        assert field in answer.context["form"].errors
    assert not Job.objects.exists()


def test_lines_are_what_was_typed_however_a_browser_ends_them() -> None:
    browser("operator").post(PAGE, {**GOOD, "command": "sh -c 'echo 1\r\necho 2'"})
    assert Job.objects.get().command == ["sh", "-c", "echo 1\necho 2"]


def test_a_quota_is_told() -> None:
    customer = make_job(customer="acme").customer_id
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(customer), max_queued_jobs=1, actor=None)
    for button in ("check", "submit"):
        assert "The quota of this customer" in text_of(browser("operator").post(PAGE, {**GOOD, button: "1"}))
    assert Job.objects.count() == 1


def test_who_may_not_gets_neither_link_nor_page_nor_deed() -> None:
    assert SHAPES not in text_of(browser("monitor").get("/admin/jobs/job/"))
    assert SHAPES in text_of(browser("operator").get("/admin/jobs/job/"))
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        for page in (SHAPES, *(f"{SHAPES}{shape}/" for shape in PAGES)):
            assert browser(role).get(page).status_code == status
            assert browser(role).post(page, GOOD).status_code == status
    assert not Job.objects.exists()


def test_the_first_page_leads_to_every_shape() -> None:
    text = text_of(browser("operator").get(SHAPES))
    assert all(f'href="{SHAPES}{shape}/"' in text for shape in PAGES)
    assert "clusters/cluster/add" not in text


# --- While somebody types ----------------------------------------------------------------------------


def told(client: Any = None, **wish: Any) -> Any:
    answer = (client or browser("operator")).post(PAGE, {**GOOD, **wish, "check": "live"})
    assert answer.status_code == 200
    return answer.json()


def test_the_script_is_told_of_faults_by_field_and_of_the_forecast() -> None:
    make_place()
    client = browser("operator")
    with within_budget("admin: check of a form"):
        found = told(client)
    assert found["errors"] == {}
    assert "0.0000000000 USD per hour" in found["aside"]
    wrong = told(customer="", command="echo 'open")
    assert wrong["errors"] == {
        "customer": ["This field is required."],
        "command": ["A quote is not closed."],
    }
    assert "Not right yet: Customer, Command." in wrong["aside"]
    assert "curl" not in wrong["aside"]
    assert not Job.objects.exists()


def test_what_was_typed_is_shown_as_text() -> None:
    make_place()
    assert "<b>" not in told(classification="<b>")["aside"]
    assert "&lt;b&gt;" in told(classification="<b>")["aside"]


# --- The same request for the API --------------------------------------------------------------------


def shown_json(page: str, wish: Any) -> Any:
    """The body that the page shows for what is typed; its curl command says the same."""
    text = text_of(browser("operator").post(page, {**wish, "check": "1"}))
    shown = json.loads(_pre(text, "submit-json"))
    words = shlex.split(_pre(text, "submit-curl").replace("\\\n", ""))
    assert words[:2] == ["curl", "-X"]
    assert "Authorization: Bearer $TOKEN" in words
    assert json.loads(words[-1]) == shown
    assert words[3].startswith("http://testserver/v6/")
    return shown


def _pre(text: str, name: str) -> str:
    found = re.search(rf'<pre id="{name}"[^>]*>(.*?)</pre>', text, re.DOTALL)
    assert found is not None
    return html.unescape(found[1])


def alike(job: Job) -> dict[str, Any]:
    """All that was asked for with a job."""
    names = (
        *("shape", "customer_id", "place_id", "classification", "image", "command", "secret_env", "tags"),
        *("vcpus_milli", "memory_mib", "priority", "queue", "timeout_seconds", "max_tries", "tries_granted"),
        *("job_type_id", "revision_id", "input", "input_bytes", "configuration", "policy_id", "capacity"),
    )
    asked: dict[str, Any] = {name: getattr(job, name) for name in names}
    return {**asked, "env": decrypt(job.env), "user_data": decrypt(job.user_data)}


def assert_same_by_the_api(page: str, wish: Any, fill: Callable[[Any], None] = lambda body: None) -> Job:
    """Submit the form, and what it shows for the API: both make the same job. `fill` puts secrets into the body."""
    body = shown_json(page, wish)
    assert not Job.objects.exists()
    assert browser("operator").post(page, wish).status_code == 302
    ours = Job.objects.get()
    fill(body)
    answer = make_operator().post("/v6/jobs/", body)
    assert answer.status_code == 201, answer.content
    theirs = Job.objects.get(pk=answer.json()["id"])
    assert alike(ours) == alike(theirs)
    return ours


@pytest.mark.parametrize(
    "more",
    [
        {},
        {name: "" for name in GOOD if name not in ("customer", "classification", "cloud", "command")},
        {"tags": '{"a": [1, null]}', "vcpus": "2.007", "image": "busybox", "queue": "default"},
        {"policy": '{"tries": {"SYSTEM": 3}}', "cloud": "any"},
        {"policy": '{"places": [{"cloud": "local"}], "backoff_seconds": 5}'},
    ],
)
def test_the_api_makes_the_same_container_job(more: Any) -> None:
    make_place()
    job = assert_same_by_the_api(PAGE, {**GOOD, **more})
    assert job.shape == "container"


def test_the_api_makes_the_same_job_once_its_secrets_are_filled_in(settings: Any) -> None:
    make_place()
    body = shown_json(PAGE, {**GOOD, "secret_env": "KEY=sesame"})
    assert (body["env"], body["secret_env"]) == ({"A": "1 = 2", "B": "", "KEY": "…"}, ["KEY"])
    job = assert_same_by_the_api(
        PAGE, {**GOOD, "secret_env": "KEY=sesame"}, lambda body: body["env"].update(KEY="sesame")
    )
    assert queries.environment(job, job.owner) == {"A": "1 = 2", "B": "", "KEY": queries.MASK}


def test_the_api_makes_the_same_instance_job(settings: Any) -> None:
    settings.AWS_REGIONS = ["eu-central-1"]
    settings.AWS_BATCH_QUEUES = {"eu-central-1": {"HIGH": "h", "LOW": "l"}}
    wish = {"customer": "acme", "classification": "x", "cloud": "aws", "region": "eu-central-1", "capacity": "spot"}
    wish |= {"machine_image": "ami-1", "user_data": "#!/bin/sh\r\ntrue"}
    assert shown_json(INSTANCE, wish)["user_data"] == "…"
    assert_same_by_the_api(INSTANCE, wish, lambda body: body.update(user_data="#!/bin/sh\ntrue"))


# --- Once more, with changes -------------------------------------------------------------------------


def fields_of(page: str) -> dict[str, Any]:
    """What a form begins with, as a browser would send it."""
    form = browser("operator").get(page).context["form"]
    return {field.name: "" if field.value() is None else field.value() for field in form.visible_fields()}


def test_a_job_is_submitted_again_with_changes() -> None:
    make_place()
    env = {"A": "1 2", "KEY": "sesame", "LONG": "1\n2"}
    policy = read_policy({"tries": {"SYSTEM": 3}})
    old = make_job(env=env, secret_env=["KEY"], command=["sh", "-c", "echo '1'"], tags={"a": 1}, policy=policy)
    button = f"{PAGE}?from={old.pk}"
    shown = text_of(browser("operator").get(reverse("admin:jobs_job_change", args=[old.pk])))
    assert f'href="{button}">Resubmit with changes' in shown
    assert button not in text_of(browser("monitor").get(reverse("admin:jobs_job_change", args=[old.pk])))
    page = text_of(browser("operator").get(button))
    assert "sesame" not in page
    for note in ("Secret values are not filled in: type those of KEY again.", "cannot be filled in: LONG."):
        assert note in page
    wish = fields_of(button)
    assert browser("operator").post(button, wish).context["form"].errors["secret_env"] == [
        "KEY has no value: type it, or take the line away."
    ]
    browser("operator").post(button, {**wish, "secret_env": "KEY=changed", "memory_mib": "300"})
    new = Job.objects.latest("pk")
    assert (new.retry_of, new.owner, new.memory_mib) == (old, somebody("operator"), 300)
    assert decrypt(new.env) == {"A": "1 2", "KEY": "changed"}
    same = ("command", "tags", "vcpus_milli", "policy_id", "customer_id", "image", "priority", "secret_env")
    assert [getattr(new, name) for name in same] == [getattr(old, name) for name in same]
    old.refresh_from_db()
    assert old.status == "QUEUED"
    assert Event.objects.get(kind="job.retried", subject_id=old.pk).after == {"retry": str(new.uuid)}


def test_a_form_is_filled_from_a_job_of_its_shape_only() -> None:
    job, task = make_job(), make_mapreduce()
    for wrong in (f"{INSTANCE}?from={job.pk}", f"{PAGE}?from={task.pk}", f"{PAGE}?from=999999", f"{PAGE}?from=x"):
        assert browser("operator").get(wrong).status_code == 404
    part = Job.objects.filter(parent=task).first()
    assert part is not None
    assert "Resubmit" not in text_of(browser("operator").get(reverse("admin:jobs_job_change", args=[part.pk])))
