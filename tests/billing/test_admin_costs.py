"""What things cost, on their pages in the admin: so far, and in all; and an execution's receipt."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.urls import reverse

from billing import services
from billing.models import Bill, BillLine, UsageKind, UsageRecord
from jobs.models import Execution, Job, Shape
from tests.answers import text_of
from tests.billing.scene import MONTH, drawn_up, entered, follow_from_here, opened, price_here, ran, running
from tests.browsers import OTHERS, STAFF, browser
from tests.factories import make_customer_user, make_job, make_job_type
from tests.fleet import make_cluster
from tests.mapreduce import make_mapreduce
from tests.query_budget import counted
from tests.recipes import job_of, make_recipe

pytestmark = pytest.mark.django_db
NOON = MONTH + timedelta(hours=12)


@pytest.fixture(autouse=True)
def _metered_from_here() -> None:
    follow_from_here()
    price_here("1")


def page(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def shown(row: Any, role: str = "monitor") -> str:
    answer = browser(role).get(page(row))
    assert answer.status_code == 200
    return text_of(answer)


def says(text: str, name: str, value: str) -> bool:
    return f"<dt>{name}</dt><dd>{value}</dd>" in text


def links_to_records(text: str, **wish: int) -> bool:
    [(name, value)] = wish.items()
    return f"href='/admin/billing/usagerecord/?{name}={value}'" in text


def test_all_staff_see_what_a_job_costs_and_may_come_to() -> None:
    owner = make_customer_user()
    ran(NOON, timedelta(hours=2), owner=owner, vcpus_milli=1000)
    services.meter()
    waiting = make_job(owner, vcpus_milli=1000)
    for role in STAFF:
        text = shown(waiting, role)
        assert says(text, "Cost so far", "0 USD")
        assert says(text, "Estimated total", "2 USD")
        assert links_to_records(text, job=waiting.pk)
    for role in OTHERS:
        assert "/admin/login/" in browser(role).get(page(waiting)).headers["Location"]


def test_what_runs_is_told_from_what_is_metered() -> None:
    job = running(NOON, vcpus_milli=1000)
    services.checkpoint(NOON + timedelta(hours=2, minutes=10))
    text = shown(job)
    assert says(text, "Of that metered", "2 USD")
    assert "<dt>Not metered yet</dt>" in text
    assert "not known: nothing like it has run" in text


def test_a_job_that_has_ended_comes_to_what_it_cost() -> None:
    job = ran(NOON, timedelta(hours=2), vcpus_milli=1000)
    services.meter()
    text = shown(job)
    assert says(text, "Cost so far", "2 USD")
    assert says(text, "Estimated total", "2 USD")
    assert "Not metered yet" not in text


def test_tasks_count_to_their_mapreduce_job() -> None:
    whole = make_mapreduce()
    task, other = Job.objects.filter(parent=whole).order_by("pk")[:2]
    entered(cost="1", job_id=task.pk, root_id=whole.pk, shape="map")
    entered(cost="2", job_id=other.pk, root_id=whole.pk, shape="map")
    assert says(shown(whole), "Cost so far", "3 USD")
    assert says(shown(task), "Cost so far", "1 USD")


def test_a_recipe_costs_what_its_jobs_do() -> None:
    recipe, another = make_recipe(), make_recipe()
    for of, cost in ((recipe, "1"), (another, "5")):
        job = job_of(of, "a")
        entered(cost=cost, job_id=job.pk, root_id=job.pk, shape="seed")
    text = shown(recipe)
    assert says(text, "Cost so far", "1 USD")
    assert says(text, "Estimated total", "not known until it is completed")
    assert links_to_records(text, recipe=recipe.pk)
    listed = browser("monitor").get("/admin/billing/usagerecord/", {"recipe": recipe.pk}).context["cl"].result_list
    assert [record.job_id for record in listed] == [job_of(recipe, "a").pk]


def test_a_job_type_and_a_cluster_cost_what_is_metered_of_them() -> None:
    owner = make_customer_user()
    job_type, cluster = make_job_type(), make_cluster(owner.user)
    entered(cost="2", shape="seed", job_type_id=job_type.pk)
    entered(cost="3", kind=UsageKind.CONTAINER, cluster_id=cluster.pk)
    of_type, of_cluster = shown(job_type), shown(cluster)
    assert says(of_type, "Cost so far", "2 USD")
    assert links_to_records(of_type, job_type=job_type.pk)
    assert says(of_cluster, "Cost so far", "3 USD")
    assert links_to_records(of_cluster, cluster=cluster.pk)
    for text in (of_type, of_cluster):
        assert says(text, "Estimated total", "none: it has no end")


def test_a_job_type_s_page_costs_the_same_whoever_runs_how_much_of_it() -> None:
    job_type = make_job_type()
    client, counts = browser("monitor"), []
    for count in (1, 5):
        for n in range(count):
            job = running(NOON + timedelta(minutes=n), customer=f"c{count}{n}", vcpus_milli=1000)
            Job.objects.filter(pk=job.pk).update(shape=Shape.SEED, job_type=job_type, revision=job_type.revisions.get())
        with counted() as found:
            text = text_of(client.get(page(job_type)))
        assert "up to the last full hour" in text
        counts.append(len(found))
    assert counts[0] == counts[1]


# --- Receipts --------------------------------------------------------------------------------------


def test_an_execution_s_page_leads_to_bill_and_stripe() -> None:
    job = ran(MONTH, timedelta(minutes=90), vcpus_milli=1000)
    execution = job.executions.get()
    assert "Nothing is metered of it yet" in shown(execution)
    services.meter()
    assert "not drawn up yet" in shown(execution)
    bill = opened(job.customer.name)
    Bill.objects.update(stripe_invoice="in_1", invoice_url="https://invoice.stripe.com/i/1")
    bill.lines.update(stripe_item="ii_1")
    text = shown(execution)
    records = list(UsageRecord.objects.order_by("begun_at"))
    assert len(records) == 2
    for address in (*map(page, records), page(bill), "https://invoice.stripe.com/i/1"):
        assert f"href='{address}'" in text, address
    offer = records[0].offer
    for word in (f"1 USD per hour, {offer}", "1 USD", "0.5 USD", "1. Container jobs: 1.50 USD", "in_1", "ii_1"):
        assert word in text, word


def test_an_execution_is_on_the_line_of_its_own_job_type() -> None:
    job = ran(MONTH, timedelta(minutes=60), vcpus_milli=1000)
    services.meter()
    entered(job.customer.name, cost="7", shape="seed", job_type_id=3)
    opened(job.customer.name)
    assert BillLine.objects.count() == 2
    text = shown(job.executions.get())
    assert "Container jobs: 1.00 USD" in text
    assert "7.00" not in text


def test_a_receipt_costs_the_same_for_any_number_of_intervals() -> None:
    client, counts = browser("monitor"), []
    for lasted in (1, 60):
        job = ran(MONTH, timedelta(hours=lasted), customer=f"c{lasted}", vcpus_milli=1000)
        services.meter()
        drawn_up(f"c{lasted}")
        execution = Execution.objects.get(job=job)
        with counted() as found:
            text = text_of(client.get(page(execution)))
        assert text.count("/admin/billing/usagerecord/") >= min(lasted, 50)
        assert ("The first 50" in text) == (lasted == 60)
        counts.append(len(found))
    assert counts[0] == counts[1]
