"""Answers of Azure's retail price API, a page or many: virtual machines, on demand and spot.

https://learn.microsoft.com/rest/api/cost-management/retail-prices/azure-retail-prices
An answer has prices and no sizes: these are the answer of `az vm list-sizes`, or what offers are known already.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from io import BufferedReader, TextIOWrapper
from typing import Any, Final

from django.utils import timezone

from clusters.errors import PriceListUnreadable
from clusters.models import Capacity, Offer
from clusters.services.aws_prices import amount_of, moment_of
from clusters.services.json_cursor import JsonCursor
from clusters.services.prices import ListedPrice

# vCPUs in thousandths, MiB and GPUs of each size, by its name in lower case.
Sizes = Mapping[str, tuple[int, int, int]]
_SPOT: Final = " Spot"
_LOW_PRIORITY: Final = " Low Priority"
_OTHER_PRODUCTS: Final = ("Cloud Services", "CloudServices", "Dedicated Host")


def read_sizes(text: str) -> Sizes:
    """The sizes of an answer of `az vm list-sizes --output json`, by name. It tells nothing of GPUs.

    Raises PriceListUnreadable.
    """
    try:
        return {
            str(each["name"]).lower(): (int(each["numberOfCores"]) * 1000, int(each["memoryInMB"]), 0)
            for each in json.loads(text)
        }
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise PriceListUnreadable("The sizes are not an answer of `az vm list-sizes --output json`.") from error


def read_azure(file: BufferedReader, left: Counter[str], sizes: Sizes | None = None) -> Iterator[ListedPrice]:
    """The prices of virtual machines in one answer, or in several, one after the other; `left` counts the others.

    Raises PriceListUnreadable.
    """
    known = {**_known_sizes(), **(sizes or {})}
    stream = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    cursor, pages, goes_on = JsonCursor(stream), 0, False
    try:
        while cursor.peek():
            page = cursor.value()
            if not isinstance(page, dict) or not isinstance(page.get("Items"), list):
                raise PriceListUnreadable("A page of retail prices is an object with Items.")
            pages, goes_on = pages + 1, bool(page.get("NextPageLink"))
            for item in page["Items"]:
                found = _listed(item, known, left)
                if found is not None:
                    yield found
    except UnicodeDecodeError as error:
        raise PriceListUnreadable("It is not UTF-8.") from error
    finally:
        stream.detach()
    if not pages:
        raise PriceListUnreadable("There is nothing in it.")
    if goes_on:
        left["on pages that are not here: fetch NextPageLink of the last one, too"] += 1


def _known_sizes() -> Sizes:
    rows = Offer.objects.filter(cloud="azure").values_list("name", "vcpus_milli", "memory_mib", "gpus")
    return {name.lower(): (vcpus_milli, memory_mib, gpus) for name, vcpus_milli, memory_mib, gpus in rows}


def _listed(item: Any, sizes: Sizes, left: Counter[str]) -> ListedPrice | None:
    if not isinstance(item, dict):
        left["that cannot be read"] += 1
        return None
    why = _why_not(item)
    name, sku = str(item.get("armSkuName") or ""), str(item.get("skuName") or "")
    amount, valid_from = amount_of(item.get("retailPrice")), moment_of(item.get("effectiveStartDate"))
    if why is None and name.lower() not in sizes:
        why = "of sizes that are not known: give them with --sizes"
    if why is None and (amount is None or valid_from is None):
        why = "without a price and its date"
    if why is not None or amount is None or valid_from is None:
        left[why or ""] += 1
        return None
    vcpus_milli, memory_mib, gpus = sizes[name.lower()]
    return ListedPrice(
        cloud="azure",
        region=str(item["armRegionName"]),
        name=name,
        capacity=Capacity.SPOT if _is(_SPOT, item, sku) else Capacity.ON_DEMAND,
        vcpus_milli=vcpus_milli,
        memory_mib=memory_mib,
        gpus=gpus,
        amount=amount,
        valid_from=valid_from,
    )


def _why_not(item: Mapping[str, Any]) -> str | None:
    """Why an item is of no use to us, if it is not."""
    product, ends = str(item.get("productName") or ""), moment_of(item.get("effectiveEndDate"))
    reasons = {
        "of other services": item.get("serviceName") != "Virtual Machines",
        "of reservations and for tests": item.get("type", item.get("priceType")) != "Consumption",
        "with Windows": "Windows" in product,
        "of cloud services and dedicated hosts": any(each in product for each in _OTHER_PRODUCTS),
        "of low priority, which Azure gives up": _is(_LOW_PRIORITY, item, str(item.get("skuName") or "")),
        "not in USD": item.get("currencyCode") != "USD",
        "not by the hour": item.get("unitOfMeasure") != "1 Hour",
        "for more than the first hour": item.get("tierMinimumUnits", 0) != 0,
        "that have ended": ends is not None and ends <= timezone.now(),
        "without a region or name": not item.get("armRegionName") or not item.get("armSkuName"),
    }
    return next((why for why, holds in reasons.items() if holds), None)


def _is(kind: str, item: Mapping[str, Any], sku: str) -> bool:
    return sku.endswith(kind) or str(item.get("meterName") or "").endswith(kind)
