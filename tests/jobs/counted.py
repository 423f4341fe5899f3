"""Jobs of job types that come to their states at moments of the test's choice, by the services."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from django.db import transaction

from accounts.models import User
from jobs import services, states
from jobs.models import Job
from jobs.services.requests import SeedPart
from jobtypes.models import Error, JobType
from tests.factories import make_job_type, make_operator, request_of


@contextmanager
def clock_at(moment: datetime | None) -> Iterator[None]:
    """Let services believe that it is `moment`; None leaves the clock alone, as threads side by side have to."""
    if moment is None:
        yield
        return
    with mock.patch("django.utils.timezone.now", return_value=moment):
        yield


def make_type(number: int = 0, **columns: Any) -> JobType:
    """The job type count-words 1.0.NUMBER, with these columns."""
    job_type = make_job_type(version=f"1.0.{number}")
    JobType.objects.filter(pk=job_type.pk).update(**columns)
    job_type.refresh_from_db()
    return job_type


def submit(
    job_type: JobType,
    count: int = 1,
    *,
    at: datetime | None = None,
    status: str = states.QUEUED,
    owner: User | None = None,
    **wishes: Any,
) -> list[int]:
    """Jobs of this type, submitted `at` a moment; their ids."""
    revision = job_type.revisions.get()
    request = request_of(seed=SeedPart(job_type.pk, revision.pk, {"files": {}, "json": {}}, 0), **wishes)
    user = owner or make_operator().user
    with clock_at(at):
        made = services.submit_jobs(owner=user, requests=[request] * count, status=status)
    return [each.id for each in made]


def move(ids: Sequence[int], *to: str, at: datetime | None = None, error: Error | None = None) -> None:
    """Move jobs from state to state `at` a moment; `error` goes with the last."""
    moment = at or datetime.now(UTC)
    for state in to:
        values = {
            "queued_at": moment if state not in (states.PENDING, states.BLOCKED) else None,
            "due_at": moment if state == states.DELAYED else None,
            "ended_at": moment if state in states.FINAL else None,
            "error": error.pk if error is not None and state == to[-1] else None,
        }
        with clock_at(at), transaction.atomic():
            assert services.move(dict.fromkeys(ids, values), state, fields=tuple(values)) == sorted(ids), state


def finish(ids: Sequence[int], state: str = states.COMPLETED, **more: Any) -> None:
    """Let queued jobs start and end in `state`."""
    ways = {states.REJECTED: (states.STARTING,), states.CANCELED: ()}
    move(ids, *ways.get(state, (states.STARTING, states.RUNNING)), state, **more)


def counted_directly() -> dict[tuple[int, str, str | None], list[datetime]]:
    """When each job came to its state, by job type, status as v6 shows it, and category: read off the jobs."""
    found: dict[tuple[int, str, str | None], list[datetime]] = {}
    rows = Job.objects.filter(job_type__isnull=False)
    for type_id, state, category, moved_at in rows.values_list("job_type", "status", "error__category", "moved_at"):
        assert type_id is not None
        found.setdefault((type_id, states.SHOWN[state], category), []).append(moved_at)
    return found
