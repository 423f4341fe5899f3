"""Containers in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from clusters import states
from clusters.judging import NOT_WELL, REASONS
from clusters.models import Container
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.clusters.stage import Stage
from tests.fleet import keeper_of, make_cluster, make_container, settle
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
CONTAINERS = "/admin/clusters/container/"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    """The place of all containers."""
    made = Stage()
    for module in ("clusters.queries.observed", "clusters.explaining"):
        monkeypatch.setattr(f"{module}.hosting_at", lambda cloud, region: made)
    return made


def page_of(row: Container, name: str = "change") -> str:
    return reverse(f"admin:clusters_container_{name}", args=[row.pk])


def press(row: Container, name: str, role: str = "admin") -> Any:
    return browser(role).post(page_of(row, name))


def listed(**parameters: Any) -> list[Any]:
    return [row.pk for row in browser("monitor").get(CONTAINERS, parameters).context["cl"].result_list]


def of_somebody() -> Container:
    return make_container(make_cluster(somebody("admin"), token="very-hidden"))


@pytest.mark.parametrize("role", STAFF)
def test_staff_read_and_only_admins_have_buttons(role: str) -> None:
    row, client = of_somebody(), browser(role)
    assert client.get(CONTAINERS).status_code == 200
    shown = text_of(client.get(page_of(row)))
    for name in ("stop", "drain", "drop"):
        assert (page_of(row, name) in shown) is (role == "admin")
        assert client.get(page_of(row, name)).status_code == (200 if role == "admin" else 403)
        if role != "admin":
            assert press(row, name, role).status_code == 403
    row.refresh_from_db()
    assert (row.status, row.is_draining) == (states.PENDING, False)


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_gets_in(role: str) -> None:
    row = of_somebody()
    for path in (CONTAINERS, page_of(row), page_of(row, "drop")):
        assert "/admin/login/" in browser(role).get(path).headers["Location"]
    assert press(row, "drop", role).status_code == 302
    row.refresh_from_db()
    assert row.archived_at is None


def test_the_list_says_where_each_is_at_the_same_cost(stage: Stage) -> None:
    row = of_somebody()
    settle(keeper_of(stage))
    client = browser("monitor")
    shown = text_of(client.get(CONTAINERS))
    assert all(text in shown for text in (row.name, "RUNNING", "eu_central", "xsmall", "1.0", "local/local"))
    for _ in range(4):
        make_container(row.cluster)
    with within_budget("admin: containers"):
        client.get(CONTAINERS)


def test_the_list_is_narrowed() -> None:
    row = of_somebody()
    for wish in ({"status": "PENDING"}, {"cluster": row.cluster_id}, {"owner__username": "browser-admin"}):
        assert listed(**wish) == [row.pk]
    for wish in ({"status": "FAILED"}, {"cluster": "0"}, {"cluster": "x"}, {"customer__name": "acme"}):
        assert listed(**wish) == []
    assert listed(q=str(row.pk)) == listed(q=str(row.uuid)) == [row.pk]
    assert listed(q="what") == []


def test_a_page_says_how_it_is_where_and_why_not(stage: Stage) -> None:
    row = of_somebody()
    settle(keeper_of(stage))
    Container.objects.filter(pk=row.pk).update(status=states.UNHEALTHY, reason=NOT_WELL, detail="503 from /health")
    client = browser("monitor")
    with within_budget("admin: container page"):
        shown = text_of(client.get(page_of(row)))
    for text in ("UNHEALTHY", REASONS[NOT_WELL], "503 from /health", "127.0.0.1:4000", "container.moved", "running"):
        assert text in shown
    assert "very-hidden" not in shown


def test_an_admin_stops_starts_drains_and_drops(stage: Stage) -> None:
    row = of_somebody()
    keeper = keeper_of(stage)
    settle(keeper)
    press(row, "drain")
    assert Container.objects.get(pk=row.pk).is_draining
    assert press(row, "drain").status_code == press(row, "start").status_code == 403
    assert press(row, "undrain").headers["Location"] == page_of(row)
    row.refresh_from_db()
    assert not row.is_draining
    press(row, "stop")
    settle(keeper)
    row.refresh_from_db()
    assert row.status == states.STOPPED
    press(row, "start")
    settle(keeper)
    row.refresh_from_db()
    assert row.status == states.RUNNING
    assert "cannot be undone" in text_of(browser("admin").get(page_of(row, "drop")))
    press(row, "drop")
    row.refresh_from_db()
    assert row.archived_at is not None
    for name in ("drop", "start", "stop", "drain", "undrain"):
        assert press(row, name).status_code == 403
