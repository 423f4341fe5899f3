"""/api/v1/jellyfish, and what there is to choose from."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Mapping
from typing import Any, Final

import pytest

from accounts.models import Event, Standing, User
from clusters import services, states
from clusters.models import Cluster, Container, Location, Placement
from tests.clusters.stage import Stage
from tests.factories import Person
from tests.fleet import keeper_of, make_cluster, make_container, make_version, settle
from tests.people import WHO, everybody
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
JELLYFISH: Final = "/api/v1/jellyfish"
EDIT: Final = {"machine_type": "medium", "location": "eu_west", "routing_key": "blue"}
NOT_YOURS: Final = {"detail": "There is no such container, or it is not yours."}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


@pytest.fixture
def owner(people: Mapping[str, Person]) -> Person:
    return people["owner"]


@pytest.fixture
def cluster(owner: Person) -> Cluster:
    return make_cluster(owner.user)


def of(container: Container) -> str:
    return f"{JELLYFISH}/{container.uuid}"


def become(status: str, *rows: Container) -> None:
    Container.objects.filter(pk__in=[row.pk for row in rows]).update(status=status)


def create(person: Person, cluster: Cluster, **more: Any) -> Any:
    return person.post(JELLYFISH, {"cluster_uuid_hex": cluster.uuid.hex, **more})


@pytest.mark.parametrize("who", WHO)
def test_everybody_starts_reads_edits_and_drops_their_own_only(who: str, people: Mapping[str, Person]) -> None:
    person = people[who]
    others = make_container(make_cluster(people["stranger" if who != "stranger" else "owner"].user))
    become(states.RUNNING, others)
    asked = (
        lambda path: person.get(path),
        lambda path: person.put(path, EDIT),
        lambda path: person.delete(path),
    )
    if who in ("anonymous", "disabled"):
        assert create(person, others.cluster).status_code == 401
        assert {ask(of(others)).status_code for ask in asked} == {401}
        for path in (JELLYFISH, f"{JELLYFISH}/count", f"{JELLYFISH}/versions", "/api/v1/machines/locations"):
            assert (person.get(path).status_code, person.get(path).json()) == (401, {"detail": "Unauthorized"})
        return
    assert create(person, others.cluster).status_code == 404
    assert [(ask(of(others)).status_code, ask(of(others)).json()) for ask in asked] == [(404, NOT_YOURS)] * 3
    cluster = make_cluster(person.user)
    made = create(person, cluster)
    assert made.status_code == 201, made.content
    shown = made.json()
    row = Container.objects.get(uuid=shown["uuid"])
    assert shown == {
        "name": row.name,
        "uuid": str(row.uuid),
        "status": "pending",
        "container_id": None,
        "machine_type": "xsmall",
        "location": "eu_central",
        "routing_key": row.routing_key,
        "cluster_uuid": str(cluster.uuid),
    }
    assert person.get(JELLYFISH).json() == [shown]
    assert person.get(of(row)).json() == shown
    become(states.RUNNING, row)
    assert person.put(of(row), EDIT).json() == {"detail": "The instance is changed."}
    assert person.get(of(row)).json() == {**shown, **EDIT, "status": "reconfiguring"}
    dropped = person.delete(of(row))
    assert dropped.json() == {"uuid": shown["uuid"], "detail": "The instance is being deleted."}
    assert person.get(JELLYFISH).json() == []
    others.refresh_from_db()
    assert (others.status, others.routing_key, others.archived_at) == (states.RUNNING, others.routing_key, None)


def test_they_cost_little(owner: Person, cluster: Cluster) -> None:
    with within_budget("POST /api/v1/jellyfish"):
        made = create(owner, cluster, name="one", routing_key="red").json()
    path = f"{JELLYFISH}/{made['uuid']}"
    become(states.RUNNING, *Container.objects.all())
    with within_budget("GET /api/v1/jellyfish"):
        owner.get(path)
    with within_budget("PUT /api/v1/jellyfish"):
        assert owner.put(path, EDIT).status_code == 200
    with within_budget("DELETE /api/v1/jellyfish"):
        assert owner.delete(path).status_code == 200
    with within_budget("GET /api/v1/jellyfish/count"):
        owner.get(f"{JELLYFISH}/count", include_archived="true", cluster_uuid_hex=cluster.uuid.hex)
    with within_budget("GET /api/v1/jellyfish/versions"):
        owner.get(f"{JELLYFISH}/versions")
    with within_budget("GET /api/v1/machines/locations"):
        owner.get("/api/v1/machines/locations")


def test_a_list_costs_the_same_however_long(owner: Person, cluster: Cluster) -> None:
    found = []
    for number in (1, 2):
        make_container(cluster)
        make_container(cluster)
        with within_budget("GET /api/v1/jellyfish"), counted() as statements:
            assert len(owner.get(JELLYFISH).json()) == 2 * number
        found.append(len(statements))
    assert found[0] == found[1]


def test_names_and_keys_are_taken_as_given_or_made(owner: Person, cluster: Cluster) -> None:
    given = {"name": "n" * 64, "routing_key": "K" * 50, "machine_type": "xlarge", "location": "sa_east"}
    assert create(owner, cluster, **given).json().items() >= given.items()
    made = create(owner, cluster, name=None, routing_key=None).json()
    assert made["name"].startswith("media-")
    assert made["routing_key"]


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ({"name": ""}, 400),
        ({"name": " "}, 400),
        ({"name": "x" * 65}, 422),
        ({"name": "a\0b"}, 422),
        ({"name": 7}, 422),
        ({"routing_key": ""}, 400),
        ({"routing_key": "two words"}, 400),
        ({"routing_key": "ключ"}, 400),
        ({"routing_key": "x" * 51}, 422),
        ({"machine_type": "huge"}, 422),
        ({"machine_type": None}, 422),
        ({"location": "mars"}, 422),
        ({"location": 7}, 422),
        ({"cluster_uuid_hex": None}, 422),
        ({"cluster_uuid_hex": 7}, 422),
        ({"cluster_uuid_hex": "x"}, 404),
        ({"cluster_uuid_hex": ""}, 404),
        ({"cluster_uuid_hex": "\ud800"}, 422),
        ({"cluster_uuid_hex": str(uuid.uuid4())}, 404),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is(
    wish: dict[str, Any], status: int, owner: Person, cluster: Cluster
) -> None:
    answer = create(owner, cluster, **wish)
    assert answer.status_code == status, answer.content
    if status == 422:
        assert [each["loc"] for each in answer.json()["detail"]] == [["body", *wish]]
    assert not Container.objects.exists()


def test_what_is_not_offered_is_refused(owner: Person, cluster: Cluster) -> None:
    Location.objects.filter(name="eu_west", machine_type="medium").update(is_offered=False)
    row = make_container(cluster)
    become(states.RUNNING, row)
    for answer in (create(owner, cluster, location="eu_west", machine_type="medium"), owner.put(of(row), EDIT)):
        assert (answer.status_code, answer.json()) == (400, {"detail": "medium is not offered at eu_west."})
    assert Container.objects.get().location == "eu_central"


def test_a_routing_key_is_once_in_a_cluster(owner: Person, cluster: Cluster) -> None:
    first = create(owner, cluster, routing_key="blue").json()
    refused = create(owner, cluster, routing_key="blue")
    assert refused.status_code == 409
    assert refused.json() == {"detail": "Another container of the cluster has this routing key."}
    assert create(owner, make_cluster(owner.user, "other"), routing_key="blue").status_code == 201
    second = make_container(cluster)
    become(states.RUNNING, second)
    assert owner.put(of(second), EDIT).status_code == 409
    assert owner.delete(f"{JELLYFISH}/{first['uuid']}").status_code == 200
    assert owner.put(of(second), EDIT).status_code == 200


def test_the_limit_counts_what_is_neither_dropped_nor_failed(owner: Person, cluster: Cluster) -> None:
    User.objects.filter(pk=owner.user.pk).update(instance_limit=2)
    rows = [make_container(cluster) for _ in range(2)]
    refused = create(owner, cluster)
    assert refused.status_code == 403
    assert refused.json() == {"detail": "You have 2 of 2 containers that you may have."}
    become(states.FAILED, rows[0])
    assert create(owner, cluster).status_code == 201
    assert create(owner, cluster).status_code == 403
    assert owner.delete(of(rows[1])).status_code == 200
    assert create(owner, cluster).status_code == 201


def test_past_the_free_tier_payment_details_are_needed(owner: Person, cluster: Cluster) -> None:
    customer = owner.user.customer
    assert customer is not None
    standing = Standing.objects.create(customer=customer, used=101, allowance=100)
    refused = create(owner, cluster)
    assert refused.status_code == 403
    assert "free" in refused.json()["detail"]
    told = owner.get("/api/v1/auth/user").json()
    assert (told["has_surpassed_free_tier"], told["free_tier_jellyseconds"]) == (True, 100)
    Standing.objects.filter(pk=standing.pk).update(has_payment_details=True)
    assert create(owner, cluster).status_code == 201
    assert owner.get("/api/v1/auth/user").json()["has_used_instances"] is True


# --- What is shown ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "shown"),
    [(status, status.lower()) for status in states.CONTAINER_STATES if status not in ("UNHEALTHY", "STOPPING")]
    + [(states.UNHEALTHY, "running"), (states.STOPPING, "stopped")],
)
def test_each_state_has_a_word_of_fishjam_s(status: str, shown: str, owner: Person, cluster: Cluster) -> None:
    row = make_container(cluster)
    become(status, row)
    assert owner.get(of(row)).json()["status"] == shown


def test_the_container_id_is_the_run_s_or_the_handle(owner: Person, cluster: Cluster) -> None:
    row = make_container(cluster)
    assert owner.get(of(row)).json()["container_id"] is None
    settle(keeper_of(Stage()))
    stands = Placement.objects.get()
    assert stands.run
    assert [each["container_id"] for each in owner.get(JELLYFISH).json()] == [stands.run]
    assert owner.get(of(row)).json() == owner.get(JELLYFISH).json()[0]
    Placement.objects.update(run="")
    assert owner.get(of(row)).json()["container_id"] == stands.handle


def test_a_uuid_may_have_no_dashes_and_be_in_either_case(owner: Person, cluster: Cluster) -> None:
    key = str(make_container(cluster).uuid)
    for spelt in (key, key.replace("-", ""), key.upper(), key.replace("-", "").upper()):
        assert owner.get(f"{JELLYFISH}/{spelt}").json()["uuid"] == key
        listed = owner.get(JELLYFISH, cluster_uuid_hex=str(cluster.uuid).upper()).json()
        assert [each["uuid"] for each in listed] == [key]
    for strange in ("x", "7", key[:-1], f"{{{key}}}", str(uuid.uuid4())):
        assert owner.get(f"{JELLYFISH}/{strange}").status_code == 404


def test_lists_and_counts_are_of_one_cluster_and_of_what_was_dropped_when_asked(
    people: Mapping[str, Person], owner: Person, cluster: Cluster
) -> None:
    kept, dropped = make_container(cluster), make_container(cluster)
    services.drop_container(container=dropped, actor=owner.user)
    elsewhere = make_container(make_cluster(owner.user, "other"))
    theirs = make_container(make_cluster(people["stranger"].user))

    def listed(**query: str) -> list[str]:
        found = [each["uuid"] for each in owner.get(JELLYFISH, **query).json()]
        assert owner.get(f"{JELLYFISH}/count", **query).json() == {"count": len(found)}
        return found

    here = cluster.uuid.hex
    assert listed() == [str(kept.uuid), str(elsewhere.uuid)]
    assert listed(include_archived="false") == listed()
    assert listed(include_archived="true") == [str(row.uuid) for row in (kept, dropped, elsewhere)]
    assert listed(cluster_uuid_hex=here) == [str(kept.uuid)]
    assert listed(cluster_uuid_hex=here, include_archived="True") == [str(kept.uuid), str(dropped.uuid)]
    for unknown in (str(theirs.cluster.uuid), str(uuid.uuid4()), "x", "\0"):
        assert listed(cluster_uuid_hex=unknown, include_archived="1") == []
    for path, strange in itertools.product((JELLYFISH, f"{JELLYFISH}/count"), ("perhaps", "", "null")):
        refused = owner.get(path, include_archived=strange)
        assert refused.status_code == 422
        assert refused.json()["detail"] == [
            {"type": "value_error", "loc": ["query", "include_archived"], "msg": "This is true or false."}
        ]


# --- Edit and drop ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", states.CONTAINER_STATES)
def test_only_what_runs_or_has_failed_is_edited(status: str, owner: Person, cluster: Cluster) -> None:
    row = make_container(cluster)
    Placement.objects.all().delete()
    become(status, row)
    answer = owner.put(of(row), EDIT)
    row.refresh_from_db()
    if status in (states.RUNNING, states.UNHEALTHY, states.FAILED):
        assert answer.status_code == 200
        assert (row.machine_type, row.location, row.routing_key, row.generation) == ("medium", "eu_west", "blue", 2)
        return
    assert answer.status_code == 400
    assert answer.json() == {"detail": f"The container is {status.lower()}, which does not allow this."}
    assert row.machine_type == "xsmall"


@pytest.mark.parametrize("missing", EDIT)
def test_an_edit_needs_all_three(missing: str, owner: Person, cluster: Cluster) -> None:
    row = make_container(cluster)
    become(states.RUNNING, row)
    for body in ({name: EDIT[name] for name in EDIT if name != missing}, {**EDIT, missing: None}):
        answer = owner.put(of(row), body)
        assert answer.status_code == 422
        assert [each["loc"] for each in answer.json()["detail"]] == [["body", missing]]


@pytest.mark.parametrize("status", states.CONTAINER_STATES)
def test_all_but_what_goes_or_is_gone_is_dropped(status: str, owner: Person, cluster: Cluster) -> None:
    row = make_container(cluster)
    become(status, row)
    answer = owner.delete(of(row))
    if status in (states.DELETING, states.DELETED):
        assert answer.status_code == 400
        assert answer.json() == {"detail": f"The container is {status.lower()} already."}
        return
    assert answer.status_code == 200
    row.refresh_from_db()
    assert row.archived_at is not None
    assert row.status == states.DELETING


def test_a_dropped_one_goes_soon_and_can_still_be_read(owner: Person, cluster: Cluster) -> None:
    stage = Stage()
    row = make_container(cluster)
    settle(keeper_of(stage))
    assert owner.get(of(row)).json()["status"] == "running"
    assert owner.delete(of(row)).status_code == 200
    assert owner.get(of(row)).json()["status"] == "deleting"
    settle(keeper_of(stage))
    assert owner.get(of(row)).json()["status"] in ("deleting", "deleted")
    become(states.DELETED, row)
    [shown] = owner.get(JELLYFISH, include_archived="true").json()
    assert shown == owner.get(of(row)).json()
    assert shown["status"] == "deleted"
    assert owner.delete(f"/api/v1/clusters/{cluster.uuid}").status_code == 200
    assert owner.get(of(row)).json() == shown
    assert owner.delete(of(row)).status_code == 400
    assert owner.put(of(row), EDIT).json() == {"detail": "The container is deleted."}
    assert Event.objects.filter(kind="container.moved", subject_id=row.pk).exists()


# --- What there is to choose from ------------------------------------------------------------------


def test_versions_are_those_that_one_may_choose(people: Mapping[str, Person]) -> None:
    make_version("1.0", is_deprecated=True)
    make_version("2.0", is_default=True)
    make_version("3.0")
    make_version("9.0", customers=[people["stranger"].user.customer])
    mine = [
        {"image_version": "2.0", "is_default": True, "is_deprecated": False},
        {"image_version": "3.0", "is_default": False, "is_deprecated": False},
        {"image_version": "1.0", "is_default": False, "is_deprecated": True},
    ]
    for who in ("admin", "operator", "monitor", "owner", "colleague"):
        assert people[who].get(f"{JELLYFISH}/versions").json() == mine
    assert [each["image_version"] for each in people["stranger"].get(f"{JELLYFISH}/versions").json()] == [
        "2.0", "9.0", "3.0", "1.0",
    ]  # fmt: skip


def test_locations_are_those_that_are_offered(owner: Person) -> None:
    Location.objects.exclude(name="us_east").exclude(name="eu_central").update(is_offered=False)
    Location.objects.filter(name="us_east").exclude(machine_type="small").update(is_offered=False)
    assert owner.get("/api/v1/machines/locations").json() == [
        {"location": "us_east", "display_name": "US East (N. Virginia)", "machine_types": ["small"]},
        {
            "location": "eu_central",
            "display_name": "Europe (Frankfurt)",
            "machine_types": ["xsmall", "small", "medium", "large", "xlarge"],
        },
    ]


def test_everybody_may_ask_whether_it_is_up(people: Mapping[str, Person]) -> None:
    with within_budget("GET /api/v1/healthcheck"):
        answer = people["anonymous"].get("/api/v1/healthcheck")
    assert (answer.status_code, answer.json()) == (200, {"detail": "It is up."})
