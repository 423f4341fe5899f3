"""Parked events in the admin: read by all of the staff, had tried again by admins and operators."""

from __future__ import annotations

import pytest
from django.db.models import Max
from django.urls import reverse

from accounts.models import Event, ParkedEvent
from accounts.services import number_events
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.factories import make_customer_user
from tests.query_budget import counted

pytestmark = pytest.mark.django_db
LIST = "/admin/accounts/parkedevent/"


def parked(follower: str = "meter") -> ParkedEvent:
    make_customer_user()
    number_events()
    position = Event.objects.aggregate(last=Max("position"))["last"]
    return ParkedEvent.objects.create(follower=follower, position=position, kind="job.moved", error="ValueError: <no>")


def page(row: ParkedEvent, name: str = "change") -> str:
    return reverse(f"admin:accounts_parkedevent_{name}", args=[row.pk])


def test_all_staff_see_why_and_others_nothing() -> None:
    row = parked()
    event = Event.objects.get(position=row.position)
    for role in STAFF:
        client = browser(role)
        assert "ValueError: &lt;no&gt;" in text_of(client.get(LIST))
        text = text_of(client.get(page(row)))
        assert "ValueError: &lt;no&gt;" in text
        assert reverse("admin:accounts_event_change", args=[event.pk]) in text
        assert (page(row, "again") in text) == (role != "monitor")
    for role in OTHERS:
        for path in (LIST, page(row), page(row, "again")):
            assert "/admin/login/" in browser(role).get(path).headers["Location"]


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_one_or_all_are_tried_again(role: str) -> None:
    one, two, other = parked(), parked(), parked(follower="closings")
    client = browser(role)
    client.post(page(one, "again"))
    assert list(ParkedEvent.objects.filter(again=True)) == [one]
    assert client.get(page(one, "again")).status_code == 403
    answer = client.post(page(one, "all_again"), follow=True)
    assert "meter tries 1 again" in text_of(answer)
    assert set(ParkedEvent.objects.filter(again=True)) == {one, two}
    assert not ParkedEvent.objects.get(pk=other.pk).again


def test_monitors_only_look() -> None:
    row = parked()
    for name in ("again", "all_again"):
        assert browser("monitor").post(page(row, name)).status_code == 403
    assert not ParkedEvent.objects.filter(again=True).exists()


def test_a_list_costs_the_same_with_many() -> None:
    client, counts = browser("monitor"), []
    for count in (1, 10):
        for _ in range(count):
            row = parked()
        assert list(client.get(LIST, {"q": row.position}).context["cl"].result_list) == [row]
        assert not client.get(LIST, {"follower": "closings"}).context["cl"].result_list
        with counted() as found:
            client.get(LIST)
        counts.append(len(found))
    assert counts[0] == counts[1]


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_one_is_dismissed_and_the_log_tells_it(role: str) -> None:
    row, other = parked(), parked()
    assert browser(role).post(page(row, "remove")).status_code == 302
    assert list(ParkedEvent.objects.all()) == [other]
    told = Event.objects.get(kind="parked_event.dismissed")
    assert (told.subject_id, told.actor) == (row.pk, somebody(role))
    assert told.after == {"follower": "meter", "position": row.position, "kind": "job.moved"}


def test_others_dismiss_nothing() -> None:
    row = parked()
    for role in ("monitor", *OTHERS):
        assert browser(role).post(page(row, "remove")).status_code in (302, 403)
    assert ParkedEvent.objects.exists()
