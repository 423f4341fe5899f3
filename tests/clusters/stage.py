"""A place for containers whose every answer a test decides on, and which counts what it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from clusters.providers.base import LogPage, Probe
from clusters.providers.errors import NotFound, ProviderError, Refused
from clusters.providers.hosting import Address, Hosting, Service, ServiceObservation, ServicePhase


class Actor:
    """A container that stands on the stage."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.wanted = service.revision
        self.revision = service.revision
        self.phase = ServicePhase.PROVISIONING
        self.run = 0
        self.started_at = datetime.now(UTC)
        self.is_healthy: bool | None = None
        self.restarts = 0
        self.lacks_room = False
        self.detail = ""


class Stage(Hosting):
    """Holds to the interface: what is asked for comes, `ready` says when; `fault` is raised by the next call."""

    cloud = "local"

    def __init__(self, *, ready: bool = True) -> None:
        self.actors: dict[str, Actor] = {}
        self.gone: set[str] = set()
        self.calls: list[tuple[str, str]] = []
        self.ready = ready
        self.fault: Callable[[str], ProviderError | None] = lambda call: None
        self.dies_after: Callable[[str], bool] = lambda call: False
        self.started = 0

    @property
    def region(self) -> str:
        return "local"

    def _called(self, call: str, name: str = "") -> None:
        self.calls.append((call, name))
        if error := self.fault(call):
            raise error

    def _done(self, call: str) -> None:
        """The call was carried out; perhaps its caller never hears of it."""
        if self.dies_after(call):
            raise SystemExit(call)

    def provision(self, service: Service) -> str:
        self._called("provision", service.name)
        UUID(service.name)
        handle = f"local:{service.name}"
        if handle not in self.actors:
            self.actors[handle] = Actor(service)
            self.gone.discard(handle)
            self._come(self.actors[handle])
        self._done("provision")
        return handle

    def reconfigure(self, handle: str, service: Service) -> None:
        self._called("reconfigure", service.name)
        if handle not in self.actors:
            raise NotFound(handle)
        actor = self.actors[handle]
        if actor.service.name != service.name:
            raise Refused(handle)
        actor.service, actor.wanted = service, service.revision
        self._come(actor)
        self._done("reconfigure")

    def _come(self, actor: Actor) -> None:
        if self.ready:
            self.come(actor)

    def come(self, actor: Actor, *, is_healthy: bool | None = True) -> None:
        self.started += 1
        actor.phase, actor.revision, actor.run = ServicePhase.RUNNING, actor.wanted, self.started
        actor.started_at = datetime.now(UTC)
        actor.is_healthy = is_healthy if actor.service.health_check else None

    def observe(self, handles: Sequence[str]) -> list[ServiceObservation]:
        self._called("observe")
        return [self._seen(handle) for handle in handles]

    def _seen(self, handle: str) -> ServiceObservation:
        actor = self.actors.get(handle)
        if actor is None:
            return ServiceObservation(handle, ServicePhase.GONE)
        runs = actor.phase is ServicePhase.RUNNING
        return ServiceObservation(
            handle,
            actor.phase,
            run=str(actor.run) if runs else "",
            started_at=actor.started_at if runs else None,
            addresses=[Address("127.0.0.1", False, {port.number: 40000 + actor.run for port in actor.service.ports})]
            if runs
            else [],
            is_healthy=actor.is_healthy,
            revision=actor.revision if runs else "",
            wanted=actor.wanted,
            restarts=actor.restarts,
            lacks_room=actor.lacks_room,
            detail=actor.detail,
        )

    def retire(self, handles: Sequence[str]) -> None:
        self._called("retire", ",".join(handles))
        for handle in handles:
            self.actors.pop(handle, None)
            self.gone.add(handle)
        self._done("retire")

    def standing(self) -> Mapping[str, str]:
        self._called("standing")
        return {handle: actor.service.name for handle, actor in self.actors.items()}

    def logs(self, handle: str, after: int = 0, limit: int = 2**20, *, run: str = "") -> LogPage:
        raise NotFound(handle)

    def explain(self, handle: str) -> str:
        return self.actors[handle].phase.value if handle in self.actors else ""

    def probe(self, customer: str = "") -> list[Probe]:
        return []

    def link(self, handle: str) -> str:
        return ""
