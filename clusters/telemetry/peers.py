"""How long peers were connected to a container: read from its own metrics, without Prometheus.

A container counts the seconds of each of its rooms on and on. A counter begins at nothing with each start of the server
and with each room; that of a closed room is not shown any more.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from controlplane.core.timed_sockets import TimedSocket

METRIC: Final = "fishjam_room_peer_time_total_seconds"
READ_SECONDS: Final = 3.0  # for all of a reading
MAX_ANSWER_BYTES: Final = 4 * 2**20
MAX_SERIES: Final = 4096  # rooms that are open at once
MAX_LINE: Final = 512
MAX_MILLISECONDS: Final = 10**15  # a thousand peers for thirty years
Values = dict[str, int]  # the milliseconds of each series, by its labels


class Unreadable(Exception):
    """There was no whole answer in time that can be read; the message says why."""


def read(host: str, port: int, path: str, seconds: float = READ_SECONDS) -> Values:
    """What a container says of its rooms. A redirect is not followed. Raises Unreadable."""
    end = time.monotonic() + seconds
    try:
        return parse(_body(host, port, path, end).decode())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreadable(f"{host}:{port}: {str(error)[:200] or type(error).__name__}") from error


def parse(text: str) -> Values:
    """The series of METRIC in an exposition; what is no length of time, such as NaN, is left out.

    Raises ValueError for what cannot be read, or is too much: half of it would be counted twice later.
    """
    if text and not text.endswith("\n"):
        raise ValueError("it breaks off")
    # The parser takes its time: it sees what is wanted only.
    lines = [line for line in text.split("\n") if line.startswith((f"{METRIC}{{", f"{METRIC} "))]
    if len(lines) > MAX_SERIES:
        raise ValueError(f"it has more than {MAX_SERIES} series")
    if any(len(line) > MAX_LINE for line in lines):
        raise ValueError(f"it has a line of more than {MAX_LINE} characters")
    found: Values = {}
    for family in text_string_to_metric_families("\n".join(lines)):
        for sample in family.samples:
            if 0 <= sample.value <= MAX_MILLISECONDS / 1000:
                labels = json.dumps(sample.labels, sort_keys=True, separators=(",", ":"))
                found[labels] = round(sample.value * 1000)
    return found


def increase(now: Mapping[str, int], before: Mapping[str, int]) -> int:
    """How many milliseconds came to the series since the same run said `before`; what fell has begun anew."""
    grown = ((value, before.get(labels, 0)) for labels, value in now.items())
    return sum(value - last if value >= last else value for value, last in grown)


def _body(host: str, port: int, path: str, end: float) -> bytes:
    connection = http.client.HTTPConnection(host, port)
    try:
        connection.sock = _connect(host, port, end)
        connection.request("GET", path, headers={"Accept": "text/plain", "Connection": "close"})
        with connection.getresponse() as response:
            if response.status != 200:
                raise ValueError(f"it answers {response.status}")
            body = response.read(MAX_ANSWER_BYTES + 1)
            if len(body) > MAX_ANSWER_BYTES:
                raise ValueError(f"it says more than {MAX_ANSWER_BYTES} bytes")
            if response.length:
                raise ValueError("it breaks off")
            return body
    finally:
        connection.close()


def _connect(host: str, port: int, end: float) -> TimedSocket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    sock = TimedSocket(family, kind, protocol)
    try:
        sock.settimeout(max(0.001, end - time.monotonic()))
        sock.connect(address)
    except OSError:
        sock.close()
        raise
    sock.end = end
    return sock
