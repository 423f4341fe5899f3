"""What holds for every cloud. Its tests subclass `CloudContract` and give a `cloud` fixture.

Works run shell scripts, for real, on the engine behind the cloud's stand-in; class attributes say what the stand-in
cannot do or tell.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from clusters.providers.base import Capacity, Cloud, End, Observation, Phase, Work
from clusters.providers.errors import NotFound, Refused
from tests.clusters.provider_contract import eventually, new_id

WAIT_SECONDS = 60.0


class CloudContract:
    """All of it."""

    TELLS_EXIT_CODES = True
    TELLS_TIMEOUTS = True
    LIVE_LOGS = True  # output is seen while it is written
    PATH = "/bin"
    IMAGE = "localhost/busybox:latest"
    UNKNOWN_IMAGE = "localhost/no-such-image:1"
    UNKNOWN_HANDLE = ""  # well-formed, of nothing that was ever there

    @pytest.fixture
    def cloud(self) -> Cloud:
        raise NotImplementedError

    def script(self, text: str, **wishes: object) -> Work:
        return self.work("/bin/sh", "-c", text, **wishes)

    def work(self, *command: str, **wishes: object) -> Work:
        fixed = {"env": {"PATH": self.PATH}, "image": self.IMAGE, "vcpus_milli": 250, "memory_mib": 64}
        return Work(new_id(), command, **{**fixed, "customer": "acme", **wishes})  # type: ignore[arg-type]

    def submit(self, cloud: Cloud, *works: Work) -> list[str]:
        """Submit works, as the scheduler does: group by group; the handles in their order."""
        handles: dict[str, str] = {}
        for group in cloud.group(works):
            found = cloud.submit(new_id(), group)
            handles |= dict(zip((work.execution_id for work in group), found, strict=True))
        return [handles[work.execution_id] for work in works]

    def observe(self, cloud: Cloud, handle: str) -> Observation | None:
        found = cloud.observe([handle])
        assert [one.execution_id for one in found] in ([], [handle])
        return found[0] if found else None

    def until(self, cloud: Cloud, handle: str, phase: Phase) -> Observation:
        def arrived() -> Observation | None:
            seen = self.observe(cloud, handle)
            return seen if seen and seen.phase is phase else None

        seen = eventually(arrived, f"{handle} {phase}", WAIT_SECONDS)
        assert isinstance(seen, Observation)
        return seen

    def ended(self, cloud: Cloud, work: Work) -> tuple[str, Observation]:
        (handle,) = self.submit(cloud, work)
        return handle, self.until(cloud, handle, Phase.ENDED)

    def whole(self, cloud: Cloud, handle: str, stream: str = "stdout", limit: int = 2**20) -> str:
        """All output of one that has ended, page by page. It may come late."""
        text, after = "", 0

        def read_on() -> bool:
            nonlocal text, after
            page = cloud.logs(handle, stream, after, limit)
            assert len(page.text.encode()) <= limit
            text, after = text + page.text, page.next_after
            return page.ended

        eventually(read_on, f"the end of {handle}'s {stream}", WAIT_SECONDS)
        return text

    # Running

    def test_tells_end_code_times_and_node(self, cloud: Cloud) -> None:
        before = datetime.now(UTC) - timedelta(seconds=2)
        _, seen = self.ended(cloud, self.script("exit 7"))
        assert seen.end is End.EXITED
        assert (seen.exit_code == 7) if self.TELLS_EXIT_CODES else seen.exit_code
        assert seen.started_at is not None
        assert seen.ended_at is not None
        assert before <= seen.started_at <= seen.ended_at <= datetime.now(UTC) + timedelta(seconds=2)
        assert seen.started_at.utcoffset() == timedelta(0)

    def test_success_is_code_0(self, cloud: Cloud) -> None:
        _, seen = self.ended(cloud, self.script("true"))
        assert (seen.end, seen.exit_code) == (End.EXITED, 0)

    def test_environment_is_what_was_given(self, cloud: Cloud) -> None:
        env = {"A": "1", "EMPTY": "", "WORDS": "two words; $HOME 'é'", "PATH": self.PATH}
        handle, _ = self.ended(cloud, self.work("/bin/env", env=env))
        lines = self.whole(cloud, handle).splitlines()
        assert {f"{name}={value}" for name, value in env.items()} <= set(lines)

    def test_arguments_arrive_as_they_are(self, cloud: Cloud) -> None:
        words = ["$HOME", "two words", 'it\'s "quoted"', "a;b|c&d", "Ref::input", "*", "back\\slash", "é"]
        handle, _ = self.ended(cloud, self.work("/bin/sh", "-c", 'for w in "$@"; do echo "$w"; done', "sh", *words))
        assert self.whole(cloud, handle).splitlines() == words

    def test_many_run_and_are_observed_at_once(self, cloud: Cloud) -> None:
        works = [self.script(f"echo number {number}") for number in range(5)]
        handles = self.submit(cloud, *works)
        assert len(set(handles)) == 5
        assert all(len(handle) <= 255 for handle in handles)
        for number, handle in enumerate(handles):
            self.until(cloud, handle, Phase.ENDED)
            assert self.whole(cloud, handle) == f"number {number}\n"
        assert sorted(one.execution_id for one in cloud.observe([*handles, self.UNKNOWN_HANDLE])) == sorted(handles)

    def test_alike_works_are_told_apart(self, cloud: Cloud) -> None:
        works = [self.script("echo the same") for _ in range(3)]
        for handle in self.submit(cloud, *works):
            assert self.until(cloud, handle, Phase.ENDED).exit_code == 0

    def test_nothing_to_do_is_fine(self, cloud: Cloud) -> None:
        assert cloud.group([]) == []
        assert cloud.observe([]) == []
        cloud.cancel([])

    def test_an_unknown_queue_is_refused(self, cloud: Cloud) -> None:
        with pytest.raises(Refused, match="no-such-queue"):
            self.submit(cloud, self.script("true", queue="no-such-queue"))

    def test_an_image_that_cannot_be_had_is_told(self, cloud: Cloud) -> None:
        try:
            _, seen = self.ended(cloud, self.script("true", image=self.UNKNOWN_IMAGE))
        except Refused:
            return
        assert seen.end is not End.EXITED or seen.exit_code != 0

    # After a crash

    def test_what_was_submitted_is_found_again(self, cloud: Cloud) -> None:
        name, group = new_id(), [self.script("sleep 1")]
        assert cloud.find(name, group) == []
        handles = cloud.submit(name, group)
        assert cloud.find(name, group) == [handles]
        self.until(cloud, handles[0], Phase.ENDED)
        assert cloud.find(name, group) == [handles], "an ended one must be found, too"

    def test_a_group_of_many_is_found_again(self, cloud: Cloud) -> None:
        groups = cloud.group([self.script("true") for _ in range(3)])
        for group in groups:
            name = new_id()
            handles = cloud.submit(name, group)
            assert cloud.find(name, group) == [handles]

    # Stopping

    def test_canceled_it_ends(self, cloud: Cloud) -> None:
        (handle,) = self.submit(cloud, self.script("echo ready; sleep 120"))
        self.until(cloud, handle, Phase.RUNNING)
        cloud.cancel([handle])
        assert self.until(cloud, handle, Phase.ENDED).end is End.CANCELED

    def test_canceled_right_after_submit_it_ends(self, cloud: Cloud) -> None:
        handles = self.submit(cloud, *[self.script("sleep 120") for _ in range(3)])
        cloud.cancel(handles)
        for handle in handles:
            assert self.until(cloud, handle, Phase.ENDED).end is End.CANCELED

    def test_of_those_that_came_together_only_the_canceled_end(self, cloud: Cloud) -> None:
        works = [self.script("sleep 120") for _ in range(3)]
        handles = self.submit(cloud, *works)
        for handle in handles:
            self.until(cloud, handle, Phase.RUNNING)
        cloud.cancel(handles[:2])
        for handle in handles[:2]:
            assert self.until(cloud, handle, Phase.ENDED).end is End.CANCELED
        assert self.until(cloud, handles[2], Phase.RUNNING)
        cloud.cancel(handles)
        assert self.until(cloud, handles[2], Phase.ENDED).end is End.CANCELED

    def test_cancel_of_an_ended_one_changes_nothing(self, cloud: Cloud) -> None:
        handle, seen = self.ended(cloud, self.script("exit 4"))
        cloud.cancel([handle, self.UNKNOWN_HANDLE])
        assert self.observe(cloud, handle) == seen

    def test_runs_no_longer_than_its_timeout(self, cloud: Cloud) -> None:
        if not self.TELLS_TIMEOUTS:
            pytest.skip("the stand-in stops nothing by itself")
        _, seen = self.ended(cloud, self.script("exec sleep 300", timeout_seconds=1))
        assert seen.end is End.TIMED_OUT

    # Output

    def test_output_is_kept(self, cloud: Cloud) -> None:
        handle, _ = self.ended(cloud, self.script("echo out; echo err >&2"))
        whole = {stream: self.whole(cloud, handle, stream) for stream in cloud.streams}
        if len(cloud.streams) == 2:
            assert whole == {"stdout": "out\n", "stderr": "err\n"}
        else:
            assert sorted(whole["stdout"].splitlines()) == ["err", "out"]

    def test_pages_make_up_the_whole(self, cloud: Cloud) -> None:
        lines = [f"{number} 0123456789 äöü €𝄞" for number in range(7)]
        handle, _ = self.ended(cloud, self.script("\n".join(f"echo '{line}'" for line in lines)))
        assert self.whole(cloud, handle, limit=10).splitlines() == lines
        assert self.whole(cloud, handle).splitlines() == lines

    def test_output_is_seen_while_it_runs(self, cloud: Cloud) -> None:
        if not self.LIVE_LOGS:
            pytest.skip("the stand-in shows output at the end only")
        (handle,) = self.submit(cloud, self.script("echo one; sleep 120"))
        self.until(cloud, handle, Phase.RUNNING)
        eventually(lambda: cloud.logs(handle, "stdout").text == "one\n", "one line", WAIT_SECONDS)
        page = cloud.logs(handle, "stdout")
        assert not page.ended
        assert cloud.logs(handle, "stdout", page.next_after).text == ""
        cloud.cancel([handle])
        self.until(cloud, handle, Phase.ENDED)

    def test_logs_of_the_unknown_are_not_found(self, cloud: Cloud) -> None:
        with pytest.raises(NotFound):
            cloud.logs(self.UNKNOWN_HANDLE, "stdout")

    # The rest

    def test_the_unknown_is_left_out(self, cloud: Cloud) -> None:
        assert cloud.observe([self.UNKNOWN_HANDLE, "nonsense"]) == []
        cloud.cancel([self.UNKNOWN_HANDLE, "nonsense"])
        assert cloud.find(new_id(), [self.script("true")]) == []

    def test_explains_and_links(self, cloud: Cloud) -> None:
        handle, _ = self.ended(cloud, self.script("exit 9"))
        assert cloud.explain(handle)
        assert cloud.link(handle).startswith("https://")

    def test_has_a_capacity(self, cloud: Cloud) -> None:
        capacity = cloud.capacity()
        assert isinstance(capacity, Capacity)
        assert capacity.vcpus_milli > 0
        assert capacity.memory_mib > 0
