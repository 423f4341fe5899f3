"""The local runner: one process per host that starts commands, waits for them and tells how they end.

    python -m clusters.providers.local.runner --root DIR --vcpus-milli N --memory-mib N --log-cap-bytes N

It belongs to nobody: web workers and schedulers come and go, it stays until it is told to leave or is
idle with nobody connected. Killed, it is started again by the next client, and ends what it had left
running (`recovery`). Clients speak JSON lines on ROOT/runner.sock:

    to the runner   {"op": "run", "works": [{"id", "command", "env", "vcpus_milli", "memory_mib",
                                             "timeout_seconds", "priority", "isolate"}, ...]}
                    {"op": "cancel", "ids": [...]}   {"op": "status"}   {"op": "leave"}
    to all clients  {"events": [{"id", "started", "node"}, {"id", "ended", "code", "end", "detail", ...}, ...]}
    to the asker    {"status": {"pid", "running", "waiting", "vcpus_milli_used"}}

Environments may hold secrets: they come over the socket, go to the command, and are never written down.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence

from clusters.providers.local import folders, sessions, spawn
from clusters.providers.local.loop import Options, Runner

GRACE_SECONDS = 5.0
IDLE_EXIT_SECONDS = 60.0
LOG_CAP_BYTES = 64 << 20


def _lock(root: str) -> int | None:
    """The runner's lock, held for life; None when another one holds it."""
    fd = os.open(f"{root}/{folders.LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    return fd


def _listen(root: str) -> socket.socket:
    """Listen on ROOT/runner.sock, by way of /proc: a socket's path may have 107 bytes, ROOT any number."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{root}/{folders.SOCKET}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    at = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{at}/{folders.SOCKET}")
    finally:
        os.close(at)
    listener.listen(128)
    return listener


def _detach() -> None:
    """Go on as nobody's child: our starter waits only until the socket is there.

    The fork also undoes any PR_SET_PDEATHSIG: the kernel clears it for a new process.
    """
    if os.fork():
        os._exit(0)
    os.setsid()


def _become_plain() -> None:
    """Undo what commands must not inherit from whoever started us."""
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for signum in signal.valid_signals():
        if signal.getsignal(signum) == signal.SIG_IGN and signum not in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    spawn.make_stdin_null()
    os.chdir("/")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="runner", description="Starts commands on this machine.")
    parser.add_argument("--root", required=True, type=os.path.realpath)
    parser.add_argument("--vcpus-milli", required=True, type=int)
    parser.add_argument("--memory-mib", required=True, type=int)
    parser.add_argument("--log-cap-bytes", type=int, default=LOG_CAP_BYTES)
    parser.add_argument("--readable", action="append", default=[], help="shown to isolated commands")
    parser.add_argument("--hidden", action="append", default=[], help="covered where isolated commands would see it")
    parser.add_argument("--grace-seconds", type=float, default=GRACE_SECONDS)
    parser.add_argument("--idle-exit-seconds", type=float, default=IDLE_EXIT_SECONDS)
    parser.add_argument("--detach", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the runner, or leave at once when there is one."""
    options = _options(arguments)
    _become_plain()
    folders.make_root(options.root)
    lock = _lock(options.root)
    if lock is None:
        print(f"another runner holds {options.root}/{folders.LOCK}", file=sys.stderr)
        return 0
    listener = _listen(options.root)
    if options.detach:
        _detach()
    wishes = {name: getattr(options, name) for name in Options._fields}
    Runner(Options(**wishes), listener, sessions.boot_id()).serve()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{options.root}/{folders.SOCKET}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
