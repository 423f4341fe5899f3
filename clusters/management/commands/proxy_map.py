"""`manage.py proxy_map`: how a proxy leads clients to the containers that run."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from clusters.proxy_map import leads, nginx


class Command(BaseCommand):
    help = "Print the configuration of a proxy that leads clients to the containers that run just now."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--format", choices=["nginx"], default="nginx")
        parser.add_argument("--port", type=int, default=8080, help="where the proxy listens")

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(nginx(leads(), options["port"]))
