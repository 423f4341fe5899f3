"""/api/v1/clusters."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any, Final

import pytest

from accounts.models import Event, User
from accounts.services import create_token
from clusters import services, states
from clusters.models import Cluster, Container
from tests.factories import Person
from tests.fleet import make_cluster, make_container, make_version
from tests.people import WHO, everybody
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
CLUSTERS: Final = "/api/v1/clusters"
BODY: Final = {"name": "media", "image_version": "1.0"}


@pytest.fixture
def people() -> Mapping[str, Person]:
    make_version()
    return everybody()


def of(cluster: Cluster) -> str:
    return f"{CLUSTERS}/{cluster.uuid}"


def become(status: str, *rows: Container) -> None:
    Container.objects.filter(pk__in=[row.pk for row in rows]).update(status=status)


@pytest.mark.parametrize("who", WHO)
def test_everybody_makes_reads_changes_and_deletes_their_own_only(who: str, people: Mapping[str, Person]) -> None:
    person = people[who]
    others = make_cluster(people["stranger" if who != "stranger" else "owner"].user, "theirs")
    made = person.post(CLUSTERS, {**BODY, "token": "of-mine"})
    if who in ("anonymous", "disabled"):
        assert (made.status_code, made.json()) == (401, {"detail": "Unauthorized"})
        for answer in (person.get(CLUSTERS), person.get(of(others)), person.patch(of(others), {"name": "mine"})):
            assert answer.status_code == 401
        assert person.delete(of(others)).status_code == 401
        return
    assert made.status_code == 201, made.content
    shown = made.json()
    assert shown == {**BODY, "token": "of-mine", "uuid": shown["uuid"], "status": "idle"}
    own = f"{CLUSTERS}/{shown['uuid']}"
    assert person.get(CLUSTERS).json() == [shown]
    assert person.get(own).json() == shown
    for answer in (person.get(of(others)), person.patch(of(others), {"name": "mine"}), person.delete(of(others))):
        assert answer.status_code == 404
        assert answer.json() == {"detail": "There is no such cluster, or it is not yours."}
    assert person.patch(own, {"name": "other"}).json() == {"detail": "The cluster is saved."}
    assert person.get(own).json() == {**shown, "name": "other"}
    assert person.delete(own).json() == {"uuid": shown["uuid"], "detail": "The cluster is deleted."}
    assert person.get(own).status_code == person.delete(own).status_code == 404
    assert person.get(CLUSTERS).json() == []
    others.refresh_from_db()
    assert (others.name, others.archived_at) == ("theirs", None)


def test_they_cost_little(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    with within_budget("POST /api/v1/clusters"):
        made = owner.post(CLUSTERS, BODY).json()
    path = f"{CLUSTERS}/{made['uuid']}"
    cluster = Cluster.objects.get()
    become(states.RUNNING, *(make_container(cluster) for _ in range(3)))
    with within_budget("GET /api/v1/clusters"):
        owner.get(path)
    make_version("2.0")
    with within_budget("PATCH /api/v1/clusters"):
        assert owner.patch(path, {"image_version": "2.0", "token": "new", "name": "new"}).status_code == 200
    become(states.FAILED, *Container.objects.all())
    with within_budget("DELETE /api/v1/clusters"):
        assert owner.delete(path).status_code == 200


def test_a_list_costs_the_same_however_long(people: Mapping[str, Person]) -> None:
    owner, found = people["owner"], []
    for number in range(2):
        for each in range(3):
            make_cluster(owner.user, f"{number}-{each}")
        make_container(Cluster.objects.latest("pk"))
        with within_budget("GET /api/v1/clusters"), counted() as statements:
            assert len(owner.get(CLUSTERS).json()) == 3 * (number + 1)
        found.append(len(statements))
    assert found[0] == found[1]


def test_a_uuid_may_have_no_dashes_and_be_in_either_case(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    key = str(make_cluster(owner.user).uuid)
    for spelt in (key, key.replace("-", ""), key.upper(), key.replace("-", "").upper()):
        assert owner.get(f"{CLUSTERS}/{spelt}").json()["uuid"] == key
    for strange in ("x", "7", key[:-1], f"{{{key}}}", str(uuid.uuid4()), "%00"):
        assert owner.get(f"{CLUSTERS}/{strange}").status_code == 404


def test_without_a_token_one_is_made_and_only_the_owner_sees_it(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    first = owner.post(CLUSTERS, BODY).json()
    second = owner.post(CLUSTERS, {**BODY, "name": "two", "token": None}).json()
    assert len({first["token"], second["token"]}) == 2
    assert len(first["token"]) >= 32
    stored = Cluster.objects.get(uuid=first["uuid"])
    assert first["token"] not in stored.secrets
    for who in ("admin", "operator", "monitor", "colleague", "stranger"):
        assert first["token"] not in people[who].get(CLUSTERS).content.decode()
    assert first["token"] not in str(list(Event.objects.values()))


def test_names_are_once_for_each_user_and_tokens_once_for_all(people: Mapping[str, Person]) -> None:
    owner, stranger = people["owner"], people["stranger"]
    made = owner.post(CLUSTERS, {**BODY, "token": "one"}).json()
    refused = owner.post(CLUSTERS, BODY)
    assert (refused.status_code, refused.json()["detail"]) == (409, "You have a cluster of that name already.")
    taken = stranger.post(CLUSTERS, {**BODY, "token": "one"})
    assert (taken.status_code, taken.json()["detail"]) == (409, "Another cluster has this token.")
    other = stranger.post(CLUSTERS, BODY).json()
    assert stranger.patch(f"{CLUSTERS}/{other['uuid']}", {"token": "one"}).status_code == 409
    owner.delete(f"{CLUSTERS}/{made['uuid']}")
    assert owner.post(CLUSTERS, {**BODY, "token": "one"}).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([], 422),
        ({}, 422),
        ({**BODY, "name": None}, 422),
        ({**BODY, "name": 7}, 422),
        ({**BODY, "name": "x" * 65}, 422),
        ({**BODY, "name": "a\0b"}, 422),
        ({**BODY, "name": ""}, 400),
        ({**BODY, "name": "  "}, 400),
        ({**BODY, "image_version": "x" * 129}, 422),
        ({**BODY, "image_version": "2.0"}, 400),
        ({**BODY, "image_version": ""}, 400),
        ({**BODY, "image_version": "\ud800"}, 422),
        ({**BODY, "token": ""}, 400),
        ({**BODY, "token": "x" * 129}, 422),
        ({**BODY, "token": True}, 422),
    ],
)
def test_what_cannot_be_made_is_refused_and_nothing_is(body: Any, status: int, people: Mapping[str, Person]) -> None:
    answer = people["owner"].post(CLUSTERS, body)
    assert answer.status_code == status, answer.content
    if status == 422 and isinstance(body, dict) and body:
        assert {each["loc"][0] for each in answer.json()["detail"]} == {"body"}
    assert not Cluster.objects.exists()


def test_limits_are_met(people: Mapping[str, Person]) -> None:
    body = {**BODY, "name": "n" * 64, "token": "t" * 128}
    assert people["owner"].post(CLUSTERS, body).json().items() >= body.items()


def test_a_version_of_another_customer_is_unknown(people: Mapping[str, Person]) -> None:
    make_version("9.0", customers=[people["stranger"].user.customer])
    refused = people["owner"].post(CLUSTERS, {**BODY, "image_version": "9.0"})
    assert (refused.status_code, refused.json()["detail"]) == (400, "There is no image version '9.0'.")
    assert people["admin"].post(CLUSTERS, {**BODY, "image_version": "9.0"}).status_code == 400
    assert people["stranger"].post(CLUSTERS, {**BODY, "image_version": "9.0"}).status_code == 201


def test_another_version_or_token_reconfigures_all_that_run_and_a_name_none(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    cluster = make_cluster(owner.user)
    rows = [make_container(cluster) for _ in range(3)]
    become(states.RUNNING, *rows[:2])
    become(states.FAILED, rows[2])
    make_version("2.0")
    assert owner.patch(of(cluster), {"name": "other", "image_version": "1.0", "token": None}).status_code == 200
    assert [row.generation for row in Container.objects.all()] == [1, 1, 1]
    assert owner.patch(of(cluster), {"image_version": "2.0"}).status_code == 200
    now = list(Container.objects.order_by("pk"))
    assert [row.status for row in now] == [states.RECONFIGURING, states.RECONFIGURING, states.FAILED]
    assert {row.image_version.version for row in now} == {"2.0"}
    assert owner.get(of(cluster)).json()["status"] == "reconfiguring"


@pytest.mark.parametrize("status", states.CHANGING)
def test_while_one_is_being_changed_nothing_of_it_is_done(status: str, people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    cluster = make_cluster(owner.user)
    rows = [make_container(cluster) for _ in range(2)]
    become(states.RUNNING, rows[0])
    become(status, rows[1])
    make_version("2.0")
    before = owner.get(of(cluster)).json()
    refused = owner.patch(of(cluster), {"name": "other", "image_version": "2.0", "token": "new"})
    assert refused.status_code == 400
    assert refused.json() == {"detail": "A container of the cluster is being changed: try again when it is done."}
    assert owner.get(of(cluster)).json() == before
    assert [row.generation for row in Container.objects.all()] == [1, 1]
    assert owner.patch(of(cluster), {"name": "other"}).status_code == 200


def test_one_with_active_instances_is_not_deleted(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    cluster = make_cluster(owner.user)
    row = make_container(cluster)
    refused = owner.delete(of(cluster))
    assert (refused.status_code, refused.json()["detail"]) == (400, "The cluster still has active containers.")
    services.drop_container(container=row, actor=owner.user)
    assert owner.delete(of(cluster)).status_code == 200


@pytest.mark.parametrize(
    ("of_instances", "shown"),
    [
        ([], "idle"),
        ([states.RUNNING, states.RUNNING], "running"),
        ([states.RUNNING, states.PENDING], "pending"),
        ([states.RUNNING, states.CREATING], "pending"),
        ([states.RUNNING, states.RECONFIGURING], "reconfiguring"),
        ([states.RUNNING, states.FAILED], "degraded"),
        ([states.RUNNING, states.UNHEALTHY], "degraded"),
        ([states.FAILED], "failed"),
        ([states.RUNNING, states.STOPPED], "running"),
    ],
)
def test_its_status_is_of_its_instances(of_instances: list[str], shown: str, people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    cluster = make_cluster(owner.user)
    for status in of_instances:
        become(status, make_container(cluster))
    assert [each["status"] for each in owner.get(CLUSTERS).json()] == [shown]
    assert owner.get(of(cluster)).json()["status"] == shown


def test_a_token_that_only_reads_changes_nothing(people: Mapping[str, Person]) -> None:
    owner: User = people["owner"].user
    reader = Person(owner, create_token(user=owner, actor=owner, scope="read").secret)
    cluster = make_cluster(owner)
    assert reader.get(CLUSTERS).status_code == 200
    assert reader.post(CLUSTERS, BODY).status_code == 403
    assert reader.delete(of(cluster)).status_code == 403
