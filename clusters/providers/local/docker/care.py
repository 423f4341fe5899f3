"""One service: what is done, each time that somebody looks, so that it runs as it is wished.

Each container of it is one run. A new one is made when none of the wished configuration is there; when that is ready,
all others are stopped. What is known is read from the engine and from the service's folder: so a process that was
killed anywhere is followed by one that goes on from there. Only what is to be asked again anyway is remembered.
"""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import Final

from clusters.providers.base import End
from clusters.providers.errors import NotFound, Refused
from clusters.providers.hosting import Service
from clusters.providers.local import folders, kept
from clusters.providers.local.docker import containers, hosted_containers
from clusters.providers.local.docker.checks import Checks
from clusters.providers.local.docker.engine import Engine
from clusters.providers.local.docker.hosted import Hosted, Ledger, Wish
from clusters.providers.local.docker.hosted_containers import Row, container_name
from clusters.providers.local.docker.images import Images
from clusters.providers.local.docker.output import Files

logger = logging.getLogger("controlplane.docker")
STARTS: Final = 5  # in a row that do not become ready, before a configuration that never was is given up
REFUSALS: Final = 2  # by the engine, likewise
_PAUSE_SECONDS: Final = 0.5  # after the first of them; each further one doubles it
_LONGEST_PAUSE_SECONDS: Final = 60.0
_PROVEN_SECONDS: Final = 10.0  # who runs so long and is ready has no failures behind it
_KILL_AGAIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Home:
    """What all services of a deployment share. `steady_seconds`: who runs so long, and has no check, is ready."""

    engine: Engine
    images: Images
    root: str
    node: str
    shape: containers.Shape
    host: str
    log_cap_bytes: int
    grace_seconds: float
    steady_seconds: float
    closing: Event = field(default_factory=Event)


class Care:
    """Of one service. Not for several threads at once."""

    def __init__(self, home: Home, name: str) -> None:
        self.hosted = Hosted(home.root, name)
        self._home = home
        self._checks: dict[str, Checks] = {}
        self._pressed: dict[str, tuple[int, float]] = {}  # of each run: signals sent, and when the last

    def look(self, rows: Sequence[Row]) -> None:
        """Do what is to be done now. `rows`: its containers, as they are since nobody has touched them."""
        wish, ledger = self.hosted.wish(), self.hosted.ledger()
        before = copy.deepcopy(ledger)
        if wish is not None and wish.attempt != ledger.attempt:
            ledger.begin(wish.attempt)
        target = _target(wish, ledger)
        try:
            self._note_the_lost(rows, ledger, target)
            for row in rows:
                if row.is_over or row.is_fresh:
                    self._bury(row, ledger, target)
            alive = [row for row in rows if row.is_alive]
            ledger.health = {row.run: ledger.health[row.run] for row in alive if row.run in ledger.health}
            if self.hosted.is_retired:
                self._press(alive)
                if not rows:
                    self.hosted.finish()
                return
            if wish is not None:
                self._tend(alive, ledger, wish)
        finally:
            if ledger != before and self.hosted.stands and not (self.hosted.is_retired and not rows):
                self.hosted.note(ledger)
        self._forget_all_but(alive)

    # What runs

    def _tend(self, alive: Sequence[Row], ledger: Ledger, wish: Wish) -> None:
        ready = [row for row in alive if self._is_ready(row, ledger) and row.run not in self._pressed]
        self._give_up_if_due(ledger, wish)
        target = _target(wish, ledger)
        mine = [row for row in alive if target is not None and row.revision == target.revision]
        if arrived := [row for row in ready if row in mine][-1:]:
            self._serve(arrived[0], ledger)
            if arrived[0].age_seconds >= _PROVEN_SECONDS:
                ledger.clear()
            self._press([row for row in alive if row is not arrived[0]])
            return
        if ready and not any(row.run == ledger.serving for row in alive):
            self._serve(ready[-1], ledger)
        held = hosted_containers.serving(alive, ledger.serving)
        self._press([row for row in alive if row is not held and row not in mine])
        for row in alive:
            if ledger.health.get(row.run) is False:
                self._press([row])
        if target is not None and not mine and time.time() >= ledger.again_at:
            self._start(target, ledger)

    def _serve(self, row: Row, ledger: Ledger) -> None:
        ledger.serving = row.run
        ledger.good = self.hosted.service_of(row.run) or ledger.good

    def _is_ready(self, row: Row, ledger: Ledger) -> bool:
        """Whether it has become so; of one that has a check, as that tells now."""
        service = self.hosted.service_of(row.run)
        if service is None or service.health_check is None:
            if row.run == ledger.serving:
                return True
            started = self._home.engine.state(row.container).started
            return started is not None and time.time() - started >= self._home.steady_seconds
        checks = self._checks.get(row.run)
        if checks is None:
            started = self._home.engine.state(row.container).started or time.time()
            began = time.monotonic() - max(time.time() - started, 0.0)
            checks = self._checks[row.run] = Checks(self._home.engine, row.container, service.health_check, began)
        checks.go_on()
        if checks.is_healthy is not None:
            ledger.health[row.run] = checks.is_healthy
        return checks.is_healthy is True or (checks.is_healthy is None and ledger.health.get(row.run, False))

    def _press(self, rows: Sequence[Row]) -> None:
        """Send each the signal that is due: to end, and after some time to be killed."""
        now = time.monotonic()
        for row in rows:
            sent, at = self._pressed.get(row.run, (0, 0.0))
            due = 0.0 if not sent else self._home.grace_seconds if sent == 1 else _KILL_AGAIN_SECONDS
            if sent and now - at < due:
                continue
            self._pressed[row.run] = (sent + 1, now)
            try:
                self._home.engine.kill(row.container, "SIGKILL" if sent else "SIGTERM")
            except (NotFound, Refused) as error:  # it has ended by itself
                logger.debug("%s: %s", row.container, error)

    # Starts

    def _start(self, service: Service, ledger: Ledger) -> None:
        home = self._home
        run = self.hosted.begin_run(service)
        try:
            home.images.ensure(service.image)
            if self._is_stale(ledger):
                self._end_run(run, End.CANCELED, "Something else is asked for.")
                return
            hosted_containers.make(home.engine, home.root, service, run, home.shape, home.host)
            self._count_start(ledger)
            home.engine.start(container_name(service.name, run))
        except (NotFound, Refused) as refusal:
            home.engine.remove(container_name(service.name, run))
            words = _without_secrets(f"{service.image}: {refusal}", service)
            self._end_run(run, End.CANNOT_START, words)
            ledger.refusals += 1
            self._count_failure(ledger, kept.explanation_of_end(self.hosted.run_folder(run)))

    def _count_start(self, ledger: Ledger) -> None:
        """Noted before it runs, so that nobody sees a run that is not counted."""
        ledger.restarts += ledger.starts > 0
        ledger.starts += 1
        self.hosted.note(ledger)

    def _is_stale(self, ledger: Ledger) -> bool:
        """Fetching an image may take minutes: is all as it was before?"""
        wish = self.hosted.wish()
        is_as_before = wish is not None and wish.attempt == ledger.attempt and not self.hosted.is_retired
        return not is_as_before or self._home.closing.is_set()

    def _count_failure(self, ledger: Ledger, words: str) -> None:
        ledger.last_end = words
        ledger.failures += 1
        pause = min(_PAUSE_SECONDS * 2 ** min(ledger.failures - 1, 16), _LONGEST_PAUSE_SECONDS)
        ledger.again_at = time.time() + pause

    def _give_up_if_due(self, ledger: Ledger, wish: Wish) -> None:
        """What has been ready once is started again for ever; what never was is not."""
        was_ready = ledger.good is not None and ledger.good.revision == wish.service.revision
        if not ledger.given_up and not was_ready and (ledger.failures >= STARTS or ledger.refusals >= REFUSALS):
            ledger.given_up = f"given up after {ledger.failures} starts: {ledger.last_end}"
            ledger.clear()

    # Ends

    def _note_the_lost(self, rows: Sequence[Row], ledger: Ledger, target: Service | None) -> None:
        """Containers that somebody has removed, and those that never came to be made."""
        there = {row.run for row in rows}
        for run in self.hosted.runs():
            if run not in there and not folders.has_ended(self.hosted.run_folder(run)):
                service = self.hosted.service_of(run)
                self._end_run(run, End.LOST, "The container is gone.")
                self._count_end(run, service.revision if service else "", ledger, target)

    def _bury(self, row: Row, ledger: Ledger, target: Service | None) -> None:
        """Keep what a container wrote and how it ended, and remove it. One that never ran is only removed."""
        engine, folder = self._home.engine, self.hosted.run_folder(row.run)
        if row.is_over and not folders.has_ended(folder):
            state = engine.state(row.container)
            folders.make_folder(folder)
            output = engine.output(row.container, follow=False)
            try:
                with Files(folder, 2 * self._home.log_cap_bytes) as files:  # of both streams; one is used
                    files.settle(("stdout", text) for _, text in output)
            finally:
                output.close()
            detail = "OOMKilled: it wanted more memory than it has." if state.out_of_memory else state.error
            if ledger.health.get(row.run) is False:
                detail = f"Its health check failed. {detail}".strip()
            service = self.hosted.service_of(row.run)
            words = _without_secrets(detail, service) if service else detail
            self._end_run(row.run, End.EXITED, words, state.exit_code, state.started, state.finished)
            self._count_end(row.run, row.revision, ledger, target)
        elif row.is_fresh and not folders.has_ended(folder):
            folders.make_folder(folder)
            self._end_run(row.run, End.LOST, "It was made, and not started.")
        engine.remove(row.container)

    def _count_end(self, run: str, revision: str, ledger: Ledger, target: Service | None) -> None:
        if target is not None and revision == target.revision:
            self._count_failure(ledger, kept.explanation_of_end(self.hosted.run_folder(run)))

    def _end_run(
        self,
        run: str,
        end: End,
        detail: str,
        code: int | None = None,
        started: float | None = None,
        finished: float | None = None,
    ) -> None:
        self.hosted.end_run(
            run,
            {
                "started": started,
                "ended": finished or time.time(),
                "code": code,
                "end": end.value,
                "detail": detail,
                "node": self._home.node,
            },
        )

    def _forget_all_but(self, alive: Sequence[Row]) -> None:
        runs = {row.run for row in alive}
        self._checks = {run: checks for run, checks in self._checks.items() if run in runs}
        self._pressed = {run: sent for run, sent in self._pressed.items() if run in runs}


def _target(wish: Wish | None, ledger: Ledger) -> Service | None:
    """What is worked towards: what is wished or, when that has been given up, what was ready last."""
    if wish is None:
        return None
    return ledger.good if ledger.given_up and wish.attempt == ledger.attempt else wish.service


def _without_secrets(text: str, service: Service) -> str:
    for value in service.secrets.values():
        text = text.replace(value, "…") if value else text
    return text
