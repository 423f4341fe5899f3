"""Start one execution's command and say how it ended. Nothing stands between the runner and the command.

`os.posix_spawn` with files opened in the child: no fork of the runner, no shim, no pipe. It cannot set
the current directory, so the runner goes there itself first, which a single-threaded process may.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
import stat
import time
from collections.abc import Mapping, Sequence

from clusters.providers.local import folders, isolation
from clusters.providers.local.line import Work

NOT_FOUND = 127
NOT_EXECUTABLE = 126

_OUTPUT = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW
# 0 is inherited: the runner's own is /dev/null. The paths are seen from the work folder.
Files = Sequence[tuple[object, ...]]
APART: Files = (
    (os.POSIX_SPAWN_OPEN, 1, "../stdout", _OUTPUT, 0o600),
    (os.POSIX_SPAWN_OPEN, 2, "../stderr", _OUTPUT, 0o600),
)
JOINED: Files = (APART[0], (os.POSIX_SPAWN_DUP2, 1, 2))
NOWHERE: Files = (*((os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_WRONLY, 0) for fd in (1, 2)),)
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_PROJECT = os.path.abspath(__file__ + "/../../../..")  # our sources are nobody's to read
_ROOM_BYTES = 32 << 20
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class CannotStart(Exception):
    """The command could not be started: exit code and reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.replace("\0", "").encode(errors="backslashreplace").decode()


class Spawner:
    """Starts commands on this machine. `files` is where their output goes.

    With `outlives` isolated commands go on when we die, as all others do.
    """

    def __init__(
        self,
        boot: str,
        readable: Sequence[str],
        hidden: Sequence[str],
        *,
        files: Files = APART,
        outlives: bool = False,
    ) -> None:
        self.node = os.uname().nodename
        self._boot = boot
        bubblewrap = isolation.find_bubblewrap()
        hidden = [_PROJECT, *hidden]
        self._sandbox = isolation.Sandbox(bubblewrap, readable, hidden, outlives=outlives) if bubblewrap else None
        self._files = files
        self._data_hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        self._after = f', "boot": {json.dumps(boot)}, "node": {json.dumps(self.node)}}}'

    def start(self, work: Work) -> bool:
        """Take the right to run and start the command; False when the right was taken before.

        Leaves the runner's current directory in the execution's folder. Raises CannotStart when the
        right is ours and there is no process, OSError when there is not even a folder.
        """
        folders.make_folder(work.folder)
        os.chdir(work.folder)
        try:
            note = folders.take(folders.STARTED)
        except FileExistsError:
            return False
        try:
            work.started = time.time()
            self.spawn(work)
            made = time.clock_gettime(time.CLOCK_BOOTTIME)
            text = f'{{"pid": {work.pid}, "boot_seconds": {made:.3f}, "started": {work.started:.3f}{self._after}'
            with contextlib.suppress(OSError):  # a full disk: the process is known to us, and found by its folder
                os.write(note, text.encode())
        finally:
            os.close(note)
        return True

    def spawn(self, work: Work) -> None:
        """Start the command from the current directory, the execution's folder, without taking the right to run.

        Raises CannotStart. The current directory is another one afterwards.
        """
        command, env = work.command, work.env
        if not command:
            raise CannotStart(NOT_FOUND, "the command is empty")
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folders.WORK, 0o700)
            os.chdir(folders.WORK)
            if work.isolate:
                self._spawn_inside(work)
            else:
                path = resolve(command[0], env)
                work.pid = os.posix_spawn(
                    path,
                    command,
                    env,
                    file_actions=self._files,
                    setsid=True,
                    setsigmask=(),
                    setsigdef=_IGNORED_BY_PYTHON,
                )
        except (OSError, ValueError) as error:
            raise _as_cannot_start(command[0], error) from error
        self._limit(work)

    def _spawn_inside(self, work: Work) -> None:
        if self._sandbox is None:
            raise CannotStart(NOT_EXECUTABLE, "isolation is asked for and bubblewrap (bwrap) is not installed")
        argv = self._sandbox.command(
            f"{work.folder}/{folders.WORK}",
            work.command,
            work.env,
            work.memory_mib,
            mounts=work.mounts,
            shm_mib=work.shm_mib,
            network=work.network,
        )
        env = isolation.outer_environment(work.env)
        # bubblewrap may have forked before `_limit` gets to it, so here the limit must be inherited. It
        # is ours too for that moment, and must leave us room.
        before = resource.getrlimit(resource.RLIMIT_DATA)
        own = max(self._data_bytes(work), _own_data_bytes() + _ROOM_BYTES)
        resource.setrlimit(resource.RLIMIT_DATA, (own if self._data_hard < 0 else min(own, self._data_hard), before[1]))
        try:
            work.pid = os.posix_spawn(
                argv[0], argv, env, file_actions=self._files, setsid=True, setsigmask=(), setsigdef=_IGNORED_BY_PYTHON
            )
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, before)

    def _limit(self, work: Work) -> None:
        limit = self._data_bytes(work)
        if not limit:
            return
        with contextlib.suppress(OSError):  # gone already, or another user's by its set-user-id bit
            resource.prlimit(work.pid, resource.RLIMIT_DATA, (limit, limit))

    def _data_bytes(self, work: Work) -> int:
        limit = work.memory_mib << 20
        return limit if self._data_hard < 0 else min(limit, self._data_hard)


def resolve(name: str, env: Mapping[str, str]) -> str:
    """The file that `name` means under the PATH of `env`. A relative entry of PATH means nothing to us."""
    if "/" in name:
        return name
    refused = False
    for folder in env.get("PATH", os.defpath).split(":"):
        if not folder.startswith("/"):
            continue
        path = f"{folder}/{name}"
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
        refused = refused or os.path.isfile(path)
    if refused:
        raise CannotStart(NOT_EXECUTABLE, f"{name}: not executable")
    raise CannotStart(NOT_FOUND, f"{name}: command not found")


def exit_code_of(status: int) -> tuple[int, str]:
    """The exit code as a shell would say it, and a word on the signal, if it was one."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code, ""
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return 128 - code, f"ended by {name}"


def refusal_of_bubblewrap(work: Work, code: int, stream: str = "stderr") -> CannotStart | None:
    """What bubblewrap says when it could not start the command: it has no exit code of its own for that."""
    if not work.isolate or code != 1:
        return None
    try:
        with open(f"{work.folder}/{stream}", "rb") as file:
            words = file.read(4096)
    except OSError:
        return None
    if not words.startswith(b"bwrap: ") or len(words) > 1024:
        return None
    reason = words.decode(errors="replace").strip()
    missing = reason.startswith("bwrap: execvp") and reason.endswith(os.strerror(errno.ENOENT))
    return CannotStart(NOT_FOUND if missing else NOT_EXECUTABLE, reason)


def write_reason(work: Work, reason: str, stream: str = "stderr") -> None:
    """Put why there is no process where people look for it."""
    with contextlib.suppress(OSError):
        fd = os.open(f"{work.folder}/{stream}", _OUTPUT | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"{reason}\n".encode())
        finally:
            os.close(fd)


def _as_cannot_start(name: str, error: OSError | ValueError) -> CannotStart:
    if isinstance(error, OSError):
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        return CannotStart(NOT_FOUND if missing else NOT_EXECUTABLE, f"{name}: {error.strerror}")
    return CannotStart(NOT_EXECUTABLE, f"{name}: {error}")


def _own_data_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * _PAGE_BYTES


def make_stdin_null() -> None:
    """Have /dev/null at 0, which every command inherits."""
    if not stat.S_ISCHR(os.fstat(0).st_mode) or os.fstat(0).st_rdev != os.stat(os.devnull).st_rdev:
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
