"""Calls of servers whose addresses staff give, such as those that keep metrics: kept connections, an end to it all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

CONNECT_SECONDS: Final = 3.0
_CONNECTIONS: Final = 32
_PIECE_BYTES: Final = 64 * 1024
_POOL: Final = urllib3.PoolManager(maxsize=_CONNECTIONS, retries=False)


class CallFailed(Exception):
    """There was no whole answer in time; the message is for logs: it names the server."""


class AnswerTooLarge(Exception):
    """There was more of it than is read."""


@dataclass(frozen=True, slots=True)
class Store:
    """A server, and what it asks for. With a `user` the token is that user's password, else it goes by its `scheme`."""

    url: str
    user: str = ""
    token: str = ""
    tenant: str = ""
    scheme: str = "Bearer"

    def headers(self) -> dict[str, str]:
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if self.user:
            headers |= urllib3.make_headers(basic_auth=f"{self.user}:{self.token}")
        elif self.token:
            headers["Authorization"] = f"{self.scheme} {self.token}"
        if self.tenant:
            headers["X-Scope-OrgID"] = self.tenant
        return headers


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes


def get(store: Store, path: str, query: Mapping[str, str], *, seconds: float, max_bytes: int) -> Answer:
    """Raises CallFailed and AnswerTooLarge."""
    return _ask(store, "GET", f"{path}?{_form(query)}", None, seconds, max_bytes)


def post(store: Store, path: str, form: Mapping[str, str], *, seconds: float, max_bytes: int) -> Answer:
    """For questions that may be too long for an address. Raises as `get`."""
    return _ask(store, "POST", path, _form(form), seconds, max_bytes)


def _form(fields: Mapping[str, str]) -> str:
    return urlencode(fields, errors="replace")


def _ask(store: Store, method: str, path: str, body: str | None, seconds: float, max_bytes: int) -> Answer:
    headers = store.headers()
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    end = time.monotonic() + seconds
    try:
        try:
            return _once(method, store.url + path, body, headers, end, max_bytes)
        except ProtocolError:
            # A kept connection, perhaps, that was closed when it was idle.
            return _once(method, store.url + path, body, headers, end, max_bytes)
    except (HTTPError, OSError, ValueError) as error:
        raise CallFailed(f"{store.url}: {error}") from error


def _once(method: str, url: str, body: str | None, headers: Mapping[str, str], end: float, max_bytes: int) -> Answer:
    left = max(0.001, end - time.monotonic())
    answer = _POOL.request(
        method,
        url,
        body=body,
        headers=headers,
        timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, left), read=left),
        redirect=False,
        preload_content=False,
    )
    is_whole = False
    try:
        found = bytearray()
        while piece := answer.read1(_PIECE_BYTES):
            found += piece
            if len(found) > max_bytes:
                raise AnswerTooLarge
            if time.monotonic() > end:
                raise TimeoutError("its answer takes too long")
        is_whole = True
        return Answer(answer.status, bytes(found))
    finally:
        if not is_whole:
            answer.close()  # what is left of it must not come before the next answer
        answer.release_conn()
