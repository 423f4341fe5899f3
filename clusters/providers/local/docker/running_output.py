"""Pages of what a container writes, read from the engine."""

from __future__ import annotations

import contextlib

from clusters.providers.base import LogPage
from clusters.providers.local.docker.engine import Engine
from controlplane.core.utf8 import LONGEST_CHARACTER_BYTES, incomplete_tail


def page_of(engine: Engine, container: str, after: int, limit: int) -> LogPage:
    """At most `limit` bytes of both streams from byte `after` on. It never ends: the page of one that is over does.

    An `after` behind all that the engine has comes of output that it has thrown away: the page begins with what is
    left. Raises NotFound when there is no such container.
    """
    after, limit = max(after, 0), max(limit, LONGEST_CHARACTER_BYTES)
    passed, written, head = 0, bytearray(), bytearray()
    with contextlib.closing(engine.output(container, follow=False)) as output:
        for _, text in output:
            if len(head) < limit:
                head += text[: limit - len(head)]
            written += text[max(after - passed, 0) :][: limit - len(written)]
            passed += len(text)
            if len(written) >= limit:
                break
    if passed < after:
        after, written = 0, head
    whole = bytes(written[: len(written) - incomplete_tail(bytes(written))])
    return LogPage(whole.decode(errors="replace").replace("\0", ""), after + len(whole), ended=False)
