"""Each reason a job may wait for: set it, see it in explain, see the claim obey it, remove it, and the job starts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from jobs import queries, services, states
from jobs.models import Gate, Hold, Job, Lane, Place, RunsFor, Scope
from tests.factories import Stage, make_customer_user, make_job, make_job_in, make_jobs, make_place

pytestmark = pytest.mark.django_db


def _codes(job: Job) -> list[str]:
    return [reason.code for reason in queries.explain(job)]


def _hold(scope: str, scope_id: Callable[[Job], str]) -> Any:
    def place(job: Job) -> Callable[[], None]:
        hold = services.place_hold(scope=scope, scope_id=scope_id(job), code="STOP", hint="ask the desk")
        return lambda: services.lift_hold(hold)

    return place


def _cap(scope: str, scope_id: Callable[[Job], str], **limits: Any) -> Any:
    def place(job: Job) -> Callable[[], None]:
        gate = services.set_cap(scope=scope, scope_id=scope_id(job), **limits)
        return lambda: services.lift_cap(gate)

    return place


def _place(**facts: Any) -> Any:
    def worsen(job: Job) -> Callable[[], Any]:
        before = Place.objects.filter(pk=job.place_id).values(*facts).get()
        Place.objects.filter(pk=job.place_id).update(**facts)
        return lambda: Place.objects.filter(pk=job.place_id).update(**before)

    return worsen


SCOPES: dict[str, Callable[[Job], str]] = {
    Scope.ALL: lambda job: "",
    Scope.PLACE: lambda job: str(job.place_id),
    Scope.CUSTOMER: lambda job: str(job.customer_id),
    Scope.OWNER: lambda job: str(job.owner_id),
    Scope.QUEUE: lambda job: f"{job.place_id}:default",
}
REASONS: list[tuple[str, Any]] = [
    *[("STOP", _hold(scope, of)) for scope, of in SCOPES.items()],
    *[("CAP_JOBS", _cap(scope, of, max_jobs=0)) for scope, of in SCOPES.items()],
    *[("CAP_VCPUS", _cap(scope, of, max_vcpus_milli=499)) for scope, of in SCOPES.items()],
    ("DISK", _place(disk_free_mib=10, disk_floor_mib=11)),
    ("UNISOLATED", _place(runs_for=RunsFor.NOBODY)),
    ("TOO_LARGE_VCPUS", _place(vcpus_milli=499)),
    ("TOO_LARGE_MEMORY", _place(memory_mib=511)),
    ("NO_WORKER", _place(seen_at=timezone.now() - timedelta(minutes=1))),
]


@pytest.mark.parametrize(("code", "set_it"), REASONS)
def test_a_reason_is_explained_and_obeyed_until_it_is_gone(code: str, set_it: Any) -> None:
    stage = Stage()
    job = make_job(vcpus_milli=500, memory_mib=512)
    remove = set_it(job)
    job.refresh_from_db()
    assert _codes(Job.objects.get(pk=job.pk)) == [code]
    assert stage.claim() == 0
    remove()
    assert _codes(Job.objects.get(pk=job.pk)) == ["NEXT"]
    assert stage.claim() == 1


@pytest.mark.parametrize(
    ("code", "facts"), [("NO_ROOM_VCPUS", {"vcpus_milli": 900}), ("NO_ROOM_MEMORY", {"memory_mib": 900})]
)
def test_a_full_place_makes_wait_until_something_ends(code: str, facts: dict[str, int]) -> None:
    stage = Stage(**facts)
    first, second = make_jobs(2, vcpus_milli=500, memory_mib=512)
    stage.start(first)
    second.refresh_from_db()
    assert second.status == states.QUEUED
    assert _codes(second) == [code]
    stage.end(first)
    assert stage.claim() == 1


def test_an_unisolated_place_runs_jobs_of_staff_only() -> None:
    stage = Stage(runs_for=RunsFor.STAFF)
    make_job()
    stranger = make_job(make_customer_user())
    assert stage.claim() == 1
    assert _codes(stranger) == ["UNISOLATED"]


def test_two_reasons_at_once_both_show() -> None:
    make_place(disk_free_mib=1)
    job = make_job()
    Place.objects.update(disk_floor_mib=2)
    services.place_hold(scope=Scope.ALL, code="STOP")
    services.set_cap(scope=Scope.OWNER, scope_id=str(job.owner_id), max_jobs=0)
    assert _codes(Job.objects.get(pk=job.pk)) == ["STOP", "CAP_JOBS", "DISK"]


def test_a_reason_says_since_when_and_what_frees_it() -> None:
    make_place()
    job = make_job()
    hold = services.place_hold(scope=Scope.ALL, code="STOP", hint="ask the desk")
    (reason,) = queries.explain(job)
    assert (reason.since, reason.hint, reason.value) == (hold.since, "ask the desk", "all")


def test_a_job_that_is_delayed_says_when_it_is_due() -> None:
    job = make_job_in(states.DELAYED)
    (reason,) = queries.explain(job)
    assert (reason.code, reason.since, reason.value, reason.limit) == ("RETRY", job.due_at, 1, 3)


@pytest.mark.parametrize("status", [*states.ACTIVE, *states.FINAL])
def test_what_runs_or_has_ended_waits_for_nothing(status: str) -> None:
    assert queries.explain(make_job_in(status)) == []


def test_a_small_job_does_not_pass_for_ever_one_that_needs_room() -> None:
    stage = Stage(vcpus_milli=1000)
    running, large, small = make_job(vcpus_milli=600), make_job(vcpus_milli=1000), make_job(vcpus_milli=100)
    stage.claim()
    for job in (running, large, small):
        job.refresh_from_db()
    assert (large.status, small.status) == (states.QUEUED, states.STARTING)
    assert Lane.objects.get(pk=large.lane_id).blocked_since is not None
    # Five minutes later what ends is kept for it, and it starts as soon as it fits.
    Lane.objects.filter(pk=large.lane_id).update(blocked_since=timezone.now() - timedelta(minutes=6))
    another = make_job(vcpus_milli=100)
    assert stage.claim() == 0
    stage.start(running, small)
    stage.end(running, small)
    assert stage.claim() == 1
    large.refresh_from_db()
    another.refresh_from_db()
    assert (large.status, another.status) == (states.STARTING, states.QUEUED)
    assert Lane.objects.get(pk=large.lane_id).blocked_since is None


def test_the_same_hold_twice_is_one_and_a_new_lane_is_held_too() -> None:
    stage = Stage()
    services.place_hold(scope=Scope.ALL, code="STOP")
    services.place_hold(scope=Scope.ALL, code="STOP")
    assert Hold.objects.count() == 1
    make_job(vcpus_milli=123)
    assert stage.claim() == 0


def test_two_holds_on_one_job_are_lifted_one_by_one() -> None:
    stage = Stage()
    job = make_job()
    first = services.place_hold(scope=Scope.ALL, code="FIRST")
    second = services.place_hold(scope=Scope.OWNER, scope_id=str(job.owner_id), code="SECOND")
    services.lift_hold(first)
    assert stage.claim() == 0
    services.lift_hold(second)
    assert stage.claim() == 1


def test_a_cap_counts_what_is_active_in_its_scope_only() -> None:
    stage = Stage()
    ours, theirs = make_jobs(5, customer="ours"), make_jobs(5, customer="theirs")
    services.set_cap(scope=Scope.CUSTOMER, scope_id=str(ours[0].customer_id), max_jobs=2)
    assert stage.claim() == 7
    active = Job.objects.filter(status=states.STARTING)
    assert active.filter(customer=ours[0].customer_id).count() == 2
    assert active.filter(customer=theirs[0].customer_id).count() == 5
    # Capped lanes cost nothing more, and the others go on.
    make_jobs(1, customer="theirs")
    assert stage.claim() == 1


def test_raising_a_cap_lets_more_start() -> None:
    stage = Stage()
    make_jobs(4)
    services.set_cap(scope=Scope.ALL, max_jobs=1)
    assert stage.claim() == 1
    services.set_cap(scope=Scope.ALL, max_jobs=3)
    assert (stage.claim(), Gate.objects.count()) == (2, 1)
