"""What of a recipe can go on, from how its nodes stand: the one place that decides it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from jobtypes.recipe.definition import Condition, Definition, Dependency, JobTypeRef, Node


class Standing(StrEnum):
    """How a node stands, or may stand. READY: all that it waits for is done."""

    DONE = "DONE"
    STUCK = "STUCK"  # it, or something before it, has failed, was canceled or is blocked
    OPEN = "OPEN"
    READY = "READY"
    UNFED = "UNFED"  # its turn has come, and something that it needs is not there
    SKIPPED = "SKIPPED"  # a condition has refused it


@dataclass(slots=True)
class Walked:
    """What is to be done now.

    `jobs`: how each job node that waits or is not made yet may stand (OPEN, READY, UNFED or STUCK), in the order of the
    definition; `recipes`: the recipe nodes that are to be made; `outcomes`: what conditions have found just now;
    `finished`: nothing is left to do.
    """

    jobs: dict[str, Standing] = field(default_factory=dict)
    recipes: list[str] = field(default_factory=list)
    outcomes: dict[str, bool] = field(default_factory=dict)
    finished: bool = True


def walk(
    definition: Definition,
    made: Mapping[str, Standing],
    outcomes: Mapping[str, bool],
    *,
    decide: Callable[[Node], bool],
    is_fed: Callable[[Node], bool],
) -> Walked:
    """Go through the nodes, each after all that it depends on.

    `made`: how the nodes stand that have a job or a recipe, except jobs that wait: where those stand is said here.
    `outcomes`: what conditions have found before. `decide` is asked once of each condition whose turn has come,
    `is_fed` of each job whose turn has come: whether it has the input it needs.
    """
    found = Walked()
    standings: dict[str, Standing] = {}
    known = dict(outcomes)
    uncertain: set[str] = set()
    for node in definition.nodes.values():
        may = made.get(node.name) or _may_stand(node.dependencies, standings, known)
        if isinstance(node.what, Condition):
            if may is Standing.READY and node.name not in known:
                known[node.name] = found.outcomes[node.name] = decide(node)
            standings[node.name] = Standing.DONE if node.name in known else may
            undecided = node.name not in known and may is not Standing.SKIPPED
        else:
            undecided = False
            standings[node.name] = _turn(node, may, made, uncertain, found, is_fed)
        if undecided or _after(node.dependencies, uncertain):
            uncertain.add(node.name)
    found.finished = all(each in (Standing.DONE, Standing.SKIPPED) for each in standings.values())
    return found


def _turn(
    node: Node,
    may: Standing,
    made: Mapping[str, Standing],
    uncertain: set[str],
    found: Walked,
    is_fed: Callable[[Node], bool],
) -> Standing:
    """Note what is to be done with a job or a recipe, and return how it stands then."""
    if node.name in made or may is Standing.SKIPPED:
        return may
    if isinstance(node.what, JobTypeRef):
        # What a condition may still skip is not made before it has decided, so that nobody waits for it in vain.
        if _after(node.dependencies, uncertain):
            return may
        if may is Standing.READY and not is_fed(node):
            may = Standing.UNFED
        found.jobs[node.name] = may
    elif may is Standing.READY:
        found.recipes.append(node.name)
    return {Standing.READY: Standing.OPEN, Standing.UNFED: Standing.STUCK}.get(may, may)


def _after(dependencies: Iterable[Dependency], uncertain: set[str]) -> bool:
    return any(each.name in uncertain for each in dependencies)


def _may_stand(
    dependencies: Iterable[Dependency], standings: Mapping[str, Standing], known: Mapping[str, bool]
) -> Standing:
    above = set()
    for each in dependencies:
        refused = each.name in known and known[each.name] != each.acceptance
        above.add(Standing.SKIPPED if refused else standings[each.name])
    for worst in (Standing.SKIPPED, Standing.STUCK, Standing.OPEN):
        if worst in above:
            return worst
    return Standing.READY


def skipped(definition: Definition, outcomes: Mapping[str, bool]) -> set[str]:
    """The nodes that conditions have refused, and all that depends on these."""
    found: set[str] = set()
    for node in definition.nodes.values():
        for each in node.dependencies:
            if each.name in found or (each.name in outcomes and outcomes[each.name] != each.acceptance):
                found.add(node.name)
    return found
