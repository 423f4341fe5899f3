"""Policies as rows: one for each document, and those that job types have."""

from __future__ import annotations

import hashlib
import json
from typing import Final

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


def check_places(wish: policy.Policy, *, name: str = "policy", only: str = "") -> None:
    """Raise InvalidRequest naming the first place that there is not, or, with `only`, that is of another cloud."""
    for number, rung in enumerate(wish.places):
        at = f"{name}.places[{number}]" if name else f"places[{number}]"
        if only and rung.cloud != only:
            raise InvalidRequest(f"Such jobs run at cloud {only}.", field=f"{at}.cloud")
        try:
            _check_place(rung)
        except ControlPlaneError as error:
            error.field = f"{at}.{error.field}"
            raise


def _check_place(rung: policy.Rung) -> None:
    if rung.cloud not in CLOUDS:
        raise InvalidRequest(f"This is one of {', '.join(CLOUDS)}.", field="cloud")
    check_place(rung.cloud, queue=None, command=True, region=rung.region)
    place_id(rung.cloud, rung.region)


def set_job_type_policy(job_type: JobType, wish: policy.Policy, *, actor: User) -> JobTypePolicy:
    """Let new jobs of a job type have a policy, unless they ask for one of their own. Raises InvalidRequest."""
    check_places(wish, name="", only=SEED_CLOUD)
    with transaction.atomic():
        values = {"policy_id": policy_id(wish), "set_by": actor, "since": timezone.now()}
        row, _ = JobTypePolicy.objects.update_or_create(job_type=job_type, defaults=values)
        tell("job_type.policy-set", job_type.pk, actor, wish.document())
    return row


def clear_job_type_policy(job_type: JobType, *, actor: User) -> bool:
    """Let new jobs of a job type have none; False when it had none."""
    with transaction.atomic():
        deleted, _ = JobTypePolicy.objects.filter(job_type=job_type).delete()
        if deleted:
            tell("job_type.policy-cleared", job_type.pk, actor, {})
    return bool(deleted)
