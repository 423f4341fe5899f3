"""Streams of events: read wherever they are cut, taken up where they broke off."""

from __future__ import annotations

import pytest

from controlplane.cli import events
from controlplane.cli.client import Client
from controlplane.cli.config import Login
from controlplane.cli.errors import ExitCode, Failure
from controlplane.cli.events import Event, Parser, follow
from tests.controlplane.cli.conftest import TOKEN
from tests.controlplane.cli.fake_server import FakeServer, answer, drop
from tests.controlplane.cli.fake_server import events as stream

PATH = "/v6/jobs/7/logs/combined/"
LOG_1 = b'id: c1\nevent: log\ndata: {"text": "one\\n"}\n\n'
LOG_2 = 'id: c2\nevent: log\ndata: {"text": "zwei \u00e4\\n"}\n\n'.encode()
END = b'event: end\ndata: {"status": "COMPLETED", "exit_code": 0}\n\n'
WHOLE = b"\xef\xbb\xbf: ping\r\n\r\n" + LOG_1.replace(b"\n", b"\r\n") + LOG_2 + b"data: a\rdata: b\r\r" + END


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(events, "NOTHING_YET_SECONDS", 0.001)


@pytest.fixture
def client(fake: FakeServer) -> Client:
    return Client(Login(fake.base_url, TOKEN))


def _followed(client: Client, **more: object) -> list[Event]:
    return list(follow(client, PATH[1:], [], **more))  # type: ignore[arg-type]


@pytest.mark.parametrize("size", range(1, 12))
def test_events_are_the_same_wherever_the_bytes_are_cut(size: int) -> None:
    parser = Parser()
    found = [event for n in range(0, len(WHOLE), size) for event in parser.feed(WHOLE[n : n + size])]
    assert [event.kind for event in found] == ["log", "log", "message", "end"]
    assert [event.id for event in found] == ["c1", "c2", "c2", "c2"]
    assert "\u00e4" in found[1].data
    assert found[2].data == "a\nb"


def test_a_broken_stream_goes_on_after_the_last_event_seen(fake: FakeServer, client: Client) -> None:
    fake.expect(
        ("GET", PATH, stream(LOG_1, LOG_2[:30])),  # cut in the middle of an event
        ("GET", PATH, drop),
        ("GET", PATH, answer(503, {"detail": "Starting.", "code": "BUSY"})),
        ("GET", PATH, stream(LOG_2, END, whole=True)),
    )
    assert [event.kind for event in _followed(client)] == ["log", "log", "end"]
    assert [request.headers.get("Last-Event-ID") for request in fake.requests] == [None, "c1", "c1", "c1"]
    assert {request.headers["Accept"] for request in fake.requests} == {"text/event-stream"}


def test_a_stream_that_asks_for_it_is_opened_anew(fake: FakeServer, client: Client) -> None:
    again = b"event: reconnect\n\n"
    fake.expect(
        *[("GET", PATH, stream(again, whole=True))] * (events.BREAKS_AT_MOST + 2),
        ("GET", PATH, stream(END, whole=True)),
    )
    assert _followed(client)[-1].kind == "end"


def test_a_stream_that_never_brings_anything_is_given_up(fake: FakeServer, client: Client) -> None:
    fake.expect(*[("GET", PATH, stream(b"event: status\ndata: {}\n\n"))] * (events.BREAKS_AT_MOST + 1))
    with pytest.raises(Failure) as raised:
        _followed(client)
    assert raised.value.code == ExitCode.UNREACHABLE


def test_a_refusal_ends_it_at_once(fake: FakeServer, client: Client) -> None:
    fake.expect(("GET", PATH, answer(404, {"detail": "No such job.", "code": "NOT_FOUND"})))
    with pytest.raises(Failure, match="No such job") as raised:
        _followed(client)
    assert raised.value.code == ExitCode.NOT_FOUND


def test_nothing_yet_is_asked_again_until_the_job_is_over(fake: FakeServer, client: Client) -> None:
    fake.expect(*[("GET", PATH, answer(204, b""))] * 3)
    asked = iter([False, False, True])
    assert _followed(client, gone=lambda: next(asked)) == []


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    parser = Parser()
    with pytest.raises(Failure, match="without an end"):
        list(parser.feed(b"x" * (events.LONGEST_LINE + 1)))
