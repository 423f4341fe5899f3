"""What the jobs of a recipe would come to, without running it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from django.conf import settings

from accounts.models import User
from jobs.models import Priority
from jobs.services.dry_run import Forecast, dry_run
from jobs.services.recipe_data import JobTypes, Wiring, size_of
from jobs.services.recipes import Wish, read_wish
from jobs.services.requests import JobRequest, SeedPart
from jobs.services.where import check_place
from jobtypes.models import RecipeType
from jobtypes.recipe.definition import JobTypeRef, Node
from jobtypes.seed.allocation import allocate


def forecast_recipe(
    *,
    owner: User,
    recipe_type: RecipeType,
    customer: str = "",
    region: str = "",
    input: Any = None,
    configuration: Any = None,
    revision: int | None = None,
) -> list[tuple[str, Forecast]]:
    """A forecast for the job of each node that is one, by its name: jobs of recipes inside it are not among them.

    What a job needs for its input is known of those only that are fed by the recipe's own input. Raises what
    create_recipe would.
    """
    wish = read_wish(owner, recipe_type, revision, input, configuration)
    place = region or settings.LOCAL_REGION
    check_place("local", queue=None, command=True)
    payer = customer or (owner.customer.name if owner.customer else settings.DEFAULT_CUSTOMER)
    types = JobTypes(wish.definition)
    nodes = [node for node in wish.definition.nodes.values() if isinstance(node.what, JobTypeRef)]
    sizes = size_of(i for ids in wish.input.get("files", {}).values() for i in ids)
    requests = [_request(node, wish, types, sizes, replace(_BARE, customer=payer, region=place)) for node in nodes]
    later = {index for index, node in enumerate(nodes) if node.dependencies}
    return list(zip((node.name for node in nodes), dry_run(owner, requests, later=later), strict=True))


_BARE: Final = JobRequest(customer="", region="", classification="", command=())


def _request(node: Node, wish: Wish, types: JobTypes, sizes: Mapping[int, int], bare: JobRequest) -> JobRequest:
    """The job of a node; `bare` says who pays and where it runs."""
    assert isinstance(node.what, JobTypeRef)
    revision, manifest = types.revision(node.what), types.manifest(node.what)
    job_type = revision.job_type
    given = None if node.dependencies else Wiring(wish.definition, wish.input, {}).job_input(node, manifest)
    input_bytes = sum(sizes.get(i, 0) for ids in given.files.values() for i in ids) if given else 0
    needs = allocate(manifest, input_bytes)
    return replace(
        bare,
        classification=job_type.name,
        image=revision.docker_image,
        vcpus_milli=needs.vcpus_milli,
        memory_mib=needs.memory_mib,
        priority=wish.configuration.get("priority", job_type.configuration.get("priority", Priority.LOW)),
        timeout_seconds=manifest.timeout_seconds,
        default_tries=job_type.max_tries,
        policy=types.policy(node.what),
        seed=SeedPart(job_type_id=job_type.pk, revision_id=revision.pk, input={}, input_bytes=input_bytes),
    )
