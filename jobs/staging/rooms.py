"""The folders in which a Seed job finds its input and leaves its output, on the machine that runs it.

LOCAL_ROOT/staging/<execution's uuid>/
    input/<INPUT>/<file>    hard links or copies, shown to the job to read only
    metadata.json           what is known of them
    output/                 OUTPUT_DIR, empty at first
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import UUID

from django.conf import settings

INPUT: Final = "input"
OUTPUT: Final = "output"
METADATA: Final = "metadata.json"


@dataclass(frozen=True, slots=True)
class Room:
    """One execution's folder. Paths are the same for the job as for us: a mount shows them where they lie."""

    path: Path

    @property
    def input(self) -> Path:
        return self.path / INPUT

    @property
    def output(self) -> Path:
        return self.path / OUTPUT

    @property
    def metadata(self) -> Path:
        return self.path / METADATA

    def make(self) -> None:
        """Make it anew: what an earlier try has left is gone. The image's user, whoever it is, may write output."""
        self.clear()
        self.input.mkdir(parents=True, mode=0o755)
        self.output.mkdir(mode=0o777)
        self.output.chmod(0o777)

    def clear(self) -> None:
        """Remove it; a folder that the job has shut is opened first. Links are not followed."""
        try:
            shutil.rmtree(self.path)
        except FileNotFoundError:
            return
        except PermissionError:
            for above, names, _ in os.walk(self.path):
                for name in names:
                    if not os.path.islink(os.path.join(above, name)):
                        os.chmod(os.path.join(above, name), 0o700)
            shutil.rmtree(self.path)


def _root() -> Path:
    return Path(settings.LOCAL_ROOT).resolve() / "staging"


def room_of(execution_uuid: UUID) -> Room:
    return Room(_root() / str(execution_uuid))


def rooms() -> Iterator[tuple[UUID, Room]]:
    """Those that there are on this machine."""
    root = _root()
    for name in os.listdir(root) if root.is_dir() else ():
        try:
            yield UUID(name), Room(root / name)
        except ValueError:
            continue
