"""Batch jobs and their tasks: started once whatever happens, found again, looked through, put away."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusters.providers.azure import jobs, names
from clusters.providers.azure.cloud import AzureCloud
from clusters.providers.base import Mount, Phase, Volume, Work
from clusters.providers.errors import NoCapacity, ProviderError, Refused, Throttled
from tests.clusters.azure.conftest import a_work
from tests.clusters.azure.stand_in import HIGH, LOW, BatchServer, OurToken
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "clouds know no database")

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = NOON

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cloud(batch: BatchServer, clock: Clock) -> Iterator[AzureCloud]:
    cloud = AzureCloud(batch.config(), OurToken(), now=clock)
    yield cloud
    cloud.close()


def works(count: int, **wishes: object) -> list[Work]:
    return [a_work(**wishes) for _ in range(count)]


def tasks(batch: BatchServer) -> list[str]:
    """The ids of all tasks there are."""
    return sorted(task for job in batch.look()["jobs"].values() for task in job["tasks"])


def ids(some: list[Work]) -> list[str]:
    return sorted(work.execution_id for work in some)


# Names


def test_ids_of_jobs_are_what_azure_takes() -> None:
    day = NOON.date()
    for pool in ("p", "A_Pool-1", "x" * 64):
        for customer in ("", "acme", "Ärger & Söhne " * 20):
            job = names.job_id(pool, customer, day)
            assert names.ID.fullmatch(job)
            assert job == job.lower()
            assert len(job) <= 58
            assert names.day_of(job) == day
            assert names.is_of(job, customer)
            assert not names.is_of(job, f"{customer}?")
    assert names.job_id("x" * 63, "a", day) != names.job_id("x" * 64, "a", day)


@pytest.mark.parametrize(
    "job", ["", "cp-", "cp-pool-acme-12345678", "other-20260301", "cp-p-acme-20269999", "20260301"]
)
def test_other_jobs_are_not_ours(job: str) -> None:
    assert names.day_of(job) is None


@pytest.mark.parametrize("handle", ["", "nonsense", "a/", "/b", "a/b/c", "a b/c", f"{'a' * 65}/b", "a/é"])
def test_what_is_no_handle_is_none(handle: str) -> None:
    assert names.parts(handle) is None


# Groups


def test_a_group_is_of_one_pool_and_customer_and_100_at_most(cloud: AzureCloud) -> None:
    mixed = [*works(130), *works(2, priority=1), *works(3, customer="other"), *works(1, queue=HIGH)]
    groups = cloud.group(mixed)
    assert sorted(len(group) for group in groups) == [3, 3, 30, 100]
    assert sorted(ids(mixed)) == sorted(one for group in groups for one in ids(group))


def test_a_group_is_of_one_size(cloud: AzureCloud, batch: BatchServer) -> None:
    """So that what is too large for the nodes is refused by itself."""
    good, bad = works(2), works(2, vcpus_milli=4001)
    assert cloud.group([good[0], bad[0], good[1], bad[1]]) == [good, bad]
    with pytest.raises(Refused, match="more than a node"):
        cloud.submit(new_id(), bad)
    assert batch.look()["jobs"] == {}


def test_a_group_is_no_larger_than_a_request_may_be(cloud: AzureCloud, batch: BatchServer) -> None:
    large = works(12, env={"WORDS": "é" * 30_000})
    groups = cloud.group(large)
    assert len(groups) == 3
    for group in groups:
        cloud.submit(new_id(), group)
    assert tasks(batch) == ids(large)


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        ({"machine_image": "ami-1"}, "not whole machines"),
        ({"image": ""}, "none is named"),
        ({"mounts": [Mount("/a", "/b")]}, "no mounts"),
        ({"volumes": [Volume("/b")]}, "no volumes"),
        ({"queue": "no such queue"}, "no such queue"),
    ],
)
def test_what_cannot_be_stands_alone_and_is_refused(cloud: AzureCloud, wishes: dict[str, Any], words: str) -> None:
    good, bad = works(2), a_work(**wishes)
    assert cloud.group([good[0], bad, good[1]]) == [good, [bad]]
    with pytest.raises(Refused, match=words):
        cloud.submit(new_id(), [bad])


def test_one_that_is_too_large_is_refused(cloud: AzureCloud, batch: BatchServer) -> None:
    with pytest.raises(Refused, match="RequestBodyTooLarge"):
        cloud.submit(new_id(), works(1, env={"WORDS": "x" * 1_100_000}))
    assert tasks(batch) == []


# Starting once


def test_a_lost_answer_starts_nothing_twice(cloud: AzureCloud, batch: BatchServer) -> None:
    name, group = new_id(), works(3)
    batch.fault("POST .*/addtaskcollection", drop=True)
    with pytest.raises(ProviderError) as caught:
        cloud.submit(name, group)
    assert type(caught.value) is ProviderError
    (handles,) = cloud.find(name, group)
    assert [handle.split("/")[1] for handle in handles] == [work.execution_id for work in group]
    assert cloud.submit(name, group) == handles
    assert tasks(batch) == ids(group)


def test_a_lost_answer_to_the_making_of_a_job_is_no_matter(cloud: AzureCloud, batch: BatchServer) -> None:
    name, group = new_id(), works(1)
    batch.fault("POST /jobs$", drop=True)
    with pytest.raises(ProviderError):
        cloud.submit(name, group)
    assert cloud.find(name, group) == []
    cloud.submit(name, group)
    assert tasks(batch) == ids(group)


def test_a_job_that_has_been_deleted_is_made_again(cloud: AzureCloud, batch: BatchServer) -> None:
    (handle,) = cloud.submit(new_id(), works(1))
    assert batch.request("DELETE", f"/jobs/{handle.split('/')[0]}")[0] == 202
    assert cloud.observe([handle]) == []
    group = works(1)
    cloud.submit(new_id(), group)
    assert tasks(batch) == ids(group)


def test_a_group_of_which_one_is_refused_is_taken_back(cloud: AzureCloud, batch: BatchServer) -> None:
    name, group = new_id(), works(5)
    batch.control("item_fault", task=group[2].execution_id, code="InvalidInput")
    with pytest.raises(Refused, match=f"{group[2].execution_id}: InvalidInput"):
        cloud.submit(name, group)
    assert tasks(batch) == []
    assert cloud.find(name, group) == []


def test_what_cannot_be_taken_back_is_not_called_refused(cloud: AzureCloud, batch: BatchServer) -> None:
    name, group = new_id(), works(3)
    batch.control("item_fault", task=group[2].execution_id, code="InvalidInput", times=2)
    batch.fault("DELETE .*/tasks/", status=503, code="ServerBusy", retry_after="0")
    with pytest.raises(ProviderError, match="could not be taken back") as caught:
        cloud.submit(name, group)
    assert type(caught.value) is ProviderError
    assert cloud.find(name, group) == [], "what is left of it is taken back then"
    assert tasks(batch) == []


def test_what_fails_in_passing_is_tried_again(cloud: AzureCloud, batch: BatchServer) -> None:
    group = works(5)
    batch.control("item_fault", task=group[1].execution_id, code="InternalError", status="servererror")
    batch.control("item_fault", task=group[2].execution_id, code="ServerBusy", status="servererror")
    assert len(cloud.submit(new_id(), group)) == 5
    assert tasks(batch) == ids(group)


@pytest.mark.parametrize("at_last", ["the same", "ServerBusy"])
def test_a_part_of_a_group_is_made_whole_where_it_is(
    cloud: AzureCloud, batch: BatchServer, clock: Clock, at_last: str
) -> None:
    name, group = new_id(), works(4)
    batch.control("item_fault", task=group[1].execution_id, code="InternalError", status="servererror", times=2)
    if at_last == "ServerBusy":
        batch.fault("addtaskcollection$", times=1)  # the first is let pass
        batch.fault("addtaskcollection$", status=503, code="ServerBusy", retry_after="0")
    with pytest.raises(ProviderError, match="has 3 of 4 tasks") as caught:
        cloud.submit(name, group)
    assert type(caught.value) is ProviderError, "something has been started"
    batch.control("limits", item_faults=[])
    clock.time += timedelta(days=1)
    (handles,) = cloud.find(name, group)
    assert {handle.split("/")[0][-8:] for handle in handles} == {"20260301"}
    assert tasks(batch) == ids(group)
    assert len(cloud.observe(handles)) == 4


def test_nothing_is_started_without_room_for_a_job(cloud: AzureCloud, batch: BatchServer) -> None:
    batch.control("limits", job_quota=0)
    with pytest.raises(NoCapacity, match="reached its quota of active jobs"):
        cloud.submit(new_id(), works(1))
    assert batch.look()["jobs"] == {}


def test_a_job_that_somebody_ended_takes_nothing(cloud: AzureCloud, batch: BatchServer) -> None:
    (handle,) = cloud.submit(new_id(), works(1))
    batch.request("POST", f"/jobs/{handle.split('/')[0]}/terminate")
    with pytest.raises(NoCapacity, match="JobCompleted"):
        cloud.submit(new_id(), works(1))


def test_calls_that_are_held_back_start_nothing(batch: BatchServer) -> None:
    cloud = AzureCloud(batch.config(calls_per_second=0.1, calls_at_once=1), OurToken())
    cloud.find(new_id(), works(1))
    with pytest.raises(Throttled):
        cloud.submit(new_id(), works(1))
    assert tasks(batch) == []


def test_threads_share_a_cloud(cloud: AzureCloud, batch: BatchServer) -> None:
    groups = [works(3, customer=f"customer {number % 3}") for number in range(12)]

    def start(group: list[Work]) -> int:
        return len(cloud.observe(cloud.submit(new_id(), group)))

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(start, groups)) == [3] * 12
    assert tasks(batch) == sorted(one for group in groups for one in ids(group))


# Other days


def test_each_day_has_its_job_and_find_knows_them_all(cloud: AzureCloud, clock: Clock) -> None:
    name, group = new_id(), works(2)
    clock.time = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    handles = cloud.submit(name, group)
    clock.time += timedelta(seconds=2)
    assert cloud.find(name, group) == [handles]
    (other,) = cloud.submit(new_id(), works(1))
    assert [handle.split("/")[0][-8:] for handle in (handles[0], other)] == ["20260228", "20260301"]


def test_a_group_that_was_started_twice_is_found_twice(cloud: AzureCloud, clock: Clock) -> None:
    name, group = new_id(), works(2)
    first = cloud.submit(name, group)
    clock.time += timedelta(days=1)
    second = cloud.submit(name, group)
    assert cloud.find(name, group) == [first, second]


def test_it_is_found_although_the_pools_have_changed(cloud: AzureCloud, batch: BatchServer) -> None:
    name, group = new_id(), works(1)
    handles = cloud.submit(name, group)
    other = AzureCloud(batch.config(pools={"HIGH": LOW, "LOW": HIGH}), OurToken())
    assert other.find(name, group) == [handles]


def test_past_days_end_with_their_last_task(cloud: AzureCloud, batch: BatchServer, clock: Clock) -> None:
    (done, running) = (cloud.submit(new_id(), works(1, customer=name))[0] for name in ("done", "running"))
    cloud.cancel([done])

    def state(handle: str) -> str:
        return str(batch.look()["jobs"][handle.split("/")[0]]["state"])

    clock.time = datetime(2026, 3, 2, 0, 59, tzinfo=UTC)
    cloud.tidy()
    assert state(done) == "active", "a submit of yesterday may still be on its way"
    clock.time += timedelta(minutes=2)
    cloud.tidy()
    cloud.tidy()
    assert (state(done), state(running)) == ("completed", "active")
    assert cloud.observe([done])[0].phase is Phase.ENDED
    cloud.cancel([running])
    assert state(running) == "completed"
    assert sum(line.startswith("PATCH") for line in batch.look()["seen"]) == 2


def test_old_jobs_are_deleted_and_only_ours(cloud: AzureCloud, batch: BatchServer, clock: Clock) -> None:
    theirs = "cp-somebody-elses"
    assert batch.request("POST", "/jobs", {"id": theirs, "poolInfo": {"poolId": LOW}})[0] == 201
    (handle,) = cloud.submit(new_id(), works(1))
    cloud.cancel([handle])
    clock.time += timedelta(days=8)
    cloud.tidy()
    cloud.tidy()
    assert len(batch.look()["jobs"]) == 2
    clock.time += timedelta(days=1)
    cloud.tidy()
    assert list(batch.look()["jobs"]) == [theirs]
    assert cloud.observe([handle]) == []


# Looking through many


def test_many_are_observed_over_all_pages(cloud: AzureCloud, batch: BatchServer) -> None:
    batch.control("limits", page_rows=100)
    handles = [handle for group in cloud.group(works(260)) for handle in cloud.submit(new_id(), group)]
    for wanted in (handles[:60], handles[:99], handles):
        assert sorted(one.execution_id for one in cloud.observe(wanted)) == sorted(wanted)


@pytest.mark.parametrize(
    ("there", "ended", "wanted", "calls"),
    [
        (100, 0, 40, 2),  # by name, 20 in a call
        (150, 0, 100, 2),  # two pages of those that have not ended
        (150, 60, 90, 1),
        (150, 60, 100, 2),  # and the rest by name
        (150, 60, 150, 4),  # and, counted first, all
        (260, 50, 260, 7),  # and, as all would be no less, the rest by name
    ],
)
def test_many_are_observed_in_few_calls(
    cloud: AzureCloud,
    batch: BatchServer,
    monkeypatch: pytest.MonkeyPatch,
    there: int,
    ended: int,
    wanted: int,
    calls: int,
) -> None:
    monkeypatch.setattr(jobs, "PAGE_ROWS", 100)
    handles = [handle for group in cloud.group(works(there)) for handle in cloud.submit(new_id(), group)]
    cloud.cancel(handles[:ended])
    before = len(batch.look()["seen"])
    seen = cloud.observe(handles[-wanted:])
    assert sorted(one.execution_id for one in seen) == sorted(handles[-wanted:])
    assert sum(one.phase is Phase.ENDED for one in seen) == max(0, ended + wanted - there)
    assert len(asked := batch.look()["seen"][before:]) == calls, asked


def test_a_job_that_is_deleted_between_two_pages_ends_the_list(cloud: AzureCloud, batch: BatchServer) -> None:
    handles = cloud.submit(new_id(), works(5))
    batch.control("limits", page_rows=3)
    batch.fault("GET .*/tasks$")  # the first is let pass
    batch.fault("GET .*/tasks$", status=404, code="JobNotFound")
    assert len(cloud.observe(handles)) == 3


def test_those_of_unknown_jobs_are_left_out(cloud: AzureCloud) -> None:
    (handle,) = cloud.submit(new_id(), works(1))
    unknown = [f"cp-gone-nobody-00000000-20200101/{new_id()}" for _ in range(120)]
    assert [one.execution_id for one in cloud.observe([*unknown, handle, "nonsense"])] == [handle]
    cloud.cancel([*unknown[:2], handle, handle])
