"""Task definitions: what of a container ECS wants to know beforehand. They belong to one container and go with it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from clusters.providers.aws.config import AwsConfig, ContainerConfig
from clusters.providers.aws.instances import DEPLOYMENT
from clusters.providers.aws.secrets import Secrets
from clusters.providers.aws.session import Session
from clusters.providers.aws.sizes import fargate
from clusters.providers.fingerprints import DIGITS, fingerprint
from clusters.providers.hosting import HealthCheck, Service
from clusters.providers.trials import trial

CONTAINER: Final = "main"  # the one in each task
_LOG_BUFFER: Final = "25m"
_DELETED_AT_ONCE: Final = 10
_REVISION: Final = re.compile(rf"-([0-9a-f]{{{DIGITS}}})-[0-9a-f]{{{DIGITS}}}:\d+")


class TaskDefinitions:
    """Finds or makes the definition of a container, and removes all of them when it goes.

    Its family says whose it is, the revision that was asked for, and by a hash what it holds, so that none is ever
    changed. Two that begin at once may make the same: that is then its second number, and does no harm.

    AWS shows what it holds, the values of `env` too, to whoever may ecs:DescribeTaskDefinition; of one that has been
    removed, until AWS has deleted it, which may take as long as a task of it lives. Of secrets it holds the names of
    parameters only.
    """

    def __init__(self, config: AwsConfig, containers: ContainerConfig, session: Session) -> None:
        self._secrets = Secrets(config, session)
        self._config = config
        self._containers = containers
        self._session = session

    def arn(self, account: str, service: Service) -> str:
        """The definition for `service` in `account`, made if there is none yet."""
        content = self._content(account, service)
        family = f"{self._config.prefix}-{service.name}-{service.revision}-{fingerprint(content)}"
        if known := next(self._arns(account, family, "ACTIVE"), ""):
            return known
        self._secrets.keep(account, service)
        return self._make(account, family, content)

    def drop(self, account: str, name: str) -> None:
        """Remove all that were made for the container `name`, and its secrets. Done again, it goes on."""
        begin = f"{self._config.prefix}-{name}-"
        pages = self._session.pages(account, "ecs", "ListTaskDefinitionFamilies", familyPrefix=begin, status="ALL")
        for family in [str(family) for page in pages for family in page.get("families", [])]:
            for arn in list(self._arns(account, family, "ACTIVE")):
                self._session.call(account, "ecs", "DeregisterTaskDefinition", taskDefinition=arn)
            arns = self._arns(account, family, "INACTIVE")
            while some := list(itertools.islice(arns, _DELETED_AT_ONCE)):
                self._session.call(account, "ecs", "DeleteTaskDefinitions", taskDefinitions=some)
        self._secrets.drop(account, name)

    def _arns(self, account: str, family: str, status: str) -> Iterator[str]:
        """Those of a family, the newest first."""
        asked = {"familyPrefix": family, "status": status, "sort": "DESC"}
        for page in self._session.pages(account, "ecs", "ListTaskDefinitions", **asked):
            yield from map(str, page.get("taskDefinitionArns", []))

    def _make(self, account: str, family: str, content: Mapping[str, Any]) -> str:
        tags = [{"key": DEPLOYMENT, "value": self._config.prefix}]
        made = self._session.call(account, "ecs", "RegisterTaskDefinition", family=family, tags=tags, **content)
        return str(made["taskDefinition"]["taskDefinitionArn"])

    def _content(self, account: str, service: Service) -> dict[str, Any]:
        config, containers = self._config, self._containers
        vcpus_milli, memory_mib = fargate(service.vcpus_milli, service.memory_mib)
        content: dict[str, Any] = {
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "cpu": str(vcpus_milli * 1024 // 1000),
            "memory": str(memory_mib),
            "executionRoleArn": config.role_of(containers.execution_role_arn, account),
            "containerDefinitions": [self._container(service)],
        }
        if containers.task_role_arn:
            content["taskRoleArn"] = config.role_of(containers.task_role_arn, account)
        return content

    def _container(self, service: Service) -> dict[str, Any]:
        container: dict[str, Any] = {
            "name": CONTAINER,
            "image": service.image,
            "essential": True,
            "environment": [{"name": key, "value": value} for key, value in sorted(service.env.items())],
            "portMappings": [{"containerPort": port.number, "protocol": port.protocol.value} for port in service.ports],
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": self._containers.log_group,
                    "awslogs-region": self._config.region,
                    "awslogs-stream-prefix": f"{self._config.prefix}-{service.name}",
                    # Lines are lost rather than that a container waits for its log.
                    "mode": "non-blocking",
                    "max-buffer-size": _LOG_BUFFER,
                },
            },
        }
        if names := self._secrets.names(service):
            container["secrets"] = [{"name": key, "valueFrom": parameter} for key, parameter in names.items()]
        if service.command:
            container["command"] = list(service.command)
        if service.health_check:
            container["healthCheck"] = _health_check(service.health_check)
        return container


def stream_of(prefix: str, name: str, run: str = "") -> str:
    """The name of the stream of a run's output; of no run, how those of all runs begin."""
    return f"{prefix}-{name}/{CONTAINER}/{run}"


def revision_of(arn: str) -> str:
    """The revision that a definition of ours was made for; "" of any other."""
    found = _REVISION.search(arn)
    return found[1] if found else ""


def _health_check(check: HealthCheck) -> dict[str, Any]:
    found: dict[str, Any] = {
        "command": ["CMD", *check.command] if check.port is None else ["CMD-SHELL", trial(check.port, check.path)],
        "interval": check.interval_seconds,
        "timeout": check.timeout_seconds,
        "retries": check.retries,
    }
    if check.start_seconds:
        found["startPeriod"] = check.start_seconds
    return found
