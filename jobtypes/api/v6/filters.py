"""Filters of this floor's lists."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from rest_framework.request import Request

from accounts.api.v6.base import user_of
from controlplane.core.filters import (
    BooleanFilter,
    ChoicesFilter,
    FilterSet,
    MomentFilter,
    TextsFilter,
    WholesFilter,
)
from jobtypes.models import Category, Error, JobType, JobTypeRevision, JobTypeTag
from jobtypes.queries import visible_job_types


class ErrorFilter(FilterSet):
    """Filters of errors."""

    name = TextsFilter(field_name="name")
    category = ChoicesFilter(choices=Category.values, field_name="category")
    is_builtin = BooleanFilter(field_name="is_builtin")
    job_type_name = TextsFilter(field_name="job_type_name", label="name of the job type it belongs to")
    started = MomentFilter(field_name="modified_at", lookup_expr="gte", label="changed at or after")
    ended = MomentFilter(field_name="modified_at", lookup_expr="lte", label="changed at or before")

    class Meta:
        model = Error
        fields: list[str] = []


class JobTypeFilter(FilterSet):
    """Filters of job types."""

    keyword = TextsFilter(method="with_keyword", label="part of its name or of a tag")
    id = WholesFilter(field_name="pk", label="id of it")
    is_active = BooleanFilter(field_name="is_active")
    is_system = BooleanFilter(field_name="is_system")

    class Meta:
        model = JobType
        fields: list[str] = []

    def with_keyword(self, rows: QuerySet[JobType], name: str, value: list[str]) -> QuerySet[JobType]:
        found = Q()
        for word in value:
            tagged = JobTypeTag.objects.filter(job_type=OuterRef("pk"), tag__icontains=word)
            found |= Q(name__icontains=word) | Q(Exists(tagged))
        return rows.filter(found)


class JobTypeNameFilter(JobTypeFilter):
    """The same of names: one qualifies by any of its versions, not by its newest only."""

    def filter_queryset(self, queryset: QuerySet[Any]) -> QuerySet[Any]:
        assert isinstance(self.request, Request)
        matching = super().filter_queryset(visible_job_types(user_of(self.request)))
        return queryset.filter(name__in=matching.values("name"))


class VersionFilter(FilterSet):
    """Filters of a name's versions."""

    is_active = BooleanFilter(field_name="is_active")

    class Meta:
        model = JobType
        fields: list[str] = []


class RevisionFilter(FilterSet):
    """Revisions are not filtered: anything asked for is refused by name."""

    class Meta:
        model = JobTypeRevision
        fields: list[str] = []
