"""A recipe type's definition, read: which nodes there are, what each waits for, and where its input comes from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jobtypes.recipe import conditions, interfaces, schemas
from jobtypes.recipe.conditions import DataFilters
from jobtypes.recipe.interfaces import Interface, Parameter
from jobtypes.seed import documents
from jobtypes.seed.verdicts import Invalid, listed


@dataclass(frozen=True, slots=True)
class JobTypeRef:
    """The job type of a node; the newest revision where none is named."""

    name: str
    version: str
    revision: int | None


@dataclass(frozen=True, slots=True)
class RecipeTypeRef:
    """The recipe type of a node; the newest revision where none is named."""

    name: str
    revision: int | None


@dataclass(frozen=True, slots=True)
class Condition:
    """What a node decides by; its outputs are its inputs."""

    interface: Interface
    filters: DataFilters


@dataclass(frozen=True, slots=True)
class Dependency:
    """A node that comes first. Of a condition: `acceptance` is what it must have found."""

    name: str
    acceptance: bool


@dataclass(frozen=True, slots=True)
class Connection:
    """Where an input comes from: the recipe's input `source` (`node` is None), or that output of another node."""

    node: str | None
    source: str


@dataclass(frozen=True, slots=True)
class Node:
    """A job, a recipe inside the recipe, or a condition."""

    name: str
    dependencies: tuple[Dependency, ...]
    input: Mapping[str, Connection]
    what: JobTypeRef | RecipeTypeRef | Condition


@dataclass(frozen=True)
class Definition:
    """`nodes` by name, each after all that it depends on. `input` is what the recipe itself takes."""

    document: Mapping[str, Any]
    input: Interface
    nodes: Mapping[str, Node]

    @cached_property
    def ancestors(self) -> Mapping[str, frozenset[str]]:
        """The names of all nodes that must come before each node."""
        found: dict[str, frozenset[str]] = {}
        for node in self.nodes.values():
            above = {dependency.name for dependency in node.dependencies}
            found[node.name] = frozenset(above.union(*(found[name] for name in above)))
        return found

    @property
    def job_types(self) -> set[JobTypeRef]:
        return {node.what for node in self.nodes.values() if isinstance(node.what, JobTypeRef)}

    @property
    def recipe_types(self) -> set[RecipeTypeRef]:
        return {node.what for node in self.nodes.values() if isinstance(node.what, RecipeTypeRef)}


def invalid(name: str, description: str) -> Invalid:
    """The exception of a definition that is refused."""
    return Invalid(name, description, where="definition")


def parse(document: Any) -> Definition:
    """The definition that any JSON value is, as far as it can be judged by itself.

    Invalid, with the first of: INVALID_DEFINITION, DUPLICATE_INPUT, DUPLICATE_DEPENDENCY, UNKNOWN_DEPENDENCY,
    INVALID_ACCEPTANCE, CIRCULAR_DEPENDENCY, INVALID_CONDITION.
    """
    if fault := documents.find_fault(document) or documents.check(document, schemas.DEFINITION):
        raise invalid("INVALID_DEFINITION", str(fault))
    inputs = _inputs(document.get("input", {}), "input")
    nodes = {name: _node(name, given) for name, given in document["nodes"].items()}
    for node in nodes.values():
        _check_dependencies(node, nodes)
    ordered = {name: nodes[name] for name in _in_order(nodes)}
    return Definition(document, Interface(inputs), ordered)


def _inputs(document: Mapping[str, Any], where: str) -> tuple[Parameter, ...]:
    found = interfaces.of_document(document)
    if twice := [name for name, count in Counter(each.name for each in found).items() if count > 1]:
        raise invalid("DUPLICATE_INPUT", f"{where}: more than one parameter is named {listed(twice)}.")
    return found


def _node(name: str, given: Mapping[str, Any]) -> Node:
    dependencies = tuple(Dependency(d["name"], d.get("acceptance", True)) for d in given.get("dependencies", ()))
    connections = {to: Connection(c.get("node"), c.get("input") or c["output"]) for to, c in _wires(given)}
    return Node(name, dependencies, connections, _what(name, given["node_type"]))


def _wires(given: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield from given.get("input", {}).items()


def _what(name: str, given: Mapping[str, Any]) -> JobTypeRef | RecipeTypeRef | Condition:
    match given["node_type"]:
        case "job":
            return JobTypeRef(given["job_type_name"], given["job_type_version"], _whole(given, "job_type_revision"))
        case "recipe":
            return RecipeTypeRef(given["recipe_type_name"], _whole(given, "recipe_type_revision"))
    inputs = _inputs(given["interface"], f"nodes.{name}.node_type.interface")
    filters = conditions.read_filters(given["data_filter"])
    interface = Interface(inputs, inputs)
    for each in filters.filters:
        if fault := conditions.find_fault(each, interface.input(each.name)):
            raise invalid("INVALID_CONDITION", f"Node {name}, filter of {each.name}: {fault}.")
    return Condition(interface, filters)


def _whole(given: Mapping[str, Any], member: str) -> int | None:
    return int(given[member]) if member in given else None


def _check_dependencies(node: Node, nodes: Mapping[str, Node]) -> None:
    names = [dependency.name for dependency in node.dependencies]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise invalid("DUPLICATE_DEPENDENCY", f"Node {node.name} depends on {listed(twice)} more than once.")
    for dependency in node.dependencies:
        other = nodes.get(dependency.name)
        if other is None:
            raise invalid("UNKNOWN_DEPENDENCY", f"Node {node.name} depends on {dependency.name}, which is no node.")
        if not dependency.acceptance and not isinstance(other.what, Condition):
            raise invalid("INVALID_ACCEPTANCE", f"Node {node.name}: {other.name} is no condition that could refuse.")


def _in_order(nodes: Mapping[str, Node]) -> list[str]:
    """The names of the nodes, each after all that it depends on; otherwise as they were given."""
    waits = {name: len(node.dependencies) for name, node in nodes.items()}
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for node in nodes.values():
        for dependency in node.dependencies:
            after[dependency.name].append(node.name)
    order = [name for name, count in waits.items() if not count]
    for name in order:
        for follower in after[name]:
            waits[follower] -= 1
            if not waits[follower]:
                order.append(follower)
    if len(order) < len(nodes):
        circle = [name for name in nodes if waits[name]]
        raise invalid("CIRCULAR_DEPENDENCY", f"These nodes wait for each other: {listed(circle)}.")
    return order
