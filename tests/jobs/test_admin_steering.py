"""What staff do to jobs in the admin, and to what steers them: each with a page before, and by who may."""

from __future__ import annotations

from typing import Any
from unittest import mock

import pytest
from django.urls import reverse

from accounts.models import Event
from jobs import queries, services, states
from jobs.admin import steering
from jobs.models import Gate, Hold, Job, Operation, Scope
from jobtypes.models import Category, Error
from jobtypes.services import create_error
from tests.browsers import OTHERS, browser, make_operation, somebody
from tests.factories import Stage, make_job, make_job_in, make_jobs, make_place
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
VERBS = ("cancel", "requeue", "retry", "priority", "hold", "release")


def _one(verb: str, job: Job) -> str:
    return reverse(f"admin:jobs_job_{verb}", args=[job.pk])


def _told(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def _fitting(verb: str) -> Job:
    """A job to which the verb can be done."""
    if verb in ("requeue", "retry"):
        return make_job_in(states.FAILED)
    job = make_job()
    if verb == "release":
        services.hold_jobs([job.pk], actor=None)
    return job


def _is_done(verb: str, job: Job) -> bool:
    job = Job.objects.select_related("lane").get(pk=job.pk)
    return {
        "cancel": job.status == states.CANCELED,
        "requeue": job.status == states.QUEUED,
        "retry": Job.objects.filter(retry_of=job).exists(),
        "priority": job.priority == 7,
        "hold": job.lane.on_hold,
        "release": not job.lane.on_hold,
    }[verb]


# --- One job -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("role", ["admin", "operator"])
def test_a_verb_has_a_page_before_and_then_is_done(role: str, verb: str) -> None:
    job, client = _fitting(verb), browser(role)
    answer = client.get(_one(verb, job))
    assert answer.status_code == 200
    assert str(job.pk) in answer.content.decode()
    assert not _is_done(verb, job)
    answer = client.post(_one(verb, job), {"priority": "7"} if verb == "priority" else {}, follow=True)
    assert _is_done(verb, job)
    assert "1 job " in _told(answer)
    last = Event.objects.filter(subject_kind="job", actor__isnull=False).latest("id")
    assert last.actor == somebody(role)


@pytest.mark.parametrize("verb", VERBS)
def test_who_may_not_gets_neither_page_nor_deed(verb: str) -> None:
    job = _fitting(verb)
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        client = browser(role)
        for path in (_one(verb, job), reverse(f"admin:jobs_job_selected_{verb}")):
            data = {"priority": "7", "_selected_action": [job.pk], "confirmed": "1"}
            assert client.post(path, data).status_code == status
        assert client.get(_one(verb, job)).status_code == status
        matching = reverse(f"admin:jobs_job_matching_{verb}") + "?state=QUEUED"
        assert client.post(matching, {"priority": "7"}).status_code == status
    assert not _is_done(verb, job)
    assert not Operation.objects.exists()


def test_what_the_state_does_not_allow_is_said() -> None:
    job, client = make_job_in(states.COMPLETED), browser("operator")
    assert "this will not change it" in client.get(_one("requeue", job)).content.decode()
    assert "unchanged" in _told(client.post(_one("requeue", job), follow=True))
    waiting = make_job()
    assert "only an ended job can be retried" in _told(client.post(_one("retry", waiting), follow=True))


def test_a_priority_that_is_none_is_asked_for_again() -> None:
    job, client = make_job(), browser("operator")
    for given in ("", "soon", "-1", "1000001"):
        answer = client.post(_one("priority", job), {"priority": given})
        assert answer.status_code == 200
        assert answer.context["form"].errors
    assert not _is_done("priority", job)


def test_a_hold_says_who_and_why() -> None:
    job = make_job()
    make_place()
    browser("operator").post(_one("hold", job), {"hint": "waits for the lens"})
    page = browser("monitor").get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    for text in ("HELD", "waits for the lens", "browser-operator"):
        assert text in page


def test_no_verb_is_done_to_a_job_that_is_not_there() -> None:
    assert browser("operator").post("/admin/jobs/job/999/cancel/").status_code == 404


# --- Chosen in the list --------------------------------------------------------------------------


def test_the_list_s_actions_ask_first_and_work_on_what_is_chosen() -> None:
    chosen, left = make_jobs(3)[:2], make_job()
    ids = [job.pk for job in chosen]
    client, path = browser("operator"), reverse("admin:jobs_job_changelist")
    # `select_across` would mean all rows to Django; here the boxes decide.
    answer = client.post(path, {"action": "cancel", "_selected_action": ids, "select_across": "1"})
    assert "2 jobs chosen" in answer.content.decode()
    assert "cannot" in answer.content.decode() or "is lost" in answer.content.decode()
    assert not Job.objects.filter(status=states.CANCELED).exists()
    answer = client.post(answer.context["url"], {"_selected_action": ids, "confirmed": "1"}, follow=True)
    assert "2 jobs cancelled" in _told(answer)
    assert Job.objects.filter(status=states.CANCELED).count() == 2
    left.refresh_from_db()
    assert left.status == states.QUEUED


def test_a_monitor_has_no_actions() -> None:
    job = make_job()
    data = {"action": "cancel", "_selected_action": [job.pk]}
    browser("monitor").post(reverse("admin:jobs_job_changelist"), data)
    job.refresh_from_db()
    assert job.status == states.QUEUED


def test_the_page_before_says_how_many_can_be_changed() -> None:
    stage = Stage()
    ids = [make_job_in(states.FAILED, stage=stage).pk, make_job().pk]
    answer = browser("operator").post(reverse("admin:jobs_job_selected_requeue"), {"_selected_action": ids})
    assert "1 of them can be changed" in answer.content.decode()


def test_more_than_a_hundred_become_an_operation() -> None:
    ids = [job.pk for job in make_jobs(5)]
    data = {"_selected_action": ids, "confirmed": "1", "priority": "7"}
    client = browser("operator")
    with mock.patch.object(steering, "AT_ONCE", 4):
        answer = client.post(reverse("admin:jobs_job_selected_priority"), data)
        operation = Operation.objects.get()
        assert answer.headers["Location"] == reverse("admin:jobs_operation_change", args=[operation.pk])
        assert operation.parameters == {"priority": 7}
        services.carry_on(operation.pk)
        assert Job.objects.filter(priority=7).count() == 5
        # There is no operation that retries: new jobs are made one by one.
        answer = client.post(reverse("admin:jobs_job_selected_retry"), data, follow=True)
        assert "Choose from 1 to" in _told(answer)


@pytest.mark.parametrize("ids", [[], ["x"], ["1 OR 1=1"]])
def test_a_choice_of_nothing_is_refused(ids: list[str]) -> None:
    make_job()
    data = {"_selected_action": ids, "confirmed": "1"}
    answer = browser("operator").post(reverse("admin:jobs_job_selected_cancel"), data, follow=True)
    assert "Choose from 1" in _told(answer)
    assert browser("operator").get(reverse("admin:jobs_job_selected_cancel")).status_code == 405


# --- Everything that matches ---------------------------------------------------------------------


def test_everything_that_matches_a_filter_becomes_an_operation() -> None:
    make_jobs(3, customer="globex")
    other = make_job()
    client = browser("operator")
    page = client.get(reverse("admin:jobs_job_changelist"), {"customer": "globex"})
    url = dict(page.context["everything"])["Hold"]
    answer = client.get(url)
    assert "3 jobs match customer: globex" in answer.content.decode()
    assert not Operation.objects.exists()
    answer = client.post(answer.context["url"], {"hint": "later"})
    operation = Operation.objects.get()
    assert (operation.kind, operation.selection) == ("hold", {"customer": ["globex"]})
    assert (operation.parameters, operation.created_by) == ({"hint": "later"}, somebody())
    assert answer.headers["Location"] == reverse("admin:jobs_operation_change", args=[operation.pk])
    services.carry_on(operation.pk)
    assert Job.objects.filter(lane__on_hold=True).count() == 3
    assert other.pk not in Job.objects.filter(lane__on_hold=True).values_list("pk", flat=True)


def test_everything_is_offered_for_filters_only_and_to_who_may() -> None:
    make_job()
    path = reverse("admin:jobs_job_changelist")
    for role, parameters, offered in (
        ("operator", {}, False),
        ("operator", {"q": "nightly"}, False),
        ("operator", {"state": "QUEUED", "q": "nightly"}, False),
        ("operator", {"state": "QUEUED"}, True),
        ("monitor", {"state": "QUEUED"}, False),
    ):
        found = browser(role).get(path, parameters).context["everything"]
        assert bool(found) is offered, (role, parameters)
        assert "Retry" not in dict(found)


def test_no_filter_and_a_filter_that_cannot_be_read_start_nothing() -> None:
    make_job()
    client = browser("operator")
    for query in ("", "?customer=", "?state=SLEEPING"):
        answer = client.post(reverse("admin:jobs_job_matching_cancel") + query, follow=True)
        assert _told(answer), query
    assert not Operation.objects.exists()


# --- Operations ----------------------------------------------------------------------------------


def test_an_operation_s_page_shows_how_far_it_is_and_what_failed() -> None:
    operation = make_operation()
    client = browser("monitor")
    with within_budget("admin: operation"):
        page = client.get(reverse("admin:jobs_operation_change", args=[operation.pk])).content.decode()
    for text in ("COMPLETED", "browser-operator", "JOB_STATE", "The job is COMPLETED"):
        assert text in page
    assert 'data-progress=""' in page
    told = client.get(reverse("admin:jobs_operation_progress", args=[operation.pk]))
    assert told.json() == {"status": "COMPLETED", "total": 3, "done": 2, "failed": 1, "ended": True}
    assert "no-store" in told["Cache-Control"]
    listed = client.get(reverse("admin:jobs_operationfailure_changelist"), {"operation": operation.pk})
    assert [each.operation_id for each in listed.context["cl"].result_list] == [operation.pk]


def test_an_operation_is_stopped_by_who_may() -> None:
    operation = services.start_operation(
        kind="cancel", selection={"job_id": [str(make_job().pk)]}, parameters={}, actor=somebody()
    )
    stop = reverse("admin:jobs_operation_stop", args=[operation.pk])
    page = reverse("admin:jobs_operation_change", args=[operation.pk])
    assert stop not in browser("monitor").get(page).content.decode()
    assert browser("monitor").post(stop).status_code == 403
    operator = browser("operator")
    assert stop in operator.get(page).content.decode()
    assert operator.get(stop).status_code == 405
    assert "STOPPED" in _told(operator.post(stop, follow=True))
    assert "already" in _told(operator.post(stop, follow=True))
    operation.refresh_from_db()
    assert operation.status == states.STOPPED


@pytest.mark.parametrize("role", OTHERS)
def test_progress_is_for_staff(role: str) -> None:
    operation = make_operation()
    assert browser(role).get(reverse("admin:jobs_operation_progress", args=[operation.pk])).status_code == 302


def test_progress_of_what_is_not_there_is_not_found() -> None:
    assert browser("monitor").get(reverse("admin:jobs_operation_progress", args=[999])).status_code == 404


# --- Holds and quotas ----------------------------------------------------------------------------


def test_a_hold_is_added_and_lifted() -> None:
    job = make_job()
    client = browser("operator")
    data = {"scope": "customer", "customer": "acme", "code": "DEPLOY", "hint": "new version"}
    client.post(reverse("admin:jobs_hold_add"), data)
    hold = Hold.objects.get()
    assert (hold.scope_id, hold.set_by) == (str(job.customer_id), somebody())
    make_place()
    assert queries.explain(Job.objects.get(pk=job.pk))[0].code == "DEPLOY"
    remove = reverse("admin:jobs_hold_remove", args=[hold.pk])
    assert remove in client.get(reverse("admin:jobs_hold_change", args=[hold.pk])).content.decode()
    assert "starts as soon as" in client.get(remove).content.decode()
    assert Hold.objects.exists()
    client.post(remove)
    assert not Hold.objects.exists()


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"scope": "customer"}, "customer"),
        ({"scope": "customer", "customer": "nobody"}, "customer"),
        ({"scope": "all", "customer": "acme"}, "customer"),
        ({"scope": "place", "cloud": "local"}, "region"),
        ({"scope": "queue", "cloud": "local", "region": "local"}, "queue"),
        ({"scope": "job"}, "scope"),
        ({"scope": "all", "code": "not a code"}, "code"),
    ],
)
def test_a_hold_that_is_not_valid_names_the_field(wish: dict[str, str], field: str) -> None:
    make_job()
    answer = browser("operator").post(reverse("admin:jobs_hold_add"), {"code": "HELD", **wish})
    assert list(answer.context["form"].errors) == [field]
    assert not Hold.objects.exists()


def test_a_quota_is_added_changed_and_lifted() -> None:
    make_job()
    client = browser("operator")
    client.post(reverse("admin:jobs_gate_add"), {"scope": "customer", "customer": "acme", "max_jobs": "3"})
    gate = Gate.objects.get()
    assert (gate.max_jobs, gate.max_vcpus_milli, gate.scope) == (3, None, Scope.CUSTOMER)
    edit = reverse("admin:jobs_gate_edit", args=[gate.pk])
    assert client.get(edit).context["form"].initial["max_jobs"] == 3
    client.post(edit, {"max_vcpus": "1.5", "max_queued_jobs": "9", "hint": "their plan"})
    gate.refresh_from_db()
    assert (gate.max_jobs, gate.max_vcpus_milli, gate.max_queued_jobs, gate.hint) == (None, 1500, 9, "their plan")
    again = client.post(reverse("admin:jobs_gate_add"), {"scope": "customer", "customer": "acme"})
    assert "scope" in again.context["form"].errors
    client.post(reverse("admin:jobs_gate_remove", args=[gate.pk]))
    assert not Gate.objects.exists()
    assert set(Event.objects.filter(subject_kind="cap").values_list("kind", flat=True)) == {"cap.set", "cap.lifted"}


def test_an_error_is_named_and_changed_but_not_the_scheduler_s() -> None:
    client = browser("operator")
    data = {"name": "no-frames", "title": "No frames", "category": "DATA"}
    client.post(reverse("admin:jobtypes_error_add"), data)
    error = Error.objects.get(name="no-frames")
    assert (error.category, error.should_be_retried, error.is_builtin) == (Category.DATA, False, False)
    assert "name" in client.post(reverse("admin:jobtypes_error_add"), data).context["form"].errors
    edit = reverse("admin:jobtypes_error_edit", args=[error.pk])
    client.post(edit, {"title": "No frames at all", "category": "DATA", "should_be_retried": "on"})
    error.refresh_from_db()
    assert (error.name, error.title, error.should_be_retried) == ("no-frames", "No frames at all", True)
    builtin = Error.objects.filter(is_builtin=True).first()
    assert builtin is not None
    path = reverse("admin:jobtypes_error_edit", args=[builtin.pk])
    assert client.post(path, {"title": "x", "category": "DATA"}).status_code == 403
    assert path not in client.get(reverse("admin:jobtypes_error_change", args=[builtin.pk])).content.decode()


def test_monitors_and_others_steer_nothing() -> None:
    user = somebody()
    hold = services.place_hold(scope=Scope.ALL, code="HELD", actor=user)
    gate = services.set_cap(scope=Scope.ALL, max_jobs=3, actor=user)
    error = create_error(name="no-frames", title="No frames", category=Category.DATA, actor=user)
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        client = browser(role)
        for name, args in (
            ("jobs_hold_add", []),
            ("jobs_hold_remove", [hold.pk]),
            ("jobs_gate_add", []),
            ("jobs_gate_edit", [gate.pk]),
            ("jobs_gate_remove", [gate.pk]),
            ("jobtypes_error_add", []),
            ("jobtypes_error_edit", [error.pk]),
            ("jobs_hold_delete", [hold.pk]),
        ):
            path = reverse(f"admin:{name}", args=args)
            assert client.get(path).status_code == status, (role, path)
            assert client.post(path, {"scope": "all", "code": "X", "name": "x", "post": "yes"}).status_code == status
    page = browser("monitor").get(reverse("admin:jobs_hold_change", args=[hold.pk])).content.decode()
    assert reverse("admin:jobs_hold_remove", args=[hold.pk]) not in page
    assert (Hold.objects.count(), Gate.objects.count()) == (1, 1)
