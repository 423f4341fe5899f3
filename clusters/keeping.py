"""The keepers of containers: resident, one for each place that this machine looks after.

A keeper compares, again and again, what is wanted of containers with what their place says of them, asks the place for
what is missing, and writes down what it saw. Any number of machines may run keepers: a place is kept by one at a time,
whoever holds it in the database. What one leaves half done when it dies, the next one finds in the tables: nothing is
asked for that was not written down before, and to ask twice is to ask once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import IO, Final
from uuid import UUID, uuid4

from django.conf import settings
from django.db import DatabaseError, close_old_connections, connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from clusters import services, states
from clusters.judging import PLACE_FAILS, REFUSED, WAITS_FOR_ROOM, Kept, Verdict, is_due, judge, may_go
from clusters.models import HostingPlace, Placement
from clusters.providers.errors import AuthFailed, NoCapacity, NotFound, NotYet, ProviderError, Refused, Throttled
from clusters.providers.hosting import Hosting
from clusters.queries import hosting_at, hosting_regions
from controlplane.core import instruments, sets
from controlplane.core.bells import answer
from controlplane.core.resident import lock_alone, token_of_this_machine

logger = logging.getLogger("clusters.keeping")
SEEN_SECONDS: Final = 0.5  # so often at most it is written down that the place was seen
HELD_FOR: Final = timedelta(seconds=60)  # twice what a step may take: it is held anew before each
EMPTY_SECONDS: Final = 5.0
SWEEP_SECONDS: Final = 300.0
RETIRE_AGAIN: Final = timedelta(seconds=60)
CALLS_IN_A_TURN: Final = 50
MAX_BACKOFF_SECONDS: Final = 60.0
# How long a keeper rests while something is on its way, and while nothing is: a look costs a cloud calls.
PACE: Final = {"local": (0.1, 1.0)}
CLOUD_PACE: Final = (2.0, 10.0)
# After so long on its way, a look now and then is enough.
HURRY_SECONDS: Final = 15.0
# A look may cost so much of the time between two.
SHARE: Final = 0.1


class Keeper:
    """Looks after one place, a turn at a time. `token` tells keepers apart."""

    def __init__(self, place: HostingPlace, hosting: Hosting, token: UUID | None = None) -> None:
        self._place = place
        self._hosting = hosting
        self._token = token or uuid4()
        self._sweep_at = time.monotonic()
        self._failures = 0
        self._hurry_until = 0.0

    def turn(self) -> float:
        """Do what is due at the place, if it is ours to keep; how many seconds to rest."""
        if not self._hold():
            return EMPTY_SECONDS
        began = time.thread_time()
        services.advance_rollouts()
        rows = services.kept_at(self._place)
        try:
            verdicts = self._look(rows)
            calls = self._act(rows, verdicts)
            self._sweep()
        except ProviderError as error:
            return self._failed(rows, error)
        self._succeeded()
        if not rows:
            return EMPTY_SECONDS
        is_moving = bool(calls) or any(_is_on_its_way(row) for row in rows)
        return max(self._pace(bool(calls), is_moving), (time.thread_time() - began) / SHARE)

    def _pace(self, has_called: bool, is_moving: bool) -> float:
        busy, idle = PACE.get(self._hosting.cloud, CLOUD_PACE)
        now = time.monotonic()
        if has_called:
            self._hurry_until = now + HURRY_SECONDS
        return busy if is_moving and now < self._hurry_until else idle

    def hurry(self) -> None:
        """Somebody has asked for something."""
        self._hurry_until = time.monotonic() + HURRY_SECONDS

    def leave(self) -> None:
        """Let another process keep the place at once."""
        HostingPlace.objects.filter(pk=self._place.pk, keeper=self._token).update(kept_until=None)

    def _hold(self) -> bool:
        free = Q(kept_until__isnull=True) | Q(kept_until__lt=Now()) | Q(keeper=self._token)
        rows = HostingPlace.objects.filter(free, pk=self._place.pk)
        return rows.update(keeper=self._token, kept_until=Now() + HELD_FOR) > 0

    # Looking

    def _look(self, rows: Sequence[Kept]) -> dict[int, Verdict]:
        """What the place says of them, written down; what follows from it, by placement."""
        handles = [row.handle for row in rows if row.handle]
        if not handles:
            seen = {}
        else:
            with instruments.provider_call(self._hosting.cloud, "observe-containers"):
                seen = {each.handle: each for each in self._hosting.observe(handles)}
        now = timezone.now()
        verdicts = [(row, judge(row, seen.get(row.handle), now)) for row in rows]
        services.note(verdicts)
        return {row.pk: verdict for row, verdict in verdicts}

    # Acting

    def _act(self, rows: Sequence[Kept], verdicts: dict[int, Verdict]) -> int:
        """Ask for what is missing, have go what is not wanted: how many calls that took."""
        now = timezone.now()
        left = [row for row in rows if not verdicts[row.pk].is_gone]
        lost = [row for row in left if row.status == states.LEAVING and not row.handle]
        if lost:
            self._find(lost)
        going = [row for row in left if row.handle and may_go(row) and _is_due_to_go(row, now)]
        if going:
            self._retire(going)
        due = [row for row in left if is_due(row) and verdicts[row.pk].status != states.FAILED][:CALLS_IN_A_TURN]
        wishes = services.wishes_of(due) if due else {}
        asked = services.note_asking([row for row in due if row.pk in wishes]) if due else []
        for row in asked:
            if not self._hold():
                break
            self._ask(row, wishes[row.pk])
        return len(lost) + len(going) + len(asked)

    def _ask(self, row: Kept, wish: services.Service) -> None:
        """Have the place run it as it is wanted now. Raises what keeps us from asking for anything there."""
        handle = row.handle
        try:
            if handle and row.generation:
                with instruments.provider_call(self._hosting.cloud, "reconfigure"):
                    self._hosting.reconfigure(handle, wish)
            else:
                with instruments.provider_call(self._hosting.cloud, "provision"):
                    handle = self._hosting.provision(wish)
        except Refused as error:
            services.note_refusal(row, REFUSED, str(error), is_final=True)
        except NotFound:
            services.forget_standing(row)
        except NoCapacity as error:
            services.note_refusal(row, WAITS_FOR_ROOM, str(error), is_final=False)
        except NotYet as error:
            services.note_refusal(row, PLACE_FAILS, str(error), is_final=False)
        except AuthFailed as error:
            services.note_refusal(row, PLACE_FAILS, str(error), is_final=False)
            if not error.customer:
                raise
        else:
            services.note_asked(row, handle, wish.revision)

    def _retire(self, rows: Sequence[Kept]) -> None:
        self._hold()
        try:
            with instruments.provider_call(self._hosting.cloud, "retire"):
                self._hosting.retire([row.handle for row in rows])
        except Refused as error:
            for row in rows:
                services.note_refusal(row, REFUSED, str(error), is_final=row.desired == states.GONE_WANTED)
        services.note_retired(rows)

    def _find(self, rows: Sequence[Kept]) -> None:
        """Learn the handles of what was perhaps provisioned before somebody died."""
        self._hold()
        with instruments.provider_call(self._hosting.cloud, "standing"):
            handles = {name: handle for handle, name in self._hosting.standing().items()}
        services.note_found(rows, handles)

    def _sweep(self) -> None:
        """Retire what stands there and has ended here. What we never had is somebody else's."""
        if time.monotonic() < self._sweep_at:
            return
        self._sweep_at = time.monotonic() + SWEEP_SECONDS
        self._hold()
        with instruments.provider_call(self._hosting.cloud, "standing"):
            standing = {UUID(name): handle for handle, name in self._hosting.standing().items()}
        if not standing:
            return
        over = Placement.objects.filter(sets.among("uuid", list(standing), Placement), status=states.GONE)
        strays = [standing[uuid] for uuid in over.values_list("uuid", flat=True)]
        if strays:
            logger.warning("%d containers stand at %s that have ended; retiring them", len(strays), self._place)
            self._hosting.retire(strays)

    # How the place does

    def _failed(self, rows: Sequence[Kept], error: ProviderError) -> float:
        self._failures += 1
        logger.warning("containers at %s: %s", self._place, error)
        said = str(error)[:500] or type(error).__name__
        HostingPlace.objects.filter(pk=self._place.pk, failure="").update(failing_since=timezone.now())
        HostingPlace.objects.filter(pk=self._place.pk).update(failure=said)
        if isinstance(error, Throttled):
            return min(MAX_BACKOFF_SECONDS, max(1.0, error.retry_after_seconds))
        return min(MAX_BACKOFF_SECONDS, 2.0 ** min(self._failures, 10) / 2)

    def _succeeded(self) -> None:
        self._failures = 0
        place = HostingPlace.objects.filter(pk=self._place.pk)
        place.exclude(failure="").update(failure="", failing_since=None)
        place.filter(Q(seen_at=None) | Q(seen_at__lt=timezone.now() - timedelta(seconds=SEEN_SECONDS))).update(
            seen_at=timezone.now()
        )


def _is_on_its_way(row: Kept) -> bool:
    return is_due(row) or row.container_status in states.CHANGING or row.status == states.LEAVING


def _is_due_to_go(row: Kept, now: datetime) -> bool:
    return row.retired_at is None or now - row.retired_at > RETIRE_AGAIN


class KeeperThread:
    """A keeper's thread: a turn whenever it is woken or has rested."""

    def __init__(self, keeper: Keeper, name: str) -> None:
        self._keeper = keeper
        self._woken = threading.Event()
        # A daemon: a process that is told to stop waits for no cloud, what is half done is found by the next.
        threading.Thread(target=self._run, name=f"keeper {name}", daemon=True).start()

    def wake(self) -> None:
        """There is something new."""
        self._keeper.hurry()
        self._woken.set()

    def _run(self) -> None:
        while True:
            rest = self._turn()
            self._woken.wait(rest)
            self._woken.clear()

    def _turn(self) -> float:
        close_old_connections()
        try:
            return self._keeper.turn()
        except DatabaseError:
            logger.exception("the database failed")
        except Exception:
            logger.exception("a turn failed")
        connection.close()
        return EMPTY_SECONDS


_locks: list[IO[str]] = []  # open for as long as the process lives


@lru_cache(maxsize=1)
def keepers() -> tuple[KeeperThread, ...]:
    """This process's own: they outlive the term of a pass. What a dead one of this machine held is theirs at once."""
    lock = lock_alone("containers")
    token = token_of_this_machine("containers") if lock is not None else uuid4()
    if lock is not None:
        _locks.append(lock)
    made = []
    for cloud, region in hosting_regions():
        try:
            hosting = hosting_at(cloud, region)
        except ValueError as error:
            logger.warning("no containers at %s/%s: %s", cloud, region, error)
            continue
        place, _ = HostingPlace.objects.get_or_create(cloud=cloud, region=region)
        made.append(KeeperThread(Keeper(place, hosting, token), f"{cloud}/{region}"))
    return tuple(made)


def run(stopping: Callable[[], bool], beat: Callable[[], None], threads: Iterable[KeeperThread]) -> None:
    """Keep the keepers awake for a term; then ring, so that another pass follows."""
    answer(settings.CONTAINERS, stopping, beat, threads)
