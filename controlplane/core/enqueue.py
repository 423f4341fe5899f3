"""The one way to start background work, and to ring a queue's bell.

Call inside the transaction of the work: the task exists exactly if the transaction commits. Arguments
are ids and JSON values; a task loads what it needs and is safe to run twice.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils import timezone
from django_q.signing import SignedPackage
from django_q.tasks import async_task

_bells: dict[str, str] = {}


def enqueue(path: str, **arguments: Any) -> None:
    """Run the function `path` of settings.TASKS with `arguments` on the cluster that the table names."""
    async_task(path, cluster=settings.TASKS[path], **arguments)


def bell(path: str) -> str:
    """The payload of a task without arguments, the same each time: for statements that insert it themselves."""
    if path not in _bells:
        package = {"id": "bell", "name": "bell", "func": path, "args": (), "kwargs": {}, "ack_failure": True}
        package["started"] = timezone.now()
        _bells[path] = SignedPackage.dumps(package)
    return _bells[path]
