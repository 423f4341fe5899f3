"""Services of ECS, which moto keeps but does not run: their tasks, deployments and events, as strictly as AWS has them.

Tasks run no containers. Of a command `/bin/sh -c TEXT` they do what `Play` knows; every other runs for ever.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final
from uuid import uuid4

import botocore.session
from botocore.validate import ParamValidator
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ec2.utils import random_private_ip, random_public_ip
from moto.ecs.exceptions import EcsClientException, InvalidParameterException, ServiceNotFoundException
from moto.ecs.models import ecs_backends
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.logs.models import logs_backends
from moto.ssm.models import ssm_backends

TICK_SECONDS: Final = 0.02
# Between a task's end and the next try.
PAUSE_SECONDS: Final = 0.05
FAILURES_TO_GIVE_UP: Final = 3
UNKNOWN_IMAGE: Final = "localhost/no-such-image:1"
NO_ROOM_IMAGE: Final = "localhost/no-room:1"
NO_ROOM: Final = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TAG: Final = re.compile(r"[\w\s.:/=+\-@]*")
Row = dict[str, Any]


def now() -> datetime:
    return datetime.now(UTC)


class Play:
    """A command as it goes: lines that it writes, waits, and in the end an exit code."""

    def __init__(self, command: list[str], env: dict[str, str]) -> None:
        text = command[2] if command[:2] == ["/bin/sh", "-c"] else "sleep 1000000"
        self.steps = [step.split() for step in text.split(";")]
        self.env = env
        self.until = 0.0

    def go_on(self, write: Callable[[str], None]) -> int | None:
        """Do what is due; the exit code when this is the end."""
        while self.steps and time.monotonic() >= self.until:
            word, *rest = self.steps.pop(0)
            if word == "echo":
                write(" ".join(rest))
            elif word == "printenv":
                write(self.env[rest[0]])
            elif word == "sleep":
                self.until = time.monotonic() + float(rest[0])
            elif word == "exit":
                return int(rest[0])
            else:
                raise ValueError(f"this is not played: {word}")
        return 0 if not self.steps and time.monotonic() >= self.until else None


@dataclass
class Task:
    """A task with its row, and what of it AWS does not show."""

    row: Row
    play: Play | None  # None: it has no environment to begin with
    deployment: str
    log: tuple[str, str]
    check: list[str]
    interface: Any = None
    events: int = 0

    @property
    def status(self) -> str:
        return str(self.row["lastStatus"])


@dataclass
class Service:
    """A service with its row; `asked` is what it was made by."""

    row: Row
    asked: Row
    region: Region
    tasks: list[Task] = field(default_factory=list)
    stopped: list[Task] = field(default_factory=list)
    not_before: float = 0.0

    @property
    def primary(self) -> Row:
        return next(one for one in self.row["deployments"] if one["status"] == "PRIMARY")

    def say(self, words: str) -> None:
        event = {"id": str(uuid4()), "createdAt": now(), "message": f"(service {self.row['serviceName']}) {words}."}
        self.row["events"].insert(0, event)
        del self.row["events"][100:]

    def deploy(self, definition: str) -> None:
        for one in self.row["deployments"]:
            one["status"] = "ACTIVE"
        made: Row = {"id": f"ecs-svc/{uuid4().int % 10**19}", "status": "PRIMARY", "taskDefinition": definition}
        made |= {"createdAt": now(), "updatedAt": now(), "desiredCount": 1, "runningCount": 0, "pendingCount": 0}
        made |= {"failedTasks": 0, "rolloutState": "IN_PROGRESS", "launchType": "FARGATE"}
        made["rolloutStateReason"] = f"ECS deployment {made['id']} in progress."
        self.row["deployments"].insert(0, made)
        self.row["taskDefinition"] = definition

    # A turn

    def turn(self) -> None:
        for task in list(self.tasks):
            self.advance(task)
        if self.row["status"] == "DRAINING":
            for task in self.tasks:
                self.stop(task, "ServiceSchedulerInitiated", "Scaling activity initiated by (deployment)")
            if not self.tasks:
                self.row["status"] = "INACTIVE"
        elif self.row["status"] == "ACTIVE":
            self.schedule()
        self.row["runningCount"] = sum(task.status == "RUNNING" for task in self.tasks)
        self.row["pendingCount"] = len(self.tasks) - self.row["runningCount"]

    def schedule(self) -> None:
        primary = self.primary
        own = [
            task for task in self.tasks if task.deployment == primary["id"] and task.row["desiredStatus"] != "STOPPED"
        ]
        if primary["rolloutState"] == "FAILED":
            return
        if not own and time.monotonic() >= self.not_before:
            self.place(primary)
        if any(self.is_ready(task) for task in own) and primary["rolloutState"] == "IN_PROGRESS":
            primary |= {"rolloutState": "COMPLETED", "failedTasks": 0}
            primary["rolloutStateReason"] = f"ECS deployment {primary['id']} completed."
            self.say(f"(deployment {primary['id']}) deployment completed")
        if primary["rolloutState"] == "COMPLETED":
            self.row["deployments"] = [primary]
            for task in self.tasks:
                if task.deployment != primary["id"]:
                    self.stop(task, "ServiceSchedulerInitiated", f"Scaling activity initiated by ({primary['id']})")

    def is_ready(self, task: Task) -> bool:
        return task.status == "RUNNING" and (not task.check or task.row["healthStatus"] == "HEALTHY")

    def place(self, deployment: Row) -> None:
        self.not_before = time.monotonic() + PAUSE_SECONDS
        definition = self.region.definition(deployment["taskDefinition"])
        if definition.container_definitions[0]["image"] == NO_ROOM_IMAGE:
            self.say(f"was unable to place a task. Reason: {NO_ROOM}")
            return
        task = self.region.task(self, definition, deployment["id"])
        self.tasks.append(task)
        self.say(f"has started 1 tasks: (task {task.row['taskArn'].rpartition('/')[2]})")

    def advance(self, task: Task) -> None:
        """One step of a task's life."""
        row, container = task.row, task.row["containers"][0]
        if row["desiredStatus"] == "STOPPED":
            following = {"RUNNING": "DEACTIVATING", "DEACTIVATING": "STOPPING", "STOPPING": "DEPROVISIONING"}
            row["lastStatus"] = following.get(task.status, "STOPPED")
            if task.status == "STOPPED":
                row["stoppedAt"] = now()
                self.tasks.remove(task)
                self.stopped.insert(0, task)
                self.region.release(task)
        elif task.status == "PROVISIONING":
            row["lastStatus"] = "PENDING"
        elif task.status == "PENDING":
            if task.play is None:
                words = "unable to pull secrets or registry auth: execution resource retrieval failed"
                self.fail(task, "TaskFailedToStart", f"ResourceInitializationError: {words}")
                return
            if container["image"] == UNKNOWN_IMAGE:
                words = f"pull image manifest has been retried 1 time(s): {UNKNOWN_IMAGE}: not found"
                self.fail(task, "TaskFailedToStart", f"CannotPullContainerError: {words}")
                return
            row |= {"lastStatus": "RUNNING", "startedAt": now()}
            container["lastStatus"] = "RUNNING"
        elif task.status == "RUNNING":
            self.run(task)

    def run(self, task: Task) -> None:
        assert task.play is not None
        code = task.play.go_on(lambda line: self.region.write(task, line))
        if code is not None:
            task.row["containers"][0]["exitCode"] = code
            self.stop(task, "EssentialContainerExited", "Essential container in task exited")
            self.not_before = time.monotonic() + PAUSE_SECONDS
        elif task.check and (now() - task.row["startedAt"]).total_seconds() > 5 * TICK_SECONDS:
            is_well = task.check[-1] == "/bin/true"
            for row in (task.row, task.row["containers"][0]):
                row["healthStatus"] = "HEALTHY" if is_well else "UNHEALTHY"
            if not is_well:
                self.fail(task, "ServiceSchedulerInitiated", "Task failed container health checks")

    def fail(self, task: Task, code: str, reason: str) -> None:
        self.stop(task, code, reason)
        self.not_before = time.monotonic() + PAUSE_SECONDS
        deployment = next((one for one in self.row["deployments"] if one["id"] == task.deployment), None)
        if deployment is None:
            return
        deployment["failedTasks"] += 1
        if deployment["failedTasks"] >= FAILURES_TO_GIVE_UP and deployment["rolloutState"] == "IN_PROGRESS":
            self.give_up(deployment)

    def give_up(self, deployment: Row) -> None:
        """The circuit breaker: back to the one before, if that is wanted and there is one that was complete."""
        breaker = self.asked.get("deploymentConfiguration", {}).get("deploymentCircuitBreaker", {})
        if not breaker.get("enable"):
            return
        words = "tasks failed to start"
        deployment |= {"rolloutState": "FAILED"}
        deployment["rolloutStateReason"] = f"ECS deployment circuit breaker: {words}."
        self.say(f"(deployment {deployment['id']}) deployment failed: {words}")
        for before in self.row["deployments"]:
            if before["rolloutState"] == "COMPLETED" and breaker.get("rollback"):
                deployment["status"], before["status"] = "ACTIVE", "PRIMARY"
                before["rolloutState"] = "IN_PROGRESS"
                before["rolloutStateReason"] = f"ECS deployment circuit breaker: rolling back to {before['id']}."
                self.row["taskDefinition"] = before["taskDefinition"]
                self.say(f"rolling back to deployment {before['id']}")
                return

    def stop(self, task: Task, code: str, reason: str) -> None:
        if task.row["desiredStatus"] != "STOPPED":
            task.row |= {"desiredStatus": "STOPPED", "stopCode": code, "stoppedReason": reason, "stoppingAt": now()}


class Region:
    """The services of an account in a region."""

    def __init__(self, account: str, name: str) -> None:
        self.account, self.name = account, name
        self.services: dict[tuple[str, str], list[Service]] = {}
        self.tokens: dict[str, Service] = {}

    def arn(self, rest: str) -> str:
        return f"arn:aws:ecs:{self.name}:{self.account}:{rest}"

    def cluster(self, name: str) -> str:
        """Raises what moto does for one that is not there."""
        return str(ecs_backends[self.account][self.name]._get_cluster(name).name)

    def definition(self, arn: str) -> Any:
        backend = ecs_backends[self.account][self.name]
        family, _, number = arn.rpartition("/")[2].partition(":")
        found = backend.task_definitions.get(family, {}).get(int(number))
        found = found or GONE.get((self.account, family, int(number)))
        if found is None:
            raise EcsClientException("TaskDefinition not found.")
        return found

    def newest(self, cluster: str, name: str) -> Service | None:
        return next(iter(self.services.get((cluster, name.rpartition("/")[2]), [])), None)

    def living(self) -> Iterator[Service]:
        for of_name in list(self.services.values()):
            yield from (one for one in of_name if one.row["status"] != "INACTIVE")

    def task(self, service: Service, definition: Any, deployment: str) -> Task:
        container, run = definition.container_definitions[0], uuid4().hex
        network = service.asked["networkConfiguration"]["awsvpcConfiguration"]
        ec2 = ec2_backends[self.account][self.name]
        interface = ec2.create_network_interface(
            network["subnets"][0], random_private_ip(), group_ids=network.get("securityGroups"), description="ECS"
        )
        if network.get("assignPublicIp") == "ENABLED":
            interface.public_ip = random_public_ip()
        details = {"subnetId": network["subnets"][0], "networkInterfaceId": interface.id}
        details["privateIPv4Address"] = interface.private_ip_address
        cluster, name = service.asked["cluster"], service.row["serviceName"]
        arn = self.arn(f"task/{cluster}/{run}")
        row = {
            "taskArn": arn,
            "clusterArn": service.row["clusterArn"],
            "taskDefinitionArn": definition.arn,
            "group": f"service:{name}",
            "startedBy": deployment,
            "createdAt": now(),
            "lastStatus": "PROVISIONING",
            "desiredStatus": "RUNNING",
            "healthStatus": "UNKNOWN",
            "launchType": "FARGATE",
            "cpu": definition.cpu,
            "memory": definition.memory,
            "tags": list(service.row["tags"]),
            "containers": [{"name": container["name"], "image": container["image"], "lastStatus": "PENDING"}],
            "attachments": [
                {
                    "id": str(uuid4()),
                    "type": "ElasticNetworkInterface",
                    "status": "ATTACHED",
                    "details": [{"name": key, "value": value} for key, value in details.items()],
                }
            ],
        }
        options = container["logConfiguration"]["options"]
        stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{run}"
        env = self.environment(container)
        check = list(container.get("healthCheck", {}).get("command", []))
        play = None if env is None else Play(list(container.get("command") or []), env)
        return Task(row, play, deployment, (options["awslogs-group"], stream), check, interface)

    def environment(self, container: Row) -> dict[str, str] | None:
        """None: a secret is not there."""
        env = {one["name"]: one["value"] for one in container.get("environment", [])}
        for one in container.get("secrets", []):
            found = ssm_backends[self.account][self.name].get_parameters([one["valueFrom"]])
            if one["valueFrom"] not in found:
                return None
            env[one["name"]] = found[one["valueFrom"]].decrypt(found[one["valueFrom"]].value)
        return env

    def release(self, task: Task) -> None:
        ec2_backends[self.account][self.name].enis.pop(task.interface.id, None)

    def write(self, task: Task, line: str) -> None:
        logs = logs_backends[self.account][self.name]
        group, stream = task.log
        if not task.events:
            logs.create_log_stream(group, stream)
        task.events += 1
        logs.put_log_events(group, stream, [{"timestamp": int(time.time() * 1000), "message": line}])


REGIONS: dict[tuple[str, str], Region] = {}
LOCK = threading.RLock()
GONE: dict[Any, Any] = {}  # definitions that were deleted while something used them


def run_for_ever() -> None:
    while True:
        with LOCK:
            for region in list(REGIONS.values()):
                for service in list(region.living()):
                    service.turn()
        time.sleep(TICK_SECONDS)


@cache
def model() -> Any:
    return botocore.session.Session().get_service_model("ecs")


def checked(action: str, shape: str, value: Row) -> None:
    operation = model().operation_model(action)
    report = ParamValidator().validate(value, getattr(operation, shape))
    if report.has_errors():
        raise InvalidParameterException(f"{action}: {report.generate_report()}")


def paged(rows: list[str], asked: Row, *, at_once: int, key: str) -> Row:
    at, most = int(asked.get("nextToken") or 0), int(asked.get("maxResults") or at_once)
    if not 1 <= most <= 100:
        raise InvalidParameterException("maxResults must be between 1 and 100.")
    found: Row = {key: rows[at : at + most]}
    return {**found, "nextToken": str(at + most)} if at + most < len(rows) else found


class Actions:
    """What is asked for, as the stand-in answers it in moto's place."""

    def __init__(self, region: Region) -> None:
        self.region = region

    def create_service(self, asked: Row) -> Row:
        cluster, name = self.region.cluster(asked.get("cluster", "default")), asked["serviceName"]
        asked = {**asked, "cluster": cluster}
        token = asked.pop("clientToken", "")
        if not _NAME.fullmatch(name) or len(token) > 36:
            raise InvalidParameterException("Invalid service name or client token.")
        if not all(_TAG.fullmatch(tag["value"]) and len(tag["value"]) <= 256 for tag in asked.get("tags", [])):
            raise InvalidParameterException("Invalid tag.")
        if token in self.region.tokens:
            return {"service": self.region.tokens[token].row}
        there = self.region.newest(cluster, name)
        if there and there.row["status"] == "DRAINING":
            raise InvalidParameterException("Unable to Start a service that is still Draining.")
        if there and there.row["status"] == "ACTIVE":
            if there.asked != asked:
                raise InvalidParameterException("Creation of service was not idempotent.")
            return {"service": there.row}
        self.check_definition(asked["taskDefinition"])
        self.check_network(asked)
        row: Row = {
            "serviceArn": self.region.arn(f"service/{cluster}/{name}"),
            "serviceName": name,
            "clusterArn": self.region.arn(f"cluster/{cluster}"),
            "status": "ACTIVE",
            "desiredCount": asked["desiredCount"],
            "launchType": asked["launchType"],
            "createdAt": now(),
            "deployments": [],
            "events": [],
            "tags": asked.get("tags", []),
        }
        service = Service(row, asked, self.region)
        service.deploy(asked["taskDefinition"])
        self.region.services.setdefault((cluster, name), []).insert(0, service)
        if token:
            self.region.tokens[token] = service
        return {"service": row}

    def check_definition(self, arn: str) -> None:
        if self.region.definition(arn).status != "ACTIVE":
            raise EcsClientException("TaskDefinition is inactive")

    def check_network(self, asked: Row) -> None:
        network = asked.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
        if not network.get("subnets") or len(network["subnets"]) > 16 or len(network.get("securityGroups", [])) > 5:
            raise InvalidParameterException(
                "Network Configuration must be provided when networkMode 'awsvpc' is specified."
            )
        known = {one.id for one in ec2_backends[self.region.account][self.region.name].describe_subnets()}
        if missing := set(network["subnets"]) - known:
            raise InvalidParameterException(f"Error retrieving subnet information for {sorted(missing)}")

    def service(self, asked: Row) -> Service:
        found = self.region.newest(self.region.cluster(asked.get("cluster", "default")), asked["service"])
        if found is None or found.row["status"] == "INACTIVE":
            raise ServiceNotFoundException
        return found

    def describe_services(self, asked: Row) -> Row:
        cluster, names = self.region.cluster(asked.get("cluster", "default")), asked["services"]
        if not 1 <= len(names) <= 10:
            raise InvalidParameterException("Services cannot be empty, nor more than 10.")
        with_tags, found, failures = "TAGS" in asked.get("include", []), [], []
        for name in names:
            service = self.region.newest(cluster, name)
            if service is None:
                failures.append({"arn": self.region.arn(f"service/{cluster}/{name}"), "reason": "MISSING"})
                continue
            found.append({key: value for key, value in service.row.items() if with_tags or key != "tags"})
        return {"services": found, "failures": failures}

    def list_services(self, asked: Row) -> Row:
        cluster = self.region.cluster(asked.get("cluster", "default"))
        rows = [one.row for one in self.region.living() if one.asked["cluster"] == cluster]
        arns = sorted(row["serviceArn"] for row in rows if row["status"] == "ACTIVE")
        return paged(arns, asked, at_once=10, key="serviceArns")

    def update_service(self, asked: Row) -> Row:
        service = self.service(asked)
        if service.row["status"] != "ACTIVE":
            raise ServiceNotFoundException
        definition = str(asked.get("taskDefinition") or service.row["taskDefinition"])
        self.check_definition(definition)
        if definition != service.primary["taskDefinition"] or asked.get("forceNewDeployment"):
            service.deploy(definition)
        return {"service": service.row}

    def delete_service(self, asked: Row) -> Row:
        service = self.service(asked)
        if not asked.get("force") and service.row["desiredCount"]:
            raise InvalidParameterException("The service cannot be stopped while it is scaled above 0.")
        service.row |= {"status": "DRAINING", "desiredCount": 0}
        return {"service": service.row}

    def list_tasks(self, asked: Row) -> Row:
        cluster = self.region.cluster(asked.get("cluster", "default"))
        if "serviceName" in asked:
            services = [self.service({**asked, "service": asked["serviceName"]})]
        else:
            services = [one for of_name in self.region.services.values() for one in of_name]
        wanted = asked.get("desiredStatus", "RUNNING")
        tasks = [
            task.row["taskArn"]
            for service in services
            if service.asked["cluster"] == cluster
            for task in (*service.tasks, *service.stopped)
            if task.row["desiredStatus"] == wanted
        ]
        return paged(tasks, asked, at_once=100, key="taskArns")

    def describe_tasks(self, asked: Row) -> Row:
        self.region.cluster(asked.get("cluster", "default"))
        if not 1 <= len(asked["tasks"]) <= 100:
            raise InvalidParameterException("Tasks cannot be empty, nor more than 100.")
        everything = itertools.chain.from_iterable(self.region.services.values())
        known = {
            key: task.row
            for service in everything
            for task in (*service.tasks, *service.stopped)
            for key in (task.row["taskArn"], task.row["taskArn"].rpartition("/")[2])
        }
        failures = [{"arn": one, "reason": "MISSING"} for one in asked["tasks"] if one not in known]
        return {"tasks": [known[one] for one in asked["tasks"] if one in known], "failures": failures}


ANSWERED: Final = ("create_service", "describe_services", "list_services", "update_service", "delete_service")
ANSWERED_TOO: Final = ("list_tasks", "describe_tasks")


def install() -> None:
    """Put these in the place of moto's, and have time go on."""
    for name in (*ANSWERED, *ANSWERED_TOO):
        setattr(EC2ContainerServiceResponse, name, _answering(name))
    _strict_definitions()
    threading.Thread(target=run_for_ever, daemon=True).start()


def _answering(name: str) -> Callable[[Any], ActionResult]:
    action = name.title().replace("_", "")

    def answer(self: Any) -> ActionResult:
        asked = dict(self._get_params())
        checked(action, "input_shape", asked)
        with LOCK:
            key = (self.current_account, self.region)
            region = REGIONS.setdefault(key, Region(*key))
            told = getattr(Actions(region), name)(asked)
            checked(action, "output_shape", told)
            return ActionResult(told)

    return answer


def _strict_definitions() -> None:
    """What AWS refuses of a definition, which statuses it lists, and that one in use outlives its deletion."""
    register = EC2ContainerServiceResponse.register_task_definition
    delete = EC2ContainerServiceResponse.delete_task_definitions

    def strict(self: Any) -> ActionResult:
        asked = dict(self._get_params())
        checked("RegisterTaskDefinition", "input_shape", asked)
        if (int(asked["cpu"]), int(asked["memory"])) not in SIZES:
            raise EcsClientException("No Fargate configuration exists for given values.")
        if not asked.get("executionRoleArn"):
            raise EcsClientException("Fargate requires task definition to have execution role ARN to support awslogs.")
        if not _NAME.fullmatch(asked["family"]):
            raise EcsClientException("Family contains invalid characters.")
        return register(self)

    def keeping(self: Any) -> ActionResult:
        for arn in self._get_params()["taskDefinitions"]:
            family, _, number = arn.rpartition("/")[2].partition(":")
            known = self.ecs_backend.task_definitions.get(family, {}).get(int(number))
            if known is not None:
                GONE[self.current_account, family, int(number)] = known
        return delete(self)

    def listing(self: Any) -> ActionResult:
        asked = dict(self._get_params())
        known = self.ecs_backend.task_definitions.get(asked["familyPrefix"], {})
        rows = [one for one in known.values() if one.status == asked.get("status", "ACTIVE")]
        arns = [one.arn for one in sorted(rows, key=lambda one: one.revision, reverse=asked.get("sort") == "DESC")]
        return ActionResult(paged(arns, asked, at_once=100, key="taskDefinitionArns"))

    def families(self: Any) -> ActionResult:
        asked = dict(self._get_params())
        found = []
        for family, rows in sorted(self.ecs_backend.task_definitions.items()):
            status = "ACTIVE" if any(one.status == "ACTIVE" for one in rows.values()) else "INACTIVE"
            if rows and family.startswith(asked["familyPrefix"]) and asked.get("status", "ALL") in ("ALL", status):
                found.append(family)
        return ActionResult(paged(found, asked, at_once=100, key="families"))

    EC2ContainerServiceResponse.register_task_definition = strict  # type: ignore[method-assign]
    EC2ContainerServiceResponse.delete_task_definitions = keeping  # type: ignore[method-assign]
    EC2ContainerServiceResponse.list_task_definitions = listing  # type: ignore[method-assign]
    EC2ContainerServiceResponse.list_task_definition_families = families  # type: ignore[method-assign]


# From AWS's page on task sizes: vCPUs in 1024ths, and MiB.
SIZES: Final = {
    *((256, gib * 512) for gib in (1, 2, 4)),
    *((512, gib * 1024) for gib in range(1, 5)),
    *((1024, gib * 1024) for gib in range(2, 9)),
    *((2048, gib * 1024) for gib in range(4, 17)),
    *((4096, gib * 1024) for gib in range(8, 31)),
    *((8192, gib * 1024) for gib in range(16, 61, 4)),
    *((16384, gib * 1024) for gib in range(32, 121, 8)),
}
