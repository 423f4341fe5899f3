from __future__ import annotations

import pytest
from django.utils import timezone

from accounts import events
from accounts.models import Event
from tests.factories import make_admin
from tests.query_budget import counted

pytestmark = pytest.mark.django_db


def test_entries_are_appended_in_their_order_with_the_present_time() -> None:
    before = timezone.now()
    events.record([("thing.made", "thing", n, None, None, None, {"n": n}) for n in range(3)])
    rows = list(Event.objects.filter(subject_kind="thing").order_by("id"))
    assert [row.subject_id for row in rows] == [0, 1, 2]
    assert [row.after for row in rows] == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert [row.before for row in rows] == [None] * 3
    assert all(before <= row.at <= timezone.now() for row in rows)
    assert str(rows[0]) == "thing.made thing 0"


def test_nothing_to_tell_is_fine() -> None:
    with counted() as statements:
        events.record([])
    assert len(statements) == 0


@pytest.mark.parametrize("value", [None, "ä\u2028", 0, [], {}, {"a": [1, {"b": None}]}, False])
def test_before_and_after_are_any_json(value: object) -> None:
    events.record([("thing.changed", "thing", 1, None, None, value, value)])
    row = Event.objects.get()
    assert (row.before, row.after) == (value, value)


def test_what_happened_stays_when_who_did_it_is_gone() -> None:
    admin = make_admin().user
    pk = admin.pk
    events.record([("thing.made", "thing", 1, pk, 10**9, None, None)])
    admin.tokens.all().delete()
    admin.delete()
    assert Event.objects.get(subject_kind="thing").actor_id == pk
