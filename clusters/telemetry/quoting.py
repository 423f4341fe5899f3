"""How text gets into queries of Prometheus and Loki and stays text: both read strings as Go does, patterns as RE2."""

from __future__ import annotations

import re
from typing import Final

# What Go's regexp.QuoteMeta escapes: all that means something outside of brackets, and brackets.
_META: Final = re.compile(r"[\\.+*?()|\[\]{}^$]")


def quoted(text: str) -> str:
    """`text` as a string in double quotes: whatever is in it, it ends where this ends."""
    return '"' + "".join(map(_in_quotes, text)) + '"'


def _in_quotes(character: str) -> str:
    if character in ('"', "\\"):
        return f"\\{character}"
    return character if character.isprintable() and ord(character) < 0xFFFF else f"\\U{ord(character):08x}"


def literal(text: str) -> str:
    """A pattern of RE2 that matches `text` itself."""
    return _META.sub(r"\\\g<0>", text)
