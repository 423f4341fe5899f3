"""Money: what metering adds to a job, costs out of many records, and the closing of a large month."""

from __future__ import annotations

import json
import random
import time
from datetime import date, timedelta
from typing import Final

import psycopg

from tests.bench import cpu
from tests.bench.line import Line
from tests.bench.rig import Rig

JOBS: Final = 2000
ROUNDS: Final = 5  # in which these are metered
RECORDS: Final = 10_000_000
MONTH_RECORDS: Final = 5_000_000
CUSTOMERS: Final = 1000
ASKED: Final = 60
# In one process, as workers stay: the first round, with its imports, connection and what is compiled then, counts for
# nothing. Prints CPU seconds of all other rounds, ours and the database's, and the records of one.
_METER: Final = """
import json, sys, time
from django.db import connection
from accounts.models import Follower
from billing import services
from billing.models import UsageDay, UsageRecord
from tests.bench import cpu
rounds, postgres = map(int, sys.argv[1:])
ours = theirs = 0.0
for n in range(rounds + 1):
    Follower.objects.filter(name="meter").update(position=0)
    UsageRecord.objects.all().delete()
    UsageDay.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    before, began = cpu.tree([postgres]), time.process_time()
    services.meter()
    if n:
        ours, theirs = ours + time.process_time() - began, theirs + cpu.tree([postgres]) - before
print(json.dumps({"ours": ours, "theirs": theirs, "records": UsageRecord.objects.count()}))
"""
# A year of records: each customer has some every day, at this machine and in two regions of a cloud.
_FILL: Final = """
INSERT INTO billing_usagerecord (kind, source_id, begun_at, ended_at, number, customer_id, owner_id, shape, cloud,
    region, job_id, root_id, run_ms, vcpu_ms, gib_ms, peer_ms, free_ms, offer, rate, cost_nano, bill_month, note,
    metered_at)
SELECT 'execution', n, at, at + interval '20 seconds', 0, 1000000 + n %% %s, 1000000 + n %% %s, 'container',
    (ARRAY['local', 'aws', 'aws'])[1 + n %% 3], (ARRAY['local', 'eu-central-1', 'us-east-1'])[1 + n %% 3], n, n,
    20000, 20000, 40000, 0, 0, 'vcpu + gb', 0.04, 222222, date_trunc('month', at AT TIME ZONE 'UTC'), '', at
FROM (SELECT n, timestamptz '2025-01-01 00:00Z' + (n / %s %% %s) * interval '1 day'
             + (n %% 86000) * interval '1 second' AS at
      FROM generate_series(1, %s) AS n) AS made
"""
_SUM_UP: Final = """
INSERT INTO billing_usageday (day, bill_month, customer_id, owner_id, kind, shape, cloud, region, job_type_id,
    cluster_id, records, run_ms, vcpu_ms, gib_ms, peer_ms, free_ms, cost_nano)
SELECT (begun_at AT TIME ZONE 'UTC')::date, bill_month, customer_id, owner_id, kind, shape, cloud, region, 0, 0,
    count(*), sum(run_ms), sum(vcpu_ms), sum(gib_ms), 0, 0, sum(cost_nano)
FROM billing_usagerecord GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""
_PEOPLE: Final = """
INSERT INTO accounts_customer (id, name, created_at) SELECT 1000000 + n, 'customer ' || n, now()
FROM generate_series(0, %s) AS n
"""
_CLOSE: Final = """
import json, resource, time
from datetime import date, datetime, UTC
from billing import services
from billing.models import Bill
began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
bills = services.close_month(date(2025, 1, 1), now=datetime(2025, 3, 1, tzinfo=UTC))
print(json.dumps({"seconds": time.perf_counter() - began, "bills": bills,
                  "grown_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024}))
"""
_COSTS: Final = """
import json, sys, time
from datetime import date, timedelta
from accounts.queries import find_user
from billing.queries import costs_by, visible_days
took, user = [], find_user("bench")
for at in json.loads(sys.argv[1]):
    first = date(2025, 1, 1) + timedelta(days=at)
    began = time.perf_counter()
    found = costs_by(visible_days(user).filter(day__gte=first, day__lt=first + timedelta(days=7)), ["customer", "day"])
    took.append((time.perf_counter() - began) * 1000)
print(json.dumps({"p95": sorted(took)[int(len(took) * 0.95)], "groups": len(found)}))
"""
# What no answer can do without: the same sums, by the database alone.
_BARE: Final = """
SELECT customer_id, day, sum(cost_nano), sum(run_ms) FROM billing_usageday
WHERE day >= %s::date AND day < %s::date + 7 GROUP BY customer_id, day
"""


def money(url: str) -> list[Line]:
    return [_metering(), _costs(), _closing()]


def _metering() -> Line:
    rig = Rig(LOCAL_ISOLATION="0", LOCAL_VCPUS="2")
    try:
        done = cpu.measure([*rig.start_work(), rig.postgres], lambda: rig.run_jobs(JOBS))
        whole = (done.watched + done.result["submit_cpu_s"]) / JOBS
        rig.rest()
        told = json.loads(rig.python(_METER, str(ROUNDS), str(rig.postgres)))
        ours, theirs = (told[name] / told["records"] / ROUNDS for name in ("ours", "theirs"))
        note = f"{ours * 1e6:.0f} + {theirs * 1e6:.0f} µs (ours, PostgreSQL's) of {whole * 1e3:.2f} ms"
        return Line("metering over the CPU of a no-op job, percent", 100 * (ours + theirs) / whole, 5.0, 3.0, note)
    finally:
        rig.stop()


def _filled(rig: Rig, records: int, days: int) -> None:
    with psycopg.connect(rig.deployment.database_url, autocommit=True) as database:
        database.execute(_PEOPLE, [CUSTOMERS - 1])
        database.execute(_FILL, [CUSTOMERS, CUSTOMERS, CUSTOMERS, days, records])
        database.execute(_SUM_UP)
        database.execute("VACUUM ANALYZE")


def _costs() -> Line:
    rig = Rig()
    try:
        _filled(rig, RECORDS, 365)
        chosen = [random.Random(7).randrange(350) for _ in range(ASKED)]  # no secret
        told = json.loads(rig.python(_COSTS, json.dumps(chosen)))
        bare = []
        with psycopg.connect(rig.deployment.database_url) as database:
            for at in chosen:
                began = time.perf_counter()
                first = date(2025, 1, 1) + timedelta(days=at)
                database.execute(_BARE, [first, first]).fetchall()
                bare.append((time.perf_counter() - began) * 1000)
        limit = sorted(bare)[int(len(bare) * 0.95)]
        note = f"{told['groups']} groups of a week; {told['p95'] / limit:.1f} times the database's own {limit:.0f} ms"
        return Line(f"costs by customer and day over {RECORDS} records, p95 ms", told["p95"], 150, 80, note)
    finally:
        rig.stop()


def _closing() -> Line:
    rig = Rig()
    try:
        _filled(rig, MONTH_RECORDS, 31)
        told = json.loads(rig.python(_CLOSE))
        assert told["bills"] == CUSTOMERS, told
        note = f"{told['bills']} bills; memory grew by {told['grown_mib']:.0f} MiB"
        what = f"closing a month of {CUSTOMERS} customers and {MONTH_RECORDS} records, s"
        return Line(what, told["seconds"], 60, 20, note)
    finally:
        rig.stop()
