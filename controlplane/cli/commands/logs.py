"""`logs`: what a job wrote, once or as it writes."""

from __future__ import annotations

import codecs
import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer

from controlplane.cli import printing
from controlplane.cli.client import Query, Row, pieces
from controlplane.cli.errors import ExitCode, Failure, Unreachable
from controlplane.cli.events import Event, follow
from controlplane.cli.options import command
from controlplane.cli.session import Session
from controlplane.cli.waiting import FINAL, job_path


class Stream(StrEnum):
    COMBINED = "combined"
    STDOUT = "stdout"
    STDERR = "stderr"


def register(app: typer.Typer) -> None:
    command(app, "logs")(logs)


def logs(
    session: Session,
    *,
    job: Annotated[str, typer.Argument(metavar="JOB", help="Id or uuid of a job.")],
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the job has ended; exit code 1 if it did not complete.")
    ] = False,
    stream: Annotated[Stream, typer.Option(help="Which output.")] = Stream.COMBINED,
    execution: Annotated[int | None, typer.Option(min=1, help="Number of the try; the last if not given.")] = None,
) -> None:
    """Print what a job wrote."""
    query = [("execution", str(execution))] if execution is not None else []
    if following:
        follow_job(session, job, stream=stream, query=query)
    elif session.printer.as_json:
        _whole(session, job_path(job, "logs", stream), query)
    else:
        _text(session, job_path(job, "logs", stream), query)


def _text(session: Session, path: str, query: Query) -> None:
    """The text as it is, as it arrives."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    with session.client.stream(path, query, {"Accept": "text/plain"}) as answer:
        if answer.status == 204:
            printing.note("It has written nothing yet.")
        for piece in pieces(answer):
            sys.stdout.write(decoder.decode(piece))
            sys.stdout.flush()
    sys.stdout.write(decoder.decode(b"", final=True))
    sys.stdout.flush()


def _whole(session: Session, path: str, query: Query) -> None:
    """The API's JSON, its pages made one."""
    whole: Row = {}
    after: list[tuple[str, str]] = []
    while True:
        answer = session.client.request("GET", path, query=[*query, *after])
        if answer.status == 204:
            break
        page = _decoded(answer.data)
        whole = {**page, "text": str(whole.get("text", "")) + str(page.get("text", ""))}
        if not page.get("text") or not page.get("after"):
            break
        after = [("after", str(page["after"]))]
    session.printer.document(whole or None)


def follow_job(session: Session, job: str, *, stream: str = Stream.COMBINED, query: Query = ()) -> None:
    """Print what a job writes until it has ended. Raises Failure if it did not complete."""

    def is_over() -> bool:
        return session.client.get(job_path(job)).get("state") in FINAL

    outcome: Row = {}
    for event in follow(session.client, job_path(job, "logs", stream), query, gone=is_over):
        said = _data(event)
        if session.printer.as_json and event.kind != "reconnect":
            session.printer.json_line({"event": event.kind, **said})
        elif event.kind == "log":
            sys.stdout.write(str(said.get("text", "")))
            sys.stdout.flush()
        if event.kind == "end":
            outcome = said
    status = outcome.get("state") or outcome.get("status")
    if status not in FINAL:
        status = session.client.get(job_path(job)).get("state")
    if status != "COMPLETED":
        code = outcome.get("exit_code")
        raise Failure(ExitCode.FAILED, f"job {job}: {status}" + (f", exit code {code}" if code is not None else ""))


def _data(event: Event) -> Row:
    return _decoded(event.data) if event.data else {}


def _decoded(text: str | bytes) -> Row:
    try:
        decoded: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreachable("the log is not JSON: is this the address of a control plane?") from error
    if not isinstance(decoded, dict):
        raise Unreachable("the log is not a JSON object")
    return decoded
