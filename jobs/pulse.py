"""The resident pass: one process per place that schedules as things happen.

It runs as a django-q2 task of the queue `pulse-<region>`, for a term, and rings for the next one at its
end. While it runs it wakes for the bell of a submit, for what the place's provider tells, and for the
tick that makes good whatever was missed. `beat` is called in every turn: a silent one is killed.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from django.conf import settings
from django.db import transaction

from clusters.providers.base import Observation, Phase
from clusters.providers.errors import ProviderError
from clusters.providers.local.runtime import Runtime
from controlplane.core import instruments, sets
from controlplane.core.bells import ring
from controlplane.core.doorbell import Doorbell, socket_of
from jobs import scheduling
from jobs.carrying import Carried, carriers_of
from jobs.models import RunsFor
from jobs.services import advance_mapreduce, leave_crowded, report_place

logger = logging.getLogger("jobs.pulse")
TERM_SECONDS: Final = 20.0
TICK_SECONDS: Final = 1.0
TURN_SECONDS: Final = 0.5
SHORT_SECONDS: Final = 1.0
WINDOW_SECONDS: Final = 0.25
BUSY_ENDS: Final = 10  # within the window
GATHER_ENDS: Final = 20
GATHER_AT_MOST_SECONDS: Final = 0.06


class Pace:
    """How many short executions the place has just finished: what it may be given beyond its room."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=4096)

    def note(self, observations: Sequence[Observation]) -> None:
        now = time.monotonic()
        for seen in observations:
            if not (seen.phase is Phase.ENDED and seen.started_at and seen.ended_at):
                continue
            if (seen.ended_at - seen.started_at).total_seconds() < SHORT_SECONDS:
                self._ends.append(now)

    def just_ended(self) -> int:
        since = time.monotonic() - WINDOW_SECONDS
        while self._ends and self._ends[0] < since:
            self._ends.popleft()
        return len(self._ends)

    def gather_seconds(self) -> float:
        """How long to let ends come together while many short jobs end one by one: a set costs little more than one.

        About GATHER_ENDS of them; the place has as many in line, so it does not rest meanwhile.
        """
        ends = self.just_ended()
        return min(GATHER_AT_MOST_SECONDS, GATHER_ENDS * WINDOW_SECONDS / ends) if ends >= BUSY_ENDS else 0.0


class Pulse:
    """Schedules one local place."""

    def __init__(self, place_id: int, provider: Runtime, beat: Callable[[], None], queue: str) -> None:
        self._place_id = place_id
        self._provider = provider
        self._beat = beat
        self._queue = queue
        self._bell = Doorbell(queue, socket_of(queue))
        self._watch = scheduling.Watch({})
        self._pace = Pace()
        self._carriers = carriers_of(place_id)
        self._tick_at = 0.0

    def run(self, stopping: Callable[[], bool], term_seconds: float = TERM_SECONDS) -> None:
        """Schedule until the term is over or `stopping`; then ring, so that another pass follows."""
        end = time.monotonic() + term_seconds
        rung = True
        try:
            while not stopping() and time.monotonic() < end:
                self._beat()
                self._bell.listen()
                rung = self._turn(rung)
                time.sleep(self._pace.gather_seconds())
                rung = rung or self._bell.wait(TURN_SECONDS, self._provider.fileno(), self._carriers.fileno())
            with transaction.atomic():
                ring({self._queue})
        finally:
            self._bell.close()

    def _turn(self, rung: bool) -> bool:
        """One look at everything. True when there may be more to claim at once."""
        tick = time.monotonic() >= self._tick_at
        try:
            with instruments.provider_call(self._provider.cloud, "read"):
                seen = self._provider.read()
            self._pace.note(seen)
            scheduling.apply(seen)
            carried = self._carriers.read()
            # First what is under way: it takes its time elsewhere while new work is looked for here.
            if seen or carried:
                self._carriers.look()
            if Carried.BROUGHT in carried:
                scheduling.hand_over(self._place_id, self._provider)
            again = self._make_good() if tick else []
            if rung or tick:
                sets.run("DELETE FROM django_q_ormq WHERE key = %s", [self._queue])
                scheduling.pass_on_cancels(self._place_id, self._provider)
            claimed = 0
            if rung or tick or seen or Carried.ENDED in carried:
                advance_mapreduce(self._place_id)
                claimed = scheduling.claim(self._place_id, just_ended=self._pace.just_ended()) or 0
            if claimed or tick:
                self._carriers.look()
            if claimed or again or tick or rung:
                scheduling.hand_over(self._place_id, self._provider, again)
            return claimed == scheduling.CLAIM_AT_MOST
        except ProviderError as error:
            logger.warning("the local provider failed: %s", error)
            time.sleep(TURN_SECONDS)
            return True

    def _make_good(self) -> list[str]:
        """What is done by the clock: report the place, wake what is due, look at all that is active."""
        self._tick_at = time.monotonic() + TICK_SECONDS
        with instruments.provider_call(self._provider.cloud, "capacity"):
            capacity = self._provider.capacity()
        report_place(
            self._place_id,
            vcpus_milli=capacity.vcpus_milli,
            memory_mib=capacity.memory_mib,
            disk_free_mib=capacity.disk_free_mib,
            runs_for=_runs_for(capacity.isolated),
        )
        scheduling.wake_delayed()
        leave_crowded()
        return scheduling.observe(self._place_id, self._provider, self._watch)


def _runs_for(isolated: bool) -> str:
    if isolated:
        return RunsFor.EVERYONE
    return RunsFor.STAFF if settings.DEBUG or settings.LOCAL_UNISOLATED else RunsFor.NOBODY
