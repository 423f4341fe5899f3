"""/v6/image-versions/ and /v6/locations/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from accounts.models import Event
from clusters import services
from clusters.locations import LOCATIONS
from clusters.models import ImageVersion, Location
from controlplane.core.errors import InvalidRequest
from tests.answers import json_of
from tests.factories import Person
from tests.fleet import make_version
from tests.people import WHO, everybody, refused

pytestmark = pytest.mark.django_db
VERSIONS, LOCATIONS_AT = "/v6/image-versions/", "/v6/locations/"
BODY = {"version": "2.0", "image": "example.com/media:2.0", "ports": [{"number": 5002}]}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


def send(person: Person, method: str, path: str, body: Any = None) -> Any:
    return getattr(person.client, method)(path, json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("who", WHO)
def test_everybody_reads_and_admins_change(who: str, people: Mapping[str, Person]) -> None:
    row, person = make_version(), people[who]
    reads, makes = (401, 401) if who in ("anonymous", "disabled") else (200, 201 if who == "admin" else 403)
    assert person.get(VERSIONS).status_code == reads
    assert person.get(f"{VERSIONS}{row.pk}/").status_code == reads
    assert person.get(LOCATIONS_AT).status_code == reads
    assert send(person, "post", VERSIONS, BODY).status_code == makes
    changed = send(person, "patch", f"{VERSIONS}{row.pk}/", {"is_deprecated": True}).status_code
    assert changed == (200 if makes == 201 else makes)


def test_what_is_for_one_customer_is_hidden_from_others(people: Mapping[str, Person]) -> None:
    body = {**BODY, "customers": ["acme"], "is_default": True}
    made = send(people["admin"], "post", VERSIONS, body)
    assert made.status_code == 201, made.content
    shown = made.json()
    assert (shown["customers"], shown["is_default"]) == (["acme"], True)
    assert shown["ports"] == [{"number": 5002, "protocol": "tcp"}]
    path = f"{VERSIONS}{shown['id']}/"
    assert "env" not in json_of(people["owner"].get(path))
    refused(people["stranger"].get(path), 404, "IMAGE_VERSION_NOT_FOUND")
    assert json_of(people["stranger"].get(VERSIONS))["results"] == []
    assert send(people["admin"], "patch", path, {"customers": []}).json()["customers"] == []
    assert people["stranger"].get(path).status_code == 200


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"version": ""}, "version"),
        ({"image": ""}, "image"),
        ({"ports": [{"number": 0}]}, "ports"),
        ({"ports": [{"number": 1}, {"number": 1}]}, "ports"),
        ({"probe_port": 9}, "probe_port"),
        ({"metrics_port": 9}, "metrics_port"),
        ({"probe_port": 5002, "probe_path": "x"}, "probe_path"),
        ({"customers": ["nobody"]}, "customers"),
        ({"max_restarts": -1}, "max_restarts"),
    ],
)
def test_a_body_that_cannot_be_is_refused_by_field(
    more: dict[str, Any], field: str, people: Mapping[str, Person]
) -> None:
    answer = send(people["admin"], "post", VERSIONS, {**BODY, **more})
    assert answer.status_code == 400
    assert any(each["field"].startswith(field) for each in answer.json()["errors"]), answer.json()
    assert not ImageVersion.objects.filter(version="2.0").exists()


def test_a_version_is_added_once(people: Mapping[str, Person]) -> None:
    assert send(people["admin"], "post", VERSIONS, BODY).status_code == 201
    refused(send(people["admin"], "post", VERSIONS, BODY), 409, "IMAGE_VERSION_EXISTS")


def test_locations_say_what_they_are_here(people: Mapping[str, Person]) -> None:
    row = Location.objects.get(name="eu_central", machine_type="small")
    services.edit_location(row=row, actor=people["admin"].user, is_offered=False)
    listed = {each["name"]: each for each in json_of(people["stranger"].get(LOCATIONS_AT))}
    assert list(listed) == list(LOCATIONS)
    types = {each["machine_type"]: each for each in listed["eu_central"]["machine_types"]}
    assert (types["xsmall"]["cloud"], types["xsmall"]["is_available"]) == ("local", True)
    assert (types["small"]["cloud"], types["small"]["is_offered"], types["small"]["is_available"]) == (
        None, False, False,
    )  # fmt: skip


def test_a_location_is_edited_as_a_whole_or_not(people: Mapping[str, Person]) -> None:
    row = Location.objects.get(name="eu_west", machine_type="small")
    admin = people["admin"].user
    for more, field in (
        ({"cloud": "aws"}, "region"),
        ({"cloud": "moon", "region": "x"}, "cloud"),
        ({"vcpus_milli": 0}, "vcpus_milli"),
        ({"memory_mib": 0}, "memory_mib"),
    ):
        with pytest.raises(InvalidRequest) as refusal:
            services.edit_location(row=row, actor=admin, **more)
        assert refusal.value.field == field
    services.edit_location(row=row, actor=admin, cloud="aws", region="eu-west-1", memory_mib=2048)
    row.refresh_from_db()
    assert (row.cloud, row.region, row.memory_mib) == ("aws", "eu-west-1", 2048)
    event = Event.objects.get(kind="location.changed")
    assert event.after is not None
    assert event.after["fields"] == ["cloud", "region", "memory_mib"]
