"""One django-q2 cluster, as `manage.py work` starts it."""

from __future__ import annotations

import os
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django_q import cluster

from controlplane.processes import whole_tree_dies_with


class Sentinel(cluster.Sentinel):  # type: ignore[misc] # django-q2 ships no types
    """A sentinel that replaces no part: what dies may have held the lock of the queue, and all goes with it."""

    def reincarnate(self, process: Any) -> None:
        os.killpg(os.getpgrp(), signal.SIGKILL)


class Command(BaseCommand):
    help = "Runs one django-q2 cluster under `manage.py work`, which names it in Q_CLUSTER_NAME. Not for use by hand."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--parent", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        whole_tree_dies_with(options["parent"])
        cluster.Sentinel = Sentinel
        cluster.Cluster().start()
