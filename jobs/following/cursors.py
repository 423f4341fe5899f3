"""How far a reader has got: an execution's number and a byte position in each stream, such as "2:120:45"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from clusters.providers.base import STREAMS
from controlplane.core.errors import InvalidRequest

# Numbers that fit into a file offset and a smallint.
_TEXT: Final = re.compile(r"(\d{1,5})((?::\d{1,18})+)", re.ASCII)


def known(streams: Sequence[str]) -> tuple[str, ...]:
    """These streams, in the order in which cursors name them. Raises InvalidRequest."""
    if not streams or not set(streams) <= set(STREAMS):
        raise InvalidRequest(f"One or more of {', '.join(STREAMS)}.", field="stream")
    return tuple(stream for stream in STREAMS if stream in streams)


@dataclass(frozen=True, slots=True)
class Cursor:
    """Positions in the streams of one execution."""

    execution: int
    positions: dict[str, int] = field(hash=False)

    @classmethod
    def start(cls, execution: int, streams: Sequence[str]) -> Cursor:
        return cls(execution, dict.fromkeys(streams, 0))

    @classmethod
    def read(cls, text: str, streams: Sequence[str]) -> Cursor:
        """The cursor that `text` is, of a reader of these streams. Raises InvalidRequest."""
        found = _TEXT.fullmatch(text)
        positions = [int(each) for each in found[2].split(":")[1:]] if found else []
        if found is None or len(positions) != len(streams):
            raise InvalidRequest("Not a cursor of these streams.", field="after")
        return cls(int(found[1]), dict(zip(streams, positions, strict=True)))

    def moved(self, stream: str, position: int) -> Cursor:
        return replace(self, positions={**self.positions, stream: position})

    def __str__(self) -> str:
        return ":".join(map(str, (self.execution, *self.positions.values())))
