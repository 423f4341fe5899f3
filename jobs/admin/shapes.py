"""The shapes of work that staff submit: the form of each, what it begins with, and what has to be chosen before."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from django.http import Http404, HttpRequest

from accounts.models import User
from controlplane.core.filters import read_reference
from controlplane.core.service_admin import posted
from jobs import queries
from jobs.admin.mapreduce_form import MapReduceForm, initial_mapreduce
from jobs.admin.recipe_form import RecipeForm, initial_recipe
from jobs.admin.seed_form import SeedForm, initial_seed
from jobs.admin.shape_forms import ContainerForm, InstanceForm, ShapeForm
from jobs.models import Job, Recipe, Shape
from jobs.policy import Policy
from jobs.services import ANYWHERE
from jobtypes.models import JobType, RecipeType
from jobtypes.queries import DOCUMENTS
from jobtypes.seed.manifest import read_manifest

EARLIER: Final = "from"  # the parameter that names what the form is filled from
CHOICES_SHOWN: Final = 50


@dataclass(frozen=True)
class ShapePage:
    """One shape.

    `form(request, user, chosen, earlier)`: `earlier` is what it is filled from, which `of` finds by its id; `chosen`
    the type that it is of, which `chosen(request, earlier)` finds, where there are `choices(start of a name)`.
    """

    name: str
    title: str
    about: str
    form: Callable[[HttpRequest, User, Any, Any], ShapeForm]
    of: Callable[[int], Any]
    parameter: str = ""
    choices: Callable[[str], list[tuple[str, str, int]]] | None = None
    chosen: Callable[[HttpRequest, Any], Any] | None = None


def earlier_of(request: HttpRequest, page: ShapePage) -> Any:
    """What the form is to be filled from, if the address names anything. Raises Http404."""
    given = request.GET.get(EARLIER, "")
    if not given:
        return None
    found = page.of(int(given)) if given.isascii() and given.isdigit() and len(given) < 19 else None
    if found is None:
        raise Http404
    return found


def notes_of(earlier: Any, reader: User) -> list[str]:
    """What of an earlier job has to be typed again."""
    if not isinstance(earlier, Job):
        return []
    notes = []
    if earlier.secret_env:
        notes.append(f"Secret values are not filled in: type those of {', '.join(earlier.secret_env)} again.")
    if earlier.user_data:
        notes.append("What it boots with is secret and not filled in: type it again.")
    if earlier.shape == Shape.MAPREDUCE and earlier.mapreduce.had_credentials:
        notes.append("The credentials of its stores are not filled in: type them again.")
    if earlier.shape in (Shape.CONTAINER, Shape.INSTANCE):
        _, left_out = _plain(earlier, reader)
        if left_out:
            notes.append(f"These variables cannot be filled in: {', '.join(left_out)}.")
    return notes


# --- What a form begins with -------------------------------------------------------------------------


def _asked_of(job: Job) -> dict[str, Any]:
    policy = queries.policy_of(job.policy_id)
    cloud, region, capacity = job.place.cloud, job.place.region, job.capacity
    if policy is not None and policy.is_chosen:
        policy, cloud, region, capacity = _without_places(policy), ANYWHERE, "", ""
    elif policy is not None and policy.places:
        region, capacity = "", ""
    return {
        "customer": job.customer.name,
        "classification": job.classification,
        "cloud": cloud,
        "region": region,
        "capacity": capacity,
        "vcpus": Decimal(job.vcpus_milli) / 1000,
        "memory_mib": job.memory_mib,
        "priority": job.priority,
        "queue": job.queue,
        "timeout_seconds": job.timeout_seconds,
        "max_tries": job.tries_granted,
        "tags": job.tags or None,
        "policy": policy.document() if policy and policy != Policy() else None,
    }


def _without_places(policy: Policy) -> Policy:
    return Policy(
        tries=policy.tries,
        backoff_seconds=policy.backoff_seconds,
        max_backoff_seconds=policy.max_backoff_seconds,
        max_cost=policy.max_cost,
    )


def _plain(job: Job, reader: User) -> tuple[dict[str, str], list[str]]:
    """The variables of its environment that are not secret and fit into a line each, and the names of the others."""
    known = queries.environment(job, reader)
    plain = {name: value for name, value in known.items() if name not in job.secret_env}
    long = [name for name, value in plain.items() if name == queries.UNREADABLE or len(value.splitlines()) > 1]
    return {name: value for name, value in plain.items() if name not in long}, long


def _environment(job: Job, reader: User) -> dict[str, str]:
    lines = [f"{name}={value}" for name, value in _plain(job, reader)[0].items()]
    return {"env": "\n".join(lines), "secret_env": "\n".join(f"{name}=" for name in job.secret_env)}


def _container(request: HttpRequest, user: User, chosen: Any, earlier: Job | None) -> ShapeForm:
    initial: dict[str, Any] = {}
    if earlier is not None:
        command = shlex.join(str(word) for word in earlier.command)
        initial = {**_asked_of(earlier), **_environment(earlier, user), "image": earlier.image, "command": command}
    return ContainerForm(posted(request), actor=user, initial=initial)


def _instance(request: HttpRequest, user: User, chosen: Any, earlier: Job | None) -> ShapeForm:
    initial: dict[str, Any] = {}
    if earlier is not None:
        initial = {**_asked_of(earlier), **_environment(earlier, user), "machine_image": earlier.image}
    return InstanceForm(posted(request), actor=user, initial=initial)


def _seed(request: HttpRequest, user: User, chosen: JobType, earlier: Job | None) -> ShapeForm:
    initial: dict[str, Any] = {}
    if earlier is not None:
        initial = {**_asked_of(earlier), **initial_seed(earlier, read_manifest(chosen.manifest))}
    return SeedForm(posted(request), actor=user, job_type=chosen, initial=initial)


def _mapreduce(request: HttpRequest, user: User, chosen: Any, earlier: Job | None) -> ShapeForm:
    initial = {**_asked_of(earlier), **initial_mapreduce(earlier)} if earlier is not None else {}
    return MapReduceForm(posted(request), actor=user, initial=initial)


def _recipe(request: HttpRequest, user: User, chosen: RecipeType, earlier: Recipe | None) -> ShapeForm:
    initial = initial_recipe(earlier) if earlier is not None else {}
    return RecipeForm(posted(request), actor=user, recipe_type=chosen, initial=initial)


# --- What has to be chosen before --------------------------------------------------------------------


def _job_of(shape: str) -> Callable[[int], Job | None]:
    def find(pk: int) -> Job | None:
        around = ("customer", "place", "owner", "job_type", "mapreduce")
        return Job.objects.select_related(*around).filter(pk=pk, shape=shape, parent=None).first()

    return find


def _recipe_of(pk: int) -> Recipe | None:
    return Recipe.objects.select_related("customer", "place", "recipe_type").filter(pk=pk).first()


def _named(request: HttpRequest, parameter: str) -> int | None:
    try:
        key = read_reference(request.GET.get(parameter, ""))
    except ValueError:
        return None
    return key if isinstance(key, int) else None


def _job_type(request: HttpRequest, earlier: Job | None) -> JobType | None:
    if earlier is not None:
        return earlier.job_type
    pk = _named(request, "job_type")
    return None if pk is None else JobType.objects.filter(pk=pk).first()


def _recipe_type(request: HttpRequest, earlier: Recipe | None) -> RecipeType | None:
    if earlier is not None:
        return earlier.recipe_type
    pk = _named(request, "recipe_type")
    return None if pk is None else RecipeType.objects.filter(pk=pk).first()


def _job_types(start: str) -> list[tuple[str, str, int]]:
    rows = JobType.objects.filter(is_active=True, name__startswith=start).defer(*DOCUMENTS)
    found = rows.order_by("name", "-version_key", "-pk")[: CHOICES_SHOWN + 1]
    return [(f"{each.name} {each.version}", each.title, each.pk) for each in found]


def _recipe_types(start: str) -> list[tuple[str, str, int]]:
    rows = RecipeType.objects.filter(is_active=True, name__startswith=start).defer("definition")
    return [(each.name, each.title, each.pk) for each in rows.order_by("name")[: CHOICES_SHOWN + 1]]


PAGES: Final[dict[str, ShapePage]] = {
    page.name: page
    for page in (
        ShapePage(
            Shape.CONTAINER.value,
            "Container",
            "A command, in an image or as it is; on this machine or on a cloud.",
            _container,
            _job_of(Shape.CONTAINER),
        ),
        ShapePage(
            Shape.INSTANCE.value,
            "Instance",
            "A whole machine of a cloud, from a machine image, with what it boots with.",
            _instance,
            _job_of(Shape.INSTANCE),
        ),
        ShapePage(
            Shape.SEED.value,
            "Seed job",
            "A job of a registered job type: it asks for the files and values that its manifest names.",
            _seed,
            _job_of(Shape.SEED),
            "job_type",
            _job_types,
            _job_type,
        ),
        ShapePage(
            Shape.MAPREDUCE.value,
            "MapReduce",
            "A mapper and a reducer that are artifacts, over the objects of a store.",
            _mapreduce,
            _job_of(Shape.MAPREDUCE),
        ),
        ShapePage(
            "recipe",
            "Recipe",
            "A chain of jobs: a run of a registered recipe type.",
            _recipe,
            _recipe_of,
            "recipe_type",
            _recipe_types,
            _recipe_type,
        ),
    )
}
