"""Ringing the queues of resident processes: a row for each, in the transaction of what they are to see."""

from __future__ import annotations

from functools import partial
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from controlplane.core import sets
from controlplane.core.doorbell import sound
from controlplane.core.enqueue import bell

_PULSE: Final = "jobs.tasks.run_pass"  # what the queue of every machine wakes


def ring(queues: set[str]) -> None:
    """Wake the residents of `queues`. Caller holds the transaction of what they are to see.

    A bell is rung always, whether or not one is waiting already: whoever leaves it out because of a
    bell that another transaction is about to take loses the wake-up.
    """
    now = timezone.now()
    sets.insert(OrmQ, ("key", "payload", "lock"), [(queue, bell_of(queue), now) for queue in queues])
    sound_after_commit(queues)


def bell_of(queue: str) -> str:
    """The payload that wakes the resident of `queue`: for statements that insert it themselves."""
    residents = {queue: path for path, queue in settings.TASKS.items() if queue != "work"}
    return bell(residents.get(queue, _PULSE))


def sound_after_commit(queues: set[str]) -> None:
    for queue in queues:
        transaction.on_commit(partial(sound, queue))
