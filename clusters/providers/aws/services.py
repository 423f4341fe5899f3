"""A container as one service of ECS, and what ECS tells of it. Nothing here calls AWS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID, uuid5

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.failures import NO_ROOM
from clusters.providers.aws.fleets import tag_value
from clusters.providers.aws.instances import CUSTOMER, DEPLOYMENT
from clusters.providers.aws.task_definitions import revision_of
from clusters.providers.hosting import Address, Service, ServiceObservation, ServicePhase

NAME: Final = "controlplane:service"
ACTIVE, DRAINING = "ACTIVE", "DRAINING"
_EVENTS_TOLD: Final = 10
_HEALTH: Final = {"HEALTHY": True, "UNHEALTHY": False}
Row = Mapping[str, Any]


def service_name(prefix: str, name: str) -> str:
    """What a container is called in ECS, where a cluster may be shared by several deployments."""
    return f"{prefix}-{name}"


def name_of(prefix: str, arn: str) -> str | None:
    """The container that a service of this deployment is for; None of every other service."""
    begin, _, _ = service_name(prefix, "|").partition("|")
    last = arn.rpartition("/")[2]
    try:
        name = str(UUID(last.removeprefix(begin)))
    except ValueError:
        return None
    return name if last == service_name(prefix, name) else None


def creation(
    config: AwsConfig, service: Service, *, definition: str, network: Mapping[str, Any], before: Row | None
) -> dict[str, Any]:
    """The arguments of CreateService, but the cluster. `before`: what stood there under the same name, and is gone.

    The name alone makes it once. The token is of this definition and of what stood before, as AWS would answer a
    repeated one with what was made by it, though that be deleted.
    """
    tags = {
        DEPLOYMENT: config.prefix,
        NAME: service.name,
        CUSTOMER: tag_value(service.customer),
    }
    return {
        "serviceName": service_name(config.prefix, service.name),
        "clientToken": str(uuid5(UUID(service.name), f"{definition} {before and _made(before)}")),
        "taskDefinition": definition,
        "desiredCount": 1,
        "launchType": "FARGATE",
        "schedulingStrategy": "REPLICA",
        "networkConfiguration": {"awsvpcConfiguration": dict(network)},
        "deploymentConfiguration": {
            # The new one beside the old one, which goes when the new one is ready.
            "minimumHealthyPercent": 100,
            "maximumPercent": 200,
            "deploymentCircuitBreaker": {"enable": True, "rollback": True},
        },
        # Nobody gains by one container's move to another zone.
        "availabilityZoneRebalancing": "DISABLED",
        "enableECSManagedTags": True,
        "propagateTags": "SERVICE",
        "tags": [{"key": key, "value": value} for key, value in tags.items() if value],
    }


def primary_of(row: Row) -> Row:
    """The deployment that a service works towards."""
    rows = row.get("deployments") or []
    return next((one for one in rows if one.get("status") == "PRIMARY"), {})


def has_given_up(row: Row) -> bool:
    return primary_of(row).get("rolloutState") == "FAILED"


def has_failed_tasks(row: Row) -> bool:
    """Tasks did not start, or not become well. Those that ran and ended, ECS does not count."""
    return any(one.get("failedTasks") for one in row.get("deployments") or [])


def serving(tasks: Iterable[Row]) -> Row | None:
    """The task that serves: the newest of those that run, but one that is well before one that is not known to be."""
    running = [task for task in tasks if task.get("lastStatus") == "RUNNING" and task.get("desiredStatus") == "RUNNING"]
    return max(running, key=_merit, default=None)


def interface_of(task: Row) -> str:
    """Its network interface; "" while it has none."""
    return _detail_of(task, "networkInterfaceId")


def observation(
    handle: str, row: Row | None, tasks: Sequence[Row], stopped: Sequence[Row], public: Mapping[str, str]
) -> ServiceObservation:
    """What a row of DescribeServices and its tasks say; `stopped` are those that ended, the newest first.

    `public` has the public addresses of network interfaces.
    """
    if row is None or row.get("status") not in (ACTIVE, DRAINING):
        return ServiceObservation(handle, ServicePhase.GONE)
    if row["status"] == DRAINING:
        return ServiceObservation(handle, ServicePhase.STOPPING)
    given_up, task = has_given_up(row), serving(tasks)
    wanted = "" if given_up else revision_of(str(primary_of(row).get("taskDefinition", "")))
    if task is None:
        return ServiceObservation(
            handle,
            ServicePhase.FAILED if given_up else ServicePhase.PROVISIONING,
            wanted=wanted,
            lacks_room=not given_up and lacks_room(row),
            detail="\n".join(_troubles(row, stopped)),
        )
    is_healthy = _HEALTH.get(str(task.get("healthStatus")))
    revision = revision_of(str(task.get("taskDefinitionArn", "")))
    is_well = is_healthy is not False and wanted == revision and not _has_failed_deployment(row)
    return ServiceObservation(
        handle,
        ServicePhase.RUNNING,
        run=run_of(task),
        started_at=_utc(task.get("startedAt")),
        addresses=_addresses(task, public),
        is_healthy=is_healthy,
        revision=revision,
        wanted=wanted,
        detail="" if is_well else "\n".join(_troubles(row, stopped)),
    )


def lacks_room(row: Row) -> bool:
    """The last that ECS tells of a service is that it found no room for it."""
    return bool(NO_ROOM.search("".join(_messages(row)[:1])))


def explanation(row: Row, tasks: Sequence[Row], stopped: Sequence[Row]) -> str:
    """All that ECS says of a service, the newest of each first."""
    counts = ", ".join(f"{what} {row.get(f'{what}Count', 0)}" for what in ("desired", "running", "pending"))
    told = [f"{row['status']}: {counts}", *_rollout(row)]
    told += [f"task {run_of(task)}: {task.get('lastStatus')}, {task.get('healthStatus', 'UNKNOWN')}" for task in tasks]
    told += [end_of(task) for task in stopped]
    for event in (row.get("events") or [])[:_EVENTS_TOLD]:
        told.append(f"{_utc(event['createdAt'])}: {event['message']}")
    return "\n".join(told)


def end_of(task: Row) -> str:
    """How a task ended, in ECS's words."""
    told = [task.get("stopCode"), task.get("stoppedReason")]
    for container in task.get("containers") or []:
        told.append(container.get("reason"))
        if container.get("exitCode") is not None:
            told.append(f"exit code {container['exitCode']}")
    return f"task {run_of(task)} ended: {'; '.join(str(one) for one in told if one)}"


def run_of(task: Row) -> str:
    return str(task["taskArn"]).rpartition("/")[2]


def newest_first(tasks: Iterable[Row]) -> list[Row]:
    return sorted(tasks, key=_made, reverse=True)


def _made(row: Row) -> datetime:
    return _utc(row.get("createdAt")) or datetime.min.replace(tzinfo=UTC)


def _merit(task: Row) -> tuple[int, datetime]:
    return {"HEALTHY": 2, "UNHEALTHY": 0}.get(str(task.get("healthStatus")), 1), _made(task)


def _troubles(row: Row, stopped: Sequence[Row]) -> list[str]:
    """The last of each kind that ECS has said."""
    return [*_rollout(row), *map(end_of, stopped[:1]), *_messages(row)[:1]]


def _rollout(row: Row) -> list[str]:
    """Why a deployment is not complete, those before it included: of one that was rolled back, why."""
    rows = row.get("deployments") or []
    return [str(one["rolloutStateReason"]) for one in rows if _is_underway(one) and one.get("rolloutStateReason")]


def _has_failed_deployment(row: Row) -> bool:
    """Also one that is being rolled back."""
    return any(one.get("rolloutState") == "FAILED" for one in row.get("deployments") or [])


def _is_underway(deployment: Row) -> bool:
    return deployment.get("rolloutState") != "COMPLETED"


def _messages(row: Row) -> list[str]:
    return [str(event["message"]) for event in row.get("events") or []]


def _addresses(task: Row, public: Mapping[str, str]) -> list[Address]:
    found = []
    if host := public.get(interface_of(task)):
        found.append(Address(host, is_public=True))
    if host := _detail_of(task, "privateIPv4Address"):
        found.append(Address(host, is_public=False))
    return found


def _detail_of(task: Row, name: str) -> str:
    for attachment in task.get("attachments") or []:
        if attachment.get("type") == "ElasticNetworkInterface":
            for detail in attachment.get("details") or []:
                if detail.get("name") == name:
                    return str(detail.get("value") or "")
    return ""


def _utc(moment: datetime | None) -> datetime | None:
    return moment.astimezone(UTC) if moment else None
