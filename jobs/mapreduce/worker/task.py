"""The task document: what is read from it, and what is wrong with it. The package's docstring describes it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from types import SimpleNamespace

from .errors import BAD_TASK, TaskFailed

TYPE_CHECKING = False  # typing would take a fifth of the start
if TYPE_CHECKING:
    from typing import Any

VERSION = 1
MAP, REDUCE = "map", "reduce"
APOLLO, STREAMING = "apollo", "streaming"
MAX_PARTITIONS = 10_000


class Store(SimpleNamespace):
    """Where s3:// addresses lead; the keys are in variables of the environment that programs do not see."""

    name: str = ""
    endpoint: str | None = None
    region: str = "us-east-1"
    access_key_env: str = "AWS_ACCESS_KEY_ID"
    secret_key_env: str = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable


class Place(SimpleNamespace):
    """An object, or what objects lie below: a path of this machine, or an http(s) or s3 address.

    `headers` go with what is written to an http(s) address.
    """

    path: str | None
    url: str | None
    store: Store
    headers: Mapping[str, str] = {}

    @property
    def is_address(self) -> bool:
        """One of http(s), which is one object and has nothing below it."""
        return self.url is not None and not self.url.startswith("s3://")

    def __str__(self) -> str:
        return self.path or (self.url or "").partition("?")[0]  # what follows may be a signature

    def document(self) -> dict[str, str]:
        """As a task document has it."""
        if self.path is not None:
            return {"path": self.path}
        return {"url": self.url or "", **({"store": self.store.name} if self.store.name else {})}

    def below(self, name: str) -> Place:
        if self.path is not None:
            return Place(path=f"{self.path}/{name}", url=None, store=self.store)
        return Place(path=None, url=f"{self.url}/{name}", store=self.store)


class Split(SimpleNamespace):
    """Part of an input object: the lines whose first byte lies in [start, end)."""

    place: Place
    start: int
    end: int
    size: int
    gzip: bool


class MapOutput(SimpleNamespace):
    """One map task's records for this partition, sorted; at an address, from the byte `start` on."""

    place: Place
    map_index: int
    size: int
    start: int = 0


class Limits(SimpleNamespace):
    """Bounds of a task; `processes` is how many programs of the apollo protocol run at once."""

    seconds: float = 0  # none
    sort_bytes: int = 64 << 20
    processes: int = 0  # as many as there are CPUs, and one
    line_bytes: int = 16 << 20
    answer_bytes: int = 8 << 20
    stderr_bytes: int = 4 << 20


class Task(SimpleNamespace):
    """What is to be done."""

    id: str
    job: str
    stage: str
    number: int  # `index` of the document: which map task, or which partition
    protocol: str
    program: tuple[str, ...]  # its path is "" while it is to be brought
    combiner: tuple[str, ...] | None
    to_bring: Mapping[str, Place]  # where "program" and "combiner" lie, as far as they are to be brought
    partitions: int
    splits: tuple[Split, ...]
    map_outputs: tuple[MapOutput, ...]
    output: Place
    result: Place | None  # where its result goes; None: beside the document
    limits: Limits
    sockets: str
    secret_names: frozenset[str]


class _Members:
    """Reads an object of the document member by member; `done` refuses those that nobody has asked for."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict):
            raise _bad(where or "the document", "must be an object")
        self._left: dict[str, Any] = dict(value)
        self._where = where

    def where(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name

    def has(self, name: str) -> bool:
        return self._left.get(name) is not None

    def is_object(self, name: str) -> bool:
        return isinstance(self._left.get(name), dict)

    def names(self) -> list[str]:
        return list(self._left)

    def any(self, name: str) -> Any:
        return self._left.pop(name, None)

    def text(self, name: str, default: str | None = None) -> str:
        value = self._left.pop(name, default)
        if not isinstance(value, str) or not value or "\0" in value:
            raise _bad(self.where(name), "must be a text that is not empty")
        return value

    def choice(self, name: str, choices: tuple[str, ...]) -> str:
        value = self._left.pop(name, None)
        if value not in choices:
            raise _bad(self.where(name), f"must be {' or '.join(choices)}")
        return str(value)

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        value = self._left.pop(name, default)
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _bad(self.where(name), f"must be a whole number from {least} to {most}")
        return value

    def seconds(self, name: str) -> float:
        value = self._left.pop(name, 0)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1e9:
            raise _bad(self.where(name), "must be a number of seconds, or 0 for no bound")
        return value

    def flag(self, name: str) -> bool:
        value = self._left.pop(name, False)
        if not isinstance(value, bool):
            raise _bad(self.where(name), "must be true or false")
        return value

    def words(self, name: str, least: int = 1) -> tuple[str, ...]:
        value = self._left.pop(name, None)
        if not isinstance(value, list) or len(value) < least or (least and not value[0]):
            raise _bad(self.where(name), "must be a list: a program and its arguments")
        if not all(isinstance(word, str) and "\0" not in word for word in value):
            raise _bad(self.where(name), "must hold texts only")
        return tuple(value)

    def objects(self, name: str) -> list[_Members]:
        value = self._left.pop(name, None)
        if not isinstance(value, list):
            raise _bad(self.where(name), "must be a list")
        return [_Members(each, f"{self.where(name)}[{number}]") for number, each in enumerate(value)]

    def done(self) -> None:
        if self._left:
            raise _bad(self.where(min(self._left)), "is not known")


def _bad(where: str, what: str) -> TaskFailed:
    return TaskFailed(BAD_TASK, f"The task document is not valid: {where} {what}.")


def read_task(text: bytes) -> Task:
    """Raises TaskFailed (BAD_TASK), which names the first member that is wrong."""
    try:
        members = _Members(json.loads(text), "")
    except ValueError as error:
        raise _bad("it", f"is not JSON: {error}") from error
    members.whole("version", VERSION, VERSION)
    stores = _stores(members.any("stores"))
    stage = members.choice("stage", (MAP, REDUCE))
    protocol = members.choice("protocol", (APOLLO, STREAMING))
    partitions = members.whole("partitions", 1, MAX_PARTITIONS)
    mapping = stage == MAP
    index = members.whole("index", 0, 1 << 31 if mapping else partitions - 1)
    given = members.objects("input")
    output = _Members(members.any("output"), "output")
    to_bring: dict[str, Place] = {}
    combines = mapping and protocol == STREAMING and members.has("combiner")
    task = Task(
        id=_name(members.text("id")),
        job=members.text("job", "-"),
        stage=stage,
        number=index,
        protocol=protocol,
        program=_program(members, "program", stores, to_bring),
        combiner=_program(members, "combiner", stores, to_bring) if combines else None,
        to_bring=to_bring,
        partitions=partitions,
        splits=tuple(_split(each, stores) for each in given) if mapping else (),
        map_outputs=() if mapping else tuple(_map_output(each, stores, index) for each in given),
        output=_place(output, stores),
        result=_result(members, stores),
        limits=_limits(members.any("limits")),
        sockets=members.text("sockets", "/tmp"),  # noqa: S108 - where the protocol has them
        secret_names=frozenset(
            name for store in stores.values() for name in (store.access_key_env, store.secret_key_env)
        ),
    )
    output.done()
    members.done()
    return task


def _name(name: str) -> str:
    if "/" in name or name.startswith("."):
        raise _bad("id", "is part of file names: no slash, no dot at its begin")
    return name


def _program(members: _Members, name: str, stores: Mapping[str, Store], to_bring: dict[str, Place]) -> tuple[str, ...]:
    """Its path and arguments; one that lies elsewhere is noted in `to_bring`."""
    if not members.is_object(name):
        return members.words(name)
    program = _Members(members.any(name), name)
    place = _Members(program.any("place"), f"{name}.place")
    to_bring[name] = _place(place, stores)
    if to_bring[name].path is not None:
        raise _bad(place.where("path"), "is for programs that are named by a list")
    words = program.words("arguments", least=0) if program.has("arguments") else ()
    place.done()
    program.done()
    return ("", *words)


def _result(members: _Members, stores: Mapping[str, Store]) -> Place | None:
    if not members.has("result"):
        return None
    result = _Members(members.any("result"), "result")
    place = _place(result, stores)
    if not place.is_address:
        raise _bad("result.url", "must begin with http:// or https://")
    result.done()
    return place


def _stores(value: object) -> Mapping[str, Store]:
    given = _Members({} if value is None else value, "stores")
    found = {"": Store()}
    for name in given.names():
        one = _Members(given.any(name), f"stores.{name}")
        found[name] = Store(
            name=name,
            endpoint=one.text("endpoint") if one.has("endpoint") else None,
            region=one.text("region", Store().region),
            access_key_env=one.text("access_key_env", Store().access_key_env),
            secret_key_env=one.text("secret_key_env", Store().secret_key_env),
        )
        one.done()
    return found


def _place(members: _Members, stores: Mapping[str, Store]) -> Place:
    if members.has("path"):
        path = members.text("path")
        if not os.path.isabs(path):
            raise _bad(members.where("path"), "must be absolute")
        return Place(path=path, url=None, store=stores[""])
    url = members.text("url")
    if not url.startswith(("s3://", "http://", "https://")):
        raise _bad(members.where("url"), "must begin with s3://, http:// or https://")
    if not url.startswith("s3://"):
        from .addresses import is_address

        if not is_address(url):
            raise _bad(members.where("url"), "must be printable ASCII without spaces")
    if url.startswith("s3://") and not all(url.removeprefix("s3://").partition("/")[::2]):
        raise _bad(members.where("url"), "must name a bucket and a key")
    store = members.text("store") if members.has("store") else ""
    if store not in stores:
        raise _bad(members.where("store"), "is none of stores")
    headers = members.any("headers")
    if headers is None:
        return Place(path=None, url=url, store=stores[store])
    if not isinstance(headers, dict) or not all(isinstance(text, str) for text in headers.values()):
        raise _bad(members.where("headers"), "must be an object of texts")
    return Place(path=None, url=url, store=stores[store], headers=headers)


def _split(members: _Members, stores: Mapping[str, Store]) -> Split:
    most = 1 << 60
    size = members.whole("size", 0, most)
    start = members.whole("start", 0, size, 0)
    split = Split(
        place=_place(members, stores),
        start=start,
        end=members.whole("end", start, size, size),
        size=size,
        gzip=members.flag("gzip"),
    )
    if split.gzip and (split.start, split.end) != (0, split.size):
        raise _bad(members.where("gzip"), "input cannot be split: start must be 0, end the size")
    members.done()
    return split


def _map_output(members: _Members, stores: Mapping[str, Store], partition: int) -> MapOutput:
    members.whole("partition", partition, partition)
    found = MapOutput(
        place=_place(members, stores),
        map_index=members.whole("map", 0, 1 << 31),
        size=members.whole("size", 1, 1 << 60),
        start=members.whole("start", 0, 1 << 60, 0),
    )
    if found.start and not found.place.is_address:
        raise _bad(members.where("start"), "is for what lies at http(s) addresses")
    members.done()
    return found


def _limits(value: object) -> Limits:
    members, usual = _Members({} if value is None else value, "limits"), Limits()
    found = Limits(
        seconds=members.seconds("seconds"),
        sort_bytes=members.whole("sort_bytes", 1 << 20, 1 << 40, usual.sort_bytes),
        processes=members.whole("processes", 0, 1000, usual.processes),
        line_bytes=members.whole("line_bytes", 1, 1 << 30, usual.line_bytes),
        answer_bytes=members.whole("answer_bytes", 1, 1 << 30, usual.answer_bytes),
        stderr_bytes=members.whole("stderr_bytes", 0, 1 << 40, usual.stderr_bytes),
    )
    members.done()
    return found
