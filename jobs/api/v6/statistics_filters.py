"""Filters of the statistics of job types."""

from __future__ import annotations

from django.db.models import QuerySet

from controlplane.core.filters import BooleanFilter, FilterSet, MomentFilter
from jobtypes.models import JobType


class StatusFilter(FilterSet):
    """Which job types, and jobs of which time."""

    is_active = BooleanFilter(field_name="is_active", label="may be run")
    started = MomentFilter(method="kept", label="changed at or after; three hours ago if not given")
    ended = MomentFilter(method="kept", label="changed at or before; now if not given")

    class Meta:
        model = JobType
        fields: list[str] = []

    def kept(self, rows: QuerySet[JobType], name: str, value: object) -> QuerySet[JobType]:
        """The time is that of the jobs: every job type has its row."""
        return rows


class NoFilter(FilterSet):
    """These lists are not filtered: anything asked for is refused by name."""

    class Meta:
        model = JobType
        fields: list[str] = []
