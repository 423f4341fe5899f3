"""Keeps tokens out of logs. Plain Python: the web server's logger uses it before Django is there."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any, Final

MASK: Final = "***"


def _spelt(word: str) -> str:
    """A pattern of `word` in any case, each character plain or percent-encoded, however often."""
    return "".join(
        f"(?:{re.escape(c)}|%(?:25)*{ord(c.lower()):02x}|%(?:25)*{ord(c.upper()):02x})" for c in word.lower()
    )


_SPACE = r"(?:\s|\+|%(?:25)*20)"
_SCHEME = "(?:bearer|token|basic)"
# Greedy on purpose: a masked neighbour costs nothing, half a token does.
_PATTERNS: Final = (
    # ?token=…, also inside another URL's query (%3Ftoken%3D…), to the next plain delimiter.
    re.compile(rf"({_spelt('token')}{_spelt('=')})[^&\s\"'<>]+", re.IGNORECASE),
    # The token in the path of a password's reset: /reset-password/<user>/<token>.
    re.compile(r"(reset-password/[^/\s\"'<>]+/)[^\s\"'<>]+", re.IGNORECASE),
    # A mapping printed: 'token': 'abc', "token": ["abc"].
    re.compile(r"(token[\"']\s*:\s*\[?\s*[\"'])[^\"']+", re.IGNORECASE),
    # A header with its name: Authorization: Bearer …, 'HTTP_AUTHORIZATION': 'Token …'.
    re.compile(
        rf"(authorization[\"']?\s*[:=,]\s*\[?\s*(?:b?[\"'])?(?:{_SCHEME}{_SPACE}+)?)(?!{_SCHEME}{_SPACE})[^\s\"',]+",
        re.IGNORECASE,
    ),
    # Stripe's keys, and secrets of webhooks: they say what they are.
    re.compile(r"(\b(?:[sr]k_(?:live|test)|whsec)_)[\w+/=]+"),
    # A header's value alone; 20 characters tell it from a sentence about tokens.
    re.compile(rf"(\b{_SCHEME}{_SPACE}+)[\w.~+/=-]{{20,}}", re.IGNORECASE),
)


def scrub(text: str) -> str:
    """`text` with the values of `token=` parameters and Authorization headers masked."""
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{MASK}", text)
    return text


_SECRET_NAMES: Final = {
    *("token", "access_token", "authorization", "http_authorization", "cookie", "http_cookie", "set-cookie"),
    *("password", "secret_key"),
}
_DEEPEST: Final = 6


def clean_values(value: Any, depth: int = 0) -> Any:
    """`value` as JSON has it, scrubbed: mappings and lists through and through, whatever else as its text."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {
            scrub(str(name)): MASK if str(name).lower() in _SECRET_NAMES else clean_values(inner, depth + 1)
            for name, inner in value.items()
        }
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [clean_values(inner, depth + 1) for inner in value]
    try:
        return scrub(str(value))
    except Exception:  # a line must not be lost for an object that cannot say what it is
        return f"<{type(value).__name__}>"


class ScrubFilter(logging.Filter):
    """Scrubs a record before a handler formats it: the message with its arguments, the traceback, the stack."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, dict):  # structlog's own loggers: named values, put into words later
            record.msg = clean_values(record.msg)
            return True
        try:
            message = record.getMessage()
        except (TypeError, ValueError, KeyError):
            # Arguments that do not fit: the handler would print them as they are.
            message = f"{record.msg} {record.args!r}"
            record.msg, record.args = message, ()
        clean = scrub(message)
        if clean != message:
            record.msg, record.args = clean, ()
        if record.exc_info and not record.exc_text:
            # A formatter keeps a text that is already there.
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = scrub(record.exc_text)
        if record.stack_info:
            record.stack_info = scrub(record.stack_info)
        return True
