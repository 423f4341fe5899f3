"""GET /v6/jobs/{id}/logs/{stream}/ and /v6/job-executions/{id}/logs/{stream}/: a page, the whole text, or live."""

from __future__ import annotations

import json
from typing import Any

import pytest

from jobs import following, services
from jobs.models import Execution, Job
from tests.factories import Stage, keep_output, make_job, make_job_in
from tests.jobs.api.v6.answers import assert_error, good
from tests.jobs.api.v6.conftest import People
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture
def job(people: People) -> Job:
    """A job that wrote to both streams, and ended."""
    job = make_job_in("COMPLETED", people.owner)
    keep_output(job, "one\ntwö\n", "oops\n")
    return job


def whole(response: Any) -> str:
    assert response.status_code == 200, response.content
    return b"".join(response.streaming_content).decode()


def events(response: Any) -> list[tuple[str, Any]]:
    """The events of a finished stream, without pings."""
    found = []
    for block in whole(response).split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def live(people: People, path: str, **headers: str) -> Any:
    return people.owner.client.get(path, headers={"Accept": "text/event-stream", **headers})


@pytest.mark.parametrize(
    ("stream", "text"), [("stdout", "one\ntwö\n"), ("stderr", "oops\n"), ("combined", "one\ntwö\noops\n")]
)
def test_a_page_has_the_text_and_where_it_goes_on(people: People, job: Job, stream: str, text: str) -> None:
    path = f"/v6/jobs/{job.uuid}/logs/{stream}/"
    page = good(people.owner.get(path))
    assert (page["execution"], page["stream"], page["text"], page["ended"]) == (1, stream, text, True)
    assert good(people.owner.get(path, after=page["after"]))["text"] == ""
    assert whole(people.owner.get(path, format="txt")) == text
    assert whole(people.owner.client.get(path, headers={"Accept": "text/plain"})) == text
    assert good(people.owner.get(f"/v6/jobs/{job.pk}/logs/{stream}"))["text"] == text


def test_an_execution_by_its_own_id_as_scale_has_it(people: People, job: Job) -> None:
    execution = Execution.objects.get(job=job)
    for reference in (execution.pk, execution.uuid):
        path = f"/v6/job-executions/{reference}/logs/stdout/"
        assert good(people.owner.get(path))["text"] == "one\ntwö\n"
        assert whole(people.owner.get(path, format="txt")) == "one\ntwö\n"
    assert_error(people.stranger.get(path), 404, "NOT_FOUND")
    assert_error(people.owner.get("/v6/job-executions/999999/logs/stdout/"), 404, "NOT_FOUND")


def test_each_execution_keeps_its_own(people: People) -> None:
    stage, job = Stage(), make_job(people.owner, max_tries=1)
    for n in (1, 2):
        stage.start(job)
        stage.end(job, exit_code=3)
        keep_output(job, f"try {n}\n")
        if n == 1:
            services.requeue_jobs([job.pk], actor=None)
    path = f"/v6/jobs/{job.pk}/logs/stdout/"
    assert good(people.owner.get(path))["text"] == "try 2\n"
    assert good(people.owner.get(path, execution=1))["text"] == "try 1\n"
    assert_error(people.owner.get(path, execution=3), 404, "NOT_FOUND")
    for bad in ("x", "-1", "1.5", "999999", ""):
        assert_error(people.owner.get(path, execution=bad), 400, field="execution")
    assert [told["text"] for name, told in events(live(people, f"{path}?execution=1")) if name == "log"] == ["try 1\n"]


def test_nothing_has_started_yet(people: People) -> None:
    job = make_job(people.owner)
    for kind in ("json", "txt"):
        response = people.owner.get(f"/v6/jobs/{job.pk}/logs/combined/", format=kind)
        assert (response.status_code, response.content) == (204, b"")


def test_what_is_asked_for_wrongly_is_named(people: People, job: Job) -> None:
    path = f"/v6/jobs/{job.pk}/logs/stdout/"
    for after in ("x", "1:2:3", "1", "9" * 30, "1:\u0663"):
        assert_error(people.owner.get(path, after=after), 400, field="after")
        assert_error(live(people, path, **{"Last-Event-ID": after}), 400, field="after")
    assert people.owner.get(f"/v6/jobs/{job.pk}/logs/both/").status_code == 404
    assert people.owner.client.get(path, headers={"Accept": "image/png"}).status_code == 406
    assert people.owner.get(path, format="html5").status_code == 404


def test_an_ended_job_is_told_at_once_and_the_stream_ends(people: People, job: Job) -> None:
    response = live(people, f"/v6/jobs/{job.pk}/logs/combined/")
    assert response["Content-Type"] == "text/event-stream; charset=utf-8"
    assert response["Cache-Control"] == "no-store"
    told = events(response)
    assert [(name, said.get("stream"), said.get("text")) for name, said in told[:-1]] == [
        ("log", "stdout", "one\ntwö\n"),
        ("log", "stderr", "oops\n"),
    ]
    assert told[-1] == ("end", {"status": "COMPLETED", "state": "COMPLETED", "exit_code": 0})


def test_a_stream_goes_on_after_the_last_event_that_was_seen(people: People, job: Job) -> None:
    path = f"/v6/jobs/{job.pk}/logs/stdout/"
    page = good(people.owner.get(path))
    for response in (
        live(people, path, **{"Last-Event-ID": page["after"]}),
        live(people, f"{path}?after={page['after']}"),
    ):
        assert [name for name, _ in events(response)] == ["end"]


def test_who_may_read(people: People, job: Job) -> None:
    path = f"/v6/jobs/{job.pk}/logs/combined/"
    for name in ("admin", "operator", "monitor", "owner", "colleague"):
        for kind in ("json", "txt", "sse"):
            response = people[name].get(path, format=kind)
            assert response.status_code == 200, (name, kind)
            response.close()
    for name, status in (("stranger", 404), ("anonymous", 401), ("disabled", 401)):
        for kind in ("json", "txt", "sse"):
            response = people[name].get(path, format=kind)
            assert response.status_code == status, (name, kind)
            assert json.loads(response.content)["detail"]


def test_deleted_output_is_gone(people: People, job: Job) -> None:
    Execution.objects.filter(job=job).update(logs_kept=False)
    for kind in ("json", "txt", "sse"):
        assert people.owner.get(f"/v6/jobs/{job.pk}/logs/stdout/", format=kind).status_code == 404
    assert_error(people.owner.get(f"/v6/jobs/{job.pk}/logs/stdout/"), 404, "OUTPUT_GONE")


def test_too_many_followers_are_asked_to_come_again(people: People, job: Job, settings: Any) -> None:
    settings.FOLLOWERS_AT_MOST = 0
    response = live(people, f"/v6/jobs/{job.pk}/logs/stdout/")
    assert_error(response, 503, "TOO_MANY_FOLLOWERS")
    assert int(response["Retry-After"]) > 0


def test_a_page_stays_within_its_budget(people: People, job: Job) -> None:
    people.owner.get("/v6/version/")
    with within_budget("GET /v6/jobs/{id}/logs/combined/"):
        good(people.owner.get(f"/v6/jobs/{job.pk}/logs/combined/"))


def test_the_cursor_is_the_one_of_following(people: People, job: Job) -> None:
    page = good(people.owner.get(f"/v6/jobs/{job.pk}/logs/combined/"))
    assert page["after"] == following.read(job, ("stdout", "stderr")).cursor
