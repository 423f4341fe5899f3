"""What the page before a verb says of money: what a cancel loses, what another run will take."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from clusters.models import Price
from jobs import queries, states
from jobs.models import Execution, Job
from jobs.queries import stakes
from tests.browsers import browser
from tests.clusters.offers import price_vcpus_here
from tests.factories import Stage, make_job, make_job_in, make_jobs
from tests.mapreduce import make_mapreduce
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
ONE: dict[str, Any] = {"vcpus_milli": 1000, "classification": "nightly"}


def _took(job: Job, hours: float) -> None:
    now = timezone.now()
    Execution.objects.filter(job=job).update(started_at=now - timedelta(hours=hours), ended_at=now)


def _running(count: int, hours: float) -> list[Job]:
    jobs = make_jobs(count, **ONE)
    Stage().start(*jobs)
    Execution.objects.filter(job__in=jobs).update(started_at=timezone.now() - timedelta(hours=hours))
    return jobs


def _facts(role: str, url: str, data: Any = None) -> dict[str, str]:
    client = browser(role)
    answer = client.get(url) if data is None else client.post(url, data)
    assert answer.status_code == 200
    for name, value in answer.context["stakes"]:
        assert name in answer.content.decode(), value
    return dict(answer.context["stakes"])


def test_a_cancel_says_what_has_been_spent_on_what_runs() -> None:
    price_vcpus_here("2")
    jobs = _running(2, hours=3)
    waiting = make_job(**ONE)
    told = {"Runs now": "2", "Cost so far, lost": "12.00 USD at present prices"}
    assert _facts("operator", reverse("admin:jobs_job_matching_cancel") + "?customer=acme") == told
    ids = {"_selected_action": [job.pk for job in (*jobs, waiting)]}
    assert _facts("admin", reverse("admin:jobs_job_selected_cancel"), ids) == told
    one = _facts("operator", reverse("admin:jobs_job_cancel", args=[jobs[0].pk]))
    assert one == {"Runs now": "1", "Cost so far, lost": "6.00 USD at present prices"}
    assert _facts("operator", reverse("admin:jobs_job_cancel", args=[waiting.pk])) == {"Runs now": "none of them"}
    assert _facts("operator", reverse("admin:jobs_job_hold", args=[waiting.pk])) == {}


def test_what_has_no_price_is_counted_but_not_made_up() -> None:
    [job] = _running(1, hours=1)
    Price.objects.all().delete()
    told = _facts("operator", reverse("admin:jobs_job_cancel", args=[job.pk]))
    assert told == {"Runs now": "1"}
    lost = queries.lost_by_stopping(Job.objects.all())
    assert (lost.running, lost.unpriced, lost.is_all) == (1, 1, True)


def test_tasks_are_lost_with_their_mapreduce_job() -> None:
    price_vcpus_here("1")
    root = make_mapreduce()
    tasks = list(Job.objects.filter(parent=root))
    now = timezone.now()
    for task in tasks:
        Execution.objects.create(job=task, number=1, place=task.place, status=states.RUNNING, started_at=now)
    Job.objects.filter(pk__in=[root.pk, *(task.pk for task in tasks)]).update(status=states.RUNNING, queued_at=now)
    lost = queries.lost_by_stopping(Job.objects.filter(pk=root.pk))
    assert lost.running == len(tasks) > 0


def test_a_requeue_says_what_jobs_of_the_kind_have_come_to() -> None:
    price_vcpus_here("2")
    stage = Stage()
    for hours in (1, 1, 1, 1, 4):
        _took(make_job_in(states.COMPLETED, stage=stage, **ONE), hours)
    failed = [make_job_in(states.FAILED, stage=stage, **ONE) for _ in range(3)]
    other = make_job_in(states.FAILED, stage=stage, vcpus_milli=1000, classification="unheard of")
    told = _facts("operator", reverse("admin:jobs_job_requeue", args=[failed[0].pk]))
    assert told == {"Would run again": "1", "Likely cost": "2.00 USD, at most 8.00 USD"}
    told = _facts("operator", reverse("admin:jobs_job_matching_requeue") + "?state=FAILED")
    assert told == {
        "Would run again": "4",
        "Likely cost": "6.00 USD, at most 24.00 USD, without 1 of which it is not known",
    }
    told = _facts("operator", reverse("admin:jobs_job_retry", args=[other.pk]))
    assert told["Likely cost"].startswith("not known")
    told = _facts("operator", reverse("admin:jobs_job_requeue", args=[make_job().pk]))
    assert told == {"Would run again": "none of them"}


def test_of_a_great_many_only_some_are_looked_at_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    price_vcpus_here("1")
    monkeypatch.setattr(stakes, "RUNNING_LOOKED_AT", 2)
    monkeypatch.setattr(stakes, "JOBS_LOOKED_AT", 2)
    _running(5, hours=1)
    stage = Stage()
    for _ in range(4):
        make_job_in(states.FAILED, stage=stage, **ONE)
    told = _facts("operator", reverse("admin:jobs_job_matching_cancel") + "?customer=acme")
    assert told["Runs now"] == "3, and more that were not looked at"
    told = _facts("operator", reverse("admin:jobs_job_matching_requeue") + "?customer=acme")
    assert told["Would run again"] == "more than 2"


def test_it_costs_the_same_statements_however_many_there_are() -> None:
    price_vcpus_here("1")
    numbers = []
    for more in (1, 6):
        _running(more, hours=1)
        stage = Stage()
        for _ in range(more):
            make_job_in(states.FAILED, stage=stage, **ONE)
        with counted() as found:
            queries.lost_by_stopping(Job.objects.all())
            queries.likely_cost(Job.objects.all())
        numbers.append(len(found))
    assert numbers[0] == numbers[1]
