"""Documents for the tests of this folder: the customer's own sample, small ones, and what a stranger may send."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from jobtypes.seed.manifest import Manifest, read_manifest

SAMPLE: dict[str, Any] = json.loads(Path(__file__).with_name("sample.json").read_text())

fuzzed = settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def sample_manifest() -> dict[str, Any]:
    return copy.deepcopy(SAMPLE["manifest"])


def document(*, interface: Any = None, **job: Any) -> dict[str, Any]:
    """The smallest valid manifest, with these members of its job."""
    smallest = {
        "name": "job",
        "jobVersion": "1.0.0",
        "packageVersion": "1.0.0",
        "title": "A job",
        "description": "It works.",
        "maintainer": {"name": "Jo", "email": "jo@example.com"},
        "timeout": 60,
    }
    return {"seedVersion": "1.0.0", "job": smallest | job | ({} if interface is None else {"interface": interface})}


def manifest(*, interface: Any = None, **job: Any) -> Manifest:
    return read_manifest(document(interface=interface, **job))


def attempt(read: Callable[[], Any], refusal: type[Exception]) -> Any:
    """What `read` returns, or the refusal that it raises; any other exception is a fault of ours."""
    try:
        return read()
    except refusal as error:
        return error


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


ODD_VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**400, -(10**400), float("inf"), float("nan"), "", "\0", "\ud800", "a" * 2000, "a\n",
    [], {}, nested(40), nested(100), {"\0": 1}, {"\udc00": 1}, {"": ""}, [[]], {"type": "host"},
]  # fmt: skip

texts = st.text(alphabet=st.one_of(st.characters(), st.sampled_from("\0\ud800\udfff\n/.*$")), max_size=20)
odd_values = st.integers(0, len(ODD_VALUES) - 1).map(lambda index: copy.deepcopy(ODD_VALUES[index]))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts, odd_values),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=15,
)


def mutations(make: Callable[[], Any]) -> st.SearchStrategy[Any]:
    """Valid documents in which one to three members are replaced, removed or added."""

    @st.composite
    def mutate(draw: st.DrawFn) -> Any:
        root = {"root": make()}
        for _ in range(draw(st.integers(1, 3))):
            places = _places(root)
            container, key = draw(st.sampled_from(places))
            match draw(st.sampled_from(["replace", "remove", "add"])):
                case "replace":
                    container[key] = draw(json_values)
                case "remove" if container is not root:
                    del container[key]
                case "add" if isinstance(container, dict) and container is not root:
                    container[draw(texts)] = draw(json_values)
        return root["root"]

    return mutate()


def _places(root: dict[str, Any]) -> list[tuple[Any, Any]]:
    places: list[tuple[Any, Any]] = []
    waiting: list[Any] = [root]
    while waiting:
        container = waiting.pop()
        steps = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in steps:
            places.append((container, key))
            if isinstance(value, dict | list) and len(places) < 500:
                waiting.append(value)
    return places
