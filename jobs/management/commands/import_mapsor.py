"""Take over what a Mapsor deployment has."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from controlplane.core.importing import ImportCommand, Report
from jobs.services.mapsor import take_lines


class Command(ImportCommand):
    help = (
        "Takes over users with their tokens and ended jobs, under their own ids, from a file with a line of JSON for "
        "each: see docs/migrate-from-mapsor.md. Nothing of it is run. Doing it again takes over only what is new."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", help="the file; - is what comes through the pipe")
        parser.add_argument("--owner", default="", help="whose jobs are that name nobody: a user here or of the file")

    def take_over(self, report: Report, dry_run: bool, options: dict[str, Any]) -> None:
        owner: str = options["owner"]
        try:
            if options["file"] == "-":
                take_lines(sys.stdin.buffer, report, owner=owner, dry_run=dry_run)
            else:
                with open(options["file"], "rb") as file:
                    take_lines(file, report, owner=owner, dry_run=dry_run)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error
