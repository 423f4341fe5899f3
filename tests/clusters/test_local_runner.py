from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.providers import base
from clusters.providers.base import End, Observation, Phase, Work
from clusters.providers.local import folders, logcap, loop, recovery, sessions
from clusters.providers.local.journal import Journal
from clusters.providers.local.logs import read_page
from clusters.providers.local.provider import LocalProvider
from tests.clusters.local_host import LocalHost, local_host
from tests.clusters.provider_contract import eventually, new_id

MALFORMED = [
    b"nonsense",
    b"[]",
    b"[" * 100_000,
    b"{}",
    b'{"op": "fly"}',
    b'{"op": "run"}',
    b'{"op": "run", "works": [{"id": "../../x", "command": ["true"], "vcpus_milli": 1, "memory_mib": 1}]}',
    b'{"op": "cancel", "ids": [7]}',
    b"\xff\xfe",
]


@pytest.fixture
def host() -> Iterator[LocalHost]:
    with local_host() as host:
        yield host


def script(text: str, **wishes: object) -> Work:
    return Work(new_id(), ["/bin/sh", "-c", text], **{"env": {"PATH": "/usr/bin:/bin"}, **wishes})  # type: ignore[arg-type]


def now(provider: LocalProvider, work: Work) -> Observation | None:
    return next(iter(provider.observe([work.execution_id])), None)


def until(provider: LocalProvider, work: Work, phase: Phase) -> Observation:
    eventually(lambda: (seen := now(provider, work)) and seen.phase is phase, f"{work.command} {phase}")
    seen = now(provider, work)
    assert seen is not None
    return seen


def written(host: LocalHost, work: Work, text: str) -> None:
    path = host.folder(work.execution_id) / "stdout"
    eventually(lambda: path.exists() and text in path.read_text())


def connect(host: LocalHost) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(str(host.root / "runner.sock"))
    return client


def status(host: LocalHost) -> dict[str, int]:
    with connect(host) as client:
        client.sendall(b'{"op": "status"}\n')
        for line in client.makefile():
            if "status" in (answer := json.loads(line)):
                found: dict[str, int] = answer["status"]
                return found
    raise AssertionError("no answer")


def start(host: LocalHost, *arguments: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "clusters.providers.local.runner", f"--root={host.root}"]
    command += ["--vcpus-milli=1000", "--memory-mib=1000", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)


class TestTheProcess:
    def test_a_second_one_goes_at_once(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("sleep 30")
        provider.run([work])
        until(provider, work, Phase.RUNNING)
        second = start(host)
        _, words = second.communicate(timeout=10)
        assert second.returncode == 0
        assert b"another runner holds" in words
        assert host.runner()
        assert until(provider, work, Phase.RUNNING)

    def test_many_starters_get_one_runner(self, host: LocalHost) -> None:
        code = (
            "import sys; from pathlib import Path; from clusters.providers.local.provider import LocalProvider;"
            "p = LocalProvider(Path(sys.argv[1]), vcpus_milli=1000, memory_mib=999, log_cap_bytes=9999, isolate=False);"
            "p.cancel([sys.argv[2]])"
        )
        ids = [new_id() for _ in range(5)]
        starters = [subprocess.Popen([sys.executable, "-c", code, str(host.root), id_]) for id_ in ids]
        assert [starter.wait(20) for starter in starters] == [0] * 5
        assert host.runner()
        provider = host.provider()
        eventually(lambda: len([one for one in provider.observe(ids) if one.end is End.CANCELED]) == 5)

    def test_is_small(self) -> None:
        code = "import sys; import clusters.providers.local.runner as r; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
        unwanted = {"django", "dataclasses", "subprocess", "ctypes", "asyncio", "logging", "clusters.providers.base"}
        assert not unwanted & set(done.stdout.split())

    def test_goes_when_nobody_needs_it(self, host: LocalHost) -> None:
        process = start(host, "--idle-exit-seconds=1")
        eventually(lambda: _listens(host))
        client = connect(host)
        time.sleep(1.3)
        assert process.poll() is None
        client.close()
        assert process.wait(10) == 0
        assert not (host.root / "runner.sock").exists()

    @pytest.mark.parametrize("way", ["leave", "SIGTERM"])
    def test_goes_when_told_after_the_last_has_ended(self, host: LocalHost, way: str) -> None:
        provider, works = host.provider(vcpus_milli=1000), [script("sleep 0.2; echo done") for _ in range(2)]
        provider.run(works)
        until(provider, works[0], Phase.RUNNING)
        pid = host.runner()
        if way == "leave":
            provider.leave()
        else:
            os.kill(pid, signal.SIGTERM)
        eventually(lambda: not host.runners())
        assert [one.exit_code for one in provider.observe([work.execution_id for work in works])] == [0, 0]

    def test_says_what_it_has(self, host: LocalHost) -> None:
        provider, works = host.provider(vcpus_milli=1000), [script("sleep 30", vcpus_milli=600) for _ in range(3)]
        provider.run(works)
        until(provider, works[0], Phase.RUNNING)
        pid = host.runner()
        assert status(host) == {"pid": pid, "running": 1, "waiting": 2, "vcpus_milli_used": 600}

    def test_names_ends_as_the_contract_does(self) -> None:
        source = "".join(Path(module.__file__ or "").read_text() for module in (loop, recovery))
        assert {end.value for end in base.End if end is not End.INTERRUPTED} <= set(source.split('"'))
        assert logcap.STREAMS == base.STREAMS


class TestCommands:
    def test_start_from_a_plain_state(self, host: LocalHost) -> None:
        show = "grep -E 'Sig(Blk|Ign)' /proc/self/status; ls /proc/self/fd; readlink /proc/self/fd/0; ulimit -c"
        provider, work = host.provider(), script(show)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        try:
            provider.run([work])
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        until(provider, work, Phase.ENDED)
        lines = provider.logs(work.execution_id, "stdout").text.splitlines()
        standard = 0x7FFFFFFF  # 32 and 33 are the C library's own
        assert [int(line.split()[1], 16) & standard for line in lines[:2]] == [0, 0]
        assert lines[2:] == ["0", "1", "2", "3", "/dev/null", "0"]  # 3 is the folder that ls reads

    def test_lead_a_session_of_their_own(self, host: LocalHost) -> None:
        provider, work = host.provider(), Work(new_id(), ["/bin/cat", "/proc/self/stat"])
        provider.run([work])
        until(provider, work, Phase.ENDED)
        fields = provider.logs(work.execution_id, "stdout").text.split()
        assert fields[0] == fields[4] == fields[5]

    def test_have_no_more_memory_than_asked_for(self, host: LocalHost) -> None:
        code = "import resource as r; print(r.getrlimit(r.RLIMIT_DATA)); bytearray(99 << 20)"
        work = Work(new_id(), [sys.executable, "-c", code], memory_mib=64)
        provider = host.provider()
        provider.run([work])
        assert until(provider, work, Phase.ENDED).exit_code == 1
        assert provider.logs(work.execution_id, "stdout").text == f"({64 << 20}, {64 << 20})\n"
        assert "MemoryError" in provider.logs(work.execution_id, "stderr").text

    def test_are_found_by_their_own_path(self, host: LocalHost, tmp_path: Path) -> None:
        (tmp_path / "tool").write_text("#!/bin/sh\necho mine\n")
        (tmp_path / "tool").chmod(0o700)
        (tmp_path / "plain").write_text("")
        provider = host.provider()
        env = {"PATH": f".::/nowhere:{tmp_path}"}
        works = [Work(new_id(), [name], env) for name in ("tool", "plain", "sh")]
        works.append(Work(new_id(), ["true"], {}))
        provider.run(works)
        codes = [until(provider, work, Phase.ENDED).exit_code for work in works]
        assert codes == [0, 126, 127, 0]
        assert provider.logs(works[0].execution_id, "stdout").text == "mine\n"

    def test_leave_nobody_behind(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("sleep 300 & sleep 300 & exit 0")
        provider.run([work])
        assert until(provider, work, Phase.ENDED).exit_code == 0
        eventually(lambda: not host.processes())

    def test_when_killed_take_their_session_along(self, host: LocalHost) -> None:
        work = script("set -m; trap '' TERM; (trap '' TERM; sleep 300) & echo ready; wait; wait")
        provider = host.provider()
        provider.run([work])
        written(host, work, "ready")
        provider.cancel([work.execution_id])
        assert until(provider, work, Phase.ENDED).end is End.CANCELED
        eventually(lambda: not host.processes())


class TestTheLine:
    def test_no_more_runs_than_there_is_room_for(self, host: LocalHost, tmp_path: Path) -> None:
        marks = tmp_path / "marks"
        text = f"echo + >> {marks}; sleep 0.05; echo - >> {marks}"
        provider, works = host.provider(vcpus_milli=1000), [script(text, vcpus_milli=300) for _ in range(12)]
        provider.run(works)
        for work in works:
            until(provider, work, Phase.ENDED)
        running, most = 0, 0
        for mark in marks.read_text().split():
            running += 1 if mark == "+" else -1
            most = max(most, running)
        assert most == 3

    def test_memory_is_room_too(self, host: LocalHost) -> None:
        provider, works = host.provider(memory_mib=1000), [script("sleep 30", memory_mib=600) for _ in range(2)]
        provider.run(works)
        until(provider, works[0], Phase.RUNNING)
        assert status(host)["waiting"] == 1

    def test_the_more_urgent_first_then_the_older(self, host: LocalHost, tmp_path: Path) -> None:
        marks = tmp_path / "marks"
        provider, first = host.provider(vcpus_milli=1000), script("sleep 0.3")
        order = [(100, "c"), (100, "d"), (5, "a"), (200, "e"), (50, "b")]
        works = [script(f"printf {letter} >> {marks}", priority=priority) for priority, letter in order]
        provider.run([first])
        provider.run(works)
        for work in works:
            until(provider, work, Phase.ENDED)
        assert marks.read_text() == "abcde"

    def test_a_big_one_is_not_overtaken(self, host: LocalHost, tmp_path: Path) -> None:
        marks = tmp_path / "marks"
        provider = host.provider(vcpus_milli=1000)
        first, big = script("sleep 0.3", vcpus_milli=600), script(f"printf big >> {marks}", vcpus_milli=5000)
        small = script(f"printf small >> {marks}", vcpus_milli=100)
        provider.run([first, big, small])
        until(provider, small, Phase.ENDED)
        assert marks.read_text() == "bigsmall"

    def test_a_canceled_one_makes_way(self, host: LocalHost) -> None:
        provider = host.provider(vcpus_milli=1000)
        first, waits, last = script("sleep 30"), script("echo ran"), script("echo ran")
        provider.run([first, waits, last])
        until(provider, first, Phase.RUNNING)
        provider.cancel([waits.execution_id, first.execution_id])
        until(provider, last, Phase.ENDED)
        seen = until(provider, waits, Phase.ENDED)
        assert (seen.end, seen.started_at) == (End.CANCELED, None)
        assert provider.logs(waits.execution_id, "stdout").text == ""


class TestClients:
    def test_a_malformed_line_ends_its_client_only(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("sleep 30")
        provider.run([work])
        until(provider, work, Phase.RUNNING)
        for line in MALFORMED:
            with connect(host) as client:
                client.sendall(line + b"\n")
                assert _hangs_up(client), line
        assert status(host)["running"] == 1
        assert provider.fileno() >= 0

    def test_numbers_out_of_reason_are_malformed(self, host: LocalHost) -> None:
        provider = host.provider()
        provider.cancel([new_id()])
        for name in ("vcpus_milli", "memory_mib", "timeout_seconds", "priority"):
            wish = {"id": new_id(), "command": ["true"], "vcpus_milli": 1, "memory_mib": 1, name: 10**30}
            with connect(host) as client:
                client.sendall(json.dumps({"op": "run", "works": [wish]}).encode() + b"\n")
                assert _hangs_up(client), name
        assert status(host)["running"] == 0

    def test_one_that_does_not_read_is_dropped(self, host: LocalHost) -> None:
        provider = host.provider()
        provider.cancel([new_id()])
        asked = b'{"op": "status"}\n' * 100_000
        with connect(host) as deaf, pytest.raises((BrokenPipeError, ConnectionResetError)):
            deaf.sendall(asked)
        assert status(host)["running"] == 0

    def test_what_was_said_before_hanging_up_is_heard(self, host: LocalHost) -> None:
        provider, ids = host.provider(), [new_id() for _ in range(3)]
        provider.cancel([new_id()])
        pid = host.runner()
        os.kill(pid, signal.SIGSTOP)
        for id_ in ids:
            with connect(host) as client:
                client.sendall(json.dumps({"op": "cancel", "ids": [id_]}).encode() + b"\n")
        os.kill(pid, signal.SIGCONT)
        eventually(lambda: len([one for one in provider.observe(ids) if one.end is End.CANCELED]) == 3)

    def test_a_message_may_come_in_pieces(self, host: LocalHost) -> None:
        provider, work = host.provider(), new_id()
        provider.cancel([new_id()])
        wish = {"id": work, "command": ["/bin/true"], "vcpus_milli": 1, "memory_mib": 64}
        line = json.dumps({"op": "run", "works": [wish]}).encode() + b"\n"
        with connect(host) as client:
            for at in range(0, len(line), 40):
                client.sendall(line[at : at + 40])
                time.sleep(0.002)
            eventually(lambda: [one for one in provider.observe([work]) if one.phase is Phase.ENDED])


def _listens(host: LocalHost) -> bool:
    try:
        connect(host).close()
    except OSError:
        return False
    return True


def _hangs_up(client: socket.socket) -> bool:
    try:
        while client.recv(4096):
            pass
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


class TestAfterAKill:
    def test_what_was_running_is_ended_then_lost(self, host: LocalHost, tmp_path: Path) -> None:
        beats = tmp_path / "beats"
        work = script(f"trap '' TERM HUP; echo $$; while :; do echo >> {beats}; sleep 0.02; done")
        provider = host.provider()
        provider.run([work])
        written(host, work, "\n")
        pid = int((host.folder(work.execution_id) / "stdout").read_text())
        host.kill_runners()
        os.kill(pid, 0)  # it outlives its runner
        seen = until(provider, work, Phase.ENDED)
        count = beats.stat().st_size
        assert (seen.end, seen.exit_code, seen.started_at is not None) == (End.LOST, None, True)
        assert not host.processes()
        time.sleep(0.1)
        assert beats.stat().st_size == count
        provider.run([work])
        assert until(provider, work, Phase.ENDED) == seen

    def test_members_of_a_session_without_its_leader_are_ended(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("(sleep 300) & echo ready; sleep 300")
        provider.run([work])
        written(host, work, "ready")
        host.kill_runners()
        record = json.loads((host.folder(work.execution_id) / "started").read_text())
        os.kill(record["pid"], signal.SIGKILL)
        eventually(lambda: record["pid"] not in host.processes())
        assert host.processes()
        assert until(provider, work, Phase.ENDED).end is End.LOST
        assert not host.processes()

    def test_a_process_that_was_not_noted_yet_is_found_by_its_folder(self, host: LocalHost) -> None:
        provider, work = host.provider(), script("echo ready; sleep 300")
        provider.run([work])
        written(host, work, "ready")
        host.kill_runners()
        (host.folder(work.execution_id) / "started").write_text("")
        assert until(provider, work, Phase.ENDED).end is End.LOST
        assert not host.processes()

    def test_a_later_process_of_the_same_number_is_left_alone(self, host: LocalHost) -> None:
        innocent = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
        try:
            boot = sessions.boot_id()
            recent = time.clock_gettime(time.CLOCK_BOOTTIME)
            for record in (
                {"pid": innocent.pid, "boot_seconds": recent - 60, "boot": boot},
                {"pid": innocent.pid, "boot_seconds": recent, "boot": "another"},
            ):
                assert sessions.end_orphans({f"{host.root}/executions/00/x": record}, boot) == set()  # type: ignore[dict-item]
            assert innocent.poll() is None
        finally:
            innocent.kill()
            innocent.wait()

    def test_one_that_ended_is_not_lost(self, host: LocalHost) -> None:
        provider, work, other = host.provider(), script("exit 3"), script("true")
        provider.run([work])
        seen = until(provider, work, Phase.ENDED)
        host.kill_runners()
        provider.run([other])
        until(provider, other, Phase.ENDED)
        assert now(provider, work) == seen

    def test_after_a_reboot_the_journal_is_not_believed(self, host: LocalHost) -> None:
        folders.make_root(str(host.root))
        execution_id = new_id()
        folder = host.folder(execution_id)
        folder.mkdir(parents=True)
        (folder / "exit").write_text("")  # as a power cut may leave it
        (folder / "started").write_text(
            json.dumps({"pid": 1, "boot_seconds": 5.0, "boot": "before", "started": 5.0, "node": "n"})
        )
        (host.root / "journal").write_text("before\n")
        provider = host.provider()
        seen = until(provider, Work(execution_id, []), Phase.ENDED)
        assert seen.end is End.LOST

    def test_kills_again_and_again_run_nothing_twice(self, host: LocalHost, tmp_path: Path) -> None:
        marks = tmp_path / "marks"
        provider = host.provider(vcpus_milli=4000)
        works = [script(f"echo {number} >> {marks}") for number in range(60)]
        ids = {work.execution_id: work for work in works}
        deadline, kills = time.monotonic() + 30, 0
        while len(over := [one for one in provider.observe(list(ids)) if one.phase is Phase.ENDED]) < len(works):
            known = {one.execution_id for one in provider.observe(list(ids))}
            provider.run([work for id_, work in ids.items() if id_ not in known])
            if kills < 5:
                time.sleep(0.01)
                host.kill_runners()
                kills += 1
            assert time.monotonic() < deadline
        ran = marks.read_text().split()
        assert len(ran) == len(set(ran))
        exited = [one for one in over if one.end is End.EXITED]
        assert len(exited) <= len(ran) <= len(works)
        assert {one.end for one in over} <= {End.EXITED, End.LOST}


class TestJournal:
    def test_knows_what_is_in_hand(self, tmp_path: Path) -> None:
        one, two, three = new_id(), new_id(), new_id()
        journal = Journal(str(tmp_path), "boot")
        assert journal.read() is None
        journal.rewrite([one])
        journal.accepted([two, three])
        journal.ended([one, two])
        assert Journal(str(tmp_path), "boot").read() == {three}
        assert Journal(str(tmp_path), "later").read() is None

    def test_reads_past_a_torn_line(self, tmp_path: Path) -> None:
        one = new_id()
        (tmp_path / "journal").write_text(f"boot\n+{one}\n+{one[:9]}")
        assert Journal(str(tmp_path), "boot").read() == {one}


class TestLogCap:
    def test_a_long_running_command_is_cut_while_it_runs(self, host: LocalHost) -> None:
        work = script("i=0; while :; do echo $i; i=$((i+1)); done")
        provider = host.provider()
        provider.run([work])
        cut = host.folder(work.execution_id) / "stdout.cut"
        eventually(lambda: cut.exists() and json.loads(cut.read_text())[1] > 2 << 20)
        output = host.folder(work.execution_id) / "stdout"
        eventually(lambda: output.stat().st_blocks * 512 < output.stat().st_size - (1 << 20))
        page = provider.logs(work.execution_id, "stdout", 100_000)
        assert page.text.startswith("[… ")
        assert page.next_after > 2 << 20
        provider.cancel([work.execution_id])
        until(provider, work, Phase.ENDED)
        assert output.stat().st_blocks * 512 <= (64 << 10) + (16 << 10)

    @pytest.mark.parametrize("punches", [True, False])
    def test_head_and_tail_are_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, punches: bool) -> None:
        if not punches:
            monkeypatch.setattr(logcap, "_punch", lambda *_: False)
        head, path, cut = b"h" * 8191 + b"\n", tmp_path / "stdout", None
        path.write_bytes(head)
        for _ in range(3):
            with path.open("ab") as file:
                file.write(b"m" * 50_000)
            cut = logcap.trim(str(tmp_path), "stdout", 16384, 0, cut)
        with path.open("ab") as file:
            file.write(b"\nthe end\n")
        total = 8192 + 150_000 + 9
        text, after = "", 0
        while (page := read_page(str(tmp_path), "stdout", after, 5000)).text:
            text, after = text + page.text, page.next_after
        assert after == total
        assert text.startswith(head.decode() + "[… ")
        assert text.endswith("\nthe end\n")
        assert text.count("left out") == 1
        assert len(text) < 20_000

    @pytest.mark.parametrize("more", [1, 4095, 4096, 5000])
    def test_a_little_too_long_it_keeps_its_tail(self, tmp_path: Path, more: int) -> None:
        text = b"h" * 16384 + b"t" * more
        (tmp_path / "stdout").write_bytes(text)
        cut = logcap.trim(str(tmp_path), "stdout", 16384, 0, None)
        assert (cut is None) is (more < 4096)
        (tmp_path / "exit").write_text("{}")
        assert read_page(str(tmp_path), "stdout", 16384, 10_000).text == "t" * more

    def test_short_output_is_not_cut(self, tmp_path: Path) -> None:
        (tmp_path / "stdout").write_bytes(b"x" * 1000)
        assert logcap.trim(str(tmp_path), "stdout", 1000, 0, None) is None
        assert logcap.trim(str(tmp_path), "stderr", 1000, 0, None) is None
