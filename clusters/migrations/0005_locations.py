"""Every location has every machine type, where the deployment decides."""

from typing import Any

from django.db import migrations

LOCATIONS = (
    *("us_east", "us_west", "af_south", "ap_east", "ap_south", "ap_southeast", "ap_northeast", "ca_central"),
    *("eu_central", "eu_west", "eu_south", "eu_north", "il_central", "me_south", "me_central", "sa_east"),
)
# name, thousandths of a vCPU, MiB: sizes that Fargate has.
MACHINE_TYPES = (
    ("xsmall", 250, 512),
    ("small", 500, 1024),
    ("medium", 1000, 2048),
    ("large", 2000, 4096),
    ("xlarge", 4000, 8192),
)


def add(apps: Any, schema_editor: Any) -> None:
    location = apps.get_model("clusters", "Location")
    for name in LOCATIONS:
        for machine_type, vcpus_milli, memory_mib in MACHINE_TYPES:
            size = {"vcpus_milli": vcpus_milli, "memory_mib": memory_mib}
            location.objects.get_or_create(name=name, machine_type=machine_type, defaults=size)


class Migration(migrations.Migration):
    dependencies = [("clusters", "0004_fleet")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
