"""A cloud in memory that does what a test tells it, and the scheduler's steps at its region."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from django.conf import settings

from clusters.providers.base import Capacity, Cloud, End, LogPage, Observation, Phase, Probe, Work
from clusters.providers.errors import NotFound, ProviderError, Refused
from jobs import services
from jobs.clouds import Caller
from jobs.models import Execution, Job, Place, RunsFor
from jobs.services.places import place_id
from tests.factories import make_jobs

REGION: Final = "north-1"


class ScriptedCloud(Cloud):
    """`start`, `write`, `end` and `vanish` are what happens there; nothing happens by itself.

    Unlike a provider it starts again what is submitted again: `submitted` has everything that ever was. `failures`:
    raised by the next calls of a verb, "lost" ones after the call was done. `before`: called before a verb is.
    """

    cloud: ClassVar[str] = "aws"
    CALL_SECONDS: ClassVar[float] = 15.0

    def __init__(self, region: str = REGION, *, group_size: int = 1, keeps_logs: bool = True) -> None:
        self._region = region
        self._group_size = group_size
        self.keeps_logs = keeps_logs  # type: ignore[misc] # of the instance, for tests
        self._numbers = itertools.count(1)
        self._seen: dict[str, Observation] = {}
        self._output: dict[tuple[str, str], bytes] = {}
        self.room = Capacity(64_000, 262_144)
        self.probes = [Probe("identity", True, "somebody of ours"), Probe("queue urgent", True, "ENABLED, VALID")]
        self.submitted: list[tuple[str, list[Work], list[str]]] = []
        self.calls: list[str] = []
        self.hidden: set[str] = set()  # machines that the cloud does not show yet
        self.terminated: set[str] = set()
        self.failures: dict[str, list[ProviderError]] = {}
        self.lost: dict[str, list[ProviderError]] = {}
        self.before: dict[str, Callable[[], None]] = {}

    @property
    def region(self) -> str:
        return self._region

    # What happens there

    @property
    def handles(self) -> list[str]:
        return [handle for _, _, handles in self.submitted for handle in handles]

    def living(self) -> list[str]:
        """What was not stopped."""
        return [handle for handle in self.handles if self._seen[handle].end is not End.CANCELED]

    def start(self, handle: str) -> None:
        seen = self._seen[handle]
        assert seen.phase is Phase.WAITING, f"{handle} is {seen.phase}: it does not start"
        self._seen[handle] = replace(seen, phase=Phase.RUNNING, started_at=datetime.now(UTC), node="machine-1")

    def write(self, handle: str, text: str, stream: str = "stdout") -> None:
        self._output[(handle, stream)] = self._output.get((handle, stream), b"") + text.encode()

    def end(self, handle: str, *, exit_code: int | None = 0, end: End = End.EXITED, detail: str = "") -> None:
        seen = self._seen[handle]
        assert seen.phase is not Phase.ENDED, f"{handle} has ended"
        assert (exit_code is not None) == (end is End.EXITED), "what exits has a code"
        self._seen[handle] = replace(
            seen, phase=Phase.ENDED, ended_at=datetime.now(UTC), end=end, exit_code=exit_code, detail=detail
        )

    def vanish(self, handle: str) -> None:
        """The cloud forgets it."""
        del self._seen[handle]

    # What a cloud is asked

    @contextmanager
    def _call(self, verb: str) -> Any:
        self.calls.append(verb)
        if verb in self.before:
            self.before.pop(verb)()
        if self.failures.get(verb):
            raise self.failures[verb].pop(0)
        yield
        if self.lost.get(verb):
            raise self.lost[verb].pop(0)

    def group(self, works: Sequence[Work]) -> list[list[Work]]:
        size = self._group_size
        return [list(works[at : at + size]) for at in range(0, len(works), size)]

    def submit(self, name: str, works: Sequence[Work]) -> list[str]:
        assert str(uuid.UUID(name)) == name
        assert works
        with self._call("submit"):
            for work in works:
                if work.queue == "no-such-queue":
                    raise Refused("there is no queue no-such-queue")
            handles = [f"handle-{next(self._numbers)}" for _ in works]
            self._seen |= {handle: Observation(handle, Phase.WAITING) for handle in handles}
            self.submitted.append((name, list(works), handles))
        return handles

    def find(self, name: str, works: Sequence[Work]) -> list[list[str]]:
        with self._call("find"):
            return [handles for known, _, handles in self.submitted if known == name]

    def observe(self, handles: Sequence[str]) -> list[Observation]:
        with self._call("observe"):
            return [self._seen[handle] for handle in handles if handle in self._seen]

    def cancel(self, handles: Sequence[str]) -> None:
        with self._call("cancel"):
            self.terminated |= set(handles)
            for handle in handles:
                if handle in self._seen and self._seen[handle].phase is not Phase.ENDED:
                    self.end(handle, exit_code=None, end=End.CANCELED)

    def logs(self, handle: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        with self._call("logs"):
            if handle not in self._seen:
                raise NotFound(f"no {handle}")
            written = self._output.get((handle, stream), b"")
            piece = written[after : after + limit]
            is_over = self._seen[handle].phase is Phase.ENDED and after + len(piece) >= len(written)
            return LogPage(piece.decode(errors="replace"), after + len(piece), is_over)

    def explain(self, handle: str) -> str:
        with self._call("explain"):
            return f"{self._seen[handle].phase} in the sky" if handle in self._seen else ""

    def capacity(self) -> Capacity:
        with self._call("capacity"):
            return self.room

    def machines(self) -> dict[str, str]:
        """Those of instance jobs that were not terminated."""
        with self._call("machines"):
            pairs = [pair for _, works, handles in self.submitted for pair in zip(handles, works, strict=True)]
            return {
                handle: work.execution_id
                for handle, work in pairs
                if work.machine_image and handle not in self.terminated
            }

    def machine(self, instance_id: str) -> str | None:
        with self._call("machine"):
            handle = instance_id.replace("i-", "handle-")
            return handle if handle in self.handles and handle not in self.hidden else None

    def probe(self, customer: str = "") -> list[Probe]:
        with self._call("probe"):
            of_customer = [Probe("role", None, f"of {customer}")] if customer else []
            return [*self.probes, *of_customer]

    def link(self, handle: str) -> str:
        return f"https://console.example.com/{handle}"


# Who asks for the cloud of a region, by module.
_ASKING: Final = (
    *("clouds", "following.links", "following.outputs", "following.words", "following.probes"),
    "scheduling.machines",
)


def serve(monkeypatch: Any, find: Callable[[str], ScriptedCloud], regions: Sequence[str], **queues: str) -> None:
    """Set AWS up in these regions, with `find` for each one's cloud and `queues` beside the usual ones."""
    named = {"HIGH": "urgent", "LOW": "bulk", **queues}
    monkeypatch.setattr(settings, "AWS_REGIONS", list(regions))
    monkeypatch.setattr(settings, "AWS_BATCH_QUEUES", dict.fromkeys(regions, named))
    for asking in _ASKING:
        monkeypatch.setattr(f"jobs.{asking}.cloud_at", lambda cloud, region: find(region))
    facts: dict[str, Any] = {"vcpus_milli": 64_000, "memory_mib": 262_144, "disk_free_mib": None}
    for region in regions:
        services.report_place(place_id("aws", region), **facts, runs_for=RunsFor.EVERYONE)


def look_at_everything(caller: Caller) -> float:
    """A turn that asks the cloud about all there is, whenever the last one was."""
    caller._observe_at = caller._capacity_at = 0.0
    return caller.turn()


class CloudStage:
    """A region of a scripted cloud, and who calls it."""

    def __init__(self, monkeypatch: Any, **wishes: Any) -> None:
        self.cloud = ScriptedCloud(**wishes)
        serve(monkeypatch, lambda region: self.cloud, [REGION])
        self.place = Place.objects.get(pk=place_id("aws", REGION))
        self.caller = self.another()

    def another(self) -> Caller:
        """A caller as another process has it."""
        return Caller(self.place.pk, self.cloud)

    def submit(self, count: int = 1, **wishes: Any) -> list[Job]:
        return make_jobs(count, **{"cloud": "aws", "region": REGION, **wishes})

    def turn(self) -> float:
        """A turn that looks at everything."""
        return look_at_everything(self.caller)

    def execution(self, job: Job) -> Execution:
        """The job's last execution."""
        found = job.executions.order_by("-number").first()
        assert found is not None, "the job was never claimed"
        return found

    def handle(self, job: Job) -> str:
        handle = self.execution(job).handle
        assert handle, "the cloud was not given it"
        return handle

    def run(self, *jobs: Job, exit_code: int = 0) -> None:
        """Let jobs that were submitted start and end."""
        for job in jobs:
            self.cloud.start(self.handle(job))
            self.cloud.end(self.handle(job), exit_code=exit_code)
        self.turn()
        for job in jobs:
            job.refresh_from_db()


class Skies:
    """Several regions of scripted clouds, by name, and the caller of each."""

    def __init__(self, monkeypatch: Any, *regions: str) -> None:
        self.clouds = {region: ScriptedCloud(region) for region in regions}
        serve(monkeypatch, self.clouds.__getitem__, regions, SPOT="cheap")
        self.callers = {region: Caller(self.place(region), cloud) for region, cloud in self.clouds.items()}

    def turn(self, *regions: str) -> None:
        """A turn at each of these regions, or of all, that looks at everything."""
        for region in regions or self.clouds:
            look_at_everything(self.callers[region])

    def place(self, region: str) -> int:
        return place_id("aws", region)
