"""What callers may say of a file, and how it is checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from controlplane.core.errors import InvalidRequest
from jobs.models import File
from jobtypes.seed.documents import find_fault
from jobtypes.seed.sidecars import read_sidecar

MAX_BYTES: Final = 64 * 1024  # of meta_data, and of a geometry
SPANS: Final = (("data_started_at", "data_ended_at"), ("source_started_at", "source_ended_at"))
TEXTS: Final = ("source_sensor_class", "source_sensor", "source_collection", "source_task")
MAX_TEXT: Final = 128


def checked_description(given: Mapping[str, Any], *, now: File | None = None) -> dict[str, Any]:
    """The columns of a file that `given` sets, each checked: SPANS, TEXTS, geometry and meta_data.

    `now`: the file that is to be changed. Raises InvalidRequest naming the field as the API does, without `_at`.
    """
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name == "geometry":
            checked[name] = None if value is None else _geometry(value)
        elif name == "meta_data":
            checked[name] = _object(value, name)
        elif name in TEXTS:
            checked[name] = _text(value, name)
        elif any(name in span for span in SPANS):
            checked[name] = value
        else:
            raise TypeError(f"a file has no {name}")
    _check_spans(checked, now)
    return checked


def _check_spans(checked: Mapping[str, Any], now: File | None) -> None:
    for span in SPANS:
        begin, end = (checked[name] if name in checked else getattr(now, name, None) for name in span)
        if begin is not None and end is not None and begin > end:
            raise InvalidRequest("This ends before it has started.", field=span[1].removesuffix("_at"))


def _text(value: str, field: str) -> str:
    if len(value) > MAX_TEXT:
        raise InvalidRequest(f"This may be {MAX_TEXT} characters long at most.", field=field)
    return value


def _object(value: Any, field: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest("This must be an object.", field=field)
    if fault := find_fault(value, max_bytes=MAX_BYTES):
        raise InvalidRequest(f"{fault}.", field=field)
    return value


def _geometry(value: Any) -> dict[str, Any]:
    """A GeoJSON geometry, read as that of a sidecar is."""
    try:
        found: dict[str, Any] | None = read_sidecar(json.dumps(_object(value, "geometry")).encode())["geometry"]
    except ValueError as error:
        raise InvalidRequest(str(error), field="geometry") from error
    if found is None:
        raise InvalidRequest("This is no geometry.", field="geometry")
    return found
