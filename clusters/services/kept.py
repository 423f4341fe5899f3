"""What keepers write: of what they have asked places for, and of what they saw there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from clusters import states
from clusters.judging import COLUMNS, SHOWN_AFTER, Kept, Verdict
from clusters.models import Container, HostingPlace, Location, Placement
from clusters.providers.hosting import HealthCheck, Port, Protocol, Service
from clusters.services.clusters import token_of
from clusters.services.fleet_moves import DETAIL, REASON, move, move_placements, release
from controlplane.core import sets

TOKEN_NAME: Final = "FJ_SERVER_API_TOKEN"  # noqa: S105 # what servers of Fishjam read it from
_FACTS: Final = (
    *("generation", "asked_at", "run", "started_at", "restarts", "ends", "is_healthy", "host", "ports", "seen_at"),
)


def kept_at(place: HostingPlace) -> list[Kept]:
    """All that is there, or is to be, at a place."""
    rows = Placement.objects.filter(place=place, status__in=states.THERE).order_by("pk")
    found = (Kept(*row) for row in rows.values_list(*COLUMNS))
    return [each._replace(has_probe=each.has_probe is not None) for each in found]


def wishes_of(rows: Sequence[Kept]) -> dict[int, Service]:
    """What a place is to be asked for, of each of these placements. Call it outside transactions."""
    placements = Placement.objects.filter(pk__in=[row.pk for row in rows]).select_related(
        "container__cluster", "container__image_version", "container__customer"
    )
    by_pk = {each.pk: each.container for each in placements}
    sizes = _sizes(by_pk.values())
    return {row.pk: _service(str(row.uuid), by_pk[row.pk], sizes) for row in rows if row.pk in by_pk}


def note_asking(rows: Sequence[Kept]) -> list[Kept]:
    """Write down that the place is asked for these: before it is, so that nothing stands there unknown.

    Those that still are to be asked for.
    """
    now = timezone.now()
    new = [row.pk for row in rows if row.asked_at is None]
    with transaction.atomic():
        Placement.objects.filter(pk__in=new, status=states.WISHED).update(asked_at=now)
        held = set(
            Placement.objects.filter(pk__in=[row.pk for row in rows], status__in=states.HELD).values_list(
                "pk", flat=True
            )
        )
    return [row for row in rows if row.pk in held]


def note_asked(row: Kept, handle: str, revision: str) -> None:
    """The place has been asked for what the container was at this generation."""
    fields = {"handle": handle, "revision": revision, "generation": row.wanted_generation}
    with transaction.atomic():
        Placement.objects.filter(pk=row.pk).update(**fields)
        if row.status == states.WISHED:
            move_placements({row.pk: {}}, states.STANDING)
        if row.container_status == states.PENDING:
            move({row.container_id: {}}, states.CREATING)


def note_retired(rows: Sequence[Kept]) -> None:
    Placement.objects.filter(pk__in=[row.pk for row in rows]).update(retired_at=timezone.now())


def note_refusal(row: Kept, reason: str, detail: str, *, is_final: bool) -> None:
    """The place did not do what it was asked for; it is asked again, unless that is final.

    Of what it was asked for the first time, nothing is there.
    """
    if row.asked_at is None:
        Placement.objects.filter(pk=row.pk).update(asked_at=None)
    status = states.FAILED if is_final else row.container_status
    note([(row, Verdict(status=status, reason=reason, detail=detail))])


def note(verdicts: Sequence[tuple[Kept, Verdict]]) -> None:
    """Write down what is not so already. What somebody has decided on meanwhile is left to the next look."""
    verdicts = [(row, verdict) for row, verdict in verdicts if verdict]
    if not verdicts:
        return
    now = timezone.now()
    with transaction.atomic():
        ids = sorted({row.container_id for row, _ in verdicts})
        locked = Container.objects.select_for_update().filter(pk__in=ids).order_by("pk")
        present: dict[int, list[Any]] = {
            pk: facts for pk, *facts in locked.values_list("pk", "generation", "desired", "status")
        }
        _write_facts(verdicts)
        _let_go([row for row, verdict in verdicts if verdict.is_gone], now)
        by_status: dict[str, dict[int, dict[str, Any]]] = {}
        for row, verdict in verdicts:
            as_it_was = [row.wanted_generation, row.desired, row.container_status]
            if verdict.status and present.get(row.container_id) == as_it_was:
                said = {"reason": verdict.reason[:REASON], "detail": verdict.detail[:DETAIL]}
                by_status.setdefault(verdict.status, {})[row.container_id] = said
        for status, values in by_status.items():
            _say_or_move(status, values, {pk: facts[2] for pk, facts in present.items()}, now)


def _say_or_move(status: str, values: dict[int, dict[str, Any]], present: Mapping[int, str], now: datetime) -> None:
    same = {pk: said for pk, said in values.items() if present[pk] == status}
    for pk, said in same.items():
        Container.objects.filter(pk=pk).update(**said)
    others = {pk: said for pk, said in values.items() if pk not in same}
    moved = move(others, status)
    if status == states.RUNNING:
        Container.objects.filter(pk__in=moved, started_at=None).update(started_at=now)
    if status == states.FAILED:
        release(moved)


def _write_facts(verdicts: Sequence[tuple[Kept, Verdict]]) -> None:
    changed = [(row, verdict.facts) for row, verdict in verdicts if verdict.facts]
    rows = [(row.pk, *(facts.get(name, getattr(row, name)) for name in _FACTS)) for row, facts in changed]
    if rows:
        sets.update_where(Placement, _FACTS, rows, states.PLACEMENT_STATES, ())


def _let_go(rows: Sequence[Kept], now: datetime) -> None:
    """These are gone from their place; a container of which nothing is left anywhere is what it was to become."""
    if not rows:
        return
    move_placements({row.pk: {"ended_at": now} for row in rows}, states.GONE, fields=("ended_at",))
    ids = {row.container_id for row in rows}
    left = set(Placement.objects.filter(container__in=ids, status__in=states.THERE).values_list("container", flat=True))
    over: dict[int, dict[str, Any]] = {pk: {} for pk in ids - left}
    move(over, states.STOPPED)
    move(over, states.DELETED)


def _sizes(containers: Iterable[Container]) -> dict[tuple[str, str], tuple[int, int]]:
    names = {each.location for each in containers}
    rows = Location.objects.filter(name__in=names)
    return {(row.name, row.machine_type): (row.vcpus_milli, row.memory_mib) for row in rows}


def _service(name: str, container: Container, sizes: Mapping[tuple[str, str], tuple[int, int]]) -> Service:
    version = container.image_version
    vcpus_milli, memory_mib = sizes[container.location, container.machine_type]
    check = None
    if version.probe_port is not None:
        check = HealthCheck(port=version.probe_port, path=version.probe_path, interval_seconds=10, start_seconds=30)
    return Service(
        name=name,
        image=version.image,
        command=tuple(version.command),
        env={
            **version.env,
            "CLUSTER_UUID": str(container.cluster.uuid),
            "CONTAINER_UUID": str(container.uuid),
        },
        secrets={TOKEN_NAME: token_of(container.cluster)},
        vcpus_milli=vcpus_milli,
        memory_mib=memory_mib,
        ports=[Port(each["number"], Protocol(each.get("protocol", "tcp"))) for each in version.ports],
        health_check=check,
        customer=container.customer.name if container.customer else "",
    )


def forget_standing(row: Kept) -> None:
    """The place has nothing of this handle any more: it is asked to make it again."""
    Placement.objects.filter(pk=row.pk).update(generation=0)


def note_found(rows: Sequence[Kept], handles: Mapping[str, str]) -> None:
    """Handles of placements by their uuid, of those whose handle is not known: what is not among them never was."""
    now = timezone.now()
    for row in rows:
        if handle := handles.get(str(row.uuid)):
            Placement.objects.filter(pk=row.pk).update(handle=handle)
    gone = Verdict(is_gone=True)
    late = [row for row in rows if row.asked_at is None or now - row.asked_at > SHOWN_AFTER]
    note([(row, gone) for row in late if str(row.uuid) not in handles])
