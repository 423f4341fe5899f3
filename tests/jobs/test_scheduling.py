from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import Event
from clusters.providers.base import End, Observation, Phase
from clusters.providers.errors import Refused, Throttled
from jobs import queries, scheduling, services, states
from jobs.models import Execution, Job, Lane, Scope
from jobs.scheduling import Watch
from jobtypes.models import Error
from tests.factories import Stage, make_job, make_job_in, make_jobs, make_operator

pytestmark = pytest.mark.django_db


# --- Claim ---------------------------------------------------------------------------------------


def test_smaller_priorities_go_first_and_older_ones_among_equals() -> None:
    stage = Stage(vcpus_milli=2000)
    late_low, low, high = (
        make_job(vcpus_milli=1000),
        make_job(vcpus_milli=1000),
        make_job(vcpus_milli=1000, priority=50),
    )
    Job.objects.filter(pk=low.pk).update(queued_at=timezone.now() - timedelta(hours=1))
    assert stage.claim() == 2
    started = set(Job.objects.filter(status=states.STARTING).values_list("pk", flat=True))
    assert started == {high.pk, low.pk}
    late_low.refresh_from_db()
    assert late_low.status == states.QUEUED


def test_each_claimed_job_has_a_new_execution_and_counts_a_try() -> None:
    stage = Stage()
    jobs = make_jobs(3)
    assert stage.claim() == 3
    for job in jobs:
        job.refresh_from_db()
        execution = stage.execution(job)
        assert (job.tries, execution.number, execution.status) == (1, 1, states.CREATED)
    assert Execution.objects.count() == 3


def test_a_claim_costs_the_same_statements_for_one_job_and_for_many(django_assert_max_num_queries) -> None:
    stage = Stage()
    make_jobs(200, vcpus_milli=100)
    with django_assert_max_num_queries(14):
        assert stage.claim() == 200


def test_what_is_queued_behind_a_hold_costs_a_claim_nothing(django_assert_max_num_queries) -> None:
    stage = Stage()
    blocked = make_jobs(500, customer="held")
    services.place_hold(scope=Scope.CUSTOMER, scope_id=str(blocked[0].customer_id), code="STOP")
    make_jobs(2)
    with django_assert_max_num_queries(14):
        assert stage.claim() == 2


def test_more_than_fits_is_handed_over_only_while_jobs_are_short() -> None:
    stage = Stage(vcpus_milli=1000)
    make_jobs(10, vcpus_milli=500)
    assert stage.claim() == 2
    assert scheduling.claim(stage.place.pk, just_ended=0) == 0
    assert scheduling.claim(stage.place.pk, just_ended=4) == 4


def test_a_job_that_the_database_refuses_to_start_fails_alone() -> None:
    stage = Stage()
    good, bad = make_jobs(2)
    # Left over by a fault: an execution that is still active stands in the way of the next.
    Execution.objects.create(job=bad, number=9, place=stage.place, status=states.SUBMITTED)
    assert stage.claim() == 1
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (good.status, bad.status, bad.reason) == (states.STARTING, states.FAILED, "DATABASE")
    assert bad.error == Error.objects.get(name="database")


def test_a_claim_leaves_other_places_alone() -> None:
    stage = Stage()
    job = make_job()
    other = type(stage.place).objects.create(cloud="local", region="elsewhere", vcpus_milli=1000, memory_mib=1000)
    assert scheduling.claim(other.pk) == 0
    job.refresh_from_db()
    assert job.status == states.QUEUED


def test_jobs_that_cannot_go_do_not_hide_those_behind_them() -> None:
    stage = Stage(vcpus_milli=1000)
    make_jobs(300, vcpus_milli=2000, priority=1)
    small = make_job(vcpus_milli=100)
    assert stage.claim() == 1
    small.refresh_from_db()
    assert small.status == states.STARTING


def test_many_lanes_that_cannot_go_do_not_hide_one_that_can() -> None:
    stage = Stage(vcpus_milli=1000)
    operator = make_operator()
    for n in range(40):
        make_jobs(20, operator, vcpus_milli=2000 + n, priority=1)
    make_job(operator, vcpus_milli=100)
    assert stage.claim() == 1


def test_a_claim_takes_what_is_asked_and_leaves_the_rest_in_line() -> None:
    stage = Stage()
    make_jobs(10, vcpus_milli=100)
    assert scheduling.claim(stage.place.pk, limit=4) == 4
    assert stage.claim() == 6


# --- Hand over -----------------------------------------------------------------------------------


def test_what_is_handed_over_is_what_was_asked_for() -> None:
    stage = Stage()
    job = make_job(
        command=["sh", "-c", "true"], env={"KEY": "värde"}, image="busybox", vcpus_milli=250, memory_mib=99,
        timeout_seconds=5, priority=50,
    )  # fmt: skip
    stage.start(job)
    (work,) = stage.provider.works.values()
    assert (list(work.command), dict(work.env), work.image) == (["sh", "-c", "true"], {"KEY": "värde"}, "busybox")
    assert (work.vcpus_milli, work.memory_mib, work.timeout_seconds, work.priority) == (250, 99, 5, 50)
    assert work.execution_id == str(stage.execution(job).uuid)


def test_a_crash_between_the_call_and_its_note_starts_nothing_twice() -> None:
    stage = Stage()
    (job,) = make_jobs(1)
    stage.claim()
    scheduling.hand_over(stage.place.pk, stage.provider)
    Execution.objects.update(status=states.CREATED)  # the note was lost
    scheduling.hand_over(stage.place.pk, stage.provider)
    assert len(stage.provider.works) == 1
    assert stage.execution(job).status == states.SUBMITTED


def test_a_provider_out_of_reach_leaves_everything_to_the_next_pass() -> None:
    stage = Stage()
    job = make_job()
    stage.claim()
    stage.provider.failure = Throttled(retry_after_seconds=1)
    with pytest.raises(Throttled):
        scheduling.hand_over(stage.place.pk, stage.provider)
    assert stage.execution(job).status == states.CREATED
    stage.provider.failure = None
    assert scheduling.hand_over(stage.place.pk, stage.provider) == 1


def test_what_the_provider_refuses_is_rejected_and_the_rest_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    good, bad = make_job(), make_job(image="nowhere")
    run = stage.provider.run

    def refuse(works) -> None:
        if any(work.image == "nowhere" for work in works):
            raise Refused("no such image: nowhere")
        run(works)

    monkeypatch.setattr(stage.provider, "run", refuse)
    stage.claim()
    assert scheduling.hand_over(stage.place.pk, stage.provider) == 1
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.status, bad.reason, bad.error and bad.error.name) == (states.REJECTED, "REFUSED", "refused")
    assert stage.execution(bad).detail == "no such image: nowhere"
    assert (good.status, stage.execution(good).status) == (states.STARTING, states.SUBMITTED)


def test_a_job_whose_secrets_no_key_reads_is_rejected_and_holds_nobody_up(settings) -> None:
    from cryptography.fernet import Fernet

    stage = Stage()
    bad = make_job(env={"A": "1"})
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    good = make_job(env={"A": "1"})
    stage.claim()
    assert scheduling.hand_over(stage.place.pk, stage.provider) == 1
    bad.refresh_from_db()
    assert (bad.status, stage.execution(good).status) == (states.REJECTED, states.SUBMITTED)
    assert "ENCRYPTION_KEYS" in stage.execution(bad).detail


# --- Apply ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "exit_code", "status", "reason", "error", "execution_status"),
    [
        (End.EXITED, 0, states.COMPLETED, "", None, states.COMPLETED),
        (End.EXITED, 3, states.FAILED, "EXIT_3", "exit-code", states.FAILED),
        (End.EXITED, 137, states.FAILED, "EXIT_137", "exit-code", states.FAILED),
        (End.TIMED_OUT, 143, states.FAILED, "TIMEOUT", "timeout", states.FAILED),
        (End.CANNOT_START, 127, states.FAILED, "CANNOT_START", "cannot-start", states.FAILED),
        (End.CANCELED, None, states.FAILED, "CANCELED_OUTSIDE", "canceled-outside", states.CANCELED),
        (End.LOST, None, states.DELAYED, "LOST", "lost", states.LOST),
        (End.INTERRUPTED, None, states.DELAYED, "INTERRUPTED", "interrupted", states.INTERRUPTED),
    ],
)
def test_an_end_becomes_a_status(
    end: End, exit_code: int | None, status: str, reason: str, error: str | None, execution_status: str
) -> None:
    stage = Stage()
    job = make_job_in(states.RUNNING, stage=stage)
    stage.end(job, end=end, exit_code=exit_code)
    assert (job.status, job.reason, job.error.name if job.error else None) == (status, reason, error)
    execution = stage.execution(job)
    assert (execution.status, execution.exit_code) == (execution_status, exit_code)
    assert (job.ended_at is None) is (status == states.DELAYED)


def test_a_lost_job_is_tried_again_after_a_growing_pause_until_its_tries_are_used(settings) -> None:
    settings.RETRY_BACKOFF_SECONDS = 10
    stage = Stage()
    job = make_job(max_tries=3)
    pauses = []
    for number in (1, 2, 3):
        stage.start(job)
        before = timezone.now()
        stage.end(job, end=End.LOST, exit_code=None)
        assert stage.execution(job).number == number
        if job.due_at:
            pauses.append(round((job.due_at - before).total_seconds()))
            assert scheduling.wake_delayed() == 0
            Job.objects.update(due_at=timezone.now())
            assert scheduling.wake_delayed() == 1
    assert pauses == [10, 20]
    assert (job.status, job.tries, job.reason) == (states.FAILED, 3, "LOST")


def test_an_end_that_comes_with_its_start_needs_no_step_between() -> None:
    stage = Stage()
    (job,) = make_jobs(1)
    stage.claim()
    scheduling.hand_over(stage.place.pk, stage.provider)
    execution_id = str(stage.execution(job).uuid)
    stage.provider.start(execution_id)
    stage.provider.end(execution_id)
    scheduling.apply(stage.provider.observe([execution_id]))
    job.refresh_from_db()
    assert job.status == states.COMPLETED
    assert job.started_at is not None


def test_the_same_answer_twice_is_applied_once() -> None:
    stage = Stage()
    job = make_job_in(states.COMPLETED, stage=stage)
    events = Event.objects.count()
    execution_id = str(stage.execution(job).uuid)
    assert scheduling.apply(stage.provider.observe([execution_id])) == 0
    assert Event.objects.count() == events


def test_an_answer_about_an_unknown_execution_changes_nothing() -> None:
    now = datetime.now(UTC)
    assert (
        scheduling.apply([Observation(str(uuid.uuid4()), Phase.ENDED, ended_at=now, end=End.EXITED, exit_code=0)]) == 0
    )


def test_an_end_whose_clock_runs_behind_is_taken_as_it_is() -> None:
    stage = Stage()
    job = make_job_in(states.RUNNING, stage=stage)
    early = datetime(2020, 1, 1, tzinfo=UTC)
    seen = Observation(str(stage.execution(job).uuid), Phase.ENDED, early, early, End.EXITED, 0)
    assert scheduling.apply([seen]) == 1


def test_words_of_a_provider_lose_their_nul_and_what_does_not_fit() -> None:
    stage = Stage()
    job = make_job_in(states.RUNNING, stage=stage)
    stage.provider.end(str(stage.execution(job).uuid), exit_code=1, detail="a\0b" + "x" * 5000)
    scheduling.apply(stage.provider.observe([str(stage.execution(job).uuid)]))
    assert stage.execution(job).detail.startswith("abxxx")
    assert len(stage.execution(job).detail) == 1000


def test_a_set_that_the_database_refuses_fails_the_bad_row_alone() -> None:
    stage = Stage()
    good, bad = make_jobs(2)
    stage.start(good, bad)
    for job in (good, bad):
        stage.provider.end(str(stage.execution(job).uuid))
    seen = stage.provider.observe([str(stage.execution(job).uuid) for job in (good, bad)])
    poisoned = [seen[0], Observation(seen[1].execution_id, Phase.ENDED, None, None, End.EXITED, exit_code=10**12)]
    if not _refuses_large_numbers():
        pytest.skip("SQLite keeps any number in any column")
    assert scheduling.apply(poisoned) == 2
    good.refresh_from_db()
    bad.refresh_from_db()
    assert (good.status, bad.status, bad.reason) == (states.COMPLETED, states.FAILED, "DATABASE")


def _refuses_large_numbers() -> bool:
    from controlplane.core import sets

    return sets.is_postgresql()


# --- Observe -------------------------------------------------------------------------------------


def test_what_runs_and_is_missing_too_long_is_lost_and_tried_again() -> None:
    stage = Stage()
    job = make_job_in(states.RUNNING, stage=stage)
    stage.provider._seen.clear()
    watch = Watch({}, lost_after=timedelta(seconds=60))
    assert scheduling.observe(stage.place.pk, stage.provider, watch) == []
    job.refresh_from_db()
    assert job.status == states.RUNNING
    watch.missing = {key: at - timedelta(seconds=61) for key, at in watch.missing.items()}
    scheduling.observe(stage.place.pk, stage.provider, watch)
    job.refresh_from_db()
    assert (job.status, job.reason) == (states.DELAYED, "LOST")


def test_what_was_handed_over_and_is_unknown_there_is_handed_over_again() -> None:
    stage = Stage()
    job = make_job()
    stage.claim()
    scheduling.hand_over(stage.place.pk, stage.provider)
    execution_id = str(stage.execution(job).uuid)
    stage.provider._seen.clear()
    stage.provider.works.clear()
    again = scheduling.observe(stage.place.pk, stage.provider, Watch({}))
    assert again == [execution_id]
    scheduling.hand_over(stage.place.pk, stage.provider, again)
    assert list(stage.provider.works) == [execution_id]


def test_one_that_is_seen_again_is_missed_no_more() -> None:
    stage = Stage()
    make_job_in(states.RUNNING, stage=stage)
    seen, stage.provider._seen = stage.provider._seen, {}
    watch = Watch({})
    scheduling.observe(stage.place.pk, stage.provider, watch)
    stage.provider._seen = seen
    scheduling.observe(stage.place.pk, stage.provider, watch)
    assert watch.missing == {}


# --- The sweep -----------------------------------------------------------------------------------


def test_the_sweep_clears_idle_lanes_and_revives_forgotten_ones() -> None:
    stage = Stage()
    idle = make_job_in(states.COMPLETED, stage=stage, vcpus_milli=100)
    forgotten = make_job(vcpus_milli=200)
    Lane.objects.filter(pk=forgotten.lane_id).update(waiting=False)
    assert stage.claim() == 0
    assert services.refresh_lanes() == 1
    assert not Lane.objects.get(pk=idle.lane_id).waiting
    assert stage.claim() == 1


def test_the_timeline_tells_the_whole_story_in_order() -> None:
    stage = Stage()
    job = make_job_in(states.COMPLETED, stage=stage)
    told = [(event.after or {})["status"] for event in queries.timeline(job)]
    assert told == ["QUEUED", "STARTING", "RUNNING", "COMPLETED"]
