"""Apollo's artifacts: what its clients send, and what they must not get past."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from django.test import Client
from pytest_django import Settings

from accounts.models import Event
from jobs.models import Artifact, ArtifactVersion
from jobs.queries.artifacts import artifact_storage, path_of
from tests.answers import text_of
from tests.contracts.mapreduce import ARTIFACTS, BOUNDARY, CONTENT, MULTIPART, ONE, put
from tests.people import everybody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
SHOWN = {"name": "mapper", "type": "executable", "size": len(CONTENT), "hash": hashlib.sha256(CONTENT).hexdigest()}


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Settings) -> Path:
    settings.ARTIFACT_STORAGE = {"type": "host", "host_path": str(tmp_path / "programs")}
    return tmp_path / "programs"


def _objects(storage: Path) -> int:
    return sum(1 for each in storage.rglob("*") if each.is_file())


# --- What Apollo's clients do --------------------------------------------------------------------


def test_a_program_is_put_listed_shown_and_removed(storage: Path) -> None:
    owner = everybody()["owner"]
    with within_budget("PUT /api/v1/artifacts"):
        answer = put(owner.client)
    assert (answer.status_code, answer.json()) == (200, SHOWN)
    version = ArtifactVersion.objects.get()
    assert b"".join(artifact_storage().get(path_of(version))) == CONTENT
    with within_budget("GET /api/v1/artifacts"):
        assert owner.get(ARTIFACTS).json() == [SHOWN]
    assert owner.get(ONE).json() == SHOWN
    with within_budget("DELETE /api/v1/artifacts"):
        answer = owner.delete(ONE)
    assert (answer.status_code, answer.content) == (204, b"")
    assert owner.get(ARTIFACTS).json() == []
    assert _objects(storage) == 0


def test_other_bytes_are_a_new_version_and_the_same_ones_are_none(storage: Path) -> None:
    client = everybody()["owner"].client
    for content, versions in ((CONTENT, 1), (CONTENT, 1), (b"other", 2), (CONTENT, 3)):
        shown = put(client, content=content).json()
        assert shown["hash"] == hashlib.sha256(content).hexdigest()
        assert ArtifactVersion.objects.count() == versions
        assert _objects(storage) == versions
    assert Event.objects.filter(kind="artifact.uploaded").count() == 3


def test_a_name_that_was_removed_is_free_again() -> None:
    owner = everybody()["owner"]
    put(owner.client)
    owner.delete(ONE)
    assert put(owner.client).json() == SHOWN
    assert Artifact.objects.count() == 2


@pytest.mark.parametrize("name", ["map per", "é.bin", "upload", "42", "a" * 255])
def test_a_name_is_what_the_file_is_called(name: str) -> None:
    owner = everybody()["owner"]
    assert put(owner.client, name).json()["name"] == name
    assert owner.get(f"{ARTIFACTS}/{name}").json()["name"] == name


def test_of_a_path_the_last_part_is_the_name() -> None:
    body = _body('name="program"; filename="/path/to/binary/executable"')
    answer = everybody()["owner"].client.put(ARTIFACTS, body, content_type=MULTIPART)
    assert answer.json()["name"] == "executable"


def test_the_headers_of_the_samples_do_no_harm() -> None:
    """`--header 'Content-Type: application/json'` on requests without a body."""
    owner = everybody()["owner"]
    put(owner.client)
    assert owner.client.get(ONE, content_type="application/json", headers={"Accept": "*/*"}).json() == SHOWN
    assert owner.client.delete(ONE, content_type="application/json").status_code == 204


@pytest.mark.parametrize("path", [f"{ARTIFACTS}/", f"{ONE}/"])
def test_every_path_works_with_its_slash(path: str) -> None:
    owner = everybody()["owner"]
    put(owner.client)
    assert owner.get(path).status_code == 200


# --- What is refused -----------------------------------------------------------------------------


def _body(disposition: str, content: bytes = CONTENT) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return head + content + f"\r\n--{BOUNDARY}--\r\n".encode()


_TWO = _body('name="program"; filename="a"').removesuffix(b"--\r\n") + b"\r\n" + _body('name="program"; filename="b"')


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "program"),
        (b"no form at all", "program"),
        (_body('name="program"'), "program"),  # a text, no file
        (_body('name="other"; filename="mapper"'), "program"),
        (_body('name="program"; filename=""'), "program"),
        (_body('name="program"; filename="mapper"', b""), "empty"),
        (_body(f'name="program"; filename="{"a" * 256}"'), "name"),
        (_TWO, "program"),
    ],
)  # fmt: skip
def test_what_is_no_program_is_refused_and_leaves_nothing(body: bytes, words: str, storage: Path) -> None:
    answer = everybody()["owner"].client.put(ARTIFACTS, body, content_type=MULTIPART)
    assert answer.status_code == 400
    assert words in text_of(answer)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert not Artifact.objects.exists()
    assert _objects(storage) == 0


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
def test_a_body_of_another_kind_is_answered_without_a_word(kind: str) -> None:
    answer = everybody()["owner"].client.put(ARTIFACTS, b"{}", content_type=kind)
    assert (answer.status_code, answer.content) == (415, b"")


def test_one_that_is_too_large_ends_where_it_becomes_so(settings: Settings, storage: Path) -> None:
    settings.MAX_ARTIFACT_MIB = 1
    client = everybody()["owner"].client
    assert put(client, content=b"x" * 2**20).status_code == 200
    answer = put(client, content=b"x" * (2**20 + 1))
    assert answer.status_code == 413
    assert "1048576" in text_of(answer) or "MiB" in text_of(answer)
    assert _objects(storage) == 1


def test_where_the_storage_fails_nothing_is_there(settings: Settings, storage: Path) -> None:
    client = everybody()["owner"].client
    put(client)
    storage.rename(storage.with_name("gone"))
    answer = put(client, "reducer")
    assert answer.status_code in (502, 503)
    assert [each["name"] for each in client.get(ARTIFACTS).json()] == ["mapper"]


@pytest.mark.parametrize("method", ["post", "patch", "delete"])
def test_a_wrong_method_is_said_to_be_one(method: str) -> None:
    answer = getattr(everybody()["owner"].client, method)(ARTIFACTS)
    assert answer.status_code == 405
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert "PUT" in answer.headers["Allow"]


def test_a_path_that_nobody_knows_is_answered_in_text() -> None:
    answer = Client().get(f"{ONE}/versions")
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "text/plain; charset=utf-8")


# --- Who may -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "seen", "replaced", "removed"),
    [
        ("owner", 200, 200, 204),
        ("colleague", 200, 403, 403),
        ("stranger", 404, 200, 404),  # another customer's names are others
        ("operator", 404, 200, 404),
        ("admin", 404, 200, 404),
        ("monitor", 404, 403, 404),
        ("anonymous", 401, 401, 401),
        ("disabled", 401, 401, 401),
    ],
)
def test_who_sees_replaces_and_removes_the_artifact_of_a_customer(
    who: str, seen: int, replaced: int, removed: int
) -> None:
    people = everybody()
    put(people["owner"].client)
    client = people[who].client
    assert client.get(ONE).status_code == seen
    assert client.get(ARTIFACTS).status_code == (401 if seen == 401 else 200)
    assert put(client, content=b"other").status_code == replaced
    mine = Artifact.objects.get(customer=people["owner"].user.customer)
    assert (mine.version == 1) is (who != "owner")
    others = Artifact.objects.exclude(pk=mine.pk)
    assert client.delete(ONE).status_code == (204 if others.exists() else removed)
    mine.refresh_from_db()
    assert (mine.deleted_at is None) is (who != "owner")


def test_the_staff_s_artifacts_are_one_another_s() -> None:
    people = everybody()
    put(people["operator"].client)
    assert people["admin"].get(ONE).json() == SHOWN
    assert people["monitor"].get(ONE).json() == SHOWN
    assert people["owner"].get(ONE).status_code == 404
    assert people["monitor"].delete(ONE).status_code == 403
    assert people["admin"].delete(ONE).status_code == 204


def test_without_a_token_one_is_whom_the_setting_names(settings: Settings) -> None:
    people = everybody()
    settings.MAPREDUCE_ANONYMOUS_USER = "owner"
    assert put(Client()).json() == SHOWN
    assert Artifact.objects.get().owner == people["owner"].user
    # A token that is wrong, or none of ours, is not nobody's.
    for header in ("Bearer wrong", "Basic eDp5", "Bearer"):
        answer = Client(headers={"Authorization": header}).get(ONE)
        assert answer.status_code == 401, header
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="mapreduce"'
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    for name in ("disabled", "nobody-of-this-name"):
        settings.MAPREDUCE_ANONYMOUS_USER = name
        assert Client().get(ONE).status_code == 401, name
    # Nor is a session of the admin a token.
    client = Client()
    client.force_login(people["admin"].user)
    assert client.get(ONE).status_code == 401
    settings.MAPREDUCE_ANONYMOUS_USER = "owner"
    assert Client().get("/v6/artifacts/").status_code == 401  # on this surface only
