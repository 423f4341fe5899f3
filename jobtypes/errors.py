"""What job types refuse."""

from __future__ import annotations

from controlplane.core.errors import Conflict, InvalidRequest, NotFound


class BuiltinError(Conflict):
    """An error that the scheduler or a manifest names cannot be changed here."""

    code = "BUILTIN"


class JobTypeNotFound(NotFound):
    """There is no such job type."""


class RevisionNotFound(NotFound):
    """There is no such revision."""


class WorkspaceNotFound(NotFound):
    """There is no such workspace."""


class RecipeTypeNotFound(NotFound):
    """There is no such recipe type."""


class SystemJobType(InvalidRequest):
    """A job type of the system can only be paused."""

    code = "SYSTEM_JOB_TYPE"


class InvalidDocument(InvalidRequest):
    """A document is not valid. `name` is the finding's, and `field` says which document."""

    def __init__(self, name: str = "INVALID_DOCUMENT", message: str = "", *, field: str | None = None) -> None:
        self.name = name
        super().__init__(message, field=field)
