"""Containers under SIGKILL of whoever keeps them: as many stand as are wanted, none is doubled and none left."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import psutil
import pytest

from tests.clusters.aws import account
from tests.clusters.aws.account import CLUSTER, REGION, Aws
from tests.deployment import Deployment, Factory
from tests.kill.anatomy import Anatomy, wait_for
from tests.kill.test_webhooks import python

SEED: Final = 20261129
SIZES: Final = (5, 2, 4)
SECONDS: Final = 180  # a cluster that was killed comes up in some on a busy machine
NAP: Final = "98765"
_MAKE: Final = """
import sys
from accounts.models import User
from accounts.queries import find_user
from clusters import services
User.objects.filter(username="root").update(instance_limit=100)
services.add_image_version(actor=None, version="1.0", image="localhost/busybox", command=["/bin/sh", "-c", sys.argv[1]])
services.make_cluster(owner=find_user("root"), actor=None, name="ordeal", image_version="1.0")
"""
_SCALE: Final = """
import sys
from clusters import services
from clusters.models import Cluster
services.scale_cluster(cluster=Cluster.objects.get(), actor=None, count=int(sys.argv[1]), location="us_east")
"""
Standing = Callable[[], int]


def processes(place: Deployment, *words: str) -> list[psutil.Process]:
    """Those of a deployment whose command line has all the words."""
    found = []
    for process in place.processes():
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if all(word in line for word in words):
                found.append(process)
    return found


def keepers(place: Deployment) -> list[psutil.Process]:
    return processes(place, "cluster", "containers")


def supervisors(place: Deployment) -> list[psutil.Process]:
    return processes(place, "local.hosting.supervisor")


@pytest.fixture
def aws() -> Iterator[Aws]:
    with account.running() as found:
        yield found


def ordeal(place: Deployment, command: str, standing: Standing) -> None:
    chance = random.Random(SEED)
    place.bootstrap("root")
    python(place, _MAKE, command)
    Anatomy(place).start_work()
    for size in SIZES:
        python(place, _SCALE, size)
        wait_for(lambda: bool(keepers(place)), SECONDS, "that somebody keeps them")
        for victims in (keepers(place), supervisors(place)):
            if victims:
                with suppress(psutil.NoSuchProcess):
                    chance.choice(victims).kill()

    def wanted_stand(size: int) -> bool:
        there = dict(place.rows("SELECT status, count(*) FROM clusters_container GROUP BY status"))
        there.pop("DELETED", None)
        return there == ({"RUNNING": size} if size else {}) and standing() == size

    wait_for(lambda: wanted_stand(SIZES[-1]), SECONDS, "that as many stand as are wanted")
    held = place.rows("SELECT count(*) FROM clusters_placement WHERE status <> 'GONE'")
    assert held == [(SIZES[-1],)]
    python(place, _SCALE, 0)
    wait_for(lambda: wanted_stand(0), SECONDS, "that none is left")


@pytest.mark.runs_once("sqlite", "what is killed here are keepers, whose statements are tried on both")
def test_on_this_machine(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0", LOCAL_MEMORY_MIB="100000")
    ordeal(place, f"exec sleep {NAP}", lambda: len(processes(place, "sleep", NAP)))


@pytest.mark.runs_once("postgresql", "what is killed here are keepers, whose statements are tried on both")
def test_at_aws(deployment: Factory, aws: Aws) -> None:
    subnets = aws.furnish_containers()
    place = deployment(
        DEBUG="1",
        LOCAL_ISOLATION="0",
        AWS_ENDPOINT_URL=aws.endpoint,
        AWS_REGIONS=REGION,
        AWS_BATCH_QUEUES=json.dumps({REGION: {"HIGH": "high", "LOW": "low"}}),
        AWS_ECS_CLUSTERS=json.dumps({REGION: CLUSTER}),
        AWS_ECS_EXECUTION_ROLE=account.EXECUTION_ROLE,
        AWS_EC2_NETWORKS=json.dumps({REGION: {"subnets": subnets}}),
        **account.ENVIRONMENT,
    )

    def standing() -> int:
        ecs = aws.client("ecs")
        arns = ecs.list_services(cluster=CLUSTER)["serviceArns"]
        rows = ecs.describe_services(cluster=CLUSTER, services=arns[:10])["services"] if arns else []
        return sum(row["status"] == "ACTIVE" for row in rows)

    ordeal(place, "echo ready; sleep 1000", standing)
