"""The media server without media, as a process."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from tests.clusters.provider_contract import eventually
from tests.environment import CHECKOUT

pytestmark = pytest.mark.runs_once("sqlite", "knows no database")

PROGRAM = CHECKOUT / "deploy/media/server.py"
TOKEN = "a-token-of-the-tests"
NAMES = {
    *("fishjam_rooms", "fishjam_room_duration_seconds", "fishjam_room_peers", "fishjam_room_peer_time_total_seconds"),
    *(f"fishjam_room_peer_{what}_total" for what in ("crashes", "connects", "disconnects")),
    *(
        f"fishjam_traffic_{way}_{kind}_{what}_bytes"
        for way in ("egress", "ingress")
        for kind in ("webrtc", "http")
        for what in ("total", "per_second")
    ),
    *(f"node_{what}_usage_ratio" for what in ("cpu", "filesystem", "ram")),
}


class Media:
    """A server that runs."""

    def __init__(self, log: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.log = log
        env = {**os.environ, "PORT": "1", "PORT_5002": str(self.port), "FJ_SERVER_API_TOKEN": TOKEN}
        with log.open("wb") as file:
            command = [sys.executable, "-I", "-S", str(PROGRAM)]
            self.process = subprocess.Popen(command, env={**env, "MEDIA_VERSION": "1.2"}, stdout=file, stderr=file)
        eventually(self.is_up)

    def is_up(self) -> bool:
        try:
            return self.ask("GET", "/health")[0] == 200
        except URLError:
            return False

    def ask(self, method: str, path: str, content: object = None, token: str = TOKEN) -> tuple[int, str]:
        body = None if content is None else json.dumps(content).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        request = Request(url, body, {"Authorization": f"Bearer {token}"}, method=method)
        try:
            with urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            return error.code, error.read().decode()

    def made(self, path: str, content: object = None) -> str:
        status, text = self.ask("POST", path, content)
        assert status == 201, text
        return str(json.loads(text)["id"])

    def metrics(self) -> dict[str, float]:
        lines = self.ask("GET", "/metrics")[1].splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


@pytest.fixture
def media(tmp_path: Path) -> Iterator[Media]:
    media = Media(tmp_path / "log")
    yield media
    media.process.kill()
    media.process.wait()


def test_it_tells_all_metrics(media: Media) -> None:
    room = media.made("/room")
    found = media.metrics()
    assert {name.partition("{")[0] for name in found} == NAMES
    assert found["fishjam_rooms"] == 1
    assert found[f'fishjam_room_peers{{room_id="{room}"}}'] == 0
    assert all(0 <= found[f"node_{what}_usage_ratio"] <= 1 for what in ("cpu", "filesystem", "ram"))


def test_each_metric_has_its_type_once(media: Media) -> None:
    media.made("/room")
    media.made("/room")
    types = re.findall(r"^# TYPE (\S+) (\S+)$", media.ask("GET", "/metrics")[1], re.M)
    assert {name for name, _ in types} == NAMES
    assert len(types) == len(NAMES)
    assert dict(types)["fishjam_traffic_egress_http_total_bytes"] == "counter"
    assert dict(types)["fishjam_rooms"] == "gauge"


def test_peers_make_time_and_traffic(media: Media) -> None:
    room = media.made("/room")
    began = time.monotonic()
    one, two = (media.made("/peer", {"room_id": room}) for _ in range(2))
    joined, label = time.monotonic(), f'{{room_id="{room}"}}'
    time.sleep(0.5)
    looked, found = time.monotonic(), media.metrics()
    seconds = found[f"fishjam_room_peer_time_total_seconds{label}"]
    assert 2 * (looked - joined) <= seconds <= 2 * (time.monotonic() - began)
    assert found["fishjam_traffic_ingress_webrtc_total_bytes"] > 0
    assert found["fishjam_traffic_ingress_http_total_bytes"] > 0
    assert found["fishjam_traffic_egress_webrtc_per_second_bytes"] > 0
    assert media.ask("DELETE", f"/peer/{one}")[0] == 204
    assert media.ask("DELETE", f"/peer/{two}?crashed=1")[0] == 204
    then = media.metrics()
    assert then[f"fishjam_room_peer_time_total_seconds{label}"] > seconds
    assert media.metrics()[f"fishjam_room_peer_time_total_seconds{label}"] == pytest.approx(
        then[f"fishjam_room_peer_time_total_seconds{label}"]
    )
    counts = [then[f"fishjam_room_peer_{what}_total{label}"] for what in ("connects", "disconnects", "crashes")]
    assert counts == [2, 2, 1]
    assert media.ask("DELETE", f"/room/{room}")[0] == 204
    assert media.metrics()["fishjam_rooms"] == 0


def test_only_who_has_the_token_changes_something(media: Media) -> None:
    assert media.ask("POST", "/room", token="another")[0] == 401
    assert media.ask("DELETE", "/room/any", token="")[0] == 401
    assert media.metrics()["fishjam_rooms"] == 0


def test_the_unknown_is_not_there(media: Media) -> None:
    assert media.ask("POST", "/peer", {"room_id": "none"})[0] == 404
    assert media.ask("POST", "/peer", ["no", "object"])[0] == 404
    assert media.ask("DELETE", "/peer/none")[0] == 404
    assert media.ask("DELETE", "/room/none")[0] == 404
    assert media.ask("GET", "/none")[0] == 404


def test_it_says_its_version_and_logs_each_request_without_the_token(media: Media) -> None:
    assert media.ask("GET", "/version") == (200, "1.2\n")
    lines = [json.loads(line) for line in media.log.read_text().splitlines()]
    assert all(line.keys() == {"time", "level", "message"} for line in lines)
    assert any('"GET /version HTTP/1.1" 200' in line["message"] for line in lines)
    assert TOKEN not in media.log.read_text()


def test_it_ends_within_a_second_when_it_is_told_to(media: Media) -> None:
    began = time.monotonic()
    media.process.send_signal(signal.SIGTERM)
    assert media.process.wait(5) == 0
    assert time.monotonic() - began < 1


def test_without_a_token_it_does_not_start() -> None:
    env = {name: value for name, value in os.environ.items() if name != "FJ_SERVER_API_TOKEN"}
    done = subprocess.run([sys.executable, str(PROGRAM)], env=env, capture_output=True, text=True, timeout=10)
    assert done.returncode == 1
    assert "FJ_SERVER_API_TOKEN" in json.loads(done.stdout)["message"]


def test_the_image_has_the_program_and_nothing_else_of_ours() -> None:
    text = (CHECKOUT / "deploy/media/Dockerfile").read_text()
    [(source, target)] = re.findall(r"^COPY (\S+) (\S+)$", text, re.M)
    assert CHECKOUT / source == PROGRAM
    assert f'"-I", "-S", "{target}"]' in text
