"""How often something may be done."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F

from accounts import services
from accounts.errors import TooOften
from accounts.models import Rate

pytestmark = pytest.mark.django_db


def test_the_one_too_many_is_refused_and_others_are_not() -> None:
    for _ in range(3):
        services.spend("mail", "ada", 3, 60)
    with pytest.raises(TooOften) as refused:
        services.spend("mail", "ada", 3, 60)
    assert 0 < refused.value.retry_after_seconds <= 60
    services.spend("mail", "bob", 3, 60)
    services.spend("letter", "ada", 3, 60)


def test_a_span_that_is_over_begins_anew() -> None:
    services.spend("mail", "ada", 1, 60)
    Rate.objects.update(began_at=F("began_at") - timedelta(seconds=61))
    services.spend("mail", "ada", 1, 60)
    with pytest.raises(TooOften):
        services.spend("mail", "ada", 1, 60)


def test_whose_it_is_cannot_be_read_from_the_row() -> None:
    services.spend("mail", "ada@example.com\ud800", 1, 60)
    assert "ada" not in Rate.objects.get().key
