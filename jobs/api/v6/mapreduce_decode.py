"""From the body of POST /v6/jobs/ to a MapReduce job; declared for the schema in mapreduce_serializers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from accounts import access
from accounts.models import User
from controlplane.core.errors import InvalidRequest
from jobs.api.fields import (
    MAX_MEMORY_GB,
    MAX_TEXT,
    MAX_TIMEOUT,
    check_customer,
    storable,
    tags_of,
    text_of,
    whole,
)
from jobs.api.v6.decode import MAX_TRIES, given_of, place_of, priority_of, vcpus_milli_of, whole_of
from jobs.errors import ArtifactNotFound
from jobs.mapreduce.locations import LONGEST
from jobs.models import ArtifactVersion, Priority, Protocol, Shape
from jobs.queries.artifacts import find_artifact, find_version
from jobs.services import MapReduceWish, check_place
from jobs.services.artifacts import NAME_LENGTH
from jobs.services.mapreduce import MAX_INPUTS, MAX_REDUCERS, SIDES
from jobs.services.places import place_id

MEMBER: Final = "mapreduce"
ROLES: Final = ("mapper", "reducer", "combiner")
MAX_PARALLEL: Final = 100_000
MAX_ARGUMENTS: Final = 100
MAX_ARGUMENT: Final = 4096
MAX_SECRET: Final = 1024
FIELDS: Final = (
    *("shape", MEMBER, "customer", "classification", "cloud", "region", "tags", "vcpus", "memory_mib", "priority"),
    *("queue", "timeout_seconds", "max_tries"),
)
MEMBERS: Final = (
    *ROLES,
    *("protocol", "input", "output", "reducers", "split_bytes", "max_parallel"),
    *(f"{side}_credentials" for side in SIDES),
)
PROGRAM_FIELDS: Final = ("name", "version", "arguments", "customer")


def is_mapreduce(body: Any) -> bool:
    """Does it ask for a MapReduce job?"""
    return isinstance(body, dict) and (body.get("shape") == Shape.MAPREDUCE or MEMBER in body)


def decode_mapreduce(body: Mapping[str, Any], user: User) -> MapReduceWish:
    """The MapReduce job that `body` asks for. Raises InvalidRequest, ArtifactNotFound, Forbidden."""
    given = given_of(body, FIELDS)
    if given.get("shape", Shape.MAPREDUCE) != Shape.MAPREDUCE:
        raise InvalidRequest(f"What has the member {MEMBER} is a MapReduce job.", field="shape")
    cloud, region = place_of(given)
    check_place(cloud, queue=given.get("queue"), command=True)
    place_id(cloud, region)
    customer = text_of(given, "customer", MAX_TEXT)
    if customer:
        check_customer(user, customer)
    members = _object(given.get(MEMBER), MEMBERS, MEMBER)
    programs = {role: _program(members, role, user) for role in ROLES if role != "combiner" or role in members}
    credentials = {side: pair for side in SIDES if (pair := _credentials(members, f"{side}_credentials"))}
    return MapReduceWish(
        mapper=programs["mapper"],
        reducer=programs["reducer"],
        combiner=programs.get("combiner"),
        arguments={role: words for role in programs if (words := _arguments(members, role))},
        protocol=_protocol(members, programs),
        inputs=_inputs(members),
        output=storable(_needed(members, "output"), f"{MEMBER}.output", LONGEST),
        reducers=whole(members.get("reducers", 1), f"{MEMBER}.reducers", 1, MAX_REDUCERS),
        split_bytes=_whole(members, "split_bytes", 2**53),
        max_parallel=_whole(members, "max_parallel", MAX_PARALLEL),
        credentials=credentials,
        customer=customer,
        cloud=cloud,
        region=region,
        classification=text_of(given, "classification", MAX_TEXT),
        tags=tags_of(given),
        vcpus_milli=vcpus_milli_of(given),
        memory_mib=whole_of(given, "memory_mib", 1, MAX_MEMORY_GB * 1024),
        priority=priority_of(given, Priority.LOW),
        queue=text_of(given, "queue", 64),
        timeout_seconds=whole_of(given, "timeout_seconds", 1, MAX_TIMEOUT),
        max_tries=whole_of(given, "max_tries", 1, MAX_TRIES),
        fields={name: f"{MEMBER}.{name}" for name in ("reducers", "input", "output", "protocol", "combiner")},
    )


def _object(value: Any, names: tuple[str, ...], field: str) -> dict[str, Any]:
    """An object of these members; those that are null are left out."""
    if not isinstance(value, dict):
        raise InvalidRequest("This is an object.", field=field)
    unknown = next((name for name in value if name not in names), None)
    if unknown is not None:
        raise InvalidRequest(f"There is no such field; there are {', '.join(names)}.", field=f"{field}.{unknown}"[:64])
    return {name: each for name, each in value.items() if each is not None}


def _needed(members: Mapping[str, Any], name: str) -> Any:
    if name not in members:
        raise InvalidRequest("This field is required.", field=f"{MEMBER}.{name}")
    return members[name]


def _whole(members: Mapping[str, Any], name: str, most: int) -> int | None:
    return whole(members[name], f"{MEMBER}.{name}", 1, most) if name in members else None


def _program(members: Mapping[str, Any], role: str, user: User) -> ArtifactVersion:
    """An artifact of the caller's, or one of the customer that staff name."""
    field = f"{MEMBER}.{role}"
    about = _object(_needed(members, role), PROGRAM_FIELDS, field)
    if "name" not in about:
        raise InvalidRequest("This field is required.", field=f"{field}.name")
    name = storable(about["name"], f"{field}.name", NAME_LENGTH)
    customer = storable(about["customer"], f"{field}.customer", MAX_TEXT) if "customer" in about else None
    number = whole(about["version"], f"{field}.version", 1, 2**31) if "version" in about else None
    try:
        artifact = find_artifact(user, name, access.READ, customer=customer)
        found = find_version(artifact, number or artifact.version)
    except ArtifactNotFound as error:
        raise ArtifactNotFound(f"{name}: {error.message}", field=f"{field}.name") from None
    found.artifact = artifact
    return found


def _arguments(members: Mapping[str, Any], role: str) -> list[str]:
    words, field = members[role].get("arguments") or [], f"{MEMBER}.{role}.arguments"
    if not isinstance(words, list) or len(words) > MAX_ARGUMENTS:
        raise InvalidRequest(f"This is a list of up to {MAX_ARGUMENTS} texts.", field=field)
    return [word if word == "" else storable(word, field, MAX_ARGUMENT) for word in words]


def _protocol(members: Mapping[str, Any], programs: Mapping[str, ArtifactVersion]) -> str:
    """As asked for, or what all programs are said to be."""
    if "protocol" in members:
        if members["protocol"] not in Protocol.values:
            raise InvalidRequest(f"This is one of {', '.join(Protocol.values)}.", field=f"{MEMBER}.protocol")
        return str(members["protocol"])
    said = {each.artifact.protocol for each in programs.values()}
    if len(said) > 1:
        message = "The programs are of different protocols; say which one is meant."
        raise InvalidRequest(message, field=f"{MEMBER}.protocol")
    return said.pop()


def _inputs(members: Mapping[str, Any]) -> list[str]:
    given, field = _needed(members, "input"), f"{MEMBER}.input"
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 1 <= len(texts) <= MAX_INPUTS:
        raise InvalidRequest(f"This is a location, or a list of 1 to {MAX_INPUTS} of them.", field=field)
    return [storable(text, field, LONGEST) for text in texts]


def _credentials(members: Mapping[str, Any], name: str) -> dict[str, str]:
    if name not in members:
        return {}
    field = f"{MEMBER}.{name}"
    pair = _object(members[name], ("username", "password"), field)
    for each in ("username", "password"):
        if each not in pair:
            raise InvalidRequest("This field is required.", field=f"{field}.{each}")
    return {each: storable(text, f"{field}.{each}", MAX_SECRET) for each, text in pair.items()}
