"""Files in workspaces: registering, uploading, describing, deleting."""

from __future__ import annotations

import hashlib
import tracemalloc
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from pytest_django import Settings

from accounts.models import Event
from controlplane.core.errors import Forbidden, InvalidRequest
from controlplane.core.storage import NoSuchFile, StorageUnavailable, Stored, TooBig
from controlplane.core.storage.host import HostStorage
from jobs import queries, services
from jobs.errors import FileDeleted, FileExists, FileNotFound
from jobs.models import File
from jobs.services.files import guess_media_type
from jobtypes.models import Workspace
from jobtypes.queries import storage_of
from jobtypes.services import create_workspace, edit_workspace
from tests.factories import Person, make_customer_user, make_monitor, make_operator
from tests.query_budget import counted
from tests.servers import Azurite, S3Server

pytestmark = pytest.mark.django_db
CONTENT = b"some bytes\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MIB = 2**20


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    return tmp_path


@pytest.fixture
def workspace(folder: Path) -> Workspace:
    configuration = {"broker": {"type": "host", "host_path": str(folder)}}
    return create_workspace(title="Raw", name="raw", configuration=configuration, actor=None)


@pytest.fixture
def ada() -> Person:
    return make_customer_user("ada", "acme")


def upload(
    person: Person, workspace: Workspace, path: str = "in/a.txt", content: Any = (CONTENT,), **more: Any
) -> File:
    return services.upload_file(actor=person.user, workspace=workspace, path=path, source=content, **more)


def told_of(file: File) -> list[tuple[str, Any]]:
    rows = Event.objects.filter(subject_kind="file", subject_id=file.pk).order_by("id")
    return list(rows.values_list("kind", "after"))


# --- Uploading ---------------------------------------------------------------------------------------


def test_an_upload_is_stored_hashed_and_told_of(ada: Person, workspace: Workspace, folder: Path) -> None:
    file = upload(ada, workspace, content=iter([b"some ", b"", b"bytes\n"]))
    file.refresh_from_db()
    assert (folder / "in" / "a.txt").read_bytes() == CONTENT
    assert (file.name, file.path, file.media_type, file.file_type) == ("a.txt", "in/a.txt", "text/plain", "SOURCE")
    assert (file.size, file.sha256) == (len(CONTENT), SHA256)
    assert (file.owner, file.customer) == (ada.user, ada.user.customer)
    what = {"workspace": "raw", "path": "in/a.txt", "size": len(CONTENT), "sha256": SHA256}
    assert told_of(file) == [("file.uploaded", what)]


def test_an_empty_file_can_be_uploaded(ada: Person, workspace: Workspace, folder: Path) -> None:
    file = upload(ada, workspace, content=[])
    assert (file.size, file.sha256) == (0, hashlib.sha256(b"").hexdigest())
    assert (folder / "in" / "a.txt").read_bytes() == b""


def test_a_path_that_is_taken_is_refused_before_a_byte_is_read(ada: Person, workspace: Workspace, folder: Path) -> None:
    upload(ada, workspace)
    (folder / "unknown").write_text("somebody's")

    unread = iter([b"somebody else's"])
    with pytest.raises(FileExists) as refused:
        upload(ada, workspace, content=unread)
    assert refused.value.field == "path"
    with pytest.raises(FileExists, match="nobody has registered"):
        upload(ada, workspace, "unknown", content=unread)
    assert next(unread)
    assert (folder / "unknown").read_text() == "somebody's"


def test_of_two_uploads_to_one_path_the_first_to_end_wins(ada: Person, workspace: Workspace, folder: Path) -> None:
    def slow() -> Iterator[bytes]:
        yield b"slow "
        upload(ada, workspace, content=[b"quick"])
        yield b"slow"

    with pytest.raises(FileExists):
        upload(ada, workspace, content=slow())
    file = File.objects.get()
    assert (folder / "in" / "a.txt").read_bytes() == b"quick"
    assert file.sha256 == hashlib.sha256(b"quick").hexdigest()
    assert [path.name for path in (folder / "in").iterdir()] == ["a.txt"]


def test_an_upload_that_breaks_off_leaves_nothing(ada: Person, workspace: Workspace, folder: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        upload(ada, workspace, content=broken())
    assert not File.objects.exists()
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert not Event.objects.filter(subject_kind="file").exists()
    assert upload(ada, workspace).pk


def test_a_storage_that_fails_at_the_very_end_leaves_nothing(
    ada: Person, workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, seen = HostStorage.put, []

    def kept_but_not_told(self: HostStorage, path: str, source: Iterable[bytes], **more: Any) -> Stored:
        put(self, path, source, **more)
        seen.append(File.objects.filter(path=path).count())
        raise StorageUnavailable

    monkeypatch.setattr(HostStorage, "put", kept_but_not_told)
    with pytest.raises(StorageUnavailable):
        upload(ada, workspace)
    assert seen == [1]  # the row is there before the file can be seen
    assert not File.objects.exists()
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    monkeypatch.undo()
    assert upload(ada, workspace).pk


def test_a_file_that_is_too_big_is_refused_as_soon_as_that_is_known(
    ada: Person, workspace: Workspace, folder: Path, settings: Settings
) -> None:
    settings.MAX_UPLOAD_MIB = 1
    given = iter([b"a" * MIB, b"b", b"c"])
    with pytest.raises(TooBig):
        upload(ada, workspace, content=given)
    assert next(given) == b"c"
    assert not File.objects.exists()
    assert upload(ada, workspace, content=[b"a" * MIB]).size == MIB


def test_a_big_file_goes_through_little_memory(ada: Person, workspace: Workspace, folder: Path) -> None:
    tracemalloc.start()
    try:
        file = upload(ada, workspace, content=(bytes(MIB // 4) for _ in range(256)))
        services.measure_file(workspace, file.path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert file.size == 64 * MIB
    assert peak < 8 * MIB


@pytest.mark.django_db(transaction=True, serialized_rollback=True)
def test_no_connection_is_held_while_bytes_flow(
    ada: Person, workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, held = HostStorage.put, []

    def source() -> Iterator[bytes]:
        held.append(connection.connection is not None)
        yield CONTENT

    def put_and_look(self: HostStorage, path: str, source: Iterable[bytes], **more: Any) -> Stored:
        stored = put(self, path, source, **more)
        held.append(connection.connection is not None)
        return stored

    monkeypatch.setattr(HostStorage, "put", put_and_look)
    upload(ada, workspace, content=source())
    assert held == [False, False]
    monkeypatch.setattr(
        HostStorage, "get", lambda self, path, start=0: iter([b"x" if connection.connection is None else b""])
    )
    assert services.measure_file(workspace, "in/a.txt").size == 1


@pytest.mark.parametrize(
    "path", ["", "/a", "a/../b", "./a", "a//b", "a/", "a\0", "a\\b", "a" * 256, "b/" * 600 + "a", "\ud800", "jobs/1/a"]
)
def test_a_path_that_is_none_is_refused_by_name(ada: Person, workspace: Workspace, path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        upload(ada, workspace, path)
    assert refused.value.field == "path"
    assert not File.objects.exists()


def test_a_workspace_that_is_not_active_takes_no_files(ada: Person, workspace: Workspace) -> None:
    edit_workspace(workspace, actor=None, is_active=False)
    with pytest.raises(InvalidRequest) as refused:
        upload(ada, workspace)
    assert refused.value.field == "workspace"


def test_staff_say_whose_a_file_is_and_customers_cannot(ada: Person, workspace: Workspace) -> None:
    operator = make_operator()
    assert upload(operator, workspace, "1").customer is None
    assert upload(operator, workspace, "2", customer="acme").customer == ada.user.customer
    assert upload(ada, workspace, "3", customer="acme").customer == ada.user.customer
    with pytest.raises(Forbidden) as forbidden:
        upload(ada, workspace, "4", customer="other")
    assert forbidden.value.field == "customer"
    with pytest.raises(InvalidRequest) as refused:
        upload(operator, workspace, "5", customer="nobody")
    assert refused.value.field == "customer"
    with pytest.raises(Forbidden):
        upload(make_monitor(), workspace, "6")
    assert File.objects.count() == 3


# --- Other storages ----------------------------------------------------------------------------------


def _works_with(workspace: Workspace, ada: Person) -> None:
    big = bytes(range(256)) * (MIB // 16)  # 16 MiB: more than one part
    file = upload(ada, workspace, "in/scene.tif", [big[:MIB], big[MIB:]])
    assert (file.size, file.sha256) == (len(big), hashlib.sha256(big).hexdigest())
    storage = storage_of(workspace)
    assert storage.stat("in/scene.tif").media_type == "image/tiff"
    with pytest.raises(FileExists):
        upload(ada, workspace, "in/scene.tif")

    def broken() -> Iterator[bytes]:
        yield big
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        upload(ada, workspace, "broken", broken())
    with pytest.raises(NoSuchFile):
        storage.stat("broken")
    storage.put("there", [CONTENT])
    found = services.register_file(actor=make_operator().user, workspace=workspace, path="there")
    assert (found.size, found.sha256) == (len(CONTENT), SHA256)
    services.delete_file(file, actor=ada.user)
    with pytest.raises(NoSuchFile):
        storage.stat("in/scene.tif")
    assert list(File.objects.filter(deleted_at=None)) == [found]


def test_it_works_with_a_bucket(s3_server: S3Server, settings: Settings, ada: Person) -> None:
    settings.STORAGE_ENDPOINTS = [s3_server.endpoint]
    configuration = s3_server.configuration(s3_server.make_bucket())
    _works_with(create_workspace(title="Bucket", configuration=configuration, actor=None), ada)


@pytest.mark.needs("azurite")
def test_it_works_with_a_container(azurite: Azurite, settings: Settings, ada: Person) -> None:
    settings.STORAGE_ENDPOINTS = [azurite.account_url]
    configuration = azurite.configuration(azurite.make_container())
    _works_with(create_workspace(title="Container", configuration=configuration, actor=None), ada)


# --- Registering -------------------------------------------------------------------------------------


def test_a_file_that_is_there_becomes_known(ada: Person, workspace: Workspace, folder: Path) -> None:
    operator = make_operator()
    (folder / "scene.tif").write_bytes(CONTENT)
    at = datetime(2026, 3, 1, tzinfo=UTC)
    about: dict[str, Any] = {"data_started_at": at, "source_sensor": "msi", "meta_data": {"cloudy": False}}
    file = services.register_file(actor=operator.user, workspace=workspace, path="scene.tif", customer="acme", **about)
    file.refresh_from_db()
    assert (file.size, file.sha256, file.media_type) == (len(CONTENT), SHA256, "image/tiff")
    assert (file.owner, file.customer) == (operator.user, ada.user.customer)
    assert (file.data_started_at, file.source_sensor, file.meta_data) == (at, "msi", {"cloudy": False})
    assert [kind for kind, _ in told_of(file)] == ["file.registered"]
    with pytest.raises(FileExists):
        services.register_file(actor=operator.user, workspace=workspace, path="scene.tif")
    assert File.objects.count() == 1


def test_whoever_is_no_operator_registers_nothing(ada: Person, workspace: Workspace, folder: Path) -> None:
    (folder / "secret").write_bytes(CONTENT)
    for person in (ada, make_monitor()):
        with pytest.raises(Forbidden):
            services.register_file(actor=person.user, workspace=workspace, path="secret")


def test_what_is_not_there_cannot_be_registered(workspace: Workspace, folder: Path) -> None:
    actor = make_operator().user
    (folder / "folder").mkdir()
    for path in ("missing", "folder", "a/../b"):
        with pytest.raises(InvalidRequest) as refused:
            services.register_file(actor=actor, workspace=workspace, path=path)
        assert refused.value.field == "path"


def test_a_hash_that_is_given_is_not_read(workspace: Workspace, folder: Path, settings: Settings) -> None:
    settings.MAX_UPLOAD_MIB = 1
    (folder / "big").write_bytes(b"a" * (MIB + 1))
    assert services.measure_file(workspace, "big", "0" * 64) == Stored(MIB + 1, "0" * 64)
    for sha256 in ("", "0" * 63, "A" * 64):
        with pytest.raises(InvalidRequest) as refused:
            services.measure_file(workspace, "big", sha256)
        assert refused.value.field == "sha256"


# --- Describing --------------------------------------------------------------------------------------


def test_a_description_is_changed_and_told_of(ada: Person, workspace: Workspace) -> None:
    file, at = upload(ada, workspace), datetime(2026, 3, 1, tzinfo=UTC)
    before = file.modified_at
    point = {"type": "Point", "coordinates": [13.4, 52.5]}
    services.edit_file(file, actor=ada.user, media_type="text/csv", geometry=point, data_ended_at=at, source_task="")
    file.refresh_from_db()
    assert (file.media_type, file.geometry, file.data_ended_at) == ("text/csv", point, at)
    assert file.modified_at > before
    assert told_of(file)[1:] == [("file.edited", {"changed": ["data_ended_at", "geometry", "media_type"]})]
    services.edit_file(file, actor=ada.user, geometry=None)
    assert File.objects.get().geometry is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("media_type", "text"),
        ("media_type", "text/plain\r\nX: y"),
        ("source_sensor", "a" * 129),
        ("meta_data", []),
        ("meta_data", None),
        ("meta_data", {"a": "\0"}),
        ("meta_data", {"a": float("inf")}),
        ("meta_data", {"a": "b" * 70_000}),
        ("geometry", {"type": "Circle"}),
        ("geometry", {"type": "Point", "coordinates": ["a", "b"]}),
        ("geometry", {"type": "Feature", "geometry": None}),
        ("geometry", 7),
    ],
)
def test_a_description_that_is_none_is_refused_by_name(
    ada: Person, workspace: Workspace, field: str, value: Any
) -> None:
    file = upload(ada, workspace)
    with pytest.raises(InvalidRequest) as refused:
        services.edit_file(file, actor=ada.user, **{field: value})
    assert refused.value.field == field


def test_nothing_ends_before_it_starts(ada: Person, workspace: Workspace) -> None:
    file = upload(ada, workspace)
    early, late = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
    services.edit_file(file, actor=ada.user, source_started_at=late)
    with pytest.raises(InvalidRequest) as refused:
        services.edit_file(file, actor=ada.user, source_ended_at=early)
    assert refused.value.field == "source_ended"
    services.edit_file(file, actor=ada.user, source_ended_at=early, source_started_at=None)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.tif", "image/tiff"),
        ("a.TXT", "text/plain"),
        ("a.json", "application/json"),
        ("a.geojson", "application/geo+json"),
        ("a.tar.gz", "application/gzip"),
        ("a.csv.xz", "application/x-xz"),
        ("a", "application/octet-stream"),
        ("a.nobody-knows", "application/octet-stream"),
        ("http:a.txt", "text/plain"),
    ],
)
def test_the_media_type_is_guessed_from_the_name(name: str, kind: str) -> None:
    assert guess_media_type(name) == kind


# --- Deleting ----------------------------------------------------------------------------------------


def test_a_deleted_file_keeps_its_row_and_frees_its_path(ada: Person, workspace: Workspace, folder: Path) -> None:
    file = upload(ada, workspace)
    services.delete_file(file, actor=ada.user)
    assert not (folder / "in" / "a.txt").exists()
    file.refresh_from_db()
    assert file.deleted_at is not None
    assert [kind for kind, _ in told_of(file)] == ["file.uploaded", "file.deleted"]
    with pytest.raises(FileDeleted):
        services.edit_file(file, actor=ada.user, source_task="x")
    again = upload(ada, workspace, content=[b"new"])
    services.delete_file(file, actor=ada.user)  # the path is the new file's
    assert (folder / "in" / "a.txt").read_bytes() == b"new"
    assert list(File.objects.filter(deleted_at=None)) == [again]
    assert len(told_of(file)) == 2


def test_what_the_storage_did_not_delete_is_deleted_by_asking_again(
    ada: Person, workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: HostStorage, path: str) -> None:
        raise StorageUnavailable

    file = upload(ada, workspace)
    monkeypatch.setattr(HostStorage, "delete", fail)
    with pytest.raises(StorageUnavailable):
        services.delete_file(file, actor=ada.user)
    assert File.objects.filter(deleted_at__isnull=False).exists()
    assert (folder / "in" / "a.txt").exists()
    monkeypatch.undo()
    services.delete_file(file, actor=ada.user)
    assert not (folder / "in" / "a.txt").exists()
    assert [kind for kind, _ in told_of(file)] == ["file.uploaded", "file.deleted"]


# --- Queries -----------------------------------------------------------------------------------------


def test_files_are_readable_by_their_customer_and_by_staff(ada: Person, workspace: Workspace) -> None:
    operator, stranger = make_operator(), make_customer_user("eve", "other")
    colleague = make_customer_user("bob", "acme")
    mine, gone, staffs = (
        upload(person, workspace, path) for path, person in zip("123", (ada, ada, operator), strict=True)
    )
    services.delete_file(gone, actor=ada.user)
    ids = [mine.pk, gone.pk, staffs.pk, mine.pk, 0]
    for person, found in ((ada, {mine}), (colleague, {mine}), (stranger, set()), (operator, {mine, staffs})):
        with counted() as statements:
            readable = queries.readable_files(person.user, ids)
            assert {each.workspace.name for each in readable.values()} <= {"raw"}
        assert set(readable.values()) == found
        assert set(readable) == {each.pk for each in found}
        assert len(statements) == 1
    assert queries.find_file(colleague.user, str(mine.uuid), "read") == mine
    with pytest.raises(Forbidden):
        queries.find_file(colleague.user, str(mine.pk), "change")
    for reference in (str(mine.pk), "x", str(9**9)):
        with pytest.raises(FileNotFound):
            queries.find_file(stranger.user, reference, "read")
