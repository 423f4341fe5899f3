"""Long-running containers on this machine, against a real dockerd and a real Podman."""

from __future__ import annotations

import contextlib
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import docker.errors
import pytest

from clusters.providers.errors import NotFound, ProviderError
from clusters.providers.hosting import HealthCheck, Hosting, Port, Protocol, Service, ServiceObservation, ServicePhase
from clusters.providers.local.docker import care, hosted, hosted_containers, hosting_keeper
from clusters.providers.local.docker.containers import Shape
from clusters.providers.local.docker.engine import Engine as EngineOfOurs
from clusters.providers.local.docker.hosted import Hosted
from clusters.providers.local.docker.hosting import DockerHosting
from tests.clusters import engines
from tests.clusters.engines import Engine
from tests.clusters.hosting_contract import WAIT_SECONDS, HostingContract
from tests.clusters.provider_contract import eventually, new_id

pytestmark = pytest.mark.runs_once("postgresql", "providers know no database")

UNKNOWN = "docker:00000000-0000-4000-8000-000000000000"
ENGINES = [pytest.param(name, marks=pytest.mark.needs(name)) for name in ("dockerd", "podman")]
ON_DOCKERD = pytest.mark.parametrize("engine", ENGINES[:1], indirect=True)
ON_PODMAN = pytest.mark.parametrize("engine", ENGINES[1:], indirect=True)


class Site:
    """A root folder of a test's own, at an engine; makes hostings for it."""

    def __init__(self, engine: Engine, root: Path) -> None:
        self.engine = engine
        self.root = root
        self.hostings: list[DockerHosting] = []

    def hosting(self, **wishes: object) -> DockerHosting:
        # The tests' dockerd has no network to connect containers to.
        network = "none" if self.engine.name == "dockerd" else "bridge"
        settings: dict[str, object] = {
            "base_url": self.engine.url,
            "log_cap_bytes": 1 << 20,
            "network": network,
            "grace_seconds": 0.3,
            "steady_seconds": 1.0,
        }
        hosting = DockerHosting(self.root, "here", **{**settings, **wishes})  # type: ignore[arg-type]
        self.hostings.append(hosting)
        return hosting

    def containers(self) -> list[Any]:
        """Every container of this root, of the SDK's kind."""
        with contextlib.closing(self.engine.client()) as client:
            rows = client.api.containers(all=True, filters={"label": f"control-plane.root={self.root}"})
            found = []
            for row in rows:
                with contextlib.suppress(docker.errors.NotFound):  # gone between the two looks
                    found.append(client.api.inspect_container(row["Id"]))
            return found

    def clear(self) -> None:
        for hosting in self.hostings:
            hosting.close()
        with contextlib.closing(self.engine.client()) as client:
            for row in client.api.containers(all=True, filters={"label": f"control-plane.root={self.root}"}):
                client.api.remove_container(row["Id"], force=True)


@pytest.fixture(scope="session", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    with engines.running(request.param) as engine:
        yield engine


@pytest.fixture
def site(engine: Engine, tmp_path: Path) -> Iterator[Site]:
    site = Site(engine, tmp_path / "root")
    yield site
    site.clear()


@ON_DOCKERD
class TestDockerHosting(HostingContract):
    UNKNOWN_HANDLE = UNKNOWN

    @pytest.fixture
    def hosting(self, site: Site) -> Hosting:
        return site.hosting()


def script(text: str = "echo ready; sleep 1000", **wishes: Any) -> Service:
    fixed = {"image": engines.IMAGE, "command": ("/bin/sh", "-c", text), "vcpus_milli": 250, "memory_mib": 128}
    return Service(new_id(), **{**fixed, **wishes})


def seen_of(hosting: Hosting, handle: str) -> ServiceObservation:
    return hosting.observe([handle])[0]


def until(hosting: Hosting, handle: str, phase: ServicePhase, **members: object) -> ServiceObservation:
    def arrived() -> ServiceObservation | None:
        seen = seen_of(hosting, handle)
        is_it = seen.phase is phase and all(getattr(seen, name) == value for name, value in members.items())
        return seen if is_it else None

    seen = eventually(arrived, f"{phase} {members}", WAIT_SECONDS)
    assert isinstance(seen, ServiceObservation)
    return seen


def running(hosting: Hosting, service: Service) -> tuple[str, ServiceObservation]:
    handle = hosting.provision(service)
    return handle, until(hosting, handle, ServicePhase.RUNNING)


def another_run(hosting: Hosting, handle: str, run: str) -> ServiceObservation:
    def arrived() -> ServiceObservation | None:
        seen = seen_of(hosting, handle)
        return seen if seen.phase is ServicePhase.RUNNING and seen.run != run else None

    seen = eventually(arrived, "another run", WAIT_SECONDS)
    assert isinstance(seen, ServiceObservation)
    return seen


def web(text: str) -> Service:
    """A web server that says `text` at /say, and needs a second before it does."""
    path = "/tmp/pages"
    line = f"/bin/busybox mkdir {path}; echo {text} > {path}/say; echo up; sleep 1; exec httpd -f -p 5002 -h {path}"
    check = HealthCheck(port=5002, path="/say", interval_seconds=1, retries=2, start_seconds=20)
    return script(line, ports=[Port(5002), Port(5002, Protocol.UDP)], health_check=check)


class TestHealing:
    def test_what_was_killed_or_removed_runs_again(self, site: Site) -> None:
        hosting = site.hosting()
        handle, first = running(hosting, script())
        eventually(lambda: hosting.logs(handle, run=first.run).text == "ready\n")
        name = site.containers()[0]["Id"]
        with contextlib.closing(site.engine.client()) as client:
            client.api.kill(name, "SIGKILL")
        second = another_run(hosting, handle, first.run)
        assert second.restarts == 1
        assert second.started_at is not None
        assert first.started_at is not None
        assert second.started_at > first.started_at
        assert "exit code 137" in hosting.explain(handle)
        assert hosting.logs(handle, run=first.run).text == "ready\n"
        with contextlib.closing(site.engine.client()) as client:
            client.api.remove_container(site.containers()[0]["Id"], force=True)
        assert another_run(hosting, handle, second.run).restarts == 2
        assert "The container is gone" in hosting.explain(handle)

    @ON_DOCKERD
    def test_what_ended_while_nobody_kept_it_is_started_by_the_next(self, site: Site) -> None:
        one = site.hosting()
        handle, first = running(one, script())
        one.close()
        two = site.hosting()
        assert seen_of(two, handle).run == first.run, "it went on"
        two.close()
        with contextlib.closing(site.engine.client()) as client:
            client.api.kill(site.containers()[0]["Id"], "SIGKILL")
        another_run(site.hosting(), handle, first.run)

    @ON_DOCKERD
    def test_one_at_a_time_keeps_and_another_goes_on(self, site: Site) -> None:
        one, two = site.hosting(), site.hosting()
        handle, first = running(one, script())
        assert two.provision(script()) != handle
        eventually(lambda: len(site.containers()) == 2)
        assert seen_of(two, handle).run == first.run
        one.close()
        with contextlib.closing(site.engine.client()) as client:
            client.api.kill(f"{handle.removeprefix('docker:')}.{first.run}", "SIGKILL")
        another_run(two, handle, first.run)
        assert len(site.containers()) == 2

    @ON_DOCKERD
    def test_the_unwell_is_replaced(self, site: Site) -> None:
        hosting = site.hosting()
        check = HealthCheck(("/bin/sh", "-c", "[ ! -e /tmp/ill ]"), interval_seconds=1, timeout_seconds=2, retries=2)
        handle, _ = running(hosting, script(health_check=check))
        first = until(hosting, handle, ServicePhase.RUNNING, is_healthy=True)
        with contextlib.closing(site.engine.client()) as client:
            made = client.api.exec_create(site.containers()[0]["Id"], ["/bin/touch", "/tmp/ill"])
            client.api.exec_start(made["Id"])
        second = another_run(hosting, handle, first.run)
        assert second.restarts == 1
        assert "health check failed" in hosting.explain(handle)

    @ON_DOCKERD
    def test_what_never_gets_ready_is_given_up(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(care, "STARTS", 2)
        hosting = site.hosting()
        secret = {"TOKEN": "3f1c-a-long-one"}
        handle = hosting.provision(script("echo no; exit 3", secrets=secret))
        seen = until(hosting, handle, ServicePhase.FAILED)
        assert seen.wanted == ""
        assert seen.restarts == 1
        assert "exit code 3" in seen.detail
        assert site.containers() == []
        assert hosting.logs(handle).text == "no\n"

    @ON_DOCKERD
    def test_a_command_that_is_not_there_says_so(self, site: Site) -> None:
        hosting = site.hosting()
        handle = hosting.provision(script(command=["/bin/no-such"], secrets={"A": "no-such"}))
        seen = until(hosting, handle, ServicePhase.FAILED)
        assert "/bin/…" in seen.detail, "the engine's words, without what is secret"
        assert "no-such" not in seen.detail + hosting.explain(handle)


class TestRolling:
    @ON_PODMAN
    def test_it_answers_all_the_time(self, site: Site) -> None:
        hosting = site.hosting()
        old = web("old")
        handle, _ = running(hosting, old)
        until(hosting, handle, ServicePhase.RUNNING, is_healthy=True)
        assert self.said(hosting, handle) == "old"
        new = replace(web("new"), name=old.name)
        hosting.reconfigure(handle, new)
        answers = []

        def has_changed() -> bool:
            answers.append(self.said(hosting, handle))
            return seen_of(hosting, handle).revision == new.revision

        eventually(has_changed, "the new one", WAIT_SECONDS)
        answers.append(self.said(hosting, handle))
        assert set(answers) == {"old", "new"}
        assert sorted(answers, reverse=True) == answers, "and never goes back"
        until(hosting, handle, ServicePhase.RUNNING, wanted=new.revision, is_healthy=True)
        eventually(lambda: len(site.containers()) == 1)

    def said(self, hosting: Hosting, handle: str) -> str:
        """What it answers. Once it may change between the look and the question."""
        for is_last in (False, True):
            (address,) = seen_of(hosting, handle).addresses
            assert (address.host, address.is_public) == ("127.0.0.1", False)
            try:
                with urlopen(f"http://127.0.0.1:{address.ports[5002]}/say", timeout=5) as answer:
                    return str(answer.read().decode().strip())
            except OSError:
                if is_last:
                    raise
        raise AssertionError

    @ON_PODMAN
    def test_ports_are_open_here_only(self, site: Site) -> None:
        hosting = site.hosting()
        _, seen = running(hosting, web("here"))
        (container,) = site.containers()
        bindings = container["NetworkSettings"]["Ports"]
        port = str(seen.addresses[0].ports[5002])
        assert bindings == {f"5002/{kind}": [{"HostIp": "127.0.0.1", "HostPort": port}] for kind in ("tcp", "udp")}

    @ON_PODMAN
    def test_what_cannot_be_had_leaves_the_old_one(self, site: Site) -> None:
        hosting = site.hosting()
        service = script()
        handle, old = running(hosting, service)
        hosting.reconfigure(handle, replace(service, image="localhost/no-such-image:1"))
        seen = until(hosting, handle, ServicePhase.RUNNING, wanted="")
        assert (seen.run, seen.revision) == (old.run, service.revision)
        assert "localhost/no-such-image:1" in seen.detail
        hosting.reconfigure(handle, service)
        assert until(hosting, handle, ServicePhase.RUNNING, wanted=service.revision).run == old.run


class TestKeeping:
    @ON_DOCKERD
    def test_it_is_shut_in_as_jobs_are(self, site: Site) -> None:
        hosting = site.hosting(pids_limit=50, read_only=True, user="65534")
        running(hosting, script(secrets={"TOKEN": "3f1c-a-long-one"}))
        (container,) = site.containers()
        host, config = container["HostConfig"], container["Config"]
        assert (host["Memory"], host["MemorySwap"], host["NanoCpus"]) == (128 << 20, 128 << 20, 250_000_000)
        assert (host["PidsLimit"], host["ReadonlyRootfs"], config["User"]) == (50, True, "65534")
        assert (host["CapDrop"], host["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])
        assert "3f1c" not in str(config["Labels"])

    @ON_DOCKERD
    def test_what_is_kept_is_for_our_user_only(self, site: Site) -> None:
        hosting = site.hosting()
        handle, _ = running(hosting, script(secrets={"TOKEN": "3f1c-a-long-one"}))
        for path in (site.root, *site.root.rglob("*")):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        telling = [path for path in site.root.rglob("*") if path.is_file() and b"3f1c" in path.read_bytes()]
        assert telling == []

    @ON_DOCKERD
    def test_what_was_made_and_not_started_is_made_anew(self, site: Site) -> None:
        service = script()
        one = Hosted(str(site.root), service.name)
        with hosted.changing(str(site.root)):
            one.want(1, service)
        run, engine = one.begin_run(service), EngineOfOurs(site.engine.url)
        hosted_containers.make(engine, str(site.root), service, run, Shape("none"), "127.0.0.1")
        engine.close()
        hosting = site.hosting()
        handle = hosting.provision(service)
        assert until(hosting, handle, ServicePhase.RUNNING).run != run
        assert len(site.containers()) == 1

    @ON_DOCKERD
    def test_a_container_whose_folder_is_lost_is_found_and_taken_up_or_retired(self, site: Site) -> None:
        one, services = site.hosting(), [script(), script()]
        (kept, first), (lost, _) = [running(one, service) for service in services]
        one.close()
        shutil.rmtree(site.root)
        two = site.hosting()
        assert two.standing() == {kept: services[0].name, lost: services[1].name}
        assert two.provision(services[0]) == kept
        two.retire([lost])
        assert until(two, kept, ServicePhase.RUNNING).run == first.run
        eventually(lambda: len(site.containers()) == 1)
        assert two.standing() == {kept: services[0].name}

    @ON_DOCKERD
    def test_output_of_what_is_gone_is_kept_for_a_time(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hosting_keeper, "_PRUNE_SECONDS", 0.1)
        hosting = site.hosting(keep_seconds=2.0)
        handle, seen = running(hosting, script("echo last; exec sleep 1000"))
        eventually(lambda: hosting.logs(handle).text)
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        assert hosting.logs(handle, run=seen.run).text == "last\n"

        def is_forgotten() -> bool:
            try:
                hosting.logs(handle)
            except NotFound:
                return True
            return False

        eventually(is_forgotten)


class TestEngineAway:
    def test_it_is_said_what_to_do_and_nothing_is_noted(self, tmp_path: Path) -> None:
        hosting = DockerHosting(tmp_path / "root", "here", base_url="unix:///nowhere.sock", log_cap_bytes=1 << 20)
        service = script()
        calls: list[Callable[[], object]] = [
            lambda: hosting.provision(service),
            lambda: hosting.observe([UNKNOWN]),
            lambda: hosting.retire([UNKNOWN]),
            hosting.standing,
        ]
        for call in calls:
            with pytest.raises(ProviderError, match="does it run, and is its socket the one of LOCAL_DOCKER_HOST"):
                call()
        (probe,) = hosting.probe()
        assert (probe.what, probe.ok) == ("container engine", False)
        assert "LOCAL_DOCKER_HOST" in probe.words
        assert not Hosted(str(tmp_path / "root"), service.name).stands
        hosting.close()

    @ON_DOCKERD
    def test_the_probe_tells_of_the_engine_and_of_its_network(self, site: Site) -> None:
        assert [probe.ok for probe in site.hosting().probe()] == [True]
        found = site.hosting(network="no-such").probe()
        assert [probe.ok for probe in found] == [True, False]
        assert "LOCAL_DOCKER_NETWORK" in found[1].words

    def test_a_pull_rule_is_one_of_three(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="no such pull rule"):
            DockerHosting(tmp_path, "here", log_cap_bytes=1, pull="often")
