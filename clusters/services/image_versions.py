"""Image versions: what containers run, as staff keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from django.db import IntegrityError, transaction

from accounts import events
from accounts.models import Customer, User
from clusters.errors import ImageVersionExists
from clusters.models import ImageVersion
from clusters.providers.hosting import Protocol
from controlplane.core.errors import InvalidRequest
from controlplane.core.history import differing
from controlplane.core.unstorable import UNSTORABLE

MAX_PORT: Final = 65535
MOST_PORTS: Final = 20


def add_image_version(
    *,
    actor: User | None,
    version: str,
    image: str,
    command: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    ports: Sequence[Mapping[str, Any]] = (),
    probe_port: int | None = None,
    probe_path: str = "",
    metrics_port: int | None = None,
    metrics_path: str = "/metrics",
    max_restarts: int | None = 5,
    is_default: bool = False,
    is_deprecated: bool = False,
    customers: Sequence[Customer] = (),
) -> ImageVersion:
    """A version that customers may choose from now on. Raises InvalidRequest, ImageVersionExists."""
    _check_text(version, 128, "version")
    _check_text(image, 255, "image")
    for text in command:
        _check_text(text, 4096, "command")
    ports = [_port(each) for each in ports]
    if len(ports) > MOST_PORTS or len({(each["number"], each["protocol"]) for each in ports}) < len(ports):
        raise InvalidRequest(f"A container has {MOST_PORTS} ports at most, each of them once.", field="ports")
    numbers = {each["number"] for each in ports if each["protocol"] == Protocol.TCP}
    for field, number in (("probe_port", probe_port), ("metrics_port", metrics_port)):
        if number is not None and number not in numbers:
            raise InvalidRequest("This is one of the TCP ports.", field=field)
    for field, path in (("probe_path", probe_path), ("metrics_path", metrics_path)):
        if path and not path.startswith("/"):
            raise InvalidRequest("A path begins with a slash.", field=field)
    if probe_path and probe_port is None:
        raise InvalidRequest("A path needs its port.", field="probe_port")
    made = ImageVersion(
        version=version,
        image=image,
        command=list(command),
        env=_env(env or {}),
        ports=ports,
        probe_port=probe_port,
        probe_path=probe_path,
        metrics_port=metrics_port,
        metrics_path=metrics_path,
        max_restarts=max_restarts,
        is_deprecated=is_deprecated,
    )
    try:
        with transaction.atomic():
            made.save()
            made.customers.set(customers)
            if is_default:
                _make_default(made, actor)
            events.tell("image_version.added", made.pk, actor, {"name": version, **facts_of_image_version(made)})
    except IntegrityError as error:
        raise ImageVersionExists(field="version") from error
    return made


def edit_image_version(
    *,
    row: ImageVersion,
    actor: User | None,
    is_default: bool | None = None,
    is_deprecated: bool | None = None,
    customers: Sequence[Customer] | None = None,
) -> ImageVersion:
    """Say who may choose it, whether it is the default, and whether it still should be: what it runs stays."""
    with transaction.atomic():
        row = ImageVersion.objects.select_for_update().get(pk=row.pk)
        facts = facts_of_image_version(row)
        if is_deprecated is not None:
            row.is_deprecated = is_deprecated
        if is_default is not None and is_default != row.is_default:
            if is_default:
                _make_default(row, actor)
            row.is_default = is_default
        if customers is not None:
            row.customers.set(customers)
        row.save()
        before, after = differing(facts, facts_of_image_version(row))
        if after:
            told = {"name": row.version, "fields": list(after), **after}
            events.tell("image_version.changed", row.pk, actor, told, before=before)
    return row


def facts_of_image_version(row: ImageVersion) -> dict[str, Any]:
    """What may be said of an image version, as the event log has it: of its environment, the names."""
    names = (
        *("image", "command", "ports", "probe_port", "probe_path", "metrics_port", "metrics_path", "max_restarts"),
        *("is_default", "is_deprecated"),
    )
    customers = sorted(each.name for each in row.customers.all())
    return {**{name: getattr(row, name) for name in names}, "env": sorted(row.env), "customers": customers}


def _make_default(row: ImageVersion, actor: User | None) -> None:
    """Let it be the one that is taken where none is named, and no other."""
    for other in ImageVersion.objects.select_for_update().filter(is_default=True).exclude(pk=row.pk):
        ImageVersion.objects.filter(pk=other.pk).update(is_default=False)
        told = {"name": other.version, "fields": ["is_default"], "is_default": False}
        events.tell("image_version.changed", other.pk, actor, told, before={"is_default": True})
    ImageVersion.objects.filter(pk=row.pk).update(is_default=True)
    row.is_default = True


def _check_text(text: str, most: int, field: str) -> None:
    if not text.strip() or len(text) > most or UNSTORABLE.search(text):
        raise InvalidRequest(f"This is text of 1 to {most} characters without NUL.", field=field)


def _port(given: Mapping[str, Any]) -> dict[str, Any]:
    number, protocol = given.get("number"), given.get("protocol", Protocol.TCP.value)
    if not isinstance(number, int) or isinstance(number, bool) or not 1 <= number <= MAX_PORT:
        raise InvalidRequest(f"A port has a number from 1 to {MAX_PORT}.", field="ports")
    if protocol not in [each.value for each in Protocol] or given.keys() - {"number", "protocol"}:
        raise InvalidRequest("A port has a number, and tcp or udp as its protocol.", field="ports")
    return {"number": number, "protocol": protocol}


def _env(given: Mapping[str, Any]) -> dict[str, str]:
    for name, value in given.items():
        if not name or "=" in name or not isinstance(value, str) or UNSTORABLE.search(name + value):
            raise InvalidRequest("The environment has names without = and texts without NUL.", field="env")
    return dict(given)
