"""Pages of output, as CloudWatch hands them out: late, page by page, and with a token for the next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.provider import AwsCloud
from clusters.providers.base import LogPage
from clusters.providers.errors import AuthFailed, NotFound
from tests.clusters.aws.account import QUEUES, REGION
from tests.clusters.aws.script import Fault, Script
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

ID = new_id()
HANDLE = f"batch::{ID}"
STREAM = "ours/default/0123"
MISSING = Fault(400, "ResourceNotFoundException", "The specified log stream does not exist.")
EXPIRED = Fault(400, "InvalidParameterException", "The specified nextToken is invalid.")


def cloud(script: Script) -> AwsCloud:
    config = AwsConfig(REGION, QUEUES, endpoint_url=script.endpoint)
    return AwsCloud(config, rates={}, log_settle_seconds=5.0)


class Stream:
    """A stream of pages, each a list of lines. The token of a page is its number; the end has its own again."""

    def __init__(self, *pages: list[str]) -> None:
        self.pages = list(pages)

    def __call__(self, body: dict[str, Any]) -> dict[str, Any]:
        assert (body["logGroupName"], body["logStreamName"], body["startFromHead"]) == ("/aws/batch/job", STREAM, True)
        at = int(body.get("nextToken", "0"))
        lines = self.pages[at] if at < len(self.pages) else []
        events = [{"timestamp": 1, "message": line, "ingestionTime": 1} for line in lines]
        return {"events": events, "nextForwardToken": str(min(at + 1, len(self.pages))), "nextBackwardToken": "b"}


def says(script: Script, status: str, *, stream: str = STREAM, ago: float = 60.0, started: int = 1) -> None:
    """AWS Batch says this of the job, which stopped `ago` seconds ago if it is over."""
    row: dict[str, Any] = {
        "jobName": "a-name",
        "jobId": ID,
        "jobQueue": "low",
        "jobDefinition": "ours",
        "status": status,
        "startedAt": started,
        "container": {"logStreamName": stream} if stream else {},
    }
    if status in ("SUCCEEDED", "FAILED"):
        row["stoppedAt"] = int((datetime.now(UTC) - timedelta(seconds=ago)).timestamp() * 1000)
    script.say("DescribeJobs", {"jobs": [row]})


def tokens(script: Script) -> list[str]:
    return [body.get("nextToken", "") for body in script.asked("GetLogEvents")]


def whole(cloud: AwsCloud, limit: int = 2**20) -> list[str]:
    """All pages, of one that is over."""
    found: list[str] = []
    after = 0
    while True:
        page = cloud.logs(HANDLE, "stdout", after, limit)
        if page.ended:
            assert page == LogPage("", after, True)
            return found
        assert page.text
        assert len(page.text.encode()) <= limit
        assert page.next_after == after + len(page.text.encode())
        found.append(page.text)
        after = page.next_after


def test_a_reader_costs_one_call_a_page(script: Script) -> None:
    says(script, "SUCCEEDED")
    script.say("GetLogEvents", Stream(["one", "two"], ["three"], ["four", "five"]))
    assert whole(cloud(script)) == ["one\ntwo\n", "three\n", "four\nfive\n"]
    assert tokens(script) == ["", "1", "2", "3"]
    assert len(script.asked("DescribeJobs")) == 1, "an end does not change any more"


def test_a_page_that_is_larger_than_wanted_is_handed_out_in_pieces(script: Script) -> None:
    says(script, "SUCCEEDED")
    script.say("GetLogEvents", Stream(["0123456789", "äöü €𝄞"], ["last"]))
    assert whole(cloud(script), 8) == ["01234567", "89\näö", "ü €", "𝄞\n", "last\n"]
    assert set(tokens(script)) == {"", "1", "2"}


def test_a_cursor_that_is_not_known_is_found_from_the_beginning(script: Script) -> None:
    says(script, "SUCCEEDED")
    script.say("GetLogEvents", Stream(["one", "two"], ["three"], ["four"]))
    ours = cloud(script)
    assert ours.logs(HANDLE, "stdout", 14, 4) == LogPage("four", 18, False)
    assert tokens(script) == ["", "1", "2"]
    assert ours.logs(HANDLE, "stdout", 18) == LogPage("\n", 19, False)
    assert ours.logs(HANDLE, "stdout", 8, 4) == LogPage("thre", 12, False), "a page begins there"
    assert tokens(script)[3:] == ["2", "1"]
    assert ours.logs(HANDLE, "stdout", 5) == LogPage("wo\n", 8, False)
    assert ours.logs(HANDLE, "stdout", 99) == LogPage("", 99, True)


def test_empty_pages_are_not_the_end(script: Script) -> None:
    says(script, "SUCCEEDED")
    script.say("GetLogEvents", Stream([], [], ["one"], []))
    assert whole(cloud(script)) == ["one\n"]


def test_a_token_is_good_for_a_day(script: Script) -> None:
    says(script, "SUCCEEDED")
    pages = Stream(["one"], ["two"])
    script.say("GetLogEvents", pages)
    ours = cloud(script)
    assert ours.logs(HANDLE, "stdout").next_after == 4
    script.say("GetLogEvents", EXPIRED, pages)
    assert ours.logs(HANDLE, "stdout", 4) == LogPage("two\n", 8, False)
    assert tokens(script) == ["", "1", "", "1"]


def test_output_is_read_while_it_grows(script: Script) -> None:
    says(script, "RUNNING")
    stream = Stream(["one"])
    script.say("GetLogEvents", stream)
    ours = cloud(script)
    assert ours.logs(HANDLE, "stdout") == LogPage("one\n", 4, False)
    assert ours.logs(HANDLE, "stdout", 4) == LogPage("", 4, False)
    stream.pages.append(["two"])
    assert ours.logs(HANDLE, "stdout", 4) == LogPage("two\n", 8, False)
    says(script, "SUCCEEDED", ago=1.0)
    assert ours.logs(HANDLE, "stdout", 8) == LogPage("", 8, False), "the last lines may still be on their way"
    says(script, "SUCCEEDED", ago=6.0)
    assert cloud(script).logs(HANDLE, "stdout", 8) == LogPage("", 8, True)


def test_one_that_has_not_begun_has_written_nothing_yet(script: Script) -> None:
    for status in ("SUBMITTED", "RUNNABLE", "STARTING"):
        says(script, status, stream="", started=0)
        assert cloud(script).logs(HANDLE, "stdout") == LogPage("", 0, False)
    says(script, "RUNNING")
    script.say("GetLogEvents", MISSING)
    assert cloud(script).logs(HANDLE, "stdout") == LogPage("", 0, False)


@pytest.mark.parametrize("stream", [STREAM, ""])
def test_a_stream_may_come_after_the_end(script: Script, stream: str) -> None:
    script.say("GetLogEvents", MISSING)
    for ago, ended in ((10.0, False), (29.0, False), (31.0, True)):
        says(script, "FAILED", stream=stream, ago=ago)
        assert cloud(script).logs(HANDLE, "stdout") == LogPage("", 0, ended)


def test_what_never_ran_has_no_output_to_wait_for(script: Script) -> None:
    says(script, "FAILED", stream="", started=0, ago=0.0)
    assert cloud(script).logs(HANDLE, "stdout") == LogPage("", 0, True)


def test_one_stream_joins_both(script: Script) -> None:
    assert cloud(script).streams == ("stdout",)
    assert cloud(script).logs(HANDLE, "stderr", 7) == LogPage("", 7, True)
    assert script.calls == []


def test_one_that_aws_forgot_is_not_found(script: Script) -> None:
    script.say("DescribeJobs", {"jobs": []})
    with pytest.raises(NotFound, match=ID):
        cloud(script).logs(HANDLE, "stdout")


def test_a_missing_permission_is_told(script: Script) -> None:
    says(script, "SUCCEEDED")
    script.say("GetLogEvents", Fault(403, "AccessDeniedException", "not authorized"))
    with pytest.raises(AuthFailed, match="logs:GetLogEvents"):
        cloud(script).logs(HANDLE, "stdout")


def test_text_is_made_fit_for_a_database(script: Script) -> None:
    says(script, "SUCCEEDED")
    script.say("GetLogEvents", Stream(["a\0b"]))
    assert cloud(script).logs(HANDLE, "stdout") == LogPage("ab\n", 4, False)
