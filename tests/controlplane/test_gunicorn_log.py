from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from controlplane.core.scrub import MASK
from controlplane.gunicorn_log import ScrubbedAtoms, ScrubbingLogger

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
    took = SimpleNamespace(seconds=0, microseconds=5)
    logger.access(response, request, environ, took)
    logger.error("Error handling request %s", uri)
    written = (tmp_path / "access.log").read_text()
    assert f'"GET /status/1?token={MASK} HTTP/1.1" 200' in written
    assert SECRET not in written + (tmp_path / "error.log").read_text()
    assert MASK in (tmp_path / "error.log").read_text()


def test_setting_up_again_adds_no_second_filter(tmp_path: Path) -> None:
    config = Config()
    config.set("errorlog", str(tmp_path / "error.log"))
    logger = ScrubbingLogger(config)
    logger.setup(config)
    assert all(len(handler.filters) == 1 for handler in logger.error_log.handlers)
