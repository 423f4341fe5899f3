"""Apollo's jobs and tasks: what its clients send, what they are told, and who may."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from django.test import Client

from jobs import services, states
from jobs.models import Job, MapReduceSpec, Shape
from jobs.queries.artifacts import find_artifact
from jobs.services.artifacts import delete_artifact, edit_artifact
from tests.answers import text_of
from tests.clouds import REGION, CloudStage
from tests.contracts.mapreduce import JOBS, NONE, post, put, wish
from tests.factories import Person, make_customer_user, make_job
from tests.mapreduce import carry_on, complete, end, make_mapreduce, run, tasks, write_input
from tests.people import everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def path_of(job: Job, more: str = "") -> str:
    return f"{JOBS}/{job.uuid}{more}"


@pytest.fixture
def owner() -> Person:
    made = everybody()["owner"]
    put(made.client)
    return made


# --- What Apollo's clients do --------------------------------------------------------------------


def test_a_job_is_scheduled_as_the_seed_s_sample_has_it(owner: Person) -> None:
    with within_budget("POST /api/v1/jobs"):
        answer = post(owner.client)
    assert answer.status_code == 201
    shown = answer.json()
    assert UUID.fullmatch(shown["id"])
    job = Job.objects.get(uuid=shown["id"])
    assert shown == {
        "id": str(job.uuid),
        "nReducers": 1,
        "outputLocation": {"location": "s3://reducers", "useSSL": False},
        "inputData": {
            "id": str(job.pk),
            "path": "s3://test/test.txt",
            "type": "file/txt",
            "splitStart": 0,
            "splitEnd": 0,
        },
        "startTime": int(job.submitted_at.timestamp() * 1000),
        "status": "scheduled",
    }
    assert owner.get(path_of(job)).json() == shown
    assert owner.get(JOBS).json() == [shown]
    assert owner.get(path_of(job, "/tasks")).json() == []
    spec = MapReduceSpec.objects.get()
    assert (spec.protocol, spec.mapper.artifact.name, spec.splits) == ("apollo", "mapper", None)


@pytest.mark.parametrize(
    ("more", "spoken"),
    [({"outputPath": "s3://xyz"}, False), ({"outputPath": "http://m:1", "useSSL": True}, False),
     ({"outputPath": "m:1", "useSSL": True}, True), ({"outputPath": "https://m:1"}, True)],
)  # fmt: skip
def test_the_scheme_of_the_output_wins(owner: Person, settings: Any, more: dict[str, Any], spoken: bool) -> None:
    settings.STORAGE_ENDPOINTS = ("http://m:1", "https://m:1")
    assert post(owner.client, **more).json()["outputLocation"]["useSSL"] is spoken


def test_what_is_null_is_as_if_it_were_not_given(owner: Person, settings: Any) -> None:
    settings.SPLIT_SIZE = 123
    nothing: dict[str, Any] = dict.fromkeys(("splitSize", "inputStorageCredentials", "outputStorageCredentials"))
    assert post(owner.client, **nothing).status_code == 201
    spec = MapReduceSpec.objects.get()
    assert (spec.split_bytes, spec.had_credentials) == (123, False)


def test_tasks_are_told_maps_first(owner: Person) -> None:
    job = make_mapreduce(owner, reducers=2)
    first = tasks(job)[0]
    execution = run(first)
    with within_budget("GET /api/v1/jobs/{id}/tasks"):
        shown = owner.get(path_of(job, "/tasks")).json()
    assert [(task["id"], task["type"], task["status"]) for task in shown] == [
        (f"{job.uuid}-m-0", "mapper", "in-progress"),
        (f"{job.uuid}-m-1", "mapper", "scheduled"),
        (f"{job.uuid}-m-2", "mapper", "scheduled"),
    ]
    assert shown[0]["podName"] == f"worker-{execution.uuid.hex[-12:]}"
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", shown[0]["podName"])
    assert shown[1]["podName"] == ""
    [path] = MapReduceSpec.objects.get(pk=job.pk).inputs
    split = {"id": str(first.pk), "path": path, "type": "file/txt", "splitStart": 0, "splitEnd": 2}
    assert shown[0]["inputData"] == split
    for task in tasks(job)[1:]:
        end(task)
    services.move({first.pk: {"ended_at": job.submitted_at}}, states.COMPLETED, fields=("ended_at",))
    carry_on(job)
    shown = owner.get(path_of(job, "/tasks")).json()
    assert [task["id"].rpartition("-")[0][-1] + task["id"][-1] for task in shown] == ["m0", "m1", "m2", "r0", "r1"]
    assert "inputData" not in shown[3]
    assert (shown[0]["endTime"], "endTime" in shown[3]) == (int(job.submitted_at.timestamp() * 1000), False)
    assert shown[3]["program"]["name"] == "reducer"


def test_a_task_tells_of_the_program_that_it_runs_whatever_became_of_that(owner: Person) -> None:
    job = make_mapreduce(owner)
    version = MapReduceSpec.objects.select_related("mapper__artifact").get(pk=job.pk).mapper
    delete_artifact(version.artifact, actor=owner.user)
    [task, *_] = owner.get(path_of(job, "/tasks")).json()
    assert task["program"] == {"name": "mapper", "type": "executable", "size": version.size, "hash": version.sha256}


def test_how_it_ended_is_told(owner: Person) -> None:
    done = complete(make_mapreduce(owner))
    shown = owner.get(path_of(done)).json()
    assert done.ended_at is not None
    assert (shown["status"], shown["endTime"]) == ("completed", int(done.ended_at.timestamp() * 1000))
    assert shown["inputData"]["splitEnd"] == 6
    failed = make_mapreduce(owner)
    end(tasks(failed)[1], states.FAILED, error="program-failed")
    carry_on(failed)
    with within_budget("GET /api/v1/jobs/{id}"):
        shown = owner.get(path_of(failed)).json()
    assert (shown["status"], shown["error"]) == ("failed", "map task 1: it was program-failed")


def test_a_job_is_stopped_once_and_again_until_it_has_ended(owner: Person) -> None:
    job = make_mapreduce(owner)
    task = tasks(job)[0]
    run(task)
    carry_on(job)
    with within_budget("DELETE /api/v1/jobs"):
        answer = owner.delete(path_of(job))
    for again in (answer, owner.delete(path_of(job))):
        assert (again.status_code, again["Content-Type"]) == (200, "text/plain; charset=utf-8")
        assert text_of(again) == f"Job {job.uuid} was successfully stopped"
    services.move({task.pk: {"ended_at": task.submitted_at}}, states.CANCELED, fields=("ended_at",))
    assert carry_on(job).status == states.CANCELED
    assert owner.get(path_of(job)).json()["status"] == "stopped"
    late = owner.delete(path_of(job))
    assert (late.status_code, text_of(late)) == (406, f"Job {job.uuid} has ended already.\n")


def test_jobs_run_where_the_settings_say(owner: Person, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    CloudStage(monkeypatch)
    settings.MAPREDUCE_PLACE = f"aws/{REGION}"
    settings.MAPREDUCE_CLOUD_STORAGE = {"type": "s3", "bucket_name": "between"}
    job = Job.objects.select_related("place").get(uuid=post(owner.client).json()["id"])
    assert str(job.place) == f"aws/{REGION}"
    settings.MAPREDUCE_CLOUD_STORAGE = {}
    answer = post(owner.client)
    assert (answer.status_code, "MAPREDUCE_CLOUD_STORAGE" in answer.content.decode()) == (400, True)


def test_lists_of_jobs_have_no_tasks_in_them(owner: Person) -> None:
    make_mapreduce(owner)
    make_mapreduce(owner, looked=False)
    make_job(owner)
    with within_budget("GET /api/v1/jobs"):
        assert len(owner.get(JOBS).json()) == 2
    assert owner.get("/v6/jobs/").json()["count"] == 3
    assert owner.get("/v6/jobs/?shape=map").json()["count"] == 0


def test_a_job_that_is_none_of_mapreduce_is_not_there(owner: Person) -> None:
    job, task = make_job(owner), tasks(make_mapreduce(owner))[0]
    for other in (job, task):
        assert owner.get(path_of(other)).status_code == owner.delete(path_of(other)).status_code == 404


# --- What is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"nReducers": 0}, "nReducers"),
        ({"nReducers": "1"}, "nReducers"),
        ({"nReducers": True}, "nReducers"),
        ({"inputType": "file/csv"}, "inputType"),
        ({"inputPath": "minio/test/a"}, "inputPath"),
        ({"inputPath": "http://minio:9000/test/test.txt"}, "inputPath"),
        ({"inputPath": ""}, "inputPath"),
        ({"inputPath": 7}, "inputPath"),
        ({"inputPath": "s3://test/\0"}, "inputPath"),
        ({"outputPath": "ftp://x"}, "outputPath"),
        ({"outputPath": "minio:9000"}, "outputPath"),
        ({"useSSL": "yes"}, "useSSL"),
        ({"splitSize": 0}, "splitSize"),
        ({"splitSize": 1.5}, "splitSize"),
        ({"mapperName": ["a"]}, "mapperName"),
        ({"colour": "red"}, "colour"),
        ({"inputStorageCredentials": "x"}, "inputStorageCredentials"),
        ({"inputStorageCredentials": {"username": "x"}}, "inputStorageCredentials.password"),
        ({"outputStorageCredentials": {"username": "x", "password": 1}}, "outputStorageCredentials.password"),
        ({"outputStorageCredentials": {"user": "x"}}, "outputStorageCredentials.user"),
    ],
)
def test_a_bad_field_is_named(owner: Person, more: dict[str, Any], field: str) -> None:
    answer = post(owner.client, **more)
    assert (answer.status_code, answer["Content-Type"]) == (400, "text/plain; charset=utf-8")
    assert text_of(answer).startswith(f"{field}: ")
    assert not Job.objects.exists()


@pytest.mark.parametrize("name", ["nReducers", "inputPath", "inputType", "outputPath", "mapperName", "reducerName"])
def test_a_missing_field_is_named(owner: Person, name: str) -> None:
    body = {key: value for key, value in wish().items() if key != name}
    answer = owner.client.post(JOBS, json.dumps(body), content_type="application/json")
    assert (answer.status_code, text_of(answer)) == (400, f"{name}: This is needed.\n")


@pytest.mark.parametrize("body", ["", "{", "[]", '"x"', "\udc80".encode("utf-8", "surrogatepass")])
def test_what_is_no_object_is_refused(owner: Person, body: Any) -> None:
    assert owner.client.post(JOBS, body, content_type="application/json").status_code == 400


def test_an_artifact_that_is_not_there_is_told_in_apollo_s_words(owner: Person) -> None:
    answer = post(owner.client, reducerName="reducer")
    assert (answer.status_code, text_of(answer)) == (404, "reducer artifact metadata can't be found!\n")


def test_programs_of_two_protocols_do_not_go_together(owner: Person) -> None:
    put(owner.client, "other")
    edit_artifact(find_artifact(owner.user, "other", "read"), actor=owner.user, protocol="streaming")
    answer = post(owner.client, reducerName="other")
    assert (answer.status_code, text_of(answer).split(":")[0]) == (400, "reducerName")


def test_no_secret_is_told_in_any_answer(owner: Person) -> None:
    secret = {"username": "the-reader", "password": "the-secret"}
    made = post(owner.client, inputStorageCredentials=secret, outputStorageCredentials=secret).json()["id"]
    for path in (JOBS, f"{JOBS}/{made}", f"{JOBS}/{made}/tasks", f"/v6/jobs/{made}/", "/v6/jobs/", "/v6/events/"):
        answer = owner.get(path)
        assert b"the-secret" not in answer.content
        assert b"the-reader" not in answer.content


# --- Who may ---------------------------------------------------------------------------------------


def test_each_reads_and_stops_what_they_may() -> None:
    people = everybody()
    job = make_mapreduce(people["owner"])
    for who, status in (("owner", 200), ("colleague", 200), ("monitor", 200), ("operator", 200), ("stranger", 404)):
        assert people[who].get(path_of(job)).status_code == status, who
        assert people[who].get(path_of(job, "/tasks")).status_code == status, who
        assert len(people[who].get(JOBS).json()) == (status == 200), who
    for who, status in (("stranger", 404), ("colleague", 403), ("monitor", 403), ("operator", 200)):
        assert people[who].delete(path_of(job)).status_code == status, who


def test_without_a_token_it_is_nobody_unless_somebody_is_named(owner: Person, settings: Any) -> None:
    job = make_mapreduce(owner, inputs=[write_input()])
    paths = (JOBS, path_of(job), path_of(job, "/tasks"))
    assert {Client().get(path).status_code for path in paths} == {401}
    assert post(Client()).status_code == Client().delete(path_of(job)).status_code == 401
    settings.MAPREDUCE_ANONYMOUS_USER = owner.user.username
    assert {Client().get(path).status_code for path in paths} == {200}
    made = Job.objects.get(uuid=post(Client()).json()["id"])
    assert (made.owner, made.shape) == (owner.user, Shape.MAPREDUCE)
    assert Client().delete(path_of(job)).status_code == 200
    assert Client(headers={"Authorization": "Bearer wrong"}).get(NONE).status_code == 401
    assert Client().get("/v6/jobs/").status_code == 401


def test_another_customer_s_programs_are_not_there(owner: Person) -> None:
    stranger = make_customer_user("eve", "other")
    answer = post(stranger.client)
    assert (answer.status_code, text_of(answer)) == (404, "mapper artifact metadata can't be found!\n")
