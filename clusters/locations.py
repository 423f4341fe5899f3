"""Where customers may ask for containers, and of what size: the words of Fishjam Cloud, which other systems share."""

from __future__ import annotations

from typing import Final, NamedTuple


class Region(NamedTuple):
    """What a location is called, and which region of AWS it is."""

    title: str
    aws: str


class Size(NamedTuple):
    """Thousandths of a vCPU, and MiB: one that Fargate has."""

    vcpus_milli: int
    memory_mib: int


DEFAULT_LOCATION: Final = "eu_central"
DEFAULT_MACHINE_TYPE: Final = "xsmall"
LOCATIONS: Final[dict[str, Region]] = {
    "us_east": Region("US East (N. Virginia)", "us-east-1"),
    "us_west": Region("US West (Oregon)", "us-west-2"),
    "af_south": Region("Africa (Cape Town)", "af-south-1"),
    "ap_east": Region("Asia Pacific (Hong Kong)", "ap-east-1"),
    "ap_south": Region("Asia Pacific (Mumbai)", "ap-south-1"),
    "ap_southeast": Region("Asia Pacific (Singapore)", "ap-southeast-1"),
    "ap_northeast": Region("Asia Pacific (Tokyo)", "ap-northeast-1"),
    "ca_central": Region("Canada (Central)", "ca-central-1"),
    "eu_central": Region("Europe (Frankfurt)", "eu-central-1"),
    "eu_west": Region("Europe (Ireland)", "eu-west-1"),
    "eu_south": Region("Europe (Milan)", "eu-south-1"),
    "eu_north": Region("Europe (Stockholm)", "eu-north-1"),
    "il_central": Region("Israel (Tel Aviv)", "il-central-1"),
    "me_south": Region("Middle East (Bahrain)", "me-south-1"),
    "me_central": Region("Middle East (UAE)", "me-central-1"),
    "sa_east": Region("South America (São Paulo)", "sa-east-1"),
}
MACHINE_TYPES: Final[dict[str, Size]] = {
    "xsmall": Size(250, 512),
    "small": Size(500, 1024),
    "medium": Size(1000, 2048),
    "large": Size(2000, 4096),
    "xlarge": Size(4000, 8192),
}
