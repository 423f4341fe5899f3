"""What a job of a manifest is given of a machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from jobtypes.seed.manifest import Manifest, Resource

MIB: Final = 1024 * 1024
MIN_VCPUS_MILLI: Final = 250
MIN_MEMORY_MIB: Final = 128
MAX_AMOUNT: Final = 2**31 - 1  # of any kind: more than any machine has, and every database has a column for it

_KNOWN: Final = frozenset({"cpus", "mem", "disk", "sharedmem", "gpus"})


@dataclass(frozen=True, slots=True)
class Allocation:
    """Amounts of one job, each at most MAX_AMOUNT.

    `disk_mib` is what the job may fill; room for its input comes on top. `shm_mib` is None where the manifest does
    not speak of shared memory. `unknown` names resources that the job needs some of and no machine of ours has.
    """

    vcpus_milli: int
    memory_mib: int
    disk_mib: int
    shm_mib: int | None
    gpus: int
    unknown: tuple[str, ...] = ()


def allocate(manifest: Manifest, input_bytes: int) -> Allocation:
    """What the manifest asks for with this much input, and the least that a job gets: 0.25 cores and 128 MiB.

    Each amount is value + inputMultiplier × input in whole MiB, rounded up. Names match in any case.
    """
    input_mib = min(-(-max(input_bytes, 0) // MIB), MAX_AMOUNT)
    needs = {resource.name.lower(): _amount(resource, input_mib) for resource in manifest.resources}
    none = Decimal(0)
    return Allocation(
        vcpus_milli=max(_whole(needs.get("cpus", none) * 1000), MIN_VCPUS_MILLI),
        memory_mib=max(_whole(needs.get("mem", none)), MIN_MEMORY_MIB),
        disk_mib=_whole(needs.get("disk", none)),
        shm_mib=_whole(needs["sharedmem"]) if "sharedmem" in needs else None,
        gpus=_whole(needs.get("gpus", none)),
        unknown=tuple(
            resource.name
            for resource in manifest.resources
            if resource.name.lower() not in _KNOWN and needs[resource.name.lower()] > 0
        ),
    )


def _amount(resource: Resource, input_mib: int) -> Decimal:
    return _written(resource.value) + _written(resource.input_multiplier) * input_mib


def _written(number: float) -> Decimal:
    """The number as the manifest spells it: 0.1 cores are 100 thousandths, not a trifle more."""
    return Decimal(repr(max(min(number, MAX_AMOUNT), -MAX_AMOUNT)))


def _whole(amount: Decimal) -> int:
    return math.ceil(max(min(amount, Decimal(MAX_AMOUNT)), Decimal(0)))
