"""Who keeps the containers of a deployment: one process at a time, by a lock on its folder."""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

from clusters.providers.base import End, Work
from clusters.providers.errors import ProviderError
from clusters.providers.local import folders
from clusters.providers.local.docker import containers
from clusters.providers.local.docker.life import House, Life

logger = logging.getLogger("controlplane.docker")
LOCK: Final = "docker.lock"
PRESS_SECONDS: Final = 0.2
LIST_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 30.0


class Keeper:
    """The line, the executions that have left it, and the clock that stops them. For any thread.

    Made with the lock taken and with everything adopted that the engine has. `vcpus_milli` and
    `memory_mib` are the room; `tell` is called with each execution that has started or ended.
    Raises ProviderError when another process keeps these containers, or the engine does not answer.
    """

    def __init__(self, house: House, *, vcpus_milli: int, memory_mib: int, tell: Callable[[str], None]) -> None:
        self._house = house
        self._vcpus_milli = vcpus_milli
        self._memory_mib = memory_mib
        self._tell_outside = tell
        self._lock = threading.RLock()
        self._line: dict[str, Life] = {}
        self._lives: dict[str, Life] = {}
        self._in_room: dict[str, Life] = {}
        self._threads: dict[str, threading.Thread] = {}
        self._wake = threading.Event()
        self._suspects: set[str] = set()
        self._lock_fd = _take_lock(house.root)
        try:
            self._adopt()
        except BaseException:
            self.close()
            raise
        self._clock = threading.Thread(target=self._tick, name="container-clock", daemon=True)
        self._clock.start()

    def hand_over(self, works: Sequence[Work]) -> None:
        """Put in line what has not been handed over before, and start what there is room for."""
        with self._lock:
            for work in works:
                if self.is_new(work.execution_id):
                    room = (work.vcpus_milli, work.memory_mib)
                    self._line[work.execution_id] = self._life(work.execution_id, work, room, work.timeout_seconds)
            self._fill()

    def cancel(self, execution_ids: Sequence[str]) -> None:
        """Stop each; what is in line or unknown never starts."""
        for execution_id in execution_ids:
            with self._lock:
                life = self._lives.get(execution_id)
                if life is None and not self._is_taken(execution_id):
                    self._line.pop(execution_id, None)
                    self._life(execution_id, None, (0, 0), None).stop(End.CANCELED)
            if life is not None:
                life.stop(End.CANCELED)
        self._wake.set()

    def knows(self, execution_id: str) -> bool:
        """Is it in line, or on its way to its end?"""
        with self._lock:
            life = self._lives.get(execution_id) or self._line.get(execution_id)
            return life is not None and not life.has_ended

    def is_new(self, execution_id: str) -> bool:
        """Has it still to be put in line, when it is handed over?"""
        with self._lock:
            return not self.knows(execution_id) and not self._is_taken(execution_id)

    def is_in_line(self, execution_id: str) -> bool:
        with self._lock:
            return execution_id in self._line

    def lose(self, execution_id: str) -> None:
        """Note the end of one that ran, and whose container is gone, if that is so."""
        with self._lock:
            if not self.knows(execution_id) and self._is_taken(execution_id):
                self._begin(self._life(execution_id, None, (0, 0), None))

    def close(self) -> None:
        """Hang up. Containers go on."""
        self._house.closing.set()
        self._wake.set()
        with self._lock:
            self._line.clear()
            lives, threads = list(self._lives.values()), list(self._threads.values())
        for life in lives:
            life.cut_off()
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        os.close(self._lock_fd)

    def _adopt(self) -> None:
        engine, root = self._house.engine, self._house.root
        for found in engine.containers(root):
            if not folders.is_execution_id(found.name):
                continue
            if found.is_over and not os.path.isdir(folders.folder_of(root, found.name)):
                containers.remove(engine, root, found.name)  # forgotten before it could be removed
                continue
            room, timeout = containers.room_of(found.labels), containers.timeout_of(found.labels)
            with self._lock:
                self._begin(self._life(found.name, None, room, timeout))

    def _life(self, execution_id: str, work: Work | None, room: tuple[int, int], timeout: int | None) -> Life:
        return Life(
            self._house, execution_id, work, room=room, timeout_seconds=timeout, tell=self._tell, leave=self._leave
        )

    def _is_taken(self, execution_id: str) -> bool:
        """Has it ended, or may it have run? What was taken, and came no further, may still be started."""
        folder = folders.folder_of(self._house.root, execution_id)
        return folders.has_ended(folder) or bool(folders.read_started(folder))

    def _fill(self) -> None:
        """Start from the line what there is room for; the first is not overtaken. The caller holds the lock."""
        while self._line:
            life = min(self._line.values(), key=lambda one: one.priority)  # of equals the first to come
            if not self._fits(life):
                return
            del self._line[life.execution_id]
            self._begin(life)

    def _fits(self, life: Life) -> bool:
        inside = self._in_room.values()
        return not inside or (
            sum(one.vcpus_milli for one in inside) + life.vcpus_milli <= self._vcpus_milli
            and sum(one.memory_mib for one in inside) + life.memory_mib <= self._memory_mib
        )

    def _begin(self, life: Life) -> None:
        self._lives[life.execution_id] = self._in_room[life.execution_id] = life
        self._threads[life.execution_id] = life.start()

    def _tell(self, life: Life) -> None:
        if life.has_ended:
            with self._lock:
                if self._in_room.pop(life.execution_id, None) and not self._house.closing.is_set():
                    self._fill()
        self._tell_outside(life.execution_id)

    def _leave(self, life: Life) -> None:
        with self._lock:
            self._lives.pop(life.execution_id, None)
            self._threads.pop(life.execution_id, None)
            self._in_room.pop(life.execution_id, None)

    def _tick(self) -> None:
        listed_at = time.monotonic()
        while not self._house.closing.is_set():
            self._wake.wait(PRESS_SECONDS)
            self._wake.clear()
            with self._lock:
                lives = list(self._lives.values())
            for life in lives:
                life.press()
            if lives and time.monotonic() - listed_at > LIST_SECONDS:
                listed_at = time.monotonic()
                self._cut_off_the_over()

    def _cut_off_the_over(self) -> None:
        """An engine may forget to end the output of a container: what is seen over twice is not waited for."""
        try:
            over = {found.name for found in self._house.engine.containers(self._house.root) if found.is_over}
        except ProviderError as error:
            logger.warning("%s", error)
            return
        with self._lock:
            stuck = [self._lives[name] for name in over & self._suspects if name in self._lives]
        self._suspects = over
        for life in stuck:
            life.cut_off()


def _take_lock(root: str) -> int:
    folders.make_root(root)
    fd = os.open(f"{root}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise ProviderError(f"another process keeps the containers of {root}") from error
    return fd
