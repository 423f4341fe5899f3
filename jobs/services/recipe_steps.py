"""One step of a recipe: what can be made is made, what can run is queued, what cannot is blocked.

Safe to take at any time and any number of times: it looks at how the nodes stand and does what is missing, under
the lock of the recipe's row. `jobtypes.recipe.walk` decides, this carries it out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.utils import timezone

from accounts import events
from controlplane.core import sets
from controlplane.core.bells import ring
from controlplane.core.enqueue import enqueue
from jobs import sql, states
from jobs.models import Job, Lane, Outcome, Priority, Recipe, RecipeNode
from jobs.queries.recipes import INPUT_MISSING, PARENT_FAILED
from jobs.services.move import ADVANCE_RECIPE, move
from jobs.services.places import lane_id
from jobs.services.recipe_data import JobTypes, Wiring, size_of
from jobs.services.requests import JobRequest, SeedPart
from jobs.services.submit import submit_jobs
from jobtypes.queries.recipe_types import recipe_revisions_named
from jobtypes.recipe.definition import JobTypeRef, Node, RecipeTypeRef, parse
from jobtypes.recipe.interfaces import Interface
from jobtypes.recipe.walk import Standing, Walked, walk
from jobtypes.seed.allocation import Allocation, allocate
from jobtypes.seed.inputs import JobInput

_REASONS: Final = {Standing.STUCK: PARENT_FAILED, Standing.UNFED: INPUT_MISSING}
_WAITS: Final = (states.PENDING, states.BLOCKED)
_ENDED_BADLY: Final = (states.FAILED, states.CANCELED, states.REJECTED)
_QUEUED_WITH: Final = ("input", "input_bytes", "vcpus_milli", "memory_mib", "lane", "queued_at", "reason")


@dataclass(frozen=True, slots=True)
class Fed:
    """What a job takes in, and what it needs for that."""

    input: JobInput
    input_bytes: int
    needs: Allocation


class Step:
    """A recipe whose row the caller has locked, and all that is known of it now."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.definition = parse(recipe.revision.definition)
        self.types = JobTypes(self.definition)
        self.nodes = {node.name: node for node in recipe.nodes.all()}
        jobs = _jobs_of(recipe) if self.nodes else {}
        self.jobs = {name: jobs[node.job_id] for name, node in self.nodes.items() if node.job_id is not None}
        outputs = {name: job.output for name, job in self.jobs.items() if job.output}
        self.wiring = Wiring(self.definition, recipe.input, outputs)
        self.inputs: dict[str, JobInput] = {}
        self._before: dict[str, int] | None = None
        self._lanes: dict[tuple[Any, ...], int] = {}

    def take(self, *, bounded: bool = False) -> bool:
        """Do what can be done now. `bounded`: jobs that are queued at once count against quotas, as in a submit.

        Returns whether anything was done. Raises QuotaExceeded.
        """
        walked = walk(
            self.definition, self._standings(), self._outcomes(), decide=self.wiring.is_accepted, is_fed=self._is_fed
        )
        fed = self._fed(name for name, standing in walked.jobs.items() if standing is Standing.READY)
        made = self._make(walked, fed if bounded else {})
        moved = self._move(walked, fed)
        if walked.finished:
            self._finish()
        return bool(made or moved or walked.finished)

    # --- How it stands ---------------------------------------------------------------------------

    def _standings(self) -> dict[str, Standing]:
        found = {name: _standing(job) for name, job in self.jobs.items() if job.status not in _WAITS}
        inside = {name: node.sub_recipe_id for name, node in self.nodes.items() if node.sub_recipe_id is not None}
        standings = standings_of(inside.values())
        return found | {name: standings[recipe_id] for name, recipe_id in inside.items()}

    def _outcomes(self) -> dict[str, bool]:
        return {name: node.outcome == Outcome.ACCEPTED for name, node in self.nodes.items() if node.outcome}

    def _is_fed(self, node: Node) -> bool:
        assert isinstance(node.what, JobTypeRef)
        found = self.wiring.job_input(node, self.types.manifest(node.what))
        if found is not None:
            self.inputs[node.name] = found
        return found is not None

    def _fed(self, names: Iterable[str]) -> dict[str, Fed]:
        inputs = {name: self.inputs[name] for name in names}
        sizes = size_of(i for each in inputs.values() for ids in each.files.values() for i in ids)
        found = {}
        for name, each in inputs.items():
            size = sum(sizes.get(i, 0) for ids in each.files.values() for i in ids)
            found[name] = Fed(each, size, allocate(self.types.manifest(self._type(name)), size))
        return found

    def _type(self, name: str) -> JobTypeRef:
        what = self.definition.nodes[name].what
        assert isinstance(what, JobTypeRef)
        return what

    # --- What is made ----------------------------------------------------------------------------

    def _make(self, walked: Walked, at_once: Mapping[str, Fed]) -> list[RecipeNode]:
        """Make the nodes whose turn it is: the jobs in `at_once` QUEUED, others PENDING. Returns what was made."""
        rows = [
            RecipeNode(recipe=self.recipe, name=name, outcome=Outcome.ACCEPTED if accepted else Outcome.REFUSED)
            for name, accepted in walked.outcomes.items()
        ]
        names = [name for name in walked.jobs if name not in self.jobs]
        queued = [name for name in names if name in at_once]
        pending = [name for name in names if name not in at_once]
        for chosen, status in ((queued, states.QUEUED), (pending, states.PENDING)):
            requests = [self._request(name, at_once.get(name)) for name in chosen]
            made = submit_jobs(owner=self.recipe.owner, requests=requests, status=status)
            rows += [
                RecipeNode(recipe=self.recipe, name=name, job_id=job.id) for name, job in zip(chosen, made, strict=True)
            ]
        rows += self._make_recipes(walked.recipes)
        for row in RecipeNode.objects.bulk_create(rows):
            self.nodes[row.name] = row
        if names:
            jobs = _jobs_of(self.recipe)
            self.jobs |= {name: jobs[self.nodes[name].job_id or 0] for name in names}
        return rows

    def _request(self, name: str, fed: Fed | None) -> JobRequest:
        ref = self._type(name)
        revision, manifest = self.types.revision(ref), self.types.manifest(ref)
        needs = fed.needs if fed else allocate(manifest, 0)
        recipe, job_type = self.recipe, revision.job_type
        priority = recipe.configuration.get("priority", job_type.configuration.get("priority", Priority.LOW))
        return JobRequest(
            customer=recipe.customer.name,
            cloud=recipe.place.cloud,
            region=recipe.place.region,
            classification=job_type.name,
            command=(),
            image=revision.docker_image,
            vcpus_milli=needs.vcpus_milli,
            memory_mib=needs.memory_mib,
            priority=priority,
            timeout_seconds=manifest.timeout_seconds,
            default_tries=job_type.max_tries,
            policy=self.types.policy(ref),
            seed=SeedPart(
                job_type_id=job_type.pk,
                revision_id=revision.pk,
                input=fed.input.document() if fed else JobInput({}, {}).document(),
                input_bytes=fed.input_bytes if fed else 0,
                recipe_id=recipe.pk,
                supersedes=self._superseded(name),
            ),
        )

    def _superseded(self, name: str) -> int | None:
        """The id of the job that this node had in the recipe before."""
        if self.recipe.supersedes_id is None:
            return None
        if self._before is None:
            nodes = RecipeNode.objects.filter(recipe_id=self.recipe.supersedes_id, job__isnull=False)
            self._before = dict(nodes.values_list("name", "job_id"))
        return self._before.get(name)

    def _make_recipes(self, names: Iterable[str]) -> list[RecipeNode]:
        """Recipes inside this one; each takes its first step in a task of its own."""
        refs = {name: self.definition.nodes[name].what for name in names}
        revisions = recipe_revisions_named({ref for ref in refs.values() if isinstance(ref, RecipeTypeRef)})
        made = []
        for name, ref in refs.items():
            assert isinstance(ref, RecipeTypeRef)
            revision = revisions[ref]
            interface: Interface = parse(revision.definition).input
            recipe = Recipe.objects.create(
                recipe_type=revision.recipe_type,
                revision=revision,
                owner=self.recipe.owner,
                customer=self.recipe.customer,
                place=self.recipe.place,
                parent=self.recipe,
                input=self.wiring.document(self.definition.nodes[name], interface),
                configuration=self.recipe.configuration,
            )
            tell_of(recipe, "recipe.created", None, {"parent": str(self.recipe.uuid)})
            enqueue(ADVANCE_RECIPE, recipe_id=recipe.pk)
            made.append(RecipeNode(recipe=self.recipe, name=name, sub_recipe=recipe))
        return made

    # --- What moves ------------------------------------------------------------------------------

    def _move(self, walked: Walked, fed: Mapping[str, Fed]) -> list[int]:
        """Bring the jobs that wait to where they belong. Returns the ids of those that moved."""
        freed: dict[int, dict[str, Any]] = {}
        blocked: dict[int, dict[str, Any]] = {}
        queued: dict[int, dict[str, Any]] = {}
        for name, standing in walked.jobs.items():
            job, reason = self.jobs[name], _REASONS.get(standing, "")
            is_blocked = job.status == states.BLOCKED
            if is_blocked and job.reason != reason:
                freed[job.pk] = {"reason": ""}
            if reason and not (is_blocked and job.reason == reason):
                blocked[job.pk] = {"reason": reason}
            if standing is Standing.READY and job.status in _WAITS:
                queued[job.pk] = self._queued(job, fed[name])
        moved = move(freed, states.PENDING, fields=("reason",))
        moved += move(blocked, states.BLOCKED, fields=("reason",))
        done = move(queued, states.QUEUED, fields=_QUEUED_WITH)
        if done:
            lanes = {queued[job_id]["lane"] for job_id in done}
            Lane.objects.filter(sets.among("id", list(lanes), Lane), waiting=False).update(waiting=True)
            ring({sql.pulse_queue(self.recipe.place.cloud, self.recipe.place.region)})
        return [*moved, *done]

    def _queued(self, job: Job, fed: Fed) -> dict[str, Any]:
        """The columns of a job whose turn has come. What it needs may depend on its input, and its lane on that."""
        return {
            "input": fed.input.document(),
            "input_bytes": fed.input_bytes,
            "vcpus_milli": fed.needs.vcpus_milli,
            "memory_mib": fed.needs.memory_mib,
            "lane": self._lane(job, fed.needs),
            "queued_at": timezone.now(),
            "reason": "",
        }

    def _lane(self, job: Job, needs: Allocation) -> int:
        """Looked up once for all jobs of a step that are alike."""
        like = (job.lane.queue, needs.vcpus_milli, needs.memory_mib, job.job_type_id)
        key = (*like, job.lane.on_hold)
        if key not in self._lanes:
            recipe = self.recipe
            self._lanes[key] = lane_id(
                recipe.place_id, recipe.customer_id, recipe.owner_id, *like, on_hold=job.lane.on_hold
            )
        return self._lanes[key]

    def _finish(self) -> None:
        self.recipe.completed_at = timezone.now()
        self.recipe.save(update_fields=["completed_at"])
        tell_of(self.recipe, "recipe.completed", None, {})


def standings_of(recipe_ids: Iterable[int]) -> dict[int, Standing]:
    """How recipes stand: stuck when anything in them, at any depth, has ended badly, is blocked or was canceled."""
    top = list(recipe_ids)
    rows = {row.pk: row for row in Recipe.objects.filter(pk__in=top).only("completed_at", "canceled_at")}
    owners = {pk: pk for pk, row in rows.items() if row.completed_at is None}
    level = list(owners)
    while level:
        below = Recipe.objects.filter(parent__in=level, completed_at__isnull=True).values_list("pk", "parent")
        level = []
        for pk, parent in below:
            if parent is not None and pk not in owners:
                owners[pk] = owners[parent]
                level.append(pk)
    bad = Job.objects.filter(recipe__in=list(owners), status__in=(*_ENDED_BADLY, states.BLOCKED))
    canceled = Recipe.objects.filter(pk__in=list(owners), canceled_at__isnull=False)
    found = {*bad.values_list("recipe", flat=True).distinct(), *canceled.values_list("pk", flat=True)}
    stuck = {owners[pk] for pk in found}
    return {
        pk: Standing.DONE if row.completed_at else Standing.STUCK if pk in stuck else Standing.OPEN
        for pk, row in rows.items()
    }


def tell_of(recipe: Recipe, kind: str, actor_id: int | None, after: Mapping[str, Any]) -> None:
    """Put one event of a recipe into the log."""
    events.record([(kind, "recipe", recipe.pk, actor_id, recipe.customer_id, None, dict(after))])


def _standing(job: Job) -> Standing:
    if job.status == states.COMPLETED:
        return Standing.DONE
    return Standing.STUCK if job.status in _ENDED_BADLY else Standing.OPEN


def _jobs_of(recipe: Recipe) -> dict[int, Job]:
    """The jobs of a recipe's nodes, those that wait locked in the order of their ids."""
    waiting = Job.objects.filter(recipe=recipe, status__in=_WAITS)
    list(waiting.select_for_update(of=("self",)).order_by("pk").values_list("pk"))
    rows = Job.objects.filter(recipe_nodes__recipe=recipe).select_related("lane")
    return {job.pk: job for job in rows.defer("env", "command", "tags", "input", "configuration")}
