"""The front page of the admin: what needs a look, numbers that lead to their rows, charts, and the first day."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from django.utils import timezone

from accounts import services as accounts
from accounts.models import ParkedEvent, Webhook, WebhookDelivery
from billing import services as billing
from billing.models import Bill, Budget, Difference, DifferenceKind
from clusters.models import HostingPlace
from jobs import queries, services, states
from jobs.models import Beat, Hold, Job, LaneCount, LoadSample, Place, Scope, ThroughputSample
from jobs.queries import FAILED
from tests.answers import text_of
from tests.billing.scene import customer_of, entered, opened
from tests.browsers import OTHERS, STAFF, browser, furnish, somebody
from tests.factories import Stage, make_job, make_job_in, make_job_type, make_jobs, make_place
from tests.hooks import make_delivery, make_webhook
from tests.jobs.counted import submit
from tests.mapreduce import make_mapreduce
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
FRONT = "/admin/"


def page(role: str = "admin") -> str:
    return text_of(browser(role).get(FRONT))


def needs(role: str = "admin") -> str:
    """What the strip at the top says."""
    return page(role).split('id="needs"')[1].split("</section>")[0]


def headings(role: str) -> set[str]:
    return set(re.findall(r"<h2>(.*?)</h2>", page(role)))


def numbered_links(text: str, under: str) -> list[tuple[str, int]]:
    """Links below this path whose text is a number, or begins with one."""
    found = re.findall(rf"<a href=[\"']({re.escape(under)}\?[^\"']*)[\"']>(\d+)\b[^<]*</a>", text)
    return [(unescape(url), int(number)) for url, number in found]


def listed(url: str) -> int:
    return len(browser("admin").get(url).context["cl"].result_list)


# --- Who sees what -------------------------------------------------------------------------------


def test_staff_see_it_and_nobody_else() -> None:
    make_place()
    for role in STAFF:
        answer = browser(role).get(FRONT)
        assert answer.status_code == 200
        shown = text_of(answer)
        assert all(name in shown for name in ("Needs a look", "live.js", 'data-live-every="10"', "Reload"))
    for role in OTHERS:
        assert "/admin/login/" in browser(role).get(FRONT).headers["Location"]


def test_what_somebody_may_not_see_has_no_card() -> None:
    furnish()
    assert {"Waiting, by reason", "Places", "Spend", "Webhooks", "Services"} <= headings("monitor")
    viewer = somebody("monitor")
    viewer.groups.clear()
    assert headings("monitor") == {"Needs a look"}
    assert "Nothing needs a look." in needs("monitor")


def test_a_monitor_is_offered_nothing_that_changes() -> None:
    furnish()
    shown = page("monitor")
    for way in re.findall(r"<a class=\"cp-button\" href=\"([^\"]*)\"", shown):
        assert browser("monitor").get(way).status_code == 200, way
    assert "Resolve" in needs("admin")
    assert "Resolve" not in needs("monitor")


# --- Numbers lead to their rows ------------------------------------------------------------------


def furnish_jobs() -> None:
    stage = Stage()
    make_job_in(states.FAILED, stage=stage)
    make_job_in(states.REJECTED, stage=stage)
    make_job_in(states.DELAYED, stage=stage)
    make_job_in(states.COMPLETED, stage=stage)
    make_mapreduce()
    submit(make_job_type(name="typed"), 2)
    stage.start(*make_jobs(2))
    make_jobs(3, vcpus_milli=10**9)


def test_every_number_of_jobs_leads_to_exactly_those() -> None:
    furnish_jobs()
    links = numbered_links(page(), "/admin/jobs/job/")
    assert len(links) > 8
    for url, number in links:
        assert listed(url) == number, url
    for statuses in (("QUEUED", "DELAYED"), states.ACTIVE, FAILED):
        assert any(f"state={status}" in url for url, _ in links for status in statuses), statuses


def test_failures_are_told_by_category_and_old_ones_are_not() -> None:
    stage = Stage()
    job, other = make_job_in(states.FAILED, stage=stage), make_job_in(states.FAILED, stage=stage)
    assert job.error is not None
    card = page().split("Failed in 24 hours, by category")[1].split("</section>")[0]
    assert [number for _, number in numbered_links(card, "/admin/jobs/job/")] == [2, 2]
    Job.objects.filter(pk=other.pk).update(modified_at=timezone.now() - timedelta(hours=25))
    card = page().split("Failed in 24 hours, by category")[1].split("</section>")[0]
    assert [number for _, number in numbered_links(card, "/admin/jobs/job/")] == [1, 1]


def test_more_failures_than_are_counted_are_told_as_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        make_job_in(states.FAILED)
    monkeypatch.setattr("jobs.queries.overview.MOST_FAILED", 1)
    monkeypatch.setattr("jobs.queries.MOST_FAILED", 1)
    assert "There are more than 1; these are some of them." in page()


def test_the_longest_in_line_is_linked() -> None:
    make_place()
    first = make_job(priority=900)
    make_job(priority=1)
    assert f"<a href='/admin/jobs/job/{first.pk}/change/'>job {first.pk}</a>" in page()


def test_webhooks_are_counted_as_their_lists_show_them() -> None:
    hooks = [make_webhook(name=f"hook {number}") for number in range(4)]
    since = timezone.now() - timedelta(hours=2)
    Webhook.objects.filter(pk=hooks[0].pk).update(failing_since=since)
    Webhook.objects.filter(pk=hooks[1].pk).update(is_enabled=False, disabled_because="did not answer")
    Webhook.objects.filter(pk=hooks[2].pk).update(is_enabled=False)
    make_delivery(hooks[3], 1)
    make_delivery(hooks[3], 2, "PENDING")
    shown = page()
    links = [
        *numbered_links(shown, "/admin/accounts/webhook/"),
        *numbered_links(shown, "/admin/accounts/webhookdelivery/"),
    ]
    assert [number for _, number in links if number] == [1, 1, 1, 1, 1]
    for url, number in links:
        assert listed(url) == number, url
    assert WebhookDelivery.objects.count() == 2


def test_money_is_told_with_what_it_adds_up() -> None:
    entered(cost="2.5", at=timezone.now())
    Budget.objects.create(customer=customer_of(), limit_nano=10**10, spent_nano=9 * 10**9)
    today = f"{timezone.now():%Y-%m-%d}"
    shown = page("monitor")
    assert re.search(rf"<a href='/admin/billing/spend/\?month=[^']*day={today}'>2\.5 USD</a>", shown)
    assert "90 %" in shown
    assert "9 of 10" in shown
    assert "Cost of 30 days" in shown


def test_places_say_how_they_do_and_how_full_they_are() -> None:
    stage = Stage(vcpus_milli=8000)
    job = make_job(vcpus_milli=2000)
    stage.start(job)
    card = page("monitor").split("<h2>Places</h2>")[1].split("</section>")[0]
    assert "WORKS" in card
    assert "2 of 8" in card


def test_services_are_told_as_readyz_tells_them(settings: Any) -> None:
    settings.SLACK_WEBHOOK_URL = "https://hooks.slack.com/x"
    card = page("monitor").split("<h2>Services</h2>")[1].split("</section>")[0]
    parts = browser("monitor").get(reverse("readyz")).json()["parts"]
    services_told = {name: part for name, part in parts.items() if "configured" in part}
    assert {"aws", "azure", "stripe", "prometheus", "loki", "slack", "google"} <= services_told.keys()
    assert services_told["slack"]["configured"]
    assert card.count("SET UP") == len(services_told)
    assert card.count("NOT SET UP") == sum(not part["configured"] for part in services_told.values())
    for part in services_told.values():
        assert all(name in card for name in part.get("missing", ()))


# --- What needs a look ---------------------------------------------------------------------------


def _days_ago(days: float) -> Any:
    return timezone.now() - timedelta(days=days)


def _silent() -> Callable[[], None]:
    Place.objects.update(seen_at=_days_ago(1))
    return lambda: (make_place(), None)[1]


def _failing_place() -> Callable[[], None]:
    Place.objects.update(failure="no rights", failing_since=_days_ago(0.1))
    return lambda: (Place.objects.update(failure="", failing_since=None), None)[1]


def _failing_hosting() -> Callable[[], None]:
    place = HostingPlace.objects.create(cloud="local", region="x", failure="no daemon", failing_since=_days_ago(1))
    return lambda: (place.delete(), None)[1]


def _late_work() -> Callable[[], None]:
    beat = Beat.objects.create(name="jobs.tasks.sweep", due_at=_days_ago(1))
    return lambda: (beat.delete(), None)[1]


def _old_hold() -> Callable[[], None]:
    hold = services.place_hold(scope=Scope.ALL, code="DEPLOY", hint="new version")
    Hold.objects.update(since=_days_ago(2))
    return lambda: services.lift_hold(hold)


def _parked() -> Callable[[], None]:
    row = ParkedEvent.objects.create(follower="closings", position=1, kind="user.closing", error="no")
    return lambda: accounts.dismiss_parked(parked=row, actor=None)


def _given_up() -> Callable[[], None]:
    hook = make_webhook()
    Webhook.objects.update(is_enabled=False, disabled_because="did not answer")
    return lambda: (accounts.change_webhook(webhook=hook, actor=somebody("admin"), is_enabled=True), None)[1]


def _limit() -> Callable[[], None]:
    wish = accounts.request_limit(user=somebody("customer"), desired_limit=50, reason="More.")
    return lambda: accounts.approve_limit(request=wish, actor=somebody("admin"))


def _difference() -> Callable[[], None]:
    facts = {"customer": customer_of(), "bill_month": timezone.now().date().replace(day=1), "ours": "7", "theirs": "8"}
    row = Difference.objects.create(kind=DifferenceKind.AMOUNT, **facts)
    return lambda: (billing.resolve_difference(difference=row, actor=somebody("admin"), note="Paid."), None)[1]


def _unpaid() -> Callable[[], None]:
    entered(cost="5")
    bill = opened()
    Bill.objects.update(opened_at=_days_ago(15))
    return lambda: (billing.move_bill(bill=bill, to="paid", actor=somebody("admin")), None)[1]


def _unsent() -> Callable[[], None]:
    entered(cost="5")
    opened()
    Bill.objects.update(sending_error="no such customer")
    return lambda: (Bill.objects.update(sending_error=""), None)[1]


def _used_up() -> Callable[[], None]:
    budget = billing.set_budget(actor=None, customer=customer_of(), limit_nano=10**9)
    Budget.objects.update(spent_nano=2 * 10**9)
    return lambda: billing.lift_budget(budget=budget, actor=None)


def _rising() -> Callable[[], None]:
    stage = Stage()
    for job in make_jobs(12):
        stage.start(job)
        stage.end(job, exit_code=3)
    return lambda: (Job.objects.update(modified_at=_days_ago(0.1)), None)[1]


def _too_large() -> Callable[[], None]:
    job = make_job(vcpus_milli=10**9)
    return lambda: (services.cancel_jobs([job.pk], actor=None), None)[1]


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (_silent, f"local/{settings.LOCAL_REGION} has been silent for"),
        (_failing_place, f"local/{settings.LOCAL_REGION} has failed for"),
        (_failing_hosting, "Containers at local/x have failed for"),
        (_late_work, "1 piece of periodic work is late"),
        (_old_hold, "1 hold has stood for more than a day"),
        (_parked, "1 event was left behind"),
        (_given_up, "1 webhook was disabled"),
        (_limit, "1 wish for a higher limit waits"),
        (_difference, "1 difference between"),
        (_unpaid, "1 bill is unpaid"),
        (_unsent, "1 bill could not be sent"),
        (_used_up, "1 budget is used up"),
        (_rising, "12 jobs failed in the last hour"),
        (_too_large, "1 job waits for TOO_LARGE_VCPUS"),
    ],
)
def test_what_is_wrong_is_told_until_it_is_mended(cause: Callable[[], Callable[[], None]], words: str) -> None:
    make_place()
    assert "Nothing needs a look." in needs()
    mend = cause()
    shown = needs()
    assert words in shown
    assert words in needs("monitor")
    for url, text in re.findall(r"<a(?: class=\"cp-button\")? href=\"([^\"]*)\">([^<]*)</a>", shown):
        answer = browser("admin").get(unescape(url))
        assert answer.status_code in (200, 503), url
        changes = getattr(answer, "context", None) and answer.context.get("cl")
        if changes and text[0].isdigit():
            assert len(changes.result_list) == int(text.split()[0]), url
    mend()
    assert words not in needs()


def test_what_is_wrong_comes_before_what_waits() -> None:
    make_place()
    _old_hold()
    _parked()
    tones = re.findall(r"cp-badge cp-(\w+)", needs())
    assert tones == ["bad", "waiting"]


def test_many_failures_on_a_day_of_many_are_no_rise() -> None:
    make_place()
    _rising()
    assert "failed in the last hour" in needs()
    at = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    ThroughputSample.objects.create(at=at, status=states.FAILED, number=23 * 12)
    assert "failed in the last hour" not in needs()


def test_holds_over_one_job_and_those_of_budgets_are_nobodys_fault() -> None:
    make_place()
    services.hold_jobs([make_job().pk], actor=None)
    services.place_hold(scope=Scope.ALL, code="BUDGET")
    Hold.objects.update(since=_days_ago(2))
    assert "hold" not in needs()


# --- The day -------------------------------------------------------------------------------------


def test_charts_show_the_day_with_a_table_of_it() -> None:
    now = timezone.now()
    make_job()
    assert "in 24 hours</h2>" not in page()
    for minutes, status, number in ((20, states.COMPLETED, 7), (25, states.COMPLETED, 2), (600, states.REJECTED, 4)):
        at = now - timedelta(minutes=minutes)
        ThroughputSample.objects.create(at=at, status=status, number=number)
    ThroughputSample.objects.create(at=now - timedelta(days=2), status=states.FAILED, number=99)
    LoadSample.objects.create(at=now - timedelta(minutes=90), pending=3, queued=5, running=1)
    shown = page("monitor")
    for words in ("Completed in 24 hours", "Failed in 24 hours", "Waiting in 24 hours", "As a table"):
        assert words in shown
    assert "aria-label='Jobs completed in each quarter of an hour of the last day, 9 in all'" in shown
    assert "aria-label='Jobs failed in each quarter of an hour of the last day, 4 in all'" in shown
    assert "At the top: 8, at" in shown
    assert shown.count("<rect") == 3 * 96


# --- The first day -------------------------------------------------------------------------------


def test_a_new_deployment_says_what_to_do_next() -> None:
    shown = page()
    assert "No worker was ever seen" in shown
    steps = shown.split('id="first-steps"')[1].split("</section>")[0]
    for name in ("accounts_apitoken_add", "clusters_offer_changelist", "jobs_job_add"):
        url = reverse(f"admin:{name}")
        assert f'<a href="{url}">' in steps
        assert browser("admin").get(url).status_code == 200
    assert "DONE" not in steps
    accounts.issue_token(user=somebody("admin"), actor=somebody("admin"))
    assert page().split('id="first-steps"')[1].split("</section>")[0].count("DONE") == 1
    assert "<a " not in page("monitor").split('id="first-steps"')[1].split("</section>")[0]
    make_job()
    assert "first-steps" not in page()


# --- What it costs -------------------------------------------------------------------------------


def test_it_costs_the_same_with_more() -> None:
    stage = Stage()
    client, found = browser("admin"), []
    for count in (1, 5):
        for number in range(count):
            make_job_in(states.FAILED, stage=stage)
            make_jobs(2, customer=f"customer-{count}-{number}", vcpus_milli=10**9)
            Place.objects.create(cloud="local", region=f"machine-{count}-{number}", seen_at=timezone.now())
            entered(f"payer-{count}-{number}", at=timezone.now())
            Budget.objects.create(customer=customer_of(f"payer-{count}-{number}"), limit_nano=10**9)
        client.get(FRONT)
        with within_budget("admin: front page") as statements:
            client.get(FRONT)
        found.append(len(statements))
    assert found[0] == found[1]
    assert len(queries.Present().lanes) == 6


def test_counts_that_were_kept_are_shown_with_when_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    make_place()
    make_job()
    assert "counted at" not in page()
    monkeypatch.setattr("jobs.alive_sql.MANY", 1)
    services.count_lanes()
    make_job()
    (counted,) = LaneCount.objects.all()
    assert f'counted at <time datetime="{counted.at.isoformat()}">' in page()
    assert sum(each.jobs for each in queries.Present().alive) == 1
