from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from accounts import idempotency, services
from accounts.idempotency import InFlight, KeyReused, once
from accounts.models import Customer, IdempotencyKey, User
from controlplane.core import sets
from controlplane.core.errors import InvalidRequest
from tests.factories import make_operator

pytestmark = pytest.mark.django_db


class Work:
    """Counts how often it was done."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> list[str]:
        self.done += 1
        return [f"made-{self.done}"]


@pytest.fixture
def user() -> User:
    return make_operator().user


def test_the_same_request_with_the_same_key_is_done_once(user: User) -> None:
    work = Work()
    assert once(user, "k", b"body", work) == once(user, "k", b"body", work) == ["made-1"]
    assert work.done == 1


def test_another_request_with_the_key_is_refused_and_not_done(user: User) -> None:
    work = Work()
    once(user, "k", b"body", work)
    with pytest.raises(KeyReused):
        once(user, "k", b"other body", work)
    assert work.done == 1
    assert once(user, "k", b"body", work) == ["made-1"]


def test_a_key_belongs_to_its_user(user: User) -> None:
    work = Work()
    once(user, "k", b"body", work)
    assert once(make_operator().user, "k", b"other body", work) == ["made-2"]


def test_keys_differ_by_case_and_length(user: User) -> None:
    work = Work()
    for key in ("k", "K", "kk", "ключ", "k" * 255):
        once(user, key, b"body", work)
    assert work.done == 5


@pytest.mark.parametrize("key", ["", "k" * 256, "a\0b", "a\nb", "\ud800"])
def test_a_key_that_cannot_be_kept_is_refused(user: User, key: str) -> None:
    work = Work()
    with pytest.raises(InvalidRequest) as refused:
        once(user, key, b"body", work)
    assert refused.value.field == "Idempotency-Key"
    assert work.done == 0


@pytest.mark.parametrize(("age", "done"), [(timedelta(hours=23, minutes=59), 1), (timedelta(hours=24, seconds=1), 2)])
def test_a_key_is_kept_for_24_hours(user: User, age: timedelta, done: int) -> None:
    work = Work()
    once(user, "k", b"body", work)
    IdempotencyKey.objects.update(created_at=timezone.now() - age)
    assert once(user, "k", b"body", work) == [f"made-{done}"]
    assert work.done == done
    assert IdempotencyKey.objects.count() == 1


def test_an_expired_key_may_come_with_another_request_which_is_then_the_kept_one(user: User) -> None:
    work = Work()
    once(user, "k", b"body", work)
    IdempotencyKey.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert once(user, "k", b"other body", work) == ["made-2"]
    assert once(user, "k", b"other body", work) == ["made-2"]
    with pytest.raises(KeyReused):
        once(user, "k", b"body", work)


def test_work_that_fails_leaves_nothing_and_may_be_tried_again(user: User) -> None:
    def fail() -> list[str]:
        services.ensure_customer("new")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        once(user, "k", b"body", fail)
    assert not IdempotencyKey.objects.exists()
    assert not Customer.objects.filter(name="new").exists()
    assert once(user, "k", b"body", Work()) == ["made-1"]


def test_what_failing_work_made_is_not_remembered(user: User) -> None:
    def fail() -> list[str]:
        services.ensure_customer("new")
        raise InvalidRequest

    with pytest.raises(InvalidRequest):
        once(user, "k", b"body", fail)
    assert Customer.objects.get(pk=services.ensure_customer("new")).name == "new"


def test_of_the_request_only_a_digest_is_kept(user: User) -> None:
    once(user, "k", b"secret body", Work())
    assert "secret" not in repr(list(IdempotencyKey.objects.values()))
    assert str(IdempotencyKey.objects.get()) == "k"


# --- Two at the same time, each with a connection of its own ---------------------------------------


class Caller(threading.Thread):
    """Asks once, and keeps what came of it."""

    def __init__(self, user: User, key: str, body: bytes, work: Callable[[], list[str]]) -> None:
        super().__init__(daemon=True)
        self._asks = (user, key, body, work)
        self.made: list[str] | None = None
        self.error: Exception | None = None

    def run(self) -> None:
        try:
            self.made = once(*self._asks)
        except Exception as error:
            self.error = error
        finally:
            connection.close()


class SlowWork(Work):
    """Work that is in flight until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> list[str]:
        self.begun.set()
        assert self.may_end.wait(20)
        return super().__call__()


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_while_one_is_in_flight_the_second_is_not_done_again() -> None:
    """PostgreSQL says so at once; on SQLite, which has one writer, the second waits for the first one's answer."""
    user, work, second_work = make_operator().user, SlowWork(), Work()
    first, second = Caller(user, "k", b"body", work), Caller(user, "k", b"body", second_work)
    first.start()
    assert work.begun.wait(20)
    second.start()
    if sets.is_postgresql():
        second.join(20)
        assert isinstance(second.error, InFlight)
        assert (second.error.http_status, second.error.retry_after_seconds) == (409, 1)
    work.may_end.set()
    first.join(20)
    second.join(20)
    assert first.made == ["made-1"]
    assert second.made == (None if sets.is_postgresql() else ["made-1"])
    assert (work.done, second_work.done) == (1, 0)
    assert once(user, "k", b"body", second_work) == ["made-1"]


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_another_key_and_another_user_do_not_wait() -> None:
    user, work = make_operator().user, SlowWork()
    if not sets.is_postgresql():
        pytest.skip("SQLite has one writer: everybody waits")
    first = Caller(user, "k", b"body", work)
    first.start()
    try:
        assert work.begun.wait(20)
        assert once(user, "other", b"body", Work()) == ["made-1"]
        assert once(make_operator().user, "k", b"body", Work()) == ["made-1"]
    finally:
        work.may_end.set()
        first.join(20)
    assert first.error is None


def test_keys_are_kept_as_long_as_they_count() -> None:
    assert timedelta(days=settings.RETENTION_DAYS["idempotency_keys"]) >= idempotency.KEPT
