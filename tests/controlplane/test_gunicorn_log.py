from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from gunicorn.config import Config

from controlplane.core import logs
from controlplane.core.scrub import MASK
from controlplane.gunicorn_log import ScrubbedAtoms, ScrubbingLogger, chosen_format

SECRET = "aB3-x_9ZkQ7pLm2Vw8RtYc5NfGh1JdSe6UiOb4XqT0E"


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("r", f"GET /status/1?token={SECRET} HTTP/1.1", f"GET /status/1?token={MASK} HTTP/1.1"),
        ("q", f"token={SECRET}", f"token={MASK}"),
        ("f", f"http://127.0.0.1/list?token={SECRET}", f"http://127.0.0.1/list?token={MASK}"),
        ("{Authorization}i", f"Bearer {SECRET}", MASK),
        ("{HTTP_AUTHORIZATION}e", "short", MASK),
        ("{Cookie}i", f"sessionid={SECRET}", MASK),
        ("{Set-Cookie}o", f"sessionid={SECRET}", MASK),
        ("{raw_uri}e", f"/x?token={SECRET}", f"/x?token={MASK}"),
        ("s", "200", "200"),
        ("B", 17, 17),
    ],
)
def test_an_atom_is_scrubbed(key: str, value: Any, shown: Any) -> None:
    stored = key.lower() if key.startswith("{") else key
    assert ScrubbedAtoms({stored: value})[key] == shown


def test_an_unknown_atom_is_a_dash() -> None:
    assert ScrubbedAtoms({})["x"] == "-"


def test_both_logs_of_the_server_are_scrubbed(tmp_path: Path) -> None:
    config = Config()
    config.set("accesslog", str(tmp_path / "access.log"))
    config.set("errorlog", str(tmp_path / "error.log"))
    config.set("access_log_format", '%(h)s "%(r)s" %(s)s "%(f)s" %({authorization}i)s')
    logger = ScrubbingLogger(config)
    uri = f"/status/1?token={SECRET}"
    environ = {
        "REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": "GET", "RAW_URI": uri, "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_REFERER": f"http://127.0.0.1{uri}", "QUERY_STRING": uri.partition("?")[2], "PATH_INFO": "/status/1",
    }  # fmt: skip
    request = SimpleNamespace(headers=[("AUTHORIZATION", f"Bearer {SECRET}")])
    response = SimpleNamespace(status="200 OK", sent=5, headers=[])
    logger.access(response, request, environ, timedelta(microseconds=5))
    logger.error("Error handling request %s", uri)
    written = (tmp_path / "access.log").read_text()
    assert f'"GET /status/1?token={MASK} HTTP/1.1" 200' in json.loads(written)["event"]
    assert SECRET not in written + (tmp_path / "error.log").read_text()
    assert MASK in (tmp_path / "error.log").read_text()


def test_setting_up_again_adds_no_second_filter(tmp_path: Path) -> None:
    config = Config()
    config.set("errorlog", str(tmp_path / "error.log"))
    logger = ScrubbingLogger(config)
    logger.setup(config)
    assert all(len(handler.filters) == 1 for handler in logger.error_log.handlers)


@pytest.mark.parametrize(
    ("environ", "style"),
    [
        ({}, "json"),
        ({"DEBUG": "1"}, "text"),
        ({"DEBUG": "0"}, "json"),
        ({"DEBUG": "yes", "LOG_FORMAT": "json"}, "json"),
        ({"LOG_FORMAT": "text"}, "text"),
        ({"LOG_FORMAT": ""}, "json"),
    ],
)
def test_its_lines_have_the_form_of_all_others(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], style: str
) -> None:
    for name in ("DEBUG", "LOG_FORMAT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert chosen_format() == style


@pytest.fixture
def access(tmp_path: Path) -> Iterator[Callable[..., dict[str, Any]]]:
    """Have a request logged that was answered with these headers; the line."""
    config = Config()
    config.set("accesslog", str(tmp_path / "access.log"))
    config.set("access_log_format", "%(m)s %(U)s")
    logger = ScrubbingLogger(config)
    environ = {
        "REMOTE_ADDR": "127.0.0.1", "REQUEST_METHOD": "GET", "RAW_URI": "/x", "SERVER_PROTOCOL": "HTTP/1.1",
        "PATH_INFO": "/x", "QUERY_STRING": "", "HTTP_USER_AGENT": f"curl?token={SECRET}",
    }  # fmt: skip

    def log(*headers: tuple[str, str]) -> dict[str, Any]:
        response = SimpleNamespace(status="200 OK", sent=5, headers=list(headers))
        logger.access(response, SimpleNamespace(headers=[]), environ, timedelta(milliseconds=5))
        line: dict[str, Any] = json.loads((tmp_path / "access.log").read_text().splitlines()[-1])
        return line

    yield log
    structlog.contextvars.clear_contextvars()


def test_a_request_s_line_tells_what_it_has_bound_and_no_later_one_does(
    access: Callable[..., dict[str, Any]],
) -> None:
    logs.begin_request("r1")
    logs.name_caller("mary", "abcdefgh")
    line = access(("X-Request-ID", "r1"))
    told = {
        name: line[name] for name in ("event", "request_id", "user", "token_prefix", "status", "duration_ms", "bytes")
    }
    assert told == {
        "event": "GET /x", "request_id": "r1", "user": "mary", "token_prefix": "abcdefgh",
        "status": 200, "duration_ms": 5.0, "bytes": 5,
    }  # fmt: skip
    assert line["agent"] == f"curl?token={MASK}"
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize("headers", [(), (("X-Request-ID", "r2"),)])
def test_a_request_that_got_not_so_far_is_not_taken_for_the_last_one(
    access: Callable[..., dict[str, Any]], headers: tuple[tuple[str, str], ...]
) -> None:
    logs.begin_request("r1")
    logs.name_caller("mary", "abcdefgh")
    line = access(*headers)
    assert line.get("request_id") == (headers[0][1] if headers else None)
    assert not {"user", "token_prefix"} & set(line)
