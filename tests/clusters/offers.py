"""Offers and prices for tests, and the price lists beside this module, which are made up."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from clusters.models import Offer, Price
from clusters.services import set_price

PRICE_LISTS: Final = Path(__file__).parent / "price_lists"
BEGUN: Final = datetime(2026, 1, 1, tzinfo=UTC)
_numbers = itertools.count(1)


def make_offer(**facts: Any) -> Offer:
    """A machine of 4 vCPUs and 16 GiB at AWS, unless `facts` say otherwise."""
    return Offer.objects.create(
        **{
            "cloud": "aws",
            "region": "eu-central-1",
            "name": f"machine-{next(_numbers)}",
            "capacity": "on-demand",
            "vcpus_milli": 4000,
            "memory_mib": 16 * 1024,
            **facts,
        }
    )


def priced(amount: str, *, valid_from: datetime = BEGUN, customer: Any = None, **facts: Any) -> Price:
    """A new offer with a price that staff have set."""
    return set_price(make_offer(**facts), amount=Decimal(amount), actor=None, customer=customer, valid_from=valid_from)


def price_vcpus_here(amount: str, customer: Any = None) -> None:
    """From now on an hour of a vCPU of this machine costs so much, and memory nothing."""
    vcpu = Offer.objects.get(cloud="local", name="vcpu")
    set_price(vcpu, amount=Decimal(amount), actor=None, valid_from=BEGUN, customer=customer)
