"""What is common to all admin pages."""

from __future__ import annotations

from base64 import b32encode
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import REDIRECT_FIELD_NAME, logout
from django.contrib.auth.models import Group
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_q.models import Failure, OrmQ, Schedule, Success

from accounts import queries as accounts
from accounts import services
from accounts.models import User
from controlplane.admin_about import about_page
from controlplane.admin_docs import INDEX, docs_page
from controlplane.core.admin import ReadOnlyAdmin, ServiceForm
from controlplane.core.errors import ControlPlaneError
from controlplane.core.history import Past
from controlplane.desk import delete_view, find_page, list_tools, save_view, views_page
from jobs import queries
from jobs.models import RunsFor

if TYPE_CHECKING or settings.ADMIN_THEME != "unfold":
    BaseSite = admin.AdminSite
else:
    from unfold.sites import UnfoldAdminSite as BaseSite

# The side bar: group, then title, model and icon of each entry, and its page where
# that is not the list. Who may not see a model gets no entry for it.
NAVIGATION: Final = (
    (
        "Jobs",
        (
            ("Submit", "jobs_job", "add_circle", "jobs_job_add"),
            ("Jobs", "jobs_job", "work"),
            ("Waiting", "jobs_job", "hourglass_empty", "jobs_waiting"),
            ("Recipes", "jobs_recipe", "schema"),
            ("Executions", "jobs_execution", "play_circle"),
            ("Failures", "jobs_failurecluster", "troubleshoot"),
            ("Operations", "jobs_operation", "checklist"),
            ("Files", "jobs_file", "draft"),
        ),
    ),
    (
        "Work types",
        (
            ("Job types", "jobtypes_jobtype", "category"),
            ("Recipe types", "jobtypes_recipetype", "account_tree"),
            ("Workspaces", "jobtypes_workspace", "folder_open"),
            ("Artifacts", "jobs_artifact", "deployed_code"),
        ),
    ),
    (
        "Steering",
        (
            ("Holds", "jobs_hold", "front_hand"),
            ("Quotas", "jobs_gate", "speed"),
            ("Errors", "jobtypes_error", "error"),
            ("Places", "jobs_place", "dns"),
            ("Lanes", "jobs_lane", "format_list_numbered"),
            ("Load", "jobs_loadsample", "monitoring"),
        ),
    ),
    (
        "Fleet",
        (
            ("Fleet map", "clusters_container", "map", "clusters_fleet"),
            ("Clusters", "clusters_cluster", "hub"),
            ("Containers", "clusters_container", "deployed_code_update"),
            ("Image versions", "clusters_imageversion", "layers"),
            ("Locations", "clusters_location", "public"),
            ("Hosting places", "clusters_hostingplace", "cloud"),
        ),
    ),
    (
        "Prices",
        (
            ("Offers", "clusters_offer", "storefront"),
            ("Prices", "clusters_price", "payments"),
        ),
    ),
    (
        "Billing",
        (
            ("Spend", "billing_usagerecord", "bar_chart", "billing_spend"),
            ("Bills", "billing_bill", "receipt_long"),
            ("Budgets", "billing_budget", "savings"),
            ("Usage records", "billing_usagerecord", "receipt"),
            ("Closed months", "billing_closedmonth", "event_available"),
            ("Payment details", "billing_paymentdetails", "credit_card"),
            ("Differences", "billing_difference", "difference"),
            ("Meter events", "billing_meterevent", "electric_meter"),
            ("Stripe's events", "billing_stripeevent", "rss_feed"),
        ),
    ),
    (
        "Accounts",
        (
            ("Users", "accounts_user", "person"),
            ("Customers", "accounts_customer", "domain"),
            ("Tokens", "accounts_apitoken", "key"),
            ("Invitations", "accounts_invitation", "mail"),
            ("Limit requests", "accounts_limitchangerequest", "trending_up"),
            ("Feedback", "accounts_feedback", "forum"),
            ("Webhooks", "accounts_webhook", "webhook"),
            ("Deliveries", "accounts_webhookdelivery", "outgoing_mail"),
        ),
    ),
    (
        "Log",
        (
            ("Events", "accounts_event", "history"),
            ("Parked events", "accounts_parkedevent", "report"),
            ("Docs", "accounts_event", "menu_book", "docs"),
        ),
    ),
)


class ControlPlaneAdminSite(BaseSite):
    """The admin, with a banner when this machine runs jobs without isolation."""

    site_header = "Control plane for compute"
    site_title = "Control plane"
    index_title = "On call"

    def has_permission(self, request: HttpRequest) -> bool:
        return self._is_staff(request) and self._is_proved(request)

    def _is_staff(self, request: HttpRequest) -> bool:
        """Is this somebody for whom the admin is, once they have shown all that they are asked for?"""
        return bool(super().has_permission(request))

    def _is_proved(self, request: HttpRequest) -> bool:
        """As `is_proved`, looked up once in a request: pages ask many times."""
        if "is_proved" not in vars(request):
            vars(request)["is_proved"] = accounts.is_proved(request.session, request.user)  # type: ignore[arg-type]
        return bool(vars(request)["is_proved"])

    def get_urls(self) -> list[Any]:
        own = [
            path("totp/", self.totp, name="totp"),
            path("find/", self.admin_view(partial(find_page, self)), name="find"),
            path("views/", self.admin_view(partial(views_page, self)), name="views"),
            path("views/save/", self.admin_view(partial(save_view, self)), name="save_view"),
            path("views/<int:pk>/delete/", self.admin_view(partial(delete_view, self)), name="delete_view"),
            path("clusters/fleet/", self.admin_view(self.fleet), name="clusters_fleet"),
            path("billing/spend/", self.admin_view(self.spend), name="billing_spend"),
            path("docs/", self.admin_view(self.docs), name="docs"),
            path("docs/<path:name>/", self.admin_view(self.docs), name="docs_page"),
            path("jobs/waiting/", self.admin_view(self.waiting), name="jobs_waiting"),
            path("jobs/waiting/<str:code>/", self.admin_view(self.waiting_for), name="jobs_waiting_reason"),
        ]
        return [*own, *super().get_urls()]

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        """What is wrong, why, what it costs, and which button mends it."""
        from controlplane.dashboards import front_page

        request.current_app = self.name
        return front_page(request, self.each_context)

    def fleet(self, request: HttpRequest) -> HttpResponse:
        """The map of all that is kept running."""
        # Pages of the apps register themselves with this site, which has to be there before them.
        from clusters.admin.fleet import fleet_page

        return fleet_page(request, self.each_context(request))

    def spend(self, request: HttpRequest) -> HttpResponse:
        """What a month costs, by day and by customer."""
        from billing.admin.spend import spend_page

        return spend_page(request, self.each_context(request))

    def docs(self, request: HttpRequest, name: str = INDEX) -> HttpResponse:
        """A page of docs/."""
        return docs_page(request, self.each_context(request), name)

    def waiting(self, request: HttpRequest) -> HttpResponse:
        """Why work waits."""
        from jobs.admin.waiting import waiting_page

        return waiting_page(request, self.each_context(request))

    def waiting_for(self, request: HttpRequest, code: str) -> HttpResponse:
        """What waits for one reason."""
        from jobs.admin.waiting import reason_page

        return reason_page(request, code, self.each_context(request))

    def row_history(self, request: HttpRequest, of: ReadOnlyAdmin, pk: int) -> HttpResponse:
        """What was changed of a row, or how it was."""
        from accounts.admin.history import history_page

        return history_page(request, of, pk, self.each_context(request))

    def past_of(self, of: ReadOnlyAdmin, row: Any, at: str) -> Past | None:
        """How a row was at an event or a time; None when nobody can tell."""
        from accounts.admin.history import past_of

        return past_of(of, row, at)

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Asks for the password, and leads who owes a one-time code to its page."""
        if request.method != "POST" and self._is_staff(request) and not self._is_proved(request):
            return _to_totp(request.GET.get(REDIRECT_FIELD_NAME, ""))
        answer = super().login(request, extra_context)
        if answer.status_code == HTTPStatus.FOUND and self._is_staff(request):
            vars(request).pop("is_proved", None)  # it was about whoever asked for the page
            if not self._is_proved(request):
                return _to_totp(answer.headers["Location"])
        return answer

    @method_decorator([never_cache, csrf_protect])
    def totp(self, request: HttpRequest) -> HttpResponse:
        """Asks for a one-time code; before the first one it shows the secret of the device to enrol."""
        wanted = request.GET.get(REDIRECT_FIELD_NAME, "")
        if not self._is_staff(request):
            return HttpResponseRedirect(reverse("admin:login"))
        if self._is_proved(request):
            return _to(request, wanted)
        if "leave" in request.POST:
            logout(request)
            return HttpResponseRedirect(reverse("admin:login"))
        user: User = request.user  # type: ignore[assignment]
        form = CodeForm(request.POST if request.method == "POST" else None)
        if request.method == "POST" and form.is_valid():
            try:
                services.prove(request.session, user=user, code=form.cleaned_data["code"])
                return _to(request, wanted)
            except ControlPlaneError as error:
                form.refuse(error)
        device = services.device_of(user)
        context = {
            **self.each_context(request),
            "title": "One-time code",
            "is_nav_sidebar_enabled": False,
            "available_apps": [],
            "form": form,
            "enrolling": None if device.confirmed else {"uri": device.config_url, "secret": _in_fours(device.bin_key)},
        }
        return TemplateResponse(request, "admin/totp.html", context)

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        place = queries.find_place("local", settings.LOCAL_REGION)
        unisolated = place is not None and place.seen_at is not None and place.runs_for != RunsFor.EVERYONE
        return {
            **super().each_context(request),
            **list_tools(request),
            "unisolated": unisolated,
            "place": place,
            "about": about_page(request),
        }


class CodeForm(ServiceForm):
    code = forms.RegexField(
        r"^[0-9]{6}$",
        error_messages={"invalid": "Six digits."},
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "autofocus": True}),
    )


def _in_fours(key: bytes) -> str:
    """A secret as people type it."""
    text = b32encode(key).decode().rstrip("=")
    return " ".join(text[start : start + 4] for start in range(0, len(text), 4))


def _to_totp(wanted: str) -> HttpResponse:
    return HttpResponseRedirect(f"{reverse('admin:totp')}?{urlencode({REDIRECT_FIELD_NAME: wanted})}")


def _to(request: HttpRequest, wanted: str) -> HttpResponse:
    """On to the page that was wanted, if it is one of ours."""
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return HttpResponseRedirect(wanted if is_ours else reverse("admin:index"))


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The side bar of unfold (its setting SIDEBAR.navigation names this function)."""
    return [{"title": title, "separator": True, "items": _items(request, items)} for title, items in NAVIGATION]


def _items(request: HttpRequest, items: tuple[tuple[str, ...], ...]) -> list[dict[str, Any]]:
    found = []
    for title, model, icon, *page in items:
        app, _, name = model.partition("_")
        does = "add" if page and page[0].endswith("_add") else "view"
        if request.user.has_perm(f"{app}.{does}_{name}"):
            found.append(
                {"title": title, "icon": icon, "link": reverse(f"admin:{page[0] if page else f'{model}_changelist'}")}
            )
    return found


def hide_tables(site: admin.AdminSite) -> None:
    """Take away what nobody edits through the admin.

    django-q2's rows hold pickles that workers run; the groups are migrations' own, and follow from roles; devices for
    one-time codes would show their secrets.
    """
    for model in (Success, Failure, Schedule, OrmQ, Group, TOTPDevice):
        if site.is_registered(model):
            site.unregister(model)
