"""The admin as staff meet it: who sees what, who may press what."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import ApiToken, Event, Role, User
from accounts.queries import user_of_token
from accounts.services import create_user
from jobs import states
from jobs.models import Job
from tests.factories import Stage, keep_output, make_job, make_job_in, make_jobs, make_place

pytestmark = pytest.mark.django_db
PASSWORD = "correct horse battery"


def _browser(role: str) -> Client:
    customer = "acme" if role == Role.CUSTOMER else None
    user = create_user(username=f"browser-{role}", role=role, actor=None, customer=customer, password=PASSWORD)
    browser = Client()
    browser.force_login(user)
    return browser


def _page(job: Job) -> str:
    return reverse("admin:jobs_job_change", args=[job.pk])


@pytest.mark.parametrize(("role", "status"), [("admin", 200), ("operator", 200), ("monitor", 200), ("customer", 302)])
def test_staff_see_the_list_and_customers_do_not(role: str, status: int) -> None:
    job = make_job()
    answer = _browser(role).get(reverse("admin:jobs_job_changelist"))
    assert answer.status_code == status
    assert (str(job.uuid) in answer.content.decode()) is (status == 200)


def test_a_job_s_page_tells_its_story() -> None:
    stage = Stage()
    job = make_job_in(states.FAILED, stage=stage, env={"KEY": "secret-value"})
    keep_output(job, stdout="line <one>\n", stderr="and its trouble\n")
    page = _browser("monitor").get(_page(job)).content.decode()
    for text in ("EXIT_3", "line &lt;one&gt;", "and its trouble", "STARTING", "the scheduler", "stage-1"):
        assert text in page
    assert "secret-value" not in page
    assert "Cancel" not in page


def test_a_waiting_job_s_page_says_what_it_waits_for() -> None:
    make_place(vcpus_milli=1)
    page = _browser("operator").get(_page(make_job())).content.decode()
    assert "TOO_LARGE_VCPUS" in page
    assert "has not started" in page


def test_an_operator_cancels_and_retries_from_the_page() -> None:
    browser, job = _browser("operator"), make_job()
    answer = browser.post(reverse("admin:jobs_job_cancel", args=[job.pk]), follow=True)
    job.refresh_from_db()
    assert (job.status, answer.status_code) == (states.CANCELED, 200)
    browser.post(reverse("admin:jobs_job_retry", args=[job.pk]))
    assert Job.objects.get(retry_of=job).status == states.QUEUED
    last = Event.objects.filter(kind="job.retried").last()
    assert last is not None
    assert last.actor == User.objects.get(username="browser-operator")


@pytest.mark.parametrize("name", ["admin:jobs_job_cancel", "admin:jobs_job_retry"])
def test_a_monitor_may_press_nothing_and_a_link_changes_nothing(name: str) -> None:
    job = make_job()
    assert _browser("monitor").post(reverse(name, args=[job.pk])).status_code == 403
    assert _browser("operator").get(reverse(name, args=[job.pk])).status_code == 405
    job.refresh_from_db()
    assert job.status == states.QUEUED


def test_the_list_s_actions_work_on_what_is_chosen() -> None:
    chosen, left = make_jobs(3)[:2], make_job()
    data = {"action": "cancel", "_selected_action": [job.pk for job in chosen]}
    _browser("operator").post(reverse("admin:jobs_job_changelist"), data)
    assert Job.objects.filter(status=states.CANCELED).count() == 2
    left.refresh_from_db()
    assert left.status == states.QUEUED


def test_a_token_is_shown_once_and_only_its_digest_is_kept() -> None:
    browser = _browser("admin")
    user = create_user(username="mary", role=Role.OPERATOR, actor=None)
    data = {"action": "issue_token", "_selected_action": [user.pk]}
    answer = browser.post(reverse("admin:accounts_user_changelist"), data)
    page = answer.content.decode()
    token = page.split("<td>mary</td><td><code>")[1].split("<")[0]
    assert user_of_token(token) == user
    assert "no-store" in answer["Cache-Control"]
    for name in (
        "admin:accounts_apitoken_changelist",
        "admin:accounts_event_changelist",
        "admin:accounts_user_changelist",
    ):
        assert token not in browser.get(reverse(name)).content.decode()
    assert not ApiToken.objects.filter(digest=token).exists()


@pytest.mark.parametrize("role", ["operator", "monitor"])
def test_only_admins_manage_users(role: str) -> None:
    user = create_user(username="mary", role=Role.OPERATOR, actor=None)
    browser = _browser(role)
    for action in ("disable", "issue_token", "revoke_tokens"):
        browser.post(reverse("admin:accounts_user_changelist"), {"action": action, "_selected_action": [user.pk]})
    user.refresh_from_db()
    assert user.is_active
    assert not user.tokens.exists()
    assert browser.get(reverse("admin:accounts_user_add")).status_code == 403


def test_an_admin_makes_a_user_who_can_sign_in() -> None:
    browser = _browser("admin")
    data = {"username": "eve", "role": "operator", "customer_name": "", "new_password": PASSWORD}
    assert browser.post(reverse("admin:accounts_user_add"), data).status_code == 302
    eve = User.objects.get(username="eve")
    assert eve.check_password(PASSWORD)
    assert [group.name for group in eve.groups.all()] == ["Operator"]
    assert Event.objects.filter(kind="user.created", subject_id=eve.pk).count() == 1


def test_events_cannot_be_added_changed_or_deleted_even_by_admins() -> None:
    make_job()
    event = Event.objects.latest("id")
    browser = _browser("admin")
    assert browser.get(reverse("admin:accounts_event_add")).status_code == 403
    assert browser.post(reverse("admin:accounts_event_change", args=[event.pk]), {"kind": "x"}).status_code == 403
    assert browser.post(reverse("admin:accounts_event_delete", args=[event.pk]), {"post": "yes"}).status_code == 403
    assert Event.objects.filter(pk=event.pk).exists()


def test_an_unisolated_machine_has_a_banner() -> None:
    make_place(runs_for="staff")
    assert "not isolated" in _browser("monitor").get(reverse("admin:index")).content.decode()
    make_place()
    assert "not isolated" not in _browser("admin").get(reverse("admin:index")).content.decode()


def test_the_task_tables_are_not_in_the_admin() -> None:
    page = _browser("admin").get(reverse("admin:index")).content.decode()
    assert "ormq" not in page.lower()
