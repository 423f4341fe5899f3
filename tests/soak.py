"""The ordeals of tests/kill, long: 5 000 jobs on each database while everything is killed at random moments.

    python -m tests.soak [--database sqlite|postgresql] [--jobs N] [--seconds N] [--seed N] [--splits N]
                         [--cloud-jobs N] [--schema-calls N]

Prints the seed, the kills of each kind, the longest standstill and the totals, and what went wrong;
exits non-zero if anything did. `--seconds` is over how long the jobs are submitted. Then a MapReduce job of `--splits`
splits (200) is disturbed in the same way, and its output held against that of an undisturbed one. Then `--cloud-jobs`
(2 000) go to AWS over a bad line, and before that as many over a good one, to count the calls. Then as many made-up
requests as `--schema-calls` says (100 000) are sent to all operations of the schema on each database, by tests/schema
with other random numbers each round. `--jobs 0`, `--splits 0`, `--cloud-jobs 0` and `--schema-calls 0` leave a part
out.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import environment

if environment.RUN_FOLDER in os.environ:
    sys.exit(f"unset {environment.RUN_FOLDER}: the soak test makes a folder of its own")
FOLDER = environment.prepare()

import django  # noqa: E402 - settings are read now, and only now

django.setup()  # what the ordeals share with other tests knows models

from tests.clusters.aws import account  # noqa: E402
from tests.deployment import Deployment, drop_templates  # noqa: E402
from tests.kill import clouds, mapreduce  # noqa: E402
from tests.kill.chaos import SETTINGS, Ordeal, Report  # noqa: E402
from tests.postgresql import cluster  # noqa: E402

DATABASES = ("sqlite", "postgresql")
CALLS_PER_JOB = 3  # of AWS, on a good line


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
            report = Ordeal(place, jobs=jobs, seconds=seconds, seed=seed, with_seeds=True).run()
            if report.faults:
                keep_logs(f"soak-{database}-{seed}", f"{report}\n{report.timeline()}", place)
        finally:
            place.stop()
    return report


def soak_mapreduce(database: str, splits: int, seed: int) -> mapreduce.Report:
    with server(database):
        place = Deployment(database, **SETTINGS)
        try:
            report = mapreduce.Ordeal(place, splits=splits, seed=seed).run()
            if report.faults:
                keep_logs(f"soak-mapreduce-{database}-{seed}", str(report), place)
        finally:
            place.stop()
    return report


def soak_clouds(database: str, jobs: int, seed: int, *, disturbed: bool) -> clouds.Report:
    with server(database), account.running() as aws:
        place = Deployment(database, **clouds.settings_of(aws), DEBUG="1", LOCAL_ISOLATION="0")
        try:
            report = clouds.Ordeal(place, aws, jobs=jobs, seed=seed, disturbed=disturbed).run()
            if not disturbed and report.calls_per_job() > CALLS_PER_JOB:
                report.faults.append(f"more than {CALLS_PER_JOB} calls for each job")
            if report.faults:
                keep_logs(f"soak-clouds-{database}-{seed}", str(report), place)
        finally:
            place.stop()
    return report


def keep_logs(name: str, report: str, place: Deployment) -> None:
    logs = environment.CHECKOUT / ".data" / f"{name}.log"
    logs.parent.mkdir(exist_ok=True)
    logs.write_text(f"{report}\n{place.logs(2**22)}")
    print(f"logs: {logs}")


def try_schema(database: str, calls: int, seed: int) -> bool:
    """Made-up requests to every operation (tests/schema), `calls` or more of them; whether all went well."""
    for number in itertools.count():
        if calls <= 0:
            return True
        with server(database), tempfile.TemporaryDirectory() as folder:
            told = Path(folder) / "calls"
            env = {k: v for k, v in os.environ.items() if k not in (environment.RUN_FOLDER, "TEST_RUN_PREPARED")}
            env = {k: v for k, v in env.items() if k not in ("DJANGO_SETTINGS_MODULE", "DATABASE_URL")}
            env |= {"SCHEMA_SEED": str(seed + number), "SCHEMA_MOST_CALLS": str(calls), "SCHEMA_CALLS_FILE": str(told)}
            if database == "postgresql":
                env["DATABASE_URL"] = os.environ["TEST_POSTGRES_URL"]
            command = [sys.executable, "-m", "pytest", "-q", "--show-capture=stdout", "--tb=line"]
            done = subprocess.run(
                [*command, "tests/schema/test_made_up_requests.py"], cwd=environment.CHECKOUT, env=env
            )
            made = sum(int(line) for line in told.read_text().split()) if told.exists() else 0
        print(f"{database}: {made} made-up requests with seed {seed + number}, exit code {done.returncode}", flush=True)
        if done.returncode or not made:
            return False
        calls -= made
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES, action="append", help="only this one")
    parser.add_argument("--jobs", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--splits", type=int, default=200)
    parser.add_argument("--cloud-jobs", type=int, default=2000)
    parser.add_argument("--schema-calls", type=int, default=100_000)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    failed = []
    for database in options.database or DATABASES:
        if options.jobs:
            report = soak(database, options.jobs, options.seconds, options.seed)
            print(report, flush=True)
            failed += [database] if report.faults else []
        if options.splits:
            told = soak_mapreduce(database, options.splits, options.seed)
            print(told, flush=True)
            failed += [f"{database} (MapReduce)"] if told.faults else []
        for disturbed in (False, True) if options.cloud_jobs else ():
            said = soak_clouds(database, options.cloud_jobs, options.seed, disturbed=disturbed)
            print(said, flush=True)
            failed += [f"{database} (clouds)"] if said.faults else []
        if not try_schema(database, options.schema_calls, options.seed):
            failed.append(f"{database} (schema)")
    print(f"FAILED on {', '.join(failed)}" if failed else "PASSED", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        shutil.rmtree(FOLDER.parent, ignore_errors=True)
