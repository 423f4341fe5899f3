"""The cards of the front page: numbers, each leading to exactly the rows that it counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts import queries as accounts
from billing import money
from controlplane import health
from controlplane.core.admin import badge, facts, link, table
from controlplane.dashboards.found import DAY, DAYS, Found
from jobs import queries, states
from jobs.admin.places import state_badge
from jobs.admin.waiting import jobs_of_reason, jobs_url, reason_link, since
from jobs.models import Place, Shape
from jobs.models.job import TASKS
from jobs.queries import FAILED, Active
from jobtypes.models import Category

SHOWN: Final = 12  # rows of a card
Body = SafeString | str


def cards(found: Found) -> list[tuple[str, Body]]:
    """Heading and body of each that its reader may see and that has something to say."""
    drawn = [(heading, draw(found)) for permission, heading, draw in CARDS if found.user.has_perm(permission)]
    return [(heading, body) for heading, body in drawn if body]


def note(text: object) -> SafeString:
    return format_html("<p class='cp-note'>{}</p>", text)


def _more(left: int, what: str) -> Body:
    return note(f"{left} more {what}.") if left > 0 else ""


# --- Jobs ----------------------------------------------------------------------------------------


def waiting(found: Found) -> Body:
    rows = [
        (reason_link(each.code), link(jobs_of_reason(each), each.jobs), len(each.customers), since(each.oldest))
        for each in found.reasons[:SHOWN]
    ]
    if not rows:
        return note("Nothing waits.")
    oldest: Body = ""
    if found.oldest is not None:
        page = reverse("admin:jobs_job_change", args=[found.oldest.job_id])
        text = "Longest in line: {}, for {}."
        oldest = format_html(f"<p>{text}</p>", link(page, f"job {found.oldest.job_id}"), since(found.oldest.queued_at))
    every = link(reverse("admin:jobs_waiting"), "Why work waits")
    shown = table(("Reason", "Jobs", "Customers", "The oldest for"), rows)
    left = _more(len(found.reasons) - SHOWN, "reasons")
    return format_html("{}{}{}<p>{}</p>", shown, left, oldest, every)


def running(found: Found) -> Body:
    places = {place.pk: place for place in found.places}
    rows: dict[tuple[int, str, int | None, str | None], dict[str, int]] = defaultdict(dict)
    for each in found.active:
        rows[each.place_id, each.shape, each.job_type_id, each.job_type][each.status] = each.jobs
    largest = sorted(rows.items(), key=lambda row: -sum(row[1].values()))
    shown = [
        (
            str(places[place_id]),
            name or shape,
            *(
                link(_active_url(places[place_id], shape, type_id, status), jobs[status]) if status in jobs else ""
                for status in states.ACTIVE
            ),
        )
        for (place_id, shape, type_id, name), jobs in largest[:SHOWN]
        if place_id in places
    ]
    if not shown:
        return note("Nothing runs.")
    heads = ("Place", "Type", *(status.capitalize() for status in states.ACTIVE))
    return format_html("{}{}", table(heads, shown), _more(len(largest) - SHOWN, "kinds, with fewer jobs each"))


def _active_url(place: Place, shape: str, type_id: int | None, status: str) -> str:
    wish: dict[str, Any] = {"cloud": place.cloud, "region": place.region, "state": status, "shape": shape}
    if type_id is not None:
        wish["job_type_id"] = type_id
    if shape in TASKS:
        wish["tasks"] = "true"
    return jobs_url(**wish)


def failures(found: Found) -> Body:
    """By category of their errors."""
    begin = (found.now - DAY).isoformat()
    rows = []
    for category, text in Category.choices:
        number = found.failed_today.get(category, 0)
        if number:
            url = jobs_url(state=FAILED, error_category=category, started=begin)
            rows.append((text, link(url, number)))
    total = sum(found.failed_today.values())
    every = jobs_url(state=FAILED, started=begin)
    if not total:
        return note("None in 24 hours.")
    if total > queries.MOST_FAILED:
        said = note(f"There are more than {queries.MOST_FAILED}; these are some of them.")
        return format_html("{}{}<p>{}</p>", table(("Whose fault", "Jobs"), rows), said, link(every, "All of them"))
    return table(("Whose fault", "Jobs"), [*rows, ("In all", link(every, total))])


def alike(found: Found) -> Body:
    """Clusters of failures that are alike, those with the most in 24 hours first."""
    rows = [
        (
            link(reverse("admin:jobs_failurecluster_change", args=[each.id]), each.title),
            each.category,
            each.lately,
            since(each.first_seen),
        )
        for each in queries.failure_clusters_now(SHOWN)
    ]
    if not rows:
        return ""
    every = link(reverse("admin:jobs_failurecluster_changelist"), "All failures that are alike")
    return format_html(
        "{}<p>{}</p>", table(("How it ended", "Whose fault", "Failures", "First seen, ago"), rows), every
    )


# --- Places and workers --------------------------------------------------------------------------


def places(found: Found) -> Body:
    """How each does, and how much of its room is taken."""
    used: dict[int, int] = defaultdict(int)
    jobs: dict[int, list[Active]] = defaultdict(list)
    queued: dict[int, int] = defaultdict(int)
    for each in found.active:
        used[each.place_id] += each.vcpus_milli
        jobs[each.place_id].append(each)
    for waiting in found.present.alive:
        if waiting.status == states.QUEUED:
            queued[waiting.place_id] += waiting.jobs
    rows = [
        (
            link(reverse("admin:jobs_place_change", args=[place.pk]), place),
            state_badge(place),
            since(place.seen_at) or "never",
            f"{used[place.pk] / 1000:g} of {place.vcpus_milli / 1000:g}" if place.seen_at else "",
            _active_link(place, jobs[place.pk]),
            _queued_link(place, queued[place.pk]),
        )
        for place in found.places
    ]
    if not rows:
        return note("None was ever seen.")
    return table(("Place", "State", "Seen before", "vCPUs used", "Active", "Queued"), rows)


def _active_link(place: Place, active: list[Active]) -> Body:
    total = sum(each.jobs for each in active)
    shapes = [shape for shape in Shape.values if shape != Shape.MAPREDUCE]
    where = {"cloud": place.cloud, "region": place.region}
    return link(jobs_url(**where, state=states.ACTIVE, shape=shapes, tasks="true"), total) if total else ""


def _queued_link(place: Place, number: int) -> Body:
    where = {"cloud": place.cloud, "region": place.region}
    return link(jobs_url(**where, state=states.QUEUED, tasks="true"), number) if number else ""


def workers(found: Found) -> Body:
    """Who works here, and how far behind the log those are who act upon it."""
    machines = [
        (str(place), format_html("seen {} ago", since(place.seen_at)) if place.seen_at else "never seen")
        for place in found.places
        if not place.is_cloud
    ]
    late = f"{len(found.late_work)} late" if found.late_work else "on time"
    lags = [(f"Follower {name}", f"{lag} events behind") for name, lag in found.lags if lag > 0]
    return facts([*machines, ("Periodic work", late), *lags[:SHOWN]])


def services(found: Found) -> Body:
    """Which are set up, as /readyz says."""
    parts = health.services([place for place in found.places if place.is_cloud])
    rows = [("AWS" if name == "aws" else name.capitalize(), _service(part)) for name, part in parts.items()]
    return format_html("{}<p>{}</p>", facts(rows), link(reverse("readyz"), "All of /readyz"))


def _service(part: dict[str, Any]) -> SafeString:
    if not part["configured"]:
        return format_html("{} {}", badge("NOT SET UP", "quiet"), f"without {', '.join(part['missing'])}")
    if part.get("failing"):
        return format_html("{} {}", badge("FAILING", "bad"), ", ".join(part["failing"]))
    return badge("SET UP", "good")


# --- Money ---------------------------------------------------------------------------------------


def spend(found: Found) -> Body:
    """What today costs, and the month, in the links' own pages."""
    page = reverse("admin:billing_spend")
    month = f"{found.today:%Y-%m}"
    day = link(
        f"{page}?{urlencode({'month': month, 'day': str(found.today)})}", _usd(found.cost_by_day.get(found.today, 0))
    )
    whole = link(f"{page}?{urlencode({'month': month})}", _usd(found.cost_of_month))
    average = sum(found.cost_by_day.values()) // DAYS
    return facts([("Today", day), ("This month", whole), (f"A day, of the last {DAYS}", _usd(average))])


def budgets(found: Found) -> Body:
    """Those of which most is spent."""
    rows = [
        (
            link(reverse("admin:billing_budget_change", args=[each.pk]), each),
            badge(f"{each.share} %", "bad" if each.is_used_up else "waiting" if each.share >= 80 else "quiet"),
            f"{money.text(each.spent_nano)} of {money.text(each.limit_nano)}",
        )
        for each in found.budgets
    ]
    if not rows:
        return ""
    every = link(reverse("admin:billing_budget_changelist"), "All budgets")
    return format_html("{}<p>{}</p>", table(("Budget", "Spent", "USD"), rows), every)


def _usd(nano: int) -> str:
    return f"{money.text(nano)} USD"


# --- Webhooks ------------------------------------------------------------------------------------


def webhooks(found: Found) -> Body:
    health_of = found.webhooks
    hooks, sent = "accounts_webhook", "accounts_webhookdelivery"
    rows = (
        ("Failing now", health_of.failing, hooks, {"does": "failing"}),
        ("Disabled, as nobody answered", health_of.given_up, hooks, {"does": "given-up"}),
        ("Deliveries given up", health_of.deliveries_failed, sent, {"status": "FAILED"}),
        ("Deliveries on their way", health_of.deliveries_waiting, sent, {"status": "PENDING"}),
    )
    return facts(
        (text, link(f"{reverse(f'admin:{page}_changelist')}?{urlencode(wish)}", _counted(number)))
        for text, number, page, wish in rows
    )


def _counted(number: int) -> str:
    return f"more than {accounts.COUNTED}" if number > accounts.COUNTED else str(number)


Draw = Callable[[Found], Body]
# Who may see a card, its heading, and what draws it. A card more is a function and a row here.
CARDS: Final[tuple[tuple[str, str, Draw], ...]] = (
    ("jobs.view_job", "Waiting, by reason", waiting),
    ("jobs.view_job", "Running, by place and type", running),
    ("jobs.view_job", "Failed in 24 hours, by category", failures),
    ("jobs.view_failurecluster", "Failures in 24 hours that are alike", alike),
    ("jobs.view_place", "Places", places),
    ("jobs.view_place", "Workers", workers),
    ("billing.view_usagerecord", "Spend", spend),
    ("billing.view_budget", "Budgets, the fullest", budgets),
    ("accounts.view_webhook", "Webhooks", webhooks),
    ("jobs.view_place", "Services", services),
)
