"""/v6/job-types/: registering, judging, editing and showing job types."""

from __future__ import annotations

import json
from typing import Any
from unittest import mock

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Event
from jobtypes import services
from jobtypes.models import JobType, SecretSetting
from jobtypes.services.recipe_types import create_recipe_type
from tests.factories import make_job_type, make_operator, make_workspace, manifest_of
from tests.jobs.api.v6.answers import assert_error, each_of, good
from tests.jobs.api.v6.conftest import People
from tests.jobtypes.seed import documents
from tests.query_budget import counted, within_budget

pytestmark = pytest.mark.django_db
PATH = "/v6/job-types/"
VALIDATION = "/v6/job-types/validation/"
DETAIL = "/v6/job-types/count-words/1.0.0/"
NO_FILES: dict[str, Any] = {"outputs": {"json": [{"name": "total", "type": "integer"}]}}
VALID = {"is_valid": True, "errors": [], "warnings": []}
FIELDS = {
    *("id", "name", "version", "title", "description", "icon_code", "is_published", "is_active", "is_paused"),
    *("is_system", "unmet_resources", "max_scheduled", "max_tries", "revision_num", "docker_image", "manifest"),
    *("configuration", "recipe_types", "created", "deprecated", "paused", "last_modified"),
}


def new(**wishes: Any) -> dict[str, Any]:
    """A body that registers a job type without file outputs."""
    return {"docker_image": "count:1", "manifest": manifest_of(**NO_FILES), **wishes}


def with_job(**job: Any) -> dict[str, Any]:
    made = manifest_of(**NO_FILES)
    return {**made, "job": {**made["job"], **job}}


def refused(response: Any, name: str, field: str) -> dict[str, Any]:
    """A 400 that is the native error and a verdict in one."""
    assert response.status_code == 400, response.content
    body: dict[str, Any] = json.loads(response.content)
    assert set(body) == {"detail", "code", "errors", "is_valid", "warnings"}
    assert (body["is_valid"], body["warnings"]) == (False, [])
    assert all(set(fault) == {"name", "description", "field", "message"} for fault in body["errors"])
    assert all(fault["description"] == fault["message"] for fault in body["errors"])
    assert (name, field) in [(fault["name"], fault["field"]) for fault in body["errors"]], body
    return body


class TestCreate:
    def test_a_new_one_is_answered_with_its_details(self, people: People) -> None:
        make_workspace()
        body = {
            "docker_image": "count:1", "manifest": manifest_of(settings=[{"name": "PASS", "secret": True}]),
            "configuration": {"output_workspaces": {"default": "results"}, "settings": {"PASS": "very-secret"}},
            "icon_code": "f013", "max_scheduled": 2, "is_published": True, "is_paused": True, "auto_update": False,
        }  # fmt: skip
        response = people.operator.post(PATH, body)
        made = good(response, 201)
        assert response.headers["Location"] == f"http://testserver{DETAIL}"
        assert made.keys() == FIELDS
        assert (made["name"], made["version"], made["title"]) == ("count-words", "1.0.0", "Count words")
        assert (made["icon_code"], made["max_scheduled"], made["max_tries"]) == ("f013", 2, 3)
        assert (made["is_active"], made["is_paused"], made["deprecated"]) == (True, True, None)
        assert made["paused"] == made["created"]
        assert made["manifest"] == body["manifest"]
        assert made["configuration"] == {
            "mounts": {}, "output_workspaces": {"default": "results", "outputs": {}}, "priority": 100, "settings": {},
        }  # fmt: skip
        assert made["recipe_types"] == []
        assert good(people.owner.get(DETAIL)) == made
        assert "very-secret" not in response.content.decode()
        assert SecretSetting.objects.count() == 1

    def test_the_same_name_and_version_again_is_an_edit(self, people: People) -> None:
        good(people.operator.post(PATH, new(icon_code="f013", is_published=True)), 201)
        assert good(people.operator.post(PATH.rstrip("/"), new(docker_image="count:2"))) == VALID
        row = good(people.operator.get(DETAIL))
        assert (row["revision_num"], row["docker_image"], row["icon_code"]) == (2, "count:2", "f013")
        assert row["is_published"]

    def test_a_version_with_a_plus_is_found_at_its_address(self, people: People) -> None:
        response = people.operator.post(PATH, new(manifest=with_job(jobVersion="1.0.0-rc.1+build.5")))
        made = good(response, 201)
        address = response.headers["Location"]
        assert address == f"http://testserver{PATH}count-words/1.0.0-rc.1%2Bbuild.5/"
        assert good(people.operator.get(address)) == made
        assert good(people.operator.patch(address, {"is_paused": True})) == VALID
        assert [row["revision_num"] for row in good(people.operator.get(f"{address}revisions/"))["results"]] == [1]

    @pytest.mark.parametrize(
        ("who", "status"),
        [("admin", 201), ("operator", 201), ("monitor", 403), ("owner", 403), ("colleague", 403), ("stranger", 403),
         ("disabled", 401), ("anonymous", 401)],
    )  # fmt: skip
    def test_who_may_register(self, people: People, who: str, status: int) -> None:
        response = people[who].post(PATH, new())
        good(response, 201) if status == 201 else assert_error(response, status)
        assert JobType.objects.exists() == (status == 201)

    BAD: tuple[tuple[str, Any], ...] = (
        *each_of("docker_image", None, 1, [], "x" * 1025, "a\0"), *each_of("manifest", None, 1, "{}", [], "text"),
        *each_of("configuration", 1, "{}", [], "text"), *each_of("icon_code", 1, [], "x" * 21, "a\0"),
        *each_of("is_published", None, "true", 1, []), *each_of("is_active", None, "false", 0, {}),
        *each_of("is_paused", None, "", 1), *each_of("auto_update", None, "yes", 1),
        *each_of("max_scheduled", -1, "x", "", "-1", 1.5, True, [], 2**31, "9" * 30, "1.0"),
    )  # fmt: skip

    @pytest.mark.parametrize(("field", "value"), BAD)
    def test_a_bad_field_is_named_and_nothing_is_kept(self, people: People, field: str, value: Any) -> None:
        refused(people.operator.post(PATH, new(**{field: value})), "INVALID_REQUEST", field)
        assert not JobType.objects.exists()
        row = make_job_type()
        before = JobType.objects.filter(pk=row.pk).values().get()
        response = people.operator.patch(DETAIL, {"is_paused": True, field: value})
        name = "JSON_VALIDATION_ERROR" if field == "manifest" else "INVALID_CONFIGURATION"
        documents = field in ("manifest", "configuration") and value is not None
        refused(response, name if documents else "INVALID_REQUEST", field)
        assert JobType.objects.filter(pk=row.pk).values().get() == before

    @pytest.mark.parametrize("field", ["docker_image", "manifest"])
    def test_what_it_needs_is_named(self, people: People, field: str) -> None:
        body = {name: value for name, value in new().items() if name != field}
        refused(people.operator.post(PATH, body), "INVALID_REQUEST", field)

    def test_of_an_unknown_field_the_known_ones_are_told(self, people: People) -> None:
        for response in (
            people.operator.post(PATH, new(name="count-words", more=1)),
            people.operator.patch(make_detail(), {"name": "count-words", "more": 1}),
        ):
            body = refused(response, "INVALID_REQUEST", "name")
            for field in ("icon_code", "is_published", "is_active", "is_paused", "max_scheduled", "docker_image",
                          "configuration", "manifest", "auto_update"):  # fmt: skip
                assert field in body["errors"][0]["message"]
            assert [fault["field"] for fault in body["errors"]] == ["more", "name"]

    @pytest.mark.parametrize("body", [None, [], "x", 1, b"{", b"\xff", b"[" * 100_000, b'{"manifest": NaN}'])
    def test_what_is_no_object_is_refused(self, people: People, body: Any) -> None:
        make_detail()
        for response in (people.operator.post(PATH, body), people.operator.patch(DETAIL, body)):
            assert response.status_code == 400, response.content
        assert JobType.objects.get().revision_num == 1

    @pytest.mark.parametrize(
        ("name", "field", "wish"),
        [
            ("JSON_VALIDATION_ERROR", "manifest", {"manifest": {}}),
            ("JSON_VALIDATION_ERROR", "manifest", {"manifest": with_job(name="validation")}),
            ("JSON_VALIDATION_ERROR", "manifest", {"manifest": with_job(name="pending")}),
            ("JSON_VALIDATION_ERROR", "manifest",
             {"manifest": with_job(resources={"scalar": [{"name": "gpus", "value": 0.5}]})}),
            ("NAME_COLLISION_ERROR", "manifest", {"manifest": manifest_of(settings=[{"name": "text"}])}),
            ("MISSING_WORKSPACE", "configuration", {"manifest": manifest_of()}),
            ("INVALID_WORKSPACE", "configuration", {"configuration": {"output_workspaces": {"default": "nowhere"}}}),
            ("INVALID_CONFIGURATION", "configuration", {"configuration": {"priority": 0}}),
        ],
    )  # fmt: skip
    def test_a_document_is_refused_by_the_name_of_what_is_wrong(
        self, people: People, name: str, field: str, wish: dict[str, Any]
    ) -> None:
        body = refused(people.operator.post(PATH, new(**wish)), name, field)
        assert body["code"] == "INVALID_REQUEST"
        assert not JobType.objects.exists()

    @pytest.mark.parametrize("given", [0, "0", None])
    def test_no_cap_can_be_said_in_three_ways(self, people: People, given: Any) -> None:
        assert good(people.operator.post(PATH, new(max_scheduled=given)), 201)["max_scheduled"] is None

    def test_a_number_may_be_written_as_text(self, people: People) -> None:
        assert good(people.operator.post(PATH, new(max_scheduled="12")), 201)["max_scheduled"] == 12

    @pytest.mark.parametrize("configuration", [None, {}])
    def test_an_empty_configuration_is_none(self, people: People, configuration: Any) -> None:
        assert (
            good(people.operator.post(PATH, new(configuration=configuration)), 201)["configuration"]["priority"] == 100
        )

    def test_with_the_same_key_it_is_done_once(self, people: People) -> None:
        key = {"headers": {"Idempotency-Key": "k"}}
        first = people.operator.post(PATH, new(), **key)
        again = people.operator.post(PATH, new(), **key)
        assert good(again, 201) == good(first, 201)
        assert again.headers["Location"] == first.headers["Location"]
        assert_error_of_key(people.operator.post(PATH, new(is_paused=True), **key))
        create_recipe()
        edit = new(is_active=False), {"headers": {"Idempotency-Key": "l"}}
        verdict = good(people.operator.post(PATH, edit[0], **edit[1]))
        assert [each["name"] for each in verdict["warnings"]] == ["DEPRECATED_RECIPES"]
        assert good(people.operator.post(PATH, edit[0], **edit[1])) == verdict
        assert JobType.objects.get().revision_num == 2

    def test_a_secret_is_in_no_refusal(self, people: People) -> None:
        manifest = manifest_of(settings=[{"name": "PASS", "secret": True}], **NO_FILES)
        for configuration in (
            {"settings": {"PASS": "very-secret"}, "priority": 0},
            {"settings": {"PASS": ["very-secret"]}},
        ):
            response = people.operator.post(PATH, new(manifest=manifest, configuration=configuration))
            refused(response, "INVALID_CONFIGURATION", "configuration")
            assert "very-secret" not in response.content.decode()

    def test_it_costs_a_bounded_number_of_statements(self, people: People) -> None:
        make_workspace()
        own = {"output_workspaces": {"default": "results"}, "settings": {"PASS": "x"}}
        manifest = manifest_of(settings=[{"name": "PASS", "secret": True}])
        _ = people.operator
        with within_budget("POST /v6/job-types/"):
            good(people.operator.post(PATH, {**new(), "manifest": manifest, "configuration": own}), 201)
        with within_budget("POST /v6/job-types/, once more"):
            good(people.operator.post(PATH, {**new(), "manifest": manifest, "configuration": own}))
        with within_budget("POST /v6/job-types/validation/"):
            good(people.operator.post(VALIDATION, {"manifest": manifest, "configuration": own}))
        with within_budget("PATCH /v6/job-types/{name}/{version}/"):
            good(people.operator.patch(DETAIL, {"manifest": manifest, "configuration": own, "is_paused": True}))


def assert_error_of_key(response: Any) -> None:
    assert_error(response, 422, "IDEMPOTENCY_KEY_REUSED")


def make_detail() -> str:
    make_job_type()
    return DETAIL


def create_recipe() -> None:
    node = {"node_type": "job", "job_type_name": "count-words", "job_type_version": "1.0.0", "job_type_revision": 1}
    given = {"TEXT": {"type": "recipe", "input": "TEXT"}}
    definition = {
        "input": {"files": [{"name": "TEXT", "media_types": ["text/plain"]}], "json": []},
        "nodes": {"count": {"dependencies": [], "input": given, "node_type": node}},
    }
    create_recipe_type(title="Counting", definition=definition, actor=None)


class TestValidate:
    def test_it_answers_with_a_verdict_and_saves_nothing(self, people: People) -> None:
        manifest = manifest_of(mounts=[{"name": "MODELS", "path": "/models"}], **NO_FILES)
        verdict = good(people.operator.post(VALIDATION, {"manifest": manifest}))
        assert verdict == {
            "is_valid": True, "errors": [],
            "warnings": [{"name": "MISSING_MOUNT", "description": "The mount MODELS is not configured."}],
        }  # fmt: skip
        bad = good(people.operator.post(VALIDATION.rstrip("/"), {"manifest": {}, "configuration": {"priority": 0}}))
        assert (bad["is_valid"], bad["warnings"]) == (False, [])
        assert [each["name"] for each in bad["errors"]] == ["JSON_VALIDATION_ERROR"]
        assert not JobType.objects.exists()
        assert not Event.objects.filter(subject_kind="job_type").exists()

    @pytest.mark.parametrize("who", ["admin", "operator", "monitor", "owner", "colleague", "stranger"])
    def test_everybody_who_is_known_may_ask(self, people: People, who: str) -> None:
        assert good(people[who].post(VALIDATION, {"manifest": manifest_of(**NO_FILES), "more": 1})) == VALID

    @pytest.mark.parametrize("who", ["anonymous", "disabled"])
    def test_nobody_else_may(self, people: People, who: str) -> None:
        assert_error(people[who].post(VALIDATION, {"manifest": manifest_of(**NO_FILES)}), 401)

    @pytest.mark.parametrize(
        ("field", "body"),
        [
            ("manifest", {}), ("manifest", {"manifest": None}), ("manifest", {"manifest": "{}"}),
            ("configuration", {"manifest": {}, "configuration": "{}"}),
            ("configuration", {"manifest": {}, "configuration": []}), ("", []), ("", None), ("", "x"),
        ],
    )  # fmt: skip
    def test_a_malformed_question_is_refused(self, people: People, field: str, body: Any) -> None:
        assert_error(people.operator.post(VALIDATION, body), 400, "INVALID_REQUEST", field=field or None)

    def test_what_is_hidden_from_who_asks_does_not_count(self, people: People) -> None:
        manifest = manifest_of(settings=[{"name": "PASS", "secret": True}], **NO_FILES)
        wishes = {"manifest": manifest, "configuration": {"settings": {"PASS": "x"}}, "is_published": False}
        good(people.operator.post(PATH, new(**wishes)), 201)
        assert good(people.operator.post(VALIDATION, {"manifest": manifest})) == VALID
        [warning] = good(people.owner.post(VALIDATION, {"manifest": manifest}))["warnings"]
        assert warning["name"] == "MISSING_SETTING"


class TestPatch:
    def test_what_is_given_changes_and_nothing_else(self, people: People) -> None:
        make_job_type(icon_code="f013", max_scheduled=3)
        before = good(people.operator.get(DETAIL))
        assert good(people.operator.patch(DETAIL, {})) == VALID
        assert good(people.operator.get(DETAIL)) == before
        assert good(people.operator.patch(DETAIL, {"is_published": False, "max_scheduled": "4"})) == VALID
        after = good(people.operator.get(DETAIL))
        assert after.pop("last_modified") > before.pop("last_modified")
        assert after == {**before, "is_published": False, "max_scheduled": 4}
        assert good(people.operator.patch(DETAIL.rstrip("/"), {"max_scheduled": None, "icon_code": None})) == VALID
        after = good(people.operator.get(DETAIL))
        assert (after["max_scheduled"], after["icon_code"]) == (None, None)

    def test_flags_carry_their_moments(self, people: People) -> None:
        make_job_type()
        assert good(people.operator.patch(DETAIL, {"is_active": False, "is_paused": True})) == VALID
        row = good(people.operator.get(DETAIL))
        assert row["deprecated"] == row["paused"] == row["last_modified"]
        good(people.operator.patch(DETAIL, {"is_active": True, "is_paused": False}))
        row = good(people.operator.get(DETAIL))
        assert (row["deprecated"], row["paused"]) == (None, None)

    def test_recipe_types_that_go_with_it_are_named(self, people: People) -> None:
        make_job_type()
        create_recipe()
        [recipe] = good(people.operator.get(DETAIL))["recipe_types"]
        assert (recipe["name"], recipe["title"], recipe["is_active"]) == ("counting", "Counting", True)
        assert recipe.keys() == {
            *("id", "name", "title", "description", "revision_num", "is_active", "is_system"),
            *("created", "deprecated", "last_modified"),
        }
        verdict = good(people.operator.patch(DETAIL, {"is_active": False}))
        assert (verdict["is_valid"], verdict["errors"]) == (True, [])
        [warning] = verdict["warnings"]
        assert warning["name"] == "DEPRECATED_RECIPES"
        assert "counting" in warning["description"]

    def test_other_warnings_are_kept_for_the_validation(self, people: People) -> None:
        make_job_type()
        own = {"output_workspaces": {"default": "results"}, "mounts": {"X": {"type": "volume"}}, "settings": {"Y": ""}}
        assert good(people.operator.patch(DETAIL, {"configuration": own})) == VALID

    @pytest.mark.parametrize(
        ("name", "field", "wish"),
        [
            ("JSON_VALIDATION_ERROR", "manifest", {"manifest": {}}),
            ("JSON_VALIDATION_ERROR", "manifest", {"manifest": manifest_of(version="2.0.0")}),
            ("JSON_VALIDATION_ERROR", "manifest", {"manifest": manifest_of("other")}),
            ("INVALID_CONFIGURATION", "configuration", {"configuration": {"priority": 0}}),
            ("INVALID_CONFIGURATION", "configuration", {"configuration": {"priority": "1"}}),
            ("INVALID_CONFIGURATION", "configuration", {"configuration": {"settings": {"A": None}}}),
            ("INVALID_CONFIGURATION", "configuration", {"configuration": {"mounts": {"A": {"type": "host"}}}}),
            ("INVALID_WORKSPACE", "configuration", {"configuration": {"output_workspaces": {"default": "x"}}}),
            ("MISSING_WORKSPACE", "configuration", {"configuration": {"priority": 1}}),
        ],
    )  # fmt: skip
    def test_a_document_is_refused_by_name(self, people: People, name: str, field: str, wish: Any) -> None:
        row = make_job_type()
        before = JobType.objects.filter(pk=row.pk).values().get()
        refused(people.operator.patch(DETAIL, {**wish, "is_paused": True}), name, field)
        assert JobType.objects.filter(pk=row.pk).values().get() == before

    def test_documents_come_first_then_the_job_type_then_unknown_fields(self, people: People) -> None:
        nowhere = f"{PATH}nowhere/1.0.0/"
        refused(people.operator.patch(nowhere, {"manifest": {}, "more": 1}), "JSON_VALIDATION_ERROR", "manifest")
        refused(
            people.operator.patch(nowhere, {"configuration": {"priority": 0}}), "INVALID_CONFIGURATION", "configuration"
        )
        assert_error(people.operator.patch(nowhere, {"more": 1}), 404, "NOT_FOUND")
        assert_error(people.owner.patch(nowhere, {"manifest": {}}), 403, "FORBIDDEN")

    def test_the_systems_own_is_paused_at_most(self, people: People) -> None:
        make_job_type()
        JobType.objects.update(is_system=True)
        body = refused(people.operator.patch(DETAIL, {"is_active": False}), "SYSTEM_JOB_TYPE", "")
        assert body["code"] == "SYSTEM_JOB_TYPE"
        assert good(people.operator.patch(DETAIL, {"is_paused": True})) == VALID

    @pytest.mark.parametrize(
        ("who", "status"),
        [("admin", 200), ("operator", 200), ("monitor", 403), ("owner", 403), ("colleague", 403), ("stranger", 403),
         ("disabled", 401), ("anonymous", 401)],
    )  # fmt: skip
    def test_who_may_edit(self, people: People, who: str, status: int) -> None:
        make_job_type()
        response = people[who].patch(DETAIL, {"is_paused": True})
        good(response) if status == 200 else assert_error(response, status)
        assert JobType.objects.get().is_paused == (status == 200)

    @pytest.mark.parametrize("method", ["put", "delete"])
    def test_there_is_nothing_else_to_do_with_one(self, people: People, method: str) -> None:
        make_job_type()
        assert_error(getattr(people.admin.client, method)(DETAIL), 405, "METHOD_NOT_ALLOWED")


class TestDetails:
    @pytest.mark.parametrize("who", ["admin", "operator", "monitor", "owner", "colleague", "stranger"])
    def test_what_is_published_everybody_may_read(self, people: People, who: str) -> None:
        make_job_type()
        assert good(people[who].get(DETAIL)).keys() == FIELDS

    def test_what_is_not_published_is_for_staff(self, people: People) -> None:
        make_job_type(is_published=False)
        for who, status in (("operator", 200), ("monitor", 200), ("owner", 404), ("stranger", 404), ("anonymous", 401)):
            for path in (DETAIL, f"{DETAIL}revisions/", f"{DETAIL}revisions/1/"):
                assert people[who].get(path).status_code == status, (who, path)

    @pytest.mark.parametrize(
        "path", ["nowhere/1.0.0/", "count-words/2.0.0/", "count-words/1.0.0%20/", "count-words/%00/", "a b/1.0.0/"]
    )
    def test_what_there_is_not_is_404(self, people: People, path: str) -> None:
        make_job_type()
        assert people.operator.get(f"{PATH}{path}").status_code == 404
        assert people.operator.get(f"{PATH}{path}revisions/").status_code == 404

    def test_it_costs_a_bounded_number_of_statements(self, people: People) -> None:
        make_job_type()
        _ = people.owner
        with within_budget("GET /v6/job-types/{name}/{version}/"):
            good(people.owner.get(DETAIL))

    def test_a_browser_gets_pages(self, people: People) -> None:
        make_job_type()
        for who in ("admin", "owner"):
            for path in (PATH, DETAIL, f"{PATH}count-words/", f"{DETAIL}revisions/", f"{DETAIL}revisions/1/",
                         "/v6/job-type-names/"):  # fmt: skip
                response = people[who].client.get(path, headers={"Accept": "text/html"})
                assert response.status_code == 200, path


def test_a_store_that_fails_leaves_nothing_behind(people: People) -> None:
    """Whatever fails on the way, there is the whole job type or none of it."""
    client = people.operator.client
    client.raise_request_exception = False
    for step in ("_add_revision", "_keep_tags", "_keep_errors", "_keep_secrets", "tell"):
        with mock.patch.object(services.job_types, step, side_effect=RuntimeError("out of order")):
            response = client.post(PATH, json.dumps(new()), content_type="application/json")
        assert response.status_code == 500
        assert not JobType.objects.exists()


def test_a_page_of_details_costs_the_same_with_many_recipes(people: People) -> None:
    make_job_type()
    good(people.owner.get(DETAIL))
    with counted() as few:
        good(people.owner.get(DETAIL))
    create_recipe()
    with counted() as many:
        good(people.owner.get(DETAIL))
    assert len(many) == len(few)


def _body() -> dict[str, Any]:
    return new(manifest=documents.sample_manifest(), configuration={"priority": 5}, max_scheduled=1, is_paused=False)


@documents.fuzzed
@given(body=st.one_of(documents.mutations(_body), documents.json_values))
def test_whatever_is_sent_is_accepted_or_refused(body: Any) -> None:
    with transaction.atomic():
        operator = make_operator("fuzzer")
        make_job_type(manifest=manifest_of(**NO_FILES), configuration=None)
        text = json.dumps(body).encode()
        assert operator.post(PATH, text).status_code in (200, 201, 400)
        assert operator.patch(DETAIL, text).status_code in (200, 400)
        assert operator.post(VALIDATION, text).status_code in (200, 400)
        transaction.set_rollback(True)
