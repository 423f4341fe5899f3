"""Clusters: made, changed, scaled and archived."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts import events
from accounts.errors import UserState
from accounts.models import User
from clusters import states
from clusters.errors import ClusterInUse, ClusterNameTaken, ClusterTokenTaken, ContainerState
from clusters.locations import DEFAULT_LOCATION, DEFAULT_MACHINE_TYPE
from clusters.models import Cluster, Container, ImageVersion, RecordingSettings, Rollout
from clusters.queries import version_for
from clusters.services.containers import MOST, add, check_name, drop, lock_cluster
from clusters.services.fleet_moves import move, wake_keepers
from clusters.services.fleet_places import place_for
from controlplane.core.encryption import decrypt, encrypt
from controlplane.core.errors import InvalidRequest
from controlplane.core.transitions import compare_and_set
from controlplane.core.unstorable import UNSTORABLE

MAX_TOKEN: Final = 128
TOKEN_BYTES: Final = 32


def token_of(cluster: Cluster) -> str:
    """The token of its servers' API. For its owner, and for its containers."""
    return decrypt(cluster.secrets)["token"]


def make_cluster(
    *, owner: User, actor: User | None, name: str, image_version: str, token: str | None = None
) -> Cluster:
    """A cluster without containers; without a token it is given one.

    Call it outside transactions. Raises InvalidRequest, UnknownImageVersion, UserState, ClusterNameTaken,
    ClusterTokenTaken.
    """
    check_name(name)
    version = version_for(owner, image_version)
    token = secrets.token_urlsafe(TOKEN_BYTES) if token is None else token
    sealed, digest = _sealed(token)
    with transaction.atomic():
        if not User.objects.select_for_update().filter(pk=owner.pk, is_active=True).exists():
            raise UserState(f"{owner.username} is disabled.")
        cluster = Cluster(
            owner=owner,
            customer_id=owner.customer_id,
            name=name,
            image_version=version,
            secrets=sealed,
            token_digest=digest,
        )
        _save(cluster)
        tell("cluster.created", cluster, actor, {"name": name, "image_version": version.version})
    return cluster


def change_cluster(
    *,
    cluster: Cluster,
    actor: User | None,
    name: str | None = None,
    image_version: str | None = None,
    token: str | None = None,
) -> Cluster:
    """Set what is given. Another version or token reconfigures every container that runs, at once, or nothing.

    Call it outside transactions. Raises InvalidRequest, UnknownImageVersion, ClusterNotFound, ClusterNameTaken,
    ClusterTokenTaken, and ContainerState while a container is being changed.
    """
    if name is not None:
        check_name(name)
    version = version_for(cluster.owner, image_version) if image_version is not None else None
    sealed = _sealed(token) if token is not None else None
    with transaction.atomic():
        row = lock_cluster(cluster)
        before: dict[str, object] = {}
        fields = []
        if name is not None and name != row.name:
            before["name"], row.name = row.name, name
            fields.append("name")
        if version is not None and version.pk != row.image_version_id:
            before["image_version"], row.image_version = row.image_version.version, version
            fields.append("image_version")
        if sealed is not None and sealed[1] != row.token_digest:
            row.secrets, row.token_digest = sealed
            fields.append("token")
        if {"image_version", "token"} & set(fields):
            _reconfigure_all(row, actor)
        if fields:
            _save(row)
            after = {"image_version": row.image_version.version} if "image_version" in fields else {}
            tell("cluster.changed", row, actor, {"name": row.name, "fields": sorted(fields), **after}, before=before)
    return row


def archive_cluster(*, cluster: Cluster, actor: User | None) -> Cluster:
    """Have it gone, with its containers that have failed. Raises ClusterNotFound, and ClusterInUse with others."""
    with transaction.atomic():
        row = lock_cluster(cluster)
        left = list(Container.objects.select_for_update().filter(cluster=row, archived_at=None))
        if any(each.status != states.FAILED for each in left):
            raise ClusterInUse
        drop([each.pk for each in left], actor)
        archive_row(row, actor)
    return row


def archive_row(row: Cluster, actor: User | None) -> None:
    """Caller holds a transaction, and the cluster in it, whose containers are gone or going."""
    supersede(row)
    row.archived_at = timezone.now()
    row.save(update_fields=["archived_at"])
    tell("cluster.archived", row, actor, {"name": row.name, "is_archived": True}, before={"is_archived": False})


def scale_cluster(
    *,
    cluster: Cluster,
    actor: User | None,
    count: int,
    location: str = DEFAULT_LOCATION,
    machine_type: str = DEFAULT_MACHINE_TYPE,
) -> list[Container]:
    """Have so many containers in all: new ones are as asked, and those go first that do least, the newest of them.

    The containers that were made, or are going. Raises InvalidRequest, NotOffered, ClusterNotFound, UserState,
    InstanceLimitReached, FreeTierUsedUp.
    """
    if not 0 <= count <= MOST:
        raise InvalidRequest(f"This is a whole number from 0 to {MOST}.", field="count")
    place = place_for(location, machine_type)
    with transaction.atomic():
        row = lock_cluster(cluster)
        there = list(Container.objects.select_for_update().filter(cluster=row, archived_at=None))
        if count >= len(there):
            more = count - len(there)
            return add(row, more, place, actor, location=location, machine_type=machine_type) if more else []
        there.sort(key=lambda each: (_worth(each), -each.pk))
        going = there[: len(there) - count]
        drop([each.pk for each in going], actor)
    return going


def supersede(cluster: Cluster) -> None:
    """End a rollout that is under way: something else was decided. Caller holds a transaction, and the cluster."""
    rows = Rollout.objects.filter(cluster=cluster, status__in=states.ROLLOUT_OPEN)
    values = {pk: {"ended_at": timezone.now()} for pk in rows.values_list("pk", flat=True)}
    compare_and_set(Rollout, states.ROLLOUT, states.SUPERSEDED, values, ("ended_at",))


def facts_of_cluster(cluster: Cluster) -> dict[str, Any]:
    """What may be said of a cluster, as the event log has it: of its token nothing."""
    recordings = RecordingSettings.objects.filter(cluster=cluster).first()
    return {
        "name": cluster.name,
        "image_version": cluster.image_version.version,
        "recording_settings": facts_of_recordings(recordings),
        "is_archived": cluster.archived_at is not None,
    }


def facts_of_recordings(row: RecordingSettings | None) -> dict[str, str] | None:
    """Where a cluster's recordings go, as the event log has it; None: nowhere."""
    names = ("role_arn", "bucket_region", "bucket_name", "base_path")
    return None if row is None else {name: getattr(row, name) for name in names}


def tell(
    kind: str, cluster: Cluster, actor: User | None, after: Mapping[str, object],
    *, before: Mapping[str, object] | None = None,
) -> None:  # fmt: skip
    """Put an event of a cluster into the log. Caller holds the transaction."""
    actor_id = actor.pk if actor else None
    entry: events.Entry = (kind, "cluster", cluster.pk, actor_id, cluster.customer_id, before, after)
    events.record_personal([events.Personal(entry, cluster.owner_id)])


def _worth(container: Container) -> int:
    order = (states.FAILED, states.STOPPED, states.STOPPING, states.PENDING, states.CREATING, states.UNHEALTHY)
    return order.index(container.status) if container.status in order else len(order)


def _reconfigure_all(cluster: Cluster, actor: User | None) -> None:
    """Have all containers run what the cluster says now. Raises ContainerState, and nothing has changed."""
    rows = list(Container.objects.select_for_update().filter(cluster=cluster, archived_at=None).order_by("pk"))
    if any(row.status in states.CHANGING for row in rows):
        raise ContainerState("A container of the cluster is being changed: try again when it is done.")
    supersede(cluster)
    reconfigure(rows, cluster.image_version, actor)


def reconfigure(rows: list[Container], version: ImageVersion, actor: User | None) -> None:
    """Have these run `version`, and what else is new. Caller holds a transaction, and the rows in it.

    What does not run is left as it is, and is of the new kind when it does.
    """
    for row in rows:
        row.image_version = version
        row.generation += 1
    Container.objects.bulk_update(rows, ["image_version", "generation"])
    running = [row.pk for row in rows if row.status in states.UP]
    move({pk: {} for pk in running}, states.RECONFIGURING, actor_id=actor.pk if actor else None)
    wake_keepers()


def _sealed(token: str) -> tuple[str, str]:
    """A token as it is kept, and what tells that it is taken. Raises InvalidRequest."""
    if not token or len(token) > MAX_TOKEN or UNSTORABLE.search(token):
        raise InvalidRequest(f"A token is text of 1 to {MAX_TOKEN} characters without NUL.", field="token")
    return encrypt({"token": token}), hashlib.sha256(token.encode()).hexdigest()


def _save(cluster: Cluster) -> None:
    """Raises ClusterNameTaken, ClusterTokenTaken."""
    same = Cluster.objects.filter(archived_at=None).exclude(pk=cluster.pk)
    if same.filter(owner=cluster.owner_id, name=cluster.name).exists():
        raise ClusterNameTaken(field="name")
    if same.filter(token_digest=cluster.token_digest).exists():
        raise ClusterTokenTaken(field="token")
    try:
        with transaction.atomic():
            cluster.save()
    except IntegrityError as error:  # somebody else was faster
        raise (ClusterTokenTaken if "token" in str(error) else ClusterNameTaken)() from error
