"""Answers of Azure's retail prices: what is taken of them, what is left and why."""

from __future__ import annotations

import io
from collections import Counter
from decimal import Decimal

import pytest

from clusters.errors import PriceListUnreadable
from clusters.services import ListedPrice, Sizes, read_azure, read_sizes
from tests.clusters.offers import PRICE_LISTS, make_offer

pytestmark = pytest.mark.django_db
PAGES = (PRICE_LISTS / "azure_retail.json").read_bytes()
SIZES = read_sizes((PRICE_LISTS / "azure_vm_sizes.json").read_text())


def read(content: bytes, sizes: Sizes | None = None) -> tuple[list[ListedPrice], Counter[str]]:
    left = Counter[str]()
    return list(read_azure(io.BufferedReader(io.BytesIO(content)), left, sizes)), left


def test_machines_are_taken_of_all_pages_on_demand_and_spot() -> None:
    found, _ = read(PAGES, SIZES)
    assert [(each.region, each.name, each.capacity, each.amount) for each in found] == [
        ("westeurope", "Standard_M2", "on-demand", Decimal("0.096")),
        ("westeurope", "Standard_M2", "spot", Decimal("0.0192")),
        ("westeurope", "Standard_M8", "on-demand", Decimal("0.384")),
    ]
    assert (found[2].vcpus_milli, found[2].memory_mib) == (8000, 32 * 1024)


def test_what_is_left_is_counted_by_why() -> None:
    _, left = read(PAGES, SIZES)
    assert left == {
        "of low priority, which Azure gives up": 1,
        "with Windows": 1,
        "of reservations and for tests": 1,
        "of sizes that are not known: give them with --sizes": 1,
        "of cloud services and dedicated hosts": 1,
        "not in USD": 1,
        "of other services": 1,
        "that have ended": 1,
    }


def test_sizes_of_known_offers_need_not_be_given() -> None:
    make_offer(cloud="azure", region="northeurope", name="Standard_M2", vcpus_milli=2000, memory_mib=8192)
    found, _ = read(PAGES)
    assert {each.name for each in found} == {"Standard_M2"}


def test_a_page_that_is_missing_is_told() -> None:
    first = PAGES[: PAGES.index(b"\n}\n{") + 2]
    _, left = read(first, SIZES)
    assert left["on pages that are not here: fetch NextPageLink of the last one, too"] == 1


@pytest.mark.parametrize("content", [b"", b"[]", b'{"Items": 1}', b'{"Items": [', b"\xff"])
def test_what_is_no_answer_is_refused(content: bytes) -> None:
    with pytest.raises(PriceListUnreadable):
        read(content)


@pytest.mark.parametrize("item", ["1", "[]", '{"serviceName": 1}', "{}", "null"])
def test_an_item_that_is_none_is_left(item: str) -> None:
    found, left = read(f'{{"Items": [{item}]}}'.encode())
    assert found == []
    assert left.total() == 1


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"name": "a"}]', '[{"name": "a", "numberOfCores": "x"}]'])
def test_sizes_that_are_none_are_refused(text: str) -> None:
    if text == "{}":
        assert read_sizes(text) == {}
        return
    with pytest.raises(PriceListUnreadable):
        read_sizes(text)
