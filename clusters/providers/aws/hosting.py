"""Long-running containers in a region of AWS: each is a service of ECS, on Fargate."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, Final

from clusters.providers.aws import services
from clusters.providers.aws.config import RATES, AwsConfig
from clusters.providers.aws.handles import ECS, Handle, change_by_account, seen_by_account
from clusters.providers.aws.links import console_page, log_page
from clusters.providers.aws.log_lines import newest_lines
from clusters.providers.aws.logs import LONG_AGO, SETTLE_SECONDS, Logs, Source
from clusters.providers.aws.networks import Networks
from clusters.providers.aws.probe import Prober
from clusters.providers.aws.services import ACTIVE, DRAINING, Row
from clusters.providers.aws.session import Session
from clusters.providers.aws.task_definitions import TaskDefinitions, stream_of
from clusters.providers.base import LogPage, Probe
from clusters.providers.errors import AuthFailed, NotFound, NotYet, Refused
from clusters.providers.hosting import Hosting, Line, Service, ServiceObservation, ServicePhase

logger = logging.getLogger(__name__)

_SERVICES_AT_ONCE: Final = 10
_TASKS_AT_ONCE: Final = 100
# Of more services than these the tasks are looked for among all of the cluster's, a hundred in a call.
_FEW: Final = 3


class AwsHosting(Hosting):
    """Containers stand in our own account or in that of a customer who gave us a role; the handle tells which.

    `rates` and `log_settle_seconds` are as AwsCloud's. AWS counts no restarts, starts a container that has ended again
    with growing pauses, and gives up (FAILED) only while a new configuration has not run yet. `run` is a task's id.
    """

    cloud: ClassVar[str] = "aws"

    def __init__(
        self,
        config: AwsConfig,
        *,
        rates: Mapping[str, float] = RATES,
        log_settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        if config.containers is None:
            raise ValueError(f"no cluster of ECS is named for {config.region}")
        self._config = config
        self._containers = config.containers
        session = self._session = Session(config, rates=rates)
        self._definitions = TaskDefinitions(config, config.containers, session)
        self._networks = Networks(config, session)
        self._logs: Logs[tuple[Handle, str]] = Logs(session, self._log_source, settle_seconds=log_settle_seconds)

    @property
    def region(self) -> str:
        return self._config.region

    # Changing

    def provision(self, service: Service) -> str:
        account = self._config.account_of(service.customer)
        handle = _handle(account, service.name)
        row = self._row(handle)
        if row is None or row["status"] not in (ACTIVE, DRAINING):
            row = self._created(handle, service, row)
        if row["status"] != ACTIVE:
            raise NotYet(f"what stood under the name {service.name} is not gone yet")
        return str(handle)

    def _created(self, handle: Handle, service: Service, before: Row | None) -> Row:
        """What stands there after it was made. `before`: what stood there, and is gone."""
        definition, network = self._definitions.arn(handle.account, service), self._network(handle.account)
        asked = services.creation(self._config, service, definition=definition, network=network, before=before)
        try:
            made: Row = self._ecs(handle.account, "CreateService", **asked)["service"]
        except Refused:
            # Somebody else was faster, perhaps, and with another wish.
            row = self._row(handle)
            if row is None or row["status"] not in (ACTIVE, DRAINING):
                raise
            return row
        return made

    def reconfigure(self, handle: str, service: Service) -> None:
        known = self._one(handle)
        if known != _handle(self._config.account_of(service.customer), service.name):
            raise Refused(f"{handle} is another container than {service.name} of {service.customer or 'nobody'}")
        row = self._row(known)
        if row is None or row["status"] != ACTIVE:
            raise NotFound(f"ECS has no service {known.id} that could be changed")
        definition = self._definitions.arn(known.account, service)
        has_given_up = services.has_given_up(row)
        if services.primary_of(row).get("taskDefinition") == definition and not has_given_up:
            return
        asked: dict[str, Any] = {"service": row["serviceName"], "taskDefinition": definition}
        if has_given_up:
            asked["forceNewDeployment"] = True
        self._ecs(known.account, "UpdateService", **asked)

    def retire(self, handles: Sequence[str]) -> None:
        change_by_account(handles, (ECS,), self._retire)

    def _retire(self, handles: Sequence[Handle]) -> None:
        rows = dict(self._described(handles))
        for handle in handles:
            # What has just been made may not be shown yet.
            if handle not in rows or rows[handle]["status"] == ACTIVE:
                name = services.service_name(self._config.prefix, handle.id)
                with contextlib.suppress(NotFound):
                    self._ecs(handle.account, "DeleteService", service=name, force=True)
        for handle in handles:
            self._definitions.drop(handle.account, handle.id)

    # Looking

    def observe(self, handles: Sequence[str]) -> list[ServiceObservation]:
        return seen_by_account(
            handles,
            (ECS,),
            self._observe,
            lambda handle, words: ServiceObservation(handle, ServicePhase.UNKNOWN, detail=words),
        )

    def _observe(self, handles: Sequence[Handle]) -> list[ServiceObservation]:
        account, rows = handles[0].account, dict(self._described(handles))
        names = [str(row["serviceName"]) for row in rows.values() if row["status"] == ACTIVE]
        tasks = self._tasks(account, names)
        public = self._public_addresses(account, [task for some in tasks.values() for task in some])
        found = []
        for handle in dict.fromkeys(handles):
            row = rows.get(handle)
            name = str(row["serviceName"]) if row else ""
            own = tasks.get(name, [])
            has_trouble = name in tasks and (services.serving(own) is None or services.has_failed_tasks(row or {}))
            stopped = self._tasks_of(account, name, "STOPPED") if has_trouble else []
            found.append(services.observation(str(handle), row, own, stopped, public))
        return found

    def standing(self) -> Mapping[str, str]:
        found: dict[str, str] = {}
        for account in ["", *sorted(self._config.customer_roles)]:
            try:
                pages = list(self._pages(account, "ListServices", maxResults=100))
            except AuthFailed as error:
                if not account:
                    raise
                logger.warning("containers of %s cannot be looked for: %s", account, error)
                continue
            for arn in (str(arn) for page in pages for arn in page.get("serviceArns", [])):
                if name := services.name_of(self._config.prefix, arn):
                    found[str(Handle(ECS, account, name))] = name
        return found

    def logs(self, handle: str, after: int = 0, limit: int = 2**20, *, run: str = "") -> LogPage:
        known = self._one(handle)
        run = run or self._newest_run(known)
        return self._logs.read((known, run), after, limit) if run else LogPage("", max(after, 0), False)

    def newest_lines(self, handle: str, start: datetime, end: datetime) -> Iterator[Line]:
        known = self._one(handle)
        begin = stream_of(self._config.prefix, known.id)
        lines = newest_lines(self._session, known.account, self._containers.log_group, begin, start, end)
        return itertools.islice(lines, self.LINES_AT_MOST)

    def _newest_run(self, handle: Handle) -> str:
        """The one that began to write last; "" while none has. Raises NotFound when there is none and will be none."""
        begin = stream_of(self._config.prefix, handle.id)
        asked = {"logGroupName": self._containers.log_group, "logStreamNamePrefix": begin}
        try:
            pages = list(self._session.pages(handle.account, "logs", "DescribeLogStreams", **asked))
        except NotFound:  # the group, before anything was written
            pages = []
        streams = [row for page in pages for row in page.get("logStreams", [])]
        if streams:
            return str(max(streams, key=lambda row: int(row["creationTime"]))["logStreamName"]).removeprefix(begin)
        row = self._row(handle)
        if row is None or row["status"] not in (ACTIVE, DRAINING):
            raise NotFound(f"ECS knows no service {handle.id}, and there is no output of it")
        return ""

    def _log_source(self, key: tuple[Handle, str]) -> Source:
        handle, run = key
        answer = self._ecs(handle.account, "DescribeTasks", tasks=[run])
        task = next(iter(answer.get("tasks", [])), None)
        stopped: datetime | None = LONG_AGO  # ECS forgets tasks an hour after their end
        if task is not None:
            stopped = (task.get("stoppedAt") or LONG_AGO) if task.get("lastStatus") == "STOPPED" else None
        return Source(
            handle.account, self._containers.log_group, stream_of(self._config.prefix, handle.id, run), stopped
        )

    def explain(self, handle: str) -> str:
        known = self._one(handle)
        row = self._row(known)
        if row is None:
            return ""
        name = str(row["serviceName"])
        running, stopped = (
            self._tasks_of(known.account, name, status) if row["status"] in (ACTIVE, DRAINING) else []
            for status in ("RUNNING", "STOPPED")
        )
        return services.explanation(row, running, stopped)

    def probe(self, customer: str = "") -> list[Probe]:
        return Prober(self._config, self._session, customer).container_probes()

    def link(self, handle: str) -> str:
        name = services.service_name(self._config.prefix, self._one(handle).id)
        page = f"/clusters/{self._containers.cluster}/services/{name}/details"
        return console_page(self._config.region, "ecs", page)

    def log_link(self, handle: str, run: str) -> str:
        known = self._one(handle)
        if not run:
            return ""
        return log_page(self._config.region, self._containers.log_group, stream_of(self._config.prefix, known.id, run))

    # How it is asked

    def _one(self, text: str) -> Handle:
        handle = Handle.parse(text)
        if handle is None or handle.way != ECS:
            raise NotFound(f"{text!r} is no handle of a container of this cloud")
        return handle

    def _ecs(self, account: str, action: str, **arguments: Any) -> Row:
        return self._session.call(account, "ecs", action, cluster=self._containers.cluster, **arguments)

    def _pages(self, account: str, action: str, **arguments: Any) -> Iterator[Row]:
        return self._session.pages(account, "ecs", action, cluster=self._containers.cluster, **arguments)

    def _row(self, handle: Handle) -> Row | None:
        return next((row for _, row in self._described([handle])), None)

    def _described(self, handles: Iterable[Handle]) -> Iterator[tuple[Handle, Row]]:
        """Each that ECS knows, with its row, ten in a call. All are of one account."""
        by_name = {services.service_name(self._config.prefix, handle.id): handle for handle in handles}
        names = iter(by_name)
        while some := list(itertools.islice(names, _SERVICES_AT_ONCE)):
            answer = self._ecs(by_name[some[0]].account, "DescribeServices", services=some)
            for row in answer.get("services", []):
                yield by_name[str(row["serviceName"])], row

    def _tasks(self, account: str, names: Sequence[str]) -> dict[str, list[Row]]:
        """The tasks of each service that are to run."""
        if len(names) <= _FEW:
            return {name: self._tasks_of(account, name, "RUNNING") for name in names}
        found: dict[str, list[Row]] = {name: [] for name in names}
        arns = (arn for page in self._pages(account, "ListTasks", desiredStatus="RUNNING") for arn in page["taskArns"])
        for task in self._described_tasks(account, arns):
            name = str(task.get("group", "")).removeprefix("service:")
            if name in found:
                found[name].append(task)
        return found

    def _tasks_of(self, account: str, name: str, status: str) -> list[Row]:
        """The tasks of one service that are to run, or are stopped, the newest first; of one that is gone: none."""
        try:
            pages = list(self._pages(account, "ListTasks", serviceName=name, desiredStatus=status))
        except NotFound:
            return []
        arns = (arn for page in pages for arn in page["taskArns"])
        return services.newest_first(self._described_tasks(account, arns))

    def _described_tasks(self, account: str, arns: Iterator[str]) -> Iterator[Row]:
        while some := list(itertools.islice(arns, _TASKS_AT_ONCE)):
            yield from self._ecs(account, "DescribeTasks", tasks=some).get("tasks", [])

    def _public_addresses(self, account: str, tasks: Iterable[Row]) -> dict[str, str]:
        """Those of network interfaces that have one. By a filter, which leaves out what is not there any more."""
        if not self._containers.public_ip:
            return {}
        found: dict[str, str] = {}
        interfaces = iter(sorted({services.interface_of(task) for task in tasks} - {""}))
        while some := list(itertools.islice(interfaces, _TASKS_AT_ONCE)):
            filters = [{"Name": "network-interface-id", "Values": some}]
            for page in self._session.pages(account, "ec2", "DescribeNetworkInterfaces", Filters=filters):
                for row in page.get("NetworkInterfaces", []):
                    if address := row.get("Association", {}).get("PublicIp"):
                        found[str(row["NetworkInterfaceId"])] = str(address)
        return found

    def _network(self, account: str) -> dict[str, Any]:
        """Where a container stands. Raises Refused when there is no subnet for it."""
        subnets, groups = self._networks.subnets(account), self._networks.security_groups(account)
        if not subnets:
            whose = f" of {account}: one has to have our tag" if account else ""
            raise Refused(f"there is no subnet for containers in {self.region}{whose}")
        if not account and self._containers.security_groups:
            groups = list(self._containers.security_groups)
        public_ip = "ENABLED" if self._containers.public_ip else "DISABLED"
        return {"subnets": subnets, "assignPublicIp": public_ip, **({"securityGroups": groups} if groups else {})}


def _handle(account: str, name: str) -> Handle:
    """Raises Refused for what is no name."""
    handle = Handle.parse(str(Handle(ECS, account, name)))
    if handle is None:
        raise Refused(f"{name!r} is no name for a container")
    return handle
