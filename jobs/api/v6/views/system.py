"""The system as a whole: the scheduler, the queue, the load."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar, Final

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.v6.base import NativeViewSet, user_of
from accounts.models import TokenScope
from controlplane.core.errors import InvalidRequest
from controlplane.core.pagination import Key, Orders
from jobs import queries, services
from jobs.api.v6 import rows, serializers
from jobs.api.v6.filters import LoadFilter
from jobs.models import Hold, LoadSample, Scope
from jobtypes.api.v6.rows import moment

PAUSED: Final = "PAUSED"
LONGEST_LOAD: Final = timedelta(days=31)
USUAL_LOAD: Final = timedelta(days=7)


class SystemViewSet(NativeViewSet):
    """What there is one of."""

    changes: ClassVar[str] = TokenScope.ADMIN
    queryset = Hold.objects.all()
    serializer_class = serializers.SchedulerSerializer
    pagination_class = None
    filter_backends = ()
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"queue": (403,), "status": (403,)}

    @extend_schema(summary="The version", operation_id="get_version", responses=serializers.VersionSerializer)
    def version(self, request: Request) -> Response:
        return Response({"version": settings.SPECTACULAR_SETTINGS["VERSION"]})

    @extend_schema(summary="Is the scheduler paused?", operation_id="get_scheduler")
    def scheduler(self, request: Request) -> Response:
        return Response(_scheduler())

    @extend_schema(summary="Pause the scheduler, or let it go on", operation_id="update_scheduler")
    def pause(self, request: Request) -> Response:
        user = user_of(request)
        queries.check_may_steer(user)
        if self.taken()["is_paused"]:
            services.place_hold(scope=Scope.ALL, code=PAUSED, hint="The scheduler is paused.", actor=user)
        else:
            for hold in Hold.objects.filter(scope=Scope.ALL, code=PAUSED):
                services.lift_hold(hold, actor=user)
        return Response(_scheduler())

    @extend_schema(
        summary="Scheduler, places and queue at a glance",
        operation_id="get_system_status",
        responses=serializers.SystemStatusSerializer,
    )
    def status(self, request: Request) -> Response:
        queries.check_may_read_all(user_of(request))
        places, queued = queries.places_in_use()
        return Response(
            {
                "timestamp": moment(timezone.now()),
                "version": settings.SPECTACULAR_SETTINGS["VERSION"],
                "scheduler": _scheduler(),
                "places": [rows.place(place, used) for place, used in places],
                "queued_jobs": queued,
            }
        )

    @extend_schema(
        summary="What is in line, and what keeps it",
        operation_id="get_queue_status",
        responses=serializers.QueueStatusSerializer(many=True),
    )
    def queue(self, request: Request) -> Response:
        queries.check_may_read_all(user_of(request))
        return Response([rows.queue_row(row) for row in queries.queue_rows()])


def _scheduler() -> dict[str, Any]:
    hold = Hold.objects.select_related("set_by").filter(scope=Scope.ALL, code=PAUSED).first()
    return {
        "is_paused": hold is not None,
        "paused_since": moment(hold.since) if hold else None,
        "paused_by": hold.set_by.username if hold and hold.set_by else None,
    }


class LoadViewSet(NativeViewSet):
    """How many jobs waited and ran, minute by minute."""

    queryset = LoadSample.objects.all()
    serializer_class = serializers.LoadSerializer
    filterset_class = LoadFilter
    orders: ClassVar[Orders] = {"time": Key("at")}
    default_order = ("time",)
    refusals: ClassVar[dict[str, tuple[int, ...]]] = {"list": (403,)}

    def get_queryset(self) -> QuerySet[LoadSample]:
        return LoadSample.objects.all()

    @extend_schema(summary="How many jobs waited and ran; at most 31 days of it")
    def list(self, request: Request) -> Response:
        queries.check_may_read_all(user_of(request))
        wish = LoadFilter(request.query_params, queryset=self.get_queryset()).checked().form.cleaned_data
        ended = wish.get("ended") or timezone.now()
        midnight = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        started = wish.get("started") or midnight - USUAL_LOAD
        if started >= ended:
            raise InvalidRequest("This is not before the end.", field="started")
        if ended - started > LONGEST_LOAD:
            raise InvalidRequest(f"This is at most {LONGEST_LOAD.days} days before the end.", field="started")
        samples = self.get_queryset().filter(at__gte=started, at__lte=ended)
        return self.page(samples, lambda page: [_load(sample) for sample in page])


def _load(sample: LoadSample) -> dict[str, Any]:
    return {
        "time": moment(sample.at),
        "pending_count": sample.pending,
        "queued_count": sample.queued,
        "running_count": sample.running,
    }
