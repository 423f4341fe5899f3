"""`list`, `show`, `explain`, `wait`: looking at jobs, and until they have ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer

from controlplane.cli import printing
from controlplane.cli.amounts import seconds
from controlplane.cli.client import Row
from controlplane.cli.errors import ExitCode, Failure
from controlplane.cli.options import Filters, command
from controlplane.cli.progress import bar
from controlplane.cli.session import Session
from controlplane.cli.waiting import failures, job_path, wait_for_jobs

COLUMNS: Final = {
    "id": "ID", "state": "STATE", "classification": "CLASS", "customer": "CUSTOMER", "owner": "OWNER",
    "cloud": "CLOUD", "region": "REGION", "priority": "PRIORITY", "created": "CREATED", "reason": "REASON",
}  # fmt: skip
OUTCOME: Final = {"id": "ID", "state": "STATE"}
FIELDS: Final = (
    *("id", "uuid", "state", "status", "reason", "classification", "customer", "owner", "shape", "cloud", "region"),
    *("queue", "priority", "on_hold", "image", "command", "env", "secret_env", "tags", "vcpus", "memory_mib"),
    *("timeout_seconds", "num_exes", "max_tries", "execution", "error", "retry_of"),
    *("created", "queued", "started", "ended", "last_status_change", "last_modified"),
)
EXECUTION: Final = ("exe_num", "status", "exit_code", "detail", "started", "ended")
REASONS: Final = {
    "code": "REASON", "hint": "HINT", "value": "IS", "limit": "LIMIT", "since": "SINCE", "set_by": "SET BY",
}  # fmt: skip
Id = Annotated[str, typer.Argument(metavar="JOB", help="Id or uuid of a job.")]
Ids = Annotated[list[str], typer.Argument(metavar="JOB…", help="Ids or uuids of jobs.")]


def register(app: typer.Typer) -> None:
    command(app, "list", filters=True)(list_jobs)
    command(app, "show")(show)
    command(app, "explain")(explain)
    command(app, "wait")(wait)


def list_jobs(
    session: Session,
    *,
    filters: Filters,
    limit: Annotated[int, typer.Option(min=0, help="How many at most; 0 is all.")] = 100,
    order: Annotated[list[str] | None, typer.Option(help="What to order by, - to descend.")] = None,
) -> None:
    """List jobs, the newest first."""
    size = min(limit or 1000, 1000)
    query = [(name, value) for name, values in filters.items() for value in values]
    query += [("order", each) for each in order or ["-id"]]
    # One more than wanted tells whether there are more.
    rows = session.client.rows("v6/jobs/", [*query, ("page_size", str(min(size + 1, 1000)))])
    session.printer.rows(_limited(rows, limit), COLUMNS)


def _limited(rows: Iterator[Row], limit: int) -> Iterator[Row]:
    for given, row in enumerate(rows):
        if limit and given == limit:
            printing.note(f"There are more than these {limit}: --limit 0 lists all.")
            return
        yield row


def show(session: Session, *, job: Id) -> None:
    """Show one job."""
    row = session.client.get(job_path(job))
    if not session.printer.as_json:
        row = {
            **row,
            "execution": _brief(row.get("execution"), EXECUTION),
            "error": _brief(row.get("error"), ("name",)),
        }
    session.printer.fields(row, FIELDS)


def _brief(value: object, names: tuple[str, ...]) -> Row:
    return {name: value[name] for name in names if value.get(name) not in (None, "")} if isinstance(value, dict) else {}


def explain(session: Session, *, job: Id) -> None:
    """Tell everything that keeps a job from running now, and what would free it."""
    answer = session.client.get(job_path(job, "explain"))
    if session.printer.as_json:
        session.printer.document(answer)
        return
    reasons = [row for row in answer.get("reasons") or [] if isinstance(row, dict)]
    if reasons:
        session.printer.rows(reasons, REASONS)
    else:
        printing.note(f"Nothing keeps it: it is {answer.get('state') or answer.get('status')}.")


def wait(
    session: Session,
    *,
    jobs: Ids,
    timeout: Annotated[
        int | None, typer.Option(parser=seconds, metavar="TIME", help="Wait no longer: 90, 5m, 2h. Then exit code 124.")
    ] = None,
) -> None:
    """Wait until jobs have ended; exit code 1 if one of them did not complete."""
    wait_and_tell(session, jobs, timeout_seconds=timeout)


def wait_and_tell(session: Session, ids: list[str], *, timeout_seconds: int | None, made: Any = None) -> None:
    """Wait for jobs and print each as it ends. Raises Failure for those that did not complete.

    `made` is the submit's answer, in whose form (one, or a list) JSON is printed: whatever interrupts the
    wait, the ids are told.
    """
    ended: list[Row] = []

    def note(row: Row) -> None:
        ended.append(row)
        if not session.printer.as_json:
            session.printer.line(row.get("id"), row.get("state"))

    try:
        with bar("Waiting") as tell:
            wait_for_jobs(session.client, ids, timeout_seconds=timeout_seconds, ended=note, tell=tell)
    finally:
        if session.printer.as_json:
            known = {str(row.get("id")): row for row in ended}
            rows = ended if made is None else [known.get(str(row["id"]), row) for row in _listed(made)]
            session.printer.document(rows[0]) if isinstance(made, dict) else session.printer.rows(rows, OUTCOME)
    failed = failures(ended)
    if failed:
        raise Failure(ExitCode.FAILED, *failed)


def _listed(made: Any) -> list[Row]:
    return made if isinstance(made, list) else [made]
