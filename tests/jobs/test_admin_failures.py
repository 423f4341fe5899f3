"""Clusters of failures in the admin: what staff see of them, and what they do to them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.db.models import F
from django.urls import reverse

from jobs import failures, queries, services, states, tasks
from jobs.admin import failures as failures_admin
from jobs.admin import jobs as jobs_admin
from jobs.models import FailureCluster, Job, Operation
from jobtypes.models import Category, Error
from jobtypes.services import create_error
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.factories import Stage, make_customer_user
from tests.jobs.failing import cluster_of, failed_jobs
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
LIST = reverse("admin:jobs_failurecluster_changelist")
NEW: dict[str, Any] = {"name": "dirty-lens", "title": "Dirty lens", "category": "DATA"}


@pytest.fixture(autouse=True)
def _from_here() -> None:
    failures.group_failures()


@pytest.fixture
def cluster() -> FailureCluster:
    return cluster_of(failed_jobs(3, owner=make_customer_user(customer="acme"))[0])


def page(cluster: FailureCluster, verb: str = "change") -> str:
    return reverse(f"admin:jobs_failurecluster_{verb}", args=[cluster.pk])


def shown(role: str, path: str) -> str:
    answer = browser(role).get(path)
    assert answer.status_code == 200, path
    return str(answer.content.decode())


def titles(path: str) -> list[str]:
    return re.findall(r"is (\w+)</span></a>", shown("monitor", path))


# --- Looking -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", STAFF)
def test_staff_see_the_list_and_a_page(role: str, cluster: FailureCluster) -> None:
    listed, found = shown(role, LIST), shown(role, page(cluster))
    for text in ("ValueError: the lens of camera # is dirty", "exit-code", "ALGORITHM"):
        assert text in listed
        assert text in found
    for text in ("acme", "reading", f"Job {cluster.sample_job_id}", "By day", "<svg"):
        assert text in found
    assert f"failure_cluster={cluster.pk}&amp;state=FAILED" in found.replace("&state", "&amp;state")
    assert ("Requeue these" in found) is (role != "monitor")
    assert ("Name this error" in found) is (role != "monitor")
    assert LIST in shown(role, reverse("admin:index"))


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_does(role: str, cluster: FailureCluster) -> None:
    for path in (LIST, page(cluster), page(cluster, "name"), page(cluster, "unname")):
        assert browser(role).get(path).status_code == 302
        assert browser(role).post(path, NEW).status_code == 302
    assert not FailureCluster.objects.filter(named__isnull=False).exists()


def test_what_was_written_is_shown_as_text() -> None:
    job = failed_jobs(1, "<script>alert(1)</script>")[0]
    cluster = cluster_of(job)
    for path in (LIST, page(cluster), reverse("admin:jobs_job_change", args=[job.pk])):
        assert "<script>alert" not in shown("operator", path)


def test_the_last_seen_come_first_and_pages_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    words = ("dirty", "missing", "broken", "stolen", "old")
    for number, word in enumerate(words):
        found = cluster_of(failed_jobs(1, word, stage=stage)[0])
        FailureCluster.objects.filter(pk=found.pk).update(last_seen=F("first_seen") + timedelta(hours=number // 2))
    monkeypatch.setattr(failures_admin.FailureClusterAdmin, "list_per_page", 2)
    seen, path = [titles(LIST)], LIST
    while (older := re.search(r'rel="next" href="([^"]+)"', shown("monitor", path))) is not None:
        path = LIST + older[1].replace("&amp;", "&")
        seen.append(titles(path))
    assert seen == [["old", "stolen"], ["broken", "missing"], ["dirty"]]
    newer = re.search(r'rel="prev" href="([^"]+)"', shown("monitor", path))
    assert newer is not None
    assert titles(LIST + newer[1].replace("&amp;", "&")) == ["broken", "missing"]


@pytest.mark.parametrize("key", ["x", "1", "2026-01-01~1", "2026-01-01T00:00:00Z~x", "~1", "2026-01-01T00:00:00Z~"])
def test_a_key_of_no_page_leads_to_the_first(key: str, cluster: FailureCluster) -> None:
    answer = browser("monitor").get(LIST, {"older": key})
    assert answer.status_code == 302
    assert urlsplit(answer.headers["Location"]).query == "e=1"


def test_filters_choose(cluster: FailureCluster) -> None:
    other = cluster_of(failed_jobs(1, "missing")[0])
    services.requeue_jobs(list(Job.objects.filter(failure_cluster=other).values_list("pk", flat=True)), actor=None)
    services.name_cluster(other.pk, actor=somebody(), **NEW)
    error = Error.objects.get(name="dirty-lens")
    for query, words in (
        ("is_open=true", ["dirty"]),
        ("is_open=false", ["missing"]),
        ("is_named=true", ["missing"]),
        ("error_category=DATA", ["missing"]),
        ("error_category=ALGORITHM", ["dirty"]),
        (f"error_id={error.pk}", ["missing"]),
        ("error_id=soon", []),
    ):
        assert titles(f"{LIST}?{query}") == words, query


def test_more_rows_cost_no_more_statements(cluster: FailureCluster) -> None:
    client, numbers = browser("operator"), []
    stage = Stage()
    for count in (1, 6):
        for n in range(count):
            cluster_of(failed_jobs(1, f"bad{'x' * n}", stage=stage)[0])
        for path in (LIST, page(cluster)):
            client.get(path)
            with counted() as found:
                client.get(path)
            numbers.append(len(found))
    assert numbers[:2] == numbers[2:]
    print(numbers)
    assert max(numbers) <= 20


def test_a_job_s_page_says_how_many_others_failed_so(cluster: FailureCluster) -> None:
    jobs = list(Job.objects.filter(failure_cluster=cluster).order_by("pk"))
    found = shown("monitor", reverse("admin:jobs_job_change", args=[jobs[0].pk]))
    assert re.search(rf"Fails like</dt><dd><a href='{page(cluster)}'>2 others</a>", found)
    services.requeue_jobs([jobs[0].pk], actor=None)
    assert "Fails like" not in shown("monitor", reverse("admin:jobs_job_change", args=[jobs[0].pk]))


def test_the_list_of_jobs_has_exactly_these_and_goes_on(
    cluster: FailureCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_jobs(2, "missing")
    failures.group_failures()
    monkeypatch.setattr(jobs_admin.JobAdmin, "list_per_page", 2)
    path, found = reverse("admin:jobs_job_changelist"), []
    for older in ({}, {"older": Job.objects.filter(failure_cluster=cluster).order_by("pk")[1].pk}):
        answer = browser("monitor").get(path, {"failure_cluster": cluster.pk, **older})
        found.append([job.pk for job in answer.context["cl"].result_list])
    newest = list(Job.objects.filter(failure_cluster=cluster).order_by("-pk").values_list("pk", flat=True))
    assert found == [newest[:2], newest[2:]]


# --- Doing ---------------------------------------------------------------------------------------


def button(role: str, cluster: FailureCluster, label: str) -> str:
    found = re.search(rf"<a class=\"cp-button\" href=\"([^\"]+)\">{label}</a>", shown(role, page(cluster)))
    assert found is not None, label
    return found[1].replace("&amp;", "&")


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_these_are_requeued_but_for_those_with_an_error_of_data(role: str, cluster: FailureCluster) -> None:
    data = create_error(name="bad-file", title="Bad file", category=Category.DATA, actor=None)
    jobs = list(Job.objects.filter(failure_cluster=cluster).order_by("pk"))
    Job.objects.filter(pk=jobs[0].pk).update(error=data)
    other = failed_jobs(1, "missing")[0]
    failures.group_failures()
    path = button(role, cluster, "Requeue these")
    assert parse_qs(urlsplit(path).query) == queries.requeue_selection(cluster.pk)
    assert "2 jobs match" in shown(role, path)
    assert browser(role).post(path, {}).status_code == 302
    tasks.carry_on(Operation.objects.get().pk)
    assert [Job.objects.get(pk=job.pk).status for job in (*jobs, other)] == ["FAILED", "QUEUED", "QUEUED", "FAILED"]


def test_what_is_an_error_of_data_has_no_button_to_requeue(cluster: FailureCluster) -> None:
    services.name_cluster(cluster.pk, actor=somebody(), **NEW)
    assert "Requeue these" not in shown("operator", page(cluster))


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_a_name_is_given_and_taken_away(role: str, cluster: FailureCluster) -> None:
    path = button(role, cluster, "Name this error")
    assert "Whose fault it is" in shown(role, path)
    answer = browser(role).post(path, {**NEW, "should_be_retried": "on"}, follow=True)
    assert "These failures are dirty-lens now" in answer.content.decode()
    cluster.refresh_from_db()
    assert cluster.named is not None
    assert (cluster.named.should_be_retried, cluster.named_by) == (True, somebody(role))
    tasks.rename_failures(cluster.pk)
    assert Job.objects.filter(error=cluster.named, status=states.FAILED).count() == 3
    found = shown(role, page(cluster))
    assert "NAMED" in found
    assert "tried again while tries are left" in found
    browser(role).post(button(role, cluster, "Take the name away"))
    cluster.refresh_from_db()
    assert cluster.named is None


def test_an_error_that_is_there_is_chosen(cluster: FailureCluster) -> None:
    error = create_error(name="bad-file", title="Bad file", category=Category.DATA, actor=None)
    path = page(cluster, "name")
    assert "bad-file (DATA)" in shown("operator", path)
    browser("operator").post(path, {"error_id": str(error.pk)})
    cluster.refresh_from_db()
    assert cluster.named == error


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({}, "A new error has one."),
        ({**NEW, "category": ""}, "A new error has one."),
        ({**NEW, "name": "Not Good"}, "lower-case words"),
        ({**NEW, "name": "lost"}, "There is an error of this name."),
        ({"error_id": "999999"}, "Select a valid choice"),
    ],
)
def test_what_is_no_name_is_asked_for_again(cluster: FailureCluster, given: dict[str, Any], fault: str) -> None:
    answer = browser("operator").post(page(cluster, "name"), given)
    assert answer.status_code == 200
    assert fault in answer.content.decode()
    cluster.refresh_from_db()
    assert cluster.named is None


def test_monitors_do_nothing(cluster: FailureCluster) -> None:
    for verb in ("name", "unname"):
        assert browser("monitor").get(page(cluster, verb)).status_code == 403
        assert browser("monitor").post(page(cluster, verb), NEW).status_code == 403
    cluster.refresh_from_db()
    assert cluster.named is None
