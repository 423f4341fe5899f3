"""Types of machines that a work fits on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from clusters.providers.aws.remembered import Remembered
from clusters.providers.aws.session import Session
from clusters.providers.base import Work
from clusters.providers.errors import Refused

# EC2 takes the cheapest of them that it has plenty of. More would only be larger ones.
MOST: Final = 20
_DAY_SECONDS: Final = 24 * 3600.0
_DESCRIBED_AT_ONCE: Final = 100
_ACCELERATORS: Final = ("FpgaInfo", "InferenceAcceleratorInfo", "MediaAcceleratorInfo", "NeuronInfo")
# What is looked at below, of rows that have megabytes together.
_KEPT: Final = (
    "InstanceType",
    "VCpuInfo",
    "MemoryInfo",
    "GpuInfo",
    "NetworkInfo",
    "SupportedBootModes",
    "SupportedVirtualizationTypes",
    *_ACCELERATORS,
)
Row = Mapping[str, Any]


class MachineTypes:
    """What DescribeInstanceTypes and DescribeImages say, each remembered for a day."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._images: Remembered[Row] = Remembered(_DAY_SECONDS)
        self._types: Remembered[list[Row]] = Remembered(_DAY_SECONDS)

    def fitting(self, account: str, work: Work) -> list[str]:
        """Names of types that the work's image boots on and that have what it asks for, the smallest first.

        Raises Refused when there is no such image, or no such type.
        """
        image = self._images.get((account, work.machine_image), lambda: self._image(account, work.machine_image))
        architecture = str(image.get("Architecture") or "x86_64")
        # They are the same in all accounts.
        rows = self._types.get(architecture, lambda: self._described(account, architecture))
        found = [row for row in rows if _boots(row, image) and _has(row, work)]
        if not found:
            asked = f"{work.vcpus_milli / 1000:g} vCPUs, {work.memory_mib} MiB and {work.gpus} GPUs"
            raise Refused(f"EC2 has no {architecture} machine with {asked} for {work.machine_image}")
        return [str(row["InstanceType"]) for row in sorted(found, key=_size)[:MOST]]

    def _image(self, account: str, image_id: str) -> Row:
        images = self._session.call(account, "ec2", "DescribeImages", ImageIds=[image_id]).get("Images", [])
        if not images:
            raise Refused(f"there is no machine image {image_id} here, or it is not for us")
        image: Row = images[0]
        return image

    def _described(self, account: str, architecture: str) -> list[Row]:
        filters = {
            "processor-info.supported-architecture": architecture,
            "current-generation": "true",
            "bare-metal": "false",
            "supported-usage-class": "spot",
        }
        pages = self._session.pages(
            account,
            "ec2",
            "DescribeInstanceTypes",
            Filters=[{"Name": name, "Values": [value]} for name, value in filters.items()],
            MaxResults=_DESCRIBED_AT_ONCE,
        )
        rows = (row for page in pages for row in page.get("InstanceTypes", []))
        return [{name: row[name] for name in _KEPT if name in row} for row in rows]


def _boots(row: Row, image: Row) -> bool:
    virtualization, mode = image.get("VirtualizationType"), image.get("BootMode")
    if virtualization and virtualization not in row.get("SupportedVirtualizationTypes", [virtualization]):
        return False
    # "uefi-preferred" boots either way.
    if mode in ("uefi", "legacy-bios") and mode not in row.get("SupportedBootModes", [mode]):
        return False
    return bool(image.get("EnaSupport", True)) or row.get("NetworkInfo", {}).get("EnaSupport") != "required"


def _has(row: Row, work: Work) -> bool:
    vcpus, memory_mib = _size(row)[:2]
    if vcpus * 1000 < work.vcpus_milli or memory_mib < work.memory_mib:
        return False
    if any(row.get(name) for name in _ACCELERATORS):
        return False
    gpus = row.get("GpuInfo", {}).get("Gpus", [])
    if not work.gpus:
        return not gpus
    return sum(int(gpu.get("Count", 0)) for gpu in gpus if gpu.get("Manufacturer") == "NVIDIA") >= work.gpus


def _size(row: Row) -> tuple[int, int, str]:
    vcpus, memory = row.get("VCpuInfo", {}), row.get("MemoryInfo", {})
    return int(vcpus.get("DefaultVCpus", 0)), int(memory.get("SizeInMiB", 0)), str(row["InstanceType"])
