"""What the settings say of long-running containers."""

from __future__ import annotations

from typing import Any

import pytest

from clusters import queries
from clusters.providers.aws.config import ContainerConfig
from clusters.providers.local.docker.hosting import DockerHosting
from controlplane.checks import check_clouds

pytestmark = pytest.mark.runs_once("sqlite", "settings know no database")

REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/controlplane-container-start"


@pytest.fixture(autouse=True)
def aws(settings: Any) -> None:
    settings.AWS_REGIONS = [REGION, "us-east-1"]
    settings.AWS_BATCH_QUEUES = {region: {"HIGH": "urgent", "LOW": "bulk"} for region in settings.AWS_REGIONS}
    settings.AWS_ECS_CLUSTERS = {REGION: "containers"}
    settings.AWS_ECS_EXECUTION_ROLE = ROLE
    settings.AWS_EC2_NETWORKS = {REGION: {"subnets": ["subnet-1"], "container_security_groups": ["sg-2"]}}
    queries.hosting_at.cache_clear()


def faults() -> list[str]:
    return [str(fault.msg) for fault in check_clouds(None)]


def test_a_region_keeps_containers_where_a_cluster_is_named(settings: Any) -> None:
    settings.AWS_ECS_PUBLIC_IP = True
    found = queries.aws_config(REGION).containers
    assert found == ContainerConfig("containers", ROLE, public_ip=True, security_groups=("sg-2",))
    assert queries.aws_config("us-east-1").containers is None
    assert faults() == []


def test_there_is_one_hosting_for_a_region(settings: Any) -> None:
    assert queries.hosting_at("aws", REGION) is queries.hosting_at("aws", REGION)
    assert queries.hosting_at("aws", REGION).region == REGION
    with pytest.raises(ValueError, match="no cluster of ECS is named for us-east-1"):
        queries.hosting_at("aws", "us-east-1")
    with pytest.raises(ValueError, match="azure keeps no long-running containers"):
        queries.hosting_at("azure", "westeurope")


def test_this_machine_keeps_containers_as_processes(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.LOCAL_REGION, settings.DEBUG, settings.LOCAL_UNISOLATED = "here", False, False
    monkeypatch.setattr("clusters.queries.places.local_is_isolated", lambda: False)
    hosting = queries.hosting_at("local", "here")
    assert (hosting.cloud, hosting.region) == ("local", "here")
    assert queries.hosting_at("local", "here") is hosting
    assert hosting.probe()[0].ok is False, "neither isolation nor leave to do without"
    with pytest.raises(ValueError, match="there is another machine"):
        queries.hosting_at("local", "there")
    queries.hosting_at.cache_clear()
    settings.LOCAL_UNISOLATED = True
    assert queries.hosting_at("local", "here").probe()[0].ok is True
    queries.hosting_at.cache_clear()
    settings.LOCAL_RUNTIME = "docker"
    assert isinstance(queries.hosting_at("local", "here"), DockerHosting)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("AWS_ECS_CLUSTERS", {REGION: ["containers"]}, "name of a cluster"),
        ("AWS_ECS_EXECUTION_ROLE", "", "need an execution role"),
        ("AWS_EC2_NETWORKS", {}, "need subnets"),
        ("AWS_EC2_NETWORKS", {REGION: {"groups": []}}, "subnets, security_groups and container_security_groups"),
    ],
)
def test_what_cannot_be_used_is_told_by_a_check(settings: Any, name: str, value: Any, words: str) -> None:
    setattr(settings, name, value)
    (fault,) = faults()
    assert words in fault
    assert fault.startswith(f"aws/{REGION} cannot be used")


def test_what_is_set_is_told(settings: Any) -> None:
    assert {"AWS_ECS_CLUSTERS", "AWS_ECS_EXECUTION_ROLE"} <= {
        each.name for each in queries.settings_of("aws") if each.is_set
    }
