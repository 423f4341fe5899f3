"""/v6/containers/…/logs/ and output/: what a container writes, and for whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from clusters import states
from clusters.models import Container, Placement
from clusters.providers.base import LogPage
from clusters.providers.errors import NotFound, ProviderError
from clusters.telemetry.log_lines import Severity
from clusters.telemetry.logs import LogEntry, LogQuery
from tests.answers import json_of
from tests.clusters.stage import Stage
from tests.factories import Person
from tests.fleet import make_cluster, make_container
from tests.people import everybody, refused

pytestmark = pytest.mark.django_db


class Writing(Stage):
    """A place whose containers have written something."""

    fault_of_logs: Exception | None = None

    def logs(self, handle: str, after: int = 0, limit: int = 2**20, *, run: str = "") -> LogPage:
        if self.fault_of_logs is not None:
            raise self.fault_of_logs
        text = f"{handle} {run or 'newest'}"[after : after + limit]
        return LogPage(text, after + len(text), ended=False)


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


@pytest.fixture
def row(people: Mapping[str, Person]) -> Container:
    return make_container(make_cluster(people["owner"].user))


@pytest.fixture
def place(row: Container, monkeypatch: pytest.MonkeyPatch) -> Writing:
    stage = Writing()
    monkeypatch.setattr("clusters.queries.observed.hosting_at", lambda cloud, region: stage)
    Placement.objects.filter(container=row).update(handle="local:1", status=states.STANDING)
    return stage


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[LogQuery]:
    found: list[LogQuery] = []

    def newest(query: LogQuery, *args: Any) -> list[LogEntry]:
        found.append(query)
        return [LogEntry(datetime(2026, 11, 29, 8, 0, tzinfo=UTC), Severity.ERROR, "no")]

    monkeypatch.setattr("clusters.queries.observed.newest", newest)
    return found


@pytest.mark.parametrize("what", ["logs", "output"])
@pytest.mark.parametrize(
    ("who", "status"),
    [
        *(("admin", 200), ("operator", 200), ("monitor", 200), ("owner", 200)),
        *(("colleague", 404), ("stranger", 404), ("anonymous", 401), ("disabled", 401)),
    ],
)
def test_its_owner_and_staff_read_it(
    people: Mapping[str, Person],
    row: Container,
    place: Writing,
    asked: list[LogQuery],
    what: str,
    who: str,
    status: int,
) -> None:
    assert people[who].get(f"/v6/containers/{row.pk}/{what}/").status_code == status


def test_lines_are_asked_for_as_they_are_wanted(
    people: Mapping[str, Person], row: Container, asked: list[LogQuery]
) -> None:
    path = f"/v6/containers/{row.uuid}/logs/"
    told = json_of(people["owner"].get(path, since="PT1H", severity="warning", phrase="No", limit=7))
    assert told == [{"timestamp": "2026-11-29T08:00:00Z", "severity": "error", "message": "no"}]
    (query,) = asked
    assert timedelta(minutes=59) < timezone.now() - query.start < timedelta(minutes=61)
    assert (query.limit, query.phrase, query.severity) == (7, "No", Severity.WARNING)


@pytest.mark.parametrize(
    ("name", "value"),
    [("since", "yesterday"), ("until", "2026-13-01"), ("limit", "0"), ("limit", "1001"), ("severity", "fatal")],
)
def test_lines_that_cannot_be_asked_for_are_refused_by_name(
    people: Mapping[str, Person], row: Container, name: str, value: str
) -> None:
    refused(people["owner"].get(f"/v6/containers/{row.pk}/logs/", **{name: value}), 400, "", name)


def test_output_is_read_on_from_where_it_was_left(people: Mapping[str, Person], row: Container, place: Writing) -> None:
    path = f"/v6/containers/{row.pk}/output/"
    first = json_of(people["owner"].get(path, limit=16))
    assert first == {"text": "local:1 newest", "next_after": 14, "ended": False}
    rest = json_of(people["owner"].get(path, after=8, run="42"))
    assert rest == {"text": "42", "next_after": 10, "ended": False}


@pytest.mark.parametrize(("name", "value"), [("after", "-1"), ("after", "x"), ("limit", "15")])
def test_output_that_cannot_be_asked_for_is_refused_by_name(
    people: Mapping[str, Person], row: Container, name: str, value: str
) -> None:
    refused(people["owner"].get(f"/v6/containers/{row.pk}/output/", **{name: value}), 400, "", name)


def test_what_is_gone_has_ended_and_a_place_that_is_silent_is_503(
    people: Mapping[str, Person], row: Container, place: Writing
) -> None:
    path = f"/v6/containers/{row.pk}/output/"
    place.fault_of_logs = NotFound("gone")
    assert json_of(people["owner"].get(path, after=5)) == {"text": "", "next_after": 5, "ended": True}
    place.fault_of_logs = ProviderError("no answer")
    refused(people["owner"].get(path), 503, "LOGS_UNAVAILABLE")


def test_one_that_never_ran_has_written_nothing_yet(people: Mapping[str, Person], row: Container) -> None:
    told = json_of(people["owner"].get(f"/v6/containers/{row.pk}/output/"))
    assert told == {"text": "", "next_after": 0, "ended": False}
