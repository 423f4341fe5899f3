"""One scheduler of several, and somebody who submits. Both in the environment of a deployment:

python -m tests.kill.scheduler                schedule until standard input is closed; print how many were claimed
python -m tests.kill.scheduler LINES JOBS CAP cap the queue, submit so many jobs, print {number: id}
"""

from __future__ import annotations

import json
import random
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import django

django.setup()

from django.conf import settings  # noqa: E402
from django.db import OperationalError  # noqa: E402

from accounts.models import Role  # noqa: E402
from accounts.services import create_user  # noqa: E402
from clusters.queries import local_provider  # noqa: E402
from jobs import scheduling  # noqa: E402
from jobs.models import RunsFor, Scope  # noqa: E402
from jobs.scheduling.claiming import Walk  # noqa: E402
from jobs.services import JobRequest, report_place, set_cap, submit_jobs  # noqa: E402
from jobs.services.places import place_id  # noqa: E402
from tests.kill.chaos import command  # noqa: E402


def dawdling(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step`, after a moment in which the others may do something."""

    def dawdle(*arguments: Any) -> Any:
        time.sleep(random.uniform(0, 0.02))
        return step(*arguments)

    return dawdle


def schedule() -> None:
    # Between what a claim has counted and what it takes: there a cap would be passed.
    Walk.admit_from = dawdling(Walk.admit_from)  # type: ignore[method-assign]
    place, provider, watch = place_id("local", settings.LOCAL_REGION), local_provider(), scheduling.Watch({})
    claimed = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        try:
            report_place(place, vcpus_milli=10**6, memory_mib=10**7, disk_free_mib=None, runs_for=RunsFor.STAFF)
            claimed += scheduling.claim(place) or 0
            scheduling.hand_over(place, provider, scheduling.observe(place, provider, watch))
            scheduling.apply(provider.read())
        except OperationalError as error:  # the server chose this one of two that lock each other out
            print(f"the database: {error}", file=sys.stderr)
    print(claimed)


def submit(lines: Path, jobs: int, cap: int) -> None:
    """Each passes all that wait, so that the schedulers do not see the same ones first."""
    place = place_id("local", settings.LOCAL_REGION)
    set_cap(scope=Scope.QUEUE, scope_id=f"{place}:default", max_jobs=cap)
    owner = create_user(username="root", role=Role.ADMIN, actor=None)
    ids = {}
    for number in range(jobs):
        request = JobRequest(
            customer="acme",
            region=settings.LOCAL_REGION,
            classification=f"job-{number}",
            command=command(lines, number, random.uniform(0.05, 0.3)),
            priority=-number,
        )
        ids[number] = str(submit_jobs(owner=owner, requests=[request])[0].uuid)
        time.sleep(0 if number < jobs // 4 else 0.02)
    print(json.dumps(ids))


if __name__ == "__main__":
    if sys.argv[1:]:
        submit(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    else:
        schedule()
