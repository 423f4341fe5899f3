"""The map of the fleet in the admin."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from clusters import queries, states
from clusters.judging import NOT_WELL, REASONS
from clusters.models import Container, HostingPlace
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.clusters.stage import Stage
from tests.fleet import keeper_of, make_cluster, make_container, settle
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
FLEET = "/admin/clusters/fleet/"


def test_the_map_is_for_staff() -> None:
    assert reverse("admin:clusters_fleet") == FLEET
    for role in STAFF:
        assert "No containers yet." in text_of(browser(role).get(FLEET))
        assert FLEET in text_of(browser(role).get("/admin/clusters/cluster/"))
    for role in OTHERS:
        assert "/admin/login/" in browser(role).get(FLEET).headers["Location"]


def test_containers_are_counted_by_place_and_state() -> None:
    cluster, stage = make_cluster(somebody("admin")), Stage()
    rows = [make_container(cluster) for _ in range(3)]
    settle(keeper_of(stage))
    waiting = make_container(cluster)
    Container.objects.filter(pk=rows[0].pk).update(status=states.UNHEALTHY, reason=NOT_WELL, detail="no answer")
    rows[1].placements.update(status=states.LEAVING)
    Container.objects.filter(pk=rows[1].pk).update(status=states.STOPPING)
    place = HostingPlace.objects.get()
    HostingPlace.objects.update(failure="no daemon", failing_since=timezone.now())
    found = queries.fleet_map()
    assert found.by_place == {
        place.pk: {states.UNHEALTHY: 1, states.RUNNING: 1, states.PENDING: 1},
        None: {states.STOPPING: 1},
    }
    assert found.leaving == {place.pk: 1}
    assert [(each.pk, version, count) for each, version, count in found.versions] == [(cluster.pk, "1.0", 4)]
    assert found.reasons == [(states.UNHEALTHY, NOT_WELL, 1)]
    assert [each.pk for each in found.unwell] == [rows[0].pk]
    shown = text_of(browser("monitor").get(FLEET))
    assert all(text in shown for text in (REASONS[NOT_WELL], "no answer", "no daemon", "held nowhere"))
    assert waiting.name not in shown


def test_what_is_deleted_is_not_on_the_map() -> None:
    cluster = make_cluster(somebody("admin"))
    made = make_container(cluster)
    made.placements.all().delete()
    Container.objects.filter(pk=made.pk).update(
        status=states.DELETED, desired=states.GONE_WANTED, archived_at=timezone.now()
    )
    found = queries.fleet_map()
    assert (found.by_place, found.versions) == ({}, [])


def test_the_map_costs_the_same_with_many_containers() -> None:
    client = browser("monitor")
    for name in ("one", "two"):
        cluster = make_cluster(somebody("admin"), name)
        for _ in range(3):
            make_container(cluster)
        Container.objects.update(status=states.FAILED, reason=NOT_WELL)
        with within_budget("admin: fleet map"):
            client.get(FLEET)
