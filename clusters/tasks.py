"""The functions that django-q2 may run for clusters: thin, safe to repeat. The table is settings.TASKS."""

from __future__ import annotations

from typing import Final

from clusters import keeping, services
from controlplane.core.resident import is_stopping, touch

CONTAINERS_BEAT: Final = "containers.beat"


def run_keepers() -> None:
    """Look after containers for a term."""
    keeping.run(is_stopping, lambda: touch(CONTAINERS_BEAT), keeping.keepers())


def count_peers() -> None:
    """Add up how long peers were connected to containers since they were last read."""
    services.count_peers()


def follow_closings() -> None:
    """Have go what stands of those whose accounts were closed."""
    services.follow_closings()
