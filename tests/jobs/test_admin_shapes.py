"""Submitting Seed jobs, MapReduce jobs and recipes in the admin: forms of what types ask for, and the API's same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from controlplane.core.encryption import decrypt
from jobs import services
from jobs.models import Job, Recipe, Scope
from jobs.queries.mapreduce import spec_of
from jobtypes.models import JobType, RecipeType
from jobtypes.services import edit_job_type
from tests.browsers import browser, somebody
from tests.factories import make_operator, make_place
from tests.jobs.test_admin_submitting import SHAPES, alike, fields_of, shown_json, text_of
from tests.mapreduce import folder, make_mapreduce, program, write_input
from tests.query_budget import within_budget
from tests.recipes import FORK, make_counter, make_file, make_recipe, make_recipe_type
from tests.seeds import Scene

pytestmark = pytest.mark.django_db
SEED, MAPREDUCE, RECIPE = f"{SHAPES}seed/", f"{SHAPES}mapreduce/", f"{SHAPES}recipe/"
INPUTS: dict[str, Any] = {
    "files": [{"name": "TEXT", "mediaTypes": ["text/plain"]}, {"name": "MORE", "multiple": True, "required": False}],
    "json": [
        {"name": "limit", "type": "integer", "required": False},
        {"name": "words", "type": "array", "required": False},
        {"name": "title", "type": "string", "required": False},
    ],
}
SETTINGS = [{"name": "LANGUAGE"}, {"name": "API_KEY", "secret": True}]


@pytest.fixture
def scene(tmp_path: Path, settings: Any) -> Scene:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    return Scene(tmp_path / "results")


@pytest.fixture
def job_type(scene: Scene) -> JobType:
    return scene.job_type({"settings": {"LANGUAGE": "en", "API_KEY": "kept"}}, inputs=INPUTS, settings=SETTINGS)


def page_of(job_type: JobType) -> str:
    return f"{SEED}?job_type={job_type.pk}"


def errors_of(page: str, wish: Any) -> Any:
    answer = browser("operator").post(page, wish)
    assert answer.status_code == 200
    return answer.context["form"].errors


# --- Seed jobs ---------------------------------------------------------------------------------------


def test_a_job_type_is_chosen_first(job_type: JobType, scene: Scene) -> None:
    assert f'href="{page_of(job_type)}">count-words 1.0.0' in text_of(browser("operator").get(SEED))
    assert page_of(job_type) not in text_of(browser("operator").get(f"{SEED}?q=other"))
    its_page = reverse("admin:jobtypes_jobtype_change", args=[job_type.pk])
    assert page_of(job_type) in text_of(browser("operator").get(its_page))
    assert page_of(job_type) not in text_of(browser("monitor").get(its_page))
    edit_job_type(job_type, actor=None, is_active=False)
    assert page_of(job_type) not in text_of(browser("operator").get(SEED))
    assert page_of(job_type) not in text_of(browser("operator").get(its_page))
    for wrong in ("0", "x", "99999999999999999999"):
        assert browser("operator").get(f"{SEED}?job_type={wrong}").status_code == 404


def test_its_form_has_a_field_for_each_input_and_setting(job_type: JobType) -> None:
    client = browser("operator")
    with within_budget("admin: form of a Seed job"):
        form = client.get(page_of(job_type)).context["form"]
    names = ("TEXT", "MORE")
    assert [form.fields[f"input.files.{name}"].required for name in names] == [True, False]
    assert "text/plain" in form.fields["input.files.TEXT"].help_text
    assert (form["setting:LANGUAGE"].value(), form["setting:API_KEY"].value()) == ("en", None)
    assert form["default_workspace"].value() == "results"
    assert not form.opens_further()
    assert browser("operator").post(page_of(job_type), {"priority": "7"}).context["form"].opens_further()


def test_the_api_makes_the_same_seed_job(job_type: JobType, scene: Scene) -> None:
    make_place()
    first, second = scene.file(), scene.file("b.txt")
    wish = fields_of(page_of(job_type)) | {
        "customer": "acme", "input.files.TEXT": "b.txt", "input.files.MORE": f"{first.pk}, {second.pk}\r\nb.txt",
        "input.json.limit": "3", "input.json.words": "[]", "input.json.title": "a b", "setting:LANGUAGE": "de",
        "setting:API_KEY": "sesame", "priority": "7", "tags": '{"a": 1}',
    }  # fmt: skip
    body = shown_json(page_of(job_type), wish)
    assert body["input"] == {
        "files": {"TEXT": [second.pk], "MORE": [first.pk, second.pk]},
        "json": {"limit": 3, "words": [], "title": "a b"},
    }
    assert body["configuration"] == {"settings": {"LANGUAGE": "de", "API_KEY": "…"}}
    assert browser("operator").post(page_of(job_type), wish).status_code == 302
    ours = Job.objects.get()
    assert (ours.shape, ours.owner, decrypt(ours.env)) == ("seed", somebody("operator"), {"API_KEY": "sesame"})
    body["configuration"]["settings"]["API_KEY"] = "sesame"
    answer = make_operator().post("/v6/jobs/", body)
    assert answer.status_code == 201, answer.content
    assert alike(Job.objects.get(pk=answer.json()["id"])) == alike(ours)


def test_what_is_not_changed_stays_the_job_types(job_type: JobType, scene: Scene) -> None:
    make_place()
    wish = fields_of(page_of(job_type)) | {"input.files.TEXT": str(scene.file().pk)}
    text = text_of(browser("operator").post(page_of(job_type), {**wish, "check": "1"}))
    assert "It would be taken as it is." in text
    assert not Job.objects.exists()
    browser("operator").post(page_of(job_type), wish)
    job = Job.objects.get()
    assert (job.configuration, job.env, job.customer.name, job.classification) == (None, "", "default", "count-words")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("input.files.TEXT", "", "required"),
        ("input.files.TEXT", "nothing.txt", "There is no file called nothing.txt."),
        ("input.files.TEXT", "999999", "There is no file 999999"),
        ("input.files.TEXT", "twice.txt", "Several files are called twice.txt"),
        ("input.files.TEXT", "b.txt\nc.txt", "takes one file"),
        ("input.json.limit", "many", "JSON"),
        ("input.json.limit", '"3"', "of type integer"),
        ("input.json.words", '["\\u0000"]', "NUL"),
        ("default_workspace", "nowhere", None),
        ("queue", "nowhere", "one of"),
        ("region", "nowhere", "no region"),
    ],
)
def test_what_a_seed_job_is_refused_for_is_told_at_its_field(
    job_type: JobType, scene: Scene, field: str, value: str, said: str | None
) -> None:
    make_place()
    wish = fields_of(page_of(job_type)) | {"input.files.TEXT": str(scene.file().pk)}
    scene.file("b.txt")
    scene.file("c.txt")
    for place in ("x", "y"):
        file = scene.file(f"{place}.txt")
        file.name = "twice.txt"
        file.save()
    errors = errors_of(page_of(job_type), {**wish, field: value})
    assert (said or "no workspace") in str(errors[field if said else "__all__"])
    assert not Job.objects.exists()


def test_a_seed_job_is_submitted_again_with_changes(job_type: JobType, scene: Scene) -> None:
    make_place()
    wish = {"settings": {"LANGUAGE": "de", "API_KEY": "sesame"}}
    given = {"files": {"TEXT": [scene.file().pk]}, "json": {"limit": 3, "title": "3"}}
    old = scene.submit(job_type, given, configuration=wish)
    page = f"{SEED}?from={old.pk}"
    assert "type those of API_KEY again" in text_of(browser("operator").get(page))
    fields = fields_of(page)
    assert fields["setting:API_KEY"] == ""
    browser("operator").post(page, {**fields, "setting:API_KEY": "other", "input.json.limit": "4"})
    new = Job.objects.latest("pk")
    assert (new.retry_of, new.configuration, new.job_type) == (old, old.configuration, old.job_type)
    assert (new.input["files"], new.input["json"]) == (old.input["files"], {"limit": 4, "title": "3"})
    assert decrypt(new.env) == {"API_KEY": "other"}


# --- MapReduce ---------------------------------------------------------------------------------------


def wanted(**more: Any) -> dict[str, Any]:
    """What is typed for a MapReduce job of the operator's programs."""
    operator = make_operator()
    for name in ("cat", "sum"):
        program(operator, name)
    typed = {"mapper": "cat", "reducer": "sum", "input": write_input(), "output": f"file://{folder()}"}
    return {"customer": "acme", "cloud": "local", "reducers": "2", **typed, **more}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"mapper_version": "1", "mapper_arguments": "-n '1 2'", "combiner": "sum", "protocol": "streaming"},
        {"split_bytes": "7", "max_parallel": "3", "vcpus": "0.25", "memory_mib": "300", "tags": '{"a": 1}'},
    ],
)
def test_the_api_makes_the_same_mapreduce_job(more: Any) -> None:
    make_place()
    wish = wanted(**more)
    body = shown_json(MAPREDUCE, wish)
    assert not Job.objects.exists()
    assert browser("operator").post(MAPREDUCE, wish).status_code == 302
    ours = Job.objects.get()
    answer = make_operator().post("/v6/jobs/", body)
    assert answer.status_code == 201, answer.content
    theirs = Job.objects.get(pk=answer.json()["id"])
    assert alike(ours) == alike(theirs)
    same = ("mapper", "reducer", "combiner", "arguments", "protocol", "inputs", "output", "reducers", "split_bytes")
    for name in (*same, "max_parallel"):
        assert getattr(spec_of(ours), name) == getattr(spec_of(theirs), name)


def test_credentials_of_a_mapreduce_job_are_left_out_of_what_is_copied() -> None:
    make_place()
    wish = wanted(input_username="ada", input_password="sesame")
    body = shown_json(MAPREDUCE, wish)
    assert body["mapreduce"]["input_credentials"] == {"username": "ada", "password": "…"}
    browser("operator").post(MAPREDUCE, wish)
    job = Job.objects.get()
    assert decrypt(spec_of(job).credentials) == {"input.username": "ada", "input.password": "sesame"}
    page = text_of(browser("operator").get(f"{MAPREDUCE}?from={job.pk}"))
    assert "credentials of its stores are not filled in" in page
    assert "sesame" not in page


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mapper", ""), ("mapper", "nothing"), ("mapper_version", "9"), ("reducer_arguments", "'"),
        ("input", "nowhere"),
        ("output", "nowhere"), ("reducers", "0"), ("programs_of", "acme"), ("input_password", "x"), ("region", "moon"),
        ("queue", "nowhere"), ("cloud", "aws"),
    ],
)  # fmt: skip
def test_what_a_mapreduce_job_is_refused_for_is_told_at_its_field(field: str, value: str) -> None:
    make_place()
    told = {"mapper_version": "mapper", "programs_of": "mapper", "input_password": "input_username"}
    wish = wanted(**{field: value})
    assert {told.get(field, field), "region"} & set(errors_of(MAPREDUCE, wish))
    assert not Job.objects.exists()


def test_a_mapreduce_job_is_submitted_again_with_changes() -> None:
    make_place()
    old = make_mapreduce(reducers=2, arguments={"mapper": ["-n", "1 2"]}, max_parallel=3)
    page = f"{MAPREDUCE}?from={old.pk}"
    fields = fields_of(page)
    assert fields["programs_of"] == "acme"
    browser("operator").post(page, {**fields, "reducers": "3"})
    new = Job.objects.filter(retry_of=old).get()
    assert new.owner == somebody("operator")
    assert alike(new) == {**alike(old), "input_bytes": None}
    before, after = spec_of(old), spec_of(new)
    assert (before.reducers, after.reducers) == (2, 3)
    for name in ("mapper", "reducer", "arguments", "inputs", "output", "split_bytes", "max_parallel", "protocol"):
        assert getattr(before, name) == getattr(after, name)


# --- Recipes -----------------------------------------------------------------------------------------


@pytest.fixture
def recipe_type() -> RecipeType:
    make_counter()
    return make_recipe_type(FORK)


def test_a_recipe_type_is_chosen_first(recipe_type: RecipeType) -> None:
    page = f"{RECIPE}?recipe_type={recipe_type.pk}"
    assert f'href="{page}">{recipe_type.name}' in text_of(browser("operator").get(RECIPE))
    its_page = reverse("admin:jobtypes_recipetype_change", args=[recipe_type.pk])
    assert page in text_of(browser("operator").get(its_page))
    assert page not in text_of(browser("monitor").get(its_page))


def test_the_api_makes_the_same_recipe(recipe_type: RecipeType) -> None:
    make_place()
    file = make_file()
    page = f"{RECIPE}?recipe_type={recipe_type.pk}"
    wish = {"customer": "acme", "input.files.TEXT": str(file.pk), "priority": "7"}
    body = shown_json(page, wish)
    assert not Recipe.objects.exists()
    assert not Job.objects.exists()
    assert browser("operator").post(page, wish).status_code == 302
    answer = make_operator().post("/v6/recipes/", body)
    assert answer.status_code == 201, answer.content
    ours, theirs = Recipe.objects.order_by("pk")
    for name in ("recipe_type", "revision", "customer", "place", "input", "configuration"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.owner == somebody("operator")


def test_a_recipe_is_forecast_node_by_node_and_by_the_quota_of_those_that_start_at_once(
    recipe_type: RecipeType,
) -> None:
    make_place()
    page = f"{RECIPE}?recipe_type={recipe_type.pk}"
    wish = {"customer": "acme", "input.files.TEXT": str(make_file().pk), "check": "1"}
    client = browser("operator")
    with within_budget("admin: check of a recipe"):
        text = text_of(client.post(page, wish))
    nodes = [name for name, node in recipe_type.definition["nodes"].items() if node["node_type"]["node_type"] == "job"]
    assert all(f"<td>{name}</td>" in text for name in nodes)
    at_once = sum(not recipe_type.definition["nodes"][name]["dependencies"] for name in nodes)
    assert 0 < at_once < len(nodes)
    services.set_cap(scope=Scope.ALL, scope_id="", max_queued_jobs=at_once, actor=None)
    assert "It would be taken as it is." in text_of(client.post(page, wish))
    services.set_cap(scope=Scope.ALL, scope_id="", max_queued_jobs=0, actor=None)
    assert "The quota" in text_of(client.post(page, wish))
    assert not Job.objects.exists()


def test_a_recipe_is_run_again_with_changes(recipe_type: RecipeType) -> None:
    make_place()
    old = make_recipe(recipe_type, configuration={"priority": 3})
    page = f"{RECIPE}?from={old.pk}"
    assert page in text_of(browser("operator").get(reverse("admin:jobs_recipe_change", args=[old.pk])))
    browser("operator").post(page, {**fields_of(page), "priority": "4"})
    new = Recipe.objects.latest("pk")
    assert (new.input, new.customer, new.configuration) == (old.input, old.customer, {"priority": 4})
    assert errors_of(page, {**fields_of(page), "input.files.TEXT": ""})["input.files.TEXT"]
