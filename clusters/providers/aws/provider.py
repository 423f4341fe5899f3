"""The `aws` provider: one region of AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from clusters.providers.aws.batch import Batch
from clusters.providers.aws.config import RATES, AwsConfig
from clusters.providers.aws.handles import EC2, JOBS, Handle, change_by_account, seen_by_account
from clusters.providers.aws.logs import SETTLE_SECONDS, Logs
from clusters.providers.aws.probe import Prober
from clusters.providers.aws.session import Session
from clusters.providers.aws.spot import Machines
from clusters.providers.base import Capacity, Cloud, LogPage, Observation, Phase, Probe, Work
from clusters.providers.errors import NotFound


class AwsCloud(Cloud):
    """Works run in our own account or in that of a customer who gave us a role: as container jobs of AWS Batch, or,
    when they have a machine image, as machines of EC2. The handle tells which.

    `rates` is how many calls a second each service may get from this object, per account. A job's output is
    complete `log_settle_seconds` after its end, not before. `observe` and `cancel` ask account by account: a customer
    who took back a role stops nobody else's.
    """

    cloud: ClassVar[str] = "aws"
    streams: ClassVar[tuple[str, ...]] = ("stdout",)  # the log driver of AWS Batch joins both

    def __init__(
        self,
        config: AwsConfig,
        *,
        rates: Mapping[str, float] = RATES,
        log_settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._config = config
        session = self._session = Session(config, rates=rates)
        self._batch = Batch(config, session)
        self._machines = Machines(config, session, start_seconds=self.CALL_SECONDS)
        self._logs = Logs(session, self._batch.log_source, settle_seconds=log_settle_seconds)

    @property
    def region(self) -> str:
        return self._config.region

    def group(self, works: Sequence[Work]) -> list[list[Work]]:
        containers = [work for work in works if not work.machine_image]
        return self._batch.group(containers) + [[work] for work in works if work.machine_image]

    def submit(self, name: str, works: Sequence[Work]) -> list[str]:
        if works[0].machine_image:
            (work,) = works
            return [str(self._machines.submit(name, work))]
        return [str(handle) for handle in self._batch.submit(name, works)]

    def find(self, name: str, works: Sequence[Work]) -> list[list[str]]:
        is_machine = bool(works[0].machine_image)
        found = self._machines.find(name, works[0]) if is_machine else self._batch.find(name, works)
        return [[str(handle) for handle in handles] for handles in found]

    def observe(self, handles: Sequence[str]) -> list[Observation]:
        return seen_by_account(
            handles, JOBS, self._observe, lambda handle, words: Observation(handle, Phase.WAITING, detail=words)
        )

    def _observe(self, handles: Sequence[Handle]) -> list[Observation]:
        containers, machines = _sorted(handles)
        return self._batch.observe(containers) + self._machines.observe(machines)

    def cancel(self, handles: Sequence[str]) -> None:
        change_by_account(handles, JOBS, self._cancel)

    def _cancel(self, handles: Sequence[Handle]) -> None:
        containers, machines = _sorted(handles)
        self._batch.cancel(containers)
        self._machines.cancel(machines)

    def logs(self, handle: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        found = self._one(handle)
        if stream not in self.streams:
            return LogPage("", after, True)
        return (self._machines.logs if found.way == EC2 else self._logs.read)(found, after, limit)

    def explain(self, handle: str) -> str:
        found = self._one(handle)
        return (self._machines if found.way == EC2 else self._batch).explain(found)

    def capacity(self) -> Capacity:
        return self._batch.capacity()

    def machines(self) -> Mapping[str, str]:
        return self._machines.machines()

    def machine(self, instance_id: str) -> str | None:
        found = self._machines.machine(instance_id)
        return None if found is None else str(found)

    def probe(self, customer: str = "") -> list[Probe]:
        return Prober(self._config, self._session, customer).probes()

    def link(self, handle: str) -> str:
        found = self._one(handle)
        return (self._machines if found.way == EC2 else self._batch).link(found)

    def _one(self, text: str) -> Handle:
        handle = Handle.parse(text)
        if handle is None or handle.way not in JOBS:
            raise NotFound(f"{text!r} is no handle of this cloud")
        return handle


def _sorted(known: Sequence[Handle]) -> tuple[list[Handle], list[Handle]]:
    """Containers, and machines."""
    return [one for one in known if one.way != EC2], [one for one in known if one.way == EC2]
