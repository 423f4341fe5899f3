"""Each example of the docs is typed, sent or checked by a test, or stands here with the reason why it is not."""

from __future__ import annotations

import ast
import json
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import yaml
from django.core.management import call_command
from django.urls import resolve
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from accounts import event_kinds, fishjam_events
from accounts.delivering import sign
from accounts.services import ensure_customer, seal
from billing.models import UsageRecord
from controlplane.admin_docs import page_names
from tests.billing.scene import furnish_billing
from tests.clusters.offers import priced
from tests.contracts import harness
from tests.environment import CHECKOUT
from tests.factories import make_admin, make_job
from tests.jobs.api.v6.answers import good

# Pages all of whose shell blocks are typed, and the test that does it.
TYPED: Final = {
    "project": "tests/controlplane/test_readme.py",
    "api": "tests/controlplane/test_readme.py",
    "clusters": "tests/controlplane/test_readme.py",
    "events": "tests/controlplane/test_readme.py",
    "mapreduce": "tests/controlplane/test_readme.py",
    "policies": "tests/controlplane/test_readme.py",
    "prices": "tests/controlplane/test_readme.py",
    "seed": "tests/controlplane/test_readme.py",
    "webhooks": "tests/controlplane/test_readme.py",
    "cpctl": "tests/controlplane/cli/test_page.py",
    "migrate-from-mapsor": "tests/controlplane/test_docs_moves.py",
    "migrate-from-scale": "tests/controlplane/test_docs_moves.py",
    "migrate-from-apollo": "tests/controlplane/test_docs_moves.py",
    "migrate-from-fishjam": "tests/controlplane/test_docs_moves.py",
    "operating": "tests/controlplane/test_docs_moves.py",
}
# Other blocks: by page, language, and how they begin, the test of this file or of another that has them.
CHECKED: Final = {
    ("api", "python", "from control_plane_client"): "test_the_python_client_has_what_it_uses",
    ("billing", "", "GET /v6/costs/"): "test_what_billing_shows_is_asked_and_sent",
    ("billing", "", "GET /v6/jobs/7/cost/"): "test_what_billing_shows_is_asked_and_sent",
    ("billing", "", "POST /v6/corrections/"): "test_what_billing_shows_is_asked_and_sent",
    ("clouds", "json", '{"customer": "acme"'): "test_jobs_are_taken_as_they_are_written",
    ("policies", "json", '{"customer": "acme"'): "test_jobs_are_taken_as_they_are_written",
    ("clusters", "yaml", "scrape_configs"): "test_prometheus_is_led_to_what_is_there",
    ("operating", "yaml", "scrape_configs"): "test_prometheus_is_led_to_what_is_there",
    ("clusters", "json", "{"): "tests/clusters/aws/test_recordings.py",
    ("connecting", "", "manage.py proxy_map"): "test_the_map_of_the_proxy_is_made",
    ("webhooks", "json", '{"position": 42'): "test_what_comes_to_webhooks_is_of_the_schema",
    ("webhooks", "json", '{"kind": "create_container"'): "test_what_comes_to_webhooks_is_of_the_schema",
    ("webhooks", "python", "from standardwebhooks"): "test_a_library_verifies_what_is_sent",
    ("webhooks", "python", "import base64"): "tests/controlplane/test_readme.py",
}
# What no test can do here, and why.
LEFT: Final = {
    ("mapreduce", "sh", "docker build"): "pushes an image into a registry; its Dockerfile is built by tests/jobs",
}
SERVER: Final = "make serve"  # in the other terminal: a deployment of the test's own


@dataclass(frozen=True)
class Block:
    page: str
    language: str
    text: str

    def begins(self, key: tuple[str, str, str]) -> bool:
        return key[:2] == (self.page, self.language) and self.text.startswith(key[2])


def blocks() -> Iterator[Block]:
    for name, file in page_names().items():
        if not name.startswith(("decisions/", "contributing")):  # who contributes runs these tests
            for language, text in re.findall(
                r"^```(\w*)\n(.*?)^```$", file.read_text(), flags=re.DOTALL | re.MULTILINE
            ):
                yield Block(name, language, text)


def block(page: str, language: str, begins: str) -> Block:
    [found] = [each for each in blocks() if each.begins((page, language, begins))]
    return found


def test_every_example_is_tried_or_has_a_reason() -> None:
    found = list(blocks())
    assert len(found) > 40
    loose = [
        f"{each.page}: {each.text[:60]!r}"
        for each in found
        if not each.text.startswith(SERVER)
        and not (each.language == "sh" and each.page in TYPED)
        and not any(each.begins(key) for key in (*CHECKED, *LEFT))
    ]
    assert loose == []
    for key in (*CHECKED, *LEFT):
        assert any(each.begins(key) for each in found), f"{key} is not there any more"


def test_those_who_try_them_are_there() -> None:
    for page, where in TYPED.items():
        file = "README.md" if page == "project" else f"{page}.md"
        assert f'"{file}' in (CHECKOUT / where).read_text(), (page, where)
    for where in CHECKED.values():
        assert where in globals() or "docs" in (CHECKOUT / where).read_text(), where


# --- Those of this file ----------------------------------------------------------------------------


@pytest.mark.django_db
def test_jobs_are_taken_as_they_are_written(settings: Any) -> None:
    kinds = {"HIGH": "h", "LOW": "l", "SPOT": "s", "ON_DEMAND": "o"}
    settings.AWS_REGIONS = ["eu-central-1", "us-east-1"]
    settings.AWS_BATCH_QUEUES = dict.fromkeys(settings.AWS_REGIONS, kinds)
    admin = make_admin()
    for region in settings.AWS_REGIONS:
        for capacity in ("spot", "on-demand"):
            priced("0.1", region=region, capacity=capacity)
    for page in ("clouds", "policies"):
        wish = json.loads(block(page, "json", '{"customer": "acme"').text)
        assert good(admin.post("/v6/jobs/?dry_run=true", wish))["place"]["cloud"] == "aws"
        made = good(admin.post("/v6/jobs/", wish), 201)
        assert {name: made[name] for name in ("customer", "classification", "command")}.items() <= wish.items()


@pytest.mark.django_db
def test_what_billing_shows_is_asked_and_sent() -> None:
    admin = make_admin()
    furnish_billing()
    ensure_customer("acme")
    costs = block("billing", "", "GET /v6/costs/")
    line, _, shown = costs.text.partition("\n")
    answer = good(admin.get(line.removeprefix("GET ")))
    assert answer.keys() == json.loads(shown).keys()
    whole = good(admin.get("/v6/costs/?group_by=customer,cloud"))["results"]
    assert whole
    assert whole[0].keys() == json.loads(shown)["results"][0].keys()
    cost = block("billing", "", "GET /v6/jobs/7/cost/").text.partition("\n")[2]
    assert good(admin.get(f"/v6/jobs/{make_job().pk}/cost/")).keys() == json.loads(cost).keys()
    record = UsageRecord.objects.exclude(kind="correction").latest("pk").pk
    for each in good(admin.get("/v6/budgets/"))["results"]:
        assert admin.delete(f"/v6/budgets/{each['id']}/").status_code == 204
    budget = 0
    for method, path, text in re.findall(
        r"^(POST|PATCH) (\S+)\s+(\{.*?\})$", block("billing", "", "POST /v6/corrections/").text, re.M | re.S
    ):
        body = json.loads(text.replace("4711", str(record)))
        send = admin.post if method == "POST" else admin.patch
        made = good(send(path.replace("/3/", f"/{budget}/"), body), 201 if method == "POST" else 200)
        budget = made["id"] if path == "/v6/budgets/" else budget
    assert budget


def test_prometheus_is_led_to_what_is_there() -> None:
    [containers] = yaml.safe_load(block("clusters", "yaml", "scrape_configs").text)["scrape_configs"]
    assert resolve(containers["http_sd_configs"][0]["url"].removeprefix("http://127.0.0.1:8000"))
    [own] = yaml.safe_load(block("operating", "yaml", "scrape_configs").text)["scrape_configs"]
    [deployed] = [
        each
        for each in yaml.safe_load((CHECKOUT / "deploy/prometheus/prometheus.yml").read_text())["scrape_configs"]
        if each["job_name"] == own["job_name"]
    ]
    assert own.keys() <= deployed.keys() | {"authorization"}
    assert resolve("/metrics")


@pytest.mark.django_db
def test_the_map_of_the_proxy_is_made(capsys: pytest.CaptureFixture[str]) -> None:
    words = block("connecting", "", "manage.py proxy_map").text.partition(">")[0].split()
    call_command(*words[1:])
    assert "listen 8080;" in capsys.readouterr().out


def test_what_comes_to_webhooks_is_of_the_schema() -> None:
    event = json.loads(block("webhooks", "json", '{"position": 42').text)
    Draft202012Validator(event_kinds.json_schema()).validate(event)
    told = json.loads(block("webhooks", "json", '{"kind": "create_container"').text)
    Draft202012Validator(fishjam_events.json_schema()).validate(told)


def test_a_library_verifies_what_is_sent() -> None:
    code = block("webhooks", "python", "from standardwebhooks").text
    secret, body = seal().signing, '{"kind": "job.moved"}'
    now = int(time.time())
    signature = f"v1,{'A' * 43}= {sign(secret, 'evt_42', now, body)}"
    headers = {"webhook-id": "evt_42", "webhook-timestamp": str(now), "webhook-signature": signature}
    names: dict[str, Any] = {"secret": secret, "body": body, "headers": headers, "Webhook": Webhook}
    exec(code, names)  # noqa: S102 - it is ours
    assert names["event"] == {"kind": "job.moved"}


def test_the_python_client_has_what_it_uses() -> None:
    """tests/schema/test_python_client.py makes that client and calls it; this holds the example to the same schema."""
    tree = ast.parse(block("api", "python", "from control_plane_client").text)
    names = {each.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for each in node.names}
    schema = json.loads(json.dumps(harness.generated().content))
    operations = {each.get("operationId") for path in schema["paths"].values() for each in path.values()}
    known = operations | set(schema["components"]["schemas"]) | {"AuthenticatedClient"}
    assert names <= known, names - known
