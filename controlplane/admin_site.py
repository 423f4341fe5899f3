"""What is common to all admin pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.urls import reverse
from django_q.models import Failure, OrmQ, Schedule, Success

from jobs import queries
from jobs.models import RunsFor

if TYPE_CHECKING or settings.ADMIN_THEME != "unfold":
    BaseSite = admin.AdminSite
else:
    from unfold.sites import UnfoldAdminSite as BaseSite

# The side bar: group, then title, model and icon of each entry. Who may not see a model gets no entry for it.
NAVIGATION: Final = (
    (
        "Jobs",
        (
            ("Jobs", "jobs_job", "work"),
            ("Recipes", "jobs_recipe", "schema"),
            ("Executions", "jobs_execution", "play_circle"),
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
        "Prices",
        (
            ("Offers", "clusters_offer", "storefront"),
            ("Prices", "clusters_price", "payments"),
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
    ("Log", (("Events", "accounts_event", "history"),)),
)


class ControlPlaneAdminSite(BaseSite):
    """The admin, with a banner when this machine runs jobs without isolation."""

    site_header = "Control plane for compute"
    site_title = "Control plane"
    index_title = "What is where"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        place = queries.find_place("local", settings.LOCAL_REGION)
        unisolated = place is not None and place.seen_at is not None and place.runs_for != RunsFor.EVERYONE
        return {**super().each_context(request), "unisolated": unisolated, "place": place}


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The side bar of unfold (its setting SIDEBAR.navigation names this function)."""
    return [{"title": title, "separator": True, "items": _items(request, items)} for title, items in NAVIGATION]


def _items(request: HttpRequest, items: tuple[tuple[str, str, str], ...]) -> list[dict[str, Any]]:
    found = []
    for title, model, icon in items:
        app, _, name = model.partition("_")
        if request.user.has_perm(f"{app}.view_{name}"):
            found.append({"title": title, "icon": icon, "link": reverse(f"admin:{model}_changelist")})
    return found


def hide_tables(site: admin.AdminSite) -> None:
    """Take away what nobody edits through the admin.

    django-q2's rows hold pickles that workers run; the groups are migrations' own, and follow from roles.
    """
    for model in (Success, Failure, Schedule, OrmQ, Group):
        if site.is_registered(model):
            site.unregister(model)
