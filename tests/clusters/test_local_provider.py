from __future__ import annotations

import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.providers.base import End, Observation, Phase, Work
from clusters.providers.errors import NotFound, ProviderError, Refused
from clusters.providers.local import isolation
from clusters.providers.local.provider import LocalProvider
from tests.clusters.local_host import LOG_CAP_BYTES, LocalHost, local_host
from tests.clusters.provider_contract import ProviderContract, eventually, new_id


@pytest.fixture(scope="module")
def shared_host() -> Iterator[LocalHost]:
    with local_host() as host:
        yield host


@pytest.fixture
def host() -> Iterator[LocalHost]:
    with local_host() as host:
        yield host


class TestLocalProvider(ProviderContract):
    LOG_CAP_BYTES = LOG_CAP_BYTES // 2

    @pytest.fixture
    def provider(self, shared_host: LocalHost) -> LocalProvider:
        return shared_host.provider()


@pytest.mark.needs("bubblewrap")
class TestIsolatedLocalProvider(ProviderContract):
    LOG_CAP_BYTES = LOG_CAP_BYTES // 2
    ADDED_ENV = frozenset({"PWD"})

    @pytest.fixture
    def provider(self, shared_host: LocalHost) -> LocalProvider:
        return shared_host.provider(isolate=True)


def script(text: str, **wishes: object) -> Work:
    return Work(new_id(), ["/bin/sh", "-c", text], **{"env": {"PATH": "/usr/bin:/bin"}, **wishes})  # type: ignore[arg-type]


def ended(provider: LocalProvider, work: Work) -> bool:
    return any(seen.phase is Phase.ENDED for seen in provider.observe([work.execution_id]))


class TestStreaming:
    def test_tells_without_being_asked(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("exit 3")
        seen: list[Observation] = []
        assert provider.fileno() == -1
        assert provider.read() == []
        provider.run([work])
        while not any(one.phase is Phase.ENDED for one in seen):
            assert select.select([provider.fileno()], [], [], 10)[0]
            seen += provider.read()
        assert [one.phase for one in seen] == [Phase.RUNNING, Phase.ENDED]
        assert seen[-1] == provider.observe([work.execution_id])[0]
        assert (seen[-1].end, seen[-1].exit_code) == (End.EXITED, 3)

    def test_tells_everybody(self, host: LocalHost) -> None:
        one, two, work = host.provider(), host.provider(), script("true")
        other = script("true")
        two.run([other])
        eventually(lambda: ended(two, other))
        one.run([work])
        eventually(lambda: work.execution_id in {seen.execution_id for seen in two.read()})

    def test_a_lost_connection_is_seen_and_made_again(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("sleep 30")
        provider.run([work])
        eventually(lambda: provider.observe([work.execution_id])[0].phase is Phase.RUNNING)
        host.kill_runners()
        eventually(lambda: provider.read() is not None and provider.fileno() == -1)
        lost = eventually(lambda: [one for one in provider.observe([work.execution_id]) if one.end])
        assert lost[0].end is End.LOST  # type: ignore[index]
        assert provider.fileno() >= 0

    def test_the_lost_are_told_to_the_first_who_comes(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("sleep 30")
        provider.run([work])
        eventually(lambda: provider.observe([work.execution_id])[0].phase is Phase.RUNNING)
        host.kill_runners()
        provider.read()
        provider.observe([work.execution_id])
        assert eventually(lambda: [one for one in provider.read() if one.end is End.LOST])

    def test_what_only_waited_in_a_dead_runner_is_left_out(self, host: LocalHost) -> None:
        provider = host.provider(vcpus_milli=1000)
        first, second = script("sleep 30"), script("true")
        provider.run([first, second])
        eventually(lambda: provider.observe([first.execution_id])[0].phase is Phase.RUNNING)
        assert provider.observe([second.execution_id])[0].phase is Phase.WAITING
        assert "in line" in provider.explain(second.execution_id)
        assert provider.logs(second.execution_id, "stdout").text == ""
        host.kill_runners()
        assert [one.execution_id for one in provider.observe([second.execution_id])] == []
        provider.run([second])
        eventually(lambda: ended(provider, second))


GOOD_ID = "01a210f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b"


class TestRefusals:
    @pytest.mark.parametrize("execution_id", ["", "../../etc", "A" * 36, GOOD_ID.upper(), GOOD_ID + "\n"])
    def test_only_an_id_names_a_folder(self, host: LocalHost, execution_id: str) -> None:
        provider = host.provider()
        with pytest.raises(Refused):
            provider.run([Work(execution_id, ["true"])])
        with pytest.raises(Refused):
            provider.cancel([execution_id])
        with pytest.raises(NotFound):
            provider.logs(execution_id, "stdout")
        assert provider.observe([execution_id]) == []
        provider.forget([execution_id])
        assert host.runners() == []

    def test_a_runner_that_cannot_start_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "executions").write_text("in the way")
        provider = LocalProvider(tmp_path, vcpus_milli=1, memory_mib=1, log_cap_bytes=1, isolate=False)
        with pytest.raises((ProviderError, OSError)):
            provider.run([script("true")])

    def test_isolation_that_does_not_work_is_an_error(self, host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(isolation, "probe", lambda *_: isolation.Probe(False, "not today"))
        with pytest.raises(ProviderError, match="not today"):
            host.provider(isolate=True).run([script("true")])

    def test_an_environment_no_process_can_have(self, host: LocalHost) -> None:
        provider, works = host.provider(), [script("true", env={"A=B": "c"}), script("true", env={"A": "b\0c"})]
        provider.run(works)
        eventually(lambda: all(ended(provider, work) for work in works))
        for work in works:
            assert provider.observe([work.execution_id])[0].end is End.CANNOT_START


class TestFolders:
    def test_are_for_our_user_only_and_hold_no_environment(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("touch made; pwd", env={"PATH": "/bin", "SECRET": "gr5t7"})
        provider.run([work])
        eventually(lambda: ended(provider, work))
        folder = host.folder(work.execution_id)
        assert provider.logs(work.execution_id, "stdout").text == f"{folder}/work\n"
        for path in (host.root, host.root / "runner.sock", folder, *folder.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        written = b"".join(path.read_bytes() for path in host.root.rglob("*") if path.is_file())
        assert b"gr5t7" not in written

    def test_a_root_with_a_long_path_will_do(self, host: LocalHost) -> None:
        host.root = host.root / ("long" * 30) / ("longer" * 20)
        provider, work = host.provider(), script("exit 2")
        provider.run([work])
        eventually(lambda: ended(provider, work))

    def test_forget_follows_no_link(self, host: LocalHost, tmp_path: Path) -> None:
        (tmp_path / "kept").write_text("kept")
        provider = host.provider()
        work = script(f"ln -s {tmp_path} link; mkdir -p shut/in; touch shut/in/file; chmod 000 shut/in shut")
        provider.run([work])
        eventually(lambda: ended(provider, work))
        provider.forget([work.execution_id])
        assert (tmp_path / "kept").read_text() == "kept"
        assert not host.folder(work.execution_id).exists()
        assert list((host.root / "trash").iterdir()) == []


class TestRunnerOfAProvider:
    def test_starts_when_needed_and_leaves_when_told(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("sleep 0.3; echo done")
        assert provider.capacity().disk_free_mib
        provider.leave()
        assert host.runners() == []
        provider.run([work])
        provider.leave()
        eventually(lambda: not host.runners())
        assert provider.logs(work.execution_id, "stdout").text == "done\n"
        assert provider.observe([work.execution_id])[0].exit_code == 0
        assert host.runners() == []

    def test_is_no_child_of_ours_and_survives_its_starter(self, host: LocalHost) -> None:
        work = script("sleep 0.5; echo survived")
        code = (
            "import sys; from pathlib import Path; from clusters.providers.base import Work;"
            "from clusters.providers.local.provider import LocalProvider;"
            "p = LocalProvider(Path(sys.argv[1]), vcpus_milli=1000, memory_mib=999, log_cap_bytes=9999, isolate=False);"
            "p.run([Work(sys.argv[2], sys.argv[3:], {'PATH': '/bin'})]); sys.stdout.write('ok'); sys.stdout.flush();"
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
        )
        command = [sys.executable, "-c", code, str(host.root), work.execution_id, *work.command]
        done = subprocess.run(command, capture_output=True, timeout=20, check=False)
        assert (done.stdout, done.returncode) == (b"ok", -signal.SIGKILL), done.stderr
        runner = host.runner()
        assert os.getsid(runner) == runner
        provider = host.provider()
        eventually(lambda: ended(provider, work))
        assert provider.logs(work.execution_id, "stdout").text == "survived\n"

    def test_has_none_of_our_environment(self, host: LocalHost, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("DJANGO_SECRET_KEY", "gr5t7")
        provider, work = host.provider(), script("true")
        provider.run([work])
        eventually(lambda: ended(provider, work))
        runner = host.runner()
        assert b"gr5t7" not in Path(f"/proc/{runner}/environ").read_bytes()
