from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.providers.base import End, Phase, Work
from clusters.providers.local import isolation, sessions
from clusters.providers.local.provider import LocalProvider
from tests.clusters.local_host import LocalHost, local_host
from tests.clusters.provider_contract import eventually, new_id

PATH = "/usr/bin:/bin"
NAP_SECONDS = 1000 + os.getpid()  # tells our sleepers from those of another run of the tests


@pytest.fixture(scope="module")
def secrets() -> Iterator[Path]:
    """A data directory, outside of everything that is shown."""
    with tempfile.TemporaryDirectory(prefix="data-") as folder:
        for name in ("secret.key", "db.sqlite3"):
            (Path(folder) / name).write_text("gr5t7")
        yield Path(folder)


@pytest.fixture(scope="module")
def shown() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="shown-") as folder:
        path = Path(folder)
        (path / "input").write_text("for everybody")
        (path / "hidden").mkdir()
        (path / "hidden" / "secret.key").write_text("gr5t7")
        (path / "hidden" / "but-this").mkdir()
        (path / "hidden" / "but-this" / "file").write_text("seen")
        (path / "settings.key").write_text("gr5t7")
        yield path


@pytest.fixture(scope="module")
def host() -> Iterator[LocalHost]:
    with local_host() as host:
        yield host


@pytest.fixture(scope="module")
def provider(host: LocalHost, shown: Path) -> LocalProvider:
    return host.provider(
        isolate=True,
        readable_paths=[str(shown), str(shown / "hidden" / "but-this")],
        hidden_paths=[str(shown / "hidden"), str(shown / "settings.key")],
    )


def script(text: str, **env: str) -> Work:
    return Work(new_id(), ["/bin/sh", "-c", text], {"PATH": PATH, **env})


def run(provider: LocalProvider, work: Work) -> tuple[int | None, str, str]:
    """Exit code, output and errors."""
    provider.run([work])
    eventually(lambda: [one for one in provider.observe([work.execution_id]) if one.phase is Phase.ENDED])
    (seen,) = provider.observe([work.execution_id])
    out, err = (provider.logs(work.execution_id, stream).text for stream in ("stdout", "stderr"))
    return seen.exit_code, out, err


@pytest.mark.needs("bubblewrap")
class TestFromInside:
    def test_keys_and_database_are_not_there(self, provider: LocalProvider, secrets: Path) -> None:
        for name in ("secret.key", "db.sqlite3"):
            code, out, err = run(provider, script(f"cat {secrets / name}"))
            assert (code, out) == (1, "")
            assert "No such file" in err

    def test_another_ones_folder_is_not_there(self, provider: LocalProvider, host: LocalHost) -> None:
        other = script("echo gr5t7; echo gr5t7 > kept")
        run(provider, other)
        folder = host.folder(other.execution_id)
        assert (folder / "work" / "kept").read_text() == "gr5t7\n"
        code, out, _ = run(provider, script(f"cat {folder}/stdout {folder}/work/kept; ls {host.root}"))
        assert (code, out) == (2, "")

    def test_its_own_records_are_not_there(self, provider: LocalProvider, host: LocalHost) -> None:
        code, out, _ = run(provider, script("ls ..; touch ../exit || touch /exit"))
        assert code == 1
        assert "started" not in out

    def test_no_process_outside_is_seen(self, provider: LocalProvider) -> None:
        _, out, _ = run(
            provider, script("cat /proc/[0-9]*/environ | tr '\\000' '\\n' | sort -u; ls -d /proc/[0-9]*", A="1")
        )
        lines = out.splitlines()
        assert {line for line in lines if "=" in line} <= {"A=1", f"PATH={PATH}", "PWD=/work"}
        assert len([line for line in lines if line.startswith("/proc/")]) <= 4, out
        code, _, _ = run(provider, script(f"kill -0 {os.getpid()} || cat /proc/{os.getpid()}/environ"))
        assert code == 1

    def test_our_sources_and_home_are_not_there(self, provider: LocalProvider) -> None:
        project = Path(isolation.__file__).parents[3]
        code, out, _ = run(provider, script(f"ls {project} {Path.home()} /var /run /sys /srv /root"))
        assert (code, out) == (2, "")

    def test_the_runner_cannot_be_reached(self, provider: LocalProvider, host: LocalHost) -> None:
        code, _, _ = run(provider, script(f"test -e {host.root}/runner.sock"))
        assert code == 1

    def test_nothing_of_the_system_can_be_written(self, provider: LocalProvider) -> None:
        for path in (
            "/usr/x",
            "/etc/x",
            "/x",
            "/dev/x",
            "/etc/passwd",
            "/proc/sys/vm/swappiness",
            "/proc/sysrq-trigger",
        ):
            code, _, err = run(provider, script(f"exec 9>>{path}"))
            assert code != 0, path
            assert err

    def test_private_keys_of_the_system_are_not_shown(self, provider: LocalProvider) -> None:
        code, out, _ = run(provider, script("cat /etc/shadow; ls /etc/ssl/private"))
        assert (code != 0, out) == (True, "")

    def test_it_has_no_capability(self, provider: LocalProvider) -> None:
        _, out, _ = run(provider, script("grep -E 'Cap(Eff|Prm|Bnd|Inh|Amb)|NoNewPrivs' /proc/self/status"))
        assert [line.split()[1] for line in out.splitlines()] == [*["0" * 16] * 5, "1"]

    def test_its_own_folder_is_its_own(self, provider: LocalProvider, host: LocalHost) -> None:
        work = script("pwd; echo kept > file; echo gone > /tmp/file; cat /tmp/file; echo shm > /dev/shm/file; ls")
        code, out, err = run(provider, work)
        assert (code, err) == (0, "")
        assert out == "/work\ngone\nfile\n"
        assert (host.folder(work.execution_id) / "work" / "file").read_text() == "kept\n"

    def test_common_programs_work(self, provider: LocalProvider) -> None:
        code, out, err = run(provider, script("id -un; date; getent hosts localhost; echo $((6*7))"))
        assert (code, err) == (0, "")
        assert out.endswith("42\n")

    def test_readable_paths_are_read_only_and_hidden_ones_covered(self, provider: LocalProvider, shown: Path) -> None:
        assert run(provider, script(f"cat {shown}/input"))[:2] == (0, "for everybody")
        assert run(provider, script(f"cat {shown}/hidden/but-this/file"))[:2] == (0, "seen")
        assert run(provider, script(f"cat {shown}/settings.key; ls {shown}/hidden"))[:2] == (0, "but-this\n")
        for path in (shown / "input", shown / "x", shown / "hidden" / "x", shown / "hidden" / "but-this" / "x"):
            assert run(provider, script(f"exec 9>>{path}"))[0] != 0
        assert (shown / "settings.key").read_text() == "gr5t7"

    def test_without_a_network_it_does_not_reach_this_machine(self, provider: LocalProvider) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            connect = f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]} && echo reached"
            for network, reached in ((True, "reached\n"), (False, "")):
                work = Work(new_id(), ["/bin/bash", "-c", connect], {"PATH": PATH}, network=network)
                assert run(provider, work)[1] == reached

    def test_what_is_in_memory_is_bounded(self, provider: LocalProvider) -> None:
        for path in ("/tmp/big", "/dev/shm/big"):
            work = Work(new_id(), ["/bin/sh", "-c", f"head -c 90M /dev/zero > {path}"], {"PATH": PATH}, memory_mib=64)
            code, _, err = run(provider, work)
            assert code != 0
            assert "No space left" in err

    def test_memory_is_limited(self, provider: LocalProvider) -> None:
        work = Work(new_id(), ["/bin/sh", "-c", "ulimit -d; ulimit -Hd"], {"PATH": PATH}, memory_mib=600)
        _, out, _ = run(provider, work)
        assert out.split()[0] == str(600 << 10)


@pytest.mark.needs("bubblewrap")
class TestFromOutside:
    def test_nothing_outlives_bubblewrap(self, provider: LocalProvider, host: LocalHost) -> None:
        work = script(
            f"(setsid sleep {NAP_SECONDS} &) ; (trap '' TERM; sleep {NAP_SECONDS}) & echo ready; sleep {NAP_SECONDS}"
        )
        provider.run([work])
        path = host.folder(work.execution_id) / "stdout"
        eventually(lambda: path.exists() and path.read_text() == "ready\n")
        eventually(lambda: sleepers() == 3)
        os.kill(json.loads((path.parent / "started").read_text())["pid"], 9)
        eventually(lambda: sleepers() == 0)

    def test_nothing_outlives_the_runner(self, host: LocalHost) -> None:
        with local_host() as other:
            provider, work = (
                other.provider(isolate=True),
                script(f"setsid sleep {NAP_SECONDS} & echo ready; sleep {NAP_SECONDS}"),
            )
            provider.run([work])
            path = other.folder(work.execution_id) / "stdout"
            eventually(lambda: path.exists() and path.read_text() == "ready\n")
            other.kill_runners()
            eventually(lambda: sleepers() == 0)
            eventually(lambda: [one for one in provider.observe([work.execution_id]) if one.end is End.LOST])

    def test_the_environment_is_not_on_a_command_line(self, provider: LocalProvider, host: LocalHost) -> None:
        work = script(f"echo ready; exec sleep {NAP_SECONDS}", A="gr5t7")
        provider.run([work])
        path = host.folder(work.execution_id) / "stdout"
        eventually(lambda: path.exists() and path.read_text() == "ready\n")
        assert not [line for line in command_lines() if b"gr5t7" in line]
        provider.cancel([work.execution_id])
        eventually(lambda: sleepers() == 0)

    def test_bubblewrap_does_not_obey_the_job(self, provider: LocalProvider, host: LocalHost) -> None:
        """Code one job left on the disk must not run outside as the loader's preload of another."""
        source = '__attribute__((constructor)) void f(void){__builtin_printf("loaded %d\\n", getpid());}'
        first = script("true")
        run(provider, first)
        library = host.folder(first.execution_id) / "work" / "evil.so"
        built = subprocess.run(
            ["/usr/bin/env", "cc", "-w", "-shared", "-fPIC", "-x", "c", "-o", str(library), "-"],
            input=source.encode(),
            check=False,
            capture_output=True,
        )
        if built.returncode:
            library.write_bytes(b"not a library")
        _, out, err = run(provider, script("echo $LD_PRELOAD", LD_PRELOAD=str(library)))
        assert "loaded" not in out
        assert str(library) in out
        assert "bwrap" not in err


def sleepers() -> int:
    return sum(line == f"sleep\0{NAP_SECONDS}\0".encode() for line in command_lines())


def command_lines() -> Iterator[bytes]:
    for process in sessions.processes():
        with contextlib.suppress(OSError):
            yield Path(f"/proc/{process.pid}/cmdline").read_bytes()


class TestCommandLine:
    def test_needs_bubblewrap(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nowhere:relative:")
        assert isolation.find_bubblewrap() is None
        with pytest.raises(FileNotFoundError):
            isolation.bwrap_command("/x", [], ["true"])
        isolation.probe.cache_clear()
        assert isolation.probe() == (False, "bubblewrap (bwrap) is not installed")
        isolation.probe.cache_clear()

    def test_only_what_the_loader_obeys_is_on_it(self) -> None:
        env = {"A": "secret", "LD_PRELOAD": "x", "GLIBC_TUNABLES": "y"}
        assert isolation.outer_environment(env) == {"A": "secret"}
        line = isolation.Sandbox("/bin/false").command("/x", ["a", "b"], env)
        assert "secret" not in line
        assert line[line.index("LD_PRELOAD") - 1 :][:3] == ["--setenv", "LD_PRELOAD", "x"]
        assert line[-3:] == ["--", "a", "b"]

    def test_hidden_paths_elsewhere_need_no_cover(self) -> None:
        line = isolation.Sandbox("/bin/false", [], ["/nowhere/data"]).command("/x", ["a"], {})
        assert "/nowhere/data" not in line

    @pytest.mark.needs("bubblewrap")
    def test_the_probe_finds_it_working(self) -> None:
        assert isolation.probe() == (True, "")
