"""AWS's price list files, JSON or CSV: the machines of AmazonEC2, and Fargate's units, which AmazonECS lists.

https://docs.aws.amazon.com/awsaccountbilling/latest/aboutv2/reading-service-price-list-file-for-services.html
AWS Batch itself costs nothing: what it starts is paid for. Prices of spot machines change by the hour and are in no
price list; those of Fargate Spot are taken where a list has them.
"""

from __future__ import annotations

import csv
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from io import BufferedReader, TextIOWrapper
from typing import Any, Final, TextIO

from clusters.errors import PriceListUnreadable
from clusters.models import Capacity, Measure
from clusters.services.json_cursor import JsonCursor
from clusters.services.prices import DECIMALS, MAX_AMOUNT, ListedPrice

Left = Counter[str]
_FIRST_LINES: Final = 20  # five lines of facts come before the names of the columns
_FARGATE: Final = re.compile(r"(?:[A-Z0-9]+-)?(?P<spot>SpotUsage-)?Fargate-(?P<what>vCPU-Hours:perCPU|GB-Hours)")
_MEMORY: Final = re.compile(r"([\d,]+(?:\.\d+)?) GiB")
# What a machine has to be to run our work; other lines have prices of the same machine with more on it.
_WANTED: Final = {
    "operatingsystem": ({"Linux"}, "of another operating system"),
    "tenancy": ({"Shared"}, "of dedicated hosts and machines"),
    "preinstalledsw": ({"", "NA"}, "with software on it"),
    "capacitystatus": ({"", "Used"}, "of reserved capacity"),
    "marketoption": ({"", "OnDemand"}, "of capacity blocks"),
}
_HOURS: Final = {"hrs", "hours", "vcpu-hours", "gb-hours"}
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_aws(file: BufferedReader, left: Left) -> Iterator[ListedPrice]:
    """The prices of a price list file that we have a use for; `left` counts the others, by why.

    Raises PriceListUnreadable.
    """
    is_json = file.peek(64).removeprefix(BOM_UTF8).lstrip()[:1] == b"{"
    stream = TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        yield from _read_json(JsonCursor(stream), left) if is_json else _read_csv(stream, left)
    except UnicodeDecodeError as error:
        raise PriceListUnreadable("It is not UTF-8.") from error
    finally:
        stream.detach()


def _read_json(cursor: JsonCursor, left: Left) -> Iterator[ListedPrice]:
    """Products come before terms: those we want are kept until their prices come."""
    offers: dict[str, ListedPrice] = {}
    for part in cursor.members():
        if part == "products":
            for sku in cursor.members():
                product = _object(cursor.value())
                about = {**_object(product.get("attributes")), "family": product.get("productFamily")}
                offer = _offer(_named(about), left)
                if offer is not None:
                    offers[sku] = offer
        elif part == "terms":
            for kind in cursor.members():
                for sku in cursor.members():
                    terms = _object(cursor.value())
                    if kind == "OnDemand" and sku in offers:
                        yield from _of_terms(offers.pop(sku), terms, left)
        else:
            cursor.value()
    left["without a price on demand"] += len(offers)


def _of_terms(offer: ListedPrice, terms: Mapping[str, Any], left: Left) -> Iterator[ListedPrice]:
    for term in map(_object, terms.values()):
        for dimension in map(_object, _object(term.get("priceDimensions")).values()):
            price = _object(dimension.get("pricePerUnit")).get("USD")
            found = _priced(offer, price, dimension.get("unit"), term.get("effectiveDate"), left)
            if found is not None:
                yield found


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise PriceListUnreadable("Its products and terms are not as those of a price list file.")
    return value


def _read_csv(stream: TextIO, left: Left) -> Iterator[ListedPrice]:
    try:
        rows = csv.reader(stream)
        names = next((row for _, row in zip(range(_FIRST_LINES), rows, strict=False) if row[:1] == ["SKU"]), None)
        if names is None:
            raise PriceListUnreadable("It has no line with the names of the columns: SKU, OfferTermCode and so on.")
        columns = [_plain(name) for name in names]
        for row in rows:
            line = dict(zip(columns, row, strict=False))
            if line.get("termtype") != "OnDemand":
                left["of reservations"] += 1
                continue
            offer = _offer({**line, "family": line.get("productfamily", "")}, left)
            if offer is not None:
                price = line.get("priceperunit") if line.get("currency") == "USD" else None
                found = _priced(offer, price, line.get("unit"), line.get("effectivedate"), left)
                if found is not None:
                    yield found
    except csv.Error as error:
        raise PriceListUnreadable(f"It is not CSV: {error}.") from error


def _plain(name: str) -> str:
    """The one name of what JSON calls preInstalledSw and CSV "Pre Installed S/W"."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _named(attributes: Mapping[str, Any]) -> dict[str, str]:
    return {_plain(name): str(value or "") for name, value in attributes.items()}


def _offer(about: Mapping[str, str], left: Left) -> ListedPrice | None:
    """What a product offers, without its price; None when it is of no use to us."""
    region = about.get("regioncode", "")
    fargate = _FARGATE.fullmatch(about.get("usagetype", ""))
    found: ListedPrice | None = None
    if fargate:
        found = _unit(region, fargate)
    elif about["family"].startswith("Compute Instance"):
        for name, (values, why) in _WANTED.items():
            if about.get(name, "") not in values:
                left[why] += 1
                return None
        found = _machine(region, about)
    else:
        left["no machines, nor vCPUs and memory of Linux on x86"] += 1
        return None
    if found is None or not region:
        left["without a region, name, vCPUs or memory that can be read"] += 1
        return None
    return found


def _unit(region: str, fargate: re.Match[str]) -> ListedPrice:
    is_cpu = fargate["what"].startswith("vCPU")
    return ListedPrice(
        cloud="aws",
        region=region,
        name="vcpu" if is_cpu else "gb",
        capacity=Capacity.SPOT if fargate["spot"] else Capacity.ON_DEMAND,
        measure=Measure.UNIT,
        vcpus_milli=1000 if is_cpu else 0,
        memory_mib=0 if is_cpu else 1024,
        amount=Decimal(0),
        valid_from=_NEVER,
    )


def _machine(region: str, about: Mapping[str, str]) -> ListedPrice | None:
    name, memory = about.get("instancetype", ""), _MEMORY.fullmatch(about.get("memory", ""))
    vcpus, gpus = about.get("vcpu", ""), about.get("gpu", "")
    if not 0 < len(name) <= 64 or memory is None or not (vcpus.isascii() and vcpus.isdigit() and int(vcpus)):
        return None
    return ListedPrice(
        cloud="aws",
        region=region,
        name=name,
        capacity=Capacity.ON_DEMAND,
        vcpus_milli=int(vcpus) * 1000,
        memory_mib=int(Decimal(memory[1].replace(",", "")) * 1024),
        gpus=int(gpus) if gpus.isascii() and gpus.isdigit() else 0,
        amount=Decimal(0),
        valid_from=_NEVER,
    )


def _priced(
    offer: ListedPrice, price: str | None, unit: str | None, since: str | None, left: Left
) -> ListedPrice | None:
    amount, valid_from = amount_of(price), moment_of(since)
    if str(unit).lower() not in _HOURS:
        left["not by the hour"] += 1
    elif amount is None or valid_from is None:
        left["without a price in USD and its date"] += 1
    else:
        return replace(offer, amount=amount, valid_from=valid_from)
    return None


def amount_of(price: object) -> Decimal | None:
    """A price as we store it; None for what is none, or is not more than nothing."""
    try:
        amount = Decimal(str(price)).quantize(DECIMALS)
    except InvalidOperation:
        return None
    return amount if 0 < amount < MAX_AMOUNT else None


def moment_of(text: object) -> datetime | None:
    """A date or moment, in UTC unless it says otherwise."""
    try:
        found = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
