"""What README.md tells people to type is typed here."""

from __future__ import annotations

import re
import subprocess
import time
from typing import Any

import pytest

from accounts.delivering import sign
from accounts.services import seal
from tests.deployment import Deployment, Factory
from tests.environment import CHECKOUT

README = (CHECKOUT / "README.md").read_text()


def _tour() -> str:
    """The shell blocks of the tour, but the server's own."""
    section = README.split("## A tour with curl")[1].split("\n## ")[0]
    blocks = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)
    return "\n".join(block for block in blocks if not block.startswith("make serve"))


def _tour_of(page: str, base: str) -> str:
    """The shell blocks of a page of docs/, for the server at `base`."""
    text = (CHECKOUT / "docs" / page).read_text()
    found = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    # An image cannot be pushed from here: tests/controlplane/test_docs_examples.py says so.
    typed = [block for block in found if not block.startswith(("docker build", "make serve"))]
    script = "\n".join(typed).replace("http://127.0.0.1:8000", base)
    assert base in script
    return script


def _typed(script: str, place: Deployment) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=CHECKOUT,
        env=place.env,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.runs_once("postgresql", "curl sees the API only")
def test_the_tour_works_as_it_is_written(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    place.start_manage("work")
    base = place.start_web()
    script = _tour().replace("http://127.0.0.1:8000", base)
    assert base in script
    # The job may not have started yet where a person would have waited a moment.
    ask = 'curl -s "$API/status/$JOB" -H "Authorization: Bearer $OPERATOR"'
    started = f"until {ask} | grep -q -e RUNNING -e SUCC; do sleep 0.1; done"
    ended = f"until {ask} | grep -q SUCC; do sleep 0.1; done\n"
    script = script.replace('curl -s "$API/status/$JOB"', f'{started}\ncurl -s "$API/status/$JOB"', 1)
    script = script.replace("sleep 3\n", ended)
    done = _typed(script, place)
    assert done.returncode == 0, done.stderr + place.logs()
    for text in ("hello from a job", '"job_id":"', '"classification_id":"Transcode_23"', "is COMPLETED"):
        assert text in done.stdout, done.stdout


@pytest.mark.runs_once("postgresql", "curl sees the API only")
def test_the_native_tour_works_as_it_is_written(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    place.start_manage("work")
    base = place.start_web()
    done = _typed(_tour_of("api.md", base), place)
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    for text in ("line 3", "event: end", '"code":"UNPAID"', '"is_paused":true', '"is_paused":false'):
        assert text in done.stdout, done.stdout
    assert {"COMPLETED", "0", "50", "6", "priority"} <= set(done.stdout.splitlines()), done.stdout


@pytest.mark.runs_once("postgresql", "curl sees the API only")
def test_the_seed_tour_works_as_it_is_written(deployment: Factory) -> None:
    readable = str(CHECKOUT / "deploy" / "seed")
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0", LOCAL_READABLE_PATHS=readable)
    place.start_manage("work")
    base = place.start_web()
    done = _typed(_tour_of("seed.md", base), place)
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    for text in ("texts", '"is_valid":true', "'words': ", "the\t"):
        assert text in done.stdout, done.stdout


@pytest.mark.needs("bubblewrap")
def test_the_mapreduce_tour_works_as_it_is_written(deployment: Factory) -> None:
    place = deployment(DEBUG="1")
    place.env["MAPREDUCE_FOLDERS"] = str(place.data_dir / "mapreduce")
    place.start_manage("work")
    base = place.start_web()
    done = _typed(_tour_of("mapreduce.md", base), place)
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    for text in ("'completed': ", "worker-", "\t"):
        assert text in done.stdout, done.stdout


@pytest.mark.runs_once("postgresql", "curl sees the API only")
def test_the_tour_of_prices_works_as_it_is_written(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    done = _typed(_tour_of("prices.md", place.start_web()), place)
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    for text in (
        '"source": "default"',
        "Took 2 prices",
        "Took 3 prices",
        "Left 1 of reservations.",
        "azure/westeurope",
    ):
        assert text in done.stdout, done.stdout


@pytest.mark.runs_once("postgresql", "curl sees the API only")
def test_the_tour_of_policies_works_as_it_is_written(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    done = _typed(_tour_of("policies.md", place.start_web()), place)
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    for text in ('"cloud": "local"', '"max_cost": "0.1"', "is number 1 of 1 places that could run it"):
        assert text in done.stdout, done.stdout


@pytest.mark.runs_once("sqlite", "curl sees the API only")
def test_the_tour_of_clusters_works_as_it_is_written(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    place.start_manage("work")
    base = place.start_web()
    done = _typed(_tour_of("clusters.md", base), place)
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    for text in ('"machine_type":"xsmall"', "1.0", "as process", "GET /version", '"count":2'):
        assert text in done.stdout, done.stdout


def test_every_curl_in_the_documents_stands_in_a_tour() -> None:
    pages = {path.name for path in (CHECKOUT / "docs").rglob("*.md") if re.search(r"^\s*curl ", path.read_text(), re.M)}
    moves = {f"migrate-from-{name}.md" for name in ("apollo", "fishjam", "mapsor", "scale")}
    assert pages == moves | {
        *("api.md", "clusters.md", "events.md", "mapreduce.md", "policies.md", "seed.md", "webhooks.md"),
    }


def test_every_setting_it_names_is_read_and_every_one_read_is_named() -> None:
    source = (CHECKOUT / "controlplane" / "settings.py").read_text() + (
        CHECKOUT / "deploy/gunicorn.conf.py"
    ).read_text()
    read = set(re.findall(r'env\.(?:text|flag|whole|names|document|database)\(\s*"([A-Z_]+)"', source))
    read |= set(re.findall(r'environ\.get\("([A-Z_]+)"', source)) - {"PORT"}
    table = README.split("## Settings")[1].split("\n## ")[0]
    named = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
        for name in re.findall(r"`([A-Z_]+)`", row)
    }
    assert named == read


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (CHECKOUT / "Makefile").read_text(), flags=re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4}|^)make ([a-z]+)", README, flags=re.MULTILINE))
    assert named >= {"demo", "test", "serve", "help"}
    assert named <= targets


@pytest.mark.runs_once("postgresql", "curl sees the API only")
def test_the_tour_of_events_works_as_it_is_written(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    done = _typed(_tour_of("events.md", place.start_web()), place)
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    for text in ("'job.submitted'", '"next_after":', "event: job.submitted"):
        assert text in done.stdout, done.stdout


@pytest.mark.runs_once("postgresql", "curl sees the API only")
def test_the_tour_of_webhooks_works_as_it_is_written(deployment: Factory) -> None:
    place = deployment(DEBUG="1", LOCAL_ISOLATION="0")
    done = _typed(_tour_of("webhooks.md", place.start_web()), place)
    assert done.returncode == 0, done.stdout + done.stderr + place.logs()
    for text in ('"has_authorization":true', '"count":0', '"is_enabled":false'):
        assert text in done.stdout, done.stdout
    assert "of-mine" not in done.stdout


def test_what_it_says_of_verifying_webhooks_fits_what_is_sent() -> None:
    page = (CHECKOUT / "docs" / "webhooks.md").read_text()
    [code] = [block for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL) if "def verify" in block]
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - it is ours
    secret, now = seal().signing, int(time.time())
    headers = {"webhook-id": "evt_42", "webhook-timestamp": str(now)}
    headers["webhook-signature"] = f"v1,{'A' * 43}= {sign(secret, 'evt_42', now, '{}')}"
    assert names["verify"](secret, headers, b"{}")
    assert not names["verify"](secret, headers, b"[]")
    assert not names["verify"](seal().signing, headers, b"{}")
    assert not names["verify"](secret, {**headers, "webhook-timestamp": str(now - 600)}, b"{}")
