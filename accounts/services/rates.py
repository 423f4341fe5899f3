"""How often somebody may do something: counted in the database, so by all web processes together."""

from __future__ import annotations

import hashlib
import math
from datetime import timedelta

from django.db.models import F
from django.utils import timezone

from accounts.errors import TooOften
from accounts.models import Rate


def spend(what: str, by: str, most: int, seconds: int) -> None:
    """Count one more `what` of `by`. Raises TooOften when it would be more than `most` within `seconds`.

    A refused one does not count. The span begins with the first and starts anew when it is over. Each step is one
    guarded statement: two requests at once never both take the last.
    """
    key = hashlib.sha256(f"{what}\n{seconds}\n{by}".encode("utf-8", "surrogatepass")).hexdigest()
    now = timezone.now()
    span = timedelta(seconds=seconds)
    rows = Rate.objects.filter(key=key)
    if rows.filter(began_at__gt=now - span, count__lt=most).update(count=F("count") + 1):
        return
    if rows.filter(began_at__lte=now - span).update(began_at=now, count=1):
        return
    made = Rate(key=key, began_at=now, count=0)
    Rate.objects.bulk_create([made], ignore_conflicts=True)
    if rows.filter(count__lt=most).update(count=F("count") + 1):
        return
    error = TooOften()
    began = rows.values_list("began_at", flat=True).first() or now
    error.retry_after_seconds = max(1, math.ceil((began + span - now).total_seconds()))
    raise error
