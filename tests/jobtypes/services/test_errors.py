from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Event
from clusters.providers.base import End
from controlplane.core.errors import InvalidRequest
from jobs import states
from jobtypes import services
from jobtypes.errors import BuiltinError
from jobtypes.models import Category, Error
from tests.factories import Stage, make_job, make_operator

pytestmark = pytest.mark.django_db
NEW: dict[str, Any] = {"name": "no-license", "title": "No licence", "category": Category.DATA}


def test_a_new_error_is_kept_with_its_event() -> None:
    operator = make_operator()
    Event.objects.all().delete()
    error = services.create_error(**NEW, actor=operator.user)
    assert (error.is_builtin, error.should_be_retried, error.description) == (False, False, "")
    (event,) = Event.objects.all()
    assert (event.kind, event.subject_id, event.actor_id) == ("error.created", error.pk, operator.user.pk)


@pytest.mark.parametrize(("field", "value"), [("name", "Upper"), ("name", "x" * 65), ("name", ""), ("category", "ME")])
def test_what_cannot_be_is_named(field: str, value: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        services.create_error(**{**NEW, field: value}, actor=None)
    assert refused.value.field == field
    assert not Error.objects.filter(is_builtin=False).exists()


def test_a_name_is_given_once() -> None:
    services.create_error(**NEW, actor=None)
    with pytest.raises(InvalidRequest) as refused:
        services.create_error(**NEW, actor=None)
    assert refused.value.field == "name"
    assert Event.objects.filter(kind="error.created").count() == 1


def test_a_change_tells_what_was_before() -> None:
    error = services.create_error(**NEW, actor=None)
    changed = services.update_error(error, actor=None, title="None", category=Category.DATA)
    assert (changed.title, Error.objects.get(pk=error.pk).title) == ("None", "None")
    event = Event.objects.get(kind="error.changed")
    assert (event.before, event.after) == ({"title": "No licence"}, {"title": "None"})


def test_a_change_to_a_category_that_is_none_is_refused() -> None:
    error = services.create_error(**NEW, actor=None)
    with pytest.raises(InvalidRequest) as refused:
        services.update_error(error, actor=None, category="ME")
    assert refused.value.field == "category"


def test_builtin_errors_stay_as_they_are() -> None:
    with pytest.raises(BuiltinError):
        services.update_error(Error.objects.get(name="lost"), actor=None, title="x")


def test_errors_that_are_the_systems_are_retried_and_others_not() -> None:
    for name, end, exit_code in (("lost", End.LOST, None), ("exit-code", End.EXITED, 1)):
        stage, job = Stage(), make_job()
        stage.start(job)
        stage.end(job, end=end, exit_code=exit_code)
        retried = Error.objects.get(name=name).should_be_retried
        assert (job.status == states.DELAYED) is retried
