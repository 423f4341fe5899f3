"""A month that is closed under SIGKILL: each customer has one bill, and the bills say what the records do."""

from __future__ import annotations

import json
import random
import subprocess
import time
from typing import Final

import pytest

from tests.deployment import Deployment, Factory
from tests.waiting import until

CUSTOMERS: Final = 300
RECORDS_OF_EACH: Final = 3
RUNS: Final = 20
KILLS: Final = 5
MONTH: Final = "2026-03"
SECONDS: Final = 60

# What is metered already, of three lines for each customer, and what ended and is not metered yet. What ran, in ms.
_MADE: Final = """
import json
from datetime import timedelta
from accounts.models import Customer
from billing import hours
from billing.services.ledger import Entry, enter, locked
from tests.billing.scene import MONTH, follow_from_here, price_here, ran
customers, each, runs = json.loads(sys.stdin.read())
follow_from_here()
price_here("1", "0.5")
for n in range(runs):
    ran(MONTH + timedelta(minutes=7 * n), timedelta(seconds=100 + 97 * n), customer=f"customer {n}", vcpus_milli=1000)
for n in range(customers):
    Customer.objects.get_or_create(name=f"customer {n}")
ids = list(Customer.objects.filter(name__startswith="customer ").order_by("pk").values_list("pk", flat=True))
begun = hours.milliseconds(MONTH)
with locked():
    enter([
        Entry("execution", 10**9 + n * each + k, begun, begun + 1000, cost_nano=12_345_678 * (n + k + 1), run_ms=1000,
              customer_id=customer, owner_id=None, shape="seed", job_type_id=k + 1)
        for n, customer in enumerate(ids) for k in range(each)
    ])
"""
_LINES: Final = """
SELECT bill.customer_id, sum(line.records), sum(line.exact_nano), sum(line.amount), sum(line.quantity_ms)
FROM billing_bill bill JOIN billing_billline line ON line.bill_id = bill.id
WHERE bill.month = '2026-03-01' GROUP BY bill.customer_id, bill.id ORDER BY bill.customer_id
"""
_RECORDS: Final = """
SELECT customer_id, count(*), sum(cost_nano), round(sum(cost_nano) / 10000000.0), sum(run_ms)
FROM billing_usagerecord WHERE bill_month = '2026-03-01' GROUP BY customer_id ORDER BY customer_id
"""
_BILLS: Final = """
SELECT bill.customer_id, bill.exact_nano, bill.amount FROM billing_bill bill
WHERE bill.month = '2026-03-01' AND bill.status = 'open' ORDER BY bill.customer_id
"""
_RAN: Final = """
SELECT sum(round(extract(epoch FROM ended_at) * 1000) - round(extract(epoch FROM started_at) * 1000)),
       count(*) FROM jobs_execution
"""
_BUSY: Final = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
"""


def _final(place: Deployment) -> int:
    return int(place.rows("SELECT count(*) FROM billing_bill WHERE status = 'open'")[0][0])


def _close(place: Deployment) -> subprocess.Popen[bytes]:
    return place.start_manage("bills", "--close", MONTH)


def _killed(place: Deployment, chance: random.Random, *, metering: bool) -> int:
    """Begin to close, and be killed: in the first transactions, which meter, or some bills further on. How many are."""
    closer, before = _close(place), _final(place)
    wanted = before + chance.randrange(CUSTOMERS // (2 * KILLS), CUSTOMERS // KILLS)
    try:
        until(
            lambda: place.rows(_BUSY) != [(0,)] if metering else _final(place) > wanted or closer.poll() is not None,
            "that it is at it",
            SECONDS,
        )
        time.sleep(chance.uniform(0, 0.05))  # into the middle of something
    finally:
        closer.kill()
        assert closer.wait(SECONDS) == -9, f"it had ended before it was killed\n{place.logs()}"
    return _final(place)


@pytest.mark.runs_once("postgresql", "two close at once, and what is cut off is the server's to undo")
def test_killed_while_a_month_is_closed_each_record_is_on_one_bill_once(deployment: Factory) -> None:
    place = deployment()
    seed = random.SystemRandom().randrange(10**6)
    chance = random.Random(seed)
    made = json.dumps([CUSTOMERS, RECORDS_OF_EACH, RUNS])
    place.run_manage("shell", "-c", _MADE.replace("sys.stdin.read()", repr(made)))
    came = [_killed(place, chance, metering=kill < 2) for kill in range(KILLS)]
    print(f"{seed=}: killed when so many bills were final: {came}")
    assert 0 < came[-1] < CUSTOMERS, f"{seed=} {came}"
    both = [_close(place), _close(place)]
    assert [closer.wait(SECONDS) for closer in both] == [0, 0], place.logs()

    lines, records, bills = place.rows(_LINES), place.rows(_RECORDS), place.rows(_BILLS)
    assert len(bills) == CUSTOMERS, seed
    assert lines == records, seed
    assert [(customer, exact, amount) for customer, _, exact, amount, _ in lines] == bills, seed
    [(ran_ms, runs)] = place.rows(_RAN)
    metered = place.rows("SELECT sum(run_ms), count(DISTINCT source_id) FROM billing_usagerecord WHERE job_id > 0")
    assert metered == [(ran_ms, runs)], seed
    told = "SELECT count(*), count(DISTINCT subject_id) FROM accounts_event WHERE kind = "
    assert place.rows(f"{told}'bill.moved'") == [(CUSTOMERS, CUSTOMERS)], seed
    assert place.rows(f"{told}'month.closed'") == [(1, 1)], seed
