"""From the bytes of POST /submit to a JobRequest, each refusal naming its field.

A typed decoder in place of serializers: this is the hot path. What it takes is declared for the OpenAPI
schema in serializers.py; the contract test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from accounts.models import User
from clusters.queries import CLOUDS
from controlplane.core.errors import InvalidRequest
from jobs.api.fields import (
    MAX_IMAGE,
    MAX_MEMORY_GB,
    MAX_TEXT,
    MAX_TIMEOUT,
    MAX_USER_DATA,
    MAX_VCPUS,
    check_customer,
    command_of,
    env_of,
    secret_env_of,
    tags_of,
    text_of,
    whole,
)
from jobs.models import Priority
from jobs.services import JobRequest, check_place

BOTH_NAMES: Final = ("image/ami", "command/user_data", "priority/queue")


def _resources(body: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """vcpus_milli and memory_mib, each None when it is not given."""
    resources = body.get("resources", {})
    if not isinstance(resources, dict):
        raise InvalidRequest("This must be an object.", field="resources")
    vcpus = memory = None
    if "vcpus" in resources:
        vcpus = 1000 * whole(resources["vcpus"], "resources.vcpus", 1, MAX_VCPUS)
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
    cloud = text_of(body, "cloud", MAX_TEXT, needed=True)
    if cloud not in CLOUDS:
        raise InvalidRequest(f"This must be one of {', '.join(CLOUDS)}.", field="cloud")
    return cloud, text_of(body, "region", 64, needed=True)


def _check_place(body: Mapping[str, Any], cloud: str) -> None:
    if "ami" in body and cloud != "aws":
        raise InvalidRequest(f"There are no machine images on {cloud}.", field="ami")
    check_place(cloud, queue=body.get("queue"), command=body.get("command"))


def decode_submit(body: Mapping[str, Any], user: User) -> JobRequest:
    """The job that `body` asks for. Raises InvalidRequest, ProviderNotConfigured, Forbidden."""
    customer = text_of(body, "customer", MAX_TEXT, needed=True)
    cloud, region = _place(body)
    classification = text_of(body, "id", MAX_TEXT, needed=True)
    _one_of_two(body)
    vcpus_milli, memory_mib = _resources(body)
    env = env_of(body)
    request = JobRequest(
        customer=customer,
        cloud=cloud,
        region=region,
        classification=classification,
        image=text_of(body, "image", MAX_IMAGE),
        machine_image=text_of(body, "ami", MAX_TEXT),
        user_data=text_of(body, "user_data", MAX_USER_DATA),
        command=command_of(body),
        env=env,
        secret_env=secret_env_of(body, env),
        tags=tags_of(body),
        vcpus_milli=vcpus_milli,
        memory_mib=memory_mib,
        priority=_priority(body),
        queue=text_of(body, "queue", 64),
        timeout_seconds=whole(body["timeout"], "timeout", 1, MAX_TIMEOUT) if "timeout" in body else None,
    )
    _check_place(body, cloud)
    check_customer(user, customer)
    return request
