"""What long-running containers are priced by: nothing, until staff say otherwise."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.db import migrations

SINCE = datetime(2000, 1, 1, tzinfo=UTC)
MACHINE_TYPES = ("xsmall", "small", "medium", "large", "xlarge")


def add(apps: Any, schema_editor: Any) -> None:
    offers, prices = apps.get_model("clusters", "Offer").objects, apps.get_model("clusters", "Price").objects
    for name, measure in (("peer", "peer"), *((name, "container") for name in MACHINE_TYPES)):
        facts = {"measure": measure, "vcpus_milli": 0, "memory_mib": 0}
        offer, _ = offers.get_or_create(cloud="fleet", region="", name=name, capacity="on-demand", defaults=facts)
        price = {"amount": Decimal(0), "source": "default"}
        prices.get_or_create(offer=offer, customer=None, valid_from=SINCE, defaults=price)


class Migration(migrations.Migration):
    dependencies = [("clusters", "0008_peer_time")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
