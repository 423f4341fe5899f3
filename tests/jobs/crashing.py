"""A scheduling pass that kills itself at a line, for lines that it has. Run by test_crashes.py:

    python -m tests.jobs.crashing LINES odd    in the environment of a deployment; or even: which of them

One job per line: a child goes through the pass and kills itself just before that line, a second one does
what a successor does, until the job has ended. This process has no connection to the database, so that
its children, which it forks to save them the start, each have their own.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402

from accounts.models import Event, Role, User  # noqa: E402
from accounts.services import create_user  # noqa: E402
from clusters.providers.base import Observation, Phase  # noqa: E402
from clusters.queries import local_provider  # noqa: E402
from controlplane.core.ids import uuid7  # noqa: E402
from jobs import scheduling, states  # noqa: E402
from jobs.models import Execution, Job, RunsFor  # noqa: E402
from jobs.services import JobRequest, report_place, submit_jobs  # noqa: E402
from jobs.services.places import place_id  # noqa: E402

HERE = Path(__file__).resolve()
CHECKOUT = HERE.parents[2]
TRACED = frozenset(
    str(CHECKOUT / name)
    for name in (
        "jobs/scheduling/claiming.py",
        "jobs/scheduling/calling.py",
        "jobs/scheduling/applying.py",
        "jobs/scheduling/watching.py",
        "jobs/services/move.py",
        "controlplane/core/transitions.py",
        "controlplane/core/sets.py",
        "clusters/providers/local/provider.py",
        "clusters/providers/local/client.py",
        "tests/jobs/crashing.py",
    )
)
SECONDS = 30
Point = tuple[str, int]


def in_child(work: Callable[..., Any], *arguments: Any) -> tuple[int, Any]:
    """Run `work` in a process of its own: the signal that ended it, 0 for none, and what it returned."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        code = 1
        try:
            os.write(writing, json.dumps(work(*arguments)).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status > 0:
        raise RuntimeError("a child failed; see above")
    return -status, json.loads(text) if text else None


def submit(lines: str) -> str:
    owner = User.objects.filter(username="root").first() or create_user(username="root", role=Role.ADMIN, actor=None)
    command = ["/bin/sh", "-c", 'echo "$PWD" >> "$0"', lines]
    request = JobRequest(customer="acme", region=settings.LOCAL_REGION, classification=str(uuid7()), command=command)
    return str(submit_jobs(owner=owner, requests=[request])[0].uuid)


def report() -> int:
    place = place_id("local", settings.LOCAL_REGION)
    report_place(place, vcpus_milli=8000, memory_mib=65536, disk_free_mib=None, runs_for=RunsFor.STAFF)
    return place


def go_through() -> None:
    """All steps of one job, each once and in the same order every time."""
    place, provider = report(), local_provider()
    scheduling.claim(place)
    scheduling.hand_over(place, provider)
    tracer = sys.gettrace()
    sys.settrace(None)  # how often it is looked at is chance
    ended = wait_for_end()
    sys.settrace(tracer)
    scheduling.apply([Observation(ended.execution_id, Phase.RUNNING, ended.started_at, node=ended.node)])
    scheduling.apply([ended])
    tracer = None  # a line to die at, after all of it


def wait_for_end() -> Observation:
    execution = str(Execution.objects.get(status__in=states.EXECUTION_ACTIVE).uuid)
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        for seen in local_provider().observe([execution]):
            if seen.phase is Phase.ENDED:
                return seen
        time.sleep(0.002)
    raise TimeoutError(execution)


def traced(reach: Callable[[Point], None]) -> None:
    """Go through the pass, telling `reach` of every line before it is executed."""

    def see(frame: FrameType, event: str, _argument: Any) -> Any:
        if frame.f_code.co_filename not in TRACED:
            return None
        if event == "line":
            reach((frame.f_code.co_filename, frame.f_lineno))
        return see

    report()
    sys.settrace(see)
    try:
        go_through()
    finally:
        sys.settrace(None)


def all_points() -> list[Point]:
    found: dict[Point, None] = {}
    traced(lambda point: found.setdefault(point))
    return list(found)


def die_at(wanted: Point) -> None:
    def reach(point: Point) -> None:
        if point == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    traced(reach)


def recover(job_uuid: str, lines: str) -> dict[str, Any]:
    """Schedule as any scheduler does, until the job has ended; what became of it, and the next job."""
    place, provider, watch = report(), local_provider(), scheduling.Watch({})
    deadline = time.monotonic() + SECONDS
    job = Job.objects.get(uuid=job_uuid)
    while job.status not in states.FINAL and time.monotonic() < deadline:
        scheduling.claim(place)
        scheduling.hand_over(place, provider, scheduling.observe(place, provider, watch))
        scheduling.apply(provider.read())
        job.refresh_from_db()
        time.sleep(0.002)
    moves = Event.objects.filter(kind="job.moved", subject_kind="job", subject_id=job.pk).order_by("id")
    return {
        "status": job.status,
        "tries": job.tries,
        "executions": [(str(one.uuid), one.status) for one in job.executions.order_by("number")],
        "moves": [move["status"] for move in moves.values_list("after", flat=True) if move],
        "next": submit(lines),
    }


def main() -> None:
    lines, which = sys.argv[1:]
    for _ in range(2):  # the first finds no runner, and starts one
        in_child(submit, lines)
        _, points = in_child(all_points)
    _, job = in_child(submit, lines)
    for file, number in points[("even", "odd").index(which) :: 2]:
        died, _ = in_child(die_at, (file, number))
        found: dict[str, Any] = in_child(recover, job, lines)[1]
        job = found.pop("next")
        found |= {"point": f"{Path(file).relative_to(CHECKOUT)}:{number}", "died": died == signal.SIGKILL}
        print(json.dumps(found), flush=True)
    in_child(lambda: local_provider().leave())


if __name__ == "__main__":
    main()
