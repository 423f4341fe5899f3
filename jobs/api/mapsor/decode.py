"""From the bytes of POST /submit to a JobRequest, each refusal naming its field.

A typed decoder in place of serializers: this is the hot path. What it takes is declared for the OpenAPI
schema in serializers.py; the contract test holds the two together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from accounts.models import Role, User
from clusters.queries import CLOUDS, missing_settings
from controlplane.core.errors import Forbidden, InvalidRequest
from jobs.errors import ProviderNotConfigured
from jobs.models import Priority
from jobs.services import JobRequest

MAX_TEXT: Final = 255
MAX_IMAGE: Final = 1024
MAX_ARGUMENT_BYTES: Final = 128 * 1024 - 1  # one argument of execve(2), MAX_ARG_STRLEN
MAX_COMMAND_BYTES: Final = 512 * 1024
MAX_ENV_BYTES: Final = 256 * 1024
MAX_TAGS_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 32
MAX_TIMEOUT: Final = 30 * 24 * 3600
MAX_VCPUS: Final = 10_000
MAX_MEMORY_GB: Final = 16_384
BOTH_NAMES: Final = ("image/ami", "command/user_data", "priority/queue")
_UNSTORABLE: Final = re.compile("[\0\ud800-\udfff]")


def _text(body: Mapping[str, Any], name: str, limit: int, *, needed: bool = False) -> str:
    if name not in body:
        if needed:
            raise InvalidRequest("This field is required.", field=name)
        return ""
    return _storable(body[name], name, limit)


def _storable(value: Any, name: str, limit: int) -> str:
    if not isinstance(value, str):
        raise InvalidRequest("This must be text.", field=name)
    if not value:
        raise InvalidRequest("This may not be empty.", field=name)
    if len(value) > limit:
        raise InvalidRequest(f"This may be {limit} characters long at most.", field=name)
    if _UNSTORABLE.search(value):
        raise InvalidRequest("This holds a NUL or half a surrogate pair.", field=name)
    return value


def _bytes(text: str, name: str) -> int:
    if _UNSTORABLE.search(text):
        raise InvalidRequest("This holds a NUL or half a surrogate pair.", field=name)
    return len(text.encode())


def _whole(value: Any, name: str, minimum: int, maximum: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest("This must be a whole number.", field=name)
    if not minimum <= value <= maximum:
        raise InvalidRequest(f"This must be from {minimum} to {maximum}.", field=name)
    return value


def _command(body: Mapping[str, Any]) -> list[str]:
    command = body.get("command", [])
    if not isinstance(command, list) or not all(isinstance(argument, str) for argument in command):
        raise InvalidRequest("This must be a list of texts.", field="command")
    sizes = [_bytes(argument, "command") for argument in command]
    if sum(sizes) > MAX_COMMAND_BYTES or max(sizes, default=0) > MAX_ARGUMENT_BYTES:
        raise InvalidRequest(f"This may hold {MAX_COMMAND_BYTES} bytes at most.", field="command")
    return command


def _env(body: Mapping[str, Any]) -> dict[str, str]:
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


def _secret_env(body: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    names = body.get("secret_env", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise InvalidRequest("This must be a list of names.", field="secret_env")
    unknown = [name for name in names if name not in env]
    if unknown:
        raise InvalidRequest(f"{unknown[0][:64]!r} is not in env.", field="secret_env")
    return names


def _tags(body: Mapping[str, Any]) -> dict[str, Any]:
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


def _resources(body: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """vcpus_milli and memory_mib, each None when it is not given."""
    resources = body.get("resources", {})
    if not isinstance(resources, dict):
        raise InvalidRequest("This must be an object.", field="resources")
    vcpus = memory = None
    if "vcpus" in resources:
        vcpus = 1000 * _whole(resources["vcpus"], "resources.vcpus", 1, MAX_VCPUS)
    if "memory" in resources:
        given = resources["memory"]
        if not isinstance(given, int | float) or isinstance(given, bool):
            raise InvalidRequest("This must be a number of GB.", field="resources.memory")
        if not 0 < given <= MAX_MEMORY_GB:
            raise InvalidRequest(f"This must be above 0 and at most {MAX_MEMORY_GB} GB.", field="resources.memory")
        memory = math.ceil(given * 1024)
    return vcpus, memory


def _priority(body: Mapping[str, Any]) -> int:
    if "priority" not in body:
        return Priority.LOW
    name = body["priority"]
    if not isinstance(name, str) or name not in Priority.names:
        raise InvalidRequest("This must be HIGH or LOW.", field="priority")
    return Priority[name]


def _one_of_two(body: Mapping[str, Any]) -> None:
    for name in BOTH_NAMES:
        if name in body:
            one, other = name.split("/")
            raise InvalidRequest(f"Give {one} or {other}; this is no field's name.", field=name)
    if "image" in body and "ami" in body:
        raise InvalidRequest("Give image or ami, not both.", field="ami")
    if "image" not in body and "ami" not in body:
        raise InvalidRequest("An image, or an ami, is required.", field="image")
    if "priority" in body and "queue" in body:
        raise InvalidRequest("Give priority or queue, not both.", field="queue")
    for other, wrong in (("ami", "command"), ("ami", "queue"), ("image", "user_data")):
        if other in body and wrong in body:
            raise InvalidRequest(f"This does not go with {other}.", field=wrong)


def _place(body: Mapping[str, Any]) -> tuple[str, str]:
    cloud = _text(body, "cloud", MAX_TEXT, needed=True)
    if cloud not in CLOUDS:
        raise InvalidRequest(f"This must be one of {', '.join(CLOUDS)}.", field="cloud")
    return cloud, _text(body, "region", 64, needed=True)


def _check_place(body: Mapping[str, Any], cloud: str) -> None:
    if "ami" in body and cloud != "aws":
        raise InvalidRequest(f"There are no machine images on {cloud}.", field="ami")
    missing = missing_settings(cloud)
    if missing:
        raise ProviderNotConfigured(f"{cloud} is not configured here: set {', '.join(missing)}.", field="cloud")
    queue = body.get("queue")
    if cloud == "local" and queue is not None and queue not in settings.LOCAL_QUEUES:
        raise InvalidRequest(f"This must be one of {', '.join(settings.LOCAL_QUEUES)}.", field="queue")
    if cloud == "local" and not body.get("command"):
        raise InvalidRequest("The local provider runs the command itself, so there must be one.", field="command")


def decode_submit(body: Mapping[str, Any], user: User) -> JobRequest:
    """The job that `body` asks for. Raises InvalidRequest, ProviderNotConfigured, Forbidden."""
    customer = _text(body, "customer", MAX_TEXT, needed=True)
    cloud, region = _place(body)
    classification = _text(body, "id", MAX_TEXT, needed=True)
    _one_of_two(body)
    vcpus_milli, memory_mib = _resources(body)
    env = _env(body)
    request = JobRequest(
        customer=customer,
        cloud=cloud,
        region=region,
        classification=classification,
        image=_text(body, "image", MAX_IMAGE),
        command=_command(body),
        env=env,
        secret_env=_secret_env(body, env),
        tags=_tags(body),
        vcpus_milli=vcpus_milli,
        memory_mib=memory_mib,
        priority=_priority(body),
        queue=_text(body, "queue", 64),
        timeout_seconds=_whole(body["timeout"], "timeout", 1, MAX_TIMEOUT) if "timeout" in body else None,
    )
    for name, limit in (("ami", MAX_TEXT), ("user_data", 16 * 1024)):
        _text(body, name, limit)
    _check_place(body, cloud)
    if user.role == Role.CUSTOMER and (user.customer is None or user.customer.name != customer):
        raise Forbidden("You may submit jobs of your own customer only.", field="customer")
    return request
