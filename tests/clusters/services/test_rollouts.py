"""Rollouts: under their bound, paused by what does not come up, and back."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import User
from clusters import services, states
from clusters.errors import ClusterNotFound, RolloutState, UnknownImageVersion
from clusters.models import Cluster, Container, Rollout
from clusters.providers.hosting import ServicePhase
from controlplane.core.errors import InvalidRequest
from tests.clusters.stage import Actor, Stage
from tests.factories import make_customer_user
from tests.fleet import keeper_of, make_cluster, make_version, settle

pytestmark = pytest.mark.django_db


class Fleet:
    """A cluster of so many containers that run version 1.0, on a stage where nothing new is ready by itself."""

    def __init__(self, count: int = 4) -> None:
        self.owner: User = make_customer_user().user
        self.owner.instance_limit = 20
        self.owner.save()
        self.stage = Stage()
        self.keeper = keeper_of(self.stage)
        self.cluster: Cluster = make_cluster(self.owner)
        make_version("2.0")
        services.scale_cluster(cluster=self.cluster, actor=self.owner, count=count)
        settle(self.keeper)
        self.stage.ready = False

    def roll(self, **more: Any) -> Rollout:
        rollout = services.start_rollout(cluster=self.cluster, actor=self.owner, image_version="2.0", **more)
        settle(self.keeper)
        return rollout

    def changing(self) -> list[Actor]:
        return [each for each in self.stage.actors.values() if each.wanted and each.wanted != each.revision]

    def ready(self) -> None:
        for actor in self.changing():
            self.stage.come(actor)
        settle(self.keeper)

    def versions(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in Container.objects.filter(archived_at=None).select_related("image_version"):
            found[row.image_version.version] = found.get(row.image_version.version, 0) + 1
        return found


@pytest.mark.parametrize(("bound", "steps"), [(1, 4), (3, 2), (9, 1)])
def test_no_more_than_the_bound_are_being_changed_at_a_time(bound: int, steps: int) -> None:
    fleet = Fleet()
    rollout = fleet.roll(max_unavailable=bound)
    taken = 0
    while fleet.changing():
        assert len(fleet.changing()) <= bound
        taken += 1
        fleet.ready()
    assert taken == steps
    rollout.refresh_from_db()
    assert (rollout.status, fleet.versions()) == (states.COMPLETED, {"2.0": 4})
    assert rollout.ended_at is not None
    assert {actor.service.image for actor in fleet.stage.actors.values()} == {"localhost/media:2.0"}
    assert set(Container.objects.values_list("status", flat=True)) == {states.RUNNING}


def test_one_that_is_down_counts_and_is_changed_first() -> None:
    fleet = Fleet()
    actor = next(iter(fleet.stage.actors.values()))
    actor.phase = ServicePhase.PROVISIONING
    settle(fleet.keeper)
    fleet.roll(max_unavailable=1)
    assert fleet.changing() == [actor]


def test_new_ones_and_those_that_do_not_run_are_of_the_new_version_at_once() -> None:
    fleet = Fleet(2)
    stopped = Container.objects.order_by("pk")[0]
    services.stop_container(container=stopped, actor=None)
    settle(fleet.keeper)
    fleet.roll()
    services.scale_cluster(cluster=fleet.cluster, actor=None, count=3)
    stopped.refresh_from_db()
    newest = Container.objects.order_by("-pk")[0]
    assert stopped.image_version.version == newest.image_version.version == "2.0"


def test_one_that_does_not_come_up_pauses_it_and_the_others_are_left_as_they_are() -> None:
    fleet = Fleet()
    rollout = fleet.roll()
    (actor,) = fleet.changing()
    actor.wanted, actor.detail = "", "no such image"
    settle(fleet.keeper)
    rollout.refresh_from_db()
    assert rollout.status == states.PAUSED
    assert "did not come up with 2.0: no such image" in rollout.reason
    assert fleet.versions() == {"1.0": 3, "2.0": 1}
    services.resume_rollout(rollout=rollout, actor=None)
    settle(fleet.keeper)
    assert fleet.changing() == [actor], "it is tried again"
    while fleet.changing():
        fleet.ready()
    rollout.refresh_from_db()
    assert rollout.status == states.COMPLETED


def test_paused_it_changes_nothing_more_until_it_is_resumed() -> None:
    fleet = Fleet()
    rollout = fleet.roll()
    services.pause_rollout(rollout=rollout, actor=None)
    fleet.ready()
    assert not fleet.changing()
    assert fleet.versions() == {"1.0": 3, "2.0": 1}
    services.resume_rollout(rollout=rollout, actor=None)
    settle(fleet.keeper)
    assert len(fleet.changing()) == 1


def test_rolled_back_all_run_the_version_before() -> None:
    fleet = Fleet()
    rollout = fleet.roll(max_unavailable=2)
    fleet.ready()
    services.roll_back(rollout=rollout, actor=None)
    while True:
        settle(fleet.keeper)
        if not fleet.changing():
            break
        assert len(fleet.changing()) <= 2
        fleet.ready()
    rollout.refresh_from_db()
    fleet.cluster.refresh_from_db()
    assert (rollout.status, fleet.versions()) == (states.ROLLED_BACK, {"1.0": 4})
    assert fleet.cluster.image_version.version == "1.0"
    with pytest.raises(RolloutState):
        services.roll_back(rollout=rollout, actor=None)


def test_another_decision_supersedes_it() -> None:
    fleet = Fleet(1)
    rollout = fleet.roll()
    fleet.ready()
    rollout = Rollout.objects.get(pk=rollout.pk)
    assert rollout.status == states.COMPLETED
    rollout = services.start_rollout(cluster=fleet.cluster, actor=None, image_version="1.0")
    services.pause_rollout(rollout=rollout, actor=None)
    services.change_cluster(cluster=fleet.cluster, actor=None, token="another")
    rollout.refresh_from_db()
    assert rollout.status == states.SUPERSEDED


def test_what_cannot_be_rolled_is_refused() -> None:
    fleet = Fleet(1)
    for wish, field in (({"image_version": "1.0"}, "image_version"), ({"max_unavailable": 0}, "max_unavailable")):
        wishes: dict[str, Any] = {"image_version": "2.0", **wish}
        with pytest.raises(InvalidRequest) as refused:
            services.start_rollout(cluster=fleet.cluster, actor=None, **wishes)
        assert refused.value.field == field
    with pytest.raises(UnknownImageVersion):
        services.start_rollout(cluster=fleet.cluster, actor=None, image_version="no")
    rollout = fleet.roll()
    with pytest.raises(RolloutState):
        services.start_rollout(cluster=fleet.cluster, actor=None, image_version="2.0", max_unavailable=2)
    with pytest.raises(RolloutState):
        services.resume_rollout(rollout=rollout, actor=None)
    fleet.ready()
    for refused_move in (services.pause_rollout, services.resume_rollout, services.roll_back):
        with pytest.raises(RolloutState):
            refused_move(rollout=rollout, actor=None)
    services.scale_cluster(cluster=fleet.cluster, actor=None, count=0)
    settle(fleet.keeper)
    services.archive_cluster(cluster=fleet.cluster, actor=None)
    with pytest.raises(ClusterNotFound):
        services.start_rollout(cluster=fleet.cluster, actor=None, image_version="1.0")
