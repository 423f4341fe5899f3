"""The `aws` provider: one region of AWS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from clusters.providers.aws.batch import Batch
from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.handles import Handle
from clusters.providers.aws.logs import SETTLE_SECONDS, Logs
from clusters.providers.aws.session import Session
from clusters.providers.aws.throttle import RATES
from clusters.providers.base import Capacity, Cloud, LogPage, Observation, Work
from clusters.providers.errors import NotFound


class AwsCloud(Cloud):
    """Works run as container jobs of AWS Batch, in our own account or in that of a customer who gave us a role.

    `rates` is how many calls a second each service may get from this object, per account. A job's output is
    complete `log_settle_seconds` after its end, not before. `observe` and `cancel` ask account by account, and raise
    when one of them cannot be asked: whoever does not want one customer's lost permission to stop the others asks for
    each customer apart.
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
        session = Session(config, rates=rates)
        self._batch = Batch(config, session)
        self._logs = Logs(session, self._batch.described, settle_seconds=log_settle_seconds)

    @property
    def region(self) -> str:
        return self._config.region

    def group(self, works: Sequence[Work]) -> list[list[Work]]:
        return self._batch.group(works)

    def submit(self, name: str, works: Sequence[Work]) -> list[str]:
        handles = self._batch.submit(name, works)
        return [str(handle) for handle in handles]

    def find(self, name: str, works: Sequence[Work]) -> list[list[str]]:
        return [[str(handle) for handle in handles] for handles in self._batch.find(name, works)]

    def observe(self, handles: Sequence[str]) -> list[Observation]:
        return self._batch.observe(_known(handles))

    def cancel(self, handles: Sequence[str]) -> None:
        self._batch.cancel(_known(handles))

    def logs(self, handle: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        found = self._one(handle)
        return self._logs.read(found, after, limit) if stream in self.streams else LogPage("", after, True)

    def explain(self, handle: str) -> str:
        return self._batch.explain(self._one(handle))

    def capacity(self) -> Capacity:
        return self._batch.capacity()

    def link(self, handle: str) -> str:
        return self._batch.link(self._one(handle))

    def _one(self, text: str) -> Handle:
        handle = Handle.parse(text)
        if handle is None:
            raise NotFound(f"{text!r} is no handle of this cloud")
        return handle


def _known(handles: Sequence[str]) -> list[Handle]:
    """Those that can be ours; there is but one way to start things so far, so that all go to AWS Batch."""
    return [handle for handle in map(Handle.parse, handles) if handle is not None]
