"""POST /v6/jobs/ and what is done to one job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from accounts.models import Event
from jobs import services, states
from jobs.api.v6.decode import FIELDS
from jobs.api.v6.serializers import NewJobSerializer
from jobs.models import Execution, Hold, Job
from tests.factories import Person, Stage, make_job, make_job_in, make_jobs
from tests.jobs.api.v6.answers import assert_error, each_of, good
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
GOOD: dict[str, Any] = {"customer": "acme", "classification": "nightly", "command": ["true"]}
FULL: dict[str, Any] = {
    **GOOD,
    "shape": "container",
    "cloud": "local",
    "region": "local",
    "image": "busybox",
    "env": {"A": "1", "B": " secret "},
    "secret_env": ["B"],
    "tags": {"project": "tour", "n": [1, None]},
    "vcpus": 0.5,
    "memory_mib": 256,
    "priority": 7,
    "queue": "default",
    "timeout_seconds": 60,
    "max_tries": 2,
}
VERBS = ("cancel", "requeue", "retry", "hold", "release")
# A state in which each verb is allowed.
READY = {
    "cancel": states.QUEUED,
    "requeue": states.FAILED,
    "retry": states.FAILED,
    "hold": states.QUEUED,
    "release": states.QUEUED,
}


def ready_for(verb: str, owner: Person) -> Job:
    job = make_job_in(READY[verb], owner)
    if verb == "release":
        services.hold_jobs([job.pk], actor=None)
    return job


def by(kind: str) -> list[str | None]:
    return list(Event.objects.filter(kind=kind).order_by("id").values_list("actor__username", flat=True))


# --- Submit --------------------------------------------------------------------------------------


def test_one_job_is_answered_with_its_detail_and_address(people: People) -> None:
    response = people.operator.post("/v6/jobs/", FULL)
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver/v6/jobs/{made['id']}/"
    assert {name: made[name] for name in FULL} == {**FULL, "env": {"A": "1", "B": "*****"}}
    assert (made["status"], made["state"], made["num_exes"], made["owner"]) == ("QUEUED", "QUEUED", 0, "op")
    assert made["resources"] == {"resources": {"cpus": 0.5, "mem": 256, "disk": 0, "gpus": 0}}
    assert (made["execution"], made["retry_of"], made["on_hold"]) == (None, None, False)
    assert good(people.operator.get(f"/v6/jobs/{made['id']}/")) == made
    assert by("job.submitted") == ["op"]


def test_what_is_null_or_left_out_has_its_default(people: People) -> None:
    nulls = {name: None for name in FIELDS if name not in GOOD}
    for body in (GOOD, {**GOOD, **nulls}):
        made = good(people.operator.post("/v6/jobs/", body), 201)
        assert (made["cloud"], made["region"], made["queue"], made["priority"]) == ("local", "local", "default", 100)
        assert (made["vcpus"], made["memory_mib"], made["max_tries"], made["timeout_seconds"]) == (0.5, 512, 3, None)
        assert (made["env"], made["tags"], made["image"]) == ({}, {}, "")


def test_a_job_gets_the_vcpus_that_were_asked_for_and_not_a_thousandth_more(people: People) -> None:
    body = [{**GOOD, "vcpus": each} for each in (2.007, 0.001, 0.0011, 4.035)]
    made = [each["id"] for each in good(people.operator.post("/v6/jobs/", body), 201)]
    assert [Job.objects.get(pk=each).vcpus_milli for each in made] == [2007, 1, 2, 4035]


def test_a_customers_user_may_leave_the_customer_out(people: People) -> None:
    body = {name: value for name, value in GOOD.items() if name != "customer"}
    made = good(people.owner.post("/v6/jobs/", body), 201)
    assert (made["customer"], made["owner"]) == ("acme", "owner")
    assert_error(people.operator.post("/v6/jobs/", body), 400, "INVALID_REQUEST", field="customer")


def test_a_list_is_answered_with_the_ids_in_its_order(people: People) -> None:
    body = [{**GOOD, "classification": str(n)} for n in range(25)]
    made = good(people.operator.post("/v6/jobs/", body), 201)
    rows = Job.objects.in_bulk([each["id"] for each in made])
    assert [rows[each["id"]].classification for each in made] == [str(n) for n in range(25)]
    assert [str(rows[each["id"]].uuid) for each in made] == [each["uuid"] for each in made]


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("admin", 201),
        ("operator", 201),
        ("owner", 201),
        ("colleague", 201),
        ("monitor", 403),
        ("stranger", 403),
        ("disabled", 401),
        ("anonymous", 401),
    ],
)
def test_who_may_submit_for_a_customer(people: People, who: str, status: int) -> None:
    for body in (GOOD, [GOOD]):
        response = people[who].post("/v6/jobs/", body)
        if status == 201:
            good(response, 201)
        else:
            assert_error(response, status)
            assert not Job.objects.exists()


TEXTS = ("classification", "image", "region", "queue", "customer")
BAD: list[tuple[str, Any]] = [
    *[each for name in TEXTS for each in each_of(name, 1, [], "")],
    *[(name, "a\0b") for name in ("classification", "image", "region", "queue", "customer")],
    *[("classification", "x" * 256), ("image", "x" * 1025), ("region", "x" * 65), ("customer", "x" * 256)],
    *[("classification", None), ("classification", "\ud800"), ("region", "nowhere"), ("queue", "nope")],
    *[("shape", "map"), ("shape", []), ("cloud", "moon"), ("cloud", 1)],
    *each_of("command", "true", [1], [], None, ["a\0"], ["x" * 200_000]),
    *each_of("env", [], {"A": 1}, {"": "x"}, {"A=B": "x"}, {"A": "\0"}),
    *each_of("secret_env", "A", [1], ["A"]),
    *each_of("tags", [], "x", {"a": "\0"}, {"a": 10**30}),
    *each_of("vcpus", "1", 0, -1, True, 10_001),
    *each_of("memory_mib", "1", 0, 1.5, True, 10**9),
    *each_of("priority", "1", -1, 1.5, True, 1_000_001),
    *each_of("timeout_seconds", "1", 0, True, 30 * 24 * 3600 + 1),
    *each_of("max_tries", "1", 0, True, 1001),
    *[("nonsense", 1), ("nonsense", None)],
]


def test_a_bad_field_is_named_and_nothing_is_made(people: People) -> None:
    for field, value in BAD:
        bad = {**GOOD, field: value}
        assert_error(people.operator.post("/v6/jobs/", bad), 400, "INVALID_REQUEST", field=field)
        response = people.operator.post("/v6/jobs/", [GOOD, GOOD, bad, GOOD])
        assert_error(response, 400, "INVALID_REQUEST", field=field, index=2)
    assert not Job.objects.exists()


def test_a_cloud_that_is_not_configured_is_refused_with_what_is_missing(people: People) -> None:
    response = people.operator.post("/v6/jobs/", {**GOOD, "cloud": "aws", "region": "eu-west-1"})
    assert_error(response, 400, "PROVIDER_NOT_CONFIGURED", field="cloud")


@pytest.mark.parametrize("body", [None, "text", 1, True, [], [1], [None], [[GOOD]], [GOOD] * 10_001])
def test_what_is_no_job_and_no_list_of_them_is_refused(people: People, body: Any) -> None:
    index = 0 if body in ([1], [None], [[GOOD]]) else None
    assert_error(people.operator.post("/v6/jobs/", body), 400, "INVALID_REQUEST", index=index)
    assert not Job.objects.exists()


@pytest.mark.parametrize("body", [b"", b"{", b'{"a": NaN}', b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_is_refused(people: People, body: bytes) -> None:
    assert_error(people.operator.post("/v6/jobs/", body), 400, "INVALID_REQUEST")


def test_another_media_type_is_refused(people: People) -> None:
    response = people.operator.client.post("/v6/jobs/", "x", content_type="text/plain")
    assert_error(response, 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_list_of_the_largest_size_is_made_whole(people: People) -> None:
    assert len(good(people.operator.post("/v6/jobs/", [GOOD] * 10_000), 201)) == 10_000
    assert Job.objects.count() == 10_000


def test_what_is_declared_is_what_is_read() -> None:
    assert set(NewJobSerializer().fields) == set(FIELDS)


def test_more_than_the_quota_is_refused_and_says_so(people: People) -> None:
    services.set_cap(scope="all", max_queued_jobs=2, actor=None)
    assert_error(people.owner.post("/v6/jobs/", [GOOD] * 3), 400, "QUOTA")
    assert not Job.objects.exists()
    good(people.owner.post("/v6/jobs/", [GOOD] * 2), 201)
    assert_error(people.owner.post("/v6/jobs/", GOOD), 400, "QUOTA")
    assert Job.objects.count() == 2


@pytest.mark.parametrize("body", [GOOD, [GOOD, GOOD]])
def test_a_submit_with_the_same_key_is_made_once(people: People, body: Any) -> None:
    key = {"headers": {"Idempotency-Key": "k"}}
    first = good(people.owner.post("/v6/jobs/", body, **key), 201)
    made = Job.objects.count()
    assert good(people.owner.post("/v6/jobs", body, **key), 201) == first
    assert Job.objects.count() == made
    other = people.owner.post("/v6/jobs/", {**GOOD, "classification": "other"}, **key)
    assert_error(other, 422, "IDEMPOTENCY_KEY_REUSED")
    good(people.colleague.post("/v6/jobs/", body, **key), 201)
    assert Job.objects.count() == 2 * made


def test_a_key_that_cannot_be_kept_is_named(people: People) -> None:
    response = people.owner.post("/v6/jobs/", GOOD, headers={"Idempotency-Key": "k" * 256})
    assert_error(response, 400, field="Idempotency-Key")


# --- Retrieve ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status"),
    [
        *[(who, 200) for who in ("admin", "operator", "monitor", "owner", "colleague")],
        *[("stranger", 404), ("disabled", 401), ("anonymous", 401)],
    ],
)
@pytest.mark.parametrize("path", ["", "explain/", "executions/"])
def test_who_may_read_a_job(people: People, who: str, status: int, path: str) -> None:
    job = make_job(people.owner)
    for reference in (job.pk, job.uuid, job.uuid.hex, str(job.uuid).upper()):
        response = people[who].get(f"/v6/jobs/{reference}/{path}")
        good(response) if status == 200 else assert_error(response, status)
    assert people[who].get(f"/v6/jobs/{job.pk}/{path}".rstrip("/")).status_code == status


@pytest.mark.parametrize("reference", ["0", "9" * 18, "9" * 40, "019ac0de-0000-7000-8000-000000000000", "nope", "-1"])
def test_a_job_that_is_not_there_is_404(people: People, reference: str) -> None:
    assert_error(people.admin.get(f"/v6/jobs/{reference}/"), 404, "NOT_FOUND")
    assert_error(people.admin.get(f"/v6/jobs/{reference}/explain/"), 404, "NOT_FOUND")
    for verb in VERBS:
        assert_error(people.admin.post(f"/v6/jobs/{reference}/{verb}/"), 404, "NOT_FOUND")


@pytest.mark.parametrize("who", ["admin", "operator", "owner", "monitor", "colleague"])
def test_env_is_shown_to_its_owner_and_to_operators_but_for_secrets(people: People, who: str) -> None:
    job = make_job(people.owner, env={"A": "open", "B": "secret"}, secret_env=["B"])
    sees = "open" if who in ("admin", "operator", "owner") else "*****"
    shown = good(people[who].get(f"/v6/jobs/{job.pk}/"))
    assert (shown["env"], shown["secret_env"]) == ({"A": sees, "B": "*****"}, ["B"])


SHOWN = {
    **{state: state for state in ("PENDING", "BLOCKED", "QUEUED", "RUNNING", "COMPLETED", "FAILED", "CANCELED")},
    "DELAYED": "QUEUED",
    "STARTING": "QUEUED",
    "CANCELING": "RUNNING",
    "REJECTED": "FAILED",
}


@pytest.mark.parametrize("state", states.JOB_STATES)
def test_each_state_is_shown_as_v6_has_it_and_found_by_that_status(people: People, state: str) -> None:
    job = make_job_in(state)
    shown = good(people.monitor.get(f"/v6/jobs/{job.pk}/"))
    assert (shown["state"], shown["status"]) == (state, SHOWN[state])
    for status in states.SHOWN_STATES:
        rows = good(people.monitor.get("/v6/jobs/", status=status))["results"]
        assert [(row["id"], row["status"]) for row in rows] == ([(job.pk, status)] if status == SHOWN[state] else [])
    assert good(people.monitor.get("/v6/jobs/", state=state))["count"] == 1


def test_one_that_is_stopped_before_it_started_is_shown_as_queued(people: People) -> None:
    job = make_job_in(states.STARTING)
    services.cancel_jobs([job.pk], actor=None)
    shown = good(people.monitor.get(f"/v6/jobs/{job.pk}/"))
    assert (shown["state"], shown["status"], shown["started"]) == ("CANCELING", "QUEUED", None)
    for status, count in (("QUEUED", 1), ("RUNNING", 0)):
        assert good(people.monitor.get("/v6/jobs/", status=status))["count"] == count
    assert good(people.monitor.get("/v6/jobs/", status=["QUEUED", "RUNNING"]))["count"] == 1


def test_an_ended_job_shows_its_error_and_last_execution(people: People) -> None:
    job = make_job_in(states.FAILED)
    shown = good(people.monitor.get(f"/v6/jobs/{job.pk}/"))
    assert (shown["error"]["name"], shown["error"]["category"], shown["reason"]) == ("exit-code", "ALGORITHM", "EXIT_3")
    assert (shown["execution"]["exe_num"], shown["execution"]["exit_code"]) == (1, 3)
    assert shown["execution"]["node"] == {"hostname": "stage-1"}
    assert all(shown[name].endswith("Z") for name in ("created", "queued", "started", "ended", "last_modified"))


# --- Verbs: who, and whatever is called twice -----------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status"),
    [
        *[(who, 200) for who in ("admin", "operator", "owner")],
        *[("monitor", 403), ("colleague", 403), ("stranger", 404), ("disabled", 401), ("anonymous", 401)],
    ],
)
@pytest.mark.parametrize("verb", VERBS)
def test_who_may_change_a_job(people: People, who: str, status: int, verb: str) -> None:
    job = ready_for(verb, people.owner)
    before = Job.objects.values().get(pk=job.pk)
    response = people[who].post(f"/v6/jobs/{job.uuid}/{verb}")
    if status == 200:
        good(response, 201 if verb == "retry" else 200)
        return
    assert_error(response, status)
    assert list(Job.objects.values()) == [before]


@pytest.mark.parametrize(
    ("who", "status"),
    [
        *[(who, 200) for who in ("admin", "operator", "owner")],
        *[("monitor", 403), ("colleague", 403), ("stranger", 404), ("disabled", 401), ("anonymous", 401)],
    ],
)
def test_who_may_change_a_priority(people: People, who: str, status: int) -> None:
    job = make_job(people.owner)
    response = people[who].patch(f"/v6/jobs/{job.pk}/", {"priority": 5})
    if status == 200:
        assert good(response)["priority"] == 5
        assert by("job.priority-changed") == [people[who].user.username]
    else:
        assert_error(response, status)
        job.refresh_from_db()
        assert job.priority == 100


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_with_the_same_key_is_done_once(people: People, verb: str) -> None:
    job = ready_for(verb, people.owner)
    key = {"headers": {"Idempotency-Key": "k"}}
    status = 201 if verb == "retry" else 200
    first = good(people.owner.post(f"/v6/jobs/{job.pk}/{verb}/", {}, **key), status)
    events = Event.objects.count()
    assert good(people.owner.post(f"/v6/jobs/{job.pk}/{verb}", {}, **key), status) == first
    assert Event.objects.count() == events
    assert_error(people.owner.post(f"/v6/jobs/{job.pk}/{verb}/", **key), 422, "IDEMPOTENCY_KEY_REUSED")
    another = make_job(people.owner)
    assert_error(people.owner.post(f"/v6/jobs/{another.pk}/{verb}/", {}, **key), 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize(("verb", "field"), [("requeue", "priority"), ("hold", "hint")])
def test_a_verb_refuses_what_it_does_not_know(people: People, verb: str, field: str) -> None:
    job = ready_for(verb, people.owner)
    path = f"/v6/jobs/{job.pk}/{verb}/"
    assert_error(people.owner.post(path, {"nonsense": 1}), 400, field="nonsense")
    assert_error(people.owner.post(path, []), 400)
    assert_error(people.owner.post(path, {field: {}}), 400, field=field)
    job.refresh_from_db()
    assert (job.status, job.lane.on_hold) == (READY[verb], False)


@pytest.mark.parametrize("priority", ["1", -1, 1.5, True, 1_000_001, None, []])
def test_a_priority_that_is_none_is_named(people: People, priority: Any) -> None:
    job = make_job(people.owner)
    assert_error(people.owner.patch(f"/v6/jobs/{job.pk}/", {"priority": priority}), 400, field="priority")
    if priority is not None:
        failed = make_job_in(states.FAILED, people.owner)
        response = people.owner.post(f"/v6/jobs/{failed.pk}/requeue/", {"priority": priority})
        assert_error(response, 400, field="priority")


def test_a_change_without_a_priority_or_with_more_is_refused(people: People) -> None:
    path = f"/v6/jobs/{make_job(people.owner).pk}/"
    assert_error(people.owner.patch(path, {}), 400, field="priority")
    assert_error(people.owner.patch(path, {"priority": 1, "status": "FAILED"}), 400, field="status")
    assert_error(people.owner.patch(path, []), 400)


def test_paths_have_their_methods_only(people: People) -> None:
    job = make_job(people.owner)
    for method, path in (("put", ""), ("delete", ""), ("post", "explain/"), ("post", "executions/"), ("get", "hold/")):
        response = getattr(people.admin.client, method)(f"/v6/jobs/{job.pk}/{path}")
        assert_error(response, 405, "METHOD_NOT_ALLOWED")


# --- Each verb -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "then"), [(states.QUEUED, "CANCELED"), (states.RUNNING, "CANCELING")])
def test_a_cancel_stops_what_waits_at_once_and_asks_what_runs(people: People, status: str, then: str) -> None:
    job = make_job_in(status, people.owner)
    Event.objects.all().delete()
    assert good(people.owner.post(f"/v6/jobs/{job.pk}/cancel/"))["state"] == then
    assert by("job.moved") == ["owner"]


@pytest.mark.parametrize("status", [*states.FINAL, states.CANCELING])
def test_a_cancel_of_what_ends_changes_nothing(people: People, status: str) -> None:
    job = make_job_in(status, people.owner)
    before = Job.objects.values().get()
    assert good(people.owner.post(f"/v6/jobs/{job.pk}/cancel/"))["state"] == status
    assert Job.objects.values().get() == before


def test_a_retry_makes_a_new_job_linked_to_the_first(people: People) -> None:
    job = make_job_in(states.COMPLETED, people.owner, env={"A": "1"}, tags={"t": 1})
    response = people.operator.post(f"/v6/jobs/{job.pk}/retry/")
    made = good(response, 201)
    assert made["id"] != job.pk
    assert response.headers["Location"].endswith(f"/v6/jobs/{made['id']}/")
    assert (made["retry_of"], made["owner"], made["status"], made["tags"]) == (job.pk, "owner", "QUEUED", {"t": 1})
    assert by("job.retried") == ["op"]
    job.refresh_from_db()
    assert job.status == states.COMPLETED


@pytest.mark.parametrize("status", [*states.WAITING, *states.ACTIVE])
def test_only_an_ended_job_is_retried(people: People, status: str) -> None:
    job = make_job_in(status, people.owner)
    assert_error(people.owner.post(f"/v6/jobs/{job.pk}/retry/"), 400, "JOB_STATE")
    assert Job.objects.count() == 1


def test_a_requeued_job_runs_again_on_the_same_row(people: People) -> None:
    stage = Stage()
    job = make_job_in(states.FAILED, people.owner, stage=stage, max_tries=1)
    shown = good(people.owner.post(f"/v6/jobs/{job.pk}/requeue/", {"priority": 3}))
    assert (shown["id"], shown["state"], shown["num_exes"], shown["max_tries"]) == (job.pk, "QUEUED", 1, 2)
    assert (shown["priority"], shown["ended"], shown["started"], shown["error"]) == (3, None, None, None)
    stage.start(job)
    stage.end(job)
    assert (job.status, job.tries) == (states.COMPLETED, 2)
    tries = Execution.objects.filter(job=job).order_by("number").values_list("number", "status")
    assert list(tries) == [(1, states.FAILED), (2, states.COMPLETED)]


@pytest.mark.parametrize("status", [status for status in states.JOB_STATES if status not in ("FAILED", "CANCELED")])
def test_only_failed_and_canceled_jobs_are_requeued(people: People, status: str) -> None:
    job = make_job_in(status, people.owner)
    before = Job.objects.values().get()
    assert_error(people.owner.post(f"/v6/jobs/{job.pk}/requeue/"), 400, "JOB_STATE")
    assert Job.objects.values().get() == before


def test_a_held_job_shows_who_holds_it_and_runs_when_released(people: People) -> None:
    stage = Stage()
    job = make_job(people.owner)
    shown = good(people.operator.post(f"/v6/jobs/{job.pk}/hold/", {"hint": "the disk is changed"}))
    assert (shown["on_hold"], shown["reason"], shown["state"]) == (True, "HELD", "QUEUED")
    assert (stage.claim(), by("job.held")) == (0, ["op"])
    shown = good(people.owner.post(f"/v6/jobs/{job.pk}/release/"))
    assert (shown["on_hold"], shown["reason"], by("job.released")) == (False, "NEXT", ["owner"])
    assert (stage.claim(), Hold.objects.count()) == (1, 0)


@pytest.mark.parametrize("status", [*states.ACTIVE, *states.FINAL])
def test_what_runs_or_has_ended_is_not_held_nor_reprioritised(people: People, status: str) -> None:
    job = make_job_in(status, people.owner)
    before = Job.objects.values().get()
    assert_error(people.owner.post(f"/v6/jobs/{job.pk}/hold/"), 400, "JOB_STATE")
    assert_error(people.owner.patch(f"/v6/jobs/{job.pk}/", {"priority": 1}), 400, "JOB_STATE")
    assert_error(people.owner.post(f"/v6/jobs/{job.pk}/release/"), 400, "JOB_STATE")
    assert (Job.objects.values().get(), Hold.objects.count()) == (before, 0)


def test_a_job_is_held_once(people: People) -> None:
    job = make_job(people.owner)
    good(people.owner.post(f"/v6/jobs/{job.pk}/hold/"))
    assert_error(people.owner.post(f"/v6/jobs/{job.pk}/hold/"), 400, "JOB_STATE")
    assert Hold.objects.count() == 1


def test_a_hint_that_does_not_fit_is_named(people: People) -> None:
    job = make_job(people.owner)
    hints: tuple[Any, ...] = ("x" * 256, "a\0b", [])
    for hint in hints:
        response = people.owner.post(f"/v6/jobs/{job.pk}/hold/", {"hint": hint})
        assert_error(response, 400, field="hint")


def test_a_higher_priority_starts_first(people: People) -> None:
    stage = Stage(vcpus_milli=500)
    first, second = make_jobs(2, people.owner, vcpus_milli=500)
    good(people.owner.patch(f"/v6/jobs/{second.pk}/", {"priority": 1}))
    assert stage.claim() == 1
    second.refresh_from_db()
    first.refresh_from_db()
    assert (first.status, second.status) == (states.QUEUED, states.STARTING)


# --- Costs, and pages for people -----------------------------------------------------------------


@pytest.mark.parametrize("status", [states.QUEUED, states.FAILED])
def test_a_job_is_shown_within_its_budget(people: People, status: str) -> None:
    job = make_job_in(status, people.owner)
    with within_budget(f"GET /v6/jobs/{{id}}/, {status}"):
        good(people.owner.get(f"/v6/jobs/{job.pk}/"))


def test_submitting_costs_the_same_for_one_job_and_for_many(people: People) -> None:
    good(people.owner.post("/v6/jobs/", GOOD), 201)
    with within_budget("POST /v6/jobs/"):
        good(people.owner.post("/v6/jobs/", [GOOD]), 201)
    with counted() as few:
        good(people.owner.post("/v6/jobs/", [GOOD] * 2), 201)
    with counted() as many:
        good(people.owner.post("/v6/jobs/", [GOOD] * 300), 201)
    assert len(few) == len(many), str(many)


@pytest.mark.parametrize("who", ["admin", "owner", "monitor"])
@pytest.mark.parametrize("path", ["", "explain/", "executions/", "executions/1/"])
def test_a_browser_gets_a_page(people: People, who: str, path: str) -> None:
    job = make_job_in(states.COMPLETED, people.owner)
    response = people[who].client.get(f"/v6/jobs/{job.pk}/{path}", headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert response.headers["Content-Type"].startswith("text/html")


def test_a_body_that_was_accepted_can_be_sent_again_as_it_is_shown(people: People) -> None:
    made = good(people.operator.post("/v6/jobs/", FULL), 201)
    again = {name: made[name] for name in FULL if name not in ("env", "secret_env")}
    good(people.operator.post("/v6/jobs/", json.loads(json.dumps(again))), 201)
