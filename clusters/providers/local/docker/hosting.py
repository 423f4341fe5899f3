"""Long-running containers on this machine: each run of a service is a container of Docker or Podman."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from clusters.providers.base import LogPage, Probe
from clusters.providers.errors import NotFound, NotYet, ProviderError, Refused
from clusters.providers.hosting import Address, Hosting, Service, ServiceObservation, ServicePhase
from clusters.providers.local import folders, kept
from clusters.providers.local.docker import hosted, hosted_containers
from clusters.providers.local.docker.care import Home
from clusters.providers.local.docker.containers import Shape
from clusters.providers.local.docker.engine import Engine, State
from clusters.providers.local.docker.hosted import Hosted, Ledger, Wish
from clusters.providers.local.docker.hosted_containers import Row, container_name
from clusters.providers.local.docker.hosting_keeper import HostingKeeper
from clusters.providers.local.docker.images import Images
from clusters.providers.local.docker.running_output import page_of
from clusters.providers.local.logs import read_page

GRACE_SECONDS: Final = 10.0
STEADY_SECONDS: Final = 2.0
KEEP_RUNS: Final = 10
KEEP_SECONDS: Final = 7 * 86_400.0
_WAY: Final = "docker"
_ENDS_TOLD: Final = 3
_OWN_NETWORKS: Final = ("bridge", "none", "host")


class DockerHosting(Hosting):
    """Keeps containers by the engine at `base_url` ("": the one the environment names); their customers share it.

    `root` holds what is wanted and what ended runs wrote, for our user only. Each process that changes or observes
    something keeps the containers of `root`, or waits to: one at a time does. While none runs, containers go on, and
    those that end are started again when one does. Ports are open at `host`, an address of the engine's machine.
    Whoever may ask the engine sees the environment of a container, with its secrets.

    The other settings are as DockerProvider's. Of a run that goes on the engine keeps `log_cap_bytes` of output: when
    it has thrown away the oldest, a cursor behind all that is left goes on at the beginning of that. A new run takes
    over when its health check has told that it is well or, without one, after `steady_seconds`.
    """

    cloud: ClassVar[str] = "local"

    def __init__(
        self,
        root: Path,
        region: str,
        *,
        base_url: str = "",
        log_cap_bytes: int,
        pull: str = "missing",
        network: str = "bridge",
        read_only: bool = False,
        pids_limit: int = 0,
        user: str = "",
        host: str = "127.0.0.1",
        grace_seconds: float = GRACE_SECONDS,
        steady_seconds: float = STEADY_SECONDS,
        keep_seconds: float = KEEP_SECONDS,
    ) -> None:
        self._root = str(root.resolve())
        self._region = region
        self._base_url = base_url
        self._pull = pull
        self._shape = Shape(network, read_only, pids_limit, user, max(log_cap_bytes >> 20, 1))
        self._host = host
        self._log_cap_bytes = log_cap_bytes
        self._grace_seconds = grace_seconds
        self._steady_seconds = steady_seconds
        self._keep_seconds = keep_seconds
        self._engine = Engine(base_url, call_seconds=int(self.CALL_SECONDS))
        self._keepers_engine = Engine(base_url)  # images take longer
        Images(self._engine, pull)  # refuses what is no rule
        self._lock = threading.Lock()
        self._keeper: HostingKeeper | None = None

    @property
    def region(self) -> str:
        return self._region

    def close(self) -> None:
        """Hang up, and leave off keeping. Containers go on, and are found again."""
        with self._lock:
            keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.close()
        self._keepers_engine.close()
        self._engine.close()

    # Changing

    def provision(self, service: Service) -> str:
        if not folders.is_execution_id(service.name):
            raise Refused(f"{service.name!r} is no name for a container")
        one = Hosted(self._root, service.name)
        if not one.stands:
            self._engine.name()  # what cannot be started is not noted down
        with hosted.changing(self._root):
            if one.is_retired:
                raise NotYet(f"what stood under the name {service.name} is not gone yet")
            if one.wish() is None:
                one.want(1, service)
        self._keep().wake()
        return _handle(service.name)

    def reconfigure(self, handle: str, service: Service) -> None:
        one = self._one(handle)
        if one.name != service.name:
            raise Refused(f"{handle} is another container than {service.name}")
        with hosted.changing(self._root):
            wish = one.wish()
            if wish is None or one.is_retired:
                raise NotFound(f"there is no container {one.name} that could be changed")
            if wish.service.customer != service.customer:
                raise Refused(f"{handle} is not a container of {service.customer or 'nobody'}")
            if wish.service.revision != service.revision or _has_given_up(wish, one.ledger()):
                one.want(wish.attempt + 1, service)
        self._keep().wake()

    def retire(self, handles: Sequence[str]) -> None:
        ours = [one for one in map(self._parsed, handles) if one is not None]
        if not ours:
            return
        rows = hosted_containers.rows_of(self._engine, self._root)
        with hosted.changing(self._root):
            for one in ours:
                if one.stands or rows.get(one.name):
                    one.retire()
        self._keep().wake()

    # Looking

    def observe(self, handles: Sequence[str]) -> list[ServiceObservation]:
        ours = [one for one in map(self._parsed, dict.fromkeys(handles)) if one is not None]
        if not ours:
            return []
        self._keep()
        rows = hosted_containers.rows_of(self._engine, self._root)
        return [self._observation(one, rows.get(one.name, [])) for one in ours]

    def _observation(self, one: Hosted, rows: Sequence[Row]) -> ServiceObservation:
        handle, wish, ledger = _handle(one.name), one.wish(), one.ledger()
        if one.is_retired:
            return ServiceObservation(handle, ServicePhase.STOPPING)
        if wish is None:
            return ServiceObservation(handle, ServicePhase.GONE)
        has_given_up = _has_given_up(wish, ledger)
        wanted = "" if has_given_up else wish.service.revision
        detail = ledger.given_up if has_given_up else ""
        row = hosted_containers.serving(rows, ledger.serving)
        state = self._state(row) if row is not None else None
        if row is None or state is None or state.is_over:
            is_over = has_given_up and ledger.good is None
            phase = ServicePhase.FAILED if is_over else ServicePhase.PROVISIONING
            detail = detail or (ledger.last_end if ledger.failures else "")
            return ServiceObservation(handle, phase, wanted=wanted, restarts=ledger.restarts, detail=detail)
        return ServiceObservation(
            handle,
            ServicePhase.RUNNING,
            run=row.run,
            started_at=None if state.started is None else datetime.fromtimestamp(state.started, UTC),
            addresses=[Address(self._host, is_public=False, ports=state.ports)],
            is_healthy=ledger.health.get(row.run),
            revision=row.revision,
            wanted=wanted,
            restarts=ledger.restarts,
            detail=detail,
        )

    def _state(self, row: Row) -> State | None:
        try:
            return self._engine.state(row.container)
        except NotFound:  # removed since the list was made
            return None

    def standing(self) -> Mapping[str, str]:
        rows = hosted_containers.rows_of(self._engine, self._root)
        standing = [name for name in hosted.names(self._root) if Hosted(self._root, name).wish() is not None]
        all_names = {*standing, *rows}
        return {_handle(name): name for name in sorted(all_names) if not Hosted(self._root, name).is_retired}

    def logs(self, handle: str, after: int = 0, limit: int = 2**20, *, run: str = "") -> LogPage:
        one = self._one(handle)
        if run and not hosted.is_run(run):
            raise NotFound(f"{run!r} is no run of a container")
        run = run or next(reversed(one.runs()), "")
        folder = one.run_folder(run)
        if run and not folders.has_ended(folder):
            try:
                return page_of(self._engine, container_name(one.name, run), after, limit)
            except NotFound:
                pass  # it is being made, or has ended meanwhile
        if run and folders.has_ended(folder):
            return read_page(folder, "stdout", after, limit)
        if not one.stands or (run and not os.path.isdir(folder)):
            raise NotFound(f"there is no output of {run or 'a run'} of {handle}")
        return LogPage("", max(after, 0), ended=False)

    def explain(self, handle: str) -> str:
        one = self._one(handle)
        wish, ledger = one.wish(), one.ledger()
        lines = [ledger.given_up] if wish is not None and _has_given_up(wish, ledger) else []
        for run in reversed(one.runs()):
            if len(lines) > _ENDS_TOLD:
                break
            lines.append(self._words(one, run))
        if not lines and one.stands:
            lines.append("no run of it has begun yet")
        return "\n".join(lines)

    def _words(self, one: Hosted, run: str) -> str:
        if ended := kept.explanation_of_end(one.run_folder(run)):
            return f"run {run}: {ended}"
        name = container_name(one.name, run)
        try:
            return f"run {run}: container {name} is {self._engine.state(name).status}"
        except NotFound:
            return f"run {run}: its image is being fetched, or its container made"

    def probe(self, customer: str = "") -> list[Probe]:
        try:
            name = self._engine.name()
        except ProviderError as error:
            return [Probe("container engine", False, str(error))]
        found = [Probe("container engine", True, f"answers on {name}")]
        if (network := self._shape.network) not in _OWN_NETWORKS:
            try:
                self._engine.check_network(network)
                found.append(Probe(f"network {network}", True, "is there"))
            except ProviderError as error:
                words = f"{error}: make it, or correct LOCAL_DOCKER_NETWORK"
                found.append(Probe(f"network {network}", False, words))
        return found

    def link(self, handle: str) -> str:
        return ""

    # How it is kept

    def _keep(self) -> HostingKeeper:
        """Have this process keep the containers, unless another one does."""
        with self._lock:
            if self._keeper is None:
                self._keeper = HostingKeeper(
                    self._root, self._home, keep_runs=KEEP_RUNS, keep_seconds=self._keep_seconds
                )
            return self._keeper

    def _home(self) -> Home:
        engine = self._keepers_engine
        return Home(
            engine,
            Images(engine, self._pull),
            self._root,
            engine.name(),
            self._shape,
            self._host,
            self._log_cap_bytes,
            self._grace_seconds,
            self._steady_seconds,
        )

    def _parsed(self, handle: str) -> Hosted | None:
        way, _, name = handle.partition(":")
        is_ours = way == _WAY and folders.is_execution_id(name)
        return Hosted(self._root, name) if is_ours else None

    def _one(self, handle: str) -> Hosted:
        one = self._parsed(handle)
        if one is None:
            raise NotFound(f"{handle!r} is no handle of a container of this machine")
        return one


def _handle(name: str) -> str:
    return f"{_WAY}:{name}"


def _has_given_up(wish: Wish, ledger: Ledger) -> bool:
    return bool(ledger.given_up) and ledger.attempt == wish.attempt
