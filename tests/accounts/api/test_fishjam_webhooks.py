"""/api/v1/webhooks and /api/v1/notifications/schema."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest

from accounts.models import Webhook
from tests.factories import Person
from tests.hooks import REFUSED_HEADERS, REFUSED_URLS, URL, make_webhook
from tests.people import WHO, everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
WEBHOOKS = "/api/v1/webhooks"
BODY = {"name": "ci", "url": URL, "authorization_header": "Bearer of-the-owner"}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


def post(person: Person, body: Any) -> Any:
    return person.client.post(WEBHOOKS, json.dumps(body), content_type="application/json")


def patch(person: Person, uuid: str, body: Any) -> Any:
    return person.client.patch(f"{WEBHOOKS}/{uuid}", json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("who", WHO)
def test_everybody_makes_lists_changes_and_removes_their_own_only(who: str, people: Mapping[str, Person]) -> None:
    person = people[who]
    others = str(make_webhook(people["stranger" if who != "stranger" else "owner"].user, form="fishjam").uuid)
    made = post(person, BODY)
    if who in ("anonymous", "disabled"):
        assert (made.status_code, made.json()) == (401, {"detail": "Unauthorized"})
        assert person.get(WEBHOOKS).status_code == 401
        assert patch(person, others, {"name": "mine"}).status_code == 401
        assert person.client.delete(f"{WEBHOOKS}/{others}").status_code == 401
        return
    assert made.status_code == 201, made.content
    shown = made.json()
    assert {**shown, **BODY, "is_enabled": True} == shown
    assert set(shown) == {*BODY, "uuid", "created_at", "is_enabled"}
    assert person.get(WEBHOOKS).json() == [shown]
    assert patch(person, others, {"name": "mine"}).status_code == 404
    assert person.client.delete(f"{WEBHOOKS}/{others}").status_code == 404
    assert patch(person, shown["uuid"], {"name": "other"}).status_code == 200
    assert person.get(WEBHOOKS).json() == [{**shown, "name": "other"}]
    assert person.client.delete(f"{WEBHOOKS}/{shown['uuid']}").status_code == 200
    assert person.client.delete(f"{WEBHOOKS}/{shown['uuid']}").status_code == 404
    assert person.get(WEBHOOKS).json() == []
    assert Webhook.objects.get().name == "ci"


def test_they_cost_little(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    with within_budget("POST /api/v1/webhooks"):
        uuid = post(owner, BODY).json()["uuid"]
    post(owner, BODY)
    with within_budget("GET /api/v1/webhooks"):
        assert len(owner.get(WEBHOOKS).json()) == 2
    with within_budget("PATCH /api/v1/webhooks"):
        patch(owner, uuid, {"is_enabled": False})
    with within_budget("DELETE /api/v1/webhooks"):
        owner.client.delete(f"{WEBHOOKS}/{uuid}")


def test_those_of_another_form_are_not_fishjam_s(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    other = str(make_webhook(owner.user).uuid)
    assert owner.get(WEBHOOKS).json() == []
    assert patch(owner, other, {"name": "mine"}).status_code == 404
    assert owner.client.delete(f"{WEBHOOKS}/{other}").status_code == 404


def test_a_uuid_may_have_no_dashes_and_be_in_either_case(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    uuid = post(owner, BODY).json()["uuid"]
    for spelt in (uuid, uuid.replace("-", ""), uuid.upper(), uuid.replace("-", "").upper()):
        assert patch(owner, spelt, {}).status_code == 200
    for strange in ("x", "7", uuid[:-1], f"{{{uuid}}}"):
        assert patch(owner, strange, {}).status_code == 404
    assert owner.client.delete(f"{WEBHOOKS}/{uuid.replace('-', '').upper()}").status_code == 200


def test_what_is_absent_or_null_stays_but_a_header_that_is_null_is_taken_away(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    made = post(owner, BODY).json()
    nothing = {"name": None, "url": None, "is_enabled": None}
    assert patch(owner, made["uuid"], nothing).json() == {"detail": "The webhook is saved."}
    assert patch(owner, made["uuid"], {"unheard": "of"}).status_code == 200
    assert owner.get(WEBHOOKS).json() == [made]
    patch(owner, made["uuid"], {"authorization_header": None, "is_enabled": False})
    assert owner.get(WEBHOOKS).json() == [{**made, "authorization_header": None, "is_enabled": False}]
    patch(owner, made["uuid"], {"authorization_header": "Bearer anew"})
    assert owner.get(WEBHOOKS).json()[0]["authorization_header"] == "Bearer anew"


@pytest.mark.parametrize("url", REFUSED_URLS.values(), ids=REFUSED_URLS)
def test_an_address_that_is_not_allowed_is_refused(url: str, people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    uuid = post(owner, BODY).json()["uuid"]
    status = 422 if "\0" in url or not url else 400
    assert post(owner, {**BODY, "url": url}).status_code == status
    assert patch(owner, uuid, {"url": url}).status_code == status
    assert [each["url"] for each in owner.get(WEBHOOKS).json()] == [URL]


@pytest.mark.parametrize("header", REFUSED_HEADERS.values(), ids=REFUSED_HEADERS)
def test_what_is_no_header_is_refused_with_its_place(header: str, people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    uuid = post(owner, BODY).json()["uuid"]
    for answer in (
        post(owner, {**BODY, "authorization_header": header}),
        patch(owner, uuid, {"authorization_header": header}),
    ):
        assert answer.status_code == 422
        assert {tuple(each["loc"]) for each in answer.json()["detail"]} == {("body", "authorization_header")}
    assert owner.get(WEBHOOKS).json()[0]["authorization_header"] == BODY["authorization_header"]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {},
        {"name": "ci", "url": URL},  # the header may be null, not absent
        {**BODY, "name": None},
        {**BODY, "name": ""},
        {**BODY, "name": "x" * 256},
        {**BODY, "name": "a\0b"},
        {**BODY, "name": 7},
        {**BODY, "url": 7},
        {**BODY, "url": None},
        {**BODY, "url": f"https://example.com/{'x' * 2048}"},
        {**BODY, "authorization_header": 7},
    ],
)
def test_a_body_that_cannot_be_read_is_refused(body: Any, people: Mapping[str, Person]) -> None:
    assert post(people["owner"], body).status_code == 422
    assert not Webhook.objects.exists()


def test_there_is_an_end_to_how_many_one_has(people: Mapping[str, Person], settings: Any) -> None:
    settings.MAX_WEBHOOKS = 1
    assert post(people["owner"], BODY).status_code == 201
    refused = post(people["owner"], BODY)
    assert (refused.status_code, refused.json()["detail"]) == (400, "You have 1 webhooks already, which is the most.")


# --- The schema ------------------------------------------------------------------------------------


def test_everybody_reads_the_schema_of_what_is_sent(people: Mapping[str, Person]) -> None:
    with within_budget("GET /api/v1/notifications/schema"):
        answer = people["anonymous"].get("/api/v1/notifications/schema")
    assert answer.status_code == 200
    schema = answer.json()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    data = {"uuid": "x", "name": "mine", "title": "CreateContainerData"}
    assert validator.is_valid({"kind": "create_container", "data": {**data, "status": "running"}})
    assert validator.is_valid({"kind": "create_container", "data": {**data, "reason": "invalid_status"}})
    deleted = {**data, "title": "DeleteContainerData", "status": "deleted"}
    assert validator.is_valid({"kind": "delete_container", "data": deleted})
    assert not validator.is_valid({"kind": "create_container", "data": deleted})
    assert not validator.is_valid({"kind": "create_container", "data": data})
    assert not validator.is_valid({"kind": "moved_container", "data": {**data, "status": "running"}})
