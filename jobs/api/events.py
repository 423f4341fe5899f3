"""Server-sent events of a followed job."""

from __future__ import annotations

import json
from typing import Any

from controlplane.core.server_sent import PING, framed
from jobs import following, states


def to_sse(told: following.Told) -> bytes:
    """One event. `id` is the cursor to go on from; a client that lost its connection sends it as Last-Event-ID."""
    if isinstance(told, following.Ping):
        return PING
    if isinstance(told, following.Reconnect):
        return _event("reconnect", {})
    if isinstance(told, following.Log):
        piece = {"execution": told.execution, "stream": told.stream, "text": told.text}
        return _event("log", piece, told.cursor)
    status = {"status": states.SHOWN[told.status], "state": told.status}
    if isinstance(told, following.End):
        return _event("end", {**status, "exit_code": told.exit_code})
    return _event("status", {**status, "reason": told.reason, "execution": told.execution})


def _event(name: str, said: dict[str, Any], cursor: str = "") -> bytes:
    """JSON escapes every line break, so the data is one line. A lone surrogate cannot come: texts were decoded."""
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return framed(name, text, cursor)
