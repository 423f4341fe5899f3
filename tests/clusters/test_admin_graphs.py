"""Graphs of a container's metrics in the admin."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from clusters.admin.graphs import STEP_SECONDS, graphs
from clusters.errors import MetricsUnavailable
from clusters.models import Container
from clusters.telemetry import metrics
from clusters.telemetry.promql import MetricName, Question
from tests.answers import text_of
from tests.browsers import browser, somebody
from tests.fleet import make_cluster, make_container

pytestmark = pytest.mark.django_db
Values = list[tuple[float, str]]


@pytest.fixture
def container() -> Container:
    return make_container(make_cluster(somebody("admin")))


@pytest.fixture
def known(settings: Any, monkeypatch: pytest.MonkeyPatch) -> dict[MetricName, Values]:
    """What Prometheus knows of each metric."""
    settings.PROMETHEUS_URL = "http://prometheus.example"
    values: dict[MetricName, Values] = {}

    def over_time(question: Question, start: int, end: int, step: float) -> list[Any]:
        assert end - start == 60 * step
        found = values.get(question.metric)
        return [{"metric": {}, "values": found}] if found else []

    monkeypatch.setattr(metrics, "over_time", over_time)
    return values


def moments(count: int) -> list[float]:
    """The last so many minutes, the newest last."""
    end = int(time.time()) // STEP_SECONDS * STEP_SECONDS
    return [end - STEP_SECONDS * number for number in reversed(range(count))]


def test_without_a_prometheus_the_page_names_its_setting(container: Container, settings: Any) -> None:
    settings.PROMETHEUS_URL = ""
    page = f"/admin/clusters/container/{container.pk}/change/"
    assert "PROMETHEUS_URL" in text_of(browser("monitor").get(page))


def test_peers_rooms_cpu_and_memory_are_drawn_on_the_page(
    container: Container, known: dict[MetricName, Values]
) -> None:
    known[MetricName.ROOM_PEERS] = [(at, str(number)) for number, at in enumerate(moments(5))]
    known[MetricName.CPU] = [(at, "0.5") for at in moments(3)]
    shown = text_of(browser("monitor").get(f"/admin/clusters/container/{container.pk}/change/"))
    assert all(text in shown for text in ("Peers: 4, of 4 at the top", "CPU: 50%, of 100% at the top"))
    assert all(text in shown for text in ("Rooms: nothing is known", "Memory: nothing is known"))
    lines = re.findall(r"<polyline points='([^']*)'", shown)
    assert [len(line.split()) for line in lines] == [5, 3]
    assert lines[0].split()[-1] == "300.0,0.0"
    assert {point.partition(",")[2] for point in lines[1].split()} == {"40.0"}


def test_a_gap_in_time_is_a_gap_in_the_line(container: Container, known: dict[MetricName, Values]) -> None:
    times = moments(10)
    known[MetricName.ROOMS] = [(at, "1") for at in (*times[:3], *times[7:])]
    assert str(graphs(container)).count("<polyline") == 2


def test_what_is_no_number_is_left_out_and_nothing_at_all_is_a_line_at_the_bottom(
    container: Container, known: dict[MetricName, Values]
) -> None:
    known[MetricName.ROOMS] = [(at, text) for at, text in zip(moments(3), ("NaN", "+Inf", "0"), strict=True)]
    drawn = str(graphs(container))
    assert "Rooms: 0, of 1 at the top" in drawn
    assert re.findall(r"<polyline points='([^']*)'", drawn) == ["300.0,80.0 300.0,80.0"]


def test_a_prometheus_that_does_not_answer_is_told(
    container: Container, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.PROMETHEUS_URL = "http://prometheus.example"

    def fail(*args: Any) -> Any:
        raise MetricsUnavailable

    monkeypatch.setattr(metrics, "over_time", fail)
    assert "Prometheus is not available" in str(graphs(container))
