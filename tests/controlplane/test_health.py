"""/livez and /readyz."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from jobs.models import Place, RunsFor
from tests.answers import text_of
from tests.factories import make_place
from tests.query_budget import counted


def readyz() -> tuple[int, dict[str, Any]]:
    answer = Client().get("/readyz")
    assert answer.headers["Content-Type"] == "application/json"
    return answer.status_code, answer.json()


def test_livez_answers_without_a_database() -> None:
    answer = Client().get("/livez")
    assert (answer.status_code, text_of(answer)) == (200, "ok\n")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/"])
@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_there_is_no_other_method(path: str, method: str) -> None:
    assert getattr(Client(), method)(path).status_code == 405


@pytest.mark.django_db
def test_without_any_worker_it_is_503_and_says_what_to_start() -> None:
    status, body = readyz()
    assert (status, body["ready"]) == (503, False)
    assert body["parts"]["database"] == {"ok": True, "vendor": connection.vendor}
    assert body["parts"]["scheduler"]["ok"] is False
    assert "manage.py work" in body["parts"]["scheduler"]["hint"]


@pytest.mark.django_db
def test_with_a_worker_that_was_just_here_it_is_200() -> None:
    make_place(runs_for=RunsFor.STAFF)
    with counted() as statements:
        status, body = readyz()
    assert (status, body["ready"]) == (200, True)
    assert body["parts"]["scheduler"]["runs_jobs_of"] == "staff"
    assert 0 <= body["parts"]["scheduler"]["silent_seconds"] < 5
    assert len(statements) == 2


@pytest.mark.django_db
@pytest.mark.parametrize(("silent", "expected"), [(14, 200), (16, 503)])
def test_a_worker_may_be_silent_for_15_seconds(silent: int, expected: int) -> None:
    place = make_place()
    Place.objects.filter(pk=place.pk).update(seen_at=timezone.now() - timedelta(seconds=silent))
    status, body = readyz()
    assert status == expected
    assert body["parts"]["scheduler"]["silent_seconds"] >= silent


@pytest.mark.django_db
def test_a_worker_of_another_region_is_not_ours(settings: Settings) -> None:
    make_place()
    settings.LOCAL_REGION = "elsewhere"
    assert readyz()[0] == 503


@pytest.mark.django_db
def test_a_cloud_that_is_not_configured_is_no_fault_and_names_what_it_needs() -> None:
    make_place()
    status, body = readyz()
    assert status == 200
    assert body["parts"]["aws"] == {"ok": True, "configured": False, "missing": ["AWS_REGIONS", "AWS_BATCH_QUEUES"]}
    assert body["parts"]["azure"]["configured"] is False
    assert body["parts"]["local"] == {"ok": True, "configured": True}


@pytest.mark.django_db
def test_without_the_database_it_is_503_and_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise DatabaseError("password=hunter2")

    monkeypatch.setattr(connection, "cursor", fail)
    status, body = readyz()
    assert (status, body["ready"]) == (503, False)
    assert "scheduler" not in body["parts"]
    assert "DATABASE_URL" in body["parts"]["database"]["hint"]
    assert "hunter2" not in str(body)


@pytest.mark.django_db
def test_a_cloud_whose_calls_fail_is_told_and_keeps_nobody_from_working(settings: Settings) -> None:
    settings.AWS_REGIONS, settings.AWS_BATCH_QUEUES = ["north-1"], {"north-1": {"LOW": "bulk"}}
    make_place()
    Place.objects.create(cloud="aws", region="north-1", failure="batch:SubmitJob is denied")
    status, body = readyz()
    assert (status, body["parts"]["aws"]) == (
        200,
        {"ok": True, "configured": True, "failing": {"north-1": "batch:SubmitJob is denied"}},
    )
    assert body["parts"]["azure"]["configured"] is False


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("key", "secrets", "expected"),
    [
        ("", [], {"configured": False, "missing": ["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"]}),
        ("sk_test_1", [], {"configured": False, "missing": ["STRIPE_WEBHOOK_SECRET"]}),
        ("sk_test_1", ["whsec_1"], {"configured": True}),
    ],
)
def test_whether_stripe_is_set_up_is_told_and_keeps_nobody_from_working(
    key: str, secrets: list[str], expected: dict[str, Any], settings: Settings
) -> None:
    settings.STRIPE_API_KEY, settings.STRIPE_WEBHOOK_SECRETS = key, secrets
    make_place()
    status, body = readyz()
    assert (status, body["parts"]["stripe"]) == (200, {"ok": True, **expected})
    assert "sk_test_1" not in str(body)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("prometheus", "PROMETHEUS_URL"),
        ("loki", "LOKI_URL"),
        ("slack", "SLACK_WEBHOOK_URL"),
        ("google", "GOOGLE_CLIENT_ID"),
    ],
)
def test_what_else_is_set_up_is_told(part: str, name: str, settings: Any) -> None:
    setattr(settings, name, "")
    assert readyz()[1]["parts"][part] == {"ok": True, "configured": False, "missing": [name]}
    setattr(settings, name, "https://somewhere.example")
    assert readyz()[1]["parts"][part] == {"ok": True, "configured": True}
