"""The ordeal of tests/kill, long: 5 000 jobs on each database while everything is killed at random moments.

    python -m tests.soak [--database sqlite|postgresql] [--jobs N] [--seconds N] [--seed N]

Prints the seed, the kills of each kind, the longest standstill and the totals, and what went wrong;
exits non-zero if anything did. `--seconds` is over how long the jobs are submitted. Needs no pytest.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests import environment

if environment.RUN_FOLDER in os.environ:
    sys.exit(f"unset {environment.RUN_FOLDER}: the soak test makes a folder of its own")
FOLDER = environment.prepare()

from tests.deployment import Deployment, drop_templates  # noqa: E402
from tests.kill.chaos import SETTINGS, Ordeal, Report  # noqa: E402
from tests.postgresql import cluster  # noqa: E402

DATABASES = ("sqlite", "postgresql")


@contextmanager
def server(database: str) -> Iterator[None]:
    """The server that deployments need, if they need one."""
    if database == "sqlite":
        yield
        return
    with cluster() as url:
        os.environ["TEST_POSTGRES_URL"] = url
        try:
            yield
        finally:
            drop_templates()


def soak(database: str, jobs: int, seconds: float, seed: int) -> Report:
    with server(database):
        place = Deployment(database, **SETTINGS)
        try:
            report = Ordeal(place, jobs=jobs, seconds=seconds, seed=seed).run()
            if report.faults:
                logs = environment.CHECKOUT / ".data" / f"soak-{database}-{seed}.log"
                logs.parent.mkdir(exist_ok=True)
                logs.write_text(f"{report}\n{report.timeline()}\n{place.logs(2**22)}")
                print(f"logs: {logs}")
        finally:
            place.stop()
    return report


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES, action="append", help="only this one")
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    reports = []
    try:
        for database in options.database or DATABASES:
            reports.append(soak(database, options.jobs, options.seconds, options.seed))
            print(reports[-1], flush=True)
    finally:
        shutil.rmtree(FOLDER.parent, ignore_errors=True)
    failed = [report.database for report in reports if report.faults]
    print(f"FAILED on {', '.join(failed)}" if failed else "PASSED", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
