"""Conditions: filters over files and JSON values that decide which nodes of a recipe run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Final

from jobtypes.recipe.interfaces import FILES, Parameter
from jobtypes.recipe.schemas import FILE_TYPES
from jobtypes.seed import documents

_ORDERED: Final = frozenset({"<", "<=", ">", ">=", "between"})
_EQUAL: Final = frozenset({"==", "!=", "in", "not in"})
# What each type can be asked.
ASKED: Final[Mapping[str, frozenset[str]]] = {
    "integer": _ORDERED | _EQUAL,
    "number": _ORDERED | _EQUAL,
    "string": _ORDERED | _EQUAL | {"contains", "matches"},
    "boolean": frozenset({"==", "!="}),
    "array": frozenset({"==", "!=", "contains"}),
    "object": frozenset({"==", "!=", "contains"}),
    "filename": _EQUAL | {"contains", "matches"},
    "media-type": _EQUAL | {"matches"},
}


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a condition may ask of a file."""

    name: str
    media_type: str


@dataclass(frozen=True, slots=True)
class DataFilter:
    """One question to one parameter. `all_files`: to be met by all of its files, else by one of them."""

    name: str
    type: str
    condition: str
    values: tuple[Any, ...]
    all_files: bool


@dataclass(frozen=True, slots=True)
class DataFilters:
    """Questions of which all must be met, or with `all` false one."""

    filters: tuple[DataFilter, ...]
    all: bool

    def accept(self, files: Mapping[str, Sequence[FileFacts]], values: Mapping[str, Any]) -> bool:
        """Whether this input is accepted. What is not there meets no question, whatever it asks."""
        met = (_is_met(each, files, values) for each in self.filters)
        return all(met) if self.all else any(met)


def read_filters(document: Mapping[str, Any]) -> DataFilters:
    """The filters that `document` has; it keeps to the schema."""
    filters = (
        DataFilter(f["name"], f["type"], f["condition"], tuple(f["values"]), f.get("all_files", False))
        for f in document["filters"]
    )
    return DataFilters(tuple(filters), document.get("all", True))


def find_fault(found: DataFilter, parameter: Parameter | None) -> str | None:
    """Why the filter cannot be asked of that parameter of the condition, or None."""
    if parameter is None:
        return "there is no such parameter in the condition's interface"
    takes_files = found.type in FILE_TYPES
    if takes_files != (parameter.kind == FILES) or (not takes_files and found.type != parameter.type):
        return f"the parameter is not of type {found.type}"
    if found.condition not in ASKED[found.type]:
        return f"a {found.type} can be asked for {', '.join(sorted(ASKED[found.type]))}"
    if found.condition == "between" and len(found.values) != 2:
        return "between takes two values"
    if found.condition not in ("in", "not in", "between") and len(found.values) != 1:
        return f"{found.condition} takes one value"
    kind = _value_type(found)
    if kind and not all(documents.is_of_type(value, kind) for value in found.values):
        return f"its values must be of type {kind}"
    return None


def _value_type(found: DataFilter) -> str:
    """Of what JSON type the filter's own values are; "" where that does not matter."""
    if found.type in FILE_TYPES:
        return "string"
    if found.condition == "contains" and found.type == "array":
        return ""
    if found.condition == "contains" and found.type == "object":
        return "string"
    return "number" if found.type == "integer" else found.type


def _is_met(asked: DataFilter, files: Mapping[str, Sequence[FileFacts]], values: Mapping[str, Any]) -> bool:
    if asked.type not in FILE_TYPES:
        return asked.name in values and _compare(asked, values[asked.name])
    given = files.get(asked.name, ())
    texts = (file.name if asked.type == "filename" else file.media_type for file in given)
    answers = [_compare(asked, text) for text in texts]
    return bool(answers) and (all(answers) if asked.all_files else any(answers))


_COMPARE: Final[Mapping[str, Callable[[Any, Sequence[Any]], bool]]] = {
    "==": lambda value, wanted: _same(value, wanted[0]),
    "!=": lambda value, wanted: not _same(value, wanted[0]),
    "<": lambda value, wanted: value < wanted[0],
    "<=": lambda value, wanted: value <= wanted[0],
    ">": lambda value, wanted: value > wanted[0],
    ">=": lambda value, wanted: value >= wanted[0],
    "between": lambda value, wanted: wanted[0] <= value <= wanted[1],
    "in": lambda value, wanted: any(_same(value, each) for each in wanted),
    "not in": lambda value, wanted: not any(_same(value, each) for each in wanted),
    "contains": lambda value, wanted: _contains(value, wanted[0]),
    "matches": lambda value, wanted: fnmatchcase(value, wanted[0]),
}


def _compare(asked: DataFilter, value: Any) -> bool:
    """Whether `value` meets the filter. A value of another type than declared meets nothing."""
    kind = "string" if asked.type in FILE_TYPES else asked.type
    return documents.is_of_type(value, kind) and _COMPARE[asked.condition](value, asked.values)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: Python takes true for 1."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)


def _contains(value: Any, wanted: Any) -> bool:
    if isinstance(value, list):
        return any(_same(each, wanted) for each in value)
    return wanted in value
