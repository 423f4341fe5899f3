from __future__ import annotations

import io
import logging
import sys

import pytest

from controlplane.core.scrub import MASK, ScrubFilter, clean_values, scrub

SECRET = "aB3-x_9ZkQ7pLm2Vw8RtYc5NfGh1JdSe6UiOb4XqT0E"


@pytest.mark.parametrize(
    "text",
    [
        f"GET /status/1?token={SECRET} HTTP/1.1",
        f"/list?page=2&TOKEN={SECRET}&x=1",
        f"/list?Token={SECRET}",
        f"POST /api/v1/auth/reset-password/1f3a/{SECRET} HTTP/1.1",
        f"/list?%74oken={SECRET}",
        f"/list?%54%4F%4b%45%4E={SECRET}",
        f"/list?token%3D{SECRET}",
        f"Referer: http://127.0.0.1/login?next=%2Fstatus%3Ftoken%3D{SECRET}%26page%3D2",
        f"http://127.0.0.1/?a=%252Fx%253Ftoken%253D{SECRET}",
        f"/x?access_token={SECRET}#part",
        f"/x?token={SECRET[:20]}%2B{SECRET[20:]}",
        f"Authorization: Bearer {SECRET}",
        f"authorization: token {SECRET}",
        f"Invalid API Key provided: sk_live_{SECRET.replace('-', '')}",
        f"{{'key': 'rk_test_{SECRET.replace('-', '')}'}}",
        f"AUTHORIZATION:Bearer  {SECRET}",
        f"Authorization: {SECRET}",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==",
        f"{{'Authorization': 'Bearer {SECRET}', 'Accept': '*/*'}}",
        f"{{'HTTP_AUTHORIZATION': 'Token {SECRET}'}}",
        f"('authorization', 'Bearer {SECRET}')",
        f"(b'authorization', b'Bearer {SECRET}')",
        f"said Bearer {SECRET} and left",
        f"Bearer%20{SECRET}",
        f"<QueryDict: {{'token': ['{SECRET}']}}>",
        f'{{"token": "{SECRET}", "name": "x"}}',
    ],
)
def test_a_token_is_masked(text: str) -> None:
    clean = scrub(text)
    assert MASK in clean
    for part in (SECRET, SECRET[:12], SECRET[-12:], "dXNlcjpwYXNz"):
        assert part not in clean


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GET /list?page=2&order=token HTTP/1.1",
        "Token authentication failed",
        "the token is missing or not valid",
        "Bearer of bad news",
        "/add-user?name=tokenizer&x=1",
        "user.token_issued job 12 uuid 0190f5c8-0000-7000-8000-000000000000",
    ],
)
def test_what_is_no_token_stays(text: str) -> None:
    assert scrub(text) == text


def test_the_rest_of_the_line_stays() -> None:
    assert scrub("GET /x?a=1&token=abc&b=2 HTTP/1.1 200") == f"GET /x?a=1&token={MASK}&b=2 HTTP/1.1 200"
    assert scrub("Authorization: Bearer abc, next") == f"Authorization: Bearer {MASK}, next"


def test_scrubbing_twice_changes_nothing_more() -> None:
    once = scrub(f"Authorization: Bearer {SECRET} ?token={SECRET}&x=1 {{'token': '{SECRET}'}}")
    assert scrub(once) == once


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(ScrubFilter())
    logger = logging.Logger("scrubbed")
    logger.addHandler(handler)
    return logger, stream


def test_the_message_and_its_arguments_are_scrubbed(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    logger.warning("Not Found: %s from %s", f"/status/1?token={SECRET}", "127.0.0.1")
    assert stream.getvalue() == f"Not Found: /status/1?token={MASK} from 127.0.0.1\n"


def test_a_record_without_a_token_keeps_its_arguments(log: tuple[logging.Logger, io.StringIO]) -> None:
    record = logging.makeLogRecord({"msg": "%s of %d", "args": ("one", 2)})
    assert ScrubFilter().filter(record)
    assert (record.msg, record.args) == ("%s of %d", ("one", 2))


def test_a_traceback_is_scrubbed(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, stream = log
    try:
        raise ValueError(f"cannot fetch http://127.0.0.1/?token={SECRET}")
    except ValueError:
        logger.exception("failed", stack_info=True)
    assert "Traceback" in stream.getvalue()
    assert SECRET not in stream.getvalue()


def test_arguments_that_do_not_fit_do_not_leak(
    log: tuple[logging.Logger, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    logger, stream = log
    logger.warning("%s and %s", f"?token={SECRET}")
    sys.stderr.flush()
    assert MASK in stream.getvalue()
    assert SECRET not in stream.getvalue() + capsys.readouterr().err


def test_an_object_that_prints_a_token_is_scrubbed(log: tuple[logging.Logger, io.StringIO]) -> None:
    class Request:
        def __repr__(self) -> str:
            return f"<WSGIRequest: GET '/status/1?token={SECRET}'>"

    logger, stream = log
    logger.error("%r", Request())
    assert stream.getvalue() == f"<WSGIRequest: GET '/status/1?token={MASK}'>\n"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (7, 7), (None, None), (True, True), (1.5, 1.5), ("plain", "plain"), ((1, "a"), [1, "a"]),
        ({"token": SECRET, "Authorization": SECRET}, {"token": MASK, "Authorization": MASK}),
        ({"a": [{"url": f"/x?token={SECRET}"}]}, {"a": [{"url": f"/x?token={MASK}"}]}),
        (ValueError(f"?token={SECRET}"), f"?token={MASK}"),
        ({"token_prefix": "aB3-x_9Z"}, {"token_prefix": "aB3-x_9Z"}),
    ],
)  # fmt: skip
def test_values_are_scrubbed_through_and_through(value: object, shown: object) -> None:
    assert clean_values(value) == shown


def test_a_value_that_holds_itself_comes_to_an_end() -> None:
    around: dict[str, object] = {"token": SECRET}
    around["self"] = around
    assert SECRET not in str(clean_values(around))


def test_named_values_are_scrubbed_before_they_are_put_into_words() -> None:
    record = logging.makeLogRecord({"msg": {"event": f"?token={SECRET}", "token": SECRET}})
    assert ScrubFilter().filter(record)
    assert record.msg == {"event": f"?token={MASK}", "token": MASK}
