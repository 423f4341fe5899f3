"""The end of a container's log, as its page in the admin asks for it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.urls import reverse

from clusters import queries, states
from clusters.admin.log_tail import LINES
from clusters.errors import LogsUnavailable
from clusters.models import Container
from clusters.telemetry.log_lines import Severity
from clusters.telemetry.logs import LogEntry
from tests.answers import json_of, text_of
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.fleet import make_cluster, make_container

pytestmark = pytest.mark.django_db


@pytest.fixture
def container() -> Container:
    return make_container(make_cluster(somebody("admin")))


def address(container: Container) -> str:
    return reverse("admin:clusters_container_log", args=[container.pk])


def test_the_page_names_the_log_and_the_script_that_asks_for_it(container: Container) -> None:
    shown = text_of(browser("monitor").get(f"/admin/clusters/container/{container.pk}/change/"))
    assert f"data-address='{address(container)}'" in shown
    assert "/static/clusters/log_tail.js" in shown


def test_the_page_follows_the_events_of_its_container_until_that_is_gone(container: Container) -> None:
    page = f"/admin/clusters/container/{container.pk}/change/"
    shown = text_of(browser("monitor").get(page))
    stream = f"/v6/events/stream/?subject_kind=container&amp;subject={container.pk}"
    assert f'data-live-stream="{stream}" data-live-events="container.changed container.created ' in shown
    assert " data-live-keep></pre>" in shown  # what its own script fills
    Container.objects.filter(pk=container.pk).update(status=states.DELETED)
    assert "data-live-every" not in text_of(browser("monitor").get(page))


@pytest.mark.parametrize("role", STAFF)
def test_staff_read_the_newest_lines_the_newest_last(
    role: str, container: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 7, 1, 8, 30, 5, tzinfo=UTC)
    entries = [LogEntry(at, Severity.ERROR, "<b>it broke</b>"), LogEntry(at, Severity.INFO, "it began")]

    def log_of(row: Container, *, start: datetime, end: datetime, limit: int) -> list[LogEntry]:
        assert (row, limit, start < end) == (container, LINES, True)
        return entries

    monkeypatch.setattr(queries, "log_of", log_of)
    answer = browser(role).get(address(container))
    assert "no-store" in answer.headers["Cache-Control"]
    assert json_of(answer)["text"] == "08:30:05 INFO    it began\n08:30:05 ERROR   <b>it broke</b>"


def test_a_container_that_never_ran_has_no_lines(container: Container) -> None:
    assert json_of(browser("monitor").get(address(container))) == {"text": "", "note": "Nothing in the last hour."}


def test_why_there_is_no_log_is_told(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    def log_of(*args: Any, **more: Any) -> Any:
        raise LogsUnavailable

    monkeypatch.setattr(queries, "log_of", log_of)
    assert json_of(browser("monitor").get(address(container)))["note"] == "The log store is not available."


def test_nobody_else_reads_it_and_what_is_not_there_is_not_found(container: Container) -> None:
    for role in OTHERS:
        assert "/admin/login/" in browser(role).get(address(container)).headers["Location"]
    missing = reverse("admin:clusters_container_log", args=[container.pk + 1])
    assert browser("admin").get(missing).status_code == 404
