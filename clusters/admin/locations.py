"""Locations in the admin: what can be asked for, and which place that means here. To read."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString

from clusters import queries
from clusters.models import Location
from clusters.services import facts_of_location
from controlplane.core.admin import ReadOnlyAdmin, badge


@admin.register(Location)
class LocationAdmin(ReadOnlyAdmin):
    list_display = ("name", "machine_type", "vcpus", "memory_mib", "is_offered", "place")
    fields = ("name", "machine_type", "cloud", "region", "vcpus_milli", "memory_mib", "is_offered", "place")
    readonly_fields = ("place",)
    ordering = ("name", "vcpus_milli")
    history_of = "location"

    def configuration(self, row: Location) -> dict[str, Any]:
        return facts_of_location(row)

    @admin.display(description="vCPUs")
    def vcpus(self, row: Location) -> str:
        return f"{row.vcpus_milli / 1000:g}"

    @admin.display(description="place")
    def place(self, row: Location) -> SafeString | str:
        """The place that it means here."""
        where = queries.place_of(row)
        return "/".join(where) if where else badge("cannot be had here", "quiet")
