"""A recipe as it really runs: claimed, brought, started, ended and carried away by the scheduler's own steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django_q.models import OrmQ

from jobs import states, tasks
from jobs.models import File, Job, Recipe
from jobs.services.recipes import create_recipe
from tests.recipes import FORK, job_of, make_counter, make_recipe_type, statuses
from tests.seeds import Scene, write_output

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene(tmp_path: Path, settings: Any) -> Scene:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    settings.LOCAL_ROOT = tmp_path / "local"
    return Scene(tmp_path / "workspace")


def wake_up() -> None:
    """Run the tasks that wait for recipes, as a worker would."""
    for each in OrmQ.objects.exclude(key__startswith="pulse").order_by("id"):
        task = each.task
        if task["func"] == "jobs.tasks.advance_recipe":
            tasks.advance_recipe(**task["kwargs"])
        each.delete()


def run(scene: Scene, job: Job, **output: Any) -> None:
    write_output(scene.start(job), **output)
    scene.end(job)
    assert job.status == states.COMPLETED
    wake_up()


def test_outputs_become_inputs_and_a_condition_decides_by_what_was_put_out(scene: Scene) -> None:
    make_counter()
    recipe_type, text = make_recipe_type(FORK), scene.file()
    recipe = create_recipe(owner=scene.owner.user, recipe_type=recipe_type, input={"files": {"TEXT": [text.pk]}})
    run(scene, job_of(recipe, "count"), counts="many\t50\n", total=50)
    made = File.objects.get(job=job_of(recipe, "count"))
    long = job_of(recipe, "long")
    assert (long.status, long.input) == (states.QUEUED, {"files": {"TEXT": [made.pk]}, "json": {}})
    assert long.input_bytes == made.size == len("many\t50\n")
    run(scene, long)
    run(scene, job_of(recipe, "after-long"))
    assert set(statuses(recipe).values()) == {states.COMPLETED}
    assert Recipe.objects.get().completed_at is not None


def test_a_job_that_fails_blocks_what_follows(scene: Scene) -> None:
    make_counter()
    recipe_type, text = make_recipe_type(FORK), scene.file()
    recipe = create_recipe(owner=scene.owner.user, recipe_type=recipe_type, input={"files": {"TEXT": [text.pk]}})
    run(scene, job_of(recipe, "count"), total=50)
    job = job_of(recipe, "long")
    scene.start(job)
    scene.end(job, exit_code=3)
    wake_up()
    assert statuses(recipe) == {"count": "COMPLETED", "long": "FAILED", "after-long": "BLOCKED"}
