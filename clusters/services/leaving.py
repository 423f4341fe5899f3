"""What becomes of the clusters of somebody whose account was closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from accounts.following import follow
from accounts.models import Event, User
from clusters.models import Cluster, Container
from clusters.services.clusters import archive_row
from clusters.services.containers import drop

FOLLOWER: Final = "container-closings"
KIND: Final = "user.closing"
AT_ONCE: Final = 10  # accounts


def follow_closings() -> None:
    """Have go what stands of those whose accounts were closed since."""
    while follow(FOLLOWER, {KIND}, _drop_all, AT_ONCE):
        pass


def _drop_all(events: Sequence[Event]) -> None:
    for user in User.objects.filter(pk__in=[event.subject_id for event in events]):
        rows = Container.objects.select_for_update().filter(owner=user, archived_at=None).order_by("pk")
        drop(list(rows.values_list("pk", flat=True)), user)
        for cluster in Cluster.objects.select_for_update().filter(owner=user, archived_at=None).order_by("pk"):
            archive_row(cluster, user)
