"""MapReduce jobs through POST /v6/jobs/, and how they and their tasks are shown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.test import Client

from jobs import services, states
from jobs.models import Job, MapReduceSpec, Shape
from jobs.services.artifacts import put_artifact
from tests import mapreduce
from tests.clouds import REGION, CloudStage
from tests.factories import Person, make_customer_user
from tests.jobs.api.v6.answers import assert_error
from tests.mapreduce import carry_on, complete, end, make_mapreduce, program, run, tasks
from tests.people import everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
JOBS = "/v6/jobs/"


def wish(**more: Any) -> dict[str, Any]:
    members = {"mapper": {"name": "mapper"}, "reducer": {"name": "reducer"}, "input": "s3://texts/in/"}
    return {**members, "output": "s3://counts", **more}


def post(client: Client, mapreduce: Any = None, **body: Any) -> Any:
    return client.post(JOBS, json.dumps({"mapreduce": mapreduce or wish(), **body}), content_type="application/json")


@pytest.fixture
def people() -> Mapping[str, Person]:
    found = everybody()
    for name in ("mapper", "reducer", "combiner"):
        program(found["owner"], name)
    return found


@pytest.fixture
def owner(people: Mapping[str, Person]) -> Person:
    return people["owner"]


# --- Submitted -----------------------------------------------------------------------------------


def test_all_that_can_be_asked_for_is_kept_and_shown(owner: Person) -> None:
    put_artifact(actor=owner.user, name="mapper", source=[b"#!/bin/sh\nexec tac\n"])
    asked = wish(
        mapper={"name": "mapper", "version": 1, "arguments": ["-x", ""]}, combiner={"name": "combiner"},
        protocol="streaming", input=["s3://texts/a.gz", "s3://texts/in/"], reducers=4, split_bytes=1000, max_parallel=7,
        input_credentials={"username": "reader", "password": "in secret"},
    )  # fmt: skip
    more = {"classification": "count", "tags": {"a": 1}, "vcpus": 0.5, "memory_mib": 300, "priority": 7}
    with within_budget("POST /v6/jobs/, MapReduce"):
        answer = post(owner.client, asked, **more, timeout_seconds=60, max_tries=2)
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["shape"], shown["status"], shown["classification"]) == ("mapreduce", "PENDING", "count")
    assert (shown["vcpus"], shown["memory_mib"], shown["timeout_seconds"], shown["max_tries"]) == (0.5, 300, 60, 2)
    found = shown["mapreduce"]
    assert found["mapper"]["version"] == 1
    assert found["mapper"]["arguments"] == ["-x", ""]
    assert found["combiner"]["name"] == "combiner"
    assert (found["input"], found["output"], found["reducers"]) == (
        ["s3://texts/a.gz", "s3://texts/in/"],
        "s3://counts",
        4,
    )
    assert (found["split_bytes"], found["max_parallel"], found["has_credentials"]) == (1000, 7, True)
    assert found["map"] | {} == {
        "tasks": None, "made": 0, "completed": 0, "states": {}, "bytes_in": 0, "records_in": 0, "records_out": 0,
        "bytes_out": 0,
    }  # fmt: skip
    assert found["outputs"] == []
    assert "in secret" not in answer.content.decode()
    assert "reader" not in answer.content.decode()


def test_a_key_makes_one_job_of_it(owner: Person) -> None:
    made = {
        owner.client.post(
            JOBS, json.dumps({"mapreduce": wish()}), content_type="application/json", headers={"Idempotency-Key": "k"}
        ).json()["id"]
        for _ in range(2)
    }
    assert len(made) == Job.objects.count() == 1


def test_staff_may_take_a_customer_s_programs(people: Mapping[str, Person]) -> None:
    operator = people["operator"]
    named = {role: {"name": role, "customer": "acme"} for role in ("mapper", "reducer")}
    assert post(operator.client, wish(), customer="acme").status_code == 404
    assert post(operator.client, wish(**named), customer="acme").status_code == 201


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"mapper": "mapper"}, "mapreduce.mapper"),
        ({"mapper": {}}, "mapreduce.mapper.name"),
        ({"mapper": {"name": "mapper", "version": 0}}, "mapreduce.mapper.version"),
        ({"mapper": {"name": "mapper", "colour": 1}}, "mapreduce.mapper.colour"),
        ({"mapper": {"name": "mapper", "arguments": "x"}}, "mapreduce.mapper.arguments"),
        ({"mapper": {"name": "mapper", "arguments": [1]}}, "mapreduce.mapper.arguments"),
        ({"reducer": None}, "mapreduce.reducer"),
        ({"protocol": "smoke"}, "mapreduce.protocol"),
        ({"protocol": "apollo", "combiner": {"name": "combiner"}}, "mapreduce.combiner"),
        ({"input": None}, "mapreduce.input"),
        ({"input": []}, "mapreduce.input"),
        ({"input": [1]}, "mapreduce.input"),
        ({"input": "s3://texts"}, "mapreduce.input"),
        ({"input": "file:///etc/passwd"}, "mapreduce.input"),
        ({"output": None}, "mapreduce.output"),
        ({"output": "http://elsewhere"}, "mapreduce.output"),
        ({"reducers": 0}, "mapreduce.reducers"),
        ({"reducers": 10_001}, "mapreduce.reducers"),
        ({"split_bytes": 0}, "mapreduce.split_bytes"),
        ({"max_parallel": 0}, "mapreduce.max_parallel"),
        ({"input_credentials": {"username": "x"}}, "mapreduce.input_credentials.password"),
        ({"output_credentials": []}, "mapreduce.output_credentials"),
        ({"colour": "red"}, "mapreduce.colour"),
    ],
)
def test_a_bad_member_is_named(owner: Person, more: dict[str, Any], field: str) -> None:
    answer = post(owner.client, wish(**more))
    assert_error(answer, 400, field=field)
    assert not Job.objects.exists()


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"shape": "seed"}, "shape"), ({"cloud": "aws", "region": "x"}, "cloud"), ({"region": "nowhere"}, "region"),
        ({"command": ["x"]}, "command"), ({"memory_mib": 0}, "memory_mib"), ({"priority": -1}, "priority"),
        ({"max_tries": 0}, "max_tries"), ({"timeout_seconds": 0}, "timeout_seconds"), ({"customer": ""}, "customer"),
    ],
)  # fmt: skip
def test_a_bad_field_is_named(owner: Person, more: dict[str, Any], field: str) -> None:
    answer = post(owner.client, **more)
    assert_error(answer, 400, field=field)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, settings: Any) -> dict[str, Any]:
    """A region, and storage between tasks; what a body says to run there."""
    CloudStage(monkeypatch)
    settings.MAPREDUCE_CLOUD_STORAGE = {"type": "s3", "bucket_name": "between"}
    return {"cloud": "aws", "region": REGION}


def test_a_job_at_a_cloud_is_taken(owner: Person, aws: dict[str, Any]) -> None:
    answer = post(owner.client, **aws, queue="any of the cloud's", timeout_seconds=6 * 86400)
    assert answer.status_code == 201
    assert (answer.json()["cloud"], answer.json()["region"], answer.json()["queue"]) == (
        "aws",
        REGION,
        "any of the cloud's",
    )


@pytest.mark.parametrize(
    ("more", "member", "field"),
    [
        ({"region": None}, {}, "region"),
        ({"region": "nowhere"}, {}, "region"),
        ({"cloud": "sky"}, {}, "cloud"),
        ({"cloud": "azure"}, {}, "cloud"),
        ({"timeout_seconds": 6 * 86400 + 1}, {}, "timeout_seconds"),
        ({}, {"input": ["s3://texts/in", "file:///srv/in"]}, "mapreduce.input"),
        ({}, {"output": "file:///srv/out"}, "mapreduce.output"),
        ({}, {"input": "https://elsewhere.example.com/texts/in"}, "mapreduce.input"),
    ],
)
def test_what_cannot_run_at_a_cloud_is_named(
    owner: Person, aws: dict[str, Any], more: dict[str, Any], member: dict[str, Any], field: str
) -> None:
    answer = post(owner.client, wish(**member), **{**aws, **more})
    assert_error(answer, 400, field=field)
    assert not Job.objects.exists()


def test_without_storage_between_tasks_they_run_here_only(owner: Person, aws: dict[str, Any], settings: Any) -> None:
    settings.MAPREDUCE_CLOUD_STORAGE = {}
    answer = post(owner.client, **aws)
    assert_error(answer, 400, field="cloud")
    assert "MAPREDUCE_CLOUD_STORAGE" in answer.content.decode()


def test_programs_that_are_not_there_are_named(owner: Person) -> None:
    for more, field in (
        ({"mapper": {"name": "none"}}, "mapper"),
        ({"reducer": {"name": "reducer", "version": 9}}, "reducer"),
    ):
        answer = post(owner.client, wish(**more))
        assert_error(answer, 404, field=f"mapreduce.{field}.name")


def test_a_list_has_none_in_it_and_tasks_are_not_submitted(owner: Person) -> None:
    body = [{"mapreduce": wish()}]
    assert owner.client.post(JOBS, json.dumps(body), content_type="application/json").status_code == 400
    for shape in ("map", "reduce", "mapreduce"):
        one = {"shape": shape, "classification": "x", "command": ["true"]}
        assert owner.client.post(JOBS, json.dumps(one), content_type="application/json").status_code == 400
    assert not Job.objects.exists()


def test_who_may_submit(people: Mapping[str, Person]) -> None:
    assert post(people["monitor"].client).status_code == 403
    assert post(Client()).status_code == 401
    assert post(make_customer_user("eve", "other").client).status_code == 404  # whose programs they are not


# --- Shown -----------------------------------------------------------------------------------------


def test_its_tasks_are_listed_where_they_are_asked_for(owner: Person, people: Mapping[str, Person]) -> None:
    job = make_mapreduce(owner)
    assert [each["id"] for each in owner.get(JOBS).json()["results"]] == [job.pk]
    with within_budget("GET /v6/jobs/"):
        shown = owner.get(f"{JOBS}?parent={job.uuid}&order=id").json()["results"]
    assert [(each["shape"], each["part"], each["parent"]) for each in shown] == [
        ("map", number, {"id": job.pk}) for number in range(3)
    ]
    assert owner.get(f"{JOBS}?parent={job.pk}&status=RUNNING").json()["count"] == 0
    one = owner.get(f"{JOBS}{shown[1]['id']}/").json()
    assert (one["input"], one["mapreduce"]) == ({"object": 0, "start": 2, "end": 4}, None)
    stranger = people["stranger"]
    assert stranger.get(f"{JOBS}?parent={job.pk}").json()["count"] == 0
    assert stranger.get(f"{JOBS}{shown[1]['id']}/").status_code == 404


def test_its_progress_and_outputs_are_shown(owner: Person) -> None:
    target = mapreduce.folder()
    job = make_mapreduce(owner, reducers=2, output=f"file://{target}")
    end(tasks(job)[0], output={"records_in": 3, "bytes_in": 2})
    run(tasks(job)[1])
    carry_on(job)
    with within_budget("GET /v6/jobs/{id}/, MapReduce"):
        found = owner.get(f"{JOBS}{job.pk}/").json()["mapreduce"]
    assert found["map"]["states"] == {"COMPLETED": 1, "QUEUED": 1, "RUNNING": 1}
    assert (found["map"]["tasks"], found["map"]["records_in"], found["reduce"]["made"]) == (3, 3, 0)
    assert (found["objects"], found["input_bytes"]) == (1, 6)
    services.move({tasks(job)[1].pk: {"ended_at": job.submitted_at}}, states.COMPLETED, fields=("ended_at",))
    end(tasks(job)[2])
    carry_on(job)
    for task in tasks(job, Shape.REDUCE):
        end(task)
    carry_on(job)
    shown = owner.get(f"{JOBS}{job.pk}/").json()
    assert shown["status"] == "COMPLETED"
    assert shown["mapreduce"]["outputs"] == [f"file://{target}/{job.uuid}/{n}.tsv" for n in range(2)]


def test_why_it_waits_is_explained(owner: Person) -> None:
    job = make_mapreduce(owner, looked=False)
    assert owner.get(f"{JOBS}{job.pk}/explain/").json()["reasons"][0]["code"] == "LOOKING_FOR_INPUT"
    assert owner.get(f"{JOBS}{job.pk}/").json()["reason"] == "LOOKING_FOR_INPUT"
    job = make_mapreduce(owner)
    [reason] = owner.get(f"{JOBS}{job.pk}/explain/").json()["reasons"]
    assert (reason["code"], reason["value"]) == ("WAITS_FOR_TASKS", "3")
    assert f"?parent={job.pk}" in reason["hint"]


# --- Steered -----------------------------------------------------------------------------------------


def test_it_is_cancelled_requeued_and_retried(owner: Person) -> None:
    job = make_mapreduce(owner)
    assert owner.post(f"{JOBS}{job.pk}/cancel/").json()["status"] == "CANCELED"
    assert {task.status for task in tasks(job)} == {"CANCELED"}
    assert owner.post(f"{JOBS}{job.pk}/requeue/").json()["status"] == "PENDING"
    assert {task.status for task in tasks(job)} == {"QUEUED"}
    complete(carry_on(job))
    made = owner.post(f"{JOBS}{job.pk}/retry/").json()
    assert (made["retry_of"], made["shape"]) == (job.pk, "mapreduce")
    assert MapReduceSpec.objects.get(pk=made["id"]).inputs == MapReduceSpec.objects.get(pk=job.pk).inputs


def test_a_task_is_neither_requeued_nor_retried_alone_and_the_job_is_not_held(owner: Person) -> None:
    job = make_mapreduce(owner)
    end(tasks(job)[0], states.FAILED, error="program-failed")
    failed = tasks(job)[0].pk
    for verb in ("requeue", "retry"):
        assert owner.post(f"{JOBS}{failed}/{verb}/").status_code == 400
    assert owner.post(f"{JOBS}{job.pk}/hold/").status_code == 400
    assert owner.post(f"{JOBS}{tasks(job)[1].pk}/hold/").json()["on_hold"] is True


def test_bulk_work_means_jobs_and_not_their_tasks(owner: Person) -> None:
    job = make_mapreduce(owner)
    operation = services.start_operation(
        kind="cancel",
        selection={"customer": ["acme"], "status": ["QUEUED", "PENDING"]},
        parameters={},
        actor=owner.user,
    )
    services.carry_on(operation.pk)
    operation.refresh_from_db()
    assert (operation.total, operation.done, operation.failed) == (1, 1, 0)
    assert {each.status for each in (Job.objects.get(pk=job.pk), *tasks(job))} == {"CANCELED"}
