"""Doing a thing once per key, however often it is asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from accounts.models import IdempotencyKey, User
from controlplane.core import sets
from controlplane.core.errors import Conflict, InvalidRequest, Unprocessable

KEPT: Final = timedelta(hours=24)


class InFlight(Conflict):
    """A request with this Idempotency-Key is being worked on; ask again in a second."""

    code = "IN_FLIGHT"
    retry_after_seconds = 1


class KeyReused(Unprocessable):
    """This Idempotency-Key came with another request before."""

    code = "IDEMPOTENCY_KEY_REUSED"


def once(user: User, key: str, request: bytes, work: Callable[[], list[str]]) -> list[str]:
    """What `work` returned for this key the first time, within 24 hours; `work` runs at most once.

    `work` runs in the transaction that stores its answer (ids of what it made), so that both exist or
    neither. Raises InFlight while another request with the key runs, KeyReused when `request` differs
    from the first one's.
    """
    if not key or not key.isprintable() or len(key) > 255:
        raise InvalidRequest("An Idempotency-Key is 1 to 255 printable characters.", field="Idempotency-Key")
    digest = hashlib.sha256(request).hexdigest()
    with transaction.atomic():
        _lock(user, key)
        kept = IdempotencyKey.objects.filter(user=user, key=key).first()
        if kept is not None and kept.created_at > timezone.now() - KEPT:
            if kept.digest != digest:
                raise KeyReused
            made: list[str] = kept.objects_made
            return made
        made = work()
        values = {"digest": digest, "objects_made": made, "created_at": timezone.now()}
        IdempotencyKey.objects.update_or_create(user=user, key=key, defaults=values)
        return made


def _lock(user: User, key: str) -> None:
    """SQLite has one writer at a time: there the transaction itself is the lock, and the second one waits."""
    if sets.is_postgresql():
        number = int.from_bytes(hashlib.sha256(f"{user.pk}:{key}".encode()).digest()[:8], "big", signed=True)
        if not sets.run("SELECT pg_try_advisory_xact_lock(%s)", [number])[0][0]:
            raise InFlight
