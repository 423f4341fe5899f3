"""What Azure's machine sizes have, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from clusters.providers.azure.config import VmSize

# The number in a name is that of its vCPUs, and memory follows from the family:
# https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions. Version 1 and the old D_v2 had other rules.
_NAME = re.compile(r"standard_(?P<family>[def])(?P<vcpus>\d+)(?P<features>[a-z]*)_v(?P<version>\d+)", re.ASCII)
_GIB_PER_VCPU = {"d": 4, "e": 8, "f": 2}
_OLDEST_VERSION = {"d": 3, "e": 3, "f": 2}
_LARGEST = {"d": 96, "e": 48, "f": 72}  # beyond it memory per vCPU differs
_LOW_MEMORY = "l"  # halves it


def size_of(name: str, told: Mapping[str, VmSize]) -> VmSize | None:
    """The size `name`, from what was told or from the name; None when it is not known."""
    for known, size in told.items():
        if known.lower() == name.lower():
            return size
    match = _NAME.fullmatch(name.lower())
    if match is None:
        return None
    family, vcpus = match["family"], int(match["vcpus"])
    if int(match["version"]) < _OLDEST_VERSION[family] or vcpus > _LARGEST[family]:
        return None
    memory_mib = vcpus * _GIB_PER_VCPU[family] * 1024
    return VmSize(vcpus * 1000, memory_mib // 2 if _LOW_MEMORY in match["features"] else memory_mib)
