"""An AWS of the tests' own: the stand-in as a process, and in it accounts with queues, as an operator would set up."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from clusters.providers.aws.config import AwsConfig, ContainerConfig, CustomerRole
from clusters.providers.aws.instances import DEPLOYMENT
from tests.clusters.aws.stand_in import FAULTS, HELD
from tests.clusters.aws.trust import OPERATOR
from tests.postgresql import free_port

REGION = "us-east-1"
MAX_VCPUS = 16
CLUSTER, LOG_GROUP = "containers", "/ecs/controlplane"
EXECUTION_ROLE = "arn:aws:iam::123456789012:role/controlplane-container-start"
QUEUES = {"HIGH": "high", "LOW": "low"}
# Whose numbers are ours and a customer's. Moto knows an account by the role that was assumed in it.
OWN, CUSTOMERS = "123456789012", "210987654321"
EXTERNAL_ID = "agreed-with-acme"
START_SECONDS = 60
# AWS says it in these names; nothing of the machine's own is to be found.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "an-access-key",
    "AWS_SECRET_ACCESS_KEY": "a-very-secret-key",
    "AWS_CONFIG_FILE": "/nonexistent",
    "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True)
class Aws:
    """A stand-in that runs at `endpoint`."""

    endpoint: str

    def config(self, **wishes: Any) -> AwsConfig:
        return AwsConfig(**{"region": REGION, "queues": QUEUES, "endpoint_url": self.endpoint, **wishes})

    def customer_role(self) -> CustomerRole:
        return CustomerRole(f"arn:aws:iam::{CUSTOMERS}:role/controlplane", EXTERNAL_ID)

    def client(self, service: str, account: str = OWN) -> Any:
        """A client of boto's own, for what an operator does."""
        return _client(self.endpoint, service, account)

    def order(self, *faults: dict[str, Any]) -> None:
        """Have these faults from now on, and no others; counting begins anew."""
        rows = json.dumps([{"times": 1, **fault} for fault in faults]).encode()
        urllib.request.urlopen(urllib.request.Request(self.endpoint + FAULTS, rows, method="POST")).close()

    def run_nothing(self) -> None:
        """Have jobs succeed at once, without containers."""
        wish = json.dumps({"batch": {"use_docker": False}}).encode()
        urllib.request.urlopen(urllib.request.Request(f"{self.endpoint}/moto-api/config", wish, method="POST")).close()

    def seen(self, action: str) -> int:
        """How often `action` was asked for since the last order."""
        return self.all_seen().get(action.lower(), 0)

    def all_seen(self) -> dict[str, int]:
        """How often each action was asked for since the last order."""
        with urllib.request.urlopen(self.endpoint + FAULTS) as answer:
            found: dict[str, int] = json.load(answer)
        return found

    def held(self) -> int:
        """How many requests are held, by faults with `hold`."""
        with urllib.request.urlopen(self.endpoint + HELD) as answer:
            return int(json.load(answer))

    def let_go(self) -> None:
        """Let them go on."""
        urllib.request.urlopen(urllib.request.Request(self.endpoint + HELD, method="POST")).close()

    def make_role(self, name: str, trust: dict[str, Any], account: str) -> str:
        """The address of a role with this trust policy."""
        made = self.client("iam", account).create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        return str(made["Role"]["Arn"])

    def furnish(self, account: str = OWN) -> None:
        """A network, a role, a compute environment and our two queues."""
        ec2, iam, batch = (self.client(service, account) for service in ("ec2", "iam", "batch"))
        network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=network)["GroupId"]
        role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        iam.create_instance_profile(InstanceProfileName="machines")
        iam.add_role_to_instance_profile(InstanceProfileName="machines", RoleName="batch")
        machines = iam.get_instance_profile(InstanceProfileName="machines")["InstanceProfile"]["Arn"]
        made = batch.create_compute_environment(
            computeEnvironmentName="machines",
            type="MANAGED",
            state="ENABLED",
            computeResources={
                "type": "EC2",
                "minvCpus": 0,
                "maxvCpus": MAX_VCPUS,
                "instanceTypes": ["m5.large"],
                "subnets": [subnet],
                "securityGroupIds": [group],
                "instanceRole": machines,
            },
            serviceRole=role,
        )
        order = [{"order": 1, "computeEnvironment": made["computeEnvironmentArn"]}]
        for priority, name in enumerate(reversed(QUEUES.values()), 1):
            batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=priority, computeEnvironmentOrder=order)

    def furnish_containers(self, account: str = OWN) -> list[str]:
        """A cluster of ECS, a log group and a network with our tag: its subnets."""
        ec2 = self.client("ec2", account)
        self.client("ecs", account).create_cluster(clusterName=CLUSTER)
        self.client("logs", account).create_log_group(logGroupName=LOG_GROUP)
        network = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
        tags = [{"Key": DEPLOYMENT, "Value": "controlplane"}]
        group = ec2.create_security_group(GroupName="containers", Description="containers", VpcId=network)["GroupId"]
        found = []
        for number, zone in enumerate("ab"):
            made = ec2.create_subnet(VpcId=network, CidrBlock=f"10.1.{number}.0/24", AvailabilityZone=f"{REGION}{zone}")
            found.append(made["Subnet"]["SubnetId"])
        ec2.create_tags(Resources=[group, *found], Tags=tags)
        return found

    def container_config(self, subnets: list[str], *, roles: Any = None, **wishes: Any) -> AwsConfig:
        """Of a region that keeps containers."""
        containers = ContainerConfig(**{"cluster": CLUSTER, "execution_role_arn": EXECUTION_ROLE, **wishes})
        return self.config(containers=containers, subnets=subnets, customer_roles=roles or {})


@cache
def _session(endpoint: str, account: str) -> Any:
    session = boto3.session.Session("an-access-key", "a-very-secret-key", region_name=REGION)
    if account == OWN:
        return session
    role = f"arn:aws:iam::{account}:role/{OPERATOR}"
    sts = session.client("sts", endpoint_url=endpoint)
    got = sts.assume_role(RoleArn=role, RoleSessionName="operator")["Credentials"]
    keys = (got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])
    return boto3.session.Session(*keys, region_name=REGION)


@cache
def _client(endpoint: str, service: str, account: str) -> Any:
    """Made once: it takes tenths of a second."""
    return _session(endpoint, account).client(service, endpoint_url=endpoint)


@contextlib.contextmanager
def running(docker_host: str = "", *, managed_policies: bool = False, demand_trust: bool = False) -> Iterator[Aws]:
    """A furnished AWS whose Batch runs containers at `docker_host`; without one, jobs succeed and nothing runs.

    `managed_policies`: it knows those that AWS itself has written, which takes it a second. `demand_trust`: roles are
    given only as their trust policies say.
    """
    port = free_port()
    env = {
        **os.environ,
        **({"DOCKER_HOST": docker_host} if docker_host else {}),
        "MOTO_DOCKER_NETWORK_MODE": "none",
        "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",  # seconds, for each account
        "MOTO_IAM_LOAD_MANAGED_POLICIES": str(managed_policies).lower(),
        "MOTO_PORT": str(port),
    }
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("wb") as log:
        command = [sys.executable, "-m", "tests.clusters.aws.stand_in", str(port), *([OWN] if demand_trust else [])]
        process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            aws = Aws(f"http://127.0.0.1:{port}")
            _wait(aws, process, Path(folder) / "log")
            if not docker_host:
                aws.run_nothing()
            aws.furnish()
            yield aws
        finally:
            process.terminate()
            process.wait(10)


def _wait(aws: Aws, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            aws.order()
            return
        except urllib.error.URLError:
            assert process.poll() is None, log.read_text(errors="replace")[-2000:]
            assert time.monotonic() < until, "the stand-in does not answer"
            time.sleep(0.05)
