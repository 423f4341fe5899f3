"""Azure Batch as a place where executions run: pools of machines, and containers on them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import ClassVar, Final

from azure.batch.models import BatchJobState, BatchTask
from azure.core.credentials import TokenCredential

from clusters.providers.azure import ends, files, names, tasks
from clusters.providers.azure.account import Account
from clusters.providers.azure.config import AzureConfig
from clusters.providers.azure.jobs import Jobs
from clusters.providers.azure.links import jobs_page
from clusters.providers.azure.pools import Pools
from clusters.providers.azure.probe import probes
from clusters.providers.azure.words import word
from clusters.providers.base import STREAMS, Capacity, Cloud, End, LogPage, Observation, Phase, Probe, Work
from clusters.providers.errors import NotFound, Refused
from clusters.providers.throttle import Bucket

GROUP_WORKS: Final = 100  # Azure's most for one call
_GROUP_BYTES = 900_000  # Azure takes 1 MB
_OVER = ("TaskNotFound", "JobNotFound", "TaskCompleted", "JobCompleted", "JobBeingTerminated", "JobBeingDeleted")
_UNKNOWN = ("TaskNotFound", "JobNotFound")


def _now() -> datetime:
    return datetime.now(UTC)


class AzureCloud(Cloud):
    """A Batch account. An execution is a task named by its id, in a Batch job for its pool, customer and day.

    So a handle is "<Batch job>/<execution id>", and handing a work over again on the same day starts nothing.
    A task whose node is taken away is not left to Azure, which would start it anew: `observe` deletes it, and tells
    that it was interrupted. So is one whose node failed.
    """

    cloud: ClassVar[str] = "azure"
    streams: ClassVar[tuple[str, ...]] = STREAMS
    keeps_logs: ClassVar[bool] = False

    def __init__(
        self,
        config: AzureConfig,
        credential: TokenCredential | None = None,
        bucket: Bucket | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        """`credential` in place of those that `config` names; `bucket` where several objects share one account."""
        self._config = config
        self._account = Account(config, credential, bucket)
        self._pools = Pools(config, self._account)
        self._jobs = Jobs(config, self._account, now)

    @property
    def region(self) -> str:
        return self._config.region

    def close(self) -> None:
        """Close the connections."""
        self._account.client.close()

    # Starting

    def group(self, works: Sequence[Work]) -> list[list[Work]]:
        """By pool, customer and size, as many as one call takes.

        What is going to be refused stands alone, or with those that are too large for the pool's nodes as well.
        """
        open_groups: dict[tuple[str, str, int, int], tuple[list[Work], int]] = {}
        groups: list[list[Work]] = []
        for work in works:
            try:
                tasks.check(work)
                key = self._pools.name_for(work), work.customer, work.vcpus_milli, work.memory_mib
            except Refused:
                groups.append([work])
                continue
            size = tasks.bytes_of(work)
            group, taken = open_groups.get(key, ([], 0))
            if not group or len(group) == GROUP_WORKS or taken + size > _GROUP_BYTES:
                group, taken = [], 0
                groups.append(group)
            group.append(work)
            open_groups[key] = group, taken + size
        return groups

    def submit(self, name: str, works: Sequence[Work]) -> list[str]:
        """All or none of the group: what Azure added beside one that it refuses is taken back."""
        for work in works:
            tasks.check(work)
        pool, customer = self._pools.name_for(works[0]), works[0].customer
        job = self._jobs.today(pool, customer)
        self._add(job, pool, works)
        return [names.handle(job, work.execution_id) for work in works]

    def _add(self, job: str, pool: str, works: Sequence[Work]) -> None:
        nodes = self._pools.get(pool)
        wanted = [tasks.task_of(work, self._pools.slots_for(work, nodes)) for work in works]
        self._jobs.add(job, pool, works[0].customer, wanted)

    def find(self, name: str, works: Sequence[Work]) -> list[list[str]]:
        """By the ids of the executions, in all jobs of the customer: it may have been another day, or pool.

        A group of which Azure got but a part is made whole here, where the part is.
        """
        wanted = [work.execution_id for work in works]
        found: list[tuple[datetime, list[str]]] = []
        for row in self._jobs.ours():
            if not names.is_of(row.id, works[0].customer):
                continue
            there = self._jobs.tasks(row.id, wanted)
            if not there:
                continue
            missing = {*wanted} - {task.id for task in there}
            rest = [work for work in works if work.execution_id in missing]
            if rest and word(row.state) == BatchJobState.ACTIVE:
                try:
                    self._add(row.id, row.pool_info.pool_id or "", rest)
                except Refused:  # as `submit` would have done
                    self._jobs.delete(row.id, [task.id for task in there])
                    continue
            first = min(task.creation_time for task in there)
            found.append((first, [names.handle(row.id, task) for task in wanted]))
        return [handles for _, handles in sorted(found)]

    # Watching

    def observe(self, handles: Sequence[str]) -> list[Observation]:
        """A list or two of each job's tasks.

        One that Azure put back in line is deleted, and told as INTERRUPTED this once: were it only stopped, it would
        look as if somebody had asked for that.
        """
        by_job: dict[str, list[str]] = {}
        for handle in handles:
            if parts := names.parts(handle):
                by_job.setdefault(parts[0], []).append(parts[1])
        seen = []
        for job, wanted in by_job.items():
            for task in self._jobs.tasks(job, wanted):
                handle = names.handle(job, task.id)
                if ends.was_put_back(task):
                    self._jobs.delete(job, [task.id])
                    seen.append(ends.interrupted(handle, task))
                else:
                    seen.append(ends.observation(handle, task))
        return seen

    def cancel(self, handles: Sequence[str]) -> None:
        for handle in handles:
            if parts := names.parts(handle):
                self._terminate(*parts)

    def _terminate(self, job: str, task: str) -> None:
        self._account.call("stop a task", lambda: self._account.client.terminate_task(job, task), unless=_OVER)

    def logs(self, handle: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        """Two calls. Raises NotFound of a task that is unknown, or has ended and whose node is gone, too."""
        job, task = names.parts(handle) or ("", "")
        known = self._task(handle)
        if known is None:
            raise NotFound(f"Azure Batch knows no task {handle}")
        seen = ends.observation(handle, known)
        has_run = seen.phase is not Phase.WAITING and seen.started_at is not None and seen.end is not End.CANNOT_START
        return files.read_page(
            self._account,
            job,
            task,
            stream,
            after,
            limit,
            is_over=seen.phase is Phase.ENDED,
            has_run=has_run,
        )

    def _task(self, handle: str) -> BatchTask | None:
        parts = names.parts(handle)
        if parts is None:
            return None
        return self._account.call(
            "read a task",
            lambda: self._account.client.get_task(*parts, select=ends.FIELDS),
            unless=_UNKNOWN,
        )

    def explain(self, handle: str) -> str:
        """The task's state and failure, and, of one that has not ended, what its pool is doing."""
        task = self._task(handle)
        if task is None:
            return ""
        seen = ends.observation(handle, task)
        since = f" since {task.state_transition_time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        words = [f"task {ends.state_words(task)}{since}", ends.failure_words(task.execution_info)]
        if seen.exit_code is not None:
            words.append(f"exit code {seen.exit_code}")
        if seen.node:
            words.append(f"node {seen.node}")
        if seen.phase is not Phase.ENDED and (pool := self._pool_of(handle)):
            words.append(self._pools.explain(pool))
        return "; ".join(word for word in words if word)

    def _pool_of(self, handle: str) -> str:
        job = handle.partition("/")[0]
        row = self._account.call(
            "read a job", lambda: self._account.client.get_job(job, select=["id", "poolInfo"]), unless=_UNKNOWN
        )
        return (row.pool_info.pool_id or "") if row else ""

    # The rest

    def capacity(self) -> Capacity:
        """All nodes that the pools of the configuration may have. A size that is not known counts as nothing."""
        return self._pools.capacity()

    def probe(self, customer: str = "") -> list[Probe]:
        """The same for every customer: all run in the one account."""
        return probes(self._config, self._account)

    def link(self, handle: str) -> str:
        """The account's list of jobs, or, when its resource id is not configured, the list of accounts."""
        return jobs_page(self._config.resource_id)

    def tidy(self) -> None:
        """Close the Batch jobs of past days and delete old ones; to be called now and then, by one process."""
        self._jobs.tidy()
