from __future__ import annotations

import pytest

from accounts.models import Event
from jobs import services, states
from jobs.models import Job
from tests.factories import Stage, make_job, make_job_in, make_jobs, make_operator

pytestmark = pytest.mark.django_db


def test_a_priority_is_changed_with_its_event() -> None:
    operator = make_operator()
    job = make_job()
    Event.objects.all().delete()
    assert services.set_priority([job.pk], priority=3, actor=operator.user) == [job.pk]
    before = job.modified_at
    job.refresh_from_db()
    assert job.priority == 3
    assert job.modified_at > before
    (event,) = Event.objects.all()
    assert (event.kind, event.subject_id, event.actor_id) == ("job.priority-changed", job.pk, operator.user.pk)
    assert (event.customer_id, event.before, event.after) == (job.customer_id, {"priority": 100}, {"priority": 3})


@pytest.mark.parametrize("status", states.JOB_STATES)
def test_only_what_waits_is_reprioritised(status: str) -> None:
    job = make_job_in(status)
    changed = services.set_priority([job.pk], priority=3, actor=None)
    assert changed == ([job.pk] if status in states.WAITING else [])
    assert Job.objects.filter(priority=3).count() == len(changed)


def test_a_held_job_can_be_reprioritised() -> None:
    job = make_job()
    services.hold_jobs([job.pk], actor=None)
    assert services.set_priority([job.pk], priority=3, actor=None) == [job.pk]


def test_the_smaller_number_starts_first() -> None:
    stage = Stage(vcpus_milli=1000)
    first, second, third = make_jobs(3, vcpus_milli=500)
    services.set_priority([third.pk], priority=1, actor=None)
    assert stage.claim() == 2
    started = set(Job.objects.filter(status=states.STARTING).values_list("pk", flat=True))
    assert started == {first.pk, third.pk}
    assert second.status == states.QUEUED


def test_many_are_changed_in_a_handful_of_statements(django_assert_max_num_queries) -> None:
    jobs = make_jobs(500)
    with django_assert_max_num_queries(6):
        assert len(services.set_priority([job.pk for job in jobs], priority=3, actor=None)) == 500
    assert services.set_priority([], priority=3, actor=None) == []
