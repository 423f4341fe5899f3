"""Documents of strangers: whether they are JSON that we can keep, and whether they keep to a schema.

A fault is told by its path and the rule that is broken, never by the value: that may be a secret.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from controlplane.core.unstorable import UNSTORABLE
from jobtypes.seed.verdicts import spelled_name

MAX_BYTES: Final = 1024 * 1024
MAX_DEPTH: Final = 32

_MAX_NUMBER: Final = int(sys.float_info.max)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong: `path` reads `job.interface.mounts[0].path` and is empty for the whole document."""

    path: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}: {self.rule}" if self.path else f"The document {self.rule}"


def find_fault(document: Any, *, max_bytes: int = MAX_BYTES) -> Fault | None:
    """What keeps any value from being kept as JSON, or None.

    Refused are NaN and infinities, numbers that no double holds, texts with NUL or half a surrogate pair
    (PostgreSQL takes neither), more than MAX_DEPTH levels, more than `max_bytes` as compact JSON in UTF-8,
    and what is no JSON at all.
    """
    steps: list[str | int] = []
    walked = [_members([document])]
    seen = 0
    while walked:
        for step, value in walked[-1]:
            seen += 1
            if seen > max_bytes:  # every value takes a byte at least
                return _too_large(max_bytes)
            if rule := _broken_rule(value, len(steps)):
                return Fault(_spelled([*steps, step][1:]), rule)
            if isinstance(value, dict | list):
                steps.append(step)
                walked.append(_members(value))
                break
        else:
            walked.pop()
            steps = steps[:-1]
    size = len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    return _too_large(max_bytes) if size > max_bytes else None


def check(document: Any, validator: Draft202012Validator) -> Fault | None:
    """The first breach of the validator's schema; `document` is JSON that `find_fault` found no fault with."""
    error = next(validator.iter_errors(document), None)
    return None if error is None else _told(error)


def is_of_type(value: Any, name: str) -> bool:
    """Whether a JSON value is of a JSON Schema type: 5.0 is an integer, true is not."""
    return bool(Draft202012Validator.TYPE_CHECKER.is_type(value, name))


def parse(content: bytes) -> Any:
    """The JSON value in `content`. ValueError for everything else, also where Python would read NaN or give up."""
    try:
        return json.loads(content.decode("utf-8-sig"), parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _too_large(max_bytes: int) -> Fault:
    return Fault("", f"must not be larger than {max_bytes} bytes as JSON")


def _members(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str | int, Any]]:
    return iter(value.items() if isinstance(value, dict) else enumerate(value))


def _broken_rule(value: Any, depth: int) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if _is_storable(value) else "must not hold a NUL or half a surrogate pair"
    if isinstance(value, int):
        return None if abs(value) <= _MAX_NUMBER else "must be a number that a double can hold"
    if isinstance(value, float):
        return None if math.isfinite(value) else "must be a finite number"
    if not isinstance(value, dict | list):
        return "must be a JSON value"
    if depth >= MAX_DEPTH:
        return f"must not be nested deeper than {MAX_DEPTH} levels"
    if isinstance(value, list) or all(isinstance(key, str) and _is_storable(key) for key in value):
        return None
    return "must have names that are texts without NUL or half a surrogate pair"


def _is_storable(text: str) -> bool:
    return UNSTORABLE.search(text) is None


def _spelled(path: Iterable[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{spelled_name(step)}"
    return text.removeprefix(".")


def _told(error: ValidationError) -> Fault:
    """The library's own message quotes the value."""
    path = tuple(error.absolute_path)
    rule, bound, instance = str(error.validator), error.validator_value, cast(Any, error.instance)
    if rule == "required":
        missing = next(name for name in cast(list[str], bound) if name not in instance)
        return Fault(_spelled((*path, missing)), "is required")
    if rule == "additionalProperties":
        known = cast(Mapping[str, Any], error.schema).get("properties", {})
        return Fault(_spelled((*path, next(name for name in instance if name not in known))), "is not a known member")
    words = cast(Mapping[str, Any], error.schema).get("description")
    if rule == "pattern" and words:
        return Fault(_spelled(path), f"must be {words}")
    return Fault(_spelled(path), _worded(rule, bound))


def _worded(rule: str, bound: Any) -> str:
    match rule:
        case "type":
            return f"must be of type {bound}"
        case "const":
            return f"must be {bound!r}"
        case "enum":
            return f"must be one of {', '.join(bound)}"
        case "minLength":
            return f"must have at least {bound} characters"
        case "maxLength":
            return f"must have at most {bound} characters"
        case "maxItems" | "maxProperties":
            return f"must have at most {bound} members"
        case "minItems" | "minProperties":
            return f"must have at least {bound} members"
        case "pattern":
            return f"must match {bound}"
        case "minimum":
            return f"must be at least {bound}"
        case "maximum":
            return f"must be at most {bound}"
    return f"breaks the rule {rule}"
