"""cpctl against a running deployment: web, workers, real jobs."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest

from tests.controlplane.cli.program import Program
from tests.deployment import Deployment, Factory

pytestmark = pytest.mark.runs_once("sqlite", "cpctl sees the API only")

PASSWORD = "correct horse battery"
SUBMIT = ("submit", "--customer", "acme", "--class", "nightly", "--memory", "64", "--vcpus", "0.1")


def _started(deployment: Factory, cpctl: Program) -> tuple[Deployment, str]:
    """A deployment with an admin, and that admin's token; cpctl is not logged in."""
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    token = place.bootstrap("root", PASSWORD)
    place.start_manage("work")
    place.start_web()
    return place, token


def _ok(cpctl: Program, *arguments: str, **more: Any) -> str:
    done = cpctl(*arguments, **more)
    assert done.returncode == 0, done.stderr
    return str(done.stdout)


def _json(cpctl: Program, *arguments: str, **more: Any) -> Any:
    return json.loads(_ok(cpctl, "--json", *arguments, **more))


@contextmanager
def _start(cpctl: Program, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """cpctl, running; ended with the block. It heeds SIGINT, even if the tests run where that is ignored (nohup)."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "controlplane.cli", *arguments],
        cwd=cpctl.home, env=cpctl.environment, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_day_with_cpctl(deployment: Factory, cpctl: Program) -> None:
    place, token = _started(deployment, cpctl)
    _log_in(place, cpctl, token)
    _submit_and_look(cpctl)
    _refusals(place, cpctl)
    _hold_and_explain(cpctl)
    _many(cpctl)
    _follow(cpctl)
    assert cpctl("logout").returncode == 0
    assert cpctl("list").returncode == 4


def _log_in(place: Deployment, cpctl: Program, token: str) -> None:
    assert cpctl("whoami").returncode == 4
    wrong = cpctl("login", "--server", place.base_url, "--user", "root", stdin="no\n")
    assert (wrong.returncode, cpctl.config_file.exists()) == (5, False)
    assert wrong.stderr.startswith("error: "), wrong.stderr
    assert cpctl("login", "--server", place.base_url, "--token", stdin="no-such-token\n").returncode == 4
    done = cpctl("login", "--server", f"{place.base_url}/", "--user", "root", stdin=f"{PASSWORD}\n")
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(cpctl.config_file.stat().st_mode) == 0o600
    kept = json.loads(cpctl.config_file.read_text())
    assert kept["server"] == place.base_url
    assert kept["token"] not in done.stdout + done.stderr
    assert _json(cpctl, "whoami")["username"] == "root"
    assert "role\tadmin" in _ok(cpctl, "whoami")
    again = _ok(cpctl, "login", "--token", "--json", stdin=f"{token}\n")
    assert json.loads(again)["username"] == "root"


def _submit_and_look(cpctl: Program) -> None:
    job = _ok(cpctl, *SUBMIT, "--env", "WHO=a job", "--secret-env", "PIN", "--tag", "k=v", "--", "sh", "-c",
              "echo hello from $WHO", PIN="1234").strip()  # fmt: skip
    assert _ok(cpctl, "wait", job) == f"{job}\tCOMPLETED\n"
    shown = _json(cpctl, "show", job)
    assert (shown["state"], shown["tags"], shown["secret_env"]) == ("COMPLETED", {"k": "v"}, ["PIN"])
    assert shown["env"]["PIN"] != "1234"
    text = _ok(cpctl, "show", shown["uuid"])
    assert _ok(cpctl, "wait", shown["uuid"].upper().replace("-", ""), f"0{job}") == f"{job}\tCOMPLETED\n" * 2
    assert f"id\t{job}\n" in text
    assert "command\tsh -c 'echo hello from $WHO'\n" in text
    assert _ok(cpctl, "list", "--tag", "k=v").split("\t")[:3] == [job, "COMPLETED", "nightly"]
    assert [row["id"] for row in _json(cpctl, "list", "--tag", "k=v")] == [int(job)]
    assert _json(cpctl, "list", "--tag", "none") == []
    jobs = [{"customer": "acme", "classification": "list", "command": ["true"]}] * 3
    ids = _ok(cpctl, "submit", "--file", "-", "--wait", stdin=json.dumps(jobs)).split()[:3]
    limited = cpctl("list", "--class", "list", "--limit", "2", "--order", "id")
    assert [line.split("\t")[0] for line in limited.stdout.splitlines()] == ids[:2]
    assert "--limit 0" in limited.stderr
    one = {"customer": "acme", "classification": "list", "command": ["true"]}
    made = _json(cpctl, "submit", "--file", "-", "--wait", stdin=json.dumps(one))
    assert made["state"] == "COMPLETED"
    keyed = ("--idempotency-key", "once", *SUBMIT[1:], "--", "true")
    assert _ok(cpctl, "submit", *keyed) == _ok(cpctl, "submit", *keyed)


def _refusals(place: Deployment, cpctl: Program) -> None:
    bad = cpctl("submit", "--customer", "acme", "--class", "x", "--priority", "-1", "--", "true")
    assert bad.returncode == 5
    assert bad.stderr.startswith("error: priority: "), bad.stderr
    jobs = [{"customer": "acme", "classification": "x", "command": ["true"]}, {"customer": "acme"}]
    bad = cpctl("submit", "--file", "-", stdin=json.dumps(jobs))
    assert bad.stderr.startswith("error: [1].classification: "), bad.stderr
    for arguments, code in (
        (("show", "999999"), 3), (("show", "../users/me"), 3), (("wait", "999999"), 3), (("wait", "x"), 5),
        (("list", "--status", "NONE"), 5), (("cancel",), 2), (("cancel", "1", "--customer", "acme"), 2),
        (("submit", "--file", "none.json"), 2), (("submit", "--tag", "x"), 2), (("operations", "show", "999999"), 3),
        (("submit", "--secret-env", "NOT_SET"), 2), (("nonsense",), 2), (("show",), 2),
    ):  # fmt: skip
        done = cpctl(*arguments)
        assert done.returncode == code, (arguments, done.stderr)
        assert done.stdout == ""
    monitor = _ok(cpctl, "submit", "--customer", "acme", "--class", "x", "--", "false").strip()
    failed = cpctl("wait", monitor)
    assert (failed.returncode, failed.stdout) == (1, f"{monitor}\tFAILED\n")
    assert failed.stderr.startswith(f"error: job {monitor}: FAILED")
    assert cpctl("cancel", monitor, "999999").returncode in (3, 5)
    assert cpctl("list", CPCTL_SERVER="http://127.0.0.1:1", CPCTL_TOKEN="x").returncode == 6


def _hold_and_explain(cpctl: Program) -> None:
    jobs = [{"customer": "acme", "classification": "long", "command": ["sleep", "300"]}]
    [running] = _ok(cpctl, "submit", "--file", "-", stdin=json.dumps(jobs)).split()
    late = cpctl("wait", running, "--timeout", "1")
    assert late.returncode == 124
    assert "have not ended" in late.stderr
    assert _ok(cpctl, "cancel", running).startswith(f"{running}\tCANCEL")
    assert cpctl("wait", running).returncode == 1
    again = _ok(cpctl, "retry", running).split("\t")[0]
    assert _json(cpctl, "show", again)["retry_of"] == int(running)
    assert cpctl("hold", running).returncode == 5
    assert _ok(cpctl, "cancel", again).startswith(again)


def _many(cpctl: Program) -> None:
    # More memory than this machine has for all of them: some wait.
    jobs = [{"customer": "bulk", "classification": "many", "command": ["sleep", "300"], "vcpus": 0.5}] * 40
    ids = _ok(cpctl, "submit", "--file", "-", stdin=json.dumps(jobs)).split()
    assert len(ids) == 40
    held = _json(cpctl, "hold", "--customer", "bulk", "--hint", "waits for June")
    assert held["status"] == "COMPLETED"
    [first, *_] = [row["id"] for row in _json(cpctl, "list", "--on-hold", "--customer", "bulk")]
    reasons = _ok(cpctl, "explain", str(first))
    assert "waits for June" in reasons
    explained = _json(cpctl, "explain", str(first))
    assert any(reason["hint"] == "waits for June" for reason in explained["reasons"])
    assert _ok(cpctl, "release", str(first)).startswith(f"{first}\t")
    assert _json(cpctl, "priority", "5", str(first))["priority"] == 5
    assert _json(cpctl, "priority", "7", "--customer", "bulk", "--on-hold")["kind"] == "priority"
    begun = _json(cpctl, "cancel", "--customer", "bulk", "--no-wait")
    watched = _json(cpctl, "operations", "watch", str(begun["id"]))
    assert (watched["status"], watched["failed"]) == ("COMPLETED", 0)
    assert cpctl("wait", *ids).returncode == 1
    assert {row["state"] for row in _json(cpctl, "list", "--customer", "bulk")} == {"CANCELED"}
    fields = _ok(cpctl, "requeue", "--customer", "bulk", "--class", "many", "--priority", "9").split("\t")
    assert fields[1:4] == ["requeue", "COMPLETED", "40"]
    assert {row["priority"] for row in _json(cpctl, "list", "--customer", "bulk")} == {9}
    unchangeable = cpctl("requeue", "--retry-of", "999999")
    assert unchangeable.returncode == 0, unchangeable.stderr
    assert _ok(cpctl, "cancel", "--class", "many", "--yes").split("\t")[2] == "COMPLETED"
    kinds = {line.split("\t")[1] for line in _ok(cpctl, "operations", "list").splitlines()}
    assert kinds == {"hold", "priority", "cancel", "requeue"}
    assert cpctl("operations", "stop", str(begun["id"])).returncode == 5
    assert "kind\tcancel" in _ok(cpctl, "operations", "show", str(begun["id"]))


def _follow(cpctl: Program) -> None:
    script = "echo one; sleep 1; echo two; exit 3"
    job = _ok(cpctl, *SUBMIT, "--", "sh", "-c", script).strip()
    followed = cpctl("logs", "-f", job)
    assert (followed.returncode, followed.stdout) == (1, "one\ntwo\n")
    assert "exit code 3" in followed.stderr
    assert _ok(cpctl, "logs", job) == "one\ntwo\n"
    assert _json(cpctl, "logs", job)["text"] == "one\ntwo\n"
    assert _ok(cpctl, "logs", job, "--stream", "stderr") == ""
    lines = [json.loads(line) for line in cpctl("logs", "-f", job, "--json").stdout.splitlines()]
    assert "".join(line["text"] for line in lines if line["event"] == "log") == "one\ntwo\n"
    assert lines[-1]["event"] == "end"
    direct = cpctl(*SUBMIT, "--follow", "--", "sh", "-c", "echo hello; echo there >&2")
    assert (direct.returncode, sorted(direct.stdout.split())) == (0, ["hello", "there"])


def test_a_log_is_followed_while_the_web_server_starts_anew(deployment: Factory, cpctl: Program) -> None:
    place, token = _started(deployment, cpctl)
    cpctl.env = {"CPCTL_SERVER": place.base_url, "CPCTL_TOKEN": token}
    script = "for n in 1 2 3 4 5 6 7 8 9; do echo line $n; sleep 0.5; done; echo end >&2"
    job = _ok(cpctl, *SUBMIT, "--", "sh", "-c", script).strip()
    with _start(cpctl, "logs", "-f", job) as following, _start(cpctl, "logs", "-f", job) as interrupted:
        assert following.stdout is not None
        assert following.stdout.readline() == "line 1\n"
        assert interrupted.stdout is not None
        assert interrupted.stdout.readline() == "line 1\n"  # it follows: before, it would not have begun to listen
        interrupted.send_signal(signal.SIGINT)
        assert interrupted.wait(20) == 130
        assert interrupted.stderr is not None
        assert interrupted.stderr.read() == ""
        for process in place.processes():
            with suppress(psutil.NoSuchProcess):  # a worker goes with its master
                if "gunicorn" in " ".join(process.cmdline()):
                    process.kill()
        place.start_web(int(place.base_url.rpartition(":")[2]))
        # Not communicate: it passes over what readline has read ahead.
        assert following.stderr is not None
        rest, errors = following.stdout.read(), following.stderr.read()
        following.wait(60)
    assert following.returncode == 0, errors
    assert rest.splitlines() == [*(f"line {n}" for n in range(2, 10)), "end"]


def test_a_reader_that_leaves_ends_it_quietly(deployment: Factory, cpctl: Program) -> None:
    place, token = _started(deployment, cpctl)
    cpctl.env = {"CPCTL_SERVER": place.base_url, "CPCTL_TOKEN": token}
    jobs = [{"customer": "acme", "classification": "x" * 200, "command": ["true"]}] * 1500
    cpctl("submit", "--file", "-", stdin=json.dumps(jobs))
    with _start(cpctl, "list", "--limit", "0") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(60) == 141
        assert process.stderr.read() == ""
