"""The pages why work waits: each reason, exactly the jobs that it keeps back behind its links, what frees them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from django.utils import timezone

from jobs import queries, services, states
from jobs.models import Job, Lane, Place, Scope
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.factories import Stage, make_customer_user, make_job, make_job_in, make_job_type, make_jobs, make_place
from tests.jobs.counted import submit
from tests.mapreduce import make_mapreduce
from tests.query_budget import within_budget
from tests.recipes import make_recipe

pytestmark = pytest.mark.django_db
PAGE = "/admin/jobs/waiting/"


def text(path: str, role: str = "operator") -> str:
    answer = browser(role).get(path)
    assert answer.status_code == 200, (path, answer.status_code)
    return str(answer.content.decode())


def links_to_jobs(page: str) -> list[tuple[str, int]]:
    """Every link to the job list with a number for its text."""
    found = re.findall(r"<a href='(/admin/jobs/job/\?[^']*)'>(\d+)(?: jobs)?</a>", page)
    return [(unescape(url), int(number)) for url, number in found]


def listed(url: str, role: str = "operator") -> list[int]:
    """The jobs that the list at this address has."""
    return [row.pk for row in browser(role).get(url).context["cl"].result_list]


def assert_links_lead_to_as_many(page: str) -> int:
    links = links_to_jobs(page)
    for url, number in links:
        assert len(listed(url)) == number, (url, number)
    return len(links)


def furnish_waiting() -> dict[str, set[int]]:
    """Jobs that wait for something each; their ids by the reason."""
    stage = Stage(vcpus_milli=4000)
    recipe = make_recipe()
    mapreduce = make_mapreduce(looked=False)
    found = {
        "RETRY": {make_job_in(states.DELAYED, stage=stage).pk},
        "TOO_LARGE_VCPUS": {job.pk for job in make_jobs(2, customer="big", vcpus_milli=64_000)},
        "WAITS_FOR_NODE": set(recipe.jobs.filter(status=states.PENDING).values_list("pk", flat=True)),
        "LOOKING_FOR_INPUT": {mapreduce.pk},
    }
    held = make_job(customer="held")
    services.hold_jobs([held.pk], actor=somebody(), hint="wait")
    found["HELD"] = {held.pk}
    typed = submit(make_job_type(name="slow"), 2)
    services.set_cap(scope=Scope.JOB_TYPE, scope_id=str(Job.objects.get(pk=typed[0]).job_type_id), max_jobs=0)
    found["CAP_JOBS"] = set(typed)
    return found


def test_each_reason_has_exactly_what_waits_for_it_behind_its_links() -> None:
    expected = furnish_waiting()
    page = text(PAGE)
    reasons = {each.code: each for each in queries.waiting_reasons(queries.Present())}
    assert expected.keys() <= reasons.keys()
    assert assert_links_lead_to_as_many(page) == len(reasons)
    for code, ids in expected.items():
        assert f"<a href='{PAGE}{code}/'>{code}</a>" in page
        shown = text(f"{PAGE}{code}/")
        (whole, number), *rows = links_to_jobs(shown)
        assert (set(listed(whole)), number) == (ids, len(ids)), code
        assert rows
        assert {pk for url, _ in rows for pk in listed(url)} == ids, code
        assert sum(number for _, number in rows) == len(ids)
        assert_links_lead_to_as_many(shown)


def test_every_reason_says_what_explain_says_of_each_of_its_jobs() -> None:
    furnish_waiting()
    for reason in queries.waiting_reasons(queries.Present()):
        found = queries.for_reasons(Job.objects.filter(status__in=reason.statuses), [reason.code])
        for job in found:
            assert reason.code in {each.code for each in queries.explain(job)}, (reason.code, job.status)


def test_a_page_leads_to_where_its_jobs_are_freed() -> None:
    make_place(vcpus_milli=4000)
    hold = services.place_hold(
        scope=Scope.CUSTOMER, scope_id=str(make_job().customer_id), code="DEPLOY", hint="back soon"
    )
    cap = services.set_cap(scope=Scope.ALL, max_jobs=0, hint="full")
    shown = text(f"{PAGE}DEPLOY/")
    assert f"<a class='cp-button' href='/admin/jobs/hold/{hold.pk}/remove/'>Lift the hold</a>" in shown
    assert "back soon" in shown
    shown = text(f"{PAGE}CAP_JOBS/")
    assert f"<a class='cp-button' href='/admin/jobs/gate/{cap.pk}/change/'>Raise the quota</a>" in shown
    monitor = text(f"{PAGE}DEPLOY/", "monitor")
    assert "Lift the hold" not in monitor
    assert f"href='/admin/jobs/hold/{hold.pk}/change/'>The hold</a>" in monitor
    services.lift_hold(hold)
    assert "Nothing waits for this now." in text(f"{PAGE}DEPLOY/")


@pytest.mark.parametrize(
    ("facts", "code"),
    [({"seen_at": None}, "NO_WORKER"), ({"failure": "no", "failing_since": timezone.now()}, "PROVIDER_FAILING")],
)
def test_a_place_that_keeps_jobs_back_is_linked(facts: dict[str, Any], code: str) -> None:
    place = make_place()
    make_job()
    Place.objects.update(**facts)
    assert f"<a class='cp-button' href='/admin/jobs/place/{place.pk}/change/'>The place</a>" in text(f"{PAGE}{code}/")


def test_jobs_of_a_row_are_those_of_its_customer_place_queue_and_type() -> None:
    make_place(vcpus_milli=100)
    make_jobs(2, customer="acme")
    make_jobs(1, customer="acme", queue="night")
    make_jobs(3, customer="zeta", vcpus_milli=200)
    make_jobs(1, customer="zeta", vcpus_milli=300)
    submit(make_job_type(), 2)
    page = text(f"{PAGE}TOO_LARGE_VCPUS/")
    assert sorted(number for _, number in links_to_jobs(page)[1:]) == [1, 2, 2, 4]
    assert_links_lead_to_as_many(page)


def test_what_only_waits_its_turn_is_told_as_that() -> None:
    make_place()
    make_jobs(3)
    (reason,) = queries.waiting_reasons(queries.Present())
    assert (reason.code, reason.jobs) == ("NEXT", 3)
    assert assert_links_lead_to_as_many(text(f"{PAGE}NEXT/")) == 2


def test_tasks_of_mapreduce_jobs_are_counted_and_listed() -> None:
    make_place()
    job = make_mapreduce()
    waiting = {each.code: each.jobs for each in queries.waiting_reasons(queries.Present())}
    tasks = Job.objects.filter(parent=job, status=states.QUEUED).count()
    assert tasks
    assert (waiting["NEXT"], waiting["WAITS_FOR_TASKS"]) == (tasks, 1)
    assert_links_lead_to_as_many(text(PAGE))
    assert len(listed("/admin/jobs/job/?state=QUEUED")) == 0


def test_that_tasks_are_meant_too_chooses_nothing_for_bulk_work() -> None:
    make_job()
    page = browser("operator").get("/admin/jobs/job/?tasks=true")
    assert page.context["everything"] == []
    answer = browser("operator").post("/admin/jobs/job/matching/cancel/?tasks=true")
    assert not Job.objects.filter(status=states.CANCELED).exists(), answer.status_code


def test_nothing_waits_and_what_is_no_code() -> None:
    make_place()
    assert "Nothing waits." in text(PAGE)
    assert "Nothing waits for this now." in text(f"{PAGE}CAP_JOBS/")
    assert browser("operator").get(f"{PAGE}no-code/").status_code == 404


@pytest.mark.parametrize("role", [*STAFF, *OTHERS])
def test_staff_may_look_and_nobody_else(role: str) -> None:
    for path in (PAGE, f"{PAGE}NEXT/"):
        assert browser(role).get(path).status_code == (200 if role in STAFF else 302)


def test_a_job_that_waits_leads_to_its_reason() -> None:
    make_place(vcpus_milli=100)
    job = make_job()
    assert f"<a href='{PAGE}TOO_LARGE_VCPUS/'>TOO_LARGE_VCPUS</a>" in text(f"/admin/jobs/job/{job.pk}/change/")


def test_the_pages_cost_the_same_with_more() -> None:
    make_place(vcpus_milli=100)
    client, found = browser("operator"), []
    for count in (1, 6):
        for number in range(count):
            make_jobs(2, make_customer_user(), customer="acme", queue=f"queue-{number}")
        Place.objects.create(cloud="local", region=f"machine-{count}")
        for path, name in ((PAGE, "admin: waiting"), (f"{PAGE}TOO_LARGE_VCPUS/", "admin: waiting for a reason")):
            client.get(path)
            with within_budget(name) as statements:
                client.get(path)
            found.append(len(statements))
    assert found[:2] == found[2:]
    assert Lane.objects.count() > 6
