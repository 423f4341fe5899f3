"""GET /metrics: how the deployment fares, for Prometheus.

Gauges are read from the database when somebody asks, a few statements that cost what waits and what is
active, and are kept for seconds; what is counted as it happens comes from the files of this machine's
processes (controlplane.core.metric_files).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from threading import Lock
from typing import Final

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Count, FilteredRelation, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from accounts import services
from accounts.models import DeliveryStatus, Follower, ParkedEvent, WebhookDelivery
from accounts.queries import TOKEN_PREFIX_LENGTH, user_of_token
from accounts.services.positions import NUMBERED
from clusters import states
from clusters.models import Container, HostingPlace
from controlplane.core import metric_files
from controlplane.core.errors import ControlPlaneError, Unauthorized
from controlplane.core.logs import name_caller
from jobs import queries
from jobs.models import Place
from jobs.tasks import CANARY_BEAT

KEPT_SECONDS: Final = 5.0


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The page, for whoever may read everybody's jobs: by a token in the Authorization header."""
    try:
        _admit(request)
        page = generate_latest(PAGE)
    except ControlPlaneError as error:
        answer = _plain(f"{error.message}\n".encode(), error.http_status)
        if error.http_status == 401:
            answer["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return answer
    except DatabaseError:
        return _plain(b"The database does not answer: see DATABASE_URL.\n", 503)
    return _plain(page, 200, CONTENT_TYPE_PLAIN_0_0_4)


def _plain(body: bytes, status: int, content_type: str = "text/plain; charset=utf-8") -> HttpResponse:
    return HttpResponse(body, status=status, content_type=content_type, headers={"Cache-Control": "no-store"})


def _admit(request: HttpRequest) -> None:
    """Raises Unauthorized, Forbidden."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    user = user_of_token(token) if scheme.lower() == "bearer" and token else None
    if user is None:
        raise Unauthorized("A token is needed, as `Authorization: Bearer …`.")
    name_caller(user.username, token[:TOKEN_PREFIX_LENGTH])
    services.note_use(token)
    queries.check_may_read_all(user)


# --- What is read when somebody asks -------------------------------------------------------------


def _gauge(name: str, what: str, labels: Iterable[str], values: Iterable[tuple[Iterable[str], float]]) -> Metric:
    family = GaugeMetricFamily(f"controlplane_{name}", what, labels=list(labels))
    for texts, value in values:
        family.add_metric(list(texts), value)
    return family


def _families() -> Iterator[Metric]:
    now = timezone.now()
    places = {place.pk: place for place in Place.objects.order_by("cloud", "region")}
    named = {pk: (place.cloud, place.region) for pk, place in places.items()}
    waiting: Counter[str] = Counter()
    oldest: dict[int, float] = {}
    active: Counter[tuple[int, str]] = Counter()
    present = queries.Present()
    for each in present.lanes:
        waiting[each.reasons[0].code if each.reasons else queries.NEXT] += each.line.jobs
        age = max(0.0, (now - each.line.since).total_seconds())
        oldest[each.lane.place_id] = max(age, oldest.get(each.lane.place_id, 0.0))
    for alive in present.alive:
        if alive.code == queries.RETRY:
            waiting[queries.RETRY] += alive.jobs
    for alive in present.active:
        active[alive.place_id, alive.status] += alive.jobs
    yield _gauge(
        "jobs_waiting",
        "Jobs that wait, by what keeps the first of their lane.",
        ["reason"],
        [([reason], jobs) for reason, jobs in sorted(waiting.items())],
    )
    yield _gauge(
        "oldest_waiting_job_age_seconds",
        "How long the job that was queued first has waited there.",
        ["cloud", "region"],
        [(named[pk], age) for pk, age in oldest.items() if pk in named],
    )
    yield _gauge(
        "jobs_active",
        "Jobs that have been claimed and have not ended.",
        ["cloud", "region", "status"],
        [((*named[pk], status), jobs) for (pk, status), jobs in active.items() if pk in named],
    )
    yield from _of_events()
    yield from _of_containers(now)
    seen = [(named[pk], (now - each.seen_at).total_seconds()) for pk, each in places.items() if each.seen_at]
    yield _gauge("worker_seen_age_seconds", "Time since the place's worker was seen.", ["cloud", "region"], seen)
    yield _gauge("work_canary_age_seconds", "Time since this machine's cluster `work` took a task.", [], _canary())


def _of_events() -> Iterator[Metric]:
    waiting = WebhookDelivery.objects.filter(status=DeliveryStatus.PENDING).count()
    yield _gauge("webhook_deliveries_waiting", "Events on their way to webhooks.", [], [([], waiting)])
    positions = dict(Follower.objects.values_list("name", "position"))
    end = positions.pop(NUMBERED, 0)
    lags = [([name], end - position) for name, position in sorted(positions.items())]
    yield _gauge("follower_lag_events", "How far who acts upon events is behind the log.", ["follower"], lags)
    parked = ParkedEvent.objects.values_list("follower").annotate(count=Count("pk")).order_by("follower")
    counts = [([name], count) for name, count in parked]
    yield _gauge("parked_events", "Events that could not be dealt with and were passed.", ["follower"], counts)


def _of_containers(now: datetime) -> Iterator[Metric]:
    """A container without a placement is at the place of no name."""
    held = FilteredRelation("placements", condition=Q(placements__status__in=states.HELD))
    counts = (
        Container.objects.filter(archived_at__isnull=True)
        .annotate(held=held)
        .values_list("held__place", "status")
        .annotate(count=Count("pk"))
        .order_by("held__place", "status")
    )
    places = {place.pk: place for place in HostingPlace.objects.order_by("cloud", "region")}
    yield _gauge(
        "containers",
        "Containers that have not been dropped.",
        ["place", "status"],
        [([str(places.get(pk, "")), status], count) for pk, status, count in counts],
    )
    yield _gauge(
        "hosting_place_failing_seconds",
        "How long a place of containers has failed; 0 while it answers.",
        ["place"],
        [([str(each)], _since(each.failing_since, now)) for each in places.values()],
    )


def _since(moment: datetime | None, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds()) if moment else 0.0


def _canary() -> list[tuple[list[str], float]]:
    """Empty where no `manage.py work` of this machine has left a sign of life."""
    try:
        touched = (settings.RUN_DIR / CANARY_BEAT).stat().st_mtime
    except OSError:
        return []
    return [([], max(0.0, time.time() - touched))]


class Gauges(Collector):
    """What the database says, asked once in KEPT_SECONDS by each process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._families: list[Metric] = []
        self._until = 0.0

    def collect(self) -> list[Metric]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._families = list(_families())
                self._until = time.monotonic() + KEPT_SECONDS
            return self._families

    def forget(self) -> None:
        self._until = 0.0


class Tallies(Collector):
    """What the processes of this machine have counted."""

    def collect(self) -> list[Metric]:
        return metric_files.collect()


GAUGES: Final = Gauges()
PAGE: Final = CollectorRegistry()
PAGE.register(GAUGES)
PAGE.register(Tallies())
