"""Image versions in the admin."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from accounts.models import Customer
from clusters.models import ImageVersion
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser
from tests.fleet import make_version
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
VERSIONS = "/admin/clusters/imageversion/"
WISH = {"version": "2.0", "image": "registry/media:2.0", "max_restarts": "3", "metrics_path": "/metrics"}


def page_of(row: ImageVersion, name: str = "change") -> str:
    return reverse(f"admin:clusters_imageversion_{name}", args=[row.pk])


@pytest.mark.parametrize("role", STAFF)
def test_staff_read_and_only_admins_add_and_change(role: str) -> None:
    row, client = make_version(env={"KEY": "very-hidden"}), browser(role)
    shown = text_of(client.get(VERSIONS)) + text_of(client.get(page_of(row)))
    assert "localhost/media:1.0" in shown
    assert "very-hidden" not in shown
    for path in (f"{VERSIONS}add/", page_of(row, "edit")):
        assert client.get(path).status_code == (200 if role == "admin" else 403)
        if role != "admin":
            assert client.post(path, WISH).status_code == 403
    assert ImageVersion.objects.count() == 1


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_else_gets_in(role: str) -> None:
    row = make_version()
    for path in (VERSIONS, f"{VERSIONS}add/", page_of(row), page_of(row, "edit")):
        assert "/admin/login/" in browser(role).get(path).headers["Location"]


def test_the_list_costs_the_same_and_finds_a_version() -> None:
    for number in range(4):
        make_version(f"1.{number}")
    client = browser("monitor")
    with within_budget("admin: image versions"):
        client.get(VERSIONS)
    assert [row.version for row in client.get(VERSIONS, {"q": "1.2"}).context["cl"].result_list] == ["1.2"]


def test_an_admin_adds_a_version() -> None:
    Customer.objects.create(name="acme")
    documents = {"command": '["media"]', "env": '{"A": "b"}', "ports": '[{"number": 5002}]', "probe_port": "5002"}
    answer = browser("admin").post(f"{VERSIONS}add/", {**WISH, **documents, "customers": "acme", "is_default": "on"})
    row = ImageVersion.objects.get()
    assert answer.headers["Location"] == page_of(row)
    assert (row.command, row.env, row.probe_port, row.max_restarts) == (["media"], {"A": "b"}, 5002, 3)
    assert row.ports == [{"number": 5002, "protocol": "tcp"}]
    assert row.is_default
    assert [each.name for each in row.customers.all()] == ["acme"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", ""), ("version", "1.0"), ("image", ""), ("command", "{}"), ("command", "[1]"), ("command", '[""]'),
        ("env", "[]"), ("env", '{"A": 1}'), ("ports", "5002"), ("ports", "[5002]"), ("ports", '[{"number": 0}]'),
        ("probe_port", "5002"), ("probe_path", "x"), ("metrics_port", "70000"), ("metrics_path", "x"),
        ("max_restarts", "-1"), ("customers", "nobody"),
    ],
)  # fmt: skip
def test_what_is_refused_is_told_at_its_field(field: str, value: str) -> None:
    make_version()
    answer = browser("admin").post(f"{VERSIONS}add/", {**WISH, field: value})
    assert answer.status_code == 200
    assert field in answer.context["form"].errors
    assert ImageVersion.objects.count() == 1


def test_an_admin_says_whom_a_version_is_for_and_nothing_else() -> None:
    row, acme = make_version(), Customer.objects.create(name="acme")
    assert set(browser("admin").get(page_of(row, "edit")).context["form"].fields) == {
        *("is_default", "is_deprecated", "customers"),
    }
    wish: dict[str, Any] = {"is_deprecated": "on", "customers": "acme", "image": "other"}
    assert browser("admin").post(page_of(row, "edit"), wish).headers["Location"] == page_of(row)
    row.refresh_from_db()
    assert (row.is_default, row.is_deprecated, list(row.customers.all())) == (False, True, [acme])
    assert row.image == "localhost/media:1.0"
    answer = browser("admin").post(page_of(row, "edit"), {"customers": "nobody"})
    assert "customers" in answer.context["form"].errors
