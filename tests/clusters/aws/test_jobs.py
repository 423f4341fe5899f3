"""What AWS Batch says of a job, in our words. Moto tells little of it, so the rows are held against boto's model."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.validate import ParamValidator

from clusters.providers.aws.jobs import CANCEL_REASON, observation
from clusters.providers.base import End, Observation, Phase
from tests.clusters.aws.script import model

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

ARN = "arn:aws:batch:us-east-1:123456789012"
STARTED, STOPPED = 1_700_000_000_123, 1_700_000_060_456
TASK = "arn:aws:ecs:us-east-1:123456789012:task/cluster/0123456789abcdef"
MACHINE = "arn:aws:ecs:us-east-1:123456789012:container-instance/cluster/fedcba9876543210"


def seen(status: str, why: str = "", *, started: int = STARTED, **container: Any) -> Observation:
    row: dict[str, Any] = {
        "jobArn": f"{ARN}:job/1",
        "jobName": "a-name",
        "jobId": "1",
        "jobQueue": f"{ARN}:job-queue/low",
        "jobDefinition": f"{ARN}:job-definition/one:1",
        "status": status,
        "startedAt": started,
        "statusReason": why,
        "container": container,
    }
    if status in ("SUCCEEDED", "FAILED"):
        row["stoppedAt"] = STOPPED
    report = ParamValidator().validate(row, model("batch").shape_for("JobDetail"))
    assert not report.has_errors(), report.generate_report()
    return observation("a-handle", row)


def ends(why: str = "", **container: Any) -> tuple[End | None, int | None]:
    one = seen("FAILED", why, **container)
    assert one.phase is Phase.ENDED
    return one.end, one.exit_code


@pytest.mark.parametrize(
    ("status", "phase"),
    [
        ("SUBMITTED", Phase.WAITING),
        ("PENDING", Phase.WAITING),
        ("RUNNABLE", Phase.WAITING),
        ("STARTING", Phase.WAITING),
        ("RUNNING", Phase.RUNNING),
        ("SUCCEEDED", Phase.ENDED),
        ("FAILED", Phase.ENDED),
    ],
)
def test_each_status_has_a_phase(status: str, phase: Phase) -> None:
    one = seen(status)
    assert (one.execution_id, one.phase) == ("a-handle", phase)
    assert (one.started_at is None) == (phase is Phase.WAITING)
    assert (one.end is None) == (phase is not Phase.ENDED)


def test_times_are_aws_s_own() -> None:
    one = seen("SUCCEEDED", exitCode=0)
    assert one.started_at == datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)
    assert one.ended_at == datetime(2023, 11, 14, 22, 14, 20, 456000, UTC)


def test_0_is_no_time() -> None:
    assert seen("FAILED", "Dependent Job failed", started=0).started_at is None
    assert observation("a-handle", {"status": "FAILED"}).started_at is None


@pytest.mark.parametrize("code", [1, 7, 137, 255])
def test_an_exit_code_is_the_container_s(code: int) -> None:
    assert ends("Essential container in task exited", exitCode=code) == (End.EXITED, code)


def test_success_is_0() -> None:
    one = seen("SUCCEEDED", "Essential container in task exited")
    assert (one.end, one.exit_code) == (End.EXITED, 0)


def test_a_failure_without_a_code_is_one_all_the_same() -> None:
    one = seen("FAILED")
    assert (one.end, one.exit_code, one.detail) == (End.EXITED, 1, "FAILED, and AWS Batch tells no exit code")
    assert seen("FAILED", "Task stopped").detail == "Task stopped"
    assert ends("a job that failed has no code 0", exitCode=0) == (End.EXITED, 1)


def test_running_out_of_memory_is_told_in_aws_s_words() -> None:
    reason = "OutOfMemoryError: Container killed due to memory usage"
    one = seen("FAILED", "Essential container in task exited", exitCode=137, reason=reason)
    assert (one.end, one.exit_code) == (End.EXITED, 137)
    assert one.detail == f"Essential container in task exited; {reason}"


@pytest.mark.parametrize(
    "reason",
    [
        "Host EC2 (instance i-0123456789abcdef0) terminated.",
        "Host EC2 terminated.",
        "Your Spot Task was interrupted.",
    ],
)
def test_a_machine_that_was_taken_away_is_told(reason: str) -> None:
    assert ends(reason)[0] is End.INTERRUPTED


def test_a_timeout_is_told() -> None:
    assert ends("Job attempt duration exceeded timeout", exitCode=137) == (End.TIMED_OUT, 137)


def test_what_we_stopped_is_canceled() -> None:
    assert ends(CANCEL_REASON, exitCode=143) == (End.CANCELED, 143)
    assert ends(CANCEL_REASON, started=0) == (End.CANCELED, None)
    one = seen("SUCCEEDED", CANCEL_REASON)
    assert one.end is End.EXITED, "it was faster"


def test_what_somebody_else_stopped_is_not_canceled() -> None:
    assert ends("wrong queue, sorry", exitCode=137) == (End.EXITED, 137)
    assert ends("wrong queue, sorry", started=0)[0] is End.CANNOT_START


@pytest.mark.parametrize("told", ["isTerminated", "isCancelled"])
def test_a_child_that_was_told_by_its_array_is_canceled_in_whatever_words(told: str) -> None:
    child = {"status": "FAILED", "statusReason": "the array was stopped", "arrayProperties": {"index": 3}, told: True}
    assert observation("a-handle", child).end is End.CANCELED
    late = {**child, "statusReason": "Job attempt duration exceeded timeout"}
    assert observation("a-handle", late).end is End.TIMED_OUT
    assert observation("a-handle", {**child, told: False}).end is End.CANNOT_START


@pytest.mark.parametrize(
    "reason",
    [
        "CannotPullContainerError: pull image manifest has been retried 5 time(s): not found",
        "CannotPullECRContainerError: AccessDeniedException",
        "CannotPullImageManifestError: Error response from daemon",
        "CannotStartContainerError: Error response from daemon: exec: no such file or directory",
        "CannotCreateContainerError: no space left on device",
        "DockerTimeoutError: Could not transition to started; timed out after waiting 3m0s",
        "ResourceInitializationError: unable to pull secrets or registry auth",
    ],
)
def test_what_could_not_start_is_told(reason: str) -> None:
    one = seen("FAILED", "Task failed to start", reason=reason)
    assert (one.end, one.exit_code, one.detail) == (End.CANNOT_START, None, f"Task failed to start; {reason}")


def test_what_never_ran_could_not_start() -> None:
    reason = "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - no machine has so much"
    assert ends(reason, started=0) == (End.CANNOT_START, None)


def test_the_node_is_the_machine_or_the_task() -> None:
    assert seen("RUNNING", containerInstanceArn=MACHINE, taskArn=TASK).node == "fedcba9876543210"
    assert seen("RUNNING", taskArn=TASK).node == "0123456789abcdef"
    assert seen("RUNNING", logStreamName="one/default/0123").node == "0123"
    assert seen("RUNNABLE").node == ""
