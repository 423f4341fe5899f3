"""What the `aws` provider asks of AWS Batch, and what it makes of answers that moto does not give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clusters.providers.aws.config import AwsConfig, CustomerRole
from clusters.providers.aws.jobs import CANCEL_REASON
from clusters.providers.aws.provider import AwsCloud
from clusters.providers.base import End, Phase, Work
from clusters.providers.errors import NotFound, ProviderError, Refused
from tests.clusters.aws.account import QUEUES, REGION
from tests.clusters.aws.script import Answer, Fault, Script
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

ARN = "arn:aws:batch:us-east-1:123456789012"
DEFINITION = f"{ARN}:job-definition/ours:1"
ROLE = CustomerRole("arn:aws:iam::210987654321:role/controlplane", "agreed")
EXECUTION_ROLE = "arn:aws:iam::123456789012:role/start"


def cloud(script: Script, **wishes: Any) -> AwsCloud:
    config = AwsConfig(**{"region": REGION, "queues": QUEUES, "endpoint_url": script.endpoint, **wishes})
    return AwsCloud(config, rates={"batch": 1000.0})


def work(*command: str, **wishes: Any) -> Work:
    return Work(new_id(), command or ("true",), **{"image": "one:1", **wishes})


def job(job_id: str, status: str = "RUNNING", **wishes: Any) -> dict[str, Any]:
    return {
        "jobArn": f"{ARN}:job/{job_id}",
        "jobName": "a-name",
        "jobId": job_id,
        "jobQueue": f"{ARN}:job-queue/low",
        "jobDefinition": DEFINITION,
        "status": status,
        "startedAt": 0,
        **wishes,
    }


def submitted(body: dict[str, Any]) -> dict[str, Any]:
    return {"jobName": body["jobName"], "jobId": new_id()}


def has_definition(script: Script) -> None:
    row = {"jobDefinitionName": "ours", "jobDefinitionArn": DEFINITION, "revision": 1, "type": "container"}
    script.say("DescribeJobDefinitions", {"jobDefinitions": [row]})


# Definitions


def test_a_definition_is_made_once_and_used_again(script: Script) -> None:
    script.say("DescribeJobDefinitions", {"jobDefinitions": []})
    made = {"jobDefinitionName": "ours", "jobDefinitionArn": DEFINITION, "revision": 1}
    script.say("RegisterJobDefinition", made)
    script.say("SubmitJob", submitted)
    ours = cloud(script, job_role_arn="arn:aws:iam::123456789012:role/job")
    for number in range(3):
        ours.submit(new_id(), [work("echo", str(number), vcpus_milli=1000 * number, env={"A": "1"})])
    (registered,) = script.asked("RegisterJobDefinition")
    name = registered.pop("jobDefinitionName")
    assert name.startswith("controlplane-")
    assert script.asked("DescribeJobDefinitions") == [{"jobDefinitionName": name, "status": "ACTIVE"}]
    assert registered == {
        "type": "container",
        "platformCapabilities": ["EC2"],
        "containerProperties": {
            "image": "one:1",
            "jobRoleArn": "arn:aws:iam::123456789012:role/job",
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "512"}],
        },
        "retryStrategy": {"attempts": 1},
        "tags": {"controlplane": "controlplane"},
    }
    assert [row["jobDefinition"] for row in script.asked("SubmitJob")] == [DEFINITION] * 3


def test_the_newest_that_is_there_is_taken(script: Script) -> None:
    rows = [
        {"jobDefinitionName": "o", "jobDefinitionArn": f"{ARN}:{number}", "revision": number, "type": "container"}
        for number in (2, 10, 9)
    ]
    script.say("DescribeJobDefinitions", {"jobDefinitions": rows[:1], "nextToken": "t"}, {"jobDefinitions": rows[1:]})
    script.say("SubmitJob", submitted)
    cloud(script).submit(new_id(), [work()])
    assert script.asked("SubmitJob")[0]["jobDefinition"] == f"{ARN}:10"
    assert script.asked("DescribeJobDefinitions")[1]["nextToken"] == "t"


def test_other_images_and_shapes_have_other_definitions(script: Script) -> None:
    has_definition(script)
    script.say("SubmitJob", submitted)
    ours = cloud(script)
    for one in (work(), work(image="two:1"), work(shm_mib=128), work(), work(shm_mib=128)):
        ours.submit(new_id(), [one])
    names = [row["jobDefinitionName"] for row in script.asked("DescribeJobDefinitions")]
    assert len(names) == len(set(names)) == 3


def test_one_that_was_deregistered_is_made_anew(script: Script) -> None:
    has_definition(script)
    script.say("SubmitJob", submitted)
    ours = cloud(script)
    ours.submit(new_id(), [work()])
    script.say("SubmitJob", Fault(400, "ClientException", "JobDefinition ours:1 is not active"), submitted)
    script.say("DescribeJobDefinitions", {"jobDefinitions": []})
    script.say("RegisterJobDefinition", {"jobDefinitionName": "ours", "jobDefinitionArn": f"{ARN}:2", "revision": 2})
    ours.submit(new_id(), [work()])
    assert script.asked("SubmitJob")[-1]["jobDefinition"] == f"{ARN}:2"


def test_fargate_has_what_it_needs(script: Script) -> None:
    script.say("DescribeJobDefinitions", {"jobDefinitions": []})
    made = {"jobDefinitionName": "ours", "jobDefinitionArn": DEFINITION, "revision": 1}
    script.say("RegisterJobDefinition", made)
    script.say("SubmitJob", submitted)
    ours = cloud(script, platform="FARGATE", execution_role_arn=EXECUTION_ROLE, public_ip=True)
    ours.submit(new_id(), [work(vcpus_milli=300, memory_mib=900)])
    (registered,) = script.asked("RegisterJobDefinition")
    assert registered["platformCapabilities"] == ["FARGATE"]
    assert registered["containerProperties"] == {
        "image": "one:1",
        "executionRoleArn": EXECUTION_ROLE,
        "networkConfiguration": {"assignPublicIp": "ENABLED"},
        "resourceRequirements": [{"type": "VCPU", "value": "0.25"}, {"type": "MEMORY", "value": "512"}],
    }
    (asked,) = script.asked("SubmitJob")
    assert asked["containerOverrides"]["resourceRequirements"] == [
        {"type": "VCPU", "value": "0.5"},
        {"type": "MEMORY", "value": "1024"},
    ]


# Groups


def test_alike_works_go_together_as_far_as_aws_takes_them(script: Script) -> None:
    ours = cloud(script, customer_roles={"acme": ROLE})
    same = [work("same") for _ in range(10_001)]
    others = [
        work("other"),
        work("same", env={"A": "1"}),
        work("same", priority=50),
        work("same", queue="special"),
        work("same", timeout_seconds=60),
        work("same", image="two:1"),
        work("same", customer="acme"),
    ]
    groups = ours.group([*same, *others, work("same", customer="in our account")])
    assert [len(group) for group in groups] == [10_000, 2, *[1] * len(others)]
    assert groups[0] == same[:10_000]
    assert script.calls == []


def test_children_of_an_array_are_handled_one_by_one(script: Script) -> None:
    has_definition(script)
    whole = new_id()
    script.say("SubmitJob", {"jobName": "a-name", "jobId": whole})
    handles = cloud(script).submit("a-name", [work() for _ in range(3)])
    assert handles == [f"batch::{whole}:{index}" for index in range(3)]


# After a crash


def test_all_of_a_name_are_found_the_oldest_first(script: Script) -> None:
    ids = [new_id() for _ in range(4)]

    def row(job_id: str, created: int, name: str = "a-name") -> dict[str, Any]:
        return {"jobId": job_id, "jobName": name, "createdAt": created, "status": "FAILED"}

    pages: list[Answer | Fault] = [
        {"jobSummaryList": [row(ids[1], 30), row(f"{ids[1]}:0", 30)], "nextToken": "more"},
        {"jobSummaryList": [row(ids[0], 20), row(ids[2], 10, "A-NAME"), row(ids[3], 10, "a-name-of-another")]},
    ]
    script.say("ListJobs", *pages)
    found = cloud(script).find("a-name", [work(priority=1), work(priority=1)])
    assert found == [[f"batch::{one}:0", f"batch::{one}:1"] for one in ids[:2]]
    filters = [{"name": "JOB_NAME", "values": ["a-name"]}]
    assert script.asked("ListJobs") == [
        {"jobQueue": "high", "filters": filters},
        {"jobQueue": "high", "filters": filters, "nextToken": "more"},
    ]


@pytest.mark.parametrize("fault", [Fault(500, "ServerException"), Fault(0)])
def test_a_submit_without_an_answer_leaves_it_open(script: Script, fault: Fault) -> None:
    has_definition(script)
    script.say("SubmitJob", fault)
    with pytest.raises(ProviderError) as told:
        cloud(script).submit(new_id(), [work()])
    assert type(told.value) is ProviderError
    assert len(script.asked("SubmitJob")) == 1


# Observing and stopping


def test_many_are_described_a_hundred_in_a_call(script: Script) -> None:
    script.say("DescribeJobs", lambda body: {"jobs": [job(one) for one in body["jobs"]]})
    handles = [f"batch::{new_id()}" for _ in range(250)]
    seen = cloud(script).observe([*handles, "nonsense", "ec2::i-1"])
    assert [one.execution_id for one in seen] == handles
    assert [len(body["jobs"]) for body in script.asked("DescribeJobs")] == [100, 100, 50]


def test_only_what_goes_on_is_stopped(script: Script) -> None:
    ids = {name: new_id() for name in ("waits", "runs", "succeeded", "failed", "told", "unknown")}
    rows = [
        job(ids["waits"], "RUNNABLE"),
        job(ids["runs"], "RUNNING"),
        job(ids["succeeded"], "SUCCEEDED"),
        job(ids["failed"], "FAILED"),
        job(ids["told"], "RUNNING", isTerminated=True),
    ]
    script.say("DescribeJobs", {"jobs": rows})
    script.say("TerminateJob", {})
    cloud(script).cancel([f"batch::{one}" for one in ids.values()])
    reason = {"reason": CANCEL_REASON}
    assert script.asked("TerminateJob") == [{"jobId": ids["waits"], **reason}, {"jobId": ids["runs"], **reason}]


class Array:
    """An array of which the first `ended` children have ended, and which AWS tells so far of `counted`."""

    def __init__(self, script: Script, size: int, ended: int = 0, counted: int | None = None, **members: Any) -> None:
        self.id, self.script = new_id(), script
        self.handles = [f"batch::{self.id}:{index}" for index in range(size)]
        self.summary = {"SUCCEEDED": ended if counted is None else counted, "RUNNING": size - ended}
        self.members = {"arrayProperties": {"size": size, "statusSummary": self.summary}, **members}
        self.ended = ended
        self.told: set[str] = set()
        script.say("DescribeJobs", lambda body: {"jobs": [self.row(one) for one in body["jobs"]]})
        script.say("TerminateJob", {})

    def row(self, job_id: str) -> dict[str, Any]:
        if job_id == self.id:
            return job(job_id, "PENDING", **self.members)
        index = int(job_id.rpartition(":")[2])
        has_ended = index < self.ended
        told = {"isTerminated": True} if job_id in self.told else {}
        return job(job_id, "SUCCEEDED" if has_ended else "RUNNING", arrayProperties={"index": index}, **told)

    def stopped(self) -> list[str]:
        """Whom the calls were about: "" the whole, else a child."""
        return [body["jobId"].removeprefix(self.id) for body in self.script.asked("TerminateJob")]


@pytest.mark.parametrize("ended", [0, 200])
def test_an_array_of_which_nothing_else_goes_on_is_stopped_by_one_call(script: Script, ended: int) -> None:
    array = Array(script, 1000, ended)
    cloud(script).cancel(array.handles[ended:])
    assert script.asked("TerminateJob") == [{"jobId": array.id, "reason": CANCEL_REASON}]
    assert len(script.asked("DescribeJobs")) == 1 + (1000 - ended) // 100


def test_an_array_of_which_one_is_to_go_on_is_stopped_child_by_child(script: Script) -> None:
    array = Array(script, 5, ended=1)
    cloud(script).cancel(array.handles[:4])
    assert array.stopped() == [":1", ":2", ":3"]


def test_a_count_that_is_late_stops_nobody_else(script: Script) -> None:
    array = Array(script, 5, ended=2, counted=0)
    cloud(script).cancel(array.handles[2:])
    assert array.stopped() == [":2", ":3", ":4"]


def test_one_that_ends_between_two_looks_does_not_count_for_another(script: Script) -> None:
    """Of three the first two are to be stopped; the first ends when the array has been asked about."""
    array = Array(script, 3)
    rows = array.row

    def row(job_id: str) -> dict[str, Any]:
        found = rows(job_id)
        array.ended, array.summary["SUCCEEDED"] = 1, 1
        return found

    array.row = row  # type: ignore[method-assign]
    cloud(script).cancel(array.handles[:2])
    assert array.stopped() == [":1"]


def test_a_single_child_is_stopped_without_asking_about_its_array(script: Script) -> None:
    array = Array(script, 2)
    cloud(script).cancel(array.handles[:1])
    assert array.stopped() == [":0"]
    assert script.asked("DescribeJobs") == [{"jobs": [f"{array.id}:0"]}]


def test_what_goes_on_of_an_array_that_was_told_is_told_one_by_one(script: Script) -> None:
    array = Array(script, 3, isTerminated=True)
    array.told = {f"{array.id}:0"}
    cloud(script).cancel(array.handles)
    assert array.stopped() == [":1", ":2"]


def test_a_reason_of_ours_is_canceled(script: Script) -> None:
    one = new_id()
    script.say("DescribeJobs", {"jobs": [job(one, "FAILED", statusReason=CANCEL_REASON)]})
    (seen,) = cloud(script).observe([f"batch::{one}"])
    assert (seen.phase, seen.end) == (Phase.ENDED, End.CANCELED)


# Accounts


def test_a_customer_s_works_are_started_and_seen_in_the_customer_s_account(script: Script) -> None:
    keys = {"AccessKeyId": "a-passing-key-of-acme", "SecretAccessKey": "s", "SessionToken": "t"}
    script.say("AssumeRole", {"Credentials": {**keys, "Expiration": "2099-01-01T00:00:00Z"}})
    script.say("DescribeJobDefinitions", {"jobDefinitions": []})
    made = {"jobDefinitionName": "ours", "jobDefinitionArn": DEFINITION, "revision": 1}
    script.say("RegisterJobDefinition", made)
    script.say("SubmitJob", submitted)
    script.say("DescribeJobs", lambda body: {"jobs": [job(one) for one in body["jobs"]]})
    ours = cloud(script, customer_roles={"acme: & co": ROLE}, job_role_arn="arn:aws:iam::123456789012:role/jobs/run")
    (theirs,) = ours.submit(new_id(), [work(customer="acme: & co")])
    (own,) = ours.submit(new_id(), [work(customer="another")])
    assert theirs.startswith("batch:acme%3A%20%26%20co:")
    assert [one.execution_id for one in ours.observe([own, theirs])] == [own, theirs]
    by_key = {call.key for call in script.calls if call.action == "SubmitJob"}
    assert by_key == {"a-passing-key-of-acme", "an-access-key"}
    roles = [row["containerProperties"]["jobRoleArn"] for row in script.asked("RegisterJobDefinition")]
    assert roles == ["arn:aws:iam::210987654321:role/jobs/run", "arn:aws:iam::123456789012:role/jobs/run"]


def test_a_name_too_long_for_a_handle_is_no_configuration(script: Script) -> None:
    with pytest.raises(ValueError, match="too long"):
        cloud(script, customer_roles={"x" * 201: ROLE})


# Telling


def waits(script: Script, job_id: str, **wishes: Any) -> None:
    """AWS with one job that waits in a queue which nothing serves."""
    script.say("DescribeJobs", {"jobs": [job(job_id, "RUNNABLE", **wishes)]})
    queue = {
        "jobQueueName": "low",
        "jobQueueArn": f"{ARN}:job-queue/low",
        "state": "ENABLED",
        "status": "VALID",
        "priority": 1,
        "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": f"{ARN}:compute-environment/machines"}],
    }
    environment = {
        "computeEnvironmentName": "machines",
        "computeEnvironmentArn": f"{ARN}:compute-environment/machines",
        "state": "DISABLED",
        "status": "INVALID",
        "statusReason": "CLIENT_ERROR - Not authorized to perform sts:AssumeRole",
    }
    script.say("DescribeJobQueues", {"jobQueues": [queue]})
    script.say("DescribeComputeEnvironments", {"computeEnvironments": [environment]})


STATES = [
    "queue low: ENABLED, VALID",
    "compute environment machines: DISABLED, INVALID, CLIENT_ERROR - Not authorized to perform sts:AssumeRole",
]


@pytest.mark.parametrize("child", ["", ":7"])
def test_a_waiting_one_s_place_and_surroundings_are_told(script: Script, child: str) -> None:
    one, reason = new_id(), "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - no machine has so much"
    waits(script, one + child, statusReason=reason)
    arns = [f"{ARN}:job/{new_id()}", f"{ARN}:job/{new_id()}", f"{ARN}:job/{one}"]
    front = [{"jobArn": arn, "earliestTimeAtPosition": 1} for arn in arns]
    script.say("GetJobQueueSnapshot", {"frontOfQueue": {"jobs": front, "lastUpdatedAt": 1}})
    told = cloud(script).explain(f"batch::{one}{child}")
    assert told.splitlines() == ["RUNNABLE", reason, "number 3 in queue low", *STATES]
    assert script.asked("GetJobQueueSnapshot") == [{"jobQueue": f"{ARN}:job-queue/low"}]


def test_a_place_further_back_is_told(script: Script) -> None:
    one = new_id()
    waits(script, one)
    front = [{"jobArn": f"{ARN}:job/{new_id()}", "earliestTimeAtPosition": 1} for _ in range(100)]
    script.say("GetJobQueueSnapshot", {"frontOfQueue": {"jobs": front}})
    assert "not among the first 100 in queue low" in cloud(script).explain(f"batch::{one}")


def test_a_missing_permission_is_no_reason_to_say_nothing(script: Script) -> None:
    one = new_id()
    waits(script, one)
    script.say("GetJobQueueSnapshot", Fault(403, "AccessDeniedException", "not allowed"))
    told = cloud(script).explain(f"batch::{one}").splitlines()
    assert told == ["RUNNABLE", "batch:GetJobQueueSnapshot: AccessDeniedException: not allowed", *STATES]


def test_of_a_running_one_only_its_own_words_are_told(script: Script) -> None:
    one = new_id()
    script.say("DescribeJobs", {"jobs": [job(one, "RUNNING")]})
    assert cloud(script).explain(f"batch::{one}") == "RUNNING"
    script.say("DescribeJobs", {"jobs": []})
    assert cloud(script).explain(f"batch::{one}") == ""


def test_capacity_counts_each_compute_environment_once(script: Script) -> None:
    def queue(name: str, *environments: str) -> dict[str, Any]:
        order = [{"order": at, "computeEnvironment": f"{ARN}:ce/{one}"} for at, one in enumerate(environments)]
        rest = {"state": "ENABLED", "priority": 1, "jobQueueArn": f"{ARN}:job-queue/{name}"}
        return {"jobQueueName": name, "computeEnvironmentOrder": order, **rest}

    def environment(name: str, state: str = "ENABLED", **wishes: Any) -> dict[str, Any]:
        return {"computeEnvironmentName": name, "computeEnvironmentArn": f"{ARN}:ce/{name}", "state": state, **wishes}

    def managed(vcpus: int) -> dict[str, Any]:
        return {"type": "MANAGED", "computeResources": {"type": "SPOT", "maxvCpus": vcpus, "subnets": ["s"]}}

    rows = [
        environment("a", **managed(256)),
        environment("b", "DISABLED", **managed(64)),
        environment("c", type="UNMANAGED", unmanagedvCpus=8),
    ]
    script.say("DescribeJobQueues", {"jobQueues": [queue("high", "a", "b"), queue("low", "c", "a")]})
    script.say("DescribeComputeEnvironments", {"computeEnvironments": rows})
    capacity = cloud(script).capacity()
    assert capacity.vcpus_milli == 264_000
    assert capacity.memory_mib == 2**31 - 1, "as much as the machines have that AWS takes"
    assert script.asked("DescribeJobQueues") == [{"jobQueues": ["high", "low"]}]
    (asked,) = script.asked("DescribeComputeEnvironments")
    assert sorted(asked["computeEnvironments"]) == [f"{ARN}:ce/{name}" for name in "abc"]


@pytest.mark.parametrize(
    ("region", "begin"),
    [
        ("eu-central-1", "https://eu-central-1.console.aws.amazon.com/batch/home?region=eu-central-1#"),
        ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/batch/home?region=cn-north-1#"),
        ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/batch/home?region=us-gov-west-1#"),
    ],
)
def test_links_lead_to_the_console(script: Script, region: str, begin: str) -> None:
    one = f"{new_id()}:3"
    assert cloud(script, region=region).link(f"batch::{one}") == f"{begin}jobs/detail/{one}"


CALLS: list[Callable[[AwsCloud], object]] = [
    lambda cloud: cloud.link("nonsense"),
    lambda cloud: cloud.explain("batch:::"),
    lambda cloud: cloud.logs("batch::not-an-id", "stdout"),
]


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_handle_is_not_found(script: Script, call: Callable[[AwsCloud], object]) -> None:
    with pytest.raises(NotFound):
        call(cloud(script))


def test_what_cannot_be_is_refused_before_anything_is_asked(script: Script) -> None:
    with pytest.raises(Refused, match="no network at all"):
        cloud(script).submit(new_id(), [work(network=False)])
    with pytest.raises(Refused, match="GPUs"):
        cloud(script, platform="FARGATE", execution_role_arn=EXECUTION_ROLE).submit(new_id(), [work(gpus=1)])
    assert script.calls == []
