"""Recipes: how they are made, go on, get stuck, are canceled and run anew."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from accounts.models import Event
from controlplane.core.errors import InvalidRequest
from jobs import queries, services, states
from jobs.errors import QuotaExceeded
from jobs.models import Job, Lane, Recipe, Scope
from jobs.policy import Policy, Rung
from jobs.queries.recipes import INPUT_MISSING, PARENT_FAILED
from jobs.services import recipes
from jobs.services.recipes import advance_recipe, cancel_recipe
from jobtypes.models import JobType
from jobtypes.services.job_types import edit_job_type
from jobtypes.services.recipe_types import edit_recipe_type
from tests.factories import make_customer_user, make_job_type, make_operator, make_workspace, manifest_of
from tests.recipes import (
    CHAIN,
    DIAMOND,
    FORK,
    Json,
    after,
    condition_node,
    definition_of,
    end,
    follower,
    from_node,
    from_recipe,
    inside,
    job_node,
    job_of,
    make_counter,
    make_file,
    make_recipe,
    make_recipe_type,
    output_of,
    question,
    recipe_node,
    statuses,
)

pytestmark = pytest.mark.django_db
C, Q, P = states.COMPLETED, states.QUEUED, states.PENDING
B, F, X = states.BLOCKED, states.FAILED, states.CANCELED


def requeue(recipe: Recipe, *nodes: str) -> None:
    """Requeue jobs, and let the recipe take its next step."""
    services.requeue_jobs([job_of(recipe, node).pk for node in nodes], actor=None)
    advance_recipe(recipe.pk)
    recipe.refresh_from_db()


def reasons(recipe: Recipe) -> dict[str, str]:
    return {name: job_of(recipe, name).reason for name, status in statuses(recipe).items() if status == B}


def woken() -> set[int]:
    """The recipes that tasks wait for."""
    tasks = OrmQ.objects.exclude(key__startswith="pulse")
    return {task.task["kwargs"]["recipe_id"] for task in tasks}


# --- Making --------------------------------------------------------------------------------------


def test_a_recipe_shows_all_its_jobs_at_once() -> None:
    owner = make_customer_user()
    text = make_file(owner, size=1500)
    recipe = make_recipe(make_recipe_type(DIAMOND), owner, input={"files": {"TEXT": [text.pk]}})
    assert statuses(recipe) == {"top": Q, "left": P, "right": P, "bottom": P}
    top, left = job_of(recipe, "top"), job_of(recipe, "left")
    assert top.input == {"files": {"TEXT": [text.pk]}, "json": {}}
    assert (top.input_bytes, top.shape, top.owner_id, top.recipe_id) == (1500, "seed", owner.user.pk, recipe.pk)
    assert (top.classification, top.image, top.timeout_seconds) == ("count-words", "count:1", 60)
    assert (top.vcpus_milli, top.memory_mib, top.customer) == (500, 256, owner.user.customer)
    assert (left.queued_at, left.input) == (None, {"files": {}, "json": {}})
    assert Event.objects.filter(kind="recipe.created", subject_id=recipe.pk, actor=owner.user).count() == 1


def test_a_recipe_without_nodes_is_completed() -> None:
    assert make_recipe(make_recipe_type(definition_of({}))).completed_at is not None


def test_a_recipe_runs_the_revision_that_is_named() -> None:
    recipe_type = make_recipe_type(CHAIN)
    edit_recipe_type(recipe_type.name, definition=definition_of({"only": job_node()}), actor=None)
    recipe_type.refresh_from_db()
    assert statuses(make_recipe(recipe_type)) == {"only": Q}
    assert statuses(make_recipe(recipe_type, revision=1)) == {"a": Q, "b": P, "c": P}
    with pytest.raises(InvalidRequest) as refused:
        make_recipe(recipe_type, revision=3)
    assert refused.value.field == "recipe_type_revision"


def test_jobs_run_the_revision_that_the_definition_has() -> None:
    counter = make_counter()
    recipe_type = make_recipe_type(CHAIN)
    edit_job_type(counter, docker_image="count:2", auto_update=False, actor=None)
    assert job_of(make_recipe(recipe_type), "a").image == "count:1"


def test_a_recipe_gives_its_jobs_its_priority_else_they_have_their_types() -> None:
    workspaces = {"default": make_workspace().name}
    make_counter(configuration={"priority": 30, "output_workspaces": workspaces})
    recipe_type = make_recipe_type(CHAIN)
    assert job_of(make_recipe(recipe_type), "a").priority == 30
    assert job_of(make_recipe(recipe_type, configuration={"priority": 7}), "b").priority == 7


@pytest.mark.parametrize(
    ("configuration", "field"),
    [
        ({"priority": "7"}, "configuration.priority"),
        ({"priority": True}, "configuration.priority"),
        ({"priority": -1}, "configuration.priority"),
        ({"mounts": {}}, "configuration"),
        ([], "configuration"),
        ("x", "configuration"),
    ],
)
def test_it_refuses_a_configuration_that_it_does_not_know(configuration: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_recipe(configuration=configuration)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("given", "field"),
    [
        (None, "input.files.TEXT"),
        ({"files": {"TEXT": []}}, "input.files.TEXT"),
        ({"files": {"TEXT": [10**9]}}, "input.files.TEXT"),
        ({"files": {"TEXT": "x"}}, "input.files.TEXT"),
        ({"json": {"TEXT": 3}}, "input.json.TEXT"),
        ([], "input"),
        ({"files": []}, "input.files"),
    ],
)
def test_it_refuses_an_input_that_does_not_fit(given: Any, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make_recipe(input=given)
    assert refused.value.field == field
    assert not Recipe.objects.exists()


def test_it_refuses_files_that_the_owner_cannot_read() -> None:
    stranger = make_customer_user(customer="other")
    with pytest.raises(InvalidRequest) as refused:
        make_recipe(input={"files": {"TEXT": [make_file(stranger).pk]}})
    assert refused.value.field == "input.files.TEXT"


def test_it_refuses_a_file_of_another_media_type_than_the_recipe_takes() -> None:
    takes = {"files": [{"name": "TEXT", "media_types": ["text/plain"]}]}
    recipe_type, owner = make_recipe_type(definition_of({"a": job_node()}, takes)), make_customer_user()
    image = make_file(owner, media_type="image/png")
    with pytest.raises(InvalidRequest) as refused:
        make_recipe(recipe_type, owner, input={"files": {"TEXT": [image.pk]}})
    assert refused.value.field == "input.files.TEXT"


def test_it_refuses_a_recipe_type_that_is_not_active() -> None:
    recipe_type = make_recipe_type(is_active=False)
    with pytest.raises(InvalidRequest) as refused:
        make_recipe(recipe_type)
    assert refused.value.field == "recipe_type_id"


def test_quotas_count_what_a_recipe_queues_at_once_and_nothing_is_left_behind() -> None:
    owner, recipe_type = make_customer_user(), make_recipe_type(CHAIN)
    services.set_cap(
        scope=Scope.CUSTOMER, scope_id=str(owner.user.customer_id), max_queued_jobs=1, actor=make_operator().user
    )
    first = make_recipe(recipe_type, owner)
    with pytest.raises(QuotaExceeded):
        make_recipe(recipe_type, owner)
    assert Recipe.objects.count() == 1
    end(first, "a")
    assert statuses(first)["b"] == Q


# --- Going on ------------------------------------------------------------------------------------


def test_a_chain_goes_on_job_by_job() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    end(recipe, "a")
    assert statuses(recipe) == {"a": C, "b": Q, "c": P}
    assert not Event.objects.filter(kind="recipe.completed").exists()
    end(recipe, "b")
    end(recipe, "c")
    assert statuses(recipe) == {"a": C, "b": C, "c": C}
    assert recipe.completed_at is not None
    assert Event.objects.filter(kind="recipe.completed", subject_id=recipe.pk).count() == 1


def test_a_job_takes_what_the_jobs_before_it_gave() -> None:
    recipe = make_recipe(make_recipe_type(DIAMOND))
    top = output_of(size=3000)
    end(recipe, "top", output=top)
    left = job_of(recipe, "left")
    assert left.input == {"files": {"TEXT": top["files"]["COUNTS"]}, "json": {}}
    assert (left.input_bytes, left.reason) == (3000, "")
    assert statuses(recipe) == {"top": C, "left": Q, "right": Q, "bottom": P}
    given = output_of()
    end(recipe, "left", output=given)
    assert statuses(recipe)["bottom"] == P
    end(recipe, "right", output=output_of(42))
    assert job_of(recipe, "bottom").input == {"files": {"TEXT": given["files"]["COUNTS"]}, "json": {"limit": 42}}


def test_what_a_job_needs_and_its_lane_depend_on_what_it_takes_in() -> None:
    manifest = manifest_of("hungry")
    manifest["job"]["resources"]["scalar"] = [{"name": "mem", "value": 100, "inputMultiplier": 2}]
    make_job_type("hungry", manifest=manifest)
    recipe = make_recipe(make_recipe_type(definition_of({"a": job_node(), "b": follower("a", "hungry")})))
    before = job_of(recipe, "b")
    assert before.memory_mib == 128
    Lane.objects.update(waiting=False)
    end(recipe, "a", output=output_of(size=1024 * 1024 * 1000))
    job = job_of(recipe, "b")
    assert job.memory_mib == 2100
    assert (job.lane.memory_mib, job.lane.waiting) == (4096, True)
    assert job.lane_id != before.lane_id


def test_a_job_that_is_held_while_it_waits_stays_held() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    services.hold_jobs([job_of(recipe, "b").pk], actor=None)
    end(recipe, "a")
    job = job_of(recipe, "b")
    assert (job.status, job.lane.on_hold) == (Q, True)


def test_the_scheduler_is_woken_for_what_is_queued() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    OrmQ.objects.all().delete()
    end(recipe, "a")
    assert OrmQ.objects.filter(key__startswith="pulse").exists()


def test_a_step_twice_does_nothing_more() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    end(recipe, "count", output=output_of(50))
    shown, events = statuses(recipe), Event.objects.count()
    advance_recipe(recipe.pk)
    assert statuses(recipe) == shown
    assert Event.objects.count() == events


def test_a_step_of_no_recipe_does_nothing() -> None:
    advance_recipe(10**9)


@pytest.mark.parametrize("status", [F, states.REJECTED])
def test_what_comes_after_a_failure_is_blocked(status: str) -> None:
    recipe = make_recipe(make_recipe_type(DIAMOND))
    end(recipe, "top")
    if status == F:
        end(recipe, "left", status=F)
    else:
        left = job_of(recipe, "left")
        services.move({left.pk: {}}, states.STARTING)
        services.move({left.pk: {"ended_at": timezone.now()}}, status, fields=("ended_at",))
        advance_recipe(recipe.pk)
    assert statuses(recipe) == {"top": C, "left": status, "right": Q, "bottom": B}
    assert reasons(recipe) == {"bottom": PARENT_FAILED}


def test_everything_behind_a_failure_is_blocked_and_goes_on_after_a_requeue() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    end(recipe, "a", status=F)
    assert statuses(recipe) == {"a": F, "b": B, "c": B}
    requeue(recipe, "a")
    assert statuses(recipe) == {"a": Q, "b": P, "c": P}
    assert job_of(recipe, "b").reason == ""
    end(recipe, "a")
    assert statuses(recipe) == {"a": C, "b": Q, "c": P}


def test_what_was_blocked_is_queued_at_once_when_its_turn_has_come_meanwhile() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    end(recipe, "a", status=F)
    services.requeue_jobs([job_of(recipe, "a").pk], actor=None)
    end(recipe, "a")
    assert statuses(recipe) == {"a": C, "b": Q, "c": P}


def test_a_required_input_that_is_missing_blocks_with_its_reason() -> None:
    manifest = manifest_of("maybe")
    manifest["job"]["interface"]["outputs"]["files"][0]["required"] = False
    make_job_type("maybe", manifest=manifest)
    nodes = {"a": job_node("maybe"), "b": follower("a"), "c": follower("b")}
    recipe = make_recipe(make_recipe_type(definition_of(nodes)))
    end(recipe, "a", output={"files": {}, "json": {"total": 1}})
    assert statuses(recipe) == {"a": C, "b": B, "c": B}
    assert reasons(recipe) == {"b": INPUT_MISSING, "c": PARENT_FAILED}
    advance_recipe(recipe.pk)
    assert Event.objects.filter(subject_kind="job", subject_id=job_of(recipe, "b").pk).count() == 2


def test_an_optional_input_that_is_missing_is_left_out() -> None:
    recipe = make_recipe(make_recipe_type(DIAMOND))
    end(recipe, "top")
    end(recipe, "left", "right", output=output_of(None))
    assert statuses(recipe)["bottom"] == Q
    assert job_of(recipe, "bottom").input["json"] == {}


# --- Conditions ----------------------------------------------------------------------------------


def outcomes(recipe: Recipe) -> dict[str, str]:
    return {node.name: node.outcome for node in recipe.nodes.exclude(outcome="").order_by("id")}


def test_what_a_condition_may_skip_is_not_made_before_it_has_decided() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    assert statuses(recipe) == {"count": Q}


@pytest.mark.parametrize(
    ("total", "outcome", "made"),
    [(10, "accepted", {"count": C, "long": Q, "after-long": P}), (9, "refused", {"count": C, "short": Q})],
)
def test_a_condition_decides_what_runs(total: int, outcome: str, made: dict[str, str]) -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    end(recipe, "count", output=output_of(total))
    assert outcomes(recipe) == {"many": outcome}
    assert statuses(recipe) == made


def test_a_recipe_is_completed_without_what_was_skipped() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    end(recipe, "count", output=output_of(1))
    end(recipe, "short")
    assert recipe.completed_at is not None


def test_a_condition_behind_a_failure_is_not_decided() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    end(recipe, "count", status=F)
    assert outcomes(recipe) == {}
    assert statuses(recipe) == {"count": F}
    requeue(recipe, "count")
    end(recipe, "count", output=output_of(99))
    assert statuses(recipe) == {"count": C, "long": Q, "after-long": P}


def by_file(condition: str, kind: str, *values: str, **more: Any) -> Json:
    interface = {"files": [{"name": "IN", "multiple": True}]}
    return condition_node(
        question("IN", kind, condition, *values, **more),
        needs=after("a"),
        interface=interface,
        IN=from_node("a", "COUNTS"),
    )


@pytest.mark.parametrize(
    ("condition", "made"),
    [
        (by_file("matches", "filename", "*.txt"), True),
        (by_file("matches", "filename", "*.csv"), False),
        (by_file("in", "media-type", "text/plain", "text/csv"), True),
        (by_file("==", "media-type", "image/png"), False),
    ],
)
def test_a_condition_may_ask_for_files_and_hands_them_on(condition: Json, made: bool) -> None:
    nodes = {"a": job_node(), "if": condition, "b": job_node(needs=after("if"), TEXT=from_node("if", "IN"))}
    nodes["if"]["node_type"]["interface"]["files"][0]["multiple"] = False
    recipe = make_recipe(make_recipe_type(definition_of(nodes)))
    given = output_of()
    end(recipe, "a", output=given)
    assert ("b" in statuses(recipe)) is made
    if made:
        assert job_of(recipe, "b").input["files"] == {"TEXT": given["files"]["COUNTS"]}
    else:
        assert recipe.completed_at is not None


def test_a_condition_on_what_is_missing_refuses() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    end(recipe, "count", output=output_of(None))
    assert outcomes(recipe) == {"many": "refused"}


def test_a_condition_may_ask_for_the_recipes_own_input_at_once() -> None:
    takes = {"files": [{"name": "TEXT"}], "json": [{"name": "mode", "type": "string"}]}
    condition = condition_node(
        question("mode", "string", "==", "full"),
        needs=[],
        interface={"json": [{"name": "mode", "type": "string"}]},
        mode=from_recipe("mode"),
    )
    recipe_type = make_recipe_type(definition_of({"if": condition, "a": job_node(needs=after("if"))}, takes))
    owner = make_customer_user()
    files = {"TEXT": [make_file(owner).pk]}
    assert statuses(make_recipe(recipe_type, owner, input={"files": files, "json": {"mode": "full"}})) == {"a": Q}
    other = make_recipe(recipe_type, owner, input={"files": files, "json": {"mode": "none"}})
    assert statuses(other) == {}
    assert other.completed_at is not None


# --- Recipes inside ------------------------------------------------------------------------------


def nested() -> Recipe:
    inner = make_recipe_type(CHAIN, "Inner")
    nodes = {
        "first": job_node(),
        "inner": recipe_node(inner.name, needs=after("first"), TEXT=from_node("first", "COUNTS")),
        "last": job_node(needs=after("inner")),
    }
    return make_recipe(make_recipe_type(definition_of(nodes), "Outer"))


def test_a_recipe_inside_runs_when_its_turn_comes_and_what_follows_waits_for_it() -> None:
    recipe = nested()
    assert statuses(recipe) == {"first": Q, "last": P}
    given = output_of()
    end(recipe, "first", output=given)
    inner = inside(recipe, "inner")
    assert (inner.parent, inner.owner, inner.customer) == (recipe, recipe.owner, recipe.customer)
    assert inner.input == {"files": {"TEXT": given["files"]["COUNTS"]}, "json": {}}
    advance_recipe(inner.pk)
    assert statuses(inner) == {"a": Q, "b": P, "c": P}
    end(inner, "a")
    end(inner, "b")
    advance_recipe(recipe.pk)
    assert statuses(recipe)["last"] == P
    end(inner, "c")
    advance_recipe(recipe.pk)
    assert statuses(recipe)["last"] == Q
    end(recipe, "last")
    assert recipe.completed_at is not None


def test_a_recipe_inside_wakes_the_one_around_it() -> None:
    recipe = nested()
    end(recipe, "first")
    OrmQ.objects.all().delete()
    advance_recipe(inside(recipe, "inner").pk)
    assert woken() == {recipe.pk}


def test_a_failure_inside_blocks_what_follows_until_it_is_requeued() -> None:
    recipe = nested()
    end(recipe, "first")
    inner = inside(recipe, "inner")
    advance_recipe(inner.pk)
    end(inner, "a", status=F)
    advance_recipe(recipe.pk)
    assert statuses(recipe)["last"] == B
    requeue(inner, "a")
    advance_recipe(recipe.pk)
    assert statuses(recipe)["last"] == P


# --- Waking up -----------------------------------------------------------------------------------


def test_the_end_of_a_job_wakes_its_recipe_in_the_same_transaction() -> None:
    recipe = make_recipe(make_recipe_type(CHAIN))
    OrmQ.objects.all().delete()

    def cancel_and_fail() -> None:
        services.cancel_jobs([job_of(recipe, "a").pk], actor=None)
        assert woken() == {recipe.pk}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        cancel_and_fail()
    assert woken() == set()


def test_a_recipe_whose_wake_up_was_lost_is_taken_up() -> None:
    recipe, others = make_recipe(make_recipe_type(CHAIN)), make_recipe(make_recipe_type(CHAIN))
    job = job_of(recipe, "a")
    for status in (states.STARTING, states.RUNNING):
        services.move({job.pk: {}}, status)
    services.move({job.pk: {"ended_at": timezone.now(), "output": output_of()}}, C, fields=("ended_at", "output"))
    assert recipes.advance_stuck() == 0
    Recipe.objects.update(modified_at=timezone.now() - timedelta(minutes=2))
    assert recipes.advance_stuck() == 1
    assert statuses(recipe) == {"a": C, "b": Q, "c": P}
    assert statuses(others) == {"a": Q, "b": P, "c": P}


def test_a_condition_whose_wake_up_was_lost_is_decided() -> None:
    recipe = make_recipe(make_recipe_type(FORK))
    job = job_of(recipe, "count")
    for status in (states.STARTING, states.RUNNING):
        services.move({job.pk: {}}, status)
    services.move({job.pk: {"ended_at": timezone.now(), "output": output_of(1)}}, C, fields=("ended_at", "output"))
    Recipe.objects.update(modified_at=timezone.now() - timedelta(minutes=2))
    assert recipes.advance_stuck() == 1
    assert statuses(recipe) == {"count": C, "short": Q}


def test_what_has_failed_or_was_canceled_is_not_taken_up_again_and_again() -> None:
    failed, canceled = make_recipe(make_recipe_type(CHAIN)), make_recipe(make_recipe_type(CHAIN))
    end(failed, "a", status=F)
    cancel_recipe(canceled, actor=None)
    Recipe.objects.update(modified_at=timezone.now() - timedelta(minutes=2))
    assert recipes.advance_stuck() == 0


def test_jobs_of_a_recipe_go_by_the_policies_of_their_job_types_but_for_places() -> None:
    recipe_type = make_recipe_type()
    for job_type in JobType.objects.all():
        policy = Policy(places=(Rung("local", "local"),), tries={"SYSTEM": 7})
        services.set_job_type_policy(job_type, policy, actor=make_operator().user)
    recipe = make_recipe(recipe_type)
    jobs = Job.objects.filter(recipe=recipe)
    assert jobs.exists()
    for job in jobs:
        assert (queries.policy_of(job.policy_id), job.max_tries) == (Policy(tries={"SYSTEM": 7}), 7)
