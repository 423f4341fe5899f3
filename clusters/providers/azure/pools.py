"""The pools of an account: which one a work goes to, what their nodes hold, why they have none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from azure.batch.models import (
    BatchContainerConfiguration,
    BatchMetadataItem,
    BatchNodeCounts,
    BatchPool,
    BatchPoolCreateOptions,
    BatchPoolState,
    BatchVmImageReference,
    ContainerType,
    VirtualMachineConfiguration,
)

from clusters.providers.azure import names
from clusters.providers.azure.account import Account
from clusters.providers.azure.config import AzureConfig, PoolTemplate
from clusters.providers.azure.sizes import size_of
from clusters.providers.azure.words import word
from clusters.providers.base import CAPACITY_QUEUES, Capacity, Work
from clusters.providers.errors import NoCapacity, Refused

FRESH_SECONDS: Final = 60.0
_MAX_NODES = "control-plane-max-nodes"  # metadata of pools that we made


class Pools:
    """Pools as they were within the last minute. Threads may share it."""

    def __init__(self, config: AzureConfig, account: Account, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._account = account
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, BatchPool]] = {}

    def name_for(self, work: Work) -> str:
        """The id of the work's pool. Raises Refused when there can be none."""
        priority = "HIGH" if work.priority < self._config.high_below else "LOW"
        queue = work.queue or CAPACITY_QUEUES.get(work.capacity, priority)
        name = self._config.pools.get(queue, work.queue)
        if not name:
            raise Refused(f"no pool is set up for {queue}")
        if not names.ID.fullmatch(name):
            raise Refused(f"there is no pool {name!r}")
        return name

    def get(self, name: str) -> BatchPool:
        """The pool, which is made when it is one of ours and absent.

        Raises Refused when there is none (Azure would take tasks for it, and never run them), NoCapacity while it is
        being deleted.
        """
        now = self._clock()
        with self._lock:
            seen = self._seen.get(name)
        if seen is not None and now - seen[0] < FRESH_SECONDS:
            return seen[1]
        pool = self._look(name)
        if pool is None:
            template = self._config.new_pool
            if template is None or name not in self._config.pools.values():
                raise Refused(f"there is no pool {name}")
            self._make(name, template)
            pool = self._look(name)
        if pool is None or word(pool.state) != BatchPoolState.ACTIVE:
            raise NoCapacity(f"the pool {name} is being deleted")
        with self._lock:
            self._seen[name] = now, pool
        return pool

    def slots_for(self, work: Work, pool: BatchPool) -> int:
        """How many of a node's scheduling slots the work takes, which share the node evenly.

        One where the node's size is not known. Raises Refused when it takes more than a node has.
        """
        slots = pool.task_slots_per_node or 1
        size = size_of(pool.vm_size, self._config.vm_sizes)
        if size is None:
            return 1
        needed = max(
            1, -(-work.vcpus_milli * slots // size.vcpus_milli), -(-work.memory_mib * slots // size.memory_mib)
        )
        if needed > slots:
            raise Refused(
                f"{work.vcpus_milli / 1000:g} vCPUs and {work.memory_mib} MiB are more than a node of the pool "
                f"{pool.id} has ({pool.vm_size})"
            )
        return needed

    def capacity(self) -> Capacity:
        """All nodes that the pools in our configuration may have, times what their size has.

        How many: as configured, else as we noted when we made the pool, else those it has or is to have.
        """
        vcpus = memory = 0
        for name in sorted(set(self._config.pools.values())):
            pool = self._look(name)
            template = self._config.new_pool
            if pool is not None:
                nodes, vm_size = self._most_nodes(pool), pool.vm_size
            elif template is not None:
                nodes, vm_size = template.max_nodes, template.vm_size
            else:
                continue
            if size := size_of(vm_size, self._config.vm_sizes):
                vcpus += nodes * size.vcpus_milli
                memory += nodes * size.memory_mib
        return Capacity(vcpus, memory)

    def _most_nodes(self, pool: BatchPool) -> int:
        if (told := self._config.max_nodes.get(pool.id)) is not None:
            return told
        noted = [item.value for item in pool.metadata or () if item.name == _MAX_NODES]
        if noted and noted[0].isdigit():
            return int(noted[0])
        present = pool.current_dedicated_nodes + pool.current_low_priority_nodes
        return max(present, (pool.target_dedicated_nodes or 0) + (pool.target_low_priority_nodes or 0))

    def explain(self, name: str) -> str:
        """What the pool is doing and has, and what Azure says went wrong with it, in Azure's words."""
        pool = self._look(name)
        if pool is None:
            return f"there is no pool {name}"
        words = [f"pool {name}: {word(pool.allocation_state)}"]
        words += self._node_words(name)
        words += [f"{error.code}: {error.message}" for error in pool.resize_errors or ()]
        if (run := pool.auto_scale_run) and run.error:
            words.append(f"autoscale {run.error.code}: {run.error.message}")
        return "; ".join(words)

    def _node_words(self, name: str) -> list[str]:
        client = self._account.client
        rows = self._account.rows("count nodes", lambda: client.list_pool_node_counts(filter=f"poolId eq '{name}'"))
        words = []
        for row in rows:
            for kind, counts in (("dedicated", row.dedicated), ("spot", row.low_priority)):
                if counts is not None and counts.total:
                    words.append(f"{counts.total} {kind} nodes ({_states(counts)})")
        return words or ["no nodes"]

    def _look(self, name: str) -> BatchPool | None:
        return self._account.call(
            f"read the pool {name}", lambda: self._account.client.get_pool(name), unless=("PoolNotFound",)
        )

    def _make(self, name: str, template: PoolTemplate) -> None:
        pool = BatchPoolCreateOptions(
            id=name,
            vm_size=template.vm_size,
            virtual_machine_configuration=VirtualMachineConfiguration(
                image_reference=BatchVmImageReference(
                    publisher=template.image_publisher,
                    offer=template.image_offer,
                    sku=template.image_sku,
                    version=template.image_version,
                ),
                node_agent_sku_id=template.node_agent_sku,
                container_configuration=BatchContainerConfiguration(type=ContainerType.DOCKER_COMPATIBLE),
            ),
            enable_auto_scale=True,
            auto_scale_formula=template.filled_formula(),
            auto_scale_evaluation_interval=timedelta(minutes=template.evaluation_minutes),
            task_slots_per_node=template.slots_per_node,
            metadata=[BatchMetadataItem(name=_MAX_NODES, value=str(template.max_nodes))],
        )
        self._account.call(
            f"make the pool {name}", lambda: self._account.client.create_pool(pool), unless=("PoolExists",)
        )


def _states(counts: BatchNodeCounts) -> str:
    """The states that nodes are in, with how many: as "idle 2, running 1"."""
    found = {name: value for name, value in counts.as_dict().items() if name != "total" and value}
    return ", ".join(f"{name} {value}" for name, value in sorted(found.items()))
