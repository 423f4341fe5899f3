"""/v6/webhooks/."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from accounts import services
from accounts.models import DeliveryStatus, Event, Webhook
from controlplane.core.encryption import decrypt
from tests.answers import json_of
from tests.factories import Person
from tests.hooks import REFUSED_HEADERS, REFUSED_URLS, URL, make_delivery, make_webhook
from tests.people import WHO, everybody, refused
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
WEBHOOKS = "/v6/webhooks/"
BODY = {"name": "ci", "url": URL}


@pytest.fixture
def people() -> Mapping[str, Person]:
    return everybody()


def send(person: Person, method: str, path: str, body: Any = None, **headers: str) -> Any:
    call = getattr(person.client, method)
    return call(path, json.dumps(body), content_type="application/json", headers=headers)


def of(webhook: Webhook, *more: str) -> str:
    return f"{WEBHOOKS}{'/'.join([str(webhook.uuid), *more])}/"


# --- Who -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", WHO)
def test_each_does_to_the_owner_s_what_the_table_says(who: str, people: Mapping[str, Person]) -> None:
    webhook, person = make_webhook(people["owner"].user), people[who]
    make_delivery(webhook, 1)
    reads = 200 if who in ("admin", "operator", "monitor", "owner") else 404
    changes = {"admin": 200, "owner": 200, "operator": 403, "monitor": 403}.get(who, 404)
    if who in ("anonymous", "disabled"):
        reads = changes = 401
    assert person.get(of(webhook)).status_code == reads
    assert person.get(of(webhook, "deliveries")).status_code == reads
    assert person.get(of(webhook, "deliveries", "1")).status_code == reads
    assert send(person, "patch", of(webhook), {"name": "x"}).status_code == changes
    assert send(person, "post", of(webhook, "rotate-secret")).status_code == changes
    assert send(person, "post", of(webhook, "redeliver"), {"position": 1}).status_code == changes
    assert send(person, "delete", of(webhook)).status_code == (204 if changes == 200 else changes)
    listed = person.get(WEBHOOKS)
    assert listed.status_code == (401 if reads == 401 else 200)
    assert Webhook.objects.exists() is (changes != 200)


@pytest.mark.parametrize("who", ["admin", "operator", "monitor", "owner", "colleague", "stranger"])
def test_everybody_makes_their_own(who: str, people: Mapping[str, Person]) -> None:
    others = make_webhook(people["owner" if who != "owner" else "stranger"].user)
    made = send(people[who], "post", WEBHOOKS, BODY)
    assert made.status_code == 201, made.content
    assert made.json()["owner"] == people[who].user.username
    assert send(people[who], "patch", f"{WEBHOOKS}{made.json()['id']}/", {"name": "mine"}).status_code == 200
    seen = {each["uuid"] for each in json_of(people[who].get(WEBHOOKS))["results"]}
    staff = who in ("admin", "operator", "monitor")
    assert seen == {made.json()["uuid"], *([str(others.uuid)] if staff else [])}


# --- What ----------------------------------------------------------------------------------------


def test_its_secret_is_shown_when_it_is_made_and_never_again(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    body = {**BODY, "authorization": "Bearer hidden", "kinds": ["job.moved"], "subject_kind": "job", "subject_id": 7}
    with within_budget("POST /v6/webhooks/"):
        made = send(owner, "post", WEBHOOKS, body)
    assert made.headers["Cache-Control"] == "no-store"
    shown = made.json()
    row = Webhook.objects.get()
    assert decrypt(row.secrets) == {"signing": shown.pop("secret"), "authorization": "Bearer hidden"}
    assert made.headers["Location"].endswith(f"{WEBHOOKS}{row.pk}/")
    assert shown == {
        "id": row.pk, "uuid": str(row.uuid), "owner": "owner", "name": "ci", "url": URL, "form": "standard",
        "kinds": ["job.moved"], "subject_kind": "job", "subject_id": 7, "has_authorization": True,
        "is_enabled": True, "disabled_because": "", "failures": 0, "failing_since": None, "next_call_at": None,
        "created": shown["created"],
    }  # fmt: skip
    with within_budget("GET /v6/webhooks/{id}/"):
        assert json_of(owner.get(of(row))) == shown
    make_webhook(owner.user)
    with within_budget("GET /v6/webhooks/"):
        listed = json_of(owner.get(WEBHOOKS, order="id"))["results"]
    assert listed[0] == shown
    assert "hidden" not in json.dumps(listed)


def test_repeated_with_its_key_it_is_made_once(people: Mapping[str, Person]) -> None:
    first, again = (send(people["owner"], "post", WEBHOOKS, BODY, **{"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["secret"].startswith("whsec_")
    assert again.json() == {**first.json(), "secret": None}
    refused(send(people["owner"], "post", WEBHOOKS, {**BODY, "name": "x"}, **{"Idempotency-Key": "k"}), 422)


def test_fishjam_s_are_there_with_their_form(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    make_webhook(owner.user)
    made = send(owner, "post", "/api/v1/webhooks", {**BODY, "authorization_header": "Bearer x"}).json()
    found = json_of(owner.get(WEBHOOKS, form="fishjam"))["results"]
    assert [(each["uuid"], each["form"], each["has_authorization"]) for each in found] == [
        (made["uuid"], "fishjam", True)
    ]


def test_a_new_secret_is_shown_once(people: Mapping[str, Person]) -> None:
    webhook = make_webhook(people["owner"].user)
    with within_budget("POST /v6/webhooks/{id}/rotate-secret/"):
        answer = send(people["owner"], "post", of(webhook, "rotate-secret"))
    assert answer.headers["Cache-Control"] == "no-store"
    webhook.refresh_from_db()
    assert answer.json() == {"secret": decrypt(webhook.secrets)["signing"]}


def test_what_is_null_is_taken_away(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    webhook = make_webhook(owner.user, "Bearer x", subject_kind="job", subject_id=7)
    with within_budget("PATCH /v6/webhooks/{id}/"):
        changed = send(owner, "patch", of(webhook), {"authorization": None, "subject_kind": None}).json()
    assert (changed["has_authorization"], changed["subject_kind"], changed["subject_id"]) == (False, None, None)


@pytest.mark.parametrize("url", REFUSED_URLS.values(), ids=REFUSED_URLS)
def test_an_address_that_is_not_called_is_refused_by_name(url: str, people: Mapping[str, Person]) -> None:
    webhook = make_webhook(people["owner"].user)
    refused(send(people["owner"], "post", WEBHOOKS, {**BODY, "url": url}), 400, "", "url")
    refused(send(people["owner"], "patch", of(webhook), {"url": url}), 400, "", "url")


@pytest.mark.parametrize("header", REFUSED_HEADERS.values(), ids=REFUSED_HEADERS)
def test_what_is_no_header_is_refused_by_name(header: str, people: Mapping[str, Person]) -> None:
    webhook = make_webhook(people["owner"].user)
    body = {"authorization": header}
    refused(send(people["owner"], "post", WEBHOOKS, {**BODY, **body}), 400, "", "authorization")
    refused(send(people["owner"], "patch", of(webhook), body), 400, "", "authorization")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " "}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": 7}, "name"),
        ({"url": f"https://example.com/{'x' * 2048}"}, "url"),
        ({"form": "slack"}, "form"),
        ({"kinds": ["job.exploded"]}, "kinds"),
        ({"kinds": "job.moved"}, "kinds"),
        ({"subject_kind": "planet"}, "subject_kind"),
        ({"subject_id": 7}, "subject_kind"),
        ({"subject_kind": "job", "subject_id": -1}, "subject_id"),
        ({"subject_kind": "job", "subject_id": 2**63}, "subject_id"),
        ({"secret": "whsec_x"}, "secret"),
        ({"owner": "stranger"}, "owner"),
    ],
)
def test_what_cannot_be_is_refused_by_name(more: dict[str, Any], field: str, people: Mapping[str, Person]) -> None:
    answer = send(people["owner"], "post", WEBHOOKS, {**BODY, **more})
    assert answer.status_code == 400
    assert field in {each["field"].partition(".")[0] for each in answer.json()["errors"]}, answer.json()
    assert not Webhook.objects.exists()


def test_with_a_key_a_secret_is_rotated_once_and_shown_once(people: Mapping[str, Person]) -> None:
    owner, key = people["owner"], {"Idempotency-Key": "k"}
    webhook = make_webhook(owner.user)
    first, second = (owner.post(of(webhook, "rotate-secret"), headers=key) for _ in range(2))
    webhook.refresh_from_db()
    assert json_of(first)["secret"] == decrypt(webhook.secrets)["signing"]
    assert json_of(second)["secret"] is None


def test_with_a_key_a_range_is_sent_again_once(people: Mapping[str, Person]) -> None:
    owner, key = people["owner"], {"Idempotency-Key": "k"}
    webhook = make_webhook(owner.user)
    make_delivery(webhook, 1)
    answers = [owner.post(of(webhook, "redeliver"), {"position": 1}, headers=key) for _ in range(2)]
    assert [json_of(answer) for answer in answers] == [{"count": 1}] * 2
    assert Event.objects.filter(kind="webhook.redelivered").count() == 1


def test_a_stranger_s_path_is_as_one_that_is_not_there(people: Mapping[str, Person]) -> None:
    webhook = make_webhook(people["owner"].user)
    there, not_there = people["stranger"].get(of(webhook)), people["stranger"].get(f"{WEBHOOKS}{webhook.pk + 1}/")
    assert (there.status_code, there.json()) == (not_there.status_code, not_there.json())
    refused(there, 404, "WEBHOOK_NOT_FOUND")


# --- Deliveries ----------------------------------------------------------------------------------


def test_the_log_shows_what_came_of_each_call_the_newest_first(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    webhook = make_webhook(owner.user)
    make_delivery(make_webhook(owner.user), 1)
    for position in (1, 2):
        make_delivery(webhook, position)
    make_delivery(webhook, 3, DeliveryStatus.PENDING)
    with within_budget("GET /v6/webhooks/{id}/deliveries/"):
        page = json_of(owner.get(of(webhook, "deliveries")))
    assert [each["position"] for each in page["results"]] == [3, 2, 1]
    first = page["results"][-1]
    assert first["subject"] == {"kind": "job", "id": 7}
    assert first["tries"] == [{"at": "2026-01-02T03:04:05+00:00", "status": 500, "took_ms": 12, "answer": "no"}]
    assert (first["kind"], first["status"], first["attempts"], "body" in first) == ("job.moved", "FAILED", 1, False)
    whole = json_of(owner.get(of(webhook, "deliveries", "1")))
    assert whole == {**first, "body": '{"kind": "job.moved"}'}
    failed = json_of(owner.get(of(webhook, "deliveries"), status="FAILED", page_size=1))
    assert (failed["count"], [each["position"] for each in failed["results"]]) == (2, [2])
    assert [each["position"] for each in owner.get(failed["next"]).json()["results"]] == [1]
    assert json_of(owner.get(of(webhook, "deliveries"), kind="job.submitted"))["results"] == []
    refused(owner.get(of(webhook, "deliveries"), status="LOST"), 400, "", "status")
    refused(owner.get(of(webhook, "deliveries"), stauts="FAILED"), 400, "", "stauts")
    refused(owner.get(of(webhook, "deliveries", "4")), 404, "DELIVERY_NOT_FOUND")


def test_one_or_a_range_is_sent_again(people: Mapping[str, Person]) -> None:
    owner = people["owner"]
    webhook = make_webhook(owner.user)
    for position in (1, 2, 3):
        make_delivery(webhook, position)
    assert send(owner, "post", of(webhook, "redeliver"), {"position": 2}).json() == {"count": 1}
    with within_budget("POST /v6/webhooks/{id}/redeliver/"):
        assert send(owner, "post", of(webhook, "redeliver"), {"first": 1, "last": 3}).json() == {"count": 3}
    assert webhook.deliveries.filter(status=DeliveryStatus.PENDING).count() == 3
    services.change_webhook(webhook=webhook, actor=None, is_enabled=False)
    refused(send(owner, "post", of(webhook, "redeliver"), {"position": 2}), 409, "WEBHOOK_DISABLED")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "position"),
        ({"first": 1}, "position"),
        ({"first": 1, "last": 2, "position": 1}, "position"),
        ({"first": 2, "last": 1}, "last"),
        ({"position": 0}, "position"),
        ({"position": "1"}, "position"),
        ({"position": 1, "force": True}, "force"),
    ],
)
def test_what_is_no_range_is_refused_by_name(body: Any, field: str, people: Mapping[str, Person]) -> None:
    webhook = make_webhook(people["owner"].user)
    refused(send(people["owner"], "post", of(webhook, "redeliver"), body), 400, "", field)
