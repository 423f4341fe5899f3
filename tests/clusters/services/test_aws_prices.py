"""AWS's price list files: what is taken of them, what is left and why."""

from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from clusters.errors import PriceListUnreadable
from clusters.services import ListedPrice, read_aws
from tests.clusters.offers import PRICE_LISTS

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


def read(content: bytes) -> tuple[list[ListedPrice], Counter[str]]:
    left = Counter[str]()
    return list(read_aws(io.BufferedReader(io.BytesIO(content)), left)), left


@pytest.mark.parametrize("name", ["amazon_ec2.csv", "amazon_ec2.json"])
def test_machines_are_taken_of_json_and_of_csv(name: str) -> None:
    found, _ = read((PRICE_LISTS / name).read_bytes())
    small, huge = sorted(found, key=lambda each: each.amount)
    assert (small.cloud, small.region, small.name, small.capacity) == (
        "aws", "eu-central-1", "made-up.small", "on-demand")  # fmt: skip
    assert (small.vcpus_milli, small.memory_mib, small.gpus) == (2000, 4096, 0)
    assert (small.amount, small.valid_from) == (Decimal("0.0416"), NOVEMBER)
    assert (huge.vcpus_milli, huge.memory_mib, huge.gpus) == (64_000, 1024 * 1024, 4)


def test_what_is_left_of_csv_is_counted_by_why() -> None:
    _, left = read((PRICE_LISTS / "amazon_ec2.csv").read_bytes())
    assert left == {
        "of reservations": 1,
        "of another operating system": 1,
        "of dedicated hosts and machines": 1,
        "with software on it": 1,
        "of reserved capacity": 1,
        "no machines, nor vCPUs and memory of Linux on x86": 1,
        "without a price in USD and its date": 1,
        "without a region, name, vCPUs or memory that can be read": 1,
    }


def test_what_is_left_of_json_is_counted_by_why() -> None:
    _, left = read((PRICE_LISTS / "amazon_ec2.json").read_bytes())
    assert left == {"of another operating system": 1, "without a price on demand": 1}


def test_of_fargate_both_units_are_taken() -> None:
    found, left = read((PRICE_LISTS / "amazon_ecs.json").read_bytes())
    taken = {(each.name, each.measure, each.vcpus_milli, each.memory_mib, each.amount) for each in found}
    assert taken == {("vcpu", "unit", 1000, 0, Decimal("0.04656")), ("gb", "unit", 0, 1024, Decimal("0.00511"))}
    assert left["no machines, nor vCPUs and memory of Linux on x86"] == 2


def test_fargate_spot_is_told_from_fargate() -> None:
    text = (PRICE_LISTS / "amazon_ecs.json").read_text().replace("EUC1-Fargate-GB", "EUC1-SpotUsage-Fargate-GB")
    found, _ = read(text.encode())
    assert {each.name: each.capacity for each in found} == {"vcpu": "on-demand", "gb": "spot"}


def test_a_byte_order_mark_is_no_fault() -> None:
    found, _ = read(b"\xef\xbb\xbf" + (PRICE_LISTS / "amazon_ec2.json").read_bytes())
    assert len(found) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"name,price\na,1\n",
        b'{"products": {"a": {}',
        b"\xff\xfe\x00",
        b'{"products": []}',
        b'{"products": {"a": 1}}',
        b'{"products": {"a": {"attributes": null}}}',
        b'{"terms": {"OnDemand": {"a": 1}}}',
    ],
)
def test_what_is_no_price_list_is_refused(content: bytes) -> None:
    with pytest.raises(PriceListUnreadable):
        read(content)
