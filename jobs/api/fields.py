"""Reads the fields of a submit, each refusal naming its field: what all surfaces that take jobs share.

Typed readers in place of serializers: a submit is the hot path, and a list may hold 10 000 of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from accounts.models import Role, User
from controlplane.core.errors import Forbidden, InvalidRequest
from controlplane.core.unstorable import UNSTORABLE

MAX_TEXT: Final = 255
MAX_IMAGE: Final = 1024
MAX_ARGUMENT_BYTES: Final = 128 * 1024 - 1  # one argument of execve(2), MAX_ARG_STRLEN
MAX_COMMAND_BYTES: Final = 512 * 1024
MAX_ENV_BYTES: Final = 256 * 1024
MAX_TAGS_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_TIMEOUT: Final = 30 * 24 * 3600
MAX_USER_DATA: Final = 12 * 1024  # EC2 takes 16 KiB, and ours goes along
MAX_VCPUS: Final = 10_000
MAX_MEMORY_GB: Final = 16_384


def text_of(body: Mapping[str, Any], name: str, limit: int, *, needed: bool = False) -> str:
    if name not in body:
        if needed:
            raise InvalidRequest("This field is required.", field=name)
        return ""
    return storable(body[name], name, limit)


def storable(value: Any, name: str, limit: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest("This must be text.", field=name)
    if not value:
        raise InvalidRequest("This may not be empty.", field=name)
    if len(value) > limit:
        raise InvalidRequest(f"This may be {limit} characters long at most.", field=name)
    if UNSTORABLE.search(value):
        raise InvalidRequest("This holds a NUL or half a surrogate pair.", field=name)
    return value


def _bytes(text: str, name: str) -> int:
    if UNSTORABLE.search(text):
        raise InvalidRequest("This holds a NUL or half a surrogate pair.", field=name)
    return len(text.encode())


def whole(value: Any, name: str, minimum: int, maximum: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest("This must be a whole number.", field=name)
    if not minimum <= value <= maximum:
        raise InvalidRequest(f"This must be from {minimum} to {maximum}.", field=name)
    return value


def command_of(body: Mapping[str, Any]) -> list[str]:
    command = body.get("command", [])
    if not isinstance(command, list) or not all(isinstance(argument, str) for argument in command):
        raise InvalidRequest("This must be a list of texts.", field="command")
    sizes = [_bytes(argument, "command") for argument in command]
    if sum(sizes) > MAX_COMMAND_BYTES or max(sizes, default=0) > MAX_ARGUMENT_BYTES:
        raise InvalidRequest(f"This may hold {MAX_COMMAND_BYTES} bytes at most.", field="command")
    return command


def env_of(body: Mapping[str, Any]) -> dict[str, str]:
    env = body.get("env", {})
    if not isinstance(env, dict):
        raise InvalidRequest("This must be an object of texts.", field="env")
    total = 0
    for name, value in env.items():
        if not isinstance(value, str):
            raise InvalidRequest(f"The value of {name[:64]!r} must be text.", field="env")
        if not name or "=" in name:
            raise InvalidRequest("The name of a variable is not empty and holds no '='.", field="env")
        size = _bytes(name, "env") + _bytes(value, "env") + 2
        total += size
        if size > MAX_ARGUMENT_BYTES or total > MAX_ENV_BYTES:
            raise InvalidRequest(f"This may hold {MAX_ENV_BYTES} bytes at most.", field="env")
    return env


def secret_env_of(body: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    names = body.get("secret_env", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest("This must be a list of names.", field="secret_env")
    unknown = [name for name in names if name not in env]
    if unknown:
        raise InvalidRequest(f"{unknown[0][:64]!r} is not in env.", field="secret_env")
    return names


def tags_of(body: Mapping[str, Any]) -> dict[str, Any]:
    tags = body.get("tags", {})
    if not isinstance(tags, dict):
        raise InvalidRequest("This must be an object.", field="tags")
    if _weight(tags, 0) > MAX_TAGS_BYTES:
        raise InvalidRequest(f"This may hold {MAX_TAGS_BYTES} bytes at most.", field="tags")
    return tags


def _weight(value: Any, depth: int) -> int:
    """About how many bytes a JSON value takes; refuses what no database keeps."""
    if depth > MAX_DEPTH:
        raise InvalidRequest(f"This may be {MAX_DEPTH} levels deep at most.", field="tags")
    if isinstance(value, dict):
        return 2 + sum(_weight(key, depth + 1) + _weight(item, depth + 1) + 2 for key, item in value.items())
    if isinstance(value, list):
        return 2 + sum(_weight(item, depth + 1) + 1 for item in value)
    if isinstance(value, str):
        return _bytes(value, "tags") + 2
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest("This holds a number that is too large.", field="tags")
    if isinstance(value, int) and abs(value) > 10**18:
        raise InvalidRequest("This holds a number that is too large.", field="tags")
    return 8


def check_customer(user: User, customer: str) -> None:
    """A customer's user submits for that customer only. Raises Forbidden."""
    if user.role == Role.CUSTOMER and (user.customer is None or user.customer.name != customer):
        raise Forbidden("You may submit jobs of your own customer only.", field="customer")
