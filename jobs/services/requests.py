"""Jobs as they are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from django.conf import settings

from jobs.models import Priority, Shape
from jobs.policy import Policy

# customer, cloud, region, queue, vcpus_milli, memory_mib, job type
LineKey = tuple[str, str, str, str, int, int, int | None]
DEFAULT_QUEUE = "default"
# The last columns of sql.JOB_FIELDS: policy, capacity, affordable_seconds, leaves_at.
NO_POLICY: Final = (None, "", None, None)


@dataclass(frozen=True, slots=True)
class SeedPart:
    """What makes a job a Seed job: its job type, the revision it runs, and what it takes in."""

    job_type_id: int
    revision_id: int
    input: Mapping[str, Any]
    input_bytes: int
    configuration: Mapping[str, Any] | None = None
    recipe_id: int | None = None
    supersedes: int | None = None

    def row(self) -> tuple[Any, ...]:
        """In the order of sql.JOB_FIELDS."""
        own = None if self.configuration is None else dict(self.configuration)
        taken = (self.job_type_id, self.revision_id, dict(self.input), own, self.input_bytes)
        return (Shape.SEED.value, *taken, self.recipe_id, self.supersedes, None, None)


@dataclass(frozen=True, slots=True)
class MapReducePart:
    """What makes a job a MapReduce job, or a task of the one whose id is `parent`. `split` is a map task's."""

    shape: str = Shape.MAPREDUCE
    parent: int | None = None
    part: int | None = None
    split: Mapping[str, Any] | None = None
    input_bytes: int | None = None
    supersedes: int | None = None

    def row(self) -> tuple[Any, ...]:
        """In the order of sql.JOB_FIELDS."""
        split = None if self.split is None else dict(self.split)
        return (
            str(self.shape),
            None,
            None,
            split,
            None,
            self.input_bytes,
            None,
            self.supersedes,
            self.parent,
            self.part,
        )


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job as asked for. `queue` empty: the priority chooses. Units as in jobs.models.Job.

    With a `machine_image` it is an instance job, and boots with `user_data`. Where its `policy` names places, it runs
    at the first of these; `cloud` may be placing.ANYWHERE, too. `default_tries`: those of its job type.
    """

    customer: str
    region: str
    classification: str
    command: Sequence[str]
    cloud: str = "local"
    capacity: str = ""
    image: str = ""
    machine_image: str = ""
    user_data: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    secret_env: Sequence[str] = ()
    tags: Mapping[str, Any] = field(default_factory=dict)
    vcpus_milli: int | None = None
    memory_mib: int | None = None
    priority: int = Priority.LOW
    queue: str = ""
    timeout_seconds: int | None = None
    max_tries: int | None = None
    default_tries: int | None = None
    policy: Policy | None = None
    retry_of: int | None = None
    seed: SeedPart | None = None
    mapreduce: MapReducePart | None = None

    def kind(self) -> SeedPart | MapReducePart | None:
        return self.seed or self.mapreduce


def line_key(request: JobRequest) -> LineKey:
    """What decides in which lane a job stands, with what it did not ask for filled in."""
    vcpus = request.vcpus_milli or settings.DEFAULT_VCPUS_MILLI
    memory = request.memory_mib or settings.DEFAULT_MEMORY_MIB
    queue, job_type = request.queue or DEFAULT_QUEUE, request.seed.job_type_id if request.seed else None
    return request.customer, request.cloud, request.region, queue, vcpus, memory, job_type
