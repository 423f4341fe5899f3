"""The API over HTTP: one place that sends, tries again, and tells what a refusal means.

Trying again is safe: every POST carries an Idempotency-Key, so a request whose answer got lost is not
carried out twice.
"""

from __future__ import annotations

import json
import random
import time
import urllib.request
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, NameResolutionError, SSLError

from controlplane.cli.config import LOOPBACK, Login
from controlplane.cli.errors import ExitCode, Failure, Unreachable

Row = dict[str, Any]
Query = Sequence[tuple[str, str]]

TRIES: Final = 5
PAUSE_SECONDS: Final = 0.25  # before the second try; it doubles
# Longer than this in all, nobody waits for a server that says "later".
PATIENCE_SECONDS: Final = 30.0
TIMEOUT: Final = urllib3.Timeout(connect=10, read=60)
# The server pings every 15 s: silent for three times as long, a stream is dead.
STREAM_TIMEOUT: Final = urllib3.Timeout(connect=10, read=45)
TRY_AGAIN: Final = frozenset({429, 502, 503, 504})
MOST_LINES: Final = 20


class Client:
    """Speaks to one server with one token."""

    def __init__(self, login: Login, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self.login = login
        self._patience_seconds = patience_seconds
        self._pool = _pool(login.server)

    # --- One answer ------------------------------------------------------------------------------

    def get(self, path: str, query: Query = ()) -> Row:
        """The JSON object at `path`. Raises Failure."""
        return _object(self.request("GET", path, query=query))

    def post(self, path: str, body: Any = None, *, key: str | None = None) -> Any:
        """What the server made of `body`. `key` makes it one request however often it is sent. Raises Failure."""
        return _decoded(self.request("POST", path, body=body, key=key or uuid.uuid4().hex))

    def patch(self, path: str, body: Any) -> Row:
        return _object(self.request("PATCH", path, body=body))

    def rows(self, path: str, query: Query = (), *, limit: int = 0) -> Iterator[Row]:
        """The rows of a list, page by page, as many as `limit` (0: all).

        Only the query of `next` is used: where to send the token is for the user to say, not for an answer.
        """
        given = 0
        while True:
            page = self.get(path, query)
            results, following = page.get("results"), page.get("next")
            if not isinstance(results, list) or not all(isinstance(row, dict) for row in results):
                raise Unreachable(f"{self.login.server}: the answer is not a page of a list")
            for row in results:
                yield row
                given += 1
                if given == limit:
                    return
            if not following or not results:
                return
            query = parse_qsl(urlsplit(str(following)).query, keep_blank_values=True)

    def request(
        self, method: str, path: str, *, query: Query = (), body: Any = None, key: str | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Send until there is an answer, within bounds. Raises Failure for every answer but a 2xx."""
        headers = {"Accept": "application/json"}
        content = None
        if method in ("POST", "PATCH"):
            content = json.dumps({} if body is None else body).encode()
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        until = time.monotonic() + self._patience_seconds
        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            pause = _pause(attempt)
            try:
                answer = self._send(method, path, query, headers, content)
            except Unreachable as lost:
                if last or not lost.may_pass or time.monotonic() + pause > until:
                    raise
            else:
                if 200 <= answer.status < 300:
                    return answer
                pause = max(pause, _retry_after(answer))
                if last or not _may_pass(answer) or time.monotonic() + pause > until:
                    raise refusal(answer, self.login.server)
            time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def _send(
        self, method: str, path: str, query: Query, headers: dict[str, str], content: bytes | None
    ) -> urllib3.BaseHTTPResponse:
        with self._told():
            return self._pool.request(
                method, self._url(path, query), body=content, headers=self._signed(headers),
                timeout=TIMEOUT, retries=False, redirect=False,
            )  # fmt: skip

    # --- Streams ---------------------------------------------------------------------------------

    @contextmanager
    def stream(self, path: str, query: Query, headers: dict[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """An answer that is read as it arrives (`pieces`). Raises Failure; Unreachable when it breaks off."""
        with self._told():
            answer = self._pool.request(
                "GET", self._url(path, query), headers=self._signed(headers),
                timeout=STREAM_TIMEOUT, retries=False, redirect=False, preload_content=False,
            )  # fmt: skip
            try:
                if not 200 <= answer.status < 300:
                    found = refusal(answer, self.login.server)
                    raise Unreachable(*found.lines, may_pass=True) if _may_pass(answer) else found
                yield answer
            finally:
                answer.close()

    def _url(self, path: str, query: Query) -> str:
        return f"{self.login.server}/{path}" + (f"?{urlencode(query, errors='replace')}" if query else "")

    def _signed(self, headers: dict[str, str]) -> dict[str, str]:
        known = {"User-Agent": "cpctl", **headers}
        return known | {"Authorization": f"Bearer {self.login.token}"} if self.login.token else known

    @contextmanager
    def _told(self) -> Iterator[None]:
        """The network's errors in our words; a name or certificate that is wrong stays so."""
        try:
            yield
        except HTTPError as error:
            may_pass = not isinstance(error, NameResolutionError | SSLError)
            words = f"{self.login.server} cannot be reached: {_reason(error)}"
            raise Unreachable(words, may_pass=may_pass) from error


def pieces(answer: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """The body as it arrives."""
    while piece := answer.read1(65536):
        yield piece


def _pool(server: str) -> urllib3.PoolManager:
    """Through the proxy that the environment names, if any; never for this machine itself."""
    parts = urlsplit(server)
    host = parts.hostname or ""
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy is None or host in LOOPBACK or urllib.request.proxy_bypass(host):
        return urllib3.PoolManager()
    named = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    credentials = f"{named.username}:{named.password or ''}" if named.username else None
    headers = urllib3.make_headers(proxy_basic_auth=credentials) if credentials else None
    return urllib3.ProxyManager(f"{named.scheme}://{named.netloc.rpartition('@')[2]}", proxy_headers=headers)


# --- Trying again --------------------------------------------------------------------------------


def _pause(attempt: int) -> float:
    """Seconds before the next try; spread, so that many clients do not come back at the same moment."""
    return float(PAUSE_SECONDS * 2**attempt * random.uniform(0.75, 1.25))  # noqa: S311 - no secret


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float:
    text = answer.headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0.0


def _may_pass(answer: urllib3.BaseHTTPResponse) -> bool:
    """Whether the same request may soon be answered otherwise: a busy server, or its own twin still at work."""
    return answer.status in TRY_AGAIN or (answer.status == 409 and "Retry-After" in answer.headers)


# --- Answers -------------------------------------------------------------------------------------


def _decoded(answer: urllib3.BaseHTTPResponse) -> Any:
    try:
        return json.loads(answer.data)
    except (ValueError, RecursionError) as error:
        raise Unreachable("the answer is not JSON: is this the address of a control plane?") from error


def _object(answer: urllib3.BaseHTTPResponse) -> Row:
    decoded = _decoded(answer)
    if not isinstance(decoded, dict):
        raise Unreachable("the answer is not a JSON object")
    return decoded


def refusal(answer: urllib3.BaseHTTPResponse, server: str) -> Failure:
    """What an answer other than a 2xx means: an exit code, and the fields that are at fault."""
    status = answer.status
    try:
        said = json.loads(answer.data)
    except (ValueError, HTTPError, RecursionError):
        said = None
    if 300 <= status < 400:
        return Unreachable(f"{server} redirects to {answer.headers.get('Location', 'nowhere')}: log in there")
    if not isinstance(said, dict):
        name = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        hint = ": is this the address of a control plane?" if status < 500 else ""
        return Unreachable(f"{server} answers {status} {name}".rstrip() + hint)
    lines = list(_faults(said)) or [str(said.get("detail") or f"{server} answers {status}")]
    if status == 401:
        lines[-1] += " Run cpctl login."
    return Failure(_code(status), *lines)


def _code(status: int) -> ExitCode:
    if status in (401, 403):
        return ExitCode.NOT_ALLOWED
    if status == 404:
        return ExitCode.NOT_FOUND
    return ExitCode.UNREACHABLE if status >= 500 else ExitCode.REFUSED


def _faults(said: Row) -> Iterator[str]:
    faults = said.get("errors")
    if not isinstance(faults, list):
        return
    for fault in faults[:MOST_LINES]:
        if isinstance(fault, dict):
            field, index = str(fault.get("field") or ""), fault.get("index")
            place = field if index is None else f"[{index}].{field}".rstrip(".")
            yield f"{place}: {fault.get('message')}" if place else str(fault.get("message"))
    if len(faults) > MOST_LINES:
        yield f"and {len(faults) - MOST_LINES} more"


def _reason(error: HTTPError) -> str:
    """The network's own words, without urllib3's names of objects."""
    inner = getattr(error, "reason", None) or error
    text = str(inner.__cause__ or inner)
    return text.rpartition(">: ")[2] or type(error).__name__
