"""The program: its commands, and how it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from controlplane.cli import printing
from controlplane.cli.commands import login, logs, look, operations, steer, submit
from controlplane.cli.errors import MEANINGS, ExitCode, Failure
from controlplane.cli.session import Session

NAME: Final = "cpctl"
# \b keeps the lines as they are.
_LINES: Final = "\n".join(f"{code.value:>3}  {text}" for code, text in MEANINGS.items())
HELP: Final = f"""Submit jobs, look at them, steer them.

On a terminal lists are tables; in a pipe they are tab-separated. --json prints the API's JSON, of every command.
CPCTL_SERVER and CPCTL_TOKEN stand above what cpctl login has stored. NO_COLOR switches colours off.

Exit codes:

\b
{_LINES}
"""

app: Final = typer.Typer(
    name=NAME, help=HELP, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)  # fmt: skip


def _print_version(wanted: bool) -> None:
    if wanted:
        print((Path(__file__).parents[2] / "VERSION").read_text().strip())
        raise typer.Exit


@app.callback()
def _prepare(
    ctx: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the API's JSON.")] = False,
    version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_print_version)] = False,
) -> None:
    ctx.obj = Session()
    ctx.obj.printer.as_json = as_json


for group in (login, submit, look, logs, steer, operations):
    group.register(app)


def main() -> None:
    """Run cpctl, and end with one of ExitCode."""
    # What a job wrote may hold characters that this terminal has none for.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name=NAME)
    except Failure as failure:
        for line in failure.lines:
            printing.error(line)
        sys.exit(failure.code)
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
