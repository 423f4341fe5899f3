"""The demo's step with money: what all that ran here has cost, down to the price of one run, and the bill of it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Protocol

# USD per hour: a cent for each second of a vCPU, so that a minute's demo comes to something.
PRICES: Final = (("local", "vcpu", "36"), ("local", "gb", "3.6"), ("fleet", "xsmall", "0.02"))


class Client(Protocol):
    """What the tour asks of a client of the deployment."""

    base: str

    def call(self, method: str, path: str, body: Any = None) -> Any: ...


Check = Callable[[bool, str], None]


def price(admin: Client) -> None:
    """Say what this machine costs, before anything runs on it; from some time ago, as runs are priced to the minute."""
    since = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    for cloud, name, amount in PRICES:
        offer = {"cloud": cloud, "name": name}
        admin.call("POST", "/v6/prices/", {"offer": offer, "amount": amount, "valid_from": since})


def walk(admin: Client, manage: Callable[..., str], check: Check) -> None:
    """Follow the money: from sums to one run, and to the bill."""
    print("\nWhat it has cost:")
    print(f"  manage.py bills: {manage('bills').strip()}")
    spent = admin.call("GET", "/v6/costs/?group_by=customer&group_by=kind")
    for row in spent["results"]:
        print(
            f"  {row['customer'] or '-'}, {row['kind']}: {row['run_seconds']:.1f} s, {row['cost']} {spent['currency']}"
        )
    ran = [Decimal(row["cost"]) for row in spent["results"] if row["kind"] == "execution"]
    check(len(ran) > 1 and all(ran), f"what ran has cost {spent['results']}")
    record = admin.call("GET", "/v6/usage/?kind=execution&customer=demo&cloud=local&page_size=1")["results"][0]
    receipt = admin.call("GET", f"/v6/usage/{record['id']}/")
    told = receipt["price"]
    print(
        f"  one run: {receipt['begun']} to {receipt['ended']}, at {told['per_hour']} an hour ({told['offer']}): ",
        end="",
    )
    print(f"{receipt['cost']}, on line {receipt['line']['position']} of the bill of {receipt['bill']['month']}")
    [bill] = admin.call("GET", "/v6/bills/?customer=demo")["results"]
    bill = admin.call("GET", f"/v6/bills/{bill['id']}/")
    check(
        bill["status"] == "draft" and Decimal(bill["amount"]) > 0, f"the bill is {bill['status']} of {bill['amount']}"
    )
    print(f"  the draft of that bill: {bill['amount']} {bill['currency']}")
    for line in bill["lines"]:
        print(f"    {line['label']}: {line['amount']}")
    check(
        sum(Decimal(line["amount"]) for line in bill["lines"]) == Decimal(bill["amount"]), "its lines are not the bill"
    )
