"""The stand-in of Azure Batch is strict: what the service would refuse, it refuses, in the service's words."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from tests.clusters.azure.batch_rest import API_VERSION
from tests.clusters.azure.stand_in import LOW, BatchServer
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "clouds know no database")

JOB = {"id": "a-job", "poolInfo": {"poolId": LOW}}
Members = dict[str, Any]


def a_task(**members: Any) -> Members:
    return {"id": new_id(), "commandLine": "true", "containerSettings": {"imageName": "i"}, **members}


@pytest.fixture
def server(batch: BatchServer) -> BatchServer:
    """With one job."""
    assert batch.request("POST", "/jobs", JOB)[0] == 201
    return batch


def add(server: BatchServer, *tasks: Members, **headers: str) -> tuple[int, Any]:
    status, _, said = server.request("POST", "/jobs/a-job/addtaskcollection", {"value": list(tasks)}, **headers)
    return status, said


# Headers and addresses


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"authorization": ""}, 401, "AuthenticationFailed"),
        ({"authorization": "Basic abc"}, 400, "InvalidAuthenticationInfo"),
        ({"authorization": "Bearer another"}, 403, "AuthenticationFailed"),
        ({"authorization": "SharedKey ouraccount:abc"}, 403, "AuthenticationFailed"),
        ({"content_type": "application/json"}, 400, "InvalidHeaderValue"),
        ({"client_request_id": "not-a-guid"}, 400, "InvalidHeaderValue"),
    ],
)
def test_headers_are_checked(server: BatchServer, headers: dict[str, str], status: int, code: str) -> None:
    got, said = add(server, a_task(), **headers)
    assert (got, said["code"]) == (status, code)
    assert said["message"]["lang"] == "en-US"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/jobs?x=1", 400, "MissingRequiredQueryParameter"),
        ("GET", "/jobs?api-version=2019-08-01.10.0", 400, "UnsupportedRequestVersion"),
        ("GET", f"/jobs?api-version={API_VERSION}&top=3", 400, "UnsupportedQueryParameter"),
        ("GET", f"/jobs?api-version={API_VERSION}&maxresults=1001", 400, "OutOfRangeQueryParameterValue"),
        ("GET", f"/jobs?api-version={API_VERSION}&maxresults=all", 400, "InvalidQueryParameterValue"),
        ("GET", f"/jobs?api-version={API_VERSION}&$select=id,name", 400, "InvalidQueryParameterValue"),
        ("GET", "/nothing", 400, "InvalidUri"),
        ("PUT", "/jobs", 405, "UnsupportedHttpVerb"),
        ("GET", "/jobs/none", 404, "JobNotFound"),
        ("GET", "/jobs/none/tasks", 404, "JobNotFound"),
        ("GET", "/jobs/a-job/tasks/none", 404, "TaskNotFound"),
        ("GET", "/pools/none", 404, "PoolNotFound"),
        ("DELETE", "/jobs/none", 404, "JobNotFound"),
        ("POST", "/jobs/a-job/tasks/none/terminate", 404, "TaskNotFound"),
        ("GET", f"/jobs/{'x' * 17_000}", 400, "RequestUrlFailedToParse"),
    ],
)
def test_addresses_are_checked(server: BatchServer, method: str, path: str, status: int, code: str) -> None:
    got, _, said = server.request(method, path)
    assert (got, said["code"]) == (status, code)


@pytest.mark.parametrize(
    "condition",
    [
        "id",
        "id = 'a'",
        "id eq a",
        "(id eq 'a')",
        "owner eq 'a'",
        "state gt 'active'",
        "contains(id,'a')",
        "id eq 'a' xor id eq 'b'",
    ],
)
def test_conditions_that_are_not_supported_are_refused(server: BatchServer, condition: str) -> None:
    status, _, said = server.request("GET", "/jobs/a-job/tasks", query=f"&$filter={quote(condition)}")
    assert (status, said["code"]) == (400, "InvalidQueryParameterValue")


def test_conditions_are_applied(server: BatchServer) -> None:
    for name in ("ab", "abc", "b"):
        assert add(server, a_task(id=name))[0] == 200
    server.request("POST", "/jobs/a-job/tasks/abc/terminate")

    def found(condition: str) -> list[str]:
        _, _, said = server.request("GET", "/jobs/a-job/tasks", query=f"&$select=id&$filter={quote(condition)}")
        return sorted(row["id"] for row in said["value"])

    assert found("startswith(id,'AB')") == ["ab", "abc"]
    assert found("id eq 'b' or startswith(id,'ab') and state eq 'completed'") == ["abc", "b"]
    assert found("state ne 'completed'") == ["ab", "b"]


# Bodies


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"id": "no spaces"}, "InvalidPropertyValue"),
        ({"id": "x" * 65}, "InvalidPropertyValue"),
        ({"id": None}, "MissingRequiredProperty"),
        ({"commandLine": None}, "MissingRequiredProperty"),
        ({"command_line": "true"}, "UnsupportedProperty"),
        ({"containerSettings": {}}, "MissingRequiredProperty"),
        ({"containerSettings": {"imageName": "i", "workingDirectory": "here"}}, "InvalidPropertyValue"),
        ({"constraints": {"maxWallClockTime": "60"}}, "InvalidPropertyValue"),
        ({"constraints": {"maxTaskRetryCount": "0"}}, "InvalidPropertyValue"),
        ({"environmentSettings": {"A": "1"}}, "InvalidPropertyValue"),
        ({"environmentSettings": [{"value": "1"}]}, "MissingRequiredProperty"),
        ({"requiredSlots": 0}, "InvalidPropertyValue"),
    ],
)
def test_tasks_are_checked(server: BatchServer, members: Members, code: str) -> None:
    status, said = add(server, a_task(**members))
    assert (status, said["code"]) == (400, code)
    assert server.look()["jobs"]["a-job"]["tasks"] == []


def test_no_more_than_100_tasks_are_taken_at_once(server: BatchServer) -> None:
    status, said = add(server, *(a_task() for _ in range(101)))
    assert (status, said["code"]) == (400, "InvalidPropertyValue")


def test_no_more_than_a_mebibyte_is_taken(server: BatchServer) -> None:
    status, said = add(server, a_task(commandLine="x" * (1 << 20)))
    assert (status, said["code"]) == (413, "RequestBodyTooLarge")


def test_each_task_has_its_result(server: BatchServer) -> None:
    first, second = a_task(), a_task()
    add(server, first)
    status, said = add(server, {**first, "id": first["id"].upper()}, second)
    assert status == 200
    results = {row["taskId"]: row for row in said["value"]}
    assert results[first["id"].upper()]["status"] == "clienterror"
    assert results[first["id"].upper()]["error"]["code"] == "TaskExists"
    assert results[second["id"]]["status"] == "success"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"id": "a-job", "poolInfo": {"poolId": LOW}}, 409, "JobExists"),
        ({"id": "A-JOB", "poolInfo": {"poolId": LOW}}, 409, "JobExists"),
        ({"id": "b"}, 400, "MissingRequiredProperty"),
        ({"id": "b c", "poolInfo": {"poolId": LOW}}, 400, "InvalidPropertyValue"),
        ({"id": "b", "poolInfo": {"poolId": LOW}, "onAllTasksComplete": "stop"}, 400, "InvalidPropertyValue"),
        ({"id": "b", "poolInfo": {"poolId": LOW}, "state": "active"}, 400, "UnsupportedProperty"),
        ("no object", 400, "InvalidRequestBody"),
    ],
)
def test_jobs_are_checked(server: BatchServer, body: Any, status: int, code: str) -> None:
    got, _, said = server.request("POST", "/jobs", body)
    assert (got, said["code"]) == (status, code)


def test_a_job_of_a_pool_that_is_not_there_waits(server: BatchServer) -> None:
    assert server.request("POST", "/jobs", {"id": "b", "poolInfo": {"poolId": "none"}})[0] == 201


def test_quotas_are_kept(server: BatchServer) -> None:
    server.control("limits", job_quota=1, pool_quota=2)
    status, _, said = server.request("POST", "/jobs", {"id": "b", "poolInfo": {"poolId": LOW}})
    assert (status, said["code"]) == (409, "ActiveJobAndScheduleQuotaReached")
    server.request("POST", "/jobs/a-job/terminate")
    assert server.request("POST", "/jobs", {"id": "b", "poolInfo": {"poolId": LOW}})[0] == 201


@pytest.mark.parametrize(
    ("state", "code"),
    [("completed", "JobCompleted"), ("terminating", "JobBeingTerminated"), ("deleting", "JobBeingDeleted")],
)
def test_jobs_that_end_take_no_tasks(server: BatchServer, state: str, code: str) -> None:
    server.control("set_job", job="a-job", members={"state": state})
    status, said = add(server, a_task())
    assert (status, said["code"]) == (409, code)


def test_ended_tasks_are_not_ended_again(server: BatchServer) -> None:
    add(server, a_task(id="t"))
    assert server.request("POST", "/jobs/a-job/tasks/t/terminate")[0] == 204
    status, _, said = server.request("POST", "/jobs/a-job/tasks/t/terminate")
    assert (status, said["code"]) == (409, "TaskCompleted")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"targetDedicatedNodes": 1}, "InvalidAutoScalingSettings"),
        ({"autoScaleFormula": None}, "InvalidAutoScalingSettings"),
        ({"autoScaleFormula": "$TargetDedicatedNodes = 1"}, "AutoScalingFormulaSyntaxError"),
        ({"autoScaleFormula": "nodes = 1;"}, "InvalidAutoScalingSettings"),
        ({"autoScaleEvaluationInterval": "PT4M"}, "InvalidAutoScalingSettings"),
        ({"vmSize": None}, "MissingRequiredProperty"),
    ],
)
def test_pools_are_checked(server: BatchServer, members: Members, code: str) -> None:
    machine = {"imageReference": {"sku": "2204"}, "nodeAgentSKUId": "batch.node.ubuntu 22.04"}
    scale = {"enableAutoScale": True, "autoScaleFormula": "$TargetDedicatedNodes = 1;"}
    body = {"id": "p", "vmSize": "Standard_D2s_v5", "virtualMachineConfiguration": machine, **scale, **members}
    body = {name: value for name, value in body.items() if value is not None}
    status, _, said = server.request("POST", "/pools", body)
    assert (status, said["code"]) == (400, code)


# Pages


def test_a_page_names_the_next(server: BatchServer) -> None:
    add(server, *(a_task() for _ in range(5)))
    found, path, query = [], "/jobs/a-job/tasks", "&maxresults=2&$select=id"
    for rows in (2, 2, 1):
        _, _, said = server.request("GET", path, query=query)
        assert len(said["value"]) == rows
        found += [row["id"] for row in said["value"]]
        follows = said.get("odata.nextLink", "")
        assert follows.startswith(f"{server.url}/jobs/a-job/tasks?") or rows == 1
        path, query = follows.removeprefix(server.url), ""
    assert path == ""
    assert len(set(found)) == 5
