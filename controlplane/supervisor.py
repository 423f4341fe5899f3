"""The one process to start for background work: it keeps the django-q2 clusters alive.

A django-q2 cluster does not survive its own parts: an idle worker that is killed may hold the lock of
the queue, and the queue then stands still for ever. So a cluster of which any process is missing, or
which does not show a sign of life, is killed whole and started anew; nothing is lost by that, since the
truth is in the tables and every step of the work can be taken up again. All its processes die with us,
however we end.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from django.conf import settings
from django.db import DatabaseError, close_old_connections, transaction
from django.utils import timezone

from accounts.tasks import WEBHOOKS_BEAT
from clusters.providers.errors import ProviderError
from clusters.queries import cloud_regions, has_something_to_keep, local_provider
from clusters.tasks import CONTAINERS_BEAT
from controlplane.core.bells import ring
from controlplane.core.enqueue import enqueue
from controlplane.core.resident import STOPPING
from controlplane.processes import living_tree
from controlplane.schedules import SCHEDULES
from jobs import retention, sql
from jobs.models import Beat
from jobs.services.places import place_id
from jobs.tasks import CANARY_BEAT, CLOUDS_BEAT, PULSE_BEAT

logger = logging.getLogger("controlplane.supervisor")
LOOK_SECONDS: Final = 0.25
RING_AFTER_SECONDS: Final = 1.5
PULSE_SILENT_SECONDS: Final = 6.0
CANARY_SECONDS: Final = 5.0
START_SECONDS: Final = 20.0
PAUSE_SECONDS: Final = 0.5
MAX_PAUSE_SECONDS: Final = 5.0
LEVELS: Final = 3  # main, sentinel, and its workers, monitor and pusher; what these start comes and goes
FORGET_SECONDS: Final = 60.0
STOP_SECONDS: Final = 70.0


def _age(path: Path) -> float:
    """Seconds since the file was touched; for ever when it was not."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except FileNotFoundError:
        return float("inf")


class Cluster:
    """One django-q2 cluster, in a process group of its own."""

    def __init__(self, name: str, workers: int, beat: Path, silent_seconds: float) -> None:
        self.name = name
        self.beat = beat
        self._size = workers + 4  # main, sentinel, monitor, pusher
        self._silent_seconds = silent_seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._complete: frozenset[int] = frozenset()
        self._started = 0.0
        self._start_at = 0.0
        self._pause = 0.0

    def start(self) -> None:
        command = [
            sys.executable,
            str(settings.BASE_DIR / "manage.py"),
            "cluster",
            self.name,
            "--parent",
            str(os.getpid()),
        ]
        self._process = subprocess.Popen(
            command, env={**os.environ, "Q_CLUSTER_NAME": self.name}, start_new_session=True
        )
        self._complete = frozenset()
        self._started = time.monotonic()

    def look(self) -> None:
        """Start it if it is not there, and anew if it is not whole: at once, but later if it does not come up."""
        if self._process is None:
            if time.monotonic() >= self._start_at:
                self.start()
            return
        if fault := self._fault():
            lived = time.monotonic() - self._started
            logger.warning("cluster %s %s after %.0f s: starting it anew", self.name, fault, lived)
            self.kill()
            self._pause = 0.0 if self._complete else min(MAX_PAUSE_SECONDS, self._pause + PAUSE_SECONDS)
            self._start_at = time.monotonic() + self._pause
            if not self._pause:
                self.start()

    def _fault(self) -> str:
        assert self._process is not None
        if self._process.poll() is not None:
            return f"ended with code {self._process.returncode}"
        alive = living_tree(self._process.pid, levels=LEVELS)
        age = time.monotonic() - self._started
        if self._complete:
            if not self._complete <= alive:
                return "lost a process"
            return "shows no sign of life" if min(age, _age(self.beat)) > self._silent_seconds else ""
        if len(alive) >= self._size:
            self._complete = alive
            os.utime(self.beat) if self.beat.exists() else self.beat.touch()
        return "did not come up" if age > START_SECONDS else ""

    def ask_to_stop(self) -> None:
        """Let it end its tasks, if it is whole: what is left of one that lost a process may wait for it for ever."""
        if self._process is None:
            return
        if self._fault() or not self._complete:
            self.kill()
        else:
            self._process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> None:
        """Let it end by itself for so long, then end it."""
        if self._process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(max(0.1, seconds))
        self.kill()

    def kill(self) -> None:
        """End the whole group at once."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


class Supervisor:
    """Runs until SIGTERM or SIGINT."""

    def __init__(self) -> None:
        self._run = settings.RUN_DIR
        pulse = settings.Q_CLUSTER["ALT_CLUSTERS"][settings.PULSE]
        webhooks = settings.Q_CLUSTER["ALT_CLUSTERS"][settings.WEBHOOKS]
        self._passes = [
            Cluster(settings.PULSE, pulse["workers"], self._run / PULSE_BEAT, PULSE_SILENT_SECONDS),
            Cluster(settings.WEBHOOKS, webhooks["workers"], self._run / WEBHOOKS_BEAT, PULSE_SILENT_SECONDS),
        ]
        if cloud_regions():
            clouds = settings.Q_CLUSTER["ALT_CLUSTERS"][settings.CLOUDS]
            beat = self._run / CLOUDS_BEAT
            self._passes.append(Cluster(settings.CLOUDS, clouds["workers"], beat, PULSE_SILENT_SECONDS))
        silent = settings.Q_CLUSTER["timeout"] + 15.0
        self._keeps_containers = False
        self._work = Cluster("work", settings.Q_CLUSTER["workers"], self._run / CANARY_BEAT, silent)
        self._stopping = False
        self._rung_at: dict[str, float] = {}
        self._canary_at = 0.0
        self._forget_at = 0.0

    def run(self) -> None:
        self._run.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self._run / STOPPING).unlink(missing_ok=True)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        Beat.objects.bulk_create(
            [Beat(name=schedule.path, due_at=timezone.now()) for schedule in SCHEDULES], ignore_conflicts=True
        )
        while not self._stopping:
            for cluster in (*self._passes, self._work):
                cluster.look()
            try:
                self._ring()
            except DatabaseError as error:
                logger.warning("the database does not answer: %s", error)
                close_old_connections()
            time.sleep(LOOK_SECONDS)
        self._shut_down()

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _ring(self) -> None:
        """Ring what is due: the passes when they rest, the canary, and the table of schedules.

        Who keeps no containers has no process for it.
        """
        now = time.monotonic()
        if not self._keeps_containers and has_something_to_keep():
            self._keeps_containers = True
            containers = settings.Q_CLUSTER["ALT_CLUSTERS"][settings.CONTAINERS]
            beat = self._run / CONTAINERS_BEAT
            self._passes.append(Cluster(settings.CONTAINERS, containers["workers"], beat, PULSE_SILENT_SECONDS))
        for each in self._passes:
            if _age(each.beat) > RING_AFTER_SECONDS and now - self._rung_at.get(each.name, 0.0) > RING_AFTER_SECONDS:
                self._rung_at[each.name] = now
                with transaction.atomic():
                    ring({each.name})
        if now - self._canary_at > CANARY_SECONDS and _age(self._work.beat) < 2 * CANARY_SECONDS:
            self._canary_at = now
            enqueue("jobs.tasks.answer_canary")
        for schedule in SCHEDULES:
            if sql.take_beat(schedule.path, schedule.every_seconds):
                enqueue(schedule.path)
        if now - self._forget_at > FORGET_SECONDS:
            self._forget_at = now
            retention.forget_outputs(place_id("local", settings.LOCAL_REGION), local_provider())

    def _shut_down(self) -> None:
        """Let the pass end its turn and tasks end; what runs at the provider runs on."""
        (self._run / STOPPING).touch()
        end = time.monotonic() + STOP_SECONDS
        for cluster in (*self._passes, self._work):
            cluster.ask_to_stop()
        for cluster in (*self._passes, self._work):
            cluster.wait(end - time.monotonic())
        with contextlib.suppress(ProviderError):
            local_provider().leave()
