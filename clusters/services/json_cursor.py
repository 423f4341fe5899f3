"""Reads JSON that is larger than memory should be: a value at a time, in the order in which it comes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, TextIO

from clusters.errors import PriceListUnreadable

CHUNK: Final = 1 << 18
LONGEST: Final = 1 << 26  # characters of one value
_SPACE: Final = re.compile(r"[ \t\r\n]*")


class JsonCursor:
    """A place in a JSON text. Numbers with a fraction are read as Decimals. Raises PriceListUnreadable."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._decode = json.JSONDecoder(parse_float=Decimal).raw_decode

    def peek(self) -> str:
        """The character that comes next, without white space; "" at the end."""
        while True:
            self._at = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr] # matches nothing, too
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def value(self) -> Any:
        """The value that comes next, whole."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if self._more():
                    continue
                raise PriceListUnreadable("What is there is not JSON, or ends too early.") from error
            if end == len(self._text) and self._more():
                continue  # a number may go on
            self._at = end
            return value

    def members(self) -> Iterator[str]:
        """The names of the object that comes next; before the next name, its value has to be taken."""
        self._take("{")
        if self.peek() == "}":
            self._at += 1
            return
        while True:
            name = self.value()
            if not isinstance(name, str):
                raise PriceListUnreadable("What is there is not JSON.")
            self._take(":")
            yield name
            if self.peek() != ",":
                break
            self._at += 1
        self._take("}")

    def _take(self, expected: str) -> None:
        found = self.peek()
        if found != expected:
            raise PriceListUnreadable(f"There should be {expected!r}, and there is {found!r}.")
        self._at += 1

    def _more(self) -> bool:
        if len(self._text) - self._at > LONGEST:
            raise PriceListUnreadable(f"A value of it is longer than {LONGEST} characters.")
        chunk = self._stream.read(max(CHUNK, len(self._text) - self._at))
        self._text, self._at = self._text[self._at :] + chunk, 0
        return bool(chunk)
