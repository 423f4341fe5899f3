"""Files in the admin: the list, a page, and how they come, are described and go."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpRequest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import Event
from controlplane.core.storage import StorageUnavailable
from controlplane.core.storage.host import HostStorage
from jobs import services, states
from jobs.admin.files import FILTERS, FileAdmin, shown_size
from jobs.models import Execution, File, FileType
from jobtypes.models import Workspace
from jobtypes.services import create_workspace, edit_workspace
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.factories import Stage, make_customer_user, make_job_in
from tests.query_budget import counted, within_budget
from tests.recipes import make_file

pytestmark = pytest.mark.django_db
LIST = reverse("admin:jobs_file_changelist")
ADD = reverse("admin:jobs_file_add")
CONTENT = b"some bytes\n"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    return tmp_path


@pytest.fixture
def workspace(folder: Path) -> Workspace:
    configuration = {"broker": {"type": "host", "host_path": str(folder)}}
    return create_workspace(title="Raw", name="raw", configuration=configuration, actor=None)


@pytest.fixture
def file(workspace: Workspace) -> File:
    """A file with its bytes."""
    return services.upload_file(
        actor=make_customer_user("ada").user, workspace=workspace, path="in/a.txt", source=[CONTENT]
    )


def page_of(row: File, act: str = "change") -> str:
    return reverse(f"admin:jobs_file_{act}", args=[row.pk])


def wish_of(**values: Any) -> dict[str, Any]:
    return {"workspace": "raw", "path": "in/a.txt", "media_type": "", "customer": "", "sha256": "", **values}


def sent(content: bytes = CONTENT) -> SimpleUploadedFile:
    return SimpleUploadedFile("its own name.bin", content)


def told(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def listed(client: Client, **parameters: Any) -> list[int]:
    answer = client.get(LIST, parameters)
    assert answer.status_code == 200
    return [row.pk for row in answer.context["cl"].result_list]


def faults(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 200
    return dict(answer.context["form"].errors)


# --- The list ------------------------------------------------------------------------------------


def test_staff_see_the_list_and_others_do_not() -> None:
    row = make_file(name="scene.tif", size=3 * 2**20)
    for role in STAFF:
        page = browser(role).get(LIST).content.decode()
        for text in ("scene.tif", "results", "3.0 MiB", "SOURCE", page_of(row)):
            assert text in page
    for role in OTHERS:
        assert browser(role).get(LIST).status_code == 302


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 * 2**40, "5.0 TiB"), (2**53, "8192.0 TiB")],
)
def test_sizes_are_said_as_people_say_them(size: int, text: str) -> None:
    assert f">{text}<" in shown_size(size)


def test_each_filter_finds_its_own() -> None:
    job = make_job_in(states.COMPLETED)
    first, second = make_file(name="scene-1.tif"), make_file(name="scene_2.tif")
    File.objects.filter(pk=first.pk).update(job=job, file_type=FileType.PRODUCT)
    services.delete_file(second, actor=somebody())
    client, both = browser("monitor"), [second.pk, first.pk]
    for parameters, found in (
        ({"workspace": "results"}, both),
        ({"workspace": "result"}, []),
        ({"name": "scene"}, both),
        ({"name": "scene-"}, [first.pk]),
        ({"name": "scene_"}, [second.pk]),  # no wildcard
        ({"name": "%"}, []),
        ({"name": "cene"}, []),
        ({"job": str(job.pk)}, [first.pk]),
        ({"job": f" {job.uuid} "}, [first.pk]),
        ({"job": "999999"}, []),
        ({"job": "none"}, []),
        ({"file_type": "PRODUCT"}, [first.pk]),
        ({"file_type": "SOURCE"}, [second.pk]),
        ({"deleted": "1"}, [second.pk]),
        ({"deleted": "0"}, [first.pk]),
        ({"deleted": "0", "file_type": "SOURCE"}, []),
        ({"workspace": "results", "name": "scene", "job": str(job.pk), "deleted": "0"}, [first.pk]),
    ):
        assert listed(client, **parameters) == found, parameters


def test_search_takes_an_id_a_uuid_or_the_beginning_of_a_name() -> None:
    first, second = make_file(name="scene.tif"), make_file(name="mask.tif")
    client = browser("monitor")
    for term, found in (
        (str(first.pk), [first.pk]),
        (str(second.uuid), [second.pk]),
        ("sce", [first.pk]),
        ("ene", []),
        ("%", []),
        ("999999999", []),
    ):
        assert listed(client, q=term) == found, term


def test_a_nul_is_looked_for_nowhere() -> None:
    row, client = make_file(name="a.txt"), browser("monitor")
    for name in ("workspace", "name", "job", "file_type", "q"):
        assert listed(client, **{name: "\0"}) == [row.pk]
    assert listed(client, name="a\0.t") == [row.pk]


def test_nothing_but_the_filters_is_taken_from_the_address() -> None:
    assert browser("admin").get(LIST, {"owner__password__startswith": "a"}).status_code == 400


def test_the_list_costs_the_same_with_more_rows_and_reads_no_documents() -> None:
    client, costs = browser("operator"), []
    for count in (2, 20):
        for _ in range(count):
            make_file(make_customer_user(f"owner-{File.objects.count()}"))
        with mock.patch.object(FileAdmin, "list_per_page", 50), within_budget("admin: files") as statements:
            listed(client)
        costs.append(len(statements))
        shown = str(statements)
        assert "meta_data" not in shown
        assert "OFFSET" not in shown.upper()
        assert "COUNT(" not in shown.upper()
    assert len(set(costs)) == 1


@pytest.mark.skipif(connection.vendor != "postgresql", reason="plans are PostgreSQL's")
def test_a_filter_that_finds_little_among_much_is_served_by_an_index() -> None:
    """The rare ones are the oldest: walked by the id, all the others came first."""
    rare = create_workspace(title="Rare", name="rare", configuration=_bucket(), actor=None)
    usual = create_workspace(title="Usual", name="usual", configuration=_bucket(), actor=None)
    few = [_unsaved(rare, number, f"rare-{number}") for number in range(10)]
    for each in few:
        each.file_type, each.deleted_at = FileType.PRODUCT, each.created_at
    File.objects.bulk_create([*few, *(_unsaved(usual, number, f"usual-{number}") for number in range(6000))])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE jobs_file")
    for name, value, index in (
        ("workspace", "rare", "file_of_workspace"),
        ("name", "rare-1", "file_by_name_start"),
        ("file_type", "PRODUCT", "file_of_type"),
        ("deleted", "1", "file_deleted"),
        ("job", "7", "file_of_job"),
    ):
        (chosen,) = [each for each in FILTERS if name in each.parameters]
        kept = chosen(HttpRequest(), {name: [value]}, File, None)
        rows: QuerySet[Any] = kept.queryset(HttpRequest(), File.objects.order_by("-pk"))
        assert index in rows[:16].explain(), name


def _bucket() -> dict[str, Any]:
    return {"broker": {"type": "s3", "bucket_name": "raw-data"}}


def _unsaved(workspace: Workspace, number: int, name: str) -> File:
    return File(workspace=workspace, path=f"{number}/{name}", name=name, size=1)


# --- A page --------------------------------------------------------------------------------------


def test_a_page_says_what_there_is_to_know_with_links() -> None:
    stage = Stage()
    job = make_job_in(states.COMPLETED, stage=stage)
    execution = Execution.objects.get(job=job)
    row = make_file(make_customer_user("ada"), name="a<b>.tif")
    about = {"meta_data": {"cloud": "<none>"}, "geometry": {"type": "Point", "coordinates": [13.4, 52.5]}}
    said = {"job": job, "execution": execution, "job_output": "COUNTS", "source_sensor": "msi", **about}
    File.objects.filter(pk=row.pk).update(**said)
    client = browser("admin")
    with within_budget("admin: file page"):
        answer = client.get(page_of(row))
    page = answer.content.decode()
    for text in (
        "a&lt;b&gt;.tif",
        "&lt;none&gt;",
        "13.4",
        "COUNTS",
        "msi",
        str(row.uuid),
        "nobody has read it",
        "acme",
    ):
        assert text in page
    for name, pk in (
        ("jobtypes_workspace", row.workspace_id),
        ("jobs_job", job.pk),
        ("jobs_execution", execution.pk),
        ("accounts_customer", row.customer_id),
        ("accounts_user", row.owner_id),
    ):
        assert f"href='{reverse(f'admin:{name}_change', args=[pk])}'" in page
    others = browser("operator").get(page_of(row)).content.decode()
    assert f"href='{reverse('admin:accounts_user_change', args=[row.owner_id])}'" not in others
    assert ">ada<" in others


def test_a_file_is_downloaded_by_who_is_signed_in(file: File) -> None:
    for role in STAFF:
        client = browser(role)
        (address,) = [url for label, url in client.get(page_of(file)).context["buttons"] if label == "Download"]
        answer: Any = client.get(address)
        assert b"".join(answer.streaming_content) == CONTENT
    for role in OTHERS:
        assert browser(role).get(page_of(file)).status_code == 302


def test_who_may_change_nothing_has_no_button_and_no_page(file: File) -> None:
    assert [label for label, _ in browser("monitor").get(page_of(file)).context["buttons"]] == ["Download"]
    labels = [label for label, _ in browser("operator").get(page_of(file)).context["buttons"]]
    assert labels == ["Download", "Describe", "Delete"]
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        client = browser(role)
        for path in (ADD, *(page_of(file, act) for act in ("edit", "remove", "remove-again"))):
            assert client.get(path).status_code == status, (role, path)
            assert client.post(path, wish_of(path="in/b.txt", file=sent())).status_code == status, (role, path)
    file.refresh_from_db()
    assert (file.deleted_at, File.objects.count()) == (None, 1)


def test_the_history_of_a_row_are_its_events(file: File) -> None:
    answer = browser("monitor").get(reverse("admin:jobs_file_history", args=[file.pk]))
    assert answer.context["log_url"].endswith(f"?q=file+{file.pk}")


# --- How files come ------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_a_file_is_uploaded(role: str, workspace: Workspace, folder: Path) -> None:
    make_customer_user("ada", "globex")
    client = browser(role)
    assert "multipart/form-data" in client.get(ADD).content.decode()
    answer = client.post(ADD, wish_of(file=sent(), customer="globex", media_type="text/x-own"))
    row = File.objects.get()
    assert answer.headers["Location"] == page_of(row)
    assert (row.name, row.size, row.sha256, row.media_type) == ("a.txt", len(CONTENT), SHA256, "text/x-own")
    assert (row.owner, str(row.customer)) == (somebody(role), "globex")
    assert (folder / "in" / "a.txt").read_bytes() == CONTENT
    assert Event.objects.get(subject_kind="file").kind == "file.uploaded"


def test_an_empty_file_is_a_file(workspace: Workspace, folder: Path) -> None:
    browser("operator").post(ADD, wish_of(file=sent(b""), workspace=str(workspace.pk)))
    assert File.objects.get().size == 0
    assert (folder / "in" / "a.txt").read_bytes() == b""


def test_a_file_that_is_there_is_made_known(workspace: Workspace, folder: Path) -> None:
    (folder / "there.txt").write_bytes(CONTENT)
    client = browser("operator")
    client.post(ADD, wish_of(path="there.txt"))
    row = File.objects.get()
    assert (row.size, row.sha256, row.media_type, row.customer) == (len(CONTENT), SHA256, "text/plain", None)
    assert Event.objects.get(subject_kind="file").kind == "file.registered"
    (folder / "other.txt").write_bytes(b"other")
    client.post(ADD, wish_of(path="other.txt", sha256="a" * 64))
    assert File.objects.get(path="other.txt").sha256 == "a" * 64


@pytest.mark.parametrize("content", [CONTENT, None])
def test_no_transaction_is_open_and_no_connection_held_while_the_storage_works(
    content: bytes | None, workspace: Workspace, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "there.txt").write_bytes(CONTENT)
    client, seen = browser("operator"), []
    depth, stat = len(connection.savepoint_ids), HostStorage.stat
    monkeypatch.setattr("jobs.services.files.give_back", lambda: seen.append("given back"))

    def noted(self: HostStorage, path: str) -> Any:
        seen.append(str(len(connection.savepoint_ids) - depth))
        return stat(self, path)

    monkeypatch.setattr(HostStorage, "stat", noted)
    client.post(ADD, wish_of(file=sent(content)) if content else wish_of(path="there.txt"))
    assert seen[:2] == ["given back", "0"]
    assert File.objects.count() == 1


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("workspace", {"workspace": ""}),
        ("workspace", {"workspace": "nowhere"}),
        ("workspace", {"workspace": "full"}),
        ("path", {"path": ""}),
        ("path", {"path": "../a.txt"}),
        ("path", {"path": "/a.txt"}),
        ("path", {"path": "jobs/a.txt", "file": CONTENT}),
        ("path", {"path": "taken.txt", "file": CONTENT}),
        ("path", {"path": "unknown.txt", "file": CONTENT}),
        ("path", {"path": "taken.txt"}),
        ("path", {"path": "nothing.txt"}),
        ("file", {"file": b"x" * (2**20 + 1)}),
        ("sha256", {"path": "unknown.txt", "sha256": "A" * 64}),
        ("sha256", {"sha256": "a" * 64, "file": CONTENT}),
        ("media_type", {"media_type": "text", "file": CONTENT}),
        ("media_type", {"media_type": "text/plain; charset=utf-8", "path": "unknown.txt"}),
        ("customer", {"customer": "nobody", "file": CONTENT}),
    ],
)
def test_what_is_refused_is_said_at_its_field(
    field: str, wish: dict[str, Any], workspace: Workspace, folder: Path, settings: Settings
) -> None:
    settings.MAX_UPLOAD_MIB = 1
    full = create_workspace(title="Full", name="full", configuration=_bucket(), actor=None)
    edit_workspace(full, actor=None, is_active=False)
    services.upload_file(actor=somebody(), workspace=workspace, path="taken.txt", source=[CONTENT])
    (folder / "unknown.txt").write_bytes(CONTENT)
    if "file" in wish:
        wish = {**wish, "file": sent(wish["file"])}
    assert list(faults(browser("operator").post(ADD, wish_of(**wish)))) == [field]
    assert File.objects.count() == 1


def test_what_has_more_bytes_than_are_taken_is_told_how_many(workspace: Workspace, settings: Settings) -> None:
    settings.MAX_UPLOAD_MIB = 1
    client = browser("operator")
    assert "of at most 1 MiB" in client.get(ADD).content.decode()
    answer = client.post(ADD, wish_of(file=sent(b"x" * (2**20 + 1))))
    assert "This has 1048577 bytes; 1048576 are the most" in str(faults(answer))


def test_a_storage_that_fails_is_said_and_nothing_is_made(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*args: Any, **more: Any) -> None:
        raise StorageUnavailable("The disk is away.")

    monkeypatch.setattr(HostStorage, "stat", away)
    for wish in (wish_of(file=sent()), wish_of()):
        answer = browser("operator").post(ADD, wish)
        assert "The disk is away." in str(faults(answer))
    assert not File.objects.exists()


# --- How they are described ----------------------------------------------------------------------


DESCRIBED = {
    "media_type": "image/tiff",
    "data_started": "2026-01-31T08:00:00.25Z",
    "data_ended": "2026-01-31T09:00Z",
    "source_started": "",
    "source_ended": "",
    "source_sensor_class": "optical",
    "source_sensor": "msi",
    "source_collection": "",
    "source_task": "",
    "geometry": '{"type": "Point", "coordinates": [13.4, 52.5]}',
    "meta_data": '{"cloud": 0.1}',
}


def test_a_file_is_described_and_what_is_emptied_is_gone() -> None:
    row, client = make_file(), browser("operator")
    assert client.post(page_of(row, "edit"), DESCRIBED).status_code == 302
    row.refresh_from_db()
    assert (row.media_type, row.source_sensor, row.meta_data) == ("image/tiff", "msi", {"cloud": 0.1})
    assert row.geometry == {"type": "Point", "coordinates": [13.4, 52.5]}
    assert row.data_started_at is not None
    assert row.data_started_at.isoformat() == "2026-01-31T08:00:00.250000+00:00"
    begun = client.get(page_of(row, "edit")).context["form"]
    shown = {name: "" if (value := begun[name].value()) is None else str(value) for name in begun.fields}
    client.post(page_of(row, "edit"), shown)  # as it was shown
    last = Event.objects.filter(kind="file.edited").latest("id")
    assert last.after == {"changed": []}
    client.post(page_of(row, "edit"), dict.fromkeys(DESCRIBED, ""))
    row.refresh_from_db()
    assert (row.media_type, row.source_sensor, row.meta_data, row.geometry) == ("image/tiff", "", {}, None)
    assert row.data_started_at is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("media_type", "tiff"),
        ("data_started", "yesterday"),
        ("data_ended", "2020-01-01T00:00Z"),  # before it started
        ("source_sensor", "s" * 129),
        ("geometry", "{"),
        ("geometry", "[]"),
        ("geometry", '{"type": "Pint"}'),
        ("geometry", '{"a":' * 5000 + "1" + "}" * 5000),
        ("meta_data", "[1]"),
        ("meta_data", '{"a": NaN}'),
        ("meta_data", '{"a": "\\u0000"}'),
        ("meta_data", '{"a": "\\ud800"}'),
        ("meta_data", '{"a": ' + "9" * 5000 + "}"),
        ("meta_data", '{"text": "' + "x" * 2**16 + '"}'),
    ],
)
def test_a_description_that_is_refused_is_said_at_its_field(field: str, value: str) -> None:
    row = make_file()
    answer = browser("operator").post(page_of(row, "edit"), {**DESCRIBED, field: value})
    assert list(faults(answer)) == [field]
    assert answer.context["form"][field].value() == value  # to be mended
    row.refresh_from_db()
    assert row.media_type == "text/plain"


# --- How they go ---------------------------------------------------------------------------------


def test_a_file_is_deleted_with_its_bytes_and_its_page_stays(file: File, folder: Path) -> None:
    client = browser("operator")
    assert "for good" in client.get(page_of(file, "remove")).content.decode()
    assert (folder / "in" / "a.txt").exists()
    answer = client.post(page_of(file, "remove"), follow=True)
    assert "Deleted: a.txt." in told(answer)
    assert "DELETED" in answer.content.decode()
    assert [label for label, _ in answer.context["buttons"]] == ["Delete its bytes again"]
    assert not (folder / "in" / "a.txt").exists()
    for act in ("edit", "remove"):
        assert client.post(page_of(file, act)).status_code == 403


def test_bytes_that_the_storage_has_kept_are_deleted_again(
    file: File, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, delete = browser("operator"), HostStorage.delete

    def away(*args: Any) -> None:
        raise StorageUnavailable("The disk is away.")

    monkeypatch.setattr(HostStorage, "delete", away)
    said = told(client.post(page_of(file, "remove"), follow=True))
    assert "counts as deleted" in said
    assert "The disk is away." in said
    assert (folder / "in" / "a.txt").exists()
    monkeypatch.setattr(HostStorage, "delete", delete)
    with counted() as statements:
        client.post(page_of(file, "remove-again"))
    assert statements
    assert not (folder / "in" / "a.txt").exists()
    assert Event.objects.filter(kind="file.deleted").count() == 1
