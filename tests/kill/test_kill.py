"""The engine under SIGKILL, and against its limits: what is promised holds, counted from the commands' own lines."""

from __future__ import annotations

import json
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Final

import psutil
import psycopg

from tests.deployment import Deployment, Factory
from tests.environment import CHECKOUT
from tests.kill.anatomy import Anatomy, lives, name_of, wait_for
from tests.kill.chaos import (
    SETTINGS,
    VICTIMS,
    Client,
    Ordeal,
    body_of,
    faults,
    most_at_once,
    read_lines,
    status_in,
)

SECONDS: Final = 60
CAP: Final = 10
JOBS: Final = 200
SCHEDULERS: Final = 4


def test_every_job_ends_once_whatever_is_killed(deployment: Factory) -> None:
    place = deployment(**SETTINGS)
    # As long as it takes to kill everything once; each job so long that most kills find some running.
    seed = random.SystemRandom().randrange(10**6)
    report = Ordeal(place, jobs=120, seconds=15, seed=seed, longest_seconds=1.5).run()
    print(report)
    assert not report.faults, f"{report}\n{report.timeline()}"
    assert report.kills.keys() == VICTIMS.keys(), report


# --- The runner ----------------------------------------------------------------------------------

# The first try of a job sleeps, and a child of it too; the second says whether the first one still lives.
_TWICE: Final = """
before=$(grep "^$1 " "$0.pids" 2>/dev/null)
echo "$1 $$" >> "$0.pids"
echo "start $1 $PWD" >> "$0"
if [ -z "$before" ]; then
    sleep 600 & sleep 600
fi
case "$(cut -d " " -f 3 "/proc/${before##* }/stat" 2>/dev/null)" in
    "" | Z) ;;
    *) echo "overlap $1 $PWD" >> "$0" ;;
esac
echo "end $1 $PWD" >> "$0"
"""


def test_a_killed_runner_loses_its_jobs_and_they_are_tried_again(deployment: Factory) -> None:
    place = deployment(**SETTINGS)
    anatomy, lines = Anatomy(place), place.folder / "lines"
    lines.touch()
    place.bootstrap("root")
    anatomy.start_work()
    jobs = {n: ["/bin/sh", "-c", _TWICE, str(lines), str(n)] for n in range(5)}
    client = _client(place)
    ids = {n: client.submit(body_of(n, argv), f"key-{n}") for n, argv in jobs.items()}
    wait_for(lambda: len(_sleeping(anatomy)) == 2 * len(jobs), SECONDS, "that all jobs run")
    sleeping = _sleeping(anatomy)
    runner = anatomy.runner()
    assert runner is not None
    runner.kill()
    wait_for(lambda: _statuses(place) == {"COMPLETED": len(jobs)}, SECONDS, "that all jobs have been tried again")
    assert not any(map(lives, sleeping)), "something of the first tries is left"
    assert "overlap" not in {line.mark for line in read_lines(lines)}
    assert list(faults(place, ids, read_lines(lines))) == []
    tries = place.rows("SELECT number, status, count(*) FROM jobs_execution GROUP BY 1, 2 ORDER BY 1")
    assert tries == [(1, "LOST", len(jobs)), (2, "COMPLETED", len(jobs))]


def _sleeping(anatomy: Anatomy) -> list[psutil.Process]:
    return [process for process in anatomy.living() if name_of(process) == "sleep"]


# --- Four schedulers -----------------------------------------------------------------------------


def test_four_schedulers_never_pass_a_cap(deployment: Factory) -> None:
    place = deployment(**SETTINGS | {"LOCAL_VCPUS": "1000"})
    lines, over = place.folder / "lines", threading.Event()
    lines.touch()
    submitter = _program(place, str(lines), str(JOBS), str(CAP))
    schedulers = [_program(place) for _ in range(SCHEDULERS)]
    samples: list[int] = []
    sampler = threading.Thread(target=lambda: samples.extend(_active(place, over)))
    sampler.start()
    try:
        ids = {int(number): job for number, job in json.loads(submitter.communicate(timeout=SECONDS)[0]).items()}
        wait_for(lambda: _statuses(place) == {"COMPLETED": JOBS}, SECONDS, "that all jobs are done")
    finally:
        over.set()
        sampler.join()
        claims = [int(scheduler.communicate(timeout=SECONDS)[0]) for scheduler in schedulers]
    written = read_lines(lines)
    most = (max(samples), most_at_once(written), _most_by_events(place))
    print(f"at once: {most[0]} in {len(samples)} looks, {most[1]} by the lines, {most[2]} by the events; {claims=}")
    assert max(most) == CAP, most
    assert sum(claims) == JOBS
    assert sum(count > 0 for count in claims) > 1, "only one of the schedulers has claimed anything"
    assert list(faults(place, ids, written)) == []


def _program(place: Deployment, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.kill.scheduler", *arguments],
        cwd=CHECKOUT, env=place.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


_ACTIVE: Final = "SELECT count(*) FROM jobs_job WHERE status IN ('STARTING', 'RUNNING', 'CANCELING')"


def _active(place: Deployment, over: threading.Event) -> Iterator[int]:
    """How many jobs are active, asked again and again on one connection."""
    if place.database == "sqlite":
        file = sqlite3.connect(place.database_url.removeprefix("sqlite:///"), timeout=20)
        ask: Callable[[], tuple[int]] = lambda: file.execute(_ACTIVE).fetchone()  # noqa: E731
        close: Callable[[], None] = file.close
    else:
        server = psycopg.connect(place.database_url, autocommit=True)
        ask = lambda: server.execute(_ACTIVE).fetchone() or (0,)  # noqa: E731
        close = server.close
    while not over.wait(0.002):
        yield ask()[0]
    close()


def _most_by_events(place: Deployment) -> int:
    """The most active jobs in the order of the event log, whose rows stand in the transactions of the moves."""
    most = now = 0
    for before, after in place.rows("SELECT before, after FROM accounts_event WHERE kind = 'job.moved' ORDER BY id"):
        now += _is_active(after) - _is_active(before)
        most = max(most, now)
    return most


def _is_active(state: object) -> bool:
    return status_in(state) in ("STARTING", "RUNNING", "CANCELING")


# --- What both need ------------------------------------------------------------------------------


def _client(place: Deployment) -> Client:
    return Client(place.start_web(), place.token)


def _statuses(place: Deployment) -> dict[str, int]:
    return dict(place.rows("SELECT status, count(*) FROM jobs_job GROUP BY status"))
