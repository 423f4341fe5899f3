"""What holds for every provider. Its tests subclass `ProviderContract` and give a `provider` fixture.

Commands are shell scripts; a provider whose engine is a stand-in gives it one that runs them.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from clusters.providers.base import STREAMS, Capacity, End, Observation, Phase, Provider, Work
from clusters.providers.errors import NotFound

WAIT_SECONDS = 15.0


def eventually(found: Callable[[], object], what: str = "", seconds: float = WAIT_SECONDS) -> object:
    """Wait until `found()` is true, and return what it said."""
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or found}"
        time.sleep(0.01)
    return answer


def new_id() -> str:
    return str(uuid.uuid4())


class EngineContract:
    """What an engine does of it: how it starts, ends and limits commands, and what it hands out of their output.

    Class attributes say what a provider cannot do.
    """

    LOG_CAP_BYTES: int | None = None  # of one stream; None: it cuts nothing
    TELLS_SIGNALS = True
    HONOURS_TERM = True  # a command may end in its own way when it is canceled
    ADDED_ENV: frozenset[str] = frozenset()  # names the provider cannot help adding
    PATH = "/usr/bin:/bin"
    IMAGE = ""  # with /bin/sh, /usr/bin/env and a plain file /etc/passwd; where works need one

    @pytest.fixture
    def provider(self) -> Provider:
        raise NotImplementedError

    def script(self, text: str, **wishes: object) -> Work:
        return self.work("/bin/sh", "-c", text, **wishes)

    def work(self, *command: str, **wishes: object) -> Work:
        wishes = {"env": {"PATH": self.PATH}, "image": self.IMAGE, "vcpus_milli": 500, "memory_mib": 64, **wishes}
        return Work(new_id(), command, **wishes)  # type: ignore[arg-type]

    def observe(self, provider: Provider, work: Work) -> Observation | None:
        found = provider.observe([work.execution_id])
        assert len(found) <= 1
        return found[0] if found else None

    def until(self, provider: Provider, work: Work, phase: Phase) -> Observation:
        def arrived() -> Observation | None:
            seen = self.observe(provider, work)
            return seen if seen and seen.phase is phase else None

        seen = eventually(arrived, f"{work.command} {phase}")
        assert isinstance(seen, Observation)
        return seen

    def until_written(self, provider: Provider, work: Work, text: str) -> None:
        self.until(provider, work, Phase.RUNNING)
        eventually(lambda: text in provider.logs(work.execution_id, "stdout").text, f"{text} written")

    def ended(self, provider: Provider, work: Work) -> Observation:
        provider.run([work])
        return self.until(provider, work, Phase.ENDED)

    def text(self, provider: Provider, work: Work, stream: str = "stdout") -> str:
        return provider.logs(work.execution_id, stream).text

    # Running

    def test_tells_exit_code_times_and_node(self, provider: Provider) -> None:
        before = datetime.now(UTC) - timedelta(seconds=1)
        seen = self.ended(provider, self.script("exit 7"))
        assert (seen.end, seen.exit_code) == (End.EXITED, 7)
        assert seen.started_at is not None
        assert seen.ended_at is not None
        assert before <= seen.started_at <= seen.ended_at <= datetime.now(UTC) + timedelta(seconds=1)
        assert seen.started_at.utcoffset() == timedelta(0)
        assert seen.node

    def test_death_by_signal_is_128_and_the_signal(self, provider: Provider) -> None:
        seen = self.ended(provider, self.script("kill -9 $$"))
        assert (seen.end, seen.exit_code) == (End.EXITED, 137)

    def test_goes_through_its_phases(self, provider: Provider) -> None:
        work = self.script("sleep 0.3")
        assert self.observe(provider, work) is None
        provider.run([work])
        seen = self.observe(provider, work)
        assert seen is not None
        assert seen.phase in (Phase.WAITING, Phase.RUNNING)
        running = self.until(provider, work, Phase.RUNNING)
        assert running.started_at is not None
        assert (running.end, running.exit_code, running.ended_at) == (None, None, None)
        self.until(provider, work, Phase.ENDED)

    def test_environment_is_what_was_given(self, provider: Provider) -> None:
        env = {"A": "1", "EMPTY": "", "WORDS": "two words; $HOME 'é'"}
        work = self.work("/usr/bin/env", env=env)
        self.ended(provider, work)
        assert {f"{name}={value}" for name, value in env.items()} <= set(self.text(provider, work).splitlines())

    def test_no_other_variable_is_seen(self, provider: Provider) -> None:
        work = self.work("/usr/bin/env", env={"A": "1", "B": "2"})
        self.ended(provider, work)
        names = {line.partition("=")[0] for line in self.text(provider, work).splitlines()}
        assert names - self.ADDED_ENV == {"A", "B"}

    @pytest.mark.parametrize(
        ("command", "code"), [(["no-such-command"], 127), (["/no/such/command"], 127), (["/etc/passwd"], 126)]
    )
    def test_what_cannot_be_started_says_so(self, provider: Provider, command: list[str], code: int) -> None:
        work = self.work(*command)
        seen = self.ended(provider, work)
        assert (seen.end, seen.exit_code) == (End.CANNOT_START, code)
        assert command[0] in seen.detail
        assert command[0] in self.text(provider, work, "stderr")

    # Stopping

    def test_cancel_is_polite_first(self, provider: Provider) -> None:
        work = self.script("trap 'exit 3' TERM; echo ready; while :; do sleep 0.05; done")
        provider.run([work])
        self.until_written(provider, work, "ready")
        provider.cancel([work.execution_id])
        seen = self.until(provider, work, Phase.ENDED)
        assert seen.end is End.CANCELED
        if self.HONOURS_TERM:
            assert seen.exit_code == 3

    def test_cancel_is_by_force_then(self, provider: Provider) -> None:
        work = self.script("trap '' TERM; echo ready; while :; do sleep 0.05; done")
        provider.run([work])
        self.until_written(provider, work, "ready")
        provider.cancel([work.execution_id])
        seen = self.until(provider, work, Phase.ENDED)
        assert seen.end is End.CANCELED
        if self.TELLS_SIGNALS:
            assert seen.exit_code == 137

    def test_runs_no_longer_than_its_timeout(self, provider: Provider) -> None:
        seen = self.ended(provider, self.script("exec sleep 30", timeout_seconds=1))
        assert seen.end is End.TIMED_OUT
        assert seen.started_at is not None
        assert seen.ended_at is not None
        assert timedelta(seconds=0.9) < seen.ended_at - seen.started_at < timedelta(seconds=10)

    # Output

    def test_streams_are_kept_apart(self, provider: Provider) -> None:
        work = self.script("echo out; echo err >&2")
        self.ended(provider, work)
        pages = [provider.logs(work.execution_id, stream) for stream in STREAMS]
        assert [page.text for page in pages] == ["out\n", "err\n"]
        assert all(page.ended for page in pages)

    def test_output_is_seen_while_it_runs(self, provider: Provider) -> None:
        work = self.script("echo one; sleep 30")
        provider.run([work])
        self.until_written(provider, work, "one")
        page = provider.logs(work.execution_id, "stdout")
        assert not page.ended
        assert provider.logs(work.execution_id, "stdout", page.next_after).text == ""
        provider.cancel([work.execution_id])
        self.until(provider, work, Phase.ENDED)

    def test_strange_bytes_become_text(self, provider: Provider) -> None:
        work = self.script(r"printf 'a\000b\377c\303'")
        self.ended(provider, work)
        assert self.text(provider, work) == "ab�c�"


class ProviderContract(EngineContract):
    """All of it: also what providers keep and tell by themselves, whatever the engine."""

    # Running

    def test_success_is_code_0(self, provider: Provider) -> None:
        seen = self.ended(provider, self.script("true"))
        assert (seen.end, seen.exit_code) == (End.EXITED, 0)

    def test_runs_an_execution_once_however_often_it_is_handed_over(self, provider: Provider) -> None:
        work = self.script("echo ran; sleep 0.2")
        provider.run([work, work])
        provider.run([work])
        self.until(provider, work, Phase.RUNNING)
        provider.run([work])
        self.until(provider, work, Phase.ENDED)
        provider.run([work])
        other = self.script("true")
        self.ended(provider, other)
        assert self.text(provider, work) == "ran\n"
        assert self.until(provider, work, Phase.ENDED).exit_code == 0

    def test_many_are_observed_at_once(self, provider: Provider) -> None:
        works = [self.script(f"exit {number}") for number in range(8)]
        provider.run(works)
        for work in works:
            self.until(provider, work, Phase.ENDED)
        ids = [work.execution_id for work in works]
        seen = {one.execution_id: one.exit_code for one in provider.observe([*ids, new_id()])}
        assert seen == dict(zip(ids, range(8), strict=True))

    def test_nothing_to_do_is_fine(self, provider: Provider) -> None:
        provider.run([])
        provider.cancel([])
        provider.forget([])
        assert provider.observe([]) == []

    # Stopping

    def test_canceled_before_it_starts_it_never_does(self, provider: Provider) -> None:
        work = self.script("echo ran")
        provider.cancel([work.execution_id])
        seen = self.until(provider, work, Phase.ENDED)
        assert (seen.end, seen.started_at, seen.exit_code) == (End.CANCELED, None, None)
        provider.run([work])
        self.ended(provider, self.script("true"))
        assert self.text(provider, work) == ""
        assert self.until(provider, work, Phase.ENDED).end is End.CANCELED

    def test_cancel_right_after_run(self, provider: Provider) -> None:
        works = [self.script("echo ran; sleep 30") for _ in range(4)]
        provider.run(works)
        provider.cancel([work.execution_id for work in works])
        for work in works:
            assert self.until(provider, work, Phase.ENDED).end is End.CANCELED

    def test_cancel_of_an_ended_one_changes_nothing(self, provider: Provider) -> None:
        work = self.script("echo done; exit 4")
        seen = self.ended(provider, work)
        provider.cancel([work.execution_id])
        self.ended(provider, self.script("true"))
        assert self.observe(provider, work) == seen

    def test_within_its_timeout_it_is_left_alone(self, provider: Provider) -> None:
        assert self.ended(provider, self.script("exit 5", timeout_seconds=60)).end is End.EXITED

    # Output

    def test_pages_make_up_the_whole(self, provider: Provider) -> None:
        line = "0123456789 äöü €𝄞\n"
        work = self.script(f"for i in 1 2 3 4 5 6 7; do printf '{line[:-1]}\\n'; done")
        self.ended(provider, work)
        text, after, ended = "", 0, False
        while not ended:
            page = provider.logs(work.execution_id, "stdout", after, 10)
            assert page.next_after > after
            assert len(page.text.encode()) <= 10
            text, after, ended = text + page.text, page.next_after, page.ended
        assert text == line * 7
        rest = provider.logs(work.execution_id, "stdout", after)
        assert (rest.text, rest.next_after, rest.ended) == ("", after, True)

    def test_of_long_output_head_and_tail_are_kept(self, provider: Provider) -> None:
        if self.LOG_CAP_BYTES is None:
            pytest.skip("this provider cuts nothing")
        work = self.script("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done")
        self.ended(provider, work)
        text, after, ended = "", 0, False
        while not ended:
            page = provider.logs(work.execution_id, "stdout", after, 50_000)
            text, after, ended = text + page.text, page.next_after, page.ended
        assert text.startswith("line 0\nline 1\n")
        assert text.endswith("line 19998\nline 19999\n")
        assert text.count("bytes left out …]\n") == 1
        assert len(text) < self.LOG_CAP_BYTES + 10_000

    def test_logs_of_the_unknown_are_not_found(self, provider: Provider) -> None:
        with pytest.raises(NotFound):
            provider.logs(new_id(), "stdout")
        with pytest.raises(NotFound):
            provider.tail(new_id(), "stdout", 100)

    def test_a_tail_is_the_end_of_it(self, provider: Provider) -> None:
        work = self.script("for i in 1 2 3 4; do echo line $i; done; echo wrong >&2")
        self.ended(provider, work)
        assert provider.tail(work.execution_id, "stdout", 9) == "3\nline 4\n"
        assert provider.tail(work.execution_id, "stdout", 1000) == "line 1\nline 2\nline 3\nline 4\n"
        assert provider.tail(work.execution_id, "stderr", 1000) == "wrong\n"

    # The rest

    def test_unknown_ids_are_left_out(self, provider: Provider) -> None:
        assert provider.observe([new_id(), "nonsense"]) == []
        assert provider.explain(new_id()) == ""
        provider.forget([new_id()])

    def test_explains_where_it_stands(self, provider: Provider) -> None:
        work = self.script("exit 9")
        self.ended(provider, work)
        assert "9" in provider.explain(work.execution_id)

    def test_forgets_the_ended_and_only_those(self, provider: Provider) -> None:
        over, running = self.script("echo over"), self.script("echo on; sleep 30")
        self.ended(provider, over)
        provider.run([running])
        self.until_written(provider, running, "on")
        provider.forget([over.execution_id, running.execution_id])
        assert self.observe(provider, over) is None
        assert self.until(provider, running, Phase.RUNNING)
        with pytest.raises(NotFound):
            provider.logs(over.execution_id, "stdout")
        provider.cancel([running.execution_id])
        self.until(provider, running, Phase.ENDED)

    def test_has_a_capacity(self, provider: Provider) -> None:
        capacity = provider.capacity()
        assert isinstance(capacity, Capacity)
        assert capacity.vcpus_milli > 0
        assert capacity.memory_mib > 0
