"""What jobs refuse."""

from __future__ import annotations

from controlplane.core.errors import Conflict, InvalidRequest, NotFound


class JobNotFound(NotFound):
    """There is no such job."""


class ExecutionNotFound(NotFound):
    """There is no such execution."""


class HoldNotFound(NotFound):
    """There is no such hold."""


class QuotaNotFound(NotFound):
    """There is no such quota."""


class QuotaExists(Conflict):
    """There is a quota of this scope; change that one."""

    code = "QUOTA_EXISTS"


class FailureClusterNotFound(NotFound):
    """There is no such failure cluster."""


class JobState(InvalidRequest):
    """The job's present state does not allow this."""

    code = "JOB_STATE"


class PolicyNotFound(NotFound):
    """There is no policy of its own."""


class OutputGone(NotFound):
    """The job's output was deleted when its days were over."""

    code = "OUTPUT_GONE"


class ProviderNotConfigured(InvalidRequest):
    """This cloud is not configured here."""

    code = "PROVIDER_NOT_CONFIGURED"


class SpotNotVisible(InvalidRequest):
    """The cloud reports no machine of ours by this id, or not yet; ask again."""

    code = "SPOT_NOT_VISIBLE"


class TooManyRows(InvalidRequest):
    """More jobs match than one answer may hold; narrow the time window."""

    code = "TOO_MANY_ROWS"


class QuotaExceeded(InvalidRequest):
    """No more jobs may be queued here."""

    code = "QUOTA"


class EmptySelection(InvalidRequest):
    """Say which jobs: an empty filter would mean all of them."""

    code = "EMPTY_SELECTION"


class OperationNotFound(NotFound):
    """There is no such operation."""


class OperationState(Conflict):
    """The operation's present state does not allow this."""

    code = "OPERATION_STATE"


class FileNotFound(NotFound):
    """There is no such file."""


class FileDeleted(NotFound):
    """The file was deleted."""

    code = "FILE_DELETED"


class FileExists(Conflict):
    """There is a file at this path already."""

    code = "FILE_EXISTS"


class UploadCut(InvalidRequest):
    """The upload ended before its last byte; nothing of it was kept."""

    code = "UPLOAD_CUT"


class ArtifactNotFound(NotFound):
    """There is no such artifact."""


class RecipeNotFound(NotFound):
    """There is no such recipe."""


class RecipeState(Conflict):
    """The recipe's present state does not allow this."""

    code = "RECIPE_STATE"
