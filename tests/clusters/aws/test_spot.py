"""What the `aws` provider asks of EC2, and what it makes of answers that moto does not give."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusters.providers.aws import failures
from clusters.providers.aws.boot import user_data
from clusters.providers.aws.config import AwsConfig, CustomerRole
from clusters.providers.aws.fleets import machine_of
from clusters.providers.aws.provider import AwsCloud
from clusters.providers.base import Mount, Work
from clusters.providers.errors import (
    AuthFailed,
    NoCapacity,
    ProviderError,
    Refused,
    Throttled,
)
from tests.clusters.aws.account import QUEUES, REGION
from tests.clusters.aws.script import Answer, Fault, Script
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

ROLE = CustomerRole("arn:aws:iam::210987654321:role/controlplane", "agreed")
MACHINE, ANOTHER = "i-0123456789abcdef0", "i-0fedcba9876543210"
ZONES = {"subnet-1": ("us-east-1a", 10), "subnet-2": ("us-east-1b", 10), "subnet-3": ("us-east-1a", 90)}
FULL = {
    "ErrorCode": "InsufficientInstanceCapacity",
    "ErrorMessage": "There is no Spot capacity available",
    "Lifecycle": "spot",
}
DENIED = Fault(403, "UnauthorizedOperation", "You are not authorized to perform this operation.")


def cloud(script: Script, **wishes: Any) -> AwsCloud:
    config = AwsConfig(**{"region": REGION, "queues": QUEUES, "endpoint_url": script.endpoint, **wishes})
    return AwsCloud(config, rates={"ec2": 1000.0})


def work(**wishes: Any) -> Work:
    fixed = {"machine_image": "ami-1", "user_data": "#!/bin/sh\n", "env": {"A": "1"}, "customer": "acme"}
    return Work(new_id(), (), **{**fixed, "vcpus_milli": 2000, "memory_mib": 4096, **wishes})


def kind(name: str, vcpus: int, memory_mib: int, **wishes: Any) -> dict[str, Any]:
    row = {"InstanceType": name, "VCpuInfo": {"DefaultVCpus": vcpus}, "MemoryInfo": {"SizeInMiB": memory_mib}}
    modes = {"SupportedBootModes": ["legacy-bios", "uefi"], "SupportedVirtualizationTypes": ["hvm"]}
    return {**row, **modes, "NetworkInfo": {"EnaSupport": "required"}, **wishes}


KINDS = [
    kind("m5.2xlarge", 8, 32768),
    kind("m5.large", 2, 8192),
    kind("c5.large", 2, 4096),
    kind("t3.nano", 2, 512),
    kind("inf1.xlarge", 4, 8192, NeuronInfo={"NeuronDevices": []}),
    kind("f1.xlarge", 4, 8192, FpgaInfo={"TotalFpgaMemoryInMiB": 1}),
    kind("g5.xlarge", 4, 16384, GpuInfo={"Gpus": [{"Name": "A10G", "Manufacturer": "NVIDIA", "Count": 1}]}),
    kind("g4ad.xlarge", 4, 16384, GpuInfo={"Gpus": [{"Name": "V520", "Manufacturer": "AMD", "Count": 1}]}),
    kind("m4.large", 2, 8192, SupportedBootModes=["legacy-bios"], NetworkInfo={"EnaSupport": "unsupported"}),
]


def is_furnished(script: Script, **image: Any) -> None:
    found = {"ImageId": "ami-1", "Architecture": "x86_64", "VirtualizationType": "hvm", "EnaSupport": True, **image}
    script.say("DescribeImages", {"Images": [found]})
    script.say("DescribeInstanceTypes", {"InstanceTypes": KINDS[:3], "NextToken": "t"}, {"InstanceTypes": KINDS[3:]})
    rows = [
        {"SubnetId": name, "AvailabilityZone": zone, "AvailableIpAddressCount": free}
        for name, (zone, free) in ZONES.items()
    ]
    script.say("DescribeSubnets", {"Subnets": rows})
    script.say("DescribeSecurityGroups", {"SecurityGroups": [{"GroupId": "sg-theirs"}]})
    script.say("CreateLaunchTemplate", {"LaunchTemplate": {"LaunchTemplateId": "lt-1"}})
    script.say("CreateFleet", started())


def started(instance_id: str = MACHINE, *errors: dict[str, Any]) -> dict[str, Any]:
    return {"FleetId": "fleet-1", "Errors": list(errors), "Instances": [{"InstanceIds": [instance_id]}]}


def nothing(*errors: dict[str, Any]) -> dict[str, Any]:
    return {"FleetId": "fleet-1", "Errors": list(errors), "Instances": []}


def error(code: str, words: str = "in words") -> dict[str, Any]:
    return {"ErrorCode": code, "ErrorMessage": words, "Lifecycle": "spot"}


def row(instance_id: str = MACHINE, state: str = "running", *, tags: Any = (), **wishes: Any) -> dict[str, Any]:
    ours = {"controlplane:deployment": "controlplane", "controlplane:execution": new_id(), **dict(tags)}
    return {
        "InstanceId": instance_id,
        "InstanceType": "m5.large",
        "State": {"Name": state},
        "LaunchTime": datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=5),
        "Placement": {"AvailabilityZone": "us-east-1a"},
        "InstanceLifecycle": "spot",
        "SpotInstanceRequestId": "sir-1",
        "Tags": [{"Key": key, "Value": value} for key, value in ours.items() if value],
        **wishes,
    }


def shows(script: Script, *rows: dict[str, Any]) -> None:
    """Have EC2 show these, as it does: for none when it is asked for one that it does not know."""

    def answer(body: dict[str, Any]) -> dict[str, Any]:
        wanted = body.get("InstanceIds")
        return {"Reservations": [{"Instances": [one]} for one in rows if not wanted or one["InstanceId"] in wanted]}

    script.say("DescribeInstances", answer)


def handle(instance_id: str = MACHINE, account: str = "") -> str:
    return f"ec2:{account}:{instance_id}"


# Asking for a machine


def test_a_fleet_of_one_machine_is_asked_for(script: Script) -> None:
    is_furnished(script)
    one, name = work(timeout_seconds=90), new_id()
    ours = cloud(script, subnets=list(ZONES), prefix="ours")
    assert ours.submit(name, [one]) == [handle()]
    (asked,) = script.asked("CreateFleet")
    assert (asked["Type"], asked["ClientToken"]) == ("instant", name)
    target = {"TotalTargetCapacity": 1, "DefaultTargetCapacityType": "spot"}
    assert asked["TargetCapacitySpecification"] == target
    assert asked["SpotOptions"] == {"AllocationStrategy": "price-capacity-optimized"}
    (config,) = asked["LaunchTemplateConfigs"]
    specification = config["LaunchTemplateSpecification"]
    assert base64.b64decode(specification["LaunchTemplateSpecificationUserData"]) == user_data(one)
    assert config["Overrides"] == [
        {"InstanceType": name, "SubnetId": subnet}
        for name in ("c5.large", "m4.large", "m5.large", "m5.2xlarge")
        for subnet in ("subnet-2", "subnet-3")
    ], "types that fit, the smallest first, in one subnet of each zone"
    tags = {
        "controlplane:deployment": "ours",
        "controlplane:submission": name,
        "controlplane:execution": one.execution_id,
        "controlplane:customer": "acme",
        "controlplane:purchase": "spot",
        "controlplane:timeout-seconds": "90",
    }
    for specified, resource in zip(asked["TagSpecifications"], ("fleet", "instance"), strict=True):
        assert specified["ResourceType"] == resource
        assert {tag["Key"]: tag["Value"] for tag in specified["Tags"]} == tags


def test_the_template_holds_what_all_machines_of_an_image_have(script: Script) -> None:
    is_furnished(script)
    ours = cloud(script, security_groups=["sg-1"], instance_profile="worker", key_name="ops")
    for image in ("ami-1", "ami-1", "ami-2"):
        ours.submit(new_id(), [work(machine_image=image)])
    made = script.asked("CreateLaunchTemplate")
    assert [row["LaunchTemplateData"]["ImageId"] for row in made] == ["ami-1", "ami-2"], "one for each image"
    assert made[0]["LaunchTemplateName"].startswith("controlplane-")
    used = [row["LaunchTemplateConfigs"][0]["LaunchTemplateSpecification"] for row in script.asked("CreateFleet")]
    names = [row["LaunchTemplateName"] for row in made]
    assert [row["LaunchTemplateName"] for row in used] == [names[0], names[0], names[1]]
    assert made[0]["LaunchTemplateData"] == {
        "ImageId": "ami-1",
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "SecurityGroupIds": ["sg-1"],
        "IamInstanceProfile": {"Name": "worker"},
        "KeyName": "ops",
    }


def test_nothing_is_in_the_template_that_was_not_set(script: Script) -> None:
    is_furnished(script)
    cloud(script).submit(new_id(), [work()])
    (made,) = script.asked("CreateLaunchTemplate")
    assert sorted(made["LaunchTemplateData"]) == ["ImageId", "InstanceInitiatedShutdownBehavior", "MetadataOptions"]
    (asked,) = script.asked("CreateFleet")
    assert asked["LaunchTemplateConfigs"][0]["Overrides"][0] == {"InstanceType": "c5.large"}
    assert not script.asked("DescribeSubnets"), "AWS's default network needs no look"


def test_a_template_that_another_process_made_is_used(script: Script) -> None:
    is_furnished(script)
    script.say("CreateLaunchTemplate", Fault(400, "InvalidLaunchTemplateName.AlreadyExistsException"))
    assert cloud(script).submit(new_id(), [work()]) == [handle()]


def test_a_template_that_was_deleted_is_made_anew(script: Script) -> None:
    is_furnished(script)
    gone = error("InvalidLaunchTemplateName.NotFoundException")
    script.say("CreateFleet", Fault(400, gone["ErrorCode"]), nothing(gone), started())
    ours = cloud(script)
    for _ in range(2):
        with pytest.raises(Throttled):
            ours.submit(new_id(), [work()])
    assert ours.submit(new_id(), [work()]) == [handle()]
    assert len(script.asked("CreateLaunchTemplate")) == 3


def test_types_and_images_are_looked_for_once_a_day(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    is_furnished(script)
    ours = cloud(script, subnets=["subnet-1"])
    for _ in range(3):
        ours.submit(new_id(), [work()])
    assert len(script.asked("DescribeImages")) == len(script.asked("DescribeSubnets")) == 1
    asked, following = script.asked("DescribeInstanceTypes")
    assert {row["Name"]: row["Values"] for row in asked["Filters"]} == {
        "processor-info.supported-architecture": ["x86_64"],
        "current-generation": ["true"],
        "bare-metal": ["false"],
        "supported-usage-class": ["spot"],
    }
    assert following["NextToken"] == "t"


@pytest.mark.parametrize(
    ("image", "wishes", "types"),
    [
        ({"BootMode": "uefi"}, {}, ["c5.large", "m5.large", "m5.2xlarge"]),
        ({"BootMode": "uefi-preferred"}, {}, ["c5.large", "m4.large", "m5.large", "m5.2xlarge"]),
        ({"EnaSupport": False}, {}, ["m4.large"]),
        ({}, {"vcpus_milli": 2001}, ["m5.2xlarge"]),
        ({}, {"memory_mib": 4097}, ["m4.large", "m5.large", "m5.2xlarge"]),
        ({}, {"gpus": 1}, ["g5.xlarge"]),
    ],
)
def test_types_are_those_that_fit_work_and_image(
    script: Script, image: dict[str, Any], wishes: dict[str, Any], types: list[str]
) -> None:
    is_furnished(script, **image)
    cloud(script).submit(new_id(), [work(**wishes)])
    (asked,) = script.asked("CreateFleet")
    assert [row["InstanceType"] for row in asked["LaunchTemplateConfigs"][0]["Overrides"]] == types


def test_what_no_type_has_is_refused(script: Script) -> None:
    is_furnished(script)
    with pytest.raises(Refused, match="no x86_64 machine with 100 vCPUs, 4096 MiB and 0 GPUs for ami-1"):
        cloud(script).submit(new_id(), [work(vcpus_milli=100_000)])
    is_furnished(script, VirtualizationType="paravirtual")
    with pytest.raises(Refused, match="no x86_64 machine"):
        cloud(script).submit(new_id(), [work()])


def test_an_image_of_another_architecture_asks_for_its_machines(script: Script) -> None:
    is_furnished(script, Architecture="arm64")
    cloud(script).submit(new_id(), [work()])
    filters = script.asked("DescribeInstanceTypes")[0]["Filters"]
    assert filters[0] == {"Name": "processor-info.supported-architecture", "Values": ["arm64"]}


@pytest.mark.parametrize(
    "answer",
    [{"Images": []}, Fault(400, "InvalidAMIID.NotFound"), Fault(400, "InvalidAMIID.Malformed")],
)
def test_an_unknown_image_is_refused(script: Script, answer: Answer | Fault) -> None:
    script.say("DescribeImages", answer)
    with pytest.raises(Refused, match=r"no machine image ami-1|InvalidAMIID"):
        cloud(script).submit(new_id(), [work()])


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"image": "busybox"}, "an image of containers"),
        ({"queue": "no-such-queue"}, "the queue no-such-queue"),
        ({"mounts": [Mount("/data", "/data")]}, "folders of this machine"),
        ({"shm_mib": 64}, "a size of /dev/shm"),
        ({"network": False}, "no network at all"),
        ({"user_data": "hello"}, "user_data begins with nothing"),
        ({"user_data": "#!/bin/sh\n" + "x" * 16_400}, "user_data is too long"),
    ],
)
def test_what_a_machine_has_not_is_refused_before_anything_is_asked(
    script: Script, wishes: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused, match=words):
        cloud(script).submit(new_id(), [work(**wishes)])
    assert not script.calls


def test_machines_are_submitted_one_by_one_beside_containers(script: Script) -> None:
    containers = [Work(new_id(), ("true",), image="one:1") for _ in range(2)]
    machines = [work() for _ in range(2)]
    groups = cloud(script).group([machines[0], *containers, machines[1]])
    assert groups == [containers, [machines[0]], [machines[1]]]


# When there is none

CAPACITY = [
    "InsufficientInstanceCapacity",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
    "MaxSpotInstanceCountExceeded",
    "InsufficientHostCapacity",
    "InsufficientFreeAddressesInSubnet",
    "InsufficientCapacity",
    "InsufficientAddressCapacity",
    "InsufficientVolumeCapacity",
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "VolumeLimitExceeded",
    "MaxFleetCountExceeded",
    "InternalError",
]


@pytest.mark.parametrize("code", CAPACITY)
def test_no_room_is_told_in_aws_s_words(code: str) -> None:
    answer = nothing(error(code, "not now"), error(code), error("InvalidFleetConfiguration"))
    with pytest.raises(NoCapacity) as told:
        machine_of(answer)
    assert str(told.value) == (
        f"ec2:CreateFleet: {code}: not now; ec2:CreateFleet: InvalidFleetConfiguration: in words"
    ), "each once"


@pytest.mark.parametrize("code", sorted(set(CAPACITY) - {"InternalError"}))
def test_no_room_is_told_as_an_error_too(code: str) -> None:
    assert type(failures.told("ec2:CreateFleet", code, "")) is NoCapacity


def test_no_room_starts_nothing(script: Script) -> None:
    is_furnished(script)
    script.say("CreateFleet", nothing(FULL), Fault(400, "VcpuLimitExceeded"))
    ours = cloud(script)
    for code in ("InsufficientInstanceCapacity: There is no Spot", "VcpuLimitExceeded: as a test ordered"):
        with pytest.raises(NoCapacity, match=code):
            ours.submit(new_id(), [work()])


def test_a_fleet_without_a_machine_and_without_a_word_is_no_room() -> None:
    with pytest.raises(NoCapacity, match="does not say why"):
        machine_of(nothing())


def test_a_machine_in_spite_of_errors_is_a_machine() -> None:
    assert machine_of(started(ANOTHER, FULL)) == ANOTHER


@pytest.mark.parametrize(
    ("codes", "kind"),
    [
        (["RequestLimitExceeded", "InsufficientInstanceCapacity"], Throttled),
        (["UnauthorizedOperation"], AuthFailed),
        (["AuthFailure.ServiceLinkedRoleCreationNotPermitted"], AuthFailed),
        (["UnauthorizedOperation", "InsufficientInstanceCapacity"], NoCapacity),
        (["InvalidAMIID.NotFound"], Refused),
        (["InvalidParameterValue", "InvalidFleetConfiguration"], Refused),
        (["Unsupported"], Refused),
        (["InvalidKeyPair.NotFound"], Refused),
    ],
)
def test_other_errors_of_a_fleet_say_what_to_do(codes: list[str], kind: type[ProviderError]) -> None:
    with pytest.raises(ProviderError) as told:
        machine_of(nothing(*map(error, codes)))
    assert type(told.value) is kind
    assert all(code in str(told.value) for code in codes)


def test_after_spot_a_machine_at_the_full_price_is_asked_for(script: Script) -> None:
    is_furnished(script)
    script.say("CreateFleet", nothing(FULL), started(ANOTHER))
    name = new_id()
    assert cloud(script, on_demand_after_spot=True).submit(name, [work()]) == [handle(ANOTHER)]
    spot, full_price = script.asked("CreateFleet")
    assert (spot["ClientToken"], full_price["ClientToken"]) == (name, f"{name}-on-demand")
    assert len(full_price["ClientToken"]) <= 64
    assert full_price["TargetCapacitySpecification"]["DefaultTargetCapacityType"] == "on-demand"
    assert "SpotOptions" not in full_price
    tags = {tag["Key"]: tag["Value"] for tag in full_price["TagSpecifications"][1]["Tags"]}
    assert tags["controlplane:purchase"] == "on-demand"


def test_without_leave_there_is_no_full_price(script: Script) -> None:
    is_furnished(script)
    script.say("CreateFleet", nothing(FULL))
    with pytest.raises(NoCapacity):
        cloud(script).submit(new_id(), [work()])
    assert len(script.asked("CreateFleet")) == 1


@pytest.mark.parametrize("fault", [Fault(503, "RequestLimitExceeded"), DENIED, Fault(400, "InvalidParameterValue")])
def test_only_no_room_leads_to_the_full_price(script: Script, fault: Fault) -> None:
    is_furnished(script)
    script.say("CreateFleet", fault)
    with pytest.raises(ProviderError):
        cloud(script, on_demand_after_spot=True).submit(new_id(), [work()])
    assert len(script.asked("CreateFleet")) == 1


def test_when_both_have_no_room_both_say_so(script: Script) -> None:
    is_furnished(script)
    script.say("CreateFleet", nothing(FULL), nothing(error("VcpuLimitExceeded")))
    with pytest.raises(NoCapacity, match=r"InsufficientInstanceCapacity: .*; .*VcpuLimitExceeded"):
        cloud(script, on_demand_after_spot=True).submit(new_id(), [work()])


def test_who_comes_again_has_another_token(script: Script) -> None:
    """AWS would answer a token that it knows as before: no machine, for as long as it remembers."""
    is_furnished(script)
    name, one = new_id(), work()
    script.say("CreateFleet", nothing(FULL), nothing(FULL), nothing(FULL), started())
    ours = cloud(script, on_demand_after_spot=True)
    with pytest.raises(NoCapacity):
        ours.submit(name, [one])
    assert ours.submit(name, [one]) == [handle()]
    tokens = [asked["ClientToken"] for asked in script.asked("CreateFleet")]
    assert tokens == [name, f"{name}-on-demand", f"{name}-1", f"{name}-1-on-demand"]
    assert max(map(len, tokens)) <= 64


def test_who_does_not_know_what_came_of_it_asks_with_the_same_token(script: Script) -> None:
    is_furnished(script)
    name, one = new_id(), work()
    script.say("CreateFleet", nothing(FULL), Fault(0), nothing(FULL), started())
    ours = cloud(script, on_demand_after_spot=True)
    with pytest.raises(ProviderError) as told:
        ours.submit(name, [one])
    assert type(told.value) is ProviderError
    assert ours.submit(name, [one]) == [handle()]
    first, second, third, fourth = script.asked("CreateFleet")
    assert (first, second) == (third, fourth), "all of it the same, or AWS would refuse"


def test_a_token_that_was_used_for_something_else_leaves_open_what_is_there(script: Script) -> None:
    is_furnished(script)
    name, one = new_id(), work()
    script.say("CreateFleet", Fault(400, "IdempotentParameterMismatch"), started())
    ours = cloud(script)
    with pytest.raises(ProviderError) as told:
        ours.submit(name, [one])
    assert type(told.value) is ProviderError, "it is to be looked for"
    assert ours.submit(name, [one]) == [handle()]
    assert script.asked("CreateFleet")[1]["ClientToken"] == f"{name}-1"


def test_what_could_not_be_asked_for_in_time_is_not(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    is_furnished(script)
    monkeypatch.setattr(AwsCloud, "CALL_SECONDS", 0.0)
    with pytest.raises(Throttled, match="too slowly"):
        cloud(script).submit(new_id(), [work()])
    assert not script.asked("CreateFleet")


@pytest.mark.parametrize(
    "action", ["DescribeImages", "DescribeInstanceTypes", "DescribeSubnets", "CreateLaunchTemplate", "CreateFleet"]
)
def test_a_missing_permission_to_start_is_told_by_its_name(script: Script, action: str) -> None:
    is_furnished(script)
    script.say(action, DENIED)
    with pytest.raises(AuthFailed, match=f"ec2:{action}: UnauthorizedOperation"):
        cloud(script, subnets=["subnet-1"]).submit(new_id(), [work()])


def test_in_a_customer_s_account_its_own_network_is_used(script: Script) -> None:
    is_furnished(script)
    expires = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    keys = {"AccessKeyId": "their-access-key", "SecretAccessKey": "a-secret-key", "SessionToken": "a-token"}
    script.say("AssumeRole", {"Credentials": {**keys, "Expiration": expires}})
    ours = cloud(script, customer_roles={"acme": ROLE}, subnets=["subnet-ours"], security_groups=["sg-ours"])
    assert ours.submit(new_id(), [work()]) == [handle(account="acme")]
    tagged = [{"Name": "tag:controlplane:deployment", "Values": ["controlplane"]}]
    assert script.asked("DescribeSubnets") == script.asked("DescribeSecurityGroups") == [{"Filters": tagged}]
    (asked,) = script.asked("CreateFleet")
    places = {row["SubnetId"] for row in asked["LaunchTemplateConfigs"][0]["Overrides"]}
    assert places == {"subnet-2", "subnet-3"}
    assert script.asked("CreateLaunchTemplate")[0]["LaunchTemplateData"]["SecurityGroupIds"] == ["sg-theirs"]
    assert {call.key for call in script.calls if call.action != "AssumeRole"} == {"their-access-key"}
