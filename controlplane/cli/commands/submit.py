"""`submit`: one job from options and a command, or jobs from a file."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from controlplane.cli import printing
from controlplane.cli.amounts import mib, seconds
from controlplane.cli.client import Row
from controlplane.cli.commands.logs import follow_job
from controlplane.cli.commands.look import wait_and_tell
from controlplane.cli.errors import Unreachable
from controlplane.cli.options import command
from controlplane.cli.session import Session

JOB: Final = "The job"


def register(app: typer.Typer) -> None:
    command(app, "submit")(submit)


def _job(*flags: str, **more: Any) -> Any:
    return typer.Option(*flags, rich_help_panel=JOB, **more)


def submit(
    session: Session,
    *,
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[-- COMMAND ARGUMENT…]", help="What to run; after --.")
    ] = None,
    classification: Annotated[str | None, _job("--class", help="Your own name for this kind of job.")] = None,
    customer: Annotated[str | None, _job(help="Who pays; a customer's user may leave it out.")] = None,
    image: Annotated[str | None, _job(help="Image of the container.")] = None,
    env: Annotated[list[str] | None, _job(metavar="NAME[=VALUE]", help="Without a value: of this shell.")] = None,
    secret_env: Annotated[
        list[str] | None,
        _job(metavar="NAME", help="A variable that nobody gets to see; its value is --env's or this shell's."),
    ] = None,
    tag: Annotated[list[str] | None, _job(metavar="KEY=VALUE", help="A tag.")] = None,
    vcpus: Annotated[float | None, _job(help="vCPUs.")] = None,
    memory: Annotated[int | None, _job(parser=mib, metavar="SIZE", help="MiB, or such as 512m, 2g.")] = None,
    priority: Annotated[int | None, _job(help="Smaller runs first.")] = None,
    queue: Annotated[str | None, _job(help="Queue.")] = None,
    timeout: Annotated[int | None, _job(parser=seconds, metavar="TIME", help="Of one try: 90, 5m, 2h.")] = None,
    max_tries: Annotated[int | None, _job(help="Executions it may have in all.")] = None,
    cloud: Annotated[str | None, _job(help="Cloud.")] = None,
    region: Annotated[str | None, _job(help="Region.")] = None,
    file: Annotated[
        str | None, typer.Option("--file", help="JSON of one job or of a list, as POST /v6/jobs/ takes it; - is stdin.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until it has ended; exit code 1 if it did not complete.")
    ] = False,
    following: Annotated[bool, typer.Option("--follow", help="Print what it writes until it has ended.")] = False,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Submits once, however often this is run in 24 hours.")
    ] = None,
) -> None:
    """Submit a job, or a list of them from a file; prints the id."""
    if idempotency_key is not None and not (idempotency_key.isascii() and idempotency_key.isprintable()):
        raise typer.BadParameter("This is printable ASCII.", param_hint="--idempotency-key")
    if wait and following:
        raise typer.BadParameter("--follow waits by itself.", param_hint="--wait")
    options = {
        "classification": classification, "customer": customer, "cloud": cloud, "region": region, "image": image,
        "vcpus": vcpus, "memory_mib": memory, "priority": priority, "queue": queue, "timeout_seconds": timeout,
        "max_tries": max_tries, "command": arguments or None, **_variables(env or [], secret_env or []),
        "tags": _pairs(tag or []) or None,
    }  # fmt: skip
    given: Any = {name: value for name, value in options.items() if value is not None}
    if file is not None:
        if given:
            raise typer.BadParameter("A file says all of its jobs: give no options or command with it.")
        given = _read(file)
    if following and isinstance(given, list):
        raise typer.BadParameter("One job can be followed, not a list.", param_hint="--follow")
    made = session.client.post("v6/jobs/", given, key=idempotency_key)
    _go_on(session, made, wait=wait, following=following)


def _go_on(session: Session, made: Any, *, wait: bool, following: bool) -> None:
    """Tell the ids, and stay as long as was wanted."""
    rows: list[Any] = made if isinstance(made, list) else [made]
    if not all(isinstance(row, dict) and "id" in row for row in rows):
        raise Unreachable("the answer names no job")
    ids = [str(row["id"]) for row in rows]
    if following:
        # stdout is the job's.
        printing.note(f"job {ids[0]}")
        follow_job(session, ids[0])
    elif wait:
        if not session.printer.as_json:
            _tell(session, ids)
        wait_and_tell(session, ids, timeout_seconds=None, made=made)
    elif session.printer.as_json:
        session.printer.document(made)
    else:
        _tell(session, ids)


def _tell(session: Session, ids: Sequence[str]) -> None:
    for each in ids:
        session.printer.line(each)


def _variables(env: Sequence[str], secret: Sequence[str]) -> Row:
    """`env` and `secret_env`: a name alone is taken from this shell, so that no secret stands on a command line."""
    values: dict[str, str] = {}
    for each in env:
        name, equals, value = each.partition("=")
        values[name] = value if equals else _of_shell(name, "--env")
    for name in secret:
        if "=" in name:
            raise typer.BadParameter("This is a name; set its value in this shell.", param_hint="--secret-env")
        if name not in values:
            values[name] = _of_shell(name, "--secret-env")
    return {"env": values or None, "secret_env": list(secret) or None}


def _of_shell(name: str, option: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise typer.BadParameter(f"{name} is not set in this shell.", param_hint=option)
    return value


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{text!r} is not KEY=VALUE.", param_hint="--tag")
        pairs[key] = value
    return pairs


def _read(file: str) -> Any:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        return json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="--file") from error
