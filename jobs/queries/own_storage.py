"""Storage that the settings name, for what this deployment keeps itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from controlplane.core.remembered import Remembered
from controlplane.core.storage import Storage, open_storage

FOLDER_MODE: Final = 0o750
_storages: Remembered[str, Storage] = Remembered(limit=10)


def own_storage(broker: Mapping[str, Any]) -> Storage:
    """The storage of a broker out of the settings. Opened once per process; a folder is made."""
    kept = _storages.get(repr(broker))
    if kept is None:
        roots = []
        if broker.get("type") == "host":
            roots = [broker["host_path"]]
            Path(broker["host_path"]).mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        allowed = {"allowed_roots": roots, "allowed_endpoints": settings.STORAGE_ENDPOINTS}
        kept = open_storage({"broker": broker}, **allowed)
        _storages.put(repr(broker), kept)
    return kept
