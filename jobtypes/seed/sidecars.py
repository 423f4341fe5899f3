"""Metadata that a job writes beside its files: a GeoJSON Feature or a bare geometry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from jobtypes.seed import documents

MOMENTS: Final = ("dataStarted", "dataEnded", "sourceStarted", "sourceEnded")
TEXTS: Final = ("sourceSensorClass", "sourceSensor", "sourceCollection", "sourceTask")
TEXT_LENGTH: Final = 255

# How many levels of lists stand above a position.
_LEVELS: Final = {
    "Point": 0, "MultiPoint": 1, "LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3,
}  # fmt: skip


def read_sidecar(content: bytes) -> dict[str, Any]:
    """`{"geometry": GeoJSON geometry or None, "properties": {…}}` of a sidecar's bytes.

    The recognised properties are kept only where they can be used: moments with a zone, which become UTC, and texts
    of at most 255 characters. All others stay as they are. ValueError, with the reason, for anything but a Feature
    or one geometry; collections of either are none.
    """
    document = documents.parse(content)
    if fault := documents.find_fault(document):
        raise ValueError(str(fault))
    if not isinstance(document, dict):
        raise ValueError("This is no object.")
    if document.get("type") != "Feature":
        return {"geometry": _geometry(document), "properties": {}}
    geometry, properties = document.get("geometry"), document.get("properties")
    if properties is not None and not isinstance(properties, dict):
        raise ValueError("The properties are no object.")
    return {
        "geometry": None if geometry is None else _geometry(geometry),
        "properties": _properties(properties or {}),
    }


def _geometry(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ValueError("The geometry is no object.")
    kind = given.get("type")
    if not isinstance(kind, str) or kind not in _LEVELS:
        raise ValueError("This is neither a Feature nor one geometry.")
    coordinates = given.get("coordinates")
    if not _are_coordinates(coordinates, _LEVELS[kind]):
        raise ValueError(f"The coordinates are not those of a {kind}.")
    return {"type": kind, "coordinates": coordinates}


def _are_coordinates(value: Any, levels: int) -> bool:
    if not isinstance(value, list):
        return False
    if levels:
        return all(_are_coordinates(inner, levels - 1) for inner in value)
    return 2 <= len(value) <= 4 and all(documents.is_of_type(number, "number") for number in value)


def _properties(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = dict(given)
    for name in MOMENTS:
        if name in kept and (moment := _moment(kept.pop(name))) is not None:
            kept[name] = moment
    for name in TEXTS:
        if name in kept and not (isinstance(kept[name], str) and len(kept[name]) <= TEXT_LENGTH):
            del kept[name]
    return kept


def _moment(given: Any) -> str | None:
    if not isinstance(given, str):
        return None
    try:
        moment = datetime.fromisoformat(given)
        return None if moment.tzinfo is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None
