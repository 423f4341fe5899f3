"""What has changed from one definition to another, node by node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobtypes.recipe.definition import Condition, Definition, JobTypeRef, Node, RecipeTypeRef
from jobtypes.seed.verdicts import Finding


class Status(StrEnum):
    """What has become of a node."""

    NEW = "NEW"
    DELETED = "DELETED"
    CHANGED = "CHANGED"
    UNCHANGED = "UNCHANGED"


@dataclass(frozen=True, slots=True)
class NodeDifference:
    """`runs_again`: a recipe that is made anew runs it, because it or something before it has changed."""

    status: Status
    runs_again: bool
    changes: tuple[Finding, ...]


def difference(before: Definition | None, after: Definition) -> dict[str, NodeDifference]:
    """Every node of both by name; without `before` all are new. Revisions are filled in in both."""
    old = {} if before is None else before.nodes
    same_input = before is not None and before.input == after.input
    found: dict[str, NodeDifference] = {}
    for name, node in after.nodes.items():
        if name not in old:
            found[name] = NodeDifference(Status.NEW, True, ())
            continue
        changes = tuple(_changes(old[name], node))
        above = any(found[each.name].runs_again for each in node.dependencies)
        fed = not same_input and any(connection.node is None for connection in node.input.values())
        status = Status.CHANGED if changes else Status.UNCHANGED
        found[name] = NodeDifference(status, bool(changes) or above or fed, changes)
    for name in old:
        if name not in after.nodes:
            found[name] = NodeDifference(Status.DELETED, False, ())
    return found


def _changes(before: Node, after: Node) -> Iterator[Finding]:
    if type(before.what) is not type(after.what):
        yield Finding("NODE_TYPE", "It is of another kind.")
    elif isinstance(before.what, Condition):
        if before.what != after.what:
            yield Finding("CONDITION", "Its interface or its filters have changed.")
    elif before.what != after.what:
        yield Finding("REVISION", f"It was {_spelled(before.what)}, and is {_spelled(after.what)}.")
    if set(before.dependencies) != set(after.dependencies):
        yield Finding("DEPENDENCIES", "It depends on other nodes.")
    if dict(before.input) != dict(after.input):
        yield Finding("INPUT", "Its input comes from elsewhere.")


def _spelled(what: Any) -> str:
    if isinstance(what, JobTypeRef):
        return f"{what.name} {what.version} revision {what.revision}"
    assert isinstance(what, RecipeTypeRef)
    return f"{what.name} revision {what.revision}"
