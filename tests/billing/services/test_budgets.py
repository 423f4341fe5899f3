"""Budgets: what may be spent is never overrun by a claim, told of in time, and freed again."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail
from django.utils import timezone

from accounts.models import Event
from billing import money, services, tasks
from billing.errors import BudgetExists
from billing.models import Budget, Period
from billing.services.budgets import key_of, spent_of
from controlplane.core.errors import InvalidRequest
from jobs import queries, scheduling, states
from jobs.models import Execution, Hold, Job, Scope, SpendGate
from jobs.services import cancel_jobs
from tests.billing.scene import MONTH, end, follow_from_here, price_here, ran, running
from tests.factories import Stage, make_admin, make_customer_user, make_job, make_jobs

pytestmark = pytest.mark.django_db
NOON = MONTH + timedelta(hours=12)
LATER = NOON + timedelta(days=1)


@pytest.fixture(autouse=True)
def _metered_from_here() -> None:
    follow_from_here()


def usd(amount: str) -> int:
    return money.nano(Decimal(amount))


def budget_of(job: Job, limit: str, **more: Any) -> Budget:
    begun = {"begins": MONTH.date(), **more}
    return services.set_budget(actor=None, customer=job.customer, limit_nano=usd(limit), **begun)


def warned() -> list[int]:
    return [event.after["share"] for event in Event.objects.filter(kind="budget.reached").order_by("id") if event.after]


def test_it_warns_at_each_share_once() -> None:
    price_here("1")
    job = ran(NOON, timedelta(minutes=30), vcpus_milli=1000)
    budget = budget_of(job, "1", is_hard=False)
    for minutes, shares in ((0, []), (6, [50]), (18, [50, 80]), (66, [50, 80, 100])):
        if minutes:
            ran(NOON, timedelta(minutes=minutes), vcpus_milli=1000)
        if shares or minutes:
            services.meter()
        services.count_budgets(LATER)
        services.count_budgets(LATER)
        assert warned() == shares, minutes
    budget.refresh_from_db()
    assert (budget.spent_nano, budget.warned) == (usd("2"), 100)


def test_used_up_it_holds_what_it_covers_and_a_raise_frees_it() -> None:
    price_here("1")
    job = ran(NOON, timedelta(hours=2), vcpus_milli=1000)
    budget = budget_of(job, "1")
    services.meter()
    services.count_budgets(LATER)
    hold = Hold.objects.get()
    assert (hold.code, hold.scope, hold.scope_id) == ("BUDGET", Scope.CUSTOMER, str(job.customer_id))
    waiting = make_job()
    assert Stage().claim() == 0
    assert queries.explain(waiting)[0].code == "BUDGET"
    services.change_budget(budget=budget, actor=None, limit_nano=usd("50"))
    services.count_budgets(LATER)
    assert not Hold.objects.exists()
    assert Stage().claim() == 1


def test_a_new_month_begins_anew() -> None:
    price_here("1")
    job = ran(NOON, timedelta(hours=2), vcpus_milli=1000)
    budget = budget_of(job, "1")
    services.meter()
    services.count_budgets(LATER)
    assert Hold.objects.exists()
    services.count_budgets(MONTH + timedelta(days=31))
    budget.refresh_from_db()
    assert (budget.spent_nano, budget.warned, budget.counted_from) == (0, 0, date(2026, 4, 1))
    assert not Hold.objects.exists()


def test_one_that_only_warns_holds_nothing() -> None:
    price_here("1")
    job = ran(NOON, timedelta(hours=2), vcpus_milli=1000)
    budget = budget_of(job, "1", is_hard=False)
    services.meter()
    services.count_budgets(LATER)
    assert warned() == [100]
    assert not Hold.objects.exists()
    assert not SpendGate.objects.exists()
    services.change_budget(budget=budget, actor=None, is_hard=True)
    services.count_budgets(LATER)
    assert Hold.objects.exists()
    services.lift_budget(budget=budget, actor=None)
    assert not Hold.objects.exists()
    assert not SpendGate.objects.exists()


def test_no_claim_overruns_it_and_what_is_metered_is_not_counted_twice() -> None:
    """Each job may take an hour, and takes half of one."""
    price_here("1")
    first = make_job(vcpus_milli=1000, timeout_seconds=3600)
    yesterday = timezone.now().date() - timedelta(days=1)  # midnight may lie in the half hour
    budget = services.set_budget(
        actor=None, customer=first.customer, limit_nano=usd("2"), period=Period.ALL, begins=yesterday
    )
    make_jobs(4, first.owner, vcpus_milli=1000, timeout_seconds=3600)
    stage = Stage()
    assert stage.claim() == 2
    assert stage.claim() == 0
    now = timezone.now()
    for execution in Execution.objects.order_by("pk"):
        Execution.objects.filter(pk=execution.pk).update(started_at=now - timedelta(minutes=30), status=states.RUNNING)
        Job.objects.filter(pk=execution.job_id).update(status=states.RUNNING)
        end(execution.job, now)
    assert stage.claim() == 0  # it is reserved until it is metered
    services.meter()
    assert not Execution.objects.filter(reserved_nano__gt=0).exists()
    assert SpendGate.objects.get(key=key_of(budget)).spent_nano == usd("1")
    assert stage.claim() == 1
    assert stage.claim() == 0


def test_what_never_ran_gives_back_what_was_reserved() -> None:
    price_here("1")
    job = make_job(vcpus_milli=1000, timeout_seconds=3600)
    services.set_budget(actor=None, customer=job.customer, limit_nano=usd("1"))
    stage = Stage()
    assert stage.claim() == 1
    assert Execution.objects.get().reserved_nano == usd("1")
    cancel_jobs([job.pk], actor=None)
    stage.end()
    scheduling.apply(stage.provider.observe([str(Execution.objects.get().uuid)]))
    job.refresh_from_db()
    assert job.status == states.CANCELED
    services.meter()
    assert Execution.objects.get().reserved_nano == 0


def test_full_hours_of_what_goes_on_are_spent_and_not_reserved() -> None:
    price_here("1")
    job = running(NOON, vcpus_milli=1000, timeout_seconds=4 * 3600)
    budget = budget_of(job, "10")
    assert Execution.objects.get().reserved_nano == usd("4")
    services.checkpoint(NOON + timedelta(hours=3, minutes=30))
    assert Execution.objects.get().reserved_nano == usd("1")
    assert spent_of(budget, LATER.date()) == usd("3")


def test_it_is_told_by_mail() -> None:
    price_here("1")
    person = make_customer_user(customer="acme")
    person.user.email = "ann@example.com"
    person.user.save()
    job = ran(NOON, timedelta(hours=2), vcpus_milli=1000)
    budget = budget_of(job, "4")
    services.meter()
    services.count_budgets(LATER)
    tasks.send_budget_mail(budget_id=budget.pk, share=50)
    [sent] = mail.outbox
    assert sent.to == ["ann@example.com"]
    assert sent.subject == "50 % of a budget is spent"
    assert "2 of 4 USD this month" in str(sent.body)
    tasks.send_budget_mail(budget_id=10**6, share=50)
    assert len(mail.outbox) == 1


def test_there_is_one_of_a_kind() -> None:
    customer = make_customer_user().user.customer
    services.set_budget(actor=None, customer=customer, limit_nano=1)
    services.set_budget(actor=None, customer=customer, limit_nano=1, period=Period.ALL)
    with pytest.raises(BudgetExists):
        services.set_budget(actor=None, customer=customer, limit_nano=2)
    services.lift_budget(budget=Budget.objects.get(customer=customer, period=Period.MONTH), actor=None)
    services.set_budget(actor=None, customer=customer, limit_nano=2)


def test_what_is_wrong_is_named() -> None:
    customer = make_customer_user().user.customer
    for wish, field in (
        ({"limit_nano": 1}, "customer"),
        ({"limit_nano": -1, "customer": customer}, "limit"),
        ({"limit_nano": 10**19, "customer": customer}, "limit"),
        ({"limit_nano": 1, "customer": customer, "period": "week"}, "period"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            services.set_budget(actor=make_admin().user, **wish)
        assert refused.value.field == field
    assert not Budget.objects.exists()


def test_one_with_more_credited_than_spent_can_be_changed() -> None:
    admin, customer = make_admin().user, make_customer_user().user.customer
    assert customer is not None
    budget = services.set_budget(actor=None, customer=customer, limit_nano=usd("1"))
    services.correct(actor=admin, customer=customer, amount_nano=usd("-0.5"), note="Ours.")
    services.count_budgets()
    changed = services.change_budget(budget=budget, actor=admin, limit_nano=usd("2"))
    assert (changed.limit_nano, changed.spent_nano, changed.warned) == (usd("2"), usd("-0.5"), 0)
