"""What EC2 tells of a machine, as an Observation, and our tags on it. Nothing here calls AWS."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from clusters.providers.base import End, Observation, Phase

DEPLOYMENT: Final = "controlplane:deployment"
EXECUTION: Final = "controlplane:execution"
SUBMISSION: Final = "controlplane:submission"
CUSTOMER: Final = "controlplane:customer"
TIMEOUT: Final = "controlplane:timeout-seconds"
PURCHASE: Final = "controlplane:purchase"  # a rung of the ladder
SPOT, ON_DEMAND = "spot", "on-demand"
ENDED: Final = "controlplane:ended"  # why we terminated it, said before we do
CANCELED, TIMED_OUT = "canceled", "timed-out"

LIVING: Final = ("pending", "running", "stopping", "stopped")
_PHASES: Final = {"pending": Phase.WAITING, "running": Phase.RUNNING}
_OURS: Final = {CANCELED: End.CANCELED, TIMED_OUT: End.TIMED_OUT}
_ENDS: Final = {
    # What AWS says of a machine that it could not even boot, by our doing.
    "Client.InternalError": End.CANNOT_START,
    "Client.InvalidSnapshot.NotFound": End.CANNOT_START,
    "Client.LaunchPermissionDenied": End.CANNOT_START,
    "Client.VolumeLimitExceeded": End.CANNOT_START,
}
# Nor what it had no room for, or lost on the way.
_NEVER_RAN: Final = {*_ENDS, "Server.InsufficientInstanceCapacity", "Server.InternalError"}
# It had no reason that is AWS's, and its work never said that it was done: it failed. There is no code to tell.
_FAILED: Final = 1
_WHEN = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
Row = Mapping[str, Any]


def tags_of(row: Row) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in row.get("Tags", [])}


def state_of(row: Row) -> str:
    return str(row.get("State", {}).get("Name", ""))


def execution_of(row: Row, deployment: str) -> str | None:
    """The execution that a machine of this deployment is for; None of every other machine."""
    tags = tags_of(row)
    if tags.get(DEPLOYMENT) != deployment:
        return None
    try:
        return str(UUID(tags.get(EXECUTION, "")))
    except ValueError:
        return None


def is_bought_by_us(row: Row) -> bool:
    """It is a spot machine, or one of the rung after that."""
    is_spot = row.get("InstanceLifecycle") == "spot" or bool(row.get("SpotInstanceRequestId"))
    return is_spot or tags_of(row).get(PURCHASE) == ON_DEMAND


def is_overdue(row: Row, now: datetime) -> bool:
    """It runs longer than its timeout, which EC2 knows nothing of."""
    text, launched = tags_of(row).get(TIMEOUT, ""), row.get("LaunchTime")
    if state_of(row) not in LIVING or not text.isdecimal() or launched is None:
        return False
    return bool(now >= launched + timedelta(seconds=int(text)))


def told_end(row: Row) -> End | None:
    """How it ends by what we have said before we terminated it; None when we have not."""
    return _OURS.get(tags_of(row).get(ENDED, ""))


def observation(handle: str, row: Row, end: End | None = None) -> Observation:
    """What a row of DescribeInstances says. `end`: it has just been terminated for this."""
    phase = Phase.ENDED if end else _PHASES.get(state_of(row), Phase.ENDED)
    started = _utc(row.get("LaunchTime")) if phase is not Phase.WAITING and _ran(row) else None
    detail, node = words(row), _node(row)
    if phase is not Phase.ENDED:
        return Observation(handle, phase, started, detail=detail, node=node)
    end = end or _end(row)
    code = _FAILED if end is End.EXITED else None
    return Observation(handle, phase, started, _stopped(row), end, code, detail, node)


def words(row: Row) -> str:
    """AWS's own words on a machine's state."""
    reason = row.get("StateReason") or {}
    told = [row.get("StateTransitionReason"), reason.get("Message") or reason.get("Code")]
    return "; ".join(str(one) for one in told if one)


def place_of(row: Row) -> str:
    """Its type and its zone."""
    zone = (row.get("Placement") or {}).get("AvailabilityZone", "")
    return " ".join(one for one in (str(row.get("InstanceType", "")), str(zone)) if one)


def _node(row: Row) -> str:
    return f"{row['InstanceId']} {place_of(row)}".strip()


def _end(row: Row) -> End:
    """Why a machine ended: because we said so, because AWS took it, or by itself."""
    if ours := told_end(row):
        return ours
    code = str((row.get("StateReason") or {}).get("Code", ""))
    if code.startswith("Server."):
        return End.INTERRUPTED
    return _ENDS.get(code, End.EXITED)


def _ran(row: Row) -> bool:
    return str((row.get("StateReason") or {}).get("Code", "")) not in _NEVER_RAN


def _stopped(row: Row) -> datetime | None:
    found = _WHEN.search(str(row.get("StateTransitionReason", "")))
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) if found else None


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
