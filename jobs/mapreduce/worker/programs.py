"""Starts the programs of a task, passes on what they say on stderr, and leaves none of them running."""

from __future__ import annotations

import fcntl
import os
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from .errors import PROGRAM_FAILED, TaskFailed
from .lines import BLOCK_BYTES

TAIL_BYTES = 4096
_LEFT_OPEN_SECONDS = 1  # how long to wait for the end of a stderr that something unknown holds open


class Stderr:
    """One pipe for the stderr of all programs of a task: passed on to ours up to a bound, the end remembered."""

    def __init__(self, limit_bytes: int) -> None:
        self._read, self.fd = os.pipe()
        self._left = limit_bytes
        self._tail = b""
        self._pump = threading.Thread(target=self._pass_on, daemon=True)
        self._pump.start()

    def _pass_on(self) -> None:
        while block := os.read(self._read, 1 << 16):
            self._tail = (self._tail + block)[-TAIL_BYTES:]
            if not self._left:
                continue
            passed = block[: self._left]
            self._left -= len(passed)
            with suppress(OSError):
                write_all(2, passed)
                if not self._left:
                    write_all(2, b"\n(what programs write to stderr from here on is not kept)\n")

    def last_lines(self) -> str | None:
        """The end of what was said. To be asked when no program runs any more: no other can be started."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._pump.join(_LEFT_OPEN_SECONDS)
        return self._tail.decode(errors="replace").strip() or None


class Programs:
    """Every program runs in a process group of its own within our session, and its group is killed when it ends."""

    def __init__(self, env: Mapping[str, str], stderr: Stderr) -> None:
        self.env = env
        self.stderr = stderr
        self._null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        self._running: set[int] = set()

    def start(
        self,
        who: str,
        argv: Sequence[str | bytes],
        stdin: int | None = None,
        stdout: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> int:
        """The pid. Without `stdin` there is nothing to read; without `stdout` it is as stderr.

        Raises TaskFailed when it cannot be started.
        """
        actions = [
            (os.POSIX_SPAWN_DUP2, self._null if stdin is None else stdin, 0),
            (os.POSIX_SPAWN_DUP2, self.stderr.fd if stdout is None else stdout, 1),
            (os.POSIX_SPAWN_DUP2, self.stderr.fd, 2),
        ]
        try:
            pid = os.posix_spawnp(
                argv[0], list(argv), self.env if env is None else env, file_actions=actions, setpgroup=0,
                setsigdef=(signal.SIGPIPE,),
            )  # fmt: skip
        except OSError as error:
            message = f"The {who} {os.fsdecode(argv[0])} cannot be started: {error.strerror}."
            raise TaskFailed(PROGRAM_FAILED, message, program=who) from error
        self._running.add(pid)
        return pid

    def wait(self, pid: int) -> int:
        """Its exit code, negative: the signal. What is left of its group is killed."""
        try:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
            self._kill(pid)  # before it is reaped, so that its number is nobody else's
            self._running.discard(pid)
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except ChildProcessError:  # another thread has failed, and `kill_all` was first
            return -signal.SIGKILL

    def check(self, who: str, exit_code: int, **facts: object) -> None:
        """Raise TaskFailed unless the program ended well."""
        if exit_code == 0:
            return
        self.kill_all()
        ended = f"ended with exit code {exit_code}" if exit_code > 0 else f"was killed by {signal_name(-exit_code)}"
        said = self.stderr.last_lines()
        raise TaskFailed(
            PROGRAM_FAILED,
            f"The {who} {ended}." + (f" It last said: {said.splitlines()[-1]}" if said else ""),
            program=who,
            exit_code=exit_code if exit_code > 0 else None,
            signal=signal_name(-exit_code) if exit_code < 0 else None,
            stderr=said,
            **facts,
        )

    def kill(self, pid: int) -> None:
        if pid in self._running:
            self._kill(pid)

    def kill_all(self) -> None:
        for pid in list(self._running):
            self._kill(pid)
        for pid in list(self._running):
            self._running.discard(pid)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    @staticmethod
    def _kill(pid: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def pipe() -> tuple[int, int]:
    """A pipe that takes a whole block where the system allows it."""
    ends = os.pipe()
    with suppress(OSError):
        fcntl.fcntl(ends[1], fcntl.F_SETPIPE_SZ, BLOCK_BYTES)
    return ends


def write_all(fd: int, block: bytes) -> None:
    written = os.write(fd, block)
    if written < len(block):
        view = memoryview(block)
        while written < len(block):
            written += os.write(fd, view[written:])


def read_blocks(fd: int) -> Iterator[bytes]:
    """What comes until the end; `fd` is closed."""
    try:
        while block := os.read(fd, BLOCK_BYTES):
            yield block
    finally:
        os.close(fd)


class Filter:
    """A program that reads `source` on its stdin, and is read by its stdout.

    A program may end without having read everything: its exit code decides. A failure of `source` ends it and
    is raised by `finish`.
    """

    def __init__(
        self, programs: Programs, who: str, argv: Sequence[str], source: Iterator[bytes], stdout: int | None = None
    ) -> None:
        self.who = who
        self.unread = False  # it ended, or closed its stdin, before all was read
        self._programs = programs
        self._source = source
        self._failure: BaseException | None = None
        stdin, self._stdin = pipe()
        own = stdout is None
        out, stdout = pipe() if stdout is None else (-1, stdout)
        try:
            self._pid = programs.start(who, argv, stdin, stdout)
        except TaskFailed:
            os.close(self._stdin)
            if own:
                os.close(out)
            raise
        finally:
            os.close(stdin)
            if own:
                os.close(stdout)
        self.blocks = read_blocks(out) if own else iter(())
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self) -> None:
        try:
            for block in self._source:
                write_all(self._stdin, block)
        except BrokenPipeError:
            self.unread = True
        except BaseException as failure:
            self._failure = failure
            self._programs.kill(self._pid)
        finally:
            os.close(self._stdin)

    def finish(self) -> None:
        """To be called after `blocks` has ended. Raises TaskFailed unless the source and the program ended well."""
        exit_code = self._programs.wait(self._pid)
        self._feeder.join()
        if self._failure is not None:
            raise self._failure
        self._programs.check(self.who, exit_code)
