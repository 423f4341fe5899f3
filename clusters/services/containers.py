"""Containers: asked for, changed, stopped, started and dropped. What comes of it at their places is the keepers'."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from django.db import transaction
from django.utils import timezone

from accounts import events
from accounts.errors import UserState
from accounts.models import Standing, User
from clusters import states
from clusters.errors import (
    ClusterNotFound,
    ContainerNotFound,
    ContainerState,
    FreeTierUsedUp,
    InstanceLimitReached,
    NotOffered,
    RoutingKeyTaken,
)
from clusters.locations import DEFAULT_LOCATION, DEFAULT_MACHINE_TYPE
from clusters.models import Cluster, Container, HostingPlace, Placement
from clusters.queries import local_keeps_for
from clusters.services.fleet_moves import move, release, wake_keepers
from clusters.services.fleet_places import place_for
from controlplane.core.errors import InvalidRequest
from controlplane.core.history import differing
from controlplane.core.unstorable import UNSTORABLE

MAX_NAME: Final = 64
MAX_ROUTING_KEY: Final = 50
MOST: Final = 1000  # containers that one call makes
_ROUTING_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,50}")
_EDITABLE: Final = (*states.UP, states.FAILED)


def make_container(
    *,
    cluster: Cluster,
    actor: User | None,
    location: str = DEFAULT_LOCATION,
    machine_type: str = DEFAULT_MACHINE_TYPE,
    name: str | None = None,
    routing_key: str | None = None,
) -> Container:
    """A container that is to run from now on; without a name or routing key it is given one.

    Raises InvalidRequest, NotOffered, UserState, ClusterNotFound, InstanceLimitReached, FreeTierUsedUp,
    RoutingKeyTaken.
    """
    if name is not None:
        check_name(name)
    if routing_key is not None:
        _check_routing_key(routing_key)
    place = place_for(location, machine_type)
    with transaction.atomic():
        locked = lock_cluster(cluster)
        if routing_key is not None and _is_taken(locked, routing_key):
            raise RoutingKeyTaken(field="routing_key")
        (made,) = add(
            locked, 1, place, actor, location=location, machine_type=machine_type, name=name, routing_key=routing_key
        )
    return made


def add(
    cluster: Cluster, count: int, place: HostingPlace, actor: User | None, *, location: str, machine_type: str,
    name: str | None = None, routing_key: str | None = None,
) -> list[Container]:  # fmt: skip
    """So many more containers; one alone may have a name and a routing key. Caller holds a transaction, and the
    cluster in it.

    Raises UserState, InstanceLimitReached, FreeTierUsedUp, NotOffered.
    """
    # Whoever adds holds the owner, so that two at once are counted.
    owner = User.objects.select_for_update().get(pk=cluster.owner_id)
    if not owner.is_active:
        raise UserState(f"{owner.username} is disabled.")
    _check_free(cluster, count, owner)
    if place.cloud == "local" and not local_keeps_for(owner):
        raise NotOffered("This machine isolates nothing, and keeps containers of its staff only.", field="location")
    rows = [
        Container(
            cluster=cluster,
            owner=owner,
            customer_id=cluster.customer_id,
            name=name or f"{cluster.name[:55]}-{key[:8]}",
            routing_key=routing_key or key,
            machine_type=machine_type,
            location=location,
            image_version_id=cluster.image_version_id,
        )
        for key in (secrets.token_hex(8) for _ in range(count))
    ]
    Container.objects.bulk_create(rows)
    Placement.objects.bulk_create([Placement(container=row, place=place) for row in rows])
    if not owner.has_used_instances:
        User.objects.filter(pk=owner.pk).update(has_used_instances=True)
    tell(
        "container.created", rows, actor, {"status": states.PENDING, "location": location, "machine_type": machine_type}
    )
    wake_keepers()
    return rows


def change_container(
    *, container: Container, actor: User | None, machine_type: str, location: str, routing_key: str
) -> Container:
    """Have it be of this size, there, and under this routing key. What has failed is tried anew.

    Raises InvalidRequest, NotOffered, ContainerNotFound, ContainerState, RoutingKeyTaken.
    """
    _check_routing_key(routing_key)
    place = place_for(location, machine_type)
    if container.archived_at is not None:  # its cluster may be gone, too
        raise ContainerState("The container is deleted.")
    with transaction.atomic():
        cluster = lock_cluster(container.cluster)
        row = _locked(container)
        _demand(row, _EDITABLE)
        if routing_key != row.routing_key and _is_taken(cluster, routing_key):
            raise RoutingKeyTaken(field="routing_key")
        is_other = (machine_type, location) != (row.machine_type, row.location)
        facts = facts_of_container(row)
        row.machine_type, row.location, row.routing_key = machine_type, location, routing_key
        row.generation += is_other
        row.save(update_fields=["machine_type", "location", "routing_key", "generation"])
        if row.status == states.FAILED:
            start_anew([row], place, actor)
        elif is_other:
            _go_to(row, place)
            move({row.pk: {}}, states.RECONFIGURING, actor_id=actor.pk if actor else None)
        before, after = differing(facts, facts_of_container(row))
        if after:
            tell("container.changed", [row], actor, {"fields": list(after), **after}, before=before)
        wake_keepers()
    return refreshed(row)


def drop_container(*, container: Container, actor: User | None) -> Container:
    """Have it gone: it is archived at once, and its routing key is free. Raises ContainerNotFound, ContainerState."""
    with transaction.atomic():
        row = _locked(container)
        if row.status in (states.DELETING, states.DELETED):
            raise ContainerState(f"The container is {row.status.lower()} already.")
        drop([row.pk], actor)
    return refreshed(row)


def drop(ids: Sequence[int], actor: User | None) -> None:
    """The same for these, as far as they are not going already. Caller holds a transaction."""
    actor_id = actor.pk if actor else None
    now = timezone.now()
    values = {pk: {"desired": states.GONE_WANTED, "archived_at": now} for pk in ids}
    # What failed to go was archived then.
    moved = move(values, states.DELETING, fields=("desired", "archived_at"), actor_id=actor_id)
    move({pk: {} for pk in release(moved)}, states.DELETED, actor_id=actor_id)
    wake_keepers()


def stop_container(*, container: Container, actor: User | None) -> Container:
    """Have it run no more, and keep it. Raises ContainerNotFound, ContainerState."""
    with transaction.atomic():
        row = _locked(container)
        _demand(row, states.CONTAINER.sources(states.STOPPING))
        actor_id = actor.pk if actor else None
        moved = move({row.pk: {"desired": states.DOWN_WANTED}}, states.STOPPING, fields=("desired",), actor_id=actor_id)
        move({pk: {} for pk in release(moved)}, states.STOPPED, actor_id=actor_id)
        wake_keepers()
    return refreshed(row)


def start_container(*, container: Container, actor: User | None) -> Container:
    """Have it run again, where its location is now. Raises NotOffered, ContainerNotFound, ContainerState."""
    place = place_for(container.location, container.machine_type)
    with transaction.atomic():
        row = _locked(container)
        _demand(row, states.CONTAINER.sources(states.PENDING))
        start_anew([row], place, actor)
        wake_keepers()
    return refreshed(row)


def drain_container(*, container: Container, actor: User | None, is_draining: bool) -> Container:
    """Lead no new clients to it, or lead them again; those that are connected stay. Raises ContainerNotFound."""
    with transaction.atomic():
        row = _locked(container)
        if row.archived_at is not None:
            raise ContainerState("The container is deleted.")
        if row.is_draining != is_draining:
            Container.objects.filter(pk=row.pk).update(is_draining=is_draining)
            after = {"fields": ["is_draining"], "is_draining": is_draining}
            tell("container.changed", [row], actor, after, before={"is_draining": row.is_draining})
    return refreshed(row)


def start_anew(rows: Iterable[Container], place: HostingPlace, actor: User | None) -> None:
    """Have these, of which nothing is held, asked for at `place`. Caller holds a transaction, and the rows in it."""
    values = {row.pk: {"desired": states.UP_WANTED} for row in rows}
    moved = move(values, states.PENDING, fields=("desired",), actor_id=actor.pk if actor else None)
    Placement.objects.bulk_create([Placement(container_id=pk, place=place) for pk in moved])


def facts_of_container(row: Container) -> dict[str, Any]:
    """What may be said of a container, as the event log has it."""
    return {name: getattr(row, name) for name in ("name", "machine_type", "location", "routing_key", "is_draining")}


def tell(
    kind: str, rows: Iterable[Container], actor: User | None, after: Mapping[str, Any],
    *, before: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Put an event of each of these containers into the log. Caller holds the transaction."""
    actor_id = actor.pk if actor else None
    events.record_personal(
        [
            events.Personal(
                (kind, "container", row.pk, actor_id, row.customer_id, before, {"name": row.name, **after}),
                row.owner_id,
            )
            for row in rows
        ]
    )


def lock_cluster(cluster: Cluster) -> Cluster:
    """The cluster as it is, held. Caller holds a transaction. Raises ClusterNotFound once it is archived."""
    row = Cluster.objects.select_for_update().filter(pk=cluster.pk, archived_at=None).first()
    if row is None:
        raise ClusterNotFound
    return row


def refreshed(row: Container) -> Container:
    return Container.objects.select_related("cluster", "image_version", "owner").get(pk=row.pk)


def check_name(name: str) -> None:
    """Raise InvalidRequest for what is no name of a cluster or container."""
    if not name.strip() or len(name) > MAX_NAME or UNSTORABLE.search(name):
        raise InvalidRequest(f"A name is text of 1 to {MAX_NAME} characters without NUL.", field="name")


# --- What is refused -------------------------------------------------------------------------------


def _locked(container: Container) -> Container:
    row = Container.objects.select_for_update().filter(pk=container.pk).first()
    if row is None:
        raise ContainerNotFound
    return row


def _demand(row: Container, allowed: Sequence[str]) -> None:
    if row.archived_at is not None:
        raise ContainerState("The container is deleted.")
    if row.status not in allowed:
        raise ContainerState(f"The container is {row.status.lower()}, which does not allow this.")


def _check_routing_key(key: str) -> None:
    if not _ROUTING_KEY.fullmatch(key):
        words = f"A routing key has 1 to {MAX_ROUTING_KEY} letters, digits, hyphens and underscores."
        raise InvalidRequest(words, field="routing_key")


def _is_taken(cluster: Cluster, key: str) -> bool:
    return Container.objects.filter(cluster=cluster, routing_key=key, archived_at=None).exists()


def _check_free(cluster: Cluster, count: int, owner: User) -> None:
    """Raises InstanceLimitReached, FreeTierUsedUp."""
    live = Container.objects.filter(owner=owner, archived_at=None).exclude(status=states.FAILED).count()
    if live + count > owner.instance_limit:
        raise InstanceLimitReached(f"You have {live} of {owner.instance_limit} containers that you may have.")
    standing = Standing.objects.filter(customer=cluster.customer_id).first()
    if standing is not None and standing.is_surpassed and not standing.has_payment_details:
        raise FreeTierUsedUp


def _go_to(row: Container, place: HostingPlace) -> None:
    """Have it stand at `place`; what stands elsewhere serves until that is ready."""
    held = Placement.objects.filter(container=row, status__in=states.HELD).first()
    if held is None or held.place_id != place.pk:
        release([row.pk])
        Placement.objects.create(container=row, place=place)
