"""What is there before anything was imported: examples, which are nobody's prices, and this machine, which is free."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import migrations

# Older than every price list, so that each price of one takes the place of an example.
SINCE = datetime(2000, 1, 1, tzinfo=UTC)
# name, vCPUs, GiB; USD per hour on demand and spot. Round figures, made up.
MACHINES = (
    ("example-small", 2, 4, "0.05", "0.02"),
    ("example-medium", 4, 16, "0.20", "0.08"),
    ("example-large", 16, 64, "0.80", "0.32"),
    ("example-huge", 64, 256, "3.20", "1.28"),
)
# name, thousandths of a vCPU, MiB; USD per hour.
UNITS = (("vcpu", 1000, 0, "0.04"), ("gb", 0, 1024, "0.005"))


def add(apps: Any, schema_editor: Any) -> None:
    offers, prices = apps.get_model("clusters", "Offer").objects, apps.get_model("clusters", "Price").objects

    def price(name: str, amount: str, source: str, **facts: Any) -> None:
        offer, _ = offers.get_or_create(cloud=facts.pop("cloud"), region="", name=name, **facts)
        prices.get_or_create(offer=offer, customer=None, valid_from=SINCE, amount=Decimal(amount), source=source)

    for cloud in ("aws", "azure"):
        for name, vcpus, gib, on_demand, spot in MACHINES:
            size = {"vcpus_milli": vcpus * 1000, "memory_mib": gib * 1024, "measure": "machine"}
            price(name, on_demand, "example", cloud=cloud, capacity="on-demand", **size)
            price(name, spot, "example", cloud=cloud, capacity="spot", **size)
    for name, vcpus_milli, memory_mib, amount in UNITS:
        size = {"vcpus_milli": vcpus_milli, "memory_mib": memory_mib, "measure": "unit"}
        price(name, amount, "example", cloud="aws", capacity="on-demand", **size)
        price(name, "0", "default", cloud="local", capacity="local", **size)


class Migration(migrations.Migration):
    dependencies = [("clusters", "0001_offers")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
