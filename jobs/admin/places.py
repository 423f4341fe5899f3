"""Places, lanes and load: what the scheduler works with, to look at."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

from clusters.providers.base import Probe
from clusters.providers.errors import ProviderError
from clusters.queries import call_rates, link_of_region, settings_fault, settings_of
from controlplane.core.admin import ServiceForm, badge, facts, link, link_out, table, when
from controlplane.core.detail_admin import Detail, DetailAdmin
from controlplane.core.errors import ControlPlaneError
from controlplane.core.keyset_admin import KeysetAdmin
from controlplane.core.service_admin import posted
from jobs import following, queries, states
from jobs.admin.badges import status_badge
from jobs.gates import silent_after
from jobs.models import Lane, LoadSample, Place
from jobs.queries.places import COUNTED

MIB_PER_GIB: Final = 1024
WORDS_SHOWN: Final = 120  # of a failure, in the list
BOUNDLESS_MIB: Final = 2**31 - 1  # where a cloud has no bound
STEERS: Final = "jobs.add_hold"
FOUND: Final = {True: ("OK", "good"), False: ("NOT OK", "bad"), None: ("UNKNOWN", "waiting")}


class CheckForm(ServiceForm):
    customer = forms.CharField(
        max_length=255, required=False, help_text="Where this customer's jobs run; empty: in our own account."
    )


@admin.register(Place)
class PlaceAdmin(DetailAdmin):
    """Nothing is changed here. Who may hold a place may have its cloud asked whether all is as it has to be."""

    list_display = ("__str__", "state", "seen", "failing", "words", "room", "active", "queued")
    ordering = ("cloud", "region")
    fields = ("cloud",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Place]:
        super().get_queryset(request)
        return queries.places_with_jobs()

    # --- The list ------------------------------------------------------------------------------------

    @admin.display(description="state")
    def state(self, place: Place) -> SafeString:
        return state_badge(place)

    @admin.display(description="seen", ordering="seen_at")
    def seen(self, place: Place) -> SafeString | str:
        return when(place.seen_at)

    @admin.display(description="failing since", ordering="failing_since")
    def failing(self, place: Place) -> SafeString | str:
        return when(place.failing_since)

    @admin.display(description="fails with")
    def words(self, place: Place) -> str:
        return place.failure if len(place.failure) <= WORDS_SHOWN else f"{place.failure[:WORDS_SHOWN]}…"

    @admin.display(description="room")
    def room(self, place: Place) -> str:
        return ", ".join(text for text in (_vcpus(place), _memory(place)) if text)

    @admin.display(description="active")
    def active(self, place: Any) -> str:
        return _counted(place.active_jobs)

    @admin.display(description="queued")
    def queued(self, place: Any) -> str:
        return _counted(place.queued_jobs)

    # --- A place -------------------------------------------------------------------------------------

    def detail(self, request: HttpRequest, row: Place) -> Detail:
        cards = [("Now", _now(row)), ("Room", _room(row)), ("Jobs there", _jobs(row))]
        if not row.is_cloud:
            return Detail(title=f"Place {row}", badges=[state_badge(row)], line="A machine of ours.", cards=cards)
        fault = settings_fault(row.cloud, row.region)
        return Detail(
            title=f"Place {row}",
            badges=[state_badge(row)],
            line=f"Cannot be used as it is set up: {fault}." if fault else "A region of a cloud.",
            cards=[*cards, ("Who calls it", _caller(row)), ("Calls a second, at most", _rates(row))],
            sections=[("On its way there", _submissions(row)), ("Settings", _settings(row))],
        )

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], add: bool = False, change: bool = False,
        form_url: str = "", obj: Place | None = None,
    ) -> HttpResponse:  # fmt: skip
        buttons = []
        if obj is not None and obj.is_cloud and request.user.has_perm(STEERS):
            buttons.append(("Check now", reverse("admin:jobs_place_check", args=[obj.pk])))
        return super().render_change_form(request, {**context, "buttons": buttons}, add, change, form_url, obj)

    # --- Asking its cloud ----------------------------------------------------------------------------

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self._check)
        return [path("<int:pk>/check/", view, name="jobs_place_check"), *super().get_urls()]

    def _check(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A page that asks first: it may take a while, and the cloud notes who called."""
        if not (self.has_view_permission(request) and request.user.has_perm(STEERS)):
            raise PermissionDenied
        place = Place.objects.filter(pk=pk).exclude(cloud="local").first()
        if place is None:
            raise Http404
        form = CheckForm(posted(request))
        more: dict[str, Any] = {}
        if request.method == "POST" and form.is_valid():
            try:
                more["found"] = _found(following.probe(place, form.cleaned_data["customer"]))
            except ControlPlaneError as error:
                more["fault"] = error.message
            except ProviderError as error:
                more["fault"] = f"{place} cannot be asked: {error}"
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Check {place}",
            "form": form,
            "back": reverse("admin:jobs_place_change", args=[pk]),
            **more,
        }
        return TemplateResponse(request, "admin/jobs/place/check.html", context)


def state_badge(place: Place) -> SafeString:
    """How the place is, in a word."""
    if place.is_cloud and settings_fault(place.cloud, place.region):
        return badge("NOT SET UP", "quiet")
    if place.failing_since is not None:
        return badge("FAILING", "bad")
    if place.seen_at is None:
        return badge("NEVER SEEN", "waiting")
    if timezone.now() - place.seen_at > silent_after(place):
        return badge("SILENT", "bad")
    return badge("WORKS", "good")


def _counted(number: int) -> str:
    return f"more than {COUNTED}" if number > COUNTED else str(number)


def _ago(at: datetime | None) -> SafeString | str:
    return format_html("{}, {} ago", when(at), timesince(at)) if at else ""


def _vcpus(place: Place) -> str:
    return f"{place.vcpus_milli / 1000:g} vCPUs" if place.seen_at else ""


def _memory(place: Place) -> str:
    if not place.seen_at:
        return ""
    if place.memory_mib >= BOUNDLESS_MIB:
        return "any memory"
    return f"{place.memory_mib / MIB_PER_GIB:.1f} GiB"


def _now(place: Place) -> SafeString | str:
    page = link_of_region(place.cloud, place.region)
    return facts(
        [
            ("Cloud", place.cloud),
            ("Region", place.region),
            ("Last seen", _ago(place.seen_at) or "never"),
            ("Failing since", _ago(place.failing_since)),
            ("Fails with", place.failure),
            ("Runs jobs for", place.get_runs_for_display()),
            ("At the cloud", link_out(page, "its jobs") if page else ""),
        ]
    )


def _room(place: Place) -> SafeString | str:
    disk = place.disk_free_mib
    return facts(
        [
            ("vCPUs", f"{place.vcpus_milli / 1000:g}" if place.seen_at else ""),
            ("Memory", _memory(place)),
            ("Disk free", "" if disk is None else f"{disk / MIB_PER_GIB:.1f} GiB"),
            ("Disk kept free", "" if disk is None else f"{place.disk_floor_mib / MIB_PER_GIB:.1f} GiB"),
        ]
    )


def _jobs(place: Any) -> SafeString | str:
    def jobs(status: str) -> str:
        chosen = urlencode({"cloud": place.cloud, "region": place.region, "state": status})
        return f"{reverse('admin:jobs_job_changelist')}?{chosen}"

    active = [(status_badge(status), link(jobs(status), number)) for status, number in queries.active_by_status(place)]
    queued = link(jobs(states.QUEUED), _counted(place.queued_jobs))
    return table(("Status", "Jobs"), [*active, (status_badge(states.QUEUED), queued)])


def _caller(place: Place) -> SafeString | str:
    if place.caller is None:
        return "Nobody yet."
    is_held = place.called_until is not None and place.called_until > timezone.now()
    return facts(
        [
            ("Caller", place.caller),
            ("Holds it until", when(place.called_until) if is_held else ""),
            ("Held it until", "" if is_held else _ago(place.called_until) or "it let go"),
        ]
    )


def _rates(place: Place) -> SafeString | str:
    """What holds calls back; while the cloud complains, they are held back further."""
    return facts((service, f"{rate:g}") for service, rate in call_rates(place.cloud).items())


def _submissions(place: Place) -> SafeString | str:
    found = queries.open_submissions(place)
    if found.since is None:
        return "Nothing."
    rows = [
        (when(each.created_at), each.works, each.calls, each.detail, when(each.leased_until)) for each in found.oldest
    ]
    heads = ("Noted", "Executions", "Calls", "Why it is not there yet", "Leased until")
    return format_html(
        "<p>{} open, the oldest for {}.</p>{}", _counted(found.count), timesince(found.since), table(heads, rows)
    )


def _settings(place: Place) -> SafeString:
    """Their names: what they say may be secret."""
    rows = []
    for each in settings_of(place.cloud):
        absent = badge("MISSING", "bad") if each.is_needed else badge("NOT SET", "quiet")
        rows.append((each.name, badge("SET", "good") if each.is_set else absent))
    return table(("Setting", "Is"), rows)


def _found(probes: list[Probe]) -> SafeString:
    return table(("What", "Is", "How"), [(each.what, badge(*FOUND[each.ok]), each.words) for each in probes])


@admin.register(Lane)
class LaneAdmin(KeysetAdmin):
    list_display = ("id", "place", "customer", "owner", "queue", "vcpus_milli", "memory_mib", "waiting", "held")
    list_select_related = ("place", "customer", "owner")


@admin.register(LoadSample)
class LoadSampleAdmin(KeysetAdmin):
    list_display = ("at", "pending", "queued", "running")
