"""The docker runtime against a real dockerd and a real Podman."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import docker.errors
import pytest

from clusters.providers.base import End, Mount, Observation, Phase, Provider, Volume, Work
from clusters.providers.errors import NotFound, ProviderError, Refused
from clusters.providers.local import folders, kept
from clusters.providers.local.docker import images, keeper
from clusters.providers.local.docker.engine import Engine as EngineOfOurs
from clusters.providers.local.docker.engine import Output
from clusters.providers.local.docker.output import Files
from clusters.providers.local.docker.provider import DockerProvider
from clusters.providers.local.logs import read_page
from tests.clusters import engines
from tests.clusters.engines import Engine
from tests.clusters.provider_contract import EngineContract, ProviderContract, eventually, new_id

pytestmark = pytest.mark.runs_once("postgresql", "providers know no database")

LOG_CAP_BYTES = 128 << 10
CHECKOUT = Path(__file__).resolve().parents[2]
NOWHERE = "localhost:1/nobody/nothing:1"
MANY = 64  # MiB


class Site:
    """A root folder of a test's own, at an engine; makes providers for it."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine = engine
        self.root = root
        self.providers: list[DockerProvider] = []

    def provider(self, **wishes: object) -> DockerProvider:
        settings: dict[str, object] = {
            "base_url": self.engine.url,
            "vcpus_milli": 8000,
            "memory_mib": 8192,
            "log_cap_bytes": LOG_CAP_BYTES,
            "network": "none",
            "grace_seconds": 0.5,
        }
        provider = DockerProvider(self.root, **{**settings, **wishes})  # type: ignore[arg-type]
        self.providers.append(provider)
        return provider

    def containers(self) -> list[Any]:
        """Every container of this root, of the SDK's kind."""
        with contextlib.closing(self.engine.client()) as client:
            found = []
            for row in client.api.containers(all=True, filters={"label": f"control-plane.root={self.root}"}):
                with contextlib.suppress(docker.errors.NotFound):  # gone between the two looks
                    found.append(client.containers.get(row["Id"]))
            return found

    def volumes(self) -> list[str]:
        with contextlib.closing(self.engine.client()) as client:
            return [volume.name for volume in client.volumes.list(filters={"label": f"control-plane.root={self.root}"})]

    def folder(self, work: Work) -> Path:
        return self.root / "executions" / work.execution_id[-2:] / work.execution_id

    def clear(self) -> None:
        for provider in self.providers:
            provider.close()
        with contextlib.closing(self.engine.client()) as client:
            for container in self.containers():
                client.api.remove_container(container.id, force=True)


# Each in one process: an engine takes seconds to start.
ENGINES = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("dockerd", "podman")]
# Where both engines are known to answer alike, one is asked.
ON_DOCKERD = pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)
ON_PODMAN = pytest.mark.parametrize("engine", ENGINES[1:], indirect=True)


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engines.running(request.param) as engine:
        yield engine


@pytest.fixture(scope="session")
def shared(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerProvider]:
    site = Site(engine, tmp_path_factory.mktemp("shared"))
    yield site.provider()
    site.clear()


@pytest.fixture
def site(engine: Engine, tmp_path: Path) -> Iterator[Site]:
    site = Site(engine, tmp_path / "root")
    yield site
    site.clear()


class OnAnEngine(EngineContract):
    """The commands of the contract, in containers."""

    LOG_CAP_BYTES = LOG_CAP_BYTES // 2
    ADDED_ENV = frozenset({"PATH", "HOSTNAME", "HOME", "TERM", "container"})
    IMAGE = engines.IMAGE

    @pytest.fixture
    def provider(self, shared: DockerProvider) -> DockerProvider:
        return shared

    @pytest.fixture(autouse=True)
    def _engine(self, engine: Engine) -> None:
        self.engine = engine

    def test_death_by_signal_is_128_and_the_signal(self, provider: Provider) -> None:
        """Nothing in a container can kill its first process: somebody outside does."""
        work = self.script("echo on; exec sleep 30")
        provider.run([work])
        self.until_written(provider, work, "on")
        with contextlib.closing(self.engine.client()) as client:
            client.api.kill(work.execution_id, "SIGKILL")
        seen = self.until(provider, work, Phase.ENDED)
        assert (seen.end, seen.exit_code) == (End.EXITED, 137)


@ON_DOCKERD
class TestDockerProvider(OnAnEngine, ProviderContract):
    pass


@ON_PODMAN  # what the provider itself keeps and tells has been seen above, by the same code
class TestPodmanProvider(OnAnEngine):
    pass


def command(*words: str, **wishes: Any) -> Work:
    env = {"PATH": "/bin"}
    return Work(new_id(), words, **{"env": env, "image": engines.IMAGE, "memory_mib": MANY, **wishes})


def script(text: str, **wishes: Any) -> Work:
    return command("/bin/sh", "-c", text, **wishes)


def until(provider: Provider, work: Work, phase: Phase) -> Observation:
    def arrived() -> Observation | None:
        return next((one for one in provider.observe([work.execution_id]) if one.phase is phase), None)

    seen = eventually(arrived, f"{work.command} {phase}")
    assert isinstance(seen, Observation)
    return seen


def written(provider: Provider, work: Work, stream: str = "stdout") -> str:
    return provider.logs(work.execution_id, stream).text


def ended(provider: Provider, work: Work) -> Observation:
    provider.run([work])
    return until(provider, work, Phase.ENDED)


def output(provider: Provider, work: Work) -> str:
    """What it wrote, having run well."""
    seen = ended(provider, work)
    assert (seen.end, seen.exit_code) == (End.EXITED, 0), (seen, written(provider, work, "stderr"))
    return written(provider, work)


class TestLimits:
    def test_more_memory_than_it_has_ends_it(self, site: Site) -> None:
        seen = ended(site.provider(), script("x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}"))
        assert (seen.end, seen.exit_code) == (End.EXITED, 137)
        if site.engine.name == "dockerd":  # Podman does not say
            assert "OOMKilled" in seen.detail

    def test_processes_are_counted(self, site: Site) -> None:
        provider = site.provider(pids_limit=6)
        work = script("for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; echo all")
        ended(provider, work)
        assert "fork" in written(provider, work, "stderr")
        assert "all" not in written(provider, work)

    def test_it_has_no_capability_and_gets_none(self, site: Site) -> None:
        lines = output(site.provider(), command("cat", "/proc/self/status")).splitlines()
        status = dict(line.split(":\t") for line in lines if ":\t" in line)
        assert (int(status["CapEff"], 16), int(status["CapBnd"], 16), status["NoNewPrivs"]) == (0, 0, "1")

    def test_cpus_are_limited(self, site: Site) -> None:
        provider, work = site.provider(), script("sleep 30", vcpus_milli=250)
        provider.run([work])
        until(provider, work, Phase.RUNNING)
        assert site.containers()[0].attrs["HostConfig"]["NanoCpus"] == 250_000_000

    def test_read_only_leaves_a_bounded_tmp(self, site: Site) -> None:
        provider = site.provider(read_only=True)
        work = script(
            "echo x > /etc/x; echo x > /tmp/x && cat /tmp/x; dd if=/dev/zero of=/tmp/big bs=1M count=100",
            memory_mib=32,
        )
        ended(provider, work)
        assert written(provider, work).startswith("x\n")
        assert "Read-only" in written(provider, work, "stderr")
        assert "100+0 records out" not in written(provider, work, "stderr")

    def test_its_user_can_be_another(self, site: Site) -> None:
        assert output(site.provider(user="1234:99"), script("id -u; id -g")) == "1234\n99\n"

    def test_shared_memory_has_the_size_wanted(self, site: Site) -> None:
        assert "size=32768k" in output(site.provider(), script("mount | grep /dev/shm", shm_mib=32))

    def test_without_a_network_there_is_only_itself(self, site: Site) -> None:
        assert output(site.provider(), script("ls /sys/class/net")) == "lo\n"


class TestWhatIsSeenInside:
    def test_mounts_are_read_only_unless_wanted_otherwise(self, site: Site, tmp_path: Path) -> None:
        given, taken = tmp_path / "given", tmp_path / "taken"
        given.mkdir()
        taken.mkdir()
        (given / "file").write_text("content")
        mounts = [Mount(str(given), "/in"), Mount(str(taken), "/out", read_only=False)]
        provider, work = site.provider(), script("cat /in/file > /out/file; echo x > /in/x", mounts=mounts)
        assert ended(provider, work).exit_code == 1
        assert "Read-only" in written(provider, work, "stderr")
        assert (taken / "file").read_text() == "content"

    @ON_DOCKERD  # Podman makes a folder there
    def test_a_mount_that_is_not_there_is_told(self, site: Site, tmp_path: Path) -> None:
        seen = ended(site.provider(), command("true", mounts=[Mount(str(tmp_path / "none"), "/in")]))
        assert seen.end is End.CANNOT_START
        assert f"{tmp_path}/none" in seen.detail
        assert site.containers() == []

    def test_volumes_are_made_and_go_with_it(self, site: Site) -> None:
        volumes = [Volume("/one", read_only=False), Volume("/two", "local")]
        provider = site.provider()
        work = script("echo kept > /one/file; cat /one/file; echo x > /two/x; sleep 30", volumes=volumes)
        provider.run([work])
        eventually(lambda: until(provider, work, Phase.RUNNING) and written(provider, work) == "kept\n")
        assert sorted(site.volumes()) == [f"{work.execution_id}.0", f"{work.execution_id}.1"]
        provider.cancel([work.execution_id])
        until(provider, work, Phase.ENDED)
        assert "Read-only" in written(provider, work, "stderr")
        eventually(lambda: site.volumes() == [])

    @ON_PODMAN  # dockerd looks for it for 15 s, and then says the same
    def test_a_driver_nobody_has_is_told(self, site: Site) -> None:
        seen = ended(site.provider(), command("true", volumes=[Volume("/one", "nobody-has-this")]))
        assert seen.end is End.CANNOT_START
        assert "nobody-has-this" in seen.detail

    @ON_DOCKERD  # Podman takes no GPU by this API, and says nothing
    def test_a_gpu_that_is_not_there_is_told(self, site: Site) -> None:
        seen = ended(site.provider(), command("true", gpus=1))
        assert seen.end is End.CANNOT_START
        assert "gpu" in seen.detail

    @pytest.mark.parametrize(
        ("image", "words", "with_entrypoint", "expected"),
        [
            (engines.ENTRY_IMAGE, ["/bin/echo", "own"], False, "own\n"),
            (engines.ENTRY_IMAGE, ["more"], True, "entry more\n"),
            (engines.ENTRY_IMAGE, [], True, "entry\n"),
            (engines.IMAGE, [], False, "by itself\n"),
            (engines.IMAGE, ["/bin/echo", "own"], True, "own\n"),
        ],
    )
    def test_a_command_replaces_the_entrypoint_or_follows_it(
        self, site: Site, image: str, words: list[str], with_entrypoint: bool, expected: str
    ) -> None:
        assert output(site.provider(), command(*words, image=image, image_entrypoint=with_entrypoint)) == expected


class TestImages:
    @ON_DOCKERD
    def test_never_pulled_and_not_there_it_is_refused_before_anything_starts(self, site: Site) -> None:
        provider, good = site.provider(pull="never"), script("echo ran")
        with pytest.raises(Refused, match="nobody/nothing"):
            provider.run([good, command("true", image=NOWHERE)])
        assert provider.observe([good.execution_id]) == []
        assert site.containers() == []
        assert output(provider, good) == "ran\n"

    def test_what_cannot_be_pulled_ends_with_the_engines_words(self, site: Site) -> None:
        provider, work = site.provider(), command("true", image=NOWHERE)
        seen = ended(provider, work)
        assert (seen.end, seen.exit_code, seen.started_at) == (End.CANNOT_START, None, None)
        assert "connection refused" in seen.detail
        assert written(provider, work, "stderr") == f"{seen.detail}\n"

    @ON_DOCKERD
    def test_always_means_also_what_is_there(self, site: Site) -> None:
        assert ended(site.provider(pull="always"), command("true")).end is End.CANNOT_START

    @ON_DOCKERD
    def test_while_it_is_pulled_it_waits_and_can_be_canceled(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        begun, end = os.pipe()
        monkeypatch.setattr(EngineOfOurs, "pull", lambda *_: os.read(begun, 1) and None)
        provider, work = site.provider(), command("true", image=NOWHERE)
        provider.run([work])
        assert until(provider, work, Phase.WAITING)
        eventually(lambda: "image" in provider.explain(work.execution_id))
        provider.cancel([work.execution_id])
        assert until(provider, work, Phase.ENDED).end is End.CANCELED
        os.write(end, b"\0")
        provider.close()
        os.close(begun)
        os.close(end)
        assert site.containers() == []

    @ON_DOCKERD
    @pytest.mark.parametrize("image", ["", "Not An Image"])
    def test_what_is_no_name_of_an_image_is_refused(self, site: Site, image: str) -> None:
        with pytest.raises(Refused):
            site.provider().run([command("true", image=image)])

    def test_a_label_is_read(self, engine: Engine) -> None:
        name, value = engines.LABEL
        assert images.label_of(engine.url, engines.ENTRY_IMAGE, name) == value
        assert images.label_of(engine.url, engines.ENTRY_IMAGE, "other") is None
        assert images.label_of(engine.url, engines.IMAGE, name) is None

    @ON_DOCKERD
    def test_a_label_of_what_is_not_to_be_had(self, engine: Engine) -> None:
        name, _ = engines.LABEL
        with pytest.raises(Refused):
            images.label_of(engine.url, NOWHERE, name)
        with pytest.raises(Refused):
            images.label_of(engine.url, NOWHERE, name, pull="never")
        with pytest.raises(ProviderError, match="does not answer"):
            images.label_of("unix:///nowhere.sock", engines.IMAGE, name)

    def test_an_unknown_rule_is_a_mistake(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="sometimes"):
            DockerProvider(tmp_path, vcpus_milli=1, memory_mib=1, log_cap_bytes=1, pull="sometimes")


@ON_DOCKERD
class TestLine:
    def test_who_finds_no_room_waits_by_priority(self, site: Site) -> None:
        provider = site.provider(vcpus_milli=1000)
        first, late, soon = script("sleep 30"), script("echo late"), script("echo soon; sleep 30", priority=1)
        provider.run([first])
        provider.run([late, soon])
        until(provider, first, Phase.RUNNING)
        assert provider.observe([soon.execution_id])[0].phase is Phase.WAITING
        assert "in line" in provider.explain(late.execution_id)
        assert written(provider, late) == ""
        provider.cancel([first.execution_id])
        until(provider, soon, Phase.RUNNING)
        assert provider.observe([late.execution_id])[0].phase is Phase.WAITING
        provider.cancel([soon.execution_id])
        until(provider, late, Phase.ENDED)
        assert written(provider, late) == "late\n"

    def test_what_is_larger_than_the_room_runs_alone(self, site: Site) -> None:
        assert output(site.provider(vcpus_milli=100, memory_mib=16), script("echo ran")) == "ran\n"

    def test_canceled_in_line_it_never_starts(self, site: Site) -> None:
        provider = site.provider(vcpus_milli=1000)
        first, second = script("sleep 30"), script("echo ran")
        provider.run([first, second])
        provider.cancel([second.execution_id, first.execution_id])
        until(provider, first, Phase.ENDED)
        seen = until(provider, second, Phase.ENDED)
        assert (seen.end, seen.started_at) == (End.CANCELED, None)
        provider.close()
        provider = site.provider()
        provider.run([second])
        assert provider.observe([second.execution_id]) == [seen]
        eventually(lambda: site.containers() == [])  # that of the first, too

    def test_the_line_is_forgotten_with_its_process_and_handed_over_again(self, site: Site) -> None:
        provider = site.provider(vcpus_milli=1000)
        first, second = script("sleep 30"), script("echo ran")
        provider.run([first, second])
        until(provider, first, Phase.RUNNING)
        provider.close()
        provider = site.provider(vcpus_milli=1000)
        assert provider.observe([second.execution_id]) == []
        provider.run([second])
        assert provider.observe([second.execution_id])[0].phase is Phase.WAITING  # for the room of what was adopted
        provider.cancel([first.execution_id])
        until(provider, second, Phase.ENDED)


class TestAnotherProcess:
    def test_what_runs_is_adopted_in_the_middle_of_its_output(self, site: Site) -> None:
        one = site.provider()
        work = script("for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo line $i; echo other $i >&2; sleep 0.2; done")
        one.run([work])
        eventually(lambda: "line 2" in written(one, work) if site.folder(work).is_dir() else False)
        one.close()
        seen = kept_by(site, work)
        two = site.provider()
        until(two, work, Phase.ENDED)
        assert written(two, work) == "".join(f"line {i}\n" for i in range(1, 13))
        assert written(two, work, "stderr") == "".join(f"other {i}\n" for i in range(1, 13))
        assert until(two, work, Phase.ENDED).started_at == seen.started_at

    def test_what_ended_meanwhile_is_told_with_its_own_times(self, site: Site) -> None:
        one, work = site.provider(), script("sleep 0.7; echo done; exit 4")
        one.run([work])
        until(one, work, Phase.RUNNING)
        one.close()
        eventually(lambda: site.containers()[0].attrs["State"]["Status"] == "exited")
        seen = ended(site.provider(), work)
        assert (seen.end, seen.exit_code) == (End.EXITED, 4)
        assert seen.started_at is not None
        assert seen.ended_at is not None
        assert timedelta(seconds=0.5) < seen.ended_at - seen.started_at < timedelta(seconds=10)
        assert written(site.providers[0], work) == "done\n"

    def test_a_timeout_holds_across_processes(self, site: Site) -> None:
        one, work = site.provider(), script("sleep 30", timeout_seconds=1)
        one.run([work])
        until(one, work, Phase.RUNNING)
        one.close()
        seen = until(site.provider(), work, Phase.ENDED)
        assert seen.end is End.TIMED_OUT

    def test_a_stop_that_was_begun_is_finished(self, site: Site) -> None:
        one, work = site.provider(grace_seconds=60), script("trap '' TERM; echo on; while :; do sleep 0.1; done")
        one.run([work])
        eventually(lambda: until(one, work, Phase.RUNNING) and written(one, work) == "on\n")
        one.cancel([work.execution_id])
        eventually((site.folder(work) / "stop").exists)
        one.close()
        seen = until(site.provider(), work, Phase.ENDED)
        assert (seen.end, seen.exit_code) == (End.CANCELED, 137)

    @ON_DOCKERD
    def test_only_one_keeps_the_containers_and_others_may_read(self, site: Site) -> None:
        one, two, work = site.provider(), site.provider(), script("echo on; sleep 30")
        one.run([work])
        eventually(lambda: until(one, work, Phase.RUNNING) and written(two, work) == "on\n")
        for call in (two.cancel, two.observe):
            with pytest.raises(ProviderError, match="another process"):
                call([work.execution_id])
        with pytest.raises(ProviderError, match="another process"):
            two.run([script("true")])
        assert "running" in two.explain(work.execution_id)
        assert two.capacity().isolated
        one.cancel([work.execution_id])
        until(one, work, Phase.ENDED)
        assert two.observe([work.execution_id])[0].end is End.CANCELED
        two.forget([work.execution_id])
        assert one.observe([work.execution_id]) == []
        one.leave()
        two.run([script("true")])

    @ON_DOCKERD
    def test_the_containers_of_others_are_left_alone(self, site: Site, tmp_path: Path) -> None:
        other, work = Site(site.engine, tmp_path / "other"), script("sleep 30")
        try:
            other.provider().run([work])
            until(other.providers[0], work, Phase.RUNNING)
            assert site.provider().observe([work.execution_id]) == []
            assert ended(site.providers[0], work).end is End.CANNOT_START  # its name is taken
            assert until(other.providers[0], work, Phase.RUNNING)
        finally:
            other.clear()


def kept_by(site: Site, work: Work) -> Observation:
    """What another process, that keeps nothing, finds in the folder."""
    seen = kept.observation(str(site.folder(work)), work.execution_id)
    assert seen is not None
    return seen


_CRASH = """
import os, signal, sys, time
from pathlib import Path
from clusters.providers.base import Mount, Work
from clusters.providers.local.docker import engine
from clusters.providers.local.docker.provider import DockerProvider

root, url, image, call, execution, out, text = sys.argv[1:]
setattr(engine.Engine, call, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
provider = DockerProvider(
    Path(root), base_url=url, vcpus_milli=1000, memory_mib=999, log_cap_bytes=99999, network="none"
)
mounts = [Mount(out, "/out", read_only=False)]
provider.run([Work(execution, ["sh", "-c", text], {"PATH": "/bin"}, image, memory_mib=64, mounts=mounts)])
time.sleep(60)
"""


class TestCrashes:
    @pytest.mark.parametrize("call", ["create", "start", "output", "remove"])
    def test_killed_anywhere_it_is_started_once(self, site: Site, tmp_path: Path, call: str) -> None:
        """`call` is the call to the engine that kills the process, instead of being made."""
        text = "echo ran >> /out/file; echo written"
        mounts = [Mount(str(tmp_path), "/out", read_only=False)]
        work = script(text, mounts=mounts)
        arguments = [str(site.root), site.engine.url, engines.IMAGE, call, work.execution_id, str(tmp_path), text]
        done = subprocess.run(
            [sys.executable, "-c", _CRASH, *arguments], cwd=CHECKOUT, capture_output=True, timeout=40, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        provider = site.provider()
        known = provider.observe([work.execution_id])
        assert bool(known) is (call != "create")
        seen = ended(provider, work)
        assert (seen.end, seen.exit_code) == (End.EXITED, 0)
        assert written(provider, work) == "written\n"
        assert (tmp_path / "file").read_text() == "ran\n"
        eventually(lambda: site.containers() == [])

    @ON_DOCKERD
    def test_taken_and_canceled_it_never_starts(self, site: Site) -> None:
        work = script("echo ran")
        site.folder(work).mkdir(parents=True)
        (site.folder(work) / "started").touch()
        provider = site.provider()
        provider.cancel([work.execution_id])
        assert ended(provider, work).end is End.CANCELED

    @ON_DOCKERD
    def test_a_container_that_somebody_removed_is_lost(self, site: Site) -> None:
        provider, work = site.provider(), script("sleep 30")
        provider.run([work])
        until(provider, work, Phase.RUNNING)
        site.containers()[0].remove(force=True)
        assert until(provider, work, Phase.ENDED).end is End.LOST

    def test_a_container_removed_while_nobody_looked_is_lost(self, site: Site) -> None:
        one, work = site.provider(), script("sleep 30")
        one.run([work])
        until(one, work, Phase.RUNNING)
        one.close()
        site.containers()[0].remove(force=True)
        two = site.provider()
        assert two.observe([work.execution_id])[0].phase is Phase.RUNNING
        assert until(two, work, Phase.ENDED).end is End.LOST

    @ON_DOCKERD
    def test_what_was_forgotten_before_it_was_removed_is_removed(self, site: Site) -> None:
        one, work = site.provider(), script("sleep 0.5")
        one.run([work])
        until(one, work, Phase.RUNNING)
        one.close()
        eventually(lambda: site.containers()[0].attrs["State"]["Status"] == "exited")
        site.folder(work).rename(site.root / "gone")
        assert site.provider().observe([work.execution_id]) == []
        eventually(lambda: site.containers() == [])


class TestEngineAway:
    def test_nothing_is_kept_and_nothing_is_lost(self, tmp_path: Path) -> None:
        provider = DockerProvider(
            tmp_path, base_url="unix:///nowhere.sock", vcpus_milli=1000, memory_mib=64, log_cap_bytes=999
        )
        work = script("true")
        with pytest.raises(ProviderError, match="does not answer"):
            provider.run([work])
        for call in (provider.observe, provider.cancel):
            with pytest.raises(ProviderError):
                call([work.execution_id])
        assert provider.explain(work.execution_id) == ""
        assert provider.fileno() == -1
        assert provider.capacity().memory_mib == 64
        with pytest.raises(NotFound):
            provider.logs(work.execution_id, "stdout")
        provider.close()

    @pytest.mark.needs("podman")
    def test_what_runs_is_taken_up_when_the_engine_is_back(self, tmp_path: Path) -> None:
        """Podman's containers go on without its service; an engine of this test's own."""
        with engines.running("podman") as engine:
            site = Site(engine, tmp_path)
            provider, work = site.provider(), script("echo one; sleep 1.5; echo two; exit 6")
            provider.run([work])
            eventually(lambda: until(provider, work, Phase.RUNNING) and written(provider, work) == "one\n")
            engine.stop()
            assert provider.observe([work.execution_id])[0].phase is Phase.RUNNING
            with pytest.raises(ProviderError):
                provider.run([script("true")])
            engine.start()
            assert until(provider, work, Phase.ENDED).exit_code == 6
            assert written(provider, work) == "one\ntwo\n"
            site.clear()


class TestStreaming:
    def test_tells_without_being_asked(self, site: Site) -> None:
        provider, work = site.provider(), script("sleep 0.5; exit 3")
        seen: list[Observation] = []
        assert (provider.fileno(), provider.read()) == (-1, [])
        provider.run([work])
        while not any(one.phase is Phase.ENDED for one in seen):
            assert select.select([provider.fileno()], [], [], 10)[0]
            seen += provider.read()
        assert [one.phase for one in seen] == [Phase.RUNNING, Phase.ENDED]
        assert seen[-1] == provider.observe([work.execution_id])[0]
        assert provider.read() == []
        assert not select.select([provider.fileno()], [], [], 0)[0]

    @ON_DOCKERD
    def test_tells_what_it_adopts(self, site: Site) -> None:
        one, work = site.provider(), script("sleep 30")
        one.run([work])
        until(one, work, Phase.RUNNING)
        one.close()
        two = site.provider()
        two.observe([work.execution_id])
        assert eventually(lambda: [seen.execution_id for seen in two.read()]) == [work.execution_id]


class TestOutput:
    @ON_DOCKERD
    def test_is_for_our_user_only_and_so_is_all_that_is_kept(self, site: Site) -> None:
        provider, work = site.provider(), script("echo $SECRET", env={"PATH": "/bin", "SECRET": "gr5t7"})
        assert output(provider, work) == "gr5t7\n"
        for path in (site.root, site.folder(work), *site.folder(work).iterdir()):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        telling = [path.name for path in site.folder(work).iterdir() if b"gr5t7" in path.read_bytes()]
        assert telling == ["stdout"]

    def test_is_complete_however_fast_it_was_written(self, site: Site) -> None:
        """Engines let followers go before they have told them everything."""
        provider = site.provider(log_cap_bytes=16 << 20)
        works = [script("i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done") for _ in range(4)]
        provider.run(works)
        for work in works:
            until(provider, work, Phase.ENDED)
            assert written(provider, work) == "".join(f"{number}\n" for number in range(20_000))

    def test_that_the_engine_does_not_end_is_not_waited_for(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(keeper, "LIST_SECONDS", 0.1)
        given = EngineOfOurs.output
        begun, end = os.pipe()

        class Endless(Output):
            def __iter__(self) -> Iterator[tuple[str, bytes]]:
                os.read(begun, 1)
                return iter(())

            def close(self) -> None:
                os.write(end, b"\0")

        def endless(self: EngineOfOurs, name: str, *, follow: bool) -> Output:
            out = given(self, name, follow=follow)
            if follow:
                out.__class__ = Endless
            return out

        monkeypatch.setattr(EngineOfOurs, "output", endless)
        assert output(site.provider(), script("echo written")) == "written\n"
        os.close(begun)
        os.close(end)

    def test_copied_again_only_what_is_new_is_added(self, tmp_path: Path) -> None:
        frames = [("stdout", b"one\n"), ("stderr", b"x"), ("stdout", b"two\n"), ("stdout", b"three\n")]
        with Files(str(tmp_path), 1 << 20) as files:
            files.copy(frames[:2])
            files.copy([*frames[:2], ("stdout", b"tw")])
        with Files(str(tmp_path), 1 << 20) as files:
            files.copy(frames)
        assert (tmp_path / "stdout").read_bytes() == b"one\ntwo\nthree\n"
        assert (tmp_path / "stderr").read_bytes() == b"x"

    @pytest.mark.parametrize(
        "copied",
        [
            b"",
            b"one\ntwo\nthree\n",
            b"one\nthree\n",
            b"one\ntw\no\nthree\n",
            b"one\ntwo\nthree\nthree\n",
            b"one\n",
            b"Xne\ntwo\n",
        ],
    )
    def test_in_the_end_it_is_what_the_engine_says(self, tmp_path: Path, copied: bytes) -> None:
        (tmp_path / "stdout").write_bytes(copied)
        with Files(str(tmp_path), 1 << 20) as files:
            files.settle([("stdout", b"one\n"), ("stderr", b"x"), ("stdout", b"two\n"), ("stdout", b"three\n")])
        assert (tmp_path / "stdout").read_bytes() == b"one\ntwo\nthree\n"
        assert (tmp_path / "stderr").read_bytes() == b"x"

    @pytest.mark.parametrize("missing", [None, 3, 9_000, 14_990, 19_000])
    def test_also_where_the_middle_was_cut(self, tmp_path: Path, missing: int | None) -> None:
        frames = [("stdout", f"{number:08}\n".encode()) for number in range(20_000)]
        with Files(str(tmp_path), 64 << 10) as files:
            files.copy([frame for number, frame in enumerate(frames[:15_000]) if number != missing])
        assert (tmp_path / "stdout.cut").exists()
        with Files(str(tmp_path), 64 << 10) as files:
            files.settle(frames)
        folders.write_exit(
            str(tmp_path), {"started": 0, "ended": 0, "code": 0, "end": "exited", "detail": "", "node": ""}
        )
        text, after, is_over = "", 0, False
        while not is_over:
            page = read_page(str(tmp_path), "stdout", after, 1 << 20)
            text, after, is_over = text + page.text, page.next_after, page.ended
        head, _, tail = text.partition("[… ")
        tail = tail.partition("left out …]\n")[2]
        everything = "".join(frame.decode() for _, frame in frames)
        assert len(head) > 10_000
        assert len(tail) > 10_000
        assert everything.startswith(head.rstrip("\n"))
        assert everything.endswith(tail)

    def test_what_was_cut_counts_as_copied(self, tmp_path: Path) -> None:
        frames = [("stdout", f"{number:08}\n".encode()) for number in range(20_000)]
        with Files(str(tmp_path), 64 << 10) as files:
            files.copy(frames[:15_000])
        with Files(str(tmp_path), 64 << 10) as files:
            files.copy(frames)
        text = (tmp_path / "stdout").read_bytes()
        assert text.startswith(b"00000000\n")
        assert text.endswith(b"00019998\n00019999\n")
        assert os.stat(tmp_path / "stdout").st_blocks * 512 < 80 << 10


class TestRefusals:
    @pytest.mark.parametrize("execution_id", ["", "../../etc", "A" * 36])
    def test_only_an_id_names_a_folder(self, tmp_path: Path, execution_id: str) -> None:
        provider = DockerProvider(tmp_path, vcpus_milli=1, memory_mib=1, log_cap_bytes=1)
        with pytest.raises(Refused):
            provider.run([Work(execution_id, ["true"])])
        with pytest.raises(Refused):
            provider.cancel([execution_id])
        with pytest.raises(NotFound):
            provider.logs(execution_id, "stdout")
        assert provider.observe([execution_id]) == []
        assert provider.explain(execution_id) == ""
        provider.forget([execution_id])
