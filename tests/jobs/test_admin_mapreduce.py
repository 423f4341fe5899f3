"""The MapReduce part of a job's page."""

from __future__ import annotations

import html
import json
import re
import shlex
from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from jobs import states
from jobs.api.v6.mapreduce_decode import decode_mapreduce
from jobs.models import Job, Shape
from jobs.services.artifacts import delete_artifact
from tests.browsers import browser
from tests.factories import make_customer_user, make_job
from tests.mapreduce import carry_on, complete, end, folder, make_mapreduce, program, run, tasks
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db


def _page(job: Job) -> str:
    answer = browser("operator").get(reverse("admin:jobs_job_change", args=[job.pk]))
    assert answer.status_code == 200
    return str(answer.content.decode())


def _section(page: str, heading: str) -> str:
    return page.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]


def _text(fragment: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", fragment)))


def test_its_stages_show_how_far_they_are_with_links_to_their_tasks() -> None:
    job = make_mapreduce(reducers=2)
    end(tasks(job)[0], output={"records_in": 1234, "bytes_in": 2})
    run(tasks(job)[1])
    carry_on(job)
    client = browser("operator")
    with within_budget("admin: MapReduce job page"):
        page = client.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    stages = _section(page, "Stages")
    assert "<progress max='1000' value='333'>" in stages
    assert "33 % 1 of 3" in _text(stages)
    assert "1,234" in stages
    assert "0 of 2" in _text(stages)
    for state in ("COMPLETED", "RUNNING", "QUEUED"):
        url = f"{reverse('admin:jobs_job_changelist')}?parent={job.pk}&state={state}"
        assert html.escape(url) in stages
        assert len(client.get(url).context["cl"].result_list) == 1


def test_before_its_input_is_known_it_says_so() -> None:
    page = _page(make_mapreduce(looked=False))
    assert "not known yet" in _section(page, "Stages")
    assert "LOOKING_FOR_INPUT" in _section(page, "Why it waits")


def test_it_shows_what_it_runs_and_where_that_comes_from() -> None:
    owner = make_customer_user()
    mapper = program(owner)
    job = make_mapreduce(owner, mapper=mapper, arguments={"mapper": ["--lower", "a b"]}, max_parallel=9)
    does = _section(_page(job), "What it does")
    assert reverse("admin:jobs_artifact_change", args=[mapper.artifact_id]) in does
    for text in ("mapper, version 1", "--lower 'a b'", "6 bytes in 1 objects", "streaming", "9", "none"):
        assert text in _text(does).lower(), text
    delete_artifact(mapper.artifact, actor=owner.user)
    assert "mapper, version 1 (deleted)" in _text(_section(_page(job), "What it does"))


def test_a_failed_one_shows_why_and_which_tasks() -> None:
    job = make_mapreduce()
    assert "Failed tasks" not in _page(job)
    first = tasks(job)[0]
    end(first, states.FAILED, error="program-failed")
    carry_on(job)
    page = _page(job)
    assert "map task 0: it was program-failed" in _section(page, "Why it failed")
    failed = _section(page, "Failed tasks")
    assert reverse("admin:jobs_job_change", args=[first.pk]) in failed
    assert "The program failed" in _text(failed)


def test_tasks_that_run_much_longer_than_others_are_shown() -> None:
    job = make_mapreduce()
    now = timezone.now()
    for task, seconds in zip(tasks(job), (2, 20, 3), strict=True):
        end(task) if seconds == 2 else run(task)
        Job.objects.filter(pk=task.pk).update(started_at=now - timedelta(seconds=seconds))
    Job.objects.filter(pk=tasks(job)[0].pk).update(ended_at=now)
    shown = _section(_page(job), "Stragglers")
    assert reverse("admin:jobs_job_change", args=[tasks(job)[1].pk]) in shown
    assert "2.0 s" in shown
    assert reverse("admin:jobs_job_change", args=[tasks(job)[2].pk]) not in shown


def test_a_completed_one_shows_its_outputs() -> None:
    target = folder()
    job = complete(make_mapreduce(reducers=22, output=f"file://{target}"))
    gave = _section(_page(job), "What it gave")
    assert f"file://{target}/{job.uuid}/19.tsv" in gave
    assert f"{job.uuid}/20.tsv" not in gave
    assert "and 2 more" in gave


def test_a_task_says_of_what_job_it_is() -> None:
    job = make_mapreduce()
    page = _page(tasks(job)[1])
    assert "map 1" in _section(page, "The job")
    assert reverse("admin:jobs_job_change", args=[job.pk]) in _section(page, "The job")
    assert "Stages" not in page


def test_as_curl_it_asks_for_the_same_without_credentials() -> None:
    owner = make_customer_user()
    secret: dict[str, Any] = {"input": {"username": "the-reader", "password": "the-word"}}
    job = make_mapreduce(owner, reducers=3, arguments={"reducer": ["-r"]}, credentials=secret)
    page = _page(job)
    assert "the-word" not in page
    assert "the-reader" not in page
    curl = html.unescape(page.partition('<pre id="curl"')[2].partition(">")[2].partition("</pre>")[0])
    words = shlex.split(curl.replace("\\\n", " "))
    body = json.loads(words[words.index("-d") + 1])
    assert body["mapreduce"]["input_credentials"] == {"username": "…", "password": "…"}
    wish = decode_mapreduce(body, owner.user)
    assert (wish.reducers, wish.arguments, wish.mapper.number) == (3, {"reducer": ["-r"]}, 1)


@pytest.mark.parametrize(("what", "offered"), [("job", {"Retry"}), ("task", set())])
def test_buttons_are_those_that_work(what: str, offered: set[str]) -> None:
    job = complete(make_mapreduce())
    page = _page(job if what == "job" else tasks(job)[0])
    found = set(re.findall(r'class="cp-button" href="[^"]*">([A-Za-z]+)…<', page))
    assert found & {"Retry", "Requeue", "Hold"} == offered


def test_the_list_has_tasks_only_where_they_are_asked_for() -> None:
    job = make_mapreduce()
    make_job()
    client, url = browser("operator"), reverse("admin:jobs_job_changelist")
    assert len(client.get(url).context["cl"].result_list) == 2
    assert len(client.get(f"{url}?parent={job.uuid}").context["cl"].result_list) == 3
    assert len(tasks(job, Shape.MAP)) == 3
