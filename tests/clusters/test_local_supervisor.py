"""The supervisor of services on this machine: what it leaves to the next one, what it costs, and its parts."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clusters.providers.errors import NotFound, NotYet, ProviderError
from clusters.providers.hosting import HealthCheck, Hosting, Port, Service, ServiceObservation, ServicePhase
from clusters.providers.local import folders
from clusters.providers.local.hosting import files, health, service, wishes
from clusters.providers.local.hosting.alarms import Alarms
from clusters.providers.local.hosting.room import Room
from clusters.providers.local.hosting.runs import Run
from tests.clusters.provider_contract import eventually, new_id
from tests.clusters.services_host import ServicesHost, services_host

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

MANY = 2000


@pytest.fixture
def host() -> Iterator[ServicesHost]:
    with services_host() as host:
        yield host


def script(text: str = "exec sleep 1000", **wishes: object) -> Service:
    fixed: dict[str, object] = {"image": "busybox", "env": {"PATH": "/usr/bin:/bin"}, "memory_mib": 512}
    return Service(new_id(), command=("/bin/sh", "-c", text), **{**fixed, **wishes})  # type: ignore[arg-type]


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


def pid_of(hosting: Hosting, handle: str) -> int:
    return int(hosting.explain(handle).split("process ")[1].split(",")[0])


def proven(host: ServicesHost, handle: str) -> None:
    """It has been ready, and that is noted."""
    path = host.root / handle.removeprefix("local:") / files.WANTED
    eventually(lambda: json.loads(path.read_text())["is_proven"])


class TestAfterAKill:
    def test_what_runs_goes_on_and_is_looked_after_again(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        handles = [running(hosting, script(ports=[Port(1)], health_check=HealthCheck(("true",))))[0] for _ in range(4)]
        before = [until(hosting, handle, ServicePhase.RUNNING, is_healthy=True) for handle in handles]
        pids = [pid_of(hosting, handle) for handle in handles]
        old = host.runner()
        host.kill_runners()
        assert set(pids) <= set(host.processes())
        after = [until(hosting, handle, ServicePhase.RUNNING, is_healthy=True) for handle in handles]
        assert host.runner() != old
        assert [replace(seen, started_at=None) for seen in after] == [replace(one, started_at=None) for one in before]
        assert [pid_of(hosting, handle) for handle in handles] == pids
        os.kill(pids[0], signal.SIGKILL)
        at = time.monotonic()
        eventually(lambda: now(hosting, handles[0]).run not in ("", before[0].run))
        assert time.monotonic() - at < 1.0
        assert now(hosting, handles[0]).restarts == 1
        assert "exit code that nobody saw" in hosting.explain(handles[0])
        hosting.retire(handles)
        eventually(lambda: not host.processes())

    def test_what_ended_meanwhile_is_started_again(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        handle, before = running(hosting, script("(trap '' HUP; sleep 1000) & echo ready; sleep 1000"))
        eventually(lambda: hosting.logs(handle).text)
        members = set(host.processes())
        leader = pid_of(hosting, handle)
        host.kill_runners()
        os.kill(leader, signal.SIGKILL)
        eventually(lambda: leader not in host.processes())
        seen = until(hosting, handle, ServicePhase.RUNNING)
        assert seen.run != before.run
        assert not members & set(host.processes()), "nothing of the old run is left"
        assert hosting.logs(handle, run=before.run).ended

    def test_a_change_that_was_under_way_goes_on(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        mark = host.root / "mark"
        old = script(health_check=HealthCheck(("true",)))
        handle, before = running(hosting, old, is_healthy=True)
        proven(host, handle)
        new = replace(old, health_check=HealthCheck(("test", "-e", str(mark))))
        hosting.reconfigure(handle, new)
        eventually(lambda: len(host.alive()) == 2)
        both = host.alive()
        host.kill_runners()
        seen = now(hosting, handle)
        assert (seen.run, seen.revision, seen.wanted) == (before.run, old.revision, new.revision)
        assert both == host.alive()
        mark.write_text("")
        until(hosting, handle, ServicePhase.RUNNING, revision=new.revision, is_healthy=True)
        eventually(lambda: len(host.alive()) == 1)
        assert host.alive() < both

    def test_a_retirement_goes_on(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        handle, _ = running(hosting, script("trap '' TERM; echo ready; while :; do sleep 0.1; done"))
        eventually(lambda: hosting.logs(handle).text)
        hosting.retire([handle])
        host.kill_runners()
        assert now(hosting, handle).phase in (ServicePhase.STOPPING, ServicePhase.GONE)
        assert hosting.standing() == {}
        until(hosting, handle, ServicePhase.GONE)
        eventually(lambda: not host.processes())

    def test_what_has_been_given_up_stays_so(self, host: ServicesHost) -> None:
        hosting = host.hosting(give_up_after=1)
        handle = hosting.provision(replace(script(), command=("/no/such/program",)))
        before = until(hosting, handle, ServicePhase.FAILED)
        host.kill_runners()
        assert now(hosting, handle) == before

    def test_when_told_to_go_it_leaves_all_running(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        handle, before = running(hosting, script())
        pids = host.processes()
        for way in (hosting.leave, lambda: os.kill(host.runner(), signal.SIGTERM)):
            way()
            eventually(lambda: not host.runners())
            assert host.processes() == pids
            assert now(hosting, handle).run == before.run

    def test_after_a_reboot_all_that_was_wanted_is_started(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        handles = [running(hosting, script())[0] for _ in range(3)]
        before = [now(hosting, handle).run for handle in handles]
        host.kill_runners()
        for pid in host.processes():
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: not host.processes())
        for started in host.root.glob("*/*/started"):
            started.write_text(json.dumps({**json.loads(started.read_text()), "boot": "another", "pid": os.getpid()}))
        assert len(hosting.standing()) == 3
        for handle, run in zip(handles, before, strict=True):
            assert until(hosting, handle, ServicePhase.RUNNING).run != run

    def test_nothing_is_lost_or_doubled_whenever_it_is_killed(self, host: ServicesHost) -> None:
        chance, hosting = random.Random(20261129), host.hosting()
        wished: dict[str, Service] = {}
        for number in range(20):
            for _ in range(2):
                wish = script(ports=[Port(1)])
                _insist(lambda wish=wish: hosting.provision(wish))
                wished[f"local:{wish.name}"] = wish
            handle = chance.choice([*wished])
            changed = replace(wished[handle], command=("/bin/sh", "-c", f"sleep {2000 + number}"))
            _insist(lambda handle=handle, changed=changed: hosting.reconfigure(handle, changed))
            wished[handle] = changed
            gone = chance.choice([*wished])
            _insist(lambda gone=gone: hosting.retire([gone]))
            del wished[gone]
            time.sleep(chance.uniform(0.0, 0.06))  # the moment of the kill is chosen, nothing is waited for
            for pid in host.runners():
                os.kill(pid, signal.SIGKILL)
        assert set(hosting.standing()) == set(wished)
        for handle, wish in wished.items():
            until(hosting, handle, ServicePhase.RUNNING, revision=wish.revision, wanted=wish.revision)
        leaders = {pid_of(hosting, handle) for handle in wished}
        eventually(lambda: set(_leaders(host)) == leaders, "one process for each")
        ports = [seen.addresses[0].ports[1] for seen in hosting.observe([*wished])]
        assert len(set(ports)) == len(wished)
        hosting.retire([*wished])
        eventually(lambda: not host.processes())


def _insist(act: object) -> None:
    """Do it again until it is known to be done."""

    def done() -> bool:
        try:
            act()  # type: ignore[operator]
        except (NotFound, NotYet):
            raise
        except ProviderError:
            return False
        return True

    eventually(done)


def _leaders(host: ServicesHost) -> list[int]:
    return [pid for pid in host.processes() if os.getsid(pid) == pid]


class TestCosts:
    def test_many_that_have_nothing_to_do_cost_little(self, host: ServicesHost) -> None:
        """None of them has room, so that no processes are needed to have so many."""
        hosting = host.hosting(memory_mib=1)
        first = hosting.provision(script())
        text = (host.root / first.removeprefix("local:") / files.WANTED).read_text()
        hosting.leave()
        eventually(lambda: not host.runners())
        handles = [first]
        for _ in range(MANY - 1):
            name = new_id()
            (host.root / name).mkdir(0o700)
            (host.root / name / files.WANTED).write_text(text)
            handles.append(f"local:{name}")
        eventually(lambda: len([one for one in hosting.observe(handles) if one.lacks_room]) == MANY)
        pid = host.runner()
        before = time.process_time(), _cpu_seconds(pid)
        found = hosting.observe(handles)
        ours, its = time.process_time() - before[0], _cpu_seconds(pid) - before[1]
        assert {seen.phase for seen in found} == {ServicePhase.PROVISIONING}
        assert ours + its < 0.3
        assert len(hosting.standing()) == MANY

    def test_nobody_is_started_to_say_that_nothing_is_wanted(self, host: ServicesHost) -> None:
        hosting, handle = host.hosting(), f"local:{new_id()}"
        assert now(hosting, handle).phase is ServicePhase.GONE
        assert hosting.standing() == {}
        assert hosting.explain(handle) == ""
        hosting.retire([handle])
        assert [probe.ok for probe in hosting.probe()] == [True, True, True]
        assert host.runners() == []

    def test_it_goes_when_nothing_is_wanted_only(self, host: ServicesHost) -> None:
        hosting = host.hosting(idle_exit_seconds=0.2)
        handle, _ = running(hosting, script())
        pid = host.runner()
        hosting.close()
        time.sleep(0.5)  # that it does not go can only be seen by waiting
        assert host.runners() == [pid]
        hosting.retire([handle])
        hosting.close()
        eventually(lambda: not host.runners())
        assert not (host.root / folders.SOCKET).exists()

    def test_it_is_small(self) -> None:
        import subprocess
        import sys

        code = "import sys; import clusters.providers.local.hosting.supervisor as r; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
        unwanted = {"django", "dataclasses", "subprocess", "ctypes", "asyncio", "logging", "clusters.providers.base"}
        assert not unwanted & set(done.stdout.split())


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class TestParts:
    def test_pauses_double_up_to_half_a_minute_and_begin_anew_after_a_good_one(self) -> None:
        seat = service.Seat(wishes.wish({"revision": "1", "command": [], "memory_mib": 1}))
        pauses = []
        for lived in (*[0.0] * 11, 61.0, 0.0):
            seat.run = _run()
            seat.run.is_ready, seat.run.ready_at = lived > 0, 1000.0 - lived
            seat.vacate(1000.0)
            pauses.append(seat.start_at - 1000.0)
        assert [round(pause, 1) for pause in pauses[:9]] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6]
        assert [round(pause, 1) for pause in pauses[9:]] == [30.0, 30.0, 0.1, 0.2]
        assert seat.unready == 1

    @pytest.mark.parametrize(("start_seconds", "interval_seconds", "ends_at"), [(0, 10, 30), (60, 10, 80), (0, 1, 3)])
    def test_failures_count_by_the_interval_and_after_the_start(
        self, start_seconds: int, interval_seconds: int, ends_at: int
    ) -> None:
        check = wishes.Check(["x"], None, "", interval_seconds, 5, 3, start_seconds)
        checker, at = health.Checker(check, lambda: _Told(False), 0.0), 0.0
        while checker.is_well is None:
            at = checker.look(at)
        assert ends_at <= at - health.QUICK_SECONDS <= ends_at + 0.5

    def test_one_that_was_well_has_its_retries(self) -> None:
        check = wishes.Check(["x"], None, "", 10, 5, 3, 1000)
        told, at, asked = [True, False, False, True, False, False, False], 0.0, []

        def begin() -> health.Attempt:
            asked.append(at)
            return _Told(told[len(asked) - 1])

        checker = health.Checker(check, begin, 0.0)
        while checker.is_well is not False:
            at = checker.look(at)
        assert asked == [0, 10, 20, 30, 40, 50, 60]

    def test_an_alarm_that_is_moved_rings_once(self) -> None:
        alarms = Alarms()
        for at in (5.0, 3.0, 8.0):
            alarms.set("a", at)
        alarms.set("b", 4.0)
        alarms.set("c", 1.0)
        alarms.set("c", float("inf"))
        assert [alarms.due(at) for at in (2.0, 7.0, 9.0, 10.0)] == [[], ["b"], ["a"], []]
        for at in range(10_000):
            alarms.set("a", 20.0 + at)
        assert alarms.due(10_018.0) == []
        assert alarms.due(10_019.0) == ["a"]
        assert alarms.next() == float("inf")

    def test_room_is_offered_to_who_waited_longest(self) -> None:
        offered: list[list[str]] = []
        room = Room(100, offered.append)
        assert room.take("a", 80)
        assert not room.take("b", 50)
        assert not room.take("c", 30)
        assert room.take("a", 60)
        assert room.take("c", 30)
        assert not room.take("a", 80)
        room.give_back("a")
        assert offered == [["b", "c"], ["b"]]
        assert room.take("b", 50)
        assert room.used_mib == 80

    def test_a_record_that_is_none_is_left_for_somebody_to_look_at(self, host: ServicesHost) -> None:
        hosting = host.hosting()
        broken = host.root / new_id()
        broken.mkdir()
        (broken / files.WANTED).write_text('{"since": 1}')
        handle, _ = running(hosting, script())
        assert set(hosting.standing()) == {handle}
        assert (broken / files.WANTED).exists()
        assert "cannot be read" in (host.root / folders.LOG).read_text()


class _Told(health.Attempt):
    def __init__(self, is_well: bool) -> None:
        super().__init__(lambda: None)
        self.outcome = health.Outcome(is_well, "" if is_well else "no")


def _run() -> Run:
    from clusters.providers.local.line import Work

    work = Work("", {"id": new_id(), "command": [], "vcpus_milli": 0, "memory_mib": 0})
    run = Run(1, work, files.Plan("1", "127.0.0.1", {}, 0, False), lambda: None)
    run.ended = "exit code 0"
    return run
