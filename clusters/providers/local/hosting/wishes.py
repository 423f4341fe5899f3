"""What is asked for of a service, as it comes over the socket and stands on disk. Standard library only."""

from __future__ import annotations

from typing import NamedTuple

from clusters.providers.local.line import Malformed, environment, number, texts

_LARGEST_PORT = 65_535


class Check(NamedTuple):
    """How it is seen whether a run is well: by a command, or a port, with or without a path."""

    command: list[str]
    port: int | None
    path: str
    interval_seconds: int
    timeout_seconds: int
    retries: int
    start_seconds: int


class Wish(NamedTuple):
    """One configuration of a service. `text` is what it was made from; `ports` are numbers with their protocols."""

    text: dict[str, object]
    revision: str
    command: list[str]
    env: dict[str, str]
    memory_mib: int
    ports: dict[int, list[str]]
    check: Check | None


def wish(text: object) -> Wish:
    """What a JSON object asks for. Raises Malformed."""
    if not isinstance(text, dict):
        raise Malformed("a wish is not an object")
    revision = text.get("revision")
    if not isinstance(revision, str) or not revision:
        raise Malformed("a wish has no revision")
    ports: dict[int, list[str]] = {}
    for port in _list(text.get("ports", [])):
        if not isinstance(port, list) or len(port) != 2 or port[1] not in ("tcp", "udp"):
            raise Malformed("not a port")
        ports.setdefault(_port(port[0]), []).append(port[1])
    check = text.get("check")
    return Wish(
        text,
        revision,
        texts(text.get("command")),
        environment(text.get("env", {})),
        number(text.get("memory_mib"), 1),
        ports,
        None if check is None else _check(check),
    )


def _check(text: object) -> Check:
    if not isinstance(text, dict):
        raise Malformed("a health check is not an object")
    port, path = text.get("port"), text.get("path", "")
    if not isinstance(path, str) or not path.isascii() or not path.isprintable() or " " in path:
        raise Malformed("the path of a health check has characters that no address has")
    return Check(
        texts(text.get("command", [])),
        None if port is None else _port(port),
        path,
        number(text.get("interval_seconds"), 1),
        number(text.get("timeout_seconds"), 1),
        number(text.get("retries"), 1),
        number(text.get("start_seconds"), 0),
    )


def _port(value: object) -> int:
    port = number(value, 1)
    if port > _LARGEST_PORT:
        raise Malformed("not the number of a port")
    return port


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise Malformed("not a list")
    return value
