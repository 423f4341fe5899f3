"""What the local provider's runtimes have in common."""

from __future__ import annotations

import os
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

from clusters.providers.base import STREAMS, LogPage, Provider, Streaming
from clusters.providers.errors import NotFound
from clusters.providers.local import folders
from clusters.providers.local.logs import read_page, read_tail


class Runtime(Provider, Streaming):
    """A way to run jobs on this machine. What it starts outlives the process that started it.

    Each execution has a folder below `_root`, with its output. Whoever hands over work should call `read` when
    `fileno` is readable.
    """

    cloud: ClassVar[str] = "local"
    _root: Path

    @abstractmethod
    def leave(self) -> None:
        """This machine stops: let go of all that is not needed by what runs."""

    @abstractmethod
    def close(self) -> None:
        """Hang up. What runs goes on."""

    def logs(self, execution_id: str, stream: str, after: int = 0, limit: int = 2**20) -> LogPage:
        folder = self._written(execution_id, stream)
        return LogPage("", after, ended=False) if folder is None else read_page(folder, stream, after, limit)

    def tail(self, execution_id: str, stream: str, limit: int) -> str:
        folder = self._written(execution_id, stream)
        return "" if folder is None else read_tail(folder, stream, limit)

    @abstractmethod
    def _has_taken(self, execution_id: str) -> bool:
        """Was it handed over here, and has no folder yet?"""

    def _folder(self, execution_id: str) -> str:
        if not folders.is_execution_id(execution_id):
            raise NotFound(f"not an execution id: {execution_id!r}")
        return folders.folder_of(str(self._root), execution_id)

    def _written(self, execution_id: str, stream: str) -> str | None:
        """The folder with an execution's output; None where there is none yet."""
        if stream not in STREAMS:
            raise ValueError(f"no such stream: {stream}")
        folder = self._folder(execution_id)
        if os.path.isdir(folder):
            return folder
        if self._has_taken(execution_id):
            return None
        raise NotFound(f"no execution {execution_id} on this machine")
