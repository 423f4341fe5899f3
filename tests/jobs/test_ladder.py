"""Jobs that go from place to place by their policies."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.models import Event
from clusters.providers.base import End
from clusters.providers.errors import NoCapacity, ProviderError
from jobs import scheduling, services, states
from jobs.models import Execution, Job, Lane, Place, Submission
from jobs.policy import read_policy
from jobs.services.places import place_id
from tests.clouds import Skies
from tests.clusters.offers import priced
from tests.factories import Stage, make_jobs, make_operator, make_place, request_of

pytestmark = pytest.mark.django_db
NORTH, SOUTH = {"cloud": "aws", "region": "north-1"}, {"cloud": "aws", "region": "south-1"}


@pytest.fixture
def skies(monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Any) -> Skies:
    settings.OUTPUT_STORAGE = {"type": "host", "host_path": str(tmp_path / "outputs")}
    return Skies(monkeypatch, "north-1", "south-1")


def submit(policy: dict[str, Any], **wishes: Any) -> Job:
    return make_jobs(1, policy=read_policy(policy, region="local"), **wishes)[0]


def where(job: Job) -> tuple[str, str, str]:
    job.refresh_from_db()
    return job.status, str(job.place), job.reason


def due() -> None:
    """Let every pause and every wait be over."""
    past = timezone.now() - timedelta(hours=1)
    Job.objects.filter(status=states.DELAYED).update(due_at=past)
    Job.objects.filter(leaves_at__isnull=False).update(leaves_at=past)


def fail(skies: Skies, region: str, job: Job, *, end: End = End.INTERRUPTED, exit_code: int | None = None) -> None:
    """Let what runs of the job in a region end badly, and the control plane see it."""
    cloud = skies.clouds[region]
    execution = job.executions.latest("number")
    cloud.start(execution.handle)
    skies.turn(region)
    cloud.end(execution.handle, end=end, exit_code=exit_code)
    skies.turn(region)


# --- Failures --------------------------------------------------------------------------------------


def test_an_error_of_the_system_leads_to_the_next_place(skies: Skies) -> None:
    job = submit({"places": [NORTH, SOUTH]})
    assert where(job) == (states.QUEUED, "aws/north-1", "")
    skies.turn("north-1")
    fail(skies, "north-1", job)
    assert where(job) == (states.DELAYED, "aws/north-1", "INTERRUPTED")
    due()
    scheduling.wake_delayed()
    assert where(job) == (states.QUEUED, "aws/south-1", "RETRY")
    skies.turn("south-1")
    assert [str(each.place) for each in job.executions.order_by("number")] == ["aws/north-1", "aws/south-1"]
    told = Event.objects.get(kind="job.placed", subject_id=job.pk)
    assert told.before == {"place": "aws/north-1"}
    assert told.after == {"place": "aws/south-1", "reason": "RETRY"}


def test_its_new_place_is_woken(skies: Skies) -> None:
    job = submit({"places": [NORTH, {"cloud": "local"}]})
    skies.turn("north-1")
    fail(skies, "north-1", job)
    due()
    scheduling.wake_delayed()
    job.refresh_from_db()
    assert str(job.place) == "local/local"
    assert Lane.objects.get(pk=job.lane_id).waiting
    assert scheduling.claim(make_place().pk) == 1


def test_at_the_last_place_it_stays(skies: Skies) -> None:
    job = submit({"places": [NORTH, SOUTH], "tries": {"SYSTEM": 3}})
    for region in ("north-1", "south-1"):
        skies.turn(region)
        fail(skies, region, job)
        due()
        scheduling.wake_delayed()
    assert where(job) == (states.QUEUED, "aws/south-1", "RETRY")
    skies.turn("south-1")
    fail(skies, "south-1", job)
    assert where(job) == (states.FAILED, "aws/south-1", "INTERRUPTED")


def test_an_error_of_the_program_leads_nowhere(skies: Skies) -> None:
    job = submit({"places": [NORTH, SOUTH], "tries": {"ALGORITHM": 2}})
    skies.turn("north-1")
    fail(skies, "north-1", job, end=End.EXITED, exit_code=3)
    assert where(job) == (states.DELAYED, "aws/north-1", "EXIT_3")
    due()
    scheduling.wake_delayed()
    assert where(job) == (states.QUEUED, "aws/north-1", "RETRY")
    skies.turn("north-1")
    fail(skies, "north-1", job, end=End.EXITED, exit_code=3)
    assert where(job) == (states.FAILED, "aws/north-1", "EXIT_3")


def test_each_category_has_tries_of_its_own() -> None:
    stage = Stage()
    job = submit({"tries": {"SYSTEM": 2, "ALGORITHM": 2}}, image="")
    for end, code, status in (
        (End.LOST, None, states.DELAYED),
        (End.EXITED, 3, states.DELAYED),
        (End.LOST, None, states.FAILED),
    ):
        stage.start(job)
        stage.end(job, end=end, exit_code=code)
        assert job.status == status
        due()
        scheduling.wake_delayed()


def test_what_is_not_to_be_retried_is_not(skies: Skies) -> None:
    """Somebody stopped it at the cloud: that is of category SYSTEM, but no reason to begin again."""
    job = submit({"places": [NORTH, SOUTH], "tries": {"SYSTEM": 5}})
    skies.turn("north-1")
    fail(skies, "north-1", job, end=End.CANCELED)
    assert where(job) == (states.FAILED, "aws/north-1", "CANCELED_OUTSIDE")


def test_its_pauses_are_its_own() -> None:
    stage = Stage()
    job = submit({"backoff_seconds": 100, "max_backoff_seconds": 150}, image="")
    for pause in (100, 150):
        stage.start(job)
        stage.end(job, end=End.LOST, exit_code=None)
        assert job.due_at is not None
        assert abs((job.due_at - timezone.now()).total_seconds() - pause) < 30
        due()
        scheduling.wake_delayed()


def test_a_requeue_begins_at_the_first_place_with_all_tries(skies: Skies) -> None:
    job = submit({"places": [NORTH, SOUTH], "tries": {"SYSTEM": 2}})
    for region in ("north-1", "south-1"):
        skies.turn(region)
        fail(skies, region, job)
        due()
        scheduling.wake_delayed()
    assert where(job)[:2] == (states.FAILED, "aws/south-1")
    assert services.requeue_jobs([job.pk], actor=None) == [job.pk]
    assert where(job) == (states.QUEUED, "aws/north-1", "REQUEUED")
    skies.turn("north-1")
    fail(skies, "north-1", job)
    assert where(job)[:2] == (states.DELAYED, "aws/north-1")


def test_a_retry_is_submitted_with_the_same_policy(skies: Skies) -> None:
    job = submit({"places": [NORTH, SOUTH], "tries": {"SYSTEM": 2}})
    services.cancel_jobs([job.pk], actor=None)
    job.refresh_from_db()
    made = Job.objects.get(pk=services.retry_job(job, actor=make_operator().user).id)
    assert (made.policy_id, made.place_id, made.max_tries, made.rung) == (job.policy_id, job.place_id, 2, 0)


# --- No room ---------------------------------------------------------------------------------------


def test_where_there_is_no_room_it_goes_on_at_once_and_has_tried_nothing(skies: Skies) -> None:
    job = submit({"places": [NORTH, SOUTH]}, max_tries=1)
    skies.clouds["north-1"].failures["submit"] = [NoCapacity("InsufficientInstanceCapacity")]
    skies.turn("north-1")
    assert where(job) == (states.DELAYED, "aws/north-1", "NO_CAPACITY")
    skies.turn("north-1", "south-1")
    assert where(job)[:2] == (states.STARTING, "aws/south-1")
    first = job.executions.get(number=1)
    assert (first.status, first.detail) == (states.FAILED, "InsufficientInstanceCapacity")
    assert first.error is not None
    assert first.error.name == "no-capacity"
    fail(skies, "south-1", job, end=End.EXITED, exit_code=0)
    assert where(job)[:2] == (states.COMPLETED, "aws/south-1")


def test_where_there_is_no_room_at_the_last_place_it_waits(skies: Skies) -> None:
    job = submit({"places": [NORTH]})
    skies.clouds["north-1"].failures["submit"] = [NoCapacity("none")]
    skies.turn("north-1")
    assert where(job)[:2] == (states.STARTING, "aws/north-1")
    assert job.executions.count() == 1


def test_what_may_have_been_sent_by_another_stays(skies: Skies) -> None:
    """The other's call may still arrive: only who knows that nothing was started goes elsewhere."""
    job = submit({"places": [NORTH, SOUTH]})
    cloud = skies.clouds["north-1"]
    cloud.failures["submit"] = [ProviderError("no answer"), NoCapacity("none")]
    skies.turn("north-1")
    Submission.objects.update(leased_until=timezone.now() - timedelta(hours=1))
    skies.turn("north-1")
    assert cloud.calls.count("submit") == 2
    assert where(job)[:2] == (states.STARTING, "aws/north-1")


def test_one_that_was_to_be_canceled_is(skies: Skies) -> None:
    job = submit({"places": [NORTH, SOUTH]})
    cloud = skies.clouds["north-1"]
    cloud.failures["submit"] = [NoCapacity("none")]

    def cancel() -> None:
        services.cancel_jobs([job.pk], actor=None)

    cloud.before["submit"] = cancel
    skies.turn("north-1")
    assert where(job)[:2] == (states.CANCELED, "aws/north-1")


# --- Waiting ---------------------------------------------------------------------------------------


def test_a_queued_job_that_has_waited_long_enough_goes_on(skies: Skies) -> None:
    make_place(vcpus_milli=0)
    job = submit({"places": [{"cloud": "local", "wait_seconds": 60}, SOUTH]})
    assert job.leaves_at
    assert services.leave_crowded() == 0
    due()
    assert services.leave_crowded() == 1
    assert where(job) == (states.QUEUED, "aws/south-1", "")
    assert not job.leaves_at
    told = Event.objects.get(kind="job.placed", subject_id=job.pk)
    assert told.after == {"place": "aws/south-1", "reason": "WAITED"}
    skies.turn("south-1")
    assert where(job)[:2] == (states.STARTING, "aws/south-1")


def test_a_held_job_stays_held_on_its_way(skies: Skies) -> None:
    job = submit({"places": [{**NORTH, "wait_seconds": 60}, SOUTH]})
    services.hold_jobs([job.pk], actor=None)
    due()
    assert services.leave_crowded() == 1
    skies.turn()
    assert where(job)[:2] == (states.QUEUED, "aws/south-1")
    services.release_jobs([job.pk], actor=None)
    skies.turn()
    assert where(job)[:2] == (states.STARTING, "aws/south-1")


def test_one_that_the_cloud_keeps_waiting_is_taken_back(skies: Skies) -> None:
    job = submit({"places": [{**NORTH, "wait_seconds": 60}, SOUTH]}, max_tries=1)
    skies.turn("north-1")
    handle = job.executions.get().handle
    skies.turn("north-1")
    assert handle not in skies.clouds["north-1"].terminated
    due()
    skies.turn("north-1")
    assert handle in skies.clouds["north-1"].terminated
    assert where(job) == (states.QUEUED, "aws/south-1", "RETRY")
    skies.turn("south-1")
    assert where(job)[:2] == (states.STARTING, "aws/south-1")


def test_one_that_has_started_is_left_alone(skies: Skies) -> None:
    job = submit({"places": [{**NORTH, "wait_seconds": 60}, SOUTH]})
    skies.turn("north-1")
    skies.clouds["north-1"].start(job.executions.get().handle)
    skies.turn("north-1")
    due()
    skies.turn("north-1")
    assert where(job)[:2] == (states.RUNNING, "aws/north-1")
    assert not skies.clouds["north-1"].terminated


def test_one_that_starts_while_it_is_taken_back_ends_as_it_does(skies: Skies) -> None:
    job = submit({"places": [{**NORTH, "wait_seconds": 60}, SOUTH]})
    skies.turn("north-1")
    cloud, handle = skies.clouds["north-1"], job.executions.get().handle
    due()

    def run() -> None:
        cloud.start(handle)
        cloud.end(handle)

    cloud.before["cancel"] = run
    skies.turn("north-1")
    assert where(job)[:2] == (states.COMPLETED, "aws/north-1")


def test_one_that_a_region_out_of_reach_was_never_given_goes_on(skies: Skies) -> None:
    job = submit({"places": [{**NORTH, "wait_seconds": 60}, SOUTH]})
    scheduling.claim(place_id("aws", "north-1"))
    due()
    skies.clouds["north-1"].failures = {verb: [ProviderError("no answer")] * 9 for verb in ("capacity", "submit")}
    skies.turn("north-1")
    assert where(job) == (states.QUEUED, "aws/south-1", "RETRY")
    assert [each.detail for each in job.executions.all()] == [""]


# --- Money -----------------------------------------------------------------------------------------


def bill(job: Job, seconds: float) -> None:
    """Let the last execution of the job have run so long."""
    last = job.executions.latest("number")
    Execution.objects.filter(pk=last.pk).update(started_at=F("ended_at") - timedelta(seconds=seconds))


def test_an_execution_is_bounded_by_what_is_left(skies: Skies) -> None:
    for region in ("north-1", "south-1"):
        priced("3.60", region=region, vcpus_milli=1000, memory_mib=1024)
    job = submit({"places": [NORTH, SOUTH], "max_cost": "1.00"}, vcpus_milli=1000, memory_mib=1024)
    assert job.affordable_seconds == 1000
    skies.turn("north-1")
    ((_, (work,), _),) = skies.clouds["north-1"].submitted
    assert work.timeout_seconds == 1000
    fail(skies, "north-1", job)
    bill(job, 400)
    due()
    scheduling.wake_delayed()
    job.refresh_from_db()
    assert job.affordable_seconds == 600


def test_its_own_timeout_holds_where_it_is_shorter(skies: Skies) -> None:
    priced("3.60", region="north-1", vcpus_milli=1000, memory_mib=1024)
    submit({"places": [NORTH], "max_cost": "1.00"}, vcpus_milli=1000, memory_mib=1024, timeout_seconds=9)
    skies.turn("north-1")
    assert skies.clouds["north-1"].submitted[0][1][0].timeout_seconds == 9


@pytest.mark.parametrize(("timeout", "reason"), [(None, "MAX_COST"), (9, "TIMEOUT")])
def test_one_that_is_stopped_by_its_money_says_so(skies: Skies, timeout: int | None, reason: str) -> None:
    priced("3.60", region="north-1", vcpus_milli=1000, memory_mib=1024)
    policy = {"places": [NORTH, SOUTH], "max_cost": "1.00", "tries": {"ALGORITHM": 5}}
    priced("3.60", region="south-1", vcpus_milli=1000, memory_mib=1024)
    job = submit(policy, vcpus_milli=1000, memory_mib=1024, timeout_seconds=timeout)
    skies.turn("north-1")
    fail(skies, "north-1", job, end=End.TIMED_OUT)
    assert where(job) == (states.FAILED if timeout is None else states.DELAYED, "aws/north-1", reason)


def test_when_its_money_is_spent_there_is_no_next_try(skies: Skies) -> None:
    priced("3.60", region="north-1", vcpus_milli=1000, memory_mib=1024)
    priced("36000", region="south-1", vcpus_milli=1000, memory_mib=1024)
    job = submit({"places": [NORTH, SOUTH], "max_cost": "1.00"}, vcpus_milli=1000, memory_mib=1024)
    skies.turn("north-1")
    fail(skies, "north-1", job)
    due()
    scheduling.wake_delayed()
    assert where(job) == (states.FAILED, "aws/north-1", "MAX_COST")
    assert services.requeue_jobs([job.pk], actor=None) == [job.pk]  # north is still affordable


def test_a_requeue_grants_no_money(skies: Skies) -> None:
    priced("3.60", region="north-1", vcpus_milli=1000, memory_mib=1024)
    job = submit({"places": [NORTH], "max_cost": "1.00"}, vcpus_milli=1000, memory_mib=1024, max_tries=1)
    skies.turn("north-1")
    fail(skies, "north-1", job)
    bill(job, 1000)
    assert services.requeue_jobs([job.pk], actor=None) == []
    assert where(job) == (states.FAILED, "aws/north-1", "INTERRUPTED")


def test_it_does_not_wait_for_a_place_that_it_cannot_pay(skies: Skies) -> None:
    priced("3.60", region="north-1", vcpus_milli=1000, memory_mib=1024)
    priced("36000", region="south-1", vcpus_milli=1000, memory_mib=1024)
    places = [{**NORTH, "wait_seconds": 60}, SOUTH]
    job = submit({"places": places, "max_cost": "1.00"}, vcpus_milli=1000, memory_mib=1024)
    due()
    assert services.leave_crowded() == 0
    job.refresh_from_db()
    assert (str(job.place), job.leaves_at) == ("aws/north-1", None)


def test_what_is_spent_is_added_up_over_executions(skies: Skies) -> None:
    priced("3.60", region="north-1", vcpus_milli=1000, memory_mib=1024)
    job = submit({"places": [NORTH, NORTH], "max_cost": "1.00"}, vcpus_milli=1000, memory_mib=1024, max_tries=5)
    for left in (700, 400, 100):
        skies.turn("north-1")
        fail(skies, "north-1", job)
        bill(job, 300)
        due()
        scheduling.wake_delayed()
        job.refresh_from_db()
        assert job.affordable_seconds == left


# --- Kinds of machines -----------------------------------------------------------------------------


def test_the_kind_of_machine_goes_with_the_place(skies: Skies) -> None:
    job = submit({"places": [{**NORTH, "capacity": "spot"}, SOUTH]})
    skies.turn("north-1")
    assert skies.clouds["north-1"].submitted[0][1][0].capacity == "spot"
    fail(skies, "north-1", job)
    due()
    skies.turn("north-1", "south-1")
    assert skies.clouds["south-1"].submitted[0][1][0].capacity == ""
    assert [each.capacity for each in job.executions.order_by("number")] == ["spot", ""]


def test_an_execution_is_priced_by_its_kind_of_machine(skies: Skies) -> None:
    for capacity, amount in (("spot", "1"), ("on-demand", "3")):
        priced(amount, region="north-1", vcpus_milli=1000, memory_mib=1024, capacity=capacity)
    job = submit({"places": [{**NORTH, "capacity": "spot"}]}, vcpus_milli=1000, memory_mib=1024)
    skies.turn("north-1")
    fail(skies, "north-1", job, end=End.EXITED, exit_code=0)
    services.price_executions()
    assert job.executions.get().price_rate == Decimal(1)


def test_many_on_a_ladder_are_woken_in_few_statements(skies: Skies, django_assert_max_num_queries: Any) -> None:
    policy = read_policy({"places": [NORTH, SOUTH]})
    made = services.submit_jobs(owner=make_operator().user, requests=[request_of(policy=policy)] * 50)
    ids = [each.id for each in made]
    place = Place.objects.get(cloud="aws", region="north-1").pk
    scheduling.claim(place)
    late = {"due_at": timezone.now(), "rung": 1}
    services.move(dict.fromkeys(ids, late), states.DELAYED, fields=tuple(late))
    with django_assert_max_num_queries(20):
        assert scheduling.wake_delayed() == 50
    assert set(Job.objects.values_list("place__region", flat=True)) == {"south-1"}
