"""An hour of what containers told, long ago, and a Prometheus of the tests' own that knows it and scrapes one more.

Ann has two clusters, of two instances and of one; Bob has one of one. Each sample stands at a multiple of 15 seconds.
"""

from __future__ import annotations

import os
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from tests.postgresql import free_port
from tests.waiting import until

BEGIN: Final = 1_704_067_200  # 2024-01-01 00:00 UTC
SECONDS: Final = 3600
END: Final = BEGIN + SECONDS
EVERY: Final = 15
ANN, BOB, CARL = "ann+media@example.com", 'bo"b\\@example.com', "carl@example.com"
CLUSTERS: Final = [UUID(f"00000000-0000-4000-8000-00000000c00{number}") for number in range(4)]
INSTANCES: Final = [UUID(f"00000000-0000-4000-8000-00000000a00{number}") for number in range(5)]
# What is scraped while the tests run.
LIVE_CLUSTER, LIVE = CLUSTERS[3], INSTANCES[4]
COUNTERS: Final = (
    "fishjam_room_duration_seconds",
    "fishjam_room_peer_time_total_seconds",
    "fishjam_room_peer_crashes_total",
    "fishjam_room_peer_connects_total",
    "fishjam_room_peer_disconnects_total",
    "fishjam_traffic_egress_webrtc_total_bytes",
    "fishjam_traffic_egress_http_total_bytes",
    "fishjam_traffic_ingress_webrtc_total_bytes",
    "fishjam_traffic_ingress_http_total_bytes",
)
RATIOS: Final = ("node_cpu_usage_ratio", "node_filesystem_usage_ratio", "node_ram_usage_ratio")


@dataclass(frozen=True)
class Instance:
    uuid: UUID
    cluster: UUID
    user: str
    rooms: int  # in the first half of the hour; twice as many then. Each room has two peers
    per_second: int  # what every counter grows by
    ratio: float

    def labels(self, **more: str) -> str:
        named = {
            "instance_uuid": str(self.uuid),
            "cluster_uuid": str(self.cluster),
            "user_email": self.user.replace("\\", r"\\").replace('"', r"\""),
            "instance": "10.0.0.1:4000",
            **more,
        }
        return "{" + ",".join(f'{name}="{value}"' for name, value in named.items()) + "}"


FLEET: Final = (
    Instance(INSTANCES[0], CLUSTERS[0], ANN, 1, 2, 0.1),
    Instance(INSTANCES[1], CLUSTERS[0], ANN, 2, 3, 0.3),
    Instance(INSTANCES[2], CLUSTERS[1], ANN, 4, 5, 0.8),
    Instance(INSTANCES[3], CLUSTERS[2], BOB, 100, 700, 0.9),
)
RESTARTED: Final = INSTANCES[1]  # in the middle of the hour: its counters begin anew


def _lines() -> Iterator[str]:
    half = BEGIN + SECONDS // 2
    moments = range(BEGIN, END + 1, EVERY)
    yield "# TYPE fishjam_rooms gauge"
    for each in FLEET:
        for at in moments:
            yield f"fishjam_rooms{each.labels()} {each.rooms * (1 if at < half else 2)} {at}"
    yield "# TYPE fishjam_room_peers gauge"
    for each in FLEET:
        for room in range(each.rooms):
            yield from (f"fishjam_room_peers{each.labels(room_id=str(room))} 2 {at}" for at in moments)
    for name in COUNTERS:
        yield f"# TYPE {name} unknown"
        for each in FLEET:
            for at in moments:
                since = half if each.uuid == RESTARTED and at >= half else BEGIN
                yield f"{name}{each.labels(room_id='r')} {(at - since) * each.per_second} {at}"
    for name in RATIOS:
        yield f"# TYPE {name} gauge"
        for each in FLEET:
            yield from (f"{name}{each.labels()} {each.ratio} {at}" for at in moments)
    yield "# EOF"


CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: containers
    static_configs:
      - targets: ["127.0.0.1:{port}"]
        labels: {{instance_uuid: "{instance}", cluster_uuid: "{cluster}", user_email: "{user}"}}
"""


@contextmanager
def prometheus(folder: Path, target_port: int) -> Iterator[str]:
    """The address of one that has taken in the history, and asks the target."""
    (folder / "history").write_text("".join(f"{line}\n" for line in _lines()))
    making = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "--quiet", str(folder / "history")]
    subprocess.run([*making, str(folder / "tsdb")], check=True, capture_output=True, timeout=60)
    config = CONFIG.format(port=target_port, instance=LIVE, cluster=LIVE_CLUSTER, user=CARL)
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
                "--storage.tsdb.retention.time=100y", f"--web.listen-address=127.0.0.1:{port}",
                "--query.max-samples=200000", "--log.level=warn",
            ],
            env={"PATH": os.environ["PATH"]}, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until(lambda: process.poll() is not None or _is_ready(url), "Prometheus is ready")
        assert process.poll() is None, (folder / "log").read_text()[-2000:]
        yield url
    finally:
        process.terminate()
        process.wait(10)


def _is_ready(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/-/ready", timeout=2).close()
    except OSError:
        return False
    return True
