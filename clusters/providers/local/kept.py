"""What the folders of executions tell, whichever runtime wrote them, and how they are deleted."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from clusters.providers.base import End, Observation, Phase
from clusters.providers.local import folders


def observation(folder: str, execution_id: str) -> Observation | None:
    """What the execution's folder says; None when nobody has taken it."""
    record: Mapping[str, Any] | None = folders.read_exit(folder)
    if record is None:
        started = folders.read_started(folder)
        record = folders.read_exit(folder) or started  # it may have ended between the two looks
    if record is None:
        return None
    if "started" not in record:  # taken this instant: it starts now, or was canceled and never will
        return Observation(execution_id, Phase.WAITING)
    return happened(execution_id, record)


def happened(execution_id: str, record: Mapping[str, Any]) -> Observation:
    """The observation that a `started` or an `exit` makes."""
    if "ended" not in record:
        return Observation(execution_id, Phase.RUNNING, _time(record["started"]), node=record["node"])
    return Observation(
        execution_id,
        Phase.ENDED,
        _time(record["started"]),
        _time(record["ended"]),
        End(record["end"]),
        record["code"],
        record["detail"],
        record["node"],
    )


def explanation_of_end(folder: str) -> str:
    """How the execution ended, in words; empty when it has not."""
    ended = folders.read_exit(folder)
    if not ended:
        return ""
    code = "" if ended["code"] is None else f" with exit code {ended['code']}"
    detail = f": {ended['detail']}" if ended["detail"] else ""
    return f"{ended['end']} on {ended['node']}{code}{detail}"


def forget(root: Path, execution_ids: Iterable[str]) -> None:
    """Delete the folders of ended executions: moved aside in one step, so that none is ever half there."""
    trash = root / folders.TRASH
    for execution_id in filter(folders.is_execution_id, execution_ids):
        folder = folders.folder_of(str(root), execution_id)
        if folders.has_ended(folder):
            trash.mkdir(mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                os.rename(folder, trash / execution_id)
    if trash.is_dir():
        for left in os.listdir(trash):  # with what a killed process may have left there
            _delete(trash / left)


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _delete(folder: Path) -> None:
    """Delete a folder; one in which a command has shut folders is opened first. Links are not followed."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:  # somebody else does the same
        pass
    except PermissionError:
        for above, names, _ in os.walk(folder):
            for path in (os.path.join(above, name) for name in names):
                if not os.path.islink(path):
                    os.chmod(path, 0o700)
        shutil.rmtree(folder)
