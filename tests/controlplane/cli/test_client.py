"""What the network and a server in trouble may do to a request."""

from __future__ import annotations

import json

import pytest

from controlplane.cli import client as http
from controlplane.cli.client import Client
from controlplane.cli.config import Login
from controlplane.cli.errors import ExitCode, Failure
from tests.controlplane.cli.conftest import TOKEN
from tests.controlplane.cli.fake_server import FakeServer, answer, drop
from tests.postgresql import free_port

JOB = {"id": 7, "state": "QUEUED"}
BUSY = {"detail": "Later.", "code": "BUSY"}
INVALID = {
    "detail": "x",
    "code": "INVALID_REQUEST",
    "errors": [
        {"field": "classification", "message": "This field is required.", "index": 3},
        {"field": "", "message": "Something else."},
    ],
}


@pytest.fixture
def client(fake: FakeServer) -> Client:
    return Client(Login(f"{fake.base_url}/below/here", TOKEN), patience_seconds=5)


def test_a_post_whose_answer_was_lost_is_sent_again_with_the_same_key(fake: FakeServer, client: Client) -> None:
    path = "/below/here/v6/jobs/"
    fake.expect(("POST", path, drop), ("POST", path, drop), ("POST", path, answer(201, JOB)))
    assert client.post("v6/jobs/", {"command": ["true"]}) == JOB
    keys = {request.headers["Idempotency-Key"] for request in fake.requests}
    assert len(keys) == 1
    assert len(keys.pop()) >= 32
    assert {request.body for request in fake.requests} == {b'{"command": ["true"]}'}


def test_two_posts_have_different_keys(fake: FakeServer, client: Client) -> None:
    fake.expect(*[("POST", "/below/here/v6/jobs/", answer(201, JOB))] * 2)
    client.post("v6/jobs/", {})
    client.post("v6/jobs/", {})
    assert len({request.headers["Idempotency-Key"] for request in fake.requests}) == 2


@pytest.mark.parametrize("status", [409, 429, 503])
def test_a_server_that_says_later_is_asked_later(fake: FakeServer, client: Client, status: int) -> None:
    path = "/below/here/v6/jobs/"
    fake.expect(("POST", path, answer(status, BUSY, retry_after="1")), ("POST", path, answer(201, JOB)))
    assert client.post("v6/jobs/", {}) == JOB


def test_nobody_waits_longer_than_the_bound(fake: FakeServer, client: Client) -> None:
    fake.expect(("GET", "/below/here/v6/version/", answer(503, BUSY, retry_after="3600")))
    with pytest.raises(Failure, match="Later") as raised:
        client.get("v6/version/")
    assert raised.value.code == ExitCode.UNREACHABLE


def test_trying_again_has_an_end(fake: FakeServer, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "PAUSE_SECONDS", 0.001)
    fake.expect(*[("GET", "/below/here/v6/version/", drop)] * http.TRIES)
    with pytest.raises(Failure, match="cannot be reached") as raised:
        client.get("v6/version/")
    assert raised.value.code == ExitCode.UNREACHABLE


def test_a_refusal_is_not_tried_again_and_names_the_fields(fake: FakeServer, client: Client) -> None:
    fake.expect(("POST", "/below/here/v6/jobs/", answer(400, INVALID)))
    with pytest.raises(Failure) as raised:
        client.post("v6/jobs/", [])
    assert raised.value.code == ExitCode.REFUSED
    assert raised.value.lines == ("[3].classification: This field is required.", "Something else.")


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 4), (403, 4), (404, 3), (405, 5), (409, 5), (413, 5), (415, 5), (422, 5), (500, 6)],
)
def test_every_refusal_has_its_exit_code(fake: FakeServer, client: Client, status: int, code: int) -> None:
    fake.expect(("GET", "/below/here/v6/version/", answer(status, {"detail": "No.", "code": "NO"})))
    with pytest.raises(Failure, match=r"No\.") as raised:
        client.get("v6/version/")
    assert raised.value.code == code


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>hello</html>"), (200, b"[]"), (200, b""), (404, b"<html>no</html>"), (500, b"\xff")],
)
def test_an_answer_that_no_control_plane_gives_is_unreachable(
    fake: FakeServer, client: Client, status: int, body: bytes
) -> None:
    fake.expect(("GET", "/below/here/v6/version/", answer(status, body)))
    with pytest.raises(Failure) as raised:
        client.get("v6/version/")
    assert raised.value.code == ExitCode.UNREACHABLE


def test_a_redirect_is_not_followed_with_the_token(fake: FakeServer, client: Client) -> None:
    fake.expect(("GET", "/below/here/v6/version/", answer(302, {}, location="http://elsewhere.invalid/")))
    with pytest.raises(Failure, match="elsewhere") as raised:
        client.get("v6/version/")
    assert raised.value.code == ExitCode.UNREACHABLE
    assert len(fake.requests) == 1


def test_a_list_goes_on_at_this_server_wherever_next_points(fake: FakeServer, client: Client) -> None:
    following = "http://elsewhere.invalid/v6/jobs/?page=2&after=abc%3D&tag=a"
    fake.expect(
        ("GET", "/below/here/v6/jobs/?tag=a", answer(200, {"results": [{"id": 1}, {"id": 2}], "next": following})),
        ("GET", "/below/here/v6/jobs/?page=2&after=abc%3D&tag=a", answer(200, {"results": [{"id": 3}], "next": None})),
    )
    assert [row["id"] for row in client.rows("v6/jobs/", [("tag", "a")])] == [1, 2, 3]


def test_a_list_stops_at_its_limit_without_another_page(fake: FakeServer, client: Client) -> None:
    page = {"results": [{"id": 1}, {"id": 2}], "next": "http://x/?page=2"}
    fake.expect(("GET", "/below/here/v6/jobs/", answer(200, page)))
    assert len(list(client.rows("v6/jobs/", limit=2))) == 2


@pytest.mark.parametrize("page", [{}, {"results": None}, {"results": [1]}])
def test_a_page_without_rows_is_unreachable(fake: FakeServer, client: Client, page: object) -> None:
    fake.expect(("GET", "/below/here/v6/jobs/", answer(200, page)))
    with pytest.raises(Failure, match="not a page"):
        list(client.rows("v6/jobs/"))


def test_the_token_is_in_the_header_only(fake: FakeServer, client: Client) -> None:
    fake.expect(("POST", "/below/here/v6/jobs/", answer(201, JOB)))
    client.post("v6/jobs/", {})
    [request] = fake.requests
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in request.path + request.body.decode()
    assert TOKEN not in repr(client.login)


def test_where_nobody_listens_is_told_in_few_words() -> None:
    client = Client(Login(f"http://127.0.0.1:{free_port()}", TOKEN), patience_seconds=0.5)
    with pytest.raises(Failure) as raised:
        client.get("v6/version/")
    assert raised.value.code == ExitCode.UNREACHABLE
    assert "Connection refused" in raised.value.lines[0]
    assert "object at" not in raised.value.lines[0]
    assert TOKEN not in json.dumps(raised.value.lines)
