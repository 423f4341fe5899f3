"""Our django-q2 broker: the ORM broker, woken by the doorbell instead of by polling.

What differs from django_q.brokers.orm.ORM: a queue is read in the order of its rows; enqueue sounds the
bell after the commit; dequeue waits for the bell; only functions of settings.TASKS are run.
"""

from __future__ import annotations

import logging
import random
import time
from functools import partial

from django.conf import settings
from django.db import OperationalError, transaction
from django.utils import timezone
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.signing import BadSignature, SignedPackage

from controlplane.core.doorbell import Doorbell, sound

logger = logging.getLogger("controlplane.broker")
LOOK_AGAIN_SECONDS = 2.0


class Broker(ORM):  # type: ignore[misc] # django-q2 ships no types
    """One queue of the task table."""

    _bell: Doorbell | None = None

    def enqueue(self, task: str) -> int:
        row = OrmQ.objects.create(key=self.list_key, payload=task, lock=timezone.now())
        transaction.on_commit(partial(sound, self.list_key))
        return int(row.pk)

    def dequeue(self) -> list[tuple[int, str]] | None:
        """The next task, or None after a wait. django-q2's pusher calls this in a loop."""
        if self._bell is None:
            self._bell = Doorbell(self.list_key)
        try:
            self._bell.listen()
            taken = self._take()
        except OperationalError:
            # The pusher would sleep 10 s and die on an exception; the database may be back much sooner.
            logger.warning("queue %s cannot be read", self.list_key, exc_info=True)
            time.sleep(0.2 + random.random() / 4)  # noqa: S311
            return None
        if taken:
            return taken
        self._bell.wait(LOOK_AGAIN_SECONDS)
        return None

    def _take(self) -> list[tuple[int, str]]:
        rows = self.get_connection().filter(key=self.list_key, lock__lte=timezone.now()).order_by("id")[:1]
        for row in rows:
            # Another cluster may have been faster: the row is ours only if its lock is still the one we read.
            if not self.get_connection().filter(id=row.pk, lock=row.lock).update(lock=self.timeout(row)):
                continue
            if _function(row.payload) in settings.TASKS:
                return [(row.pk, row.payload)]
            logger.error("deleted a task that names no function of settings.TASKS")
            self.delete(row.pk)
        return []


def _function(payload: str) -> str:
    try:
        return str(SignedPackage.loads(payload)["func"])
    except (BadSignature, TypeError, KeyError):
        return ""
