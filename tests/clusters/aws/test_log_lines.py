"""What containers wrote, backwards: as CloudWatch hands it out, in short pages and in a stream for each run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from clusters.providers.aws.config import AwsConfig, ContainerConfig
from clusters.providers.aws.hosting import AwsHosting
from clusters.providers.errors import AuthFailed, Throttled
from clusters.providers.hosting import Line
from tests.clusters.aws.account import CLUSTER, EXECUTION_ROLE, LOG_GROUP, QUEUES, REGION
from tests.clusters.aws.script import Fault, Script
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

ID = new_id()
HANDLE = f"ecs::{ID}"
BEGIN = f"controlplane-{ID}/main/"
T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
MISSING = Fault(400, "ResourceNotFoundException", "The specified log group does not exist.")
PAGE = 2  # events


def ms(seconds: float) -> int:
    return round((T0.timestamp() + seconds) * 1000)


def hosting(script: Script) -> AwsHosting:
    containers = ContainerConfig(cluster=CLUSTER, execution_role_arn=EXECUTION_ROLE)
    config = AwsConfig(REGION, QUEUES, endpoint_url=script.endpoint, containers=containers, subnets=["subnet-1"])
    return AwsHosting(config, rates={})


def told(script: Script, start: float = -3600, end: float = 3600) -> list[str]:
    lines = hosting(script).newest_lines(HANDLE, T0 + timedelta(seconds=start), T0 + timedelta(seconds=end))
    return [line.text for line in lines]


class CloudWatch:
    """Streams by their runs, each a list of (seconds after T0, text); the first page of each is empty."""

    def __init__(self, script: Script, **runs: Sequence[tuple[float, str]]) -> None:
        self.runs = runs
        rows = [
            {"logStreamName": BEGIN + run, "creationTime": ms(events[0][0]), "lastEventTimestamp": ms(events[-1][0])}
            for run, events in runs.items()
        ]
        script.say("DescribeLogStreams", self.describe(rows))
        script.say("GetLogEvents", self.events)

    def describe(self, rows: list[dict[str, Any]]) -> Any:
        def answer(body: dict[str, Any]) -> dict[str, Any]:
            assert (body["logGroupName"], body["logStreamNamePrefix"]) == (LOG_GROUP, BEGIN)
            return {"logStreams": rows[1:]} if "nextToken" in body else {"logStreams": rows[:1], "nextToken": "2"}

        return answer

    def events(self, body: dict[str, Any]) -> dict[str, Any]:
        assert (body["logGroupName"], body["startFromHead"], body["limit"]) == (LOG_GROUP, False, 1000)
        found = [
            {"timestamp": ms(at), "message": text, "ingestionTime": 1}
            for at, text in self.runs[body["logStreamName"].removeprefix(BEGIN)]
            if body["startTime"] <= ms(at) < body["endTime"]
        ]
        page = int(body.get("nextToken", "0"))
        last = len(found) - (page - 1) * PAGE if page else 0
        events = found[max(0, last - PAGE) : max(0, last)] if page else []
        token = str(page + 1) if not page or events else str(page)
        return {"events": events, "nextForwardToken": "f", "nextBackwardToken": token}


def test_pages_are_read_backwards_to_the_end(script: Script) -> None:
    CloudWatch(script, one=[(second, f"line {second}") for second in range(5)])
    assert told(script) == ["line 4", "line 3", "line 2", "line 1", "line 0"]


def test_only_what_is_taken_is_asked_for(script: Script) -> None:
    CloudWatch(script, one=[(second, f"line {second}") for second in range(100)])
    lines = hosting(script).newest_lines(HANDLE, T0, T0 + timedelta(hours=1))
    assert list(islice(lines, 2)) == [
        Line("line 99", T0 + timedelta(seconds=99)),
        Line("line 98", T0 + timedelta(seconds=98)),
    ]
    assert len(script.asked("GetLogEvents")) == 2


def test_only_lines_of_that_time_are_told(script: Script) -> None:
    CloudWatch(script, one=[(0.999, "before"), (1.0, "first"), (1.999, "last"), (2.0, "after")])
    assert told(script, 1, 2) == ["last", "first"]
    assert told(script, 0.9995, 2) == ["last", "first"], "less than a millisecond does not count"


def test_runs_that_overlap_are_put_in_order(script: Script) -> None:
    CloudWatch(script, old=[(0, "old 0"), (4, "old 4"), (6, "old 6")], new=[(3, "new 3"), (5, "new 5"), (7, "new 7")])
    assert told(script) == ["new 7", "old 6", "new 5", "old 4", "new 3", "old 0"]


def test_however_many_runs_there_were_they_follow_each_other(script: Script) -> None:
    CloudWatch(script, **{f"run{number}": [(number * 10, f"run {number}")] for number in range(12)})
    assert told(script) == [f"run {number}" for number in reversed(range(12))]


def test_runs_of_other_times_are_not_looked_at(script: Script) -> None:
    day = 24 * 3600
    CloudWatch(script, old=[(-day, "old")], now=[(0, "now")], new=[(day, "new")])
    assert told(script) == ["now"]
    assert {body["logStreamName"] for body in script.asked("GetLogEvents")} == {f"{BEGIN}now"}


def test_a_stream_that_says_nothing_of_its_end_is_looked_at(script: Script) -> None:
    CloudWatch(script, one=[(0, "one")])
    script.say("DescribeLogStreams", {"logStreams": [{"logStreamName": f"{BEGIN}one", "creationTime": ms(-90_000)}]})
    assert told(script) == ["one"]


def test_what_is_not_there_has_no_lines(script: Script) -> None:
    script.say("DescribeLogStreams", MISSING)
    assert told(script) == []
    CloudWatch(script, one=[(0, "one")])
    script.say("GetLogEvents", MISSING)
    assert told(script) == []


@pytest.mark.parametrize(("code", "error"), [("AccessDeniedException", AuthFailed), ("ThrottlingException", Throttled)])
def test_failures_are_named(script: Script, code: str, error: type[Exception]) -> None:
    CloudWatch(script, one=[(0, "one")])
    script.say("GetLogEvents", Fault(400, code))
    with pytest.raises(error):
        told(script)


def test_times_before_there_were_any_are_no_error(script: Script) -> None:
    CloudWatch(script, one=[(0, "one")])
    first = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
    assert [line.text for line in hosting(script).newest_lines(HANDLE, first, T0 + timedelta(1))] == ["one"]
    assert script.asked("GetLogEvents")[0]["startTime"] == 0


def test_no_more_than_so_many_are_told(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    CloudWatch(script, one=[(second, f"line {second}") for second in range(9)])
    monkeypatch.setattr(AwsHosting, "LINES_AT_MOST", 3)
    assert told(script) == ["line 8", "line 7", "line 6"]
