"""Dry runs: what a submit would come to, without it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from accounts.models import Customer, User
from clusters.queries import Rate, amount
from controlplane.core.errors import InvalidRequest
from jobs import gates, sql
from jobs.models import Shape
from jobs.policy import Policy
from jobs.queries.outlook import NEW_CUSTOMER, History, Outlook, history, lane_thought_of
from jobs.queries.rates import Rates
from jobs.services.places import place_id
from jobs.services.placing import placed
from jobs.services.requests import JobRequest, LineKey, line_key
from jobs.services.submit import check_quotas
from jobtypes.models import JobType

MOST_FORECAST: Final = 1000


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where a job would run, what it would wait for, and what it will cost.

    `rate`: by what it is priced, None when nothing there is offered for it or has a price; of a MapReduce job it is
    that of each of its tasks. `p50` and `p90` in USD: what half, and nine in ten, of the jobs before it came to at
    most at this rate; None without `history` or rate. `policy`: where it goes on from there.
    """

    cloud: str
    region: str
    capacity: str
    policy: Policy | None
    vcpus_milli: int
    memory_mib: int
    waits_for: Sequence[gates.Reason]
    rate: Rate | None
    history: History | None

    @property
    def p50(self) -> Decimal | None:
        return amount(self.rate.per_hour, self.history.p50_seconds) if self.rate and self.history else None

    @property
    def p90(self) -> Decimal | None:
        return amount(self.rate.per_hour, self.history.p90_seconds) if self.rate and self.history else None


def dry_run(owner: User, requests: Sequence[JobRequest], *, later: Collection[int] = ()) -> list[Forecast]:
    """What `requests`, which are valid already, would come to if `owner` submitted them now. Makes nothing.

    `later`: the indices of those that would not be queued at once, which no quota counts yet.
    Raises what the submit would: InvalidRequest for places that there are not, QuotaExceeded; and
    InvalidRequest for more than MOST_FORECAST.
    """
    if len(requests) > MOST_FORECAST:
        raise InvalidRequest(f"A dry run is of up to {MOST_FORECAST} jobs.")
    requests = placed(owner, requests)
    known = _Known(owner, requests)
    tasks_wait = [each for index, each in enumerate(requests) if each.mapreduce is None and index not in later]
    check_quotas(owner, tasks_wait, known.lines, lock=False)
    return [known.forecast(request) for request in requests]


class _Known:
    """What the jobs of a dry run share, each looked up once."""

    def __init__(self, owner: User, requests: Sequence[JobRequest]) -> None:
        self._owner = owner
        names = {request.customer for request in requests}
        customers: Mapping[str, int] = dict(Customer.objects.filter(name__in=names).values_list("name", "pk"))
        self.lines: dict[LineKey, tuple[int, int, int]] = {}
        for key in dict.fromkeys(map(line_key, requests)):
            customer, cloud, region, *_ = key
            self.lines[key] = customers.get(customer, NEW_CUSTOMER), place_id(cloud, region), 0
        types = {key[6] for key in self.lines if key[6] is not None}
        fields = ("pk", "name", "max_scheduled", "paused_at", "special_resources")
        rows = JobType.objects.filter(pk__in=types).values_list(*fields) if types else []
        self._types = {row[0]: sql.TypeFacts(*row) for row in rows}
        self._outlook = Outlook()
        self._rates = Rates()
        self._histories: dict[tuple[int, str, str, int | None], History | None] = {}

    def forecast(self, request: JobRequest) -> Forecast:
        key = line_key(request)
        lane = self._lane(key)
        return Forecast(
            cloud=request.cloud,
            region=request.region,
            capacity=request.capacity,
            policy=request.policy,
            vcpus_milli=lane.vcpus_milli,
            memory_mib=lane.memory_mib,
            waits_for=self._outlook.reasons(
                lane,
                request.priority,
                capacity=request.capacity,
                timeout_seconds=request.timeout_seconds,
                whole=bool(request.machine_image),
            ),
            rate=self._rate(request, lane),
            history=self._history(request, lane),
        )

    def _lane(self, key: LineKey) -> sql.LaneFacts:
        customer, place, _ = self.lines[key]
        *_, queue, vcpus_milli, memory_mib, job_type = key
        return lane_thought_of(
            self._owner,
            place,
            customer,
            queue=queue,
            vcpus_milli=vcpus_milli,
            memory_mib=memory_mib,
            job_type=self._types[job_type] if job_type is not None else None,
        )

    def _rate(self, request: JobRequest, lane: sql.LaneFacts) -> Rate | None:
        where = (request.cloud, request.region, lane.customer_id, lane.vcpus_milli, lane.memory_mib)
        return self._rates.rate(*where, whole=bool(request.machine_image), capacity=request.capacity)

    def _history(self, request: JobRequest, lane: sql.LaneFacts) -> History | None:
        if lane.customer_id == NEW_CUSTOMER:
            return None
        revision = request.seed.revision_id if request.seed else None
        key = (lane.customer_id, _shape(request), "" if revision else request.classification, revision)
        if key not in self._histories:
            self._histories[key] = history(*key)
        return self._histories[key]


def _shape(request: JobRequest) -> str:
    if request.seed:
        return Shape.SEED
    if request.mapreduce:
        return Shape.MAPREDUCE
    return Shape.INSTANCE if request.machine_image else Shape.CONTAINER
