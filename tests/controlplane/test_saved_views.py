"""Lists of the admin that staff keep under a name, for themselves or for all of the staff."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse

from accounts import services
from accounts.errors import SavedViewNotFound
from accounts.models import SavedView
from controlplane.core.errors import Forbidden, InvalidRequest
from tests.browsers import OTHERS, STAFF, browser, somebody
from tests.factories import make_job, make_jobs

pytestmark = pytest.mark.django_db
JOBS = "/admin/jobs/job/"


def _save(role: str, **wish: str) -> Any:
    data = {"list": "jobs_job", "query": "state=FAILED&customer=acme", "name": "Failed at acme", **wish}
    return browser(role).post(reverse("admin:save_view"), data)


@pytest.mark.parametrize("role", STAFF)
def test_a_list_is_kept_and_led_to_from_the_list_and_from_the_search_box(role: str) -> None:
    make_jobs(2, customer="globex")
    answer = _save(role, query="customer=globex", name="  Those of   globex ")
    assert answer.headers["Location"] == f"{JOBS}?customer=globex"
    view = SavedView.objects.get()
    assert (view.name, view.query, view.user, view.is_shared) == (
        "Those of globex", "customer=globex", somebody(role), False,
    )  # fmt: skip
    client = browser(role)
    for page in (JOBS, reverse("admin:find"), reverse("admin:views")):
        assert "Those of globex" in client.get(page).content.decode(), page
    assert "Those of globex" not in client.get("/admin/jobs/recipe/").content.decode()
    listed = client.get(f"{JOBS}?{view.query}")
    assert {job.customer.name for job in listed.context["cl"].result_list} == {"globex"}


def test_the_form_on_a_list_saves_what_the_list_shows() -> None:
    make_job()
    client = browser("operator")
    page = client.get(JOBS, {"state": "QUEUED", "q": "a&b", "older": "7"}).content.decode()
    assert 'name="list" value="jobs_job"' in page
    assert 'name="query" value="state=QUEUED&amp;q=a%26b&amp;older=7"' in page
    _save("operator", query="state=QUEUED&q=a%26b&older=7")
    assert SavedView.objects.get().query == "state=QUEUED&q=a%26b"


def test_only_what_the_list_takes_is_kept() -> None:
    for query, kept in (
        ("?state=FAILED&nonsense=1&_export=csv&e=1&older=3&owner__password__startswith=a", "state=FAILED"),
        ("state=FAILED&state=CANCELED&state=", "state=FAILED&state=CANCELED"),
        ("//evil.example/?x", ""),
        ("q=%00x", "q=x"),
        ("", ""),
    ):
        answer = _save("operator", query=query)
        assert answer.headers["Location"] == (f"{JOBS}?{kept}" if kept else JOBS)
        assert SavedView.objects.get().query == kept  # under its name, which is replaced
    _save("operator", list="jobtypes_jobtype", query="is_active__exact=1&o=-2&manifest=x")
    assert SavedView.objects.get(list_name="jobtypes_jobtype").query in ("is_active__exact=1&o=-2", "")


def test_a_list_that_is_none_is_not_kept() -> None:
    for name in ("", "jobs_nothing", "https://evil.example", "auth_group", "accounts_savedview", "jobs_job_changelist"):
        assert _save("admin", list=name).status_code == 404, name
    assert not SavedView.objects.exists()
    assert browser("admin").get(reverse("admin:save_view")).status_code == 405


def test_a_shared_view_is_everybody_s_and_a_monitor_shares_none() -> None:
    _save("operator", is_shared="on")
    view = SavedView.objects.get()
    for role in STAFF:
        page = browser(role).get(JOBS).content.decode()
        assert "Failed at acme" in page
        assert ("for all of the staff" in page) is (role != "monitor")
    answer = browser("monitor").post(
        reverse("admin:save_view"),
        {"list": "jobs_job", "query": "state=QUEUED", "name": "Mine", "is_shared": "on"},
        follow=True,
    )
    assert "Only admins and operators share" in answer.content.decode()
    assert SavedView.objects.get() == view
    _save("admin", name="The admin's own")
    assert "The admin&#x27;s own" not in browser("operator").get(JOBS).content.decode()


def test_each_deletes_their_own_and_an_admin_shared_ones_too() -> None:
    _save("operator", name="own")
    _save("operator", name="shared", is_shared="on")
    own, shared = SavedView.objects.get(name="own"), SavedView.objects.get(name="shared")

    def delete(role: str, view: SavedView) -> int:
        return browser(role).post(reverse("admin:delete_view", args=[view.pk])).status_code

    assert delete("admin", own) == 404  # nobody else's business
    assert delete("monitor", shared) == 302
    assert SavedView.objects.count() == 2
    assert "Delete shared" not in browser("monitor").get(reverse("admin:views")).content.decode()
    assert "Delete shared" in browser("admin").get(reverse("admin:views")).content.decode()
    assert delete("admin", shared) == 302
    assert delete("operator", own) == 302
    assert not SavedView.objects.exists()
    assert delete("operator", own) == 404
    assert browser("operator").get(reverse("admin:delete_view", args=[own.pk])).status_code == 405


def test_views_are_for_staff() -> None:
    _save("operator", is_shared="on")
    view = SavedView.objects.get()
    for role in OTHERS:
        client = browser(role)
        for path in (reverse("admin:save_view"), reverse("admin:delete_view", args=[view.pk]), reverse("admin:views")):
            assert client.post(path, {"list": "jobs_job", "name": "x"}).status_code == 302, (role, path)
    assert SavedView.objects.get() == view


def test_what_cannot_be_kept_is_said() -> None:
    actor = somebody("operator")
    about: dict[str, Any] = {"actor": actor, "list_name": "jobs_job", "query": ""}
    for wish, field in (({"name": " "}, "name"), ({"name": "x" * 101}, "name"), ({"name": "x\0y"}, "name")):
        with pytest.raises(InvalidRequest) as refused:
            services.save_view(**{**about, **wish})
        assert refused.value.field == field
    with pytest.raises(InvalidRequest) as refused:
        services.save_view(**{**about, "name": "x", "query": "q=" + "y" * 2000})
    assert refused.value.field == "query"
    with pytest.raises(Forbidden):
        services.save_view(actor=somebody("monitor"), list_name="jobs_job", query="", name="x", is_shared=True)
    with pytest.raises(SavedViewNotFound):
        services.delete_view(actor=actor, view_id=999)


def test_there_is_a_most_of_a_user_s_views(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.services.saved_views.MOST", 2)
    actor = somebody("operator")
    for name in ("a", "b", "a"):
        services.save_view(actor=actor, list_name="jobs_job", query="", name=name)
    with pytest.raises(InvalidRequest):
        services.save_view(actor=actor, list_name="jobs_job", query="", name="c")
