"""Jobs in the admin as staff meet them: the lists, and a job's page."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any
from unittest import mock

import pytest
from django.test import Client
from django.urls import reverse

from jobs import services, states
from jobs.admin.jobs import JobAdmin
from jobs.api.v6.decode import decode_one
from jobs.models import Execution, Job
from tests.browsers import browser, somebody
from tests.clouds import CloudStage
from tests.factories import Stage, keep_output, make_job, make_job_in, make_jobs, make_place
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/job/"


def _page(job: Job) -> str:
    return reverse("admin:jobs_job_change", args=[job.pk])


def _listed(client: Client, path: str = LIST, **parameters: Any) -> list[int]:
    """The ids of the jobs that the list shows, in its order."""
    answer = client.get(path, parameters)
    assert answer.status_code == 200
    return [row.pk for row in answer.context["cl"].result_list]


# --- The list ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "status"), [("admin", 200), ("operator", 200), ("monitor", 200), ("customer", 302), ("anonymous", 302)]
)
def test_staff_see_the_list_and_others_do_not(role: str, status: int) -> None:
    job = make_job()
    answer = browser(role).get(LIST)
    assert answer.status_code == status
    assert (str(job.uuid) in answer.content.decode()) is (status == 200)


def test_pages_go_older_and_newer_by_the_key() -> None:
    ids = [job.pk for job in make_jobs(7)][::-1]
    client = browser("monitor")
    with mock.patch.object(JobAdmin, "list_per_page", 3):
        assert _listed(client) == ids[:3]
        assert _listed(client, older=ids[2]) == ids[3:6]
        assert _listed(client, older=ids[5]) == ids[6:]
        assert _listed(client, newer=ids[6]) == ids[3:6]
        assert _listed(client, newer=ids[3]) == ids[:3]
        page = client.get(f"{LIST}?older={ids[2]}&state=QUEUED").content.decode()
    assert f"state=QUEUED&amp;older={ids[5]}" in page or f"older={ids[5]}&amp;state=QUEUED" in page
    assert f"newer={ids[3]}" in page
    # A filter's link begins at the newest again.
    assert f"state=FAILED&amp;older={ids[2]}" not in page
    assert f"older={ids[2]}&amp;state=FAILED" not in page


def test_the_ends_of_the_list_have_no_link_beyond() -> None:
    ids = [job.pk for job in make_jobs(2)]
    client = browser("monitor")
    page = client.get(LIST).content.decode()
    assert not re.search(r"[?;&](older|newer)=", page)
    assert _listed(client, newer=ids[-1]) == []
    assert _listed(client, older=ids[0]) == []


@pytest.mark.parametrize("key", ["x", "-1", "9" * 19, "1 OR 1=1"])
def test_a_key_that_is_none_leads_back_to_the_list(key: str) -> None:
    assert browser("monitor").get(LIST, {"older": key}).headers["Location"] == f"{LIST}?e=1"


def test_the_list_costs_the_same_with_more_rows_and_a_larger_page() -> None:
    client, found = browser("operator"), []
    make_jobs(3)
    for count, size in ((3, 50), (120, 50), (120, 100)):
        if Job.objects.count() < count:
            make_jobs(count - 3)
        with mock.patch.object(JobAdmin, "list_per_page", size), within_budget("admin: job list") as statements:
            assert len(_listed(client)) == min(count, size)
        found.append(len(statements))
        told = str(statements).upper()
        assert "OFFSET" not in told
        assert "COUNT(" not in told
    assert len(set(found)) == 1


def test_each_filter_finds_its_own() -> None:
    stage = Stage()
    failed = make_job_in(states.FAILED, stage=stage, customer="globex", classification="render")
    waiting = make_job()
    client = browser("monitor")
    both = [waiting.pk, failed.pk]
    for parameters, found in (
        ({"state": "FAILED"}, [failed.pk]),
        ({"state": "QUEUED"}, [waiting.pk]),
        ({"cloud": "local"}, both),
        ({"cloud": "aws"}, []),
        ({"region": "local"}, both),
        ({"region": "nowhere"}, []),
        ({"customer": "globex"}, [failed.pk]),
        ({"customer": "glob"}, []),
        ({"classification": "render"}, [failed.pk]),
        ({"reason": "EXIT_3"}, [failed.pk]),
        ({"error_category": "ALGORITHM"}, [failed.pk]),
        ({"error_category": "SYSTEM"}, []),
        ({"created_after": "PT1H"}, both),
        ({"created_before": "PT1H"}, []),
        ({"created_after": "2020-01-01T00:00Z", "created_before": "2020-01-02T00:00Z"}, []),
        ({"state": "FAILED", "customer": "acme"}, []),
    ):
        assert _listed(client, **parameters) == found, parameters


@pytest.mark.parametrize(("name", "value"), [("state", "SLEEPING"), ("created_after", "yesterday"), ("cloud", "moon")])
def test_a_filter_that_cannot_be_read_says_so_and_matches_nothing(name: str, value: str) -> None:
    make_job()
    answer = browser("monitor").get(LIST, {name: value})
    assert list(answer.context["cl"].result_list) == []
    assert [str(each) for each in answer.context["messages"]]


@pytest.mark.parametrize("name", ["env__startswith", "owner__password__startswith", "command", "nothing"])
def test_nothing_but_the_filters_is_taken_from_the_address(name: str) -> None:
    assert browser("admin").get(LIST, {name: "a"}).status_code == 400


def test_search_takes_a_uuid_an_id_a_customer_or_the_beginning_of_a_class() -> None:
    first, second = make_job(classification="nightly-07"), make_job(customer="globex", classification="render")
    client = browser("monitor")
    for term, found in (
        (str(first.uuid), [first.pk]),
        (first.uuid.hex, [first.pk]),
        (str(second.pk), [second.pk]),
        (f" {second.pk} ", [second.pk]),
        ("nightly", [first.pk]),
        ("ightly", []),
        ("globex", [second.pk]),
        ("glob", []),
        ("999999999", []),
        ("%", []),
    ):
        assert _listed(client, q=term) == found, term


def test_executions_are_found_by_their_own_uuid_and_by_their_job() -> None:
    stage = Stage()
    job, other = make_job_in(states.FAILED, stage=stage), make_job_in(states.COMPLETED, stage=stage)
    execution = Execution.objects.get(job=job)
    client, path = browser("monitor"), reverse("admin:jobs_execution_changelist")
    for term in (str(execution.uuid), str(job.pk), str(job.uuid)):
        assert _listed(client, path, q=term) == [execution.pk], term
    assert _listed(client, path, status="COMPLETED") == [Execution.objects.get(job=other).pk]
    assert _listed(client, path, q="what") == []
    with within_budget("admin: executions"):
        client.get(path)


# --- A job's page --------------------------------------------------------------------------------


def test_a_job_s_page_tells_its_story() -> None:
    stage = Stage()
    job = make_job_in(states.FAILED, stage=stage, env={"KEY": "secret-value"})
    keep_output(job, stdout="line <one>\n", stderr="and its trouble\n")
    page = browser("monitor").get(_page(job)).content.decode()
    for text in ("EXIT_3", "line &lt;one&gt;", "and its trouble", "STARTING → RUNNING", "the scheduler", "stage-1"):
        assert text in page
    assert "secret-value" not in page
    assert "KEY=…" in page
    assert "data-live-every" not in page  # nothing more comes


def test_a_waiting_job_s_page_says_what_it_waits_for() -> None:
    make_place(vcpus_milli=1)
    job = make_job()
    page = browser("operator").get(_page(job)).content.decode()
    assert "TOO_LARGE_VCPUS" in page
    assert "has not started" in page
    assert f'data-live-stream="/v6/jobs/{job.pk}/logs/combined/" data-live-events="log status end"' in page


def test_a_job_s_page_costs_the_same_with_a_longer_story() -> None:
    stage, client, found = Stage(), browser("operator"), []
    for tries in (1, 4):
        job = make_job(max_tries=tries)
        for _ in range(tries):
            Job.objects.filter(pk=job.pk, status=states.DELAYED).update(due_at="2020-01-01T00:00Z")
            services.requeue_jobs([job.pk], actor=None)
            stage.start(job)
            stage.end(job, exit_code=3)
        assert client.get(_page(job)).status_code == 200  # what a process remembers it knows from here on
        with within_budget("admin: job page") as statements:
            assert client.get(_page(job)).status_code == 200
        found.append(len(statements))
    assert found[0] == found[1]


def test_a_retry_and_what_it_retries_lead_to_each_other() -> None:
    job = make_job_in(states.FAILED)
    retry = Job.objects.get(pk=services.retry_job(job, actor=somebody()).id)
    client = browser("monitor")
    assert _page(retry) in client.get(_page(job)).content.decode()
    assert _page(job) in client.get(_page(retry)).content.decode()


def test_the_curl_command_asks_for_such_a_job_again_without_its_secrets() -> None:
    wishes: dict[str, Any] = {
        "env": {"KEY": "secret-value", "LEVEL": "it's 3"},
        "secret_env": ["KEY"],
        "tags": {"scene": "12"},
        "command": ["sh", "-c", 'echo "it\'s" $KEY'],
        "timeout_seconds": 60,
        "queue": "default",
        "vcpus_milli": 250,
    }
    job = make_job(**wishes)
    told = browser("operator").get(_page(job)).context["curl"]
    words = shlex.split(told)
    assert words[3] == "http://testserver/v6/jobs/"
    body = json.loads(words[-1])
    assert body["env"] == {"KEY": "…", "LEVEL": "…"}
    assert "secret-value" not in told
    again = decode_one(body, somebody())
    for name, value in wishes.items():
        if name != "env":
            assert getattr(again, name) == value, name
    assert (again.customer, again.classification, again.image) == ("acme", "nightly", "busybox")


def test_a_page_shows_only_the_buttons_that_would_work() -> None:
    stage = Stage()
    failed, waiting = make_job_in(states.FAILED, stage=stage), make_job()
    expected: dict[str, dict[int, set[str]]] = {
        "operator": {failed.pk: {"requeue", "retry"}, waiting.pk: {"cancel", "priority", "hold"}},
        "monitor": {failed.pk: set(), waiting.pk: set()},
    }
    for role, by_job in expected.items():
        client = browser(role)
        for pk, verbs in by_job.items():
            page = client.get(reverse("admin:jobs_job_change", args=[pk])).content.decode()
            assert set(re.findall(rf"/admin/jobs/job/{pk}/([a-z]+)/\"", page)) - {"history", "change"} == verbs
    assert 'name="action"' not in browser("monitor").get(LIST).content.decode()


def test_history_leads_to_the_events_of_the_job() -> None:
    job = make_job()
    client = browser("monitor")
    page = client.get(reverse("admin:jobs_job_history", args=[job.pk]))
    assert "job.submitted" in page.content.decode()
    answer = client.get(page.context["log_url"])
    assert [event.subject_id for event in answer.context["cl"].result_list] == [job.pk]
    assert client.get(reverse("admin:jobs_lane_history", args=[1])).status_code == 404


def test_a_job_that_is_not_there_leads_back_to_the_start() -> None:
    assert browser("monitor").get("/admin/jobs/job/999/change/").status_code == 302


def test_an_execution_at_a_cloud_has_a_link_to_its_page_there(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = CloudStage(monkeypatch)
    (job,) = stage.submit()
    stage.turn()
    stage.cloud.start(stage.handle(job))
    stage.turn()
    page = browser("admin").get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    assert f"href='https://console.example.com/{stage.handle(job)}' target='_blank' rel='noopener noreferrer'" in page
    assert "running in the sky" in page
