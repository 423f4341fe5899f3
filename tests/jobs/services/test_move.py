from __future__ import annotations

import pytest
from django.db import transaction

from accounts.models import Event
from clusters.providers.base import End
from jobs import queries, scheduling, services, states
from jobs.models import Job, Lane
from tests.factories import Stage, make_job_in, make_jobs, make_operator

pytestmark = pytest.mark.django_db


def test_a_set_moves_with_one_event_for_each_job() -> None:
    jobs = make_jobs(3)
    Event.objects.all().delete()
    with transaction.atomic():
        moved = services.move({job.pk: {"reason": "WHY"} for job in jobs}, states.STARTING, fields=("reason",))
    assert moved == [job.pk for job in jobs]
    events = Event.objects.order_by("id")
    assert [(e.subject_id, e.before, e.after) for e in events] == [
        (job.pk, {"status": "QUEUED"}, {"status": "STARTING", "reason": "WHY"}) for job in jobs
    ]


def test_the_end_of_an_execution_is_told_once_with_its_job_its_number_and_its_exit_code() -> None:
    stage, (done, lost) = Stage(), make_jobs(2)
    stage.start(done, lost)
    told = Event.objects.filter(subject_kind="execution").order_by("id")
    assert not told.exists()
    stage.end(done, exit_code=3)
    stage.end(lost, exit_code=None, end=End.LOST)
    scheduling.apply(stage.provider.observe([str(stage.execution(done).uuid)]))  # it is seen once more
    found = [(each.kind, each.subject_id, each.customer_id, each.after) for each in told]
    assert found == [
        (
            *("execution.ended", stage.execution(done).pk, done.customer_id),
            {"status": "FAILED", "job": done.pk, "number": 1, "exit_code": 3},
        ),
        (
            *("execution.ended", stage.execution(lost).pk, lost.customer_id),
            {"status": "LOST", "job": lost.pk, "number": 1},
        ),
    ]


def test_the_end_of_an_execution_that_was_never_seen_to_run_is_told_once() -> None:
    stage, [job] = Stage(), make_jobs(1)
    stage.claim()
    scheduling.hand_over(stage.place.pk, stage.provider)
    stage.provider.start(str(stage.execution(job).uuid))
    stage.end(job)
    kinds = list(Event.objects.filter(subject_id__in=[job.pk, stage.execution(job).pk]).values_list("kind", flat=True))
    assert kinds.count("execution.ended") == 1
    assert list(Event.objects.filter(subject_kind="job").order_by("id").values_list("after__status", flat=True)) == [
        *("QUEUED", "STARTING", "COMPLETED"),
    ]


def test_the_end_of_an_execution_that_its_provider_refused_is_told() -> None:
    job = make_job_in(states.REJECTED)
    [told] = Event.objects.filter(kind="execution.ended")
    assert (told.subject_id, told.customer_id) == (job.executions.get().pk, job.customer_id)
    assert told.after == {"status": "FAILED", "job": job.pk, "number": 1}


def test_those_who_may_not_move_are_left_alone_and_have_no_event() -> None:
    first, second = make_jobs(2)
    services.cancel_jobs([first.pk], actor=None)
    Event.objects.all().delete()
    with transaction.atomic():
        moved = services.move({first.pk: {}, second.pk: {}}, states.STARTING)
    assert moved == [second.pk]
    assert [e.subject_id for e in Event.objects.all()] == [second.pk]


def test_nothing_to_move_asks_nothing(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        assert services.move({}, states.STARTING) == []


def test_who_moved_it_stands_in_the_log() -> None:
    operator = make_operator()
    (job,) = make_jobs(1)
    services.cancel_jobs([job.pk], actor=operator.user)
    last = queries.timeline(job).last()
    assert last is not None
    assert last.actor_id == operator.user.pk


def test_a_move_to_queued_wakes_the_lane() -> None:
    (job,) = make_jobs(1)
    services.cancel_jobs([job.pk], actor=None)
    Lane.objects.update(waiting=False)
    with transaction.atomic():
        services.move({job.pk: {"ended_at": None}}, states.QUEUED, fields=("ended_at",))
    assert Lane.objects.get(pk=job.lane_id).waiting


def test_a_thousand_jobs_move_in_a_handful_of_statements(django_assert_max_num_queries) -> None:
    jobs = make_jobs(1000)
    with django_assert_max_num_queries(6), transaction.atomic():
        assert len(services.move({job.pk: {} for job in jobs}, states.STARTING)) == 1000
    assert Job.objects.filter(status=states.STARTING).count() == 1000
