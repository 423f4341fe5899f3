"""The newest lines of a container, from a place that keeps times, from one that keeps none, and from Loki."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from clusters.errors import LogsUnavailable
from clusters.providers.base import LogPage
from clusters.providers.errors import AuthFailed, NotFound, ProviderError, Throttled
from clusters.providers.hosting import Hosting, Line, ServiceObservation, ServicePhase
from clusters.telemetry import logs, loki
from clusters.telemetry.log_lines import Severity
from clusters.telemetry.logs import LogQuery
from controlplane.core.utf8 import incomplete_tail
from tests.clusters.telemetry import loki_server
from tests.clusters.telemetry.loki_server import Loki
from tests.postgresql import free_port

pytestmark = pytest.mark.runs_once("sqlite", "no database is asked")

ONE, TWO = UUID(int=1), UUID(int=2)
CREATED = datetime(2026, 1, 1, tzinfo=UTC)
HANDLE = "ecs::1"


def at(seconds: float) -> datetime:
    return CREATED + timedelta(seconds=seconds)


def query(start: float = 0, end: float = 10_000, **wishes: Any) -> LogQuery:
    return LogQuery(**{"container": ONE, "created_at": CREATED, "start": at(start), "end": at(end), **wishes})


class Place(Hosting):
    """Keeps what it is given: lines with times, or text without."""

    cloud = "test"
    region = "test"

    def __init__(self, lines: list[Line] | None = None, text: str = "", failure: Exception | None = None) -> None:
        self.kept, self.text, self.failure = lines, text.encode(), failure
        self.runs: list[str] = []
        self.taken = 0

    def newest_lines(self, handle: str, start: datetime, end: datetime) -> Iterator[Line]:
        assert handle == HANDLE
        if self.kept is None:
            return super().newest_lines(handle, start, end)
        return self.taking(start, end)

    def taking(self, start: datetime, end: datetime) -> Iterator[Line]:
        for line in self.kept or ():
            self.taken += 1
            assert line.written_at is not None
            if start <= line.written_at < end:
                yield line

    def observe(self, handles: Any) -> list[ServiceObservation]:
        return [ServiceObservation(handle, ServicePhase.RUNNING, run="run 7") for handle in handles]

    def logs(self, handle: str, after: int = 0, limit: int = 2**20, *, run: str = "") -> LogPage:
        self.runs.append(run)
        if self.failure:
            raise self.failure
        text = self.text[after : after + 50]
        text = text[: len(text) - incomplete_tail(text)]
        return LogPage(text.decode(), after + len(text), False)

    def none(self, *args: Any) -> Any:
        raise AssertionError("nothing else is asked")

    provision: Any = none
    reconfigure: Any = none
    retire: Any = none
    standing: Any = none
    explain: Any = none
    probe: Any = none
    link: Any = none


def messages(place: Place, asked: LogQuery | None = None) -> list[str]:
    return [entry.message for entry in logs.newest(asked or query(), place, HANDLE)]


# --- A place that keeps times -----------------------------------------------------------------------------------------

KEPT = [
    Line("[error] seven", at(7)),
    Line('{"time":"1999-01-01T00:00:00Z","level":"warn","msg":"six"}', at(6)),
    Line("five", at(5)),
    Line("   ", at(4.5)),
    Line('{"level":"debug","msg":"four"}', at(4)),
]


def test_the_newest_come_first_with_the_place_s_times() -> None:
    found = logs.newest(query(), Place(KEPT), HANDLE)
    assert [(entry.timestamp, entry.severity.value, entry.message) for entry in found] == [
        (at(7), "error", "[error] seven"), (at(6), "warning", "six"), (at(5), "info", "five"), (at(4), "debug", "four"),
    ]  # fmt: skip


def test_no_more_are_taken_than_are_wanted() -> None:
    place = Place(KEPT)
    assert messages(place, query(limit=2)) == ["[error] seven", "six"]
    assert place.taken == 2


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        (Severity.DEBUG, ["[error] seven", "six", "five", "four"]),
        (Severity.INFO, ["[error] seven", "six", "five"]),
        (Severity.WARNING, ["[error] seven", "six"]),
        (Severity.ERROR, ["[error] seven"]),
    ],
)
def test_a_severity_is_that_and_worse(severity: Severity, expected: list[str]) -> None:
    assert messages(Place(KEPT), query(severity=severity)) == expected


def test_a_phrase_is_plain_text_in_any_case() -> None:
    assert messages(Place(KEPT), query(phrase="SEV")) == ["[error] seven"]
    assert messages(Place(KEPT), query(phrase="f.*")) == []
    assert messages(Place(KEPT), query(phrase='"msg":"FOUR"')) == ["four"], "of the line as it was written"
    assert messages(Place([Line("STRASSE Ä", at(1))]), query(phrase="straße ä")) == ["STRASSE Ä"]


def test_times_are_kept_to() -> None:
    assert messages(Place(KEPT), query(5, 7)) == ["six", "five"]
    assert messages(Place(KEPT), query(7, 7)) == []
    assert messages(Place(KEPT), query(9, 5)) == []
    assert messages(Place(KEPT), query(-100, 0)) == [], "before it was made"
    assert messages(Place(KEPT), query(limit=0)) == []


# --- A place that keeps none ------------------------------------------------------------------------------------------


def stamped(seconds: float, message: str) -> str:
    return json.dumps({"time": at(seconds).isoformat(), "level": "info", "msg": message})


def test_a_run_is_read_page_by_page_to_its_end() -> None:
    place = Place(text="".join(f"line {number} äöü\n" for number in range(100)) + "the last")
    assert messages(place, query(limit=3)) == ["the last", "line 99 äöü", "line 98 äöü"]
    assert set(place.runs) == {"run 7"}, "though another may have begun meanwhile"


def test_a_line_without_a_time_was_written_after_the_one_before_it() -> None:
    text = "\n".join(["starting", stamped(10, "ten"), "  of ten", stamped(20, "twenty"), "  of twenty", ""])
    found = logs.newest(query(), Place(text=text), HANDLE)
    assert [(entry.timestamp, entry.message) for entry in found] == [
        (at(20), "  of twenty"), (at(20), "twenty"), (at(10), "  of ten"), (at(10), "ten"), (CREATED, "starting"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0, 5, ["starting"]),
        (9, 15, ["  of ten", "ten", "starting"]),
        (11, 15, ["  of ten"]),
        (15, 30, ["  of twenty", "twenty", "  of ten"]),
        (25, 30, ["  of twenty"]),
    ],
)
def test_it_is_told_where_it_may_have_been_written_then(start: float, end: float, expected: list[str]) -> None:
    text = "\n".join(["starting", stamped(10, "ten"), "  of ten", stamped(20, "twenty"), "  of twenty"])
    assert messages(Place(text=text), query(start, end)) == expected


def test_without_any_time_there_is_only_when_it_was_made() -> None:
    found = logs.newest(query(5000, 6000), Place(text="one\ntwo\n"), HANDLE)
    assert [(entry.timestamp, entry.message) for entry in found] == [(CREATED, "two"), (CREATED, "one")]


def test_threads_that_write_out_of_order_lose_nothing() -> None:
    text = "\n".join([stamped(100, "early"), stamped(129, "late"), stamped(101, "early again"), stamped(130, "last")])
    assert messages(Place(text=text), query(120)) == ["last", "late"]
    text = "\n".join([stamped(129, "late"), stamped(1, "long ago"), stamped(130, "last")])
    assert messages(Place(text=text), query(120)) == ["last"], "what is before so old a line is not looked at"


# --- What cannot be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [ProviderError("x"), AuthFailed("secret words"), Throttled()])
def test_a_place_that_fails_is_not_available(failure: Exception) -> None:
    with pytest.raises(LogsUnavailable) as refused:
        messages(Place(failure=failure))
    assert (refused.value.http_status, refused.value.message) == (503, "The log store is not available.")


def test_what_a_place_knows_nothing_of_has_no_lines() -> None:
    assert messages(Place(failure=NotFound("gone"))) == []


def test_what_never_ran_has_no_lines_and_a_place_that_keeps_none_says_so() -> None:
    assert logs.newest(query()) == logs.newest(query(), Place(KEPT)) == []
    with pytest.raises(LogsUnavailable, match="LOKI_URL"):
        logs.newest(query(), None, HANDLE)


def test_more_than_can_be_looked_through_is_said_and_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Hosting, "LINES_AT_MOST", 50)
    text = "needle\n" + "hay\n" * 60
    assert len(messages(Place(text=text), query(limit=50))) == 50
    with pytest.raises(LogsUnavailable, match="shorter time"):
        messages(Place(text=text), query(phrase="needle"))
    assert messages(Place(text="needle\n" + "hay\n" * 48), query(phrase="needle")) == ["needle"]


# --- Loki -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(settings: Any) -> Iterator[Loki]:
    with loki_server.running("media") as found:
        settings.LOKI_URL, settings.LOKI_TENANT = found.url, "media"
        yield found


def ns(seconds: float) -> int:
    return round((CREATED.timestamp() + seconds) * 1000) * 10**6


def labels(container: UUID, **more: str) -> dict[str, str]:
    return {"instance_uuid": str(container), **more}


def told(**wishes: Any) -> list[str]:
    return [entry.message for entry in logs.newest(query(**wishes))]


def test_loki_tells_a_container_s_lines_of_all_streams_and_no_other_s(store: Loki) -> None:
    store.write(labels(ONE, stream="stdout"), (ns(1), "one"), (ns(3), "three"))
    store.write(labels(ONE, stream="stderr"), (ns(2), "[error] two"))
    store.write(labels(TWO), (ns(2), "another's"))
    found = logs.newest(query(), Place(KEPT), HANDLE)
    assert [(entry.timestamp, entry.severity.value, entry.message) for entry in found] == [
        (at(3), "info", "three"), (at(2), "error", "[error] two"), (at(1), "info", "one"),
    ]  # fmt: skip
    assert told(severity=Severity.ERROR) == ["[error] two"]
    assert told(limit=1) == ["three"]
    assert told(start=1, end=3) == ["[error] two", "one"]


def test_loki_is_told_who_asks(store: Loki, settings: Any) -> None:
    told()
    settings.LOKI_TOKEN = "s3cret"
    told()
    settings.LOKI_USER = "reader"
    told()
    sent = [headers.get("authorization") for headers in store.headers]
    assert sent == [None, "Bearer s3cret", "Basic cmVhZGVyOnMzY3JldA=="]
    settings.LOKI_TENANT = ""
    with pytest.raises(LogsUnavailable):
        told()


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("A.B", ["a.b"]), ('x"y', ['x"y']), ("back\\slash", ["back\\slash"]), ("`", ["`tick`"]), ("[", ["[error] [x]"]),
        ("Ü", ["ünï"]), ('"} |~ ".*', []), ("line\nbreak", ["line\nbreak"]), ("💧", ["💧"]), ("", None), (".*", []),
    ],
)  # fmt: skip
def test_a_phrase_is_text_to_loki_too(store: Loki, phrase: str, expected: list[str] | None) -> None:
    lines = ["a.b", "axb", 'x"y', "back\\slash", "`tick`", "[error] [x]", "ünï", "line\nbreak", "💧"]
    store.write(labels(ONE), *((ns(number), line) for number, line in enumerate(lines)))
    assert told(phrase=phrase) == (list(reversed(lines)) if expected is None else expected)


def test_pages_follow_each_other_and_lose_nothing(store: Loki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loki, "LINES_AT_ONCE", 4)
    moments = [1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 7, 7, 7]
    store.write(labels(ONE), *((ns(moment), f"{number}") for number, moment in enumerate(moments)))
    assert sorted(map(int, told(limit=100))) == list(range(len(moments)))
    assert [entry.timestamp for entry in logs.newest(query())] == [at(moment) for moment in reversed(moments)]


def test_older_pages_are_asked_for_when_they_are_needed(store: Loki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loki, "LINES_AT_ONCE", 4)
    store.write(labels(ONE), *((ns(number), f"{number}") for number in range(50)))
    assert told(limit=3) == ["49", "48", "47"]
    assert len(store.asked) == 1


def test_a_page_full_of_one_moment_is_passed(store: Loki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loki, "LINES_AT_ONCE", 4)
    store.write(labels(ONE), (ns(1), "before"), *((ns(2), f"{number}") for number in range(9)), (ns(3), "after"))
    found = told(limit=100)
    assert (found[0], found[-1]) == ("after", "before")


def test_a_long_time_is_asked_for_in_parts(store: Loki) -> None:
    store.write(labels(ONE), (ns(1), "long ago"), (ns(200 * 24 * 3600), "now"))
    assert told(end=201 * 24 * 3600) == ["now", "long ago"]
    assert len(store.asked) == 7


@pytest.mark.parametrize(
    "fault",
    [
        (400, b"parse error at line 1\n"), (401, b"no org id\n"), (429, b"too many outstanding requests"),
        (500, b"context canceled"), (302, b""), (200, b"<html>"), (200, b"[]"), (200, b"{}"), (200, b"[" * 100_000),
        (200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}'),
        (200, b'{"status":"success","data":{"resultType":"streams","result":[{"stream":{}}]}}'),
        (200, b'{"status":"success","data":{"resultType":"streams","result":[{"values":[["1"]]}]}}'),
        (200, b'{"status":"success","data":{"resultType":"streams","result":[{"values":[[1,"a"]]}]}}'),
        (200, b'{"status":"success","data":{"resultType":"streams","result":[{"values":[["x","a"]]}]}}'),
    ],
)  # fmt: skip
def test_a_loki_that_does_not_answer_is_not_available(store: Loki, fault: tuple[int, bytes]) -> None:
    store.fault = fault
    with pytest.raises(LogsUnavailable) as refused:
        told()
    assert refused.value.message == "The log store is not available."


def test_a_loki_that_is_not_there_or_says_too_much_is_not_available(
    store: Loki, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write(labels(ONE), (ns(1), "x" * 10_000))
    monkeypatch.setattr(loki, "MAX_ANSWER_BYTES", 1000)
    with pytest.raises(LogsUnavailable):
        told()
    settings.LOKI_URL = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(LogsUnavailable):
        told()


def test_the_pretended_loki_refuses_as_the_real_one(store: Loki) -> None:
    good = {"query": '{a="b"}', "start": "1", "end": "2", "limit": "1", "direction": "backward"}

    def status(**wishes: str) -> int:
        path = f"/loki/api/v1/query_range?{urlencode({**good, **wishes})}"
        return store.answer(path, {"x-scope-orgid": "media"})[0]

    assert status() == 200
    for wish in ({"end": "1"}, {"limit": "5001"}, {"end": str(10**17)}, {"query": "x"}, {"direction": "up"}):
        assert status(**wish) == 400
