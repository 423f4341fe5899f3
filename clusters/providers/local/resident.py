"""What the long-lived processes of this machine have in common: one for each root folder, and nobody's child."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable

from clusters.providers.local import folders, spawn


def run(root: str, name: str, serve: Callable[[socket.socket], None], *, detach: bool) -> int:
    """Call `serve` with the listening socket of `root`, unless another process does; the exit code for ours.

    With `detach` it goes on in a process of its own, and the caller's ends when the socket is there.
    """
    lock = _lock(root)
    if lock is None:
        print(f"another {name} holds {root}/{folders.LOCK}", file=sys.stderr)
        return 0
    listener = _listen(root)
    if detach:
        _detach()
    serve(listener)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{root}/{folders.SOCKET}")
    return 0


def become_plain() -> None:
    """Undo what commands must not inherit from whoever started us."""
    os.umask(0o077)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for signum in signal.valid_signals():
        if signal.getsignal(signum) == signal.SIG_IGN and signum not in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(signum, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    spawn.make_stdin_null()
    os.chdir("/")


def wake_on_signals() -> socket.socket:
    """A socket that becomes readable when a child ends or we are asked to go."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(signum, lambda _signum, _frame: None)
    return ours


def is_asked_to_go(wake: socket.socket) -> bool:
    """Read what `wake_on_signals` has got: was it SIGTERM?"""
    try:
        return signal.SIGTERM in wake.recv(4096)
    except BlockingIOError:
        return False


def _lock(root: str) -> int | None:
    """The root's lock, held for life; None when another one holds it."""
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
