"""Making, changing and trying workspaces, and the storage that they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.conf import settings as at_start
from django.db import connection
from pytest_django import Settings

from accounts.models import Event
from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import MASK, StorageRefused
from controlplane.core.storage.host import HostStorage
from jobtypes import queries, services
from jobtypes.errors import WorkspaceNotFound
from jobtypes.models import Workspace
from tests.factories import make_customer_user, make_operator
from tests.query_budget import counted
from tests.servers import Azurite, S3Server

pytestmark = pytest.mark.django_db
SECRET = "not-for-everybody"


def bucket(**members: Any) -> dict[str, Any]:
    credentials = {"access_key_id": "AKIA1", "secret_access_key": SECRET}
    return {"broker": {"type": "s3", "bucket_name": "raw-data", "credentials": credentials, **members}}


def folder_at(path: Path) -> dict[str, Any]:
    return {"broker": {"type": "host", "host_path": str(path)}}


@pytest.fixture
def root(tmp_path: Path, settings: Settings) -> Path:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    return tmp_path


def make(title: str = "Raw data", **facts: Any) -> Workspace:
    return services.create_workspace(title=title, **{"configuration": bucket(), "actor": None, **facts})


# --- Names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Raw data", "raw-data"),
        ("raw_data 2", "raw-data-2"),
        ("A title that goes on for longer than thirty letters", "a-title-that-goes-on-for-longe"),
        ("生データ", "workspace"),
        ("2026", "workspace-2026"),
        ("a" * 29 + " b", "a" * 29),
    ],
)
def test_without_a_name_it_is_called_by_its_title(title: str, name: str) -> None:
    assert make(title).name == name


@pytest.mark.parametrize("title", ["Raw data", "validation"])
def test_a_name_that_is_taken_gets_something_behind_it(title: str) -> None:
    names = {make(title).name for _ in range(3)}
    slug = title.lower().replace(" ", "-")
    assert len(names) == 3
    assert all(name.startswith(slug) for name in names)
    assert (slug in names) == (title == "Raw data")


def test_a_name_that_is_given_wins() -> None:
    assert make(name="workspace_1").name == "workspace_1"
    with pytest.raises(InvalidRequest, match="of this name") as refused:
        make(name="workspace_1")
    assert refused.value.field == "name"
    assert Workspace.objects.count() == 1


@pytest.mark.parametrize("name", ["a b", "-a", "12", "a" * 51, "validation", "a/b", "ä", "a\n"])
def test_a_name_that_could_not_stand_in_a_path_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make(name=name)
    assert refused.value.field == "name"


# --- Configurations ----------------------------------------------------------------------------------


def test_what_is_stored_is_encrypted_and_no_event_tells_the_secret() -> None:
    actor = make_operator().user
    workspace = make(actor=actor)
    services.edit_workspace(workspace, actor=actor, configuration=bucket(prefix="in"), title="Raw")
    stored = Workspace.objects.values().get(pk=workspace.pk)
    assert SECRET not in str(stored)
    assert "raw-data" not in stored["broker"]
    told = list(Event.objects.filter(subject_kind="workspace", subject_id=workspace.pk).order_by("id"))
    assert [(each.kind, each.actor) for each in told] == [("workspace.created", actor), ("workspace.edited", actor)]
    assert SECRET not in str([(each.before, each.after) for each in told])
    created, edited = told[0].after or {}, told[1].after or {}
    assert told[1].before == {"title": "Raw data", "configuration": created["configuration"]}
    assert edited["configuration"]["broker"]["prefix"] == "in"


def test_a_masked_secret_stays_what_it_is_and_another_replaces_it() -> None:
    workspace = make()
    masked = {"access_key_id": "AKIA1", "secret_access_key": MASK}
    services.edit_workspace(workspace, actor=None, configuration=bucket(prefix="in", credentials=masked))
    assert queries.workspace_configuration(workspace) == bucket(prefix="in")
    other = {"access_key_id": "AKIA1", "secret_access_key": "another"}
    services.edit_workspace(workspace, actor=None, configuration=bucket(credentials=other))
    assert queries.workspace_configuration(Workspace.objects.get()) == bucket(credentials=other)


def test_a_masked_secret_does_not_go_to_another_place() -> None:
    workspace = make()
    masked = {"access_key_id": "AKIA2", "secret_access_key": MASK}
    with pytest.raises(InvalidRequest) as refused:
        services.edit_workspace(workspace, actor=None, configuration=bucket(credentials=masked))
    assert refused.value.field == "configuration.broker.credentials.secret_access_key"
    with pytest.raises(InvalidRequest):
        make(configuration=bucket(credentials=masked))


@pytest.mark.parametrize(
    ("configuration", "field"),
    [
        ({}, "configuration.broker"),
        ([], "configuration"),
        ({"broker": {"type": "tape"}}, "configuration.broker.type"),
        ({"broker": {"type": "host", "host_path": "/etc"}}, "configuration.broker.host_path"),
        ({"broker": {"type": "host", "host_path": "/\ud800"}}, "configuration.broker.host_path"),
        ({"broker": {"type": "host", "host_path": 1e400}}, "configuration.broker.host_path"),
        (bucket(endpoint_url="http://169.254.169.254"), "configuration.broker.endpoint_url"),
        (bucket(other=1), "configuration.broker.other"),
        ({"broker": {"type": "s3", "bucket_name": "a" * 70_000}}, "configuration"),
    ],
)
def test_a_configuration_that_is_not_allowed_is_refused_by_the_name_of_its_member(
    configuration: Any, field: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        make(configuration=configuration)
    assert refused.value.field == field
    verdict = services.validate_workspace(configuration=configuration)
    (finding,) = verdict.errors
    assert finding.name == "INVALID_CONFIGURATION"
    assert finding.description.startswith(f"{field}: ")


def test_a_folder_in_the_data_folder_is_made_and_no_other_is(root: Path, settings: Settings) -> None:
    elsewhere, ours = root / "mount", Path(at_start.DATA_DIR) / "workspaces" / f"new-{os.getpid()}"
    settings.WORKSPACE_ROOTS = [str(root), str(ours.parent)]
    assert not ours.exists()
    assert services.validate_workspace(configuration=folder_at(ours)).is_valid
    assert not ours.exists()
    make("one", configuration=folder_at(ours))
    assert ours.stat().st_mode & 0o7777 == 0o750
    make("two", configuration=folder_at(elsewhere))
    assert not elsewhere.exists()


def test_a_folder_that_cannot_be_made_is_refused_by_name(settings: Settings) -> None:
    ours = Path(at_start.DATA_DIR) / "workspaces" / f"blocked-{os.getpid()}"
    ours.parent.mkdir(exist_ok=True)
    ours.touch()
    settings.WORKSPACE_ROOTS = [str(ours.parent)]
    with pytest.raises(InvalidRequest, match="cannot be made") as refused:
        make(configuration=folder_at(ours / "below"))
    assert refused.value.field == "configuration.broker.host_path"
    assert not Workspace.objects.exists()


# --- Active or not -----------------------------------------------------------------------------------


def test_it_is_deprecated_for_as_long_as_it_is_not_active() -> None:
    workspace = make(is_active=False)
    assert workspace.deprecated_at == workspace.created_at
    services.edit_workspace(workspace, actor=None, is_active=True)
    assert Workspace.objects.filter(is_active=True, deprecated_at=None).exists()
    services.edit_workspace(workspace, actor=None, is_active=False)
    off = Workspace.objects.get()
    assert off.deprecated_at == off.modified_at
    services.edit_workspace(off, actor=None, is_active=False, description="full")
    assert off.deprecated_at is not None
    assert off.deprecated_at < off.modified_at


# --- Storage -----------------------------------------------------------------------------------------


def test_its_storage_is_opened_once_until_it_is_edited(root: Path) -> None:
    workspace = make(configuration=folder_at(root))
    storage = queries.storage_of(workspace)
    storage.put("a/b", [b"content"])
    assert (root / "a" / "b").read_bytes() == b"content"
    with counted() as statements:
        assert queries.storage_of(Workspace.objects.get()) is storage
    assert len(statements) == 1
    (root / "below").mkdir()
    services.edit_workspace(workspace, actor=None, configuration=folder_at(root / "below"))
    queries.storage_of(Workspace.objects.get()).put("c", [b"more"])
    assert (root / "below" / "c").read_bytes() == b"more"


def test_a_storage_that_is_not_allowed_any_more_is_refused(root: Path, settings: Settings) -> None:
    workspace = make(configuration=folder_at(root))
    settings.WORKSPACE_ROOTS = ["/srv"]
    with pytest.raises(StorageRefused, match="raw-data cannot be used"):
        queries.storage_of(workspace)


def test_without_its_key_it_is_shown_and_edited_but_not_opened(root: Path, settings: Settings) -> None:
    workspace = make(configuration=folder_at(root))
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert queries.workspace_configuration(workspace) is None
    with pytest.raises(StorageRefused, match="No present key"):
        queries.storage_of(workspace)
    services.edit_workspace(workspace, actor=None, configuration=folder_at(root))
    queries.storage_of(workspace).check()


# --- Verdicts ----------------------------------------------------------------------------------------


def test_a_folder_that_works_is_valid_and_is_left_as_it_was(root: Path) -> None:
    assert services.validate_workspace(configuration=folder_at(root), name="raw").is_valid
    assert list(root.iterdir()) == []
    assert not Workspace.objects.exists()
    assert not Event.objects.filter(subject_kind="workspace").exists()


def test_a_verdict_names_what_is_wrong(root: Path) -> None:
    def names(configuration: Any, name: str = "") -> list[str]:
        return [each.name for each in services.validate_workspace(configuration=configuration, name=name).errors]

    assert names(folder_at(root / "missing")) == ["WORKSPACE_UNREACHABLE"]
    (root / "real").mkdir()
    assert names(folder_at(root), "a b") == ["INVALID_NAME"]
    make(name="raw")
    assert names(folder_at(root), "raw") == ["INVALID_NAME"]
    assert names(folder_at(root / "real"), "other") == []


def test_one_that_is_there_is_tried_as_it_is_or_as_it_would_be(root: Path, settings: Settings) -> None:
    workspace = make(configuration=folder_at(root))

    def names(configuration: Any = None) -> list[str]:
        return [each.name for each in services.check_workspace(workspace, configuration).errors]

    assert names() == []
    assert names(folder_at(root / "missing")) == ["WORKSPACE_UNREACHABLE"]
    masked = {"access_key_id": "AKIA1", "secret_access_key": MASK}
    assert names(bucket(credentials=masked)) == ["INVALID_CONFIGURATION"]  # whose secret would that be?
    assert names([]) == ["INVALID_CONFIGURATION"]
    assert queries.workspace_configuration(Workspace.objects.get()) == folder_at(root)
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    assert names() == ["UNREADABLE_CONFIGURATION"]
    assert names(folder_at(root)) == []


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_no_connection_is_held_while_a_storage_is_tried(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    monkeypatch.setattr(HostStorage, "check", lambda self: held.append(connection.connection is not None))
    assert services.validate_workspace(configuration=folder_at(root), name="raw").is_valid
    assert held == [False]


def test_a_bucket_is_really_tried(s3_server: S3Server, settings: Settings) -> None:
    configuration = s3_server.configuration(s3_server.make_bucket())
    assert [each.name for each in services.validate_workspace(configuration=configuration).errors] == [
        "INVALID_CONFIGURATION"
    ]
    settings.STORAGE_ENDPOINTS = [s3_server.endpoint]
    assert services.validate_workspace(configuration=configuration).is_valid
    (fault,) = services.validate_workspace(configuration=s3_server.configuration("no-such-bucket")).errors
    assert fault.name == "WORKSPACE_REFUSED"
    assert s3_server.secret_key not in fault.description
    workspace = make(configuration=configuration)
    queries.storage_of(workspace).put("a", [b"1"])
    assert queries.storage_of(workspace).stat("a").size == 1


@pytest.mark.needs("azurite")
def test_a_container_is_really_tried(azurite: Azurite, settings: Settings) -> None:
    settings.STORAGE_ENDPOINTS = [azurite.account_url]
    configuration = azurite.configuration(azurite.make_container())
    assert services.validate_workspace(configuration=configuration).is_valid
    (fault,) = services.validate_workspace(configuration=azurite.configuration("no-such-container")).errors
    assert fault.name == "WORKSPACE_REFUSED"
    assert azurite.account_key not in fault.description


# --- Queries -----------------------------------------------------------------------------------------


def test_workspaces_are_found_by_id_and_by_name() -> None:
    user, one, two = make_customer_user().user, make(name="one"), make(name="two")
    assert queries.find_workspace(user, str(one.pk)) == one
    assert queries.find_workspace(user, "two") == two
    with counted() as statements:
        assert queries.workspaces_by_name(["two", "three", "one", "two"]) == {"one": one, "two": two}
    assert len(statements) == 1
    for reference in ("three", "0", "9" * 18, "9" * 19, "", "a\0", "ä"):
        with pytest.raises(WorkspaceNotFound):
            queries.find_workspace(user, reference)
