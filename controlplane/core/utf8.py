"""Where a piece of UTF-8 may be cut."""

from __future__ import annotations

from typing import Final

LONGEST_CHARACTER_BYTES: Final = 4


def incomplete_tail(text: bytes) -> int:
    """How many bytes at the end of `text` begin a UTF-8 character and do not finish it."""
    for count in range(1, min(LONGEST_CHARACTER_BYTES, len(text) + 1)):
        byte = text[-count]
        if byte & 0b1100_0000 != 0b1000_0000:  # not a continuation: here a character begins
            needs = 2 if 0xC2 <= byte <= 0xDF else 3 if 0xE0 <= byte <= 0xEF else 4 if 0xF0 <= byte <= 0xF4 else 1
            return count if needs > count else 0
    return 0
