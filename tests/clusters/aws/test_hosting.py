"""Long-running containers at AWS, against moto over HTTP, whose services the stand-in runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.hosting import AwsHosting
from clusters.providers.errors import AuthFailed, NoCapacity, NotYet, ProviderError, Refused, Throttled
from clusters.providers.hosting import Hosting, Service, ServicePhase
from tests.clusters.aws import account
from tests.clusters.aws.account import CLUSTER, CUSTOMERS, OWN, REGION, Aws
from tests.clusters.aws.ecs_fleet import NO_ROOM, NO_ROOM_IMAGE, UNKNOWN_IMAGE
from tests.clusters.hosting_contract import WAIT_SECONDS, HostingContract
from tests.clusters.provider_contract import eventually, new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

FAST: dict[str, float] = {}
UNKNOWN = "ecs::00000000-0000-4000-8000-000000000000"


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[Aws, list[str]]]:
    with account.running() as aws:
        subnets = aws.furnish_containers()
        aws.furnish_containers(CUSTOMERS)
        yield aws, subnets


@pytest.fixture
def aws(place: tuple[Aws, list[str]]) -> Aws:
    place[0].order()
    return place[0]


@pytest.fixture
def config(aws: Aws, place: tuple[Aws, list[str]]) -> AwsConfig:
    return aws.container_config(place[1])


@pytest.fixture
def hosting(aws: Aws, config: AwsConfig) -> Iterator[AwsHosting]:
    hosting = AwsHosting(config, rates=FAST, log_settle_seconds=0.0)
    yield hosting
    aws.order()
    hosting.retire(list(hosting.standing()))


class TestAwsHosting(HostingContract):
    UNKNOWN_HANDLE = UNKNOWN

    @pytest.fixture
    def hosting(self, hosting: AwsHosting) -> Hosting:  # the module's, for the contract
        return hosting


def service(**wishes: Any) -> Service:
    command = ("/bin/sh", "-c", "echo ready; sleep 1000")
    return Service(new_id(), **{"image": "localhost/busybox", "command": command, "customer": "acme", **wishes})


def running(hosting: Hosting, handle: str) -> Any:
    def arrived() -> Any:
        (seen,) = hosting.observe([handle])
        return seen if seen.phase is ServicePhase.RUNNING else None

    return eventually(arrived, f"{handle} to run", WAIT_SECONDS)


def wrote(hosting: Hosting, handle: str) -> bool:
    return hosting.logs(handle).text == "ready\n"


def name_in_ecs(handle: str) -> str:
    return f"controlplane-{handle.rpartition(':')[2]}"


def row_of(aws: Aws, handle: str, of: str = OWN) -> dict[str, Any]:
    asked = {"cluster": CLUSTER, "services": [name_in_ecs(handle)], "include": ["TAGS"]}
    (row,) = aws.client("ecs", of).describe_services(**asked)["services"]
    return dict(row)


def definitions(aws: Aws, handle: str) -> list[str]:
    begin = name_in_ecs(handle)
    families = aws.client("ecs").list_task_definition_families(familyPrefix=begin, status="ALL")["families"]
    return [str(family) for family in families]


def parameters(aws: Aws) -> list[str]:
    return [str(row["Name"]) for row in aws.client("ssm").describe_parameters()["Parameters"]]


# What is made


def test_a_service_is_made_as_it_has_to_be(aws: Aws, hosting: AwsHosting) -> None:
    wish = service(vcpus_milli=300, memory_mib=600, env={"TOKEN": "t"})
    handle = hosting.provision(wish)
    assert handle == f"ecs::{wish.name}"
    row = row_of(aws, handle)
    tags = {tag["key"]: tag["value"] for tag in row["tags"]}
    assert tags == {
        "controlplane:deployment": "controlplane",
        "controlplane:service": wish.name,
        "controlplane:customer": "acme",
    }
    definition = aws.client("ecs").describe_task_definition(taskDefinition=row["taskDefinition"])["taskDefinition"]
    assert (definition["cpu"], definition["memory"]) == ("512", "1024"), "rounded up to what Fargate has"
    (container,) = definition["containerDefinitions"]
    assert container["environment"] == [{"name": "TOKEN", "value": "t"}]
    assert container["logConfiguration"]["options"]["awslogs-group"] == "/ecs/controlplane"
    assert wish.revision in row["taskDefinition"]


def test_a_wish_that_comes_back_has_its_definition_used_again(aws: Aws, hosting: AwsHosting) -> None:
    first = service()
    handle = hosting.provision(first)
    second = replace(first, env={"A": "1"})
    for wish in (second, first, second):
        hosting.reconfigure(handle, wish)
    assert aws.seen("RegisterTaskDefinition") == 2


def test_nothing_is_left_of_a_retired_one(aws: Aws, hosting: AwsHosting) -> None:
    wish = service(secrets={"TOKEN": "a secret"})
    handle = hosting.provision(wish)
    hosting.reconfigure(handle, replace(wish, secrets={"TOKEN": "another"}))
    assert len(definitions(aws, handle)) == 2
    assert len(parameters(aws)) == 2
    hosting.retire([handle])
    assert definitions(aws, handle) == []
    assert parameters(aws) == []


def test_definitions_hold_no_secrets(aws: Aws, hosting: AwsHosting) -> None:
    wish = service(secrets={"TOKEN": "3f1c-a-long-one"})
    row = row_of(aws, hosting.provision(wish))
    definition = aws.client("ecs").describe_task_definition(taskDefinition=row["taskDefinition"])["taskDefinition"]
    name = f"/controlplane/{wish.name}/{wish.revision}/TOKEN"
    assert definition["containerDefinitions"][0]["secrets"] == [{"name": "TOKEN", "valueFrom": name}]
    assert "3f1c" not in str(definition)
    (parameter,) = aws.client("ssm").describe_parameters()["Parameters"]
    assert (parameter["Name"], parameter["Type"]) == (name, "SecureString")


@pytest.mark.parametrize("secrets", [{"TOKEN": ""}, {"TOKEN": "é" * 2049}, {"a/b": "x"}, {"": "x"}])
def test_secrets_that_aws_does_not_keep_are_refused(hosting: AwsHosting, secrets: dict[str, str]) -> None:
    with pytest.raises(Refused, match="AWS keeps") as told:
        hosting.provision(service(secrets=secrets))
    assert "éé" not in str(told.value)


def test_a_customer_s_name_that_tags_do_not_take_is_no_fault(hosting: AwsHosting) -> None:
    assert hosting.provision(service(customer="Ä & Co. <x>\n" * 40))


def test_with_public_addresses_both_are_told(aws: Aws, place: tuple[Aws, list[str]]) -> None:
    hosting = AwsHosting(aws.container_config(place[1], public_ip=True), rates=FAST)
    handle = hosting.provision(service())
    public, private = running(hosting, handle).addresses
    assert (public.is_public, private.is_public) == (True, False)
    assert public.host != private.host
    hosting.retire([handle])


def test_without_public_addresses_nobody_asks_for_them(aws: Aws, hosting: AwsHosting) -> None:
    seen = running(hosting, hosting.provision(service()))
    assert [address.is_public for address in seen.addresses] == [False]
    assert aws.seen("DescribeNetworkInterfaces") == 0


def test_no_room_is_told_while_ecs_tries_on(hosting: AwsHosting) -> None:
    handle = hosting.provision(service(image=NO_ROOM_IMAGE))

    def told() -> bool:
        (seen,) = hosting.observe([handle])
        assert seen.phase is ServicePhase.PROVISIONING
        return seen.lacks_room and NO_ROOM in seen.detail

    eventually(told, "no room", WAIT_SECONDS)


@pytest.mark.parametrize("size", [(17_000, 250_000), (1000, 300_000)])
def test_sizes_that_fargate_has_not_are_refused(hosting: AwsHosting, size: tuple[int, int]) -> None:
    with pytest.raises(Refused, match="FARGATE has no container"):
        hosting.provision(service(vcpus_milli=size[0], memory_mib=size[1]))


def test_a_cluster_that_is_not_there_is_told(aws: Aws, place: tuple[Aws, list[str]]) -> None:
    hosting = AwsHosting(aws.container_config(place[1], cluster="no-such"), rates=FAST)
    with pytest.raises(Refused, match="ClusterNotFound"):
        hosting.provision(service())
    with pytest.raises(Refused, match="ClusterNotFound"):
        hosting.observe([UNKNOWN])


def test_the_link_is_the_console_s(hosting: AwsHosting) -> None:
    assert hosting.link(UNKNOWN) == (
        f"https://{REGION}.console.aws.amazon.com/ecs/home?region={REGION}"
        f"#/clusters/{CLUSTER}/services/{name_in_ecs(UNKNOWN)}/details"
    )
    assert hosting.region == REGION
    assert hosting.log_link(UNKNOWN, "") == ""
    assert hosting.log_link(UNKNOWN, "0123").startswith(
        f"https://{REGION}.console.aws.amazon.com/cloudwatch/home?region={REGION}#logsV2:log-groups/log-group/$252F"
    )
    assert hosting.log_link(UNKNOWN, "0123").endswith("$252F0123")


def test_without_a_cluster_there_is_no_hosting(aws: Aws) -> None:
    with pytest.raises(ValueError, match="no cluster of ECS is named for us-east-1"):
        AwsHosting(aws.config())


# What breaks off


@pytest.mark.parametrize("action", ["PutParameter", "RegisterTaskDefinition", "CreateService"])
def test_an_answer_that_is_lost_is_made_good_by_saying_it_again(aws: Aws, hosting: AwsHosting, action: str) -> None:
    wish = service(secrets={"TOKEN": "t"})
    aws.order({"action": action, "drop": True})
    with pytest.raises(ProviderError) as told:
        hosting.provision(wish)
    assert type(told.value) is ProviderError
    handle = hosting.provision(wish)
    assert list(hosting.standing()) == [handle]
    assert len(definitions(aws, handle)) == 1
    seen = running(hosting, handle)
    assert len(aws.client("ecs").list_tasks(cluster=CLUSTER, serviceName=name_in_ecs(handle))["taskArns"]) == 1
    assert seen.revision == wish.revision


def test_broken_off_between_definition_and_service_it_goes_on(aws: Aws, config: AwsConfig) -> None:
    wish = service()
    aws.order({"action": "CreateService", "status": 500, "code": "ServerException"})
    with pytest.raises(ProviderError):
        AwsHosting(config, rates=FAST).provision(wish)
    successor = AwsHosting(config, rates=FAST)
    handle = successor.provision(wish)
    assert aws.seen("RegisterTaskDefinition") == 1
    assert len(aws.client("ecs").list_task_definitions(familyPrefix=definitions(aws, handle)[0])) > 0
    successor.retire([handle])


def test_of_two_that_begin_at_once_one_is_made(aws: Aws, hosting: AwsHosting, monkeypatch: pytest.MonkeyPatch) -> None:
    wish = service()
    rival = replace(wish, env={"A": "1"})
    real, looks = hosting._row, iter([None])
    handle = hosting.provision(rival)
    monkeypatch.setattr(hosting, "_row", lambda known: next(looks, real(known)))
    assert hosting.provision(wish) == handle
    assert row_of(aws, handle)["taskDefinition"].count(rival.revision) == 1


def test_many_who_begin_at_once_make_one(aws: Aws, config: AwsConfig, hosting: AwsHosting) -> None:
    wish = service(secrets={"TOKEN": "t"})
    others = [AwsHosting(config, rates=FAST) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        handles = set(threads.map(lambda each: each.provision(wish), others))
    assert len(handles) == 1
    assert list(hosting.standing()) == [*handles]


def test_over_a_bad_line_it_is_once_and_then_nothing(aws: Aws, hosting: AwsHosting) -> None:
    wish = service(secrets={"TOKEN": "t"})
    changed = replace(wish, secrets={"TOKEN": "u"})
    bad = [
        {"action": "*", "chance": 0.15, "times": 1000, "drop": True},
        {"action": "*", "chance": 0.15, "times": 1000, "status": 500, "code": "ServerException"},
        {"action": "*", "chance": 0.1, "times": 1000, "status": 400, "code": "ThrottlingException"},
    ]

    failures: list[type[ProviderError]] = []

    def insisted(does: Callable[[], object]) -> None:
        for _ in range(200):
            try:
                does()
            except ProviderError as error:
                failures.append(type(error))
            else:
                return
        raise AssertionError("it never came to an end")

    handle = f"ecs::{wish.name}"
    aws.order(*bad)
    insisted(lambda: hosting.provision(wish))
    insisted(lambda: hosting.reconfigure(handle, changed))
    aws.order()
    assert list(hosting.standing()) == [handle]
    assert running(hosting, handle).wanted == changed.revision
    aws.order(*bad)
    insisted(lambda: hosting.retire([handle]))
    aws.order()
    assert (hosting.standing(), definitions(aws, handle), parameters(aws)) == ({}, [], [])
    assert {*failures} <= {ProviderError, Throttled}


def test_what_is_not_shown_yet_is_retired_all_the_same(
    aws: Aws, hosting: AwsHosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = hosting.provision(service())
    with monkeypatch.context() as patched:
        patched.setattr(hosting, "_described", lambda handles: iter(()))
        hosting.retire([handle])
    assert hosting.standing() == {}


def test_a_name_whose_service_drains_is_not_yet_free(aws: Aws, hosting: AwsHosting) -> None:
    wish = service()
    handle = hosting.provision(wish)
    running(hosting, handle)
    aws.client("ecs").delete_service(cluster=CLUSTER, service=name_in_ecs(handle), force=True)
    with pytest.raises(NotYet):
        hosting.provision(wish)


@pytest.mark.parametrize(
    "action", ["DeleteService", "DeregisterTaskDefinition", "DeleteTaskDefinitions", "DeleteParameters"]
)
def test_a_retirement_whose_answer_is_lost_goes_on(aws: Aws, hosting: AwsHosting, action: str) -> None:
    handle = hosting.provision(service(secrets={"TOKEN": "t"}))
    aws.order({"action": action, "drop": True})
    with pytest.raises(ProviderError):
        hosting.retire([handle])
    hosting.retire([handle])
    hosting.retire([handle])
    assert definitions(aws, handle) == []
    assert parameters(aws) == []
    assert handle not in hosting.standing()


def test_one_that_failed_is_deployed_anew_for_the_same_wish(aws: Aws, hosting: AwsHosting) -> None:
    wish = service(image=UNKNOWN_IMAGE)
    handle = hosting.provision(wish)
    eventually(lambda: hosting.observe([handle])[0].phase is ServicePhase.FAILED, "its failure", WAIT_SECONDS)
    before = row_of(aws, handle)["deployments"][0]["id"]
    hosting.reconfigure(handle, wish)
    assert row_of(aws, handle)["deployments"][0]["id"] != before
    assert aws.seen("RegisterTaskDefinition") == 1


def test_a_new_configuration_that_fails_is_rolled_back(aws: Aws, hosting: AwsHosting) -> None:
    wish = service()
    handle = hosting.provision(wish)
    old = running(hosting, handle)
    eventually(lambda: row_of(aws, handle)["deployments"][0]["rolloutState"] == "COMPLETED", "the old", WAIT_SECONDS)
    hosting.reconfigure(handle, replace(wish, image=UNKNOWN_IMAGE))

    def is_back() -> bool:
        (seen,) = hosting.observe([handle])
        assert seen.run == old.run
        return seen.wanted == wish.revision

    eventually(is_back, "the old one", WAIT_SECONDS)
    assert "circuit breaker" in hosting.explain(handle) or "rolling back" in hosting.explain(handle)


def test_an_update_whose_answer_is_lost_is_not_made_twice(aws: Aws, hosting: AwsHosting) -> None:
    wish = service()
    handle = hosting.provision(wish)
    running(hosting, handle)
    aws.order({"action": "UpdateService", "drop": True})
    wish = replace(wish, env={"A": "1"})
    with pytest.raises(ProviderError):
        hosting.reconfigure(handle, wish)
    hosting.reconfigure(handle, wish)
    assert aws.seen("UpdateService") == 1


# What is refused

READS: tuple[str, ...] = ("DescribeServices", "ListTasks", "DescribeTasks")
CHANGES: tuple[str, ...] = ("ListTaskDefinitions", "PutParameter", "RegisterTaskDefinition", "CreateService")
ENDS: tuple[str, ...] = ("DeleteService", "ListTaskDefinitionFamilies", "DeregisterTaskDefinition")
ENDS += ("DeleteTaskDefinitions", "DescribeParameters", "DeleteParameters")


def denied(action: str) -> dict[str, Any]:
    return {"action": action, "status": 400, "code": "AccessDeniedException", "times": 9}


def refused(aws: Aws, action: str, does: Callable[[], object]) -> None:
    aws.order(denied(action))
    with pytest.raises(AuthFailed, match=f":{action}: AccessDenied") as told:
        does()
    assert told.value.customer == ""
    aws.order()


@pytest.mark.parametrize("action", CHANGES)
def test_a_permission_to_begin_that_is_missing_is_named(aws: Aws, hosting: AwsHosting, action: str) -> None:
    wish = service(secrets={"TOKEN": "t"})
    refused(aws, action, lambda: hosting.provision(wish))
    assert hosting.standing() == {}
    assert hosting.provision(wish)


@pytest.mark.parametrize("action", READS)
def test_a_permission_to_look_that_is_missing_is_named(aws: Aws, hosting: AwsHosting, action: str) -> None:
    handle = hosting.provision(service())
    running(hosting, handle)
    refused(aws, action, lambda: hosting.observe([handle]))


@pytest.mark.parametrize("action", ENDS)
def test_a_permission_to_end_that_is_missing_is_named(aws: Aws, hosting: AwsHosting, action: str) -> None:
    handle = hosting.provision(service(secrets={"TOKEN": "t"}))
    refused(aws, action, lambda: hosting.retire([handle]))
    hosting.retire([handle])
    assert definitions(aws, handle) == []
    assert parameters(aws) == []


def test_a_permission_to_change_that_is_missing_is_named(aws: Aws, hosting: AwsHosting) -> None:
    wish = service()
    handle = hosting.provision(wish)
    refused(aws, "UpdateService", lambda: hosting.reconfigure(handle, replace(wish, env={"A": "1"})))


def test_permissions_to_list_and_to_read_that_are_missing_are_named(aws: Aws, hosting: AwsHosting) -> None:
    handle = hosting.provision(service())
    seen = running(hosting, handle)
    refused(aws, "ListServices", hosting.standing)
    refused(aws, "DescribeLogStreams", lambda: hosting.logs(handle))
    refused(aws, "GetLogEvents", lambda: hosting.logs(handle, run=seen.run))


def test_the_permission_to_see_public_addresses_is_named(aws: Aws, place: tuple[Aws, list[str]]) -> None:
    hosting = AwsHosting(aws.container_config(place[1], public_ip=True), rates=FAST)
    handle = hosting.provision(service())
    running(hosting, handle)
    aws.order({"action": "DescribeNetworkInterfaces", "status": 403, "code": "UnauthorizedOperation"})
    with pytest.raises(ProviderError, match="DescribeNetworkInterfaces"):
        hosting.observe([handle])
    hosting.retire([handle])


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, "ThrottlingException", Throttled),
        (429, "TooManyRequestsException", Throttled),
        (400, "LimitExceededException", NoCapacity),
        (400, "InvalidParameterException", Refused),
        (400, "PlatformUnknownException", Refused),
        (400, "BlockedException", AuthFailed),
        (503, "ServiceUnavailable", ProviderError),
        (500, "ServerException", ProviderError),
    ],
)
def test_what_ecs_refuses_has_not_been_started(
    aws: Aws, hosting: AwsHosting, status: int, code: str, error: type[ProviderError]
) -> None:
    wish = service()
    aws.order({"action": "CreateService", "status": status, "code": code, "headers": {"Retry-After": "0"}})
    with pytest.raises(ProviderError) as told:
        hosting.provision(wish)
    assert type(told.value) is error
    assert hosting.standing() == {}
    assert hosting.provision(wish)


# Customers' accounts


def test_a_customer_s_containers_stand_in_the_customer_s_account(aws: Aws, place: tuple[Aws, list[str]]) -> None:
    roles = {"acme": aws.customer_role()}
    hosting = AwsHosting(aws.container_config(place[1], roles=roles), rates=FAST, log_settle_seconds=0.0)
    theirs, ours = (hosting.provision(service(customer=customer)) for customer in ("acme", "another"))
    assert theirs.startswith("ecs:acme:")
    assert set(hosting.standing()) == {theirs, ours}
    for handle in (theirs, ours):
        running(hosting, handle)
        eventually(partial(wrote, hosting, handle), "its output", WAIT_SECONDS)
    row = row_of(aws, theirs, CUSTOMERS)
    definition = aws.client("ecs", CUSTOMERS).describe_task_definition(taskDefinition=row["taskDefinition"])
    assert definition["taskDefinition"]["executionRoleArn"].split(":")[4] == CUSTOMERS
    id_there = theirs.rpartition(":")[2]
    assert hosting.observe([f"ecs::{id_there}"])[0].phase is ServicePhase.GONE, "our own account knows nothing of it"
    hosting.retire([theirs, ours])
    assert hosting.standing() == {}


def test_a_role_that_was_taken_back_stops_nobody_else(hosting: AwsHosting) -> None:
    ours = hosting.provision(service())
    theirs = ours.replace("ecs::", "ecs:acme:")
    running(hosting, ours)
    found = {seen.handle: seen for seen in hosting.observe([theirs, ours])}
    assert found[theirs].phase is ServicePhase.UNKNOWN
    assert "no role" in found[theirs].detail
    assert found[ours].phase is ServicePhase.RUNNING
    with pytest.raises(AuthFailed) as told:
        hosting.retire([theirs, ours])
    assert told.value.customer == "acme"
    assert ours not in hosting.standing()
