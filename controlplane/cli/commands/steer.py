"""`cancel`, `requeue`, `retry`, `hold`, `release`, `priority`: for jobs by id, or for all that match a filter."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer

from controlplane.cli.client import Row
from controlplane.cli.commands.look import OUTCOME
from controlplane.cli.commands.operations import tell_end
from controlplane.cli.errors import ExitCode, Failure
from controlplane.cli.options import Filters, command
from controlplane.cli.progress import bar
from controlplane.cli.session import Session
from controlplane.cli.waiting import count, job_path

# After one of these the next job would fare no better.
_HOPELESS: Final = (ExitCode.NOT_ALLOWED, ExitCode.UNREACHABLE)
_HELP: Final = "Ids or uuids of jobs; or none, and a filter."

Jobs = Annotated[list[str] | None, typer.Argument(metavar="[JOB…]", help=_HELP)]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before many jobs are changed.")]
NoWait = Annotated[bool, typer.Option("--no-wait", help="Print the operation and leave it to itself.")]
NewPriority = Annotated[int | None, typer.Option("--priority", help="Smaller runs first.")]


def register(app: typer.Typer) -> None:
    for name, body in (
        ("cancel", cancel), ("requeue", requeue), ("retry", retry),
        ("hold", hold), ("release", release), ("priority", priority),
    ):  # fmt: skip
        command(app, name, filters=True)(body)


def cancel(session: Session, *, jobs: Jobs = None, filters: Filters, yes: Yes = False, no_wait: NoWait = False) -> None:
    """Stop jobs."""
    _steer(session, "cancel", jobs, filters, {}, yes=yes, no_wait=no_wait)


def requeue(
    session: Session,
    *,
    jobs: Jobs = None,
    filters: Filters,
    new_priority: NewPriority = None,
    yes: Yes = False,
    no_wait: NoWait = False,
) -> None:
    """Take failed or canceled jobs back into the queue: the same jobs, with new tries."""
    body = {} if new_priority is None else {"priority": new_priority}
    _steer(session, "requeue", jobs, filters, body, yes=yes, no_wait=no_wait)


def hold(
    session: Session,
    *,
    jobs: Jobs = None,
    filters: Filters,
    hint: Annotated[str, typer.Option(help="Why, and what frees it.")] = "",
    yes: Yes = False,
    no_wait: NoWait = False,
) -> None:
    """Keep waiting jobs from starting."""
    _steer(session, "hold", jobs, filters, {"hint": hint} if hint else {}, yes=yes, no_wait=no_wait)


def release(
    session: Session, *, jobs: Jobs = None, filters: Filters, yes: Yes = False, no_wait: NoWait = False
) -> None:
    """Let held jobs go on."""
    _steer(session, "release", jobs, filters, {}, yes=yes, no_wait=no_wait)


def priority(
    session: Session,
    *,
    number: Annotated[int, typer.Argument(min=0, metavar="PRIORITY", help="Smaller runs first.")],
    jobs: Jobs = None,
    filters: Filters,
    yes: Yes = False,
    no_wait: NoWait = False,
) -> None:
    """Give waiting jobs another priority."""
    body = {"priority": number}
    if jobs:
        _check(jobs, filters)
        _each(session, jobs, lambda job: session.client.patch(job_path(job), body))
    else:
        _steer(session, "priority", None, filters, body, yes=yes, no_wait=no_wait)


def retry(session: Session, *, jobs: Jobs = None, filters: Filters, yes: Yes = False) -> None:
    """Submit ended jobs again, as new jobs; prints the new ids.

    The API makes one at a time: with a filter, the jobs that match now are retried one after the other.
    """
    _check(jobs, filters)
    chosen = list(jobs or [])
    if not jobs:
        chosen = [str(row["id"]) for row in session.client.rows("v6/jobs/", [*_query(filters), ("order", "id")])]
        _confirm("retry", len(chosen), yes=yes)
    _each(session, chosen, lambda job: session.client.post(job_path(job, "retry")), one=bool(jobs))


def _steer(
    session: Session, verb: str, jobs: list[str] | None, filters: Filters, body: Row, *, yes: bool, no_wait: bool
) -> None:
    _check(jobs, filters)
    if jobs:
        _each(session, jobs, lambda job: session.client.post(job_path(job, verb), body))
        return
    if not yes and sys.stdin.isatty():
        found = session.client.get("v6/jobs/", [*_query(filters), ("page_size", "1")])
        _confirm(verb, count(found, "count"), yes=yes)
    operation = session.client.post(f"v6/jobs/{verb}/", {**filters, **body})
    tell_end(session, operation, no_wait=no_wait)


def _check(jobs: list[str] | None, filters: Filters) -> None:
    if jobs and filters:
        raise typer.BadParameter("Give ids or a filter, not both.")
    if not jobs and not filters:
        raise typer.BadParameter("Which jobs? Give ids, or a filter such as --customer.")


def _query(filters: Filters) -> list[tuple[str, str]]:
    return [(name, value) for name, values in filters.items() for value in values]


def _confirm(verb: str, matching: int, *, yes: bool) -> None:
    """Ask before many jobs are changed, where there is somebody to ask."""
    if yes or not sys.stdin.isatty():
        return
    if not typer.confirm(f"{verb}: {matching} jobs match. Go on?", err=True):
        raise Failure(ExitCode.INTERRUPTED, "not confirmed: nothing was changed")


def _each(session: Session, jobs: list[str], act: Callable[[str], Any], *, one: bool = True) -> None:
    """Do it to each, print each, and fail at the end with the first one's code if some could not be done."""
    one = one and len(jobs) == 1
    done: list[Row] = []
    failed: list[Failure] = []
    with bar("Jobs") as tell:
        for number, job in enumerate(jobs):
            tell(number, len(jobs), job)
            try:
                row = act(job)
            except Failure as failure:
                if one:
                    raise
                failed.append(Failure(failure.code, *(f"job {job}: {line}" for line in failure.lines)))
                if failure.code in _HOPELESS:
                    break
            else:
                done.append(row)
                if not session.printer.as_json:
                    session.printer.line(row.get("id"), row.get("state"))
    if session.printer.as_json:
        session.printer.document(done[0]) if one else session.printer.rows(done, OUTCOME)
    if failed:
        raise Failure(failed[0].code, *(line for each in failed for line in each.lines))
