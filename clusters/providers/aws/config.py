"""What a deployment says of its AWS: plain values."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote

from clusters.providers.aws.handles import LONGEST_ACCOUNT
from clusters.providers.base import CAPACITY_QUEUES, Work

PLATFORMS: Final = ("EC2", "FARGATE")
PRIORITIES: Final = ("HIGH", "LOW")
# AWS Batch takes 50 calls a second from an account, of all who call there; CloudWatch Logs 25 GetLogEvents; EC2 20
# that only look, and 5 that change something, of each kind; ECS 20 that only look, and 5 that change a service;
# Systems Manager 3 that change a parameter.
RATES: Final = {"batch": 40.0, "ec2": 10.0, "ecs": 10.0, "logs": 20.0, "ssm": 3.0}
# Works with a smaller number go to the queue HIGH, the others to LOW.
LOW_PRIORITY: Final = 100
_NOT_FOR_PARAMETERS: Final = ("aws", "ssm")
_ROLE: Final = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/.+")


@dataclass(frozen=True, slots=True)
class CustomerRole:
    """A role in a customer's own account that we may assume, by the external id agreed with the customer."""

    role_arn: str
    external_id: str = field(repr=False)

    def __post_init__(self) -> None:
        if not _ROLE.fullmatch(self.role_arn):
            raise ValueError(f"not the address of a role: {self.role_arn}")

    @property
    def account(self) -> str:
        """The number of the AWS account that the role is in."""
        return self.role_arn.split(":")[4]


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """Where a region's long-running containers stand: in the ECS cluster of this name.

    `execution_role_arn` is what starting them takes, `task_role_arn` what they may do ("": nothing). With `public_ip`
    each has an address of its own that is reached from everywhere. `log_group` is theirs in CloudWatch Logs.
    `security_groups`, none: those of the machines. In a customer's account cluster, roles and log group have the same
    names.
    """

    cluster: str
    execution_role_arn: str
    task_role_arn: str = ""
    public_ip: bool = False
    log_group: str = "/ecs/controlplane"
    security_groups: Sequence[str] = ()

    def __post_init__(self) -> None:
        if not self.execution_role_arn:
            raise ValueError("containers of ECS need an execution role")


@dataclass(frozen=True, slots=True)
class AwsConfig:
    """One region of AWS as it was set up for us.

    `queues` names the job queue of each priority, HIGH and LOW, and may name one of spot machines, SPOT, and one of
    such that nobody takes back, ON_DEMAND; in the accounts of customers' roles they have the same names.
    `platform` is what the compute environments behind them are: EC2 or FARGATE. `job_role_arn` is what containers may
    do ("": nothing), `execution_role_arn` what starting them takes, which FARGATE cannot do without; both are of our
    own account, and jobs in a customer's account have roles of the same names there.
    `public_ip` gives FARGATE jobs an address of their own, without which they reach no registry from a public subnet.
    `prefix` begins the names of job definitions. `endpoint_url` None: boto's own environment decides.

    Machines of instance jobs stand in `subnets` and `security_groups` (none: those of AWS's default network), may do
    what `instance_profile` (a name) may, and take the key pair `key_name` for a login. In a customer's account the
    latter two have the same names, and the former are those with the tag `controlplane:deployment` whose value is
    `prefix`. `on_demand_after_spot`: where there is no spot machine, one at the full price is taken.

    `containers` None: the region keeps no long-running containers for us. They stand in the same `subnets`.
    """

    region: str
    queues: Mapping[str, str]
    platform: str = "EC2"
    job_role_arn: str = ""
    execution_role_arn: str = ""
    customer_roles: Mapping[str, CustomerRole] = field(default_factory=dict)
    prefix: str = "controlplane"
    endpoint_url: str | None = None
    public_ip: bool = False
    subnets: Sequence[str] = ()
    security_groups: Sequence[str] = ()
    instance_profile: str = ""
    key_name: str = ""
    on_demand_after_spot: bool = False
    containers: ContainerConfig | None = None

    def __post_init__(self) -> None:
        if self.platform not in PLATFORMS:
            raise ValueError(f"no such platform: {self.platform}")
        if self.platform == "FARGATE" and not self.execution_role_arn:
            raise ValueError("FARGATE needs an execution role")
        if missing := [name for name in PRIORITIES if not self.queues.get(name)]:
            raise ValueError(f"no queue is named for {' and '.join(missing)}")
        if self.containers and not self.subnets:
            raise ValueError("containers of ECS need subnets")
        if self.containers and self.prefix.lower().startswith(_NOT_FOR_PARAMETERS):
            raise ValueError(f"secrets of containers lie below the name {self.prefix}, and AWS keeps that for itself")
        for customer in self.customer_roles:
            if len(quote(customer, safe="")) > LONGEST_ACCOUNT:
                raise ValueError(f"too long a name for a customer with a role: {customer}")

    def queue(self, work: Work) -> str:
        """The queue for a work: the one it wishes, else that of its kind of machines, else that of its priority."""
        if kind := CAPACITY_QUEUES.get(work.capacity):
            return work.queue or self.queues.get(kind, kind)
        return work.queue or self.queues["HIGH" if work.priority < LOW_PRIORITY else "LOW"]

    def account_of(self, customer: str) -> str:
        """Whose account `customer`'s works run in: the customer's, or "" for our own."""
        return customer if customer in self.customer_roles else ""

    def role_of(self, role_arn: str, account: str) -> str:
        """`role_arn`, or the role of that name in the account of a customer."""
        if not role_arn or not account:
            return role_arn
        parts = role_arn.split(":")
        return ":".join([*parts[:4], self.customer_roles[account].account, *parts[5:]])
