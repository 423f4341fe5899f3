"""Programs of MapReduce jobs in the admin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from pytest_django import Settings

from jobs.models import Artifact
from jobs.services.artifacts import put_artifact
from tests.browsers import OTHERS, browser
from tests.factories import make_customer_user, make_operator
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
LIST = "/admin/jobs/artifact/"
ADD = "/admin/jobs/artifact/add/"


@pytest.fixture(autouse=True)
def _storage(tmp_path: Path, settings: Settings) -> None:
    settings.ARTIFACT_STORAGE = {"type": "host", "host_path": str(tmp_path / "programs")}


def _made(name: str = "mapper", content: bytes = b"first", **more: Any) -> Artifact:
    return put_artifact(actor=more.pop("actor", None) or make_operator().user, name=name, source=[content], **more)


def _page(row: Artifact, name: str = "change") -> str:
    return reverse(f"admin:jobs_artifact_{name}", args=[row.pk])


def _typed(**wishes: Any) -> dict[str, Any]:
    return {"name": "mapper", "protocol": "apollo", "program": SimpleUploadedFile("m", b"a program"), **wishes}


def test_a_program_is_uploaded_edited_and_deleted() -> None:
    client = browser("operator")
    client.post(ADD, _typed())
    row = Artifact.objects.get()
    assert (row.name, row.customer, row.size, row.owner.username) == ("mapper", None, 9, "browser-operator")
    client.post(ADD, _typed(program=SimpleUploadedFile("m", b"another")))
    client.post(_page(row, "edit"), {"protocol": "streaming"})
    row.refresh_from_db()
    assert (row.version, row.protocol) == (2, "streaming")
    page = client.get(_page(row)).content.decode()
    for number in (1, 2):
        assert f"/v6/artifacts/mapper/content/?version={number}" in page
    client.post(_page(row, "remove"))
    assert list(client.get(LIST).context["cl"].result_list) == []
    assert client.get(_page(row, "remove")).status_code == 404


def test_a_customer_s_program_is_downloaded_as_theirs() -> None:
    row = _made(actor=make_customer_user("owner", "acme & sons").user)
    page = browser("monitor").get(_page(row)).content.decode()
    assert "acme &amp; sons" in page
    address = "/v6/artifacts/mapper/content/?customer=acme+%26+sons&version=1"
    assert address.replace("&", "&amp;") in page
    answer: Any = browser("monitor").get(address)
    assert b"".join(answer.streaming_content) == b"first"


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"name": "a/b"}, "name"),
        ({"name": ""}, "name"),
        ({"protocol": "smoke"}, "protocol"),
        ({"program": ""}, "program"),
        ({"program": SimpleUploadedFile("m", b"")}, "program"),
    ],
)
def test_what_is_not_valid_names_the_field(wish: dict[str, Any], field: str) -> None:
    answer = browser("operator").post(ADD, _typed(**wish))
    assert list(answer.context["form"].errors) == [field]
    assert not Artifact.objects.exists()


def test_the_list_is_searched_filtered_and_costs_the_same_with_more() -> None:
    operator = make_operator().user
    mapper, reducer = _made(actor=operator), _made("reducer", actor=operator, protocol="streaming")
    client, found = browser("monitor"), []
    for count in (0, 8):
        for number in range(count):
            _made(f"more-{number}", actor=operator)
        with within_budget("admin: artifacts") as statements:
            client.get(LIST)
        found.append(len(statements))
    assert found[0] == found[1]
    assert list(client.get(LIST, {"q": "red"}).context["cl"].result_list) == [reducer]
    assert list(client.get(LIST, {"protocol": "streaming"}).context["cl"].result_list) == [reducer]
    assert mapper in list(client.get(LIST, {"protocol": "apollo"}).context["cl"].result_list)


@pytest.mark.parametrize(
    ("role", "written"), [("admin", 200), ("operator", 200), ("monitor", 403), *((role, 302) for role in OTHERS)]
)
def test_who_may(role: str, written: int) -> None:
    row, client = _made(), browser(role)
    for path in (LIST, _page(row)):
        assert client.get(path).status_code == (302 if role in OTHERS else 200)
    for path in (ADD, _page(row, "edit"), _page(row, "remove")):
        assert client.get(path).status_code == written
    if written != 200:
        client.post(_page(row, "remove"))
        assert Artifact.objects.filter(deleted_at=None).exists()
