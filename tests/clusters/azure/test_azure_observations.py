"""What a task's state, failure and times come to."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.providers.azure.cloud import AzureCloud
from clusters.providers.base import End, LogPage, Observation, Phase
from clusters.providers.errors import NotFound, ProviderError
from tests.clusters.azure.conftest import a_work
from tests.clusters.azure.stand_in import BatchServer
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "clouds know no database")

BEGAN, OVER = "2026-01-01T10:00:00.123456Z", "2026-01-01T10:01:00Z"
STOPPED = "The task was ended by user request"
Members = dict[str, Any]


def info(**members: Any) -> Members:
    return {"retryCount": 0, "requeueCount": 0, **members}


def failed(code: str, category: str = "UserError", message: str = "Words.", details: str = "") -> Members:
    rows = [{"name": "Message", "value": details}] if details else []
    return {"category": category, "code": code, "message": message, "details": rows}


def of(azure: AzureCloud, batch: BatchServer, **members: Any) -> tuple[str, Observation]:
    """The observation of a task that is made to be so."""
    (handle,) = azure.submit(new_id(), [a_work(timeout_seconds=60)])
    job, task = handle.split("/")
    batch.control("set_task", job=job, task=task, members=members)
    (seen,) = azure.observe([handle])
    return handle, seen


@pytest.mark.parametrize(
    ("state", "phase"), [("active", Phase.WAITING), ("preparing", Phase.WAITING), ("running", Phase.RUNNING)]
)
def test_states_have_their_phase(azure: AzureCloud, batch: BatchServer, state: str, phase: Phase) -> None:
    _, seen = of(azure, batch, state=state)
    assert (seen.phase, seen.detail, seen.end) == (phase, state, None)


def test_times_and_node_are_azures(azure: AzureCloud, batch: BatchServer) -> None:
    members = {"executionInfo": info(startTime=BEGAN, endTime=OVER, exitCode=0, result="success")}
    handle, seen = of(azure, batch, state="completed", nodeInfo={"nodeId": "tvm-1", "poolId": "p"}, **members)
    assert seen == Observation(
        handle,
        Phase.ENDED,
        datetime(2026, 1, 1, 10, 0, 0, 123456, tzinfo=UTC),
        datetime(2026, 1, 1, 10, 1, tzinfo=UTC),
        End.EXITED,
        0,
        "",
        "tvm-1",
    )


@pytest.mark.parametrize(
    ("failure", "members", "end"),
    [
        (failed("FailureExitCode"), {"exitCode": 7}, End.EXITED),
        (failed("TaskEnded", message=STOPPED), {}, End.CANCELED),
        (failed("TaskEnded", message=STOPPED), {"exitCode": 137}, End.CANCELED),
        (failed("TaskEnded", message=STOPPED), {"startTime": None, "exitCode": None}, End.CANCELED),
        (failed("JobBeingTerminated"), {"startTime": None}, End.CANCELED),
        (
            failed("TaskEnded", details="The maximum execution time configured on the task was exceeded"),
            {"exitCode": 137},
            End.TIMED_OUT,
        ),
        (failed("TaskEnded", message=STOPPED), {"endTime": "2026-01-01T10:01:01Z"}, End.TIMED_OUT),
        (failed("ContainerInvalidImage"), {}, End.CANNOT_START),
        (failed("ContainerInvalidImage", category="usererror"), {}, End.CANNOT_START),
        (failed("ContainerInvalidSettings"), {}, End.CANNOT_START),
        (failed("ContainerPoolNotSupported"), {}, End.CANNOT_START),
        (failed("CommandProgramNotFound"), {}, End.CANNOT_START),
        (failed("TaskSchedulingConstraintFailed"), {"startTime": None}, End.CANNOT_START),
        (failed("MaxInternalRetryCountReached", category="ServerError"), {}, End.LOST),
        (failed("Unknown", category="ServerError"), {}, End.LOST),
        (failed("DiskFull", category="ServerError"), {"exitCode": 1}, End.EXITED),
    ],
)
def test_failures_have_their_end(
    azure: AzureCloud, batch: BatchServer, failure: Members, members: Members, end: End
) -> None:
    told = {"startTime": BEGAN, "endTime": "2026-01-01T10:00:30Z", "result": "failure", **members}
    told = {name: value for name, value in told.items() if value is not None}
    _, seen = of(azure, batch, state="completed", executionInfo=info(failureInfo=failure, **told))
    assert (seen.phase, seen.end, seen.exit_code) == (Phase.ENDED, end, members.get("exitCode"))
    assert seen.detail.startswith(f"{failure['code']}: {failure['message']}")
    assert all(detail["value"] in seen.detail for detail in failure["details"])


def test_what_the_container_engine_said_is_told(azure: AzureCloud, batch: BatchServer) -> None:
    container = {"containerId": "c", "state": "created", "error": "no space left on device"}
    members = info(startTime=BEGAN, endTime=OVER, containerInfo=container, failureInfo=failed("ContainerX"))
    _, seen = of(azure, batch, state="completed", executionInfo=members)
    assert seen.detail == "ContainerX: Words. no space left on device"


def test_one_that_is_put_back_in_line_is_deleted(azure: AzureCloud, batch: BatchServer) -> None:
    handle, seen = of(azure, batch, state="active", previousState="running", stateTransitionTime=OVER)
    assert (seen.phase, seen.end) == (Phase.ENDED, End.INTERRUPTED)
    assert seen.ended_at == datetime(2026, 1, 1, 10, 1, tzinfo=UTC)
    assert batch.look()["jobs"][handle.split("/")[0]]["tasks"] == []
    assert azure.observe([handle]) == []


def test_one_that_cannot_be_deleted_is_not_told_as_ended(azure: AzureCloud, batch: BatchServer) -> None:
    (handle,) = azure.submit(new_id(), [a_work()])
    job, task = handle.split("/")
    batch.control("set_task", job=job, task=task, members={"state": "active", "previousState": "running"})
    batch.fault("DELETE .*", status=500)
    with pytest.raises(ProviderError):
        azure.observe([handle])
    assert azure.observe([handle])[0].end is End.INTERRUPTED


def test_one_that_ends_while_it_is_stopped_is_left_alone(azure: AzureCloud, batch: BatchServer) -> None:
    (handle,) = azure.submit(new_id(), [a_work()])
    for code in ("TaskCompleted", "JobBeingTerminated", "JobCompleted", "TaskNotFound", "JobNotFound"):
        batch.fault("POST .*/terminate", status=409, code=code)
        azure.cancel([handle])


# Logs, where no file is


def test_of_one_that_is_known_but_writes_nothing_yet(azure: AzureCloud, batch: BatchServer) -> None:
    handle, _ = of(azure, batch, state="running", executionInfo=info(startTime=BEGAN))
    for code in ("FileNotFound", "NodeNotFound", "TaskFilesUnavailable"):
        batch.fault("GET .*/files/stderr.txt", status=404, code=code)
        assert azure.logs(handle, "stderr", 5) == LogPage("", 5, False)


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "FileNotFound"), (404, "NodeNotFound"), (409, "TaskFilesUnavailable"), (409, "TaskFilesCleanedup")],
)
def test_of_one_whose_files_are_gone(azure: AzureCloud, batch: BatchServer, status: int, code: str) -> None:
    members = info(startTime=BEGAN, endTime=OVER, exitCode=0)
    handle, _ = of(azure, batch, state="completed", executionInfo=members)
    batch.fault("GET .*/files/", status=status, code=code)
    with pytest.raises(NotFound, match="gone with their node"):
        azure.logs(handle, "stdout")


def test_of_one_that_never_ran(azure: AzureCloud, batch: BatchServer) -> None:
    handle, _ = of(azure, batch, state="active")
    azure.cancel([handle])
    assert azure.logs(handle, "stdout") == LogPage("", 0, True)
    assert "TaskEnded" in azure.explain(handle)


def test_nothing_is_said_of_the_unknown(azure: AzureCloud) -> None:
    assert azure.explain("nonsense") == ""
    assert azure.explain(f"cp-gone-nobody-00000000-20200101/{new_id()}") == ""
    with pytest.raises(NotFound):
        azure.logs("nonsense", "stdout")
