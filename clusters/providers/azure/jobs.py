"""Batch jobs and the tasks in them: made on demand, added to, looked through, put away."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

from azure.batch.models import (
    BatchAllTasksCompleteMode,
    BatchCreateTaskCollectionResult,
    BatchJob,
    BatchJobCreateOptions,
    BatchJobState,
    BatchJobUpdateOptions,
    BatchPoolInfo,
    BatchTask,
    BatchTaskAddStatus,
    BatchTaskCreateOptions,
    BatchTaskCreateResult,
    BatchTaskFailureMode,
    BatchTaskGroup,
)
from azure.core.rest import HttpRequest

from clusters.providers.azure import ends, names
from clusters.providers.azure.account import API_VERSION, Account, kind_of
from clusters.providers.azure.config import AzureConfig
from clusters.providers.azure.words import word
from clusters.providers.errors import ProviderError, Throttled

PAGE_ROWS: Final = 1000  # Azure's most
_IDS_PER_CALL = 20  # in a list that names its tasks: services of this kind bound such conditions
_BY_NAME_CALLS = 2  # from more calls on, lists of many are tried first
_TRIES = 2
_CLOSES_AFTER = timedelta(hours=1)  # after its day: clocks differ, and a submit may be on its way
_GONE = ("JobNotFound", "JobBeingDeleted")


class Jobs:
    """The Batch jobs of an account. Threads may share it."""

    def __init__(self, config: AzureConfig, account: Account, now: Callable[[], datetime]) -> None:
        self._config = config
        self._account = account
        self._now = now
        self._lock = threading.Lock()
        self._made: set[str] = set()  # jobs that were there when we last looked

    def today(self, pool: str, customer: str) -> str:
        """The job that takes new tasks."""
        return names.job_id(pool, customer, self._now().date())

    def add(self, job: str, pool: str, customer: str, tasks: Sequence[BatchTaskCreateOptions]) -> None:
        """Have all `tasks` in the job, which is made if need be; those that are in it already stay as they are.

        All or none: when Azure refuses one for good, the others are deleted again, and its error is raised. What it
        could not add for a passing reason is tried once more; then a ProviderError says that some were started.
        """
        left = {task.id: task for task in tasks}
        there: list[str] = []
        reason = ""
        for _ in range(_TRIES):
            try:
                results = self._add(job, pool, customer, list(left.values()))
            except ProviderError as error:
                if there:
                    raise ProviderError(f"{_part(there, tasks)}: {error}") from error
                raise
            for result in results.result_values or ():
                code, words = _said(result)
                if _is_there(result):
                    there.append(result.task_id)
                    left.pop(result.task_id, None)
                    continue
                kind = _kind(result, code)
                if kind is not ProviderError:
                    taken = [row.task_id for row in results.result_values or () if _is_there(row)]
                    self._take_back(job, {*there, *taken})
                    raise kind(f"Azure Batch refuses {result.task_id}: {words}")
                reason = words
            if not left:
                return
        raise ProviderError(f"{_part(there, tasks)}: {reason}")

    def _add(
        self, job: str, pool: str, customer: str, tasks: list[BatchTaskCreateOptions]
    ) -> BatchCreateTaskCollectionResult:
        with self._lock:
            is_made = job in self._made
        if not is_made:
            self._make(job, pool, customer)
        collection = BatchTaskGroup(task_values=tasks)

        def create() -> BatchCreateTaskCollectionResult:
            return self._account.client.create_task_collection(job, collection)

        results = self._account.call("add tasks", create, unless=_GONE if is_made else ())
        if results is None:  # it was there once
            self._make(job, pool, customer)
            results = self._account.call("add tasks", create)
        assert results is not None
        return results

    def _make(self, job: str, pool: str, customer: str) -> None:
        options = BatchJobCreateOptions(
            id=job,
            display_name=f"control plane: {customer or 'nobody'} on {pool}",
            pool_info=BatchPoolInfo(pool_id=pool),
            all_tasks_complete_mode=BatchAllTasksCompleteMode.NO_ACTION,
            task_failure_mode=BatchTaskFailureMode.NO_ACTION,
        )
        self._account.call("make a job", lambda: self._account.client.create_job(options), unless=("JobExists",))
        day = names.day_of(job)
        with self._lock:
            self._made = {one for one in self._made if names.day_of(one) == day} | {job}

    def _take_back(self, job: str, tasks: Collection[str]) -> None:
        try:
            self.delete(job, tasks)
        except ProviderError as error:  # whatever its kind: something has been started
            raise ProviderError(f"could not be taken back: {error}") from error

    def delete(self, job: str, tasks: Collection[str]) -> None:
        """Delete tasks, which stop. Unknown ones are no error."""
        client = self._account.client
        for task in tasks:
            self._account.call(
                "delete a task",
                lambda task=task: client.delete_task(job, task),  # type: ignore[misc]
                unless=("TaskNotFound", *_GONE),
            )

    def ours(self) -> list[BatchJob]:
        """All jobs of ours, whatever their state."""
        client = self._account.client
        return self._account.rows(
            "list jobs",
            lambda: client.list_jobs(
                filter=f"startswith(id,'{names.PREFIX}')",
                select=["id", "state", "poolInfo", "onAllTasksComplete"],
                max_results=PAGE_ROWS,
            ),
        )

    def tasks(self, job: str, wanted: Sequence[str]) -> list[BatchTask]:
        """Those of the tasks that the job has, with what `ends` needs, in few calls.

        Of many, most have not ended, so all such are listed first; the rest is asked for by name, or found in a
        list of all where that is shorter.
        """
        rows: list[BatchTask] = []
        if _calls(wanted) > _BY_NAME_CALLS:
            known = set(wanted)
            rows = [task for task in self._list(job, "state ne 'completed'") if task.id in known]
            seen = {task.id for task in rows}
            wanted = [task for task in wanted if task not in seen]
        if _calls(wanted) > _BY_NAME_CALLS and 1 + self._pages(job) <= _calls(wanted):
            known = set(wanted)
            return rows + [task for task in self._list(job, None) if task.id in known]
        for at in range(0, len(wanted), _IDS_PER_CALL):
            some = wanted[at : at + _IDS_PER_CALL]
            rows += self._list(job, " or ".join(f"id eq '{task}'" for task in some))
        return rows

    def _pages(self, job: str) -> int:
        """How many pages a list of the job's tasks has."""
        counts = self._account.call("count tasks", lambda: self._account.client.get_job_task_counts(job), unless=_GONE)
        if counts is None:
            return 0
        number = counts.task_counts.active + counts.task_counts.running + counts.task_counts.completed
        return max(1, -(-number // PAGE_ROWS))

    def _list(self, job: str, condition: str | None) -> list[BatchTask]:
        client = self._account.client
        return self._account.rows(
            "list tasks",
            lambda: client.list_tasks(job, filter=condition, select=ends.FIELDS, max_results=PAGE_ROWS),
            unless=_GONE,
        )

    def tidy(self) -> None:
        """Let the jobs of past days end with their last task, as only active ones count against the account's quota.

        Ended ones are deleted after `keep_days`, and their tasks with them.
        """
        now = self._now()
        closing = (now - _CLOSES_AFTER).date()
        oldest = (now - timedelta(days=self._config.keep_days)).date()
        for job in self.ours():
            day = names.day_of(job.id)
            if day is None:
                continue
            if word(job.state) == BatchJobState.COMPLETED and day < oldest:
                self._delete_job(job.id)
            elif (
                word(job.state) == BatchJobState.ACTIVE
                and day < closing
                and word(job.all_tasks_complete_mode) != BatchAllTasksCompleteMode.TERMINATE_JOB
            ):
                self._close(job.id)

    def _close(self, job: str) -> None:
        options = BatchJobUpdateOptions(all_tasks_complete_mode=BatchAllTasksCompleteMode.TERMINATE_JOB)
        self._account.call(
            "close a job",
            lambda: self._account.client.update_job(job, options),
            unless=(*_GONE, "JobCompleted", "JobBeingTerminated"),
        )

    def _delete_job(self, job: str) -> None:
        """Not by the SDK's begin_delete_job, which leaves a thread behind that asks whether it is done."""
        request = HttpRequest("DELETE", f"/jobs/{job}", params={"api-version": API_VERSION})
        self._account.call("delete a job", lambda: self._account.client.send_request(request), unless=_GONE)


def _calls(wanted: Sequence[str]) -> int:
    """How many it takes to ask for them by name."""
    return -(-len(wanted) // _IDS_PER_CALL)


def _is_there(result: BatchTaskCreateResult) -> bool:
    """Whether the task was added, now or before."""
    return word(result.status) == BatchTaskAddStatus.SUCCESS or bool(result.error and result.error.code == "TaskExists")


def _part(there: Sequence[str], tasks: Sequence[BatchTaskCreateOptions]) -> str:
    return f"Azure Batch has {len(there)} of {len(tasks)} tasks"


def _said(result: BatchTaskCreateResult) -> tuple[str, str]:
    """The code of a refusal, and it in words."""
    error = result.error
    if error is None:
        return "", str(result.status)
    values = "; ".join(f"{one.key}: {one.value}" for one in error.error_values or ())
    message = (error.message.value or "") if error.message else ""
    return error.code or "", " ".join(part for part in (f"{error.code}:", message, values) if part)


def _kind(result: BatchTaskCreateResult, code: str) -> type[ProviderError]:
    """What a refusal of one task comes to: ProviderError where it may be taken the next time."""
    status = 400 if word(result.status) == BatchTaskAddStatus.CLIENT_ERROR else 500
    kind = kind_of(code, status)
    return ProviderError if issubclass(kind, Throttled) else kind
