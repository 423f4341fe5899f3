"""POST /v6/jobs/cancel|requeue|priority|hold|release/ and /v6/operations/."""

from __future__ import annotations

from typing import Any

import pytest
from django_q.models import OrmQ

from accounts.models import Event
from jobs import services, states
from jobs.models import Hold, Job, Kind, Operation
from jobtypes.models import JobType
from tests.factories import Person, make_job, make_job_in, make_job_type, make_jobs
from tests.jobs.api.v6.answers import assert_error, each_of, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget
from tests.recipes import make_file

pytestmark = pytest.mark.django_db
READY = {
    Kind.CANCEL: states.QUEUED,
    Kind.REQUEUE: states.FAILED,
    Kind.PRIORITY: states.QUEUED,
    Kind.HOLD: states.QUEUED,
    Kind.RELEASE: states.QUEUED,
}


def ready_for(kind: str, owner: Person | None = None, **wishes: Any) -> Job:
    job = make_job_in(READY[Kind(kind)], owner, **wishes)
    if kind == Kind.RELEASE:
        services.hold_jobs([job.pk], actor=None)
        job.refresh_from_db()
    return job


def body_of(kind: str, **selection: Any) -> dict[str, Any]:
    return {**selection, **({"priority": 5} if kind == Kind.PRIORITY else {})}


def start(person: Person, kind: str, **selection: Any) -> dict[str, Any]:
    """Bulk work that was accepted, and the work done."""
    made = good(person.post(f"/v6/jobs/{kind}/", body_of(kind, **selection)), 202)
    services.carry_on(made["id"])
    shown: dict[str, Any] = good(person.get(f"/v6/operations/{made['id']}/"))
    return shown


def is_done(kind: str, job: Job) -> bool:
    job.refresh_from_db()
    return {
        Kind.CANCEL: job.status == states.CANCELED,
        Kind.REQUEUE: job.status == states.QUEUED,
        Kind.PRIORITY: job.priority == 5,
        Kind.HOLD: job.lane.on_hold,
        Kind.RELEASE: not job.lane.on_hold,
    }[Kind(kind)]


# --- Starting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind.values)
def test_bulk_work_is_accepted_and_then_done(people: People, kind: str) -> None:
    job, other = ready_for(kind, people.owner, customer="acme"), ready_for(kind, people.stranger, customer="other")
    response = people.operator.post(f"/v6/jobs/{kind}/", body_of(kind, customer="acme"))
    made = good(response, 202)
    assert response.headers["Location"] == f"http://testserver/v6/operations/{made['id']}/"
    assert (made["kind"], made["status"], made["total"], made["created_by"]) == (kind, "WAITING", None, "op")
    assert made["selection"] == {"customer": ["acme"]}
    assert made["parameters"] == ({"priority": 5} if kind == Kind.PRIORITY else {})
    assert not is_done(kind, job)
    assert OrmQ.objects.exclude(key__startswith="pulse").count() == 1
    Event.objects.all().delete()
    services.carry_on(made["id"])
    assert is_done(kind, job)
    assert not is_done(kind, other)
    shown = good(people.operator.get(f"/v6/operations/{made['id']}/"))
    assert (shown["status"], shown["total"], shown["done"], shown["failed"]) == ("COMPLETED", 1, 1, 0)
    assert shown["started"] <= shown["ended"]
    told = Event.objects.filter(subject_kind="job").order_by("id").values_list("subject_id", "actor__username")
    assert list(told) == [(job.pk, "op")]


@pytest.mark.parametrize("kind", Kind.values)
@pytest.mark.parametrize("body", [{}, {"status": None}, {"status": ""}, {"customer": [None]}])
def test_an_empty_filter_is_refused(people: People, kind: str, body: dict[str, Any]) -> None:
    response = people.operator.post(f"/v6/jobs/{kind}/", body_of(kind, **body))
    assert_error(response, 400, None if body == {"customer": [None]} else "EMPTY_SELECTION")  # type: ignore[arg-type]
    assert not Operation.objects.exists()


def test_an_empty_list_chooses_nothing_and_is_not_taken_for_no_choice(people: People) -> None:
    response = people.operator.post("/v6/jobs/cancel/", {"customer": "acme", "job_ids": []})
    assert_error(response, 400, "INVALID_REQUEST", field="job_ids")
    assert not Operation.objects.exists()


@pytest.mark.parametrize("body", [b"null", [], "x", 1, [{"customer": "acme"}]])
def test_what_is_no_filter_is_refused(people: People, body: Any) -> None:
    assert_error(people.operator.post("/v6/jobs/cancel/", body), 400, "INVALID_REQUEST")


BAD: list[tuple[str, Any]] = [
    *[("nonsense", 1), ("status", "LIMBO"), ("status", {"a": 1}), ("customer", [["a"]]), ("customer", "a\0")],
    *[("job_id", "x"), ("job_id", 1.5), ("started", "today"), ("on_hold", "maybe"), ("error_category", "X")],
    *[("page", 1), ("order", "id"), ("customer", "x" * 1025), ("job_id", [1] * 10_001)],
]


def test_a_filter_that_cannot_be_read_is_named_and_nothing_starts(people: People) -> None:
    for name, value in BAD:
        response = people.operator.post("/v6/jobs/cancel/", {"customer": "acme", name: value})
        assert_error(response, 400, "INVALID_REQUEST", field=name)
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        *[("priority", "priority", value) for value in ("1", -1, 1.5, True, None, 1_000_001, [1])],
        *[("requeue", "priority", value) for value in ("1", -1, True, 1_000_001)],
        *[("hold", *each) for each in each_of("hint", "x" * 256, "a\0", [], {}, False)],
        *[("cancel", "priority", 1), ("release", "hint", "x")],
    ],
)
def test_a_bad_parameter_is_named_and_nothing_starts(people: People, kind: str, name: str, value: Any) -> None:
    response = people.operator.post(f"/v6/jobs/{kind}/", {"customer": "acme", name: value})
    assert_error(response, 400, "INVALID_REQUEST", field=name)
    assert not Operation.objects.exists()


def test_a_priority_must_be_given(people: People) -> None:
    assert_error(people.operator.post("/v6/jobs/priority/", {"customer": "acme"}), 400, field="priority")


def test_lists_and_scales_plural_names_are_understood(people: People) -> None:
    failed = make_job_in(states.FAILED)
    first, second = make_jobs(2)
    by_number: tuple[dict[str, Any], ...] = (
        {"job_ids": [first.pk, str(second.uuid)]},
        {"job_id": str(first.pk), "job_ids": [second.pk]},
        {"status": ["QUEUED"], "on_hold": False},
    )
    for selection in by_number:
        made = good(people.operator.post("/v6/jobs/priority/", {**selection, "priority": 1}), 202)
        found = services.select_jobs(people.operator.user, Operation.objects.get(pk=made["id"]).selection)
        assert set(found.values_list("pk", flat=True)) == {first.pk, second.pk}
    by_error: tuple[dict[str, Any], ...] = ({"error_ids": [failed.error_id]}, {"error_categories": ["ALGORITHM"]})
    for selection in by_error:
        made = good(people.operator.post("/v6/jobs/requeue/", selection), 202)
        found = services.select_jobs(people.operator.user, Operation.objects.get(pk=made["id"]).selection)
        assert list(found) == [failed]
    for name in ("job_type_ids", "job_type_names", "batch_ids", "recipe_ids"):
        assert start(people.operator, "cancel", **{name: ["1"]})["total"] == 0


# --- Job types by name and version ---------------------------------------------------------------


def job_of(job_type: JobType, owner: Person) -> Job:
    wish = services.SeedWish(job_type, {"files": {"TEXT": [make_file(owner).pk]}})
    made = services.submit_jobs(owner=owner.user, requests=services.seed_requests(owner.user, [wish]))
    return Job.objects.get(pk=made[0].id)


def named(*job_types: JobType) -> list[dict[str, str]]:
    return [{"name": each.name, "version": each.version} for each in job_types]


@pytest.mark.parametrize("kind", Kind.values)
def test_job_types_are_chosen_by_name_and_version_along_with_those_by_id(people: People, kind: str) -> None:
    first, second, _ = (make_job_type(version=f"1.0.{patch}") for patch in range(3))
    body = body_of(kind, job_types=[*named(first), *named(first)], job_type_ids=[second.pk], customer="acme")
    with counted() as statements:
        made = good(people.operator.post(f"/v6/jobs/{kind}/", body), 202)
    assert made["selection"] == {"customer": ["acme"], "job_type_id": [str(second.pk), str(first.pk)]}
    assert str(statements).count('FROM "jobtypes_jobtype"') == 1
    del body["job_type_ids"]
    assert good(people.operator.post(f"/v6/jobs/{kind}/", body), 202)["selection"]["job_type_id"] == [str(first.pk)]


@pytest.mark.parametrize(
    ("who", "changes"), [("admin", {"ours", "theirs"}), ("operator", {"ours", "theirs"}), ("owner", {"ours"})]
)
def test_of_chosen_job_types_each_changes_what_is_theirs_to_change(people: People, who: str, changes: set[str]) -> None:
    job_type, other = make_job_type(), make_job_type(version="2.0.0")
    jobs = {"ours": job_of(job_type, people.owner), "theirs": job_of(job_type, people.stranger)}
    left = job_of(other, people.owner)
    shown = start(people[who], "cancel", job_types=named(job_type))
    assert {name for name, job in jobs.items() if is_done("cancel", job)} == changes
    assert (shown["total"], shown["done"]) == (len(changes), len(changes))
    assert not is_done("cancel", left)
    again = start(people[who], "requeue", job_types=named(job_type, other), status="CANCELED")
    assert again["done"] == len(changes)


def test_a_monitor_and_somebody_unknown_choose_none(people: People) -> None:
    body = {"job_types": named(make_job_type())}
    assert_error(people.monitor.post("/v6/jobs/cancel/", body), 403)
    assert_error(people.anonymous.post("/v6/jobs/cancel/", body), 401)


def test_an_unknown_job_type_is_named_also_where_it_is_only_hidden(people: People) -> None:
    hidden = make_job_type(is_published=False)
    unknown = {"name": hidden.name, "version": "9.9.9"}
    for who, wish in (("operator", [unknown]), ("owner", [unknown]), ("owner", named(hidden))):
        response = people[who].post("/v6/jobs/cancel/", {"job_types": wish, "customer": "acme"})
        assert_error(response, 400, "INVALID_REQUEST", field="job_types")
        assert wish[0]["version"] in response.content.decode()
    good(people.operator.post("/v6/jobs/cancel/", {"job_types": named(hidden)}), 202)
    assert Operation.objects.count() == 1


def test_what_is_no_list_of_job_types_is_refused_and_nothing_starts(people: People) -> None:
    good_one = named(make_job_type())[0]
    bad: list[Any] = [
        *[[], {}, "count-words", 1, True, [1], [None], [[]], [{}], good_one, [good_one] * 10_001],
        *[[{**good_one, "id": 1}], [{"name": "x"}], [{**good_one, "version": 1}], [{**good_one, "name": None}]],
        *[[{**good_one, "name": ""}], [{**good_one, "name": "x\0"}], [{**good_one, "name": "x" * 256}]],
    ]
    for value in bad:
        response = people.operator.post("/v6/jobs/cancel/", {"customer": "acme", "job_types": value})
        assert_error(response, 400, "INVALID_REQUEST", field="job_types")
    response = people.operator.post("/v6/jobs/cancel/", {"job_types": [good_one], "job_type_ids": []})
    assert_error(response, 400, "INVALID_REQUEST", field="job_type_ids")
    assert_error(people.operator.post("/v6/jobs/cancel/", {"job_types": None}), 400, "EMPTY_SELECTION")
    assert not Operation.objects.exists()


def test_a_span_before_now_is_that_of_the_request(people: People) -> None:
    made = good(people.operator.post("/v6/jobs/cancel/", {"started": "PT1H"}), 202)
    (moment,) = made["selection"]["started"]
    assert moment < made["created"]


# --- Who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind.values)
@pytest.mark.parametrize(
    ("who", "changes"),
    [
        *[(who, {"ours", "colleagues", "theirs"}) for who in ("admin", "operator")],
        *[("owner", {"ours"}), ("colleague", {"colleagues"}), ("stranger", {"theirs"})],
    ],
)
def test_bulk_work_changes_only_what_its_user_may(people: People, who: str, kind: str, changes: set[str]) -> None:
    owners = {"ours": people.owner, "colleagues": people.colleague, "theirs": people.stranger}
    jobs = {
        name: ready_for(kind, owner, customer=owner.user.customer.name if owner.user.customer else "")
        for name, owner in owners.items()
    }
    shown = start(people[who], kind, customer=["acme", "other"])
    assert {name for name, job in jobs.items() if is_done(kind, job)} == changes
    assert (shown["total"], shown["done"], shown["failed"]) == (len(changes), len(changes), 0)


@pytest.mark.parametrize("kind", Kind.values)
@pytest.mark.parametrize(("who", "status"), [("monitor", 403), ("disabled", 401), ("anonymous", 401)])
def test_others_start_none(people: People, who: str, status: int, kind: str) -> None:
    assert_error(people[who].post(f"/v6/jobs/{kind}", body_of(kind, customer="acme")), status)
    assert not Operation.objects.exists()


@pytest.mark.parametrize(
    ("who", "read", "stop"),
    [
        *[(who, 200, 200) for who in ("admin", "operator", "owner")],
        *[("monitor", 200, 403), ("colleague", 404, 404), ("stranger", 404, 404)],
        *[("disabled", 401, 401), ("anonymous", 401, 401)],
    ],
)
def test_who_may_read_and_stop_bulk_work(people: People, who: str, read: int, stop: int) -> None:
    made = good(people.owner.post("/v6/jobs/cancel/", {"customer": "acme"}), 202)
    path = f"/v6/operations/{made['id']}/"
    for each in (path, f"{path}failures/", path.rstrip("/")):
        response = people[who].get(each)
        good(response) if read == 200 else assert_error(response, read)
    if read == 401:
        assert_error(people[who].get("/v6/operations/"), 401)
    else:
        assert listed(people[who], "/v6/operations/") == ([made["id"]] if read == 200 else [])
    response = people[who].post(f"{path}stop/")
    good(response) if stop == 200 else assert_error(response, stop)
    assert Operation.objects.get().status == (states.STOPPED if stop == 200 else "WAITING")


@pytest.mark.parametrize("reference", ["0", "9" * 18, "9" * 40, "x"])
def test_one_that_is_not_there_is_404(people: People, reference: str) -> None:
    for path in ("", "failures/"):
        assert_error(people.admin.get(f"/v6/operations/{reference}/{path}"), 404, "NOT_FOUND")
    assert_error(people.admin.post(f"/v6/operations/{reference}/stop/"), 404, "NOT_FOUND")


@pytest.mark.parametrize("kind", Kind.values)
def test_bulk_work_with_the_same_key_is_started_once(people: People, kind: str) -> None:
    key = {"headers": {"Idempotency-Key": "k"}}
    body = body_of(kind, customer="acme")
    first = good(people.owner.post(f"/v6/jobs/{kind}/", body, **key), 202)
    tasks = OrmQ.objects.count()
    assert good(people.owner.post(f"/v6/jobs/{kind}", body, **key), 202) == first
    assert (Operation.objects.count(), OrmQ.objects.count()) == (1, tasks)
    other = {**body, "customer": "other"}
    assert_error(people.owner.post(f"/v6/jobs/{kind}/", other, **key), 422, "IDEMPOTENCY_KEY_REUSED")


# --- Looking at it -------------------------------------------------------------------------------


def test_named_jobs_that_cannot_be_changed_are_listed_with_the_reason(people: People) -> None:
    job, ended = make_job(people.owner), make_job_in(states.COMPLETED, people.owner)
    foreign = make_job(people.stranger, customer="other")
    shown = start(people.owner, "cancel", job_ids=[job.pk, ended.pk, foreign.pk])
    assert (shown["status"], shown["total"], shown["done"], shown["failed"]) == ("COMPLETED", 2, 1, 1)
    (failure,) = good(people.owner.get(f"/v6/operations/{shown['id']}/failures/"))["results"]
    assert (failure["job"], failure["code"]) == (ended.pk, "JOB_STATE")
    assert "COMPLETED" in failure["message"]


def test_jobs_that_merely_match_are_no_failures(people: People) -> None:
    make_job_in(states.COMPLETED, people.owner)
    shown = start(people.owner, "cancel", customer="acme")
    assert (shown["total"], shown["done"], shown["failed"]) == (0, 0, 0)


def test_failures_are_walked_page_by_page(people: People) -> None:
    ended = [make_job_in(states.CANCELED, people.owner) for _ in range(5)]
    shown = start(people.owner, "cancel", job_ids=[job.pk for job in ended])
    path = f"/v6/operations/{shown['id']}/failures/"
    forth, last = walk(people.owner, path, page_size=2)
    assert len(forth) == 5
    assert walk(people.owner, last, "previous")[0] == forth
    assert_error(people.owner.get(path, nonsense="1"), 400, field="nonsense")
    with within_budget("GET /v6/operations/{id}/failures/"):
        good(people.owner.get(path))


@pytest.mark.parametrize("order", [None, "id", "-id", "created", "-created"])
def test_operations_are_walked_to_their_end_and_back(people: People, order: str | None) -> None:
    made = [good(people.owner.post("/v6/jobs/cancel/", {"customer": "acme"}), 202)["id"] for _ in range(5)]
    forth, last = walk(people.owner, "/v6/operations/", page_size=2, **({"order": order} if order else {}))
    assert forth == (made if order in ("id", "created") else made[::-1])
    assert walk(people.owner, last, "previous")[0] == forth


def test_operations_are_filtered(people: People) -> None:
    cancel = start(people.owner, "cancel", customer="acme")["id"]
    hold = good(people.operator.post("/v6/jobs/hold/", {"customer": "acme"}), 202)["id"]
    path = "/v6/operations/"
    assert listed(people.admin, path, kind="cancel") == [cancel]
    assert listed(people.admin, path, status="WAITING") == [hold]
    assert listed(people.admin, path, created_by="owner") == [cancel]
    assert listed(people.admin, path, kind=["cancel", "hold"], status=["WAITING", "COMPLETED"]) == [hold, cancel]
    for name, value in (("kind", "x"), ("status", "QUEUED"), ("nonsense", "1"), ("order", "kind")):
        assert_error(people.admin.get(path, **{name: value}), 400, field=name)


def test_operations_are_listed_within_their_budget(people: People) -> None:
    start(people.owner, "cancel", customer="acme")
    with within_budget("GET /v6/operations/"):
        good(people.owner.get("/v6/operations/"))
    with counted() as few:
        good(people.owner.get("/v6/operations/"))
    for _ in range(10):
        start(people.owner, "cancel", customer="acme")
    with counted() as many:
        good(people.owner.get("/v6/operations/"))
    assert len(many) == len(few), str(many)
    (row, *_) = good(people.owner.get("/v6/operations/"))["results"]
    with within_budget("GET /v6/operations/{id}/"):
        assert good(people.owner.get(f"/v6/operations/{row['id']}/")) == row


# --- Stopping ------------------------------------------------------------------------------------


def test_what_has_not_begun_stops_at_once_and_changes_nothing(people: People) -> None:
    job = make_job(people.owner)
    made = good(people.owner.post("/v6/jobs/cancel/", {"customer": "acme"}), 202)
    shown = good(people.operator.post(f"/v6/operations/{made['id']}/stop/"))
    assert shown["status"] == "STOPPED"
    services.carry_on(made["id"])
    job.refresh_from_db()
    assert job.status == states.QUEUED
    stops = Event.objects.filter(kind="operation.stopped").order_by("id").values_list("actor__username", flat=True)
    assert list(stops) == ["op"]


def test_what_has_ended_is_not_stopped(people: People) -> None:
    shown = start(people.owner, "cancel", customer="acme")
    assert_error(people.owner.post(f"/v6/operations/{shown['id']}/stop/"), 409, "OPERATION_STATE")


def test_a_stop_with_the_same_key_is_done_once(people: People) -> None:
    made = good(people.owner.post("/v6/jobs/cancel/", {"customer": "acme"}), 202)
    key = {"headers": {"Idempotency-Key": "k"}}
    first = good(people.owner.post(f"/v6/operations/{made['id']}/stop/", **key))
    assert good(people.owner.post(f"/v6/operations/{made['id']}/stop/", **key)) == first
    assert Event.objects.filter(kind="operation.stopped").count() == 1


def test_held_in_bulk_says_who_and_why(people: People) -> None:
    job = make_job(people.owner)
    made = good(people.operator.post("/v6/jobs/hold/", {"customer": "acme", "hint": "flood"}), 202)
    assert made["parameters"] == {"hint": "flood"}
    services.carry_on(made["id"])
    hold = Hold.objects.get()
    assert (hold.scope_id, hold.hint, hold.set_by, hold.code) == (str(job.pk), "flood", people.operator.user, "HELD")


@pytest.mark.parametrize("who", ["admin", "owner", "monitor"])
def test_a_browser_gets_pages(people: People, who: str) -> None:
    made = start(people.owner, "cancel", customer="acme")
    for path in ("", f"{made['id']}/", f"{made['id']}/failures/"):
        response = people[who].client.get(f"/v6/operations/{path}", headers={"Accept": "text/html"})
        assert response.status_code == (200 if who != "stranger" else 404)
