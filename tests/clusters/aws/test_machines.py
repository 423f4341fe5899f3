"""Instance jobs against moto over HTTP. Its machines start and are terminated; they run nothing, and never end."""

from __future__ import annotations

import base64
import email
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
from django.test import Client

from clusters.providers.aws.provider import AwsCloud
from clusters.providers.aws.remembered import Remembered
from clusters.providers.base import Cloud, End, Phase, Work
from clusters.providers.errors import NotFound, ProviderError
from jobs import services, states
from jobs.clouds import Caller
from jobs.models import Execution, Job, Place, RunsFor
from jobs.services.places import place_id
from tests.clusters.aws import account
from tests.clusters.aws.account import CUSTOMERS, OWN, QUEUES, REGION, Aws
from tests.clusters.cloud_contract import CloudContract
from tests.clusters.provider_contract import new_id
from tests.factories import make_operator

pytestmark = pytest.mark.runs_once("sqlite", "what it looks at is AWS")

FAST = {"batch": 1000.0, "ec2": 1000.0}
IMAGE_NAME = "worker"


@pytest.fixture(scope="module")
def machines() -> Iterator[Aws]:
    """An AWS without containers."""
    with account.running() as aws:
        register(aws, OWN)
        yield aws


def register(aws: Aws, number: str) -> str:
    ec2 = aws.client("ec2", number)
    made = ec2.register_image(Name=IMAGE_NAME, Architecture="x86_64", VirtualizationType="hvm", EnaSupport=True)
    return str(made["ImageId"])


@cache
def image_of(aws: Aws, number: str = OWN) -> str:
    found = aws.client("ec2", number).describe_images(Filters=[{"Name": "name", "Values": [IMAGE_NAME]}])
    return str(found["Images"][0]["ImageId"])


@cache
def subnets_of(aws: Aws) -> list[str]:
    rows = aws.client("ec2").describe_subnets(Filters=[{"Name": "default-for-az", "Values": ["true"]}])["Subnets"]
    return [row["SubnetId"] for row in rows][:3]


def cloud_at(aws: Aws, **wishes: Any) -> AwsCloud:
    """With a deployment of its own, unless told: none sees the machines of another test."""
    wishes = {"prefix": f"test-{new_id()}", "subnets": subnets_of(aws), **wishes}
    cloud = AwsCloud(aws.config(**wishes), rates=FAST)
    # What a process remembers for a day; moto takes seconds to tell it.
    cloud._machines._types._types = types_of(aws)
    return cloud


@cache
def types_of(aws: Aws) -> Any:
    return Remembered(3600.0)


def instance(aws: Aws, handle: str, number: str = OWN) -> Any:
    rows = aws.client("ec2", number).describe_instances(InstanceIds=[handle.rpartition(":")[2]])["Reservations"]
    return rows[0]["Instances"][0]


def work(aws: Aws, number: str = OWN, **wishes: Any) -> Work:
    fixed = {"machine_image": image_of(aws, number), "user_data": "#!/bin/sh\n", "customer": "acme"}
    return Work(new_id(), (), **{**fixed, "vcpus_milli": 2000, "memory_mib": 4096, **wishes})


class TestMachines(CloudContract):
    """What of it can be held where nothing runs."""

    UNKNOWN_HANDLE = "ec2::i-00000000000000000"
    UNKNOWN_IMAGE = "ami-00000000000000000"

    # These wait for what was asked for to be done, or look at what it wrote.
    test_tells_end_code_times_and_node = None  # type: ignore[assignment]
    test_success_is_code_0 = None  # type: ignore[assignment]
    test_environment_is_what_was_given = None  # type: ignore[assignment]
    test_arguments_arrive_as_they_are = None  # type: ignore[assignment]
    test_many_run_and_are_observed_at_once = None  # type: ignore[assignment]
    test_alike_works_are_told_apart = None  # type: ignore[assignment]
    test_what_was_submitted_is_found_again = None  # type: ignore[assignment]
    test_cancel_of_an_ended_one_changes_nothing = None  # type: ignore[assignment]
    test_output_is_kept = None  # type: ignore[assignment]
    test_pages_make_up_the_whole = None  # type: ignore[assignment]
    test_output_is_seen_while_it_runs = None  # type: ignore[assignment]
    test_explains_and_links = None  # type: ignore[assignment]

    @pytest.fixture(autouse=True)
    def _aws(self, machines: Aws) -> None:
        self.aws = machines

    @pytest.fixture
    def cloud(self, machines: Aws) -> Cloud:
        return cloud_at(machines)

    def script(self, text: str, **wishes: Any) -> Work:
        image = wishes.pop("image", image_of(self.aws))
        return work(self.aws, machine_image=image, user_data=f"#!/bin/sh\n{text}\n", **wishes)

    def test_what_was_started_is_found_again_dead_or_alive(self, cloud: Cloud) -> None:
        name, group = new_id(), [self.script("sleep 1")]
        assert cloud.find(name, group) == []
        first, second = cloud.submit(name, group), cloud.submit(name, group)  # moto knows no client tokens
        cloud.cancel(first)
        assert sorted(cloud.find(name, group)) == sorted([first, second])

    def test_cancel_of_a_canceled_one_changes_nothing(self, cloud: Cloud) -> None:
        (handle,) = self.submit(cloud, self.script("sleep 120"))
        cloud.cancel([handle])
        seen = self.observe(cloud, handle)
        cloud.cancel([handle, self.UNKNOWN_HANDLE])
        assert self.observe(cloud, handle) == seen


def test_a_machine_is_what_was_asked_for(machines: Aws) -> None:
    cloud = cloud_at(machines)
    one = work(machines, env={"MODE": "fast"})
    (handle,) = cloud.submit(new_id(), [one])
    row = instance(machines, handle)
    (kind,) = machines.client("ec2").describe_instance_types(InstanceTypes=[row["InstanceType"]])["InstanceTypes"]
    assert kind["VCpuInfo"]["DefaultVCpus"] >= 2
    assert kind["MemoryInfo"]["SizeInMiB"] >= 4096
    assert (row["ImageId"], row["InstanceLifecycle"]) == (one.machine_image, "spot")
    assert row["SubnetId"] in subnets_of(machines)
    assert {tag["Key"]: tag["Value"] for tag in row["Tags"]}["controlplane:execution"] == one.execution_id
    assert b"MODE=fast" in booted_with(machines, handle)
    (seen,) = cloud.observe([handle])
    zone = row["Placement"]["AvailabilityZone"]
    assert (seen.phase, seen.node) == (Phase.RUNNING, f"{row['InstanceId']} {row['InstanceType']} {zone}")
    assert cloud.explain(handle).startswith(f"running, {row['InstanceType']}")
    assert cloud.link(handle).endswith(row["InstanceId"])
    assert cloud.machine(row["InstanceId"]) == handle
    assert cloud.machines() == {handle: one.execution_id}
    assert not cloud.logs(handle, "stdout").ended
    cloud.cancel([handle])
    assert cloud.machines() == {}
    assert cloud.observe([handle])[0].end is End.CANCELED
    assert cloud.logs(handle, "stdout", 2**20).ended


def booted_with(aws: Aws, handle: str) -> bytes:
    asked = {"InstanceId": handle.rpartition(":")[2], "Attribute": "userData"}
    return base64.b64decode(aws.client("ec2").describe_instance_attribute(**asked)["UserData"]["Value"])


def test_there_are_many_types_in_many_zones_to_choose_from(machines: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = cloud_at(machines)
    asked: list[Any] = []
    call = cloud._machines._session.call

    def seen(who: str, service: str, action: str, **arguments: Any) -> Any:
        asked.extend([arguments] if action == "CreateFleet" else [])
        return call(who, service, action, **arguments)

    monkeypatch.setattr(cloud._machines._session, "call", seen)
    cloud.submit(new_id(), [work(machines)])
    overrides = asked[0]["LaunchTemplateConfigs"][0]["Overrides"]
    assert len({row["InstanceType"] for row in overrides}) >= 10
    assert len({row["SubnetId"] for row in overrides}) == 3


def test_a_machine_that_was_started_without_our_being_told_is_found(machines: Aws) -> None:
    cloud = cloud_at(machines)
    name, group = new_id(), [work(machines)]
    machines.order({"action": "CreateFleet", "drop": True})
    with pytest.raises(ProviderError) as told:
        cloud.submit(name, group)
    assert type(told.value) is ProviderError
    assert machines.seen("CreateFleet") == 1
    ((handle,),) = cloud.find(name, group)
    assert cloud.observe([handle])


def test_a_template_is_made_once_for_all_machines_of_an_image(machines: Aws) -> None:
    prefix = f"test-{new_id()}"
    for _ in range(2):
        cloud = cloud_at(machines, prefix=prefix)
        for _ in range(2):
            cloud.submit(new_id(), [work(machines)])
    found = machines.client("ec2").describe_launch_templates()["LaunchTemplates"]
    assert len([row for row in found if row["LaunchTemplateName"].startswith(prefix)]) == 1


def test_a_customer_s_machines_stand_in_the_customer_s_account(machines: Aws) -> None:
    machines.furnish(CUSTOMERS)
    register(machines, CUSTOMERS)
    cloud = cloud_at(machines, customer_roles={"acme": machines.customer_role()})
    one, name = work(machines, CUSTOMERS), new_id()
    ec2 = machines.client("ec2", CUSTOMERS)
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    tag = {"Key": "controlplane:deployment", "Value": cloud._config.prefix}
    ec2.create_tags(Resources=[subnet], Tags=[tag])
    (handle,) = cloud.submit(name, [one])
    row = instance(machines, handle, CUSTOMERS)
    assert row["SubnetId"] == subnet
    assert cloud.find(name, [one]) == [[handle]]
    assert cloud.machines() == {handle: one.execution_id}
    assert cloud.machine(row["InstanceId"]) == handle
    assert cloud.observe([handle.replace("acme", "")]) == [], "our own account must know nothing of it"
    cloud.cancel([handle])
    assert instance(machines, handle, CUSTOMERS)["State"]["Name"] == "terminated"
    with pytest.raises(NotFound):
        cloud.logs(handle.replace("acme", ""), "stdout")


# Jobs


class Stage:
    """A region of moto's, and who calls it."""

    def __init__(self, monkeypatch: Any, settings: Any, aws: Aws) -> None:
        settings.AWS_REGIONS, settings.AWS_BATCH_QUEUES = [REGION], {REGION: QUEUES}
        settings.PUBNUB_PUBLISH_KEY, settings.PUBNUB_SUBSCRIBE_KEY = "pub-1", "sub-1"
        settings.PUBLIC_URL = "https://plane.example.com"
        self.aws, self.cloud = aws, cloud_at(aws)
        for user in ("clouds", "following.outputs", "following.words", "scheduling.machines"):
            monkeypatch.setattr(f"jobs.{user}.cloud_at", lambda cloud, region: self.cloud)
        self.place = Place.objects.get(pk=place_id("aws", REGION))
        facts: dict[str, Any] = {"vcpus_milli": 64_000, "memory_mib": 262_144, "disk_free_mib": None}
        services.report_place(self.place.pk, **facts, runs_for=RunsFor.EVERYONE)
        self.caller = Caller(self.place.pk, self.cloud)

    def turn(self) -> None:
        """A turn that looks at everything."""
        self.caller._observe_at = self.caller._sweep_at = 0.0
        self.caller.turn()
        self.place.refresh_from_db()
        assert self.place.failure == ""

    def running(self) -> tuple[Job, str]:
        """A job whose machine runs, and its handle."""
        resources = {"vcpus": 2, "memory": 4}
        body = {"customer": "acme", "cloud": "aws", "region": REGION, "id": "render", "resources": resources}
        boot = {"ami": image_of(self.aws), "user_data": "#!/bin/sh\n. /etc/controlplane/job.env\n"}
        answer = make_operator().post("/submit", {**body, **boot})
        assert answer.status_code == 200, answer.json()
        self.turn()
        self.turn()
        job = Job.objects.get(uuid=answer.json()["job_id"])
        assert job.status == states.RUNNING
        return job, Execution.objects.get(job=job).handle

    def state(self, handle: str) -> str:
        return str(instance(self.aws, handle)["State"]["Name"])


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, settings: Any, machines: Aws) -> Stage:
    return Stage(monkeypatch, settings, machines)


def token_of(aws: Aws, handle: str) -> str:
    """The token that a machine finds in what it boots with."""
    parts: Any = email.message_from_bytes(booted_with(aws, handle)).get_payload()
    found = re.search(r"^CONTROLPLANE_TOKEN=(\S+)$", parts[0].get_payload(decode=True).decode(), re.MULTILINE)
    assert found
    return found[1]


@pytest.mark.django_db
def test_a_job_s_machine_says_that_it_is_done_and_is_gone(stage: Stage) -> None:
    job, handle = stage.running()
    machine = handle.rpartition(":")[2]
    client = Client(headers={"Authorization": f"Bearer {token_of(stage.aws, handle)}"})
    answer = client.get(f"/get-info/{REGION}/{machine}")
    assert (answer.status_code, answer.json()["job_id"]) == (201, str(job.uuid))
    for _ in range(2):
        assert client.get(f"/destroy/{REGION}/{machine}").status_code == 201
    job.refresh_from_db()
    assert (job.status, stage.state(handle)) == (states.COMPLETED, "terminated")
    stage.turn()
    job.refresh_from_db()
    assert job.status == states.COMPLETED


@pytest.mark.django_db
def test_a_machine_that_outlives_its_job_is_swept(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    job, handle = stage.running()
    _, another = stage.running()
    client = Client(headers={"Authorization": f"Bearer {token_of(stage.aws, handle)}"})
    with monkeypatch.context() as patch:

        def fails(handles: Any) -> None:
            raise ProviderError("as a test ordered")

        patch.setattr(stage.cloud, "cancel", fails)
        assert client.get(f"/destroy/{REGION}/{handle.rpartition(':')[2]}").status_code >= 500
    job.refresh_from_db()
    assert (job.status, stage.state(handle)) == (states.COMPLETED, "running")
    stage.turn()
    assert (stage.state(handle), stage.state(another)) == ("terminated", "running")


@pytest.mark.django_db
def test_a_canceled_job_s_machine_is_terminated(stage: Stage) -> None:
    job, handle = stage.running()
    services.cancel_jobs([job.pk], actor=None)
    stage.turn()
    stage.turn()
    job.refresh_from_db()
    assert (job.status, stage.state(handle)) == (states.CANCELED, "terminated")


@pytest.mark.django_db
def test_a_machine_that_is_gone_without_a_word_fails_its_job(stage: Stage) -> None:
    job, handle = stage.running()
    stage.aws.client("ec2").terminate_instances(InstanceIds=[handle.rpartition(":")[2]])
    stage.turn()
    job.refresh_from_db()
    assert (job.status, Execution.objects.get(job=job).exit_code) == (states.FAILED, 1)
