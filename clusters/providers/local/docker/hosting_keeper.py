"""Who keeps the long-running containers of a deployment: one process at a time, by a lock on its folder.

Every process that provisions or observes would, and waits for the lock: when the one that has it ends, another goes on.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from clusters.providers.errors import ProviderError
from clusters.providers.local.docker import hosted, hosted_containers
from clusters.providers.local.docker.care import Care, Home
from clusters.providers.local.docker.hosted_containers import Row

logger = logging.getLogger("controlplane.docker")
LOCK: Final = "containers.lock"
LOOK_SECONDS: Final = 0.3
CLOSE_SECONDS: Final = 30.0
_AT_ONCE: Final = 8  # services that are started, or fetch an image
_AWAY_SECONDS: Final = 5.0  # between two looks at an engine that does not answer
_PRUNE_SECONDS: Final = 60.0


class HostingKeeper:
    """Looks at every service, again and again, until it is closed. For any thread.

    `make_home` is called in the thread of its own, once the lock is had. Of each service the output of `keep_runs`
    ended runs is kept; of what is gone, for `keep_seconds`.
    """

    def __init__(self, root: str, make_home: Callable[[], Home], *, keep_runs: int, keep_seconds: float) -> None:
        self._root = root
        self._make_home = make_home
        self._keep_runs = keep_runs
        self._keep_seconds = keep_seconds
        self._closing = threading.Event()
        self._wake = threading.Event()
        self._cares: dict[str, Care] = {}
        self._under_way: dict[str, Future[None]] = {}
        self._pruned_at = 0.0
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="hosting")
        self._thread = threading.Thread(target=self._keep, name="hosting-keeper", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Something is asked for: look now."""
        self._wake.set()

    def close(self) -> None:
        """Leave off. Containers go on."""
        self._closing.set()
        self._wake.set()
        self._thread.join(CLOSE_SECONDS)

    def _keep(self) -> None:
        lock_fd, home = None, None
        while not self._closing.is_set():
            pause = LOOK_SECONDS
            try:
                lock_fd = lock_fd if lock_fd is not None else _take_lock(self._root)
                if lock_fd is not None:
                    home = home or self._make_home()
                    self._look(home)
            except ProviderError as error:
                logger.warning("containers are not looked after: %s", error)
                pause = _AWAY_SECONDS
            except Exception:  # whatever it is: containers must not be left alone
                logger.exception("containers are not looked after")
                pause = _AWAY_SECONDS
            self._wake.wait(pause)
            self._wake.clear()
        if home is not None:
            home.closing.set()
        self._pool.shutdown(cancel_futures=True)
        if lock_fd is not None:
            os.close(lock_fd)

    def _look(self, home: Home) -> None:
        # Before the list is made: who is under way now may have changed what it shows.
        free = [name for name in hosted.names(self._root) if self._is_free(name)]
        rows = hosted_containers.rows_of(home.engine, self._root)
        for name in free:
            care = self._cares.get(name) or Care(home, name)
            if care.hosted.stands:
                self._cares[name] = care
                self._under_way[name] = self._pool.submit(self._care, care, rows.get(name, []))
            else:
                self._cares.pop(name, None)
        if time.monotonic() - self._pruned_at > _PRUNE_SECONDS or not self._pruned_at:
            self._pruned_at = time.monotonic()
            for name in free:
                hosted.Hosted(self._root, name).prune(self._keep_runs, self._keep_seconds)

    def _is_free(self, name: str) -> bool:
        future = self._under_way.get(name)
        if future is not None and future.done():
            del self._under_way[name]
            return True
        return future is None

    def _care(self, care: Care, rows: list[Row]) -> None:
        try:
            care.look(rows)
        except ProviderError as error:
            logger.warning("container %s: %s", care.hosted.name, error)
        except Exception:  # one must not keep the others from being looked after
            logger.exception("container %s: trying again", care.hosted.name)


def _take_lock(root: str) -> int | None:
    """None while another process has it."""
    os.makedirs(root, 0o700, exist_ok=True)
    fd = os.open(f"{root}/{LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd
