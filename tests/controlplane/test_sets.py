"""Statements over sets: the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext

from accounts.models import ApiToken, Customer, Event, User
from clusters.models import PeerTime
from controlplane.core import sets
from jobs.models import Job, Lane, Place
from tests.factories import make_customer_user
from tests.fleet import make_cluster, make_container

pytestmark = pytest.mark.django_db

NOON = datetime.datetime(2024, 5, 6, 12, 0, 0, 123456, tzinfo=datetime.UTC)
EVENT_FIELDS = ("at", "kind", "subject_kind", "subject_id", "customer", "before", "after")


def event(number: int, **changes: Any) -> tuple[Any, ...]:
    row: dict[str, Any] = dict.fromkeys(EVENT_FIELDS)
    row |= {"at": NOON, "kind": "thing.made", "subject_kind": "thing", "subject_id": number} | changes
    return tuple(row[name] for name in EVENT_FIELDS)


def jobs_pending(number: int) -> list[Job]:
    customer = Customer.objects.create(name="acme")
    owner = User.objects.create(username="owner", customer=customer)
    place = Place.objects.create(cloud="local", region="test")
    size: dict[str, Any] = {"vcpus_milli": 500, "memory_mib": 64}
    lane = Lane.objects.create(place=place, customer=customer, owner=owner, queue="", **size)
    of: dict[str, Any] = {"place": place, "customer": customer, "owner": owner, "lane": lane, "status": "PENDING"}
    Job.objects.bulk_create(Job(**of, **size, classification="test") for _ in range(number))
    return list(Job.objects.order_by("id"))


def test_rows_come_back_as_they_were_inserted() -> None:
    customer = Customer.objects.create(name="acme")
    said = {"name": 'ä "quoted" \\ text', "list": [1, None, True], "deep": {"x": 1.5}}
    sets.insert(Event, EVENT_FIELDS, [event(1, customer=customer.pk, before=None, after=said), event(2)])
    first, second = Event.objects.order_by("subject_id")
    assert (first.at, first.customer_id, first.before, first.after) == (NOON, customer.pk, None, said)
    assert (second.customer_id, second.after) == (None, None)


def test_an_absent_json_is_null_in_the_database() -> None:
    sets.insert(Event, EVENT_FIELDS, [event(1)])
    assert Event.objects.filter(after__isnull=True).count() == 1


def test_a_time_of_another_zone_is_the_same_instant() -> None:
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30))
    sets.insert(Event, EVENT_FIELDS, [event(1, at=NOON.astimezone(zone))])
    assert Event.objects.get().at == NOON
    assert Event.objects.filter(at__lte=NOON, at__gte=NOON).exists()


def test_numbers_and_moments_of_any_zone_come_back_out_of_one_set() -> None:
    zone = datetime.timezone(-datetime.timedelta(hours=3, minutes=30))
    moments = [NOON, NOON.astimezone(zone) + datetime.timedelta(days=1), NOON.replace(year=1, microsecond=0)]
    customers = [None, 2**63 - 1, -(2**63)]
    rows = [event(n, at=at, customer=customer) for n, (at, customer) in enumerate(zip(moments, customers, strict=True))]
    sets.insert(Event, EVENT_FIELDS, rows)
    sets.insert(Event, EVENT_FIELDS, [event(2**62), event(-(2**62), at=moments[1])])
    found: list[Any] = list(Event.objects.order_by("pk").values_list("subject_id", "at", "customer_id"))
    assert found[:3] == list(zip(range(3), moments, customers, strict=True))
    assert found[3:] == [(2**62, NOON, None), (-(2**62), moments[1], None)]


def test_uuids_are_found_again_by_the_orm() -> None:
    user = User.objects.create(username="u")
    named = uuid.uuid4()
    fields = ("uuid", "user", "name", "scope", "prefix", "digest", "created_at")
    sets.insert(ApiToken, fields, [(named, user.pk, "", "read", "p", "d", NOON)])
    assert ApiToken.objects.get(uuid=named).user == user


def test_inserting_nothing_asks_nothing() -> None:
    with CaptureQueriesContext(connection) as asked:
        sets.insert(Event, EVENT_FIELDS, [])
    assert len(asked) == 0


def test_many_rows_are_one_set() -> None:
    sets.insert(Event, EVENT_FIELDS, [event(number) for number in range(3000)])
    assert Event.objects.count() == 3000


def test_a_set_with_a_bad_row_inserts_none() -> None:
    Customer.objects.create(name="taken")
    with pytest.raises(IntegrityError), transaction.atomic():
        sets.insert(Customer, ("name", "created_at"), [("free", NOON), ("taken", NOON)])
    assert list(Customer.objects.values_list("name", flat=True)) == ["taken"]


def test_rows_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="argument"):
        sets.insert(Customer, ("name", "created_at"), [("a", NOON, 1)])


def test_among_finds_by_number_text_uuid_and_reference() -> None:
    users = [User.objects.create(username=f"u{number}") for number in range(4)]
    for user in users:
        ApiToken.objects.create(user=user, prefix="p", digest=user.username)
    chosen = users[1:3]

    def found(field: str, values: list[Any]) -> list[str]:
        rows = ApiToken.objects.filter(sets.among(field, values, ApiToken)).order_by("digest")
        return list(rows.values_list("digest", flat=True))

    tokens = list(ApiToken.objects.filter(user__in=chosen))
    assert found("id", [token.pk for token in tokens]) == ["u1", "u2"]
    assert found("digest", ["u1", "u2", "nobody"]) == ["u1", "u2"]
    assert found("uuid", [token.uuid for token in tokens]) == ["u1", "u2"]
    assert found("user", [user.pk for user in chosen]) == ["u1", "u2"]
    assert found("id", []) == []


def test_among_takes_one_parameter_whatever_the_number() -> None:
    # SQLite and PostgreSQL both limit parameters; 100 000 ids pass as one.
    user = User.objects.create(username="u")
    assert list(User.objects.filter(sets.among("id", [*range(10**6, 10**6 + 100_000), user.pk], User))) == [user]


def test_update_where_sets_each_row_to_its_own_values_and_tells_how_they_were() -> None:
    first, second, third = jobs_pending(3)
    moved = sets.update_where(
        Job,
        ("status", "due_at", "tags", "reason"),
        [(third.pk, "DELAYED", NOON, {"ä": [1]}, "x"), (first.pk, "BLOCKED", None, {}, "")],
        ["PENDING", "RUNNING"],
        ("status", "reason"),
    )
    assert sorted(moved) == [(first.pk, "PENDING", ""), (third.pk, "PENDING", "")]
    found = Job.objects.order_by("id").values_list("status", "due_at", "tags", "reason")
    assert list(found) == [
        ("BLOCKED", None, {}, ""), ("PENDING", None, {}, ""), ("DELAYED", NOON, {"ä": [1]}, "x"),
    ]  # fmt: skip
    assert second.pk not in [row[0] for row in moved]


def test_update_where_leaves_rows_of_another_status_and_rows_that_are_gone() -> None:
    [job] = jobs_pending(1)
    assert sets.update_where(Job, ("status",), [(job.pk, "BLOCKED"), (10**9, "BLOCKED")], ["QUEUED"], ("status",)) == []
    job.refresh_from_db()
    assert job.status == "PENDING"


def test_update_where_takes_many_rows() -> None:
    jobs = jobs_pending(1500)
    moved = sets.update_where(Job, ("status",), [(job.pk, "BLOCKED") for job in jobs], ["PENDING"], ())
    assert len(moved) == 1500
    assert Job.objects.filter(status="BLOCKED").count() == 1500


def test_a_statement_of_ours_runs_in_the_present_transaction() -> None:
    with transaction.atomic():
        sets.run("INSERT INTO accounts_customer (name, created_at) VALUES (%s, %s)", ["x", NOON])
        assert sets.run("SELECT count(*) FROM accounts_customer") == [(1,)]
        transaction.set_rollback(True)
    assert sets.run("SELECT count(*) FROM accounts_customer") == [(0,)]


def test_a_constraint_broken_by_a_statement_of_ours_is_djangos_error() -> None:
    Customer.objects.create(name="taken")
    with pytest.raises(IntegrityError), transaction.atomic():
        sets.run("INSERT INTO accounts_customer (name, created_at) VALUES (%s, %s)", ["taken", NOON])


def test_what_is_there_is_set_or_added_to_and_what_is_not_is_made() -> None:
    container = make_container(make_cluster(make_customer_user().user))
    fields, key = ("container", "hour", "milliseconds", "updated_at"), ("container", "hour")
    hours = [NOON.replace(microsecond=0) + datetime.timedelta(hours=n) for n in range(3)]
    for n, at in enumerate((NOON, NOON + datetime.timedelta(days=1)), 1):
        rows = [(container.pk, hour, 10 * n, at) for hour in hours[:-1] if n == 1 or hour != hours[0]]
        sets.upsert(PeerTime, fields, [*rows, (container.pk, hours[2], n, at)], key=key, add=("milliseconds",))
    found = list(PeerTime.objects.order_by("hour").values_list("milliseconds", "updated_at"))
    assert found == [(10, NOON), (30, at), (3, at)]
    sets.upsert(PeerTime, fields, [(container.pk, hours[0], 7, at)], key=key)
    assert PeerTime.objects.get(hour=hours[0]).milliseconds == 7
    sets.upsert(PeerTime, fields, [], key=key)
