"""Fishjam's metrics and logs of the caller's own containers."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api.fishjam.base import BadQuery, Operation, declared
from accounts.api.v6.base import user_of
from clusters import queries
from clusters.api.fishjam import telemetry_serializers as serializers
from clusters.api.fishjam.base import own_container
from clusters.errors import UnknownMetric
from clusters.telemetry import metrics
from clusters.telemetry.log_lines import Severity
from clusters.telemetry.promql import MetricLabel, MetricName, Question

_LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


class MetricOperation(Operation):
    """Base of questions about metrics."""

    noun = "own metrics"

    def asked(self, request: Request, kind: type[serializers.MetricQuestion]) -> tuple[Question, dict[str, Any]]:
        """What the query asks. Raises DRF's ValidationError, UnknownMetric, ScopeNotOwned."""
        if (name := request.query_params.get("metric")) is not None and name not in [*MetricName]:
            raise UnknownMetric(f"There is no metric {name[:64]!r}.")
        given = self.taken_query(kind, lists=("scope_uuids",))
        scope = queries.scope_of(user_of(request), MetricLabel(given["scope_name"]), given.get("scope_uuids"))
        question = Question(
            MetricName(given["metric"]),
            scope,
            MetricLabel(given["group_by"]) if given.get("group_by") else None,
            given.get("interval"),
            given.get("resolution"),
        )
        return question, given


class InstantQuery(MetricOperation):
    @declared(
        "fishjam_get_instant_query",
        "A metric at a moment",
        200,
        serializers.InstantAnswerSerializer,
        *(400, 401, 403, 404, 422, 500, 503),
        parameters=[serializers.MetricQuestion],
    )
    def get(self, request: Request) -> Response:
        question, given = self.asked(request, serializers.MetricQuestion)
        return Response({"result_type": "vector", "result": metrics.instant(question, given.get("time"))})


class RangeQuery(MetricOperation):
    @declared(
        "fishjam_get_range_query",
        "A metric over a time",
        200,
        serializers.RangeAnswerSerializer,
        *(400, 401, 403, 404, 422, 500, 503),
        parameters=[serializers.RangeQuestion],
    )
    def get(self, request: Request) -> Response:
        question, given = self.asked(request, serializers.RangeQuestion)
        found = metrics.over_time(question, given["start"], given["end"], given["step"])
        return Response({"result_type": "matrix", "result": found})


class Logs(Operation):
    noun = "own metrics"

    @declared(
        "fishjam_query_logs",
        "The newest lines of a container's log",
        200,
        serializers.LogEntrySerializer(many=True),
        *(401, 404, 422, 503),
        parameters=[serializers.LogQuestion],
    )
    def get(self, request: Request) -> Response:
        given = self.taken_query(serializers.LogQuestion)
        container = own_container(user_of(request), given["jellyfish_uuid_hex"])
        end = moment(given["end"], "end") if given["end"] else timezone.now()
        start = moment(given["start"], "start") if given.get("start") else _LONG_AGO
        if given.get("since_seconds"):
            start = max(start, end - timedelta(seconds=given["since_seconds"]))
        severity = Severity(given["severity"]) if given.get("severity") else None
        found = queries.log_of(
            container,
            start=start,
            end=end,
            limit=given["limit"],
            phrase=given.get("search_phrase") or "",
            severity=severity,
        )
        return Response(
            [{"timestamp": each.timestamp, "severity": each.severity, "message": each.message} for each in found]
        )


def moment(text: str, name: str) -> datetime:
    """A time as ISO 8601, of UTC unless it says otherwise, or as Unix seconds. Raises BadQuery."""
    try:
        seconds = float(text)
        if not math.isfinite(seconds):
            raise BadQuery(name, "This is a time.")
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        pass
    try:
        # In a query a + is a space.
        found = parse_datetime(text.replace(" ", "+") if "T" in text else text)
    except ValueError:
        found = None
    if found is None or not 1 < found.year < 9999:
        raise BadQuery(name, "This is a time: ISO 8601, or Unix seconds.")
    return found if found.tzinfo else found.replace(tzinfo=UTC)
