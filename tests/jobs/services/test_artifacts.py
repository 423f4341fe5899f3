"""Artifacts below their surfaces: what happens when things go wrong or at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import IntegrityError
from pytest_django import Settings

from controlplane.core.errors import Conflict, Forbidden
from controlplane.core.storage import StorageUnavailable
from jobs.errors import ArtifactNotFound
from jobs.models import Artifact, ArtifactVersion
from jobs.queries import artifacts as queries
from jobs.services import artifacts
from tests.factories import make_customer_user, make_operator

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def storage(tmp_path: Path, settings: Settings) -> Path:
    settings.ARTIFACT_STORAGE = {"type": "host", "host_path": str(tmp_path / "programs")}
    return tmp_path / "programs"


def objects(storage: Path) -> list[str]:
    return sorted(each.name for each in storage.rglob("*") if each.is_file())


def test_bytes_that_break_off_leave_nothing(storage: Path) -> None:
    def source() -> Iterator[bytes]:
        yield b"the beginning"
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        artifacts.put_artifact(actor=make_operator().user, name="mapper", source=source())
    assert objects(storage) == []
    assert not Artifact.objects.exists()


def test_an_artifact_made_while_the_bytes_flow_gets_another_version(storage: Path) -> None:
    user = make_customer_user("owner").user

    def source() -> Iterator[bytes]:
        yield b"second"
        artifacts.put_artifact(actor=user, name="mapper", source=[b"first"])

    made = artifacts.put_artifact(actor=user, name="mapper", source=source())
    assert (made.version, made.size) == (2, len(b"second"))
    assert [each.number for each in ArtifactVersion.objects.order_by("number")] == [1, 2]
    assert len(objects(storage)) == 2


def test_a_colleague_s_made_while_the_bytes_flow_stays_theirs(storage: Path) -> None:
    user, colleague = make_customer_user("owner").user, make_customer_user("colleague").user

    def source() -> Iterator[bytes]:
        yield b"mine"
        artifacts.put_artifact(actor=colleague, name="mapper", source=[b"theirs"])

    with pytest.raises(Forbidden):
        artifacts.put_artifact(actor=user, name="mapper", source=source())
    assert Artifact.objects.get().owner == colleague
    assert len(objects(storage)) == 1


def test_who_comes_second_with_a_removal_is_told(storage: Path) -> None:
    user = make_operator().user
    made = artifacts.put_artifact(actor=user, name="mapper", source=[b"first"])
    artifacts.delete_artifact(made, actor=user)
    with pytest.raises(ArtifactNotFound):
        artifacts.delete_artifact(made, actor=user)
    with pytest.raises(ArtifactNotFound):
        artifacts.edit_artifact(made, actor=user, protocol="streaming")


def test_an_artifact_is_removed_though_its_storage_fails(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = make_operator().user
    made = artifacts.put_artifact(actor=user, name="mapper", source=[b"first"])

    def fail(path: str) -> None:
        raise StorageUnavailable("it is out of reach")

    monkeypatch.setattr(queries.artifact_storage(), "delete", fail)
    artifacts.delete_artifact(made, actor=user)
    assert not queries.own_artifacts(user).exists()
    assert len(objects(storage)) == 1


def test_it_gives_up_where_others_are_always_faster(storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> bool:
        raise IntegrityError

    monkeypatch.setattr(artifacts, "_insert", fail)
    with pytest.raises(Conflict):
        artifacts.put_artifact(actor=make_operator().user, name="mapper", source=[b"first"])
    assert objects(storage) == []
