"""Workspaces in the admin: each page by who may, a check before anything is saved, and no secret anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts.models import Event
from controlplane.core.storage import MASK, StorageUnavailable
from controlplane.core.storage.host import HostStorage
from jobtypes.models import Workspace
from jobtypes.queries import workspace_configuration
from jobtypes.services import create_workspace
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
SECRET = "not-for-everybody"
LIST = reverse("admin:jobtypes_workspace_changelist")
ADD = reverse("admin:jobtypes_workspace_add")
ACTS = ("check", "edit", "deprecate", "reactivate")


def bucket(**members: Any) -> dict[str, Any]:
    credentials = {"access_key_id": "AKIA1", "secret_access_key": SECRET}
    return {"broker": {"type": "s3", "bucket_name": "raw-data", "credentials": credentials, **members}}


def folder_at(path: Path) -> dict[str, Any]:
    return {"broker": {"type": "host", "host_path": str(path)}}


@pytest.fixture
def root(tmp_path: Path, settings: Settings) -> Path:
    settings.WORKSPACE_ROOTS = [str(tmp_path)]
    return tmp_path


def make(name: str = "raw", configuration: Any = None, **facts: Any) -> Workspace:
    wish = {"title": "Raw data", "configuration": configuration or bucket(), "actor": None, **facts}
    return create_workspace(name=name, **wish)


def page_of(row: Workspace, act: str = "change") -> str:
    return reverse(f"admin:jobtypes_workspace_{act}", args=[row.pk])


def form_of(configuration: Any, **values: str) -> dict[str, str]:
    text = configuration if isinstance(configuration, str) else json.dumps(configuration)
    return {"title": "Raw data", "description": "", "base_url": "", "configuration": text, **values}


def edit(client: Client, row: Workspace, data: dict[str, Any], **more: Any) -> Any:
    """Send the form for a change, as it was opened just now."""
    seen = Workspace.objects.get(pk=row.pk).modified_at.isoformat()
    return client.post(page_of(row, "edit"), {**data, "seen": seen}, **more)


def told(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def found(answer: Any) -> list[str]:
    """The names of what a check has found wrong."""
    return [each.name for each in answer.context["verdict"].errors]


# --- To look at ----------------------------------------------------------------------------------


def test_the_list_names_each_with_its_kind(root: Path) -> None:
    make("raw", folder_at(root))
    make("away", is_active=False)
    for role in STAFF:
        page = browser(role).get(LIST).content.decode()
        for text in ("raw", "away", "host", "s3"):
            assert text in page
    assert [row.name for row in browser("monitor").get(LIST).context["cl"].result_list] == ["away", "raw"]
    assert [row.name for row in browser("monitor").get(f"{LIST}?q=away").context["cl"].result_list] == ["away"]
    active = browser("monitor").get(f"{LIST}?is_active__exact=1").context["cl"].result_list
    assert [row.name for row in active] == ["raw"]


def test_the_list_costs_the_same_with_more_rows() -> None:
    client, costs = browser("operator"), []
    for count in (1, 12):
        for number in range(count):
            make(f"raw-{count}-{number}")
        with within_budget("admin: workspaces") as statements:
            client.get(LIST)
        costs.append(len(statements))
    assert len(set(costs)) == 1


def test_a_page_says_what_there_is_to_know_and_leads_to_its_files() -> None:
    row = make(description="What comes <in>", base_url="https://files.example.com/raw")
    page = browser("monitor").get(page_of(row)).content.decode()
    for text in ("ACTIVE", "What comes &lt;in&gt;", "https://files.example.com/raw", "raw-data", "AKIA1", MASK):
        assert text in page
    assert f"{reverse('admin:jobs_file_changelist')}?workspace=raw" in page


def test_who_may_change_nothing_has_no_button_and_no_page() -> None:
    row = make()
    assert browser("monitor").get(page_of(row)).context["buttons"] == []
    assert [label for label, _ in browser("operator").get(page_of(row)).context["buttons"]] == [
        "Check",
        "Change",
        "Deprecate",
    ]
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        client = browser(role)
        for path in (ADD, *(page_of(row, act) for act in ACTS)):
            assert client.get(path).status_code == status, (role, path)
            assert client.post(path, form_of(bucket(), title="Mine")).status_code == status, (role, path)
    for other in OTHERS:
        assert browser(other).get(page_of(row)).status_code == 302
    row.refresh_from_db()
    assert (row.title, row.is_active, Workspace.objects.count()) == ("Raw data", True, 1)


def test_the_history_of_a_row_are_its_events() -> None:
    row = make(actor=somebody())
    answer = browser("monitor").get(reverse("admin:jobtypes_workspace_history", args=[row.pk]))
    assert "workspace.created" in answer.content.decode()


# --- Making one ----------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["admin", "operator"])
def test_one_is_tried_and_then_made(role: str, root: Path) -> None:
    client, wish = browser(role), form_of(folder_at(root), name="raw", description="What comes in")
    answer = client.post(ADD, {**wish, "check": "1"})
    assert found(answer) == []
    assert "VALID" in answer.content.decode()
    assert not Workspace.objects.exists()
    assert list(root.iterdir()) == []  # what was written is gone
    row = Workspace.objects.get(pk=_made(client.post(ADD, wish)))
    assert (row.name, row.title, row.description) == ("raw", "Raw data", "What comes in")
    assert workspace_configuration(row) == folder_at(root)
    event = Event.objects.get(kind="workspace.created", subject_id=row.pk)
    assert event.actor == somebody(role)


def _made(answer: Any) -> int:
    assert answer.status_code == 302, answer.context["form"].errors
    return int(answer.headers["Location"].split("/")[-3])


def test_without_a_name_it_is_called_by_its_title(root: Path) -> None:
    made = _made(browser("operator").post(ADD, form_of(folder_at(root))))
    assert Workspace.objects.get(pk=made).name == "raw-data"


def test_the_page_says_that_a_check_writes_and_what_can_be_given() -> None:
    page = browser("operator").get(ADD).content.decode()
    for text in ("is written to its storage, read and deleted", "host_path", "bucket_name", "account_url"):
        assert text in page


@pytest.mark.parametrize(
    ("field", "wish"),
    [
        ("title", {"title": ""}),
        ("title", {"title": "t" * 129}),
        ("description", {"description": "d" * 501}),
        ("base_url", {"base_url": "javascript:alert(1)"}),
        ("name", {"name": "12"}),
        ("name", {"name": "raw"}),
        ("name", {"name": "validation"}),
        ("configuration", {"configuration": ""}),
        ("configuration", {"configuration": "{"}),
        ("configuration", {"configuration": "[]"}),
        ("configuration", {"configuration": '{"broker": {"type": "s3", "bucket_name": "\\ud800"}}'}),
        ("configuration", {"configuration": '{"broker":' * 5000 + "1" + "}" * 5000}),
        ("configuration", {"configuration": '{"broker": {"type": "ftp"}}'}),
        ("configuration", {"configuration": '{"broker": {"type": "host", "host_path": "/etc"}}'}),
    ],
)
def test_what_is_refused_is_said_at_its_field(field: str, wish: dict[str, str]) -> None:
    make("raw")
    answer = browser("operator").post(ADD, {**form_of(bucket(), name="new"), **wish})
    assert answer.status_code == 200
    assert list(answer.context["form"].errors) == [field]
    assert Workspace.objects.count() == 1


def test_a_check_says_what_is_wrong(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make("raw", folder_at(root))
    client = browser("operator")
    for wish, name in (
        (form_of(folder_at(root), name="raw"), "INVALID_NAME"),
        (form_of({"broker": {"type": "ftp"}}), "INVALID_CONFIGURATION"),
        (form_of(folder_at(root / "nothing")), "WORKSPACE_UNREACHABLE"),
    ):
        answer = client.post(ADD, {**wish, "check": "1"})
        assert found(answer) == [name]
        assert "REFUSED" in answer.content.decode()
    monkeypatch.setattr(HostStorage, "get", lambda *args: iter([b"another"]))
    assert found(client.post(ADD, {**form_of(folder_at(root)), "check": "1"})) == ["WORKSPACE_REFUSED"]
    assert Workspace.objects.count() == 1


# --- Changing one --------------------------------------------------------------------------------


def test_a_change_keeps_the_secret_that_is_masked() -> None:
    row, client = make(), browser("operator")
    shown = json.loads(client.get(page_of(row, "edit")).context["form"]["configuration"].value())
    assert shown["broker"]["credentials"]["secret_access_key"] == MASK
    shown["broker"]["prefix"] = "in"
    edit(client, row, form_of(shown, title="Raw"))
    row.refresh_from_db()
    assert (row.title, workspace_configuration(row)) == ("Raw", bucket(prefix="in"))
    shown["broker"]["credentials"]["access_key_id"] = "AKIA2"
    answer = edit(client, row, form_of(shown))
    assert "send the secret itself" in str(answer.context["form"].errors["configuration"])


def test_a_configuration_that_is_left_alone_is_not_given_again(root: Path, settings: Settings) -> None:
    row = make("raw", folder_at(root))
    settings.WORKSPACE_ROOTS = ["/srv/elsewhere"]
    for configuration in (folder_at(root), ""):
        answer = edit(browser("operator"), row, form_of(configuration, title=f"New {configuration}"))
        assert answer.status_code == 302
    last = Event.objects.filter(kind="workspace.edited").latest("id")
    assert last.after == {"title": "New"}
    assert "lies in none of the folders" in str(
        edit(browser("operator"), row, form_of(folder_at(root / "a"))).context["form"].errors
    )


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The configurations that are tried, none of them at a storage that there is."""
    configurations: list[Any] = []

    class Bucket:
        def check(self) -> None:
            return None

    def opened(configuration: Any, **allowed: Any) -> Bucket:
        configurations.append(configuration)
        return Bucket()

    monkeypatch.setattr("jobtypes.services.workspaces.open_storage", opened)
    return configurations


def test_a_change_is_tried_with_the_secret_that_is_kept(tried: list[Any]) -> None:
    row, client = make(), browser("operator")
    masked = bucket(prefix="in", credentials={"access_key_id": "AKIA1", "secret_access_key": MASK})
    answer = edit(client, row, {**form_of(masked), "check": "1"})
    assert found(answer) == []  # nor is its own name taken
    assert found(edit(client, row, {**form_of(""), "check": "1"})) == []
    assert tried == [bucket(prefix="in"), bucket()]
    unknown = bucket(credentials={"access_key_id": "AKIA2", "secret_access_key": MASK})
    assert found(edit(client, row, {**form_of(unknown), "check": "1"})) == ["INVALID_CONFIGURATION"]
    row.refresh_from_db()
    assert workspace_configuration(row) == bucket()


def test_one_is_tried_as_it_is(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row, client = make("raw", folder_at(root)), browser("operator")
    assert "is written to its storage" in client.get(page_of(row, "check")).content.decode()
    assert "raw works" in told(client.post(page_of(row, "check"), follow=True))

    def away(*args: Any, **more: Any) -> None:
        raise StorageUnavailable("The disk is away.")

    monkeypatch.setattr(HostStorage, "put", away)
    answer = client.post(page_of(row, "check"), follow=True)
    assert "WORKSPACE_UNREACHABLE: The disk is away." in told(answer)


def test_a_folder_of_ours_that_has_gone_does_not_work(settings: Settings) -> None:
    folder = Path(settings.DATA_DIR) / "workspaces" / "gone"
    row = make("gone", folder_at(folder))
    folder.rmdir()
    answer = browser("operator").post(page_of(row, "check"), follow=True)
    assert "WORKSPACE_UNREACHABLE" in told(answer)
    assert not folder.exists()


def test_one_is_deprecated_and_comes_back() -> None:
    row, client = make(), browser("operator")
    assert client.post(page_of(row, "reactivate")).status_code == 403
    assert client.get(page_of(row, "deprecate")).status_code == 200
    client.post(page_of(row, "deprecate"))
    row.refresh_from_db()
    assert not row.is_active
    assert row.deprecated_at is not None
    assert "DEPRECATED" in client.get(page_of(row)).content.decode()
    assert client.post(page_of(row, "deprecate")).status_code == 403
    client.post(page_of(row, "reactivate"))
    row.refresh_from_db()
    assert row.is_active


# --- Secrets -------------------------------------------------------------------------------------


def test_a_stored_secret_is_on_no_page_in_no_message_and_in_no_event(tried: list[Any]) -> None:
    row = make(actor=somebody())
    masked = bucket(credentials={"access_key_id": "AKIA1", "secret_access_key": MASK})
    client = browser("admin")
    for path in (LIST, ADD, page_of(row), *(page_of(row, act) for act in ("check", "edit", "deprecate"))):
        _has_no_secret(client.get(path))
    for wish in (
        masked,
        {"broker": masked["broker"] | {"type": "ftp"}},
        {"broker": masked["broker"] | {"prefix": ".."}},
    ):
        for more in ({"check": "1"}, {}):
            _has_no_secret(edit(client, row, {**form_of(wish), **more}, follow=True))
    for act in ("check", "deprecate", "reactivate"):
        _has_no_secret(client.post(page_of(row, act), follow=True))
    assert tried == [bucket(), bucket()]
    events = Event.objects.filter(subject_kind="workspace")
    assert events.exists()
    assert SECRET not in str(list(events.values()))


def _has_no_secret(answer: Any) -> None:
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()


def test_a_configuration_that_no_key_reads_is_said_and_can_be_given_anew(root: Path, settings: Settings) -> None:
    row, client = make(), browser("operator")
    settings.ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
    page = client.get(page_of(row)).content.decode()
    assert "UNREADABLE" in page
    assert "ENCRYPTION_KEYS" in page
    assert "UNREADABLE" in client.get(LIST).content.decode()
    assert "UNREADABLE_CONFIGURATION" in told(client.post(page_of(row, "check"), follow=True))
    assert client.get(page_of(row, "edit")).context["form"]["configuration"].value() == ""
    assert found(edit(client, row, {**form_of(""), "check": "1"})) == ["UNREADABLE_CONFIGURATION"]
    assert edit(client, row, form_of("", title="Lost")).status_code == 302
    row.refresh_from_db()
    assert row.title == "Lost"
    edit(client, row, form_of(folder_at(root)))
    row.refresh_from_db()
    assert workspace_configuration(row) == folder_at(root)
