"""What a new runner does about executions its predecessor was killed over: end their processes, report them LOST.

In this order, because the caller may try a lost execution again at once, and two must never run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator

from clusters.providers.local import folders, sessions
from clusters.providers.local.journal import Journal

_DETAIL = "the runner was killed while this was running"


def recover(root: str, journal: Journal, boot: str, node: str) -> list[object]:
    """End what was left behind, and start the journal anew. Returns the events to tell."""
    in_hand = journal.read()
    ids = _all_ids(root) if in_hand is None else in_hand
    orphans = dict(_orphans(root, ids))
    stubborn = sessions.end_orphans({folder: record for folder, (_, record) in orphans.items()}, boot)
    events: list[object] = []
    for folder, (execution_id, record) in orphans.items():
        detail = _DETAIL + ("; some of its processes do not die" if folder in stubborn else "")
        ended: folders.Ended = {
            "started": record.get("started"),
            "ended": time.time(),
            "code": None,
            "end": "lost",
            "detail": detail,
            "node": record.get("node", node),
        }
        folders.write_exit(folder, ended)
        events.append({"id": execution_id, **ended})
    journal.rewrite(())
    return events


def _orphans(root: str, ids: Iterable[str]) -> Iterator[tuple[str, tuple[str, folders.Started]]]:
    """Folders that were taken and have not ended. Works that only waited have none: the caller brings them again."""
    for execution_id in ids:
        folder = folders.folder_of(root, execution_id)
        if folders.has_ended(folder):
            continue
        record = folders.read_started(folder)
        if record is not None:
            yield folder, (execution_id, record)


def _all_ids(root: str) -> Iterator[str]:
    for shard in os.scandir(f"{root}/{folders.EXECUTIONS}"):
        for entry in os.scandir(shard.path):
            if folders.is_execution_id(entry.name):
                yield entry.name
