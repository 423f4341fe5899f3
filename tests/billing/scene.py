"""Executions that ran when a test says so, and what is metered of them."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Sum

from accounts.following import follow
from accounts.models import Customer, Follower
from billing import hours, money, services
from billing.models import Bill, UsageDay, UsageKind, UsageRecord
from billing.models.usage import METER
from billing.services.ledger import Entry, enter, locked
from clusters.models import Offer
from clusters.services import set_price
from jobs import states
from jobs.models import Execution, Job
from jobs.services import move
from jobs.services.move import move_executions
from tests.clusters.offers import BEGUN
from tests.factories import Stage, make_job

MONTH: Final = datetime(2026, 3, 1, tzinfo=UTC)
CLOSING: Final = MONTH + timedelta(days=31, hours=7)
SUMS: Final = ("run_ms", "vcpu_ms", "gib_ms", "peer_ms", "free_ms", "cost_nano")


def follow_from_here() -> None:
    """As a deployment does from its first migration on."""
    Follower.objects.get_or_create(name=METER)
    while follow(METER, {"nothing"}, lambda events: None):
        pass


def price_here(vcpu: str = "1", gb: str = "0", **more: Any) -> None:
    """USD that an hour of a vCPU and of a GiB cost on this machine."""
    for name, amount in (("vcpu", vcpu), ("gb", gb)):
        offer = Offer.objects.get(cloud="local", name=name)
        set_price(offer, amount=Decimal(amount), actor=None, valid_from=BEGUN, **more)


def running(began: datetime, **wishes: Any) -> Job:
    """A job whose execution has run since `began`."""
    job = make_job(**wishes)
    Stage().start(job)
    Execution.objects.filter(job=job).update(started_at=began)
    return job


def end(job: Job, at: datetime) -> None:
    """Let it end then, as the scheduler does."""
    execution = job.executions.latest("number")
    move_executions(
        {execution.pk: {"ended_at": at, "exit_code": 0}}, states.COMPLETED, fields=("ended_at", "exit_code")
    )
    move({job.pk: {"ended_at": at}}, states.COMPLETED, fields=("ended_at",))


def ran(began: datetime, lasted: timedelta, **wishes: Any) -> Job:
    job = running(began, **wishes)
    end(job, began + lasted)
    return job


def totals(**of: Any) -> dict[str, int]:
    """The sums over records, which are held to those by day."""
    found = UsageRecord.objects.filter(**of).aggregate(**{name: Sum(name, default=0) for name in SUMS})
    if not of:
        by_day = UsageDay.objects.aggregate(**{name: Sum(name, default=0) for name in SUMS})
        assert found == by_day
        assert (UsageDay.objects.aggregate(n=Sum("records"))["n"] or 0) == UsageRecord.objects.count()
    return found


def ms(**lasted: float) -> int:
    return hours.milliseconds(MONTH + timedelta(**lasted)) - hours.milliseconds(MONTH)


_sources = itertools.count(10**6)


def customer_of(name: str = "acme") -> Customer:
    return Customer.objects.get_or_create(name=name)[0]


def entered(customer: str | None = "acme", cost: str = "1", at: datetime = MONTH, **more: Any) -> UsageRecord:
    """An hour that is metered, of nothing that is there unless `more` says so."""
    begun, source = hours.milliseconds(at), next(_sources)
    given = {"kind": UsageKind.EXECUTION, "source_id": source, "run_ms": hours.HOUR_MS, "shape": "container", **more}
    entry = Entry(
        **given,
        begun_ms=begun,
        ended_ms=begun + hours.HOUR_MS,
        customer_id=customer_of(customer).pk if customer else None,
        owner_id=None,
        cost_nano=money.nano(Decimal(cost)),
    )
    with locked():
        enter([entry])
    return UsageRecord.objects.latest("pk")


def drawn_up(customer: str = "acme") -> Bill:
    """The draft of what is entered of March."""
    services.draw_up_drafts()
    return Bill.objects.get(customer__name=customer, month=MONTH.date())


def opened(customer: str = "acme") -> Bill:
    """The final bill of what is entered of March."""
    services.close_month(MONTH.date(), now=CLOSING)
    return Bill.objects.get(customer__name=customer, month=MONTH.date())


def furnish_billing() -> None:
    """A record, a final bill, and a month that is closed and one that is not."""
    entered()
    opened()
    entered(at=MONTH + timedelta(days=35))
    services.set_budget(actor=None, customer=Customer.objects.first(), limit_nano=10**9)
