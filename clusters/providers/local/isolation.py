"""Shut a command in with bubblewrap: it sees the system's programs, its own folder and the network, nothing else.

Whoever runs in there may be a stranger. So nothing is shown that is not listed here: not the data
directory, the keys, the database, another execution's folder, our sources, nor any process outside. It
works in `/work`. What bubblewrap cannot keep out is the network, and with it everything that listens on
this machine without asking for a password: unless an execution wants none.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

WORK_DIR = "/work"

_SHUT_IN = (
    "--unshare-user",
    "--unshare-pid",
    "--unshare-ipc",
    "--unshare-uts",
    "--unshare-cgroup-try",
    *("--cap-drop", "ALL"),
)
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Short, because each mount costs every job: a bind takes 0.2 ms, a symlink nothing.
_ETC = (
    *("alternatives", "group", "hosts", "ld.so.cache", "localtime", "mime.types", "nsswitch.conf", "os-release"),
    *("passwd", "pki/ca-trust", "pki/tls/certs", "resolv.conf", "services", "ssl/certs", "ssl/openssl.cnf"),
)
# Without capabilities root is still the owner of these. bubblewrap covers /proc/irq, bus and sysrq-trigger by
# itself, but not /proc/sys: it asks access(W_OK) of the folder, which says no, while files in it say yes,
# and core_pattern among them is a way out.
_PROC_OF_ROOT = ("sys", "fs", "acpi", "scsi")
# What the dynamic linker and the C library obey: bubblewrap itself must not, it runs outside.
_OBEYED_PREFIX = "LD_"
_OBEYED = frozenset(
    {
        *("GCONV_PATH", "GETCONF_DIR", "GLIBC_TUNABLES", "HOSTALIASES", "LOCALDOMAIN", "LOCPATH", "MALLOC_TRACE"),
        *("NIS_PATH", "NLSPATH", "RESOLV_HOST_CONF", "RES_OPTIONS", "TMPDIR", "TZDIR"),
    }
)


MountedPath = tuple[str, str, bool]  # source, target, read-only


class Probe(NamedTuple):
    """Whether isolation works here, and if not, why."""

    works: bool
    why: str


def find_bubblewrap() -> str | None:
    """bubblewrap's absolute path, from our own PATH and never from a job's."""
    for folder in os.environ.get("PATH", os.defpath).split(":"):
        path = f"{folder}/bwrap"
        if folder.startswith("/") and os.access(path, os.X_OK):
            return path
    return None


class Sandbox:
    """The command line of bubblewrap; what is the same for every execution is put together once.

    `readable` paths are shown at their own place. `hidden` ones are covered where they lie below
    something that is shown (a data directory in /usr/src); elsewhere they are not there anyway. A command dies with
    who started it, unless it `outlives` that.
    """

    def __init__(
        self, bubblewrap: str, readable: Sequence[str] = (), hidden: Sequence[str] = (), *, outlives: bool = False
    ) -> None:
        self.bubblewrap = bubblewrap
        self._sizes = _has_sizes(bubblewrap)
        bound = () if outlives else ("--die-with-parent",)
        self._before = [bubblewrap, *_SHUT_IN, *bound, "--proc", "/proc", *_covered_proc(), "--dev", "/dev"]
        placed, self._closed = _placed(readable, hidden)
        self._shown = [*_system(), *placed]

    def command(
        self,
        work_dir: str,
        command: Sequence[str],
        env: Mapping[str, str],
        memory_mib: int = 512,
        *,
        mounts: Sequence[MountedPath] = (),
        shm_mib: int | None = None,
        network: bool = True,
    ) -> list[str]:
        """The argument vector that runs `command` in `work_dir`; to be started with `outer_environment(env)`.

        What is written to memory (/tmp, /dev/shm) is bounded by `memory_mib`, /dev/shm by `shm_mib` if it is given.
        Without `network` there is none.
        """
        size = self._size(memory_mib)
        return [
            *self._before,
            *(() if network else ("--unshare-net",)),
            *size,
            *("--tmpfs", "/tmp", "--remount-ro", "/dev"),  # noqa: S108  a fresh one, inside
            *(size if shm_mib is None else self._size(shm_mib)),
            *("--tmpfs", "/dev/shm"),  # noqa: S108
            # Before what is shown: a path of this machine may lie below WORK_DIR, too.
            *("--bind", work_dir, WORK_DIR),
            *self._shown,
            *(word for source, target, ro in mounts for word in ("--ro-bind" if ro else "--bind", source, target)),
            *self._closed,
            *("--chdir", WORK_DIR, "--remount-ro", "/"),
            *(word for name in env if _is_obeyed(name) for word in ("--setenv", name, env[name])),
            "--",
            *command,
        ]

    def _size(self, mib: int) -> list[str]:
        return ["--size", str(max(mib, 1) << 20)] if self._sizes else []


def outer_environment(env: Mapping[str, str]) -> dict[str, str]:
    """The environment to start bubblewrap with; the command inherits it.

    A command line can be read in /proc, so `env` does not go there, save for the few variables that
    would make bubblewrap itself load a stranger's code, outside. bubblewrap adds PWD.
    """
    return {name: value for name, value in env.items() if not _is_obeyed(name)}


def _is_obeyed(name: str) -> bool:
    return name.startswith(_OBEYED_PREFIX) or name in _OBEYED


def bwrap_command(
    work_dir: str, readable_paths: Sequence[str], command: Sequence[str], env: Mapping[str, str] | None = None
) -> list[str]:
    """The argument vector for one command; FileNotFoundError where there is no bubblewrap."""
    bubblewrap = find_bubblewrap()
    if bubblewrap is None:
        raise FileNotFoundError("bwrap")
    return Sandbox(bubblewrap, readable_paths).command(work_dir, command, env or {})


@functools.cache
def probe(readable_paths: tuple[str, ...] = (), hidden_paths: tuple[str, ...] = ()) -> Probe:
    """Run something trivial the way jobs are run. Found out once in each process."""
    # Loaded here: the runner imports this module and has no other use for them.
    import subprocess
    import tempfile

    bubblewrap = find_bubblewrap()
    if bubblewrap is None:
        return Probe(False, "bubblewrap (bwrap) is not installed")
    with tempfile.TemporaryDirectory() as work_dir:
        argv = Sandbox(bubblewrap, readable_paths, hidden_paths).command(work_dir, ["true"], {})
        try:
            done = subprocess.run(argv, env={}, capture_output=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return Probe(False, str(error))
    words = done.stderr.decode(errors="replace").strip()
    return Probe(done.returncode == 0, "" if done.returncode == 0 else words or f"bwrap ended with {done.returncode}")


@functools.cache
def _has_sizes(bubblewrap: str) -> bool:
    """Whether this bubblewrap can bound a tmpfs (0.7 and later)."""
    quiet = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (1, 2)]
    pid = os.posix_spawn(bubblewrap, ["bwrap", "--size", "4096", "--version"], {}, file_actions=quiet)
    return os.waitpid(pid, 0)[1] == 0


def _covered_proc() -> Iterable[str]:
    if os.geteuid() != 0:
        return
    for name in _PROC_OF_ROOT:
        if os.path.exists(f"/proc/{name}"):
            yield from ("--ro-bind", f"/proc/{name}", f"/proc/{name}")


def _system() -> Iterable[str]:
    for path in _SYSTEM:
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    yield from ("--dir", "/etc")
    for path in (f"/etc/{name}" for name in _ETC):
        target = os.path.realpath(path)
        if target.startswith("/usr/"):
            yield from ("--symlink", target, path)
        elif os.path.exists(path):
            yield from ("--ro-bind-try", path, path)


def _placed(readable: Sequence[str], hidden: Sequence[str]) -> tuple[list[str], list[str]]:
    """Mounts for what is shown and what is covered; the outer before the inner, so that the inner one counts.

    The second are for the end: until then something below what is covered may be shown.
    """
    placed: list[str] = []
    shown = {os.path.abspath(path) for path in readable}
    covered = {os.path.realpath(path) for path in hidden} - shown
    closed: list[str] = []
    for path in sorted(shown | covered, key=lambda path: (path.count("/"), path)):
        if path in shown:
            placed += ("--ro-bind-try", path, path)
        elif any(_is_below(path, above) for above in (*shown, *_SYSTEM)):
            if os.path.isdir(path):
                closed += ("--remount-ro", path)
                placed += ("--tmpfs", path)
            elif os.path.exists(path):
                placed += ("--ro-bind", "/dev/null", path)
    return placed, closed


def _is_below(path: str, above: str) -> bool:
    return path.startswith(above.rstrip("/") + "/")
