"""Usage records in the admin: searched, each with its receipt, corrected by admins."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Event
from billing import services
from billing.models import Bill, UsageKind, UsageRecord
from jobs.models import Job
from tests.answers import text_of
from tests.billing.scene import MONTH, drawn_up, entered, follow_from_here, opened, price_here, ran
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.fleet import make_cluster, make_container
from tests.mapreduce import make_mapreduce
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
RECORDS = "/admin/billing/usagerecord/"
APRIL = MONTH + timedelta(days=35)


def page(record: UsageRecord, name: str = "change") -> str:
    return reverse(f"admin:billing_usagerecord_{name}", args=[record.pk])


def shown(record: UsageRecord, name: str = "change", role: str = "monitor") -> str:
    answer = browser(role).get(page(record, name))
    assert answer.status_code == 200
    return text_of(answer)


def listed(**parameters: Any) -> list[int]:
    return [row.pk for row in browser("monitor").get(RECORDS, parameters).context["cl"].result_list]


def test_all_staff_see_records_and_others_none() -> None:
    record = entered()
    for role in STAFF:
        assert all("acme" in text_of(browser(role).get(path)) for path in (RECORDS, page(record)))
    for role in OTHERS:
        for path in (RECORDS, page(record), page(record, "correct")):
            assert "/admin/login/" in browser(role).get(path).headers["Location"]


def test_the_list_is_narrowed() -> None:
    one = entered(cloud="aws", region="eu-1", job_id=5, root_id=5).pk
    peers = entered(kind=UsageKind.PEERS, shape="", cluster_id=3).pk
    other = entered("other", at=APRIL, shape="seed", job_type_id=7).pk
    nobody = entered(None).pk
    assert listed() == [nobody, other, peers, one]
    assert listed(kind="peers") == [peers] == listed(cluster="3")
    assert listed(cloud="aws") == [one] == listed(job="5") == listed(q=str(one))
    assert listed(customer="acme") == [peers, one]
    assert listed(customer="other", month="2026-04") == [other] == listed(job_type="7") == listed(shape="seed")
    assert listed(month="2026-03") == [nobody, peers, one] == listed(day="2026-03-01") == listed(job_type="0")
    assert listed(day="2026-03-02") == [] == listed(q="x") == listed(customer="who") == listed(customer="acme\0b")


@pytest.mark.parametrize(
    ("name", "value"),
    [("month", "x"), ("day", "2026-02-30"), ("day", "2026-W01-1"), ("job", "x"), ("job", "9" * 19), ("cluster", "-1")],
)
def test_what_cannot_be_read_is_said(name: str, value: str) -> None:
    entered()
    answer = browser("monitor").get(RECORDS, {name: value})
    assert "This is no " in text_of(answer)
    assert list(answer.context["cl"].result_list) == []


def test_tasks_count_to_their_mapreduce_job() -> None:
    whole = make_mapreduce()
    task, other = Job.objects.filter(parent=whole).order_by("pk")[:2]
    of_task = entered(job_id=task.pk, root_id=whole.pk, shape="map").pk
    of_other = entered(job_id=other.pk, root_id=whole.pk, shape="map").pk
    assert listed(job=str(whole.pk)) == [of_other, of_task]
    assert listed(job=str(task.pk)) == [of_task]


def test_a_page_costs_the_same_with_many_records() -> None:
    follow_from_here()
    price_here()
    client, counts = browser("monitor"), []
    for count in (1, 12):
        for _ in range(count):
            ran(MONTH, timedelta(minutes=5))
            entered("other", job_id=9, root_id=9)
        services.meter()
        record = UsageRecord.objects.filter(run_ms=300_000).latest("pk")
        for _ in range(count):
            services.correct(
                actor=somebody("admin"), customer=record.customer, amount_nano=5, note="so", record=record
            )  # fmt: skip
        drawn_up(record.customer.name)
        with within_budget("admin: usage records"), counted() as of_list:
            client.get(RECORDS, {"customer": "acme", "month": "2026-03"})
        with within_budget("admin: receipt"), counted() as of_page:
            client.get(page(record))
        counts.append((len(of_list), len(of_page)))
    assert counts[0] == counts[1]


def test_the_receipt_leads_from_what_ran_to_the_bill() -> None:
    follow_from_here()
    price_here("2")
    job = ran(MONTH, timedelta(minutes=30), vcpus_milli=1000)
    services.meter()
    record = UsageRecord.objects.get()
    assert "which is not drawn up yet" in shown(record)
    bill = opened(job.customer.name)
    Bill.objects.update(stripe_invoice="in_1", invoice_url="https://invoice.stripe.com/i/1")
    bill.lines.update(stripe_item="ii_1")
    text = shown(record)
    execution = job.executions.get()
    for address in (
        reverse("admin:jobs_job_change", args=[job.pk]),
        reverse("admin:jobs_execution_change", args=[execution.pk]),
        reverse("admin:billing_bill_change", args=[bill.pk]),
        "https://invoice.stripe.com/i/1",
    ):
        assert f"href='{address}'" in text, address
    for word in ("0.5 h", "2 USD per hour", record.offer, "1 USD", "1. Container jobs", "1.00 USD", "in_1", "ii_1"):
        assert word in text, word


def test_what_a_receipt_speaks_of_may_be_gone() -> None:
    gone = 10**9
    record = entered(source_id=gone, job_id=gone, root_id=gone, job_type_id=gone, shape="seed")
    assert shown(record).count(f"{gone}, which is gone") >= 3
    assert reverse("admin:jobs_job_change", args=[gone]) not in shown(record)
    of_container = entered(kind=UsageKind.PEERS, shape="", source_id=gone, cluster_id=gone)
    assert shown(of_container).count(f"{gone}, which is gone") >= 2
    assert "nobody" in shown(entered(None))


def test_a_container_s_receipt_leads_to_it() -> None:
    container = make_container(make_cluster(somebody("admin")))
    record = entered(kind=UsageKind.CONTAINER, shape="", source_id=container.pk, cluster_id=container.cluster_id)
    text = shown(record)
    assert reverse("admin:clusters_container_change", args=[container.pk]) in text
    assert reverse("admin:clusters_cluster_change", args=[container.cluster_id]) in text


def test_what_was_metered_once_more_of_an_interval_is_shown() -> None:
    record = entered(source_id=5)
    more = entered(source_id=5, number=1, cost="-0.25", run_ms=-900_000)
    assert page(more) in shown(record)
    assert page(record) in shown(more)


def test_an_admin_corrects_what_a_record_costs() -> None:
    record = entered(job_id=5, root_id=5)
    other = entered(job_id=5, root_id=5)
    assert page(record, "correct") in shown(record, role="admin")
    answer = browser("admin").post(page(record, "correct"), {"amount": "-0.25", "note": "It did <not> work."})
    assert answer.headers["Location"] == page(record)
    made = UsageRecord.objects.get(kind=UsageKind.CORRECTION)
    assert (made.cost_nano, made.corrects_id, made.customer, made.job_id) == (
        -250_000_000,
        record.pk,
        record.customer,
        5,
    )
    assert UsageRecord.objects.get(pk=record.pk).cost_nano == record.cost_nano
    assert "It did &lt;not&gt; work." in shown(record)
    assert page(made) in shown(record)
    assert page(made) not in shown(other)
    assert page(record) in shown(made)
    assert "browser-admin" in shown(made)
    assert Event.objects.get(kind="usage.corrected").subject_id == made.pk


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", ""), ("amount", "0"), ("amount", "NaN"), ("amount", "0.0000000001"), ("amount", "1000000001"),
        ("amount", "1e30"), ("note", ""), ("note", "  "), ("note", "x" * 256),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_at_its_field(field: str, value: str) -> None:
    record = entered()
    answer = browser("admin").post(page(record, "correct"), {"amount": "1", "note": "so", field: value})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert UsageRecord.objects.count() == 1


@pytest.mark.parametrize("role", ["operator", "monitor"])
def test_who_may_not_correct_gets_neither_button_nor_page_nor_deed(role: str) -> None:
    record = entered()
    wish = {"amount": str(Decimal(1)), "note": "so"}
    assert page(record, "correct") not in shown(record, role=role)
    assert browser(role).get(page(record, "correct")).status_code == 403
    assert browser(role).post(page(record, "correct"), wish).status_code == 403
    assert UsageRecord.objects.count() == 1


def test_what_is_nobody_s_is_not_corrected() -> None:
    record = entered(None)
    assert page(record, "correct") not in shown(record, role="admin")
    assert browser("admin").get(page(record, "correct")).status_code == 403
