"""docs/ inside the admin: every page is shown, its links lead somewhere, every list and form says what it is."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client, RequestFactory
from django.urls import URLPattern, URLResolver, get_script_prefix, set_script_prefix

from controlplane.admin_about import ABOUT, NEXT, about_page, key_of
from controlplane.admin_docs import BESIDE, find_page, meant_by, page_names
from tests.browsers import browser
from tests.environment import CHECKOUT
from tests.factories import make_admin, make_customer_user, make_monitor, make_operator

# Pages that need no word on what they are: for signing in, of Django's own, and the docs themselves.
PLAIN = {
    *("totp", "login", "logout", "password_change", "password_change_done", "autocomplete", "jsi18n", "search"),
    *("view_on_site", "app_list", "docs", "docs_page", "save_view", "delete_view"),
}


def text_of(name: str) -> str:
    return (CHECKOUT / BESIDE.get(name, f"docs/{name}.md")).read_text()


def links_of(name: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```|`[^`\n]*`", "", text_of(name), flags=re.DOTALL))


def fault_of(name: str, target: str) -> str | None:
    """What is wrong with a link of a page."""
    path, _, anchor = target.partition("#")
    meant = meant_by(name, target)
    if meant is None:
        there = (CHECKOUT / BESIDE.get(name, f"docs/{name}.md")).parent / path
        return None if there.exists() and not path.endswith(".md") else f"{name}: {target} leads nowhere"
    if anchor and anchor not in find_page(meant).anchors:
        return f"{name}: {target} has no such section"
    return None


def test_every_link_of_every_page_leads_somewhere() -> None:
    found = [(name, each) for name in page_names() for each in links_of(name) if not each.startswith("http")]
    assert len(found) > 100
    assert [fault for name, target in found if (fault := fault_of(name, target))] == []


def test_every_page_has_a_title_and_no_two_sections_of_one_name() -> None:
    for name in page_names():
        page = find_page(name)
        assert page.title
        if name != "changelog":  # its sections are called alike in every version
            assert [each for each, count in Counter(page.sections).items() if count > 1] == [], name


def test_every_page_is_in_the_index_or_below_one_that_is() -> None:
    listed = {meant_by("README", each) for each in links_of("README")} | {"README", "project"}
    decisions = {meant_by("decisions/README", each) for each in links_of("decisions/README")}
    assert set(page_names()) - listed - decisions == set()


def test_html_in_a_page_is_shown_and_not_meant() -> None:
    body = find_page("staff").body
    assert "<script" not in body
    assert '<table class="cp-table">' in body
    assert 'href="/admin/docs/billing/#in-the-admin"' in body
    assert '<h2 id="close-a-month">Close a month</h2>' in body


# --- Who reads them -------------------------------------------------------------------------------


def signed_in(person: Any) -> Client:
    client = Client()
    client.force_login(person.user)
    return client


@pytest.mark.django_db
@pytest.mark.parametrize("make", [make_admin, make_operator, make_monitor])
def test_all_of_the_staff_read_them(make: Any) -> None:
    client = signed_in(make())
    index = client.get("/admin/docs/")
    assert index.status_code == 200
    text = index.content.decode()
    for path in set(re.findall(r'href="(/admin/docs/[^"#]*)', text)):
        found = client.get(path)
        assert found.status_code == 200, path
        assert "<article>" in found.content.decode()
    assert "https://" not in re.sub(r'<a [^>]*href="https://[^"]*"[^>]*>', "", text.partition("<article>")[2])


@pytest.mark.django_db
def test_nobody_else_reads_them() -> None:
    for client in (signed_in(make_customer_user()), Client()):
        answer = client.get("/admin/docs/staff/")
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (302, "/admin/login/")


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["none", "../settings", "..%2f..%2fREADME", "decisions", "openapi", "staff/x", "%00"])
def test_what_is_no_page_is_not_found(path: str) -> None:
    assert signed_in(make_monitor()).get(f"/admin/docs/{path}/").status_code == 404


def test_below_a_prefix_links_stay_below_it() -> None:
    assert 'href="/admin/docs/billing/#in-the-admin"' in find_page("staff").body
    before = get_script_prefix()
    set_script_prefix("/control/")
    try:
        assert 'href="/control/admin/docs/billing/#in-the-admin"' in find_page("staff").body
    finally:
        set_script_prefix(before)


# --- What lists and forms say ---------------------------------------------------------------------


def names(patterns: Any) -> set[str]:
    found = set()
    for each in patterns:
        if isinstance(each, URLResolver):
            found |= names(each.url_patterns)
        elif isinstance(each, URLPattern) and each.name:
            found.add(each.name)
    return found


def test_every_list_that_is_empty_says_the_next_step() -> None:
    adding = {its for its in admin.site._registry.values() if getattr(its, "add_form", None)}
    for model, its in admin.site._registry.items():
        key = f"{model._meta.app_label}_{model._meta.model_name}"
        assert (key in NEXT) != (its in adding), key


@pytest.mark.django_db
def test_an_empty_list_leads_on_and_what_matches_nothing_leads_back() -> None:
    client = browser("admin")
    page = client.get("/admin/jobs/job/").content.decode()
    assert "There are no jobs yet" in page
    assert 'href="add/">Add the first</a>' in page
    page = browser("monitor").get("/admin/jobs/operation/").content.decode()
    assert NEXT["jobs_operation"][0] in page
    assert 'href="/admin/jobs/job/">Go there</a>' in page
    page = client.get("/admin/jobs/job/?state=FAILED").content.decode()
    assert "Nothing matches" in page
    assert 'href="?">All of them</a>' in page


def test_every_list_and_form_has_its_sentence() -> None:
    models = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}
    assert models <= set(ABOUT)
    assert {name for name in names(admin.site.get_urls()) if key_of(name) not in ABOUT} <= PLAIN


def test_every_sentence_leads_to_a_section() -> None:
    for key, (sentence, target) in ABOUT.items():
        assert sentence.endswith("."), key
        assert len(sentence) < 120, key
        page, _, anchor = target.partition("#")
        assert not anchor or anchor in find_page(page).anchors, key


@pytest.mark.django_db
@pytest.mark.parametrize("theme_page", ["jobs/job/", "jobs/hold/add/", "billing/spend/", ""])
def test_pages_show_it(theme_page: str) -> None:
    text = signed_in(make_operator()).get(f"/admin/{theme_page}").content.decode()
    assert 'class="cp-about"' in text
    assert "More in the docs" in text


def test_what_is_no_page_of_the_admin_has_none() -> None:
    assert about_page(RequestFactory().get("/")) is None
