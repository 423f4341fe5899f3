"""Log lines: their form, what they tell of a request, and that no token is on any of them."""

from __future__ import annotations

import http.client
import io
import json
import logging
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from django.conf import settings
from django.db import DatabaseError
from django.http import HttpRequest
from django.test import Client

from clusters.providers.base import Observation, Phase
from controlplane.core import logs
from controlplane.core.scrub import MASK, ScrubFilter
from controlplane.tracing import request_id_of, surface_of
from jobs import scheduling
from tests.deployment import Factory
from tests.factories import make_admin, make_customer_user, make_operator

SECRET = "aB3-x_9ZkQ7pLm2Vw8RtYc5NfGh1JdSe6UiOb4XqT0E"
GOOD = {"customer": "acme", "cloud": "local", "region": "local", "id": "x", "image": "x", "command": ["true"]}


class Lines(list[dict[str, Any]]):
    """What was logged, each line read as JSON."""

    def __init__(self, stream: io.StringIO) -> None:
        self._stream = stream

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def read(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


def handler_of(style: str) -> tuple[logging.Handler, io.StringIO]:
    """A handler as settings make it, but that it writes into memory."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(ScrubFilter())
    handler.setFormatter(logs.formatter(style))
    return handler, stream


@pytest.fixture(autouse=True)
def _nothing_bound() -> Iterator[None]:
    """Requests of tests end without the web server, which forgets what they have bound."""
    structlog.contextvars.clear_contextvars()
    yield
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Every line of every logger, as JSON."""
    handler, stream = handler_of("json")
    logging.getLogger().addHandler(handler)
    yield Lines(stream)
    logging.getLogger().removeHandler(handler)


def written(style: str, *arguments: Any, **more: Any) -> str:
    handler, stream = handler_of(style)
    logger = logging.Logger("jobs.pulse")
    logger.addHandler(handler)
    logger.warning(*arguments, **more)
    return stream.getvalue()


# --- Form ----------------------------------------------------------------------------------------


def test_a_line_of_a_package_is_an_object_with_the_names_that_all_have() -> None:
    [line] = written("json", "%s of %d", "one", 2, extra={"job_id": 7, "request": HttpRequest()}).splitlines()
    event = json.loads(line)
    assert list(event) == ["timestamp", "level", "logger", "event", "job_id"]
    assert (event["level"], event["logger"], event["event"], event["job_id"]) == (
        "warning",
        "jobs.pulse",
        "one of 2",
        7,
    )
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", event["timestamp"])


def test_a_line_to_read_has_its_values_at_its_end() -> None:
    line = written("text", "failed: %s", "no room", extra={"job_id": 7})
    assert re.fullmatch(r"\S+Z warning jobs\.pulse failed: no room job_id=7\n", line)


@pytest.mark.parametrize("style", logs.FORMATS)
@pytest.mark.parametrize("text", ["one\ntwo", "one\r\n2026-01-01 forged", "\x1b[31mred", "\u2028", "\ud800", "a\0b"])
def test_an_event_is_one_line_whatever_is_in_it(style: str, text: str) -> None:
    said = written(style, "said %s", text)
    assert said.count("\n") == 1
    assert said.isprintable() or said[:-1].isprintable()
    if style == "json":
        assert json.loads(said)["event"] == f"said {text}"


def test_a_value_with_spaces_is_quoted_in_a_line_to_read() -> None:
    structlog.contextvars.bind_contextvars(user='a b="c"')
    assert 'user="a b=\\"c\\""' in written("text", "x")


@pytest.mark.parametrize("style", logs.FORMATS)
def test_a_traceback_is_told_without_tokens(style: str) -> None:
    try:
        raise ValueError(f"cannot fetch /?token={SECRET}")
    except ValueError as error:
        said = written(style, "failed", exc_info=error, stack_info=True)
    assert "Traceback" in said
    assert f"token={MASK}" in said
    assert "Stack (most recent call last)" in said
    assert SECRET not in said
    if style == "json":
        event = json.loads(said)
        assert event["exception"].startswith("Traceback")
        assert "exc_info" not in event


@pytest.mark.parametrize("style", logs.FORMATS)
def test_structlog_s_own_loggers_write_the_same_and_without_tokens(style: str) -> None:
    handler, stream = handler_of(style)
    logger = logging.getLogger("jobs.own")
    logger.addHandler(handler)
    try:
        inner = {"token": SECRET, "headers": [f"Authorization: Bearer {SECRET}"]}
        try:
            raise ValueError(f"?token={SECRET}")
        except ValueError:
            structlog.get_logger("jobs.own").exception("ended", url=f"/x?token={SECRET}", inner=inner, obj=object)
    finally:
        logger.removeHandler(handler)
    said = stream.getvalue()
    assert SECRET not in said
    assert MASK in said
    assert "jobs.own" in said
    assert "Traceback" in said


class Mute:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_what_cannot_be_said_loses_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    around: dict[str, Any] = {}
    around["self"] = around
    for odd in (Mute(), around, {1: {2: {3: {4: {5: {6: {7: 8}}}}}}}, float("nan"), b"\xff", {"a": {1, 2}}):
        event = json.loads(written("json", "odd", extra={"job_id": odd}))
        assert event["event"] == "odd"
    assert capsys.readouterr().err == ""


def test_settings_use_it_for_every_handler() -> None:
    chosen: dict[str, Any] = settings.LOGGING
    [handler] = chosen["handlers"].values()
    assert chosen["formatters"][handler["formatter"]]["()"] == "controlplane.core.logs.formatter"
    assert "scrub" in handler["filters"]
    for name in ("", "django", "django.request", "django.server", "django-q"):
        for each in logging.getLogger(name).handlers:
            if type(each) is logging.StreamHandler:
                assert isinstance(each.formatter, structlog.stdlib.ProcessorFormatter), name


# --- Requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["a", "0190f5c8-0000-7000-8000-000000000000", "x" * 128, "a b/{}=?\"'"])
def test_a_well_formed_id_is_kept(given: str) -> None:
    assert request_id_of(given) == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a\nb", "a\tb", "é", "\x7f", "a\0"])
def test_any_other_is_replaced(given: str) -> None:
    made = request_id_of(given)
    assert made != given
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", made)
    assert made != request_id_of(given)


@pytest.mark.parametrize(
    ("path", "surface"),
    [
        ("/submit", "mapsor"), ("/status/1", "mapsor"), ("/v6/jobs/", "native"), ("/api-token-auth/", "native"),
        ("/admin/", "admin"), ("/admin", "admin"), ("/", "site"), ("/static/x.css", "site"), ("/metrics", "site"),
        ("/nothing", "mapsor"), ("//", "site"), ("", "site"),
        ("/api/v1/jobs/1", "mapreduce"), ("/api/v1/artifacts", "mapreduce"), ("/api/v1/auth/user", "fishjam"),
        ("/api/v1/nothing", "fishjam"),
    ],
)  # fmt: skip
def test_every_path_is_of_a_surface(path: str, surface: str) -> None:
    assert surface_of(path) == surface


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("post", "/submit"), ("get", "/status/x"), ("get", "/list"), ("get", "/v6/jobs/"), ("get", "/v6/nothing/"),
        ("get", "/admin/login/"), ("get", "/admin"), ("get", "/"), ("get", "/livez"), ("get", "/metrics"),
        ("get", "/nothing"), ("get", "/schema/"), ("get", "/static/nothing.css"), ("put", "/livez"),
    ],
)  # fmt: skip
def test_every_answer_carries_the_id_it_came_with(method: str, path: str) -> None:
    answer = getattr(Client(), method)(path, headers={"X-Request-ID": "mine-7"})
    assert answer.headers["X-Request-ID"] == "mine-7"
    first, second = (getattr(Client(), method)(path).headers["X-Request-ID"] for _ in range(2))
    assert first != second


def test_a_request_that_django_refuses_carries_one_too() -> None:
    answer = Client(headers={"Host": "evil.example"}).get("/admin/login/", headers={"X-Request-ID": "mine"})
    assert (answer.status_code, answer.headers["X-Request-ID"]) == (400, "mine")


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
@pytest.mark.parametrize("seen_before", [False, True])
def test_a_failure_tells_the_request_the_user_and_the_token_s_beginning(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, seen_before: bool
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise RuntimeError(f"lost ?token={SECRET}")

    operator = make_operator("mary")
    path = f"/submit?token={operator.token}"
    if seen_before:
        assert Client().post(path, GOOD, content_type="application/json").status_code == 200
    monkeypatch.setattr("jobs.services.submit_jobs", fail)
    answer = Client().post(path, GOOD, content_type="application/json", headers={"X-Request-ID": "r1"})
    assert answer.status_code == 500
    [event] = [event for event in lines.read() if event["logger"] == "controlplane.mapsor"]
    assert (event["request_id"], event["user"], event["token_prefix"]) == ("r1", "mary", operator.token[:8])
    assert "RuntimeError" in event["exception"]
    assert operator.token not in lines.text
    assert SECRET not in lines.text


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/v6/jobs/", "/list?customer=acme&start_time=0&end_time=1", "/metrics"])
def test_each_surface_names_the_caller(lines: Lines, path: str) -> None:
    admin = make_admin("root")
    assert admin.get(path).status_code == 200
    logging.getLogger("jobs").warning("said")
    event = lines.read()[-1]
    assert (event["user"], event["token_prefix"]) == ("root", admin.token[:8])


@pytest.mark.django_db
def test_the_admin_s_pages_name_who_is_signed_in(lines: Lines) -> None:
    browser = Client()
    browser.force_login(make_admin("root").user)
    assert browser.get("/admin/").status_code == 200
    logging.getLogger("jobs").warning("said")
    event = lines.read()[-1]
    assert event["user"] == "root"
    assert "token_prefix" not in event


@pytest.mark.django_db
def test_the_next_request_tells_nothing_of_the_last(lines: Lines) -> None:
    make_admin().get("/metrics")
    assert Client().get("/metrics", headers={"Authorization": f"Bearer {SECRET}"}).status_code == 401
    logging.getLogger("jobs").warning("said")
    event = lines.read()[-1]
    assert "request_id" in event
    assert not {"user", "token_prefix"} & set(event)


@pytest.mark.django_db
def test_no_token_is_on_any_line(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked and however it fails, with everything logged that anybody logs."""
    monkeypatch.setattr(logging.getLogger("django.request"), "level", logging.DEBUG)
    monkeypatch.setattr(logging.getLogger("django"), "level", logging.DEBUG)
    monkeypatch.setattr(logging.getLogger(), "level", logging.DEBUG)
    people = [make_admin(), make_customer_user()]
    tokens = [*(person.token for person in people), SECRET]
    client = Client(raise_request_exception=False)
    for token in tokens:
        for path in ("/submit", "/status/x", "/list", "/nothing", "/v6/jobs/", "/v6/nothing/", "/metrics", "/admin/x/"):
            client.get(f"{path}?token={token}")
            client.post(f"{path}?token={token}", headers={"Authorization": f"Bearer {token}"})
            client.get(path, headers={"Authorization": f"Token {token}", "Referer": f"http://x/?token={token}"})
    assert "Not Found" in lines.text or "Method Not Allowed" in lines.text
    for token in tokens:
        assert token not in lines.text
        assert token[10:30] not in lines.text


# --- The scheduler -------------------------------------------------------------------------------


def test_an_observation_that_is_refused_names_its_execution(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    def say(observation: Any) -> int:
        logging.getLogger("jobs").warning("said")
        return 1

    def refuse(observations: Any) -> int:
        raise DatabaseError("no")

    monkeypatch.setattr(scheduling.applying, "_apply", refuse)
    monkeypatch.setattr(scheduling.applying, "_apply_alone", say)
    seen = [Observation(f"e{n}", Phase.RUNNING) for n in (1, 2)]
    assert scheduling.apply(seen) == 2
    assert [event.get("execution_id") for event in lines.read()] == [None, "e1", "e2"]


# --- Processes -----------------------------------------------------------------------------------


@pytest.mark.runs_once("sqlite", "lines are the same whatever the database")
def test_a_deployment_s_lines_all_have_the_form_and_tell_of_requests(deployment: Factory) -> None:
    place = deployment(LOG_FORMAT="json", WEB_ACCESS_LOG="-", LOCAL_ISOLATION="0")
    token = place.bootstrap("root")
    base = place.start_web()
    connection = http.client.HTTPConnection(base.removeprefix("http://"), timeout=20)
    for path in ("/submit", f"/list?token={token}&customer=a&start_time=0&end_time=1", "/nothing"):
        connection.request("GET", path, headers={"X-Request-ID": "from-me", "Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.headers["X-Request-ID"] == "from-me"
    connection.close()
    end, text = time.monotonic() + 20, ""
    while "GET /nothing" not in text and time.monotonic() < end:  # it is written after the answer
        text = "".join(path.read_text() for path in place.folder.glob("*-web*.log"))
    assert token not in text
    events = [json.loads(line) for line in text.splitlines()]
    access = [
        event for event in events if event["logger"] == "gunicorn.access" and event.get("request_id") == "from-me"
    ]
    assert [(event["path"], event["status"]) for event in access] == [
        ("/submit", 405), ("/list", 200), ("/nothing", 404),
    ]  # fmt: skip
    assert access[1]["user"] == "root"
    assert access[1]["token_prefix"] == token[:8]
    assert access[1]["duration_ms"] > 0
    assert "user" not in access[2]
