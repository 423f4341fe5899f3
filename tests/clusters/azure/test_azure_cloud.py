"""Azure Batch, with tasks that really run: its REST interface by a stand-in, containers by a dockerd."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from clusters.providers.azure.cloud import AzureCloud
from clusters.providers.base import Cloud, End, Phase
from clusters.providers.errors import NotFound
from tests.clusters import engines
from tests.clusters.azure import stand_in
from tests.clusters.azure.stand_in import HIGH, LOW, BatchServer, OurToken
from tests.clusters.cloud_contract import WAIT_SECONDS, CloudContract
from tests.clusters.provider_contract import eventually, new_id

pytestmark = [
    pytest.mark.needs("dockerd"),
    pytest.mark.runs_once("sqlite", "clouds know no database"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchServer]:
    with engines.running("dockerd") as engine, stand_in.running(tmp_path_factory.mktemp("azure"), engine.url) as server:
        server.add_pools()
        yield server


@pytest.fixture
def cloud(server: BatchServer) -> Iterator[AzureCloud]:
    cloud = AzureCloud(server.config(), OurToken())
    yield cloud
    cloud.close()


class TestAzureCloud(CloudContract):
    UNKNOWN_HANDLE = f"cp-{HIGH}-nobody-00000000-20200101/{new_id()}"

    @pytest.fixture
    def cloud(self, cloud: AzureCloud) -> Cloud:
        return cloud

    def test_a_handle_names_job_and_execution(self, cloud: Cloud) -> None:
        work = self.script("true", priority=1)
        (handle,) = self.submit(cloud, work)
        job, task = handle.split("/")
        assert task == work.execution_id
        assert job.startswith(f"cp-{HIGH}-acme-")
        assert job.endswith(f"{datetime.now(UTC):%Y%m%d}")

    def test_priorities_and_queues_choose_the_pool(self, cloud: Cloud) -> None:
        works = [self.script("true", priority=50), self.script("true"), self.script("true", queue=HIGH)]
        high, low, queue = self.submit(cloud, *works)
        assert [handle.startswith(f"cp-{HIGH}-") for handle in (high, low, queue)] == [True, False, True]
        assert low.startswith(f"cp-{LOW}-")

    def test_what_is_submitted_again_runs_once(self, cloud: Cloud, server: BatchServer) -> None:
        work = self.script("true")
        (handle,) = self.submit(cloud, work)
        assert self.submit(cloud, work) == [handle]
        self.until(cloud, handle, Phase.ENDED)
        assert self.submit(cloud, work) == [handle]
        assert server.look()["starts"].count(work.execution_id) == 1

    def test_the_images_own_program_gets_the_arguments(self, cloud: Cloud) -> None:
        own = self.work("two words", "b", image=engines.ENTRY_IMAGE, image_entrypoint=True)
        handle, _ = self.ended(cloud, own)
        assert self.whole(cloud, handle) == "entry two words b\n"
        handle, _ = self.ended(cloud, self.work(image=engines.ENTRY_IMAGE, image_entrypoint=True))
        assert self.whole(cloud, handle) == "entry\n"
        handle, _ = self.ended(cloud, self.work("/bin/echo", "instead", image=engines.ENTRY_IMAGE))
        assert self.whole(cloud, handle) == "instead\n"

    def test_a_program_that_is_not_there_cannot_start(self, cloud: Cloud) -> None:
        handle, seen = self.ended(cloud, self.work("/no/such/program"))
        assert (seen.end, seen.exit_code) == (End.CANNOT_START, None)
        assert "ContainerInvalidSettings" in seen.detail
        assert "/no/such/program" in seen.detail
        page = cloud.logs(handle, "stdout")
        assert (page.text, page.ended) == ("", True)

    def test_an_image_that_is_not_there_cannot_start(self, cloud: Cloud) -> None:
        _, seen = self.ended(cloud, self.script("true", image=self.UNKNOWN_IMAGE))
        assert seen.end is End.CANNOT_START
        assert "ContainerInvalidImage" in seen.detail

    def test_it_has_no_more_memory_than_it_asked_for(self, cloud: Cloud) -> None:
        _, seen = self.ended(cloud, self.script("exec dd if=/dev/zero of=/dev/null bs=200M count=1"))
        assert (seen.end, seen.exit_code) == (End.EXITED, 137)

    def test_of_one_that_waits_the_log_is_empty(self, cloud: Cloud, server: BatchServer) -> None:
        server.add_pool("no-nodes")
        (handle,) = self.submit(cloud, self.script("true", queue="no-nodes"))
        page = cloud.logs(handle, "stdout")
        assert (page.text, page.next_after, page.ended) == ("", 0, False)
        assert "no nodes" in cloud.explain(handle)
        cloud.cancel([handle])
        assert self.until(cloud, handle, Phase.ENDED).end is End.CANCELED
        page = cloud.logs(handle, "stdout")
        assert (page.text, page.ended) == ("", True)

    def test_a_node_that_is_taken_away_interrupts_what_runs(self, cloud: Cloud, server: BatchServer) -> None:
        server.add_pool("spot", targetLowPriorityNodes=1)
        work = self.script("echo begun; sleep 120", queue="spot")
        (handle,) = self.submit(cloud, work)
        eventually(lambda: cloud.logs(handle, "stdout").text, "output", WAIT_SECONDS)
        server.control("take_nodes", pool="spot")
        seen = self.until(cloud, handle, Phase.ENDED)
        assert seen.end is End.INTERRUPTED
        assert "active (was running)" in seen.detail
        server.add_pool("other", targetLowPriorityNodes=1)
        assert server.look()["starts"].count(work.execution_id) == 1, "it must not be started anew by Azure"

    def test_logs_go_with_their_node(self, cloud: Cloud, server: BatchServer) -> None:
        server.add_pool("short-lived", targetDedicatedNodes=1)
        handle, _ = self.ended(cloud, self.script("echo gone soon", queue="short-lived"))
        assert self.whole(cloud, handle) == "gone soon\n"
        server.control("take_nodes", pool="short-lived")
        with pytest.raises(NotFound, match="gone with their node"):
            cloud.logs(handle, "stdout")
        assert self.observe(cloud, handle).exit_code == 0  # type: ignore[union-attr]

    def test_a_cut_character_waits_for_its_rest(self, cloud: Cloud) -> None:
        (handle,) = self.submit(cloud, self.script(r"printf 'a\303'; sleep 2; printf '\251'"))
        eventually(lambda: cloud.logs(handle, "stdout").text, "output", WAIT_SECONDS)
        page = cloud.logs(handle, "stdout")
        assert (page.text, page.next_after) in (("a", 1), ("aé", 3))
        assert self.whole(cloud, handle) == "aé"
