"""/v6/events/stream/: what happens, as it does."""

from __future__ import annotations

import functools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone
from pytest_django import Settings

from accounts import event_log, services
from accounts.event_log import feeder, stream
from accounts.event_log.choices import choose
from accounts.event_log.reading import between, chosen, end_of_log
from accounts.models import ApiToken, Customer, Event, User
from accounts.services import number_events
from controlplane.core import feeding
from tests.accounts.api.test_v6_events import put
from tests.accounts.test_positions import Writer
from tests.answers import json_of
from tests.factories import Person
from tests.people import everybody, refused
from tests.waiting import until

# Followers and their feeder have threads, and so connections, of their own.
pytestmark = pytest.mark.django_db(transaction=True, serialized_rollback=True)
alone = pytest.mark.django_db
PATH = "/v6/events/stream/"
WAIT_SECONDS = 20


@pytest.fixture(autouse=True)
def _rested() -> Iterator[None]:
    """No feeder of one test looks into the next one's tables."""
    yield
    until(lambda: feeder.present._thread is None or not feeder.present._thread.is_alive())


@pytest.fixture
def people() -> Mapping[str, Person]:
    """Everybody, and a log that their making has left nothing in."""
    found = everybody()
    number_events()
    Event.objects.all().delete()
    return found


class Reader:
    """Somebody who reads a stream in a thread of their own until it ends or they leave; what they were told."""

    def __init__(self, person: Person, headers: Mapping[str, str] | None = None, **asked: Any) -> None:
        self.blocks: list[dict[str, str]] = []
        self.held: list[Any] = []
        self.must_leave = False
        self._ask = (person, headers or {}, asked)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        until(lambda: self.blocks or not self._thread.is_alive())

    def _read(self) -> None:
        person, headers, asked = self._ask
        response: Any = person.client.get(PATH, asked, headers=headers)
        try:
            text = ""
            for piece in response.streaming_content:
                self.held.append(connection.connection)
                *whole, text = (text + piece.decode()).split("\n\n")
                self.blocks += [self._fields(block) for block in whole]
                if self.must_leave:
                    break
        finally:
            response.close()
            connection.close()

    @staticmethod
    def _fields(block: str) -> dict[str, str]:
        return dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))

    @property
    def events(self) -> list[dict[str, str]]:
        return [block for block in self.blocks if "data" in block]

    @property
    def subjects(self) -> list[int]:
        return [json.loads(block["data"])["subject"]["id"] for block in self.events]

    def is_told(self, subjects: list[int]) -> None:
        """Wait until they were told these, and no others."""
        until(lambda: self.subjects == subjects)

    @property
    def last(self) -> int:
        return int(self.blocks[-1]["id"])

    def finish(self) -> list[int]:
        self._thread.join(WAIT_SECONDS)
        assert not self._thread.is_alive(), self.blocks
        return self.subjects


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Reader]]:
    """Begins to read; all leave at the end."""
    readers: list[Reader] = []

    def begin(*arguments: Any, **more: Any) -> Reader:
        readers.append(Reader(*arguments, **more))
        return readers[-1]

    yield begin
    for follower in list(feeder.present._followers):
        follower.send_away()
    for reader in readers:
        reader.finish()


def test_what_happens_is_told_once_each_as_it_does_in_order_and_as_the_list_has_it(
    people: Mapping[str, Person], read: Callable[..., Reader]
) -> None:
    put(subject=1)
    reader = read(people["admin"])
    assert reader.blocks[0] == {"retry": "2000", "id": str(end_of_log())}
    for subject in (2, 3, 4):
        put(subject=subject)
        reader.is_told(list(range(2, subject + 1)))
    assert reader.subjects == [2, 3, 4]
    listed = json_of(people["admin"].get("/v6/events/", after=reader.blocks[0]["id"]))["results"]
    assert [json.loads(each["data"]) for each in reader.events] == listed
    assert [(int(each["id"]), each["event"]) for each in reader.events] == [(e["position"], e["kind"]) for e in listed]
    assert all(held is None for held in reader.held)


def test_it_is_said_how_it_is_to_be_kept_and_handed_on(people: Mapping[str, Person]) -> None:
    response = people["admin"].get(PATH)
    assert response["Content-Type"] == "text/event-stream; charset=utf-8"
    assert (response["Cache-Control"], response["X-Accel-Buffering"]) == ("no-store", "no")
    response.close()
    assert not feeder.present._followers


def test_it_goes_on_behind_the_last_event_that_was_seen_and_the_header_wins(
    people: Mapping[str, Person], read: Callable[..., Reader]
) -> None:
    start = end_of_log()
    for subject in range(1, 6):
        put(subject=subject)
    admin = people["admin"]
    for headers, asked, expected in (
        ({"Last-Event-ID": str(start + 2)}, {}, [3, 4, 5]),
        ({}, {"after": start + 2}, [3, 4, 5]),
        ({"Last-Event-ID": str(start + 4)}, {"after": start}, [5]),
        ({"Last-Event-ID": ""}, {"after": start}, [1, 2, 3, 4, 5]),
        ({"Last-Event-ID": str(start + 5)}, {}, []),
    ):
        reader = read(admin, headers, **asked)
        reader.is_told(expected)
    put(subject=6)
    reader.is_told([6])


@alone
@pytest.mark.parametrize(
    ("headers", "asked", "field"),
    [
        ({"Last-Event-ID": "x"}, {}, "Last-Event-ID"), ({"Last-Event-ID": "-1"}, {"after": "1"}, "Last-Event-ID"),
        ({"Last-Event-ID": "9" * 19}, {}, "Last-Event-ID"), ({}, {"after": "1.5"}, "after"),
        ({"Last-Event-ID": "1"}, {"after": "x"}, "after"), ({}, {"limit": "1"}, "limit"),
        ({}, {"kind": "job.invented"}, "kind"), ({}, {"job": "x"}, "job"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_400_and_named(
    headers: dict[str, str], asked: dict[str, str], field: str, people: Mapping[str, Person]
) -> None:
    refused(people["owner"].client.get(PATH, asked, headers=headers), 400, "INVALID_REQUEST", field)


def _some_of_each(people: Mapping[str, Person]) -> None:
    put(subject=1, who=people["operator"])
    put("user.created", 2)
    put("hold.placed", 3, customer=None)
    put(subject=4, customer="other")
    put("job.held", 5, who=people["colleague"])


def test_each_is_told_what_they_may_read(people: Mapping[str, Person], read: Callable[..., Reader]) -> None:
    names = ("admin", "operator", "monitor", "owner", "colleague", "stranger")
    readers = {name: read(people[name]) for name in names}
    _some_of_each(people)
    theirs = {"owner": [1, 5], "colleague": [1, 5], "stranger": [4]}
    for name, reader in readers.items():
        expected = theirs.get(name, [1, 2, 3, 4, 5])
        reader.is_told(expected)
    actors = [json.loads(each["data"])["actor"] for each in readers["owner"].events]
    assert actors == [None, "colleague"]
    assert json.loads(readers["monitor"].events[0]["data"])["actor"] == "operator"
    for name in ("anonymous", "disabled"):
        refused(people[name].get(PATH), 401, "UNAUTHORIZED")


FILTERS: list[tuple[str, dict[str, Any], list[int]]] = [
    ("admin", {"kind": ["job.held", "hold.placed"]}, [3, 5]),
    ("admin", {"subject_kind": "hold"}, [3]),
    ("admin", {"job": 4}, [4]),
    ("admin", {"subject_kind": "user", "subject": 2}, [2]),
    ("admin", {"customer": "other"}, [4]),
    ("admin", {"customer": "nobody"}, []),
    ("owner", {"customer": "other"}, []),
    ("owner", {"customer": "acme", "kind": "job.moved"}, [1]),
    ("owner", {"job": 4}, []),
    ("owner", {"subject_kind": "user"}, []),
]


def test_filters_are_those_of_the_list(people: Mapping[str, Person], read: Callable[..., Reader]) -> None:
    start = end_of_log()
    live = [read(people[who], after=start, **asked) for who, asked, _ in FILTERS]
    _some_of_each(people)
    number_events()
    late = [read(people[who], after=start, **asked) for who, asked, _ in FILTERS]
    for readers in (live, late):
        for reader, (who, asked, expected) in zip(readers, FILTERS, strict=True):
            reader.is_told(expected)
            listed = json_of(people[who].get("/v6/events/", after=start, **asked))["results"]
            assert [each["subject"]["id"] for each in listed] == expected


@alone
def test_what_a_choice_takes_of_events_at_hand_is_what_it_reads(people: Mapping[str, Person]) -> None:
    start = end_of_log()
    _some_of_each(people)
    number_events()
    at_hand = between(start, end_of_log(), 100)
    assert len(at_hand) == 5
    for who in ("admin", "owner", "stranger", "disabled"):
        for wanted in (
            event_log.Wanted(),
            event_log.Wanted(kinds=frozenset({"job.held", "hold.placed"})),
            event_log.Wanted(subject_kind="job"),
            event_log.Wanted(subject_kind="job", subject_id=4),
            event_log.Wanted(customer="acme"),
        ):
            choice = choose(User.objects.get(username=people[who].user.username), wanted)
            assert [each for each in at_hand if choice.takes(each)] == chosen(choice, start, 100)[0], (who, wanted)


@pytest.mark.parametrize("what", ["disabled", "archived", "expired", "demoted"])
def test_it_ends_when_its_caller_may_not_read_any_more(
    what: str, people: Mapping[str, Person], read: Callable[..., Reader]
) -> None:
    operator, other = people["operator"], read(people["admin"])
    reader = read(operator)
    tokens = ApiToken.objects.filter(user=operator.user)
    if what == "disabled":
        services.disable_user(username="operator", actor=None)
    elif what == "archived":
        tokens.update(archived_at=timezone.now())
    elif what == "expired":
        tokens.update(expires_at=timezone.now() + timedelta(seconds=0.5))
    else:
        User.objects.filter(username="operator").update(role="monitor")
    reader.finish()
    assert len(feeder.present._followers) == 1
    if what != "demoted":
        refused(operator.get(PATH), 401)
    assert other._thread.is_alive()


def test_who_is_signed_in_without_a_token_follows_too(people: Mapping[str, Person]) -> None:
    client = people["anonymous"].client
    client.force_login(people["monitor"].user, backend="django.contrib.auth.backends.ModelBackend")
    response: Any = client.get(PATH)
    pieces = response.streaming_content
    assert next(pieces) == b"retry: 2000\n"
    [follower] = feeder.present._followers
    assert not follower.digest
    User.objects.filter(username="monitor").update(is_active=False)
    list(pieces)
    response.close()


def test_who_is_further_behind_than_what_is_kept_reads_the_log(
    people: Mapping[str, Person], read: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeder, "KEPT", 3)
    monkeypatch.setattr(stream, "PIECE_EVENTS", 2)
    start = end_of_log()
    first = read(people["admin"])
    for subject in range(1, 8):
        put(subject=subject)
    first.is_told(list(range(1, 8)))
    assert len(feeder.present._kept) <= 3
    second = read(people["owner"], {"Last-Event-ID": str(start)})
    second.is_told(list(range(1, 8)))
    put(subject=8)
    for reader in (first, second):
        reader.is_told(list(range(1, 9)))
        assert all(held is None for held in reader.held)


def test_what_is_kept_is_bounded_in_size_too(
    people: Mapping[str, Person], read: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeder, "KEPT_CHARACTERS", 1000)
    reader = read(people["admin"])
    for subject in range(1, 21):
        put(subject=subject)
    reader.is_told(list(range(1, 21)))
    put(subject=21)
    reader.is_told(list(range(1, 22)))
    kept = list(feeder.present._kept.values())
    assert 0 < sum(len(each.head) + len(each.tail) for each in kept) == feeder.present._characters <= 1000


def test_a_slow_reader_has_one_piece_in_memory_and_holds_up_nobody(
    people: Mapping[str, Person], read: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeder, "KEPT", 20)
    user = people["admin"].user
    slow = event_log.follow(user, "", event_log.Wanted(), end_of_log())
    assert not next(slow).events
    other = read(people["admin"])
    for subject in range(1, 301):
        put(subject=subject)
    until(lambda: len(other.subjects) == 300)
    assert len(feeder.present._kept) <= 20
    found: list[int] = []
    for news in slow:
        assert len(news.events) <= stream.PIECE_EVENTS
        found += [json.loads(text)["subject"]["id"] for _, _, text in news.events]
        if len(found) == 300:
            break
    assert found == list(range(1, 301))
    slow.close()  # type: ignore[attr-defined]


def test_its_time_ends_and_it_tells_the_position_that_it_has_come_to(
    people: Mapping[str, Person], read: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "PING_SECONDS", 0.1)
    monkeypatch.setattr(event_log, "follow", functools.partial(event_log.follow, max_seconds=2))
    start = end_of_log()
    reader = read(people["owner"])
    put(subject=4, customer="other")
    assert reader.finish() == []
    assert len(reader.blocks) > 5
    assert (int(reader.blocks[0]["id"]), reader.last) == (start, start + 1)


def test_all_streams_end_when_the_server_goes(
    people: Mapping[str, Person], read: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding, "feeders", [])
    monkeypatch.setattr(feeder, "present", feeder.Feeder())
    readers = [read(people[name]) for name in ("admin", "owner")]
    feeding.leave()
    assert [reader.finish() for reader in readers] == [[], []]
    assert read(people["admin"]).finish() == []
    until(lambda: feeder.present._thread is None)


def test_who_leaves_makes_room_and_one_thread_serves_all(
    people: Mapping[str, Person], read: Callable[..., Reader], settings: Settings
) -> None:
    settings.FOLLOWERS_AT_MOST = 2
    begun, _ = read(people["owner"]), read(people["colleague"])
    assert sum(thread.name == feeder.Feeder.name for thread in threading.enumerate()) == 1
    response = people["admin"].get(PATH)
    refused(response, 503, "TOO_MANY_FOLLOWERS")
    assert int(response["Retry-After"]) > 0
    begun.must_leave = True
    put(subject=1)
    begun.finish()
    read(people["admin"])
    assert len(feeder.present._followers) == 2


@pytest.mark.runs_once("postgresql", "SQLite has one writer at a time")
def test_what_is_committed_in_the_reverse_order_of_its_writing_is_told_once_each_in_the_order_of_commits(
    people: Mapping[str, Person], read: Callable[..., Reader]
) -> None:
    start = end_of_log()
    reader = read(people["admin"])
    first, second = Writer(1), Writer(2)
    second.commit()
    reader.is_told([2])
    again = read(people["admin"], {"Last-Event-ID": reader.events[0]["id"]})
    first.commit()
    reader.is_told([2, 1])
    again.is_told([1])
    assert [int(each["id"]) for each in reader.events] == [start + 1, start + 2]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_followers_outlive_a_database_that_is_away_and_a_feeder_that_dies(
    people: Mapping[str, Person], read: Callable[..., Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures: list[BaseException] = []

    def failing() -> int:
        if len(failures) < 3:
            failures.append(SystemExit() if len(failures) == 1 else OperationalError("gone"))
            raise failures[-1]
        return end_of_log()

    def away(*arguments: Any) -> Any:
        failures.append(OperationalError("gone"))
        monkeypatch.setattr(stream, "chosen", chosen)
        raise failures[-1]

    start = end_of_log()
    monkeypatch.setattr(stream, "chosen", away)
    reader = read(people["admin"], after=start)
    monkeypatch.setattr(feeder, "end_of_log", failing)
    put(subject=1)
    put(subject=2)
    reader.is_told([1, 2])
    assert len(failures) == 4


def test_a_customer_that_is_made_later_is_told_of(people: Mapping[str, Person], read: Callable[..., Reader]) -> None:
    reader = read(people["admin"], customer="new")
    Customer.objects.create(name="new")
    put(subject=1, customer="new")
    reader.is_told([1])


def test_every_line_of_it_is_one_that_event_streams_have(
    people: Mapping[str, Person], read: Callable[..., Reader]
) -> None:
    start = end_of_log()
    put(subject=1)
    Event.objects.filter(position=None).update(after={"text": "one\ntwo\r\n\u2028"})
    reader = read(people["admin"], after=start)
    reader.is_told([1])
    [event] = reader.events
    assert set(event) == {"id", "event", "data"}
    assert json.loads(event["data"])["after"] == {"text": "one\ntwo\r\n\u2028"}
    assert not re.search(r"[\r\n]", event["data"])
