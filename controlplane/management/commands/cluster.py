"""One django-q2 cluster, as `manage.py work` starts it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django_q.cluster import Cluster

from controlplane.processes import whole_tree_dies_with_parent


class Command(BaseCommand):
    help = "Runs one django-q2 cluster under `manage.py work`, which names it in Q_CLUSTER_NAME. Not for use by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--parent", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        whole_tree_dies_with_parent(options["parent"])
        Cluster().start()
