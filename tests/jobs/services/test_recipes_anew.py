"""Recipes: canceled, run anew, and taken hold of by several at once."""

from __future__ import annotations

from typing import Any

import pytest

from accounts.models import Event
from controlplane.core.errors import InvalidRequest
from jobs import services, states
from jobs.errors import RecipeState
from jobs.models import Job, Recipe
from jobs.services.recipes import advance_recipe, cancel_recipe, reprocess_recipe
from jobtypes.services.recipe_types import edit_recipe_type
from tests.factories import make_customer_user, make_operator
from tests.recipes import (
    CHAIN,
    DIAMOND,
    FORK,
    after,
    definition_of,
    end,
    follower,
    inside,
    job_node,
    job_of,
    make_recipe,
    make_recipe_type,
    output_of,
    recipe_node,
    statuses,
)
from tests.threads import at_once

pytestmark = pytest.mark.django_db
C, Q, P = states.COMPLETED, states.QUEUED, states.PENDING
B, F, X = states.BLOCKED, states.FAILED, states.CANCELED


def nested() -> Recipe:
    """A recipe with one inside that has begun."""
    inner = make_recipe_type(CHAIN, "Inner")
    nodes = {"inner": recipe_node(inner.name), "last": job_node(needs=after("inner"))}
    recipe = make_recipe(make_recipe_type(definition_of(nodes), "Outer"))
    advance_recipe(inside(recipe, "inner").pk)
    return recipe


def run_through(recipe: Recipe) -> None:
    """Let every job end well."""
    while queued := [name for name, status in statuses(recipe).items() if status == Q]:
        end(recipe, *queued, output=output_of(50))
    assert recipe.completed_at is not None


# --- Canceling -----------------------------------------------------------------------------------


def test_canceling_stops_all_jobs_of_a_recipe() -> None:
    recipe, actor = make_recipe(make_recipe_type(CHAIN)), make_operator().user
    end(recipe, "a")
    assert len(cancel_recipe(recipe, actor=actor)) == 2
    assert statuses(recipe) == {"a": C, "b": X, "c": X}
    assert recipe.canceled_at is not None
    told = Event.objects.get(kind="recipe.canceled", subject_id=recipe.pk)
    assert (told.actor, told.customer) == (actor, recipe.customer)


def test_canceling_stops_blocked_jobs_and_asks_for_those_that_run() -> None:
    recipe = make_recipe(make_recipe_type(DIAMOND))
    end(recipe, "top")
    end(recipe, "left", status=F)
    right = job_of(recipe, "right").pk
    services.move({right: {}}, states.STARTING)
    cancel_recipe(recipe, actor=None)
    assert statuses(recipe) == {"top": C, "left": F, "right": states.CANCELING, "bottom": X}


def test_a_canceled_recipe_makes_nothing_more() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    job = job_of(recipe, "count")
    services.move({job.pk: {}}, states.STARTING)
    cancel_recipe(recipe, actor=None)
    ended = {"ended_at": recipe.created_at, "output": output_of(50)}
    services.move({job.pk: ended}, C, fields=("ended_at", "output"))
    advance_recipe(recipe.pk)
    assert statuses(recipe) == {"count": C}
    recipe.refresh_from_db()
    assert (recipe.completed_at, recipe.nodes.count()) == (None, 1)


def test_canceling_reaches_into_recipes_inside() -> None:
    recipe = nested()
    inner = inside(recipe, "inner")
    cancel_recipe(recipe, actor=None)
    assert (statuses(inner), statuses(recipe)) == ({"a": X, "b": X, "c": X}, {"last": X})
    inner.refresh_from_db()
    assert inner.canceled_at is not None


def test_canceling_a_recipe_inside_blocks_what_follows_it() -> None:
    recipe = nested()
    cancel_recipe(inside(recipe, "inner"), actor=None)
    advance_recipe(recipe.pk)
    assert statuses(recipe) == {"last": B}
    assert recipe.canceled_at is None


def test_a_completed_recipe_cannot_be_canceled() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    run_through(recipe)
    with pytest.raises(RecipeState):
        cancel_recipe(recipe, actor=None)


def test_canceling_twice_stops_nothing_more() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    cancel_recipe(recipe, actor=None)
    assert cancel_recipe(recipe, actor=None) == []


def test_a_requeued_job_lets_a_canceled_recipe_go_on() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    cancel_recipe(recipe, actor=None)
    services.requeue_jobs([job_of(recipe, name).pk for name in ("a", "b", "c")], actor=None)
    advance_recipe(recipe.pk)
    recipe.refresh_from_db()
    assert recipe.canceled_at is None
    assert statuses(recipe) == {"a": Q, "b": P, "c": P}
    run_through(recipe)


def test_a_requeued_job_inside_lets_both_recipes_go_on() -> None:
    recipe = nested()
    inner = inside(recipe, "inner")
    cancel_recipe(recipe, actor=None)
    services.requeue_jobs(
        [*Job.objects.filter(recipe=inner).values_list("pk", flat=True), job_of(recipe, "last").pk], actor=None
    )
    advance_recipe(inner.pk)
    advance_recipe(recipe.pk)
    run_through(inner)
    advance_recipe(recipe.pk)
    assert statuses(recipe) == {"last": Q}


# --- Anew ----------------------------------------------------------------------------------------


def again(recipe: Recipe, **wishes: Any) -> Recipe:
    return reprocess_recipe(recipe, actor=make_operator().user, **wishes)


def test_what_failed_runs_again_and_what_is_done_is_taken_over() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    given = output_of()
    end(recipe, "a", output=given)
    end(recipe, "b", status=F)
    made = again(recipe)
    assert statuses(made) == {"a": C, "b": Q, "c": P}
    assert job_of(made, "a") == job_of(recipe, "a")
    assert job_of(made, "b").input["files"] == {"TEXT": given["files"]["COUNTS"]}
    assert (job_of(made, "b").supersedes, job_of(made, "a").superseded_at) == (job_of(recipe, "b"), None)
    assert job_of(recipe, "b").superseded_at is not None
    recipe.refresh_from_db()
    assert (recipe.superseded_at is None, made.supersedes, made.input) == (False, recipe, recipe.input)
    assert (made.owner, made.customer, made.place) == (recipe.owner, recipe.customer, recipe.place)
    assert statuses(recipe) == {"a": C, "b": F, "c": X}
    run_through(made)


def test_forced_nodes_run_again_with_what_follows_them() -> None:
    recipe = make_recipe(make_recipe_type(DIAMOND))
    run_through(recipe)
    made = again(recipe, forced_nodes=["left"])
    assert statuses(made) == {"top": C, "left": Q, "right": C, "bottom": P}
    assert statuses(again(made, force_all=True)) == {"top": Q, "left": P, "right": P, "bottom": P}


def test_a_changed_definition_runs_what_has_changed() -> None:
    recipe_type = make_recipe_type(CHAIN)
    recipe = make_recipe(recipe_type)
    run_through(recipe)
    nodes = {**CHAIN["nodes"], "c": follower("a"), "d": follower("b")}
    edit_recipe_type(recipe_type.name, definition=definition_of(nodes), actor=None)
    recipe.refresh_from_db()
    recipe = Recipe.objects.get(pk=recipe.pk)
    made = again(recipe)
    assert statuses(made) == {"a": C, "b": C, "c": Q, "d": Q}
    assert made.revision.revision_num == 2
    assert statuses(again(made, revision=1, force_all=True)) == {"a": Q, "b": P, "c": P}


def test_it_refuses_to_do_nothing() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    run_through(recipe)
    with pytest.raises(InvalidRequest) as refused:
        again(recipe)
    assert refused.value.field == "forced_nodes"
    recipe.refresh_from_db()
    assert recipe.superseded_at is None
    assert Recipe.objects.count() == 1


@pytest.mark.parametrize(
    ("wishes", "field"), [({"forced_nodes": ["z"]}, "forced_nodes"), ({"revision": 9}, "recipe_type_revision")]
)
def test_it_refuses_nodes_and_revisions_that_are_not_there(wishes: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        again(make_recipe(make_recipe_type(CHAIN)), **wishes)
    assert refused.value.field == field


def test_a_recipe_is_superseded_once() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    again(recipe)
    with pytest.raises(RecipeState):
        again(recipe)


def test_a_recipe_inside_another_is_not_run_anew_by_itself() -> None:
    with pytest.raises(RecipeState):
        again(inside(nested(), "inner"))


def test_conditions_that_were_decided_are_taken_over() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    end(recipe, "count", output=output_of(50))
    end(recipe, "long")
    end(recipe, "after-long", status=F)
    made = again(recipe)
    assert statuses(made) == {"count": C, "long": C, "after-long": Q}
    forced = again(made, forced_nodes=["count"])
    assert statuses(forced) == {"count": Q}
    end(forced, "count", output=output_of(1))
    assert statuses(forced) == {"count": C, "short": Q}


def test_recipes_inside_that_are_done_are_taken_over_and_others_superseded() -> None:
    recipe = nested()
    inner = inside(recipe, "inner")
    run_through(inner)
    advance_recipe(recipe.pk)
    end(recipe, "last", status=F)
    made = again(recipe)
    assert inside(made, "inner") == inner
    assert statuses(made) == {"last": Q}
    forced = again(made, forced_nodes=["inner"])
    assert inside(forced, "inner") != inner
    inner.refresh_from_db()
    assert inner.superseded_at is not None
    assert not Job.objects.filter(recipe=inner, superseded_at=None).exists()


def test_what_still_runs_of_the_old_recipe_is_stopped() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    made = again(recipe)
    assert statuses(recipe) == {"a": X, "b": X, "c": X}
    assert statuses(made) == {"a": Q, "b": P, "c": P}


# --- Several at once -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_steps_at_the_same_time_do_everything_once() -> None:
    recipe = make_recipe(make_recipe_type(FORK), make_customer_user())
    job = job_of(recipe, "count")
    for status in (states.STARTING, states.RUNNING):
        services.move({job.pk: {}}, status)
    ended = {"ended_at": recipe.created_at, "output": output_of(50)}
    services.move({job.pk: ended}, C, fields=("ended_at", "output"))
    assert at_once([lambda: advance_recipe(recipe.pk)] * 4) == [None] * 4
    assert statuses(recipe) == {"count": C, "long": Q, "after-long": P}
    assert Job.objects.filter(recipe=recipe).count() == 3
    assert Event.objects.filter(subject_kind="job", after__status=Q).exclude(subject_id=job.pk).count() == 1


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_canceling_while_a_step_is_taken_leaves_nothing_alive() -> None:
    for _ in range(5):
        cancel_while_it_goes_on(make_recipe(make_recipe_type(DIAMOND), make_customer_user()))


def cancel_while_it_goes_on(recipe: Recipe) -> None:
    job = job_of(recipe, "top")
    for status in (states.STARTING, states.RUNNING):
        services.move({job.pk: {}}, status)
    ended = {"ended_at": recipe.created_at, "output": output_of(50)}
    services.move({job.pk: ended}, C, fields=("ended_at", "output"))
    found = at_once([lambda: advance_recipe(recipe.pk), lambda: cancel_recipe(recipe, actor=None)])
    assert not any(isinstance(each, Exception) for each in found), found
    advance_recipe(recipe.pk)
    assert statuses(recipe) == {"top": C, "left": X, "right": X, "bottom": X}
