"""Metrics and logs of Fishjam: whose they are, and what is asked of the stores."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from clusters.models import Cluster, Container
from clusters.telemetry.log_lines import Severity
from clusters.telemetry.logs import LogEntry, LogQuery
from tests.answers import json_of, text_of
from tests.factories import Person
from tests.fleet import make_cluster, make_container
from tests.people import everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
INSTANT = "/api/v1/metrics/instant"
RANGE = "/api/v1/metrics/range"
LOGS = "/api/v1/logs"
SPAN = {"start": 1_700_000_000, "end": 1_700_000_600, "step": 60}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


@pytest.fixture
def cluster(people: Mapping[str, Person]) -> Cluster:
    return make_cluster(people["owner"].user)


@pytest.fixture
def row(cluster: Cluster) -> Container:
    return make_container(cluster)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The queries that reach Prometheus, which knows nothing."""
    found: list[str] = []

    def answer(query: str, *args: Any) -> list[Any]:
        found.append(query)
        return []

    for name in ("instant", "over_time"):
        monkeypatch.setattr(f"clusters.telemetry.prometheus.{name}", answer)
    return found


def question(**more: Any) -> dict[str, Any]:
    return {"metric": "fishjam_rooms", "scope_name": "instance_uuid", **more}


def test_all_of_the_callers_own_is_meant_where_nothing_is_named(
    people: Mapping[str, Person], row: Container, asked: list[str]
) -> None:
    other = make_container(make_cluster(people["stranger"].user, name="theirs"))
    with within_budget("GET /api/v1/metrics/instant"):
        people["owner"].get(INSTANT, **question())
    people["owner"].get(INSTANT, **question(scope_name="cluster_uuid"))
    people["owner"].get(INSTANT, **question(scope_name="user_email", scope_uuids=str(other.uuid)))
    with within_budget("GET /api/v1/metrics/range"):
        people["owner"].get(RANGE, **question(), **SPAN)
    assert asked[0] == f'sum (fishjam_rooms{{instance_uuid="{row.uuid}"}})'
    assert asked[1] == f'sum (fishjam_rooms{{cluster_uuid="{row.cluster.uuid}"}})'
    assert all(str(other.uuid) not in query for query in asked)
    assert asked[-1] == asked[0]


def test_who_has_nothing_is_answered_with_nothing_and_nobody_is_asked(
    people: Mapping[str, Person], row: Container, asked: list[str]
) -> None:
    for who in ("colleague", "stranger", "admin", "operator", "monitor"):
        answer = people[who].get(INSTANT, **question())
        assert json_of(answer) == {"result_type": "vector", "result": []}
    assert asked == []


@pytest.mark.parametrize("who", ["colleague", "stranger", "admin", "operator", "monitor"])
def test_ids_of_others_are_refused(people: Mapping[str, Person], row: Container, asked: list[str], who: str) -> None:
    for name, uuid in (("instance_uuid", row.uuid), ("cluster_uuid", row.cluster.uuid)):
        answer = people[who].get(INSTANT, **question(scope_name=name, scope_uuids=uuid.hex))
        assert answer.status_code == 403, text_of(answer)
    assert people[who].get(LOGS, jellyfish_uuid_hex=row.uuid.hex, end="").status_code == 404
    assert asked == []


@pytest.mark.parametrize("path", [INSTANT, RANGE, LOGS])
@pytest.mark.parametrize("who", ["anonymous", "disabled"])
def test_nobody_unknown_is_answered(people: Mapping[str, Person], path: str, who: str) -> None:
    assert people[who].get(path).status_code == 401


def test_ids_may_be_several_and_without_dashes(
    people: Mapping[str, Person], cluster: Cluster, asked: list[str]
) -> None:
    rows = [make_container(cluster) for _ in range(2)]
    answer = people["owner"].client.get(
        INSTANT, question(scope_uuids=[rows[0].uuid.hex.upper(), str(rows[1].uuid)], group_by="instance_uuid")
    )
    assert answer.status_code == 200, text_of(answer)
    both = "|".join(sorted(str(each.uuid) for each in rows))
    assert asked == [f'sum by (instance_uuid) (fishjam_rooms{{instance_uuid=~"{both}"}})']


@pytest.mark.parametrize(
    ("path", "more", "status", "where"),
    [
        (INSTANT, {"metric": "up"}, 404, ""),
        (INSTANT, {"scope_name": "job"}, 422, "scope_name"),
        (INSTANT, {"scope_uuids": "no id"}, 422, "scope_uuids"),
        (INSTANT, {"group_by": "job"}, 422, "group_by"),
        (INSTANT, {"interval": "0"}, 422, "interval"),
        (INSTANT, {"time": "soon"}, 422, "time"),
        (INSTANT, {"resolution": "5"}, 400, ""),
        (RANGE, {**SPAN, "end": "5"}, 400, ""),
        (RANGE, {**SPAN, "step": "0.01"}, 400, ""),
        (RANGE, {**SPAN, "step": "nan"}, 422, "step"),
        (RANGE, {"start": "1", "end": "2"}, 422, "step"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    people: Mapping[str, Person], row: Container, path: str, more: dict[str, Any], status: int, where: str
) -> None:
    answer = people["owner"].get(path, **question(**more))
    assert answer.status_code == status, text_of(answer)
    if status == 422:
        assert [each["loc"][:2] for each in answer.json()["detail"]] == [["query", where]]


def test_a_deployment_without_prometheus_says_which_setting_names_one(
    people: Mapping[str, Person], row: Container
) -> None:
    answer = people["owner"].get(INSTANT, **question())
    assert answer.status_code == 503
    assert "PROMETHEUS_URL" in answer.json()["detail"]


# Logs


@pytest.fixture
def queries_of(monkeypatch: pytest.MonkeyPatch) -> list[LogQuery]:
    found: list[LogQuery] = []

    def newest(query: LogQuery, *args: Any) -> list[LogEntry]:
        found.append(query)
        return [LogEntry(datetime(2026, 11, 29, 8, 0, tzinfo=UTC), Severity.WARNING, "slow")]

    monkeypatch.setattr("clusters.queries.observed.newest", newest)
    return found


def test_lines_are_asked_for_as_they_are_wanted(
    people: Mapping[str, Person], row: Container, queries_of: list[LogQuery]
) -> None:
    asked = {"since_seconds": "60", "end": "2026-11-29T09:00:00Z", "limit": "5", "search_phrase": "Slow"}
    with within_budget("GET /api/v1/logs"):
        answer = people["owner"].get(LOGS, jellyfish_uuid_hex=row.uuid.hex, severity="warning", **asked)
    assert json_of(answer) == [{"timestamp": "2026-11-29T08:00:00Z", "severity": "warning", "message": "slow"}]
    (query,) = queries_of
    end = datetime(2026, 11, 29, 9, 0, tzinfo=UTC)
    assert (query.start, query.end) == (end - timedelta(seconds=60), end)
    assert (query.limit, query.phrase, query.severity) == (5, "Slow", Severity.WARNING)


@pytest.mark.parametrize("start", ["2026-11-29T08:00:00Z", "2026-11-29T10:00:00+02:00", "1795939200", "1795939200.0"])
def test_a_moment_may_be_iso_or_unix_and_an_empty_end_is_now(
    people: Mapping[str, Person], row: Container, queries_of: list[LogQuery], start: str
) -> None:
    answer = people["owner"].get(LOGS, jellyfish_uuid_hex=row.uuid.hex, start=start, end="")
    assert answer.status_code == 200, text_of(answer)
    (query,) = queries_of
    assert query.start == datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
    assert timezone.now() - query.end < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({}, "end"),
        ({"end": "yesterday"}, "end"),
        ({"end": "inf"}, "end"),
        ({"end": "", "start": "2026-13-01T00:00:00Z"}, "start"),
        ({"end": "", "limit": "1001"}, "limit"),
        ({"end": "", "severity": "fatal"}, "severity"),
        ({"end": "", "since_seconds": "-1"}, "since_seconds"),
    ],
)
def test_lines_that_cannot_be_asked_for_are_refused(
    people: Mapping[str, Person], row: Container, more: dict[str, Any], where: str
) -> None:
    answer = people["owner"].get(LOGS, jellyfish_uuid_hex=row.uuid.hex, **more)
    assert answer.status_code == 422, text_of(answer)
    assert [each["loc"] for each in answer.json()["detail"]] == [["query", where]]


def test_one_that_never_ran_has_no_lines(people: Mapping[str, Person], row: Container) -> None:
    answer = people["owner"].get(LOGS, jellyfish_uuid_hex=row.uuid.hex, end="")
    assert (answer.status_code, json_of(answer)) == (200, [])
