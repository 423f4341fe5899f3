"""Places, lanes and load: what the scheduler works with, to look at."""

from __future__ import annotations

from django.contrib import admin

from controlplane.core.admin import ReadOnlyAdmin
from controlplane.core.keyset_admin import KeysetAdmin
from jobs.models import Lane, LoadSample, Place


@admin.register(Place)
class PlaceAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "vcpus_milli", "memory_mib", "disk_free_mib", "runs_for", "seen_at")


@admin.register(Lane)
class LaneAdmin(KeysetAdmin):
    list_display = ("id", "place", "customer", "owner", "queue", "vcpus_milli", "memory_mib", "waiting", "held")
    list_select_related = ("place", "customer", "owner")


@admin.register(LoadSample)
class LoadSampleAdmin(KeysetAdmin):
    list_display = ("at", "pending", "queued", "running")
