"""How a task fails: a stable code, and a message for the user whose job it is."""

from __future__ import annotations

from typing import Final

BAD_TASK: Final = "BAD_TASK"  # the task document is not valid
PROGRAM_FAILED: Final = "PROGRAM_FAILED"  # it could not be started, or did not end with exit code 0
BAD_OUTPUT: Final = "BAD_OUTPUT"  # it ended well, but what it answered cannot be used
BAD_LINE: Final = "BAD_LINE"  # a line that cannot be given to a program of the apollo protocol
LINE_TOO_LONG: Final = "LINE_TOO_LONG"
INPUT_UNREADABLE: Final = "INPUT_UNREADABLE"
OUTPUT_UNWRITABLE: Final = "OUTPUT_UNWRITABLE"
SORT_FAILED: Final = "SORT_FAILED"
TIMEOUT: Final = "TIMEOUT"
STOPPED: Final = "STOPPED"  # by SIGTERM
INTERNAL: Final = "INTERNAL"  # a fault of the worker itself


class TaskFailed(Exception):
    """The task cannot be done. `facts` are further members of the result's `error`, JSON values."""

    def __init__(self, code: str, message: str, **facts: object) -> None:
        self.code = code
        self.message = message
        self.facts = {name: value for name, value in facts.items() if value is not None}
        super().__init__(f"{code}: {message}")
