"""`manage.py import_apollo`: programs of a folder, once."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.test.client import encode_multipart
from pytest_django import Settings

from jobs.models import Artifact
from tests.factories import make_customer_user, make_operator

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    """As Apollo leaves it: an executable file for each artifact."""
    settings.ARTIFACT_STORAGE = {"type": "host", "host_path": str(tmp_path / "programs")}
    made = tmp_path / "artifacts"
    made.mkdir()
    (made / "mapper").write_bytes(b"#!/bin/sh\nmap\n")
    (made / "reducer").write_bytes(b"#!/bin/sh\nreduce\n")
    return made


def said(folder: Path, *options: str) -> str:
    out = io.StringIO()
    try:
        call_command("import_apollo", str(folder), *options, stdout=out)
    except CommandError as error:
        out.write(f"ended: {error}")
    return out.getvalue()


def test_programs_become_a_customer_s_artifacts_once(folder: Path) -> None:
    owner = make_customer_user("ann", "acme")
    stranger = make_customer_user("eve", "other")
    told = said(folder, "--customer", "acme", "--dry-run")
    assert "artifact: 2 new." in told
    assert not Artifact.objects.exists()
    assert not list(folder.parent.glob("programs/**/*.*"))

    assert "new      artifact 'mapper': 14 bytes, of acme" in said(folder, "--customer", "acme")
    assert [each["name"] for each in owner.get("/api/v1/artifacts").json()] == ["mapper", "reducer"]
    assert stranger.get("/api/v1/artifacts").json() == []
    told = said(folder, "--customer", "acme")
    assert "artifact: 2 kept." in told
    assert "new" not in told

    (folder / "mapper").write_bytes(b"#!/bin/sh\nanother\n")
    assert "artifact: 1 changed, 1 kept." in said(folder, "--customer", "acme")
    assert Artifact.objects.get(name="mapper").version == 2


def test_the_hash_is_that_of_an_upload(folder: Path) -> None:
    """A client that uploads the same program again finds it there, unchanged."""
    owner = make_customer_user("ann", "acme")
    said(folder, "--owner", "ann")
    body = encode_multipart("b", {"program": SimpleUploadedFile("mapper", (folder / "mapper").read_bytes())})
    answer = owner.client.put("/api/v1/artifacts", body, content_type="multipart/form-data; boundary=b")
    assert answer.status_code == 200, answer.content
    assert json.loads(answer.content)["type"] == "executable"
    assert Artifact.objects.get(name="mapper").version == 1


def test_what_is_no_program_is_told(folder: Path) -> None:
    make_operator("mary")
    (folder / "empty").touch()
    (folder / "below").mkdir()
    (folder / "elsewhere").symlink_to("/etc/hostname")
    (folder / "a\nb").write_bytes(b"x")
    (folder / "reducer").chmod(0)
    told = said(folder, "--owner", "mary")
    for line in (
        "new      artifact 'mapper': 14 bytes, of the staff",
        "failed   artifact 'empty': The program is empty.",
        "left     artifact 'below': it is no file",
        "left     artifact 'elsewhere': it is no file",
        "failed   artifact 'a\\nb': name: A name has from 1 to 255 printable characters",
        "ended: Not all could be taken over",
    ):
        assert line in told, told
    assert os.geteuid() == 0 or "failed   artifact 'reducer': It cannot be read: Permission denied." in told


def test_a_program_that_is_too_large_is_told(folder: Path, settings: Settings) -> None:
    settings.MAX_ARTIFACT_MIB = 1
    make_operator("mary")
    (folder / "mapper").write_bytes(b"x" * (2**20 + 1))
    assert "failed   artifact 'mapper': The file has more than 1048576 bytes." in said(folder, "--owner", "mary")


def test_who_owns_them_has_to_be_there(folder: Path) -> None:
    assert "ended: There is no customer 'acme' with an enabled user." in said(folder, "--customer", "acme")
    assert "ended: There is no user called 'ann'." in said(folder, "--owner", "ann")
    assert "No such file or directory" in said(folder / "none", "--owner", make_operator("mary").user.username)
    with pytest.raises(CommandError, match="one of the arguments"):
        call_command("import_apollo", str(folder))
