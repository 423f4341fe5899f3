"""Waiting for jobs and for bulk work, by asking again and again, ever less often."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final
from urllib.parse import quote

from controlplane.cli.client import Client, Row
from controlplane.cli.errors import ExitCode, Failure
from controlplane.cli.progress import Tell

FINAL: Final = frozenset({"COMPLETED", "FAILED", "CANCELED", "REJECTED"})
OPERATION_FINAL: Final = frozenset({"COMPLETED", "FAILED", "STOPPED"})
FIRST_PAUSE_SECONDS: Final = 0.2
LAST_PAUSE_SECONDS: Final = 2.0
# Ids of one request: their address stays below the 4 KiB that servers take.
ASKED_AT_ONCE: Final = 50

Ended = Callable[[Row], None]


def job_path(job: str, *more: str) -> str:
    """The path of a job that a person named: whatever they typed stays one part of it."""
    return "/".join(("v6/jobs", quote(os.fsencode(job), safe=""), *more, ""))


def count(row: Row, name: str) -> int:
    """A whole number of an answer; 0 if it is none."""
    value = row.get(name)
    return value if isinstance(value, int) else 0


def wait_for_jobs(
    client: Client, ids: Sequence[str], *, timeout_seconds: int | None, ended: Ended, tell: Tell
) -> list[Row]:
    """Wait until all have ended, and return them; `ended` is called with each as it does.

    Raises Failure: a job that is not there (before anything is waited for), or the time being over.
    """
    until = None if timeout_seconds is None else time.monotonic() + timeout_seconds
    open_ids, done = list(dict.fromkeys(ids)), list[Row]()
    total = len(open_ids)
    for pause in _pauses():
        found = _jobs(client, open_ids)
        missing = [each for each in open_ids if _key(each) not in found]
        if missing:
            raise Failure(
                ExitCode.NOT_FOUND, *(f"{each}: there is no such job, or it is not yours" for each in missing)
            )
        for each in open_ids:
            row = found[_key(each)]
            if row.get("state") in FINAL:
                done.append(row)
                ended(row)
        open_ids = [each for each in open_ids if found[_key(each)].get("state") not in FINAL]
        states = sorted(str(found[_key(each)].get("state")) for each in open_ids)
        tell(total - len(open_ids), total, states[0] if len(open_ids) == 1 else "")
        if not open_ids:
            return done
        if until is not None and time.monotonic() >= until:
            raise Failure(
                ExitCode.TIMED_OUT, f"{len(open_ids)} of {total} jobs have not ended: {', '.join(states[:5])}"
            )
        time.sleep(pause if until is None else max(0.0, min(pause, until - time.monotonic())))
    raise AssertionError("pauses have no end")


def failures(jobs: Iterable[Row]) -> list[str]:
    """A line for each job that did not complete."""
    return [
        f"job {job.get('id')}: {job.get('state')}" + (f" ({job['reason']})" if job.get("reason") else "")
        for job in jobs
        if job.get("state") != "COMPLETED"
    ]


def wait_for_operation(client: Client, operation: Row, tell: Tell) -> Row:
    """Wait until bulk work has ended; it as it is then."""
    path = f"v6/operations/{operation['id']}/"
    for pause in _pauses():
        done = count(operation, "done") + count(operation, "failed")
        tell(done, count(operation, "total") or None, str(operation.get("status")))
        if operation.get("status") in OPERATION_FINAL:
            return operation
        time.sleep(pause)
        operation = {"id": operation["id"], **client.get(path)}
    raise AssertionError("pauses have no end")


def _jobs(client: Client, ids: Sequence[str]) -> dict[str, Row]:
    """The jobs with these ids or uuids, by both."""
    found: dict[str, Row] = {}
    for start in range(0, len(ids), ASKED_AT_ONCE):
        asked = [("job_id", each) for each in ids[start : start + ASKED_AT_ONCE]]
        for row in client.rows("v6/jobs/", [*asked, ("order", "id"), ("page_size", "1000")]):
            found[_key(str(row.get("id")))] = row
            found[_key(str(row.get("uuid")))] = row
    return found


def _key(text: str) -> str:
    """An id or uuid in one form, however it was written."""
    return text.lstrip("0") if text.isdigit() and len(text) < 19 else text.lower().replace("-", "")


def _pauses() -> Iterator[float]:
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(pause * 1.3, LAST_PAUSE_SECONDS)
