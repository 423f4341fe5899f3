"""What an hour of an execution cost is kept with it, as it was when it began."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import Customer
from clusters.models import Offer
from clusters.services import set_price
from jobs import services, states, tasks
from jobs.models import Execution, Job, Place
from tests.clusters.offers import BEGUN, priced
from tests.factories import Stage, make_job, make_job_in, make_jobs
from tests.query_budget import counted

pytestmark = pytest.mark.django_db


def snapshot(job: Job) -> tuple[str, Decimal | None, str]:
    execution = job.executions.latest("number")
    return execution.price_offer, execution.price_rate, execution.price_source


def price_here(amount: int, since: datetime = BEGUN, customer: Customer | None = None) -> None:
    for name in ("vcpu", "gb"):
        offer = Offer.objects.get(cloud="local", name=name)
        set_price(offer, amount=Decimal(amount), actor=None, valid_from=since, customer=customer)


def test_what_has_ended_is_priced_and_what_runs_is_not() -> None:
    stage = Stage()
    ended, failed, runs = (make_job_in(each, stage=stage) for each in (states.COMPLETED, states.FAILED, states.RUNNING))
    tasks.price_executions()
    for job in (ended, failed):
        assert snapshot(job) == ("vcpu + gb", Decimal(0), "default")
    assert snapshot(runs) == ("", None, "")


def test_the_price_is_that_of_its_beginning_whatever_was_set_since() -> None:
    job = make_job_in(states.COMPLETED)
    price_here(1)
    price_here(7, since=timezone.now() + timedelta(minutes=2))
    Execution.objects.update(ended_at=timezone.now() + timedelta(minutes=5))
    services.price_executions()
    assert snapshot(job) == ("vcpu + gb", Decimal(1), "staff")


def test_it_stays_as_it_is() -> None:
    job = make_job_in(states.COMPLETED)
    services.price_executions()
    price_here(5)
    assert services.price_executions() == 0
    assert snapshot(job)[1] == 0


def test_a_customers_own_price_counts() -> None:
    job = make_job_in(states.COMPLETED)
    price_here(3)
    price_here(1, customer=job.customer)
    services.price_executions()
    assert snapshot(job)[1] == 1


def test_where_nothing_has_a_price_that_is_kept_too() -> None:
    job = make_job_in(states.COMPLETED)
    Offer.objects.filter(cloud="local").update(available=False)
    assert services.price_executions() == 1
    assert snapshot(job) == ("", None, "none")
    assert services.price_executions() == 0


def test_an_instance_job_is_priced_by_a_whole_machine() -> None:
    job = make_job_in(states.COMPLETED)
    Place.objects.update(cloud="aws", region="eu-central-1")
    Job.objects.update(shape="instance", image="ami-1")
    priced("0.5", name="real.large", capacity="spot")
    services.price_executions()
    assert snapshot(job) == ("real.large", Decimal("0.5"), "staff")


def test_what_never_started_is_priced_by_its_end() -> None:
    job = make_job_in(states.REJECTED)
    assert job.executions.get().started_at is None
    assert services.price_executions() == 1


def test_it_is_done_a_bounded_number_at_a_time_and_in_a_few_statements() -> None:
    stage, jobs = Stage(), make_jobs(12)
    stage.start(*jobs)
    stage.end(*jobs)
    moment: Any = timezone.now().replace(second=1)
    Execution.objects.update(started_at=moment)
    with counted() as statements:
        assert services.price_executions(limit=10) == 10
    assert len(statements) <= 5
    assert services.price_executions(limit=10) == 2


def test_the_claim_and_the_end_of_a_job_know_nothing_of_prices() -> None:
    stage, job = Stage(), make_job()
    with counted() as statements:
        stage.start(job)
        stage.end(job)
    assert "clusters_" not in str(statements)


@pytest.mark.runs_once("postgresql", "it is about PostgreSQL's plans")
def test_an_index_leads_to_what_has_no_price_yet_and_to_the_last_of_a_kind() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")  # the tables are empty, and so small
    done = Job.objects.filter(customer=1, status=states.COMPLETED).order_by("-id").values_list("id")
    plans = {
        "job_done_of_revision": done.filter(revision=1)[:200],
        "job_done_of_class": done.filter(classification="nightly", parent__isnull=True, shape="container")[:200],
        "execution_unpriced": Execution.objects.filter(status__in=states.EXECUTION_FINAL, price_source="")
        .order_by("id")
        .values_list("id")[:2000],
    }
    for name, rows in plans.items():
        assert name in rows.explain()
