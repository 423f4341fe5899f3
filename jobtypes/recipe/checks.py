"""Whether a definition's nodes fit together, and to the job types and recipe types that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobtypes.recipe.definition import (
    Condition,
    Connection,
    Definition,
    JobTypeRef,
    Node,
    RecipeTypeRef,
    invalid,
)
from jobtypes.recipe.interfaces import FILES, Interface, Parameter
from jobtypes.seed.verdicts import Finding, listed, spelled_name

MAX_SIZE: Final = 10_000  # nodes of one recipe and all recipes inside it
MAX_INSIDE: Final = 50  # recipe types inside one, which also bounds the depth: none is inside itself


@dataclass(frozen=True, slots=True)
class KnownJobType:
    """A revision of a job type that a definition names."""

    revision: int
    interface: Interface
    is_active: bool


@dataclass(frozen=True, slots=True)
class KnownRecipeType:
    """A revision of a recipe type that a definition names.

    `size` counts its nodes and all those inside it, `contains` names it and the recipe types inside it.
    """

    revision: int
    interface: Interface
    is_active: bool
    size: int
    contains: frozenset[str]


@dataclass(frozen=True, slots=True)
class Known:
    """What there is of what a definition names."""

    job_types: Mapping[JobTypeRef, KnownJobType]
    recipe_types: Mapping[RecipeTypeRef, KnownRecipeType]


def check(definition: Definition, known: Known, *, name: str = "") -> list[Finding]:
    """What is to be said of a definition although it is valid; `name` is that of its recipe type, if it has one.

    Raises Invalid with the first of: UNKNOWN_JOB_TYPE, INACTIVE_JOB_TYPE, UNKNOWN_RECIPE_TYPE, INACTIVE_RECIPE_TYPE,
    CONTAINS_ITSELF, TOO_LARGE, UNKNOWN_INPUT, PARAM_REQUIRED, UNKNOWN_DEPENDENCY, UNKNOWN_OUTPUT,
    MISMATCHED_PARAM_TYPE, MISMATCHED_JSON_TYPE, NO_MULTIPLE_FILES.
    """
    faces = {node.name: _interface(node, known, name) for node in definition.nodes.values()}
    _check_size(definition, known)
    return [each for node in definition.nodes.values() for each in _check_node(node, definition, faces)]


def filled(definition: Definition, known: Known) -> dict[str, Any]:
    """The definition's document with the revision of every node in it."""
    nodes: dict[str, Any] = {}
    for name, given in definition.document["nodes"].items():
        what = definition.nodes[name].what
        kind = dict(given["node_type"])
        if isinstance(what, JobTypeRef):
            kind["job_type_revision"] = known.job_types[what].revision
        elif isinstance(what, RecipeTypeRef):
            kind["recipe_type_revision"] = known.recipe_types[what].revision
        nodes[name] = {"dependencies": [], "input": {}, **given, "node_type": kind}
    return {"input": {}, **definition.document, "nodes": nodes}


def _check_size(definition: Definition, known: Known) -> None:
    inside = [
        known.recipe_types[node.what] for node in definition.nodes.values() if isinstance(node.what, RecipeTypeRef)
    ]
    size = len(definition.nodes) + sum(each.size for each in inside)
    if size > MAX_SIZE:
        raise invalid("TOO_LARGE", f"It has {size} nodes with all that is inside it; {MAX_SIZE} are the most.")
    kinds = len(frozenset[str]().union(*(each.contains for each in inside)))
    if kinds > MAX_INSIDE:
        raise invalid("TOO_LARGE", f"It has {kinds} recipe types inside it, at any depth; {MAX_INSIDE} are the most.")


def _interface(node: Node, known: Known, name: str) -> Interface:
    """What the node takes and gives."""
    what = node.what
    if isinstance(what, Condition):
        return what.interface
    if isinstance(what, JobTypeRef):
        job_type = known.job_types.get(what)
        if job_type is None:
            raise invalid("UNKNOWN_JOB_TYPE", f"Node {node.name}: there is no job type {_spelled(what)}.")
        if not job_type.is_active:
            raise invalid("INACTIVE_JOB_TYPE", f"Node {node.name}: the job type {_spelled(what)} is not active.")
        return job_type.interface
    recipe_type = known.recipe_types.get(what)
    if recipe_type is None:
        raise invalid("UNKNOWN_RECIPE_TYPE", f"Node {node.name}: there is no recipe type {_spelled(what)}.")
    if not recipe_type.is_active:
        raise invalid("INACTIVE_RECIPE_TYPE", f"Node {node.name}: the recipe type {_spelled(what)} is not active.")
    if name in recipe_type.contains:
        raise invalid("CONTAINS_ITSELF", f"Node {node.name}: the recipe type would be a part of itself.")
    return recipe_type.interface


def _spelled(what: JobTypeRef | RecipeTypeRef) -> str:
    words = [what.name, what.version] if isinstance(what, JobTypeRef) else [what.name]
    revision = [] if what.revision is None else [f"revision {what.revision}"]
    return " ".join([*map(spelled_name, words), *revision])


def _check_node(node: Node, definition: Definition, faces: Mapping[str, Interface]) -> list[Finding]:
    interface = faces[node.name]
    if unknown := [name for name in node.input if interface.input(name) is None]:
        raise invalid("UNKNOWN_INPUT", f"Node {node.name} has no input {listed(unknown)}.")
    warnings: list[Finding] = []
    for parameter in interface.inputs:
        connection = node.input.get(parameter.name)
        if connection is None:
            if parameter.required:
                raise invalid("PARAM_REQUIRED", f"Node {node.name}: its input {parameter.name} comes from nowhere.")
            continue
        source = _source(node, parameter, connection, definition, faces)
        warnings += _check_connection(f"Node {node.name}, input {parameter.name}", parameter, source)
    return warnings


def _source(
    node: Node, parameter: Parameter, connection: Connection, definition: Definition, faces: Mapping[str, Interface]
) -> Parameter:
    where = f"Node {node.name}, input {parameter.name}"
    if connection.node is None:
        found = definition.input.input(connection.source)
        if found is None:
            raise invalid("UNKNOWN_INPUT", f"{where}: the recipe has no input {connection.source}.")
        return found
    if connection.node not in definition.ancestors[node.name]:
        raise invalid("UNKNOWN_DEPENDENCY", f"{where}: {node.name} does not depend on {connection.node}.")
    output = faces[connection.node].output(connection.source, parameter.kind)
    if output is None:
        raise invalid("UNKNOWN_OUTPUT", f"{where}: {connection.node} has no output {connection.source}.")
    return output


def _check_connection(where: str, takes: Parameter, gives: Parameter) -> list[Finding]:
    if takes.kind != gives.kind:
        wanted, given = ("files", "a JSON value") if takes.kind == FILES else ("a JSON value", "files")
        raise invalid("MISMATCHED_PARAM_TYPE", f"{where}: it takes {wanted}, and {gives.name} is {given}.")
    if takes.type != gives.type and (takes.type, gives.type) != ("number", "integer"):
        raise invalid("MISMATCHED_JSON_TYPE", f"{where}: it takes {takes.type}, and {gives.name} is {gives.type}.")
    if gives.multiple and not takes.multiple:
        raise invalid("NO_MULTIPLE_FILES", f"{where}: it takes one file, and {gives.name} may be several.")
    warnings = []
    if takes.required and not gives.required:
        text = f"{where}: it is required, and {gives.name} may be missing; the job is blocked then."
        warnings.append(Finding("MAY_BE_MISSING", text))
    if takes.media_types and not (gives.media_types and set(gives.media_types) <= set(takes.media_types)):
        text = f"{where}: {gives.name} may be of a media type that it does not list."
        warnings.append(Finding("MISMATCHED_MEDIA_TYPES", text))
    return warnings
