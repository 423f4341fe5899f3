"""Server-Sent Events of a followed job, as https://html.spec.whatwg.org/multipage/server-sent-events.html has them."""

from __future__ import annotations

import json
from typing import Any

from jobs import following, states

PING = b": ping\n\n"


def to_sse(told: following.Told) -> bytes:
    """One event. `id` is the cursor to go on from; a client that lost its connection sends it as Last-Event-ID."""
    if isinstance(told, following.Ping):
        return PING
    if isinstance(told, following.Reconnect):
        return _event("reconnect", {})
    if isinstance(told, following.Log):
        piece = {"execution": told.execution, "stream": told.stream, "text": told.text}
        return f"id: {told.cursor}\n".encode() + _event("log", piece)
    status = {"status": states.SHOWN[told.status], "state": told.status}
    if isinstance(told, following.End):
        return _event("end", {**status, "exit_code": told.exit_code})
    return _event("status", {**status, "reason": told.reason, "execution": told.execution})


def _event(name: str, said: dict[str, Any]) -> bytes:
    """JSON escapes every line break, so the data is one line. A lone surrogate cannot come: texts were decoded."""
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return f"event: {name}\ndata: {text}\n\n".encode()
