"""What a recipe's page shows: how it stands, how far it is, and each of its nodes, drawn and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from controlplane.core.admin import badge, facts, link, shown_json, table, when
from controlplane.core.detail_admin import Detail, Live
from controlplane.core.graphs import Look, shown_graph
from jobs import states
from jobs.admin.badges import TONES, status_badge
from jobs.admin.live import CHANGED
from jobs.models import Outcome, Recipe, RecipeNode
from jobs.queries.recipes import Progress, made_nodes, progress_of, superseding, why_waits
from jobtypes.recipe.definition import Condition, Definition, JobTypeRef, Node, parse
from jobtypes.recipe.drawing import draw
from jobtypes.recipe.walk import skipped

COMPLETED: Final = "COMPLETED"
CANCELED: Final = "CANCELED"
SUPERSEDED: Final = "SUPERSEDED"
OPEN: Final = "OPEN"
_TONES: Final = {COMPLETED: "good", CANCELED: "quiet", SUPERSEDED: "quiet", OPEN: "busy"}
_LEGEND: Final = "A rectangle is a job, one with double sides a recipe, a hexagon a condition."


def states_of(recipe: Recipe) -> list[str]:
    """How a recipe stands: what has become of it, of which there may be several; else that it is open."""
    became = ((COMPLETED, recipe.completed_at), (CANCELED, recipe.canceled_at), (SUPERSEDED, recipe.superseded_at))
    return [word for word, at in became if at is not None] or [OPEN]


def badges_of(recipe: Recipe) -> SafeString:
    return format_html_join(" ", "{}", ((badge(word, _TONES[word]),) for word in states_of(recipe)))


def how_far(progress: Progress) -> str:
    """In a few words, with what is inside it."""
    total, jobs = progress.jobs.total(), progress.jobs
    if not total:
        return "no jobs yet"
    parts = [f"{jobs[states.COMPLETED]} of {total} jobs completed"]
    parts += [f"{jobs[each]} {each.lower()}" for each in (states.FAILED, states.BLOCKED, states.CANCELED) if jobs[each]]
    return ", ".join(parts)


def story(recipe: Recipe, request: HttpRequest) -> Detail:
    """The page. Loaded with the recipe: recipe_type, revision, customer, owner, place."""
    definition, made = parse(recipe.revision.definition), made_nodes(recipe)
    outcomes = {name: node.outcome == Outcome.ACCEPTED for name, node in made.items() if node.outcome}
    left_out = skipped(definition, outcomes)
    looks = {name: _look(made.get(name), is_skipped=name in left_out) for name in definition.nodes}
    number = recipe.revision.revision_num
    graph = shown_graph(draw(definition), f"The nodes of recipe {recipe.pk} and how they stand", looks)
    return Detail(
        title=f"Recipe {recipe.pk}",
        badges=[badges_of(recipe)],
        line=f"{recipe.recipe_type.title}, revision {number}",
        cards=(("What it is", _facts(recipe, request)), ("How far it is", _progress(progress_of([recipe])[recipe.pk]))),
        sections=(
            ("How its nodes stand", format_html("{}<p class='cp-note'>{}</p>", graph, _LEGEND)),
            ("Nodes", _nodes(recipe, definition, made, left_out, looks)),
            ("Input", shown_json(recipe.input)),
            ("Configuration", shown_json(recipe.configuration) if recipe.configuration else ""),
        ),
        live=_live(recipe),
    )


def _live(recipe: Recipe) -> Live | None:
    if recipe.completed_at or recipe.superseded_at:
        return None
    return Live(reverse("admin:jobs_recipe_changes", args=[recipe.pk]), (CHANGED,))


def recipe_link(pk: int | None) -> SafeString | str:
    return link(reverse("admin:jobs_recipe_change", args=[pk]), f"recipe {pk}") if pk is not None else ""


def _facts(recipe: Recipe, request: HttpRequest) -> SafeString | str:
    type_page = reverse("admin:jobtypes_recipetype_change", args=[recipe.recipe_type_id])
    number = recipe.revision.revision_num
    revision = f"{reverse('admin:jobtypes_recipetype_compare', args=[recipe.recipe_type_id])}?after={number}"
    owner: SafeString | str = recipe.owner.username
    # Others than admins see nobody but themselves.
    if request.user.pk == recipe.owner_id or request.user.has_perm("accounts.change_user"):
        owner = link(reverse("admin:accounts_user_change", args=[recipe.owner_id]), owner)
    customer = link(reverse("admin:accounts_customer_change", args=[recipe.customer_id]), recipe.customer.name)
    return facts(
        (
            ("UUID", recipe.uuid),
            ("Recipe type", link(type_page, recipe.recipe_type.name)),
            ("Revision", link(revision, number)),
            ("Customer", customer),
            ("Owner", owner),
            ("Place", recipe.place),
            ("Part of", recipe_link(recipe.parent_id)),
            ("Supersedes", recipe_link(recipe.supersedes_id)),
            ("Superseded by", recipe_link(superseding(recipe)) if recipe.superseded_at else ""),
            ("Made", when(recipe.created_at)),
            ("Completed", when(recipe.completed_at)),
            ("Canceled", when(recipe.canceled_at)),
            ("Superseded", when(recipe.superseded_at)),
            ("Changed", when(recipe.modified_at)),
        )
    )


def _progress(progress: Progress) -> SafeString | str:
    """The jobs that are made, with those of recipes inside it, by their status as the API has it."""
    counts = [(each, progress.jobs[each]) for each in states.SHOWN_STATES if progress.jobs[each]]
    by_status = format_html_join("", "<p>{} {}</p>", ((status_badge(status), count) for status, count in counts))
    total = progress.jobs.total()
    bar = ""
    if total:
        done = progress.jobs[states.COMPLETED]
        bar = format_html("<progress class='cp-bar' max='{}' value='{}'>{} of {}</progress>", total, done, done, total)
    inside = f"{progress.recipes_completed} of {progress.recipes} completed" if progress.recipes else ""
    return facts(
        (("Jobs", how_far(progress)), ("Completed", bar), ("By status", by_status), ("Recipes inside it", inside))
    )


# --- Nodes ---------------------------------------------------------------------------------------


def _look(made: RecipeNode | None, *, is_skipped: bool) -> Look:
    """How a node stands: its tone, its word, and the page of what it has become."""
    if made is not None and made.job is not None:
        url = reverse("admin:jobs_job_change", args=[made.job.pk])
        return Look(TONES.get(made.job.status, "quiet"), made.job.status, url)
    if made is not None and made.sub_recipe is not None:
        word = states_of(made.sub_recipe)[0]
        return Look(_TONES[word], word, reverse("admin:jobs_recipe_change", args=[made.sub_recipe.pk]))
    if made is not None and made.outcome:
        return Look("good" if made.outcome == Outcome.ACCEPTED else "waiting", made.outcome)
    return Look("quiet", "skipped" if is_skipped else "not made yet")


def _nodes(
    recipe: Recipe,
    definition: Definition,
    made: Mapping[str, RecipeNode],
    left_out: set[str],
    looks: Mapping[str, Look],
) -> SafeString:
    rows = []
    for node in definition.nodes.values():
        found, look = made.get(node.name), looks[node.name]
        why = "A condition has refused it." if node.name in left_out else " ".join(why_waits(node, made))
        error = found.job.error if found and found.job and found.job.error else ""
        rows.append((node.name, _runs(node), badge(look.word, look.tone), error, why, _became(recipe, found)))
    return table(("Node", "Runs", "Status", "Error", "Why it waits", "Job or recipe"), rows)


def _runs(node: Node) -> str:
    what = node.what
    if isinstance(what, Condition):
        return "a condition"
    return f"{what.name} {what.version}" if isinstance(what, JobTypeRef) else f"recipe {what.name}"


def _became(recipe: Recipe, node: RecipeNode | None) -> SafeString | str:
    """The job or the recipe that a node is, and whether it was taken over from another recipe."""
    if node is None or (node.job is None and node.sub_recipe is None):
        return ""
    shown: SafeString | str
    if node.job is not None:
        shown = link(reverse("admin:jobs_job_change", args=[node.job.pk]), f"job {node.job.pk}")
        of = node.job.recipe_id
    else:
        assert node.sub_recipe is not None
        shown, of = recipe_link(node.sub_recipe.pk), node.sub_recipe.parent_id
    return shown if of == recipe.pk else format_html("{}, taken over from {}", shown, recipe_link(of))
