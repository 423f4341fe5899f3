"""A bill for each customer and month: what was metered and nothing else, closed once."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Event
from billing import money, services, states
from billing.errors import BillState, MonthOpen
from billing.models import Bill, BillLine, BillStatus, ClosedMonth, LineKind, UsageDay, UsageKind, UsageRecord
from billing.services import bills
from billing.services.ledger import Entry, enter, locked
from controlplane.core.errors import InvalidRequest
from tests.billing.scene import MONTH, follow_from_here, price_here, ran
from tests.factories import make_admin, make_customer_user

pytestmark = pytest.mark.django_db
CLOSING = MONTH + timedelta(days=31, hours=7)


@pytest.fixture(autouse=True)
def _metered_from_here() -> None:
    follow_from_here()


def entry(customer_id: int, cost: str = "1", **more: object) -> Entry:
    begun = int(MONTH.timestamp()) * 1000
    given = {"source_id": _NUMBERS.pop(), "shape": "container", "run_ms": 1000, "owner_id": None, **more}
    return Entry(
        **{"kind": UsageKind.EXECUTION, **given},  # type: ignore[arg-type]
        begun_ms=begun,
        ended_ms=begun + 1000,
        customer_id=customer_id,
        cost_nano=money.nano(Decimal(cost)),
    )


_NUMBERS = list(range(10**6, 0, -1))


def put(*entries: Entry) -> None:
    with locked():
        enter(entries)


def test_a_draft_says_what_is_metered_and_is_drawn_up_anew() -> None:
    price_here("1")
    job = ran(MONTH, timedelta(minutes=90), vcpus_milli=1000)
    services.meter()
    assert services.draw_up_drafts() == 1
    assert services.draw_up_drafts() == 0
    bill = Bill.objects.get()
    assert (bill.customer_id, bill.month, bill.status, bill.amount) == (job.customer_id, MONTH.date(), "draft", 150)
    line = bill.lines.get()
    assert (line.label, line.kind, line.amount, line.quantity_ms) == ("Container jobs", "jobs", 150, 5_400_000)
    ran(MONTH, timedelta(minutes=30), vcpus_milli=1000)
    services.meter()
    services.draw_up_drafts()
    bill.refresh_from_db()
    assert bill.amount == 200


def test_lines_are_by_class_type_and_cluster() -> None:
    customer = make_customer_user().user.customer_id
    assert customer is not None
    put(
        entry(customer),
        entry(customer, shape="map"),
        entry(customer, shape="reduce"),
        entry(customer, shape="seed", job_type_id=7),
        entry(customer, kind=UsageKind.PEERS, shape="", cluster_id=3, peer_ms=600, free_ms=500, run_ms=0),
        entry(customer, kind=UsageKind.CONTAINER, shape="", cluster_id=3, cost="0"),
        entry(customer, kind=UsageKind.CORRECTION, shape="", cost="-2.5"),
    )
    services.draw_up_drafts()
    bill = Bill.objects.get()
    found = {(line.kind, line.shape, line.job_type_id, line.cluster_id): line.amount for line in bill.lines.all()}
    assert found == {
        (LineKind.JOBS, "container", None, None): 100,
        (LineKind.JOBS, "mapreduce", None, None): 200,
        (LineKind.JOB_TYPE, "seed", 7, None): 100,
        (LineKind.PEERS, "", None, 3): 100,
        (LineKind.CONTAINERS, "", None, 3): 0,
        (LineKind.CORRECTION, "", None, None): -250,
    }
    assert (bill.amount, bill.peer_ms, bill.free_ms) == (250, 600, 500)


@given(st.lists(st.integers(-(10**9), 10**10), min_size=1, max_size=12))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_come_to_the_bill_and_the_bill_to_what_was_metered(costs: list[int]) -> None:
    customer = make_customer_user().user.customer_id
    assert customer is not None
    made = [entry(customer, job_type_id=n, shape="seed", cost=str(money.usd(each))) for n, each in enumerate(costs, 1)]
    month = date(2020, 1, 1)
    UsageDay.objects.all().delete()
    Bill.objects.all().delete()
    put(*made)
    UsageDay.objects.update(bill_month=month)
    services.draw_up_drafts()
    bill = Bill.objects.get(customer_id=customer)
    assert bill.exact_nano == sum(costs) == sum(line.exact_nano for line in bill.lines.all())
    assert bill.amount == sum(line.amount for line in bill.lines.all())
    assert abs(bill.amount * money.CENT - sum(costs)) * 2 <= money.CENT


def test_a_month_is_closed_once_it_has_ended() -> None:
    price_here("1")
    ran(MONTH, timedelta(minutes=90), vcpus_milli=1000)
    services.meter()
    with pytest.raises(MonthOpen, match="2026-04-01 06:00"):
        services.close_month(MONTH.date(), now=CLOSING - timedelta(hours=2))
    assert not ClosedMonth.objects.exists()
    assert services.close_month(MONTH.date(), now=CLOSING) == 1
    bill = Bill.objects.get()
    assert bill.status == BillStatus.OPEN
    told = Event.objects.get(kind="bill.moved")
    after = {"status": "open", "month": "2026-03", "amount": "1.5"}
    assert (told.subject_id, told.before, told.after) == (bill.pk, {"status": "draft"}, after)


def test_a_bill_of_nothing_is_paid_by_itself_and_a_credit_stays_open() -> None:
    amounts = {"nothing": "0", "pennies": "0.004", "credit": "-2", "owed": "1"}
    people = {name: make_customer_user(name, name).user.customer_id for name in amounts}
    put(*(entry(people[name] or 0, cost) for name, cost in amounts.items()))
    services.close_month(MONTH.date(), now=CLOSING)
    found = {bill.customer.name: bill.status for bill in Bill.objects.all()}
    assert found == {"nothing": "paid", "pennies": "paid", "credit": "open", "owed": "open"}
    moves = Event.objects.filter(kind="bill.moved", subject_id=Bill.objects.get(customer__name="nothing").pk)
    told = [each.after for each in moves.order_by("pk")]
    assert [each["status"] for each in told if each] == ["open", "paid"]


def test_closing_again_changes_nothing() -> None:
    ran(MONTH, timedelta(minutes=5))
    services.meter()
    services.close_month(MONTH.date(), now=CLOSING)
    before = list(Bill.objects.values()), list(BillLine.objects.values()), Event.objects.count()
    assert services.close_month(MONTH.date(), now=CLOSING) == 0
    assert services.close_months(CLOSING)
    assert (list(Bill.objects.values()), list(BillLine.objects.values()), Event.objects.count()) == before


def test_broken_off_it_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    people = [make_customer_user(customer=f"customer {n}").user.customer_id for n in range(4)]
    put(*(entry(each) for each in people if each))
    real, calls = bills.draw_up, []

    def breaking(customer_id: int, month: date) -> Bill:
        calls.append(customer_id)
        bill = real(customer_id, month)
        if len(calls) == 3:
            raise DatabaseError("the connection is lost")
        return bill

    monkeypatch.setattr(bills, "draw_up", breaking)
    with pytest.raises(DatabaseError):
        services.close_month(MONTH.date(), now=CLOSING)
    assert Bill.objects.filter(status=states.OPEN).count() == 2
    put(entry(people[3] or 0))  # metered late: it goes onto the next bill
    assert services.close_month(MONTH.date(), now=CLOSING) == 2
    assert [bill.amount for bill in Bill.objects.filter(month=MONTH.date())] == [100] * 4
    assert BillLine.objects.count() == 4


def test_months_are_closed_one_after_the_other() -> None:
    for days in (1, 40, 70):
        ran(MONTH - timedelta(days=days), timedelta(minutes=5))
    services.meter()
    assert services.close_months(MONTH + timedelta(hours=7))
    assert sorted(Bill.objects.values_list("month", flat=True)) == [
        date(2025, 12, 1),
        date(2026, 1, 1),
        date(2026, 2, 1),
    ]
    assert not Bill.objects.filter(status=states.DRAFT).exists()


def test_a_draft_is_drawn_up_when_asked_and_a_final_bill_never() -> None:
    customer = make_customer_user().user.customer_id
    assert customer is not None
    put(entry(customer))
    services.draw_up_drafts()
    put(entry(customer, cost="2"))
    bill = services.draw_up_bill(bill=Bill.objects.get())
    assert bill.amount == 300
    services.close_month(MONTH.date(), now=CLOSING)
    with pytest.raises(BillState, match="open"):
        services.draw_up_bill(bill=bill)


@pytest.mark.parametrize("to", states.BILL_STATES)
@pytest.mark.parametrize("source", states.BILL_STATES)
def test_only_allowed_moves(source: str, to: str) -> None:
    person = make_customer_user().user
    assert person.customer is not None
    opened = None if source == states.DRAFT else MONTH
    bill = Bill.objects.create(customer=person.customer, month=MONTH.date(), status=source, opened_at=opened)
    allowed = to == source or (to != states.OPEN and states.BILL.allows(source, to))
    if allowed:
        assert services.move_bill(bill=bill, to=to, actor=None).status == to
    else:
        with pytest.raises(BillState, match=source):
            services.move_bill(bill=bill, to=to, actor=None)


def test_a_correction_is_a_new_row_and_comes_onto_the_bill() -> None:
    price_here("1")
    job = ran(MONTH, timedelta(hours=1), vcpus_milli=1000)
    services.meter()
    admin = make_admin().user
    made = services.correct(actor=admin, customer=job.customer, amount_nano=-(10**8), note="half an hour was ours")
    assert (made.kind, made.cost_nano, made.entered_by_id) == (UsageKind.CORRECTION, -(10**8), admin.pk)
    again = services.correct(actor=admin, customer=job.customer, amount_nano=5, note="more")
    assert again.source_id == made.source_id + 1
    assert again.corrects_id is None
    record = UsageRecord.objects.get(kind=UsageKind.EXECUTION)
    of_record = services.correct(actor=admin, customer=job.customer, amount_nano=7, note="of it", record=record)
    assert (of_record.corrects_id, of_record.job_id) == (record.pk, job.pk)
    assert Event.objects.filter(kind="usage.corrected").count() == 3


@pytest.mark.parametrize(
    ("amount", "note", "field"),
    [(0, "why", "amount"), (10**19, "why", "amount"), (5, " ", "note"), (5, "a\0", "note"), (5, "a" * 256, "note")],
)
def test_a_correction_says_how_much_and_why(amount: int, note: str, field: str) -> None:
    customer = make_customer_user().user.customer
    assert customer is not None
    with pytest.raises(InvalidRequest) as refused:
        services.correct(actor=make_admin().user, customer=customer, amount_nano=amount, note=note)
    assert refused.value.field == field
