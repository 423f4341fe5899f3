"""Places where containers are kept, in the admin: who looks after each, and what fails. To read."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString

from clusters.models import HostingPlace
from controlplane.core.admin import ReadOnlyAdmin, badge, when


@admin.register(HostingPlace)
class HostingPlaceAdmin(ReadOnlyAdmin):
    list_display = ("place", "state", "failure", "since", "seen", "kept")
    fields = ("cloud", "region", "state", "failure", "since", "seen", "keeper", "kept")
    readonly_fields = ("state", "failure", "since", "seen", "keeper", "kept")
    ordering = ("cloud", "region")

    @admin.display(description="place")
    def place(self, row: HostingPlace) -> str:
        return str(row)

    @admin.display(description="state")
    def state(self, row: HostingPlace) -> SafeString:
        return place_badge(row)

    @admin.display(description="failing since")
    def since(self, row: HostingPlace) -> SafeString | str:
        return when(row.failing_since)

    @admin.display(description="seen")
    def seen(self, row: HostingPlace) -> SafeString | str:
        return when(row.seen_at)

    @admin.display(description="kept until")
    def kept(self, row: HostingPlace) -> SafeString | str:
        return when(row.kept_until)


def place_badge(row: HostingPlace) -> SafeString:
    if row.failing_since:
        return badge("failing", "bad")
    return badge("well", "good") if row.seen_at else badge("not seen yet", "waiting")
