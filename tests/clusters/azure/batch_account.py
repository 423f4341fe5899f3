"""The state of the stand-in's Batch account, and what its operations do to it."""

from __future__ import annotations

import re
import shutil
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.clusters.azure import batch_rest as rest
from tests.clusters.azure.batch_nodes import STOPPED, Failure, Run, failure
from tests.clusters.azure.batch_rest import Refusal

Row = dict[str, Any]
UNLIMITED = "P10675199DT2H48M5.4775807S"
COUNTED = (
    *("creating", "idle", "offline", "preempted", "rebooting", "reimaging", "running", "starting", "startTaskFailed"),
    *("leavingPool", "unknown", "unusable", "waitingForStartTask", "deallocated", "deallocating", "upgradingOS"),
)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass
class Node:
    id: str
    free_slots: int
    spot: bool = False


@dataclass
class Pool:
    row: Row
    nodes: list[Node] = field(default_factory=list)

    def add_nodes(self, count: int, spot: bool) -> None:
        slots = self.row["taskSlotsPerNode"]
        self.nodes += [Node(f"tvmps_{uuid.uuid4().hex[:16]}_d", slots, spot) for _ in range(count)]


@dataclass
class Task:
    row: Row
    node: Node | None = None
    run: Run | None = None
    folder: Path | None = None  # of what it wrote; None: it never ran, or its node is gone


@dataclass
class Job:
    row: Row
    tasks: dict[str, Task] = field(default_factory=dict)


@dataclass
class ItemFault:
    """Tasks whose id matches are not added, that many times."""

    task: str
    code: str
    status: str = "clienterror"
    times: int = 1


class Account:
    """Pools, jobs and tasks. Ids are compared without regard to case. Without an engine nothing ever runs."""

    def __init__(self, url: str, engine: str, folder: Path) -> None:
        self.url, self.engine, self.folder = url, engine, folder
        self.lock = threading.RLock()
        self.reset()

    def reset(self) -> None:
        with self.lock:
            for job in getattr(self, "jobs", {}).values():
                for task in job.tasks.values():
                    self._forget(task)
            self.pools: dict[str, Pool] = {}
            self.jobs: dict[str, Job] = {}
            self.item_faults: list[ItemFault] = []
            self.page_rows, self.job_quota, self.pool_quota = 1000, 100, 10
            self.starts: list[str] = []  # ids of tasks, each time that one starts

    # Finding

    def pool(self, name: str) -> Pool:
        if name.lower() not in self.pools:
            raise Refusal(404, "PoolNotFound", "The specified pool does not exist.")
        return self.pools[name.lower()]

    def job(self, name: str) -> Job:
        if name.lower() not in self.jobs:
            raise Refusal(404, "JobNotFound", "The specified job does not exist.")
        return self.jobs[name.lower()]

    def task(self, job: str, name: str) -> Task:
        tasks = self.job(job).tasks
        if name.lower() not in tasks:
            raise Refusal(404, "TaskNotFound", "The specified task does not exist.")
        return tasks[name.lower()]

    # Pools

    def add_pool(self, body: Row) -> None:
        rest.check_body(body, rest.POOL)
        if body["id"].lower() in self.pools:
            raise Refusal(409, "PoolExists", "The specified pool already exists.")
        if len(self.pools) >= self.pool_quota:
            raise Refusal(409, "PoolQuotaReached", "Pool quota for the account has been reached.")
        targets = [name for name in ("targetDedicatedNodes", "targetLowPriorityNodes") if name in body]
        if body.get("enableAutoScale"):
            if targets or "autoScaleFormula" not in body:
                raise Refusal(400, "InvalidAutoScalingSettings", "The specified auto-scaling settings are not valid.")
            if rest.seconds(body.get("autoScaleEvaluationInterval", "PT15M")) < 300:
                raise Refusal(400, "InvalidAutoScalingSettings", "The evaluation interval is 5 minutes at least.")
            _check_formula(body["autoScaleFormula"])
        row = {
            "targetDedicatedNodes": 0,
            "targetLowPriorityNodes": 0,
            "taskSlotsPerNode": 1,
            **body,
            "state": "active",
            "allocationState": "steady",
            "creationTime": now(),
        }
        pool = self.pools[body["id"].lower()] = Pool(row)
        pool.add_nodes(row["targetDedicatedNodes"], spot=False)
        pool.add_nodes(row["targetLowPriorityNodes"], spot=True)
        self.schedule()

    def pool_row(self, name: str) -> Row:
        pool = self.pool(name)
        spot = sum(node.spot for node in pool.nodes)
        return {**pool.row, "currentDedicatedNodes": len(pool.nodes) - spot, "currentLowPriorityNodes": spot}

    def node_counts(self) -> list[Row]:
        return [
            {"poolId": pool.row["id"], "dedicated": _counts(pool, False), "lowPriority": _counts(pool, True)}
            for pool in self.pools.values()
        ]

    def take_nodes(self, pool: str) -> None:
        """The nodes of a pool are taken away: what runs there is put back in line, what was written is lost."""
        self.pool(pool).nodes.clear()
        for job in self.jobs.values():
            for task in job.tasks.values():
                if task.node is None or job.row["poolInfo"]["poolId"].lower() != pool.lower():
                    continue
                task.folder = None
                if task.row["state"] == "running":
                    run, task.run, task.node = task.run, None, None
                    info = {"retryCount": 0, "requeueCount": 0}
                    _move(task.row, "active", executionInfo=info)
                    if run is not None:
                        run.stop(failure("ServerError", "Unknown", "preempted"))

    # Jobs

    def add_job(self, body: Row) -> None:
        """A pool that does not exist is no hindrance, as the reference says."""
        rest.check_body(body, rest.JOB)
        if body["id"].lower() in self.jobs:
            raise Refusal(409, "JobExists", "The specified job already exists.")
        active = sum(job.row["state"] == "active" for job in self.jobs.values())
        if active >= self.job_quota:
            message = "The account has reached its quota of active jobs and job schedules."
            raise Refusal(409, "ActiveJobAndScheduleQuotaReached", message)
        times = {"creationTime": now(), "stateTransitionTime": now()}
        row = {"priority": 0, "onAllTasksComplete": "noaction", "onTaskFailure": "noaction", **body, **times}
        self.jobs[body["id"].lower()] = Job({**row, "state": "active"})

    def update_job(self, name: str, body: Row) -> None:
        rest.check_body(body, rest.JOB_UPDATE)
        job = self._active(name)
        job.row.update(body)
        self._end_of(job)

    def terminate_job(self, name: str) -> None:
        job = self._active(name)
        for task in job.tasks.values():
            if task.row["state"] != "completed":
                self._stop(task)
        job.row["state"] = "completed"

    def delete_job(self, name: str) -> None:
        for task in self.job(name).tasks.values():
            self._forget(task)
        del self.jobs[name.lower()]

    def counts(self, name: str) -> Row:
        rows = [task.row for task in self.job(name).tasks.values()]
        found = {state: sum(row["state"] == state for row in rows) for state in ("active", "running", "completed")}
        succeeded = sum(row["executionInfo"].get("result") == "success" for row in rows)
        counts = {**found, "succeeded": succeeded, "failed": found["completed"] - succeeded}
        return {"taskCounts": counts, "taskSlotCounts": counts}

    def _active(self, name: str) -> Job:
        job = self.job(name)
        state = job.row["state"]
        if state == "completed":
            raise Refusal(409, "JobCompleted", "The specified job is already in a completed state.")
        if state in ("terminating", "deleting"):
            code = "JobBeingTerminated" if state == "terminating" else "JobBeingDeleted"
            raise Refusal(409, code, f"The specified job is {state}.")
        return job

    def _end_of(self, job: Job) -> None:
        done = all(task.row["state"] == "completed" for task in job.tasks.values())
        if done and job.row["onAllTasksComplete"] == "terminatejob" and job.row["state"] == "active":
            job.row["state"] = "completed"

    # Tasks

    def add_tasks(self, name: str, body: Row) -> list[Row]:
        rest.check_body(body, rest.COLLECTION)
        if len(body["value"]) > rest.COLLECTION_TASKS:
            message = "The value provided for one of the properties in the request body is invalid."
            raise Refusal(400, "InvalidPropertyValue", message, PropertyName="value", Reason="100 tasks at most")
        job = self._active(name)
        results = [self._add_task(job, one) for one in body["value"]]
        self.schedule()
        return results[::-1]  # in no particular order, says the reference

    def _add_task(self, job: Job, body: Row) -> Row:
        name = body["id"]
        for fault in self.item_faults:
            if fault.times and re.search(fault.task, name):
                fault.times -= 1
                error = Refusal(400, fault.code, "One of the request inputs is not valid.", PropertyName="id").body()
                return {"status": fault.status, "taskId": name, "error": error}
        if name.lower() in job.tasks:
            error = Refusal(409, "TaskExists", "The specified task already exists.").body()
            return {"status": "clienterror", "taskId": name, "error": error}
        constraints = {"maxWallClockTime": UNLIMITED, "retentionTime": "P7D", "maxTaskRetryCount": 0}
        row = {
            "requiredSlots": 1,
            **body,
            "constraints": {**constraints, **body.get("constraints", {})},
            "url": f"{self.url}/jobs/{job.row['id']}/tasks/{name}",
            "eTag": "0x8D",
            "creationTime": now(),
            "lastModified": now(),
            "state": "active",
            "stateTransitionTime": now(),
            "executionInfo": {"retryCount": 0, "requeueCount": 0},
        }
        job.tasks[name.lower()] = Task(row)
        return {"status": "success", "taskId": name, "eTag": "0x8D", "location": row["url"], "lastModified": now()}

    def terminate_task(self, job: str, name: str) -> None:
        task = self.task(job, name)
        if task.row["state"] == "completed":
            raise Refusal(409, "TaskCompleted", "The specified task is already in a completed state.")
        self._stop(task)
        self._end_of(self.job(job))

    def _stop(self, task: Task) -> None:
        why = failure("UserError", "TaskEnded", STOPPED)
        if task.run is not None:
            task.run.stop(why)
        else:
            self._complete(task, None, why)

    def delete_task(self, job: str, name: str) -> None:
        self._forget(self.task(job, name))
        del self.job(job).tasks[name.lower()]

    def _forget(self, task: Task) -> None:
        run, task.run = task.run, None
        if run is not None:
            run.stop(failure("UserError", "TaskEnded", STOPPED))
        elif task.folder is not None:
            shutil.rmtree(task.folder, ignore_errors=True)

    def file(self, job: str, name: str, path: str) -> Path:
        task = self.task(job, name)
        if task.folder is None:
            raise Refusal(409, "TaskFilesUnavailable", "The files of the specified task are unavailable.")
        if path not in ("stdout.txt", "stderr.txt") or not (task.folder / path).exists():
            raise Refusal(404, "FileNotFound", "The specified file does not exist.")
        return task.folder / path

    # Running

    def schedule(self) -> None:
        """Start what waits, where there are nodes with room."""
        for job in self.jobs.values():
            pool = self.pools.get(job.row["poolInfo"]["poolId"].lower())
            if job.row["state"] != "active" or pool is None:
                continue
            for task in job.tasks.values():
                if task.row["state"] == "active":
                    self._place(job, pool, task)

    def _place(self, job: Job, pool: Pool, task: Task) -> None:
        slots = task.row["requiredSlots"]
        if slots > pool.row["taskSlotsPerNode"]:
            message = "Task cannot be scheduled on the pool associated with the job"
            self._complete(task, None, failure("UserError", "TaskSchedulingConstraintFailed", message))
            return
        node = next((node for node in pool.nodes if node.free_slots >= slots), None)
        if node is None or not self.engine:
            return
        node.free_slots -= slots
        task.node = node
        task.folder = self.folder / uuid.uuid4().hex
        added = {
            "AZ_BATCH_JOB_ID": job.row["id"],
            "AZ_BATCH_TASK_ID": task.row["id"],
            "AZ_BATCH_POOL_ID": pool.row["id"],
            "AZ_BATCH_NODE_ID": node.id,
        }
        info = {"poolId": pool.row["id"], "nodeId": node.id, "nodeUrl": f"{self.url}/pools/{pool.row['id']}"}
        _move(task.row, "running", nodeInfo=info)
        task.row["executionInfo"]["startTime"] = now()
        self.starts.append(task.row["id"])
        run = task.run = Run(self.engine, task.folder, task.row, added, self._ender(job, task, node))
        run.start()

    def _ender(self, job: Job, task: Task, node: Node) -> Callable[[int | None, Failure | None], None]:
        def ended(code: int | None, failed: Failure | None) -> None:
            with self.lock:
                node.free_slots += task.row["requiredSlots"]
                if task.node is node and task.run is not None:  # else it was taken away, or deleted
                    task.run = None
                    self._complete(task, code, failed)
                    self._end_of(job)
                self.schedule()

        return ended

    def _complete(self, task: Task, code: int | None, failed: Failure | None) -> None:
        info = {**task.row["executionInfo"], "endTime": now(), "result": "failure" if failed else "success"}
        info |= {} if code is None else {"exitCode": code}
        info |= {"failureInfo": failed} if failed else {}
        _move(task.row, "completed", executionInfo=info)


def _move(row: Row, state: str, **members: Any) -> None:
    previous = {"previousState": row["state"], "previousStateTransitionTime": row["stateTransitionTime"]}
    row.update(previous, state=state, stateTransitionTime=now(), lastModified=now(), **members)


def _counts(pool: Pool, spot: bool) -> Mapping[str, int]:
    nodes = [node for node in pool.nodes if node.spot == spot]
    busy = sum(node.free_slots < pool.row["taskSlotsPerNode"] for node in nodes)
    return dict.fromkeys(COUNTED, 0) | {"idle": len(nodes) - busy, "running": busy, "total": len(nodes)}


def _check_formula(formula: str) -> None:
    """Statements "name = expression;" that set a target. What the expressions mean is not looked at."""
    statements = [part.strip() for part in formula.split(";")]
    well_formed = statements[-1] == "" and all(re.fullmatch(r"\$?\w+\s*=\s*[^=]+", one) for one in statements[:-1])
    if not well_formed or formula.count("(") != formula.count(")"):
        raise Refusal(400, "AutoScalingFormulaSyntaxError", "The specified auto-scaling formula has a syntax error.")
    if not re.search(r"\$Target(Dedicated|LowPriority)Nodes\s*=", formula):
        raise Refusal(400, "InvalidAutoScalingSettings", "The formula sets no target.")
