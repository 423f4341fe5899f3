"""A root folder of services of a test's own, with whatever supervisors it starts; all of it is gone afterwards."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from clusters.providers.local import folders
from clusters.providers.local.hosting.provider import LocalHosting
from tests.clusters.local_host import LocalHost

LOG_CAP_BYTES = 128 << 10
GRACE_SECONDS = 0.6
GIVE_UP_AFTER = 3
REGION = "here"


class ServicesHost(LocalHost):
    """One root folder; makes hostings for it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.hostings: list[LocalHosting] = []

    def hosting(self, **wishes: object) -> LocalHosting:
        settings: dict[str, object] = {
            "region": REGION,
            "memory_mib": 64 << 10,
            "log_cap_bytes": LOG_CAP_BYTES,
            "isolate": False,
            "unisolated": True,
            "grace_seconds": GRACE_SECONDS,
            "give_up_after": GIVE_UP_AFTER,
        }
        hosting = LocalHosting(self.root, **{**settings, **wishes})  # type: ignore[arg-type]
        self.hostings.append(hosting)
        return hosting

    def is_work(self, path: str) -> bool:
        name = path.removeprefix(f"{self.root}/").partition("/")[0]
        return folders.is_execution_id(name) and path.startswith(f"{self.root}/")

    def alive(self) -> set[int]:
        """The process ids of runs that are not over, as noted."""
        runs: list[Path] = []
        for each in self.root.iterdir():
            if folders.is_execution_id(each.name):  # not what is on its way out, and may go under our hands
                with contextlib.suppress(FileNotFoundError):
                    runs += [path.parent for path in each.glob("*/started")]
        runs = [run for run in runs if not (run / folders.EXIT).exists()]
        return {record["pid"] for run in runs if (record := folders.read_started(str(run)))}

    def clear(self) -> None:
        for hosting in self.hostings:
            hosting.close()
        super().clear()


@contextlib.contextmanager
def services_host() -> Iterator[ServicesHost]:
    """For a fixture."""
    host = ServicesHost(Path(tempfile.mkdtemp(prefix="services-")).resolve())
    try:
        yield host
    finally:
        host.clear()
