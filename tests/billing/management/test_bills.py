"""`manage.py bills`: bills without waiting for the hour."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from billing.models import Bill
from tests.billing.scene import MONTH, follow_from_here, price_here, ran

pytestmark = pytest.mark.django_db


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("bills", *arguments, stdout=out)
    return out.getvalue().strip()


def test_drafts_are_drawn_up_and_a_month_is_closed() -> None:
    follow_from_here()
    price_here("1")
    ran(MONTH, timedelta(hours=1), vcpus_milli=1000)
    assert said() == "1 bills were drawn up."
    assert Bill.objects.get().amount == 100
    assert said("--close", "2026-03") == "1 bills are final now."
    assert Bill.objects.get().status == "open"


@pytest.mark.parametrize("month", ["soon", "2026-13", f"{timezone.now():%Y-%m}"])
def test_what_cannot_be_closed_is_told(month: str) -> None:
    with pytest.raises(CommandError):
        said("--close", month)
