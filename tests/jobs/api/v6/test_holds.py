"""/v6/holds/, and GET /v6/jobs/{id}/explain/ for each reason a job may wait."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import Event
from jobs import services, states
from jobs.models import Gate, Hold, Job, Lane, Place, RunsFor, Scope
from tests.factories import Person, Stage, make_job, make_job_in, make_job_type, make_jobs
from tests.jobs.api.v6.answers import assert_error, each_body, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/holds/"
TARGETS: dict[str, dict[str, Any]] = {
    Scope.ALL: {},
    Scope.PLACE: {"cloud": "local", "region": "local"},
    Scope.CUSTOMER: {"customer": "acme"},
    Scope.OWNER: {"owner": "owner"},
    Scope.QUEUE: {"cloud": "local", "region": "local", "queue": "default"},
}


def explained(person: Person, job: Job) -> list[dict[str, Any]]:
    found = good(person.get(f"/v6/jobs/{job.pk}/explain/"))
    assert (found["state"], found["status"]) == (Job.objects.get(pk=job.pk).status, states.SHOWN[found["state"]])
    reasons: list[dict[str, Any]] = found["reasons"]
    return reasons


def codes(person: Person, job: Job) -> list[str]:
    return [reason["code"] for reason in explained(person, job)]


def assert_runs(stage: Stage, job: Job) -> None:
    assert stage.claim() >= 1
    job.refresh_from_db()
    assert job.status == states.STARTING


# --- Each reason: set it, see it, take it away, and the job runs -----------------------------------


@pytest.mark.parametrize("scope", TARGETS)
def test_a_hold_says_who_set_it_when_and_why_until_it_is_lifted(people: People, scope: str) -> None:
    stage = Stage()
    job = make_job(people.owner)
    wish = {"scope": scope, **TARGETS[scope], "code": "UNPAID", "hint": "The bill of May is open."}
    response = people.operator.post(PATH, wish)
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver/v6/holds/{made['id']}/"
    assert {name: made[name] for name in wish} == wish
    assert {name for name in TARGETS[Scope.QUEUE] if made[name]} == set(TARGETS[scope]) & set(TARGETS[Scope.QUEUE])
    (reason,) = explained(people.owner, job)
    assert (reason["code"], reason["hint"]) == ("UNPAID", "The bill of May is open.")
    assert (reason["since"], reason["set_by"]) == (made["since"], "op")
    assert reason["value"].startswith(scope)
    assert listed(people.owner, "/v6/jobs/", reason="UNPAID") == [job.pk]
    assert (stage.claim(), good(people.operator.get(f"{PATH}{made['id']}"))) == (0, made)
    assert people.operator.delete(f"{PATH}{made['id']}/").status_code == 204
    assert codes(people.owner, job) == ["NEXT"]
    assert listed(people.owner, "/v6/jobs/", reason="UNPAID") == []
    assert_runs(stage, job)
    told = Event.objects.filter(subject_kind="hold").order_by("id").values_list("kind", "actor__username")
    assert list(told) == [("hold.placed", "op"), ("hold.lifted", "op")]


def test_a_job_that_is_held_itself_says_so(people: People) -> None:
    stage = Stage()
    job, other = make_jobs(2, people.owner)
    made = good(people.operator.post(PATH, {"scope": "job", "job": job.pk, "hint": "wait"}), 201)
    assert (made["job"], made["code"], made["set_by"]) == (job.pk, "HELD", "op")
    (reason,) = explained(people.owner, job)
    assert (reason["code"], reason["hint"], reason["set_by"], reason["since"]) == ("HELD", "wait", "op", made["since"])
    assert listed(people.owner, "/v6/jobs/", reason="HELD") == [job.pk]
    assert stage.claim() == 1
    other.refresh_from_db()
    assert other.status == states.STARTING
    assert people.operator.delete(f"{PATH}{made['id']}/").status_code == 204
    assert codes(people.owner, job) == ["NEXT"]
    assert_runs(stage, job)


def test_a_paused_scheduler_is_the_reason_until_it_goes_on(people: People) -> None:
    stage = Stage()
    job = make_job(people.owner)
    since = good(people.operator.patch("/v6/scheduler/", {"is_paused": True}))["paused_since"]
    (reason,) = explained(people.owner, job)
    assert (reason["code"], reason["set_by"], reason["since"], reason["value"]) == ("PAUSED", "op", since, "all")
    assert listed(people.owner, "/v6/jobs/", reason="PAUSED") == [job.pk]
    assert stage.claim() == 0
    good(people.operator.patch("/v6/scheduler/", {"is_paused": False}))
    assert_runs(stage, job)


@pytest.mark.parametrize("scope", TARGETS)
@pytest.mark.parametrize(
    ("limit", "code", "value", "most"),
    [({"max_jobs": 1}, "CAP_JOBS", "1", "1"), ({"max_vcpus": 0.9}, "CAP_VCPUS", "0.5", "0.9")],
)
def test_a_quota_says_what_is_used_and_allowed_until_it_is_taken_away(
    people: People, scope: str, limit: dict[str, Any], code: str, value: str, most: str
) -> None:
    stage = Stage()
    running = make_job_in(states.RUNNING, people.owner, stage=stage)
    job = make_job(people.owner)
    made = good(people.operator.post("/v6/quotas/", {"scope": scope, **TARGETS[scope], **limit, "hint": "full"}), 201)
    (reason,) = explained(people.owner, job)
    assert (reason["code"], reason["value"], reason["limit"], reason["hint"]) == (code, value, most, "full")
    assert (reason["set_by"], reason["since"]) == ("op", made["since"])
    assert listed(people.owner, "/v6/jobs/", reason=code) == [job.pk]
    assert stage.claim() == 0
    if scope == Scope.ALL:
        stage.end(running)  # what ends makes room
    else:
        assert people.operator.delete(f"/v6/quotas/{made['id']}/").status_code == 204
    assert_runs(stage, job)


def _place(**facts: Any) -> Callable[[], None]:
    before = Place.objects.values(*facts).get()
    Place.objects.update(**facts)
    return lambda: (Place.objects.update(**before), None)[1]


@pytest.mark.parametrize(
    ("code", "facts", "value", "limit"),
    [
        ("NO_WORKER", {"seen_at": timezone.now() - timedelta(minutes=1)}, None, None),
        ("UNISOLATED", {"runs_for": RunsFor.NOBODY}, None, None),
        ("UNISOLATED", {"runs_for": RunsFor.STAFF}, None, None),
        ("DISK", {"disk_free_mib": 10, "disk_floor_mib": 11}, "10", "11"),
        ("TOO_LARGE_VCPUS", {"vcpus_milli": 499}, "0.5", "0.499"),
        ("TOO_LARGE_MEMORY", {"memory_mib": 511}, "512", "511"),
    ],
)
def test_a_place_that_cannot_says_why_until_it_can(
    people: People, code: str, facts: dict[str, Any], value: str | None, limit: str | None
) -> None:
    stage = Stage()
    job = make_job(people.owner)
    mend = _place(**facts)
    (reason,) = explained(people.owner, job)
    assert (reason["code"], reason["value"], reason["limit"]) == (code, value, limit)
    assert "local" in reason["hint"]
    assert listed(people.owner, "/v6/jobs/", reason=code) == [job.pk]
    assert stage.claim() == 0
    mend()
    assert codes(people.owner, job) == ["NEXT"]
    assert_runs(stage, job)


@pytest.mark.parametrize(
    ("code", "facts", "value", "limit"),
    [
        ("NO_ROOM_VCPUS", {"vcpus_milli": 900}, "0.5", "0.9"),
        ("NO_ROOM_MEMORY", {"memory_mib": 900}, "512", "900"),
    ],
)
def test_a_full_place_says_how_full_until_something_ends(
    people: People, code: str, facts: dict[str, int], value: str, limit: str
) -> None:
    stage = Stage(**facts)
    running = make_job_in(states.RUNNING, people.owner, stage=stage)
    job = make_job(people.owner)
    (reason,) = explained(people.owner, job)
    assert (reason["code"], reason["value"], reason["limit"]) == (code, value, limit)
    assert listed(people.owner, "/v6/jobs/", reason=code) == [job.pk]
    assert stage.claim() == 0
    stage.end(running)
    assert_runs(stage, job)


def test_room_that_is_kept_for_another_says_for_whom(people: People) -> None:
    stage = Stage(vcpus_milli=1000)
    running = make_job_in(states.RUNNING, people.owner, stage=stage, vcpus_milli=600)
    large = make_job(people.owner, vcpus_milli=1000)
    assert stage.claim() == 0
    Lane.objects.filter(pk=large.lane_id).update(blocked_since=timezone.now() - timedelta(minutes=6))
    small, urgent = make_job(people.owner, vcpus_milli=100), make_job(people.owner, vcpus_milli=100, priority=1)
    (reason,) = explained(people.owner, small)
    assert (reason["code"], reason["value"]) == ("RESERVED", str(large.pk))
    assert codes(people.owner, urgent) == ["NEXT"], "what is ahead of it in line goes first all the same"
    assert codes(people.owner, large) == ["NO_ROOM_VCPUS"]
    services.cancel_jobs([urgent.pk], actor=None)
    assert listed(people.owner, "/v6/jobs/", reason="RESERVED") == [small.pk]
    assert stage.claim() == 0
    stage.end(running)
    assert_runs(stage, large)
    stage.start(large)
    stage.end(large)
    assert_runs(stage, small)


def test_a_job_before_its_next_try_says_when_that_is(people: People) -> None:
    stage = Stage()
    job = make_job_in(states.DELAYED, people.owner, stage=stage)
    (reason,) = explained(people.owner, job)
    assert (reason["code"], reason["value"], reason["limit"]) == ("RETRY", "1", "3")
    assert reason["since"] is not None
    assert listed(people.owner, "/v6/jobs/", reason="RETRY") == [job.pk]
    services.hold_jobs([job.pk], actor=None)
    assert codes(people.owner, job) == ["RETRY", "HELD"]
    assert listed(people.owner, "/v6/jobs/", reason="HELD") == [job.pk]


def test_two_reasons_at_once_both_show(people: People) -> None:
    Stage()
    job = make_job(people.owner)
    services.place_hold(scope=Scope.ALL, code="STOP")
    services.hold_jobs([job.pk], actor=None)
    services.set_cap(scope=Scope.ALL, max_jobs=0, actor=None)
    Place.objects.update(disk_free_mib=1, disk_floor_mib=2)
    assert codes(people.owner, job) == ["STOP", "HELD", "CAP_JOBS", "DISK"]
    for code in codes(people.owner, job):
        assert listed(people.owner, "/v6/jobs/", reason=code) == [job.pk]
    assert good(people.owner.get(f"/v6/jobs/{job.pk}/"))["reason"] == "STOP"


@pytest.mark.parametrize("status", [*states.ACTIVE, *states.FINAL])
def test_what_runs_or_has_ended_waits_for_nothing(people: People, status: str) -> None:
    job = make_job_in(status, people.owner)
    assert good(people.owner.get(f"/v6/jobs/{job.pk}/explain/"))["reasons"] == []


def test_a_reason_costs_the_same_for_few_holds_and_for_many(people: People) -> None:
    Stage()
    job = make_job(people.owner)
    services.place_hold(scope=Scope.ALL, code="A", actor=people.admin.user)
    good(people.owner.get("/v6/jobs/"))
    with within_budget("GET /v6/jobs/{id}/explain/"):
        explained_path = people.owner.get(f"/v6/jobs/{job.pk}/explain/")
    assert len(good(explained_path)["reasons"]) == 1
    with counted() as few:
        people.owner.get(f"/v6/jobs/{job.pk}/explain/")
    for n in range(20):
        services.place_hold(scope=Scope.ALL, code=f"B{n}", actor=people.admin.user)
    with counted() as many:
        people.owner.get(f"/v6/jobs/{job.pk}/explain/")
    assert len(many) == len(few), str(many)


# --- The resource --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "status"),
    [
        *[("admin", 201), ("operator", 201), ("monitor", 403), ("owner", 403), ("stranger", 403)],
        *[("disabled", 401), ("anonymous", 401)],
    ],
)
def test_who_may_place_and_lift_a_hold(people: People, who: str, status: int) -> None:
    job = make_job(people.owner)
    for wish in ({"scope": "owner", "owner": "owner"}, {"scope": "job", "job": job.pk}):
        response = people[who].post(PATH.rstrip("/"), wish)
        good(response, 201) if status == 201 else assert_error(response, status)
    assert Hold.objects.count() == (2 if status == 201 else 0)
    hold = services.place_hold(scope=Scope.OWNER, scope_id=str(people.owner.user.pk), code="MORE")
    response = people[who].delete(f"{PATH}{hold.pk}/")
    if status == 201:
        assert response.status_code == 204
    else:
        assert_error(response, 404 if who == "stranger" else status)
    assert Hold.objects.filter(pk=hold.pk).exists() == (status != 201)


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        *[(who, set(Scope.values)) for who in ("admin", "operator", "monitor")],
        *[("owner", {"customer", "owner", "job"}), ("colleague", {"customer", "job"}), ("stranger", set())],
    ],
)
def test_everybody_sees_the_holds_on_what_is_theirs(people: People, who: str, sees: set[str]) -> None:
    job = make_job(people.owner)
    for scope, wish in TARGETS.items():
        good(people.operator.post(PATH, {"scope": scope, **wish}), 201)
    good(people.operator.post(PATH, {"scope": "job_type", "job_type": make_job_type().pk}), 201)
    good(people.operator.post(PATH, {"scope": "job", "job": job.pk}), 201)
    rows = good(people[who].get(PATH))["results"]
    assert {row["scope"] for row in rows} == sees
    for hold in Hold.objects.all():
        response = people[who].get(f"{PATH}{hold.pk}/")
        good(response) if hold.scope in sees else assert_error(response, 404, "NOT_FOUND")


BAD: list[tuple[str, dict[str, Any]]] = [
    ("scope", {}),
    *each_body("scope", "scope", {}, None, "world", 1),
    *[("customer", {"scope": "customer", **more}) for more in ({}, {"customer": None}, {"customer": "nobody"})],
    *each_body("customer", "customer", {"scope": "customer"}, "a\0", "x" * 256, 1, []),
    *[("owner", {"scope": "owner", **more}) for more in ({}, {"owner": "nobody"}, {"owner": "x" * 151})],
    *[("region", {"scope": "place", "cloud": "local", **more}) for more in ({}, {"region": "nowhere"})],
    *[("cloud", {"scope": "place", "region": "local"}), ("cloud", {"scope": "place", "cloud": "moon"})],
    *[("queue", {"scope": "queue", "cloud": "local", "region": "local"})],
    *each_body("job", "job", {"scope": "job"}, None, 0, -1, "x", 9**20, 999_999),
    *each_body("job_type", "job_type", {"scope": "job_type"}, None, 0, -1, "x", 9**20, 999_999),
    ("customer", {"scope": "all", "customer": "acme"}),
    ("job", {"scope": "all", "job": 1}),
    *each_body("code", "code", {"scope": "all"}, "low", "A B", "", None, "X" * 33, 1),
    *each_body("hint", "hint", {"scope": "all"}, None, "x" * 256, "a\0", []),
    *[("nonsense", {"scope": "all", "nonsense": 1})],
]


def test_a_bad_field_is_named_and_nothing_is_held(people: People) -> None:
    make_job(people.owner)
    for field, wish in BAD:
        assert_error(people.operator.post(PATH, wish), 400, "INVALID_REQUEST", field=field)
    for body in (None, [], "x", [{"scope": "all"}]):
        assert_error(people.operator.post(PATH, body), 400, "INVALID_REQUEST")
    assert not Hold.objects.exists()


def test_a_job_has_no_hold_by_another_code(people: People) -> None:
    job = make_job(people.owner)
    response = people.operator.post(PATH, {"scope": "job", "job": job.pk, "code": "UNPAID"})
    assert_error(response, 400, field="code")


@pytest.mark.parametrize("status", [states.RUNNING, states.COMPLETED])
def test_a_job_that_runs_or_has_ended_is_not_held(people: People, status: str) -> None:
    job = make_job_in(status, people.owner)
    assert_error(people.operator.post(PATH, {"scope": "job", "job": job.pk}), 400, "JOB_STATE", field="job")
    assert not Hold.objects.exists()


def test_the_same_hold_twice_is_one(people: People) -> None:
    first = good(people.operator.post(PATH, {"scope": "all"}), 201)
    assert good(people.admin.post(PATH, {"scope": "all"}), 201) == first
    assert (first["code"], Hold.objects.count()) == ("HELD", 1)


def test_a_hold_with_the_same_key_is_placed_once(people: People) -> None:
    key = {"headers": {"Idempotency-Key": "k"}}
    job = make_job(people.owner)
    wish = {"scope": "job", "job": job.pk}
    first = good(people.operator.post(PATH, wish, **key), 201)
    events = Event.objects.count()
    assert good(people.operator.post(PATH.rstrip("/"), wish, **key), 201) == first
    assert Event.objects.count() == events
    assert_error(people.operator.post(PATH, {"scope": "all"}, **key), 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("reference", ["0", "9" * 18, "9" * 40, "x"])
def test_a_hold_that_is_not_there_is_404(people: People, reference: str) -> None:
    assert_error(people.admin.get(f"{PATH}{reference}/"), 404, "NOT_FOUND")
    assert_error(people.admin.delete(f"{PATH}{reference}/"), 404, "NOT_FOUND")


def test_holds_are_filtered(people: People) -> None:
    job = make_job(people.owner)
    everything = services.place_hold(scope=Scope.ALL, code="STOP").pk
    services.hold_jobs([job.pk], actor=None)
    own = Hold.objects.get(scope=Scope.JOB).pk
    assert listed(people.admin, PATH, scope="all") == [everything]
    assert listed(people.admin, PATH, code="HELD") == [own]
    assert listed(people.admin, PATH, job=job.pk) == [own]
    assert listed(people.admin, PATH, scope=["all", "job"]) == [everything, own]
    for name, value in (("scope", "x"), ("nonsense", "1"), ("order", "code"), ("code", "\0")):
        assert_error(people.admin.get(PATH, **{name: value}), 400, field=name)


@pytest.mark.parametrize("order", ["id", "-id", "since", "-since"])
def test_holds_are_walked_to_their_end_and_back(people: People, order: str) -> None:
    made = [services.place_hold(scope=Scope.ALL, code=f"C{n}").pk for n in range(5)]
    forth, last = walk(people.admin, PATH, order=order, page_size=2)
    assert forth == (made[::-1] if order.startswith("-") else made)
    assert walk(people.admin, last, "previous")[0] == forth


def test_holds_are_listed_within_their_budget_however_many(people: People) -> None:
    def place(n: int) -> None:
        job = make_job(people.owner, customer=f"c{n}")
        scopes = {Scope.PLACE: job.place_id, Scope.CUSTOMER: job.customer_id, Scope.OWNER: job.owner_id}
        for scope, scope_id in scopes.items():
            services.place_hold(scope=scope, scope_id=str(scope_id), code=f"C{n}", actor=people.admin.user)
        services.place_hold(scope=Scope.QUEUE, scope_id=f"{job.place_id}:q{n}", code="Q", actor=people.admin.user)

    place(0)
    good(people.owner.get("/v6/version/"))
    with within_budget("GET /v6/holds/"):
        good(people.admin.get(PATH))
    with counted() as few:
        good(people.admin.get(PATH))
    for n in range(1, 5):
        place(n)
    with counted() as many:
        assert good(people.admin.get(PATH))["count"] == 20
    assert len(many) == len(few), str(many)
    with within_budget("GET /v6/holds/{id}/"):
        good(people.admin.get(f"{PATH}{Hold.objects.all()[0].pk}/"))


@pytest.mark.parametrize("who", ["admin", "owner"])
def test_a_browser_gets_pages(people: People, who: str) -> None:
    services.place_hold(scope=Scope.OWNER, scope_id=str(people.owner.user.pk), code="C")
    for path in (PATH, f"{PATH}{Hold.objects.get().pk}/"):
        assert people[who].client.get(path, headers={"Accept": "text/html"}).status_code == 200
    assert not Gate.objects.exists()
