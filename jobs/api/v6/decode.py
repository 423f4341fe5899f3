"""From the body of POST /v6/jobs/ to JobRequests, each refusal naming its field, and its place in a list.

Declared for the OpenAPI schema in serializers.py; tests hold the two together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from django.conf import settings

from accounts.models import User
from clusters.queries import CLOUDS
from controlplane.core.errors import ControlPlaneError, InvalidRequest
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
from jobs.models import MAX_PRIORITY, Priority, Shape
from jobs.policy import CAPACITIES, Policy, read_policy
from jobs.services import ANYWHERE, JobRequest, SeedWish, check_place, seed_requests
from jobs.services.places import place_id
from jobtypes.models import JobType
from jobtypes.queries import find_job_type, find_job_type_by_id

Decoded = TypeVar("Decoded")
MOST: Final = 10_000
MAX_TRIES: Final = 1000
SUBMITTED: Final = (Shape.CONTAINER, Shape.INSTANCE, Shape.SEED, Shape.MAPREDUCE)
# Of a job that has a job type, which says all the rest.
SEED_FIELDS: Final = (
    *("shape", "job_type_id", "job_type", "input", "configuration", "customer", "classification", "cloud", "region"),
    *("tags", "priority", "queue", "max_tries", "policy"),
)
FIELDS: Final = (
    *("shape", "customer", "classification", "cloud", "region", "image", "command", "env", "secret_env", "tags"),
    *("vcpus", "memory_mib", "priority", "queue", "timeout_seconds", "max_tries", "machine_image", "user_data"),
    *("capacity", "policy"),
)
# What does not go with a whole machine, and what goes with nothing else.
_OF_CONTAINERS: Final = ("image", "command", "queue")
_OF_INSTANCES: Final = ("machine_image", "user_data")


class Named:
    """What the items of a list name again and again, each looked up once, where its place in the list is known."""

    def __init__(self) -> None:
        self._places: set[tuple[str, str]] = set()
        self._job_types: dict[Any, JobType] = {}

    def check_place(self, cloud: str, region: str) -> None:
        """Raise InvalidRequest naming `region` when there is none."""
        if (cloud, region) not in self._places:
            place_id(cloud, region)
            self._places.add((cloud, region))

    def job_type(self, key: Any, find: Callable[[], JobType]) -> JobType:
        if key not in self._job_types:
            self._job_types[key] = find()
        return self._job_types[key]


def decode(body: Any, user: User) -> list[JobRequest]:
    """The job, or jobs, that a body asks for. Raises InvalidRequest, ProviderNotConfigured, Forbidden, NotFound."""
    if isinstance(body, list):
        return decode_many(body, user)
    if is_seed(body):
        return seed_requests(user, [decode_seed(body, user, Named())])
    return [decode_one(body, user)]


def decode_many(body: list[Any], user: User) -> list[JobRequest]:
    """The jobs of a list; the first that is not valid refuses them all. Raises as `decode` does."""
    if not 1 <= len(body) <= MOST:
        raise InvalidRequest(f"A list holds from 1 to {MOST} jobs.")
    named, seeds = Named(), [is_seed(item) for item in body]
    if all(seeds):
        return seed_requests(user, _each(body, partial(decode_seed, user=user, named=named)), in_list=True)
    if any(seeds):
        raise InvalidRequest("A list holds jobs with a job type, or jobs without, not both.")

    def decode_here(item: Any) -> JobRequest:
        request = decode_one(item, user)
        if request.cloud != ANYWHERE:
            named.check_place(request.cloud, request.region)
        return request

    return _each(body, decode_here)


def _each(body: list[Any], decode_item: Callable[[Any], Decoded]) -> list[Decoded]:
    decoded: list[Decoded] = []
    for index, item in enumerate(body):
        try:
            decoded.append(decode_item(item))
        except ControlPlaneError as error:
            error.index = index
            raise
    return decoded


def is_seed(body: Any) -> bool:
    """Does it ask for a job of a job type?"""
    return isinstance(body, dict) and (
        body.get("shape") == Shape.SEED or not body.keys().isdisjoint(("job_type_id", "job_type", "input"))
    )


def decode_seed(body: dict[str, Any], user: User, named: Named) -> SeedWish:
    """The Seed job that `body` asks for."""
    given = given_of(body, SEED_FIELDS)
    if given.get("shape", Shape.SEED) != Shape.SEED:
        raise InvalidRequest("A job with a job type is a Seed job.", field="shape")
    if given.get("cloud", "local") != "local":
        raise InvalidRequest("Seed jobs run at cloud local.", field="cloud")
    policy = policy_of(given)
    if policy and policy.places:
        _, region = _place(given, policy)
    else:
        region = text_of(given, "region", 64)
    check_place("local", queue=given.get("queue"), command=True)
    customer = text_of(given, "customer", MAX_TEXT)
    if customer:
        check_customer(user, customer)
    if region and not (policy and policy.places):
        named.check_place("local", region)
    return SeedWish(
        job_type=_job_type(given, user, named),
        input=given.get("input"),
        configuration=given.get("configuration"),
        customer=customer,
        region=region,
        classification=text_of(given, "classification", MAX_TEXT),
        tags=tags_of(given),
        priority=priority_of(given, None),
        queue=text_of(given, "queue", 64),
        max_tries=whole_of(given, "max_tries", 1, MAX_TRIES),
        policy=policy,
    )


def _job_type(given: Mapping[str, Any], user: User, named: Named) -> JobType:
    by_name = given.get("job_type")
    if ("job_type_id" in given) == (by_name is not None):
        raise InvalidRequest("Name the job type, either by its id or as job_type.", field="job_type_id")
    if by_name is None:
        job_type_id = whole(given["job_type_id"], "job_type_id", 1, 2**53)
        return named.job_type(job_type_id, lambda: find_job_type_by_id(user, job_type_id))
    if not isinstance(by_name, dict) or by_name.keys() != {"name", "version"}:
        raise InvalidRequest("This is an object of name and version.", field="job_type")
    key = (text_of(by_name, "name", MAX_TEXT), text_of(by_name, "version", MAX_TEXT))
    return named.job_type(key, lambda: find_job_type(user, *key))


def given_of(body: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    unknown = next((name for name in body if name not in fields), None)
    if unknown is not None:
        raise InvalidRequest(f"There is no such field; there are {', '.join(fields)}.", field=str(unknown)[:64])
    return {name: value for name, value in body.items() if value is not None}


def decode_one(body: Any, user: User) -> JobRequest:
    """The job that `body` asks for. Raises InvalidRequest, ProviderNotConfigured, Forbidden."""
    if not isinstance(body, dict):
        raise InvalidRequest("A job is a JSON object.")
    given = given_of(body, FIELDS)
    shape = given.get("shape", Shape.INSTANCE if "machine_image" in given else Shape.CONTAINER)
    if shape not in (Shape.CONTAINER, Shape.INSTANCE):
        raise InvalidRequest(f"This is one of {', '.join(SUBMITTED)}; the last only by itself.", field="shape")
    _check_members(given, is_instance=shape == Shape.INSTANCE)
    customer, policy = _customer(given, user), policy_of(given)
    cloud, region = _place(given, policy)
    capacity = text_of(given, "capacity", MAX_TEXT)
    if capacity and capacity not in CAPACITIES:
        raise InvalidRequest(f"This is one of {', '.join(CAPACITIES)}.", field="capacity")
    env = env_of(given)
    request = JobRequest(
        customer=customer,
        cloud=cloud,
        region=region,
        capacity=capacity,
        policy=policy,
        classification=text_of(given, "classification", MAX_TEXT, needed=True),
        image=text_of(given, "image", MAX_IMAGE),
        machine_image=text_of(given, "machine_image", MAX_TEXT, needed=shape == Shape.INSTANCE),
        user_data=text_of(given, "user_data", MAX_USER_DATA),
        command=command_of(given),
        env=env,
        secret_env=secret_env_of(given, env),
        tags=tags_of(given),
        vcpus_milli=vcpus_milli_of(given),
        memory_mib=whole_of(given, "memory_mib", 1, MAX_MEMORY_GB * 1024),
        priority=priority_of(given, Priority.LOW),
        queue=text_of(given, "queue", 64),
        timeout_seconds=whole_of(given, "timeout_seconds", 1, MAX_TIMEOUT),
        max_tries=whole_of(given, "max_tries", 1, MAX_TRIES),
    )
    if cloud != ANYWHERE and not (policy and policy.places):
        queue, whole_one = given.get("queue"), shape == Shape.INSTANCE
        check_place(cloud, queue=queue, command=request.command, region=region, capacity=capacity, whole=whole_one)
    check_customer(user, customer)
    return request


def policy_of(given: Mapping[str, Any]) -> Policy | None:
    """The policy that a body asks for. Raises InvalidRequest."""
    return read_policy(given["policy"], region=settings.LOCAL_REGION) if "policy" in given else None


def _place(given: Mapping[str, Any], policy: Policy | None) -> tuple[str, str]:
    """Where it is to run: at the first of its policy's places, anywhere, or where it says."""
    if policy and policy.places:
        if twice := next((name for name in ("cloud", "region", "capacity") if name in given), None):
            raise InvalidRequest("policy.places says where it runs: give one or the other.", field=twice)
        return policy.places[0].cloud, policy.places[0].region
    if given.get("cloud") == ANYWHERE:
        if twice := next((name for name in ("region", "capacity") if name in given), None):
            raise InvalidRequest("This does not go with cloud any.", field=twice)
        return ANYWHERE, ""
    return place_of(given, (*CLOUDS, ANYWHERE))


def _check_members(given: Mapping[str, Any], *, is_instance: bool) -> None:
    for name in _OF_CONTAINERS if is_instance else _OF_INSTANCES:
        if name in given:
            what = "an instance job" if is_instance else "a container job"
            raise InvalidRequest(f"This does not go with {what}.", field=name)


def whole_of(body: Mapping[str, Any], name: str, minimum: int, maximum: int) -> int | None:
    return whole(body[name], name, minimum, maximum) if name in body else None


def priority_of(body: Mapping[str, Any], default: int | None) -> Any:
    """The priority that a body asks for; smaller runs first."""
    return whole(body["priority"], "priority", 0, MAX_PRIORITY) if body.get("priority") is not None else default


def _customer(body: Mapping[str, Any], user: User) -> str:
    own = user.customer.name if user.customer else None
    return own if own is not None and "customer" not in body else text_of(body, "customer", MAX_TEXT, needed=True)


def place_of(body: Mapping[str, Any], clouds: Sequence[str] = CLOUDS) -> tuple[str, str]:
    """The cloud and region that a body asks for; a refusal names `clouds`. Raises InvalidRequest."""
    cloud = text_of(body, "cloud", MAX_TEXT) or "local"
    if cloud not in CLOUDS:
        raise InvalidRequest(f"This is one of {', '.join(clouds)}.", field="cloud")
    region = text_of(body, "region", 64, needed=cloud != "local")
    return cloud, region or settings.LOCAL_REGION


def vcpus_milli_of(body: Mapping[str, Any]) -> int | None:
    if "vcpus" not in body:
        return None
    given = body["vcpus"]
    if not isinstance(given, int | float) or isinstance(given, bool) or not 0.001 <= given <= MAX_VCPUS:
        raise InvalidRequest(f"This is a number of vCPUs from 0.001 to {MAX_VCPUS}.", field="vcpus")
    return math.ceil(round(given * 1000, 6))  # 2.007 * 1000 is a little more than 2007
