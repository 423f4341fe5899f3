"""One service that stands: which of its configurations runs, which is to take its place, and what has come of that."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from clusters.providers.local import folders
from clusters.providers.local.clients import Message
from clusters.providers.local.hosting import files
from clusters.providers.local.hosting.room import Room
from clusters.providers.local.hosting.runs import Run, Runs
from clusters.providers.local.hosting.wishes import Wish

FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 30.0
# One that was ready for so long was well: what it ends of later is a trouble of its own.
WELL_SECONDS = 60.0
# How long the old one goes on beside the new one, for those who have just been told where it is.
LINGER_SECONDS = 0.5
RUNS_KEPT = 5
_TRY_AGAIN_SECONDS = 1.0


class Seat:
    """A configuration that is kept running: started, looked after, and started again when it has ended."""

    def __init__(self, wish: Wish) -> None:
        self.wish = wish
        self.run: Run | None = None
        self.starts = 0
        self.unready = 0  # runs in a row that were never ready
        self.pauses = 0
        self.start_at = 0.0  # not before, by the monotonic clock
        self.words = ""  # how the last run ended

    def vacate(self, now: float) -> None:
        """Its run has ended: see when the next one begins."""
        run, self.run = self.run, None
        if run is None:
            return
        self.words = run.ended
        self.unready = 0 if run.is_ready else self.unready + 1
        if now - run.ready_at >= WELL_SECONDS:
            self.pauses = 0
        self.start_at = now + min(FIRST_PAUSE_SECONDS * 2.0 ** min(self.pauses, 20), LONGEST_PAUSE_SECONDS)
        self.pauses += 1


class Service:
    """One that stands, until it `is_gone`. `changed` is called when `look` is to be called.

    Whatever is decided is on disk (`files.Record`) before it is done, so that another supervisor goes on from there.
    What cannot be written is decided again a second later; who asked for it is told by OSError.
    """

    def __init__(
        self, folder: str, runs: Runs, room: Room, give_up_after: int, changed: Callable[[], None], record: files.Record
    ) -> None:
        self._folder = folder
        self._name = folder.rpartition("/")[2]
        self._runs = runs
        self._room = room
        self._give_up_after = give_up_after
        self._changed = changed
        self._record = record
        self._serving = Seat(record.serving) if record.serving else None
        self._coming = Seat(record.coming) if record.coming else None
        self._leaving: dict[Run, float] = {}  # and when each has to go
        self._numbers = files.runs(folder)
        self._restarts = 0
        self._lacks_room = False
        self.is_gone = False

    @property
    def is_retired(self) -> bool:
        return self._record.is_retired

    @property
    def _seats(self) -> list[Seat]:
        return [seat for seat in (self._serving, self._coming) if seat is not None]

    @property
    def _has_given_up(self) -> bool:
        return bool(self._record.given_up) and not self._record.is_proven

    # What is asked

    def configure(self, wish: Wish) -> None:
        """Have it run as `wish` says; what has been given up is tried anew."""
        record, serving = self._record, self._serving
        if serving is None or (self._coming and self._coming.wish.revision == wish.revision):
            return
        is_same = serving.wish.revision == wish.revision
        if is_same and not record.given_up and not self._coming:
            return
        if is_same:
            self._decide(record._replace(coming=None, given_up=""))
            serving.unready = serving.pauses = 0
            serving.start_at = 0.0
        elif serving.run is not None or record.is_proven:
            self._decide(record._replace(coming=wish, given_up=""))
        else:
            self._decide(record._replace(serving=wish, coming=None, given_up=""))
        self._changed()

    def retire(self) -> None:
        """Have it go."""
        if not self.is_retired:
            self._decide(files.Record(self._record.since, None, is_retired=True))
        self._changed()

    def adopt(self) -> dict[str, folders.Started]:
        """Go on with the runs of an earlier supervisor. Returns the folders of those that have ended meanwhile."""
        orphans: dict[str, folders.Started] = {}
        for number in reversed(self._numbers):
            path = f"{self._folder}/{number}"
            plan = files.read_plan(path)
            seat = next((each for each in self._seats if plan and each.wish.revision == plan.revision), None)
            if plan:
                self._restarts = max(self._restarts, plan.restarts)
            if seat:
                seat.starts = 1
            if folders.has_ended(path):
                continue
            free = seat if seat and seat.run is None else None
            run = (
                self._runs.adopt(self._folder, number, plan, free.wish if free else None, self._changed)
                if plan
                else None
            )
            if run is None:
                orphans[path] = folders.read_started(path) or {}
            elif free:
                free.run = run
                self._room.take(self._name, self._needed_mib(), forced=True)
            else:
                self._leaving[run] = 0.0
        return orphans

    # What is due

    def look(self, now: float) -> float:
        """Do what is due; when it wants to be looked at again, if nothing changes before."""
        try:
            return self._look(now)
        except OSError as error:
            print(f"{self._name}: {error}", flush=True)
            return now + _TRY_AGAIN_SECONDS

    def _look(self, now: float) -> float:
        self._note_ends(now)
        for run, at in self._leaving.items():
            if at <= now:
                self._runs.stop(run, "it was retired" if self.is_retired else "another has taken its place")
        due = min((at for run, at in self._leaving.items() if not run.is_stopping), default=math.inf)
        if self.is_retired:
            if not self._leaving:
                self._go()
            return due
        due = min([due, *(self._attend(seat, now) for seat in self._seats)])
        return now if self._settle() else due

    def _note_ends(self, now: float) -> None:
        ended = [run for run in self._leaving if run.ended]
        for run in ended:
            del self._leaving[run]
        for seat in self._seats:
            if seat.run is not None and seat.run.ended:
                ended.append(seat.run)
                seat.vacate(now)
        if ended:
            self._forget_old_runs()

    def _forget_old_runs(self) -> None:
        alive = {run.number for run in self._leaving} | {seat.run.number for seat in self._seats if seat.run}
        over = [number for number in self._numbers if number not in alive]
        for number in over[:-RUNS_KEPT]:
            self._runs.forget(f"{self._folder}/{number}")
            self._numbers.remove(number)

    def _attend(self, seat: Seat, now: float) -> float:
        if seat.run is None:
            if self._has_given_up:
                return math.inf
            if now < seat.start_at:
                return seat.start_at
            self._lacks_room = not self._room.take(self._name, self._needed_mib(seat))
            if self._lacks_room:
                return math.inf
            self._start(seat)
        run = seat.run
        if run is None or run.ended or run.is_stopping:
            return math.inf
        due = run.look(now)
        if run.checker is not None and run.checker.is_well is False:
            self._runs.stop(run, f"it was not well: {run.checker.words}")
        return due

    def _start(self, seat: Seat) -> None:
        number = self._numbers[-1] + 1 if self._numbers else 1
        self._numbers.append(number)
        self._restarts += 1 if seat.starts else 0
        seat.starts += 1
        seat.run = self._runs.start(self._folder, number, seat.wish, self._restarts, self._changed)

    def _needed_mib(self, starting: Seat | None = None) -> int:
        """While one takes the place of another both are there; that counts as the larger of them."""
        return max([seat.wish.memory_mib for seat in self._seats if seat.run or seat is starting], default=0)

    # What is decided

    def _settle(self) -> bool:
        """Decide upon what has come of the runs; whether there was something to decide."""
        record, serving, coming = self._record, self._serving, self._coming
        if serving is None:
            return False
        new = record
        if coming and coming.run and coming.run.is_ready:
            new = record._replace(serving=coming.wish, is_proven=True, coming=None)
        elif coming and coming.unready >= self._give_up_after:
            new = record._replace(coming=None, given_up=coming.words)
        elif not record.is_proven and serving.run and serving.run.is_ready:
            new = record._replace(is_proven=True)
        elif not record.is_proven and not serving.run and coming and serving.unready:
            new = record._replace(serving=coming.wish, coming=None)
        elif not record.is_proven and not record.given_up and serving.unready >= self._give_up_after:
            new = record._replace(given_up=serving.words)
        if new is record:
            return False
        self._decide(new)
        return True

    def _decide(self, record: files.Record) -> None:
        """Have `record` on disk, and then in effect. Runs of what it does not name any more have to go."""
        files.write_record(self._folder, record)
        before, now = self._seats, time.monotonic()
        is_taken_over = record.serving is not None and record.is_proven and record.coming is None
        self._record = record
        self._serving, self._coming = _seat_of(record.serving, before), _seat_of(record.coming, before)
        for seat in before:
            if seat.run is not None and seat not in self._seats:
                is_old = is_taken_over and seat is before[0]
                self._leaving[seat.run] = now + LINGER_SECONDS if is_old else now
        if not self._coming:
            self._lacks_room = False
        if self._has_given_up and not any(seat.run for seat in self._seats):
            self._room.give_back(self._name)
        elif any(seat.run for seat in self._seats):
            self._room.take(self._name, self._needed_mib())

    def _go(self) -> None:
        files.remove_record(self._folder)
        self._room.give_back(self._name)
        self.is_gone = True

    # What is told

    def seen(self, now: float) -> Message:
        """How it stands, as `LocalHosting` reads it."""
        record, seats = self._record, self._seats
        if record.is_retired:
            return {"phase": "stopping"}
        run = next((seat.run for seat in seats if seat.run is not None and not seat.run.ended), None)
        phase = "running" if run else "failed" if self._has_given_up else "provisioning"
        wanted = "" if record.given_up else seats[-1].wish.revision
        told: Message = {"phase": phase, "wanted": wanted, "restarts": self._restarts, "lacks_room": self._lacks_room}
        if run is not None:
            plan = run.plan
            told |= {"run": files.run_name(self._name, run.number), "pid": run.work.pid, "started": run.work.started}
            told |= {"host": plan.host, "ports": plan.ports, "revision": plan.revision}
            told["healthy"] = run.checker.is_well if run.checker else None
        waits = min((seat.start_at for seat in seats if seat.run is None), default=0.0) - now
        if waits > 0 and not self._has_given_up:
            told["starts_in_seconds"] = round(waits, 1)
        return {**told, "detail": self._detail()}

    def _detail(self) -> str:
        """What is not as wanted."""
        if self._record.given_up:
            return self._record.given_up
        if self._lacks_room:
            return f"there is no room: {self._room.used_mib} of {self._room.memory_mib} MiB are taken"
        awaited = self._seats[-1]
        checker = awaited.run.checker if awaited.run else None
        if checker is not None and checker.words:
            return f"not well: {checker.words}"
        return "" if awaited.run and not self._coming else awaited.words


def _seat_of(wish: Wish | None, seats: list[Seat]) -> Seat | None:
    """The one that has it already, else a new one."""
    if wish is None:
        return None
    return next((seat for seat in seats if seat.wish.revision == wish.revision), None) or Seat(wish)
