"""Locations in the admin: read, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.models import Location
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
LOCATIONS = "/admin/clusters/location/"


def test_staff_see_which_place_each_means_here_and_change_nothing(settings: Any) -> None:
    settings.AWS_ECS_CLUSTERS = {"eu-central-1": "fleet"}
    germany, africa = (Location.objects.filter(name=name).first() for name in ("eu_central", "af_south"))
    assert germany is not None
    assert africa is not None
    for role in STAFF:
        client = browser(role)
        assert client.get(LOCATIONS).status_code == 200
        assert "aws/eu-central-1" in text_of(client.get(f"{LOCATIONS}{germany.pk}/change/"))
        assert "cannot be had here" in text_of(client.get(f"{LOCATIONS}{africa.pk}/change/"))
        assert client.get(f"{LOCATIONS}add/").status_code == 403
        assert client.post(f"{LOCATIONS}{germany.pk}/change/", {"is_offered": ""}).status_code == 403


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_gets_in(role: str) -> None:
    assert "/admin/login/" in browser(role).get(LOCATIONS).headers["Location"]


def test_the_list_is_within_its_budget() -> None:
    client = browser("monitor")
    with within_budget("admin: locations"):
        client.get(LOCATIONS)
