"""Jobs of job types over HTTP: submitting, listing, looking at them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Event
from jobs import states
from jobs.api.v6.decode import SEED_FIELDS
from jobs.api.v6.serializers import NewSeedJobSerializer
from jobs.models import Job
from jobtypes.models import JobType
from tests.jobs.api.v6.answers import assert_error, each_body, good, listed
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget
from tests.seeds import Scene, write_output

pytestmark = pytest.mark.django_db
PATH = "/v6/jobs/"


@pytest.fixture
def scene(tmp_path: Path, settings: Any, people: People) -> Scene:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    settings.LOCAL_ROOT = tmp_path / "local"
    return Scene(tmp_path / "workspace", people.owner)


def body_of(scene: Scene, **wishes: Any) -> dict[str, Any]:
    return {"job_type_id": scene.job_type().pk, "input": {"files": {"TEXT": [scene.file().pk]}}, **wishes}


# --- Submit --------------------------------------------------------------------------------------


def test_a_client_of_scale_submits_with_an_id_and_input_alone(people: People, scene: Scene, settings: Any) -> None:
    body = body_of(scene)
    response = people.operator.post(PATH, body)
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver{PATH}{made['id']}/"
    assert (made["shape"], made["status"], made["customer"]) == ("seed", "QUEUED", settings.DEFAULT_CUSTOMER)
    assert (made["job_type"]["name"], made["job_type"]["version"]) == ("count-words", "1.0.0")
    assert (made["job_type_rev"]["revision_num"], made["job_type_rev"]["docker_image"]) == (1, "count:1")
    assert made["job_type_rev"]["manifest"]["job"]["name"] == "count-words"
    assert made["input"] == {"files": body["input"]["files"], "json": {}}
    assert (made["output"], made["execution"], made["num_exes"], made["max_tries"]) == (None, None, 0, 3)
    assert made["configuration"]["output_workspaces"] == {"default": "results", "outputs": {}}
    assert made["configuration"]["priority"] == 100
    assert made["resources"] == {"resources": {"cpus": 0.5, "mem": 256, "disk": 0, "gpus": 0}}
    assert made["input_files"] == {"TEXT": ["a.txt"]}
    assert made["input_file_size"] == pytest.approx(7 / 2**20)
    assert good(people.operator.get(f"{PATH}{made['id']}/")) == made
    assert list(Event.objects.filter(kind="job.submitted").values_list("actor__username", flat=True)) == ["op"]


def test_everything_may_be_said(people: People, scene: Scene) -> None:
    job_type = scene.job_type(settings=[{"name": "MODE"}, {"name": "KEY", "secret": True}])
    wish = {
        "shape": "seed",
        "job_type": {"name": job_type.name, "version": job_type.version},
        "input": {"files": {"TEXT": [scene.file().pk]}, "json": {}},
        "configuration": {"settings": {"MODE": "fast", "KEY": "sesame"}, "priority": 7},
        "customer": "acme",
        "classification": "nightly",
        "cloud": "local",
        "region": "local",
        "tags": {"project": "tour"},
        "queue": "default",
        "max_tries": 2,
    }
    assert set(wish) | {"job_type_id", "priority", "policy"} == set(SEED_FIELDS)
    made = good(people.owner.post(PATH, wish), 201)
    told = ("customer", "classification", "cloud", "region", "tags", "queue", "max_tries")
    assert {name: made[name] for name in told} == {name: wish[name] for name in told}
    assert (made["priority"], made["configuration"]["settings"]) == (7, {"MODE": "fast"})
    assert (made["env"], made["secret_env"]) == ({"KEY": "*****"}, ["KEY"])
    assert "sesame" not in str(made)


def test_the_schema_declares_what_is_read() -> None:
    assert set(NewSeedJobSerializer().fields) == set(SEED_FIELDS)


@pytest.mark.parametrize(
    ("who", "status"),
    [
        *[(who, 201) for who in ("admin", "operator", "owner", "colleague")],
        # The file is not theirs.
        *[("stranger", 400), ("monitor", 403), ("disabled", 401), ("anonymous", 401)],
    ],
)
def test_who_may_submit(people: People, scene: Scene, who: str, status: int) -> None:
    response = people[who].post(PATH, body_of(scene))
    good(response, 201) if status == 201 else assert_error(response, status)
    assert Job.objects.exists() == (status == 201)


def test_a_job_type_that_is_not_published_is_none_to_customers(people: People, scene: Scene) -> None:
    body = body_of(scene)
    JobType.objects.update(is_published=False)
    assert_error(people.owner.post(PATH, body), 404, "NOT_FOUND")
    good(people.operator.post(PATH, body), 201)


def test_a_deprecated_job_type_takes_no_new_jobs(people: People, scene: Scene) -> None:
    body = body_of(scene)
    JobType.objects.update(is_active=False, deprecated_at=timezone.now())
    assert_error(people.owner.post(PATH, body), 400, field="job_type_id")


BAD: list[tuple[str, dict[str, Any]]] = [
    *each_body("job_type_id", "job_type_id", {}, 0, -1, "x", 1.5, True, 9**20),
    ("job_type_id", {"job_type_id": None}),
    ("job_type_id", {"job_type": {"name": "count-words", "version": "1.0.0"}}),
    *each_body("job_type", "job_type", {"job_type_id": None}, "x", {}, {"name": "x"}, []),
    *each_body("input", "input", {}, "x", [], 1),
    *each_body("input.files.TEXT", "input", {}, {}, {"files": {"TEXT": []}}, {"files": {"TEXT": ["x"]}}),
    *each_body("configuration", "configuration", {}, "x", {"priority": 0}, {"nonsense": 1}, {"settings": {"A": None}}),
    *each_body("configuration", "configuration", {}, {"output_workspaces": {"default": "nowhere"}}),
    *each_body("shape", "shape", {}, "container", "x", 1),
    *each_body("cloud", "cloud", {}, "aws", "moon", 1),
    *each_body("region", "region", {}, "nowhere", ""),
    *each_body("queue", "queue", {}, "fast", ""),
    *each_body("priority", "priority", {}, -1, "x"),
    *each_body("max_tries", "max_tries", {}, 0, "x"),
    *each_body("tags", "tags", {}, [], "x"),
    *each_body("classification", "classification", {}, "", "x" * 256, "a\0"),
    ("image", {"image": "busybox"}),
    ("command", {"command": ["true"]}),
    ("nonsense", {"nonsense": 1}),
]


@pytest.mark.parametrize(("field", "change"), BAD)
def test_what_cannot_be_is_named(people: People, scene: Scene, field: str, change: dict[str, Any]) -> None:
    assert_error(people.owner.post(PATH, body_of(scene, **change)), 400, field=field)
    assert not Job.objects.exists()


def test_an_unknown_job_type_is_404(people: People, scene: Scene) -> None:
    assert_error(people.owner.post(PATH, body_of(scene, job_type_id=999_999)), 404, "NOT_FOUND")


def test_a_list_is_made_whole_or_not_at_all(people: People, scene: Scene) -> None:
    body = body_of(scene)
    made = good(people.owner.post(PATH, [body, {**body, "priority": 3}]), 201)
    assert [Job.objects.get(pk=each["id"]).priority for each in made] == [100, 3]
    bad = {**body, "input": {"files": {"TEXT": [999_999]}}}
    assert_error(people.owner.post(PATH, [body, bad]), 400, field="input.files.TEXT", index=1)
    assert_error(people.owner.post(PATH, [body, {"classification": "x", "command": ["true"]}]), 400)
    assert Job.objects.count() == 2


def test_a_longer_list_reads_no_more(people: People, scene: Scene) -> None:
    body = body_of(scene, configuration={"output_workspaces": {"default": "results"}})
    people.owner.post(PATH, [body])
    with counted() as few:
        good(people.owner.post(PATH, [body] * 2), 201)
    with counted() as many:
        good(people.owner.post(PATH, [body] * 20), 201)
    reads = [[text for text in found.texts if text.startswith("SELECT")] for found in (few, many)]
    assert len(reads[1]) == len(reads[0])


def test_a_request_sent_again_with_its_key_makes_one_job(people: People, scene: Scene) -> None:
    body = body_of(scene)
    first = good(people.owner.post(PATH, body, headers={"Idempotency-Key": "k"}), 201)
    assert good(people.owner.post(PATH, body, headers={"Idempotency-Key": "k"}), 201) == first
    assert Job.objects.count() == 1


# --- Lists, details, verbs -----------------------------------------------------------------------


def completed(scene: Scene) -> Job:
    job = scene.submit(scene.job_type())
    write_output(scene.start(job))
    scene.end(job)
    assert job.status == states.COMPLETED
    return job


def test_a_completed_job_shows_its_output_and_its_files(people: People, scene: Scene) -> None:
    job = completed(scene)
    shown = good(people.colleague.get(f"{PATH}{job.pk}/"))
    assert shown["output"] == job.output
    assert (shown["status"], shown["execution"]["exit_code"]) == ("COMPLETED", 0)
    (file_id,) = shown["output"]["files"]["COUNTS"]
    file = good(people.colleague.get(f"/v6/files/{file_id}/"))
    assert (file["job"]["id"], file["job_output"], file["job_type"]["name"]) == (job.pk, "COUNTS", "count-words")
    content = people.colleague.get(f"/v6/files/{file_id}/content/")
    assert b"".join(content.streaming_content) == b"two\t1\n"
    assert_error(people.stranger.get(f"/v6/files/{file_id}/"), 404)


def test_lists_are_filtered_by_job_type(people: People, scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    assert listed(people.owner, PATH, job_type_id=str(job.job_type_id)) == [job.pk]
    assert listed(people.owner, PATH, job_type_id="999") == []
    assert listed(people.owner, PATH, job_type_name="count-words", shape="seed") == [job.pk]
    assert listed(people.owner, PATH, job_type_name="other") == []
    assert listed(people.owner, PATH, is_superseded="false") == [job.pk]
    assert listed(people.owner, PATH, is_superseded="true") == []
    (row,) = good(people.owner.get(PATH))["results"]
    assert (row["job_type"]["name"], row["job_type_rev"]["revision_num"]) == ("count-words", 1)


def test_a_list_of_seed_jobs_keeps_to_its_budget(people: People, scene: Scene) -> None:
    job_type, given = scene.job_type(), {"files": {"TEXT": [scene.file().pk]}}
    for _ in range(10):
        scene.submit(job_type, given)
    people.owner.get(PATH)
    with within_budget("GET /v6/jobs/, of job types"):
        good(people.owner.get(PATH))


def test_a_retry_is_a_job_of_the_same_revision_and_input(people: People, scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    scene.start(job)
    scene.end(job, exit_code=3)
    made = good(people.owner.post(f"{PATH}{job.pk}/retry/"), 201)
    assert (made["retry_of"], made["input"], made["job_type_rev"]["id"]) == (job.pk, job.input, job.revision_id)


def test_a_requeued_job_brings_its_input_again(people: People, scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    scene.start(job)
    scene.end(job, exit_code=3)
    good(people.owner.post(f"{PATH}{job.pk}/requeue/"))
    write_output(scene.start(job))
    scene.end(job)
    assert (job.status, job.tries, job.error) == (states.COMPLETED, 2, None)


def test_a_paused_type_is_why_a_job_waits(people: People, scene: Scene) -> None:
    job = scene.submit(scene.job_type())
    good(people.operator.patch("/v6/job-types/count-words/1.0.0/", {"is_paused": True}))
    (reason,) = good(people.owner.get(f"{PATH}{job.pk}/explain/"))["reasons"]
    assert reason["code"] == "PAUSED"
    assert scene.stage.claim() == 0
    good(people.operator.patch("/v6/job-types/count-words/1.0.0/", {"is_paused": False, "max_scheduled": 1}))
    assert scene.stage.claim() == 1
    other = scene.submit(job.job_type, job.input) if job.job_type else job
    (reason,) = good(people.owner.get(f"{PATH}{other.pk}/explain/"))["reasons"]
    assert (reason["code"], reason["limit"]) == ("MAX_SCHEDULED", "1")


@pytest.mark.parametrize(
    ("who", "status"),
    [
        *[(who, 200) for who in ("admin", "operator", "monitor", "owner", "colleague")],
        *[("stranger", 404), ("disabled", 401), ("anonymous", 401)],
    ],
)
def test_who_may_see_a_job_s_input_files(people: People, scene: Scene, who: str, status: int) -> None:
    job = scene.submit(scene.job_type())
    response = people[who].get(f"{PATH}{job.pk}/input_files/")
    if status == 200:
        (row,) = good(response)["results"]
        assert (row["file_name"], row["id"]) == ("a.txt", job.input["files"]["TEXT"][0])
    else:
        assert_error(response, status)


def test_input_files_are_filtered_by_input_name_and_time(people: People, scene: Scene) -> None:
    inputs = {"files": [{"name": "TEXT", "multiple": True}, {"name": "MORE"}]}
    first, second, third = scene.file(), scene.file("b.txt"), scene.file("c.txt")
    job = scene.submit(scene.job_type(inputs=inputs), {"files": {"TEXT": [first.pk, second.pk], "MORE": [third.pk]}})
    path = f"{PATH}{job.pk}/input_files/"
    assert listed(people.owner, path) == [first.pk, second.pk, third.pk]
    assert listed(people.owner, path, job_input="MORE") == [third.pk]
    assert listed(people.owner, path, job_input="nothing") == []
    assert listed(people.owner, path, file_name="b.txt") == [second.pk]
    assert listed(people.owner, path, started="PT1H") == [first.pk, second.pk, third.pk]
    assert listed(people.owner, path, ended="PT1H") == []
    assert_error(people.owner.get(path, time_field="x"), 400, field="time_field")
    assert_error(people.owner.get(path, nonsense="x"), 400, field="nonsense")
    with within_budget("GET /v6/jobs/{id}/input_files/"):
        good(people.owner.get(path))


def test_an_execution_shows_what_it_ran_by_without_secrets(people: People, scene: Scene) -> None:
    job_type = scene.job_type(
        {"settings": {"MODE": "fast"}}, settings=[{"name": "MODE"}, {"name": "KEY", "secret": True}]
    )
    job = scene.submit(job_type, configuration={"settings": {"KEY": "sesame"}})
    write_output(scene.start(job))
    scene.end(job)
    shown = good(people.owner.get(f"{PATH}{job.pk}/executions/1/"))
    assert (shown["job_type"]["name"], shown["timeout"]) == ("count-words", 60)
    assert shown["output"] == job.output
    assert shown["configuration"]["settings"] == {"KEY": "*****"}
    assert shown["resources"] == {"resources": {"cpus": 0.5, "mem": 256, "disk": 0, "gpus": 0}}
    (row,) = good(people.owner.get(f"{PATH}{job.pk}/executions/"))["results"]
    assert row == {name: value for name, value in shown.items() if name in row}
