"""Which providers this deployment has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from django.conf import settings

from accounts.models import Role, User
from clusters.models import Capacity
from clusters.providers.aws.config import RATES, AwsConfig, ContainerConfig, CustomerRole
from clusters.providers.aws.handles import BATCH, EC2, ECS, Handle
from clusters.providers.azure.config import CALLS_PER_SECOND, AzureConfig, PoolTemplate
from clusters.providers.base import CAPACITY_QUEUES, Cloud
from clusters.providers.hosting import Hosting
from clusters.providers.local.hosting.provider import LocalHosting
from clusters.providers.local.isolation import probe
from clusters.providers.local.provider import LocalProvider
from clusters.providers.local.runtime import Runtime

CLOUDS = ("aws", "azure", "local")
# What a cloud needs before it can be used; a cloud that needs nothing is always there.
REQUIRED_SETTINGS: dict[str, tuple[str, ...]] = {
    "aws": ("AWS_REGIONS", "AWS_BATCH_QUEUES"),
    "azure": ("AZURE_REGION", "AZURE_BATCH_ENDPOINT", "AZURE_BATCH_POOLS"),
    "local": (),
}
# What else can be said of it.
OTHER_SETTINGS: dict[str, tuple[str, ...]] = {
    "aws": (
        *("AWS_BATCH_PLATFORM", "AWS_BATCH_JOB_ROLE", "AWS_BATCH_EXECUTION_ROLE", "AWS_BATCH_PUBLIC_IP"),
        *("AWS_EC2_NETWORKS", "AWS_EC2_INSTANCE_PROFILE", "AWS_EC2_KEY_NAME", "AWS_EC2_ON_DEMAND"),
        *("AWS_ECS_CLUSTERS", "AWS_ECS_EXECUTION_ROLE", "AWS_ECS_TASK_ROLE", "AWS_ECS_PUBLIC_IP", "AWS_ECS_LOG_GROUP"),
        *("AWS_CUSTOMER_ROLES", "DEPLOYMENT"),
    ),
    "azure": (
        *("AZURE_BATCH_ACCOUNT", "AZURE_BATCH_ACCOUNT_KEY", "AZURE_CLIENT_ID", "AZURE_BATCH_RESOURCE_ID"),
        *("AZURE_BATCH_NEW_POOL", "AZURE_BATCH_MAX_NODES", "AZURE_CA_FILE"),
    ),
    "local": (),
}


def missing_settings(cloud: str) -> list[str]:
    """The settings without which `cloud` cannot be used here."""
    return [name for name in REQUIRED_SETTINGS[cloud] if not getattr(settings, name, None)]


@dataclass(frozen=True, slots=True)
class SettingFacts:
    """Whether a setting says anything; its value may be secret, and is not here."""

    name: str
    is_set: bool
    is_needed: bool


def settings_of(cloud: str) -> list[SettingFacts]:
    """The settings of `cloud`, those first that it cannot be used without."""
    needed = REQUIRED_SETTINGS[cloud]
    names = (*needed, *OTHER_SETTINGS[cloud])
    return [SettingFacts(name, bool(getattr(settings, name, None)), name in needed) for name in names]


def settings_fault(cloud: str, region: str) -> str:
    """Why a region of a cloud cannot be used as the settings are, in words; empty when it can."""
    if missing := missing_settings(cloud):
        return f"not set: {', '.join(missing)}"
    if (cloud, region) not in cloud_regions():
        return "the settings do not name this region"
    try:
        _ = aws_config(region) if cloud == "aws" else azure_config()
    except ValueError as error:
        return str(error)
    return ""


def call_rates(cloud: str) -> dict[str, float]:
    """How many calls a second a process makes to a region of `cloud` at most, by service."""
    return dict(RATES) if cloud == "aws" else {"batch": CALLS_PER_SECOND}


def capacities(cloud: str, region: str, *, whole: bool) -> list[str]:
    """Which kinds of machines a job may ask for in a region: a `whole` one, or a place on one.

    None where the machines are as they are.
    """
    if whole:
        return [Capacity.SPOT.value, Capacity.ON_DEMAND.value] if cloud == "aws" else []
    aws: Mapping[str, str] = settings.AWS_BATCH_QUEUES.get(region, {}) if settings.AWS_BATCH_QUEUES else {}
    named = {"aws": aws, "azure": settings.AZURE_BATCH_POOLS}.get(cloud) or {}
    return [capacity for capacity, name in CAPACITY_QUEUES.items() if named.get(name)]


def cloud_regions() -> list[tuple[str, str]]:
    """The regions of clouds that this deployment is set up for, as (cloud, region)."""
    aws = settings.AWS_REGIONS if not missing_settings("aws") else ()
    azure = (settings.AZURE_REGION,) if not missing_settings("azure") else ()
    return [*(("aws", region) for region in aws), *(("azure", region) for region in azure)]


def handles_named(text: str) -> list[str]:
    """The handles that may be meant by `text`: itself, and each of AWS's that ends with it, in any account of ours."""
    accounts = ("", *settings.AWS_CUSTOMER_ROLES)
    return [text, *(str(Handle(way, account, text)) for way in (BATCH, EC2, ECS) for account in accounts)]


@lru_cache(maxsize=50)
def cloud_at(cloud: str, region: str) -> Cloud:
    """A region of `cloud_regions`. One for the process: it keeps connections and credentials."""
    # Each SDK takes a second and tens of MiB: only where it is used.
    if cloud == "aws":
        from clusters.providers.aws.provider import AwsCloud

        return AwsCloud(aws_config(region))
    from clusters.providers.azure.cloud import AzureCloud

    return AzureCloud(azure_config())


@lru_cache(maxsize=50)
def hosting_at(cloud: str, region: str) -> Hosting:
    """What keeps long-running containers in a region. One for the process, as of `cloud_at`.

    Raises ValueError, in words, where nothing does, or only another machine.
    """
    if cloud == "local":
        if region != settings.LOCAL_REGION:
            raise ValueError(f"{region} is another machine")
        return _local_hosting()
    if cloud != "aws":
        raise ValueError(f"{cloud} keeps no long-running containers")
    from clusters.providers.aws.hosting import AwsHosting

    return AwsHosting(aws_config(region))


def aws_config(region: str) -> AwsConfig:
    """What the settings say of a region of AWS. Raises ValueError, in words, when it cannot be used."""
    roles = settings.AWS_CUSTOMER_ROLES
    if not all(isinstance(role, dict) and role.keys() == {"role_arn", "external_id"} for role in roles.values()):
        raise ValueError("each of AWS_CUSTOMER_ROLES has a role_arn and an external_id")
    return AwsConfig(
        region=region,
        queues=settings.AWS_BATCH_QUEUES.get(region, {}),
        platform=settings.AWS_BATCH_PLATFORM,
        job_role_arn=settings.AWS_BATCH_JOB_ROLE,
        execution_role_arn=settings.AWS_BATCH_EXECUTION_ROLE,
        customer_roles={customer: CustomerRole(**role) for customer, role in roles.items()},
        prefix=settings.DEPLOYMENT,
        public_ip=settings.AWS_BATCH_PUBLIC_IP,
        instance_profile=settings.AWS_EC2_INSTANCE_PROFILE,
        key_name=settings.AWS_EC2_KEY_NAME,
        on_demand_after_spot=settings.AWS_EC2_ON_DEMAND,
        subnets=_network_of(region, "subnets"),
        security_groups=_network_of(region, "security_groups"),
        containers=_containers_of(region),
    )


def _containers_of(region: str) -> ContainerConfig | None:
    """What the settings say of a region's long-running containers; None: they name no cluster. Raises ValueError."""
    if not (cluster := settings.AWS_ECS_CLUSTERS.get(region)):
        return None
    if not isinstance(cluster, str):
        raise ValueError("each of AWS_ECS_CLUSTERS is the name of a cluster")
    return ContainerConfig(
        cluster=cluster,
        execution_role_arn=settings.AWS_ECS_EXECUTION_ROLE,
        task_role_arn=settings.AWS_ECS_TASK_ROLE,
        public_ip=settings.AWS_ECS_PUBLIC_IP,
        log_group=settings.AWS_ECS_LOG_GROUP,
        security_groups=_network_of(region, "container_security_groups"),
    )


_NETWORK: Final = ("subnets", "security_groups", "container_security_groups")


def _network_of(region: str, what: str) -> tuple[str, ...]:
    """The subnets, or security groups, of a region. Raises ValueError."""
    network = settings.AWS_EC2_NETWORKS.get(region, {})
    if not isinstance(network, dict) or network.keys() - {*_NETWORK}:
        raise ValueError(f"each of AWS_EC2_NETWORKS has {', '.join(_NETWORK[:-1])} and {_NETWORK[-1]}")
    return tuple(map(str, network.get(what, ())))


def azure_config() -> AzureConfig:
    """What the settings say of the account of Azure Batch. Raises ValueError, in words, when it cannot be used."""
    pools, template = settings.AZURE_BATCH_POOLS, settings.AZURE_BATCH_NEW_POOL
    if missing := [name for name in ("HIGH", "LOW") if not pools.get(name)]:
        raise ValueError(f"AZURE_BATCH_POOLS names no pool for {' and '.join(missing)}")
    try:
        new_pool = PoolTemplate(**template) if template else None
    except TypeError as error:
        raise ValueError(f"AZURE_BATCH_NEW_POOL: {error}") from error
    return AzureConfig(
        endpoint=settings.AZURE_BATCH_ENDPOINT,
        region=settings.AZURE_REGION,
        pools=pools,
        account_name=settings.AZURE_BATCH_ACCOUNT,
        account_key=settings.AZURE_BATCH_ACCOUNT_KEY,
        client_id=settings.AZURE_CLIENT_ID,
        resource_id=settings.AZURE_BATCH_RESOURCE_ID,
        new_pool=new_pool,
        max_nodes=settings.AZURE_BATCH_MAX_NODES,
        connection_verify=settings.AZURE_CA_FILE or True,
    )


@lru_cache(maxsize=1)
def local_is_isolated() -> bool:
    """Does this machine isolate local jobs? Containers do; of bubblewrap a trial run tells."""
    if settings.LOCAL_RUNTIME == "docker":
        return True
    return bool(settings.LOCAL_ISOLATION) and probe().works


@lru_cache(maxsize=1)
def local_provider() -> Runtime:
    """The provider of this machine, of the runtime that LOCAL_RUNTIME names."""
    if settings.LOCAL_RUNTIME == "docker":
        return _docker_provider()
    return LocalProvider(
        settings.LOCAL_ROOT,
        vcpus_milli=settings.LOCAL_VCPUS * 1000,
        memory_mib=settings.LOCAL_MEMORY_MIB,
        log_cap_bytes=settings.LOG_CAP_MIB * 2**20,
        isolate=local_is_isolated(),
        readable_paths=settings.LOCAL_READABLE_PATHS,
        hidden_paths=(str(settings.DATA_DIR), str(settings.BASE_DIR)),
    )


def _local_hosting() -> Hosting:
    if settings.LOCAL_RUNTIME == "docker":
        return _docker_hosting()
    return LocalHosting(
        settings.DATA_DIR / "services" / settings.LOCAL_REGION,
        region=settings.LOCAL_REGION,
        memory_mib=settings.LOCAL_MEMORY_MIB,
        log_cap_bytes=settings.LOG_CAP_MIB * 2**20,
        isolate=local_is_isolated(),
        unisolated=settings.DEBUG or settings.LOCAL_UNISOLATED,
        readable_paths=settings.LOCAL_READABLE_PATHS,
        hidden_paths=(str(settings.DATA_DIR), str(settings.BASE_DIR)),
    )


def local_keeps_for(user: User) -> bool:
    """May this machine keep containers of `user`? Where it isolates nothing, only of who could read our keys anyway."""
    if local_is_isolated():
        return True
    return (settings.DEBUG or settings.LOCAL_UNISOLATED) and user.role in (Role.ADMIN, Role.OPERATOR)


def _docker_provider() -> Runtime:
    # The SDK takes its time and memory: only those who use it load it.
    from clusters.providers.local.docker.provider import DockerProvider

    return DockerProvider(
        settings.LOCAL_ROOT,
        base_url=settings.LOCAL_DOCKER_HOST,
        vcpus_milli=settings.LOCAL_VCPUS * 1000,
        memory_mib=settings.LOCAL_MEMORY_MIB,
        log_cap_bytes=settings.LOG_CAP_MIB * 2**20,
        pull=settings.LOCAL_DOCKER_PULL,
        network=settings.LOCAL_DOCKER_NETWORK,
        read_only=settings.LOCAL_DOCKER_READ_ONLY,
        pids_limit=settings.LOCAL_DOCKER_PIDS,
        user=settings.LOCAL_DOCKER_USER,
    )


@lru_cache(maxsize=1)
def _docker_hosting() -> Hosting:
    """What keeps containers on this machine by the container engine of the settings. One for the process."""
    from clusters.providers.local.docker.hosting import DockerHosting

    return DockerHosting(
        settings.LOCAL_ROOT,
        settings.LOCAL_REGION,
        base_url=settings.LOCAL_DOCKER_HOST,
        log_cap_bytes=settings.LOG_CAP_MIB * 2**20,
        pull=settings.LOCAL_DOCKER_PULL,
        network=settings.LOCAL_DOCKER_NETWORK,
        read_only=settings.LOCAL_DOCKER_READ_ONLY,
        pids_limit=settings.LOCAL_DOCKER_PIDS,
        user=settings.LOCAL_DOCKER_USER,
    )


def image_label(image: str, label: str) -> str | None:
    """The value of an image's label, from the container engine of the settings. None when it has none.

    Raises Refused when the image cannot be had, ProviderError when the engine does not answer.
    """
    from clusters.providers.local.docker.images import label_of

    return label_of(settings.LOCAL_DOCKER_HOST, image, label, settings.LOCAL_DOCKER_PULL)
