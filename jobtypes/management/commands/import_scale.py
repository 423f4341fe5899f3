"""Take over a running Scale v6 system."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from controlplane.core.importing import ImportCommand, Report
from jobtypes.scale import Scale, ScaleUnreadable
from jobtypes.services.scale import take_system

TOKEN: Final = "SCALE_TOKEN"  # noqa: S105 - the name of the variable
LONGEST_TOKEN: Final = 4096


class Command(ImportCommand):
    help = (
        "Reads workspaces, errors, job types and recipe types of a running Scale v6 system over its REST API, and "
        f"makes them here. The token of a staff user is read from ${TOKEN}, from a file, or from standard input. "
        "Doing it again takes over only what has changed there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("url", help="such as https://scale.example.com/api, below which /v6/ lies")
        parser.add_argument("--token-file", type=Path, help="a file that holds the token")

    def take_over(self, report: Report, dry_run: bool, options: dict[str, Any]) -> None:
        try:
            system = Scale(options["url"], _token(options["token_file"])).read()
        except ScaleUnreadable as error:
            raise CommandError(str(error)) from error
        take_system(system, report, dry_run=dry_run)


def _token(file: Path | None) -> str:
    """Never an argument: those stand in the list of processes and in the shell's history."""
    try:
        text = file.read_text() if file else os.environ.get(TOKEN) or sys.stdin.read(LONGEST_TOKEN + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The token cannot be read: {error}") from error
    token = text.strip()
    if not 0 < len(token) <= LONGEST_TOKEN or not token.isascii() or not token.isprintable():
        raise CommandError("This is no token.")
    return token
