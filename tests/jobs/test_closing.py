"""What becomes of the jobs of somebody who closes their account."""

from __future__ import annotations

from typing import Any

import pytest
from django_q.models import OrmQ

from accounts import services as accounts
from accounts.models import Event, User
from jobs import services, tasks
from jobs.models import Job, Recipe
from jobs.services import closing
from tests.factories import Person, make_customer_user, make_job, make_job_in
from tests.recipes import make_recipe

pytestmark = pytest.mark.django_db


@pytest.fixture
def ada() -> Person:
    services.follow_closings()  # from here on
    return make_customer_user("ada", "acme")


def close(person: Person) -> None:
    accounts.close_account(person.user)
    services.follow_closings()


def statuses(user: User) -> list[str]:
    return list(Job.objects.filter(owner=user).order_by("pk").values_list("status", flat=True))


def test_what_waits_and_what_runs_is_stopped_and_what_has_ended_stays(ada: Person) -> None:
    for status in ("RUNNING", "COMPLETED", "QUEUED"):
        make_job_in(status, ada)
    colleague = make_customer_user("john", "acme")
    other = make_job(colleague)
    close(ada)
    assert OrmQ.objects.filter(payload__isnull=False).exists()
    tasks.stop_all_of(ada.user.pk)
    assert statuses(ada.user) == ["CANCELING", "COMPLETED", "CANCELED"]
    other.refresh_from_db()
    assert other.status == "QUEUED"
    told = Event.objects.filter(kind="job.moved", actor=ada.user, after__status="CANCELED")
    assert told.count() == 1


def test_it_is_begun_once_for_each_who_closes(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[int] = []
    monkeypatch.setattr(closing, "enqueue", lambda task, **given: begun.append(given["user_id"]))
    accounts.disable_user(username="ada", actor=None)  # that is not closing
    services.follow_closings()
    assert begun == []
    accounts.enable_user(username="ada", actor=None)
    close(ada)
    services.follow_closings()
    assert begun == [ada.user.pk]


def test_recipes_are_stopped_and_make_no_more_jobs(ada: Person) -> None:
    recipe = make_recipe(owner=ada)
    close(ada)
    services.stop_all_of(ada.user.pk)
    recipe.refresh_from_db()
    assert recipe.canceled_at is not None
    assert set(statuses(ada.user)) <= {"CANCELED"}
    assert not Recipe.objects.filter(owner=ada.user, canceled_at=None).exists()


def test_many_jobs_are_dealt_with_in_slices(ada: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        make_job(ada)
    monkeypatch.setattr(closing, "BATCH", 2)
    monkeypatch.setattr(closing, "SLICE_SECONDS", 0.0)
    passed_on: list[Any] = []
    monkeypatch.setattr(closing, "enqueue", lambda task, **given: passed_on.append((task, given)))
    services.stop_all_of(ada.user.pk)
    assert statuses(ada.user).count("CANCELED") == 2
    assert passed_on == [("jobs.tasks.stop_all_of", {"user_id": ada.user.pk})]
    services.stop_all_of(ada.user.pk)
    services.stop_all_of(ada.user.pk)
    assert set(statuses(ada.user)) == {"CANCELED"}


def test_done_twice_it_is_as_done_once(ada: Person) -> None:
    make_job(ada)
    services.stop_all_of(ada.user.pk)
    services.stop_all_of(ada.user.pk)
    assert statuses(ada.user) == ["CANCELED"]
