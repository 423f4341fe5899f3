"""Holds what is served to the customer's contracts: the OpenAPI files beside this module, which win.

`Contract` reads one of them. `differences` says how an operation's parameters and body in the schema
generated from our views differ from it; `violations` says how an answer differs from what is written
there. Written once for all four contracts: what belongs to one of them is a table in test_contracts.py.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from drf_spectacular import drainage
from drf_spectacular.generators import SchemaGenerator
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

HERE: Final = Path(__file__).parent
NAMES: Final = ("mapsor", "fishjam", "mapreduce", "scale_v6")
METHODS: Final = ("get", "put", "post", "patch", "delete")
# What a schema says of a value. `format` is compared where the contract has one and it is not a mere width.
KEYWORDS: Final = (
    *("type", "enum", "const", "pattern", "default", "minLength", "maxLength", "minItems", "maxItems", "uniqueItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minProperties", "maxProperties"),
)
COMBINATIONS: Final = ("oneOf", "anyOf", "not", "if", "dependentRequired")
MEANINGFUL_FORMATS: Final = ("date-time", "date", "uuid", "email", "uri", "binary", "password")

Schema = Mapping[str, Any]


# --- Documents -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Operation:
    """One operation of a document, with its `$ref`s still in it."""

    document: Document
    method: str
    path: str
    spec: Schema

    @property
    def id(self) -> str:
        return str(self.spec["operationId"])

    def parameters(self) -> dict[tuple[str, str], Schema]:
        """By place and name; those of the path count too."""
        shared = self.document.content["paths"][self.path].get("parameters", [])
        given = (self.document.resolved(each) for each in [*shared, *self.spec.get("parameters", [])])
        return {(each["in"], each["name"]): each for each in given}

    def body(self) -> Schema | None:
        body = self.spec.get("requestBody")
        return None if body is None else self.document.resolved(body)

    def response(self, status: int) -> Schema:
        return self.document.resolved(self.spec["responses"][str(status)])

    def statuses(self) -> set[int]:
        return {int(status) for status in self.spec["responses"]}


@dataclass(frozen=True, eq=False)
class Document:
    """An OpenAPI document."""

    name: str
    content: dict[str, Any]

    def resolved(self, schema: Schema) -> Schema:
        """`schema`, or what its `$ref` points to, with what stands beside the `$ref`."""
        while "$ref" in schema:
            target: Any = self.content
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
        return schema

    def operations(self) -> dict[tuple[str, str], Operation]:
        """By method and path."""
        return {
            (method, path): Operation(self, method, path, item[method])
            for path, item in self.content["paths"].items()
            for method in METHODS
            if method in item
        }

    @functools.cached_property
    def registry(self) -> Registry[Any]:
        return Registry().with_resource("urn:document", DRAFT202012.create_resource(self.content))

    def faults(self, value: Any, schema: Schema) -> list[str]:
        """Why `value` does not fit `schema`, whose `$ref`s point into this document."""
        validator = Draft202012Validator(_anchored(schema), registry=self.registry)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]


def _anchored(schema: Any) -> Any:
    """`schema` with its `$ref`s naming the document: it is judged outside of it."""
    if isinstance(schema, Mapping):
        return {
            key: f"urn:document{value}" if key == "$ref" and isinstance(value, str) else _anchored(value)
            for key, value in schema.items()
        }
    return [_anchored(each) for each in schema] if isinstance(schema, list) else schema


@functools.cache
def contract(name: str) -> Document:
    return Document(name, yaml.safe_load((HERE / f"{name}.yaml").read_text()))


@functools.cache
def generated() -> Document:
    """The schema made from our views, as /schema/ serves it."""
    drainage.reset_generator_stats()
    content = SchemaGenerator().get_schema(request=None, public=True)
    return Document("generated", json.loads(json.dumps(content)))


def built(name: str) -> list[tuple[Operation, Operation]]:
    """The operations of a contract that our views have, each with ours."""
    ours = generated().operations()
    return [(theirs, ours[key]) for key, theirs in contract(name).operations().items() if key in ours]


def to_come(name: str) -> list[str]:
    """The ids of those that our views do not have yet."""
    there = {theirs.id for theirs, _ in built(name)}
    return sorted(theirs.id for theirs in contract(name).operations().values() if theirs.id not in there)


# --- What goes in --------------------------------------------------------------------------------


def differences(theirs: Operation, ours: Operation) -> set[str]:
    """How our operation's id, parameters, body and statuses differ from the contract's, one line each."""
    found = set() if theirs.id == ours.id else {f"operationId: {theirs.id} is {ours.id} here"}
    wanted, given = theirs.parameters(), ours.parameters()
    for place, name in wanted.keys() | given.keys():
        where = f"{place} {name}"
        one, other = wanted.get((place, name)), given.get((place, name))
        if one is None or other is None:
            found.add(f"{where}: {'is ours' if one is None else 'is missing'}")
            continue
        if one.get("required", False) != other.get("required", False):
            found.add(f"{where}: required {one.get('required', False)} is {other.get('required', False)} here")
        found |= set(_compared(theirs.document, one["schema"], ours.document, other["schema"], where))
    found |= set(_bodies(theirs, ours))
    found |= {f"status {status}: is ours" for status in ours.statuses() - theirs.statuses()}
    return found | {f"status {status}: is missing" for status in theirs.statuses() - ours.statuses()}


def _bodies(theirs: Operation, ours: Operation) -> Iterator[str]:
    one, other = theirs.body(), ours.body()
    if one is None or other is None:
        if one is not other:
            yield f"body: {'is ours' if one is None else 'is missing'}"
        return
    if one.get("required", False) != other.get("required", False):
        yield f"body: required {one.get('required', False)} is {other.get('required', False)} here"
    for kind in one["content"].keys() | other["content"].keys():
        if kind not in one["content"] or kind not in other["content"]:
            yield f"body {kind}: {'is ours' if kind not in one['content'] else 'is missing'}"
            continue
        schemas = one["content"][kind]["schema"], other["content"][kind]["schema"]
        yield from _compared(theirs.document, schemas[0], ours.document, schemas[1], "body")


def _compared(a: Document, one: Schema, b: Document, other: Schema, where: str) -> Iterator[str]:
    one, other = _plain(a, one), _plain(b, other)
    for word in KEYWORDS:
        wanted, given = _of(one, word), _of(other, word)
        if wanted != given:
            yield f"{where}: {word} {wanted} is {given} here"
    if one.get("format") in MEANINGFUL_FORMATS and one.get("format") != other.get("format"):
        yield f"{where}: format {one.get('format')} is {other.get('format')} here"
    for word in COMBINATIONS:
        if word in one:
            yield f"{where}: {word} is not compared"
    yield from _fields(a, one, b, other, where)
    for word in ("items", "additionalProperties"):
        wanted, given = one.get(word), other.get(word)
        if isinstance(wanted, Mapping) and isinstance(given, Mapping):
            yield from _compared(a, wanted, b, given, f"{where}[]")
        elif _open(wanted) != _open(given):
            yield f"{where}: {word} {wanted} is {given} here"


def _fields(a: Document, one: Schema, b: Document, other: Schema, where: str) -> Iterator[str]:
    wanted, given = one.get("properties", {}), other.get("properties", {})
    for name in wanted.keys() | given.keys():
        at = f"{where}.{name}"
        if name not in wanted or name not in given:
            yield f"{at}: {'is ours' if name not in wanted else 'is missing'}"
            continue
        if (name in one.get("required", [])) != (name in other.get("required", [])):
            yield f"{at}: required {name in one.get('required', [])} is {name in other.get('required', [])} here"
        yield from _compared(a, wanted[name], b, given[name], at)


def _plain(document: Document, schema: Schema) -> Schema:
    """Resolved; `allOf` folded in; one of a schema and null written as its two types."""
    schema = document.resolved(schema)
    for part in schema.get("allOf", []):
        schema = {**_plain(document, part), **{key: value for key, value in schema.items() if key != "allOf"}}
    for word in ("oneOf", "anyOf"):
        choices = [_plain(document, each) for each in schema.get(word, [])]
        real = [each for each in choices if each.get("type") != "null"]
        if len(choices) == 2 and len(real) == 1:
            rest = {key: value for key, value in schema.items() if key != word}
            kinds = real[0].get("type", [])
            schema = {**real[0], "type": [*([kinds] if isinstance(kinds, str) else kinds), "null"], **rest}
    return schema


def _of(schema: Schema, word: str) -> Any:
    value = schema.get(word)
    if word in ("type", "enum") and isinstance(value, list):
        return sorted(value, key=str)
    return value


def _open(value: Any) -> Any:
    """No word on additional properties, `true` and `{}` mean the same."""
    return True if value is None or value == {} else value


# --- What comes out ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def kind(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip()


def read(response: Any) -> Answer:
    """From Django's test client."""
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return Answer(response.status_code, response.headers, body)


def violations(theirs: Operation, answer: Answer, *, extra: frozenset[str] = frozenset()) -> list[str]:
    """How an answer differs from what the contract says of its status. `extra`: fields that we add."""
    if answer.status not in theirs.statuses():
        return [f"{answer.status} is not in the contract"]
    said = theirs.response(answer.status)
    found = [f"no header {name}" for name in said.get("headers", {}) if name not in answer.headers]
    content = said.get("content", {})
    if not content:
        return found + ([f"a body: {answer.body[:80]!r}"] if answer.body else [])
    if answer.kind not in content:
        return [*found, f"content type {answer.kind!r}, not one of {list(content)}"]
    text = answer.body.decode()
    schema = content[answer.kind].get("schema", {})
    value = json.loads(text) if answer.kind.endswith("json") else text
    found += theirs.document.faults(value, schema)
    unknown = set(_unknown(theirs.document, value, schema, "")) - extra
    return found + [f"a field that the contract does not know: {each}" for each in sorted(unknown)]


def _unknown(document: Document, value: Any, schema: Schema, where: str) -> Iterator[str]:
    schema = _plain(document, schema)
    if isinstance(value, list):
        for each in value:
            yield from _unknown(document, each, schema.get("items", {}), where)
    if not isinstance(value, dict) or "additionalProperties" in schema or "properties" not in schema:
        return
    for name, each in value.items():
        at = f"{where}.{name}".lstrip(".")
        if name in schema["properties"]:
            yield from _unknown(document, each, schema["properties"][name], at)
        else:
            yield at


def assert_like(ours: Any, sample: Any, where: str = "") -> None:
    """Every member of a document's sample is here, with a value of the same kind; null stands for none."""
    if isinstance(sample, dict):
        assert isinstance(ours, dict), where
        assert sample.keys() <= ours.keys(), where
        for name, value in sample.items():
            assert_like(ours[name], value, f"{where}.{name}")
    elif isinstance(sample, list):
        assert isinstance(ours, list), where
        for each in ours[: len(sample)]:
            assert_like(each, sample[0], f"{where}[]")
    elif ours is not None and sample is not None:
        assert type(ours) is type(sample), where
