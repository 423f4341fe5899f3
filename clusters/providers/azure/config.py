"""What is told of an Azure Batch account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

CALLS_PER_SECOND: Final = 25.0
# Nodes follow the tasks that wait or run, up to a bound. A node that is to go lets its task finish first. While
# there are too few samples (a new pool), the newest one counts.
AUTOSCALE_FORMULA = """\
known = $PendingTasks.GetSamplePercent(180 * TimeInterval_Second);
last = max(0, $PendingTasks.GetSample(1));
tasks = known < 70 ? last : max(last, avg($PendingTasks.GetSample(180 * TimeInterval_Second)));
nodes = min({max_nodes}, ceil(tasks / $TaskSlotsPerNode));
{target} = nodes;
$NodeDeallocationOption = taskcompletion;
"""


@dataclass(frozen=True, slots=True)
class VmSize:
    """What one machine of a size has."""

    vcpus_milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class PoolTemplate:
    """How a pool is made that is named in `AzureConfig.pools` and is not there.

    It runs containers from public registries. One for private registries needs an identity, which only Azure's
    management interface can give it: make that one there.
    """

    vm_size: str
    max_nodes: int
    image_publisher: str = "microsoft-dsvm"
    image_offer: str = "ubuntu-hpc"
    image_sku: str = "2204"
    image_version: str = "latest"
    node_agent_sku: str = "batch.node.ubuntu 22.04"
    slots_per_node: int = 1
    spot: bool = False
    formula: str = AUTOSCALE_FORMULA  # {max_nodes} and {target} are filled in
    evaluation_minutes: int = 5  # Azure's least

    def filled_formula(self) -> str:
        target = "$TargetLowPriorityNodes" if self.spot else "$TargetDedicatedNodes"
        return self.formula.replace("{max_nodes}", str(self.max_nodes)).replace("{target}", target)


@dataclass(frozen=True, slots=True)
class AzureConfig:
    """A Batch account, and how we use it.

    Credentials: `account_name` and `account_key`, or the managed identity `client_id`, or, with neither, whatever
    the environment offers (azure-identity's DefaultAzureCredential).
    """

    endpoint: str  # https://<account>.<region>.batch.azure.com
    region: str
    # Pool ids by "HIGH" and "LOW", "SPOT" and "ON_DEMAND"; any other queue is a pool's id itself.
    pools: Mapping[str, str]
    account_name: str = ""
    account_key: str = field(default="", repr=False)
    client_id: str = ""
    resource_id: str = ""  # /subscriptions/…/batchAccounts/…, for links into the portal
    high_below: int = 100  # a priority smaller than this is HIGH
    new_pool: PoolTemplate | None = None
    max_nodes: Mapping[str, int] = field(default_factory=dict)  # by pool id, where a formula of others decides
    vm_sizes: Mapping[str, VmSize] = field(default_factory=dict)  # by name, beside those known
    calls_per_second: float = CALLS_PER_SECOND
    calls_at_once: int = 50
    keep_days: int = 8  # how long Batch jobs are kept there: longer than their tasks' files are
    connection_verify: bool | str = True  # a file of certificates to trust, or False
