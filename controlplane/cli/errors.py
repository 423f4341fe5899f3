"""What can go wrong, as scripts see it: an exit code; and as people see it: lines on stderr."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What cpctl ends with. Scripts rely on these numbers; docs/cpctl.md and `cpctl --help` tell them."""

    FINE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    REFUSED = 5
    UNREACHABLE = 6
    TIMED_OUT = 124
    INTERRUPTED = 130
    PIPE_CLOSED = 141


MEANINGS = {
    ExitCode.FINE: "fine",
    ExitCode.FAILED: "a job that was waited for did not complete, or bulk work was not done in full",
    ExitCode.USAGE: "wrong options or arguments",
    ExitCode.NOT_FOUND: "not found, or not yours",
    ExitCode.NOT_ALLOWED: "not allowed, or not logged in",
    ExitCode.REFUSED: "refused by the server; the fields are named on stderr",
    ExitCode.UNREACHABLE: "the server or the network cannot be reached, or answers nonsense",
    ExitCode.TIMED_OUT: "the time to wait is over",
    ExitCode.INTERRUPTED: "interrupted, or not confirmed",
    ExitCode.PIPE_CLOSED: "whoever read the output has closed it",
}


class Failure(Exception):
    """Ends the command with `code`, after `lines` were written to stderr, `error: ` before each."""

    def __init__(self, code: ExitCode, *lines: str) -> None:
        super().__init__("; ".join(lines))
        self.code = code
        self.lines = lines


class Unreachable(Failure):
    """No answer, or one that cannot be used. `may_pass`: another try may get a better one."""

    def __init__(self, *lines: str, may_pass: bool = False) -> None:
        super().__init__(ExitCode.UNREACHABLE, *lines)
        self.may_pass = may_pass
