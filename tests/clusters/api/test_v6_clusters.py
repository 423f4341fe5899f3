"""/v6/clusters/ and the rollouts of one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from django.utils import timezone

from accounts.models import User
from clusters import services, states
from clusters.models import Cluster, Container, Rollout
from tests.answers import json_of
from tests.clusters.stage import Stage
from tests.factories import Person
from tests.fleet import keeper_of, make_cluster, make_container, make_version, settle
from tests.people import WHO, everybody, refused
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
CLUSTERS = "/v6/clusters/"
STAFF = ("admin", "operator", "monitor")


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


def send(person: Person, method: str, path: str, body: Any = None, **headers: str) -> Any:
    call = getattr(person.client, method)
    return call(path, json.dumps(body), content_type="application/json", headers=headers)


def of(cluster: Cluster, *more: str) -> str:
    return f"{CLUSTERS}{'/'.join([str(cluster.uuid), *more])}/"


def answers(who: str) -> tuple[int, int]:
    """What reading and changing the owner's answers."""
    if who in ("anonymous", "disabled"):
        return 401, 401
    return (
        200 if who in (*STAFF, "owner") else 404,
        {"admin": 200, "owner": 200, "operator": 403, "monitor": 403}.get(who, 404),
    )


@pytest.mark.parametrize("who", WHO)
def test_each_does_to_the_owner_s_what_the_table_says(who: str, people: Mapping[str, Person]) -> None:
    cluster, person = make_cluster(people["owner"].user), people[who]
    make_version("2.0")
    reads, changes = answers(who)
    made = 201 if changes == 200 else changes
    assert person.get(of(cluster)).status_code == reads
    assert person.get(of(cluster, "explain")).status_code == reads
    assert person.get(of(cluster, "rollouts")).status_code == reads
    assert send(person, "patch", of(cluster), {"name": "other"}).status_code == changes
    assert send(person, "post", of(cluster, "scale"), {"count": 0}).status_code == changes
    assert send(person, "post", of(cluster, "rollouts"), {"image_version": "2.0"}).status_code == made
    row = Rollout.objects.first() or services.start_rollout(cluster=cluster, actor=None, image_version="2.0")
    one = ("rollouts", str(row.uuid))
    assert person.get(of(cluster, *one)).status_code == reads
    for verb in ("pause", "resume", "roll-back"):
        assert send(person, "post", of(cluster, *one, verb)).status_code == changes
    assert send(person, "delete", of(cluster)).status_code == (204 if changes == 200 else changes)
    assert person.get(CLUSTERS).status_code == (401 if reads == 401 else 200)
    assert Cluster.objects.filter(archived_at=None).exists() is (changes != 200)


@pytest.mark.parametrize("who", ["admin", "operator", "monitor", "owner", "colleague", "stranger"])
def test_everybody_makes_their_own_and_its_token_is_theirs_alone(who: str, people: Mapping[str, Person]) -> None:
    make_version()
    others = make_cluster(people["owner" if who != "owner" else "stranger"].user)
    made = send(people[who], "post", CLUSTERS, {"name": "mine", "image_version": "1.0"})
    assert made.status_code == 201, made.content
    shown = made.json()
    assert made.headers["Location"].endswith(f"{CLUSTERS}{shown['id']}/")
    assert (shown["owner"], shown["status"], shown["containers"]) == (people[who].user.username, "idle", {})
    assert shown["token"] == services.token_of(Cluster.objects.get(pk=shown["id"]))
    seen = {each["uuid"]: each for each in json_of(people[who].get(CLUSTERS))["results"]}
    assert set(seen) == {shown["uuid"], *([str(others.uuid)] if who in STAFF else [])}
    assert all((each["token"] is None) is (each["owner"] != people[who].user.username) for each in seen.values())


def test_a_token_can_be_brought_and_is_taken_once(people: Mapping[str, Person]) -> None:
    make_version()
    body = {"name": "a", "image_version": "1.0", "token": "secret"}
    assert send(people["owner"], "post", CLUSTERS, body).json()["token"] == "secret"  # a made-up one
    refused(send(people["stranger"], "post", CLUSTERS, body), 409, "CLUSTER_TOKEN_TAKEN")
    again = {"name": "a", "image_version": "1.0"}
    refused(send(people["owner"], "post", CLUSTERS, again), 409, "CLUSTER_NAME_TAKEN")


def test_a_repeated_key_makes_one(people: Mapping[str, Person]) -> None:
    make_version()
    body = {"name": "a", "image_version": "1.0"}
    first, second = (send(people["owner"], "post", CLUSTERS, body, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json() == second.json()
    cluster = Cluster.objects.get()
    for _ in range(2):
        scaled = send(people["owner"], "post", of(cluster, "scale"), {"count": 2}, **{"Idempotency-Key": "s"})
        assert scaled.json()["containers"] == {"PENDING": 2}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": "", "image_version": "1.0"}, "name"),
        ({"name": "x" * 65, "image_version": "1.0"}, "name"),
        ({"name": "a"}, "image_version"),
        ({"name": "a", "image_version": "none"}, "image_version"),
        ({"name": "a", "image_version": "1.0", "token": ""}, "token"),
        ({"name": "a", "image_version": "1.0", "colour": "red"}, "colour"),
    ],
)
def test_a_body_that_cannot_be_is_refused_by_field(
    body: dict[str, Any], field: str, people: Mapping[str, Person]
) -> None:
    make_version()
    refused(send(people["owner"], "post", CLUSTERS, body), 400, "", field)
    assert not Cluster.objects.exists()


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "count"),
        ({"count": -1}, "count"),
        ({"count": 1001}, "count"),
        ({"count": "2"}, "count"),
        ({"count": 1, "location": "moon"}, "location"),
        ({"count": 1, "machine_type": "giant"}, "machine_type"),
    ],
)
def test_what_cannot_be_scaled_to_is_refused_by_field(
    body: dict[str, Any], field: str, people: Mapping[str, Person]
) -> None:
    cluster = make_cluster(people["owner"].user)
    refused(send(people["owner"], "post", of(cluster, "scale"), body), 400, "", field)


def test_a_cluster_in_use_is_not_archived_and_an_archived_one_is_not_changed(people: Mapping[str, Person]) -> None:
    owner, cluster = people["owner"], make_cluster(people["owner"].user)
    make_container(cluster)
    refused(send(owner, "delete", of(cluster)), 409, "CLUSTER_IN_USE")
    refused(send(owner, "patch", of(cluster), {"token": "new"}), 409, "CONTAINER_STATE")
    Container.objects.update(status=states.FAILED)
    assert send(owner, "delete", of(cluster)).status_code == 204
    refused(send(owner, "patch", of(cluster), {"name": "x"}), 404, "CLUSTER_NOT_FOUND")
    refused(send(owner, "delete", of(cluster)), 404, "CLUSTER_NOT_FOUND")


def test_who_has_as_many_as_they_may_is_told_so(people: Mapping[str, Person]) -> None:
    cluster = make_cluster(people["owner"].user)
    User.objects.update(instance_limit=1)
    refused(send(people["owner"], "post", of(cluster, "scale"), {"count": 2}), 403, "INSTANCE_LIMIT_REACHED")


def test_the_list_is_filtered_by_all_it_says(people: Mapping[str, Person]) -> None:
    owner = people["owner"].user
    idle, busy, failed, well = (make_cluster(owner, name) for name in ("idle", "busy", "failed", "well"))
    late = make_cluster(people["stranger"].user, "late", "2.0")
    Cluster.objects.filter(pk=late.pk).update(archived_at=timezone.now())
    for cluster, statuses in (
        (busy, [states.CREATING]),
        (failed, [states.FAILED]),
        (well, [states.RUNNING, states.STOPPED]),
    ):
        for status in statuses:
            Container.objects.filter(pk=make_container(cluster).pk).update(status=status)

    def named(query: str) -> list[str]:
        return [each["name"] for each in json_of(people["admin"].get(f"{CLUSTERS}?{query}"))["results"]]

    assert named("") == ["idle", "busy", "failed", "well"]
    assert named("order=-name") == ["well", "idle", "failed", "busy"]
    assert named("archived=true") == named("archived=1&image_version=2.0") == ["late"]
    assert named("name=idle&name=busy") == ["idle", "busy"]
    assert named("owner=stranger") == []
    assert named("customer=acme&archived=false") == ["idle", "busy", "failed", "well"]
    for status, name in (("idle", "idle"), ("pending", "busy"), ("failed", "failed"), ("running", "well")):
        assert named(f"status={status}") == [name]
    assert named("status=idle&status=running") == ["idle", "well"]
    Container.objects.filter(cluster=well, status=states.STOPPED).update(status=states.UNHEALTHY)
    assert named("status=degraded") == ["well"]
    Container.objects.filter(cluster=well, status=states.UNHEALTHY).update(status=states.RECONFIGURING)
    assert named("status=reconfiguring") == ["well"]
    shown = json_of(people["admin"].get(of(well)))
    assert (shown["status"], shown["containers"]) == ("reconfiguring", {"RUNNING": 1, "RECONFIGURING": 1})
    refused(people["admin"].get(f"{CLUSTERS}?status=odd"), 400, "", "status")
    refused(people["admin"].get(f"{CLUSTERS}?colour=red"), 400, "", "colour")
    assert idle.pk


def test_a_list_costs_the_same_for_any_number(people: Mapping[str, Person]) -> None:
    costs = []
    for count in (1, 3):
        for number in range(count):
            make_container(make_cluster(people["owner"].user, f"{count}-{number}"))
        with counted() as found:
            assert people["monitor"].get(CLUSTERS).status_code == 200
        costs.append(len(found))
    assert costs[0] == costs[1]


def test_a_cluster_says_why_it_is_not_as_it_is_wanted(people: Mapping[str, Person]) -> None:
    cluster = make_cluster(people["owner"].user)
    row, _ = make_container(cluster, name="ill"), make_container(cluster, name="well")
    stage = Stage()
    settle(keeper_of(stage))
    Container.objects.filter(pk=row.pk).update(status=states.UNHEALTHY, reason="NOT_WELL", detail="503")
    make_version("2.0")
    services.start_rollout(cluster=cluster, actor=None, image_version="2.0")
    said = json_of(people["owner"].get(of(cluster, "explain")))
    (ill,) = said["containers"]
    assert (ill["name"], ill["reason"], ill["detail"]) == ("ill", "NOT_WELL", "503")
    assert ill["words"] == "It runs, and does not answer its health check."
    assert (ill["place"]["cloud"], ill["place"]["is_kept"], ill["place"]["failure"]) == ("local", True, "")
    assert [(each["status"], each["containers_total"]) for each in said["rollouts"]] == [("ROLLING", 2)]
    assert said["status"] == "degraded"


# --- Rollouts --------------------------------------------------------------------------------------


def test_a_rollout_is_steered_and_shown(people: Mapping[str, Person]) -> None:
    owner, cluster = people["owner"], make_cluster(people["owner"].user)
    make_version("2.0")
    body = {"image_version": "2.0", "max_unavailable": 2}
    made = send(owner, "post", of(cluster, "rollouts"), body)
    assert made.status_code == 201, made.content
    path = made.headers["Location"].removeprefix("http://testserver")
    shown = made.json()
    assert (shown["before"], shown["image_version"], shown["max_unavailable"]) == ("1.0", "2.0", 2)
    assert json_of(owner.get(path)) == shown
    refused(send(owner, "post", of(cluster, "rollouts"), {"image_version": "1.0"}), 409, "ROLLOUT_STATE")
    refused(send(owner, "post", f"{path}resume/"), 409, "ROLLOUT_STATE")
    assert send(owner, "post", f"{path}pause/").json()["status"] == "PAUSED"
    refused(send(owner, "post", f"{path}pause/"), 409, "ROLLOUT_STATE")
    assert send(owner, "post", f"{path}resume/").json()["status"] == "ROLLING"
    assert send(owner, "post", f"{path}roll-back/").json()["is_back"] is True
    refused(send(owner, "post", f"{path}roll-back/"), 409, "ROLLOUT_STATE")
    settle(keeper_of(Stage()))
    services.advance_rollouts()
    ended = json_of(owner.get(of(cluster, "rollouts")))["results"]
    assert [(each["status"], each["containers_total"]) for each in ended] == [("ROLLED_BACK", None)]
    other = make_cluster(owner.user, "other")
    refused(owner.get(of(other, "rollouts", str(shown["id"]))), 404, "ROLLOUT_NOT_FOUND")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "image_version"),
        ({"image_version": "none"}, "image_version"),
        ({"image_version": "2.0", "max_unavailable": 0}, "max_unavailable"),
    ],
)
def test_a_rollout_that_cannot_be_is_refused_by_field(
    body: dict[str, Any], field: str, people: Mapping[str, Person]
) -> None:
    make_version("2.0")
    cluster = make_cluster(people["owner"].user)
    refused(send(people["owner"], "post", of(cluster, "rollouts"), body), 400, "", field)
