"""What is to become of a container, by what is wanted of it and what its place was seen to say. It writes nothing.

The keeper acts by it, and whoever explains a container asks it, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from clusters import states
from clusters.providers.hosting import ServiceObservation, ServicePhase

# A place may take so long to show what was asked for.
SHOWN_AFTER: Final = timedelta(seconds=60)
# Well for so long, its ends before do not count any more.
WELL_FOR: Final = timedelta(seconds=60)

WAITS_FOR_ROOM: Final = "NO_ROOM"
RESTARTING: Final = "RESTARTING"
NOT_WELL: Final = "NOT_WELL"
NOT_TAKEN: Final = "NEW_ONE_FAILED"
GIVEN_UP: Final = "GIVEN_UP"
KEEPS_ENDING: Final = "KEEPS_ENDING"
REMOVED: Final = "REMOVED_OUTSIDE"
OUT_OF_SIGHT: Final = "OUT_OF_SIGHT"
REFUSED: Final = "REFUSED"
PLACE_FAILS: Final = "PLACE_FAILS"
REASONS: Final[dict[str, str]] = {
    WAITS_FOR_ROOM: "Its place has no room for it now, and tries on.",
    RESTARTING: "It ended and is started again.",
    NOT_WELL: "It runs, and does not answer its health check.",
    NOT_TAKEN: "The new configuration did not come up; the one before runs on.",
    GIVEN_UP: "It never came up, and its place has given up.",
    KEEPS_ENDING: "It ended again and again, more often than its image version allows.",
    REMOVED: "Somebody removed it at its place; it is made anew.",
    OUT_OF_SIGHT: "Its place does not let us look.",
    REFUSED: "Its place refuses it as it is asked for.",
    PLACE_FAILS: "Its place cannot be reached, or refuses us, just now.",
}


class Kept(NamedTuple):
    """A placement that is there, and what is wanted of its container: columns of the two, in this order."""

    pk: int
    uuid: UUID
    status: str
    handle: str
    generation: int
    revision: str
    asked_at: datetime | None
    retired_at: datetime | None
    run: str
    started_at: datetime | None
    restarts: int
    ends: int
    is_healthy: bool | None
    host: str
    ports: dict[str, int]
    seen_at: datetime | None
    container_id: int
    wanted_generation: int
    desired: str
    container_status: str
    reason: str
    detail: str
    max_restarts: int | None
    has_probe: bool


COLUMNS: Final = (
    *("pk", "uuid", "status", "handle", "generation", "revision", "asked_at", "retired_at", "run", "started_at"),
    *("restarts", "ends", "is_healthy", "host", "ports", "seen_at", "container", "container__generation"),
    *("container__desired", "container__status", "container__reason", "container__detail"),
    *("container__image_version__max_restarts", "container__image_version__probe_port"),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be written: facts of the placement, that it is gone, another status of its container and why."""

    facts: dict[str, Any] = field(default_factory=dict)
    is_gone: bool = False
    status: str = ""
    reason: str = ""
    detail: str = ""

    def __bool__(self) -> bool:
        return bool(self.facts or self.is_gone or self.status)


NOTHING: Final = Verdict()


def is_due(row: Kept) -> bool:
    """Has the place to be asked for it, or told of a change?"""
    return row.status in states.HELD and row.generation < row.wanted_generation


def may_go(row: Kept) -> bool:
    """May it be retired? What serves until its successor is ready may not, yet."""
    return row.status == states.LEAVING and row.container_status != states.RECONFIGURING


def judge(row: Kept, seen: ServiceObservation | None, now: datetime) -> Verdict:
    """What follows from `seen`; None: the place has not been asked for it, or its answer is not known."""
    if row.status == states.LEAVING:
        return _judge_leaving(row, seen, now)
    if seen is None:
        return NOTHING
    match seen.phase:
        case ServicePhase.RUNNING:
            return _judge_running(row, seen, now)
        case ServicePhase.PROVISIONING:
            return _judge_coming(row, seen)
        case ServicePhase.FAILED if not is_due(row):
            return _failed(GIVEN_UP, seen.detail)
        case ServicePhase.GONE if _is_believed(row, now):
            facts: dict[str, Any] = {
                "generation": 0,
                "asked_at": None,
                "run": "",
                "host": "",
                "ports": {},
                "seen_at": None,
            }
            return _not_as_wanted(row, REMOVED, "", facts)
        case ServicePhase.UNKNOWN:
            return _said(row, OUT_OF_SIGHT, seen.detail)
    return NOTHING


def _judge_leaving(row: Kept, seen: ServiceObservation | None, now: datetime) -> Verdict:
    if row.asked_at is None:
        return Verdict(is_gone=True)
    is_gone = seen is not None and seen.phase is ServicePhase.GONE and row.retired_at is not None
    return Verdict(is_gone=True) if is_gone and _is_believed(row, now) else NOTHING


def _judge_coming(row: Kept, seen: ServiceObservation) -> Verdict:
    reason, detail = (WAITS_FOR_ROOM, seen.detail) if seen.lacks_room else ("", seen.detail)
    if row.container_status == states.PENDING:
        return Verdict(status=states.CREATING, reason=reason, detail=detail)
    if row.container_status in states.UP:
        return _not_as_wanted(row, reason or RESTARTING, detail, _ends(row, seen))
    return _said(row, reason, detail)


def _judge_running(row: Kept, seen: ServiceObservation, now: datetime) -> Verdict:
    facts = _ends(row, seen)
    facts |= _changed(
        row,
        run=seen.run,
        started_at=seen.started_at,
        is_healthy=seen.is_healthy,
        host=seen.addresses[0].host if seen.addresses else "",
        ports={str(ours): theirs for ours, theirs in seen.addresses[0].ports.items()} if seen.addresses else {},
    )
    if row.seen_at is None or facts:
        facts["seen_at"] = now
    if row.max_restarts is not None and facts.get("ends", row.ends) > row.max_restarts:
        return Verdict(facts, status=states.FAILED, reason=KEEPS_ENDING, detail=seen.detail)
    is_well = seen.is_healthy or (seen.is_healthy is None and not row.has_probe)
    if row.ends and is_well and seen.started_at is not None and now - seen.started_at > WELL_FOR:
        facts |= {"ends": 0, "seen_at": now}
    if is_due(row):
        return Verdict(facts)
    if seen.revision != row.revision:
        if seen.wanted == row.revision:
            return Verdict(facts)  # the new one is on its way
        return _not_as_wanted(row, NOT_TAKEN, seen.detail, facts)
    if seen.is_healthy is False:
        return _not_as_wanted(row, NOT_WELL, seen.detail, facts)
    if is_well and row.container_status != states.RUNNING:
        return Verdict(facts, status=states.RUNNING)
    return Verdict(facts)


def _ends(row: Kept, seen: ServiceObservation) -> dict[str, Any]:
    """How often it has ended by now, as far as that has changed: by the place's count, else by its runs."""
    if seen.restarts is not None:
        more = max(0, seen.restarts - row.restarts)
    else:
        changed = bool(row.run and seen.run and seen.run != row.run)
        more = int(changed and row.container_status in states.UP)
    return {"restarts": row.restarts + more, "ends": row.ends + more} if more else {}


def _changed(row: Kept, **facts: Any) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if getattr(row, name) != value}


def _not_as_wanted(row: Kept, reason: str, detail: str, facts: dict[str, Any]) -> Verdict:
    """It is there, or was, and is not well."""
    if row.container_status in (states.PENDING, states.CREATING):
        return Verdict(facts)
    if row.container_status == states.UNHEALTHY and row.reason == reason:
        return Verdict(facts)
    return Verdict(facts, status=states.UNHEALTHY, reason=reason, detail=detail)


def _said(row: Kept, reason: str, detail: str) -> Verdict:
    """The same status for another reason."""
    if (row.reason, row.detail) == (reason, detail[: len(row.detail) or None]):
        return NOTHING
    return Verdict(status=row.container_status, reason=reason, detail=detail)


def _failed(reason: str, detail: str) -> Verdict:
    return Verdict(status=states.FAILED, reason=reason, detail=detail)


def _is_believed(row: Kept, now: datetime) -> bool:
    """Is GONE true of it, and not only too early?"""
    return row.seen_at is not None or (row.asked_at is not None and now - row.asked_at > SHOWN_AFTER)
