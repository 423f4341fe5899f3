"""GET /status, /cancel, /retry and /logs: one job, by everybody, in every state."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any, Final

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import Settings

from clusters.providers.base import End
from clusters.providers.errors import ProviderError
from controlplane.core.encryption import decrypt
from jobs import queries, services, states
from jobs.models import Execution, Job, Scope
from jobs.scheduling import wake_delayed
from tests.answers import assert_refused, json_of, text_of
from tests.factories import (
    Person,
    Stage,
    keep_output,
    make_admin,
    make_customer_user,
    make_job,
    make_job_in,
    make_monitor,
    make_operator,
    make_place,
)
from tests.providers import ScriptedProvider
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db

# our state -> (Mapsor's word, the reason beside it)
WORDS: Final = {
    states.PENDING: ("QUEUED", ""),
    states.BLOCKED: ("QUEUED", ""),
    states.QUEUED: ("QUEUED", "NEXT"),
    states.DELAYED: ("QUEUED", "RETRY"),
    states.STARTING: ("QUEUED", ""),
    states.RUNNING: ("RUNNING", ""),
    states.CANCELING: ("CANCELLING", ""),
    states.COMPLETED: ("SUCCEEDED", ""),
    states.FAILED: ("FAILED", "EXIT_3"),
    states.CANCELED: ("CANCELLED", "CANCELED_BY_USER"),
    states.REJECTED: ("REJECTED", "REFUSED"),
}
VERBS: Final = ("status", "cancel", "retry", "logs")
CHANGES: Final = ("cancel", "retry")
READS: Final = ("status", "logs")


@pytest.fixture
def operator() -> Person:
    return make_operator()


def ended_with_output(owner: Person, text: str = "a line\n") -> Job:
    job = make_job_in(states.COMPLETED, owner)
    keep_output(job, stdout=text)
    return job


def untouched(job: Job) -> bool:
    """Is the job as it was, and the only one?"""
    return Job.objects.get() == job and Job.objects.get().status == job.status


# --- /status -------------------------------------------------------------------------------------


def test_every_state_has_a_word() -> None:
    assert set(WORDS) == set(states.JOB_STATES)


@pytest.mark.parametrize("status", WORDS)
def test_the_status_is_said_in_mapsors_words_with_its_reason(status: str, operator: Person) -> None:
    job = make_job_in(status, operator)
    word, reason = WORDS[status]
    assert json_of(operator.get(f"/status/{job.uuid}")) == {"status": word, "reason": reason}


def test_a_queued_job_says_what_it_waits_for(operator: Person) -> None:
    job = make_job(operator)
    assert json_of(operator.get(f"/status/{job.uuid}"))["reason"] == "NO_WORKER"
    make_place(vcpus_milli=100)
    assert json_of(operator.get(f"/status/{job.uuid}"))["reason"] == "TOO_LARGE_VCPUS"
    make_place(disk_free_mib=0)
    assert json_of(operator.get(f"/status/{job.uuid}"))["reason"] == "DISK"
    services.place_hold(scope=Scope.ALL, code="PAUSED")
    assert json_of(operator.get(f"/status/{job.uuid}"))["reason"] == "PAUSED"


@pytest.mark.parametrize(
    ("end", "exit_code", "reason"),
    [(End.EXITED, 137, "EXIT_137"), (End.TIMED_OUT, None, "TIMEOUT"), (End.CANNOT_START, None, "CANNOT_START")],
)
def test_a_failed_job_says_how(end: End, exit_code: int | None, reason: str, operator: Person) -> None:
    stage, job = Stage(), make_job(operator, max_tries=1)
    stage.start(job)
    stage.end(job, end=end, exit_code=exit_code)
    assert json_of(operator.get(f"/status/{job.uuid}")) == {"status": "FAILED", "reason": reason}


# --- /cancel -------------------------------------------------------------------------------------

_CANCELED: Final = (states.PENDING, states.BLOCKED, states.QUEUED, states.DELAYED)


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("status", states.JOB_STATES)
def test_cancel_in_every_state(status: str, method: str, operator: Person) -> None:
    job = make_job_in(status, operator)
    answer = getattr(operator.client, method)(f"/cancel/{job.uuid}")
    job.refresh_from_db()
    if status in states.FINAL:
        assert_refused(answer, 400, "JOB_STATE", WORDS[status][0])
        assert job.status == status
    elif status in _CANCELED:
        assert json_of(answer) == {"response": "Job cancelled"}
        assert (job.status, job.reason) == (states.CANCELED, "CANCELED_BY_USER")
    else:
        assert json_of(answer) == {"response": "Cancellation requested"}
        assert job.status == states.CANCELING


def test_a_running_job_is_cancelled_when_the_provider_says_so(operator: Person) -> None:
    stage, job = Stage(), make_job(operator)
    stage.start(job)
    json_of(operator.get(f"/cancel/{job.uuid}"))
    json_of(operator.get(f"/cancel/{job.uuid}"))
    assert json_of(operator.get(f"/status/{job.uuid}"))["status"] == "CANCELLING"
    stage.end(job, exit_code=None, end=End.CANCELED)
    assert json_of(operator.get(f"/status/{job.uuid}")) == {"status": "CANCELLED", "reason": "CANCELED_BY_USER"}
    assert ("cancel", (str(stage.execution(job).uuid),)) in stage.provider.calls


def test_the_log_says_who_cancelled(operator: Person) -> None:
    job = make_job()
    json_of(operator.get(f"/cancel/{job.uuid}"))
    event = queries.timeline(job).last()
    assert event is not None
    assert (event.kind, event.actor, event.before, event.after) == (
        "job.moved", operator.user, {"status": "QUEUED"}, {"status": "CANCELED", "reason": "CANCELED_BY_USER"},
    )  # fmt: skip


# --- /retry --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("status", states.JOB_STATES)
def test_retry_in_every_state(status: str, method: str, operator: Person) -> None:
    job = make_job_in(status, operator)
    answer = getattr(operator.client, method)(f"/retry/{job.uuid}")
    if status not in states.FINAL:
        assert_refused(answer, 400, "JOB_STATE")
        assert Job.objects.count() == 1
        return
    made = Job.objects.get(uuid=json_of(answer)["job_id"])
    assert (made.status, made.retry_of, made.tries) == (states.QUEUED, job, 0)
    job.refresh_from_db()
    assert job.status == status


def test_a_retry_copies_the_whole_request(operator: Person) -> None:
    wishes: dict[str, Any] = {
        "classification": "Transcode_23", "image": "i:1", "command": ["a", "b"], "tags": {"t": [1]},
        "vcpus_milli": 3000, "memory_mib": 777, "priority": 50, "queue": "default", "timeout_seconds": 99,
        "max_tries": 2, "secret_env": ["S"],
    }  # fmt: skip
    owner = make_customer_user()
    job = make_job_in(states.FAILED, owner, env={"A": "1", "S": "secret"}, **wishes)
    made = Job.objects.get(uuid=json_of(operator.get(f"/retry/{job.uuid}"))["job_id"])
    assert {name: getattr(made, name) for name in wishes} == wishes
    assert decrypt(made.env) == {"A": "1", "S": "secret"}
    assert (made.owner, made.customer, made.place) == (owner.user, job.customer, job.place)
    assert made.uuid != job.uuid
    told = queries.timeline(job).last()
    assert told is not None
    assert (told.kind, told.actor, told.after) == ("job.retried", operator.user, {"retry": str(made.uuid)})


def test_a_job_may_be_retried_often_and_a_retry_too(operator: Person) -> None:
    job = make_job_in(states.CANCELED, operator)
    first, second = (json_of(operator.get(f"/retry/{job.uuid}"))["job_id"] for _ in range(2))
    assert len({first, second, str(job.uuid)}) == 3
    json_of(operator.get(f"/cancel/{first}"))
    third = json_of(operator.get(f"/retry/{first}"))["job_id"]
    assert str(Job.objects.get(uuid=third).retry_of) == first


# --- /logs ---------------------------------------------------------------------------------------


def test_the_log_is_the_output_and_then_the_errors(operator: Person) -> None:
    job = make_job_in(states.COMPLETED, operator)
    keep_output(job, stdout="one\ntwö\n", stderr="trouble\n")
    answer = operator.get(f"/logs/{job.uuid}")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert text_of(answer) == "one\ntwö\ntrouble\n"


def test_a_log_of_many_pages_comes_whole(operator: Person) -> None:
    text = "".join(f"{n} ä\n" for n in range(300_000))
    assert len(text.encode()) > 2 * 2**20
    assert text_of(operator.get(f"/logs/{ended_with_output(operator, text).uuid}")) == text


def test_the_log_of_a_job_without_output_is_empty(operator: Person) -> None:
    answer = operator.get(f"/logs/{ended_with_output(operator, '').uuid}")
    assert (answer.status_code, text_of(answer)) == (200, "")


def test_of_a_job_that_runs_there_is_what_it_has_written_so_far(
    operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, job = Stage(), make_job(operator)
    stage.start(job)
    monkeypatch.setattr("jobs.following.outputs.local_provider", lambda: stage.provider)
    stage.provider.write(str(stage.execution(job).uuid), "stdout", "so far")
    assert text_of(operator.get(f"/logs/{job.uuid}")) == "so far"


def test_after_a_second_try_the_log_is_the_second_ones(operator: Person, settings: Settings) -> None:
    settings.RETRY_BACKOFF_SECONDS = 0
    stage, job = Stage(), make_job(operator)
    stage.start(job)
    stage.end(job, exit_code=None, end=End.LOST)
    keep_output(job, stdout="first")
    assert wake_delayed() == 1
    stage.start(job)
    stage.end(job)
    keep_output(job, stdout="second")
    assert text_of(operator.get(f"/logs/{job.uuid}")) == "second"


@pytest.mark.parametrize("status", [*_CANCELED[:3], states.STARTING, states.REJECTED, states.CANCELED])
def test_a_job_that_never_started_has_no_log(status: str, operator: Person) -> None:
    job = make_job_in(status, operator)
    assert_refused(operator.get(f"/logs/{job.uuid}"), 400, "JOB_STATE")


def test_a_log_that_retention_deleted_is_404_and_says_so(operator: Person) -> None:
    job = ended_with_output(operator)
    Execution.objects.update(logs_kept=False)
    assert_refused(operator.get(f"/logs/{job.uuid}"), 404, "OUTPUT_GONE")


def test_a_log_that_the_provider_does_not_have_is_404(operator: Person) -> None:
    job = make_job_in(states.COMPLETED, operator)
    assert_refused(operator.get(f"/logs/{job.uuid}"), 404, "OUTPUT_GONE")


def test_a_provider_that_fails_is_500_in_shape(operator: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    job = ended_with_output(operator)
    provider = ScriptedProvider()
    provider.failure = ProviderError("key=hunter2")
    monkeypatch.setattr("jobs.following.outputs.local_provider", lambda: provider)
    answer = operator.get(f"/logs/{job.uuid}")
    assert_refused(answer, 500, "INTERNAL")
    assert "hunter2" not in text_of(answer)


# --- Who -----------------------------------------------------------------------------------------


def given(verb: str, owner: Person) -> Job:
    """A job of `owner` to which `verb` can be done."""
    if verb == "logs":
        return ended_with_output(owner)
    return make_job_in(states.FAILED, owner) if verb == "retry" else make_job(owner)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "somebody", [make_admin, make_operator, lambda: None], ids=["admin", "another operator", "the owner"]
)
def test_admins_operators_and_the_owner_may_do_all(verb: str, somebody: Callable[[], Person | None]) -> None:
    owner = make_customer_user()
    job = given(verb, owner)
    assert ((somebody() or owner).get(f"/{verb}/{job.uuid}")).status_code == 200


@pytest.mark.parametrize("verb", VERBS)
def test_a_colleague_reads_and_changes_nothing(verb: str) -> None:
    job = given(verb, make_customer_user(customer="acme"))
    answer = make_customer_user(customer="acme").get(f"/{verb}/{job.uuid}")
    if verb in READS:
        assert answer.status_code == 200
    else:
        assert_refused(answer, 403, "FORBIDDEN", "colleague")
        assert untouched(job)


@pytest.mark.parametrize("verb", VERBS)
def test_to_a_stranger_the_job_is_not_there(verb: str) -> None:
    job = given(verb, make_customer_user(customer="acme"))
    stranger = make_customer_user(customer="other")
    hidden = stranger.get(f"/{verb}/{job.uuid}")
    assert_refused(hidden, 404, "NOT_FOUND")
    assert text_of(hidden) == text_of(stranger.get(f"/{verb}/{uuid.uuid4()}"))
    assert untouched(job)


@pytest.mark.parametrize("verb", VERBS)
def test_a_monitor_is_403_whether_or_not_the_job_is_there(verb: str) -> None:
    job = given(verb, make_operator())
    monitor = make_monitor()
    assert_refused(monitor.get(f"/{verb}/{job.uuid}"), 403, "FORBIDDEN", "operator")
    assert_refused(monitor.get(f"/{verb}/{uuid.uuid4()}"), 403, "FORBIDDEN")
    assert untouched(job)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("method", ["get", "post"])
def test_without_a_token_it_is_401_and_a_cookie_is_none(verb: str, method: str) -> None:
    owner = make_admin()
    job = given(verb, owner)
    browser = Client()
    browser.force_login(owner.user)
    for client in (Client(), browser):
        answer = getattr(client, method)(f"/{verb}/{job.uuid}")
        assert answer.status_code == (405 if method == "post" and verb in READS else 401)
    assert untouched(job)


def test_a_cookie_beside_a_token_changes_nothing(operator: Person) -> None:
    monitor = make_monitor()
    job = make_job(operator)
    browser = Client(headers={"Authorization": f"Bearer {monitor.token}"})
    browser.force_login(operator.user)
    assert_refused(browser.get(f"/cancel/{job.uuid}"), 403, "FORBIDDEN")
    assert untouched(job)


# --- Tokens: in the address and in the header --------------------------------------------------------


def test_a_token_may_stand_in_the_address_the_header_or_both(operator: Person) -> None:
    path = f"/status/{make_job(operator).uuid}"
    bare, bearer = Client(), f"Bearer {operator.token}"
    assert json_of(bare.get(path, {"token": operator.token}))
    assert json_of(bare.get(path, headers={"Authorization": bearer}))
    assert json_of(bare.get(path, headers={"Authorization": f"Token {operator.token}"}))
    assert json_of(bare.get(path, {"token": operator.token}, headers={"Authorization": bearer}))
    assert json_of(bare.get(path, {"token": ["", operator.token, operator.token]}))
    assert json_of(bare.post(f"/submit?token={operator.token}", BODY, content_type="application/json"))


BODY: Final = {"customer": "acme", "cloud": "local", "region": "local", "id": "x", "image": "x", "command": ["true"]}


def test_two_different_tokens_are_401_even_if_both_are_good(operator: Person) -> None:
    other, path = make_admin(), f"/status/{make_job(operator).uuid}"
    bare = Client()
    header = {"Authorization": f"Bearer {operator.token}"}
    for answer in (
        bare.get(path, {"token": other.token}, headers=header),
        bare.get(path, {"token": [operator.token, other.token]}),
        bare.get(path, {"token": operator.token}, headers={"Authorization": "Basic YTpi"}),
        bare.get(path, {"token": operator.token}, headers={"Authorization": "Bearer"}),
    ):
        assert_refused(answer, 401, "UNAUTHORIZED", "two different tokens")


@pytest.mark.parametrize("token", ["", "x", "%00", "%FF%FE", "%ED%A0%80", "x" * 5000])
def test_a_token_that_is_none_is_401(token: str, operator: Person) -> None:
    job = make_job(operator)
    answer = Client().get(f"/status/{job.uuid}?token={token}")
    assert_refused(answer, 401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mapsor"'


def test_a_token_in_the_body_is_none(operator: Person) -> None:
    assert_refused(Client().post("/submit", {"token": operator.token}), 401, "UNAUTHORIZED")


# --- Ids, methods, slashes, headers ------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "reference",
    [
        "01890000-0000-7000-8000-000000000000", "0", "999999999999999999", "9" * 19, "9" * 5000, "x", "-1", "1.0",
        "%00", "%C3%A4", "%D9%A3", "01890000", "g" * 32, "urn:uuid:x", "%7B%7D", "..", "'%20OR%201=1",
    ],
)  # fmt: skip
def test_an_id_that_no_job_has_is_404(verb: str, reference: str, operator: Person) -> None:
    make_job(operator)
    assert_refused(operator.get(f"/{verb}/{reference}"), 404, "NOT_FOUND")


def test_an_id_is_found_in_any_of_its_forms(operator: Person) -> None:
    job = make_job(operator)
    for form in (str(job.uuid), str(job.uuid).upper(), job.uuid.hex, job.uuid.urn, str(job.pk)):
        assert json_of(operator.get(f"/status/{form}"))["status"] == "QUEUED"


@pytest.mark.parametrize("verb", READS)
def test_head_answers_as_get_without_a_body(verb: str, operator: Person) -> None:
    job = ended_with_output(operator)
    get, head = operator.get(f"/{verb}/{job.uuid}"), operator.client.head(f"/{verb}/{job.uuid}")
    assert (head.status_code, text_of(head)) == (200, "")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]
    assert operator.client.head(f"/{verb}/{uuid.uuid4()}").status_code == 404
    assert Client().head(f"/{verb}/{job.uuid}").status_code == 401


@pytest.mark.parametrize(
    ("verb", "method"),
    [
        *((verb, method) for verb in READS for method in ("post", "put", "patch", "delete", "options", "trace")),
        *((verb, method) for verb in CHANGES for method in ("head", "put", "patch", "delete", "options", "trace")),
    ],
)
def test_a_method_that_is_not_there_is_405_and_does_nothing(verb: str, method: str, operator: Person) -> None:
    job = given(verb, operator)
    answer = getattr(operator.client, method)(f"/{verb}/{job.uuid}")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == ("GET, HEAD" if verb in READS else "GET, POST")
    if method != "head":
        assert_refused(answer, 405, "METHOD_NOT_ALLOWED", method.upper())
    assert untouched(job)


@pytest.mark.parametrize("verb", VERBS)
def test_a_slash_at_the_end_is_the_same_path(verb: str, operator: Person) -> None:
    job = given(verb, operator)
    answer = operator.get(f"/{verb}/{job.uuid}/")
    assert answer.status_code == 200
    if verb in CHANGES:
        assert operator.post(f"/{verb}/{job.uuid}/").status_code in (200, 400)


@pytest.mark.parametrize("verb", VERBS)
def test_no_answer_is_kept_and_no_link_carries_its_address(verb: str, operator: Person) -> None:
    job = given(verb, operator)
    for answer in (operator.get(f"/{verb}/{job.uuid}"), operator.get(f"/{verb}/x"), Client().get(f"/{verb}/x")):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "Set-Cookie" not in answer.headers


# --- What it costs --------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
def test_each_call_stays_within_its_budget(verb: str, operator: Person) -> None:
    given(verb, operator)
    job = given(verb, operator)
    with within_budget(f"GET /{verb}"):
        assert text_of(operator.get(f"/{verb}/{job.uuid}"))


def test_the_cost_of_a_status_does_not_grow_with_the_queue(operator: Person) -> None:
    job = make_job(operator)
    with transaction.atomic():
        for _ in range(20):
            make_job(operator)
    with within_budget("GET /status"):
        json_of(operator.get(f"/status/{job.uuid}"))
