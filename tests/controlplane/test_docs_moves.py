"""What docs/ say on moving from a replaced system, and on operating, is typed here: a deployment is that system."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from tests.deployment import Deployment, Factory
from tests.environment import CHECKOUT
from tests.factories import manifest_of
from tests.postgresql import binaries
from tests.waiting import until

TOKEN = "a-token-of-the-replaced-system"
HERE = "http://127.0.0.1:8000"


def blocks_of(page: str, heading: str = "") -> str:
    """The shell blocks of a page of docs/, or of a section of it."""
    text = (CHECKOUT / "docs" / page).read_text()
    if heading:
        text = text.split(f"\n{heading}\n", 1)[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL))


def typed(script: str, place: Deployment, folder: Path, said: str = "", **env: str) -> str:
    """What a script prints that is typed in `folder`, which has what a checkout has there."""
    for name in (".venv", "manage.py"):
        (folder / name).symlink_to(CHECKOUT / name)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder, env=place.env | env, input=said, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    return done.stdout


def send(base: str, path: str, body: Any, token: str) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urlopen(Request(base + path, json.dumps(body).encode(), headers)) as answer:
        return json.loads(answer.read())


def fetch(base: str, path: str, token: str) -> Any:
    with urlopen(Request(base + path, headers={"Authorization": f"Bearer {token}"})) as answer:
        return json.loads(answer.read())


def replaced(deployment: Factory, **settings: str) -> tuple[Deployment, str]:
    """A deployment that stands for the system to be replaced; who has TOKEN is an admin there."""
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0", **settings)
    place.bootstrap("old")
    typed = subprocess.run(
        [str(CHECKOUT / ".venv/bin/python"), "manage.py", "import_token", "old"],
        cwd=CHECKOUT, env=place.env, input=TOKEN, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert typed.returncode == 0, typed.stderr
    return place, place.start_web()


@pytest.mark.runs_once("sqlite", "the commands have tests of their own on both")
def test_the_move_from_mapsor(deployment: Factory, tmp_path: Path) -> None:
    old, base = replaced(deployment)
    old.start_manage("work")
    wish = {"customer": "lightning", "cloud": "local", "region": "local", "id": "x", "image": "i", "command": ["true"]}
    job = send(base, "/submit", wish, TOKEN)["job_id"]
    until(lambda: fetch(base, f"/status/{job}", TOKEN)["status"] == "SUCCEEDED", "the job ends")
    new = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    script = blocks_of("migrate-from-mapsor.md").replace("https://mapsor.example.com", base)
    assert base in script
    told = typed(script, new, tmp_path, f"{TOKEN}\n")
    assert "Would be taken over: user: 3 new, 1 changed; token: 1 new; job: 1 new." in told
    assert "Taken over: user: 3 new, 1 changed; token: 1 new; job: 1 new." in told
    kept = fetch(new.start_web(), f"/status/{job}", "the-token-that-cloudport-uses")
    assert kept == {"status": "SUCCEEDED", "reason": "IMPORTED"}


@pytest.mark.runs_once("sqlite", "the commands have tests of their own on both")
def test_the_move_from_scale(deployment: Factory, tmp_path: Path) -> None:
    _, base = replaced(deployment)
    manifest = manifest_of("hello")
    manifest["job"]["interface"] = {}
    send(base, "/v6/job-types/", {"docker_image": "hello:1", "manifest": manifest}, TOKEN)
    new = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    script = blocks_of("migrate-from-scale.md").replace("https://scale.example.com", base)
    told = typed(script.replace(HERE, new.start_web()), new, tmp_path, f"{TOKEN}\n{TOKEN}\n")
    assert "Would be taken over: job type: 1 new." in told
    assert "Taken over: job type: 1 new." in told
    assert json.loads(told.splitlines()[-1])["results"][0]["name"] == "hello"


@pytest.mark.runs_once("sqlite", "the commands have tests of their own on both")
def test_the_move_from_apollo(deployment: Factory, tmp_path: Path) -> None:
    programs = tmp_path / "artifacts"
    programs.mkdir()
    (programs / "mapper").write_bytes(b"#!/bin/sh\n")
    new = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    script = blocks_of("migrate-from-apollo.md").replace("/coordinator/artifacts", str(programs))
    assert str(programs) in script
    told = typed(script.replace(HERE, new.start_web()), new, tmp_path)
    assert "Would be taken over: artifact: 1 new." in told
    assert [each["name"] for each in json.loads(told.splitlines()[-1])] == ["mapper"]


@pytest.mark.runs_once("sqlite", "the commands have tests of their own on both")
def test_the_move_from_fishjam(deployment: Factory, tmp_path: Path) -> None:
    _, base = replaced(deployment)
    send(base, "/v6/image-versions/", {"version": "1.0", "image": "media:1.0", "command": ["true"]}, TOKEN)
    send(base, "/api/v1/clusters", {"name": "rooms", "image_version": "1.0", "token": "secret-of-rooms"}, TOKEN)
    new = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    here = new.start_web()
    script = blocks_of("migrate-from-fishjam.md").replace("https://cloud.fishjam.example.com", base)
    script = script.replace(HERE, here)
    # Staff have said which images there are.
    version = '{"version": "1.0", "image": "media:1.0", "command": ["true"]}'
    post = (
        """curl -sS "$NEW/v6/image-versions/" -H "Authorization: Bearer $ADMIN" -H 'Content-Type: application/json'"""
    )
    script = script.replace("export OLD=", f"{post} -d '{version}'\nexport OLD=")
    told = typed(script, new, tmp_path, f"{TOKEN}\n")
    assert '"email":"ann@example.com"' in told.replace(" ", "")
    [made] = fetch(here, "/api/v1/clusters", TOKEN)
    assert (made["name"], made["image_version"], made["token"]) == ("rooms", "1.0", "secret-of-rooms")


# --- Operating -------------------------------------------------------------------------------------


def test_a_backup_is_restored(deployment: Factory, tmp_path: Path) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    system = "SQLite" if place.database == "sqlite" else "PostgreSQL"
    path = f"{binaries()}:/usr/bin:/bin" if system == "PostgreSQL" else "/usr/bin:/bin"
    place.run_manage("bootstrap", "--username", "root", "--quiet")  # with keys of its own
    (place.data_dir / "artifacts").mkdir()
    (place.data_dir / "artifacts" / "kept").write_text("a program")
    typed(part("## Back up", system), place, tmp_path, PATH=path)
    (tmp_path / ".venv").unlink()
    (tmp_path / "manage.py").unlink()

    other = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    if system == "PostgreSQL":
        other.rows("DROP SCHEMA public CASCADE")
        other.rows("CREATE SCHEMA public")
    else:
        (other.data_dir / "controlplane.sqlite3").unlink()
    typed(part("## Restore", system), other, tmp_path, PATH=path)
    assert other.rows("SELECT username FROM accounts_user") == [("root",)]
    assert (other.data_dir / "artifacts" / "kept").read_text() == "a program"
    keys = [(each.data_dir / "keys.json").read_text() for each in (place, other)]
    assert keys[0] == keys[1]


def part(heading: str, system: str) -> str:
    """The block of a section that is for this database."""
    section = (CHECKOUT / "docs" / "operating.md").read_text().split(f"{heading}\n")[1].split("\n## ")[0]
    return re.findall(r"```sh\n(.*?)```", section.split(f"On {system}:")[1], flags=re.DOTALL)[0]


def test_an_upgrade_is_typed(deployment: Factory, tmp_path: Path) -> None:
    script = blocks_of("operating.md", "## Upgrade")
    lines = [each for each in script.splitlines() if "pip install" not in each]  # it is installed already
    assert len(lines) == len(script.splitlines()) - 1
    told = typed("\n".join(lines), deployment(DEBUG="1", LOCAL_ISOLATION="0"), tmp_path)
    assert "static files copied" in told


def test_new_keys_are_made_as_it_is_written(deployment: Factory, tmp_path: Path) -> None:
    section = (CHECKOUT / "docs" / "operating.md").read_text().split("## Install")[1].split("\n## ")[0]
    lines = [each.strip() for each in section.splitlines() if each.startswith("       ")]
    secret, key = typed("\n".join(lines), deployment(DEBUG="1"), tmp_path).split()
    assert (len(secret), len(key)) == (86, 44)
    deployment(SECRET_KEY=secret, ENCRYPTION_KEYS=key, LOCAL_ISOLATION="0").run_manage("check")
