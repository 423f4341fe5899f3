"""What jobs refuse."""

from __future__ import annotations

from controlplane.core.errors import InvalidRequest, NotFound


class JobNotFound(NotFound):
    """There is no such job."""


class JobState(InvalidRequest):
    """The job's present state does not allow this."""

    code = "JOB_STATE"


class OutputGone(NotFound):
    """The job's output was deleted when its days were over."""

    code = "OUTPUT_GONE"


class ProviderNotConfigured(InvalidRequest):
    """This cloud is not configured here."""

    code = "PROVIDER_NOT_CONFIGURED"


class TooManyRows(InvalidRequest):
    """More jobs match than one answer may hold; narrow the time window."""

    code = "TOO_MANY_ROWS"
