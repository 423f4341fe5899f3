"""The bells of resident processes: a row for each in their queue, in the transaction of what they are to see."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from controlplane.core import sets
from controlplane.core.doorbell import Doorbell, socket_of, sound
from controlplane.core.enqueue import bell

TERM_SECONDS: Final = 20.0  # for which one pass of a resident answers
BEAT_SECONDS: Final = 0.5
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


class Sleeper(Protocol):
    """Somebody who does what there is to do, and rests in between."""

    def wake(self) -> None: ...


def answer(queue: str, stopping: Callable[[], bool], beat: Callable[[], None], sleepers: Iterable[Sleeper]) -> None:
    """Wake the sleepers when the bell of `queue` rings, for a term; then ring, so that another pass follows."""
    sleepers = tuple(sleepers)
    doorbell = Doorbell(queue, socket_of(queue))
    end = time.monotonic() + TERM_SECONDS
    rung = True
    try:
        while not stopping() and time.monotonic() < end:
            beat()
            doorbell.listen()
            if rung and _take(queue):
                for sleeper in sleepers:
                    sleeper.wake()
            rung = doorbell.wait(BEAT_SECONDS)
        with transaction.atomic():
            ring({queue})
    finally:
        doorbell.close()


def _take(queue: str) -> bool:
    """Were there any? On SQLite every commit sounds, the sleepers' own, too: so look before writing anything."""
    if not OrmQ.objects.filter(key=queue).exists():
        return False
    sets.run("DELETE FROM django_q_ormq WHERE key = %s", [queue])
    return True
