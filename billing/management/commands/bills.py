"""Draw up the bills of the months that are open, or close a month, without waiting for the hour."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from billing import services
from controlplane.core.errors import ControlPlaneError


def month(text: str) -> date:
    """`2026-03`. Raises ValueError."""
    return datetime.strptime(text, "%Y-%m").date()  # a month has no zone


class Command(BaseCommand):
    help = "Meters what has ended, and draws up the bills of the months that are open; or closes a month."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--close", type=month, metavar="YYYY-MM", help="make the bills up to this month final")

    def handle(self, *args: Any, **options: Any) -> None:
        services.meter()
        services.checkpoint()
        services.meter_containers()
        if options["close"] is None:
            self.stdout.write(f"{services.draw_up_drafts()} bills were drawn up.")
            return
        try:
            closed = services.close_month(options["close"])
        except ControlPlaneError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{closed} bills are final now.")
