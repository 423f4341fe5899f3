"""Stopping what runs of somebody whose account was closed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from django.db import transaction

from accounts.following import follow
from accounts.models import Event, User
from controlplane.core.enqueue import enqueue
from jobs import states
from jobs.errors import RecipeState
from jobs.models import Job, Recipe
from jobs.services.cancel import cancel_jobs
from jobs.services.recipes import cancel_recipe

FOLLOWER: Final = "closings"
KIND: Final = "user.closing"
TASK: Final = "jobs.tasks.stop_all_of"
BATCH: Final = 500
SLICE_SECONDS: Final = 20.0
_STOPPABLE: Final = (*states.WAITING, states.STARTING, states.RUNNING)


def follow_closings() -> None:
    """Start to stop what runs of those whose accounts were closed since."""
    while follow(FOLLOWER, {KIND}, _start):
        pass


def _start(events: Sequence[Event]) -> None:
    for event in events:
        enqueue(TASK, user_id=event.subject_id)


def stop_all_of(user_id: int) -> None:
    """Cancel the recipes and jobs of a user, for a slice of time; then pass it on, unless all is done."""
    end = time.monotonic() + SLICE_SECONDS
    user = User.objects.get(pk=user_id)
    for recipe in _recipes(user):  # first, so that they make no more jobs
        with suppress(RecipeState):  # it was completed meanwhile
            cancel_recipe(recipe, actor=user)
    while cancel_jobs(_jobs(user), actor=user):
        if time.monotonic() >= end:
            with transaction.atomic():
                enqueue(TASK, user_id=user_id)
            return


def _recipes(user: User) -> list[Recipe]:
    rows = Recipe.objects.filter(owner=user, completed_at=None, canceled_at=None, superseded_at=None, parent=None)
    return list(rows.order_by("pk"))


def _jobs(user: User) -> list[int]:
    rows = Job.objects.filter(owner=user, status__in=_STOPPABLE)
    return list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
