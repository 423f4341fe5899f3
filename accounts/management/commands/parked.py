"""What followers of the event log could not deal with and have left behind, and a way to have it tried again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts import services
from accounts.models import ParkedEvent

SHOWN = 50


class Command(BaseCommand):
    help = "Lists events that were left behind, the newest first; or has one who left some try all of them again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--again", metavar="FOLLOWER", help="such as meter: try again what this one left")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["again"] is not None:
            count = services.try_again(follower=options["again"], actor=None)
            self.stdout.write(f"{count} are tried again when {options['again']} next looks at the log.")
            return
        for row in ParkedEvent.objects.order_by("-pk")[:SHOWN]:
            when = f"{row.at:%Y-%m-%d %H:%M:%S}" + (", is tried again" if row.again else "")
            self.stdout.write(f"{row.follower} {row.position} {row.kind} ({when}): {row.error}")
        self.stdout.write(f"{ParkedEvent.objects.count()} were left behind.")
