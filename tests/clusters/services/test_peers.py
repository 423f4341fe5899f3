"""Peers' time, counted from what containers say: nothing twice, and nothing lost that was seen."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st

from clusters import services, states
from clusters.models import Container, PeerReading, PeerTime, Placement
from clusters.services.peers import by_hour
from clusters.telemetry import peers
from tests.clusters.exposer import Exposer, exposer, http
from tests.clusters.stage import Stage
from tests.clusters.test_media_server import Media
from tests.factories import make_customer_user
from tests.fleet import keeper_of, make_cluster, make_container, make_version, settle
from tests.postgresql import free_port
from tests.query_budget import counted, within_budget
from tests.threads import at_once

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def server() -> Iterator[Exposer]:
    with exposer() as made:
        yield made


def running(port: int, count: int = 1) -> list[Container]:
    """So many containers that run, all of them at this port."""
    make_version(metrics_port=5002)
    owner = make_customer_user().user
    owner.instance_limit = count
    owner.save()
    cluster = make_cluster(owner)
    made = [make_container(cluster) for _ in range(count)]
    settle(keeper_of(Stage()))
    assert Placement.objects.filter(container__in=made).update(ports={"5002": port}) == count
    return made


def total(container: Container | None = None) -> int:
    rows = PeerTime.objects.all() if container is None else container.peer_times.all()
    return rows.aggregate(total=Sum("milliseconds"))["total"] or 0


# What is added up


def test_what_came_since_the_last_reading_is_added(server: Exposer) -> None:
    (container,) = running(server.port)
    server.say({"one": 10.0})
    assert services.count_peers() == 1
    assert total() == 10_000
    server.say({"one": 12.5, "two": 1.0})
    services.count_peers()
    assert total(container) == 13_500
    services.count_peers()
    assert total() == 13_500
    reading = PeerReading.objects.get()
    assert reading.values == {'{"room_id":"one"}': 12_500, '{"room_id":"two"}': 1000}
    assert reading.run == reading.placement.run
    assert all(row.hour == row.hour.replace(minute=0, second=0, microsecond=0) for row in PeerTime.objects.all())


def test_a_server_that_was_started_anew_counts_from_nothing(server: Exposer) -> None:
    running(server.port)
    server.say({"one": 10.0})
    services.count_peers()
    Placement.objects.update(run="another")
    server.say({"one": 11.0})
    services.count_peers()
    assert total() == 21_000


def test_what_leaves_is_read_until_it_has_gone(server: Exposer) -> None:
    (container,) = running(server.port)
    server.say({"one": 1.0})
    services.count_peers()
    services.drop_container(container=container, actor=container.owner)
    server.say({"one": 3.0})
    services.count_peers()
    assert total() == 3000
    Placement.objects.update(status=states.GONE, ended_at=timezone.now())
    running(server.port)
    services.count_peers()
    assert not PeerReading.objects.filter(placement__container=container).exists()
    assert total(container) == 3000


rooms = st.sampled_from("abcd")
steps = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), rooms, st.integers(0, 90_000)),
        st.tuples(st.sampled_from(["close", "restart", "lose", "read"]), rooms, st.just(0)),
    ),
    max_size=25,
)


def test_whatever_happens_the_sum_is_what_was_seen(server: Exposer) -> None:
    """Rooms never come back under the same name, but in another run."""
    running(server.port)

    @settings(max_examples=60, deadline=None, database=None)
    @given(steps)
    def holds(happened: list[tuple[str, str, int]]) -> None:
        PeerReading.objects.all().delete()
        PeerTime.objects.all().delete()
        run, opened, now, seen = 0, 0, dict[str, int](), dict[tuple[int, str], int]()
        names = dict[str, str]()
        for what, room, milliseconds in [*happened, ("read", "a", 0)]:
            if what == "grow":
                if room not in names:
                    opened += 1
                    names[room] = f"{room}{opened}"
                now[names[room]] = now.get(names[room], 0) + milliseconds
            elif what == "close":
                now.pop(names.pop(room, ""), None)
            elif what == "restart":
                run += 1
                opened = 0
                now.clear()
                names.clear()
            else:
                Placement.objects.update(run=str(run))
                server.say({name: value / 1000 for name, value in now.items()})
                if what == "lose":
                    server.answer(http(b"", "503 Service Unavailable"))
                else:
                    seen |= {(run, name): value for name, value in now.items()}
                assert services.count_peers() == (what != "lose")
                assert total() == sum(seen.values())

    holds()


@pytest.mark.parametrize(
    ("begun", "ended", "parts"),
    [
        (NOON + MINUTE, NOON + 2 * MINUTE, {0: 1000}),
        (NOON, NOON + HOUR, {0: 1000}),
        (NOON - 3 * MINUTE, NOON + MINUTE, {-1: 750, 0: 250}),
        (NOON - HOUR - MINUTE, NOON + MINUTE, {-2: 16, -1: 967, 0: 17}),
        (NOON, NOON, {0: 1000}),
        (NOON + MINUTE, NOON - MINUTE, {-1: 1000}),
    ],
)
def test_a_time_is_spread_over_the_hours_that_it_touches(
    begun: datetime, ended: datetime, parts: dict[int, int]
) -> None:
    assert by_hour(1000, begun, ended) == {NOON + n * HOUR: part for n, part in parts.items()}


@given(st.integers(0, 10**15), st.integers(0, 10**12), st.integers(0, 10**14))
@settings(database=None)
def test_nothing_is_lost_between_hours(milliseconds: int, begun: int, took: int) -> None:
    start = NOON + timedelta(microseconds=begun)
    found = by_hour(milliseconds, start, start + timedelta(microseconds=took))
    assert sum(found.values()) == milliseconds
    assert len(found) <= 25
    assert all(part > 0 for part in found.values())


def test_what_was_not_read_for_hours_goes_to_those_hours(server: Exposer) -> None:
    running(server.port)
    services.count_peers()
    PeerReading.objects.update(read_at=timezone.now() - 3 * HOUR)
    server.say({"one": 3600.0})
    services.count_peers()
    assert PeerTime.objects.count() == 4
    assert total() == 3_600_000
    assert sorted(PeerTime.objects.values_list("milliseconds", flat=True))[-1] == pytest.approx(1_200_000, abs=50_000)


# What is not


def test_who_cannot_be_read_changes_nothing_but_its_failures_and_comes_last(server: Exposer) -> None:
    lost, there = running(server.port, 2)
    server.say({"one": 1.0})
    services.count_peers()
    Placement.objects.filter(container=lost).update(ports={"5002": free_port()})
    server.say({"one": 5.0})
    before = PeerReading.objects.values("run", "read_at", "values").get(placement__container=lost)
    for failures in (1, 2):
        assert services.count_peers() == 1
        row = PeerReading.objects.get(placement__container=lost)
        assert row.failures == failures
        assert PeerReading.objects.values("run", "read_at", "values").get(pk=row.pk) == before
    assert (total(lost), total(there)) == (1000, 5000)
    Placement.objects.filter(container=lost).update(ports={"5002": server.port})
    assert services.count_peers() == 2
    assert total(lost) == 5000
    assert PeerReading.objects.get(placement__container=lost).failures == 0


def test_more_than_can_be_is_not_counted(server: Exposer) -> None:
    running(server.port)
    server.say({str(n): peers.MAX_MILLISECONDS / 1000 for n in range(2)})
    assert services.count_peers() == 1
    assert (total(), PeerReading.objects.get().failures) == (0, 1)


def test_where_nothing_runs_it_is_one_statement(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(1):
        assert services.count_peers() == 0


def test_a_container_without_metrics_is_not_asked(server: Exposer) -> None:
    make_version()
    running(server.port)
    assert services.count_peers() == 0


def test_a_round_costs_as_much_whatever_runs(server: Exposer) -> None:
    running(server.port, 12)
    lost = Placement.objects.filter(pk__in=Placement.objects.order_by("pk").values("pk")[:4])
    server.say({"one": 1.0})
    with within_budget("a first round of peers' time"):
        assert services.count_peers() == 12
    assert lost.update(ports={"5002": free_port()}) == 4
    server.say({"one": 2.0})
    with within_budget("a round of peers' time") as many:
        assert services.count_peers() == 8
    kept = Placement.objects.order_by("pk").values_list("pk", flat=True)[3:5]
    Placement.objects.exclude(pk__in=list(kept)).update(host="")
    server.say({"one": 3.0})
    with counted() as few:
        assert services.count_peers() == 1
    assert len(few) == len(many)


def test_many_are_written_down_bit_by_bit(server: Exposer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusters.services.peers.AT_ONCE", 2)
    running(server.port, 5)
    server.say({"one": 2.0})
    assert services.count_peers() == 5
    assert total() == 10_000


def test_a_round_ends_in_time_and_the_next_begins_with_the_rest(
    server: Exposer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusters.services.peers.AT_ONCE", 2)
    running(server.port, 4)
    server.say({"one": 2.0})
    monkeypatch.setattr("clusters.services.peers.ROUND_SECONDS", 0)
    assert services.count_peers() == 0
    assert not PeerReading.objects.filter(failures__gt=0).exists()
    monkeypatch.undo()
    assert services.count_peers() == 4


# As it is


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_any_number_may_count_at_once(server: Exposer) -> None:
    running(server.port, 6)
    for seconds in range(1, 9):
        server.say({"one": float(seconds)})
        read = at_once([services.count_peers] * 3)
        assert read == [6, 6, 6]
        assert total() == 6 * seconds * 1000
        assert PeerReading.objects.filter(failures=0).count() == 6


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_what_is_started_anew_while_it_is_read_is_read_again(server: Exposer) -> None:
    running(server.port)
    server.say({"one": 2.0})
    say = server.respond

    def restart(sock: socket.socket) -> None:
        Placement.objects.update(run="another")
        connection.close()
        say(sock)

    server.respond = restart
    services.count_peers()
    assert (total(), PeerReading.objects.get().read_at) == (0, None)
    server.respond = say
    services.count_peers()
    assert total() == 2000


def test_a_media_server_is_read_as_it_is(tmp_path: Path) -> None:
    media = Media(tmp_path / "log")
    try:
        (container,) = running(media.port)
        room = media.made("/room")
        media.made("/peer", {"room_id": room})
        label = f'fishjam_room_peer_time_total_seconds{{room_id="{room}"}}'
        before = media.metrics()[label]
        services.count_peers()
        first = total()
        assert before * 1000 - 1 <= first <= media.metrics()[label] * 1000 + 1
        services.count_peers()
        assert first <= total(container) <= media.metrics()[label] * 1000 + 1
    finally:
        media.process.kill()
        media.process.wait()
