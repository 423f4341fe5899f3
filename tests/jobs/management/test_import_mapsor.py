"""`manage.py import_mapsor`: users keep their tokens, and ended jobs answer under their old ids."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from accounts.models import ApiToken, Event, User
from accounts.queries import user_of_token
from billing.models import UsageRecord
from jobs import states
from jobs.models import Execution, Job
from tests.answers import text_of
from tests.factories import Person, make_monitor, make_operator

pytestmark = pytest.mark.django_db
TOKEN = "kept-from-mapsor-0123456789"
ID = "3892fea6-df92-11e9-9d97-f2a54137d40c"
USER: dict[str, Any] = {"user": "cloudport", "role": "operator", "token": TOKEN}
# A row as Mapsor's /list gives it, with its customer and its class put in.
ROW: dict[str, Any] = {
    "id": ID, "customer": "lightning", "classification_id": "Transcode_23", "cloud_provider": "aws",
    "region": "us-east-1", "status": "SUCCEEDED", "image": "hello-world:linux", "command": ["--fast"],
    "env": {"WHO": "me"}, "tags": {"a": 1}, "priority": "HIGH", "resources": {"vcpus": 2, "memory": 0.5},
    "submitted_at": 1741436779000, "started_at": 1741436780000, "finished_at": 1741436790123,
}  # fmt: skip


@pytest.fixture(autouse=True)
def aws(settings: Settings) -> None:
    settings.AWS_REGIONS = ["us-east-1"]
    settings.AWS_BATCH_QUEUES = {"us-east-1": {"HIGH": "urgent", "LOW": "bulk"}}


def said(folder: Path, *lines: Any, options: tuple[str, ...] = ()) -> str:
    file = folder / "mapsor.jsonl"
    file.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines))
    out = io.StringIO()
    try:
        call_command("import_mapsor", str(file), *options, stdout=out)
    except CommandError as error:
        out.write(f"ended: {error}")
    return out.getvalue()


def other(number: int, **more: Any) -> dict[str, Any]:
    return {**ROW, "id": f"3892fea6-df92-11e9-9d97-{number:012d}", "owner": "cloudport", **more}


def test_users_keep_their_tokens_and_jobs_their_ids(tmp_path: Path) -> None:
    lines = (USER, {**ROW, "owner": "cloudport"}, other(1, status="FAILED", image=None, ami="ami-1", command=None))
    told = said(tmp_path, *lines, options=("--dry-run",))
    assert "Would be taken over: user: 1 new; token: 1 new; job: 2 new." in told
    assert not User.objects.exists()

    told = said(tmp_path, *lines)
    assert "user: 1 new; token: 1 new; job: 2 new." in told
    assert TOKEN not in told
    client = Person(User.objects.get(), TOKEN)
    assert client.get(f"/status/{ID}").json() == {"status": "SUCCEEDED", "reason": "IMPORTED"}
    answer = client.get("/list", customer="lightning", start_time=0, end_time=2e12)
    [first, second] = json.loads(text_of(answer))["response"]
    shown = {**first, "owner": "cloudport"} if first["id"] == ID else {**second, "owner": "cloudport"}
    assert {name: shown[name] for name in ROW} == ROW
    assert next(each for each in (first, second) if each["ami"] == "ami-1")["status"] == "FAILED"

    told = said(tmp_path, *lines)
    assert "Taken over: user: 1 kept; token: 1 kept; job: 2 kept." in told
    assert Job.objects.count() == 2


def test_history_is_run_and_billed_by_nobody_and_can_be_retried(tmp_path: Path, client: Any) -> None:
    said(tmp_path, USER, {**ROW, "owner": "cloudport"})
    job = Job.objects.get()
    assert (job.status, job.tries, job.priority) == (states.COMPLETED, 1, 50)
    assert Event.objects.filter(kind="job.imported", subject_id=job.pk).exists()
    assert not Execution.objects.exists()
    assert not UsageRecord.objects.exists()
    person = Person(job.owner, TOKEN)
    assert person.get(f"/logs/{ID}").status_code in (200, 400)
    assert person.get(f"/cancel/{ID}").status_code == 400
    made = person.get(f"/retry/{ID}").json()["job_id"]
    again = Job.objects.get(uuid=made)
    assert (again.retry_of_id, again.command, again.status) == (job.pk, ["--fast"], states.QUEUED)


def test_the_api_and_the_admin_show_it(tmp_path: Path, client: Any) -> None:
    said(tmp_path, USER, {**ROW, "owner": "cloudport"})
    job = Job.objects.get()
    found = Person(job.owner, TOKEN).get(f"/v6/jobs/{ID}/").json()
    assert (found["state"], found["execution"], found["ended"]) == ("COMPLETED", None, "2025-03-08T12:26:30.123000Z")
    client.force_login(make_monitor().user)
    assert client.get(f"/admin/jobs/job/{job.pk}/change/").status_code == 200


def test_what_cannot_be_taken_over_is_told_line_by_line(tmp_path: Path) -> None:
    told = said(
        tmp_path,
        USER,
        "{",
        "[]",
        {"user": "x", "role": "king"},
        {"user": "short", "token": "kjrtklnhgcyk"},
        {"user": "thief", "token": TOKEN},
        other(1, status="RUNNING"),
        other(2, region="mars-1"),
        other(3, owner="nobody"),
        other(4, submitted_at=None),
        other(5, id="job-17"),
        {name: value for name, value in other(6).items() if name != "owner"},
        other(7, env={"A": "\0"}),
        "",
        other(8),
    )
    for line in (
        "failed   line 2: it is not JSON",
        "failed   line 3: it is no object",
        "failed   line 4: role: ",
        "new      user short",
        "failed   token kjrt… of short: token: A token has 20 to 512",
        "new      user thief",
        "failed   token kept… of thief: cloudport has it here already",
        "left     job 3892fea6-df92-11e9-9d97-000000000001: it is RUNNING there",
        "failed   line 8: region: there is no region 'mars-1' of aws here: it is not among those of the settings",
        "failed   line 9: owner: there is no user 'nobody' here",
        "failed   line 10: submitted_at: ",
        "failed   line 11: id: this is no UUID",
        "failed   line 12: owner: nobody is said to own it",
        "failed   line 13: env.A: must not hold a NUL",
        "job: 1 new, 1 left",
        "ended: Not all could be taken over",
    ):
        assert line in told, told


def test_users_that_are_here_keep_their_role_and_a_disabled_one_is_disabled(tmp_path: Path) -> None:
    make_monitor("mona")
    told = said(tmp_path, {"user": "mona", "role": "admin"}, {**USER, "enabled": False})
    assert "left     user mona: has the role monitor here, and keeps it" in told
    assert "changed  user cloudport: is disabled, as there" in told
    assert User.objects.get(username="cloudport").is_active is False
    assert ApiToken.objects.filter(user__username="cloudport").exists()
    assert user_of_token(TOKEN) is None
    assert "user: 2 kept" not in said(tmp_path, {**USER, "enabled": False})


def test_an_owner_for_those_that_name_nobody_and_many_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_operator("mary")
    rows = ({**ROW, "id": other(number)["id"]} for number in range(1100))
    text = "\n".join(json.dumps(row) for row in rows).encode()
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    call_command("import_mapsor", "-", "--owner", "mary", stdout=out)
    assert "job: 1100 new." in out.getvalue()
    assert Job.objects.filter(owner__username="mary").count() == 1100


def test_an_owner_may_be_of_the_same_file(tmp_path: Path) -> None:
    for options in (("--owner", "cloudport", "--dry-run"), ("--owner", "cloudport")):
        assert "user: 1 new; token: 1 new; job: 1 new." in said(tmp_path, USER, ROW, options=options)
    told = said(tmp_path, {**ROW, "id": other(1)["id"]}, options=("--owner", "nobody"))
    assert "failed   line 1: owner: there is no user 'nobody' here" in told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_mapsor", str(tmp_path / "none"))
