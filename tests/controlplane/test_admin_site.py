"""The admin as a whole: every page, for everybody, in both themes."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from django.conf import settings
from django.contrib.staticfiles import finders
from django.urls import reverse

from tests.browsers import ANONYMOUS, OTHERS, STAFF, browser, furnish, pages
from tests.environment import CHECKOUT
from tests.factories import make_place


@pytest.mark.django_db
def test_every_page_opens_for_staff_and_for_nobody_else() -> None:
    furnish()
    for role in STAFF:
        client = browser(role)
        for path in pages(changing=role == "admin"):
            # Below admin, people and tokens are there for themselves only.
            personal = role != "admin" and re.fullmatch(r"/admin/accounts/(user|apitoken)/\d+/change/", path)
            assert client.get(path).status_code in ((200, 302) if personal else (200,)), (role, path)
    for role in OTHERS:
        client = browser(role)
        for path in pages(changing=True):
            answer = client.get(path)
            assert (answer.status_code, "/admin/login/" in answer.headers["Location"]) == (302, True), (role, path)


@pytest.mark.django_db
@pytest.mark.runs_once("sqlite", "it is about HTML")
def test_a_page_has_no_long_select_no_bare_time_nothing_from_elsewhere_and_no_script_of_ours_in_it() -> None:
    furnish()
    client = browser("admin")
    for path in pages(changing=True):
        text = client.get(path).content.decode()
        assert not re.search(r"\d (a|p)\.m\.|, (noon|midnight)\b", text), path
        for select in re.findall(r"<select.*?</select>", text, flags=re.DOTALL):
            assert select.count("<option") <= 100, path
        for address in re.findall(r"<(?:script|link|img|iframe)[^>]*?(?:src|href)=[\"']([^\"']*)", text):
            assert address.startswith("/"), (path, address)
            if address.startswith("/static/"):
                assert finders.find(address.removeprefix("/static/")), address
        for ours in re.findall(r"<div class=\"cp .*", text, flags=re.DOTALL):
            assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", ours), path
            assert " onclick=" not in ours, path


@pytest.mark.django_db
def test_the_theme_is_the_one_that_is_set() -> None:
    page = browser("admin").get(reverse("admin:index")).content.decode()
    assert ("unfold/css/styles.css" in page) is (settings.ADMIN_THEME == "unfold")
    assert ("admin/css/base.css" in page) is (settings.ADMIN_THEME == "plain")
    assert "controlplane/admin.css" in page


@pytest.mark.skipif(settings.ADMIN_THEME == "plain", reason="it is what this run is")
@pytest.mark.runs_once("postgresql", "themes are about pages; the pages are opened on both")
def test_all_of_it_works_with_the_plain_theme() -> None:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "TEST_", "DJANGO_")) and name != "DATABASE_URL"
    }
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        cwd=CHECKOUT,
        env={**kept, "ADMIN_THEME": "plain"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]


@pytest.mark.django_db
def test_an_unisolated_machine_has_a_banner() -> None:
    make_place(runs_for="staff")
    client = browser("monitor")
    for name in ("admin:index", "admin:jobs_job_changelist"):
        assert "not isolated" in client.get(reverse(name)).content.decode()
    make_place()
    assert "not isolated" not in client.get(reverse("admin:index")).content.decode()


@pytest.mark.django_db
def test_what_nobody_edits_is_not_in_the_admin() -> None:
    page = browser("admin").get(reverse("admin:index")).content.decode().lower()
    assert "ormq" not in page
    assert "/admin/auth/group/" not in page


@pytest.mark.django_db
def test_signing_in_leads_to_the_admin() -> None:
    browser("operator")
    client = browser(ANONYMOUS)
    data = {"username": "browser-operator", "password": "correct horse battery"}
    answer = client.post(reverse("admin:login"), data)
    assert (answer.status_code, answer.headers["Location"]) == (302, reverse("admin:index"))


def test_a_form_that_a_browser_posts_tells_where_it_comes_from() -> None:
    """With no-referrer browsers send `Origin: null`, which the CSRF check refuses: nobody could sign in."""
    assert settings.SECURE_REFERRER_POLICY == "same-origin"
