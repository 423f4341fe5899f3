"""Filters of files."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.db.models import Q, QuerySet

from controlplane.core.filters import (
    BooleanFilter,
    ChoicesFilter,
    FilterSet,
    MomentFilter,
    ReferencesFilter,
    TextsFilter,
    WholesFilter,
)
from jobs.models import File, FileType

# time_field -> the columns that `started` and `ended` are about
_TIMES: Final = {
    "last_modified": ("modified_at", "modified_at"),
    "data": ("data_started_at", "data_ended_at"),
    "source": ("source_started_at", "source_ended_at"),
}


class _TimesFilter(FilterSet):
    """`started` and `ended` of the time that `time_field` names."""

    started = MomentFilter(method="from_started", label="at or after; `time_field` says of which time")
    ended = MomentFilter(method="to_ended", label="at or before; `time_field` says of which time")
    time_field = ChoicesFilter(choices=_TIMES, method="as_it_is", label="of which time; last_modified if not given")
    file_name = TextsFilter(field_name="name", label="name, exactly")

    def _times(self) -> tuple[str, str]:
        chosen = self.form.cleaned_data.get("time_field") or ["last_modified"]
        return _TIMES[chosen[-1]]

    def from_started(self, rows: QuerySet[File], name: str, value: datetime) -> QuerySet[File]:
        return rows.filter(**{f"{self._times()[0]}__gte": value})

    def to_ended(self, rows: QuerySet[File], name: str, value: datetime) -> QuerySet[File]:
        return rows.filter(**{f"{self._times()[1]}__lte": value})

    def as_it_is(self, rows: QuerySet[File], name: str, value: list[str]) -> QuerySet[File]:
        """Says what `started` and `ended` mean, and chooses nothing itself."""
        return rows


class FileFilter(_TimesFilter):
    """Filters of files."""

    id = ReferencesFilter(field_name="id", label="id or uuid")
    data_started = MomentFilter(field_name="data_started_at", lookup_expr="gte", label="its data starts at or after")
    data_ended = MomentFilter(field_name="data_ended_at", lookup_expr="lte", label="its data ends at or before")
    source_started = MomentFilter(
        field_name="source_started_at", lookup_expr="gte", label="its source starts at or after"
    )
    source_ended = MomentFilter(field_name="source_ended_at", lookup_expr="lte", label="its source ends at or before")
    source_sensor_class = TextsFilter(field_name="source_sensor_class", label="class of the sensor")
    source_sensor = TextsFilter(field_name="source_sensor", label="sensor")
    source_collection = TextsFilter(field_name="source_collection", label="collection")
    source_task = TextsFilter(field_name="source_task", label="task")
    workspace = TextsFilter(method="in_workspace", label="id or name of its workspace")
    media_type = TextsFilter(field_name="media_type", label="media type")
    file_type = ChoicesFilter(choices=FileType.values, field_name="file_type", label="where it comes from")
    job_id = ReferencesFilter(field_name="job", label="id or uuid of the job that made it")
    job_output = TextsFilter(field_name="job_output", label="output of the job that it is")
    job_type_id = WholesFilter(field_name="job__job_type_id", label="id of its job's type")
    job_type_name = TextsFilter(field_name="job__job_type__name", label="name of its job's type")
    recipe_id = WholesFilter(field_name="job__recipe_id", label="id of its job's recipe")
    is_deleted = BooleanFilter(method="deleted", label="deleted; both kinds if not given")

    class Meta:
        model = File
        fields: list[str] = []

    def in_workspace(self, rows: QuerySet[File], name: str, value: list[str]) -> QuerySet[File]:
        ids = [int(each) for each in value if each.isascii() and each.isdigit() and len(each) < 19]
        return rows.filter(Q(workspace__in=ids) | Q(workspace__name__in=value)) if value else rows

    def deleted(self, rows: QuerySet[File], name: str, value: bool) -> QuerySet[File]:
        return rows.filter(deleted_at__isnull=not value)


class InputFileFilter(_TimesFilter):
    """Filters of a job's input files."""

    job_input = TextsFilter(method="as_it_is", label="name of an input")

    class Meta:
        model = File
        fields: list[str] = []
