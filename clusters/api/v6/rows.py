"""How clusters, containers and rollouts are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db.models import Count

from accounts.models import User
from clusters import states
from clusters.locations import LOCATIONS
from clusters.models import Cluster, Container, Location, Placement, Rollout
from clusters.queries import counts_of, place_of, placements_of, status_of
from clusters.services import token_of


def clusters(page: Sequence[Cluster], reader: User) -> list[dict[str, Any]]:
    """The token is for its owner only."""
    counts = counts_of([each.pk for each in page])
    return [_cluster(each, counts.get(each.pk, {}), reader) for each in page]


def _cluster(row: Cluster, counts: Mapping[str, int], reader: User) -> dict[str, Any]:
    return {
        "id": row.pk,
        "uuid": row.uuid,
        "name": row.name,
        "owner": row.owner.username,
        "customer": row.customer and row.customer.name,
        "image_version": row.image_version.version,
        "status": status_of(counts),
        "containers": counts,
        "token": token_of(row) if row.owner_id == reader.pk else None,
        "created": row.created_at,
        "archived": row.archived_at,
    }


def containers(page: Sequence[Container]) -> list[dict[str, Any]]:
    placements = placements_of([each.pk for each in page])
    return [_container(each, placements.get(each.pk)) for each in page]


def _container(row: Container, placement: Placement | None) -> dict[str, Any]:
    addresses = addresses_of(row, placement)
    return {
        "id": row.pk,
        "uuid": row.uuid,
        "cluster": {"id": row.cluster.pk, "uuid": row.cluster.uuid, "name": row.cluster.name},
        "owner": row.owner.username,
        "customer": row.customer and row.customer.name,
        "name": row.name,
        "routing_key": row.routing_key,
        "location": row.location,
        "machine_type": row.machine_type,
        "image_version": row.image_version.version,
        "desired": row.desired,
        "status": row.status,
        "reason": row.reason,
        "detail": row.detail,
        "is_draining": row.is_draining,
        "is_healthy": placement and placement.is_healthy,
        "address": addresses[0]["address"] if addresses else None,
        "addresses": addresses,
        "cloud": placement and placement.place.cloud,
        "region": placement and placement.place.region,
        "restarts": placement.restarts if placement else 0,
        "created": row.created_at,
        "started": row.started_at,
        "run_started": placement and placement.started_at,
        "last_status_change": row.moved_at,
        "archived": row.archived_at,
    }


def addresses_of(row: Container, placement: Placement | None) -> list[dict[str, Any]]:
    """Where each port of its image version is reached; none while nothing of it runs."""
    if placement is None or not placement.host:
        return []
    return [
        {
            "port": each["number"],
            "protocol": each.get("protocol", "tcp"),
            "address": f"{placement.host}:{port_at(placement, each['number'])}",
        }
        for each in row.image_version.ports
    ]


def port_at(placement: Placement, port: int) -> int:
    """The port of the place that leads to this port of the container."""
    found: int = placement.ports.get(str(port), port)
    return found


def target(placement: Placement) -> dict[str, Any]:
    """A target in the form of Prometheus' discovery by HTTP."""
    row = placement.container
    version = row.image_version
    assert version.metrics_port is not None
    labels = {
        "__metrics_path__": version.metrics_path or "/metrics",
        "instance_uuid": str(row.uuid),
        "instance_name": row.name,
        "cluster_uuid": str(row.cluster.uuid),
        "cluster_name": row.cluster.name,
        "user_email": row.owner.email or "",
        "customer": row.customer.name if row.customer else "",
        "location": row.location,
        "machine_type": row.machine_type,
        "image_version": version.version,
    }
    return {"targets": [f"{placement.host}:{port_at(placement, version.metrics_port)}"], "labels": labels}


def rollouts(page: Sequence[Rollout], cluster: Cluster) -> list[dict[str, Any]]:
    """With how far each is that is under way."""
    there = Container.objects.filter(cluster=cluster, archived_at=None).order_by()
    has = dict(there.values_list("image_version").annotate(count=Count("pk")))
    return [_rollout(each, cluster, has) for each in page]


def _rollout(row: Rollout, cluster: Cluster, has: Mapping[int, int]) -> dict[str, Any]:
    goal_id = row.before_id if row.is_back else row.target_id
    is_open = row.status in states.ROLLOUT_OPEN
    return {
        "id": row.pk,
        "uuid": row.uuid,
        "cluster": cluster.uuid,
        "before": row.before.version,
        "image_version": row.target.version,
        "max_unavailable": row.max_unavailable,
        "is_back": row.is_back,
        "status": row.status,
        "reason": row.reason,
        "containers_changed": has.get(goal_id, 0) if is_open else None,
        "containers_total": sum(has.values()) if is_open else None,
        "created": row.created_at,
        "ended": row.ended_at,
    }


def locations() -> list[dict[str, Any]]:
    """Each location with its machine types, the smallest first."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in LOCATIONS}
    for row in Location.objects.order_by("vcpus_milli", "memory_mib", "pk"):
        where = place_of(row)
        found[row.name].append(
            {
                "machine_type": row.machine_type,
                "vcpus_milli": row.vcpus_milli,
                "memory_mib": row.memory_mib,
                "is_offered": row.is_offered,
                "is_available": where is not None,
                "cloud": where[0] if where else None,
                "region": where[1] if where else None,
            }
        )
    return [{"name": name, "title": LOCATIONS[name].title, "machine_types": found[name]} for name in LOCATIONS]
