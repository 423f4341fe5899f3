"""Adding up what moved: deltas of counts go over into the sums."""

from __future__ import annotations

from typing import Final

from django.db import transaction
from django.utils import timezone

from jobs import count_sql, counts

BATCH: Final = 5000
BATCHES: Final = 20


def fold_counts() -> int:
    """Add the deltas up, at most BATCH x BATCHES of them, and return how many.

    Any number of callers may do so at once; each delta is added once.
    """
    total = 0
    for _ in range(BATCHES):
        with transaction.atomic():
            folded = count_sql.fold(BATCH, counts.minute_of(timezone.now()) - counts.MINUTES_KEPT)
        total += folded
        if folded < BATCH:
            break
    return total
