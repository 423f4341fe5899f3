"""Outputs of executions at clouds, as far as they have been copied."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from controlplane.core.storage.parts import Parts
from jobs.queries.own_storage import own_storage


def copied_output(execution_uuid: UUID | str, stream: str) -> Parts:
    """What an execution has written to a stream, in settings.OUTPUT_STORAGE."""
    return Parts(own_storage(settings.OUTPUT_STORAGE), f"outputs/{execution_uuid}/{stream}")
