"""A keeper dies, or stands still, at every line between what is wanted and what stands: one of each, and none left."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from typing import Final
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from clusters import keeping, services, states
from clusters.keeping import Keeper
from clusters.models import Container, HostingPlace, Placement
from clusters.services import kept
from tests.at_lines import Died, at_line, die, reconnect, some_of
from tests.clusters.stage import Stage
from tests.factories import make_customer_user
from tests.fleet import keeper_of, make_cluster, make_container, make_version

pytestmark = [
    pytest.mark.django_db(transaction=True, serialized_rollback=True),
    pytest.mark.runs_once("postgresql", "what the database keeps of a transaction that is cut off is Django's on both"),
]
WATCHED: Final = (keeping.__file__, kept.__file__)


class Play:
    """One container after the other on one stage, up to a moment at which a keeper is about to act."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.owner = make_customer_user().user
        make_version("2.0")
        self.cluster = make_cluster(self.owner)
        self.row: Container | None = None

    def begin(self, act: str) -> Keeper:
        """There is something to `act` upon, and nothing else; who is to do it."""
        self.drop()
        self.settle()
        assert not self.stage.actors
        self.cluster.refresh_from_db()
        self.row = make_container(self.cluster)
        if act != "provision":
            self.settle()
            assert self.status() == states.RUNNING
        if act == "reconfigure":
            other = "1.0" if self.cluster.image_version.version == "2.0" else "2.0"
            services.change_cluster(cluster=self.cluster, actor=None, image_version=other)
        if act == "retire":
            self.drop()
        return keeper_of(self.stage)

    def drop(self) -> None:
        """Have it gone, if it is not going already."""
        if self.row is not None and self.status() not in (states.DELETING, states.DELETED):
            services.drop_container(container=self.row, actor=None)

    def status(self) -> str:
        assert self.row is not None
        self.row.refresh_from_db()
        return self.row.status

    def settle(self) -> None:
        """Others look, for as long as it takes."""
        past = timezone.now() - timedelta(hours=1)
        other = keeper_of(self.stage, UUID(int=2))
        for _ in range(6):
            HostingPlace.objects.update(kept_until=past)
            Placement.objects.filter(asked_at__isnull=False).update(asked_at=past)
            Placement.objects.filter(retired_at__isnull=False).update(retired_at=past)
            other.turn()
        HostingPlace.objects.update(kept_until=past)

    def is_over(self, act: str, what: str) -> None:
        """There is exactly what is wanted."""
        if act == "retire":
            assert (self.status(), len(self.stage.actors)) == (states.DELETED, 0), what
            return
        assert self.status() == states.RUNNING, what
        (actor,) = self.stage.actors.values()
        assert self.row is not None
        assert actor.service.image == self.row.image_version.image, what
        assert Placement.objects.filter(container=self.row, status__in=states.THERE).count() == 1, what


def lines_of(play: Play, act: str) -> int:
    keeper = play.begin(act)
    with at_line(WATCHED, 0, lambda: None) as seen:
        keeper.turn()
        keeper.turn()
    assert seen[0] > 50
    return seen[0]


@pytest.mark.parametrize("act", ["provision", "reconfigure", "retire"])
def test_one_that_dies_at_any_line_leaves_one_of_each(act: str) -> None:
    play = Play()
    lines = lines_of(play, act)
    for number in some_of(lines):
        keeper = play.begin(act)
        with at_line(WATCHED, number, die), contextlib.suppress(Died):
            keeper.turn()
            keeper.turn()
        reconnect()
        play.settle()
        play.is_over(act, f"died at line {number} of {lines}")


@pytest.mark.parametrize("act", ["provision", "reconfigure", "retire"])
@pytest.mark.parametrize("is_dropped", [False, True])
def test_one_that_stands_still_at_any_line_while_others_go_on_leaves_one_of_each(act: str, is_dropped: bool) -> None:
    play = Play()
    lines = lines_of(play, act)
    expected = "retire" if is_dropped else act

    def others_go_on() -> None:
        if connection.in_atomic_block:
            return  # what it holds locked, others wait for
        play.settle()
        if is_dropped:
            play.drop()
            play.settle()

    for number in some_of(lines):
        keeper = play.begin(act)
        with at_line(WATCHED, number, others_go_on):
            keeper.turn()
            keeper.turn()
        if is_dropped:
            play.drop()
        play.settle()
        play.is_over(expected, f"stood still at line {number} of {lines}")
