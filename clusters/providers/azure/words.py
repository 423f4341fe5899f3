"""Azure's words, as they come over the wire."""

from __future__ import annotations


def word(value: object) -> str:
    """A state, status or category in small letters: the SDK's enums have them so, the service not always."""
    return str(getattr(value, "value", value) or "").lower()
