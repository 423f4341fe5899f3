"""/v6/events/."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from accounts import events
from accounts.api.v6.events import EventSerializer
from accounts.event_log import reading
from accounts.models import Customer, Event, Follower
from accounts.services import number_events
from accounts.services.positions import NUMBERED
from tests.answers import json_of, text_of
from tests.factories import Person, make_admin, make_customer_user
from tests.people import WHO, everybody, refused
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db


@pytest.fixture
def people() -> Mapping[str, Person]:
    """Everybody, and a log that their making has left nothing in."""
    found = everybody()
    number_events()
    Event.objects.all().delete()
    return found


def start() -> int:
    return Follower.objects.get(name=NUMBERED).position


def put(kind: str = "job.moved", subject: int = 7, who: Person | None = None, customer: str | None = "acme") -> None:
    customer_id = Customer.objects.get(name=customer).pk if customer else None
    actor_id = who.user.pk if who else None
    entry = (kind, kind.split(".")[0], subject, actor_id, customer_id, {"status": "QUEUED"}, {"status": "RUNNING"})
    events.record([entry])


def told(person: Person, **asked: Any) -> list[tuple[str, int]]:
    results = json_of(person.get("/v6/events/", **asked))["results"]
    return [(each["kind"], each["subject"]["id"]) for each in results]


@pytest.mark.parametrize("who", WHO)
def test_staff_read_all_and_a_customers_users_of_their_own_jobs(who: str, people: Mapping[str, Person]) -> None:
    put(subject=1)
    put("user.created", 2)
    put("hold.placed", 3, customer=None)
    put(subject=4, customer="other")
    answer = people[who].get("/v6/events/")
    if who in ("anonymous", "disabled"):
        refused(answer, 401, "UNAUTHORIZED")
        return
    subjects = {"owner": [1], "colleague": [1], "stranger": [4]}.get(who, [1, 2, 3, 4])
    assert [each["subject"]["id"] for each in json_of(answer)["results"]] == subjects
    assert json_of(answer)["next_after"] == start()


@pytest.mark.parametrize("kind", ["bill.moved", "execution.ended"])
def test_a_customer_s_users_are_told_of_what_ran_for_it_and_what_it_owes(
    kind: str, people: Mapping[str, Person]
) -> None:
    put(kind, 1)
    put(kind, 2, customer="other")
    put("budget.reached", 3)  # nor what staff alone set
    for who, expected in (("owner", [1]), ("colleague", [1]), ("stranger", [2]), ("operator", [1, 2, 3])):
        assert [subject for _, subject in told(people[who])] == expected, who
    assert told(people["owner"], subject_kind=kind.split(".")[0], subject=2) == []


@pytest.mark.parametrize("asked", [{"customer": "other"}, {"job": 4}, {"subject_kind": "user", "subject": 2}])
def test_no_filter_shows_a_customer_what_is_not_theirs(asked: dict[str, Any], people: Mapping[str, Person]) -> None:
    put("user.created", 2)
    put(subject=4, customer="other")
    assert told(people["owner"], **asked) == []
    assert len(told(people["monitor"], **asked)) == 1


def test_an_event_says_all_of_itself_and_to_customers_names_their_own_people_only(people: Mapping[str, Person]) -> None:
    put(who=people["operator"])
    put(who=people["colleague"])
    first, second = json_of(people["owner"].get("/v6/events/"))["results"]
    assert set(first) == {"position", "at", "kind", "subject", "actor", "customer", "before", "after"}
    assert (first["subject"], first["customer"]) == ({"kind": "job", "id": 7}, "acme")
    assert (first["before"], first["after"]) == ({"status": "QUEUED"}, {"status": "RUNNING"})
    assert (first["actor"], second["actor"]) == (None, "colleague")
    staff = json_of(people["monitor"].get("/v6/events/"))["results"]
    assert [each["actor"] for each in staff] == ["operator", "colleague"]
    assert second["position"] == first["position"] + 1


def test_who_goes_on_from_next_after_is_told_everything_once(people: Mapping[str, Person]) -> None:
    found: list[int] = []
    after = start()
    for round_ in range(3):
        for subject in range(5):
            put(subject=round_ * 10 + subject)
        while True:
            page = json_of(people["admin"].get("/v6/events/", after=after, limit=2))
            found += [each["subject"]["id"] for each in page["results"]]
            if page["next_after"] == after:
                break
            after = page["next_after"]
    assert found == [round_ * 10 + subject for round_ in range(3) for subject in range(5)]


def test_filters_narrow_and_several_kinds_are_an_or(people: Mapping[str, Person]) -> None:
    put(subject=1)
    put("job.held", 2)
    put("hold.placed", 2, customer=None)
    put(subject=3, customer="other")
    admin = people["admin"]
    assert told(admin, kind=["job.held", "hold.placed"]) == [("job.held", 2), ("hold.placed", 2)]
    assert told(admin, subject_kind="hold") == [("hold.placed", 2)]
    assert told(admin, subject_kind="job", subject=2) == told(admin, job=2) == [("job.held", 2)]
    assert told(admin, customer="other") == [("job.moved", 3)]
    assert told(admin, customer="acme", kind="job.held") == [("job.held", 2)]
    assert told(admin, customer="nobody") == told(admin, after=start()) == []


def test_a_search_among_many_ends_early_and_leads_on(
    people: Mapping[str, Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "SEARCHED", 4)
    after = start()
    for subject in range(6):
        put(subject=subject)
    put("job.held", 9)
    first = json_of(people["owner"].get("/v6/events/", after=after, kind="job.held"))
    assert (first["results"], first["next_after"]) == ([], after + 4)
    second = json_of(people["owner"].get("/v6/events/", after=first["next_after"], kind="job.held"))
    assert [each["subject"]["id"] for each in second["results"]] == [9]
    assert second["next_after"] == after + 7


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"after": "x"}, "after"), ({"after": "-1"}, "after"), ({"after": "9" * 19}, "after"),
        ({"limit": "0"}, "limit"), ({"limit": "1001"}, "limit"), ({"limit": ""}, "limit"),
        ({"kind": "job.invented"}, "kind"), ({"subject_kind": "x"}, "subject_kind"), ({"subject": "1"}, "subject_kind"),
        ({"subject_kind": "job", "subject": "x"}, "subject"), ({"job": "x"}, "job"),
        ({"job": "1", "subject_kind": "job"}, "job"), ({"customer": "a\0"}, "customer"),
        ({"customer": "x" * 256}, "customer"), ({"kinds": "job.moved"}, "kinds"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_400_and_named(asked: dict[str, str], field: str, people: Mapping[str, Person]) -> None:
    refused(people["owner"].get("/v6/events/", **asked), 400, "INVALID_REQUEST", field)


@pytest.mark.parametrize(
    ("at", "before", "after"),
    [
        (datetime(2026, 1, 2, 3, 4, 5, 678_900, tzinfo=UTC), None, {"a": [1, 0.5, True, None], "b": {"ß": "😀"}}),
        (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), {}, 'one\ntwo\u2028\u2029"\\ {}'),
        (datetime(1999, 12, 31, 23, 59, 59, 1, tzinfo=UTC), 0, []),
    ],
)
def test_an_event_is_written_as_its_serializer_would(
    at: datetime, before: Any, after: Any, people: Mapping[str, Person]
) -> None:
    who = make_customer_user('a "name" ß', "cu\\stomer ß")
    Event.objects.all().delete()
    put("job.moved", 7, who, "cu\\stomer ß")
    Event.objects.update(at=at, before=before, after=after)
    answer = people["admin"].get("/v6/events/")
    [event] = json_of(answer)["results"]
    row = {"position": event["position"], "at": at, "kind": "job.moved", "subject": {"kind": "job", "id": 7}}
    row |= {"actor": who.user.username, "customer": "cu\\stomer ß", "before": before, "after": after}
    assert EventSerializer(row).data == event
    assert list(event) == list(EventSerializer().fields)
    assert "\u2028" not in answer.content.decode()


def test_the_page_for_people_shows_the_same(people: Mapping[str, Person]) -> None:
    put(who=people["operator"])
    admin = people["admin"]
    [event] = json_of(admin.get("/v6/events/", format="json"))["results"]
    page = text_of(admin.client.get("/v6/events/", headers={"Accept": "text/html"}))
    assert "<!DOCTYPE html>" in page
    for word in (event["at"], "&quot;actor&quot;: &quot;operator&quot;", "&quot;status&quot;: &quot;QUEUED&quot;"):
        assert word in page


def test_what_a_read_costs(people: Mapping[str, Person]) -> None:
    for subject in range(12):
        put(subject=subject)
    number_events()
    with within_budget("GET /v6/events/"):
        assert len(told(people["admin"])) == 12
    with within_budget("GET /v6/events/, of a customer"):
        assert len(told(people["owner"])) == 12


def test_the_schema_has_a_definition_for_each_kind(people: Mapping[str, Person]) -> None:
    found = json_of(people["owner"].get("/v6/events/schema/"))
    assert found["$defs"]["job.moved"]["properties"]["after"]["required"] == ["status"]
    refused(people["anonymous"].get("/v6/events/schema/"), 401)


# --- What it costs in a large log ------------------------------------------------------------------

FILL = """
INSERT INTO accounts_event (at, kind, subject_kind, subject_id, customer_id, after, position)
SELECT now(), 'job.moved', 'job', n / 5, %s + n %% 50, '{}', n FROM generate_series(1, 60000) AS n
"""


def plans(texts: Sequence[str]) -> str:
    """How the server goes about what reads events, whatever the parameters: as it is set to (settings.DATABASES)."""
    found = []
    with connection.cursor() as cursor:
        for text in texts:
            if "FROM accounts_event e" in text:
                count = text.count("%s")
                numbered = text.replace("%s", "${}").format(*range(1, count + 1))
                cursor.execute(f"PREPARE read AS {numbered}")
                cursor.execute(f"EXPLAIN EXECUTE read({', '.join(['NULL'] * count)})")
                found += [line for (line,) in cursor.fetchall()]
                cursor.execute("DEALLOCATE read")
    return "\n".join(found)


@pytest.mark.runs_once("postgresql", "of its plans")
def test_every_read_is_served_by_an_index_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "SEARCHED", 100)  # of what is there, as little as 10 000 of millions
    owner, admin = make_customer_user("ada", "acme"), make_admin()
    Event.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute(FILL, [Customer.objects.get(name="acme").pk])
        cursor.execute("ANALYZE accounts_event")
    Follower.objects.update_or_create(name=NUMBERED, defaults={"position": 60_000})
    # Those that are looked through for what is wanted may be sorted: they are SEARCHED at most, or one subject's.
    for person, asked, index, may_be_sorted in (
        (admin, {}, "event_position", False),
        (admin, {"kind": "job.moved"}, "event_position", True),
        (admin, {"customer": "acme"}, "event_of_customer", False),
        (owner, {}, "event_of_customer", True),
        (owner, {"kind": "job.held"}, "event_of_customer", True),
        (admin, {"job": 5000}, "event_of_subject", True),
        (owner, {"job": 5000}, "event_of_subject", True),
    ):
        with counted() as statements:
            assert json_of(person.get("/v6/events/", after=1000, **asked))["next_after"] > 1000
        plan = plans(statements.texts)
        assert index in plan, f"{asked}\n{plan}"
        assert "Seq Scan on accounts_event" not in plan, f"{asked}\n{plan}"
        assert may_be_sorted or "Sort" not in plan, f"{asked}\n{plan}"
