"""The `aws` provider against moto over HTTP, whose Batch runs real containers on a real dockerd."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.providers.aws.provider import AwsCloud
from clusters.providers.base import End, Observation, Phase, Work
from clusters.providers.errors import AuthFailed, ProviderError, Refused, Throttled
from tests.clusters import engines
from tests.clusters.aws.account import CUSTOMERS, MAX_VCPUS, Aws
from tests.clusters.cloud_contract import WAIT_SECONDS, CloudContract
from tests.clusters.provider_contract import eventually, new_id

pytestmark = [
    pytest.mark.runs_once("sqlite", "providers know no database"),
    pytest.mark.needs("dockerd"),
]

FAST = {"batch": 1000.0, "logs": 1000.0}  # the tests ask a hundred times a second


@pytest.fixture
def cloud(aws: Aws) -> AwsCloud:
    aws.order()
    return AwsCloud(aws.config(), rates=FAST, log_settle_seconds=0.0)


class TestAwsCloud(CloudContract):
    TELLS_TIMEOUTS = False  # moto has no word for them; and a minute is AWS's shortest
    LIVE_LOGS = False
    UNKNOWN_HANDLE = "batch::00000000-0000-4000-8000-000000000000"

    @pytest.fixture
    def cloud(self, cloud: AwsCloud) -> AwsCloud:  # the module's, for the contract
        return cloud


# What goes wrong on the way


def work(text: str = "true", **wishes: Any) -> Work:
    wishes = {"env": {"PATH": "/bin"}, "image": engines.IMAGE, "memory_mib": 64, **wishes}
    return Work(new_id(), ("/bin/sh", "-c", text), **wishes)


def until_ended(cloud: AwsCloud, handle: str) -> Observation:
    def ended() -> Observation | None:
        return next((one for one in cloud.observe([handle]) if one.phase is Phase.ENDED), None)

    seen = eventually(ended, f"the end of {handle}", WAIT_SECONDS)
    assert isinstance(seen, Observation)
    return seen


@pytest.mark.parametrize("works", [1, 3])
def test_what_was_started_without_our_being_told_is_found(aws: Aws, cloud: AwsCloud, works: int) -> None:
    name, group = new_id(), [work() for _ in range(works)]
    aws.order({"action": "SubmitJob", "drop": True})
    with pytest.raises(ProviderError) as told:
        cloud.submit(name, group)
    assert type(told.value) is ProviderError
    assert aws.seen("SubmitJob") == 1
    ((*handles,),) = cloud.find(name, group)
    assert len(handles) == works
    assert until_ended(cloud, handles[-1]).exit_code == 0


@pytest.mark.parametrize(("canceled", "calls"), [(3, 1), (2, 2)])
def test_an_array_is_stopped_by_one_call_when_all_of_it_is(
    aws: Aws, cloud: AwsCloud, canceled: int, calls: int
) -> None:
    handles = cloud.submit(new_id(), [work("sleep 120") for _ in range(3)])

    def all_run() -> bool:
        return all(one.phase is Phase.RUNNING for one in cloud.observe(handles))

    eventually(all_run, "that all run", WAIT_SECONDS)
    aws.order()
    cloud.cancel(handles[:canceled])
    assert aws.seen("TerminateJob") == calls
    for handle in handles[:canceled]:
        assert until_ended(cloud, handle).end is End.CANCELED
    assert all(one.phase is Phase.RUNNING for one in cloud.observe(handles[canceled:]))
    cloud.cancel(handles)
    for handle in handles:
        until_ended(cloud, handle)


def test_what_was_started_too_slowly_is_found(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusters.providers.aws.session.READ_SECONDS", 0.5)
    cloud, name, group = AwsCloud(aws.config()), new_id(), [work()]
    cloud.submit(new_id(), group)  # has the definition made
    aws.order({"action": "SubmitJob", "delay": 1.0})
    with pytest.raises(ProviderError, match=r"[Tt]imeout"):
        cloud.submit(name, group)
    eventually(lambda: cloud.find(name, group), "the one that was started", 10.0)


def test_what_was_started_twice_is_found_twice_the_oldest_first(cloud: AwsCloud) -> None:
    name, group = new_id(), [work(), work()]
    first, second = cloud.submit(name, group), cloud.submit(name, group)
    assert cloud.find(name, group) == [first, second]


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (429, "TooManyRequestsException", Throttled),
        (403, "AccessDeniedException", AuthFailed),
        (400, "ClientException", Refused),
    ],
)
def test_what_aws_refuses_has_not_been_started(
    aws: Aws, cloud: AwsCloud, status: int, code: str, error: type[ProviderError]
) -> None:
    name, group = new_id(), [work()]
    aws.order({"action": "SubmitJob", "status": status, "code": code, "times": 5, "headers": {"Retry-After": "0"}})
    with pytest.raises(error):
        cloud.submit(name, group)
    aws.order()
    assert cloud.find(name, group) == []
    assert cloud.submit(name, group)


def test_a_throttled_answer_stops_other_calls_too(aws: Aws, cloud: AwsCloud) -> None:
    headers = {"Retry-After": "9"}
    aws.order({"action": "ListJobs", "status": 429, "code": "TooManyRequestsException", "headers": headers})
    for _ in range(3):
        with pytest.raises(Throttled) as told:
            cloud.find(new_id(), [work()])
        assert told.value.retry_after_seconds > 8.0
    assert aws.seen("ListJobs") == 1


def test_an_error_on_one_look_is_gone_at_the_next(aws: Aws, cloud: AwsCloud) -> None:
    (handle,) = cloud.submit(new_id(), [work("exit 3")])
    aws.order({"action": "DescribeJobs", "status": 500, "code": "ServerException"})
    with pytest.raises(ProviderError):
        cloud.observe([handle])
    assert until_ended(cloud, handle).exit_code == 3


def test_a_definition_is_made_once_for_all_its_jobs(aws: Aws, cloud: AwsCloud) -> None:
    wishes: dict[str, Any] = {"shm_mib": 77}
    for number in range(3):
        cloud.submit(new_id(), [work(f"echo {number}", **wishes)])
    AwsCloud(aws.config()).submit(new_id(), [work(**wishes)])
    assert (aws.seen("RegisterJobDefinition"), aws.seen("SubmitJob")) == (1, 4)


def test_a_definition_that_an_operator_removed_is_made_again(aws: Aws, cloud: AwsCloud) -> None:
    wishes: dict[str, Any] = {"shm_mib": 78}
    cloud.submit(new_id(), [work(**wishes)])
    batch = aws.client("batch")
    for row in batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]:
        batch.deregister_job_definition(jobDefinition=row["jobDefinitionArn"])
    (handle,) = cloud.submit(new_id(), [work("exit 5", **wishes)])
    assert until_ended(cloud, handle).exit_code == 5


def test_a_job_has_its_tags_and_size(aws: Aws, cloud: AwsCloud) -> None:
    one = work(vcpus_milli=1500, memory_mib=100)
    (handle,) = cloud.submit(new_id(), [one])
    (row,) = aws.client("batch").describe_jobs(jobs=[handle.rpartition(":")[2]])["jobs"]
    assert row["tags"] == {"controlplane": "controlplane", "controlplane:execution": one.execution_id}


def test_the_capacity_is_that_of_the_compute_environment(cloud: AwsCloud) -> None:
    assert cloud.capacity().vcpus_milli == MAX_VCPUS * 1000


def test_a_customer_s_jobs_run_in_the_customer_s_account(aws: Aws) -> None:
    aws.furnish(CUSTOMERS)
    roles = {"acme": aws.customer_role()}
    cloud = AwsCloud(aws.config(customer_roles=roles), rates=FAST, log_settle_seconds=0.0)
    name, group = new_id(), [work("echo theirs", customer="acme")]
    handles = cloud.submit(name, group)
    assert cloud.find(name, group) == [handles]
    assert until_ended(cloud, handles[0]).exit_code == 0
    assert cloud.logs(handles[0], "stdout").text == "theirs\n"
    assert cloud.explain(handles[0]).startswith("SUCCEEDED")
    id_there = handles[0].rpartition(":")[2]
    assert aws.client("batch", CUSTOMERS).describe_jobs(jobs=[id_there])["jobs"]
    assert cloud.observe([f"batch::{id_there}"]) == [], "our own account must know nothing of it"
    assert cloud.find(name, [work(customer="another")]) == []


def test_a_role_that_was_taken_back_stops_nobody_else(
    aws: Aws, cloud: AwsCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ours,) = cloud.submit(new_id(), [work("sleep 60")])
    theirs = ours.replace("batch::", "batch:acme:")
    assert [seen.phase for seen in cloud.observe([theirs])] == [Phase.WAITING], "no role is set for them any more"
    found = {seen.execution_id: seen for seen in cloud.observe([theirs, ours])}
    assert "no role" in found[theirs].detail
    assert found.keys() == {ours, theirs}
    with pytest.raises(AuthFailed) as told:
        cloud.cancel([theirs, ours])
    assert told.value.customer == "acme"
    until_ended(cloud, ours)
