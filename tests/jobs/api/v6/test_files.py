"""/v6/files/: rows and bytes."""

from __future__ import annotations

import hashlib
import io
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from jobs.models import File, Job
from jobtypes.models import Workspace
from jobtypes.services import create_workspace, edit_workspace
from tests.answers import text_of
from tests.factories import Person, make_job
from tests.jobs.api.v6.answers import assert_error, each_body, good, listed, walk
from tests.jobs.api.v6.conftest import People
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/files/"
CONTENT = b"0123456789"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
ETAG = f'"{SHA256}"'


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    return tmp_path


@pytest.fixture(autouse=True)
def workspace(folder: Path) -> Workspace:
    configuration = {"broker": {"type": "host", "host_path": str(folder)}}
    return create_workspace(title="Raw data", name="raw", configuration=configuration, actor=None)


def client_of(person: Person) -> Client:
    """Without the checks of JSON bodies: what is sent here is none."""
    return Client(headers={"Authorization": f"Bearer {person.token}"} if person.token else {})


def upload(person: Person, path: str = "in/a.txt", content: bytes = CONTENT, **more: Any) -> Any:
    """POST a file; `more` are parameters of the address, or headers."""
    headers = more.pop("headers", {})
    parameters = {"workspace": "raw", "path": path, **more}
    return client_of(person).post(
        f"{PATH}upload/",
        content,
        content_type="application/octet-stream",
        query_params={name: value for name, value in parameters.items() if value is not None},
        headers=headers,
        CONTENT_LENGTH=str(len(content)),
    )


def uploaded(person: Person, path: str = "in/a.txt", content: bytes = CONTENT, **more: Any) -> Any:
    return good(upload(person, path, content, **more), 201)


def download(person: Person, file_id: Any, **headers: str) -> Any:
    return client_of(person).get(f"{PATH}{file_id}/content/", headers=headers)


def bytes_of(answer: Any) -> bytes:
    return b"".join(answer.streaming_content)


# --- Uploads -----------------------------------------------------------------------------------------


def test_an_uploaded_file_is_shown_and_read_back(people: People, folder: Path, workspace: Workspace) -> None:
    response = upload(people.owner, "in/scène.tif")
    made = good(response, 201)
    assert response.headers["Location"] == f"http://testserver{PATH}{made['id']}/"
    assert (folder / "in" / "scène.tif").read_bytes() == CONTENT
    assert (made["file_name"], made["file_path"], made["media_type"]) == ("scène.tif", "in/scène.tif", "image/tiff")
    assert (made["file_size"], made["sha256"], made["file_type"]) == (10, SHA256, "SOURCE")
    assert (made["owner"], made["customer"], made["is_deleted"], made["deleted"]) == ("owner", "acme", False, None)
    raw = {"id": workspace.pk, "name": "raw", "title": "Raw data", "base_url": "", "is_active": True}
    assert made["workspace"] == raw
    assert [made[name] for name in ("job", "job_exe", "job_type", "recipe", "geometry")] == [None] * 5
    assert (made["meta_data"], made["job_output"]) == ({}, "")
    for reference in (made["id"], made["uuid"]):
        assert good(people.colleague.get(f"{PATH}{reference}/")) == made
    answer = client_of(people.colleague).get(made["url"])
    assert bytes_of(answer) == CONTENT
    assert answer.headers["Content-Type"] == "image/tiff"
    assert answer.headers["Content-Length"] == "10"
    assert answer.headers["Content-Disposition"] == "attachment; filename*=utf-8''sc%C3%A8ne.tif"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["ETag"] == ETAG


def test_a_media_type_and_a_customer_can_be_said(people: People) -> None:
    good(people.owner.get(PATH))
    made = uploaded(people.operator, media_type="text/csv", customer="acme")
    assert (made["media_type"], made["owner"], made["customer"]) == ("text/csv", "op", "acme")
    assert good(people.owner.get(f"{PATH}{made['id']}/")) == made


@pytest.mark.parametrize(
    ("field", "parameters"),
    [
        ("workspace", {"workspace": None}),
        ("workspace", {"workspace": "none"}),
        ("workspace", {"workspace": "a\0"}),
        ("path", {"path": None}),
        *[("path", {"path": path}) for path in ("", "/a", "../a", "a//b", "a\0", "jobs/1", "a" * 2000)],
        *[("media_type", {"media_type": text}) for text in ("x", "text/plain; charset=utf-8", "a/b\r\nX-Y: z", "a\0")],
        *[("customer", {"customer": name}) for name in ("nobody", "a\0")],
        ("geometry", {"geometry": "{}"}),
        ("Idempotency-Key", {"headers": {"Idempotency-Key": "k"}}),
    ],
)
def test_a_bad_upload_is_refused_by_name(people: People, folder: Path, field: str, parameters: dict[str, Any]) -> None:
    assert_error(upload(people.operator, **parameters), 400, field=field)
    assert not File.objects.exists()
    assert list(folder.iterdir()) == []


def test_the_length_of_an_upload_must_be_known(people: People) -> None:
    answer = client_of(people.owner).generic("POST", f"{PATH}upload/?workspace=raw&path=a", b"")
    assert_error(answer, 400, field="Content-Length")


def test_an_upload_that_ends_too_early_leaves_nothing(people: People, folder: Path) -> None:
    came: dict[str, Any] = {"CONTENT_LENGTH": "11", "wsgi.input": io.BytesIO(CONTENT)}
    answer = client_of(people.owner).post(f"{PATH}upload/?workspace=raw&path=a", content_type="text/plain", **came)
    assert_error(answer, 400, "UPLOAD_CUT")
    assert not File.objects.exists()
    assert list(folder.iterdir()) == []


def test_an_upload_may_be_empty_and_of_any_media_type(people: People) -> None:
    assert uploaded(people.owner, content=b"")["file_size"] == 0
    for number, kind in enumerate(("application/json", "application/x-www-form-urlencoded", "multipart/form-data; x")):
        url = f"{PATH}upload/?workspace=raw&path={number}"
        assert good(client_of(people.owner).post(url, b'{"a": ', content_type=kind), 201)["file_size"] == 6


def test_a_path_is_taken_once(people: People) -> None:
    uploaded(people.owner)
    for person in (people.owner, people.operator):
        assert_error(upload(person, content=b"other"), 409, "FILE_EXISTS")


def test_a_file_that_is_too_big_is_refused_unread(people: People, folder: Path, settings: Settings) -> None:
    settings.MAX_UPLOAD_MIB = 1
    assert_error(upload(people.owner, content=b"a" * (2**20 + 1)), 413, "FILE_TOO_BIG")
    assert list(folder.iterdir()) == []


def test_a_workspace_that_fails_is_told_as_such(people: People, folder: Path, workspace: Workspace) -> None:
    made = uploaded(people.owner)
    moved = {"broker": {"type": "host", "host_path": str(folder / "gone")}}
    edit_workspace(workspace, actor=None, configuration=moved)
    for answer in (upload(people.owner, "b"), client_of(people.owner).get(made["url"])):
        assert_error(answer, 503, "STORAGE_UNAVAILABLE")
        assert answer.headers["Retry-After"] == "5"


# --- Registering -------------------------------------------------------------------------------------

NEW: dict[str, Any] = {"workspace": "raw", "file_path": "scene.tif"}


def test_an_operator_registers_what_is_there_already(people: People, folder: Path, workspace: Workspace) -> None:
    (folder / "scene.tif").write_bytes(CONTENT)
    good(people.owner.get(PATH))
    about = {
        "customer": "acme",
        "data_started": "2026-03-01T12:00:00Z",
        "source_sensor": "msi",
        "geometry": {"type": "Point", "coordinates": [13.4, 52.5]},
        "meta_data": {"cloudy": False},
    }
    key = {"headers": {"Idempotency-Key": "k"}}
    made = good(people.operator.post(PATH, {**NEW, **about}, **key), 201)
    assert {**made, **about} == made
    assert (made["file_size"], made["sha256"], made["media_type"]) == (10, SHA256, "image/tiff")
    assert good(people.operator.post(PATH, {**NEW, **about}, **key), 201) == made
    assert_error(people.operator.post(PATH, {**NEW, "workspace": str(workspace.pk)}), 409, "FILE_EXISTS")
    assert good(people.owner.get(f"{PATH}{made['uuid']}/")) == made


@pytest.mark.parametrize(
    ("field", "body"),
    [
        *each_body("workspace", "workspace", NEW, None, "", 7, "none", "a\0", "9" * 30),
        *each_body("file_path", "file_path", NEW, None, "", 7, "missing", "/scene.tif", "../scene.tif", "a" * 1025),
        *each_body("sha256", "sha256", NEW, None, 7, "abc", "A" * 64),
        *each_body("customer", "customer", NEW, None, 7, "nobody"),
        *each_body("media_type", "media_type", NEW, None, "", 7, "x", "a/b; c=d"),
        *each_body("data_started", "data_started", NEW, 7, "x", "2026-03-01", "2026-03-01T00:00:00"),
        *each_body("source_task", "source_task", NEW, None, 7, "a" * 129, "a\0"),
        *each_body("geometry", "geometry", NEW, 7, "a", [], {}, {"type": "Circle"}),
        *each_body("meta_data", "meta_data", NEW, None, 7, "a", [], {"a": "\0"}, {"a": "b" * 70_000}),
        ("source_ended", {**NEW, "source_started": "2026-03-02T00:00:00Z", "source_ended": "2026-03-01T00:00:00Z"}),
        ("file_path", {"workspace": "raw"}),
        ("workspace", {"file_path": "scene.tif"}),
        ("nonsense", {**NEW, "nonsense": 1}),
    ],
)
def test_bad_input_is_refused_by_name(people: People, folder: Path, field: str, body: dict[str, Any]) -> None:
    (folder / "scene.tif").write_bytes(CONTENT)
    assert_error(people.operator.post(PATH, body), 400, field=field)
    assert not File.objects.exists()


# --- People ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "read", "change", "make"),
    [
        *[(who, 200, 200, 201) for who in ("admin", "operator")],
        ("monitor", 200, 403, 403),
        ("owner", 200, 200, 403),
        ("colleague", 200, 403, 403),
        ("stranger", 404, 404, 403),
        *[(who, 401, 401, 401) for who in ("anonymous", "disabled")],
    ],
)
def test_files_are_their_customers(people: People, folder: Path, who: str, read: int, change: int, make: int) -> None:
    person, made = people[who], uploaded(people.owner)
    (folder / "scene.tif").write_bytes(CONTENT)
    assert person.get(f"{PATH}{made['id']}/").status_code == read
    assert download(person, made["id"]).status_code == read
    assert person.get(PATH).status_code == (401 if read == 401 else 200)
    if read != 401:
        assert listed(person, PATH) == ([made["id"]] if read == 200 else [])
    assert person.post(PATH, NEW).status_code == make
    assert person.patch(f"{PATH}{made['uuid']}/", {"source_task": who}).status_code == change
    assert File.objects.filter(source_task=who).exists() == (change == 200)
    assert person.delete(f"{PATH}{made['id']}/").status_code == (204 if change == 200 else change)
    assert (folder / "in" / "a.txt").exists() == (change != 200)
    assert upload(person, "b").status_code == {401: 401, 404: 201}.get(read, 403 if who == "monitor" else 201)


def test_what_is_not_there_is_not_found(people: People) -> None:
    for reference in ("0", "9" * 18, "01957e0c-9b3a-7c11-8a53-3f7a4b7d1c41"):
        assert_error(people.admin.get(f"{PATH}{reference}/"), 404, "NOT_FOUND")
        assert_error(people.admin.patch(f"{PATH}{reference}/", {}), 404, "NOT_FOUND")
        assert_error(people.admin.delete(f"{PATH}{reference}/"), 404, "NOT_FOUND")
        assert_error(download(people.admin, reference), 404, "NOT_FOUND")


# --- Changes -----------------------------------------------------------------------------------------


def test_a_file_is_described(people: People) -> None:
    made = uploaded(people.owner)
    about = {"source_ended": "2026-03-01T12:00:00Z", "source_collection": "spring", "media_type": "text/csv"}
    changed = good(people.owner.patch(f"{PATH}{made['id']}/", {**about, "meta_data": {"a": 1}}))
    assert {**changed, **about, "meta_data": {"a": 1}} == changed
    assert changed["last_modified"] > made["last_modified"]
    for field, value in (("media_type", "x"), ("geometry", {"type": "Point"}), ("file_path", "b"), ("meta_data", 1)):
        assert_error(people.owner.patch(f"{PATH}{made['id']}/", {field: value}), 400, field=field)
    assert good(people.owner.get(f"{PATH}{made['id']}/")) == changed


def test_a_deleted_file_is_still_shown_and_its_path_free(people: People) -> None:
    made = uploaded(people.owner)
    for _ in range(2):
        assert people.owner.delete(f"{PATH}{made['id']}/").status_code == 204
    shown = good(people.owner.get(f"{PATH}{made['id']}/"))
    assert (shown["is_deleted"], shown["deleted"]) == (True, shown["last_modified"])
    assert_error(download(people.owner, made["id"]), 404, "FILE_DELETED")
    assert_error(people.owner.patch(f"{PATH}{made['id']}/", {"source_task": "x"}), 404, "FILE_DELETED")
    assert uploaded(people.owner)["id"] != made["id"]


# --- Bytes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ("bytes=0-3", "0-3"),
        ("bytes=4-", "4-9"),
        ("bytes=-3", "7-9"),
        ("bytes=-99", "0-9"),
        ("bytes=8-99", "8-9"),
        ("Bytes=9-9", "9-9"),
    ],
)
def test_a_range_of_a_file_is_given(people: People, asked: str, given: str) -> None:
    answer = download(people.owner, uploaded(people.owner)["id"], Range=asked)
    start, end = (int(each) for each in given.split("-"))
    assert answer.status_code == 206
    assert bytes_of(answer) == CONTENT[start : end + 1]
    assert answer.headers["Content-Range"] == f"bytes {given}/10"
    assert answer.headers["Content-Length"] == str(end - start + 1)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=-0", "bytes=99-100"])
def test_a_range_that_is_not_there_is_refused(people: People, asked: str) -> None:
    answer = download(people.owner, uploaded(people.owner)["id"], Range=asked)
    assert (answer.status_code, answer.headers["Content-Range"]) == (416, "bytes */10")


@pytest.mark.parametrize("asked", ["bytes=0-1,4-5", "bytes=3-1", "bytes=-", "lines=1-2", "bytes=a-b", "bytes=1"])
def test_what_is_no_single_range_gets_the_whole(people: People, asked: str) -> None:
    answer = download(people.owner, uploaded(people.owner)["id"], Range=asked)
    assert (answer.status_code, bytes_of(answer)) == (200, CONTENT)


def test_a_range_is_of_the_file_the_reader_knows(people: People) -> None:
    made = uploaded(people.owner)
    known = download(people.owner, made["id"], Range="bytes=0-1", **{"If-Range": ETAG})
    assert (known.status_code, bytes_of(known)) == (206, b"01")
    other = download(people.owner, made["id"], Range="bytes=0-1", **{"If-Range": '"other"'})
    assert (other.status_code, bytes_of(other)) == (200, CONTENT)


def test_a_file_the_reader_has_is_not_sent_again(people: People) -> None:
    made = uploaded(people.owner)
    for told in (ETAG, f'"other", W/{ETAG}', "*"):
        answer = download(people.owner, made["id"], **{"If-None-Match": told})
        assert (answer.status_code, answer.content, answer.headers["ETag"]) == (304, b"", ETAG)
    assert download(people.owner, made["id"], **{"If-None-Match": '"other"'}).status_code == 200


def test_head_tells_of_a_file_without_reading_it(people: People, folder: Path) -> None:
    made = uploaded(people.owner)
    (folder / "in" / "a.txt").unlink()
    answer = client_of(people.owner).head(made["url"])
    assert (answer.status_code, answer.content) == (200, b"")
    assert (answer.headers["Content-Length"], answer.headers["Content-Type"]) == ("10", "text/plain")
    assert_error(download(people.owner, made["id"]), 404, "NO_SUCH_FILE")


def test_a_file_cannot_be_a_page_or_a_script_here(people: People) -> None:
    made = uploaded(people.owner, 'a"; filename=b.html', b"<script>alert(1)</script>", media_type="text/html")
    answer = client_of(people.owner).get(made["url"], headers={"Accept": "image/png"})
    assert answer.status_code == 200
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a\\"; filename=b.html"'
    assert "sandbox" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    File.objects.update(media_type="text/html\r\nX-Y: z")  # as a manifest may have it
    assert download(people.owner, made["id"]).headers["Content-Type"] == "application/octet-stream"


def test_a_refusal_of_bytes_is_json_whatever_is_asked_for(people: People) -> None:
    answer = client_of(people.owner).get(f"{PATH}0/content/", headers={"Accept": "image/png"})
    assert_error(answer, 404, "NOT_FOUND")
    assert "application/json" in answer.headers["Content-Type"]


def test_an_empty_file_can_be_read(people: People) -> None:
    made = uploaded(people.owner, content=b"")
    answer = download(people.owner, made["id"])
    assert (bytes_of(answer), answer.headers["Content-Length"]) == (b"", "0")
    assert download(people.owner, made["id"], Range="bytes=0-").status_code == 416


def test_an_object_that_has_grown_is_cut_where_the_row_says(people: People, folder: Path) -> None:
    made = uploaded(people.owner)
    (folder / "in" / "a.txt").write_bytes(CONTENT * 2)
    assert bytes_of(download(people.owner, made["id"])) == CONTENT


# --- Lists -------------------------------------------------------------------------------------------


def make_files(owner: Person, workspace: Workspace, job: Job) -> list[int]:
    """Three files: two sources of which the second is deleted, one product of a job."""
    day = datetime(2026, 3, 1, tzinfo=UTC)
    base = {"workspace": workspace, "size": 1, "owner": owner.user, "customer": owner.user.customer}
    facts: list[dict[str, Any]] = [
        {"source_sensor": "msi", "source_sensor_class": "optical", "media_type": "image/tiff", "data_started_at": day},
        {"source_collection": "spring", "source_task": "7", "deleted_at": timezone.now(), "source_ended_at": day},
        {"file_type": "PRODUCT", "job": job, "job_output": "COUNTS", "execution": job.executions.first()},
    ]
    rows = [
        File.objects.create(path=f"{n}", name=f"name-{n}", modified_at=day + timedelta(days=n), **base, **each)
        for n, each in enumerate(facts)
    ]
    return [row.pk for row in rows]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, [0, 1, 2]),
        ({"order": "-last_modified"}, [2, 1, 0]),
        ({"order": "data_started"}, [0, 1, 2]),
        ({"source_sensor": ["msi", "other"]}, [0]),
        ({"source_sensor_class": "optical"}, [0]),
        ({"source_collection": "spring"}, [1]),
        ({"source_task": "7"}, [1]),
        ({"file_name": ["name-0", "name-2"]}, [0, 2]),
        ({"workspace": "raw"}, [0, 1, 2]),
        ({"workspace": "other"}, []),
        ({"media_type": "image/tiff"}, [0]),
        ({"file_type": "product"}, [2]),
        ({"is_deleted": "false"}, [0, 2]),
        ({"is_deleted": "true"}, [1]),
        ({"job_output": "COUNTS"}, [2]),
        ({"job_type_name": "nobody's"}, []),
        ({"job_type_id": "1"}, []),
        ({"recipe_id": "1"}, []),
        ({"started": "2026-03-02T00:00:00Z"}, [1, 2]),
        ({"ended": "2026-03-02T00:00:00Z"}, [0, 1]),
        ({"started": "2026-03-01T00:00:00Z", "time_field": "data"}, [0]),
        ({"started": "2026-03-02T00:00:00Z", "time_field": "data"}, []),
        ({"ended": "2026-03-01T00:00:00Z", "time_field": "source"}, [1]),
        ({"data_started": "2026-03-01T00:00:00Z"}, [0]),
        ({"data_ended": "2026-03-01T00:00:00Z"}, []),
        ({"source_started": "2026-03-01T00:00:00Z"}, []),
        ({"source_ended": "2026-03-01T00:00:00Z"}, [1]),
    ],
)
def test_the_list_is_filtered_and_ordered(
    people: People, workspace: Workspace, asked: dict[str, Any], found: list[int]
) -> None:
    ids = make_files(people.owner, workspace, make_job(people.owner))
    assert listed(people.owner, PATH, **asked) == [ids[n] for n in found]
    assert listed(people.stranger, PATH, **asked) == []


def test_files_are_found_by_id_by_job_and_page_by_page(people: People, workspace: Workspace) -> None:
    job = make_job(people.owner)
    ids = make_files(people.owner, workspace, job)
    first = File.objects.get(pk=ids[0])
    assert listed(people.monitor, PATH, id=[str(first.uuid), ids[2]]) == [ids[0], ids[2]]
    assert listed(people.owner, PATH, workspace=str(workspace.pk)) == ids
    for reference in (job.pk, job.uuid):
        assert listed(people.owner, PATH, job_id=reference) == [ids[2]]
    shown = good(people.owner.get(f"{PATH}{ids[2]}/"))
    assert (shown["job"], shown["job_output"], shown["job_type"]) == ({"id": job.pk}, "COUNTS", None)
    assert walk(people.owner, PATH, page_size=1)[0] == ids
    assert walk(people.owner, PATH, page_size=2, order="-data_started")[0] == [ids[2], ids[1], ids[0]]


@pytest.mark.parametrize(
    "asked",
    [
        {name: "x\0"}
        for name in (
            "id",
            "job_id",
            "started",
            "file_name",
            "file_type",
            "time_field",
            "is_deleted",
            "order",
            "nonsense",
        )
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_by_name(people: People, asked: dict[str, str]) -> None:
    assert_error(people.owner.get(PATH, **asked), 400, field=next(iter(asked)))


def test_requests_cost_a_fixed_number_of_statements(people: People, workspace: Workspace) -> None:
    owner = people.owner
    ids = make_files(owner, workspace, make_job(owner))
    with counted() as few:
        listed(owner, PATH)
    rows = [
        File(path=f"more-{n}", name="a", size=1, workspace=workspace, customer_id=owner.user.customer_id)
        for n in range(40)
    ]
    File.objects.bulk_create(rows)
    with within_budget("GET /v6/files/") as many:
        assert len(listed(owner, PATH)) == 43
    assert len(few) == len(many)
    with within_budget("GET /v6/files/{id}/"):
        good(owner.get(f"{PATH}{ids[0]}/"))
    with within_budget("POST /v6/files/upload/"):
        made = uploaded(owner)
    with within_budget("GET /v6/files/{id}/content/"):
        assert bytes_of(download(owner, made["id"])) == CONTENT


# --- Sessions ----------------------------------------------------------------------------------------


def test_a_browser_uploads_with_its_csrf_token_only(people: People) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(people.owner.user)
    url = f"{PATH}upload/?workspace=raw&path=a"
    assert_error(browser.post(url, CONTENT, content_type="text/plain"), 403)
    page = browser.get(PATH, headers={"Accept": "text/html"})
    found = re.search(r'csrfToken": "(\w+)"', text_of(page))
    assert found, "the page has no token"
    answer = browser.post(url, CONTENT, content_type="text/plain", headers={"X-CSRFToken": found[1]})
    assert good(answer, 201)["file_size"] == 10
