"""What the pages of a recipe type show: its definition as a drawing and in words, and what has changed in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from controlplane.core.admin import badge, facts, link, shown_json, table, when
from controlplane.core.detail_admin import Detail
from controlplane.core.graphs import Look, shown_graph
from jobtypes.models import RecipeType
from jobtypes.queries.recipe_types import above
from jobtypes.recipe.definition import Condition, Definition, Dependency, JobTypeRef, Node, parse
from jobtypes.recipe.difference import NodeDifference, Status
from jobtypes.recipe.drawing import draw
from jobtypes.recipe.interfaces import FILES, Interface

REVISIONS_SHOWN: Final = 50
TONES: Final = {Status.NEW: "good", Status.DELETED: "bad", Status.CHANGED: "waiting", Status.UNCHANGED: "quiet"}
_SHAPES: Final = "A rectangle is a job, one with double sides a recipe, a hexagon a condition."


def story(row: RecipeType) -> Detail:
    """The page of a recipe type: four statements."""
    definition, urls = parse(row.definition), _urls(row)
    looks = {name: Look("busy", url=url) for name, url in urls.items()}
    return Detail(
        title=f"Recipe type {row.name}",
        badges=_badges(row),
        line=row.description,
        cards=(
            ("What it is", _facts(row)),
            ("What it takes", _inputs(definition.input)),
            ("Where it is used", _above(row)),
        ),
        sections=(
            (f"Revision {row.revision_num}", drawn(definition, f"The nodes of {row.name}", looks)),
            ("Nodes", _nodes(definition, urls)),
            ("Revisions", _revisions(row)),
            ("Definition", shown_json(row.definition)),
        ),
    )


def compare_url(row: RecipeType, after: int) -> str:
    """The page that shows a revision, and what is other in it than in the one before."""
    return f"{reverse('admin:jobtypes_recipetype_compare', args=[row.pk])}?after={after}"


def drawn(definition: Definition, label: str, looks: Mapping[str, Look]) -> SafeString:
    """The drawing of a definition, and what its shapes mean."""
    return format_html("{}<p class='cp-note'>{}</p>", shown_graph(draw(definition), label, looks), _SHAPES)


def changed(found: Mapping[str, NodeDifference], *, only_what_changes: bool = False) -> SafeString | str:
    """What has become of each node, as a table; with `only_what_changes` without nodes that stay what they are."""
    rows = [
        (
            name,
            badge(each.status, TONES[each.status]),
            " ".join(change.description for change in each.changes),
            "yes" if each.runs_again else "no",
        )
        for name, each in found.items()
        if not only_what_changes or each.status != Status.UNCHANGED
    ]
    return table(("Node", "Is", "What is other", "Runs again"), rows) if rows else "No node changes."


# --- The page's parts ----------------------------------------------------------------------------


def _badges(row: RecipeType) -> list[SafeString]:
    found = [badge("ACTIVE", "good") if row.is_active else badge("DEPRECATED", "quiet")]
    return [*found, badge("SYSTEM", "waiting")] if row.is_system else found


def _facts(row: RecipeType) -> SafeString | str:
    return facts(
        (
            ("Name", row.name),
            ("Title", row.title),
            ("Revision", row.revision_num),
            ("Made", when(row.created_at)),
            ("Changed", when(row.modified_at)),
            ("Deprecated", when(row.deprecated_at)),
        )
    )


def _inputs(takes: Interface) -> SafeString | str:
    rows = [
        (
            each.name,
            ("files" if each.multiple else "a file") if each.kind == FILES else each.type,
            "yes" if each.required else "no",
            ", ".join(each.media_types) or ("any" if each.kind == FILES else ""),
        )
        for each in takes.inputs
    ]
    return table(("Input", "Kind", "Required", "Media types"), rows) if rows else "Nothing."


def _above(row: RecipeType) -> SafeString | str:
    found = [
        (link(reverse("admin:jobtypes_recipetype_change", args=[each.pk]), each.name), _badges(each)[0])
        for each in above(row)
    ]
    return format_html_join("", "<p>{} {}</p>", found) if found else "In no other recipe type."


def _urls(row: RecipeType) -> dict[str, str]:
    """The pages of what the nodes of the present definition hold."""
    urls = {}
    for name, job_type, recipe_type in row.nodes.values_list("name", "job_type", "sub_recipe_type"):
        page, pk = ("recipetype", recipe_type) if recipe_type else ("jobtype", job_type)
        urls[name] = reverse(f"admin:jobtypes_{page}_change", args=[pk])
    return urls


def _nodes(definition: Definition, urls: Mapping[str, str]) -> SafeString:
    rows = [(node.name, _runs(node, urls), _after(node.dependencies), _fed(node)) for node in definition.nodes.values()]
    return table(("Node", "Runs", "After", "Input"), rows)


def _runs(node: Node, urls: Mapping[str, str]) -> SafeString | str:
    what = node.what
    if isinstance(what, Condition):
        joined = " and " if what.filters.all else " or "
        asked = (f"{each.name} {each.condition} {', '.join(map(str, each.values))}" for each in what.filters.filters)
        return f"Whether {joined.join(asked)}"
    words = f"{what.name} {what.version}" if isinstance(what, JobTypeRef) else f"recipe {what.name}"
    text = f"{words}, revision {what.revision}"
    return link(urls[node.name], text) if node.name in urls else text


def _after(dependencies: Iterable[Dependency]) -> str:
    return ", ".join(each.name if each.acceptance else f"{each.name} (refused)" for each in dependencies)


def _fed(node: Node) -> str:
    return ", ".join(
        f"{name} from {'the recipe' if each.node is None else each.node}: {each.source}"
        for name, each in node.input.items()
    )


def _revisions(row: RecipeType) -> SafeString:
    """The newest revisions, each with the way to what it has changed."""
    found = list(row.revisions.defer("definition").order_by("-revision_num")[: REVISIONS_SHOWN + 1])
    rows = [
        (each.revision_num, when(each.created_at), link(compare_url(row, each.revision_num), "What it has changed"))
        for each in found[:REVISIONS_SHOWN]
    ]
    shown = table(("Revision", "Made", ""), rows)
    if len(found) <= REVISIONS_SHOWN:
        return shown
    return format_html("{}<p class='cp-note'>The newest {}. Compare shows any other.</p>", shown, REVISIONS_SHOWN)
