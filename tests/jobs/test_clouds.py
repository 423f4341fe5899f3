"""Jobs at a cloud: submitted once whatever fails, observed, stopped, and their output copied."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from clusters.providers.base import End
from clusters.providers.errors import AuthFailed, NoCapacity, ProviderError, Refused, Throttled
from jobs import clouds, following, queries, retention, services, states
from jobs.errors import OutputGone
from jobs.models import Execution, Job, Place, Submission
from jobs.scheduling import submitting
from tests.clouds import REGION, CloudStage

pytestmark = pytest.mark.django_db


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> CloudStage:
    settings.OUTPUT_STORAGE = {"type": "host", "host_path": str(tmp_path / "outputs")}
    return CloudStage(monkeypatch)


def later(submission: Submission | None = None) -> None:
    """Let every lease be over."""
    Submission.objects.update(leased_until=timezone.now() - timedelta(hours=1))


def status(job: Job) -> str:
    job.refresh_from_db()
    return job.status


# --- From submit to end ----------------------------------------------------------------------------


def test_a_job_runs_at_the_cloud(stage: CloudStage) -> None:
    (job,) = stage.submit(image="busybox", command=["echo", "hello"], env={"A": "1"}, priority=50)
    assert status(job) == states.QUEUED
    stage.turn()
    assert status(job) == states.STARTING
    ((name, (work,), (handle,)),) = stage.cloud.submitted
    assert (work.image, list(work.command), work.env, work.priority) == ("busybox", ["echo", "hello"], {"A": "1"}, 50)
    assert (work.customer, work.queue) == ("acme", "")
    execution = stage.execution(job)
    assert (execution.status, execution.handle, str(execution.submission.uuid)) == (states.SUBMITTED, handle, name)  # type: ignore[union-attr]
    stage.cloud.start(handle)
    stage.turn()
    assert status(job) == states.RUNNING
    assert stage.execution(job).node == "machine-1"
    stage.cloud.end(handle, detail="Essential container exited")
    stage.turn()
    assert status(job) == states.COMPLETED
    execution = stage.execution(job)
    assert (execution.status, execution.exit_code, execution.detail) == (
        states.COMPLETED,
        0,
        "Essential container exited",
    )


def test_a_failed_job_tells_its_code_and_is_tried_again_only_when_its_error_says_so(stage: CloudStage) -> None:
    failing, interrupted = stage.submit(2, max_tries=2)
    stage.turn()
    for job in (failing, interrupted):
        stage.cloud.start(stage.handle(job))
    stage.cloud.end(stage.handle(failing), exit_code=3)
    stage.cloud.end(stage.handle(interrupted), exit_code=None, end=End.INTERRUPTED, detail="Host terminated.")
    stage.turn()
    assert (status(failing), failing.reason) == (states.FAILED, "EXIT_3")
    assert (status(interrupted), interrupted.reason) == (states.DELAYED, "INTERRUPTED")
    assert stage.execution(interrupted).status == states.INTERRUPTED


def test_alike_jobs_go_in_one_call(monkeypatch: Any) -> None:
    stage = CloudStage(monkeypatch, group_size=100)
    jobs = stage.submit(7)
    stage.turn()
    assert [len(works) for _, works, _ in stage.cloud.submitted] == [7]
    assert stage.cloud.calls.count("submit") == 1
    assert [stage.handle(job) for job in jobs] == stage.cloud.handles


def test_a_queue_by_name_is_asked_for_and_an_unknown_one_rejects_the_job(stage: CloudStage) -> None:
    good, bad = stage.submit(queue="gpu")[0], stage.submit(queue="no-such-queue")[0]
    stage.turn()
    assert [works[0].queue for _, works, _ in stage.cloud.submitted] == ["gpu"]
    assert (status(good), status(bad)) == (states.STARTING, states.REJECTED)
    assert stage.execution(bad).detail == "there is no queue no-such-queue"


def test_of_a_refused_group_those_that_can_run_do(monkeypatch: Any) -> None:
    stage = CloudStage(monkeypatch, group_size=10)
    good, bad = stage.submit()[0], stage.submit(queue="no-such-queue")[0]
    for _ in range(2):
        stage.turn()
    assert (status(good), status(bad)) == (states.STARTING, states.REJECTED)
    assert len(stage.cloud.handles) == 1


def test_a_refused_group_of_alike_jobs_costs_one_call(monkeypatch: Any) -> None:
    stage = CloudStage(monkeypatch, group_size=10)
    jobs = stage.submit(5, queue="no-such-queue")
    stage.turn()
    assert {status(job) for job in jobs} == {states.REJECTED}
    assert stage.cloud.calls.count("submit") == 1


def test_what_the_cloud_forgets_is_lost_and_tried_again(stage: CloudStage) -> None:
    (job,) = stage.submit(max_tries=2)
    stage.turn()
    stage.cloud.start(stage.handle(job))
    stage.turn()
    stage.cloud.vanish(stage.handle(job))
    stage.turn()
    assert status(job) == states.RUNNING
    stage.caller._watch.lost_after = timedelta(0)
    stage.turn()
    assert (status(job), stage.execution(job).status) == (states.DELAYED, states.LOST)


def test_a_job_that_no_key_can_read_is_rejected(stage: CloudStage) -> None:
    (job,) = stage.submit(env={"A": "1"})
    Job.objects.filter(pk=job.pk).update(env="no such thing")
    stage.turn()
    assert (status(job), stage.cloud.submitted) == (states.REJECTED, [])


def test_the_next_try_needs_no_pass_of_a_machine(stage: CloudStage, settings: Any) -> None:
    settings.RETRY_BACKOFF_SECONDS = 0
    (job,) = stage.submit(max_tries=2)
    stage.turn()
    stage.cloud.end(stage.handle(job), exit_code=None, end=End.LOST)
    stage.turn()
    stage.turn()
    assert len(stage.cloud.handles) == 2
    assert stage.execution(job).number == 2


# --- Once, whatever fails --------------------------------------------------------------------------


def test_a_lost_answer_is_found_again(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.cloud.lost["submit"] = [ProviderError("the answer was lost")]
    stage.turn()
    assert (status(job), stage.execution(job).handle) == (states.STARTING, "")
    later()
    stage.turn()
    assert stage.cloud.handles == [stage.handle(job)]


def test_a_call_that_never_arrived_is_made_again(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.cloud.failures["submit"] = [ProviderError("connection refused")]
    stage.turn()
    stage.turn()
    assert stage.cloud.submitted == [], "its lease still holds: what was sent may be on its way"
    later()
    stage.turn()
    assert stage.cloud.handles == [stage.handle(job)]
    assert stage.cloud.calls.count("find") == 1


def test_a_call_that_failed_is_waited_for_only_while_it_may_arrive(stage: CloudStage) -> None:
    def seconds_left() -> float:
        left = Submission.objects.get().leased_until
        assert left is not None
        return (left - timezone.now()).total_seconds()

    (job,) = stage.submit()
    stage.cloud.failures["submit"] = [ProviderError("500")]
    stage.turn()
    assert 10 < seconds_left() < 16, "the submit"
    later()
    stage.cloud.failures["find"] = [ProviderError("500")]
    stage.turn()
    assert 10 < seconds_left() < 16, "the look-up"
    later()
    stage.turn()
    assert stage.cloud.handles == [stage.handle(job)]


@pytest.mark.parametrize("fault", [Throttled(retry_after_seconds=0.0), AuthFailed("denied"), NoCapacity("full")])
def test_what_was_not_started_is_sent_again_without_a_look(stage: CloudStage, fault: ProviderError) -> None:
    (job,) = stage.submit()
    stage.cloud.failures["submit"] = [fault]
    stage.turn()
    assert Submission.objects.get().calls == 0
    later()
    stage.turn()
    assert stage.cloud.handles == [stage.handle(job)]
    assert "find" not in stage.cloud.calls


def test_a_dead_caller_is_followed_by_another(stage: CloudStage) -> None:
    class Killed(BaseException):
        pass

    def die() -> None:
        raise Killed

    (job,) = stage.submit()
    stage.cloud.before["submit"] = die
    with pytest.raises(Killed):
        stage.turn()
    Place.objects.update(called_until=timezone.now() - timedelta(seconds=1))
    later()
    stage.another().turn()
    assert stage.cloud.handles == [stage.handle(job)]


def test_who_stood_still_before_the_call_past_the_lease_does_not_send(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.cloud.lost["submit"] = [ProviderError("lost")]
    stage.turn()
    later()

    def meanwhile() -> None:
        later()
        submitting.send(Submission.objects.get().pk, stage.cloud)

    # This one looks, finds nothing yet, stands still, and goes on after another has taken over.
    stage.cloud.submitted.clear()
    stage.cloud.before["find"] = meanwhile
    submitting.send(Submission.objects.get().pk, stage.cloud)
    assert len(stage.cloud.submitted) == 1
    assert stage.cloud.living() == [stage.handle(job)]


def test_who_stood_still_in_the_call_stops_what_is_too_much(stage: CloudStage) -> None:
    (job,) = stage.submit()

    def meanwhile() -> None:
        later()
        submitting.send(Submission.objects.get().pk, stage.cloud)

    stage.cloud.before["submit"] = meanwhile
    stage.turn()
    assert len(stage.cloud.handles) == 2
    assert stage.cloud.living() == [stage.handle(job)]


def test_what_a_dead_one_sent_too_much_is_found_and_stopped(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.cloud.failures["submit"] = [ProviderError("timed out")]
    stage.turn()
    later()
    stage.turn()
    submission = Submission.objects.get()
    assert submission.check_at is not None
    # The first call arrives after all, from a process that is dead by now.
    stage.cloud.submit(str(submission.uuid), stage.cloud.submitted[0][1])
    stage.turn()
    assert len(stage.cloud.living()) == 2
    Submission.objects.update(check_at=timezone.now() - timedelta(seconds=1))
    stage.turn()
    assert stage.cloud.living() == [stage.handle(job)]
    assert Submission.objects.get().check_at is None


def test_one_process_calls_a_place_at_a_time(stage: CloudStage) -> None:
    stage.submit()
    stage.turn()
    calls = len(stage.cloud.calls)
    other = stage.another()
    other.turn()
    assert len(stage.cloud.calls) == calls
    stage.caller.leave()
    other.turn()
    assert len(stage.cloud.calls) > calls


# --- Stopping --------------------------------------------------------------------------------------


def test_a_canceled_job_is_stopped(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.turn()
    stage.cloud.start(stage.handle(job))
    stage.turn()
    services.cancel_jobs([job.pk], actor=None)
    stage.turn()
    assert status(job) == states.CANCELED
    assert stage.cloud.calls.count("cancel") == 1


def test_a_stop_is_not_repeated_at_every_turn(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.turn()
    services.cancel_jobs([job.pk], actor=None)
    stage.cloud.lost["cancel"] = []
    stage.cloud.end = lambda *args, **kwargs: None  # type: ignore[method-assign] # it takes its time
    for _ in range(3):
        stage.turn()
    assert status(job) == states.CANCELING
    assert stage.cloud.calls.count("cancel") == 1


def test_what_was_never_sent_is_canceled_here(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.cloud.failures["submit"] = [Throttled(retry_after_seconds=60.0)]
    stage.turn()
    services.cancel_jobs([job.pk], actor=None)
    stage.turn()
    assert (status(job), stage.cloud.submitted) == (states.CANCELED, [])
    later()
    stage.turn()
    assert stage.cloud.submitted == []
    assert Submission.objects.get().settled_at is not None


def test_what_may_have_been_sent_is_stopped_once_it_is_found(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.cloud.lost["submit"] = [ProviderError("lost")]
    stage.turn()
    services.cancel_jobs([job.pk], actor=None)
    stage.turn()
    assert status(job) == states.CANCELING
    later()
    for _ in range(2):
        stage.turn()
    assert (status(job), stage.cloud.living()) == (states.CANCELED, [])


# --- Failing clouds --------------------------------------------------------------------------------


def test_a_cloud_out_of_reach_is_told_and_keeps_new_jobs_in_line(stage: CloudStage) -> None:
    for verb in ("capacity", "submit", "machines"):
        stage.cloud.failures[verb] = [ProviderError("connect timeout")]
    (running,) = stage.submit()
    rest = stage.turn()
    assert rest > 2
    assert stage.cloud.calls == ["capacity", "submit"], "nothing else is tried, as it would wait as long"
    (job,) = stage.submit()
    place = Place.objects.get(pk=stage.place.pk)
    assert place.failure == "connect timeout"
    assert status(job) == states.QUEUED
    assert [reason.code for reason in queries.explain(job)] == ["PROVIDER_FAILING"]
    stage.turn()
    place.refresh_from_db()
    assert (place.failure, place.failing_since) == ("", None)
    stage.turn()
    assert {status(job), status(running)} == {states.STARTING}


def test_a_call_that_fails_now_and_then_holds_nothing_up(stage: CloudStage) -> None:
    stage.cloud.failures["submit"] = [ProviderError("500")]
    jobs = stage.submit(5)
    assert stage.turn() == 2.0
    assert Place.objects.get(pk=stage.place.pk).failure == ""
    assert len(stage.cloud.handles) == 4
    later()
    stage.turn()
    assert sorted(stage.handle(job) for job in jobs) == sorted(stage.cloud.handles)


def test_being_throttled_is_told_only_when_it_lasts(stage: CloudStage) -> None:
    for turn in range(5):
        stage.cloud.failures["capacity"] = [Throttled("too many", 7.0)]
        assert stage.turn() == 7.0
        assert bool(Place.objects.get(pk=stage.place.pk).failure) == (turn >= 3)


def test_it_rests_longer_the_longer_a_cloud_fails(stage: CloudStage) -> None:
    for verb in ("capacity", "machines"):
        stage.cloud.failures[verb] = [ProviderError("no route") for _ in range(8)]
    rests = []
    for _ in range(8):
        stage.caller._sweep_at = 0.0
        rests.append(stage.turn())
    assert rests == sorted(rests)
    assert rests[-1] == 60.0


def test_what_one_call_may_not_does_not_keep_the_others(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.turn()
    stage.cloud.start(stage.handle(job))
    stage.cloud.end(stage.handle(job))
    stage.cloud.failures["capacity"] = [AuthFailed("batch:DescribeJobQueues is denied")]
    stage.turn()
    assert status(job) == states.COMPLETED
    assert "DescribeJobQueues" in Place.objects.get(pk=stage.place.pk).failure


def test_a_role_that_one_customer_took_back_stops_nobody_else(stage: CloudStage) -> None:
    theirs, others = stage.submit(customer="acme")[0], stage.submit(customer="other")[0]
    stage.cloud.failures["submit"] = [AuthFailed("sts:AssumeRole is denied", customer="acme")]
    stage.turn()
    assert Place.objects.get(pk=stage.place.pk).failure == ""
    assert stage.handle(others)
    theirs.refresh_from_db()
    (reason,) = following.explain(theirs)
    assert (reason.code, "sts:AssumeRole is denied" in reason.hint) == ("SENDING", True)


def test_an_unforeseen_refusal_while_asking_is_no_failure_of_the_cloud(stage: CloudStage) -> None:
    stage.cloud.failures["capacity"] = [Refused("what?")]
    stage.turn()
    assert Place.objects.get(pk=stage.place.pk).failure == ""


# --- Output ----------------------------------------------------------------------------------------


def read(job: Job) -> str:
    return "".join(following.text(Job.objects.get(pk=job.pk), ("stdout",)))


def test_output_is_read_from_the_cloud_while_it_runs_and_copied_at_the_end(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.turn()
    handle = stage.handle(job)
    stage.cloud.start(handle)
    stage.cloud.write(handle, "one\n")
    stage.turn()
    assert read(job) == "one\n"
    stage.cloud.write(handle, "two ✓\n")
    stage.cloud.end(handle)
    stage.turn()
    assert stage.execution(job).copy_at is None
    stage.cloud.vanish(handle)
    assert read(job) == "one\ntwo ✓\n"


def test_output_of_a_cloud_that_keeps_none_is_copied_as_it_grows(
    monkeypatch: Any, settings: Any, tmp_path: Any
) -> None:
    settings.OUTPUT_STORAGE = {"type": "host", "host_path": str(tmp_path / "outputs")}
    stage = CloudStage(monkeypatch, keeps_logs=False)
    (job,) = stage.submit()
    stage.turn()
    handle = stage.handle(job)
    stage.cloud.start(handle)
    stage.cloud.write(handle, "one\n")
    stage.turn()
    assert queries.outputs.copied_output(stage.execution(job).uuid, "stdout").read(0, 100)[0] == "one\n"
    stage.cloud.write(handle, "two\n")
    # The machine is gone, and with it what it wrote last.
    stage.cloud.end(handle, exit_code=None, end=End.LOST)
    stage.turn()
    stage.cloud.vanish(handle)
    Execution.objects.update(copy_at=timezone.now() - timedelta(seconds=1))
    stage.turn()
    assert stage.execution(job).copy_at is None
    assert read(job).startswith("one\n")


def test_output_that_comes_late_is_waited_for(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.turn()
    handle = stage.handle(job)
    stage.cloud.start(handle)
    stage.cloud.end(handle)
    stage.cloud.failures["logs"] = [ProviderError("not yet")]
    stage.turn()
    assert stage.execution(job).copy_at is not None
    stage.cloud.write(handle, "late\n")
    Execution.objects.update(copy_at=timezone.now() - timedelta(seconds=1))
    stage.turn()
    stage.cloud.vanish(handle)
    assert read(job) == "late\n"


def test_of_long_output_head_and_tail_are_kept(stage: CloudStage, settings: Any, monkeypatch: Any) -> None:
    settings.LOG_CAP_MIB = 1
    monkeypatch.setattr("jobs.scheduling.copying.PAGE_BYTES", 2**17)
    (job,) = stage.submit()
    stage.turn()
    handle = stage.handle(job)
    stage.cloud.start(handle)
    stage.cloud.write(handle, "".join(f"line {number}\n" for number in range(400_000)))
    stage.cloud.end(handle)
    stage.turn()
    stage.cloud.vanish(handle)
    text = read(job)
    assert text.startswith("line 0\n")
    assert text.endswith("line 399999\n")
    assert text.count("bytes left out …]\n") == 1
    assert len(text) < 1.3 * 2**20


def test_the_region_of_a_cloud_is_a_place(stage: CloudStage) -> None:
    assert (stage.place.cloud, stage.place.region) == ("aws", REGION)


# --- Words -----------------------------------------------------------------------------------------


def test_the_cloud_says_itself_what_a_job_waits_for(stage: CloudStage) -> None:
    (job,) = stage.submit()
    assert [reason.code for reason in following.explain(job)] == ["NEXT"]
    stage.cloud.failures["submit"] = [NoCapacity("no machines left")]
    stage.turn()
    job.refresh_from_db()
    (reason,) = following.explain(job)
    assert (reason.code, "no machines left" in reason.hint) == ("SENDING", True)
    later()
    stage.turn()
    for _ in range(2):
        (reason,) = following.explain(job)
        assert (reason.code, reason.hint) == ("AT_PROVIDER", "waiting in the sky")
        assert reason.since is not None
    assert stage.cloud.calls.count("explain") == 1, "it is not asked at every look"


def test_a_cloud_that_does_not_answer_is_told_as_that(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.turn()
    job.refresh_from_db()
    stage.cloud.failures["explain"] = [ProviderError("connect timeout")]
    (reason,) = following.explain(job)
    assert "connect timeout" in reason.hint


def test_copied_output_goes_with_its_days(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.turn()
    stage.cloud.start(stage.handle(job))
    stage.cloud.write(stage.handle(job), "one\n")
    stage.cloud.end(stage.handle(job))
    stage.turn()
    assert retention.forget_copied_outputs() == 0
    Execution.objects.update(ended_at=timezone.now() - timedelta(days=400))
    assert retention.forget_copied_outputs() == 1
    assert queries.outputs.copied_output(stage.execution(job).uuid, "stdout").pieces() == []
    with pytest.raises(OutputGone):
        read(job)


def test_the_next_process_of_a_machine_waits_only_for_what_may_still_arrive(stage: CloudStage) -> None:
    (job,) = stage.submit()
    stage.cloud.lost["submit"] = [ProviderError("lost")]
    stage.turn()
    before = timezone.now() + timedelta(minutes=1)
    Submission.objects.update(leased_until=before)  # as if it were still in the call
    stage.another().take_over()
    assert Submission.objects.get().leased_until == before, "it is another machine's"
    stage.caller.take_over()
    left = Submission.objects.get().leased_until
    assert left is not None
    assert timedelta(seconds=10) < left - timezone.now() < timedelta(seconds=16)
    assert stage.execution(job).handle == ""


def test_a_region_with_one_call_that_fails_counts_as_failing(stage: CloudStage) -> None:
    stage.cloud.failures["capacity"] = [ProviderError("no route")]
    assert stage.turn() > 2
    assert Place.objects.get(pk=stage.place.pk).failure == "no route"


def test_callers_are_woken_by_bells_alone(stage: CloudStage, settings: Any, tmp_path: Any) -> None:
    """Not by every commit, as SQLite's sounds for: theirs would wake them, without end."""

    class Sleeper:
        woken = 0

        def wake(self) -> None:
            self.woken += 1

    settings.RUN_DIR = tmp_path
    sleeper: Any = Sleeper()
    turns = iter([False, False, True])
    stage.submit()
    clouds.run(lambda: next(turns), lambda: None, [sleeper])
    assert sleeper.woken == 1
