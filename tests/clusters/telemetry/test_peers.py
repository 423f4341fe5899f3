"""What a container says of its peers, and what one says that means no good."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from clusters.telemetry import peers
from tests.clusters.exposer import METRIC, Exposer, exposer, exposition, http
from tests.postgresql import free_port

pytestmark = pytest.mark.runs_once("sqlite", "knows no database")
ONE, TWO = '{"room_id":"one"}', '{"room_id":"two"}'
SECONDS = 0.4


@pytest.fixture
def server() -> Iterator[Exposer]:
    with exposer() as made:
        yield made


def read(server: Exposer) -> peers.Values:
    return peers.read("127.0.0.1", server.port, "/metrics", SECONDS)


def test_a_series_is_its_labels_and_counts_milliseconds(server: Exposer) -> None:
    server.say({"one": 1.5, "two": 0.0004})
    assert read(server) == {ONE: 1500, TWO: 0}
    assert server.paths == ["/metrics"]


@pytest.mark.parametrize("value", ["NaN", "+Inf", "-Inf", "-1", "1e300"])
def test_what_is_no_length_of_time_is_left_out(value: str) -> None:
    assert peers.parse(f'{METRIC}{{room_id="one"}} {value}\n{METRIC}{{room_id="two"}} 2\n') == {TWO: 2000}


def test_other_metrics_are_not_read_whatever_they_say() -> None:
    assert peers.parse(f'{METRIC}_more{{a="b"}} 1\nnot {{ a metric\n{METRIC} 3 1700000000000\n') == {"{}": 3000}
    assert peers.parse("") == {}


def test_labels_of_any_text_stay_apart() -> None:
    text = f'{METRIC}{{room_id="a\\"b,c",x="\\\\"}} 1\n{METRIC}{{room_id="\x00ä"}} 2\n'
    assert peers.parse(text) == {'{"room_id":"a\\"b,c","x":"\\\\"}': 1000, '{"room_id":"\\u0000\\u00e4"}': 2000}


@pytest.mark.parametrize(
    "text",
    [
        f'{METRIC}{{room_id="one"}} 1',
        f"{METRIC}{{room_id=one}} 1\n",
        f'{METRIC}{{room_id="one"}}\n',
        f'{METRIC}{{room_id="one"}} 1 2 x\n',
        f"{METRIC} {'1' * peers.MAX_LINE}\n",
        exposition(dict.fromkeys(map(str, range(peers.MAX_SERIES + 1)), 1.0)),
    ],
)
def test_what_cannot_be_read_or_is_too_much_is_refused_as_a_whole(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        peers.parse(text)


def test_as_many_rooms_as_are_read_are_read_soon() -> None:
    text = exposition({f"{n:036}": n / 7 for n in range(peers.MAX_SERIES)})
    began = time.process_time()
    assert len(peers.parse(text)) == peers.MAX_SERIES
    assert time.process_time() - began < peers.READ_SECONDS


@pytest.mark.parametrize(
    ("now", "before", "grown"),
    [
        ({"a": 5}, {}, 5),
        ({"a": 5, "b": 2}, {"a": 3}, 4),
        ({"a": 5}, {"a": 5}, 0),
        ({"a": 2}, {"a": 5}, 2),
        ({"b": 2}, {"a": 5}, 2),
        ({}, {"a": 5}, 0),
    ],
)
def test_what_came_is_counted_series_by_series(now: peers.Values, before: peers.Values, grown: int) -> None:
    assert peers.increase(now, before) == grown


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"what is this",
        b"\x00" * 100_000,
        http(b"not found", "404 Not Found"),
        http(b"", "302 Found", "Location: http://127.0.0.1:1/metrics"),
        http(exposition({"one": 1.0}).encode() + b"\xff\n"),
        http(exposition({"one": 1.0}).encode()).replace(b"Content-Length: ", b"Content-Length: 9"),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
        http(b" " * (peers.MAX_ANSWER_BYTES + 1)),
    ],
)
def test_an_answer_that_is_none_is_not_read(server: Exposer, answer: bytes) -> None:
    server.answer(answer)
    with pytest.raises(peers.Unreadable):
        read(server)
    assert len(server.paths) == 1


@pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_without_end_is_left_in_time(server: Exposer, beginning: bytes) -> None:
    def drip(sock: socket.socket) -> None:
        sock.sendall(beginning)
        while True:
            sock.sendall(b"x")
            time.sleep(0.01)

    server.respond = drip
    began = time.monotonic()
    with pytest.raises(peers.Unreadable):
        read(server)
    assert time.monotonic() - began < 5 * SECONDS


def test_an_endless_body_is_left_when_it_is_too_much(server: Exposer) -> None:
    def pour(sock: socket.socket) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            sock.sendall(b"#" * 65536)

    server.respond = pour
    with pytest.raises(peers.Unreadable):
        peers.read("127.0.0.1", server.port, "/metrics", 10)


def test_where_nobody_listens_or_nothing_is_named_there_is_no_answer(server: Exposer) -> None:
    for port, path in ((free_port(), "/metrics"), (server.port, "/with space"), (server.port, "/ä")):
        with pytest.raises(peers.Unreadable):
            peers.read("127.0.0.1", port, path, SECONDS)
    assert server.paths == []
