"""What EC2 says of a machine, in our words. The rows are held against boto's model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.validate import ParamValidator

from clusters.providers.aws import instances
from clusters.providers.aws.instances import observation
from clusters.providers.base import End, Phase
from tests.clusters.aws.script import model
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

LAUNCHED = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def row(state: str = "running", *, code: str = "", why: str = "", tags: Any = (), **wishes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "InstanceId": "i-0123456789abcdef0",
        "InstanceType": "m5.large",
        "State": {"Name": state, "Code": 16},
        "LaunchTime": LAUNCHED,
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "StateTransitionReason": why,
        "Tags": [{"Key": key, "Value": value} for key, value in dict(tags).items()],
        **wishes,
    }
    if code:
        found["StateReason"] = {"Code": code, "Message": f"{code}: in words"}
    report = ParamValidator().validate(found, model("ec2").shape_for("Instance"))
    assert not report.has_errors(), report.generate_report()
    return found


@pytest.mark.parametrize(
    ("state", "phase"),
    [
        ("pending", Phase.WAITING),
        ("running", Phase.RUNNING),
        ("shutting-down", Phase.ENDED),
        ("terminated", Phase.ENDED),
        ("stopping", Phase.ENDED),
        ("stopped", Phase.ENDED),
    ],
)
def test_each_state_has_a_phase(state: str, phase: Phase) -> None:
    seen = observation("a-handle", row(state))
    assert (seen.execution_id, seen.phase) == ("a-handle", phase)
    assert seen.started_at == (None if phase is Phase.WAITING else LAUNCHED)
    assert (seen.end is None) == (phase is not Phase.ENDED)
    assert seen.node == "i-0123456789abcdef0 m5.large us-east-1a"


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("Server.SpotInstanceTermination", End.INTERRUPTED),
        ("Server.SpotInstanceShutdown", End.INTERRUPTED),
        ("Server.ScheduledStop", End.INTERRUPTED),
        ("Server.InsufficientInstanceCapacity", End.INTERRUPTED),
        ("Server.InternalError", End.INTERRUPTED),
        ("Client.VolumeLimitExceeded", End.CANNOT_START),
        ("Client.InvalidSnapshot.NotFound", End.CANNOT_START),
        ("Client.InternalError", End.CANNOT_START),
        ("Client.InstanceInitiatedShutdown", End.EXITED),
        ("Client.UserInitiatedShutdown", End.EXITED),
        ("", End.EXITED),
    ],
)
def test_why_a_machine_ended_is_told(code: str, end: End) -> None:
    seen = observation("a-handle", row("terminated", code=code))
    assert (seen.phase, seen.end, seen.exit_code) == (Phase.ENDED, end, 1 if end is End.EXITED else None)
    assert seen.detail == (f"{code}: in words" if code else "")


@pytest.mark.parametrize(("told", "end"), [("canceled", End.CANCELED), ("timed-out", End.TIMED_OUT)])
@pytest.mark.parametrize("code", ["Client.UserInitiatedShutdown", "Server.SpotInstanceTermination"])
def test_what_we_terminated_ended_as_we_said(told: str, end: End, code: str) -> None:
    seen = observation("a-handle", row("shutting-down", code=code, tags={instances.ENDED: told}))
    assert (seen.end, seen.exit_code) == (end, None)


def test_a_word_of_somebody_else_is_not_ours() -> None:
    assert observation("a-handle", row("terminated", tags={instances.ENDED: "whatever"})).end is End.EXITED


def test_what_was_never_there_has_not_started() -> None:
    assert observation("a-handle", row("terminated", code="Server.InsufficientInstanceCapacity")).started_at is None


def test_when_it_ended_is_aws_s_word() -> None:
    why = "User initiated (2026-03-01 13:05:06 GMT)"
    seen = observation("a-handle", row("terminated", code="Client.UserInitiatedShutdown", why=why))
    assert seen.ended_at == datetime(2026, 3, 1, 13, 5, 6, tzinfo=UTC)
    assert seen.detail == f"{why}; Client.UserInitiatedShutdown: in words"
    assert observation("a-handle", row("terminated", why="Service initiated")).ended_at is None


@pytest.mark.parametrize(
    ("state", "timeout", "seconds", "is_overdue"),
    [
        ("running", "60", 59, False),
        ("running", "60", 60, True),
        ("pending", "60", 61, True),
        ("running", "", 10**6, False),
        ("running", "soon", 10**6, False),
        ("terminated", "60", 61, False),
    ],
)
def test_a_timeout_begins_with_the_launch(state: str, timeout: str, seconds: int, is_overdue: bool) -> None:
    one = row(state, tags={instances.TIMEOUT: timeout} if timeout else {})
    assert instances.is_overdue(one, LAUNCHED + timedelta(seconds=seconds)) is is_overdue


def test_a_machine_is_ours_by_its_tags() -> None:
    execution = new_id()
    tags = {instances.DEPLOYMENT: "ours", instances.EXECUTION: execution}
    assert instances.execution_of(row(tags=tags), "ours") == execution
    assert instances.execution_of(row(tags=tags), "another") is None
    assert instances.execution_of(row(tags={**tags, instances.EXECUTION: "what?"}), "ours") is None
    assert instances.execution_of(row(), "ours") is None


def test_we_buy_spot_machines_and_those_of_the_next_rung() -> None:
    assert instances.is_bought_by_us(row(InstanceLifecycle="spot"))
    assert instances.is_bought_by_us(row(SpotInstanceRequestId="sir-1"))
    assert instances.is_bought_by_us(row(tags={instances.PURCHASE: "on-demand"}))
    assert not instances.is_bought_by_us(row(tags={instances.PURCHASE: "spot"}))
    assert not instances.is_bought_by_us(row())
