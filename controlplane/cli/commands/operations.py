"""`operations`: bulk work, how far it is, and what it could not do."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from controlplane.cli.client import Row
from controlplane.cli.errors import ExitCode, Failure, Unreachable
from controlplane.cli.options import command
from controlplane.cli.progress import bar
from controlplane.cli.session import Session
from controlplane.cli.waiting import count, wait_for_operation

COLUMNS: Final = {
    "id": "ID", "kind": "KIND", "status": "STATUS", "done": "DONE", "failed": "FAILED", "total": "TOTAL",
    "created_by": "BY", "created": "CREATED",
}  # fmt: skip
FIELDS: Final = (
    *("id", "kind", "status", "selection", "parameters", "total", "done", "failed"),
    *("created_by", "created", "started", "ended"),
)
FAILURES_SHOWN: Final = 20
Id = Annotated[int, typer.Argument(metavar="OPERATION", min=1, help="Id of an operation.")]


def register(app: typer.Typer) -> None:
    group = typer.Typer(help="Bulk work: list, show, stop, watch.", no_args_is_help=True)
    command(group, "list")(list_operations)
    command(group, "show")(show)
    command(group, "stop")(stop)
    command(group, "watch")(watch)
    app.add_typer(group, name="operations")


def list_operations(
    session: Session,
    *,
    status: Annotated[list[str] | None, typer.Option(help="WAITING, RUNNING, COMPLETED … Repeated: any.")] = None,
    kind: Annotated[list[str] | None, typer.Option(help="cancel, requeue, priority … Repeated: any.")] = None,
    limit: Annotated[int, typer.Option(min=0, help="How many at most; 0 is all.")] = 100,
) -> None:
    """List bulk work, the newest first."""
    query = [("status", each) for each in status or []] + [("kind", each) for each in kind or []]
    query.append(("page_size", str(min(limit or 1000, 1000))))
    session.printer.rows(session.client.rows("v6/operations/", query, limit=limit), COLUMNS)


def show(session: Session, *, operation: Id) -> None:
    """Show one piece of bulk work."""
    session.printer.fields(session.client.get(f"v6/operations/{operation}/"), FIELDS)


def stop(session: Session, *, operation: Id) -> None:
    """Stop bulk work; what is done stays done."""
    session.printer.row(_operation(session.client.post(f"v6/operations/{operation}/stop/")), COLUMNS)


def watch(session: Session, *, operation: Id) -> None:
    """Wait until bulk work has ended; exit code 1 if not all of it was done."""
    tell_end(session, session.client.get(f"v6/operations/{operation}/"), no_wait=False)


def tell_end(session: Session, operation: Any, *, no_wait: bool) -> None:
    """Wait for bulk work with a bar, print it, and raise Failure naming what it could not do."""
    row = _operation(operation)
    if no_wait:
        session.printer.row(row, COLUMNS)
        return
    with bar(f"{row.get('kind')} {row['id']}") as tell:
        row = wait_for_operation(session.client, row, tell)
    session.printer.row(row, COLUMNS)
    failed = count(row, "failed")
    lines = _failures(session, row) if failed else []
    if row.get("status") != "COMPLETED":
        lines.append(f"operation {row['id']}: {row.get('status')}")
    if lines:
        raise Failure(ExitCode.FAILED, *lines)


def _failures(session: Session, operation: Row) -> list[str]:
    path = f"v6/operations/{operation['id']}/failures/"
    rows = list(session.client.rows(path, [("page_size", str(FAILURES_SHOWN))], limit=FAILURES_SHOWN))
    lines = [f"job {row.get('job')}: {row.get('message')}" for row in rows]
    more = count(operation, "failed") - len(rows)
    return [*lines, f"and {more} more"] if more > 0 else lines


def _operation(answer: Any) -> Row:
    if not isinstance(answer, dict) or "id" not in answer:
        raise Unreachable("the answer is not an operation")
    return answer
