"""Recipe types and recipes for tests, and jobs that end as they are told."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from jobs import services, states
from jobs.models import File, Job, Recipe, RecipeNode
from jobs.services.recipes import advance_recipe, create_recipe
from jobtypes.models import JobType, RecipeType
from jobtypes.services.recipe_types import create_recipe_type
from tests.factories import Person, make_customer_user, make_job_type, make_workspace, manifest_of

_numbers = itertools.count(1)
Json = dict[str, Any]

TEXT_IN: Json = {"files": [{"name": "TEXT"}]}
NO_INPUT: Json = {}


def make_counter(name: str = "count-words", **facts: Any) -> JobType:
    """A job type that takes a text, and gives a text COUNTS and a number total."""
    manifest = manifest_of(name)
    manifest["job"]["interface"]["inputs"] = {"files": [{"name": "TEXT"}], "json": [_optional("limit", "integer")]}
    return make_job_type(name, manifest=manifest, **facts)


def _optional(name: str, kind: str) -> Json:
    return {"name": name, "type": kind, "required": False}


def from_recipe(name: str) -> Json:
    return {"type": "recipe", "input": name}


def from_node(node: str, output: str) -> Json:
    return {"type": "dependency", "node": node, "output": output}


def after(*names: str, refused: str = "") -> list[Json]:
    found: list[Json] = [{"name": name} for name in names]
    return [*found, {"name": refused, "acceptance": False}] if refused else found


def job_node(job_type: JobType | str = "count-words", *, needs: list[Json] | None = None, **wires: Json) -> Json:
    """A job of a type's version 1.0.0; `wires` are its inputs, by default the recipe's TEXT."""
    name = job_type if isinstance(job_type, str) else job_type.name
    return {
        "dependencies": needs or [],
        "input": wires or {"TEXT": from_recipe("TEXT")},
        "node_type": {"node_type": "job", "job_type_name": name, "job_type_version": "1.0.0"},
    }


def recipe_node(name: str, *, needs: list[Json] | None = None, **wires: Json) -> Json:
    return {
        "dependencies": needs or [],
        "input": wires or {"TEXT": from_recipe("TEXT")},
        "node_type": {"node_type": "recipe", "recipe_type_name": name},
    }


def condition_node(*filters: Json, needs: list[Json], interface: Json, every: bool = True, **wires: Json) -> Json:
    return {
        "dependencies": needs,
        "input": wires,
        "node_type": {
            "node_type": "condition",
            "interface": interface,
            "data_filter": {"filters": list(filters), "all": every},
        },
    }


def question(name: str, kind: str, condition: str, *values: Any, **more: Any) -> Json:
    return {"name": name, "type": kind, "condition": condition, "values": list(values), **more}


def many_words(node: str, *, least: int = 10) -> Json:
    """A condition on the total of a node."""
    return condition_node(
        question("total", "integer", ">=", least),
        needs=after(node),
        interface={"json": [{"name": "total", "type": "integer"}]},
        total=from_node(node, "total"),
    )


def definition_of(nodes: Mapping[str, Json], takes: Json | None = None) -> Json:
    return {"input": TEXT_IN if takes is None else takes, "nodes": dict(nodes)}


def follower(node: str, job_type: JobType | str = "count-words") -> Json:
    """A job that takes the text that another gives."""
    return job_node(job_type, needs=after(node), TEXT=from_node(node, "COUNTS"))


CHAIN: Json = definition_of({"a": job_node(), "b": follower("a"), "c": follower("b")})
DIAMOND: Json = definition_of(
    {
        "top": job_node(),
        "left": follower("top"),
        "right": follower("top"),
        "bottom": job_node(
            needs=after("left", "right"), TEXT=from_node("left", "COUNTS"), limit=from_node("right", "total")
        ),
    }
)
FORK: Json = definition_of(
    {
        "count": job_node(),
        "many": many_words("count"),
        "long": job_node(needs=after("many"), TEXT=from_node("count", "COUNTS")),
        "short": job_node(needs=after(refused="many"), TEXT=from_node("count", "COUNTS")),
        "after-long": follower("long"),
    }
)


def make_recipe_type(definition: Json = CHAIN, title: str | None = None, **wishes: Any) -> RecipeType:
    """A recipe type through its service; the job type count-words is made when it is not there."""
    if not JobType.objects.filter(name="count-words").exists():
        make_counter()
    return create_recipe_type(title=title or f"Words {next(_numbers)}", definition=definition, actor=None, **wishes)


def make_file(
    owner: Person | None = None, name: str = "text.txt", *, size: int = 1000, media_type: str = "text/plain"
) -> File:
    """A file of somebody; of nobody when no owner is given."""
    workspace = make_workspace()
    user = owner.user if owner else None
    return File.objects.create(
        workspace=workspace,
        path=f"{next(_numbers)}/{name}",
        name=name,
        media_type=media_type,
        size=size,
        owner=user,
        customer=user.customer if user else None,
    )


def make_recipe(recipe_type: RecipeType | None = None, owner: Person | None = None, **wishes: Any) -> Recipe:
    """A recipe just made, with a file of its owner's as TEXT."""
    person = owner or make_customer_user()
    found = recipe_type or make_recipe_type()
    given = wishes.pop("input", {"files": {"TEXT": [make_file(person).pk]}})
    return create_recipe(owner=person.user, recipe_type=found, input=given, **wishes)


# --- How it goes on ------------------------------------------------------------------------------


def statuses(recipe: Recipe) -> dict[str, str]:
    """The status of every job of a recipe, by its node's name."""
    nodes = RecipeNode.objects.filter(recipe=recipe, job__isnull=False).select_related("job").order_by("id")
    return {node.name: node.job.status for node in nodes if node.job is not None}


def job_of(recipe: Recipe, node: str) -> Job:
    found = RecipeNode.objects.select_related("job__lane").get(recipe=recipe, name=node).job
    assert found is not None
    return found


def inside(recipe: Recipe, node: str) -> Recipe:
    found = RecipeNode.objects.select_related("sub_recipe").get(recipe=recipe, name=node).sub_recipe
    assert found is not None
    return found


def output_of(total: int | None = 5, *, size: int = 2000, name: str = "counts.txt") -> Json:
    """What a job of count-words gives: a file and, unless it is None, a number."""
    values = {} if total is None else {"total": total}
    return {"files": {"COUNTS": [make_file(name=name, size=size).pk]}, "json": values}


def end(recipe: Recipe, *nodes: str, output: Json | None = None, status: str = states.COMPLETED) -> None:
    """Let queued jobs of a recipe run and end, and the recipe take its next step."""
    for node in nodes:
        job = job_of(recipe, node)
        assert job.status == states.QUEUED, f"{node} is {job.status}"
        assert services.move({job.pk: {}}, states.STARTING)
        assert services.move({job.pk: {"started_at": timezone.now()}}, states.RUNNING, fields=("started_at",))
        given = (output or output_of()) if status == states.COMPLETED else None
        ended = {"ended_at": timezone.now(), "output": given}
        assert services.move({job.pk: ended}, status, fields=("ended_at", "output")) == [job.pk]
    advance_recipe(recipe.pk)
    recipe.refresh_from_db()
