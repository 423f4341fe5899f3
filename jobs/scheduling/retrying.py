"""Whether a job is tried again after an execution that came to no good end, when, and where."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db.models import Count, F

from controlplane.core import sets
from jobs import sql, states
from jobs.models import MOST_EXECUTIONS, Execution
from jobs.queries.policies import policy_of
from jobtypes.models import Category, Error

MAX_BACKOFF_SECONDS: Final = 300
NO_CAPACITY: Final = "no-capacity"
MAX_COST: Final = "max-cost"


def is_crowded_out(execution: sql.ActiveExecution, now: datetime) -> bool:
    """Is it one that we stop because it has waited there longer than its policy says?"""
    late = execution.leaves_at is not None and execution.leaves_at <= now
    return late and execution.job_status == states.STARTING


class Retrying:
    """What becomes of the jobs of some executions that have ended, by their policies."""

    def __init__(self, executions: Iterable[sql.ActiveExecution], now: datetime) -> None:
        self._now = now
        self._policies = {each.job_id: policy_of(each.policy_id) for each in executions if each.policy_id is not None}
        counted = [job_id for job_id, policy in self._policies.items() if policy and policy.tries]
        self._failed = _failures(counted) if counted else {}

    def again(self, execution: sql.ActiveExecution, error: Error) -> dict[str, Any] | None:
        """The columns of a job that is tried again; None: it is not.

        Where there was no room it is nothing that the job has tried: it goes on at once, and has a try more.
        """
        if execution.superseded:
            return None
        policy = self._policies.get(execution.job_id)
        further = {"rung": execution.rung + 1} if policy and policy.has_next(execution.rung) else {}
        if error.name == NO_CAPACITY and error.is_builtin and further:
            return {**further, "due_at": self._now, "max_tries": min(execution.max_tries + 1, MOST_EXECUTIONS)}
        if execution.tries >= execution.max_tries or not self._may_again(execution, error):
            return None
        pause = min(settings.RETRY_BACKOFF_SECONDS * 2 ** min(execution.tries - 1, 30), MAX_BACKOFF_SECONDS)
        if policy is not None:
            pause = policy.pause(execution.tries, settings.RETRY_BACKOFF_SECONDS, MAX_BACKOFF_SECONDS)
        walks = further if error.category == Category.SYSTEM else {}
        return {**walks, "due_at": self._now + timedelta(seconds=pause)}

    def _may_again(self, execution: sql.ActiveExecution, error: Error) -> bool:
        """By the policy, where it says something of errors of this kind; else, and never more, by the error."""
        policy = self._policies.get(execution.job_id)
        most = policy.tries.get(error.category) if policy else None
        if most is None:
            return error.should_be_retried
        if error.name == MAX_COST or (error.category == Category.SYSTEM and not error.should_be_retried):
            return False
        return 1 + self._failed.get((execution.job_id, error.category), 0) < most


def _failures(job_ids: list[int]) -> dict[tuple[int, str], int]:
    """How many executions of jobs have ended with an error of each category, since their last requeue."""
    rows = Execution.objects.filter(sets.among("job", job_ids, Execution), number__gt=F("job__tries_before"))
    failed = rows.filter(error__isnull=False).exclude(error__name=NO_CAPACITY).order_by()
    found = failed.values_list("job", "error__category").annotate(number=Count("pk"))
    return {(job_id, category): number for job_id, category, number in found}
