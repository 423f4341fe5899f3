"""The 18 metrics of long-running containers, each with its one template of PromQL.

No text of a caller's gets into a query but as the quoted value of a label: metrics and labels are members of the
enumerations here, all else are numbers. Every query sums or averages, so that its answer has no label but the one it
is grouped by, and none of another's series.

What a server of Fishjam exports, rooms having a label `room_id`:

* as gauges: how many rooms there are, and how many peers each has. Over an interval: what it was on average;
* as counters, which begin at 0 with each start of the server: the seconds that rooms and peers were there, what peers
  did, bytes. Over an interval: how much was added, whatever restarted meanwhile. Prometheus draws the line on to the
  interval's ends, so that this is no whole number; and what a series begins with is not counted;
* bytes per second not at all: they are the rate of the counter of bytes, over RATE_SECONDS where no interval is given.

The ratios of CPU, disk and memory, from 0 to 1, come from where the container runs (an exporter, a recording rule);
of several containers they are averaged. The labels `instance_uuid`, `cluster_uuid` and `user_email` are given to all
of them when they are scraped.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from clusters.telemetry.quoting import literal, quoted
from controlplane.core.errors import InvalidRequest

# Holds four samples where scraping is done twice a minute; a rate takes two.
RATE_SECONDS: Final = 120
LONGEST_SECONDS: Final = 10 * 366 * 24 * 3600
MAX_INNER_STEPS: Final = 11_000


class MetricName(enum.StrEnum):
    ROOMS = "fishjam_rooms"
    ROOM_DURATION = "fishjam_room_duration_seconds"
    ROOM_PEERS = "fishjam_room_peers"
    PEER_TIME = "fishjam_room_peer_time_total_seconds"
    PEER_CRASHES = "fishjam_room_peer_crashes_total"
    PEER_CONNECTS = "fishjam_room_peer_connects_total"
    PEER_DISCONNECTS = "fishjam_room_peer_disconnects_total"
    EGRESS_WEBRTC = "fishjam_traffic_egress_webrtc_total_bytes"
    EGRESS_HTTP = "fishjam_traffic_egress_http_total_bytes"
    INGRESS_WEBRTC = "fishjam_traffic_ingress_webrtc_total_bytes"
    INGRESS_HTTP = "fishjam_traffic_ingress_http_total_bytes"
    EGRESS_WEBRTC_RATE = "fishjam_traffic_egress_webrtc_per_second_bytes"
    EGRESS_HTTP_RATE = "fishjam_traffic_egress_http_per_second_bytes"
    INGRESS_WEBRTC_RATE = "fishjam_traffic_ingress_webrtc_per_second_bytes"
    INGRESS_HTTP_RATE = "fishjam_traffic_ingress_http_per_second_bytes"
    CPU = "node_cpu_usage_ratio"
    DISK = "node_filesystem_usage_ratio"
    MEMORY = "node_ram_usage_ratio"


class MetricLabel(enum.StrEnum):
    INSTANCE = "instance_uuid"
    CLUSTER = "cluster_uuid"
    USER = "user_email"


@dataclass(frozen=True, slots=True)
class _Template:
    """`source` is what is scraped, `over` what becomes of it in a window, `together` how series become one."""

    source: str
    over: str
    together: str = "sum"
    needs_window: bool = False


def _level(name: MetricName) -> _Template:
    """A gauge that adds up: rooms of two containers are rooms."""
    return _Template(name, "avg_over_time")


def _ratio(name: MetricName) -> _Template:
    """A gauge that does not: two containers at 0.5 are not at 1."""
    return _Template(name, "avg_over_time", together="avg")


def _total(name: MetricName) -> _Template:
    """A counter."""
    return _Template(name, "increase")


def _rate(source: MetricName) -> _Template:
    """What nobody exports: how fast the counter `source` grows."""
    return _Template(source, "rate", needs_window=True)


_TEMPLATES: Final[dict[MetricName, _Template]] = {
    MetricName.ROOMS: _level(MetricName.ROOMS),
    # A counter in spite of its name: of each room it says how long it has been there.
    MetricName.ROOM_DURATION: _total(MetricName.ROOM_DURATION),
    MetricName.ROOM_PEERS: _level(MetricName.ROOM_PEERS),
    # What the usage of the free tier is measured by: seconds of peers.
    MetricName.PEER_TIME: _total(MetricName.PEER_TIME),
    MetricName.PEER_CRASHES: _total(MetricName.PEER_CRASHES),
    MetricName.PEER_CONNECTS: _total(MetricName.PEER_CONNECTS),
    MetricName.PEER_DISCONNECTS: _total(MetricName.PEER_DISCONNECTS),
    MetricName.EGRESS_WEBRTC: _total(MetricName.EGRESS_WEBRTC),
    MetricName.EGRESS_HTTP: _total(MetricName.EGRESS_HTTP),
    MetricName.INGRESS_WEBRTC: _total(MetricName.INGRESS_WEBRTC),
    MetricName.INGRESS_HTTP: _total(MetricName.INGRESS_HTTP),
    MetricName.EGRESS_WEBRTC_RATE: _rate(MetricName.EGRESS_WEBRTC),
    MetricName.EGRESS_HTTP_RATE: _rate(MetricName.EGRESS_HTTP),
    MetricName.INGRESS_WEBRTC_RATE: _rate(MetricName.INGRESS_WEBRTC),
    MetricName.INGRESS_HTTP_RATE: _rate(MetricName.INGRESS_HTTP),
    MetricName.CPU: _ratio(MetricName.CPU),
    MetricName.DISK: _ratio(MetricName.DISK),
    MetricName.MEMORY: _ratio(MetricName.MEMORY),
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Of whom something is asked: series whose `label` is one of `values`, which has been checked. None: nobody's."""

    label: MetricLabel
    values: tuple[str, ...]

    @classmethod
    def of_instances(cls, uuids: Iterable[UUID]) -> Scope:
        return cls(MetricLabel.INSTANCE, tuple(map(str, uuids)))

    @classmethod
    def of_clusters(cls, uuids: Iterable[UUID]) -> Scope:
        return cls(MetricLabel.CLUSTER, tuple(map(str, uuids)))

    @classmethod
    def of_user(cls, email: str) -> Scope:
        """Of a user without an address: nobody's, since a label without a value is one that is not there."""
        return cls(MetricLabel.USER, (email,) if email else ())


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked for. `interval_seconds` is how far it looks back from each moment, `resolution_seconds` in what
    steps (those of scraping, if nothing is said). Raises InvalidRequest for numbers that go together with nothing.
    """

    metric: MetricName
    scope: Scope
    group_by: MetricLabel | None = None
    interval_seconds: int | None = None
    resolution_seconds: int | None = None

    def __post_init__(self) -> None:
        interval, resolution = self.interval_seconds, self.resolution_seconds
        for name, number in (("interval", interval), ("resolution", resolution)):
            if number is not None and not 0 < number <= LONGEST_SECONDS:
                raise InvalidRequest(f"{name} has to be from 1 to {LONGEST_SECONDS} seconds.", field=name)
        if resolution is None:
            return
        if interval is None:
            raise InvalidRequest("resolution goes with interval only.", field="resolution")
        if interval // resolution > MAX_INNER_STEPS:
            message = f"An interval has {MAX_INNER_STEPS} steps at most: give a larger resolution."
            raise InvalidRequest(message, field="resolution")


def expression(question: Question, step_seconds: float = 0.0) -> str:
    """The query. `step_seconds` lie between the moments it will be asked at: a rate leaves no gap between them."""
    template = _TEMPLATES[question.metric]
    series = f"{template.source}{{{_matcher(question.scope)}}}"
    window = question.interval_seconds
    if window is None and template.needs_window:
        window = max(RATE_SECONDS, min(math.ceil(step_seconds), LONGEST_SECONDS))
    if window is not None:
        inner = f":{question.resolution_seconds}s" if question.resolution_seconds else ""
        series = f"{template.over}({series}[{window}s{inner}])"
    by = f" by ({question.group_by})" if question.group_by else ""
    return f"{template.together}{by} ({series})"


def _matcher(scope: Scope) -> str:
    """Raises ValueError for nobody's: without a value it would be everybody's."""
    if not scope.values or not all(scope.values):
        raise ValueError("a scope without values has no query")
    if len(scope.values) == 1:
        return f"{scope.label}={quoted(scope.values[0])}"
    return f"{scope.label}=~{quoted('|'.join(map(literal, scope.values)))}"
