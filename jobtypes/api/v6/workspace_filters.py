"""Filters of workspaces."""

from __future__ import annotations

from controlplane.core.filters import BooleanFilter, FilterSet, MomentFilter, TextsFilter
from jobtypes.models import Workspace


class WorkspaceFilter(FilterSet):
    """Filters of workspaces."""

    name = TextsFilter(field_name="name", label="name")
    is_active = BooleanFilter(field_name="is_active", label="takes new files")
    started = MomentFilter(field_name="modified_at", lookup_expr="gte", label="changed at or after")
    ended = MomentFilter(field_name="modified_at", lookup_expr="lte", label="changed at or before")

    class Meta:
        model = Workspace
        fields: list[str] = []
