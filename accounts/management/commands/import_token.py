"""Take over a token of a replaced system."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import queries, services
from accounts.models import TokenScope
from controlplane.core.errors import ControlPlaneError


def moment(text: str) -> datetime:
    """An ISO 8601 date or time; UTC unless it says otherwise. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Reads a token that another system gave out from standard input, so that its clients keep it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username", help="whose it is to be")
        parser.add_argument("--name", default="imported", help="what it is for")
        parser.add_argument("--scope", default=TokenScope.ADMIN.value, choices=TokenScope.values)
        parser.add_argument("--expires", type=moment, help="such as 2027-01-31T08:00; without it never")

    def handle(self, *args: Any, **options: Any) -> None:
        # Never an argument: those stand in the list of processes and in the shell's history.
        secret = sys.stdin.read(services.LONGEST_IMPORTED + 2).strip()
        try:
            row = services.import_token(
                secret,
                user=queries.user_called(options["username"]),
                name=options["name"][:128],
                scope=options["scope"],
                expires_at=options["expires"],
            )
        except ControlPlaneError as error:
            raise CommandError(f"{error.field}: {error.message}" if error.field else error.message) from error
        self.stdout.write(f"The token {row.prefix}… of {options['username']} is taken over, scope {row.scope}.")
