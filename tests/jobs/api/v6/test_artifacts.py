"""/v6/artifacts/: programs, their versions and bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django import Settings

from jobs.models import Artifact
from tests.factories import Person
from tests.jobs.api.v6.answers import assert_error, good
from tests.jobs.api.v6.conftest import People
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/artifacts/"
ONE = f"{PATH}mapper/"
CONTENT = b"#!/bin/sh\nexit 0\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Settings) -> Path:
    settings.ARTIFACT_STORAGE = {"type": "host", "host_path": str(tmp_path / "programs")}
    return tmp_path / "programs"


def upload(person: Person, content: bytes = CONTENT, **more: Any) -> Any:
    """POST a program; `more` are parameters of the address, or headers."""
    headers = {"Authorization": f"Bearer {person.token}"} if person.token else {}
    headers |= more.pop("headers", {})
    query = {name: value for name, value in {"name": "mapper", **more}.items() if value is not None}
    kind = "application/octet-stream"
    return Client().post(
        PATH, content, content_type=kind, query_params=query, headers=headers, CONTENT_LENGTH=str(len(content))
    )


def rows(person: Person, **parameters: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = good(person.get(PATH, **parameters))["results"]
    return found


def bytes_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


def test_an_uploaded_program_is_shown_and_read_back(people: People) -> None:
    answer = upload(people.owner, protocol="streaming")
    shown = good(answer, 201)
    assert answer.headers["Location"] == f"http://testserver{ONE}"
    assert shown == good(people.owner.get(ONE))
    assert (shown["name"], shown["customer"], shown["owner"]) == ("mapper", "acme", "owner")
    assert shown["protocol"] == "streaming"
    assert (shown["version"], shown["size"], shown["sha256"]) == (1, len(CONTENT), SHA256)
    content = people.owner.get(f"{ONE}content/")
    assert bytes_of(content) == CONTENT
    assert content.headers["ETag"] == f'"{SHA256}"'
    assert content.headers["Content-Disposition"] == 'attachment; filename="mapper"'
    assert content.headers["Content-Length"] == str(len(CONTENT))


def test_versions_are_listed_and_read(people: People) -> None:
    for content in (CONTENT, b"second", b"second"):
        good(upload(people.owner, content), 201)
    versions = good(people.owner.get(f"{ONE}versions/"))
    assert [each["version"] for each in versions] == [2, 1]
    assert versions[1]["sha256"] == SHA256
    assert bytes_of(people.owner.get(f"{ONE}content/", version=1)) == CONTENT
    assert bytes_of(people.owner.get(f"{ONE}content/")) == b"second"
    assert_error(people.owner.get(f"{ONE}content/", version=3), 404)
    for wrong in ("0", "x", "-1", "1" * 11):
        assert_error(people.owner.get(f"{ONE}content/", version=wrong), 400, field="version")


def test_the_list_is_filtered_ordered_and_costs_the_same_with_more(people: People) -> None:
    for number in range(3):
        upload(people.owner, name=f"owner-{number}", protocol="streaming" if number else "apollo")
    upload(people.operator, name="staff")
    with within_budget("GET /v6/artifacts/") as few:
        assert len(rows(people.operator)) == 4
    for number in range(5):
        upload(people.stranger, name=f"other-{number}")
    with within_budget("GET /v6/artifacts/") as many:
        assert len(rows(people.operator)) == 9
    assert len(few) == len(many)
    names = [each["name"] for each in rows(people.operator, protocol="streaming", order="-name")]
    assert names == ["owner-2", "owner-1"]
    assert [each["name"] for each in rows(people.operator, customer="acme", name="owner-0")] == ["owner-0"]
    assert_error(people.operator.get(PATH, protocol="smoke"), 400, field="protocol")


def test_a_protocol_is_chosen(people: People) -> None:
    upload(people.owner)
    assert good(people.owner.patch(ONE, {"protocol": "streaming"}))["protocol"] == "streaming"
    assert good(upload(people.owner, b"second"), 201)["protocol"] == "streaming"
    for body in ({"protocol": "smoke"}, {}, {"protocol": "apollo", "name": "x"}):
        assert people.owner.patch(ONE, body).status_code == 400


def test_staff_name_whose_artifact_they_mean(people: People) -> None:
    upload(people.owner)
    upload(people.operator, b"the staff's")
    assert good(people.operator.get(ONE))["customer"] is None
    assert good(people.operator.get(ONE, customer="acme"))["sha256"] == SHA256
    assert bytes_of(people.monitor.get(f"{ONE}content/", customer="acme")) == CONTENT
    assert_error(people.operator.get(ONE, customer="nobody"), 404)
    assert_error(people.stranger.get(ONE, customer="acme"), 404)
    for strange in ("a\0", "\0"):
        assert_error(people.operator.get(ONE, customer=strange), 404)
        assert_error(people.operator.get(f"{PATH}{strange}/"), 404)
    assert people.operator.delete(f"{ONE}?customer=acme").status_code == 204
    assert [each.customer for each in Artifact.objects.filter(deleted_at=None)] == [None]


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": None}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": ".."}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "a" * 256}, "name"),
        ({"protocol": "smoke"}, "protocol"),
        ({"protocol": ""}, "protocol"),
        ({"color": "red"}, "color"),
        ({"headers": {"Idempotency-Key": "once"}}, "Idempotency-Key"),
    ],
)
def test_what_an_upload_says_wrongly_is_named(people: People, wish: dict[str, Any], field: str) -> None:
    assert_error(upload(people.owner, **wish), 400, field=field)
    assert not Artifact.objects.exists()


def test_an_empty_program_and_one_that_is_too_large_are_refused(people: People, settings: Settings) -> None:
    assert_error(upload(people.owner, b""), 400, field="program")
    settings.MAX_ARTIFACT_MIB = 0
    assert_error(upload(people.owner), 413)
    assert not Artifact.objects.exists()


@pytest.mark.parametrize(
    ("who", "read", "changed"),
    [
        ("owner", 200, 200), ("colleague", 200, 403), ("stranger", 404, 404),
        ("monitor", 200, 403), ("operator", 200, 200), ("admin", 200, 200), ("anonymous", 401, 401),
    ],
)  # fmt: skip
def test_who_reads_and_changes_it(people: People, who: str, read: int, changed: int) -> None:
    upload(people.owner)
    person = people[who]
    query = "?customer=acme" if who in ("admin", "operator", "monitor") else ""
    for path in (ONE, f"{ONE}versions/", f"{ONE}content/"):
        assert person.client.get(f"{path}{query}").status_code == read, path
    assert person.patch(f"{ONE}{query}", {"protocol": "streaming"}).status_code == changed
    if who in ("colleague", "monitor", "anonymous"):
        assert upload(person, b"other").status_code == changed
    removed = person.client.delete(f"{ONE}{query}").status_code
    assert removed == (204 if changed == 200 else changed)
    assert Artifact.objects.get().version == 1
