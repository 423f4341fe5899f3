"""Job types in the admin as staff meet them: registered, configured, paused, deprecated, compared."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import Event
from jobs import services as jobs
from jobs import states
from jobs.models import Job
from jobtypes import services
from jobtypes.models import JobType, JobTypeRevision
from jobtypes.services.recipe_types import create_recipe_type
from tests.browsers import OTHERS, browser
from tests.factories import make_customer_user, make_job_type, make_workspace, manifest_of
from tests.query_budget import within_budget

pytestmark = pytest.mark.django_db
LIST = "/admin/jobtypes/jobtype/"
ADD = "/admin/jobtypes/jobtype/add/"
SETTINGS = [{"name": "LANGUAGE"}, {"name": "API_KEY", "secret": True}]
MOUNTS = [{"name": "MAPS", "path": "/maps", "mode": "ro"}]


def _page(job_type: JobType, name: str = "change") -> str:
    return reverse(f"admin:jobtypes_jobtype_{name}", args=[job_type.pk])


def _text(client: Client, path: str, **data: Any) -> str:
    answer = client.get(path, data)
    assert answer.status_code == 200
    return answer.content.decode()


def _told(answer: Any) -> str:
    return " ".join(str(each) for each in answer.context["messages"])


def _registration(**wishes: Any) -> dict[str, Any]:
    make_workspace()
    manifest = manifest_of(**wishes.pop("interface", {}))
    return {
        "docker_image": "count:1",
        "manifest": json.dumps(manifest),
        "configuration": json.dumps({"output_workspaces": {"default": "results"}}),
        **wishes,
    }


# --- The list ------------------------------------------------------------------------------------


def test_the_list_counts_jobs_by_status_and_costs_the_same_with_more_types() -> None:
    job_type, owner = make_job_type(), make_customer_user("owner")
    wish = jobs.SeedWish(make_job_type("plain", manifest=manifest_of(inputs={}, outputs={})), {})
    jobs.submit_jobs(owner=owner.user, requests=jobs.seed_requests(owner.user, [wish, wish]))
    client, found = browser("monitor"), []
    for count in (0, 8):
        for number in range(count):
            make_job_type(f"more-{number}")
        with within_budget("admin: job type list") as statements:
            page = _text(client, LIST)
        found.append(len(statements))
    assert found[0] == found[1]
    assert f"job_type_id={job_type.pk}&amp;state=QUEUED" not in page
    assert f"job_type_id={wish.job_type.pk}&amp;state=QUEUED" in page


def test_a_count_leads_to_exactly_those_jobs() -> None:
    owner, job_type = make_customer_user("owner"), make_job_type(manifest=manifest_of(inputs={}, outputs={}))
    other = make_job_type("other", manifest=manifest_of(inputs={}, outputs={}))
    for each in (job_type, other):
        wish = jobs.SeedWish(each, {})
        jobs.submit_jobs(owner=owner.user, requests=jobs.seed_requests(owner.user, [wish]))
    answer = browser("monitor").get(f"/admin/jobs/job/?job_type_id={job_type.pk}&state={states.QUEUED}")
    assert [row.job_type_id for row in answer.context["cl"].result_list] == [job_type.pk]


def test_the_list_is_searched_by_name_and_title_and_filtered() -> None:
    words, faces = make_job_type("count-words"), make_job_type("find-faces", is_published=False)
    services.edit_job_type(words, actor=None, is_paused=True)
    client = browser("operator")
    for parameters, found in (
        ({"q": "count-w"}, [words]),
        ({"q": "words"}, [words, faces]),  # both are titled Count words
        ({"is_paused__exact": "1"}, [words]),
        ({"is_published__exact": "0"}, [faces]),
        ({"is_active__exact": "0"}, []),
    ):
        rows = client.get(LIST, parameters).context["cl"].result_list
        assert list(rows) == found, parameters


# --- The page ------------------------------------------------------------------------------------


def test_the_page_says_what_a_job_type_is_and_how_it_stands() -> None:
    manifest = manifest_of(mounts=MOUNTS, settings=SETTINGS)
    manifest["job"]["resources"]["scalar"].append({"name": "licenses", "value": 2})
    job_type = make_job_type(manifest=manifest, max_scheduled=4)
    newer = make_job_type(version="2.0.0")
    services.edit_job_type(job_type, actor=None, manifest=manifest, is_paused=True)
    client = browser("monitor")
    with within_budget("admin: job type"):
        page = _text(client, _page(job_type))
    for text in (
        *("ACTIVE", "PAUSED", "PUBLISHED", "count:1", "256 MiB", "licenses", "no-text", "text/plain", "counts.txt"),
        *("MISSING_SETTING", "The setting LANGUAGE is not configured.", "MISSING_MOUNT", "NONSTANDARD_RESOURCE"),
        *("compared with 1", _page(newer), "Jane Doe"),
    ):
        assert text in page, text
    assert "Pause" not in page.replace("Paused since", "")  # a monitor has no buttons


def test_a_secret_is_on_no_page_and_in_no_event() -> None:
    secret = "sesame-open-4711"  # not one of ours
    job_type = _configured(settings={"API_KEY": secret, "LANGUAGE": "en"})
    client = browser("admin")
    for name in ("change", "configure", "revise", "edit", "compare"):
        assert secret not in _text(client, _page(job_type, name)), name
    assert secret not in str(list(Event.objects.values_list("before", "after")))
    assert "It has a value, which is not shown" in _text(client, _page(job_type, "configure"))


def test_a_job_type_without_jobs_revisions_and_recipes_has_a_page() -> None:
    job_type = make_job_type(manifest=manifest_of(inputs={}, outputs={}))
    assert "None yet." in _text(browser("monitor"), _page(job_type))


# --- Registering ---------------------------------------------------------------------------------


def test_a_job_type_is_checked_and_registered() -> None:
    client, data = browser("operator"), _registration(is_published="on", max_scheduled="3")
    checked = client.post(ADD, {**data, "check": "1"})
    assert "VALID" in checked.content.decode()
    assert not JobType.objects.exists()
    answer = client.post(ADD, data, follow=True)
    job_type = JobType.objects.get()
    assert "Registered: count-words 1.0.0." in _told(answer)
    assert (job_type.is_published, job_type.is_paused, job_type.max_scheduled, job_type.icon_code) == (
        *(True, False, 3),
        None,
    )
    assert Event.objects.get(kind="job_type.created").actor == answer.wsgi_request.user


def test_a_check_says_what_would_be_refused_and_what_is_worth_a_word() -> None:
    client = browser("operator")
    data = _registration(interface={"settings": SETTINGS})
    page = client.post(ADD, {**data, "check": "1"}).content.decode()
    assert "MISSING_SETTING" in page
    manifest = {**manifest_of(), "seedVersion": "0.1.0"}
    page = client.post(ADD, {**data, "manifest": json.dumps(manifest), "check": "1"}).content.decode()
    assert "REFUSED" in page
    assert "JSON_VALIDATION_ERROR" in page
    assert not JobType.objects.exists()


@pytest.mark.parametrize(
    ("wish", "field"),
    [
        ({"manifest": "{"}, "manifest"),
        ({"manifest": ""}, "manifest"),
        ({"manifest": "[]"}, "manifest"),
        ({"manifest": '{"seedVersion": NaN}'}, "manifest"),
        ({"configuration": '{"settings": 3}'}, "configuration"),
        ({"configuration": '{"output_workspaces": {"default": "nowhere"}}'}, "configuration"),
        ({"configuration": ""}, "configuration"),  # then its output has no workspace
        ({"docker_image": ""}, "docker_image"),
        ({"max_scheduled": "0"}, "max_scheduled"),
        ({"icon_code": "x" * 21}, "icon_code"),
    ],
)
def test_what_is_not_valid_names_the_field(wish: dict[str, str], field: str) -> None:
    answer = browser("operator").post(ADD, {**_registration(), **wish})
    assert list(answer.context["form"].errors) == [field]
    assert not JobType.objects.exists()


def test_registering_what_is_there_says_that_it_is_an_edit() -> None:
    client = browser("operator")
    client.post(ADD, _registration())
    answer = client.post(ADD, _registration(docker_image="count:2"), follow=True)
    assert "was there already, and is edited" in _told(answer)
    job_type = JobType.objects.get()
    assert (job_type.docker_image, job_type.revision_num) == ("count:2", 2)


# --- Revisions -----------------------------------------------------------------------------------


def _revision(job_type: JobType, **wishes: Any) -> dict[str, Any]:
    manifest = copy.deepcopy(job_type.manifest)
    manifest["job"]["timeout"] = 90
    seen = job_type.modified_at.isoformat()
    return {"docker_image": "count:1", "manifest": json.dumps(manifest), "auto_update": "on", "seen": seen, **wishes}


def test_a_revision_is_checked_made_and_compared() -> None:
    job_type, client = make_job_type(), browser("operator")
    assert "&quot;timeout&quot;: 60" in _text(client, _page(job_type, "revise"))
    checked = client.post(_page(job_type, "revise"), {**_revision(job_type), "check": "1"}).content.decode()
    assert "VALID" in checked
    assert job_type.revisions.count() == 1
    answer = client.post(_page(job_type, "revise"), _revision(job_type), follow=True)
    assert "has a revision 2 now" in _told(answer)
    old, new = job_type.revisions.order_by("revision_num")
    page = _text(client, _page(job_type, "compare"), left=old.pk, right=new.pk)
    for text in ("job.timeout", ">60<", ">90<", "changed"):
        assert text in page, text
    unasked = client.get(_page(job_type, "compare"))
    assert (unasked.context["left"], unasked.context["right"]) == (old.pk, new.pk)


def test_a_revision_of_what_was_edited_meanwhile_is_refused() -> None:
    job_type, client = make_job_type(), browser("operator")
    data = _revision(job_type)
    services.edit_job_type(job_type, actor=None, docker_image="count:9")
    answer = client.post(_page(job_type, "revise"), data)
    assert "changed since you opened this page" in str(answer.context["form"].non_field_errors())
    assert JobTypeRevision.objects.count() == 2


def test_name_and_version_have_to_stay() -> None:
    job_type, client = make_job_type(), browser("operator")
    other = json.dumps(manifest_of("something-else"))
    for more in ({"check": "1"}, {}):
        page = client.post(_page(job_type, "revise"), _revision(job_type, manifest=other, **more)).content.decode()
        assert "must stay count-words and 1.0.0" in page
    assert job_type.revisions.count() == 1


def test_versions_of_a_name_are_compared_and_strangers_are_not() -> None:
    one, two, other = make_job_type(), make_job_type(version="2.0.0"), make_job_type("other")
    client = browser("monitor")
    left, right = one.revisions.get(), two.revisions.get()
    page = _text(client, _page(two, "compare"), left=left.pk, right=right.pk)
    assert "job.jobVersion" in page
    answer = client.get(f"{_page(two, 'compare')}?left={other.revisions.get().pk}&right=x")
    assert (answer.context["left"], answer.context["right"]) == (right.pk, right.pk)
    assert "Nothing." in answer.content.decode()


# --- Configuration -------------------------------------------------------------------------------


def _configured(**settings: Any) -> JobType:
    configuration = {"output_workspaces": {"default": make_workspace().name}, **settings}
    return make_job_type(manifest=manifest_of(mounts=MOUNTS, settings=SETTINGS), configuration=configuration)


def _typed(job_type: JobType, **wishes: Any) -> dict[str, Any]:
    data = {"seen": job_type.modified_at.isoformat(), "priority": "100", "default_workspace": "results"}
    return {**data, **wishes}


def test_a_job_type_is_configured_field_by_field() -> None:
    job_type, client = _configured(), browser("operator")
    make_workspace("counts")
    data = _typed(
        job_type,
        **{
            "priority": "20",
            "output:COUNTS": "counts",
            "mount:MAPS": '{"type": "host", "host_path": "/data/maps"}',
            "setting:LANGUAGE": " en ",
            "setting:API_KEY": "s3cret",
        },
    )
    assert "VALID" in client.post(_page(job_type, "configure"), {**data, "check": "1"}).content.decode()
    client.post(_page(job_type, "configure"), data)
    job_type.refresh_from_db()
    assert job_type.configuration == {
        "mounts": {"MAPS": {"type": "host", "host_path": "/data/maps"}},
        "output_workspaces": {"default": "results", "outputs": {"COUNTS": "counts"}},
        "priority": 20,
        "settings": {"LANGUAGE": " en "},
    }
    assert [each.name for each in job_type.secret_settings.all()] == ["API_KEY"]
    assert job_type.revision_num == 1


def test_saving_what_the_form_shows_changes_nothing() -> None:
    settings = {"LANGUAGE": "two\nlines", "OLD": "unknown to the manifest", "EMPTY": "", "API_KEY": "s3cret"}
    mounts = {"MAPS": {"type": "volume", "driver": "nfs", "driver_opts": {"o": "ro"}}, "GONE": {"type": "volume"}}
    outputs = {"default": make_workspace().name, "outputs": {"COUNTS": "results", "LOST": "results"}}
    job_type = _configured(settings=settings, mounts=mounts, output_workspaces=outputs, priority=7)
    before, client = job_type.configuration, browser("operator")
    form = client.get(_page(job_type, "configure")).context["form"]
    shown = {each.html_name: each.value() or "" for each in form}
    assert shown["setting:API_KEY"] == ""
    # Browsers send line ends in their own way.
    data = {name: str(value).replace("\n", "\r\n") for name, value in shown.items()}
    client.post(_page(job_type, "configure"), data)
    job_type.refresh_from_db()
    assert job_type.configuration == before
    assert [each.name for each in job_type.secret_settings.all()] == ["API_KEY"]


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"default_workspace": "nowhere"}, "INVALID_WORKSPACE"),
        ({"default_workspace": ""}, "MISSING_WORKSPACE"),
        ({"mount:MAPS": '{"type": "host", "host_path": "maps"}'}, "HOST_ABSOLUTE_PATH"),
        ({"mount:MAPS": '{"type": "cloud"}'}, "INVALID_CONFIGURATION"),
    ],
)
def test_a_configuration_that_is_not_valid_is_refused(wish: dict[str, str], words: str) -> None:
    job_type, client = _configured(), browser("operator")
    before = job_type.configuration
    checked = client.post(_page(job_type, "configure"), {**_typed(job_type, **wish), "check": "1"})
    assert words in checked.content.decode()
    answer = client.post(_page(job_type, "configure"), _typed(job_type, **wish))
    assert answer.status_code == 200
    assert answer.context["form"].errors
    job_type.refresh_from_db()
    assert job_type.configuration == before


@pytest.mark.parametrize(
    ("wish", "field"), [({"priority": "0"}, "priority"), ({"mount:MAPS": "{"}, "mount:MAPS"), ({"seen": ""}, "seen")]
)
def test_a_field_that_cannot_be_read_is_named(wish: dict[str, str], field: str) -> None:
    job_type = _configured()
    for more in ({"check": "1"}, {}):
        answer = browser("operator").post(_page(job_type, "configure"), {**_typed(job_type, **wish), **more})
        assert list(answer.context["form"].errors) == [field]


# --- Flags ---------------------------------------------------------------------------------------


def test_options_are_changed() -> None:
    job_type, client = make_job_type(max_scheduled=3), browser("operator")
    assert client.get(_page(job_type, "edit")).context["form"].initial["max_scheduled"] == 3
    client.post(_page(job_type, "edit"), {"max_scheduled": "", "icon_code": "f013"})
    job_type.refresh_from_db()
    assert (job_type.is_published, job_type.max_scheduled, job_type.icon_code) == (False, None, "f013")
    assert job_type.revision_num == 1


@pytest.mark.parametrize(
    ("there", "back", "field"), [("pause", "resume", "is_paused"), ("deprecate", "reactivate", "is_active")]
)
def test_a_flag_is_set_and_taken_back(there: str, back: str, field: str) -> None:
    job_type, client = make_job_type(), browser("operator")
    was = getattr(job_type, field)
    for name, expected, unfit in ((there, not was, back), (back, was, there)):
        assert _page(job_type, name) in _text(client, _page(job_type))
        assert client.post(_page(job_type, unfit)).status_code == 403
        _text(client, _page(job_type, name))
        job_type.refresh_from_db()
        assert getattr(job_type, field) is not expected
        client.post(_page(job_type, name))
        job_type.refresh_from_db()
        assert getattr(job_type, field) is expected


def test_deprecating_says_which_recipe_types_go_with_it() -> None:
    job_type, client = make_job_type(manifest=manifest_of(inputs={}, outputs={})), browser("operator")
    node = {"node_type": "job", "job_type_name": "count-words", "job_type_version": "1.0.0"}
    create_recipe_type(title="Nightly", definition={"nodes": {"count": {"node_type": node}}}, actor=None)
    assert "go with it: nightly." in _text(client, _page(job_type, "deprecate"))
    answer = client.post(_page(job_type, "deprecate"), follow=True)
    assert "DEPRECATED_RECIPES" in _told(answer)


def test_one_of_the_system_can_be_paused_and_nothing_else() -> None:
    job_type, client = make_job_type(), browser("admin")
    JobType.objects.update(is_system=True)
    for name in ("edit", "revise", "configure", "deprecate"):
        assert client.post(_page(job_type, name)).status_code == 403, name
    client.post(_page(job_type, "pause"))
    job_type.refresh_from_db()
    assert job_type.is_paused


# --- Who may -------------------------------------------------------------------------------------

WRITES = ("edit", "revise", "configure", "pause", "deprecate")


@pytest.mark.parametrize(
    ("role", "status"), [("admin", 200), ("operator", 200), ("monitor", 403), *((role, 302) for role in OTHERS)]
)
def test_who_may_write(role: str, status: int) -> None:
    job_type, client = make_job_type(), browser(role)
    assert client.get(ADD).status_code == status
    for name in WRITES:
        assert client.get(_page(job_type, name)).status_code == status, name
        if status != 200:
            assert client.post(_page(job_type, name)).status_code == status, name
    seen = 302 if role in OTHERS else 200
    for name in ("change", "compare"):
        assert client.get(_page(job_type, name)).status_code == seen, name


@pytest.mark.parametrize("name", ["change", "compare", *WRITES])
def test_what_is_not_there_is_not_found(name: str) -> None:
    answer = browser("operator").get(reverse(f"admin:jobtypes_jobtype_{name}", args=[999]))
    assert answer.status_code == (302 if name == "change" else 404)


def test_history_is_the_log_of_events() -> None:
    job_type = make_job_type()
    assert Job.objects.count() == 0
    answer = browser("monitor").get(reverse("admin:jobtypes_jobtype_history", args=[job_type.pk]))
    assert "job_type.created" in answer.content.decode()
