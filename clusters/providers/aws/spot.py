"""Instance jobs: whole machines of EC2, spot ones first.

Each is asked for by an EC2 Fleet of type instant, which chooses among many types and zones what is cheapest and likely
to stay, and which alone takes its boot data along; a template would keep it. What we know of a machine stands in its
tags: no state is kept here.
"""

from __future__ import annotations

import itertools
import logging
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from clusters.providers.aws import instances, screen
from clusters.providers.aws.boot import user_data
from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.failures import MISMATCH
from clusters.providers.aws.fleets import check, fleet, machine_of
from clusters.providers.aws.handles import EC2, Handle
from clusters.providers.aws.instances import CANCELED, ENDED, LIVING, ON_DEMAND, SPOT, TIMED_OUT, Row, state_of
from clusters.providers.aws.links import console_page
from clusters.providers.aws.machine_types import MachineTypes
from clusters.providers.aws.networks import Networks
from clusters.providers.aws.session import Session
from clusters.providers.aws.templates import Templates
from clusters.providers.base import End, LogPage, Observation, Work
from clusters.providers.errors import AuthFailed, NoCapacity, NotFound, ProviderError, Refused, Throttled

logger = logging.getLogger("clusters.providers.aws")
_DESCRIBED_AT_ONCE: Final = 200
_NO_TEMPLATE: Final = "InvalidLaunchTemplateName.NotFound"
_ID = re.compile(r"\bi-[0-9a-f]{8,17}\b")
_REMEMBERED: Final = 1000


class Machines:
    """The verbs of `Cloud` for works that ask for a machine. Handles are taken apart already.

    `start_seconds`: a machine that could not be asked for by then is not; the caller's lease would run out over it.
    """

    def __init__(self, config: AwsConfig, session: Session, *, start_seconds: float) -> None:
        self._config = config
        self._session = session
        self._start_seconds = start_seconds
        self._types = MachineTypes(session)
        self._networks = Networks(config, session)
        self._templates = Templates(config, session)
        self._lock = threading.Lock()
        self._rounds: OrderedDict[str, int] = OrderedDict()

    def submit(self, name: str, work: Work) -> Handle:
        """A machine of the kind it asks for; of one that does not ask a spot one, and where there is none, one at the
        full price if that is allowed.
        """
        until = time.monotonic() + self._start_seconds
        check(work)
        account = self._config.account_of(work.customer)
        asked: dict[str, Any] = {
            "data": user_data(work),
            "types": self._types.fitting(account, work),
            "subnets": self._networks.subnets(account),
            "template": self._templates.name(account, work, self._networks.security_groups(account)),
        }
        number = self._rounds.get(name, 0)
        failures: list[str] = []
        for purchase in self._purchases(work):
            if time.monotonic() > until:
                raise Throttled("EC2 answers too slowly to start a machine in time")
            token = _token(name, number, purchase)
            whole = fleet(self._config, name, work, purchase=purchase, token=token, **asked)
            try:
                machine = self._start(account, whole, asked["template"])
            except NoCapacity as error:
                failures.append(str(error))
            except ProviderError as error:
                if MISMATCH in str(error):
                    self._next_round(name, number)
                raise
            else:
                self._rounds.pop(name, None)
                return Handle(EC2, account, machine)
        self._next_round(name, number)
        raise NoCapacity("; ".join(failures))

    def _purchases(self, work: Work) -> tuple[str, ...]:
        if work.capacity:
            return (work.capacity,)
        return (SPOT, ON_DEMAND) if self._config.on_demand_after_spot else (SPOT,)

    def _start(self, account: str, whole: Mapping[str, Any], template: str) -> str:
        try:
            return machine_of(self._session.call(account, "ec2", "CreateFleet", **whole))
        except Refused as error:
            if _NO_TEMPLATE not in str(error):
                raise
            # The one we remember has been deleted meanwhile.
            self._templates.forget(account, template)
            raise Throttled(str(error)) from None

    def _next_round(self, name: str, number: int) -> None:
        """Ask with another token the next time: AWS answers one that it knows as it did before, "no machine" too."""
        with self._lock:
            self._rounds[name] = number + 1
            while len(self._rounds) > _REMEMBERED:
                self._rounds.popitem(last=False)

    def find(self, name: str, work: Work) -> list[list[Handle]]:
        """AWS shows ended machines for about an hour; those older than that are not found."""
        account = self._config.account_of(work.customer)
        rows = self._rows(account, Filters=[_tag(instances.SUBMISSION, name), self._ours()])
        rows.sort(key=lambda row: (row["LaunchTime"], row["InstanceId"]))
        return [[Handle(EC2, account, str(row["InstanceId"]))] for row in rows]

    def observe(self, handles: Iterable[Handle]) -> list[Observation]:
        """What runs longer than its timeout is terminated, and has ended by that."""
        found = list(self._described(handles))
        now = datetime.now(UTC)
        ends = self._stopped_late({handle: row for handle, row in found if instances.is_overdue(row, now)})
        return [instances.observation(str(handle), row, ends.get(handle)) for handle, row in found]

    def _stopped_late(self, overdue: Mapping[Handle, Row]) -> dict[Handle, End]:
        """Terminate them; how each has ended by that. Those that cannot be now still run, and are tried again."""
        try:
            self._terminate(overdue, TIMED_OUT)
        except ProviderError as error:
            logger.warning("machines that run longer than their timeout cannot be terminated: %s", error)
            return {}
        return {handle: instances.told_end(row) or End.TIMED_OUT for handle, row in overdue.items()}

    def cancel(self, handles: Iterable[Handle]) -> None:
        living = {handle: row for handle, row in self._described(handles) if state_of(row) in LIVING}
        self._terminate(living, CANCELED)

    def _terminate(self, found: Mapping[Handle, Row], why: str) -> None:
        """Say why, unless it was said before, and then do it: it could not be told afterwards."""
        for account in sorted({handle.account for handle in found}):
            ids = [handle.id for handle in found if handle.account == account]
            untold = [handle.id for handle, row in found.items() if handle.id in ids and not instances.told_end(row)]
            for some in _batches(untold):
                tags = [{"Key": ENDED, "Value": why}]
                self._session.call(account, "ec2", "CreateTags", Resources=some, Tags=tags)
            for some in _batches(ids):
                self._session.call(account, "ec2", "TerminateInstances", InstanceIds=some)

    def logs(self, handle: Handle, after: int, limit: int) -> LogPage:
        """Raises NotFound when EC2 does not show the machine (any more)."""
        ended = state_of(self._one(handle)) not in LIVING
        return screen.read(self._session, handle, after, limit, ended=ended)

    def explain(self, handle: Handle) -> str:
        row = next((row for _, row in self._described([handle])), None)
        if row is None:
            return ""
        told = [f"{state_of(row)}, {instances.place_of(row)}", instances.words(row)]
        if request := row.get("SpotInstanceRequestId"):
            told.append(self._spot_status(handle.account, str(request)))
        return "\n".join(one for one in told if one)

    def _spot_status(self, account: str, request: str) -> str:
        """What is said of its spot request: an interruption is announced there. Or why it cannot be told."""
        try:
            answer = self._session.call(
                account, "ec2", "DescribeSpotInstanceRequests", Filters=[_filter("spot-instance-request-id", request)]
            )
        except ProviderError as error:
            return str(error)
        status: Mapping[str, str] = next((row.get("Status", {}) for row in answer.get("SpotInstanceRequests", [])), {})
        return ": ".join(status[key] for key in ("Code", "Message") if status.get(key))

    def machines(self) -> dict[str, str]:
        """Handles of our machines that are not terminated, in all accounts that let us look, with their executions."""
        found: dict[str, tuple[Handle, str]] = {}
        for account in ["", *sorted(self._config.customer_roles)]:
            try:
                rows = self._rows(account, Filters=[self._ours(), _filter("instance-state-name", *LIVING)])
            except AuthFailed as error:
                if not account:
                    raise
                logger.warning("machines of %s cannot be looked for: %s", account, error)
                continue
            for row in rows:
                execution = instances.execution_of(row, self._config.prefix)
                if execution:
                    found.setdefault(row["InstanceId"], (Handle(EC2, account, str(row["InstanceId"])), execution))
        return {str(handle): execution for handle, execution in found.values()}

    def machine(self, instance_id: str) -> Handle | None:
        """The handle of a machine that we have bought, in whichever account it is. Also when it has ended."""
        for account in ["", *sorted(self._config.customer_roles)]:
            handle = Handle.parse(str(Handle(EC2, account, instance_id)))
            if handle is None:
                return None
            try:
                rows = [row for _, row in self._described([handle])]
            except AuthFailed:
                if not account:
                    raise
                continue
            for row in rows:
                if instances.execution_of(row, self._config.prefix) and instances.is_bought_by_us(row):
                    return handle
        return None

    def link(self, handle: Handle) -> str:
        return console_page(self._config.region, "ec2", f"InstanceDetails:instanceId={handle.id}")

    # Looking closer

    def _one(self, handle: Handle) -> Row:
        row = next((row for _, row in self._described([handle])), None)
        if row is None:
            raise NotFound(f"EC2 shows no machine {handle.id}")
        return row

    def _described(self, handles: Iterable[Handle]) -> Iterable[tuple[Handle, Row]]:
        """Each machine of ours that EC2 shows, with its row, some hundred in a call."""
        accounts: dict[str, dict[str, Handle]] = {}
        for handle in handles:
            accounts.setdefault(handle.account, {})[handle.id] = handle
        for account, by_id in accounts.items():
            for some in _batches(by_id):
                for row in self._shown(account, some):
                    if row["InstanceId"] in by_id and instances.execution_of(row, self._config.prefix):
                        yield by_id[row["InstanceId"]], row

    def _shown(self, account: str, ids: Sequence[str]) -> list[Row]:
        """Those of `ids` that EC2 knows. It answers for none when it does not know one, but tells which."""
        left = list(ids)
        while left:
            try:
                return self._rows(account, InstanceIds=left)
            except NotFound as error:
                unknown = set(_ID.findall(str(error))) & set(left)
                if not unknown:
                    raise ProviderError(str(error)) from None
                left = [one for one in left if one not in unknown]
        return []

    def _rows(self, account: str, **asked: Any) -> list[Row]:
        pages = self._session.pages(account, "ec2", "DescribeInstances", **asked)
        return [row for page in pages for group in page.get("Reservations", []) for row in group.get("Instances", [])]

    def _ours(self) -> Mapping[str, Any]:
        return _tag(instances.DEPLOYMENT, self._config.prefix)


def _token(name: str, number: int, purchase: str) -> str:
    """The client token: the name itself, the first time. Each rung and each round has its own."""
    again = f"-{number}" if number else ""
    return f"{name}{again}" if purchase == SPOT else f"{name}{again}-{ON_DEMAND}"


def _filter(name: str, *values: str) -> Mapping[str, Any]:
    return {"Name": name, "Values": list(values)}


def _tag(name: str, value: str) -> Mapping[str, Any]:
    return _filter(f"tag:{name}", value)


def _batches(ids: Iterable[str]) -> Iterable[list[str]]:
    left = iter(ids)
    while some := list(itertools.islice(left, _DESCRIBED_AT_ONCE)):
        yield some
