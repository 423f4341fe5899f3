"""Whole machines of a cloud that run a job: what they boot with, and what they may ask about themselves.

A machine gets a token of its own in its boot data. It is for two calls about its own job, /get-info and /destroy, and
until shortly after its execution has ended. It is made of the execution's uuid and a signature, so that a call that is
made again boots with the same bytes, and no table keeps it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db.models import Q
from django.utils import timezone

from clusters.providers.base import Work
from controlplane.core.encryption import decrypt
from jobs.models import Execution

PREFIX: Final = "job."
# A machine that was not terminated at its first word may say it again.
KNOWN_AFTER_END: Final = timedelta(minutes=15)


def _signer() -> Signer:
    return Signer(salt="jobs.machine", sep=".")


def for_machine(work: Work, user_data: str) -> Work:
    """The work of an instance job: its image is a machine's, and it is told where to ask about itself.

    Raises SecretUnreadable.
    """
    told = {
        "CONTROLPLANE_URL": settings.PUBLIC_URL,
        "CONTROLPLANE_TOKEN": PREFIX + _signer().sign(work.execution_id),
        "CONTROLPLANE_EXECUTION": work.execution_id,
    }
    text = decrypt(user_data).get("user_data", "")
    return replace(work, image="", machine_image=work.image, user_data=text, env={**work.env, **told})


def execution_of_token(token: str) -> Execution | None:
    """Whose token it is; None for every other text, and when that one has long ended."""
    if not token.startswith(PREFIX):
        return None
    try:
        uuid = UUID(_signer().unsign(token.removeprefix(PREFIX)))
    except (BadSignature, ValueError):
        return None
    known = Q(ended_at=None) | Q(ended_at__gt=timezone.now() - KNOWN_AFTER_END)
    return Execution.objects.select_related("job", "place").filter(known, uuid=uuid).first()
