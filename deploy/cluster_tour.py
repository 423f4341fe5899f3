"""The demo's step with long-running containers: a cluster of media servers on this machine.

Servers without media (deploy/media) run as supervised processes. They are asked for as a client of Fishjam Cloud asks,
scaled and rolled natively, scraped by a real Prometheus where one is installed, and one of them is killed by hand.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

HERE: Final = Path(__file__).resolve().parent / "media"
PYTHON: Final = os.path.realpath(sys.executable)
PORT: Final = 5002
SECONDS: Final = 60


class Client(Protocol):
    """What the tour asks of a client of the deployment."""

    base: str

    def call(self, method: str, path: str, body: Any = None) -> Any: ...


Check = Callable[[bool, str], None]


@contextmanager
def prometheus(port: int, api: int, folder: Path) -> Iterator[dict[str, str]]:
    """A Prometheus that finds its targets at the deployment on port `api`; the settings of one that asks it.

    None of them where none is installed. The token it asks with is written by `walk`.
    """
    program = shutil.which("prometheus")
    if program is None:
        yield {}
        return
    token = _token_file(folder)
    token.touch(mode=0o600)
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [
            {
                "job_name": "containers",
                "http_sd_configs": [
                    {
                        "url": f"http://127.0.0.1:{api}/v6/containers/prometheus-targets/",
                        "refresh_interval": "1s",
                        "authorization": {"type": "Bearer", "credentials_file": str(token)},
                    }
                ],
            }
        ],
    }
    path = folder / "prometheus.json"  # JSON is YAML
    path.write_text(json.dumps(config))
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen(
            [
                program,
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'prometheus'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield {"PROMETHEUS_URL": f"http://127.0.0.1:{port}"}
    finally:
        server.terminate()
        server.wait(20)


def walk(admin: Client, customer: Client, monitor: str, folder: Path, check: Check) -> None:
    """`monitor`: a token of that role, with which Prometheus looks for what it is to scrape."""
    _token_file(folder).write_text(monitor)
    begun = time.monotonic()
    for version in ("1.0", "1.1"):
        admin.call("POST", "/v6/image-versions/", _image(version))
    cluster = customer.call("POST", "/api/v1/clusters", {"name": "demo", "image_version": "1.0"})
    uuid, token = cluster["uuid"], cluster["token"]
    print(f"\nA cluster of media servers (/v6/clusters/{uuid}/):")
    try:
        _show(customer, uuid, token, folder, begun, check)
    finally:  # servers outlive the deployment by design: none is left, whatever was seen
        addresses = _addresses(_rows(customer, uuid))
        for row in _rows(customer, uuid):
            customer.call("DELETE", f"/api/v1/jellyfish/{row['uuid'].replace('-', '')}")
        _until(lambda: not any(_answers(each) for each in addresses), "that no server answers any more", check)
    customer.call("DELETE", f"/api/v1/clusters/{uuid}")
    print("  dropped; no server answers any more")


def _show(customer: Client, uuid: str, token: str, folder: Path, begun: float, check: Check) -> None:
    customer.call("POST", f"/v6/clusters/{uuid}/scale/", {"count": 2})
    rows = _running(customer, uuid, check)
    took = time.monotonic() - begun
    print(f"  two servers run {took:.1f} s after they were asked for, at {' and '.join(_addresses(rows))}")
    _use(rows, token)
    _measure(customer, uuid, folder, check)
    _read_log(customer, rows[0]["uuid"], check)
    _roll(customer, uuid, check)
    _heal(customer, uuid, check)


def _image(version: str) -> dict[str, Any]:
    return {
        "version": version,
        "image": f"localhost/media:{version}",
        "command": [PYTHON, "-I", str(HERE / "server.py")],
        "env": {"MEDIA_VERSION": version},
        "ports": [{"number": PORT, "protocol": "tcp"}],
        "probe_port": PORT,
        "probe_path": "/health",
        "metrics_port": PORT,
        "is_default": version == "1.0",
    }


def _use(rows: list[Any], token: str) -> None:
    """Open a room with two peers on each server."""
    for row in rows:
        room = _ask(row["address"], "/room", token, {})
        for _ in range(2):
            _ask(row["address"], "/peer", token, {"room_id": room["id"]})


def _measure(customer: Client, uuid: str, folder: Path, check: Check) -> None:
    if not (folder / "prometheus.json").exists():
        print("  NOT SHOWN: metrics, because Prometheus is not installed")
        return
    question = urllib.parse.urlencode(
        {"metric": "fishjam_room_peers", "scope_name": "cluster_uuid", "scope_uuids": uuid, "group_by": "instance_uuid"}
    )

    def peers() -> list[float]:
        found = customer.call("GET", f"/api/v1/metrics/instant?{question}")["result"]
        return sorted(float(each["value"][1]) for each in found)

    _until(lambda: peers() == [2.0, 2.0], "two peers on each server, by Prometheus", check)
    print("  a real Prometheus found and scraped both: 2 peers on each (GET /api/v1/metrics/instant)")


def _read_log(customer: Client, uuid: str, check: Check) -> None:
    lines: list[Any] = []

    def read() -> bool:
        query = urllib.parse.urlencode({"jellyfish_uuid_hex": uuid, "end": "", "search_phrase": "peer", "limit": 2})
        lines[:] = customer.call("GET", f"/api/v1/logs?{query}")
        return len(lines) == 2

    _until(read, "two lines of its log about peers", check)
    print("  its log (GET /api/v1/logs?search_phrase=peer):")
    for line in lines:
        at = datetime.fromisoformat(line["timestamp"]).astimezone(UTC)
        print(f"    {at:%H:%M:%S} {line['severity']}: {line['message']}")


def _roll(customer: Client, uuid: str, check: Check) -> None:
    """To another version, with somebody who asks all the time whether anybody answers."""
    asked: list[int] = []
    is_over = threading.Event()

    def keep_asking() -> None:
        addresses = _addresses(_rows(customer, uuid))
        while not is_over.is_set():
            answering = sum(_answers(each) for each in addresses)
            if not answering:  # it may have come up elsewhere
                addresses = _addresses(_rows(customer, uuid))
                answering = sum(_answers(each) for each in addresses)
            asked.append(answering)
            addresses = _addresses(_rows(customer, uuid))

    begun = time.monotonic()
    rollout = customer.call("POST", f"/v6/clusters/{uuid}/rollouts/", {"image_version": "1.1", "max_unavailable": 1})
    watcher = threading.Thread(target=keep_asking)
    watcher.start()
    path = f"/v6/clusters/{uuid}/rollouts/{rollout['id']}/"
    try:
        _until(lambda: customer.call("GET", path)["status"] == "COMPLETED", "the end of the rollout", check)
        took = time.monotonic() - begun
        rows = _running(customer, uuid, check)
    finally:
        is_over.set()
        watcher.join()
    versions = [_version(each) for each in _addresses(rows)]
    check(versions == ["1.1", "1.1"], f"after the rollout the servers are of the versions {versions}")
    check(min(asked) > 0, "both servers were away at a time")
    print(
        f"  rolled to 1.1 one after the other in {took:.1f} s; of {len(asked)} times we asked, somebody answered each"
    )


def _heal(customer: Client, uuid: str, check: Check) -> None:
    """Kill a server's process, as nobody should."""
    row = _rows(customer, uuid)[0]
    before = customer.call("GET", f"/v6/containers/{row['uuid']}/")["restarts"]
    words = json.dumps(customer.call("GET", f"/v6/containers/{row['uuid']}/explain/"))
    found = re.search(r"process (\d+)", words)
    check(found is not None, f"explain does not tell the process of {row['uuid']}: {words}")
    pid = int(found[1]) if found else 0
    begun = time.monotonic()
    os.kill(pid, signal.SIGKILL)

    def is_healed() -> bool:
        now = customer.call("GET", f"/v6/containers/{row['uuid']}/")
        return now["restarts"] > before and now["status"] == "RUNNING" and _answers(now["address"])

    _until(is_healed, "that the killed server runs again", check)
    print(f"  process {pid} was killed by hand; {time.monotonic() - begun:.1f} s later its server is healthy again")


def _token_file(folder: Path) -> Path:
    return folder / "prometheus.token"


def _rows(customer: Client, uuid: str) -> list[Any]:
    found: list[Any] = customer.call("GET", f"/v6/containers/?cluster={uuid}&order=id")["results"]
    return found


def _running(customer: Client, uuid: str, check: Check) -> list[Any]:
    rows: list[Any] = []

    def all_run() -> bool:
        rows[:] = _rows(customer, uuid)
        return [row["status"] for row in rows] == ["RUNNING", "RUNNING"]

    _until(all_run, "two running servers", check, lambda: str(customer.call("GET", f"/v6/clusters/{uuid}/explain/")))
    return rows


def _addresses(rows: list[Any]) -> list[str]:
    return [row["address"] for row in rows if row["address"]]


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{address}/health", timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _version(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/version", timeout=10) as response:
        return str(response.read().decode().strip())


def _ask(address: str, path: str, token: str = "", body: Any = None) -> Any:
    request = urllib.request.Request(
        f"http://{address}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
        return json.load(response)


def _until(condition: Callable[[], bool], what: str, check: Check, why: Callable[[], str] = str) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        check(time.monotonic() < deadline, f"there was not {what} within {SECONDS} s {why()}")
        time.sleep(0.1)
