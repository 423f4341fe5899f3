"""What people and scripts see of cpctl, whatever the server says."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from typer.main import get_command

from controlplane.cli.app import app
from controlplane.cli.errors import MEANINGS, ExitCode
from tests.controlplane.cli.conftest import TOKEN
from tests.controlplane.cli.fake_server import FakeServer, answer, drop, events
from tests.controlplane.cli.program import Program
from tests.controlplane.cli.terminal import on_terminal
from tests.environment import CHECKOUT

ME = {"id": 1, "username": "ada", "role": "operator", "customer": None}
JOB = {
    "id": 7, "uuid": "0192f0c1-0000-7000-8000-000000000007", "state": "RUNNING", "status": "RUNNING",
    "classification": "evil\x1b[2J\tclass", "customer": "acme", "owner": "ada", "cloud": "local", "region": "local",
    "priority": 100, "created": "2026-01-01T00:00:00Z", "reason": "", "command": ["sh", "-c", "echo 'x'"],
}  # fmt: skip
LIST = {"count": 1, "next": None, "previous": None, "results": [JOB]}
OPERATION = {"id": 3, "kind": "cancel", "status": "RUNNING", "total": 5, "done": 2, "failed": 0}
ENDED = {**OPERATION, "status": "COMPLETED", "done": 4, "failed": 1}
COLOURED = "\x1b[36mRUNNING"


def test_the_exit_codes_are_told_by_help_and_by_the_page(cpctl: Program) -> None:
    shown = cpctl("--help").stdout
    page = (CHECKOUT / "docs" / "cpctl.md").read_text()
    for code in ExitCode:
        assert re.search(rf"^ *{code.value}  {MEANINGS[code][:30]}", shown, flags=re.MULTILINE), code
        assert f"| {code.value} | {MEANINGS[code]} |" in page, code


def test_every_command_takes_json_says_what_it_does_and_is_on_the_page() -> None:
    page = (CHECKOUT / "docs" / "cpctl.md").read_text()
    commands: dict[str, Any] = dict(get_command(app).commands)  # type: ignore[attr-defined] # it is a group
    assert len(commands) >= 16
    for name in commands:
        assert f"`cpctl {name}" in page, name
    of_operations = commands.pop("operations").commands
    for name, command in [*commands.items(), *of_operations.items()]:
        assert any("--json" in each.opts for each in command.params), name
        assert command.help, name


def test_a_submit_survives_a_lost_answer(at_fake: Program, fake: FakeServer) -> None:
    fake.expect(("POST", "/v6/jobs/", drop), ("POST", "/v6/jobs/", answer(201, JOB)))
    done = at_fake("submit", "--class", "nightly", "--memory", "2g", "--timeout", "5m", "--", "sleep", "--json")
    assert (done.returncode, done.stdout, done.stderr) == (0, "7\n", "")
    assert len({request.headers["Idempotency-Key"] for request in fake.requests}) == 1
    body = {
        "classification": "nightly", "memory_mib": 2048, "timeout_seconds": 300, "command": ["sleep", "--json"],
    }  # fmt: skip
    assert fake.requests[0].json() == body


def test_a_list_in_a_pipe_is_text_and_on_a_terminal_a_table(at_fake: Program, fake: FakeServer) -> None:
    path = "/v6/jobs/?customer=acme&customer=b&tag=k%3Av%3Aw&order=-id&page_size=101"
    fake.expect(*[("GET", path, answer(200, LIST))] * 3)
    arguments = ("list", "--customer", "acme", "--customer", "b", "--tag", "k=v:w")
    piped = at_fake(*arguments).stdout
    assert piped == "7\tRUNNING\tevil\\x1b[2J\\tclass\tacme\tada\tlocal\tlocal\t100\t2026-01-01T00:00:00Z\t\n"
    shown = on_terminal(at_fake, *arguments)
    assert COLOURED in shown.text
    assert "CUSTOMER" in shown.text
    assert "\x1b[2J" not in shown.text
    plain = on_terminal(at_fake, *arguments, NO_COLOR="1")
    assert "\x1b[36m" not in plain.text
    assert "RUNNING" in plain.text


def test_json_is_one_document_on_either_side_of_the_command(at_fake: Program, fake: FakeServer) -> None:
    fake.expect(*[("GET", "/v6/jobs/?*", answer(200, LIST))] * 2, ("GET", "/v6/jobs/7/", answer(200, JOB)))
    assert json.loads(at_fake("--json", "list").stdout) == [JOB]
    assert json.loads(at_fake("list", "--json").stdout) == [JOB]
    assert json.loads(at_fake("show", "7", "--json").stdout) == JOB


def test_bulk_work_asks_on_a_terminal_and_changes_nothing_without_a_yes(at_fake: Program, fake: FakeServer) -> None:
    fake.expect(("GET", "/v6/jobs/?customer=acme&page_size=1", answer(200, {**LIST, "count": 5})))
    seen = on_terminal(at_fake, "cancel", "--customer", "acme", typed="n\n", at="[y/N]")
    assert seen.returncode == 130
    assert "5 jobs match" in seen.text


def test_bulk_work_is_watched_and_its_failures_are_told(at_fake: Program, fake: FakeServer) -> None:
    failures = {"results": [{"job": 9, "code": "JOB_STATE", "message": "It has ended."}], "next": None}
    fake.expect(
        ("POST", "/v6/jobs/cancel/", answer(202, OPERATION)),
        ("GET", "/v6/operations/3/", answer(200, OPERATION)),
        ("GET", "/v6/operations/3/", answer(200, ENDED)),
        ("GET", "/v6/operations/3/failures/?*", answer(200, failures)),
    )
    done = at_fake("cancel", "--customer", "acme")
    assert done.returncode == 1
    assert done.stdout.startswith("3\tcancel\tCOMPLETED\t4\t1\t5\t")
    assert done.stderr == "error: job 9: It has ended.\n"
    assert fake.requests[0].json() == {"customer": ["acme"]}


def test_a_bar_is_shown_on_a_terminal_only(at_fake: Program, fake: FakeServer) -> None:
    running, over = {**LIST}, {**LIST, "results": [{**JOB, "state": "COMPLETED"}]}
    fake.expect(*[("GET", "/v6/jobs/?job_id=7&*", answer(200, page)) for page in (running, running, over)] * 3)
    seen = on_terminal(at_fake, "wait", "7")
    assert (seen.returncode, "0/1" in seen.text) == (0, True)
    piped = at_fake("wait", "7")
    assert (piped.stdout, piped.stderr) == ("7\tCOMPLETED\n", "")
    with (at_fake.home / "ended.tsv").open("w") as file:
        assert "0/1" in on_terminal(at_fake, "wait", "7", stdout=file).text
    assert (at_fake.home / "ended.tsv").read_text() == "7\tCOMPLETED\n"


@pytest.mark.parametrize("state", ["FAILED", "CANCELED", "REJECTED"])
def test_a_job_that_did_not_complete_is_exit_code_1(at_fake: Program, fake: FakeServer, state: str) -> None:
    over = {**JOB, "state": state, "reason": "BECAUSE"}
    fake.expect(("GET", "/v6/jobs/?job_id=7&*", answer(200, {**LIST, "results": [over]})))
    done = at_fake("wait", "7", "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, [over])
    assert done.stderr == f"error: job 7: {state} (BECAUSE)\n"


def test_a_log_is_followed_across_a_broken_stream(at_fake: Program, fake: FakeServer) -> None:
    path = "/v6/jobs/7/logs/combined/"
    one, two = (f'id: {n}\nevent: log\ndata: {{"text": "{n}\\n"}}\n\n'.encode() for n in ("one", "two"))
    end = b'event: end\ndata: {"status": "FAILED", "exit_code": 3}\n\n'
    fake.expect(("GET", path, events(one, two[:9])), ("GET", path, events(two, end, whole=True)))
    done = at_fake("logs", "--follow", "7")
    assert (done.returncode, done.stdout) == (1, "one\ntwo\n")
    assert done.stderr == "error: job 7: FAILED, exit code 3\n"
    assert fake.requests[1].headers["Last-Event-ID"] == "one"


def test_a_job_that_ended_without_a_word_is_followed_to_its_end(at_fake: Program, fake: FakeServer) -> None:
    over = answer(200, {**JOB, "state": "CANCELED"})
    fake.expect(
        ("GET", "/v6/jobs/7/logs/stderr/?execution=2", answer(204, b"")),
        ("GET", "/v6/jobs/7/", over),
        ("GET", "/v6/jobs/7/", over),
    )
    done = at_fake("logs", "-f", "7", "--stream", "stderr", "--execution", "2")
    assert (done.returncode, done.stderr) == (1, "error: job 7: CANCELED\n")


def test_pages_of_a_log_are_one_document(at_fake: Program, fake: FakeServer) -> None:
    page = {"execution": 1, "stream": "combined", "text": "one\n", "after": "a b", "ended": False}
    path = "/v6/jobs/7/logs/combined/"
    fake.expect(
        ("GET", path, answer(200, page)),
        ("GET", f"{path}?after=a+b", answer(200, {**page, "text": "two\n", "after": "c"})),
        ("GET", f"{path}?after=c", answer(200, {**page, "text": "", "after": "c", "ended": True})),
    )
    done = at_fake("logs", "7", "--json")
    assert json.loads(done.stdout) == {**page, "text": "one\ntwo\n", "after": "c", "ended": True}


def test_a_log_that_breaks_off_is_an_error(at_fake: Program, fake: FakeServer) -> None:
    fake.expect(("GET", "/v6/jobs/7/logs/combined/", events(b"one\n")))
    done = at_fake("logs", "7")
    assert (done.returncode, done.stdout) == (6, "one\n")


def test_several_jobs_are_all_tried_and_the_failed_ones_named(at_fake: Program, fake: FakeServer) -> None:
    refused = answer(409, {"detail": "It has ended.", "code": "JOB_STATE"})
    fake.expect(
        ("POST", "/v6/jobs/1/hold/", refused),
        ("POST", "/v6/jobs/7/hold/", answer(200, JOB)),
        ("POST", "/v6/jobs/a%2Fb/hold/", answer(404, {"detail": "No such job.", "code": "NOT_FOUND"})),
    )
    done = at_fake("hold", "1", "7", "a/b", "--hint", "later")
    assert (done.returncode, done.stdout) == (5, "7\tRUNNING\n")
    assert done.stderr == "error: job 1: It has ended.\nerror: job a/b: No such job.\n"
    assert fake.requests[0].json() == {"hint": "later"}


def test_retry_by_filter_goes_through_the_jobs_that_match(at_fake: Program, fake: FakeServer) -> None:
    fake.expect(
        ("GET", "/v6/jobs/?status=FAILED&order=id", answer(200, {**LIST, "results": [{"id": 1}, {"id": 2}]})),
        ("POST", "/v6/jobs/1/retry/", answer(201, {"id": 11, "state": "QUEUED"})),
        ("POST", "/v6/jobs/2/retry/", answer(201, {"id": 12, "state": "QUEUED"})),
    )
    assert at_fake("retry", "--status", "FAILED").stdout == "11\tQUEUED\n12\tQUEUED\n"


def test_a_wait_that_breaks_off_still_tells_the_job(at_fake: Program, fake: FakeServer) -> None:
    refused = answer(500, {"detail": "Broken.", "code": "INTERNAL"})
    fake.expect(("POST", "/v6/jobs/", answer(201, JOB)), ("GET", "/v6/jobs/?*", refused))
    done = at_fake("submit", "--json", "--wait", "--", "true")
    assert (done.returncode, json.loads(done.stdout)) == (6, JOB)


def test_a_password_is_asked_for_on_a_terminal_and_not_shown(cpctl: Program, fake: FakeServer) -> None:
    fake.expect(
        ("POST", "/api-token-auth/", answer(200, {"token": TOKEN})),
        ("GET", "/v6/users/me/", answer(200, ME)),
    )
    arguments = ("login", "--server", fake.base_url, "--user", "ada")
    seen = on_terminal(cpctl, *arguments, typed="secret words\n", at="Password: ")
    assert seen.returncode == 0, seen.text
    assert "secret words" not in seen.text
    assert TOKEN not in seen.text
    assert fake.requests[0].json() == {"username": "ada", "password": "secret words"}
    assert "Authorization" not in fake.requests[0].headers
    assert json.loads(cpctl.config_file.read_text())["token"] == TOKEN


def test_a_login_that_the_server_refuses_stores_nothing(cpctl: Program, fake: FakeServer) -> None:
    fake.expect(("GET", "/v6/users/me/", answer(401, {"detail": "The token is not valid.", "code": "UNAUTHORIZED"})))
    done = cpctl("login", "--server", fake.base_url, "--token", stdin=f"{TOKEN}\n")
    assert (done.returncode, cpctl.config_file.exists()) == (4, False)
    assert TOKEN not in done.stdout + done.stderr


def test_the_launcher_works_from_any_folder_and_imports_nothing_of_it(cpctl: Program) -> None:
    launcher = CHECKOUT / ".venv" / "bin" / "cpctl"
    if not launcher.exists():
        pytest.skip("make setup has not been run")
    (cpctl.home / "controlplane").mkdir()
    (cpctl.home / "typing.py").write_text("raise SystemExit(99)")
    done = subprocess.run([launcher, "--version"], cwd=cpctl.home, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (CHECKOUT / "VERSION").read_text()
