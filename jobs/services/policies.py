"""Policies as rows: one for each document, and those that job types have."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from accounts.events import tell
from accounts.models import User
from clusters.queries import CLOUDS
from controlplane.core.errors import ControlPlaneError, InvalidRequest
from controlplane.core.remembered import Remembered
from jobs import policy
from jobs.models import JobTypePolicy, Policy
from jobs.services.places import place_id
from jobs.services.where import check_place
from jobtypes.models import JobType

# Its jobs take files in and give files, which are brought to machines of ours only.
SEED_CLOUD: Final = "local"
_ids: Remembered[str, int] = Remembered()


def digest_of(wish: policy.Policy) -> str:
    """The same for policies that say the same."""
    return hashlib.sha256(json.dumps(wish.document(), sort_keys=True).encode()).hexdigest()


def policy_id(wish: policy.Policy) -> int:
    """The row of a policy, made on first use."""
    digest = digest_of(wish)
    if digest in _ids:
        return _ids[digest]
    row, _ = Policy.objects.get_or_create(digest=digest, defaults={"document": wish.document()})
    return _ids.keep(digest, row.pk)


def check_places(wish: policy.Policy, check: Callable[[policy.Rung], None], *, name: str = "policy") -> None:
    """Raise what `check` has against the first place that it refuses, and InvalidRequest for one that there is not.

    What is wrong with a place itself is named as "policy.places[1].region".
    """
    for number, rung in enumerate(wish.places):
        try:
            if rung.cloud not in CLOUDS:
                raise InvalidRequest(f"This is one of {', '.join(CLOUDS)}.", field="cloud")
            check(rung)
            place_id(rung.cloud, rung.region)
        except ControlPlaneError as error:
            if error.field in policy.OF_PLACES:
                error.field = ".".join(filter(None, (name, f"places[{number}]", error.field)))
            raise


def check_seed_place(rung: policy.Rung) -> None:
    """Raise InvalidRequest for a place where no Seed job runs."""
    if rung.cloud != SEED_CLOUD:
        raise InvalidRequest(f"Such jobs run at cloud {SEED_CLOUD}.", field="cloud")
    check_place(rung.cloud, queue=None, command=True, region=rung.region, capacity=rung.capacity)


def set_job_type_policy(job_type: JobType, wish: policy.Policy, *, actor: User) -> JobTypePolicy:
    """Let new jobs of a job type have a policy, unless they ask for one of their own. Raises InvalidRequest."""
    check_places(wish, check_seed_place, name="")
    with transaction.atomic():
        values = {"policy_id": policy_id(wish), "set_by": actor, "since": timezone.now()}
        before = _present_policy(job_type)
        row, _ = JobTypePolicy.objects.update_or_create(job_type=job_type, defaults=values)
        tell("job_type.policy-set", job_type.pk, actor, {"policy": wish.document()}, before={"policy": before})
    return row


def clear_job_type_policy(job_type: JobType, *, actor: User) -> bool:
    """Let new jobs of a job type have none; False when it had none."""
    with transaction.atomic():
        before = _present_policy(job_type)
        deleted, _ = JobTypePolicy.objects.filter(job_type=job_type).delete()
        if deleted:
            tell("job_type.policy-cleared", job_type.pk, actor, {"policy": None}, before={"policy": before})
    return bool(deleted)


def _present_policy(job_type: JobType) -> Any:
    """The document of a job type's policy, locked until the caller's transaction ends; None of one without."""
    rows = JobTypePolicy.objects.select_for_update(of=("self",)).select_related("policy")
    found = rows.filter(job_type=job_type).first()
    return found.policy.document if found else None
