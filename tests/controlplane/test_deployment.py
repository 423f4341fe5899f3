"""The tests' own deployments: made, answering, and gone."""

from __future__ import annotations

import http.client
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.deployment import Deployment, Factory, present_database
from tests.environment import CHECKOUT


def test_it_is_migrated_and_apart_from_every_other(deployment: Factory) -> None:
    first, second = deployment(), deployment()
    first.rows("INSERT INTO accounts_customer (name, created_at) VALUES (%s, %s)", ["acme", "2024-01-01 00:00:00"])
    assert first.rows("SELECT name FROM accounts_customer") == [("acme",)]
    assert second.rows("SELECT name FROM accounts_customer") == []
    assert first.database == second.database == present_database()
    first.run_manage("migrate", "--check")


def test_the_web_server_answers_on_loopback_only(deployment: Factory) -> None:
    place = deployment()
    url = place.start_web()
    host, _, port = url.removeprefix("http://").partition(":")
    assert host == "127.0.0.1"
    answer = http.client.HTTPConnection(host, int(port), timeout=10)
    answer.request("GET", "/nothing-is-here")
    assert answer.getresponse().status in range(200, 500)
    answer.close()
    listening = {
        connection.laddr.ip
        for process in place.processes()
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_stop_ends_also_what_left_its_parent(deployment: Factory) -> None:
    place = deployment()
    program = "import subprocess, sys; subprocess.Popen(['sleep', '600'], start_new_session=True); print('left')"
    subprocess.run([sys.executable, "-c", program], env=place.env, check=True)
    left = place.stop()
    assert [command.partition(": ")[2] for command in left] == ["sleep 600"]
    assert place.processes() == []
    assert not place.folder.exists()


def test_a_command_that_fails_says_what_it_said(deployment: Factory) -> None:
    with pytest.raises(AssertionError, match="Unknown command"):
        deployment().run_manage("no-such-command")


def test_two_of_one_name_do_not_meet() -> None:
    first, second = Deployment("sqlite"), Deployment("sqlite")
    try:
        assert first.data_dir != second.data_dir
    finally:
        first.stop()
        second.stop()


def test_nothing_is_written_into_the_checkout_by_a_deployment(deployment: Factory) -> None:
    place = deployment()
    place.run_manage("check")
    assert Path(place.env["DATA_DIR"]).is_relative_to(place.folder)
    assert not Path(place.env["DATA_DIR"]).is_relative_to(CHECKOUT)
