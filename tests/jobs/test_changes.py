"""MapReduce jobs and recipes followed live: each change is told, once, and nobody holds a connection for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse
from pytest_django import Settings

from controlplane.core.errors import TooManyFollowers
from controlplane.core.server_sent import PING
from jobs import following, services, states
from jobs.admin.live import RETRY_MILLISECONDS
from jobs.errors import JobNotFound, RecipeNotFound
from jobs.following import Changed, Kind, Ping, Reconnect, changes, follow_changes
from jobs.models import Job
from jobs.services.recipes import cancel_recipe
from tests.browsers import OTHERS, STAFF, browser
from tests.factories import make_customer_user, make_job, make_place
from tests.mapreduce import end, make_mapreduce, run, tasks
from tests.query_budget import counted
from tests.recipes import FORK, make_counter, make_recipe, make_recipe_type
from tests.waiting import until

# Followers and their feeder have threads, and so connections, of their own.
pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)


@pytest.fixture(autouse=True)
def _rested() -> Iterator[None]:
    """No feeder of one test looks into the next one's tables."""
    yield
    until(lambda: changes.present._thread is None or not changes.present._thread.is_alive())


def next_change(told: Iterator[Any]) -> str:
    """The mark of the next change."""
    for each in told:
        if isinstance(each, Changed):
            return each.mark
        assert isinstance(each, Ping)
    raise AssertionError("the stream ended")


def test_every_change_of_its_tasks_is_told_and_no_connection_held() -> None:
    job = make_mapreduce()
    told = follow_changes(Kind.MAPREDUCE, job.pk)
    assert isinstance(next(told), Ping)
    assert connection.connection is None
    run(tasks(job)[0])
    first = next_change(told)
    end(tasks(job)[1])
    second = next_change(told)
    assert first != second
    told.close()  # type: ignore[attr-defined]


def test_who_comes_back_is_told_at_once_what_was_missed_and_nothing_else() -> None:
    job = make_mapreduce()
    now = changes.marks([(Kind.MAPREDUCE, job.pk)])[Kind.MAPREDUCE, job.pk]
    told = follow_changes(Kind.MAPREDUCE, job.pk, now, max_seconds=0.5)
    assert [type(each) for each in told] == [Ping, Reconnect]
    run(tasks(job)[0])
    told = follow_changes(Kind.MAPREDUCE, job.pk, now)
    assert next_change(told) == changes.marks([(Kind.MAPREDUCE, job.pk)])[Kind.MAPREDUCE, job.pk]
    told.close()  # type: ignore[attr-defined]


def test_a_recipe_changes_with_its_jobs_and_by_itself() -> None:
    make_place()
    make_counter()
    recipe = make_recipe(make_recipe_type(FORK))
    waiting = recipe.jobs.filter(status=states.QUEUED).first()
    assert waiting is not None
    told = follow_changes(Kind.RECIPE, recipe.pk)
    services.move({waiting.pk: {}}, states.STARTING)
    next_change(told)
    cancel_recipe(recipe, actor=None)
    next_change(told)
    told.close()  # type: ignore[attr-defined]


def test_one_statement_for_each_kind_asks_for_all() -> None:
    owner = make_customer_user()
    jobs = [make_mapreduce(owner) for _ in range(3)]
    with counted() as found:
        known = changes.marks([(Kind.MAPREDUCE, job.pk) for job in jobs])
    assert len(known) == 3
    assert len(found) == 1
    assert "GROUP BY" not in str(found)


def test_what_is_gone_is_not_followed_and_ends_its_streams() -> None:
    with pytest.raises(JobNotFound):
        follow_changes(Kind.MAPREDUCE, 999_999)
    with pytest.raises(RecipeNotFound):
        follow_changes(Kind.RECIPE, 999_999)
    job = make_mapreduce()
    told = follow_changes(Kind.MAPREDUCE, job.pk)
    Job.objects.filter(parent=job).delete()
    job.mapreduce.delete()
    Job.objects.filter(pk=job.pk).delete()
    assert isinstance(list(told)[-1], Reconnect)


def test_followers_of_changes_count_among_all_followers(settings: Settings) -> None:
    settings.FOLLOWERS_AT_MOST = 1
    job, other = make_mapreduce(), make_job()
    told = following.follow(other.pk, ["stdout"])
    with pytest.raises(TooManyFollowers):
        follow_changes(Kind.MAPREDUCE, job.pk)
    answer = browser("monitor").get(reverse("admin:jobs_job_changes", args=[job.pk]))
    assert answer.status_code == 503
    told.close()  # type: ignore[attr-defined]


# --- The admin's streams -----------------------------------------------------------------------------


def test_staff_follow_by_server_sent_events_with_the_mark_as_their_id() -> None:
    job = make_mapreduce()
    address = reverse("admin:jobs_job_changes", args=[job.pk])
    for role in STAFF:
        answer = browser(role).get(address, headers={"Last-Event-ID": "before"})
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        pieces = iter(answer)
        mark = changes.marks([(Kind.MAPREDUCE, job.pk)])[Kind.MAPREDUCE, job.pk]
        assert [next(pieces), next(pieces), next(pieces)] == [
            f"retry: {RETRY_MILLISECONDS}\n\n".encode(),
            PING,
            f"id: {mark}\nevent: changed\ndata: {{}}\n\n".encode(),
        ]
        answer.close()
    for role in OTHERS:
        assert browser(role).get(address).status_code == 302
    assert browser("monitor").get(reverse("admin:jobs_job_changes", args=[999_999])).status_code == 404
    assert browser("monitor").get(reverse("admin:jobs_recipe_changes", args=[999_999])).status_code == 404


def test_pages_say_how_they_are_followed_until_they_have_ended() -> None:
    job = make_mapreduce()
    page = reverse("admin:jobs_job_change", args=[job.pk])
    stream = reverse("admin:jobs_job_changes", args=[job.pk])
    assert f'data-live-stream="{stream}" data-live-events="changed"' in browser("monitor").get(page).content.decode()
    services.cancel_jobs([job.pk], actor=None)
    job.refresh_from_db()
    assert job.status == states.CANCELED
    assert "data-live-every" not in browser("monitor").get(page).content.decode()
    make_counter()
    recipe = make_recipe(make_recipe_type(FORK))
    page = reverse("admin:jobs_recipe_change", args=[recipe.pk])
    text = browser("monitor").get(page).content.decode()
    assert f'data-live-stream="{reverse("admin:jobs_recipe_changes", args=[recipe.pk])}"' in text
    assert "<progress class='cp-bar'" in text
