"""One django-q2 cluster, as `manage.py work` starts it."""

from __future__ import annotations

import os
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django_q import cluster

from controlplane.processes import whole_tree_dies_with_parent


class Sentinel(cluster.Sentinel):  # type: ignore[misc] # django-q2 ships no types
    """A sentinel that replaces no part: what dies may have held the lock of the queue, and all goes with it."""

    def reincarnate(self, process: Any) -> None:
        os.killpg(os.getpgrp(), signal.SIGKILL)


class Command(BaseCommand):
    help = "Runs one django-q2 cluster under `manage.py work`, which names it in Q_CLUSTER_NAME. Not for use by hand."
    # `manage.py work` has run them, and a cluster that is started anew has to be there soon.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--parent", type=int, required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        whole_tree_dies_with_parent(options["parent"])
        cluster.Sentinel = Sentinel
        cluster.Cluster().start()
