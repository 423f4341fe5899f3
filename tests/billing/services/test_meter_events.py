"""What Stripe's meter is told by day comes to the bill, whatever is metered, corrected, lost or killed meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.db import IntegrityError, connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from billing import services, tasks
from billing.models import Bill, BillLine, ClosedMonth, MeterEvent, PaymentDetails, UsageDay, UsageRecord
from billing.services import meter_events
from billing.services.sending import LEASE, RARELY
from billing.stripe import customers, meters, stripe_account
from tests.at_lines import Died, at_line, die, reconnect, some_of
from tests.billing.owing import CENT, CLOSING, day, meter, metered, payer, use
from tests.billing.scene import MONTH, follow_from_here
from tests.stripe_server import Fault, StripeServer

pytestmark = pytest.mark.django_db
WATCHED = (meter_events.__file__, meters.__file__)
LATER = CLOSING + timedelta(hours=1)


@pytest.fixture(autouse=True)
def _by_meters(server: StripeServer, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    follow_from_here()
    monkeypatch.setattr(settings, "STRIPE_BILLING", "meters")
    server.set_clock(LATER)
    meter(server)


def at(number: int, hour: int = 8) -> datetime:
    """An hour of the month's day."""
    return MONTH + timedelta(days=number - 1, hours=hour)


def go(now: datetime, server: StripeServer) -> None:
    """What the schedules do then."""
    server.set_clock(now)
    services.draw_up_drafts()
    services.decide_meter_events(now=now)
    services.send_meter_events(now=now)


def close(server: StripeServer, now: datetime = LATER) -> Bill:
    services.close_month(MONTH.date(), now=now)
    go(now, server)
    return Bill.objects.get(month=MONTH.date())


def values() -> list[tuple[int, int]]:
    """Day and value of every event."""
    return [(each.day.day, each.value) for each in MeterEvent.objects.order_by("day")]


def test_a_day_is_told_when_it_is_over_and_the_last_one_when_the_bill_is_final(server: StripeServer) -> None:
    details = payer()
    use(details.customer_id, 100 * CENT, at=at(1))
    go(at(1, 23), server)
    assert values() == []
    go(at(2), server)
    use(details.customer_id, 50 * CENT, at=at(2))
    use(details.customer_id, 7 * CENT, at=at(31))
    go(at(3), server)
    go(at(31) + timedelta(days=1), server)
    assert values() == [(1, 100), (2, 50)]
    [first, _] = server.store.of("billing.meter_event")
    assert first["payload"] == {"stripe_customer_id": details.stripe_id, "value": "100"}
    assert first["identifier"] == f"usage-{Bill.objects.get().uuid}-2026-03-01"
    assert (first["event_name"], first["timestamp"]) == ("compute_cents", int(at(1, 12).timestamp()))
    bill = close(server)
    assert values() == [(1, 100), (2, 50), (31, 7)]
    assert (metered(server), bill.amount, bill.sent_at is not None) == (157, 157, True)
    assert server.store.of("invoice") == []


def test_deployments_that_share_an_account_do_not_take_each_other_s_events_for_their_own(server: StripeServer) -> None:
    details = payer()
    use(details.customer_id, 100 * CENT, at=at(1))
    go(at(2), server)
    # Another has a customer of the same id, who is somebody else at Stripe, and uses something on the same day.
    for model in (MeterEvent, BillLine, Bill):
        model.objects.all().delete()
    elsewhere = customers.create(stripe_account(), uuid4(), {})
    PaymentDetails.objects.update(stripe_id=elsewhere)
    go(at(2), server)
    told = server.store.of("billing.meter_event")
    assert {each["payload"]["stripe_customer_id"] for each in told} == {details.stripe_id, elsewhere}


def test_each_is_decided_and_told_once(server: StripeServer) -> None:
    use(payer().customer_id, 100 * CENT, at=at(1))
    for _ in range(3):
        go(at(2), server)
    assert server.asked().count("POST /v1/billing/meter_events") == 1
    for _ in range(3):
        close(server)
    assert metered(server) == 100


def test_parts_of_cents_come_to_the_bill(server: StripeServer) -> None:
    details = payer()
    for number in range(1, 32):
        use(details.customer_id, 3 * CENT // 10, at=at(number))
        go(at(number + 1), server)
    bill = close(server)
    assert (metered(server), bill.amount) == (9, 9)
    assert {value for _, value in values()} == {1}


def test_what_was_decided_stays_and_what_is_metered_later_is_in_a_later_value(server: StripeServer) -> None:
    details = payer()
    use(details.customer_id, 100 * CENT, at=at(1))
    go(at(2), server)
    use(details.customer_id, 11 * CENT, at=at(1))
    go(at(3), server)
    assert values() == [(1, 100), (2, 11)]


def test_what_comes_to_less_than_nothing_is_carried_on(server: StripeServer) -> None:
    details = payer()
    for number, cents in ((1, 100), (2, -30), (3, 20), (4, 25), (5, 1)):
        use(details.customer_id, cents * CENT, at=at(number))
        go(at(number + 1), server)
    assert values() == [(1, 100), (4, 15), (5, 1)]
    bill = close(server)
    assert metered(server) == bill.amount == 116


def test_more_was_told_than_the_bill_came_to_and_nothing_more_is(server: StripeServer) -> None:
    details = payer()
    use(details.customer_id, 100 * CENT, at=at(1))
    go(at(2), server)
    use(details.customer_id, -60 * CENT, at=at(9))
    bill = close(server)
    assert (metered(server), bill.amount, bill.sent_at is not None) == (100, 40, True)


def test_who_gives_payment_details_late_is_told_of_from_the_first_day_on(server: StripeServer) -> None:
    from tests.factories import make_customer_user

    user = make_customer_user("late").user
    use(user.customer_id or 0, 100 * CENT, at=at(1))
    go(at(4), server)
    assert values() == []
    services.make_payment_details(user=user)
    use(user.customer_id or 0, 5 * CENT, at=at(3))
    go(at(5), server)
    assert values() == [(1, 100), (3, 5)]


def test_what_stripe_takes_no_more_is_in_the_value_of_a_day_that_it_takes(server: StripeServer) -> None:
    details = payer()
    for number in (1, 12, 31):
        use(details.customer_id, 10 * CENT, at=at(number))
    bill = close(server, MONTH + timedelta(days=45))
    assert values() == [(12, 20), (31, 10)]
    assert (metered(server), bill.sent_at is not None) == (30, True)


def test_when_it_is_too_late_for_all_of_it_the_bill_is_not_sent(server: StripeServer) -> None:
    use(payer().customer_id, 10 * CENT, at=at(1))
    bill = close(server, MONTH + timedelta(days=80))
    assert (metered(server), bill.sent_at) == (0, None)
    assert "timestamp_too_far_in_past" in MeterEvent.objects.get().error


def test_a_bill_that_was_begun_so_is_ended_so(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    details = payer()
    use(details.customer_id, 100 * CENT, at=at(1))
    go(at(2), server)
    monkeypatch.setattr(settings, "STRIPE_BILLING", "invoice-items")
    use(details.customer_id, 10 * CENT, at=at(2))
    bill = close(server)
    services.send_bills(now=LATER)
    assert (metered(server), bill.amount) == (110, 110)
    assert server.store.of("invoice") == []


def test_a_bill_that_became_an_invoice_is_not_metered(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(payer().customer_id, 100 * CENT, at=at(1))
    services.close_month(MONTH.date(), now=LATER)
    with monkeypatch.context() as patched:
        patched.setattr(settings, "STRIPE_BILLING", "invoice-items")
        services.send_bills()
    go(LATER, server)
    assert (len(server.store.of("invoice")), values()) == (1, [])


def test_with_nothing_to_do_it_is_one_statement(server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for task in (tasks.send_meter_events, tasks.decide_meter_events):
        with CaptureQueriesContext(connection) as asked:
            task()
        assert len(asked) == 1
        with monkeypatch.context() as patched, CaptureQueriesContext(connection) as asked:
            patched.setattr(settings, "STRIPE_API_KEY", "")
            task()
        assert len(asked) == 0


def test_a_day_has_one_event_and_it_is_more_than_nothing(server: StripeServer) -> None:
    details = payer()
    made = {"customer_id": details.customer_id, "bill_month": MONTH.date(), "day": day(1)}
    with pytest.raises(IntegrityError):
        MeterEvent.objects.create(**made, value=0, identifier="usage-0")


# --- What goes wrong -------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["lost on the way there", "the answer lost"])
@pytest.mark.parametrize("later", [LEASE * 2, timedelta(days=2)], ids=["soon", "identifiers forgotten"])
def test_an_event_whose_answer_is_lost_counts_once(after: bool, later: timedelta, server: StripeServer) -> None:
    details = payer()
    use(details.customer_id, 100 * CENT, at=at(1))
    server.faults = [Fault(500, "POST", "/v1/billing/meter_events", after=after)]
    go(at(2), server)
    row = MeterEvent.objects.get()
    assert (row.sent_at, "cannot be reached" in row.error, metered(server)) == (None, True, 100 * after)
    # What is metered now does not change what was decided.
    use(details.customer_id, 50 * CENT, at=at(1))
    server.set_clock(at(2) + later)
    services.send_meter_events(now=at(2) + later)
    row.refresh_from_db()
    assert (row.sent_at is not None, row.value, row.error, metered(server)) == (True, 100, "", 100)


def test_a_refusal_is_noted_and_tried_again_rarely(server: StripeServer) -> None:
    use(payer().customer_id, 100 * CENT, at=at(1))
    for each in server.store.of("billing.meter"):
        each["status"] = "inactive"
    go(at(2), server)
    row = MeterEvent.objects.get()
    assert (row.sent_at, "no_meter" in row.error, row.next_at) == (None, True, at(2) + RARELY)
    meter(server)
    go(at(2) + RARELY, server)
    row.refresh_from_db()
    assert (row.sent_at is not None, metered(server)) == (True, 100)


def test_without_payment_details_any_more_it_waits(server: StripeServer) -> None:
    details = payer()
    use(details.customer_id, 100 * CENT, at=at(1))
    services.draw_up_drafts()
    services.decide_meter_events(now=at(2))
    PaymentDetails.objects.all().delete()
    services.send_meter_events(now=at(2))
    assert "no payment details" in MeterEvent.objects.get().error


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_dying_at_any_line_the_sum_is_the_bill(server: StripeServer) -> None:
    details = payer()
    use(details.customer_id, 100 * CENT, at=at(1))
    use(details.customer_id, 11 * CENT, at=at(2))
    services.close_month(MONTH.date(), now=LATER)
    kept = dict(server.store.objects)

    def begin() -> None:
        server.store.objects = dict(kept)
        MeterEvent.objects.all().delete()
        Bill.objects.update(sent_at=None, metered_to=None)

    begin()
    with at_line(WATCHED, 0, die) as lines:
        go(LATER, server)
    assert lines[0] > 60
    for number in some_of(lines[0]):
        begin()
        try:
            with at_line(WATCHED, number, die):
                go(LATER, server)
        except Died:
            reconnect()
        go(LATER + LEASE, server)
        assert metered(server) == Bill.objects.get().amount == 111, number
        assert Bill.objects.get().sent_at is not None, number


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 40 * CENT)),
        st.tuples(st.just("correct"), st.integers(-20 * CENT, 20 * CENT)),
        st.tuples(st.just("days"), st.integers(1, 5)),
        st.tuples(st.sampled_from(("before", "after", "die")), st.integers(0, 3)),
    ),
    min_size=1,
    max_size=25,
)


@given(STEPS)
@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_sum_is_the_bill(steps: list[tuple[str, int]]) -> None:
    """Of what was never more than what it came to; else it is what it was at most, and the comparison says so."""
    server = _server(steps)
    details = PaymentDetails.objects.get()
    now, exact, most = at(1), 0, 0
    server.set_clock(now)
    use(details.customer_id, 0, at=now)
    for what, number in steps:
        if what in ("use", "correct"):
            use(details.customer_id, number, at=now)
            exact += number
        elif what == "days":
            now = min(now + timedelta(days=number), at(31))
            go(now, server)
        else:
            _break(what, number, now, server)
        most = max(most, sum(MeterEvent.objects.values_list("value", flat=True)))
    server.faults = []
    bill = close(server)
    go(LATER + timedelta(hours=5), server)
    assert (2 * exact + CENT) // (2 * CENT) == bill.amount
    assert metered(server) == max(bill.amount, most)
    if bill.amount > 0:
        assert Bill.objects.get().sent_at is not None


def _server(steps: object) -> StripeServer:
    """A month anew."""
    from tests import stripe_server

    server = stripe_server._shared()
    server.reset()
    for model in (MeterEvent, Bill, ClosedMonth, UsageDay, UsageRecord):
        model.objects.all().delete()
    if not PaymentDetails.objects.exists():
        payer()
    [details] = PaymentDetails.objects.all()
    made = stripe_account().ask(lambda client: client.v1.customers.create({}))
    PaymentDetails.objects.filter(pk=details.pk).update(stripe_id=made.id)
    meter(server)
    return server


def _break(what: str, number: int, now: datetime, server: StripeServer) -> None:
    """The next calls fail, before or after Stripe's work; or whoever sends dies between Stripe's work and ours."""
    if what != "die":
        server.faults = [Fault(500, "POST", "/v1/billing/meter_events", after=what == "after", times=number)]
        return
    with pytest.MonkeyPatch.context() as patched:
        real = meters.send

        def send(*args: object) -> None:
            if number % 2:
                real(*args)  # type: ignore[arg-type]
            raise Died

        patched.setattr(meters, "send", send)
        try:
            go(now, server)
        except Died:
            return
