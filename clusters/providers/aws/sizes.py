"""Sizes of a container, in the numbers that AWS takes."""

from __future__ import annotations

from typing import Final

from clusters.providers.base import Work
from clusters.providers.errors import Refused

_SMALLEST_MIB: Final = 4
# vCPUs in thousandths, and the MiB that go with them: (from, to, step).
# From AWS's page on ResourceRequirement; the largest two have only the sizes that stand there.
_FARGATE: Final[tuple[tuple[int, tuple[int, ...]], ...]] = (
    (250, (512, 1024, 2048)),
    (500, tuple(range(1024, 4096 + 1, 1024))),
    (1000, tuple(range(2048, 8192 + 1, 1024))),
    (2000, tuple(range(4096, 16384 + 1, 1024))),
    (4000, tuple(range(8192, 30720 + 1, 1024))),
    (8000, tuple(range(16384, 61440 + 1, 4096))),
    (16000, tuple(range(32768, 122880 + 1, 8192))),
    (32000, (61440, 122880, 249856)),
)


def requirements(work: Work, platform: str) -> list[dict[str, str]]:
    """`resourceRequirements` for a work: what it asks for, rounded up to what `platform` has.

    EC2 counts whole vCPUs. FARGATE has pairs of vCPUs and memory, and no GPUs:

    vCPU   GiB
    0.25   0.5, 1, 2
    0.5    1 to 4
    1      2 to 8
    2      4 to 16
    4      8 to 30
    8      16 to 60, by 4
    16     32 to 120, by 8
    32     60, 120, 244

    Raises Refused for what does not exist there.
    """
    if platform == "FARGATE":
        if work.gpus:
            raise Refused("FARGATE has no GPUs")
        vcpus_milli, memory_mib = fargate(work.vcpus_milli, work.memory_mib)
        vcpus = f"{vcpus_milli / 1000:g}"
    else:
        vcpus = str(max(-(-work.vcpus_milli // 1000), 1))
        memory_mib = max(work.memory_mib, _SMALLEST_MIB)
    found = [{"type": "VCPU", "value": vcpus}, {"type": "MEMORY", "value": str(memory_mib)}]
    if work.gpus:
        found.append({"type": "GPU", "value": str(work.gpus)})
    return found


def fargate(vcpus_milli: int, memory_mib: int) -> tuple[int, int]:
    """The next pair of vCPUs, in thousandths, and MiB that FARGATE has. Raises Refused when there is none."""
    for vcpus, memories in _FARGATE:
        for memory in memories:
            if vcpus >= vcpus_milli and memory >= memory_mib:
                return vcpus, memory
    raise Refused(f"FARGATE has no container of {vcpus_milli / 1000:g} vCPUs and {memory_mib} MiB")
