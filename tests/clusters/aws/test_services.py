"""What ECS tells of containers, in its words and its pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusters.providers.aws import services
from clusters.providers.aws.config import AwsConfig, ContainerConfig, CustomerRole
from clusters.providers.aws.hosting import AwsHosting
from clusters.providers.aws.task_definitions import revision_of
from clusters.providers.errors import AuthFailed, NoCapacity, ProviderError, Refused, Throttled
from clusters.providers.hosting import HealthCheck, Port, Protocol, Service, ServicePhase
from tests.clusters.aws.account import CLUSTER, EXECUTION_ROLE, EXTERNAL_ID, QUEUES, REGION
from tests.clusters.aws.script import Fault, Script
from tests.clusters.aws.test_session import credentials as passing
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

BEGUN = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
OLD, NEW = "a" * 20, "b" * 20
NAME = "01234567-89ab-4cde-8123-456789abcdef"
BEGIN = f"arn:aws:ecs:{REGION}:123456789012"


def definition(revision: str, name: str = NAME) -> str:
    return f"{BEGIN}:task-definition/controlplane-{name}-{revision}-{'0' * 20}:1"


def deployment(revision: str, state: str, status: str = "PRIMARY", **members: Any) -> dict[str, Any]:
    row = {"id": "ecs-svc/1", "status": status, "taskDefinition": definition(revision), "rolloutState": state}
    return {**row, "failedTasks": 0, "rolloutStateReason": f"ECS deployment {revision[:1]} {state}.", **members}


def row(*deployments: dict[str, Any], name: str = NAME, events: tuple[str, ...] = (), **members: Any) -> dict[str, Any]:
    told = [{"id": "1", "createdAt": BEGUN, "message": message} for message in events]
    fixed = {"serviceName": f"controlplane-{name}", "status": "ACTIVE", "deployments": list(deployments)}
    return {**fixed, "events": told, **members}


def task(revision: str = OLD, *, run: str = "1", name: str = NAME, **members: Any) -> dict[str, Any]:
    details = [
        {"name": "networkInterfaceId", "value": f"eni-{run}"},
        {"name": "privateIPv4Address", "value": f"10.0.0.{run}"},
    ]
    fixed: dict[str, Any] = {
        "taskArn": f"{BEGIN}:task/{CLUSTER}/{run}",
        "taskDefinitionArn": definition(revision, name),
        "group": f"service:controlplane-{name}",
        "createdAt": BEGUN + timedelta(seconds=int(run)),
        "startedAt": BEGUN,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "healthStatus": "UNKNOWN",
        "attachments": [{"id": "1", "type": "ElasticNetworkInterface", "status": "ATTACHED", "details": details}],
    }
    return {**fixed, **members}


def seen(service: dict[str, Any] | None, *tasks: dict[str, Any], stopped: tuple[dict[str, Any], ...] = ()) -> Any:
    return services.observation("ecs::1", service, tasks, stopped, {"eni-1": "198.51.100.7"})


# What a service and its tasks say


def test_one_that_runs_as_it_should_needs_no_words() -> None:
    found = seen(row(deployment(OLD, "COMPLETED"), events=("(service x) has reached a steady state.",)), task())
    assert (found.phase, found.run, found.revision, found.wanted) == (ServicePhase.RUNNING, "1", OLD, OLD)
    assert found.detail == ""
    assert [(each.host, each.is_public) for each in found.addresses] == [("198.51.100.7", True), ("10.0.0.1", False)]


@pytest.mark.parametrize(
    ("old", "new", "serves"),
    [
        ("HEALTHY", "UNKNOWN", "1"),
        ("HEALTHY", "HEALTHY", "2"),
        ("UNKNOWN", "UNKNOWN", "2"),
        ("UNHEALTHY", "UNKNOWN", "2"),
    ],
)
def test_the_old_one_serves_until_the_new_one_is_known_to_be_well(old: str, new: str, serves: str) -> None:
    service = row(deployment(NEW, "IN_PROGRESS"), deployment(OLD, "COMPLETED", "ACTIVE"))
    found = seen(service, task(OLD, healthStatus=old), task(NEW, run="2", healthStatus=new))
    assert found.run == serves
    assert found.wanted == NEW


def test_one_that_is_to_stop_does_not_serve() -> None:
    service = row(deployment(NEW, "IN_PROGRESS"))
    found = seen(service, task(desiredStatus="STOPPED"), task(NEW, run="2", lastStatus="PENDING"))
    assert (found.phase, found.addresses) == (ServicePhase.PROVISIONING, ())


def test_a_new_one_that_was_given_up_is_told_while_the_old_one_runs() -> None:
    service = row(deployment(NEW, "FAILED"), deployment(OLD, "COMPLETED", "ACTIVE"), events=("it failed",))
    ended = task(NEW, run="2", stopCode="TaskFailedToStart", stoppedReason="CannotPullContainerError: no such image")
    found = seen(service, task(), stopped=(ended,))
    assert (found.phase, found.revision, found.wanted) == (ServicePhase.RUNNING, OLD, "")
    assert found.detail.splitlines() == [
        "ECS deployment b FAILED.",
        "task 2 ended: TaskFailedToStart; CannotPullContainerError: no such image",
        "it failed",
    ]


def test_one_that_is_rolled_back_says_why() -> None:
    found = seen(row(deployment(OLD, "IN_PROGRESS"), deployment(NEW, "FAILED", "ACTIVE")), task())
    assert (found.revision, found.wanted) == (OLD, OLD)
    assert "ECS deployment b FAILED." in found.detail


def test_one_that_is_not_well_says_what_ecs_says() -> None:
    found = seen(row(deployment(OLD, "COMPLETED"), events=("it is unhealthy",)), task(healthStatus="UNHEALTHY"))
    assert (found.is_healthy, found.detail) == (False, "it is unhealthy")


@pytest.mark.parametrize(
    ("event", "lacks_room"),
    [
        ("was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later.", True),
        ("was unable to place a task. Reason: You've reached the limit on the number of vCPUs you can run.", True),
        ("was unable to place a task because no container instance met its requirements: RESOURCE:FARGATE.", True),
        ("failed to launch a task with (error ECS was unable to assume the role).", False),
    ],
)
def test_no_room_is_told_from_other_reasons(event: str, lacks_room: bool) -> None:
    found = seen(row(deployment(OLD, "IN_PROGRESS"), events=(event, "older")))
    assert (found.phase, found.lacks_room) == (ServicePhase.PROVISIONING, lacks_room)
    assert event in found.detail


@pytest.mark.parametrize(
    ("service", "phase"),
    [
        (None, ServicePhase.GONE),
        (row(status="INACTIVE"), ServicePhase.GONE),
        (row(status="DRAINING"), ServicePhase.STOPPING),
        (row(deployment(OLD, "IN_PROGRESS")), ServicePhase.PROVISIONING),
        (row(deployment(OLD, "FAILED")), ServicePhase.FAILED),
    ],
)
def test_phases_without_a_task(service: dict[str, Any] | None, phase: ServicePhase) -> None:
    assert seen(service).phase is phase


def test_all_that_ecs_says_is_explained() -> None:
    service = row(
        deployment(OLD, "IN_PROGRESS"),
        events=tuple(f"event {number}" for number in range(20)),
        desiredCount=1,
        runningCount=0,
        pendingCount=1,
    )
    ended = task(
        run="2",
        stopCode="EssentialContainerExited",
        stoppedReason="Essential container in task exited",
        containers=[{"exitCode": 137, "reason": "OutOfMemoryError: Container killed due to memory usage"}],
    )
    told = services.explanation(service, [task(lastStatus="PENDING")], [ended]).splitlines()
    assert told[:4] == [
        "ACTIVE: desired 1, running 0, pending 1",
        "ECS deployment a IN_PROGRESS.",
        "task 1: PENDING, UNKNOWN",
        "task 2 ended: EssentialContainerExited; Essential container in task exited; "
        "OutOfMemoryError: Container killed due to memory usage; exit code 137",
    ]
    assert told[4] == "2026-07-01 12:00:00+00:00: event 0"
    assert len(told) == 14


@pytest.mark.parametrize(
    ("arn", "revision"),
    [(definition(OLD), OLD), (f"{BEGIN}:task-definition/web:7", ""), ("", ""), ("controlplane-x", "")],
)
def test_a_definition_of_ours_tells_its_revision(arn: str, revision: str) -> None:
    assert revision_of(arn) == revision


@pytest.mark.parametrize(
    ("service", "name"),
    [
        (f"controlplane-{NAME}", NAME),
        (f"controlplane-2-{NAME}", None),
        (f"other-{NAME}", None),
        (NAME, None),
        (f"controlplane-{NAME.upper()}", None),
        ("web", None),
    ],
)
def test_services_of_others_are_not_ours(service: str, name: str | None) -> None:
    assert services.name_of("controlplane", f"{BEGIN}:service/{CLUSTER}/{service}") == name


# How it is asked


def test_all_that_was_asked_for_is_in_definition_and_service(script: Script) -> None:
    script.say("DescribeServices", {"services": [], "failures": []})
    script.say("ListTaskDefinitions", {"taskDefinitionArns": []})
    script.say("RegisterTaskDefinition", {"taskDefinition": {"taskDefinitionArn": definition(NEW)}})
    script.say("DescribeSubnets", {"Subnets": [{"SubnetId": "subnet-1", "AvailabilityZone": "a"}]})
    script.say("CreateService", {"service": row(deployment(NEW, "IN_PROGRESS"))})
    wish = Service(
        NAME,
        "localhost/web",
        ("serve",),
        ports=[Port(80), Port(3478, Protocol.UDP)],
        health_check=HealthCheck(("/bin/true",), start_seconds=10),
    )
    place = hosting(script, public_ip=True, task_role_arn="a-role", security_groups=("sg-2",))
    assert place.provision(wish) == f"ecs::{NAME}"
    (made,) = script.asked("RegisterTaskDefinition")
    assert (made["taskRoleArn"], made["executionRoleArn"]) == ("a-role", EXECUTION_ROLE)
    (container,) = made["containerDefinitions"]
    assert container["command"] == ["serve"]
    assert container["portMappings"] == [
        {"containerPort": 80, "protocol": "tcp"},
        {"containerPort": 3478, "protocol": "udp"},
    ]
    assert container["healthCheck"] == {
        "command": ["CMD", "/bin/true"],
        "interval": 30,
        "timeout": 5,
        "retries": 3,
        "startPeriod": 10,
    }
    (asked,) = script.asked("CreateService")
    assert (asked["cluster"], asked["taskDefinition"], asked["desiredCount"]) == (CLUSTER, definition(NEW), 1)
    assert (asked["launchType"], asked["propagateTags"]) == ("FARGATE", "SERVICE")
    assert asked["networkConfiguration"]["awsvpcConfiguration"] == {
        "subnets": ["subnet-1"],
        "securityGroups": ["sg-2"],
        "assignPublicIp": "ENABLED",
    }
    deploys = asked["deploymentConfiguration"]
    assert (deploys["minimumHealthyPercent"], deploys["maximumPercent"]) == (100, 200)
    assert deploys["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert len(asked["clientToken"]) <= 36


def hosting(script: Script, roles: Any = None, **wishes: Any) -> AwsHosting:
    containers = ContainerConfig(CLUSTER, EXECUTION_ROLE, **wishes)
    fixed: dict[str, Any] = {"endpoint_url": script.endpoint, "containers": containers, "subnets": ("subnet-1",)}
    return AwsHosting(AwsConfig(REGION, QUEUES, customer_roles=roles or {}, **fixed), rates={})


@pytest.mark.parametrize(
    ("check", "expected"),
    [
        (
            HealthCheck(port=80, path="/it's/well?a=1"),
            "if command -v curl >/dev/null; then curl -fsS -o /dev/null 'http://127.0.0.1:80/it'\"'\"'s/well?a=1'; "
            "else wget -q -O /dev/null 'http://127.0.0.1:80/it'\"'\"'s/well?a=1'; fi",
        ),
        (
            HealthCheck(port=5002),
            "if command -v nc >/dev/null; then nc -z 127.0.0.1 5002; else bash -c '</dev/tcp/127.0.0.1/5002'; fi",
        ),
    ],
)
def test_a_port_is_tried_by_a_line_of_shell(script: Script, check: HealthCheck, expected: str) -> None:
    script.say("DescribeServices", {"services": []})
    script.say("ListTaskDefinitions", {"taskDefinitionArns": []})
    script.say("RegisterTaskDefinition", {"taskDefinition": {"taskDefinitionArn": definition(NEW)}})
    script.say("DescribeSubnets", {"Subnets": [{"SubnetId": "subnet-1", "AvailabilityZone": "a"}]})
    script.say("CreateService", {"service": row(deployment(NEW, "IN_PROGRESS"))})
    hosting(script).provision(Service(NAME, "localhost/web", health_check=check))
    (made,) = script.asked("RegisterTaskDefinition")
    assert made["containerDefinitions"][0]["healthCheck"]["command"] == ["CMD-SHELL", expected]


@pytest.mark.parametrize("parts", [{}, {"path": "/"}, {"command": ("true",), "port": 80}])
def test_a_health_check_is_one_thing(parts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a command, or a port"):
        HealthCheck(**parts)


def test_what_stands_is_listed_page_by_page(script: Script) -> None:
    names = [new_id() for _ in range(3)]
    arns = [f"{BEGIN}:service/{CLUSTER}/{name}" for name in ("web", *(f"controlplane-{name}" for name in names))]
    script.say("ListServices", {"serviceArns": arns[:2], "nextToken": "more"}, {"serviceArns": arns[2:]})
    assert hosting(script).standing() == {f"ecs::{name}": name for name in names}
    assert [asked.get("nextToken") for asked in script.asked("ListServices")] == [None, "more"]
    assert script.asked("ListServices")[0]["maxResults"] == 100


def test_many_are_observed_in_as_few_calls_as_ecs_allows(script: Script) -> None:
    names = [new_id() for _ in range(25)]
    tasks = {f"{BEGIN}:task/{CLUSTER}/{at}": task(run=str(at), name=name) for at, name in enumerate(names)}
    strangers = {f"{BEGIN}:task/{CLUSTER}/{at}": task(run=str(at), name="web") for at in range(100, 300)}
    arns = [*strangers, *tasks]
    script.say(
        "DescribeServices",
        lambda asked: {
            "services": [
                row(deployment(OLD, "COMPLETED"), name=service.removeprefix("controlplane-"))
                for service in asked["services"]
            ]
        },
    )
    script.say("ListTasks", {"taskArns": arns[:150], "nextToken": "more"}, {"taskArns": arns[150:]})
    script.say("DescribeTasks", lambda asked: {"tasks": [{**strangers, **tasks}[arn] for arn in asked["tasks"]]})
    found = hosting(script).observe([f"ecs::{name}" for name in names])
    assert [seen.run for seen in found] == [str(at) for at in range(25)]
    assert [len(asked["services"]) for asked in script.asked("DescribeServices")] == [10, 10, 5]
    assert [len(asked["tasks"]) for asked in script.asked("DescribeTasks")] == [100, 100, 25]
    assert len(script.asked("ListTasks")) == 2


def test_a_service_that_goes_while_it_is_looked_at_is_no_fault(script: Script) -> None:
    script.say("DescribeServices", {"services": [row(deployment(OLD, "COMPLETED"))]})
    script.say("ListTasks", Fault(400, "ServiceNotFoundException", "Service not found."))
    (found,) = hosting(script).observe([f"ecs::{NAME}"])
    assert found.phase is ServicePhase.PROVISIONING


def test_public_addresses_are_asked_for_by_a_filter(script: Script) -> None:
    script.say("DescribeServices", {"services": [row(deployment(OLD, "COMPLETED"))]})
    script.say("ListTasks", {"taskArns": [f"{BEGIN}:task/{CLUSTER}/1"]})
    script.say("DescribeTasks", {"tasks": [task()]})
    interface = {"NetworkInterfaceId": "eni-1", "Association": {"PublicIp": "198.51.100.7"}}
    script.say("DescribeNetworkInterfaces", {"NetworkInterfaces": [interface]})
    (found,) = hosting(script, public_ip=True).observe([f"ecs::{NAME}"])
    assert found.addresses[0].host == "198.51.100.7"
    (asked,) = script.asked("DescribeNetworkInterfaces")
    assert asked["Filters"] == [{"Name": "network-interface-id", "Values": ["eni-1"]}]


@pytest.mark.parametrize(
    ("code", "words", "error"),
    [
        ("ClientException", "Too many concurrent attempts to create a new revision of the family.", Throttled),
        ("ClientException", "Capacity is unavailable at this time. Please try again later.", NoCapacity),
        ("InvalidParameterException", "You've reached the limit on the number of services.", NoCapacity),
        ("ClientException", "User x is not authorized to perform: iam:PassRole on resource: y", AuthFailed),
        ("InvalidParameterException", "Unable to assume the service linked role.", AuthFailed),
        ("ClientException", "Family contains invalid characters.", Refused),
        ("InvalidParameterException", "Invalid revision number.", Refused),
        ("ServerException", "Service Unavailable. Please try again later.", ProviderError),
    ],
)
def test_what_ecs_says_in_words_only_is_understood(
    script: Script, code: str, words: str, error: type[ProviderError]
) -> None:
    script.say("DescribeServices", {"services": [], "failures": []})
    script.say("ListTaskDefinitions", {"taskDefinitionArns": []})
    script.say("RegisterTaskDefinition", Fault(500 if code == "ServerException" else 400, code, words))
    with pytest.raises(ProviderError, match=code) as told:
        hosting(script).provision(Service(NAME, "localhost/web"))
    assert type(told.value) is error


def test_without_a_network_in_a_customer_s_account_it_is_refused_in_words(script: Script) -> None:
    script.say("AssumeRole", passing())
    script.say("DescribeServices", {"services": [], "failures": []})
    script.say("ListTaskDefinitions", {"taskDefinitionArns": [definition(OLD)]})
    for action in ("DescribeSubnets", "DescribeSecurityGroups"):
        script.say(action, {action.removeprefix("Describe"): []})
    role = CustomerRole("arn:aws:iam::210987654321:role/controlplane", EXTERNAL_ID)
    with pytest.raises(Refused, match="no subnet for containers in us-east-1 of acme: one has to have our tag"):
        hosting(script, roles={"acme": role}).provision(Service(NAME, "localhost/web", customer="acme"))
    (asked,) = script.asked("DescribeSubnets")
    assert asked["Filters"] == [{"Name": "tag:controlplane:deployment", "Values": ["controlplane"]}]
