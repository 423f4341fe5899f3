"""Policies of submits and of job types, cloud any, and what is shown of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from accounts.models import Event
from jobs import services
from jobs.models import Execution, Job, JobTypePolicy, Place
from jobtypes.models import JobType
from tests.clouds import Skies
from tests.clusters.offers import priced
from tests.factories import Stage, make_job_type, make_place
from tests.jobs.api.v6.answers import assert_error, good
from tests.jobs.api.v6.conftest import People
from tests.query_budget import within_budget
from tests.seeds import Scene

pytestmark = pytest.mark.django_db
PATH = "/v6/jobs/"
NEW: dict[str, Any] = {
    "customer": "acme",
    "classification": "nightly",
    "image": "busybox",
    "command": ["true"],
    "vcpus": 1,
    "memory_mib": 1024,
}
NORTH, SOUTH = {"cloud": "aws", "region": "north-1"}, {"cloud": "aws", "region": "south-1"}
LADDER = {"places": [{**NORTH, "capacity": "spot", "wait_seconds": 60}, SOUTH], "tries": {"SYSTEM": 3}}


@pytest.fixture
def skies(monkeypatch: pytest.MonkeyPatch) -> Skies:
    return Skies(monkeypatch, "north-1", "south-1")


@pytest.fixture
def scene(tmp_path: Path, settings: Any, people: People) -> Scene:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    settings.LOCAL_ROOT = tmp_path / "local"
    return Scene(tmp_path / "workspace", people.owner)


# --- Submitting ------------------------------------------------------------------------------------


def test_a_job_begins_at_the_first_place_of_its_policy(people: People, skies: Skies) -> None:
    made = good(people.owner.post(PATH, {**NEW, "policy": LADDER}), 201)
    assert (made["cloud"], made["region"], made["capacity"], made["max_tries"]) == ("aws", "north-1", "spot", 3)
    policy = made["policy"]
    assert policy["leaves"]
    assert policy == {
        "places": [
            {**NORTH, "capacity": "spot", "wait_seconds": 60, "chosen": None},
            {**SOUTH, "capacity": None, "wait_seconds": None, "chosen": None},
        ],
        "tries": {"SYSTEM": 3},
        "backoff_seconds": None,
        "max_backoff_seconds": None,
        "max_cost": None,
        "rung": 0,
        "leaves": policy["leaves"],
        "affordable_seconds": None,
        "why": "aws/north-1 (spot) is number 1 of 2 places that were asked for.",
    }
    assert good(people.owner.get(f"{PATH}{made['id']}/explain/"))["policy"] == policy


def test_without_a_policy_there_is_none(people: People) -> None:
    made = good(people.owner.post(PATH, NEW), 201)
    assert (made["policy"], made["capacity"]) == (None, None)
    assert good(people.owner.get(f"{PATH}{made['id']}/explain/"))["policy"] is None


def test_jobs_that_ask_for_the_same_share_a_row(people: People, skies: Skies) -> None:
    good(people.owner.post(PATH, [{**NEW, "policy": LADDER}] * 3), 201)
    good(people.owner.post(PATH, {**NEW, "policy": {**LADDER, "tries": {"SYSTEM": 4}}}), 201)
    assert len(set(Job.objects.values_list("policy", flat=True))) == 2


@pytest.mark.parametrize(
    ("wish", "tries"),
    [
        ({"policy": {"places": [NORTH] * 5}}, 5),
        ({"policy": {"places": [NORTH] * 2}}, 3),
        ({"policy": {"tries": {"SYSTEM": 4, "DATA": 2}}}, 5),
        ({"policy": {"tries": {"SYSTEM": 4}}, "max_tries": 2}, 2),
        ({"policy": {"backoff_seconds": 9}}, 3),
    ],
)
def test_how_many_executions_it_may_have(people: People, skies: Skies, wish: dict[str, Any], tries: int) -> None:
    assert good(people.owner.post(PATH, {**NEW, **wish}), 201)["max_tries"] == tries


@pytest.mark.parametrize(
    ("wish", "field", "code"),
    [
        ({"policy": {}}, "policy", ""),
        ({"policy": {"places": [{"cloud": "moon", "region": "x"}]}}, "policy.places[0].cloud", ""),
        ({"policy": {"places": [NORTH, {"cloud": "aws", "region": "x"}]}}, "policy.places[1].region", ""),
        ({"policy": {"places": [NORTH, {"cloud": "azure", "region": "x"}]}}, "policy.places[1].cloud", ""),
        ({"policy": {"places": [{**NORTH, "capacity": "on-demand"}]}}, "policy.places[0].capacity", ""),
        ({"policy": {"places": [{"cloud": "local", "capacity": "spot"}]}}, "policy.places[0].capacity", ""),
        ({"policy": {"places": [NORTH]}, "cloud": "aws"}, "cloud", ""),
        ({"policy": {"places": [NORTH]}, "region": "north-1"}, "region", ""),
        ({"policy": {"places": [NORTH]}, "capacity": "spot"}, "capacity", ""),
        ({"policy": {"places": [{"cloud": "local"}]}, "command": []}, "command", ""),
        ({"policy": {"max_cost": 1}, **NORTH}, "policy.max_cost", "NO_PRICE"),
        ({"policy": {"places": [{"cloud": "local"}, SOUTH], "max_cost": 1}}, "policy.max_cost", "NO_PRICE"),
        ({"cloud": "any", "region": "north-1"}, "region", ""),
        ({"cloud": "any", "capacity": "spot"}, "capacity", ""),
        ({"cloud": "any", "vcpus": 9999}, "cloud", "NO_PLACE"),
        ({"capacity": "cheap"}, "capacity", ""),
        ({"capacity": "spot"}, "capacity", ""),
        ({**NORTH, "capacity": "on-demand"}, "capacity", ""),
        ({**NORTH, "capacity": "spot", "queue": "urgent"}, "capacity", ""),
        ({**NORTH, "region": "x", "capacity": "spot"}, "region", ""),
    ],
)
def test_what_cannot_be_kept_is_refused_by_its_field(
    people: People, skies: Skies, wish: dict[str, Any], field: str, code: str
) -> None:
    make_place()
    assert_error(people.owner.post(PATH, {**NEW, **wish}), 400, code, field=field)
    assert_error(people.owner.post(f"{PATH}?dry_run=true", {**NEW, **wish}), 400, code, field=field)
    assert not Job.objects.exists()


def test_in_a_list_the_item_is_named(people: People, skies: Skies) -> None:
    wrong = {**NEW, "policy": {"places": [{"cloud": "local"}], "tries": {"SYSTEM": 0}}}
    assert_error(people.owner.post(PATH, [NEW, wrong]), 400, field="policy.tries.SYSTEM", index=1)


def test_a_kind_of_machine_can_be_asked_for_without_a_policy(people: People, skies: Skies) -> None:
    made = good(people.owner.post(PATH, {**NEW, **NORTH, "capacity": "spot"}), 201)
    assert made["capacity"] == "spot"
    skies.turn("north-1")
    assert skies.clouds["north-1"].submitted[0][1][0].capacity == "spot"
    shown = good(people.owner.get(f"{PATH}{made['id']}/executions/1/"))
    assert shown["capacity"] == "spot"


def test_a_policy_of_its_own_goes_before_that_of_the_job_type(people: People, scene: Scene) -> None:
    job_type = scene.job_type()
    wish = {"tries": {"SYSTEM": 7}}
    path = f"/v6/job-types/{job_type.name}/{job_type.version}/policy/"
    good(people.operator.put(path, wish))
    body = {"job_type_id": job_type.pk, "input": {"files": {"TEXT": [scene.file().pk]}, "json": {}}}
    assert good(people.owner.post(PATH, body), 201)["policy"]["tries"] == {"SYSTEM": 7}
    own = good(people.owner.post(PATH, {**body, "policy": {"tries": {"DATA": 2}}}), 201)
    assert (own["policy"]["tries"], own["max_tries"]) == ({"DATA": 2}, 2)


def test_places_of_a_job_type_give_way_to_a_region_that_is_asked_for(people: People, scene: Scene) -> None:
    Place.objects.create(cloud="local", region="other")
    job_type = scene.job_type()
    path = f"/v6/job-types/{job_type.name}/{job_type.version}/policy/"
    good(people.operator.put(path, {"places": [{"cloud": "local", "region": "other"}], "backoff_seconds": 1}))
    body = {"job_type_id": job_type.pk, "input": {"files": {"TEXT": [scene.file().pk]}, "json": {}}}
    there = good(people.owner.post(PATH, body), 201)
    here = good(people.owner.post(PATH, {**body, "region": "local"}), 201)
    assert (there["region"], here["region"]) == ("other", "local")
    assert (here["policy"]["places"], here["policy"]["backoff_seconds"]) == ([], 1)


# --- Anywhere --------------------------------------------------------------------------------------


def places_of(made: dict[str, Any]) -> list[str]:
    return [f"{each['cloud']}/{each['region']}" for each in made["policy"]["places"]]


def prices() -> None:
    priced("2", region="north-1", vcpus_milli=1000, memory_mib=1024)
    priced("1", region="south-1", vcpus_milli=1000, memory_mib=1024)


def test_anywhere_is_where_it_costs_least(people: People, skies: Skies) -> None:
    prices()
    made = good(people.owner.post(PATH, {**NEW, "cloud": "any", "command": []}), 201)  # nothing for this machine
    assert (made["cloud"], made["region"]) == ("aws", "south-1")
    assert places_of(made) == ["aws/south-1", "aws/north-1"]
    first = made["policy"]["places"][0]
    assert first["chosen"]["rate_per_hour"] == "1.0000000000"
    assert first["wait_seconds"] == 300
    assert made["policy"]["why"] == (
        "aws/south-1 is number 1 of 2 places that could run it, those with room first and then by price: "
        "there was room, at 1 USD per hour."
    )


def test_anywhere_is_first_where_there_is_room(people: People, skies: Skies) -> None:
    prices()
    services.set_cap(scope="place", scope_id=str(skies.place("south-1")), max_jobs=0, actor=None)
    made = good(people.owner.post(PATH, {**NEW, "cloud": "any", "command": []}), 201)
    assert places_of(made) == ["aws/north-1", "aws/south-1"]
    assert made["policy"]["places"][1]["chosen"]["waits_for"] == ["CAP_JOBS"]


def test_this_machine_is_free_of_charge(people: People, skies: Skies) -> None:
    prices()
    make_place()
    made = good(people.owner.post(PATH, {**NEW, "cloud": "any"}), 201)
    assert places_of(made) == ["local/local", "aws/south-1", "aws/north-1"]


def test_a_place_that_was_not_seen_yet_may_be_large_enough(people: People) -> None:
    made = good(people.owner.post(PATH, {**NEW, "cloud": "any"}), 201)
    assert places_of(made) == ["local/local"]
    assert "NO_WORKER" in made["policy"]["places"][0]["chosen"]["waits_for"]


def test_anywhere_keeps_the_rest_of_a_policy(people: People, skies: Skies) -> None:
    prices()
    make_place()
    wish = {**NEW, "cloud": "any", "policy": {"tries": {"SYSTEM": 9}, "max_cost": "0.5"}}
    made = good(people.owner.post(PATH, wish), 201)
    assert (made["policy"]["tries"], made["policy"]["max_cost"], made["max_tries"]) == ({"SYSTEM": 9}, "0.5", 9)


def test_with_a_limit_it_goes_only_where_there_is_a_price(people: People, skies: Skies) -> None:
    priced("1", region="south-1", vcpus_milli=1000, memory_mib=1024)
    make_place()
    made = good(people.owner.post(PATH, {**NEW, "cloud": "any", "policy": {"max_cost": 1}}), 201)
    assert places_of(made) == ["local/local", "aws/south-1"]


def test_machines_are_only_where_there_are_some(people: People, skies: Skies) -> None:
    prices()
    make_place()
    machine = {"customer": "acme", "classification": "render", "machine_image": "ami-1", "cloud": "any"}
    assert set(places_of(good(people.owner.post(PATH, machine), 201))) == {"aws/south-1", "aws/north-1"}


def test_a_list_that_may_go_anywhere_is_thought_about_once(
    people: People, skies: Skies, django_assert_max_num_queries: Any
) -> None:
    prices()
    make_place()
    with django_assert_max_num_queries(65):
        good(people.owner.post(PATH, [{**NEW, "cloud": "any"}] * 100), 201)
    assert len(set(Job.objects.values_list("policy", flat=True))) == 1


def test_a_retry_of_one_that_went_anywhere_is_placed_anew(people: People, skies: Skies) -> None:
    prices()
    made = good(people.owner.post(PATH, {**NEW, "cloud": "any", "command": []}), 201)
    good(people.owner.post(f"{PATH}{made['id']}/cancel/"))
    services.set_cap(scope="place", scope_id=str(skies.place("south-1")), max_jobs=0, actor=None)
    again = good(people.owner.post(f"{PATH}{made['id']}/retry/"), 201)
    assert (again["region"], places_of(again)) == ("north-1", ["aws/north-1", "aws/south-1"])


def test_a_dry_run_says_where_it_would_go(people: People, skies: Skies) -> None:
    prices()
    make_place()
    told = good(people.owner.post(f"{PATH}?dry_run=true", {**NEW, "cloud": "any"}))
    assert told["place"] == {"cloud": "local", "region": "local"}
    assert [each["cloud"] for each in told["policy"]["places"]] == ["local", "aws", "aws"]
    assert told["policy"]["why"].startswith("local/local is number 1 of 3 places that could run it")
    assert not Job.objects.exists()


def test_a_dry_run_is_priced_by_the_kind_of_machine(people: People, skies: Skies) -> None:
    priced("1", region="north-1", vcpus_milli=1000, memory_mib=1024, capacity="spot")
    priced("4", region="north-1", vcpus_milli=1000, memory_mib=1024)
    told = good(people.owner.post(f"{PATH}?dry_run=true", {**NEW, "policy": {"places": LADDER["places"]}}))
    assert (told["offer"]["capacity"], told["cost"]["rate_per_hour"]) == ("spot", "1.0000000000")


# --- Job types -------------------------------------------------------------------------------------


@pytest.fixture
def job_type() -> JobType:
    return make_job_type()


def path_of(job_type: JobType) -> str:
    return f"/v6/job-types/{job_type.name}/{job_type.version}/policy/"


def test_a_policy_of_a_job_type_is_set_read_changed_and_cleared(people: People, job_type: JobType) -> None:
    path = path_of(job_type)
    assert_error(people.owner.get(path), 404)
    made = good(people.operator.put(path, {"tries": {"SYSTEM": 4}, "max_cost": "1.50"}))
    assert (made["tries"], made["max_cost"], made["set_by"]) == ({"SYSTEM": 4}, "1.5", "op")
    assert good(people.owner.get(path)) == made
    assert good(people.admin.put(path, {"backoff_seconds": 3}))["tries"] == {}
    assert people.operator.delete(path).status_code == 204
    assert_error(people.operator.delete(path), 404)
    told = (
        Event.objects.filter(kind__startswith="job_type.policy").order_by("id").values_list("kind", "actor__username")
    )
    assert list(told) == [
        ("job_type.policy-set", "op"),
        ("job_type.policy-set", "root"),
        ("job_type.policy-cleared", "op"),
    ]


def test_it_says_what_may_be_asked_of_it(people: People, job_type: JobType) -> None:
    path = path_of(job_type)
    assert_error(people.operator.client.options(path), 404)
    good(people.operator.put(path, {"backoff_seconds": 3}))
    assert "PUT" in good(people.operator.client.options(path))["actions"]


@pytest.mark.parametrize("who", ["owner", "colleague", "stranger", "monitor"])
def test_only_operators_and_admins_set_one(people: People, job_type: JobType, who: str) -> None:
    person = getattr(people, who)
    assert_error(person.put(path_of(job_type), {"backoff_seconds": 3}), 403)
    assert_error(person.delete(path_of(job_type)), 403)
    assert not JobTypePolicy.objects.exists()


def test_nobody_is_told_anything_without_a_token(people: People, job_type: JobType) -> None:
    path = path_of(job_type)
    for method in ("get", "delete"):
        assert_error(getattr(people.anonymous, method)(path), 401)
    assert_error(people.anonymous.put(path, {"backoff_seconds": 3}), 401)


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"tries": {"SYSTEM": 0}}, "tries.SYSTEM"),
        ({"places": [NORTH]}, "places[0].cloud"),
        ({"places": [{"cloud": "local", "region": "nowhere"}]}, "places[0].region"),
        ({"places": [{"cloud": "local", "capacity": "spot"}]}, "places[0].capacity"),
        ({"other": 1}, "other"),
    ],
)
def test_a_wrong_policy_of_a_job_type_is_refused(
    people: People, skies: Skies, job_type: JobType, wish: dict[str, Any], field: str
) -> None:
    assert_error(people.operator.put(path_of(job_type), wish), 400, field=field)


def test_there_is_none_of_a_job_type_that_there_is_not(people: People) -> None:
    assert_error(people.operator.put("/v6/job-types/none/1.0.0/policy/", {"backoff_seconds": 3}), 404)


def test_reading_one_is_cheap(people: People, job_type: JobType) -> None:
    good(people.operator.put(path_of(job_type), {"backoff_seconds": 3}))
    good(people.owner.get(path_of(job_type)))
    with within_budget("GET /v6/job-types/{name}/{version}/policy/"):
        good(people.owner.get(path_of(job_type)))


def test_of_an_execution_its_kind_of_machine_is_shown(people: People) -> None:
    stage = Stage()
    made = good(people.owner.post(PATH, NEW), 201)
    stage.start(Job.objects.get(pk=made["id"]))
    assert Execution.objects.get().capacity == ""
    assert good(people.owner.get(f"{PATH}{made['id']}/executions/1/"))["capacity"] is None
