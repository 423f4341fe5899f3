"""From the body of POST /v6/jobs/ to JobRequests, each refusal naming its field, and its place in a list.

Declared for the OpenAPI schema in serializers.py; tests hold the two together.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from django.conf import settings

from accounts.models import User
from clusters.queries import CLOUDS
from controlplane.core.errors import ControlPlaneError, InvalidRequest
from jobs.api.fields import (
    MAX_IMAGE,
    MAX_MEMORY_GB,
    MAX_TEXT,
    MAX_TIMEOUT,
    MAX_VCPUS,
    check_customer,
    check_place,
    command_of,
    env_of,
    secret_env_of,
    tags_of,
    text_of,
    whole,
)
from jobs.models import MAX_PRIORITY, Priority, Shape
from jobs.services import JobRequest
from jobs.services.places import place_id

MOST: Final = 10_000
MAX_TRIES: Final = 1000
FIELDS: Final = (
    *("shape", "customer", "classification", "cloud", "region", "image", "command", "env", "secret_env", "tags"),
    *("vcpus", "memory_mib", "priority", "queue", "timeout_seconds", "max_tries"),
)


def decode_many(body: list[Any], user: User) -> list[JobRequest]:
    """The jobs of a list; the first that is not valid refuses them all. Raises InvalidRequest, Forbidden."""
    if not 1 <= len(body) <= MOST:
        raise InvalidRequest(f"A list holds from 1 to {MOST} jobs.")
    requests: list[JobRequest] = []
    places: set[tuple[str, str]] = set()
    for index, item in enumerate(body):
        try:
            request = decode_one(item, user)
            if (request.cloud, request.region) not in places:
                place_id(request.cloud, request.region)  # refused here, where the index is known
                places.add((request.cloud, request.region))
            requests.append(request)
        except ControlPlaneError as error:
            error.index = index
            raise
    return requests


def decode_one(body: Any, user: User) -> JobRequest:
    """The job that `body` asks for. Raises InvalidRequest, ProviderNotConfigured, Forbidden."""
    if not isinstance(body, dict):
        raise InvalidRequest("A job is a JSON object.")
    given: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
    unknown = next((name for name in body if name not in FIELDS), None)
    if unknown is not None:
        raise InvalidRequest(f"There is no such field; there are {', '.join(FIELDS)}.", field=str(unknown)[:64])
    if given.get("shape", Shape.CONTAINER) not in Shape.values:
        raise InvalidRequest(f"This is one of {', '.join(Shape.values)}.", field="shape")
    customer = _customer(given, user)
    cloud, region = _place(given)
    env = env_of(given)
    request = JobRequest(
        customer=customer,
        cloud=cloud,
        region=region,
        classification=text_of(given, "classification", MAX_TEXT, needed=True),
        image=text_of(given, "image", MAX_IMAGE),
        command=command_of(given),
        env=env,
        secret_env=secret_env_of(given, env),
        tags=tags_of(given),
        vcpus_milli=_vcpus_milli(given),
        memory_mib=_whole(given, "memory_mib", 1, MAX_MEMORY_GB * 1024),
        priority=priority_of(given, Priority.LOW),
        queue=text_of(given, "queue", 64),
        timeout_seconds=_whole(given, "timeout_seconds", 1, MAX_TIMEOUT),
        max_tries=_whole(given, "max_tries", 1, MAX_TRIES),
    )
    check_place(cloud, queue=given.get("queue"), command=given.get("command"))
    check_customer(user, customer)
    return request


def _whole(body: Mapping[str, Any], name: str, minimum: int, maximum: int) -> int | None:
    return whole(body[name], name, minimum, maximum) if name in body else None


def priority_of(body: Mapping[str, Any], default: int | None) -> Any:
    """The priority that a body asks for; smaller runs first."""
    return whole(body["priority"], "priority", 0, MAX_PRIORITY) if body.get("priority") is not None else default


def _customer(body: Mapping[str, Any], user: User) -> str:
    own = user.customer.name if user.customer else None
    return own if own is not None and "customer" not in body else text_of(body, "customer", MAX_TEXT, needed=True)


def _place(body: Mapping[str, Any]) -> tuple[str, str]:
    cloud = text_of(body, "cloud", MAX_TEXT) or "local"
    if cloud not in CLOUDS:
        raise InvalidRequest(f"This is one of {', '.join(CLOUDS)}.", field="cloud")
    region = text_of(body, "region", 64, needed=cloud != "local")
    return cloud, region or settings.LOCAL_REGION


def _vcpus_milli(body: Mapping[str, Any]) -> int | None:
    if "vcpus" not in body:
        return None
    given = body["vcpus"]
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0.001 <= given <= MAX_VCPUS:
        raise InvalidRequest(f"This is a number of vCPUs from 0.001 to {MAX_VCPUS}.", field="vcpus")
    return math.ceil(given * 1000)
