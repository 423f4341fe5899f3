"""Make the first admin."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts import queries, services
from accounts.models import Role
from controlplane.core.errors import ControlPlaneError


class Command(BaseCommand):
    help = "Makes the first admin and prints a token for it, once. Run again for the same name, it changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--username", required=True)
        parser.add_argument("--password", help="lets the admin sign in at /admin/; without it only the token works")
        parser.add_argument("--quiet", action="store_true", help="print nothing but the token")

    def handle(self, *args: Any, **options: Any) -> None:
        username, quiet = options["username"], options["quiet"]
        user = queries.find_user(username)
        if user is not None:
            if user.role != Role.ADMIN:
                raise CommandError(f"{username} exists and is {user.role}, not admin.")
            if not quiet:
                self.stdout.write(f"{username} is an admin already; nothing changed. Its token cannot be shown again.")
            return
        try:
            user = services.create_user(username=username, role=Role.ADMIN, actor=None, password=options["password"])
        except ControlPlaneError as error:
            raise CommandError(f"{error.field}: {error.message}") from error
        token = services.issue_token(user=user, actor=None, name="bootstrap")
        if quiet:
            self.stdout.write(token)
        else:
            self.stdout.write(f"Made the admin {username}. Its token, shown only now:\n{token}")
