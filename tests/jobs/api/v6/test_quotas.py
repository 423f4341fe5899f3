"""/v6/quotas/."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from accounts.models import Event
from jobs import services
from jobs.models import Gate, Job, Scope
from jobs.models.engine import CAPPED_SCOPES
from tests.environment import CHECKOUT
from tests.factories import Stage, make_job, make_jobs
from tests.jobs.api.v6.answers import assert_error, each_of, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/quotas/"
TARGETS: dict[str, dict[str, Any]] = {
    Scope.ALL: {},
    Scope.PLACE: {"cloud": "local", "region": "local"},
    Scope.CUSTOMER: {"customer": "acme"},
    Scope.OWNER: {"owner": "owner"},
    Scope.QUEUE: {"cloud": "local", "region": "local", "queue": "default"},
}
NEW = {"classification": "nightly", "command": ["true"], "customer": "acme"}


@pytest.mark.parametrize("scope", TARGETS)
def test_a_quota_on_queued_jobs_refuses_more_until_it_is_raised(people: People, scope: str) -> None:
    make_job(people.owner)
    wish = {"scope": scope, **TARGETS[scope], "max_queued_jobs": 1, "hint": "ask us"}
    response = people.operator.post(PATH, wish)
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver{PATH}{made['id']}/"
    assert {name: made[name] for name in wish} == wish
    assert (made["max_jobs"], made["max_vcpus"], made["set_by"]) == (None, None, "op")
    assert_error(people.owner.post("/v6/jobs/", NEW), 400, "QUOTA")
    changed = good(people.admin.patch(f"{PATH}{made['id']}/", {"max_queued_jobs": 2}))
    assert (changed["max_queued_jobs"], changed["hint"], changed["set_by"]) == (2, "ask us", "root")
    good(people.owner.post("/v6/jobs/", NEW), 201)
    assert_error(people.owner.post("/v6/jobs/", NEW), 400, "QUOTA")
    assert people.admin.delete(f"{PATH}{made['id']}/").status_code == 204
    good(people.owner.post("/v6/jobs/", NEW), 201)
    told = Event.objects.filter(subject_kind="cap").order_by("id").values_list("kind", "actor__username")
    assert list(told) == [("cap.set", "op"), ("cap.set", "root"), ("cap.lifted", "root")]


def test_a_quota_is_on_its_scope_only(people: People) -> None:
    make_job(people.owner)
    good(people.operator.post(PATH, {"scope": "customer", "customer": "acme", "max_queued_jobs": 0}), 201)
    good(people.operator.post("/v6/jobs/", {**NEW, "customer": "other"}), 201)
    assert_error(people.operator.post("/v6/jobs/", [{**NEW, "customer": "other"}, NEW]), 400, "QUOTA")
    assert Job.objects.count() == 2


def test_changing_one_limit_leaves_the_others(people: People) -> None:
    wish = {"scope": "all", "max_jobs": 3, "max_vcpus": 1.5, "max_queued_jobs": 9}
    made = good(people.operator.post(PATH, wish), 201)
    changed = good(people.operator.patch(f"{PATH}{made['id']}", {"max_jobs": None, "hint": "new"}))
    assert (changed["max_jobs"], changed["max_vcpus"], changed["max_queued_jobs"]) == (None, 1.5, 9)
    assert changed["hint"] == "new"
    assert good(people.operator.get(f"{PATH}{made['id']}/")) == changed


def test_a_raised_quota_lets_more_start(people: People) -> None:
    stage = Stage()
    make_jobs(4)
    made = good(people.operator.post(PATH, {"scope": "all", "max_jobs": 1}), 201)
    assert stage.claim() == 1
    good(people.operator.patch(f"{PATH}{made['id']}/", {"max_jobs": 3}))
    assert stage.claim() == 2


def test_there_is_one_quota_of_a_scope(people: People) -> None:
    made = good(people.operator.post(PATH, {"scope": "all", "max_jobs": 1}), 201)
    assert_error(people.operator.post(PATH, {"scope": "all", "max_jobs": 2}), 409, "QUOTA_EXISTS")
    assert good(people.operator.get(f"{PATH}{made['id']}/")) == made


@pytest.mark.parametrize(
    ("who", "status"),
    [
        *[("admin", 201), ("operator", 201), ("monitor", 403), ("owner", 403), ("stranger", 403)],
        *[("disabled", 401), ("anonymous", 401)],
    ],
)
def test_who_may_set_quotas(people: People, who: str, status: int) -> None:
    person = people[who]
    gate = services.set_cap(scope=Scope.OWNER, scope_id=str(people.owner.user.pk), max_jobs=1, actor=None)
    answers = [
        (person.post(PATH.rstrip("/"), {"scope": "all", "max_jobs": 1}), 201),
        (person.patch(f"{PATH}{gate.pk}/", {"max_jobs": 5}), 200),
        (person.delete(f"{PATH}{gate.pk}/"), 204),
    ]
    for n, (response, success) in enumerate(answers):
        if status == 201:
            assert response.status_code == success
        else:
            assert_error(response, 404 if who == "stranger" and n else status)
    assert Gate.objects.filter(max_jobs=1).count() == 1


@pytest.mark.parametrize(
    ("who", "sees"),
    [
        *[(who, set(TARGETS)) for who in ("admin", "operator", "monitor")],
        *[("owner", {"customer", "owner"}), ("colleague", {"customer"}), ("stranger", set())],
    ],
)
def test_everybody_sees_the_quotas_on_what_is_theirs(people: People, who: str, sees: set[str]) -> None:
    make_job(people.owner)
    for scope, wish in TARGETS.items():
        good(people.operator.post(PATH, {"scope": scope, **wish, "max_jobs": 1}), 201)
    assert {row["scope"] for row in good(people[who].get(PATH))["results"]} == sees
    for gate in Gate.objects.all():
        response = people[who].get(f"{PATH}{gate.pk}/")
        good(response) if gate.scope in sees else assert_error(response, 404, "NOT_FOUND")


LIMITS: list[tuple[str, Any]] = [
    *each_of("max_jobs", -1, 1.5, "x", 2**31, True, []),
    *each_of("max_queued_jobs", -1, 1.5, "x", 2**31, True, []),
    *each_of("max_vcpus", -1, "x", 2_000_001, True, []),
    *each_of("hint", None, "x" * 256, "a\0"),
    *[("nonsense", 1)],
]


TARGETS_NOT: list[tuple[str, dict[str, Any]]] = [
    ("scope", {}),
    ("scope", {"scope": None}),
    ("scope", {"scope": "job", "job": 1}),
    *[("customer", {"scope": "customer"}), ("owner", {"scope": "owner", "owner": "nobody"})],
    ("queue", {"scope": "queue", "cloud": "local", "region": "local"}),
    ("owner", {"scope": "all", "owner": "op"}),
]


def test_a_bad_field_is_named_and_nothing_changes(people: People) -> None:
    gate = services.set_cap(scope=Scope.PLACE, scope_id=str(make_job().place_id), max_jobs=1, actor=None)
    before = Gate.objects.values().get()
    for field, value in LIMITS:
        assert_error(people.operator.post(PATH, {"scope": "all", field: value}), 400, field=field)
        assert_error(people.operator.patch(f"{PATH}{gate.pk}/", {field: value}), 400, field=field)
    for field, wish in TARGETS_NOT:
        assert_error(people.operator.post(PATH, {"max_jobs": 1, **wish}), 400, field=field)
    bodies: tuple[Any, ...] = (None, [], "x")
    for body in bodies:
        assert_error(people.operator.post(PATH, body), 400)
        assert_error(people.operator.patch(f"{PATH}{gate.pk}/", body), 400)
    assert_error(people.operator.patch(f"{PATH}{gate.pk}/", {"scope": "all"}), 400, field="scope")
    assert Gate.objects.values().get() == before


def test_a_quota_with_the_same_key_is_set_once(people: People) -> None:
    key = {"headers": {"Idempotency-Key": "k"}}
    first = good(people.operator.post(PATH, {"scope": "all", "max_jobs": 1}, **key), 201)
    assert good(people.operator.post(PATH.rstrip("/"), {"scope": "all", "max_jobs": 1}, **key), 201) == first
    assert Event.objects.filter(kind="cap.set").count() == 1
    response = people.operator.post(PATH, {"scope": "all", "max_jobs": 2}, **key)
    assert_error(response, 422, "IDEMPOTENCY_KEY_REUSED")


@pytest.mark.parametrize("reference", ["0", "9" * 18, "9" * 40, "x"])
def test_a_quota_that_is_not_there_is_404(people: People, reference: str) -> None:
    assert_error(people.admin.get(f"{PATH}{reference}/"), 404, "NOT_FOUND")
    assert_error(people.admin.patch(f"{PATH}{reference}/", {}), 404, "NOT_FOUND")
    assert_error(people.admin.delete(f"{PATH}{reference}/"), 404, "NOT_FOUND")


@pytest.mark.parametrize("order", ["id", "-id", "since", "-since"])
def test_quotas_are_filtered_and_walked_to_their_end_and_back(people: People, order: str) -> None:
    made = [services.set_cap(scope=Scope.CUSTOMER, scope_id=str(n), max_jobs=1, actor=None).pk for n in _customers(5)]
    services.set_cap(scope=Scope.ALL, max_jobs=1, actor=None)
    forth, last = walk(people.admin, PATH, order=order, page_size=2, scope="customer")
    assert forth == (made[::-1] if order.startswith("-") else made)
    assert walk(people.admin, last, "previous")[0] == forth
    for name, value in (("scope", "job"), ("nonsense", "1"), ("order", "hint")):
        assert_error(people.admin.get(PATH, **{name: value}), 400, field=name)


def _customers(count: int) -> list[int]:
    return [make_job(customer=f"customer-{n}").customer_id for n in range(count)]


def test_quotas_are_listed_within_their_budget_however_many(people: People) -> None:
    first, *others = _customers(6)
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(first), max_jobs=1, actor=people.admin.user)
    with within_budget("GET /v6/quotas/"):
        assert len(listed(people.admin, PATH)) == 1
    with counted() as few:
        listed(people.admin, PATH)
    for customer in others:
        services.set_cap(scope=Scope.CUSTOMER, scope_id=str(customer), max_jobs=1, actor=people.admin.user)
    with counted() as many:
        assert len(listed(people.admin, PATH)) == 6
    assert len(many) == len(few), str(many)


@pytest.mark.parametrize("who", ["admin", "owner"])
def test_a_browser_gets_pages(people: People, who: str) -> None:
    gate = services.set_cap(scope=Scope.OWNER, scope_id=str(people.owner.user.pk), max_jobs=1, actor=None)
    for path in (PATH, f"{PATH}{gate.pk}/"):
        assert people[who].client.get(path, headers={"Accept": "text/html"}).status_code == 200


def test_an_empty_scope_is_none_and_the_schema_says_so(people: People) -> None:
    good(people.operator.post(PATH, {"scope": "all", "max_jobs": 1}), 201)
    assert good(people.operator.get(PATH, scope=""))["count"] == 1
    assert good(people.operator.get(PATH, scope=["", "owner"]))["count"] == 0
    assert_error(people.operator.get(PATH, scope="job"), 400, field="scope")
    parameters = yaml.safe_load((CHECKOUT / "docs/openapi.yaml").read_text())["paths"][PATH]["get"]["parameters"]
    (scope,) = (each for each in parameters if each["name"] == "scope")
    assert scope["schema"]["items"]["enum"] == [*(name for name, _ in CAPPED_SCOPES), ""]
