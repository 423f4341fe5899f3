"""Hosting places in the admin: read, and no more."""

from __future__ import annotations

import pytest
from django.utils import timezone

from clusters.models import HostingPlace
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PLACES = "/admin/clusters/hostingplace/"


def failing() -> HostingPlace:
    facts = {"failure": "ecs:RunTask: AccessDenied", "failing_since": timezone.now()}
    return HostingPlace.objects.create(cloud="aws", region="eu-central-1", **facts)


def test_staff_see_what_fails_since_when_and_change_nothing() -> None:
    row = failing()
    for role in STAFF:
        client = browser(role)
        for path in (PLACES, f"{PLACES}{row.pk}/change/"):
            shown = text_of(client.get(path))
            assert all(text in shown for text in ("ecs:RunTask: AccessDenied", "failing"))
        assert client.get(f"{PLACES}add/").status_code == 403
        assert client.post(f"{PLACES}{row.pk}/change/", {"cloud": "local"}).status_code == 403


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_gets_in(role: str) -> None:
    assert "/admin/login/" in browser(role).get(PLACES).headers["Location"]


def test_the_list_is_within_its_budget() -> None:
    failing()
    client = browser("monitor")
    with within_budget("admin: hosting places"):
        client.get(PLACES)
