"""The look at a region of AWS: each permission that is missing is named, and nothing is started or changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clusters.providers.aws.config import AwsConfig, ContainerConfig, CustomerRole
from clusters.providers.aws.hosting import AwsHosting
from clusters.providers.aws.provider import AwsCloud
from clusters.providers.base import Probe
from tests.clusters.aws import account
from tests.clusters.aws.account import CLUSTER, EXECUTION_ROLE, EXTERNAL_ID, OWN, QUEUES, REGION, Aws
from tests.clusters.aws.script import Fault, Script
from tests.clusters.aws.test_session import credentials as passing
from tests.environment import CHECKOUT

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

FAST: dict[str, float] = {}
ROLE = CustomerRole("arn:aws:iam::210987654321:role/controlplane", EXTERNAL_ID)
IDENTITY = f"arn:aws:sts::{OWN}:assumed-role/controlplane/i-0123456789abcdef0"
ENVIRONMENT = f"arn:aws:batch:{REGION}:{OWN}:compute-environment/machines"
DRY = Fault(412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
JOB_ROLE = f"arn:aws:iam::{OWN}:role/controlplane-job-default"
POLICY = json.loads((CHECKOUT / "deploy/aws/policy.json").read_text())["Statement"]
LISTED = sorted(
    {name for row in POLICY for name in (row["Action"] if isinstance(row["Action"], list) else [row["Action"]])}
)
READ: tuple[str, ...] = ("batch:DescribeJobQueues", "batch:DescribeComputeEnvironments", "batch:DescribeJobDefinitions")
READ += ("batch:DescribeJobs", "batch:ListJobs", "batch:GetJobQueueSnapshot", "logs:GetLogEvents")
DRY_RUN: tuple[str, ...] = (
    "DescribeImages",
    "DescribeInstanceTypes",
    "DescribeInstances",
    "DescribeSpotInstanceRequests",
)
DRY_RUN += ("DescribeSubnets", "DescribeSecurityGroups", "CreateFleet", "CreateLaunchTemplate", "CreateTags")
DRY_RUN += ("RunInstances",)
SIMULATED: tuple[str, ...] = (
    "batch:RegisterJobDefinition",
    "batch:SubmitJob",
    "batch:TagResource",
    "batch:TerminateJob",
)
SIMULATED += ("ec2:GetConsoleOutput", "ec2:TerminateInstances", "iam:PassRole")
CONTAINERS: dict[str, Any] = {
    "containers": ContainerConfig(CLUSTER, EXECUTION_ROLE, public_ip=True),
    "subnets": ("subnet-1",),
}
CONTAINER_READS: dict[str, dict[str, Any]] = {
    "ecs:DescribeClusters": {"clusters": [{"clusterName": CLUSTER, "status": "ACTIVE"}]},
    "ecs:ListServices": {"serviceArns": []},
    "ecs:DescribeServices": {"services": [], "failures": []},
    "ecs:ListTasks": {"taskArns": []},
    "ecs:DescribeTasks": {"tasks": [], "failures": []},
    "ecs:ListTaskDefinitions": {"taskDefinitionArns": []},
    "ecs:ListTaskDefinitionFamilies": {"families": []},
    "logs:DescribeLogStreams": {"logStreams": []},
    "ssm:DescribeParameters": {"Parameters": []},
}
CONTAINER_CHANGES: tuple[str, ...] = (
    "ecs:RegisterTaskDefinition",
    "ecs:DeregisterTaskDefinition",
    "ecs:DeleteTaskDefinitions",
    "ecs:CreateService",
    "ecs:UpdateService",
    "ecs:DeleteService",
    "ecs:TagResource",
    "ssm:PutParameter",
    "ssm:DeleteParameters",
)


def queue(name: str, **members: Any) -> dict[str, Any]:
    return {
        "jobQueueName": name,
        "jobQueueArn": f"arn:aws:batch:{REGION}:{OWN}:job-queue/{name}",
        "state": "ENABLED",
        "status": "VALID",
        "priority": 1,
        "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": ENVIRONMENT}],
        **members,
    }


def environment(**members: Any) -> dict[str, Any]:
    named = {"computeEnvironmentName": "machines", "computeEnvironmentArn": ENVIRONMENT}
    return {**named, "state": "ENABLED", "status": "VALID", **members}


def decided(decision: str) -> Any:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        return {"EvaluationResults": [{"EvalActionName": asked["ActionNames"][0], "EvalDecision": decision}]}

    return answer


def denying(action: str) -> Any:
    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        return decided("implicitDeny" if asked["ActionNames"] == [action] else "allowed")(asked)

    return answer


@pytest.fixture
def well(script: Script) -> Script:
    """All is as it has to be."""
    script.say("GetCallerIdentity", {"UserId": "A", "Account": OWN, "Arn": IDENTITY})
    script.say("DescribeJobQueues", {"jobQueues": [queue("high"), queue("low")]})
    script.say("DescribeComputeEnvironments", {"computeEnvironments": [environment()]})
    script.say("DescribeJobDefinitions", {"jobDefinitions": []})
    script.say("DescribeJobs", {"jobs": []})
    script.say("ListJobs", {"jobSummaryList": []})
    script.say("GetJobQueueSnapshot", {"frontOfQueue": {"jobs": []}})
    script.say("GetLogEvents", Fault(400, "ResourceNotFoundException", "The specified log stream does not exist."))
    for action in (*DRY_RUN, "DescribeNetworkInterfaces"):
        script.say(action, DRY)
    for permission, told in CONTAINER_READS.items():
        script.say(permission.partition(":")[2], told)
    script.say("SimulatePrincipalPolicy", decided("allowed"))
    return script


def probes(script: Script, customer: str = "", **wishes: Any) -> list[Probe]:
    fixed = {"region": REGION, "queues": QUEUES, "endpoint_url": script.endpoint, "job_role_arn": JOB_ROLE}
    return AwsCloud(AwsConfig(**{**fixed, **wishes}), rates=FAST).probe(customer)


def failed(found: list[Probe]) -> list[str]:
    return [probe.what for probe in found if probe.ok is False]


def one(found: list[Probe], what: str) -> Probe:
    (probe,) = [probe for probe in found if probe.what == what]
    return probe


def test_all_that_the_policy_permits_is_tried_and_nothing_is_done(well: Script) -> None:
    well.say("DescribeSubnets", {"Subnets": [{"SubnetId": "subnet-1"}]})
    found = probes(well, **CONTAINERS)
    assert [probe for probe in found if probe.ok is not True] == []
    assert {probe.what for probe in found if ":" in probe.what} == {*LISTED} - {"sts:AssumeRole"}
    assert one(found, "credentials").words == f"we call as {IDENTITY}"
    assert {call.action for call in well.calls} & {"SubmitJob", "TerminateJob", "RegisterJobDefinition"} == set()
    assert {call.action for call in well.calls} & {each.partition(":")[2] for each in CONTAINER_CHANGES} == set()
    for action in {*DRY_RUN} - {"DescribeSubnets"}:
        for asked in well.asked(action):
            assert asked.get("DryRun") is True or asked.get("Filters"), "a look for our machines alone is no dry run"


@pytest.mark.parametrize("permission", READ)
def test_a_read_that_is_missing_is_named(well: Script, permission: str) -> None:
    well.say(permission.partition(":")[2], Fault(403, "AccessDeniedException", "not authorized to perform it"))
    found = probes(well)
    assert failed(found) == [permission]
    words = one(found, permission).words
    assert f"the permission {permission} is missing" in words
    assert "not authorized to perform it" in words
    assert "deploy/aws/policy.json" in words


@pytest.mark.parametrize("action", DRY_RUN)
def test_an_action_of_ec2_that_is_missing_is_named(well: Script, action: str) -> None:
    well.say(action, Fault(403, "UnauthorizedOperation", "You are not authorized."))
    found = probes(well)
    assert failed(found) == [f"ec2:{action}"]
    assert f"the permission ec2:{action} is missing" in one(found, f"ec2:{action}").words


@pytest.mark.parametrize("permission", SIMULATED)
def test_what_can_only_be_simulated_is_named_when_it_is_missing(well: Script, permission: str) -> None:
    well.say("SimulatePrincipalPolicy", denying(permission))
    found = probes(well)
    assert failed(found) == [permission]
    assert "implicitDeny" in one(found, permission).words


def test_the_simulator_is_asked_about_our_role_and_what_it_would_touch(well: Script) -> None:
    probes(well, instance_profile="controlplane-machine-worker")
    asked = {(each["ActionNames"][0], each["ResourceArns"][0]): each for each in well.asked("SimulatePrincipalPolicy")}
    assert {each["PolicySourceArn"] for each in asked.values()} == {f"arn:aws:iam::{OWN}:role/controlplane"}
    submit = asked["batch:SubmitJob", f"arn:aws:batch:{REGION}:{OWN}:job-definition/controlplane-probe"]
    assert f"arn:aws:batch:{REGION}:{OWN}:job-queue/high" in submit["ResourceArns"]
    of_jobs, of_machines = (
        asked["iam:PassRole", role]["ContextEntries"][0]
        for role in (JOB_ROLE, f"arn:aws:iam::{OWN}:role/controlplane-machine-worker")
    )
    assert of_jobs["ContextKeyValues"] == ["ecs-tasks.amazonaws.com"]
    assert of_machines["ContextKeyValues"] == ["ec2.amazonaws.com"]


def test_without_the_simulator_it_is_said_what_cannot_be_told(well: Script) -> None:
    well.say("SimulatePrincipalPolicy", Fault(403, "AccessDenied", "not authorized"))
    found = probes(well)
    assert failed(found) == []
    assert [probe.what for probe in found if probe.ok is None] == list(SIMULATED)
    assert "iam:SimulatePrincipalPolicy" in one(found, "batch:SubmitJob").words
    assert len(well.asked("SimulatePrincipalPolicy")) == 1


def test_a_machine_of_ours_is_tried_where_there_is_one(well: Script) -> None:
    rows = {"Reservations": [{"Instances": [{"InstanceId": "i-0123456789abcdef0"}]}]}
    well.say("DescribeInstances", DRY, rows)
    well.say("GetConsoleOutput", DRY)
    well.say("TerminateInstances", Fault(403, "UnauthorizedOperation", "You are not authorized."))
    found = probes(well)
    assert failed(found) == ["ec2:TerminateInstances"]
    assert [asked["DryRun"] for asked in well.asked("TerminateInstances")] == [True]


def test_a_dry_run_that_does_not_tell_is_simulated(well: Script) -> None:
    well.say("RunInstances", Fault(400, "InvalidAMIID.NotFound", "The image id does not exist"))
    well.say("SimulatePrincipalPolicy", Fault(403, "AccessDenied", "not authorized"))
    found = one(probes(well), "ec2:RunInstances")
    assert found.ok is None
    assert "a dry run does not tell: ec2:RunInstances: InvalidAMIID.NotFound" in found.words


def test_queues_and_what_is_behind_them_have_to_work(well: Script) -> None:
    well.say("DescribeJobQueues", {"jobQueues": [queue("high", state="DISABLED")]})
    broken = environment(status="INVALID", statusReason="CLIENT_ERROR - not authorized to assume the service role")
    well.say("DescribeComputeEnvironments", {"computeEnvironments": [broken]})
    found = probes(well)
    assert failed(found) == ["queue high", "queue low", "compute environment machines"]
    assert one(found, "queue high").words.startswith("DISABLED, VALID")
    assert "AWS_BATCH_QUEUES" in one(found, "queue low").words
    assert "assume the service role" in one(found, "compute environment machines").words


def test_without_any_queue_the_rest_is_told_all_the_same(well: Script) -> None:
    well.say("DescribeJobQueues", {"jobQueues": []})
    found = probes(well)
    assert failed(found) == ["queue high", "queue low"]
    assert one(found, "batch:ListJobs").ok is None
    assert one(found, "ec2:CreateFleet").ok is True


def test_networks_of_the_settings_have_to_be_there(well: Script) -> None:
    well.say("DescribeSubnets", Fault(400, "InvalidSubnetID.NotFound", "The subnet ID 'subnet-1' does not exist"))
    well.say("DescribeSecurityGroups", {"SecurityGroups": [{"GroupId": "sg-1"}]})
    found = probes(well, subnets=("subnet-1",), security_groups=("sg-1",))
    assert failed(found) == ["ec2:DescribeSubnets"]
    assert "AWS_EC2_NETWORKS" in one(found, "ec2:DescribeSubnets").words
    assert "sg-1" in one(found, "ec2:DescribeSecurityGroups").words


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault(403, "InvalidClientTokenId", "The security token is invalid."), "boto looks for them"),
        (Fault(0), "AWS cannot be asked"),
    ],
)
def test_without_credentials_or_an_answer_nothing_more_is_asked(script: Script, fault: Fault, words: str) -> None:
    script.say("GetCallerIdentity", fault)
    found = probes(script)
    assert failed(found) == ["credentials"]
    assert len(found) == 1
    assert words in found[0].words


def test_a_service_that_does_not_answer_is_not_waited_for_again(well: Script) -> None:
    well.say("DescribeJobQueues", Fault(0))
    found = probes(well)
    assert failed(found) == ["batch:DescribeJobQueues"]
    assert "batch has not answered" in one(found, "batch:DescribeJobs").words
    assert not well.asked("DescribeJobs")
    assert one(found, "logs:GetLogEvents").ok is True


def test_throttling_is_no_fault(well: Script) -> None:
    well.say("DescribeJobs", Fault(429, "TooManyRequestsException", "slow down"))
    found = probes(well)
    assert failed(found) == []
    assert one(found, "batch:DescribeJobs").ok is None


def test_a_customers_role_is_assumed_with_its_external_id(well: Script) -> None:
    well.say("AssumeRole", passing())
    found = probes(well, "acme", customer_roles={"acme": ROLE})
    assert failed(found) == []
    assert [asked["ExternalId"] for asked in well.asked("AssumeRole")] == [EXTERNAL_ID]
    assert one(found, "the customer's role").ok is True
    assert {call.token for call in well.calls if call.action == "DescribeJobs"} == {"a-session-token-1"}
    assert EXTERNAL_ID not in str(found)


def test_a_customers_role_that_does_not_trust_us_is_told(well: Script) -> None:
    well.say("AssumeRole", Fault(403, "AccessDenied", "not authorized to perform: sts:AssumeRole"))
    found = probes(well, "acme", customer_roles={"acme": ROLE})
    assert failed(found) == ["the customer's role"]
    assert "sts:AssumeRole" in found[-1].words
    assert "external id" in found[-1].words


def test_a_customer_without_a_role_runs_in_our_account(well: Script) -> None:
    found = probes(well, "acme")
    assert one(found, "the customer's role").ok is None
    assert one(found, "batch:DescribeJobs").ok is True


# Long-running containers


def of_containers(script: Script, customer: str = "", **wishes: Any) -> list[Probe]:
    fixed = {"region": REGION, "queues": QUEUES, "endpoint_url": script.endpoint}
    return AwsHosting(AwsConfig(**{**fixed, **CONTAINERS, **wishes}), rates=FAST).probe(customer)


def test_without_a_cluster_nobody_asks_for_containers(well: Script) -> None:
    found = probes(well)
    assert [probe for probe in found if probe.what.startswith(("ecs:", "ssm:", "cluster"))] == []


def test_of_containers_alone_all_is_told(well: Script) -> None:
    found = of_containers(well)
    assert [probe for probe in found if probe.ok is not True] == []
    assert one(found, f"cluster {CLUSTER}").words == "ACTIVE"
    assert {probe.what for probe in found} > {*CONTAINER_READS, *CONTAINER_CHANGES, "ec2:DescribeNetworkInterfaces"}
    assert [probe for probe in found if probe.what.startswith("batch:")] == []


@pytest.mark.parametrize("permission", [*CONTAINER_READS, "logs:GetLogEvents"])
def test_a_read_of_containers_that_is_missing_is_named(well: Script, permission: str) -> None:
    well.say(permission.partition(":")[2], Fault(400, "AccessDeniedException", "not authorized to perform it"))
    found = of_containers(well)
    assert failed(found) == [permission]
    assert f"the permission {permission} is missing" in one(found, permission).words


@pytest.mark.parametrize("permission", CONTAINER_CHANGES)
def test_a_change_of_containers_that_is_missing_is_named(well: Script, permission: str) -> None:
    well.say("SimulatePrincipalPolicy", denying(permission))
    assert failed(of_containers(well)) == [permission]


def test_roles_of_containers_are_given_to_tasks(well: Script) -> None:
    of_containers(well)
    asked = {each["ActionNames"][0]: each for each in well.asked("SimulatePrincipalPolicy")}
    assert asked["iam:PassRole"]["ResourceArns"] == [EXECUTION_ROLE]
    assert asked["iam:PassRole"]["ContextEntries"][0]["ContextKeyValues"] == ["ecs-tasks.amazonaws.com"]
    (service,) = asked["ecs:CreateService"]["ResourceArns"]
    assert service.startswith(f"arn:aws:ecs:{REGION}:{OWN}:service/{CLUSTER}/controlplane-")


def test_public_addresses_need_a_permission_only_where_there_are_any(well: Script) -> None:
    well.say("DescribeNetworkInterfaces", Fault(403, "UnauthorizedOperation", "You are not authorized."))
    assert failed(of_containers(well)) == ["ec2:DescribeNetworkInterfaces"]
    assert failed(of_containers(well, containers=ContainerConfig(CLUSTER, EXECUTION_ROLE))) == []


@pytest.mark.parametrize(
    ("rows", "words"),
    [([], "AWS_ECS_CLUSTERS"), ([{"clusterName": CLUSTER, "status": "INACTIVE"}], "it has to be ACTIVE")],
)
def test_the_cluster_has_to_be_there(well: Script, rows: list[dict[str, Any]], words: str) -> None:
    well.say("DescribeClusters", {"clusters": rows})
    found = of_containers(well)
    assert failed(found) == [f"cluster {CLUSTER}"]
    assert words in one(found, f"cluster {CLUSTER}").words


def test_the_log_group_has_to_be_there(well: Script) -> None:
    well.say("DescribeLogStreams", Fault(400, "ResourceNotFoundException", "The specified log group does not exist."))
    found = of_containers(well)
    assert failed(found) == ["log group /ecs/controlplane"]
    assert "AWS_ECS_LOG_GROUP" in one(found, "log group /ecs/controlplane").words


def test_containers_of_a_customer_are_looked_at_by_its_role(well: Script) -> None:
    well.say("AssumeRole", passing())
    assert failed(of_containers(well, "acme", customer_roles={"acme": ROLE})) == []
    assert {call.token for call in well.calls if call.action == "ListServices"} == {"a-session-token-1"}


@pytest.fixture(scope="module")
def moto() -> Iterator[Aws]:
    """It permits everything, and has what `Aws.furnish` makes."""
    with account.running() as aws:
        yield aws


def test_what_moto_has_is_well(moto: Aws) -> None:
    found = AwsCloud(moto.container_config(moto.furnish_containers()), rates=FAST).probe()
    assert one(found, f"cluster {CLUSTER}").ok is True
    assert one(found, "log group /ecs/controlplane").ok is True
    assert [probe for probe in found if probe.what.startswith(("ecs:", "ssm:")) and probe.ok is False] == []
    assert one(found, "queue high").ok is True
    assert one(found, "compute environment machines").ok is True
    assert one(found, "credentials").words.startswith("we call as arn:aws:")
    assert one(found, "batch:DescribeJobs").ok is True
    assert [probe for probe in found if probe.what.startswith("ec2:") and probe.ok is False] == []
