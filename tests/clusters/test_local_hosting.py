"""Long-running services on this machine, as processes."""

from __future__ import annotations

import itertools
import os
import signal
import stat
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clusters.providers.errors import NotFound, ProviderError, Refused
from clusters.providers.hosting import HealthCheck, Hosting, Port, Protocol, Service, ServiceObservation, ServicePhase
from clusters.providers.local import isolation
from clusters.providers.local.hosting.provider import LocalHosting
from tests.clusters.hosting_contract import HostingContract
from tests.clusters.provider_contract import eventually, new_id
from tests.clusters.services_host import LOG_CAP_BYTES, ServicesHost, services_host

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

UNKNOWN = "local:00000000-0000-4000-8000-000000000000"
# Answers with the status that a file in its folder has, 200 if there is none, and its name.
SERVER = """
import http.server, os, pathlib
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        status = pathlib.Path(os.environ.get("STATUS", "status"))
        self.send_response(int(status.read_text()) if status.exists() else 200)
        self.end_headers()
        self.wfile.write(os.environ["NAME"].encode())
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT_8080"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def shared_host() -> Iterator[ServicesHost]:
    with services_host() as host:
        yield host


@pytest.fixture(scope="module")
def isolated_host() -> Iterator[ServicesHost]:
    with services_host() as host:
        yield host


@pytest.fixture
def host() -> Iterator[ServicesHost]:
    with services_host() as host:
        yield host


class LocalContract(HostingContract):
    UNKNOWN_HANDLE = UNKNOWN
    NOWHERE = "/no/such/program"

    def never_starting(self, service: Service) -> Service:
        return replace(service, command=(self.NOWHERE,))


class TestLocalHosting(LocalContract):
    @pytest.fixture
    def hosting(self, shared_host: ServicesHost) -> Iterator[Hosting]:
        hosting = shared_host.hosting()
        yield hosting
        hosting.retire(list(hosting.standing()))


@pytest.mark.needs("bubblewrap")
class TestIsolatedLocalHosting(LocalContract):
    @pytest.fixture
    def hosting(self, isolated_host: ServicesHost) -> Iterator[Hosting]:
        hosting = isolated_host.hosting(isolate=True)
        yield hosting
        hosting.retire(list(hosting.standing()))


def script(text: str, **wishes: object) -> Service:
    fixed: dict[str, object] = {"image": "busybox", "env": {"PATH": "/usr/bin:/bin"}, "memory_mib": 512}
    return Service(new_id(), command=("/bin/sh", "-c", text), **{**fixed, **wishes})  # type: ignore[arg-type]


def server(name: str = "one", path: str = "/", **wishes: object) -> Service:
    check = HealthCheck(port=8080, path=path, interval_seconds=1, retries=2)
    fixed: dict[str, object] = {"env": {"NAME": name}, "ports": [Port(8080)], "health_check": check}
    made = script("", **{**fixed, **wishes})
    return replace(made, command=(sys.executable, "-c", SERVER))


def now(hosting: Hosting, handle: str) -> ServiceObservation:
    (seen,) = hosting.observe([handle])
    return seen


def until(hosting: Hosting, handle: str, phase: ServicePhase, **members: object) -> ServiceObservation:
    def arrived() -> ServiceObservation | None:
        seen = now(hosting, handle)
        return seen if seen.phase is phase and all(getattr(seen, n) == v for n, v in members.items()) else None

    seen = eventually(arrived, f"{phase} {members}")
    assert isinstance(seen, ServiceObservation)
    return seen


def running(hosting: Hosting, service: Service, **members: object) -> tuple[str, ServiceObservation]:
    handle = hosting.provision(service)
    return handle, until(hosting, handle, ServicePhase.RUNNING, **members)


def wrote(hosting: Hosting, handle: str, text: str, run: str = "") -> str:
    eventually(lambda: text in hosting.logs(handle, run=run).text, text)
    return hosting.logs(handle, run=run).text


def fetch(seen: ServiceObservation) -> str:
    port = seen.addresses[0].ports[8080]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
        return str(answer.read().decode())


class TestPorts:
    def test_each_run_has_its_own_and_is_told_of_them(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        ports = [Port(3478, Protocol.UDP), Port(3478), Port(5002)]
        text = "echo $PORT $PORT_3478 $PORT_5002; sleep 1000"
        handles = [hosting.provision(script(text, ports=ports)) for _ in range(12)]
        seen = [until(hosting, handle, ServicePhase.RUNNING) for handle in handles]
        given = [one.addresses[0].ports for one in seen]
        everything = [port for each in given for port in each.values()]
        assert len(set(everything)) == len(everything) == 24
        for handle, each in zip(handles, given, strict=True):
            assert wrote(hosting, handle, "\n") == f"{each[3478]} {each[3478]} {each[5002]}\n"
        assert {(one.addresses[0].host, one.addresses[0].is_public) for one in seen} == {("127.0.0.1", False)}

    def test_those_of_a_run_that_goes_on_are_given_to_nobody_else(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        before = [running(hosting, script("sleep 1000", ports=[Port(1)]))[1] for _ in range(5)]
        host.kill_runners()
        after = [running(hosting, script("sleep 1000", ports=[Port(1)]))[1] for _ in range(20)]
        ports = [seen.addresses[0].ports[1] for seen in before + after]
        assert len(set(ports)) == 25

    def test_one_that_cannot_be_had_is_told(self, host: ServicesHost) -> None:
        hosting = host.hosting(host="203.0.113.1", give_up_after=1)
        handle = hosting.provision(script("sleep 1000", ports=[Port(1)]))
        assert "no free port on 203.0.113.1" in until(hosting, handle, ServicePhase.FAILED).detail


class TestHealth:
    def test_a_page_that_fails_is_not_ready_and_one_that_works_is_at_once(
        self, host: ServicesHost, tmp_path: Path
    ) -> None:
        status = tmp_path / "status"
        status.write_text("500")
        hosting = host.hosting()
        handle, _ = running(hosting, server(env={"NAME": "one", "STATUS": str(status)}))
        eventually(lambda: "status 500" in now(hosting, handle).detail)
        assert now(hosting, handle).is_healthy is None
        status.write_text("302")
        at = time.monotonic()
        seen = until(hosting, handle, ServicePhase.RUNNING, is_healthy=True)
        assert time.monotonic() - at < 0.5
        assert (seen.restarts, seen.detail) == (0, "")

    def test_one_that_is_not_well_any_more_is_replaced(self, host: ServicesHost, tmp_path: Path) -> None:
        status = tmp_path / "status"
        hosting = host.hosting()
        handle, first = running(hosting, server(env={"NAME": "one", "STATUS": str(status)}), is_healthy=True)
        status.write_text("503")
        eventually(lambda: now(hosting, handle).run != first.run, "a failure twice, a second apart")
        status.unlink()
        seen = until(hosting, handle, ServicePhase.RUNNING, is_healthy=True)
        assert seen.run != first.run
        assert "it was not well: 127.0.0.1" in hosting.explain(handle)
        assert "status 503" in hosting.explain(handle)

    def test_a_port_that_takes_connections_tells_it(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        service = server(health_check=HealthCheck(port=8080))
        assert fetch(running(hosting, service, is_healthy=True)[1]) == "one"

    def test_a_command_sees_what_the_program_sees(self, host: ServicesHost) -> None:
        check = HealthCheck(("/bin/sh", "-c", 'test "$(cat mark)" = "$PORT $TOKEN"'))
        hosting = host.hosting()
        text = 'printf "%s %s" $PORT $TOKEN > mark; sleep 1000'
        service = script(text, ports=[Port(7)], secrets={"TOKEN": "9b7f"}, health_check=check)
        running(hosting, service, is_healthy=True)

    def test_a_command_that_hangs_is_ended(self, host: ServicesHost) -> None:
        check = HealthCheck(("/bin/sleep", "3001"), timeout_seconds=1, interval_seconds=1, retries=1)
        hosting = host.hosting()
        handle, first = running(hosting, script("sleep 1000", health_check=check))
        eventually(lambda: now(hosting, handle).run not in ("", first.run), "another run")
        assert "no answer within 1 s" in hosting.explain(handle)
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        eventually(lambda: not host.processes())

    @pytest.mark.parametrize("answer", ["nonsense\\n", "HTTP/1.1 soon\\r\\n", ""])
    def test_what_is_no_http_is_not_well(self, host: ServicesHost, answer: str) -> None:
        code = (
            "import os, socket; s = socket.create_server(('127.0.0.1', int(os.environ['PORT'])))\n"
            f"while True:\n c, _ = s.accept(); c.recv(999); c.send(b'{answer}'); c.close()"
        )
        hosting = host.hosting()
        service = replace(server(), command=(sys.executable, "-c", code))
        handle, _ = running(hosting, service)
        eventually(lambda: "no answer of HTTP" in now(hosting, handle).detail)


class TestChanging:
    def test_somebody_answers_at_every_moment(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        old = server("old")
        handle, seen = running(hosting, old, is_healthy=True)
        hosting.reconfigure(handle, replace(old, env={"NAME": "new"}))
        answers = [fetch(seen)]
        while answers[-1] == "old" or len(answers) < 50:
            answers.append(fetch(now(hosting, handle)))
        assert set(answers) == {"old", "new"}
        assert answers == sorted(answers, reverse=True), "old, then new for ever"
        eventually(lambda: len(host.processes()) == 1, "the old one to go")

    def test_one_that_is_never_well_does_not_take_the_place(self, host: ServicesHost, tmp_path: Path) -> None:
        (tmp_path / "status").write_text("500")
        hosting = host.hosting(give_up_after=2)
        old = server("old")
        handle, first = running(hosting, old, is_healthy=True)
        bad = replace(old, env={"NAME": "new", "STATUS": str(tmp_path / "status")})
        hosting.reconfigure(handle, bad)
        assert now(hosting, handle).wanted == bad.revision
        seen = until(hosting, handle, ServicePhase.RUNNING, wanted="")
        assert (seen.run, seen.revision, fetch(seen)) == (first.run, old.revision, "old")
        assert "status 500" in seen.detail
        eventually(lambda: len(host.processes()) == 1)
        os.kill(host.processes()[0], signal.SIGKILL)
        eventually(lambda: now(hosting, handle).run not in ("", first.run))
        again = until(hosting, handle, ServicePhase.RUNNING, is_healthy=True)
        assert (again.revision, again.wanted) == (old.revision, ""), "what has been well is started again"

    def test_coming_back_to_the_old_one_ends_the_new_one(self, host: ServicesHost, tmp_path: Path) -> None:
        (tmp_path / "status").write_text("500")
        hosting = host.hosting()
        old = server("old")
        handle, first = running(hosting, old, is_healthy=True)
        hosting.reconfigure(handle, replace(old, env={"NAME": "new", "STATUS": str(tmp_path / "status")}))
        eventually(lambda: len(host.processes()) == 2)
        hosting.reconfigure(handle, old)
        eventually(lambda: len(host.processes()) == 1)
        assert (now(hosting, handle).run, now(hosting, handle).wanted) == (first.run, old.revision)


class TestEndings:
    def test_one_that_is_killed_is_healed_within_a_second(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        handle, first = running(hosting, script("sleep 1000"))
        at = time.monotonic()
        os.kill(host.processes()[0], signal.SIGKILL)
        eventually(lambda: now(hosting, handle).run not in ("", first.run))
        assert time.monotonic() - at < 1.0
        assert now(hosting, handle).restarts == 1
        assert "exit code 137 (ended by SIGKILL) after" in hosting.explain(handle)

    def test_pauses_grow(self, host: ServicesHost) -> None:
        hosting = host.hosting(give_up_after=5)
        handle = hosting.provision(script("date +%s.%N"))
        seen = until(hosting, handle, ServicePhase.FAILED)
        assert (seen.restarts, seen.wanted) == (4, "")
        name = handle.removeprefix("local:")
        starts = [float(hosting.logs(handle, run=f"{name}-{n}").text) for n in range(1, 6)]
        pauses = [later - earlier for earlier, later in itertools.pairwise(starts)]
        for pause, least in zip(pauses, (0.1, 0.2, 0.4, 0.8), strict=True):
            assert least <= pause < least + 0.5
        assert "exit code 0 after 0.0 s" in seen.detail

    def test_what_has_been_ready_is_never_given_up(self, host: ServicesHost) -> None:
        hosting = host.hosting(give_up_after=1)
        check = HealthCheck(("/bin/true",))
        handle = hosting.provision(script("sleep 0.2", health_check=check))
        eventually(lambda: (now(hosting, handle).restarts or 0) >= 3)
        assert now(hosting, handle).phase in (ServicePhase.RUNNING, ServicePhase.PROVISIONING)
        eventually(lambda: "the next start is in" in hosting.explain(handle))

    def test_nobody_is_left_behind(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        handle, _ = running(hosting, script("trap '' TERM; (trap '' TERM; sleep 300) & echo ready; wait; wait"))
        wrote(hosting, handle, "ready")
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        eventually(lambda: not host.processes())

    def test_a_polite_end_is_allowed(self, host: ServicesHost) -> None:
        hosting = host.hosting(grace_seconds=10)
        handle, _ = running(hosting, script("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done"))
        wrote(hosting, handle, "ready")
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        assert hosting.logs(handle).text.endswith("bye\n")


class TestRoom:
    def test_there_is_no_more_than_there_is(self, host: ServicesHost) -> None:
        hosting = host.hosting(memory_mib=1000)
        first, _ = running(hosting, script("sleep 1000", memory_mib=600))
        second = hosting.provision(script("sleep 1000", memory_mib=500))
        seen = until(hosting, second, ServicePhase.PROVISIONING, lacks_room=True)
        assert "600 of 1000 MiB are taken" in seen.detail
        running(hosting, script("sleep 1000", memory_mib=400))
        hosting.retire([first])
        assert not until(hosting, second, ServicePhase.RUNNING).lacks_room

    def test_a_change_needs_no_room_for_both(self, host: ServicesHost) -> None:
        hosting = host.hosting(memory_mib=1000)
        old = script("sleep 1000", memory_mib=600)
        handle, _ = running(hosting, old)
        new = replace(old, memory_mib=900)
        hosting.reconfigure(handle, new)
        until(hosting, handle, ServicePhase.RUNNING, revision=new.revision)
        hosting.reconfigure(handle, replace(old, memory_mib=1100))
        seen = until(hosting, handle, ServicePhase.RUNNING, lacks_room=True)
        assert seen.revision == new.revision

    def test_memory_is_limited(self, host: ServicesHost) -> None:
        code = (
            "import resource as r; print(r.getrlimit(r.RLIMIT_DATA)[0] >> 20, flush=True); import time; time.sleep(99)"
        )
        hosting = host.hosting()
        handle, _ = running(hosting, replace(script("", memory_mib=99), command=(sys.executable, "-c", code)))
        assert wrote(hosting, handle, "\n") == "99\n"


class TestOutput:
    def test_is_cut_in_the_middle(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        handle, _ = running(hosting, script("seq 200000; echo last >&2; sleep 1000"))
        eventually(lambda: "bytes left out" in hosting.logs(handle).text)
        eventually(lambda: hosting.logs(handle, 1_000_000).text.endswith("last\n"))
        (output,) = host.root.glob("*/1/stdout")
        eventually(lambda: output.stat().st_blocks * 512 <= 2 * LOG_CAP_BYTES)
        assert hosting.logs(handle).text.startswith("1\n2\n3\n")

    def test_that_of_the_last_five_runs_is_kept(self, host: ServicesHost) -> None:
        hosting = host.hosting(give_up_after=6)
        handle = hosting.provision(replace(script(""), command=("/no/such/program",)))
        until(hosting, handle, ServicePhase.FAILED)
        name = handle.removeprefix("local:")
        kept = sorted(int(path.name) for path in (host.root / name).iterdir() if path.is_dir())
        assert kept == [2, 3, 4, 5, 6]
        with pytest.raises(NotFound):
            hosting.logs(handle, run=f"{name}-1")
        for run in ("../../x", "6", f"{new_id()}-6"):
            with pytest.raises(NotFound):
                hosting.logs(handle, run=run)
        assert "/no/such/program: No such file" in hosting.logs(handle, run=f"{name}-6").text

    def test_of_the_retired_goes_in_the_end(self, host: ServicesHost) -> None:
        hosting = host.hosting(kept_seconds=-1)
        handle, _ = running(hosting, script("echo words; sleep 1000"))
        wrote(hosting, handle, "words")
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        hosting.leave()
        eventually(lambda: not host.runners())
        other = hosting.provision(script("sleep 1000"))
        until(hosting, other, ServicePhase.RUNNING)
        eventually(lambda: not (host.root / handle.removeprefix("local:")).exists())
        with pytest.raises(NotFound):
            hosting.logs(handle)


class TestFolders:
    def test_are_for_our_user_only_and_hold_no_secret_of_what_is_gone(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        text = "mkdir -p shut/in; touch shut/in/file; chmod 000 shut/in shut; echo ready; sleep 1000"
        handle, _ = running(hosting, script(text, secrets={"TOKEN": "gr5t7"}))
        wrote(hosting, handle, "ready")
        folder = host.root / handle.removeprefix("local:")
        for path in (
            host.root,
            folder,
            folder / "wanted",
            folder / "1" / "plan",
            folder / "1",
            folder / "1" / "stdout",
        ):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        having = [path for path in host.root.rglob("*") if path.is_file() and b"gr5t7" in path.read_bytes()]
        assert having == [folder / "wanted"]
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        eventually(lambda: sorted(path.name for path in host.root.iterdir() if path.is_dir()) == [folder.name])
        assert sorted(path.name for path in folder.rglob("*")) == ["1", "exit", "plan", "started", "stdout"]

    def test_the_supervisor_has_nothing_of_our_environment(
        self, host: ServicesHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DJANGO_SECRET_KEY", "gr5t7")
        running(host.hosting(), script("sleep 1000"))
        assert b"gr5t7" not in Path(f"/proc/{host.runner()}/environ").read_bytes()


@pytest.mark.needs("bubblewrap")
class TestIsolation:
    def test_no_key_and_no_other_service_is_seen(self, host: ServicesHost, tmp_path: Path) -> None:
        (tmp_path / "secret.key").write_text("gr5t7")
        hosting = host.hosting(isolate=True, hidden_paths=[str(tmp_path)])
        other, _ = running(hosting, script("echo words; sleep 1000", secrets={"TOKEN": "gr5t7"}))
        wrote(hosting, other, "words")
        text = f"pwd; cat {tmp_path}/secret.key; ls {host.root}; ls /proc | grep -c '^[0-9]'; echo done; sleep 1000"
        handle, _ = running(hosting, script(text))
        told = wrote(hosting, handle, "done")
        assert told.startswith("/work\n")
        assert "gr5t7" not in told
        assert told.count("No such file") == 2
        assert int(told.splitlines()[-2]) < 8, "processes"

    def test_it_listens_on_this_machine_and_outlives_the_supervisor(self, host: ServicesHost) -> None:
        python = os.path.realpath(sys.executable)
        shown = [] if python.startswith("/usr/bin/") else [sys.base_prefix]
        hosting = host.hosting(isolate=True, readable_paths=shown)
        handle, seen = running(hosting, replace(server(), command=(python, "-c", SERVER)), is_healthy=True)
        host.kill_runners()
        assert fetch(seen) == "one"
        assert until(hosting, handle, ServicePhase.RUNNING, is_healthy=True).run == seen.run
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        eventually(lambda: not host.processes())

    def test_a_polite_end_is_allowed(self, host: ServicesHost) -> None:
        hosting = host.hosting(isolate=True, grace_seconds=10)
        text = "trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
        handle, _ = running(hosting, script(text))
        wrote(hosting, handle, "ready")
        hosting.retire([handle])
        until(hosting, handle, ServicePhase.GONE)
        assert hosting.logs(handle).text.endswith("bye\n")

    def test_what_bubblewrap_leaves_when_it_is_killed_goes_too(self, host: ServicesHost) -> None:
        hosting = host.hosting(isolate=True)
        handle, first = running(hosting, script("echo ready; sleep 1000"))
        wrote(hosting, handle, "ready")
        outer = int(hosting.explain(handle).split("process ")[1].split(",")[0])
        before = set(host.processes())
        os.kill(outer, signal.SIGKILL)
        eventually(lambda: now(hosting, handle).run not in ("", first.run))
        eventually(lambda: not before & set(host.processes()))


class TestRefusals:
    def test_nothing_runs_unisolated_that_may_not(self, host: ServicesHost) -> None:
        hosting = host.hosting(unisolated=False)
        with pytest.raises(Refused, match="install bubblewrap"):
            hosting.provision(script("true"))
        found = {probe.what: probe for probe in hosting.probe()}
        assert found["isolation"].ok is False
        assert host.runners() == []
        assert host.hosting().probe()[0].ok is True

    def test_isolation_that_does_not_work_is_an_error(
        self, host: ServicesHost, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(isolation, "probe", lambda *_: isolation.Probe(False, "not today"))
        hosting = host.hosting(isolate=True)
        with pytest.raises(ProviderError, match="not today"):
            hosting.provision(script("true"))
        assert (hosting.probe()[0].ok, hosting.probe()[0].words) == (False, "not today")

    @pytest.mark.parametrize(
        "wishes",
        [
            {"ports": [Port(70_000)]},
            {"memory_mib": 0},
            {"health_check": HealthCheck(port=1, path="/a b")},
            {"health_check": HealthCheck(port=1, path="/\r\nX: y")},
            {"health_check": HealthCheck(port=1, interval_seconds=0)},
            {"env": {"A": "x" * 500_000}},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, host: ServicesHost, wishes: dict[str, object]) -> None:
        with pytest.raises(Refused):
            host.hosting().provision(script("true", **wishes))
        assert host.runners() == []

    def test_a_folder_that_cannot_be_written_is_probed(self, host: ServicesHost) -> None:
        (host.root / "file").write_text("")
        hosting = LocalHosting(
            host.root / "file" / "x", region="here", memory_mib=1, log_cap_bytes=1, isolate=False, unisolated=True
        )
        assert [probe.ok for probe in hosting.probe()] == [True, False, True]
        with pytest.raises((ProviderError, OSError)):
            hosting.provision(script("true"))

    def test_room_is_probed(self, host: ServicesHost) -> None:
        hosting = host.hosting(memory_mib=1000)
        assert [probe.what for probe in hosting.probe()] == ["isolation", "folder", "room"]
        running(hosting, script("sleep 1000", memory_mib=1000))
        assert (hosting.probe()[2].ok, hosting.probe()[2].words) == (False, "1000 of 1000 MiB are taken by services")
