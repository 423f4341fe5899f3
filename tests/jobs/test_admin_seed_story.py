"""The Seed part of a job's page."""

from __future__ import annotations

import html
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from jobs.admin import seed_story
from jobs.api.v6.decode import decode
from jobs.models import File, Job
from tests.browsers import browser, somebody
from tests.factories import make_job
from tests.query_budget import within_budget
from tests.seeds import Scene, write_output

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(tmp_path: Path, settings: Any) -> Scene:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    return Scene(tmp_path / "results")


def _page(job: Job) -> str:
    answer = browser("operator").get(reverse("admin:jobs_job_change", args=[job.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def _section(page: str, heading: str) -> str:
    return page.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]


def test_a_seed_job_shows_what_it_took_in_and_gave(scene: Scene) -> None:
    job_type = scene.job_type({"settings": {"LANGUAGE": "en", "API_KEY": "sesame-4711"}}, settings=[
        {"name": "LANGUAGE"}, {"name": "API_KEY", "secret": True},
    ])  # fmt: skip
    job = scene.submit(job_type)
    assert "Nothing yet." in _section(_page(job), "What it gave")
    write_output(scene.start(job))
    scene.end(job)
    client = browser("operator")
    with within_budget("admin: seed job page"):
        page = client.get(reverse("admin:jobs_job_change", args=[job.pk])).content.decode()
    taken, made = File.objects.order_by("pk")
    for file, heading in ((taken, "What it took in"), (made, "What it gave")):
        section = _section(page, heading)
        for text in (reverse("admin:jobs_file_change", args=[file.pk]), file.name, "results: ", f"{file.size} bytes"):
            assert text in section, (heading, text)
    assert "total" in _section(page, "What it gave")
    assert reverse("admin:jobtypes_jobtype_change", args=[job_type.pk]) in _section(page, "The job")
    configured = _section(page, "Its configuration")
    assert "LANGUAGE" in configured
    assert "API_KEY" in configured
    assert "sesame" not in page


def test_a_job_of_another_kind_has_no_such_part() -> None:
    page = _page(make_job())
    assert "What it took in" not in page
    assert "Its configuration" not in page


def test_a_file_that_is_deleted_or_gone_is_said_to_be(scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    File.objects.update(deleted_at=job.submitted_at)
    assert "(deleted)" in _section(_page(job), "What it took in")
    File.objects.all().delete()
    assert "which is gone" in _section(_page(job), "What it took in")


def test_only_the_first_of_many_files_are_shown(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    job_type = scene.job_type(
        inputs={"files": [{"name": "TEXT", "multiple": True}, {"name": "MORE", "required": False}]}
    )
    files = [scene.file(f"{number}.txt").pk for number in range(5)]
    job = scene.submit(job_type, {"files": {"TEXT": files, "MORE": [files[0]]}})
    monkeypatch.setattr(seed_story, "FILES_SHOWN", 3)
    section = _section(_page(job), "What it took in")
    assert "1.txt" in section
    assert "2.txt" not in section
    assert "and 3 files more" in section


def test_what_it_asks_for_again_is_the_same_seed_job(scene: Scene) -> None:
    job_type = scene.job_type()
    job = scene.submit(job_type, priority=7, tags={"run": "a"})
    shown = re.search(r"<pre id=\"curl\" class=\"cp-log\">(.*?)</pre>", _page(job), flags=re.DOTALL)
    assert shown is not None
    words = shlex.split(html.unescape(shown[1]).replace("\\\n", ""))
    body: dict[str, Any] = json.loads(words[words.index("-d") + 1])
    assert body["job_type_id"] == job_type.pk
    assert body["input"] == job.input
    assert (body["priority"], body["tags"], body["customer"]) == (7, {"run": "a"}, job.customer.name)
    assert not {"image", "command", "shape", "vcpus"} & set(body)
    (request,) = decode(body, somebody())
    assert request.classification == job.classification
