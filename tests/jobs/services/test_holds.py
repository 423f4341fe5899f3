from __future__ import annotations

from typing import Any

import pytest
from django_q.models import OrmQ

from accounts.models import Event
from controlplane.core import sets
from jobs import queries, scheduling, services, states
from jobs.models import Execution, Hold, Job, Lane, Scope
from tests.factories import Stage, make_job, make_job_in, make_jobs, make_operator
from tests.jobs.counted import make_type, submit
from tests.threads import at_once

pytestmark = pytest.mark.django_db


def test_held_jobs_go_to_a_lane_of_their_own_and_back() -> None:
    first, second = make_jobs(2)
    lane = first.lane_id
    assert services.hold_jobs([first.pk], actor=None) == [first.pk]
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.lane.on_hold, first.lane.held, second.lane_id) == (True, True, lane)
    assert services.release_jobs([first.pk, second.pk], actor=None) == [first.pk]
    first.refresh_from_db()
    assert (first.lane_id, Hold.objects.count()) == (lane, 0)


def test_who_holds_a_job_and_why_stands_in_its_hold_and_in_the_log() -> None:
    operator, releaser = make_operator(), make_operator()
    job = make_job()
    Event.objects.all().delete()
    services.hold_jobs([job.pk], actor=operator.user, hint="flood")
    hold = Hold.objects.get()
    assert (hold.scope, hold.scope_id, hold.code, hold.hint) == ("job", str(job.pk), "HELD", "flood")
    assert hold.set_by == operator.user
    services.release_jobs([job.pk], actor=releaser.user)
    told = Event.objects.order_by("id").values_list("kind", "subject_id", "actor", "customer", "after")
    assert list(told) == [
        ("job.held", job.pk, operator.user.pk, job.customer_id, {"hint": "flood"}),
        ("job.released", job.pk, releaser.user.pk, job.customer_id, None),
    ]


@pytest.mark.parametrize("status", states.WAITING)
def test_every_waiting_job_can_be_held_and_keeps_its_status(status: str) -> None:
    job = make_job_in(status)
    assert services.hold_jobs([job.pk], actor=None) == [job.pk]
    job.refresh_from_db()
    assert (job.status, job.lane.on_hold) == (status, True)


@pytest.mark.parametrize("status", [*states.ACTIVE, *states.FINAL])
def test_what_runs_or_has_ended_is_not_held(status: str) -> None:
    job = make_job_in(status)
    assert services.hold_jobs([job.pk], actor=None) == []
    assert not Hold.objects.exists()


def test_a_release_rings_and_lets_the_job_start() -> None:
    stage = Stage()
    job = make_job()
    services.hold_jobs([job.pk], actor=None)
    assert stage.claim() == 0
    services.refresh_lanes()
    assert stage.claim() == 0, "the sweep leaves it held"
    OrmQ.objects.all().delete()
    services.release_jobs([job.pk], actor=None)
    assert OrmQ.objects.filter(key="pulse-local").count() == 1
    assert stage.claim() == 1


def test_a_held_job_that_is_canceled_and_requeued_stays_held() -> None:
    stage = Stage()
    job = make_job()
    services.hold_jobs([job.pk], actor=None)
    services.cancel_jobs([job.pk], actor=None)
    assert services.requeue_jobs([job.pk], actor=None) == [job.pk]
    job.refresh_from_db()
    assert (job.status, job.lane.on_hold, stage.claim()) == (states.QUEUED, True, 0)
    assert Hold.objects.get().scope_id == str(job.pk)
    services.release_jobs([job.pk], actor=None)
    assert stage.claim() == 1


def test_a_held_job_that_ended_can_still_be_released() -> None:
    job = make_job()
    services.hold_jobs([job.pk], actor=None)
    services.cancel_jobs([job.pk], actor=None)
    assert services.release_jobs([job.pk], actor=None) == [job.pk]
    assert not Hold.objects.exists()


def test_lifting_a_jobs_hold_releases_it() -> None:
    stage = Stage()
    job = make_job()
    services.hold_jobs([job.pk], actor=None)
    services.lift_hold(Hold.objects.get())
    assert (stage.claim(), Hold.objects.count()) == (1, 0)


def test_a_released_job_under_a_hold_of_its_customer_still_waits() -> None:
    stage = Stage()
    job = make_job()
    hold = services.place_hold(scope=Scope.CUSTOMER, scope_id=str(job.customer_id), code="UNPAID")
    services.hold_jobs([job.pk], actor=None)
    services.release_jobs([job.pk], actor=None)
    assert stage.claim() == 0
    services.lift_hold(hold)
    assert stage.claim() == 1


def test_a_hold_lifted_from_its_customer_leaves_a_job_that_is_held_itself() -> None:
    stage = Stage()
    job = make_job()
    services.hold_jobs([job.pk], actor=None)
    hold = services.place_hold(scope=Scope.CUSTOMER, scope_id=str(job.customer_id), code="UNPAID")
    services.lift_hold(hold)
    assert stage.claim() == 0


@pytest.mark.parametrize("scope", [Scope.CUSTOMER, Scope.JOB_TYPE])
def test_the_system_holds_what_a_budget_is_over_once_and_says_why(scope: str) -> None:
    stage = Stage()
    (ours,), (theirs,) = (submit(make_type(n), 1, customer=f"customer {n}") for n in range(2))
    job = Job.objects.get(pk=ours)
    where: dict[str, Any] = {"scope": scope, "scope_id": str(getattr(job, f"{scope}_id")), "code": "BUDGET"}
    hold = services.place_hold(**where, hint="The budget of May is spent.")
    told = Event.objects.filter(kind="hold.placed")
    assert services.place_hold(**where, hint="The budget of May is spent.") == hold
    assert (Hold.objects.count(), told.count(), told.get().actor_id) == (1, 1, None)
    assert stage.claim() == 1
    assert Job.objects.get(pk=theirs).status == states.STARTING
    (reason,) = queries.explain(Job.objects.get(pk=ours))
    assert (reason.code, reason.hint, reason.since) == ("BUDGET", "The budget of May is spent.", hold.since)
    assert (reason.value, reason.limit, reason.set_by) == (f"{scope} {where['scope_id']}", None, None)
    services.lift_hold(hold)
    assert stage.claim() == 1


def test_jobs_of_many_lanes_are_held_in_few_statements(django_assert_max_num_queries) -> None:
    operator = make_operator()
    jobs = [job for n in range(3) for job in make_jobs(50, operator, vcpus_milli=100 + n)]
    with django_assert_max_num_queries(40):
        assert len(services.hold_jobs([job.pk for job in jobs], actor=None)) == 150
    assert Job.objects.filter(lane__on_hold=True).count() == 150
    assert Lane.objects.filter(on_hold=True).count() == 3


def test_nothing_to_hold_is_nothing_held() -> None:
    assert services.hold_jobs([], actor=None) == services.release_jobs([], actor=None) == []
    assert services.hold_jobs([10**15], actor=None) == []


# --- A claim at the same time --------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("scope", [Scope.JOB, Scope.ALL])
def test_what_was_answered_as_held_does_not_start(scope: str) -> None:
    if not sets.is_postgresql():
        pytest.skip("SQLite has one writer: a hold and a claim are never under way together")
    stage = Stage()
    for _ in range(8):
        jobs = make_jobs(20, vcpus_milli=10, memory_mib=10)
        ids = [job.pk for job in jobs]

        def hold(ids: list[int] = ids) -> tuple[list[int], int]:
            if scope == Scope.ALL:
                services.place_hold(scope=scope, code="STOP")
                return ids, Execution.objects.count()
            return services.hold_jobs(ids, actor=None), Execution.objects.count()

        claims = [lambda: scheduling.claim(stage.place.pk, limit=5)] * 3
        (held, started), *claimed = at_once([hold, *claims])
        assert not [each for each in claimed if isinstance(each, Exception)]
        assert stage.claim() == 0, "what is not held had started before"
        if scope == Scope.ALL:
            assert Execution.objects.count() == started, "something started after the hold was answered"
        else:
            assert set(Job.objects.filter(pk__in=held).values_list("status", flat=True)) <= {states.QUEUED}
        Hold.objects.filter(scope=Scope.ALL).delete()
        services.refresh_lanes()
        services.cancel_jobs(ids, actor=None)
