"""The API on pages: signed in by the admin's session, without the internet, and cheap however much there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import urlencode

import pytest
from django.test import Client
from django.urls import set_script_prefix
from pytest_django import Settings

from accounts import services as accounts
from accounts.models import WebhookDelivery
from controlplane.surfaces import NATIVE
from jobs import states
from jobs.models import Job
from tests.answers import text_of
from tests.contracts import harness
from tests.factories import make_admin, make_job
from tests.query_budget import counted
from tests.schema.scenery import filled, make_scenery
from tests.schema.trial import short_streams

LISTS: Final = (
    *("customers", "errors", "files", "holds", "jobs", "load", "operations", "quotas", "recipe-types", "recipes"),
    *("tokens", "users", "workspaces"),
)
# What a request may write however it is called: who was there, when a token was used last, positions of events.
BOOKKEEPING: Final = ("django_session", "accounts_apitoken", "axes_", "accounts_follower", "SET position")


@pytest.fixture
def browser(db: None) -> Client:
    """Somebody who has signed in at the admin, and whose browser asks for pages."""
    client = Client(headers={"Accept": "text/html,application/xhtml+xml"})
    client.force_login(make_admin("root").user)
    return client


def page_of(browser: Client, path: str, status: int = 200) -> str:
    answer = browser.get(path)
    assert answer.status_code == status, text_of(answer)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    return text_of(answer)


def fetched(page: str) -> list[str]:
    """What a browser would fetch for the page by itself."""
    return re.findall(r'<(?:script|img|link|iframe)[^>]*?(?:src|href)="([^"]*)"', page)


# --- Pages -----------------------------------------------------------------------------------------


def test_the_root_leads_to_everything(browser: Client) -> None:
    page = page_of(browser, "/v6/")
    for name in LISTS:
        assert f'href="http://testserver/v6/{name}/"' in page


@pytest.mark.parametrize("name", LISTS)
def test_each_list_is_a_page_with_its_filters(browser: Client, name: str) -> None:
    page = page_of(browser, f"/v6/{name}/")
    assert "filtersModal" in page
    assert all(select.count("<option") <= 100 for select in re.findall(r"<select.*?</select>", page, re.DOTALL))


def test_a_filter_that_is_given_twice_stays_on_the_page(browser: Client) -> None:
    page = page_of(browser, "/v6/jobs/?status=FAILED&status=CANCELED")
    assert len(re.findall(r'<input[^>]*name="status"[^>]*value="(?:FAILED|CANCELED)"', page)) == 2


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("jobs", "classification"), ("customers", "acme"), ("users", "username"), ("tokens", "expires"),
        ("holds", "UNPAID"), ("quotas", "max_jobs"), ("errors", "category"),
    ],
)  # fmt: skip
def test_the_form_for_raw_data_starts_from_an_example(browser: Client, path: str, words: str) -> None:
    [content] = re.findall(r'<textarea name="_content".*?</textarea>', page_of(browser, f"/v6/{path}/"), re.DOTALL)
    assert words in content


def test_a_job_s_page_offers_its_verbs(browser: Client) -> None:
    job = make_job()
    page = page_of(browser, f"/v6/jobs/{job.pk}/")
    for verb in ("cancel", "hold", "requeue", "release", "retry", "explain"):
        assert f"/v6/jobs/{job.pk}/{verb}/" in page


@pytest.mark.parametrize("path", ["/v6/jobs/999999999999/", "/v6/jobs/?nonsense=1", "/v6/jobs/1/cancel/"])
def test_a_refusal_is_a_page_too(browser: Client, path: str) -> None:
    assert browser.get(path).headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.django_db
def test_who_is_not_signed_in_is_led_to_the_sign_in_and_back() -> None:
    page = page_of(Client(headers={"Accept": "text/html"}), "/v6/jobs/?status=FAILED", 401)
    [link] = re.findall(r'href="(/admin/login/[^"]*)"', page)
    assert link == "/admin/login/?next=/v6/jobs/%3Fstatus%3DFAILED"
    accounts.create_user(username="anna", role="admin", actor=None, password="correct horse battery")
    signed_in = Client().post(link, {"username": "anna", "password": "correct horse battery"})
    assert signed_in.headers["Location"] == "/v6/jobs/?status=FAILED"


def test_a_session_alone_changes_nothing_without_the_page_s_own_word(browser: Client) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    answer = strict.post("/v6/customers/", {"name": "forged"}, content_type="application/json")
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/v6/customers/", "/v6/jobs/", "/v6/holds/", "/v6/users/"])
def test_a_page_costs_the_same_with_a_thousand_customers(browser: Client, path: str) -> None:
    page_of(browser, path)
    with counted() as few:
        page_of(browser, path)
    actor = make_admin().user
    for number in range(1000):
        accounts.create_customer(name=f"customer {number}", actor=actor)
    with counted() as many:
        page_of(browser, path)
    assert len(many) <= len(few) <= 12, f"{len(few)}, then {len(many)}:\n{many}"


# --- Without the internet, below a prefix ------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/v6/", "/v6/jobs/", "/schema/swagger/", "/schema/redoc/", "/admin/login/"])
def test_no_page_fetches_anything_from_elsewhere(browser: Client, path: str) -> None:
    page = text_of(browser.get(path, follow=True))
    assert [url for url in fetched(page) if "//" in url] == []
    assert not re.search(r"url\([\"']?https?:|@import", page)
    for url in fetched(page):
        if url.startswith("/static/"):
            assert Client().get(url).status_code == 200, url


@pytest.fixture
def _below_a_prefix(settings: Settings) -> Iterator[None]:
    settings.FORCE_SCRIPT_NAME = "/compute"
    set_script_prefix("/compute/")  # the WSGI handler does it for a deployment
    yield
    set_script_prefix("/")


@pytest.mark.usefixtures("_below_a_prefix")
def test_below_a_prefix_no_link_of_a_page_leaves_it(browser: Client) -> None:
    for path in ("/", "/v6/", "/v6/jobs/", "/schema/swagger/", "/schema/redoc/"):
        page = text_of(browser.get(path))
        links = re.findall(r'(?:href|src|action)="(/[^"]*)"', page)
        assert links or path.startswith("/schema/")
        # Files are found through STATIC_URL, which Django reads once.
        assert [link for link in links if not link.startswith(("/compute/", "/static/"))] == [], path
    assert "/compute/schema/" in text_of(browser.get("/schema/swagger/"))


# --- No side effects ---------------------------------------------------------------------------------


def paths_of_gets() -> list[str]:
    return sorted(
        path for method, path in harness.generated().operations() if method == "get" and path.startswith(NATIVE)
    )


@pytest.mark.django_db
def test_no_get_with_a_session_changes_anything() -> None:
    scenery = make_scenery()
    job = Job.objects.filter(status=states.COMPLETED).latest("pk")
    browser = Client()
    browser.force_login(scenery.people["admin"].user)
    names = {key: values[0] for key, values in scenery.names().items() if values}
    names["webhook"] = str(WebhookDelivery.objects.latest("pk").webhook.uuid)
    asked = urlencode({"token_prefix": scenery.operator.token[:8], "method": "GET", "path": "/v6/jobs/"})
    for template in paths_of_gets():
        if template == "/v6/access/explain/":
            template = f"{template}?{asked}"
        path = filled(template, {**names, "job": job.pk, "execution": scenery.stage.execution(job).pk})
        for kind in ("application/json", "text/html"):
            with counted() as found, short_streams():
                answer = browser.get(path, headers={"Accept": kind})
                text_of(answer)
            assert answer.status_code in (200, 204), (path, answer.status_code)
            assert [text for text in found.texts if _writes(text)] == [], path


def _writes(statement: str) -> bool:
    changes = re.search(r"\b(INSERT|UPDATE|DELETE)\b", statement)
    return bool(changes) and not any(name in statement for name in BOOKKEEPING)
