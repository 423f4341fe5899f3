"""The colours of states."""

from __future__ import annotations

from typing import Final

from django.utils.safestring import SafeString

from controlplane.core.admin import badge
from jobs import states

TONES: Final = {
    **dict.fromkeys((states.COMPLETED,), "good"),
    **dict.fromkeys((states.FAILED, states.REJECTED, states.LOST, states.INTERRUPTED), "bad"),
    **dict.fromkeys((states.STARTING, states.RUNNING, states.CANCELING, states.SUBMITTED), "busy"),
    **dict.fromkeys(states.WAITING, "waiting"),
    **dict.fromkeys((states.OPERATION_WAITING, states.STOPPING), "busy"),
}


def status_badge(status: str) -> SafeString:
    return badge(status, TONES.get(status, "quiet"))
