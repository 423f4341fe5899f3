"""What needs a look: each thing that is wrong, why, and the page or button that mends it. The worst comes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from django.urls import reverse
from django.utils.http import urlencode

from accounts import queries as accounts
from billing import queries as billing
from clusters.queries import settings_fault
from controlplane.dashboards.found import DAY, HOUR, Found
from jobs import queries
from jobs.admin.waiting import jobs_url, lasted, reason_url
from jobs.gates import silent_after
from jobs.models import Place
from jobs.queries import FAILED

BAD: Final = "bad"
WAITING: Final = "waiting"
FEW: Final = 10  # failures in an hour are no rise yet
RISE: Final = 3  # times as many as in an hour of the day before
# What never starts unless somebody does something.
STUCK: Final = ("TOO_LARGE_VCPUS", "TOO_LARGE_MEMORY", "UNMET_RESOURCES", "UNISOLATED", "DISK")


@dataclass(frozen=True)
class Need:
    """One thing: the link of its text leads to what it counts, `way` to where it is mended."""

    tone: str
    text: str
    url: str
    detail: str = ""
    way: str = ""
    way_url: str = ""


def needs(found: Found) -> list[Need]:
    """All that its reader may see."""
    rows = [need for permission, look in _LOOKS if found.user.has_perm(permission) for need in look(found)]
    return sorted(rows, key=lambda need: need.tone != BAD)


def _list(name: str, **wish: str) -> str:
    page = reverse(f"admin:{name}_changelist")
    return f"{page}?{urlencode(wish)}" if wish else page


def _many(number: int, one: str, many: str, most: int | None = None) -> str:
    if most is not None and number > most:
        return f"More than {most} {many}"
    return f"{number} {one if number == 1 else many}"


# --- Machines and clouds -------------------------------------------------------------------------


def _places(found: Found) -> Iterator[Need]:
    for place in found.places:
        if place.is_cloud and settings_fault(place.cloud, place.region):
            continue
        page = reverse("admin:jobs_place_change", args=[place.pk])
        if place.failing_since is not None:
            text = f"{place} has failed for {lasted(place.failing_since)}"
            yield Need(BAD, text, page, place.failure, *_check(found, place))
        elif place.seen_at is not None and found.now - place.seen_at > silent_after(place):
            text = f"{place} has been silent for {lasted(place.seen_at)}"
            yield Need(BAD, text, page, "Start `manage.py work` there.")


def _check(found: Found, place: Place) -> tuple[str, str]:
    if not (place.is_cloud and found.user.has_perm("jobs.add_hold")):
        return "", ""
    return "Check now", reverse("admin:jobs_place_check", args=[place.pk])


def _work(found: Found) -> Iterator[Need]:
    if not any(place.seen_at for place in found.places):
        yield Need(BAD, "No worker was ever seen", reverse("readyz"), "Start `manage.py work`.")
    if found.late_work:
        text = _many(len(found.late_work), "piece of periodic work is late", "pieces of periodic work are late")
        detail = f"{', '.join(found.late_work[:3])}: start `manage.py work`."
        yield Need(BAD, text, _list("jobs_place"), detail)


def _hosting(found: Found) -> Iterator[Need]:
    for place in found.hosting_places:
        if place.failing_since is not None:
            page = reverse("admin:clusters_hostingplace_change", args=[place.pk])
            text = f"Containers at {place} have failed for {lasted(place.failing_since)}"
            yield Need(BAD, text, page, place.failure, "Fleet map", reverse("admin:clusters_fleet"))


# --- Jobs ----------------------------------------------------------------------------------------


def _stuck(found: Found) -> Iterator[Need]:
    for reason in found.reasons:
        if reason.code in STUCK:
            text = _many(reason.jobs, "job waits", "jobs wait") + f" for {reason.code}"
            page = reason_url(reason.code)
            yield Need(WAITING, text, page, queries.MEANINGS[reason.code], "What frees them", page)


def _failures(found: Found) -> Iterator[Need]:
    lately = found.failed_lately
    if lately < FEW:
        return
    before = sum(jobs for at, status, jobs in found.throughput if status in FAILED and at < found.now - HOUR)
    usual = before / (DAY / HOUR - 1)
    if lately > RISE * usual:
        url = jobs_url(state=FAILED, started=(found.now - HOUR).isoformat())
        text = _many(lately, "job", "jobs", queries.MOST_FAILED) + " failed in the last hour"
        yield Need(BAD, text, url, f"{usual:.1f} in an hour of the day before.")


def _holds(found: Found) -> Iterator[Need]:
    rows = list(queries.old_holds().order_by("since")[:2])
    if not rows:
        return
    oldest = rows[0]
    detail = f"The oldest, {oldest.code}, for {lasted(oldest.since)}: {oldest.hint or 'without a word why'}"
    lifts = found.user.has_perm("jobs.delete_hold")
    way = ("Lift it", reverse("admin:jobs_hold_remove", args=[oldest.pk])) if lifts and len(rows) == 1 else ("", "")
    text = _many(queries.old_holds().count(), "hold has", "holds have") + " stood for more than a day"
    yield Need(WAITING, text, _list("jobs_hold", stands="long"), detail, *way)


# --- Accounts and the log ------------------------------------------------------------------------


def _parked(found: Found) -> Iterator[Need]:
    if number := found.parked_events:
        text = _many(number, "event was left behind", "events were left behind", accounts.COUNTED)
        page = _list("accounts_parkedevent")
        yield Need(BAD, text, page, "What had to follow from them did not happen.", "See to them", page)


def _webhooks(found: Found) -> Iterator[Need]:
    if number := found.webhooks.given_up:
        text = _many(number, "webhook was disabled", "webhooks were disabled") + ", as nobody answered for a day"
        page = _list("accounts_webhook", does="given-up")
        yield (
            Need(WAITING, text, page, "", "Enable them", page)
            if found.user.has_perm("accounts.change_webhook")
            else Need(WAITING, text, page)
        )


def _limits(found: Found) -> Iterator[Need]:
    if number := accounts.waiting_limit_requests(found.user):
        page = _list("accounts_limitchangerequest")
        way = ("Decide", page) if found.user.has_perm("accounts.change_limitchangerequest") else ("", "")
        text = _many(number, "wish for a higher limit waits", "wishes for higher limits wait")
        yield Need(WAITING, text, page, "", *way)


# --- Money ---------------------------------------------------------------------------------------


def _budgets(found: Found) -> Iterator[Need]:
    if number := found.used_up_budgets:
        text = _many(number, "budget is used up", "budgets are used up")
        yield Need(WAITING, text, _list("billing_budget", spent="used-up"), "What a hard one covers waits.")


def _differences(found: Found) -> Iterator[Need]:
    if number := billing.open_differences():
        page = _list("billing_difference")
        way = ("Resolve", page) if found.user.has_perm("billing.change_difference") else ("", "")
        yield Need(
            BAD, _many(number, "difference", "differences") + " between records, bills and Stripe", page, "", *way
        )


def _bills(found: Found) -> Iterator[Need]:
    if number := billing.overdue_bills():
        text = _many(number, "bill is unpaid", "bills are unpaid") + " after two weeks"
        yield Need(WAITING, text, _list("billing_bill", due="overdue"))
    if number := billing.unsent_bills():
        text = _many(number, "bill", "bills") + " could not be sent to Stripe"
        yield Need(BAD, text, _list("billing_bill", due="unsent"))


# Who may see what is counted, and who looks.
_LOOKS: Final[tuple[tuple[str, Callable[[Found], Iterator[Need]]], ...]] = (
    ("jobs.view_place", _work),
    ("jobs.view_place", _places),
    ("jobs.view_job", _failures),
    ("clusters.view_hostingplace", _hosting),
    ("accounts.view_parkedevent", _parked),
    ("billing.view_difference", _differences),
    ("billing.view_bill", _bills),
    ("jobs.view_job", _stuck),
    ("jobs.view_hold", _holds),
    ("billing.view_budget", _budgets),
    ("accounts.view_webhook", _webhooks),
    ("accounts.view_limitchangerequest", _limits),
)
