"""What keepers make of what is wanted and what is seen, against a place whose answers we decide on."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from accounts.models import Event
from clusters import services, states
from clusters.errors import ContainerState
from clusters.models import Container, HostingPlace, Placement
from clusters.providers.errors import AuthFailed, NoCapacity, ProviderError, Refused, Throttled
from clusters.providers.hosting import ServicePhase
from tests.clusters.stage import Actor, Stage
from tests.factories import make_customer_user
from tests.fleet import keeper_of, make_cluster, make_container, make_version, settle
from tests.query_budget import counted

pytestmark = pytest.mark.django_db


def container(**more: Any) -> Container:
    return make_container(make_cluster(make_customer_user().user), **more)


def running(stage: Stage, **more: Any) -> Container:
    made = container(**more)
    settle(keeper_of(stage))
    made.refresh_from_db()
    assert made.status == states.RUNNING
    return made


def status(row: Container) -> tuple[str, str]:
    row.refresh_from_db()
    return row.status, row.reason


def the_actor(stage: Stage) -> Actor:
    (actor,) = stage.actors.values()
    return actor


def moves(row: Container) -> list[str]:
    rows = Event.objects.filter(kind="container.moved", subject_id=row.pk).order_by("pk")
    return [event.after["status"] for event in rows if event.after]


def payloads() -> list[Any]:
    return [event.fishjam for event in Event.objects.exclude(fishjam=None).order_by("pk")]


def make_older(**more: Any) -> None:
    Placement.objects.update(asked_at=timezone.now() - timedelta(minutes=2), **more)


# Coming


def test_what_is_wanted_is_asked_for_once_and_runs() -> None:
    stage = Stage()
    row = running(stage, name="one", routing_key="r-1")
    assert moves(row) == ["CREATING", "RUNNING"]
    assert [call for call, _ in stage.calls].count("provision") == 1
    service = the_actor(stage).service
    assert service.name == str(Placement.objects.get().uuid)
    assert service.secrets == {"FJ_SERVER_API_TOKEN": services.token_of(row.cluster)}
    assert service.env == {"CLUSTER_UUID": str(row.cluster.uuid), "CONTAINER_UUID": str(row.uuid)}
    assert (service.vcpus_milli, service.memory_mib) == (250, 512)
    assert row.started_at is not None
    placement = Placement.objects.get()
    assert (placement.status, placement.host, placement.ports) == (states.STANDING, "127.0.0.1", {"5002": 40001})
    data = {"uuid": str(row.uuid), "name": "one", "status": "running", "title": "CreateContainerData"}
    assert payloads() == [{"kind": "create_container", "data": data}]


def test_one_with_a_probe_runs_when_it_has_answered() -> None:
    make_version("probed", probe_port=5002, probe_path="/health")
    stage = Stage(ready=False)
    row = make_container(make_cluster(make_customer_user().user, version="probed"))
    keeper = keeper_of(stage)
    settle(keeper)
    assert status(row) == (states.CREATING, "")
    stage.come(the_actor(stage), is_healthy=None)
    settle(keeper)
    assert status(row) == (states.CREATING, "")
    the_actor(stage).is_healthy = True
    settle(keeper)
    assert status(row) == (states.RUNNING, "")
    the_actor(stage).is_healthy = False
    settle(keeper)
    assert status(row) == (states.UNHEALTHY, "NOT_WELL")
    the_actor(stage).is_healthy = True
    settle(keeper)
    assert status(row) == (states.RUNNING, "")


def test_who_waits_for_room_is_told_so_and_comes_when_there_is_some() -> None:
    stage = Stage(ready=False)
    row, keeper = container(), keeper_of(stage)
    stage.fault = lambda call: NoCapacity("no room") if call == "provision" else None
    settle(keeper)
    assert status(row) == (states.PENDING, "NO_ROOM")
    assert row.detail == "no room"
    stage.fault = lambda call: None
    settle(keeper)
    the_actor(stage).lacks_room = True
    settle(keeper)
    assert status(row) == (states.CREATING, "NO_ROOM")
    stage.come(the_actor(stage))
    settle(keeper)
    assert status(row) == (states.RUNNING, "")


def test_what_is_refused_has_failed_says_why_and_can_be_tried_anew() -> None:
    stage = Stage()
    row, keeper = container(), keeper_of(stage)
    stage.fault = lambda call: Refused("no such image") if call == "provision" else None
    settle(keeper)
    assert status(row) == (states.FAILED, "REFUSED")
    assert row.detail == "no such image"
    (told,) = payloads()
    assert (told["kind"], told["data"]["reason"]) == ("create_container", "REFUSED")
    settle(keeper)
    assert not Placement.objects.exclude(status=states.GONE).exists()
    stage.fault = lambda call: None
    services.start_container(container=row, actor=row.owner)
    settle(keeper)
    assert status(row) == (states.RUNNING, "")


def test_what_never_comes_up_has_failed() -> None:
    stage = Stage(ready=False)
    row, keeper = container(), keeper_of(stage)
    settle(keeper)
    the_actor(stage).phase, the_actor(stage).detail = ServicePhase.FAILED, "exit code 3"
    settle(keeper)
    assert status(row) == (states.FAILED, "GIVEN_UP")
    assert row.detail == "exit code 3"
    settle(keeper)
    assert not stage.actors, "nothing of it is left at the place"


# Ending by itself


def test_one_that_ends_is_unhealthy_until_it_runs_again() -> None:
    stage = Stage()
    row, keeper = running(stage), keeper_of(stage)
    actor = the_actor(stage)
    actor.phase, actor.restarts = ServicePhase.PROVISIONING, 1
    settle(keeper)
    assert status(row) == (states.UNHEALTHY, "RESTARTING")
    stage.come(actor)
    settle(keeper)
    assert status(row) == (states.RUNNING, "")
    placement = Placement.objects.get()
    assert (placement.restarts, placement.ends) == (1, 1)


def test_one_that_ends_again_and_again_is_given_up() -> None:
    make_version("fragile", max_restarts=2)
    stage = Stage()
    row = make_container(make_cluster(make_customer_user().user, version="fragile"))
    keeper = keeper_of(stage)
    settle(keeper)
    for restarts in (1, 2):
        the_actor(stage).restarts = restarts
        settle(keeper)
        assert status(row)[0] == states.RUNNING
    the_actor(stage).restarts = 3
    settle(keeper)
    assert status(row) == (states.FAILED, "KEEPS_ENDING")
    assert not stage.actors


def test_what_is_removed_at_its_place_is_made_anew() -> None:
    stage = Stage()
    row, keeper = running(stage), keeper_of(stage)
    stage.actors.clear()
    settle(keeper)
    assert status(row) == (states.RUNNING, "")
    assert moves(row)[2:] == ["UNHEALTHY", "RUNNING"]
    assert len(stage.actors) == 1


def test_what_was_just_asked_for_and_is_not_shown_yet_is_waited_for() -> None:
    stage = Stage()
    row, keeper = container(), keeper_of(stage)
    stage.dies_after = lambda call: call == "provision"
    with pytest.raises(SystemExit):
        keeper.turn()
    stage.dies_after = lambda call: False
    stage.actors.clear()
    settle(keeper)
    assert [call for call, _ in stage.calls].count("provision") == 2
    stage.actors.clear()
    Placement.objects.update(seen_at=None)
    settle(keeper)
    assert status(row)[0] in (states.CREATING, states.RUNNING)
    assert [call for call, _ in stage.calls].count("provision") == 2
    make_older()
    settle(keeper)
    assert [call for call, _ in stage.calls].count("provision") == 3


# Changing


def test_another_size_reconfigures_it_in_place() -> None:
    stage = Stage(ready=False)
    row, keeper = container(), keeper_of(stage)
    settle(keeper)
    stage.come(the_actor(stage))
    settle(keeper)
    services.change_container(
        container=row, actor=row.owner, machine_type="small", location=row.location, routing_key="new"
    )
    assert status(row)[0] == states.RECONFIGURING
    with pytest.raises(ContainerState):
        services.change_container(
            container=row, actor=row.owner, machine_type="large", location=row.location, routing_key="new"
        )
    settle(keeper)
    assert status(row)[0] == states.RECONFIGURING
    assert the_actor(stage).service.memory_mib == 1024
    stage.come(the_actor(stage))
    settle(keeper)
    assert status(row) == (states.RUNNING, "")
    assert [call for call, _ in stage.calls].count("reconfigure") == 1


def test_a_new_configuration_that_does_not_come_up_leaves_the_old_one_and_says_so() -> None:
    stage = Stage()
    row, keeper = running(stage), keeper_of(stage)
    stage.ready = False
    make_version("2.0")
    services.change_cluster(cluster=row.cluster, actor=row.owner, image_version="2.0")
    settle(keeper)
    actor = the_actor(stage)
    actor.wanted, actor.detail = "", "no such image"
    settle(keeper)
    assert status(row) == (states.UNHEALTHY, "NEW_ONE_FAILED")
    assert row.detail == "no such image"


def test_at_another_place_the_old_one_serves_until_the_new_one_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = Stage(), Stage(ready=False)
    monkeypatch.setattr(type(there), "region", property(lambda self: "there" if self is there else "local"))
    row, keeper = running(here), keeper_of(here)
    elsewhere, other = HostingPlace.objects.create(cloud="local", region="there"), keeper_of(there)
    monkeypatch.setattr("clusters.services.containers.place_for", lambda location, machine_type: elsewhere)
    services.change_container(
        container=row, actor=row.owner, machine_type="xsmall", location="us_east", routing_key=row.routing_key
    )
    for _ in range(3):
        settle(keeper)
        settle(other)
    assert len(here.actors) == len(there.actors) == 1
    there.come(the_actor(there))
    settle(other)
    settle(keeper)
    assert status(row) == (states.RUNNING, "")
    assert (len(here.actors), len(there.actors)) == (0, 1)


# Going


def test_dropped_it_goes_and_is_told_of() -> None:
    stage = Stage()
    row, keeper = running(stage), keeper_of(stage)
    services.drop_container(container=row, actor=row.owner)
    assert status(row)[0] == states.DELETING
    settle(keeper)
    assert status(row)[0] == states.DELETED
    assert not stage.actors
    assert payloads()[-1]["data"]["status"] == "deleted"
    with pytest.raises(ContainerState):
        services.drop_container(container=row, actor=row.owner)


def test_stopped_it_stays_and_can_be_started_again() -> None:
    stage = Stage()
    row, keeper = running(stage), keeper_of(stage)
    services.stop_container(container=row, actor=row.owner)
    settle(keeper)
    assert status(row)[0] == states.STOPPED
    assert not stage.actors
    services.start_container(container=row, actor=row.owner)
    settle(keeper)
    assert status(row)[0] == states.RUNNING


def test_dropped_before_anybody_asked_for_it_nothing_is_ever_asked_for() -> None:
    stage = Stage()
    row, keeper = container(), keeper_of(stage)
    services.drop_container(container=row, actor=row.owner)
    settle(keeper)
    assert status(row)[0] == states.DELETED
    assert "provision" not in dict(stage.calls)


def test_one_that_its_place_refuses_to_end_has_failed_and_can_be_dropped_again() -> None:
    stage = Stage()
    row, keeper = running(stage), keeper_of(stage)
    stage.fault = lambda call: Refused("it is protected") if call == "retire" else None
    services.drop_container(container=row, actor=row.owner)
    settle(keeper)
    assert status(row) == (states.FAILED, "REFUSED")
    assert payloads()[-1] == {
        "kind": "delete_container",
        "data": {"uuid": str(row.uuid), "name": row.name, "reason": "REFUSED", "title": "DeleteContainerData"},
    }
    stage.fault = lambda call: None
    services.drop_container(container=row, actor=row.owner)
    Placement.objects.update(retired_at=None)
    settle(keeper)
    assert status(row)[0] == states.DELETED
    assert not stage.actors


# Dying


@pytest.mark.parametrize("call", ["provision", "reconfigure", "retire"])
def test_who_dies_after_a_call_leaves_nothing_behind_and_doubles_nothing(call: str) -> None:
    stage = Stage()
    row = container()
    make_version("2.0")

    def dies() -> None:
        stage.dies_after = lambda made: made == call
        with pytest.raises(SystemExit):
            settle(keeper_of(stage))
        stage.dies_after = lambda made: False

    if call == "provision":
        dies()
    settle(keeper_of(stage))
    assert len(stage.actors) == 1
    services.change_cluster(cluster=row.cluster, actor=row.owner, image_version="2.0")
    if call == "reconfigure":
        dies()
    settle(keeper_of(stage))
    assert the_actor(stage).service.image == "localhost/media:2.0"
    services.drop_container(container=row, actor=row.owner)
    if call == "retire":
        dies()
        make_older(retired_at=None)
    settle(keeper_of(stage))
    assert not stage.actors
    assert status(row)[0] == states.DELETED


def test_what_was_provisioned_by_one_who_died_and_dropped_meanwhile_is_found_and_goes() -> None:
    stage = Stage()
    row = container()
    stage.dies_after = lambda call: call == "provision"
    with pytest.raises(SystemExit):
        settle(keeper_of(stage))
    stage.dies_after = lambda call: False
    services.drop_container(container=row, actor=row.owner)
    settle(keeper_of(stage))
    make_older()
    settle(keeper_of(stage))
    assert not stage.actors
    settle(keeper_of(stage))
    assert status(row)[0] == states.DELETED


def test_what_stands_there_and_has_ended_here_is_swept_away_and_nothing_else() -> None:
    stage = Stage()
    row = running(stage)
    strays = dict(stage.actors)
    services.drop_container(container=row, actor=row.owner)
    settle(keeper_of(stage))
    assert not stage.actors
    stage.actors |= strays
    others = stage.provision(replace(the_actor(stage).service, name="01234567-89ab-4cde-8123-456789abcdef"))
    settle(keeper_of(stage))
    assert list(stage.actors) == [others]


# The place


@pytest.mark.parametrize(
    ("error", "rest"), [(ProviderError("no answer"), 1.0), (Throttled("slower", 7.0), 7.0), (AuthFailed("no"), 1.0)]
)
def test_a_place_that_fails_is_left_alone_for_a_while_and_loses_nothing(error: ProviderError, rest: float) -> None:
    stage = Stage()
    row, keeper = running(stage), keeper_of(stage)
    stage.fault = lambda call: error
    assert keeper.turn() == rest
    place = HostingPlace.objects.get()
    assert place.failure == str(error)
    assert place.failing_since is not None
    assert status(row)[0] == states.RUNNING
    stage.fault = lambda call: None
    keeper.turn()
    assert HostingPlace.objects.get().failure == ""


def test_a_place_is_kept_by_one_at_a_time() -> None:
    stage = Stage()
    first, second = keeper_of(stage), keeper_of(stage, UUID(int=2))
    first.turn()
    container()
    second.turn()
    assert not stage.actors
    first.leave()
    second.turn()
    assert len(stage.actors) == 1


def test_a_look_costs_the_same_whatever_there_is_to_see() -> None:
    stage = Stage()
    owner = make_customer_user().user
    owner.instance_limit = 100
    owner.save()
    cluster, keeper = make_cluster(owner), keeper_of(stage)
    make_container(cluster)
    settle(keeper)
    with counted() as few:
        keeper.turn()
    services.scale_cluster(cluster=cluster, actor=owner, count=40)
    settle(keeper)
    assert Container.objects.filter(status=states.RUNNING).count() == 40
    with counted() as many:
        keeper.turn()
    assert len(many.texts) <= len(few.texts)
