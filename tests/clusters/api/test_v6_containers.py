"""/v6/containers/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from unittest import mock

import pytest
from django.db import connection
from django.utils import timezone

from clusters import states
from clusters.models import Container, HostingPlace
from clusters.providers.errors import ProviderError
from clusters.queries import visible_containers
from tests.answers import json_of
from tests.clusters.stage import Stage
from tests.factories import Person
from tests.fleet import keeper_of, make_cluster, make_container, make_version, settle
from tests.people import WHO, everybody, refused
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
CONTAINERS = "/v6/containers/"
TARGETS = f"{CONTAINERS}prometheus-targets/"
STAFF = ("admin", "operator", "monitor")
GONE_AT = timezone.now()


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


def send(person: Person, method: str, path: str, body: Any = None, **headers: str) -> Any:
    call = getattr(person.client, method)
    return call(path, json.dumps(body), content_type="application/json", headers=headers)


def of(row: Container, *more: str) -> str:
    return f"{CONTAINERS}{'/'.join([str(row.uuid), *more])}/"


def running(people: Mapping[str, Person], **more: Any) -> Container:
    row = make_container(make_cluster(people["owner"].user), **more)
    settle(keeper_of(Stage()))
    row.refresh_from_db()
    assert row.status == states.RUNNING
    return row


@pytest.mark.parametrize("who", WHO)
def test_each_does_to_the_owner_s_what_the_table_says(who: str, people: Mapping[str, Person]) -> None:
    row, person = running(people), people[who]
    reads = 200 if who in (*STAFF, "owner") else 404
    changes = {"admin": 200, "owner": 200, "operator": 403, "monitor": 403}.get(who, 404)
    if who in ("anonymous", "disabled"):
        reads = changes = 401
    made = 201 if changes == 200 else changes
    assert person.get(of(row)).status_code == reads
    with mock.patch("clusters.explaining.hosting_at", return_value=Stage()):
        assert person.get(of(row, "explain")).status_code == reads
    assert send(person, "post", CONTAINERS, {"cluster": str(row.cluster.uuid)}).status_code == made
    assert send(person, "patch", of(row), {"routing_key": "r2"}).status_code == changes
    for verb in ("drain", "undrain", "stop"):
        assert send(person, "post", of(row, verb)).status_code == changes
    settle(keeper_of(Stage()))
    assert send(person, "post", of(row, "start")).status_code == changes
    assert send(person, "delete", of(row)).status_code == (204 if changes == 200 else changes)
    listed = person.get(CONTAINERS)
    assert listed.status_code == (401 if reads == 401 else 200)
    if reads == 404:
        assert json_of(listed)["results"] == []


@pytest.mark.parametrize("who", WHO)
def test_targets_are_for_those_who_may_read_all(who: str, people: Mapping[str, Person]) -> None:
    status = 200 if who in STAFF else 401 if who in ("anonymous", "disabled") else 403
    assert people[who].get(TARGETS).status_code == status


def test_what_runs_shows_where_it_is_reached(people: Mapping[str, Person]) -> None:
    row = running(people, name="one", routing_key="r")
    shown = json_of(people["owner"].get(of(row)))
    assert shown == json_of(people["monitor"].get(CONTAINERS))["results"][0]
    assert (shown["address"], shown["status"], shown["desired"]) == ("127.0.0.1:40001", "RUNNING", "RUNNING")
    assert shown["addresses"] == [{"port": 5002, "protocol": "tcp", "address": "127.0.0.1:40001"}]
    assert (shown["cluster"]["uuid"], shown["routing_key"]) == (str(row.cluster.uuid), "r")
    assert (shown["restarts"], shown["cloud"], shown["region"]) == (0, "local", "local")
    assert shown["run_started"] is not None


def test_a_repeated_key_makes_one(people: Mapping[str, Person]) -> None:
    body = {"cluster": str(make_cluster(people["owner"].user).pk), "name": "one", "routing_key": "r"}
    first, second = (send(people["owner"], "post", CONTAINERS, body, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, first.json()) == (201, second.json())
    refused(send(people["owner"], "post", CONTAINERS, body), 409, "ROUTING_KEY_TAKEN")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cluster": "x"}, "cluster"),
        ({"location": "moon"}, "location"),
        ({"machine_type": "giant"}, "machine_type"),
        ({"name": ""}, "name"),
        ({"routing_key": "a b"}, "routing_key"),
        ({"routing_key": "x" * 51}, "routing_key"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_body_that_cannot_be_is_refused_by_field(
    body: dict[str, Any], field: str, people: Mapping[str, Person]
) -> None:
    row = running(people)
    given = {"cluster": str(row.cluster.uuid), **body}
    refused(send(people["owner"], "post", CONTAINERS, given), 400, "", field)
    if field not in ("cluster", "name"):
        refused(send(people["owner"], "patch", of(row), body), 400, "", field)
    refused(send(people["owner"], "post", CONTAINERS, {}), 400, "", "cluster")


def test_a_state_that_does_not_allow_it_is_said(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    row = make_container(make_cluster(owner.user))
    refused(send(owner, "patch", of(row), {"machine_type": "large"}), 409, "CONTAINER_STATE")
    refused(send(owner, "post", of(row, "start")), 409, "CONTAINER_STATE")
    assert send(owner, "post", of(row, "stop")).status_code == 200
    refused(send(owner, "post", of(row, "stop")), 409, "CONTAINER_STATE")
    assert send(owner, "delete", of(row)).status_code == 204
    refused(send(owner, "delete", of(row)), 409, "CONTAINER_STATE")
    for verb in ("start", "stop", "drain", "undrain"):
        refused(send(owner, "post", of(row, verb)), 409, "CONTAINER_STATE")


def test_a_change_leaves_what_is_not_given(people: Mapping[str, Person]) -> None:
    row = running(people, routing_key="r")
    shown = send(people["owner"], "patch", of(row), {"machine_type": "large"}).json()
    assert (shown["machine_type"], shown["routing_key"], shown["location"]) == ("large", "r", "eu_central")
    assert shown["status"] == "RECONFIGURING"


def test_the_list_is_filtered_by_all_it_says(people: Mapping[str, Person]) -> None:
    cluster = make_cluster(people["owner"].user)
    one = make_container(cluster, name="one")
    two = make_container(make_cluster(people["stranger"].user, version="2.0"), name="two", machine_type="large")
    gone = make_container(cluster, name="gone")
    Container.objects.filter(pk=gone.pk).update(archived_at=GONE_AT, desired="DELETED", status="DELETED")

    def named(query: str) -> list[str]:
        return [each["name"] for each in json_of(people["admin"].get(f"{CONTAINERS}?{query}"))["results"]]

    assert named("") == ["one", "two"]
    assert named("order=-name") == ["two", "one"]
    assert named("archived=true") == named("archived=true&status=DELETED&desired=DELETED") == ["gone"]
    assert named(f"cluster={cluster.uuid}") == named(f"cluster={cluster.pk}") == ["one"]
    assert named("machine_type=large") == named("image_version=2.0") == named("name=two") == ["two"]
    assert named("location=eu_central&status=PENDING") == ["one", "two"]
    assert named("location=us_east") == []
    for name in ("status", "desired", "location", "machine_type", "cluster"):
        refused(people["admin"].get(f"{CONTAINERS}?{name}=?"), 400, "", name)
    assert one.pk < two.pk


def test_lists_cost_the_same_for_any_number(people: Mapping[str, Person]) -> None:
    make_version("m", metrics_port=5002)
    cluster = make_cluster(people["owner"].user, version="m")
    costs = []
    for count in (1, 4):
        for _ in range(count):
            make_container(cluster)
        settle(keeper_of(Stage()))
        with counted() as listed:
            assert people["monitor"].get(CONTAINERS).status_code == 200
        with counted() as told:
            assert people["monitor"].get(TARGETS).status_code == 200
        costs.append((len(listed), len(told)))
    assert costs[0] == costs[1]


def test_prometheus_is_told_of_what_is_up_and_shows_figures(people: Mapping[str, Person]) -> None:
    make_version("m", metrics_port=5002, metrics_path="/figures")
    row = make_container(make_cluster(people["owner"].user, version="m"), name="one")
    make_container(make_cluster(people["owner"].user, "other"))  # which has no port for figures
    settle(keeper_of(Stage()))
    make_container(make_cluster(people["stranger"].user, version="m"))  # which does not run
    (told,) = json_of(people["monitor"].get(TARGETS))
    assert told["targets"] == [json_of(people["owner"].get(of(row)))["address"]]
    labels = told["labels"]
    assert all(isinstance(value, str) for value in labels.values())
    assert (labels["__metrics_path__"], labels["instance_uuid"]) == ("/figures", str(row.uuid))
    assert (labels["cluster_uuid"], labels["location"]) == (str(row.cluster.uuid), "eu_central")
    assert labels["user_email"] == (people["owner"].user.email or "")


def test_a_container_says_why_it_is_not_as_it_is_wanted(people: Mapping[str, Person]) -> None:
    row, stage = make_container(make_cluster(people["owner"].user)), Stage(ready=False)
    said = json_of(people["owner"].get(of(row, "explain")))
    assert (said["reason"], said["said"], said["handle"]) == ("NOT_KEPT", "", "")
    settle(keeper_of(stage))
    HostingPlace.objects.update(failure="no answer", failing_since=timezone.now())
    with mock.patch("clusters.explaining.hosting_at", return_value=stage):
        said = json_of(people["owner"].get(of(row, "explain")))
    assert (said["reason"], said["said"]) == ("PLACE_FAILS", "provisioning")
    assert said["place"]["failure"] == "no answer"
    assert said["handle"].startswith("local:")
    events = json_of(people["owner"].get(said["events"].removeprefix("http://testserver")))
    assert {each["kind"] for each in events["results"]} == {"container.created", "container.moved"}
    with mock.patch("clusters.explaining.hosting_at", side_effect=ProviderError("down")):
        said = json_of(people["owner"].get(of(row, "explain")))
    assert said["said"] == "The place could not be asked: down"


def test_the_list_is_served_by_an_index_in_its_order(people: Mapping[str, Person]) -> None:
    live = make_container(make_cluster(people["owner"].user))
    Container.objects.bulk_create(
        [
            Container(
                cluster=live.cluster, owner=live.owner, name=f"c{n}", routing_key=f"k{n}", machine_type="small",
                location="eu_central", image_version=live.image_version, status="DELETED", desired="DELETED",
                archived_at=GONE_AT,
            )
            for n in range(3000)
        ],
        batch_size=500,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE clusters_container")
    for who, index in (("monitor", "container_unarchived"), ("owner", "container_live")):
        rows = visible_containers(people[who].user).filter(archived_at=None).order_by("pk")[:100]
        plan = rows.explain()
        assert index in plan or "container_" in plan, plan
        assert "SCAN clusters_container\n" not in plan
        assert "Seq Scan on clusters_container " not in plan, plan
