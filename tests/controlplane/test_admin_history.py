"""The history of a row in the admin: what was changed, how it was at a time, and how it is made so again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import services as accounts
from accounts.admin.history import SIZE, read_moment
from accounts.models import Event, Role, User
from billing import services as billing
from clusters import services as clusters
from clusters.models import Offer, Price
from controlplane.core.admin import ReadOnlyAdmin
from jobs import services as jobs
from jobs.models import Gate, Scope
from jobs.policy import read_policy
from jobs.queries import policy_of_job_type
from jobtypes import services as jobtypes
from jobtypes.models import JobType
from jobtypes.services.recipe_types import edit_recipe_type
from tests.answers import text_of
from tests.browsers import OTHERS, STAFF, browser, furnish, somebody
from tests.factories import make_customer_user, make_job_type, make_workspace, manifest_of
from tests.hooks import make_webhook
from tests.query_budget import within_budget
from tests.recipes import CHAIN, FORK, make_recipe_type

pytestmark = pytest.mark.django_db


def page_of(row: Any, name: str = "history") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{name}", args=[row.pk])


def newest() -> int:
    return Event.objects.latest("pk").pk


def buttons(client: Client, row: Any, at: object) -> dict[str, str]:
    """What the page offers to make it as it was, by its label."""
    found = client.get(page_of(row), {"at": str(at)})
    assert found.status_code == 200
    return {label.removeprefix("Restore this: "): url for label, url in found.context.get("restoring", [])}


def filled(client: Client, url: str) -> dict[str, Any]:
    """What the form at `url` would send as it stands."""
    form = client.get(url).context["form"]
    values = {name: form[name].value() for name in form.fields}
    sent = {name: field.prepare_value(values[name]) for name, field in form.fields.items()}
    return {name: "on" if value is True else value for name, value in sent.items() if value not in (None, False)}


# --- Who sees it, and what -----------------------------------------------------------------------


def test_every_row_has_a_history_for_staff_and_for_nobody_else() -> None:
    furnish()
    opened = 0
    for model, its in admin.site._registry.items():
        if not isinstance(its, ReadOnlyAdmin):
            continue
        row = model._default_manager.order_by("pk").last()
        is_told = its.log_subject(1, row) is not None
        opened += is_told
        path = page_of(row)
        for more in ("", "?at=1", f"?at={timezone.now():%Y-%m-%d}"):
            assert browser("admin").get(path + more).status_code == (200 if is_told else 404), path
        for role in STAFF[1:]:
            personal = model.__name__ in ("User", "ApiToken")
            allowed = (200, 404) if personal else (200,) if is_told else (404,)
            assert browser(role).get(path).status_code in allowed, (role, path)
        for role in OTHERS:
            assert browser(role).get(path).status_code == 302, (role, path)
    assert opened > 20


def test_it_tells_who_changed_what_and_from_what() -> None:
    by, row = somebody(), make_job_type()
    jobtypes.edit_job_type(row, actor=by, max_scheduled=3, is_paused=True)
    text = text_of(browser("monitor").get(page_of(row)))
    assert "<b>max_scheduled</b> <del>–</del> → <ins>3</ins>" in text
    assert "<b>is_paused</b> <del>no</del> → <ins>yes</ins>" in text
    assert by.username in text
    assert "the system" in text  # who made it
    assert page_of(by, "change") not in text  # monitors see no users
    assert page_of(by, "change") in text_of(browser("admin").get(page_of(row)))


def test_a_document_is_compared_line_by_line() -> None:
    row = make_job_type()
    place = {"output_workspaces": {"default": make_workspace().name}}
    jobtypes.edit_job_type(row, actor=None, configuration={**place, "priority": 7})
    text = text_of(browser("monitor").get(page_of(row)))
    assert re.search(r"<tr class='cp-both'><td><pre>  &quot;priority&quot;: 100,</pre>", text)
    assert "<pre>  &quot;priority&quot;: 7,</pre>" in text


def test_of_a_secret_it_tells_that_it_was_changed() -> None:
    hook = make_webhook(authorization="Bearer never-to-be-told")
    accounts.change_webhook(webhook=hook, actor=None, url="https://hidden.example/", authorization="Bearer other")
    text = text_of(browser("monitor").get(page_of(hook)))
    assert "<b>authorization</b> changed; its value is not told" in text
    assert "hidden.example" not in text.replace(hook.url, "")
    assert "Bearer" not in text


def test_its_pages_go_on_by_key_and_cost_the_same_however_much_happened() -> None:
    row, client, costs = make_job_type(), browser("admin"), []
    for count in (1, 3 * SIZE):
        for _ in range(count):
            jobtypes.edit_job_type(row, actor=somebody(), is_paused=not row.is_paused)
        with within_budget("admin: history") as statements:
            client.get(page_of(row))
        costs.append(len(statements))
        with within_budget("admin: history, as it was") as statements:
            client.get(page_of(row), {"at": str(newest() - 1)})
        costs.append(len(statements))
    assert (costs[0], costs[1]) == (costs[2], costs[3])
    seen: list[int] = []
    url = page_of(row)
    while url:
        answer = client.get(page_of(row) + url.removeprefix(page_of(row)))
        seen += [int(each) for each in re.findall(r"href='\?at=(\d+)'", text_of(answer))]
        url = answer.context["older_url"]
    told = Event.objects.filter(subject_kind="job_type", subject_id=row.pk).order_by("-pk")
    assert seen == list(told.values_list("pk", flat=True))


# --- As it was -----------------------------------------------------------------------------------


def test_it_shows_how_it_was_after_a_change_and_at_a_time() -> None:
    client, row = browser("monitor"), make_job_type()
    made = newest()
    jobtypes.edit_job_type(row, actor=None, max_scheduled=3)
    capped = newest()
    jobtypes.edit_job_type(row, actor=None, max_scheduled=9)
    Event.objects.filter(pk=capped).update(at=timezone.now() - timedelta(hours=2))
    Event.objects.filter(pk=made).update(at=timezone.now() - timedelta(hours=4))
    hour_ago = timezone.now() - timedelta(hours=1)
    for at in (capped, hour_ago.isoformat(), f"{hour_ago:%Y-%m-%d %H:%M}", hour_ago.isoformat().replace("+", " ")):
        text = text_of(client.get(page_of(row), {"at": str(at)}))
        assert "<tr><td>max_scheduled</td><td>3</td><td><ins>9</ins></td></tr>" in text, at
        assert "reaches back" not in text
    three_ago = (timezone.now() - timedelta(hours=3)).isoformat()
    assert "<tr><td>max_scheduled</td><td>–</td><td><ins>9</ins></td></tr>" in text_of(
        client.get(page_of(row), {"at": three_ago})
    )
    before = text_of(client.get(page_of(row), {"at": "2020-01-01"}))
    assert "It was not there." in before


def test_it_says_where_the_log_does_not_reach() -> None:
    row = make_job_type()
    jobtypes.edit_job_type(row, actor=None, max_scheduled=3)
    jobtypes.edit_job_type(row, actor=None, max_scheduled=9)
    Event.objects.filter(pk__lt=newest()).delete()
    text = text_of(browser("monitor").get(page_of(row), {"at": "2020-01-01"}))
    assert "The event log reaches back to" in text
    assert "<td>max_scheduled</td><td>3</td>" in text


@pytest.mark.parametrize("text", ["yesterday", "2026-13-40", "2026-01-01T99:00", "", "9" * 30, "a'b\"<script>"])
def test_what_is_no_time_is_refused_in_words(text: str) -> None:
    answer = browser("monitor").get(page_of(make_job_type()), {"at": text})
    assert (answer.status_code, "This is no time" in text_of(answer)) == (200, True)
    assert "<script>alert" not in text_of(answer)


@pytest.mark.runs_once("sqlite", "no database is used")
def test_times_are_read_as_utc_where_they_say_nothing_else() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert read_moment("2026-01-31 12:00") == read_moment("2026-01-31T13:00:00+01:00") == noon
    assert read_moment("2026-01-31T13:00:00 01:00") == noon
    assert read_moment("2026-01-31") == noon.replace(hour=0)
    assert read_moment(" 17 ") == 17


def test_what_is_gone_keeps_its_history() -> None:
    gate = jobs.set_cap(scope=Scope.ALL, max_jobs=3, hint="few", actor=somebody())
    set_at, client = newest(), browser("monitor")
    path = page_of(gate)
    jobs.lift_cap(gate, actor=None)
    answer = client.get(path)
    assert answer.status_code == 200
    assert all(word in text_of(answer) for word in ("It is no more.", "cap.lifted", "<b>hint</b> was few"))
    then = text_of(client.get(path, {"at": str(set_at)}))
    assert "<td>max_jobs</td><td>3</td>" in then
    assert client.get(reverse("admin:jobs_gate_history", args=[999_999])).status_code == 404
    for role in OTHERS:
        assert browser(role).get(path).status_code == 302


def test_a_price_of_then_is_shown_also_where_the_log_does_not_reach() -> None:
    offer, admin_ = make_offer(), browser("admin")
    january, june = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 6))
    clusters.set_price(offer, amount=Decimal("0.25"), actor=None, valid_from=january)
    clusters.set_price(offer, amount=Decimal("0.75"), actor=None, valid_from=june)
    Event.objects.all().delete()
    text = text_of(admin_.get(page_of(offer), {"at": "2026-03-01"}))
    assert "Prices in force then" in text
    assert ("<td>0.25</td>" in text, "<td>0.75</td>" in text) == (True, False)
    assert "<td>0.75</td>" in text_of(admin_.get(page_of(Price.objects.latest("pk")), {"at": "2026-08-01"}))


# --- Making it so again --------------------------------------------------------------------------


def make_offer() -> Offer:
    size = {"vcpus_milli": 2000, "memory_mib": 4096}
    return Offer.objects.create(cloud="aws", region="eu-west-1", name="m5", capacity="on-demand", **size)


def _job_type() -> JobType:
    return make_job_type(manifest=manifest_of(settings=[{"name": "LANGUAGE"}, {"name": "KEY", "secret": True}]))


def _configuration(**members: Any) -> dict[str, Any]:
    return {"output_workspaces": {"default": make_workspace().name}, **members}


def _policy(**members: Any) -> Any:
    return read_policy(members, name="", region="here")


def _acme() -> Any:
    return make_customer_user(customer="acme").user.customer


RESTORED: dict[str, tuple[str, Callable[[], Any], Callable[[Any], object]]] = {
    "a job type's cap": ("Change", _job_type, lambda row: jobtypes.edit_job_type(row, actor=None, max_scheduled=3)),
    "its configuration": (
        "Configure",
        _job_type,
        lambda row: jobtypes.edit_job_type(
            row, actor=None, configuration=_configuration(priority=7, settings={"LANGUAGE": "de", "KEY": "k"})
        ),
    ),
    "its pause": ("Resume", _job_type, lambda row: jobtypes.edit_job_type(row, actor=None, is_paused=True)),
    "its activity": ("Reactivate", _job_type, lambda row: jobtypes.edit_job_type(row, actor=None, is_active=False)),
    "its policy": (
        "Policy",
        _job_type,
        lambda row: jobs.set_job_type_policy(row, _policy(tries={"DATA": 2}), actor=somebody()),
    ),
    "a cap": (
        "Change",
        lambda: jobs.set_cap(scope=Scope.ALL, max_jobs=3, max_vcpus_milli=1500, hint="few"),
        lambda row: jobs.set_cap(scope=Scope.ALL, max_jobs=9, max_queued_jobs=4),
    ),
    "a budget": (
        "Change",
        lambda: billing.set_budget(actor=None, customer=_acme(), limit_nano=1_500_000_000),
        lambda row: billing.change_budget(budget=row, actor=None, limit_nano=9 * 10**9, is_hard=False),
    ),
    "an error": (
        "Change",
        lambda: jobtypes.create_error(name="no-frames", title="No frames", category="DATA", actor=None),
        lambda row: jobtypes.update_error(row, actor=None, title="None", should_be_retried=True),
    ),
    "a workspace": (
        "Change",
        lambda: make_workspace("raw", title="Raw"),
        lambda row: jobtypes.edit_workspace(row, actor=None, title="Other", description="Words"),
    ),
    "a recipe type": (
        "Change",
        lambda: make_recipe_type(CHAIN, "Words"),
        lambda row: edit_recipe_type(row.name, actor=None, title="Other", description="Words"),
    ),
    "a user's role": (
        "Change",
        lambda: accounts.create_user(username="eve", role="operator", actor=None, email="e@a.example"),
        lambda row: accounts.update_user(user=row, actor=None, role="monitor", email=None),
    ),
    "a user's limits": (
        "Limits",
        lambda: accounts.update_user(
            user=make_customer_user("ada").user, actor=None, instance_limit=7, allowed_features=["recordings"]
        ),
        lambda row: accounts.update_user(user=row, actor=None, instance_limit=99, allowed_features=[]),
    ),
    "an image version": (
        "Change",
        lambda: clusters.add_image_version(actor=None, version="9", image="m:9", customers=[_acme()], is_default=True),
        lambda row: clusters.edit_image_version(row=row, actor=None, customers=[], is_deprecated=True),
    ),
}


def facts(row: Any) -> dict[str, Any]:
    fresh = type(row)._default_manager.get(pk=row.pk)
    found: dict[str, Any] = admin.site._registry[type(row)].configuration(fresh)  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("what", RESTORED)
def test_it_is_made_what_it_was_by_its_own_form_and_told_as_a_change(what: str) -> None:
    label, make, change = RESTORED[what]
    row, client = make(), browser("admin")
    was, at = facts(row), newest()
    change(row)
    changed, count = facts(row), Event.objects.count()
    offered = buttons(client, row, at)
    sent = filled(client, offered[label])
    assert (facts(row), Event.objects.count()) == (changed, count)  # looking at it changes nothing
    answer = client.post(offered[label], sent)
    assert answer.status_code == 302, answer.context["form"].errors
    secret_or_number = {"revision_num"}
    assert {name: facts(row)[name] for name in was if name not in secret_or_number} == {
        name: was[name] for name in was if name not in secret_or_number
    }
    event = Event.objects.latest("pk")
    assert event.actor == somebody(Role.ADMIN)
    assert buttons(client, row, at) == {}  # it is so again


def test_a_revision_is_made_again_as_a_new_one() -> None:
    row, client = make_job_type(), browser("operator")
    at = newest()
    manifest = {**row.manifest, "job": {**row.manifest["job"], "title": "Another"}}
    jobtypes.edit_job_type(row, actor=None, manifest=manifest, docker_image="count:2")
    then = text_of(client.get(page_of(row), {"at": str(at)}))
    assert "Revision 1, beside the present one, 2" in then
    url = buttons(client, row, at)["New revision"]
    sent = filled(client, url)
    assert (sent["docker_image"], json.loads(sent["manifest"])["job"]["title"]) == (
        "count:1", row.revisions.get(revision_num=1).manifest["job"]["title"],
    )  # fmt: skip
    assert client.post(url, sent).status_code == 302
    row.refresh_from_db()
    assert (row.revision_num, row.docker_image) == (3, "count:1")
    recipe = make_recipe_type(CHAIN)
    at = newest()
    edit_recipe_type(recipe.name, actor=None, definition=FORK)
    url = buttons(client, recipe, at)["Change"]
    assert client.post(url, filled(client, url)).status_code == 302
    recipe.refresh_from_db()
    assert recipe.revision_num == 3
    assert recipe.definition == recipe.revisions.get(revision_num=1).definition


def test_a_price_is_set_again_from_now_on() -> None:
    offer, client = make_offer(), browser("admin")
    january, june = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 6))
    for amount, customer in (("0.25", None), ("0.125", _acme())):
        clusters.set_price(offer, amount=Decimal(amount), actor=None, valid_from=january, customer=customer)
    clusters.set_price(offer, amount=Decimal("0.75"), actor=None, valid_from=june)
    text = text_of(client.get(page_of(offer), {"at": "2026-03-01"}))
    urls = re.findall(r"href='([^']*/price/\?[^']*)'>Restore this", text)
    assert len(urls) == 2
    before = timezone.now()
    for url in (each.replace("&amp;", "&") for each in urls):
        assert client.post(url, filled(client, url)).status_code == 302
    general = Price.objects.filter(customer=None).latest("valid_from")
    assert (general.amount, general.valid_from >= before) == (Decimal("0.25"), True)
    for role in ("operator", "monitor"):
        shown = text_of(browser(role).get(page_of(offer), {"at": "2026-03-01"}))
        assert ("0.25" in shown, "Restore this" in shown) == (True, False)


def test_who_may_not_change_it_may_not_restore_it() -> None:
    gate = jobs.set_cap(scope=Scope.ALL, max_jobs=3)
    made = newest()
    jobs.set_cap(scope=Scope.ALL, max_jobs=9)
    url = buttons(browser("operator"), gate, made)["Change"]
    assert buttons(browser("monitor"), gate, made) == {}
    sent = filled(browser("operator"), url)
    for role, status in (("monitor", 403), *((other, 302) for other in OTHERS)):
        assert browser(role).get(url).status_code == browser(role).post(url, sent).status_code == status
    assert Gate.objects.get().max_jobs == 9
    version = clusters.add_image_version(actor=None, version="9", image="m:9")
    added = newest()
    clusters.edit_image_version(row=version, actor=None, is_deprecated=True)
    url = buttons(browser("admin"), version, added)["Change"]
    assert buttons(browser("operator"), version, added) == {}
    assert browser("operator").get(url).status_code == browser("operator").post(url, {}).status_code == 403
    version.refresh_from_db()
    assert version.is_deprecated


def test_who_sees_no_users_sees_no_history_of_theirs() -> None:
    eve: User = accounts.create_user(username="eve", role="operator", actor=None)
    at = newest()
    accounts.update_user(user=eve, actor=None, role="monitor")
    assert buttons(browser("admin"), eve, at).keys() == {"Change"}
    for role in ("operator", "monitor"):
        assert browser(role).get(page_of(eve)).status_code == 404
        assert browser(role).get(page_of(eve), {"at": str(at)}).status_code == 404


def test_what_was_changed_meanwhile_is_not_overwritten() -> None:
    row, client = _job_type(), browser("operator")
    at = newest()
    jobtypes.edit_job_type(row, actor=None, configuration=_configuration(priority=7))
    url = buttons(client, row, at)["Configure"]
    sent = filled(client, url)
    jobtypes.edit_job_type(row, actor=None, configuration=_configuration(priority=8))
    assert "It was changed since you opened this page" in text_of(client.post(url, sent))
    row.refresh_from_db()
    assert row.configuration["priority"] == 8


def test_a_form_says_that_it_begins_with_how_it_was() -> None:
    row, client = make_job_type(), browser("operator")
    at = newest()
    jobtypes.edit_job_type(row, actor=None, max_scheduled=3)
    url = buttons(client, row, at)["Change"]
    assert "Nothing is changed until you send it." in text_of(client.get(url))
    assert "How it was then is not known" in text_of(client.get(f"{page_of(row, 'edit')}?as_of=never"))
    assert "begins with how" not in text_of(client.get(page_of(row, "edit")))


def test_a_policy_that_was_is_cleared_again() -> None:
    row, client = make_job_type(), browser("operator")
    at = newest()
    jobs.set_job_type_policy(row, _policy(backoff_seconds=5), actor=somebody())
    assert "<b>policy</b> <del>–</del>" in text_of(client.get(page_of(row)))
    url = buttons(client, row, at)["Policy"]
    assert client.post(url, filled(client, url)).status_code == 302
    assert policy_of_job_type(row.pk) is None
