"""A user's page in the admin: what accounts knows of them, with their jobs, clusters and spend from the other apps."""

from __future__ import annotations

from typing import Final

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.admin.people import UserAdmin
from accounts.models import Customer, User
from billing.admin.story import bill_badge, bill_link, bills_url, in_cents, records_url
from billing.queries import own_bills
from clusters import queries as fleet
from clusters.admin.story import cluster_badge, cluster_link
from clusters.models import Cluster
from controlplane.core.admin import link, table, when
from controlplane.core.detail_admin import Section
from jobs.admin.badges import status_badge
from jobs.models import Job

SHOWN: Final = 10


class PersonAdmin(UserAdmin):
    """The page of a user, told from all apps. Each section is of the newest rows, by an index."""

    def sections(self, request: HttpRequest, person: User) -> list[Section]:
        more = []
        customer = person.customer
        if customer is not None and request.user.has_perm("billing.view_bill"):
            more.append(("Spend", _spend(customer, person)))
        if request.user.has_perm("clusters.view_cluster"):
            more.append(("Clusters", _clusters(person)))
        if customer is not None and request.user.has_perm("jobs.view_job"):
            more.append(("Jobs", _jobs(customer)))
        first, *others = super().sections(request, person)
        return [first, *(each for each in more if each[1]), *others]


def tell_of_people(site: admin.AdminSite) -> None:
    """Have users shown so, in place of what accounts alone can show."""
    site.unregister(User)
    site.register(User, PersonAdmin)


def _below(url: str, text: str, shown: SafeString) -> SafeString:
    return format_html("{}<p>{}</p>", shown, link(url, text))


def _spend(customer: Customer, person: User) -> SafeString | str:
    """The bills of their customer: that of this month says what was used up to now."""
    rows = [
        (bill_link(row), bill_badge(row), in_cents(row.amount), when(row.drawn_up_at))
        for row in own_bills(person).select_related("customer").order_by("-month")[:SHOWN]
    ]
    if not rows:
        return ""
    bills = table(("Bill", "Status", "USD", "As of"), rows)
    both = format_html("{} {}", link(bills_url(q=customer.name), "All bills"),
                       link(records_url(customer=customer.name), "What was metered"))  # fmt: skip
    return format_html("{}<p class='cp-row'>{}</p>", bills, both)


def _clusters(person: User) -> SafeString | str:
    found = list(Cluster.objects.filter(owner=person).defer("secrets").order_by("-pk")[:SHOWN])
    if not found:
        return ""
    counts = fleet.counts_of([row.pk for row in found])
    rows = [
        (
            cluster_link(row),
            cluster_badge(row, fleet.status_of(of := counts.get(row.pk, {}))),
            ", ".join(f"{count} {status}" for status, count in sorted(of.items())),
            when(row.created_at),
        )
        for row in found
    ]
    url = f"{reverse('admin:clusters_cluster_changelist')}?{urlencode({'owner__username': person.username})}"
    return _below(url, "All clusters", table(("Cluster", "Status", "Containers", "Made"), rows))


def _jobs(customer: Customer) -> SafeString | str:
    """The newest ones of their customer: no index has those of one owner."""
    newest = Job.objects.filter(customer=customer, parent=None).order_by("-submitted_at", "-pk").select_related("owner")
    wanted = newest.only("classification", "status", "submitted_at", "owner__username")
    rows = [
        (
            link(reverse("admin:jobs_job_change", args=[row.pk]), row.pk),
            *(row.classification, status_badge(row.status), row.owner.username, when(row.submitted_at)),
        )
        for row in wanted[:SHOWN]
    ]
    if not rows:
        return ""
    url = f"{reverse('admin:jobs_job_changelist')}?{urlencode({'customer': customer.name})}"
    return _below(url, f"All jobs of {customer.name}", table(("Job", "Class", "Status", "Owner", "Submitted"), rows))
