"""Container jobs of AWS Batch."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from clusters.providers.aws import submission
from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.definitions import Definitions
from clusters.providers.aws.handles import BATCH, Handle
from clusters.providers.aws.jobs import CANCEL_REASON, ENDED, WAITING, moment, observation, words
from clusters.providers.aws.links import console_page
from clusters.providers.aws.logs import LONG_AGO, Source
from clusters.providers.aws.session import Session
from clusters.providers.base import Capacity, Observation, Work
from clusters.providers.errors import NotFound, ProviderError, Refused

_DESCRIBED_AT_ONCE: Final = 100
# Batch bounds vCPUs only; the machines it takes for them have the memory that jobs ask for.
_NO_BOUND_MIB: Final = 2**31 - 1
_ARRAY: Final = ":"  # between an array's id and a child's number
LOG_GROUP: Final = "/aws/batch/job"
Look = Callable[[str, Mapping[str, Any]], Iterable[str]]


class Batch:
    """The verbs of `Cloud` for works that are containers. Handles are taken apart already."""

    def __init__(self, config: AwsConfig, session: Session) -> None:
        self._config = config
        self._session = session
        self._definitions = Definitions(config, session)

    def group(self, works: Sequence[Work]) -> list[list[Work]]:
        """Alike works together, as arrays of AWS's largest size."""
        found: dict[tuple[object, ...], list[Work]] = {}
        for work in works:
            found.setdefault(submission.alike(self._config, work), []).append(work)
        most = submission.MAX_ARRAY
        return [same[at : at + most] for same in found.values() for at in range(0, len(same), most)]

    def submit(self, name: str, works: Sequence[Work]) -> list[Handle]:
        account = self._config.account_of(works[0].customer)
        for work in works:
            submission.check(work, self._config.platform)
        asked = submission.submission(self._config, name, works)
        try:
            made = self._submit(account, works[0], asked)
        except Refused as error:
            if "definition" not in str(error).lower():
                raise
            # The one we remember has been deregistered meanwhile.
            self._definitions.forget(account, works[0])
            made = self._submit(account, works[0], asked)
        return self._handles(account, str(made["jobId"]), len(works))

    def _submit(self, account: str, work: Work, asked: Mapping[str, Any]) -> Mapping[str, Any]:
        definition = self._definitions.arn(account, work)
        return self._session.call(account, "batch", "SubmitJob", jobDefinition=definition, **asked)

    def find(self, name: str, works: Sequence[Work]) -> list[list[Handle]]:
        """AWS keeps ended jobs for about a week; those older than that are not found."""
        work = works[0]
        account = self._config.account_of(work.customer)
        pages = self._session.pages(
            account,
            "batch",
            "ListJobs",
            jobQueue=self._config.queue(work),
            filters=[{"name": "JOB_NAME", "values": [name]}],  # jobs in any state
        )
        rows = [row for page in pages for row in page["jobSummaryList"]]
        # Not the children of an array, which have the name of the whole.
        mine = [row for row in rows if row["jobName"] == name and ":" not in row["jobId"]]
        mine.sort(key=lambda row: int(row.get("createdAt", 0)))
        return [self._handles(account, str(row["jobId"]), len(works)) for row in mine]

    def observe(self, handles: Iterable[Handle]) -> list[Observation]:
        return [observation(str(handle), job) for handle, job in self._described(handles)]

    def cancel(self, handles: Iterable[Handle]) -> None:
        """One call for each that has not ended, nor been told before; one for an array of which nothing else goes on.

        Canceled again, it goes on where it broke off.
        """
        handles = list(handles)
        # Before their children: what has ended by then is counted as ended, and none that is to go on is missed.
        going = self._going(handles)
        rows = [(handle, job) for handle, job in self._described(handles) if job["status"] not in ENDED]
        asked = Counter(_whole(handle) for handle, _ in rows)
        told: set[Handle] = set()
        for handle, job in rows:
            whole = _whole(handle)
            if whole in told or job.get("isTerminated") or job.get("isCancelled"):
                continue
            target = whole if asked[whole] == going.get(whole) else handle
            # Cancels as well what has not started.
            self._session.call(handle.account, "batch", "TerminateJob", jobId=target.id, reason=CANCEL_REASON)
            told.add(target)

    def _going(self, handles: Iterable[Handle]) -> dict[Handle, int]:
        """How many children of each array have not ended, or more, as AWS counts late.

        Only of arrays that two at least of `handles` belong to, and not of one that was told as a whole before: those
        that still go on are then told one by one.
        """
        counted = Counter(_whole(handle) for handle in handles if _ARRAY in handle.id)
        arrays = self._described(whole for whole, count in counted.items() if count > 1)
        return {whole: _still_going(job) for whole, job in arrays if not job.get("isTerminated")}

    def log_source(self, handle: Handle) -> Source:
        """Where a job's output is. Raises NotFound when AWS has no such job (any more)."""
        job = self._one(handle)
        if job is None:
            raise NotFound(f"AWS Batch knows no job {handle.id}")
        stream = str((job.get("container") or {}).get("logStreamName") or "")
        return Source(handle.account, LOG_GROUP, stream, _stopped(job, stream))

    def explain(self, handle: Handle) -> str:
        job = self._one(handle)
        if job is None:
            return ""
        told = [job["status"], words(job)]
        if job["status"] in WAITING:
            told += self._tried(self._position, handle.account, job)
            told += self._tried(self._surroundings, handle.account, job)
        return "\n".join(one for one in told if one)

    def capacity(self) -> Capacity:
        """The vCPUs of all compute environments behind our queues that may run jobs now, each counted once."""
        environments = self._environments("", sorted(set(self._config.queues.values())))
        vcpus = sum(_vcpus(one) for one in environments if one.get("state") == "ENABLED")
        return Capacity(vcpus * 1000, _NO_BOUND_MIB)

    def link(self, handle: Handle) -> str:
        return console_page(self._config.region, "batch", f"jobs/detail/{handle.id}")

    # Looking closer

    def _one(self, handle: Handle) -> Mapping[str, Any] | None:
        """A row of DescribeJobs; None when AWS does not know the job (any more)."""
        return next((job for _, job in self._described([handle])), None)

    def _described(self, handles: Iterable[Handle]) -> Iterable[tuple[Handle, Mapping[str, Any]]]:
        """Each that AWS knows, with its row, a hundred in a call."""
        accounts: dict[str, dict[str, Handle]] = {}
        for handle in handles:
            accounts.setdefault(handle.account, {})[handle.id] = handle
        for account, by_id in accounts.items():
            ids = iter(by_id)
            while some := list(itertools.islice(ids, _DESCRIBED_AT_ONCE)):
                for job in self._session.call(account, "batch", "DescribeJobs", jobs=some)["jobs"]:
                    if job["jobId"] in by_id:
                        yield by_id[job["jobId"]], job

    def _tried(self, look: Look, account: str, job: Mapping[str, Any]) -> list[str]:
        """What is found, or why it cannot be told: a permission that is missing here is no reason to say nothing."""
        try:
            return list(look(account, job))
        except ProviderError as error:
            return [str(error)]

    def _position(self, account: str, job: Mapping[str, Any]) -> Iterable[str]:
        if job["status"] != "RUNNABLE":
            return
        snapshot = self._session.call(account, "batch", "GetJobQueueSnapshot", jobQueue=job["jobQueue"])
        first = [row["jobArn"] for row in snapshot.get("frontOfQueue", {}).get("jobs", [])]
        arns = (job["jobArn"], _of_array(job["jobArn"]))
        place = next((at for at, arn in enumerate(first, 1) if arn in arns), None)
        queue = job["jobQueue"].rpartition("/")[2]
        yield f"number {place} in queue {queue}" if place else f"not among the first {len(first)} in queue {queue}"

    def _surroundings(self, account: str, job: Mapping[str, Any]) -> Iterable[str]:
        for queue in self._queues(account, [job["jobQueue"]]):
            yield _state("queue", queue["jobQueueName"], queue)
        for environment in self._environments(account, [job["jobQueue"]]):
            yield _state("compute environment", environment["computeEnvironmentName"], environment)

    def _queues(self, account: str, names: Sequence[str]) -> list[Mapping[str, Any]]:
        pages = self._session.pages(account, "batch", "DescribeJobQueues", jobQueues=list(names))
        return [queue for page in pages for queue in page["jobQueues"]]

    def _environments(self, account: str, queues: Sequence[str]) -> list[Mapping[str, Any]]:
        """The compute environments behind queues, in the order in which they are tried."""
        orders = [order for queue in self._queues(account, queues) for order in queue["computeEnvironmentOrder"]]
        names = list(dict.fromkeys(order["computeEnvironment"] for order in sorted(orders, key=_rank)))
        if not names:
            return []
        pages = self._session.pages(account, "batch", "DescribeComputeEnvironments", computeEnvironments=names)
        found = {row["computeEnvironmentArn"]: row for page in pages for row in page["computeEnvironments"]}
        return [found[name] for name in names if name in found]

    def _handles(self, account: str, job_id: str, count: int) -> list[Handle]:
        ids = [job_id] if count == 1 else [f"{job_id}:{index}" for index in range(count)]
        return [Handle(BATCH, account, one) for one in ids]


def _whole(handle: Handle) -> Handle:
    """The array that a child belongs to; what is no child, itself."""
    return replace(handle, id=handle.id.partition(_ARRAY)[0])


def _still_going(array: Mapping[str, Any]) -> int:
    properties = array.get("arrayProperties") or {}
    summary = properties.get("statusSummary") or {}
    return int(properties.get("size") or 0) - sum(int(summary.get(status) or 0) for status in ENDED)


def _rank(order: Mapping[str, Any]) -> int:
    return int(order["order"])


def _of_array(arn: str) -> str:
    """The address of the array that a child belongs to: the same without its index."""
    return arn.rpartition(":")[0]


def _stopped(job: Mapping[str, Any], stream: str) -> datetime | None:
    """When a job's output came to its end. What never ran has none to wait for."""
    if job["status"] not in ENDED:
        return None
    if moment(job.get("startedAt")) is None and not stream:
        return LONG_AGO
    return moment(job.get("stoppedAt")) or LONG_AGO


def _vcpus(environment: Mapping[str, Any]) -> int:
    if environment.get("type") == "UNMANAGED":
        return int(environment.get("unmanagedvCpus") or 0)
    return int(environment.get("computeResources", {}).get("maxvCpus") or 0)


def _state(kind: str, name: str, row: Mapping[str, Any]) -> str:
    told = f"{kind} {name}: {row.get('state', '')}, {row.get('status', '')}"
    return f"{told}, {row['statusReason']}" if row.get("statusReason") else told
