"""Take over what a Mapsor deployment has."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.errors import UserNotFound
from accounts.models import User
from accounts.queries import user_called
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
        parser.add_argument("--owner", help="the user whose the jobs are that name nobody")

    def take_over(self, report: Report, dry_run: bool, options: dict[str, Any]) -> None:
        owner = _owner(options["owner"])
        try:
            if options["file"] == "-":
                take_lines(sys.stdin.buffer, report, owner=owner, dry_run=dry_run)
            else:
                with open(options["file"], "rb") as file:
                    take_lines(file, report, owner=owner, dry_run=dry_run)
        except OSError as error:
            raise CommandError(f"{options['file']}: {error.strerror}") from error


def _owner(name: str | None) -> User | None:
    try:
        return user_called(name) if name else None
    except UserNotFound as error:
        raise CommandError(f"--owner: {error.message}") from error
