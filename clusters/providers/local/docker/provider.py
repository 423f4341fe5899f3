"""The `local` provider's docker runtime: each job in a container of Docker or Podman."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from clusters.providers.base import Capacity, Observation, Phase, Work
from clusters.providers.errors import NotFound, Refused
from clusters.providers.local import folders, kept
from clusters.providers.local.docker.containers import Shape
from clusters.providers.local.docker.engine import Engine
from clusters.providers.local.docker.images import Images
from clusters.providers.local.docker.keeper import Keeper
from clusters.providers.local.docker.life import House
from clusters.providers.local.runtime import Runtime

GRACE_SECONDS: Final = 5.0


class DockerProvider(Runtime):
    """Runs works as containers of the engine at `base_url` ("": the one the environment names).

    The first that hands over, observes or cancels keeps the containers of `root` from then on, until it is
    closed: it follows their output, stops them in time and notes their ends in `root`. In other processes
    `logs`, `capacity` and `forget` work, and the others raise ProviderError. Containers outlive their
    keeper; the next one takes them over. `vcpus_milli` and `memory_mib` are what may be taken at once.

    `pull`: fetch images when they are "missing", "never" or "always". `network`: "bridge", "none", "host" or
    a network's name. With `read_only` containers can write to /tmp alone, which is then in their memory.
    `pids_limit` 0: no limit; `user` "": the image's own.
    """

    def __init__(
        self,
        root: Path,
        *,
        base_url: str = "",
        vcpus_milli: int,
        memory_mib: int,
        log_cap_bytes: int,
        pull: str = "missing",
        network: str = "bridge",
        read_only: bool = False,
        pids_limit: int = 0,
        user: str = "",
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        self._root = root.resolve()
        self._vcpus_milli = vcpus_milli
        self._memory_mib = memory_mib
        self._log_cap_bytes = log_cap_bytes
        self._grace_seconds = grace_seconds
        self._shape = Shape(network, read_only, pids_limit, user)
        self._engine = Engine(base_url)
        self._images = Images(self._engine, pull)
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._keeper: Keeper | None = None
        self._news: deque[str] = deque()
        self._bell: tuple[int, int] | None = None  # a pipe, while there is a keeper

    def run(self, works: Sequence[Work]) -> None:
        if not works:
            return
        self._check(work.execution_id for work in works)
        keeper = self._keep()
        for image in {work.image for work in works if keeper.is_new(work.execution_id)}:
            self._images.check(image)
        keeper.hand_over(works)

    def observe(self, execution_ids: Sequence[str]) -> list[Observation]:
        ids = [id_ for id_ in execution_ids if folders.is_execution_id(id_)]
        seen = {id_: kept.observation(self._folder(id_), id_) for id_ in ids}
        if any(one is None or one.phase is not Phase.ENDED for one in seen.values()):
            keeper = self._keep()
            for id_ in ids:
                if (one := seen[id_]) is None or one.phase is not Phase.ENDED:
                    seen[id_] = self._look(keeper, id_)
        return [one for one in seen.values() if one is not None]

    def cancel(self, execution_ids: Sequence[str]) -> None:
        if execution_ids:
            self._check(execution_ids)
            self._keep().cancel(execution_ids)

    def _has_taken(self, execution_id: str) -> bool:
        keeper = self._keeper
        return keeper is not None and keeper.knows(execution_id)

    def explain(self, execution_id: str) -> str:
        if not folders.is_execution_id(execution_id):
            return ""
        folder, keeper = self._folder(execution_id), self._keeper
        if ended := kept.explanation_of_end(folder):
            return ended
        if keeper is not None and keeper.is_in_line(execution_id):
            return "in line, for room on this machine"
        if (started := folders.read_started(folder)) is None:
            return ""
        try:
            state = self._engine.state(execution_id)
        except NotFound:
            return "fetching its image, or making its container"
        return f"container {execution_id} is {state.status} on {started.get('node', 'this machine')}"

    def capacity(self) -> Capacity:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        disk = os.statvfs(self._root)
        free_mib = disk.f_bavail * disk.f_frsize >> 20
        return Capacity(self._vcpus_milli, self._memory_mib, free_mib, isolated=True)

    def forget(self, execution_ids: Sequence[str]) -> None:
        """Their containers went when they ended."""
        kept.forget(self._root, execution_ids)

    def leave(self) -> None:
        """Nothing stays here but containers, which go on: so only hang up."""
        self.close()

    def close(self) -> None:
        """Hang up. What runs goes on, and is found again."""
        with self._making:
            keeper, self._keeper = self._keeper, None
            if keeper is not None:
                keeper.close()
            self._engine.close()
            with self._lock:
                bell, self._bell = self._bell, None
        for fd in bell or ():
            os.close(fd)

    def fileno(self) -> int:
        bell = self._bell
        return bell[0] if bell else -1

    def read(self) -> list[Observation]:
        if bell := self._bell:
            with contextlib.suppress(BlockingIOError):
                os.read(bell[0], 1 << 16)
        ids = {self._news.popleft(): None for _ in range(len(self._news))}
        seen = (kept.observation(self._folder(id_), id_) for id_ in ids)
        return [one for one in seen if one is not None]

    def _tell(self, execution_id: str) -> None:
        """From the keeper's threads: something has happened to this one."""
        self._news.append(execution_id)
        with self._lock:
            if self._bell:
                with contextlib.suppress(BlockingIOError):  # so full that it will be read
                    os.write(self._bell[1], b"\0")

    def _keep(self) -> Keeper:
        """The keeper, made if there is none."""
        with self._making:  # not the other lock: what is adopted may tell at once
            if self._keeper is not None:
                return self._keeper
            house = House(
                self._engine,
                self._images,
                str(self._root),
                self._engine.name(),
                self._shape,
                self._log_cap_bytes,
                self._grace_seconds,
            )
            with self._lock:
                self._bell = self._bell or _pipe()
            self._keeper = Keeper(house, vcpus_milli=self._vcpus_milli, memory_mib=self._memory_mib, tell=self._tell)
            return self._keeper

    def _look(self, keeper: Keeper, execution_id: str) -> Observation | None:
        """What is known of one whose end was not written when we looked; None when it may be handed over again."""
        is_known = keeper.knows(execution_id)
        seen = kept.observation(self._folder(execution_id), execution_id)
        if is_known or (seen is not None and seen.phase is Phase.ENDED):
            return seen or Observation(execution_id, Phase.WAITING)
        if not folders.read_started(self._folder(execution_id)):
            return None  # it was taken, and came no further
        keeper.lose(execution_id)
        return seen

    @staticmethod
    def _check(execution_ids: Iterable[str]) -> None:
        for execution_id in execution_ids:
            if not folders.is_execution_id(execution_id):
                raise Refused(f"not an execution id: {execution_id!r}")


def _pipe() -> tuple[int, int]:
    return os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
