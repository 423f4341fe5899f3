"""Take the device for one-time codes of somebody away, where no other admin can."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import queries, services
from controlplane.core.errors import ControlPlaneError


class Command(BaseCommand):
    help = "Resets the one-time codes of a user, who enrols another device when they next sign in at the admin."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            services.reset_totp(user=queries.user_called(options["username"]), actor=None)
        except ControlPlaneError as error:
            raise CommandError(error.message) from error
        self.stdout.write(f"{options['username']} enrols another device when they next sign in.")
