"""The ends of what an execution has written, as far as we have them: no cloud is asked."""

from __future__ import annotations

from clusters.providers.errors import NotFound, ProviderError
from clusters.queries import local_provider
from controlplane.core.instruments import provider_call
from controlplane.core.storage import StorageError
from jobs.following.facts import ExecutionFacts
from jobs.queries.outputs import copied_output


def ends(execution: ExecutionFacts, limit: int) -> tuple[str, str]:
    """About the last `limit` bytes of standard error and of standard output; nothing of what is not there.

    Of an execution at a cloud as much as is copied. Raises ProviderError when it cannot be read now.
    """
    if not execution.is_kept or not execution.has_started:
        return "", ""
    return _end(execution, "stderr", limit), _end(execution, "stdout", limit)


def _end(execution: ExecutionFacts, stream: str, limit: int) -> str:
    try:
        if execution.cloud != "local":
            return copied_output(execution.uuid, stream).tail(limit) if execution.handle else ""
        provider = local_provider()
        with provider_call(provider.cloud, "logs"):
            return provider.tail(execution.uuid, stream, limit)
    except NotFound:
        return ""
    except (OSError, StorageError) as error:
        raise ProviderError(f"The output cannot be read: {error}") from error
