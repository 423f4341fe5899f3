"""What tests ask of an HTTP answer."""

from __future__ import annotations

import json
from typing import Any


def text_of(response: Any) -> str:
    """The body, streamed or not."""
    body: bytes = b"".join(response.streaming_content) if response.streaming else response.content
    return body.decode()


def json_of(response: Any) -> Any:
    """The body of a success."""
    assert response.status_code < 300, text_of(response)
    assert response.headers["Content-Type"] == "application/json"
    return json.loads(text_of(response))


def assert_refused(response: Any, status: int, code: str, *words: str) -> None:
    """Mapsor's error body, sealed, with `words` in its message."""
    assert response.status_code == status, text_of(response)
    assert response.headers["Content-Type"] == "application/json"
    assert (response.headers["Cache-Control"], response.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert ("WWW-Authenticate" in response.headers) == (status == 401)
    body = json.loads(text_of(response))
    assert set(body) == {"error"}
    assert set(body["error"]) == {"status", "message", "code"}
    assert (body["error"]["status"], body["error"]["code"]) == (status, code)
    for word in words:
        assert word in body["error"]["message"]
