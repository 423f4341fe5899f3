"""Paths with and without slashes, strays, and the page that names the surfaces."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from django.test import Client, override_settings
from django.urls import set_script_prefix
from drf_spectacular import drainage
from drf_spectacular.validation import validate_schema
from pytest_django import Settings

from accounts.api.fishjam import urls as fishjam
from accounts.api.mapsor import urls as users
from billing.api.fishjam import urls as payments
from billing.api.mapsor import urls as usage
from clusters.api.fishjam import urls as clusters
from controlplane.surfaces import NATIVE, own_form
from jobs.api.mapreduce import urls as mapreduce
from jobs.api.mapsor import urls as jobs
from tests.answers import assert_refused, json_of, text_of
from tests.contracts import harness
from tests.factories import make_admin, make_job, make_operator


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/", "/"), ("//", "/"), ("/submit", "/submit"), ("/submit/", "/submit"), ("/submit//", "/submit"),
        ("/status/x/", "/status/x"), ("/admin", "/admin/"), ("/admin/", "/admin/"), ("/admin/jobs", "/admin/jobs/"),
        ("/administer/", "/administer"), ("/schema", "/schema/"), ("/schema/redoc", "/schema/redoc/"),
        ("/stripe/webhook", "/stripe/webhook/"),
        ("/static/a.css", "/static/a.css"), ("/static/a/", "/static/a/"), ("/livez/", "/livez"),
    ],
)  # fmt: skip
def test_each_surface_writes_its_paths_in_itsown_form(path: str, own: str) -> None:
    assert own_form(path) == own


@pytest.mark.django_db
def test_a_post_with_a_slash_keeps_its_body() -> None:
    operator = make_operator()
    body = {"customer": "a", "cloud": "local", "region": "local", "id": "x", "image": "x", "command": ["true"]}
    assert set(json_of(operator.post("/submit/", body))) == {"job_id"}


@pytest.mark.parametrize("path", ["/livez/", "/schema", "/schema/swagger", "/schema/redoc"])
def test_the_sites_own_pages_need_no_slash(path: str) -> None:
    assert Client().get(path).status_code == 200


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/admin", "/admin/jobs/job", "/admin/login"])
def test_an_admin_page_without_its_slash_leads_to_it(path: str) -> None:
    browser = Client()
    browser.force_login(make_admin().user)
    answer = browser.get(path, follow=True)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("method", ["get", "post", "put", "delete", "patch", "options", "head"])
@pytest.mark.parametrize("path", ["/nothing", "/nothing/", "/status", "/status/a/b", "/%00", "/%FF", "/submit/x"])
def test_a_path_that_nobody_knows_is_404_in_shape(path: str, method: str) -> None:
    answer = getattr(Client(), method)(path)
    assert answer.status_code == 404
    if method != "head":
        assert_refused(answer, 404, "NOT_FOUND", "path")


@pytest.mark.parametrize("path", ["/api/v1/nothing", "/api/v1/tokens/a/b"])
def test_a_path_of_fishjam_that_nobody_knows_is_404_in_its_words(path: str) -> None:
    answer = Client().post(path)
    assert (answer.status_code, json.loads(text_of(answer))) == (404, {"detail": "Not Found"})
    assert answer.headers["Cache-Control"] == "no-store"


@override_settings(DEBUG=True)
def test_with_debug_it_still_is_404() -> None:
    assert Client().get("/nothing").status_code == 404


def test_a_host_that_is_not_allowed_is_400_and_says_little() -> None:
    answer = Client(headers={"Host": "evil.example"}).get("/admin/login/")
    assert (answer.status_code, text_of(answer)) == (400, "Bad request\n")


@pytest.mark.django_db
def test_the_first_page_names_the_surfaces() -> None:
    answer = Client().get("/")
    page = text_of(answer)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for operation, _ in harness.built("mapsor"):
        assert operation.path in page
    for link in ("/admin/", "/schema/", "/schema/swagger/", "/schema/redoc/", "/livez", "/readyz"):
        assert f'href="{link}"' in page
        assert Client().get(link).status_code in (200, 302, 503)


@pytest.fixture
def _below_a_prefix(settings: Settings) -> Iterator[None]:
    settings.FORCE_SCRIPT_NAME = "/compute"
    set_script_prefix("/compute/")  # the WSGI handler does it for a deployment
    yield
    set_script_prefix("/")


@pytest.mark.django_db
@pytest.mark.usefixtures("_below_a_prefix")
def test_all_works_below_a_prefix() -> None:
    operator = make_operator()
    job = make_job(operator)
    assert json_of(operator.get(f"/status/{job.uuid}/"))["status"] == "QUEUED"
    assert_refused(operator.get("/nothing"), 404, "NOT_FOUND")
    page = text_of(Client().get("/"))
    for link in ("/admin/", "/schema/", "/schema/swagger/", "/schema/redoc/"):
        assert f'href="/compute{link}"' in page
    assert "/compute/admin/login/" in Client().get("/admin/").headers["Location"]


@pytest.mark.usefixtures("_below_a_prefix")
def test_no_link_of_the_first_page_leaves_the_prefix() -> None:
    page = text_of(Client().get("/"))
    assert [link for link in re.findall(r'href="([^"]*)"', page) if not link.startswith("/compute/")] == []


# --- The schema ----------------------------------------------------------------------------------


def test_the_schema_is_served_to_everybody() -> None:
    answer = Client().get("/schema/?format=json")
    assert answer.status_code == 200
    assert text_of(answer).startswith("{")


def test_the_schema_has_no_warnings() -> None:
    harness.generated.cache_clear()
    harness.generated()
    assert dict(drainage.GENERATOR_STATS._warn_cache) == {}
    assert dict(drainage.GENERATOR_STATS._error_cache) == {}


def test_the_schema_is_valid_openapi() -> None:
    validate_schema(harness.generated().content)


def test_every_operation_has_an_id_of_its_own_a_summary_and_says_how_it_fails() -> None:
    operations = harness.generated().operations()
    ids = [operation.id for operation in operations.values()]
    assert len(ids) == len(set(ids)) >= 12
    for operation in operations.values():
        assert operation.spec["summary"], operation.id
        assert 500 in operation.statuses() or operation.id.startswith("fishjam_"), (
            operation.id
        )  # its contract says none
        assert 401 in operation.statuses() or not operation.spec.get("security"), operation.id
        assert "Stands for" not in operation.spec.get("description", ""), operation.id


def test_every_route_of_the_dialects_stands_in_the_schema() -> None:
    patterns = [
        *users.urlpatterns,
        *jobs.urlpatterns,
        *usage.urlpatterns,
        *mapreduce.urlpatterns,
        *fishjam.urlpatterns,
        *clusters.urlpatterns,
        *payments.urlpatterns,
    ]
    routes = {re.sub(r"<str:(\w+)>", r"{\1}", f"/{pattern.pattern}") for pattern in patterns}
    assert routes == {path for _, path in harness.generated().operations() if not path.startswith(NATIVE)}


@pytest.mark.parametrize("debug", [False, True])
def test_an_unknown_path_is_answered_in_the_surface_s_words_in_development_too(
    client: Client, settings: Settings, debug: bool
) -> None:
    settings.DEBUG = debug
    answer = client.get("/no/such/path")
    assert (answer.status_code, answer["Content-Type"]) == (404, "application/json")
    assert answer.json()["error"]["code"] == "NOT_FOUND"
