"""What a machine writes to its console, by byte cursor.

EC2 keeps the last 64 KiB of it, until an hour or so after the machine's end. What has scrolled off is gone: a reader
that begins later than that is told so in a line, and one that was on the way goes on with what is left.
"""

from __future__ import annotations

from typing import Final

from clusters.providers.aws.handles import Handle
from clusters.providers.aws.session import Session
from clusters.providers.base import LogPage
from clusters.providers.errors import Refused
from controlplane.core.utf8 import incomplete_tail

KEPT_BYTES: Final = 64 << 10
_NO_LATEST: Final = "UnsupportedOperation"
_LONGEST_CHARACTER_BYTES: Final = 4
SCROLLED: Final = "[what came before the last 64 KiB of the console is not kept by EC2]\n"


def read(session: Session, handle: Handle, after: int, limit: int, *, ended: bool) -> LogPage:
    """At most `limit` bytes of what is there from byte `after` on."""
    written = _written(session, handle)
    after, limit = max(after, 0), max(limit, _LONGEST_CHARACTER_BYTES)
    piece = written[after : after + limit]
    is_last = after + len(piece) >= len(written)
    if not (ended and is_last):
        piece = piece[: len(piece) - incomplete_tail(piece)]
    return LogPage(piece.decode(errors="replace"), after + len(piece), ended and is_last)


def _written(session: Session, handle: Handle) -> bytes:
    """All of it, as UTF-8. Only newer types of machines tell what they have written since they booted."""
    asked = {"InstanceId": handle.id}
    try:
        answer = session.call(handle.account, "ec2", "GetConsoleOutput", Latest=True, **asked)
    except Refused as error:
        if _NO_LATEST not in str(error):
            raise
        answer = session.call(handle.account, "ec2", "GetConsoleOutput", **asked)
    text = str(answer.get("Output") or "").replace("\0", "").encode()  # boto has decoded it
    return SCROLLED.encode() + text if len(text) >= KEPT_BYTES else text
