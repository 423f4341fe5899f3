"""Runs of services: their processes, from before the start until nothing of them is left."""

from __future__ import annotations

import contextlib
import math
import os
import resource
import selectors
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from clusters.providers.local import folders, logcap, sessions, spawn
from clusters.providers.local.hosting import files
from clusters.providers.local.hosting.health import Attempt, Checker, Errand, Knock
from clusters.providers.local.hosting.ports import Ports, environment
from clusters.providers.local.hosting.trash import Trash
from clusters.providers.local.hosting.wishes import Check, Wish
from clusters.providers.local.line import Work

# What has no health check is ready when it has lived so long.
READY_SECONDS = 0.5
_AGAIN_SECONDS = 0.05
_KILL_AGAIN_SECONDS = 1.0
_LOG_SLACK_BYTES = 1 << 20
_FEW_DESCRIPTORS = 256


class Options(NamedTuple):
    """How runs are to be started and kept."""

    root: str
    is_isolated: bool
    host: str
    readable: Sequence[str]
    hidden: Sequence[str]
    log_cap_bytes: int
    grace_seconds: float


class Run:
    """One run. `changed` is called when there is something to look at; then, or after its end, `ended` has words."""

    def __init__(self, number: int, work: Work, plan: files.Plan, changed: Callable[[], None]) -> None:
        self.number = number
        self.work = work
        self.plan = plan
        self.changed = changed
        self.since = 0.0  # when it began, by the monotonic clock
        self.checker: Checker | None = None
        self.is_ready = False
        self.ready_at = math.inf
        self.pidfd = -1  # of one that is not our child
        self.why_stopped = ""
        self.term_at = self.kill_at = math.inf
        self.ended = ""  # how, in words

    @property
    def is_stopping(self) -> bool:
        return bool(self.why_stopped)

    def look(self, now: float) -> float:
        """See how it is; when it wants to be looked at again, if nothing changes before."""
        if self.checker is not None:
            due = self.checker.look(now)
            self._is_ready(self.checker.was_well, now)
            return due
        self._is_ready(now >= self.since + READY_SECONDS, now)
        return math.inf if self.is_ready else self.since + READY_SECONDS

    def _is_ready(self, is_it: bool, now: float) -> None:
        if is_it and not self.is_ready:
            self.is_ready, self.ready_at = True, now


class Runs:
    """Starts runs, finds those that are running, and ends them with all that they started.

    Nothing here waits. `turn` has to be called when `wait_until` has come, and after all else that was called.
    """

    def __init__(self, options: Options, selector: selectors.BaseSelector, boot: str) -> None:
        self._options = options
        self._boot = boot
        self._selector = selector
        shown = (options.readable, [options.root, *options.hidden])
        self._spawner = spawn.Spawner(boot, *shown, files=spawn.JOINED, outlives=True)
        self._checks = spawn.Spawner(boot, *shown, files=spawn.NOWHERE)
        self._ports = Ports(options.host)
        self._trash = Trash(options.root)
        self._watched: dict[int, Callable[[int], None]] = {}
        self._alive: dict[int, Run] = {}
        self._stopping: set[Run] = set()
        self._over: list[int] = []
        self._unwritten: list[tuple[str, folders.Ended]] = []

    def start(self, folder: str, number: int, wish: Wish, restarts: int, changed: Callable[[], None]) -> Run:
        """Begin a run in the service's folder. One that could not be started has ended by the time this returns."""
        options, no_port = self._options, ""
        try:
            ports = self._ports.take(wish.ports)
        except OSError as error:
            ports, no_port = {}, str(error)
        plan = files.Plan(wish.revision, options.host, ports, restarts, options.is_isolated)
        run = Run(number, self._work(folder, number, wish, plan), plan, changed)
        run.since = time.monotonic()
        try:
            files.write_plan(run.work.folder, plan)
            if no_port:
                raise spawn.CannotStart(spawn.NOT_EXECUTABLE, no_port)
            self._spawner.start(run.work)
        except spawn.CannotStart as refusal:
            spawn.write_reason(run.work, refusal.reason, files.OUTPUT)
            self._conclude(run, "cannot-start", refusal.code, refusal.reason)
        except OSError as error:
            self._conclude(run, "cannot-start", spawn.NOT_EXECUTABLE, str(error))
        else:
            self._watched[run.work.pid] = lambda status: self._child_ended(run, status)
            self._begin(run, wish.check)
        os.chdir("/")
        return run

    def adopt(
        self, folder: str, number: int, plan: files.Plan, wish: Wish | None, changed: Callable[[], None]
    ) -> Run | None:
        """A run that goes on from the time of another supervisor, None when it does not.

        `wish`: its configuration, None when it is wanted no more.
        """
        path = f"{folder}/{number}"
        record = folders.read_started(path)
        if not record or "pid" not in record:
            return None
        try:
            pidfd = os.pidfd_open(record["pid"])
        except OSError:
            return None
        if not sessions.leads(record, self._boot):  # asked with the descriptor in hand: it cannot become another's
            os.close(pidfd)
            return None
        run = Run(number, self._work(folder, number, wish, plan), plan, changed)
        run.work.pid, run.work.started, run.pidfd = record["pid"], record["started"], pidfd
        run.work.cuts = {files.OUTPUT: cut} if (cut := logcap.read_cut(path, files.OUTPUT)) else {}
        run.since = time.monotonic() - max(time.time() - run.work.started, 0.0)
        _have_room_above(pidfd)
        self._ports.keep(plan.ports.values())
        self._selector.register(pidfd, selectors.EVENT_READ, lambda _mask: self._other_ended(run))
        self._begin(run, wish and wish.check)
        return run

    def bury(self, orphans: dict[str, folders.Started]) -> None:
        """End what is left of runs (by their folders) that were not adopted, and note that they are over."""
        sessions.end_orphans(orphans, self._boot)
        for path, record in orphans.items():
            words = "it ended when nobody was there to see how" if "pid" in record else "killed before it began"
            self._write_exit(path, self._exit("lost", None, words, record.get("started")))
            self._trash.put(f"{path}/{folders.WORK}")

    def stop(self, run: Run, why: str) -> None:
        """Have it end: politely, and after the grace by force."""
        if run.is_stopping or run.ended:
            return
        run.why_stopped = why
        run.term_at = now = time.monotonic()
        run.kill_at = now + self._options.grace_seconds
        if run.checker is not None:
            run.checker.stop()
        self._stopping.add(run)

    def forget(self, path: str) -> None:
        """Delete a folder of what is over."""
        self._trash.put(path)

    def reap(self) -> None:
        """Take note of children that have ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if told := self._watched.pop(pid, None):
                told(status)

    def wait_until(self) -> float:
        """When `turn` has something to do, if nothing happens before."""
        if self._over:
            return 0.0
        return min((min(run.term_at, run.kill_at) for run in self._stopping), default=math.inf)

    def turn(self, now: float) -> None:
        """Signal what is to stop, and what the ended ones have left behind. One look through /proc for all of them."""
        self._terminate([run for run in self._stopping if run.term_at <= now], now)
        kill = [run for run in self._stopping if run.kill_at <= now]
        for run in kill:
            run.kill_at = now + _KILL_AGAIN_SECONDS
        over, self._over = self._over, []
        if kill or over:
            sessions.kill({*over, *(run.work.pid for run in kill)})
        self._trash.sweep(self._watched)

    @property
    def are_done(self) -> bool:
        """Whether nothing runs and nothing is to be done about what did."""
        return not (self._alive or self._over or self._unwritten) and self._trash.is_empty

    def trim(self) -> None:
        """Cut the output of those that have written too much, and write what could not be written before."""
        cap = self._options.log_cap_bytes
        for run in self._alive.values():
            self._trim(run, min(_LOG_SLACK_BYTES, cap // 2))
        unwritten, self._unwritten = self._unwritten, []
        for path, ended in unwritten:
            self._write_exit(path, ended)

    def _trim(self, run: Run, slack_bytes: int) -> None:
        work = run.work
        with contextlib.suppress(OSError):  # what cannot be cut now is cut next time
            before = work.cuts.get(files.OUTPUT)
            cut = logcap.trim(work.folder, files.OUTPUT, self._options.log_cap_bytes, slack_bytes, before)
            if cut:
                work.cuts[files.OUTPUT] = cut

    # Beginning

    def _work(self, folder: str, number: int, wish: Wish | None, plan: files.Plan) -> Work:
        env = {**(wish.env if wish else {}), **environment(plan.ports)}
        asked: dict[str, object] = {
            "id": os.path.basename(folder),
            "command": wish.command if wish else [],
            "env": env,
            "vcpus_milli": 0,
            "memory_mib": wish.memory_mib if wish else 0,
            "isolate": plan.is_isolated,
        }
        work = Work("", asked)
        work.folder = f"{folder}/{number}"
        return work

    def _begin(self, run: Run, check: Check | None) -> None:
        self._alive[run.work.pid] = run
        if check is not None:
            run.checker = Checker(check, lambda: self._attempt(run, check), time.monotonic())

    def _attempt(self, run: Run, check: Check) -> Attempt:
        if check.port is not None:
            port = run.plan.ports.get(check.port, check.port)
            return Knock(self._selector, run.plan.host, port, check.path, run.changed)
        work = Work("", {"id": run.work.execution_id, "command": check.command, "vcpus_milli": 0, "memory_mib": 0})
        work.folder, work.env, work.isolate = run.work.folder, run.work.env, run.work.isolate
        work.memory_mib = run.work.memory_mib
        return Errand(self._checks, work, self._watched, run.changed)

    # Ending

    def _child_ended(self, run: Run, status: int) -> None:
        code, detail = spawn.exit_code_of(status)
        end = "exited"
        if not run.is_stopping and (refusal := spawn.refusal_of_bubblewrap(run.work, code, files.OUTPUT)):
            end, code, detail = "cannot-start", refusal.code, refusal.reason
        self._end(run, end, code, detail)

    def _other_ended(self, run: Run) -> None:
        self._end(run, "exited", None, "")

    def _end(self, run: Run, end: str, code: int | None, detail: str) -> None:
        sessions.kill_group(run.work.pid)
        self._over.append(run.work.pid)
        del self._alive[run.work.pid]
        self._stopping.discard(run)
        if run.pidfd >= 0:
            self._selector.unregister(run.pidfd)
            os.close(run.pidfd)
            run.pidfd = -1
        if run.checker is not None:
            run.checker.stop()
        self._trim(run, 0)
        self._conclude(run, "canceled" if run.is_stopping else end, code, run.why_stopped or detail)

    def _conclude(self, run: Run, end: str, code: int | None, detail: str) -> None:
        """Note how it ended, on disk and in words, give back its ports, and have it looked at."""
        self._ports.give_back(run.plan.ports.values())
        lived = time.monotonic() - run.since
        run.ended = _words(end, code, detail, lived)
        if os.path.isdir(run.work.folder):
            self._write_exit(run.work.folder, self._exit(end, code, run.ended, run.work.started or None))
            self._trash.put(f"{run.work.folder}/{folders.WORK}")
        run.changed()

    def _exit(self, end: str, code: int | None, detail: str, started: float | None) -> folders.Ended:
        return {
            "started": started,
            "ended": time.time(),
            "code": code,
            "end": end,
            "detail": detail,
            "node": self._spawner.node,
        }

    def _write_exit(self, path: str, ended: folders.Ended) -> None:
        try:
            folders.write_exit(path, ended)
        except FileNotFoundError:
            pass  # somebody removed the folder
        except OSError:  # a full disk: tried again until it is written
            self._unwritten.append((path, ended))

    def _terminate(self, runs: Sequence[Run], now: float) -> None:
        if not runs:
            return
        living = sessions.living({run.work.pid for run in runs})
        for run in runs:
            # bubblewrap would die of it and take the command along without its grace
            members = [one for one in living[run.work.pid] if not (run.plan.is_isolated and one.name == "bwrap")]
            is_reached = sessions.send(members, signal.SIGTERM)
            run.term_at = math.inf if is_reached else now + _AGAIN_SECONDS


def _have_room_above(fd: int) -> None:
    """Allow ourselves more file descriptors when they get few. What is started from then on may have more as well."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if fd + _FEW_DESCRIPTORS > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * soft if hard < 0 else min(2 * soft, hard), hard))


def _words(end: str, code: int | None, detail: str, seconds: float) -> str:
    if end == "cannot-start":
        return f"it cannot start: {detail}"
    how = "ended with an exit code that nobody saw" if code is None else f"exit code {code}"
    return f"{how}{f' ({detail})' if detail else ''} after {seconds:.1f} s"
