"""What lines say of themselves, as the common loggers write them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.telemetry.log_lines import Severity, Told, read

pytestmark = pytest.mark.runs_once("sqlite", "no database is asked")

AT = datetime(2026, 1, 2, 3, 4, 5, 678000, UTC)
DEBUG, INFO, WARNING, ERROR = Severity


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        # Elixir's logger_json, pino, zap, structlog, python-json-logger, ECS
        ('{"time":"2026-01-02T03:04:05.678Z","severity":"warn","message":"m","metadata":{}}', Told(AT, WARNING, "m")),
        ('{"level":50,"time":1767323045678,"pid":1,"msg":"m"}', Told(AT, ERROR, "m")),
        ('{"level":"info","ts":1767323045.678,"caller":"a.go:1","msg":"m"}', Told(AT, INFO, "m")),
        ('{"level":"debug","timestamp":"2026-01-02T04:04:05.678+01:00","message":"m"}', Told(AT, DEBUG, "m")),
        ('{"asctime":"2026-01-02 03:04:05,678","levelname":"CRITICAL","message":"m"}', Told(AT, ERROR, "m")),
        ('{"@timestamp":"2026-01-02T03:04:05.678Z","log.level":"ERROR","message":"m"}', Told(AT, ERROR, "m")),
        # what is between them, and what is not there
        ('{"lvl":"notice","ts":"1767323045678000000","msg":"m"}', Told(AT, INFO, "m")),
        ('  {"ts":1767323045678000,"message":{"a":"ü"}}', Told(AT, INFO, '{"a": "ü"}')),
        ('{"time":"2026-01-02T03:04:05.678","level":30,"msg":""}', Told(AT, INFO, "")),
        ('{"a":1}', Told(None, INFO, '{"a":1}')),
        ('{"level":null,"severity":"error","message":null,"msg":"m"}', Told(None, ERROR, "m")),
        # plain text
        ("2026-01-02T03:04:05.678Z [error] it broke", Told(AT, ERROR, "2026-01-02T03:04:05.678Z [error] it broke")),
        ("[2026-01-02 03:04:05,678] WARN it may", Told(AT, WARNING, "[2026-01-02 03:04:05,678] WARN it may")),
        ("03:04:05.678 room_id=a [debug] hm", Told(None, DEBUG, "03:04:05.678 room_id=a [debug] hm")),
        ("Warning: it may\r", Told(None, WARNING, "Warning: it may")),
        ("\x1b[31m[error]\x1b[0m red", Told(None, ERROR, "[error] red")),
        ("error is a word as others are", Told(None, INFO, "error is a word as others are")),
        ("no [brackets] before [error]", Told(None, INFO, "no [brackets] before [error]")),
        ("", Told(None, INFO, "")),
    ],
)
def test_a_line_is_read(line: str, expected: Told) -> None:
    assert read(line) == expected


@pytest.mark.parametrize(
    "line", ["{", "{]}", "{" * 100_000, '{"a":' * 50_000, "[1]", '"text"', "\ud800", "x" * 1_000_000, "[" * 100_000]
)
def test_whatever_it_is_it_is_a_message(line: str) -> None:
    assert read(line) == Told(None, INFO, line)


@pytest.mark.parametrize(
    "time", [True, -1, 1e25, "never", "2026-13-01T00:00:00Z", "0001-01-01T00:00:00+23:00", [], {}, "nan", "inf"]
)
def test_a_time_that_is_none_is_none(time: Any) -> None:
    assert read(json.dumps({"time": time, "msg": "m"})) == Told(None, INFO, "m")


@pytest.mark.parametrize(
    ("level", "severity"),
    [
        (10, DEBUG), (20, DEBUG), (30, INFO), (35, INFO), (40, WARNING), (50, ERROR), (60, ERROR), (True, INFO),
        ("TRACE", DEBUG), (" Fatal ", ERROR), ("emergency", ERROR), ("dpanic", ERROR), ("nonsense", INFO), ([], INFO),
    ],
)  # fmt: skip
def test_levels_are_severities(level: Any, severity: Severity) -> None:
    assert read(json.dumps({"level": level, "msg": "m"})).severity is severity


def test_severities_have_an_order() -> None:
    assert [severity.rank for severity in (DEBUG, INFO, WARNING, ERROR)] == [0, 1, 2, 3]
