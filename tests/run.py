"""Run the tests on SQLite and on a real PostgreSQL, and say what ran, for how long, and what could not.

    python -m tests.run [--database sqlite|postgresql] [--whole] [--require-all] [-n WORKERS] [-- PYTEST ARGUMENTS]

Fails when a test fails, when a group takes longer than its allowance (groups.toml), and, with
--require-all or CI=1, when something a test needs is not there, unless it may be missing (needs.MAY_BE_MISSING).
With PYTEST ARGUMENTS (a path, -k …) allowances are not judged. What is marked runs_once runs on the database that
its mark names, and not at all when the other one alone is asked for; what uses no database runs with SQLite.

Every test function that uses the database runs on both. Of three or more sets of parameters of one function every
second runs on each, so that all are tried, and the run is short enough to be run often: with --whole, or PYTEST
ARGUMENTS, all of them run on both.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.deployment import end_processes
from tests.environment import RUN_FOLDER
from tests.groups import EACH_ONCE, SHARED_OUT, Groups
from tests.needs import MAY_BE_MISSING
from tests.postgresql import NoPostgreSQL, cluster

CHECKOUT = Path(__file__).resolve().parent.parent
DATABASES = ("sqlite", "postgresql")
NOTHING_COLLECTED = 5
STOP_SECONDS = 20
SLOWEST = 15  # tests that are named with their seconds


@dataclass
class Outcome:
    """What one run of pytest came to."""

    database: str
    exit_code: int = 0
    seconds: float = 0.0
    groups: dict[str, dict[str, Any]] = field(default_factory=dict)
    impossible: str = ""

    @property
    def failed(self) -> bool:
        return self.exit_code not in (0, NOTHING_COLLECTED)


def run_pytest(database: str, url: str, workers: str, arguments: list[str], *, whole: bool) -> Outcome:
    """One run, with the database's URL in the environment; SQLite needs none."""
    with tempfile.TemporaryDirectory(prefix="cp-test-", ignore_cleanup_errors=True) as folder:
        timings = Path(folder) / "timings.json"
        environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
        environment |= {"TEST_TIMINGS": str(timings), RUN_FOLDER: folder, EACH_ONCE: "1"}
        if not whole:
            environment[SHARED_OUT] = "1"
        if url:
            environment["DATABASE_URL"] = url
        distribution = ["-n", workers, "--dist", "load"] if workers != "0" else []
        command = [sys.executable, "-m", "pytest", "-q", f"--durations={SLOWEST}", *distribution, *arguments]
        began = time.monotonic()
        try:
            exit_code = _run_until_ended(command, environment)
        finally:
            # Nothing is left by tests that end; these were broken off.
            if left := end_processes(Path(folder)):
                print(f"ended what the tests left running: {left}")
        groups = json.loads(timings.read_text()) if timings.exists() else {}
        return Outcome(database, exit_code, time.monotonic() - began, groups)


def _run_until_ended(command: list[str], environment: dict[str, str]) -> int:
    # A group of its own, so that all of pytest's processes can be told to stop, whoever was told first.
    with subprocess.Popen(command, cwd=CHECKOUT, env=environment, stdin=subprocess.DEVNULL, process_group=0) as process:
        try:
            return process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            raise


def run_on(database: str, workers: str, arguments: list[str], *, whole: bool) -> Outcome:
    print(f"\n=== {database}", flush=True)
    if database == "sqlite":
        return run_pytest(database, "", workers, arguments, whole=whole)
    try:
        with cluster() as url:
            return run_pytest(database, url, workers, arguments, whole=whole)
    except NoPostgreSQL as reason:
        return Outcome(database, impossible=str(reason))


def summarise(outcomes: list[Outcome], *, judge_time: bool) -> tuple[list[str], dict[str, bool]]:
    """Print the table; return (groups over their allowance, what could not run and whether it has to)."""
    allowances = Groups.load()
    slow: list[str] = []
    missing: dict[str, bool] = {}
    print(f"\n{'database':<11} {'group':<24} {'passed':>6} {'failed':>6} {'skipped':>7} {'seconds':>8} {'allowed':>8}")
    for outcome in outcomes:
        if outcome.impossible:
            missing[f"all tests on {outcome.database}: {outcome.impossible}"] = True
        for name, row in sorted(outcome.groups.items()):
            allowed = allowances.allowance_seconds(name, outcome.database)
            over = judge_time and (allowed is None or row["seconds"] > allowed)
            if over:
                limit = "nothing stands in the table" if allowed is None else f"allowed {allowed:.0f} s"
                slow.append(f"{name} on {outcome.database}: {row['seconds']:.1f} s, {limit}")
            print(
                f"{outcome.database:<11} {name:<24} {row['passed']:>6} {row['failed']:>6} {row['skipped']:>7} "
                f"{row['seconds']:>8.1f} {'-' if allowed is None else f'{allowed:.0f}':>8}{' OVER' if over else ''}"
            )
            for why, count in row["missing"].items():
                missing[f"{count} of {name} on {outcome.database}: {why}"] = _is_demanded(why)
        print(f"{outcome.database:<11} {'(wall clock)':<24} {'':>6} {'':>6} {'':>7} {outcome.seconds:>8.1f}")
    return slow, missing


def _is_demanded(why: str) -> bool:
    """Whether a run that is to be whole fails for "needs <name>: <reason>"."""
    return why.removeprefix("needs ").partition(":")[0] not in MAY_BE_MISSING


def conclude(outcomes: list[Outcome], *, judge_time: bool, require_all: bool) -> int:
    slow, missing = summarise(outcomes, judge_time=judge_time)
    failed = [outcome.database for outcome in outcomes if outcome.failed]
    if missing:
        print(f"\n!!! NOT EVERYTHING WAS TESTED: {len(missing)} things could not run on this machine")
        print("\n".join(f"!!!   {line}" for line in missing))
    if slow:
        print("\n!!! OVER THEIR ALLOWANCE (tests/groups.toml)")
        print("\n".join(f"!!!   {line}" for line in slow))
    if all(not outcome.groups for outcome in outcomes):
        failed.append("no test ran")
    verdict = [f"failed: {', '.join(failed)}"] if failed else []
    verdict += ["too slow"] if slow else []
    verdict += ["something could not run"] if any(missing.values()) and require_all else []
    print(f"\n{'FAILED (' + '; '.join(verdict) + ')' if verdict else 'PASSED'}", flush=True)
    return 1 if verdict else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=DATABASES, action="append", help="only this one")
    parser.add_argument("--require-all", action="store_true", default=os.environ.get("CI") == "1")
    parser.add_argument("--whole", action="store_true", help="all parameters on both databases")
    parser.add_argument("-n", dest="workers", default=str(min(os.cpu_count() or 1, 4)), help="processes, 0: just one")
    parser.add_argument("arguments", nargs="*", metavar="PYTEST ARGUMENTS")
    options = parser.parse_args()
    # A polite stop ends pytest and the server as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    whole = options.whole or bool(options.arguments)
    outcomes = [run_on(name, options.workers, options.arguments, whole=whole) for name in options.database or DATABASES]
    return conclude(outcomes, judge_time=not whole, require_all=options.require_all)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
