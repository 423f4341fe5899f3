"""The demo's step at a cloud: jobs through AWS Batch, whose interface moto plays on loopback.

Every call is a real one over HTTP, from boto's own client to the last answer; moto runs nothing behind it, and says of
each job at once that it has succeeded. Without moto, which the tests bring, the step is left out.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

REGION: Final = "eu-central-1"
QUEUES: Final = {"HIGH": "urgent", "LOW": "bulk"}
KEYS: Final = {"AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo"}
SECONDS: Final = 60


class Client(Protocol):
    """What the tour asks of a client of the deployment."""

    def call(self, method: str, path: str, body: Any = None) -> Any: ...


Check = Callable[[bool, str], None]


@contextmanager
def aws(port: int, folder: Path) -> Iterator[dict[str, str]]:
    """A region of AWS with two queues; the settings of a deployment that uses it. None of them without moto."""
    if importlib.util.find_spec("moto") is None:
        print("NOT SHOWN: jobs at AWS, because moto is not installed (make setup brings it).\n")
        yield {}
        return
    url = f"http://127.0.0.1:{port}"
    with (folder / "moto.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        _wait(url)
        _furnish(url)
        yield {
            **KEYS,
            "AWS_ENDPOINT_URL": url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGIONS": REGION,
            "AWS_BATCH_QUEUES": json.dumps({REGION: QUEUES}),
        }
    finally:
        server.terminate()
        server.wait(20)


def _wait(url: str) -> None:
    """Until it answers; then have it run nothing."""
    request = urllib.request.Request(  # noqa: S310 - our own server, on loopback
        f"{url}/moto-api/config", json.dumps({"batch": {"use_docker": False}}).encode(), method="POST"
    )
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
            return
        except (urllib.error.URLError, OSError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _furnish(url: str) -> None:
    """What an operator sets up once: a network, a role, machines, and two queues in front of them."""
    import boto3

    session = boto3.session.Session(*KEYS.values(), region_name=REGION)
    ec2, iam, batch = (session.client(service, endpoint_url=url) for service in ("ec2", "iam", "batch"))
    network = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=network, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(GroupName="jobs", Description="jobs", VpcId=network)["GroupId"]
    role = iam.create_role(RoleName="batch", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    machines = iam.create_instance_profile(InstanceProfileName="machines")["InstanceProfile"]["Arn"]
    iam.add_role_to_instance_profile(InstanceProfileName="machines", RoleName="batch")
    resources = {
        "type": "EC2",
        "minvCpus": 0,
        "maxvCpus": 64,
        "instanceTypes": ["m5.large"],
        "subnets": [subnet],
        "securityGroupIds": [group],
        "instanceRole": machines,
    }
    made = batch.create_compute_environment(
        computeEnvironmentName="machines",
        type="MANAGED",
        state="ENABLED",
        computeResources=resources,
        serviceRole=role,
    )
    order = [{"order": 1, "computeEnvironment": made["computeEnvironmentArn"]}]
    for priority, name in enumerate(QUEUES.values(), 1):
        batch.create_job_queue(jobQueueName=name, state="ENABLED", priority=priority, computeEnvironmentOrder=order)


def walk(client: Client, settings: dict[str, str], check: Check) -> None:
    """Three jobs and one that AWS refuses, and what became of them."""
    if not settings:
        return
    print("\nAt AWS Batch (moto plays its interface and runs nothing; the calls are real):\n")
    wishes: dict[str, dict[str, Any]] = {
        "urgent": {"priority": "HIGH"},
        "whenever": {"priority": "LOW"},
        "by-queue": {"queue": "bulk"},
        "no-such-queue": {"queue": "gold"},
    }
    jobs = {name: _submit(client, name, wish) for name, wish in wishes.items()}
    for name, job in jobs.items():
        wanted = "REJECTED" if name == "no-such-queue" else "SUCCEEDED"
        deadline = time.monotonic() + SECONDS
        while (status := client.call("GET", f"/status/{job}"))["status"] != wanted:
            check(time.monotonic() < deadline, f"{name} at AWS is {status}, not {wanted}")
            time.sleep(0.1)
        tried = client.call("GET", f"/v6/jobs/{job}/executions/")["results"][0]
        print(f"  {name:14} {wanted:10} {tried['detail'] or tried['node']['hostname']}"[:110])


def _submit(client: Client, name: str, wish: dict[str, Any]) -> str:
    body = {"customer": "demo", "cloud": "aws", "region": REGION, "id": name, "image": "busybox", "command": ["true"]}
    return str(client.call("POST", "/submit", {**body, "resources": {"vcpus": 1, "memory": 0.5}, **wish})["job_id"])
