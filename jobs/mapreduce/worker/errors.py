"""How a task fails: a stable code, and a message for the user whose job it is."""

from __future__ import annotations

BAD_TASK = "BAD_TASK"  # the task document is not valid
PROGRAM_FAILED = "PROGRAM_FAILED"  # it could not be started, or did not end with exit code 0
PROGRAM_UNREADABLE = "PROGRAM_UNREADABLE"  # it lies elsewhere and could not be brought
BAD_OUTPUT = "BAD_OUTPUT"  # it ended well, but what it answered cannot be used
BAD_LINE = "BAD_LINE"  # a line that cannot be given to a program of the apollo protocol
LINE_TOO_LONG = "LINE_TOO_LONG"
INPUT_UNREADABLE = "INPUT_UNREADABLE"
INPUT_REFUSED = "INPUT_REFUSED"  # by an http server: it is not there, or we may not
OUTPUT_UNWRITABLE = "OUTPUT_UNWRITABLE"
OUTPUT_REFUSED = "OUTPUT_REFUSED"  # the same
SORT_FAILED = "SORT_FAILED"
TIMEOUT = "TIMEOUT"
STOPPED = "STOPPED"  # by SIGTERM
INTERNAL = "INTERNAL"  # a fault of the worker itself


class TaskFailed(Exception):
    """The task cannot be done. `facts` are further members of the result's `error`, JSON values."""

    def __init__(self, code: str, message: str, **facts: object) -> None:
        self.code = code
        self.message = message
        self.facts = {name: value for name, value in facts.items() if value is not None}
        super().__init__(f"{code}: {message}")
