from __future__ import annotations

import hashlib
import os
from datetime import timedelta

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from accounts import queries
from accounts.models import ApiToken, User
from tests.factories import make_customer_user, make_monitor, make_operator
from tests.query_budget import counted

pytestmark = pytest.mark.django_db


def test_a_secret_is_256_random_bits_in_text_that_goes_into_an_address() -> None:
    secrets = {queries.new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret) == 43 and secret.isascii() and " " not in secret for secret in secrets)


def test_a_digest_is_the_sha256_of_the_token() -> None:
    assert queries.digest("abc") == hashlib.sha256(b"abc").hexdigest()


def test_a_live_token_finds_its_user_in_one_query() -> None:
    person = make_operator()
    make_monitor()
    with counted() as statements:
        found = queries.user_of_token(person.token)
        assert found is not None
        assert (found, found.role) == (person.user, "operator")
    assert len(statements) == 1


@pytest.mark.parametrize("token", ["", "x", "\0", "\ud800", "é" * 5000])
def test_what_is_no_token_finds_nobody(token: str) -> None:
    make_operator()
    assert queries.user_of_token(token) is None


@pytest.mark.parametrize("change", [str.lower, str.upper, lambda token: token[:-1], lambda token: f" {token}"])
def test_a_token_nearly_right_finds_nobody(change: object) -> None:
    assert queries.user_of_token(change(make_operator().token)) is None  # type: ignore[operator]


def test_an_archived_token_finds_nobody() -> None:
    person = make_operator()
    ApiToken.objects.update(archived_at=timezone.now())
    assert queries.user_of_token(person.token) is None


def test_an_expired_token_finds_nobody_and_one_that_expires_later_finds_its_user() -> None:
    person = make_operator()
    ApiToken.objects.update(expires_at=timezone.now() + timedelta(minutes=1))
    assert queries.user_of_token(person.token) == person.user
    ApiToken.objects.update(expires_at=timezone.now() - timedelta(microseconds=1))
    assert queries.user_of_token(person.token) is None


def test_the_token_of_a_disabled_user_finds_nobody() -> None:
    person = make_operator()
    User.objects.update(is_active=False)
    assert queries.user_of_token(person.token) is None


def test_a_user_is_found_by_the_exact_name() -> None:
    person = make_operator("Ada")
    assert queries.find_user("Ada") == person.user
    assert queries.find_user("ada") is None


def test_the_user_of_a_token_is_whole() -> None:
    person = make_customer_user()
    found, stored = queries.user_of_token(person.token), User.objects.get(pk=person.user.pk)
    assert found is not None
    assert found.get_deferred_fields() == set()
    assert {f.attname: getattr(found, f.attname) for f in User._meta.concrete_fields} == {
        f.attname: getattr(stored, f.attname) for f in User._meta.concrete_fields
    }


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_a_connection_that_the_server_has_closed_is_opened_anew() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no server")
    person = make_operator()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone()
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [backend])
    assert queries.user_of_token(person.token) == person.user
