"""Job types: registered, edited, judged."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import pytest
from django.db import IntegrityError, transaction
from hypothesis import given
from hypothesis import strategies as st

from accounts.models import Event, Role, User
from controlplane.core.encryption import decrypt
from controlplane.core.errors import Conflict
from jobtypes import services
from jobtypes.errors import InvalidDocument, SystemJobType
from jobtypes.models import Error, JobType, JobTypeRevision, JobTypeTag, RecipeType, SecretSetting, Workspace
from jobtypes.services import job_types
from jobtypes.services.recipe_types import create_recipe_type
from tests.factories import make_job_type, make_monitor, make_operator, make_workspace, manifest_of
from tests.jobtypes.seed import documents

pytestmark = pytest.mark.django_db
SETTINGS = [{"name": "DB_HOST"}, {"name": "DB_PASS", "secret": True}, {"name": "DB_KEY", "secret": True}]
NO_FILES: dict[str, Any] = {"outputs": {"json": [{"name": "total", "type": "integer"}]}}


def create(manifest: Any = None, **wishes: Any) -> services.Saved:
    given = manifest_of(**NO_FILES) if manifest is None else manifest
    return services.create_job_type(**{"actor": None, "docker_image": "count:1", "manifest": given, **wishes})


def with_job(manifest: dict[str, Any] | None = None, **job: Any) -> dict[str, Any]:
    """A manifest with these members of its job."""
    made = manifest or manifest_of(**NO_FILES)
    return {**made, "job": {**made["job"], **job}}


def secrets_of(job_type: JobType) -> dict[str, str]:
    return {row.name: decrypt(row.value)["value"] for row in SecretSetting.objects.filter(job_type=job_type)}


def numbers(job_type: JobType) -> list[int]:
    return list(job_type.revisions.order_by("id").values_list("revision_num", flat=True))


def event_of(kind: str) -> Any:
    """The last one of this kind."""
    return Event.objects.filter(kind=kind).order_by("id").last()


class TestCreate:
    def test_a_new_one_is_what_its_manifest_says(self) -> None:
        manifest = with_job(title="T" * 600, tags=["b", "a", "b"])
        saved = create(manifest, icon_code="f013", max_scheduled=2, is_published=True)
        row = JobType.objects.get()
        assert (saved.created, saved.job_type, saved.verdict.is_valid) == (True, row, True)
        assert (row.name, row.version, row.title, row.description) == (
            "count-words", "1.0.0", "T" * 500, "Counts the words of a text",
        )  # fmt: skip
        assert (row.icon_code, row.max_scheduled, row.max_tries, row.docker_image) == ("f013", 2, 3, "count:1")
        assert (row.is_published, row.is_active, row.is_paused, row.is_system) == (True, True, False, False)
        assert row.manifest == manifest
        assert row.configuration == {
            "mounts": {}, "output_workspaces": {"default": "", "outputs": {}}, "priority": 100, "settings": {},
        }  # fmt: skip
        assert sorted(row.tags.values_list("tag", flat=True)) == ["a", "b"]
        (revision,) = row.revisions.all()
        assert (revision.revision_num, revision.manifest, revision.docker_image) == (1, manifest, "count:1")

    def test_its_flags_have_their_moments_from_the_start(self) -> None:
        row = create(is_active=False, is_paused=True).job_type
        assert row.deprecated_at == row.paused_at == row.created_at

    @pytest.mark.parametrize("none", [0, None])
    def test_a_cap_of_nothing_is_no_cap(self, none: int | None) -> None:
        assert create(max_scheduled=none).job_type.max_scheduled is None

    def test_versions_sort_as_semver_does(self) -> None:
        order = ["1.0.0-rc.2", "1.0.0-rc.10", "1.0.0", "1.2.0", "1.10.0"]
        for version in reversed(order):
            create(with_job(jobVersion=version))
        assert list(JobType.objects.order_by("version_key").values_list("version", flat=True)) == order

    def test_what_no_place_offers_is_noted(self) -> None:
        scalar = [
            {"name": "cpus", "value": 1}, {"name": "fpga", "value": 1}, {"name": "SharedMem", "value": 1},
            {"name": "tpu", "value": 0, "inputMultiplier": 1}, {"name": "idle", "value": 0},
        ]  # fmt: skip
        assert create(with_job(resources={"scalar": scalar})).job_type.special_resources == "fpga,tpu"
        many = [{"name": f"resource-{number}", "value": 1} for number in range(100)]
        noted = create(with_job(jobVersion="2.0.0", resources={"scalar": many})).job_type.special_resources
        assert len(noted) == 250

    def test_its_errors_are_those_of_all_versions_of_the_name(self) -> None:
        create()
        first = Error.objects.get(job_type_name="count-words", name="no-text")
        assert (first.title, first.category, first.is_builtin) == ("No text", "DATA", False)
        create(with_job(jobVersion="2.0.0"))
        assert Error.objects.get(job_type_name="count-words").modified_at == first.modified_at
        errors = [{"code": 3, "name": "no-text", "title": "Nothing to read"}, {"code": 4, "title": "Too much"}]
        create(with_job(jobVersion="3.0.0", errors=errors))
        rows = Error.objects.filter(job_type_name="count-words").order_by("name")
        assert [(row.name, row.title, row.category) for row in rows] == [
            ("no-text", "Nothing to read", "ALGORITHM"), ("too-much", "Too much", "ALGORITHM"),
        ]  # fmt: skip
        assert rows[0].pk == first.pk
        create(with_job(jobVersion="4.0.0", errors=[]))
        assert rows.count() == 2

    def test_who_did_it_is_told_and_secrets_are_not(self) -> None:
        operator = make_operator().user
        manifest = manifest_of(settings=SETTINGS, **NO_FILES)
        settings = {"DB_HOST": "h", "DB_PASS": "very-secret"}
        row = create(manifest, configuration={"settings": settings}, actor=operator).job_type
        event = event_of("job_type.created")
        assert (event.subject_kind, event.subject_id, event.actor_id) == ("job_type", row.pk, operator.pk)
        assert (event.after["name"], event.after["revision_num"], event.after["secrets"]) == (
            "count-words", 1, ["DB_PASS"],
        )  # fmt: skip
        assert event.after["configuration"]["settings"] == {"DB_HOST": "h"} == row.configuration["settings"]
        assert "very-secret" not in str(event.after)
        assert secrets_of(row) == {"DB_PASS": "very-secret"}
        assert "very-secret" not in SecretSetting.objects.get().value

    @pytest.mark.parametrize("name", sorted(services.RESERVED_NAMES))
    def test_a_word_of_the_api_is_no_name(self, name: str) -> None:
        with pytest.raises(InvalidDocument, match="must be none of") as refused:
            create(with_job(name=name))
        assert (refused.value.name, refused.value.field) == ("JSON_VALIDATION_ERROR", "manifest")

    @pytest.mark.parametrize(
        ("configuration", "name"),
        [
            (None, "MISSING_WORKSPACE"), ({}, "MISSING_WORKSPACE"), ({"priority": 1}, "MISSING_WORKSPACE"),
            ({"output_workspaces": {"default": "nowhere"}}, "INVALID_WORKSPACE"),
            ({"output_workspaces": {"outputs": {"COUNTS": "results", "other": "nowhere"}}}, "INVALID_WORKSPACE"),
            ({"priority": 0}, "INVALID_CONFIGURATION"), ({"version": "1"}, "INVALID_VERSION"),
            ({"mounts": {"a": {"type": "host", "host_path": "b"}}}, "HOST_ABSOLUTE_PATH"),
            ([], "INVALID_CONFIGURATION"),
        ],
    )  # fmt: skip
    def test_what_is_refused_leaves_nothing_behind(self, configuration: Any, name: str) -> None:
        make_workspace()
        Event.objects.all().delete()
        with pytest.raises(InvalidDocument) as refused:
            create(manifest_of(), configuration=configuration)
        assert (refused.value.name, refused.value.field) == (name, "configuration")
        left = (JobType, JobTypeRevision, JobTypeTag, SecretSetting, Event)
        assert [kind.objects.exists() for kind in left] == [False] * len(left)
        assert not Error.objects.filter(job_type_name="count-words").exists()

    def test_an_output_of_its_own_workspace_needs_no_default(self) -> None:
        make_workspace("inactive", is_active=False)
        configuration = {"output_workspaces": {"outputs": {"COUNTS": "inactive", "unknown": "inactive"}}}
        assert create(manifest_of(), configuration=configuration).created

    def test_the_same_name_and_version_is_edited(self) -> None:
        options = {"icon_code": "f013", "is_published": True, "is_paused": True, "max_scheduled": 3}
        first = create(configuration={"priority": 7}, **options).job_type
        saved = create(docker_image="count:2", is_paused=False)
        assert (saved.created, saved.job_type, saved.verdict) == (False, first, services.Verdict())
        row = JobType.objects.get()
        assert (row.icon_code, row.is_published, row.max_scheduled) == ("f013", True, 3)
        assert (row.configuration["priority"], row.docker_image, row.revision_num) == (7, "count:2", 2)
        assert (row.is_paused, row.paused_at) == (False, None)
        create(docker_image="count:2")
        assert numbers(row) == [1, 2, 3]

    def test_who_comes_second_edits_what_the_first_has_made(self) -> None:
        """Both find nothing; the second runs into the first one's row."""
        first = make_job_type(manifest=manifest_of(**NO_FILES))
        real = JobType.objects.filter(name=first.name, version=first.version)
        blind = mock.Mock(wraps=real)
        blind.first.side_effect = [None, first]
        with mock.patch.object(JobType.objects, "filter", return_value=blind):
            saved = create(docker_image="count:2")
        assert (saved.created, saved.job_type.pk, saved.job_type.revision_num) == (False, first.pk, 2)

    def test_another_clash_is_not_taken_for_that(self) -> None:
        with (
            mock.patch.object(job_types, "_create", side_effect=IntegrityError("other")),
            pytest.raises(IntegrityError),
        ):
            create()


class TestEdit:
    def test_nothing_given_changes_nothing(self) -> None:
        row = make_job_type()
        before = JobType.objects.filter(pk=row.pk).values().get()
        Event.objects.all().delete()
        assert services.edit_job_type(row, actor=None) == services.Verdict()
        services.edit_job_type(row, actor=None, icon_code=None, is_published=True, max_scheduled=0, configuration={})
        assert JobType.objects.filter(pk=row.pk).values().get() == before
        assert not Event.objects.exists()

    def test_flags_are_told_as_they_were_and_are(self) -> None:
        row, operator = make_job_type(), make_operator().user
        services.edit_job_type(row, actor=operator, is_published=False, max_scheduled=4, icon_code="f1")
        assert (row.is_published, row.max_scheduled, row.icon_code, row.revision_num) == (False, 4, "f1", 1)
        event = event_of("job_type.edited")
        assert event.before == {"is_published": True, "max_scheduled": None, "icon_code": None}
        assert event.after == {"is_published": False, "max_scheduled": 4, "icon_code": "f1"}
        assert event.actor_id == operator.pk
        services.edit_job_type(row, actor=None, max_scheduled=None, icon_code=None)
        assert (row.max_scheduled, row.icon_code) == (None, None)

    def test_moments_follow_their_flags_and_only_when_these_change(self) -> None:
        row = make_job_type()
        services.edit_job_type(row, actor=None, is_active=False, is_paused=True)
        deprecated, paused = row.deprecated_at, row.paused_at
        assert deprecated is not None
        assert paused == deprecated == row.modified_at
        services.edit_job_type(row, actor=None, is_active=False, is_paused=True, icon_code="f2")
        assert (row.deprecated_at, row.paused_at) == (deprecated, paused)
        assert row.modified_at > deprecated
        services.edit_job_type(row, actor=None, is_active=True, is_paused=False)
        assert (row.deprecated_at, row.paused_at) == (None, None)

    def test_a_manifest_makes_a_revision_even_the_same_one(self) -> None:
        row = make_job_type()
        services.edit_job_type(row, actor=None, manifest=row.manifest)
        other = with_job(manifest_of(), title="Other", tags=["new"], description="Else")
        services.edit_job_type(row, actor=None, manifest=other, docker_image="count:3")
        assert (row.title, row.description, row.revision_num) == ("Other", "Else", 3)
        assert list(row.tags.values_list("tag", flat=True)) == ["new"]
        kept = row.revisions.order_by("id").values_list("revision_num", "docker_image", "manifest__job__title")
        assert list(kept) == [
            (1, "count:1", "Count words"), (2, "count:1", "Count words"), (3, "count:3", "Other"),
        ]  # fmt: skip

    def test_another_image_alone_makes_a_revision_the_same_one_none(self) -> None:
        row = make_job_type()
        services.edit_job_type(row, actor=None, docker_image="count:1", configuration={}, is_paused=True)
        assert numbers(row) == [1]
        services.edit_job_type(row, actor=None, docker_image="count:2")
        assert row.revisions.get(revision_num=2).docker_image == "count:2"

    def test_a_manifest_asks_anew_what_no_place_has(self) -> None:
        row = make_job_type()
        JobType.objects.update(unmet_resources="gpus")
        services.edit_job_type(row, actor=None, is_paused=True)
        assert row.unmet_resources == "gpus"
        services.edit_job_type(row, actor=None, manifest=row.manifest)
        assert row.unmet_resources is None

    @pytest.mark.parametrize("job", [{"name": "other"}, {"jobVersion": "1.0.1"}])
    def test_name_and_version_stay(self, job: dict[str, Any]) -> None:
        row = make_job_type()
        with pytest.raises(InvalidDocument, match="must stay count-words"):
            services.edit_job_type(row, actor=None, manifest=with_job(manifest_of(), **job), is_paused=True)
        row.refresh_from_db()
        assert (row.is_paused, row.revision_num) == (False, 1)

    def test_a_configuration_replaces_the_whole_one(self) -> None:
        row = make_job_type(configuration={"priority": 3, "output_workspaces": {"default": make_workspace().name}})
        with pytest.raises(InvalidDocument) as refused:
            services.edit_job_type(row, actor=None, configuration={"priority": 4})
        assert refused.value.name == "MISSING_WORKSPACE"
        services.edit_job_type(row, actor=None, configuration={"output_workspaces": {"outputs": {"COUNTS": "results"}}})
        assert row.configuration == {
            "mounts": {}, "output_workspaces": {"default": "", "outputs": {"COUNTS": "results"}},
            "priority": 100, "settings": {},
        }  # fmt: skip
        assert row.revision_num == 1

    def test_the_stored_configuration_has_to_fit_a_new_manifest(self) -> None:
        row = create().job_type
        with pytest.raises(InvalidDocument) as refused:
            services.edit_job_type(row, actor=None, manifest=manifest_of())
        assert (refused.value.name, refused.value.field) == ("MISSING_WORKSPACE", "configuration")
        assert numbers(row) == [1]

    def test_a_secret_is_kept_until_another_is_given(self) -> None:
        manifest = manifest_of(settings=SETTINGS, **NO_FILES)
        row = create(manifest, configuration={"settings": {"DB_HOST": "h", "DB_PASS": "one", "DB_KEY": "two"}}).job_type
        services.edit_job_type(row, actor=None, configuration={"settings": {"DB_HOST": "i"}})
        assert secrets_of(row) == {"DB_PASS": "one", "DB_KEY": "two"}
        services.edit_job_type(row, actor=None, configuration={"settings": {"DB_HOST": "i", "DB_KEY": "three"}})
        assert secrets_of(row) == {"DB_PASS": "one", "DB_KEY": "three"}
        assert row.configuration["settings"] == {"DB_HOST": "i"}
        last = event_of("job_type.edited")
        assert (last.before, last.after) == ({}, {"secrets": ["DB_KEY"]})

    def test_a_setting_that_becomes_secret_goes_where_secrets_are(self) -> None:
        row = create(manifest_of(settings=[{"name": "DB_PASS"}], **NO_FILES),
                     configuration={"settings": {"DB_PASS": "was-open"}}).job_type  # fmt: skip
        services.edit_job_type(row, actor=None, manifest=manifest_of(settings=SETTINGS, **NO_FILES))
        assert row.configuration["settings"] == {}
        assert secrets_of(row) == {"DB_PASS": "was-open"}
        event = event_of("job_type.edited")
        assert event.before["configuration"]["settings"] == {"DB_PASS": "*****"}

    def test_of_the_systems_own_only_the_pause_changes(self) -> None:
        row = make_job_type()
        JobType.objects.update(is_system=True)
        for wish in (
            {"is_active": False}, {"docker_image": "x"}, {"is_published": False}, {"manifest": row.manifest},
            {"icon_code": "f"}, {"max_scheduled": 1}, {"configuration": {"priority": 1}}, {"auto_update": False},
        ):  # fmt: skip
            with pytest.raises(SystemJobType):
                services.edit_job_type(row, actor=None, **wish)
            with pytest.raises(SystemJobType):
                services.edit_job_type(row, actor=None, is_paused=True, **wish)
        with pytest.raises(SystemJobType):
            create(row.manifest, configuration=row.configuration)
        services.edit_job_type(row, actor=None, is_paused=True)
        assert (row.is_paused, row.revision_num) == (True, 1)

    def test_what_another_has_changed_meanwhile_is_not_overwritten(self) -> None:
        """Between the plan and its writing somebody else sets a configuration that the manifest does not fit."""
        row, real = create().job_type, job_types._changed
        planned: list[Any] = []

        def changed(job_type: JobType, *rest: Any) -> dict[str, Any]:
            if not planned:
                JobType.objects.filter(pk=row.pk).update(revision_num=5, modified_at=datetime(2030, 1, 1, tzinfo=UTC))
            planned.append(job_type)
            return real(job_type, *rest)

        with mock.patch.object(job_types, "_changed", changed):
            services.edit_job_type(row, actor=None, docker_image="count:2")
        assert (len(planned), row.revision_num) == (2, 6)

    def test_who_never_gets_a_turn_is_told(self) -> None:
        row, real = create().job_type, job_types._changed
        moments = iter(range(1, 100))

        def changed(*given: Any) -> dict[str, Any]:
            moment = datetime(2030, 1, next(moments), tzinfo=UTC)
            JobType.objects.filter(pk=row.pk).update(modified_at=moment)
            return real(*given)

        with mock.patch.object(job_types, "_changed", changed), pytest.raises(Conflict):
            services.edit_job_type(row, actor=None, is_paused=True)


class TestRecipeTypes:
    @pytest.fixture
    def counted(self) -> JobType:
        return make_job_type()

    @pytest.fixture
    def recipe(self, counted: JobType) -> RecipeType:
        node = {"node_type": "job", "job_type_name": counted.name, "job_type_version": counted.version}
        given = {"TEXT": {"type": "recipe", "input": "TEXT"}}
        definition = {
            "input": {"files": [{"name": "TEXT", "media_types": ["text/plain"]}], "json": []},
            "nodes": {"count": {"dependencies": [], "input": given, "node_type": {**node, "job_type_revision": 1}}},
        }
        return create_recipe_type(title="Counting", definition=definition, actor=None)

    def test_those_that_hold_a_deactivated_one_are_named_once(self, counted: JobType, recipe: RecipeType) -> None:
        verdict = services.edit_job_type(counted, actor=None, is_active=False)
        assert verdict.is_valid
        assert [each.name for each in verdict.warnings] == ["DEPRECATED_RECIPES"]
        assert "counting" in verdict.warnings[0].description
        recipe.refresh_from_db()
        assert not recipe.is_active
        assert services.edit_job_type(counted, actor=None, is_active=False) == services.Verdict()
        assert services.edit_job_type(counted, actor=None, is_active=True) == services.Verdict()
        recipe.refresh_from_db()
        assert not recipe.is_active

    def test_nothing_is_said_where_no_recipe_holds_it(self, counted: JobType) -> None:
        assert services.edit_job_type(counted, actor=None, is_active=False) == services.Verdict()

    @pytest.mark.parametrize("wish", ["manifest", "docker_image"])
    @pytest.mark.parametrize("auto_update", [None, True, False])
    def test_they_take_the_new_revision_unless_told_otherwise(
        self, counted: JobType, recipe: RecipeType, wish: str, auto_update: bool | None
    ) -> None:
        wishes: Any = {"docker_image": "count:2"} if wish == "docker_image" else {"manifest": counted.manifest}
        wishes |= {} if auto_update is None else {"auto_update": auto_update}
        services.edit_job_type(counted, actor=None, **wishes)
        recipe.refresh_from_db()
        revision = recipe.definition["nodes"]["count"]["node_type"]["job_type_revision"]
        assert (revision, recipe.revision_num) == ((1, 1) if auto_update is False else (2, 2))

    def test_a_failure_there_undoes_the_edit(self, counted: JobType) -> None:
        broken = mock.patch.object(job_types, "repoint", side_effect=RuntimeError("out of order"))
        with broken, pytest.raises(RuntimeError):
            services.edit_job_type(counted, actor=None, docker_image="count:2")
        counted.refresh_from_db()
        assert (counted.docker_image, numbers(counted)) == ("count:1", [1])


class TestValidate:
    def check(self, manifest: Any, configuration: Any = None) -> tuple[list[str], list[str]]:
        verdict = services.validate_job_type(manifest, configuration, user=make_monitor().user)
        assert verdict.is_valid == (not verdict.errors)
        return [each.name for each in verdict.errors], [each.name for each in verdict.warnings]

    @pytest.mark.parametrize(
        ("name", "job", "interface"),
        [
            ("JSON_VALIDATION_ERROR", {"timeout": "1"}, {}), ("JSON_VALIDATION_ERROR", {"name": "status"}, {}),
            ("JSON_VALIDATION_ERROR", {"resources": {"scalar": [{"name": "gpus", "value": 0.5}]}}, {}),
            ("NAME_COLLISION_ERROR", {}, {"settings": [{"name": "text"}]}),
            ("DUPLICATE_MOUNT_NAMES", {}, {"mounts": [{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}]}),
            ("DUPLICATE_ERROR_NAMES", {"errors": [{"code": 1, "name": "a"}, {"code": 2, "name": "a"}]}, {}),
            ("INVALID_MOUNT_PATH", {}, {"mounts": [{"name": "a", "path": "a"}]}),
        ],
    )  # fmt: skip
    def test_one_error_of_a_manifest_is_told(self, name: str, job: Any, interface: Any) -> None:
        assert self.check(with_job(manifest_of(**interface), **job), {"priority": 0}) == ([name], [])

    @pytest.mark.parametrize(
        ("name", "configuration"),
        [
            ("INVALID_VERSION", {"version": "5"}), ("INVALID_CONFIGURATION", {"settings": {"a": None}}),
            ("INVALID_CONFIGURATION", {"priority": 0}),
            ("HOST_ABSOLUTE_PATH", {"mounts": {"a": {"type": "host", "host_path": "b"}}}),
            ("INVALID_WORKSPACE", {"output_workspaces": {"default": "nowhere"}}), ("MISSING_WORKSPACE", {}),
        ],
    )  # fmt: skip
    def test_one_error_of_a_configuration_is_told(self, name: str, configuration: Any) -> None:
        assert self.check(manifest_of(), configuration) == ([name], [])

    def test_each_warning_is_told_once_for_each_thing(self) -> None:
        make_workspace("old", is_active=False)
        manifest = manifest_of(
            mounts=[{"name": "A", "path": "/a"}, {"name": "B", "path": "/b"}], settings=[*SETTINGS, {"name": "X"}]
        )
        manifest["job"]["resources"]["scalar"] += [{"name": "fpga", "value": 1}, {"name": "SHAREDMEM", "value": 1}]
        configuration = {
            "mounts": {"A": {"type": "volume"}, "C": {"type": "volume"}},
            "settings": {"X": "1", "DB_PASS": "2", "Y": "3"},
            "output_workspaces": {"default": "old"},
        }
        errors, warnings = self.check(manifest, configuration)
        assert errors == []
        assert sorted(warnings) == [
            "DEPRECATED_WORKSPACE", "MISSING_MOUNT", "MISSING_SETTING", "MISSING_SETTING", "NONSTANDARD_RESOURCE",
            "UNKNOWN_MOUNT", "UNKNOWN_SETTING",
        ]  # fmt: skip

    def test_a_stored_secret_counts_and_nothing_is_saved(self) -> None:
        manifest = manifest_of(settings=[{"name": "DB_PASS", "secret": True}], **NO_FILES)
        assert self.check(manifest) == ([], ["MISSING_SETTING"])
        assert not JobType.objects.exists()
        create(manifest, configuration={"settings": {"DB_PASS": "x"}})
        assert self.check(manifest) == ([], [])
        assert self.check(with_job(copy.deepcopy(manifest), jobVersion="1.0.1")) == ([], ["MISSING_SETTING"])

    def test_a_name_of_the_system_is_not_to_be_had(self) -> None:
        row = create().job_type
        JobType.objects.update(is_system=True)
        assert self.check(row.manifest) == (["JSON_VALIDATION_ERROR"], [])


SAMPLE_CONFIGURATION: dict[str, Any] = {
    "mounts": {"MOUNT_PATH": {"type": "host", "host_path": "/path/on/host"}},
    "output_workspaces": {"default": "workspace_1", "outputs": {"OUTPUT_TEXT": "workspace_2"}},
    "priority": 5,
    "settings": {"DB_HOST": "som.host.name", "DB_PASS": "secret_password"},
}


@documents.fuzzed
@given(
    manifest=st.one_of(st.builds(documents.sample_manifest), documents.mutations(documents.sample_manifest)),
    configuration=st.one_of(st.none(), documents.mutations(lambda: copy.deepcopy(SAMPLE_CONFIGURATION))),
)
def test_what_is_valid_is_accepted_and_what_is_not_is_refused_alike(manifest: Any, configuration: Any) -> None:
    user = User(username="somebody", role=Role.MONITOR)
    with transaction.atomic():
        for name in ("workspace_1", "workspace_2"):
            Workspace.objects.get_or_create(name=name, title=name)
        verdict = services.validate_job_type(manifest, configuration, user=user)
        wishes: Any = {"actor": None, "docker_image": "x", "manifest": manifest, "configuration": configuration}
        saved = documents.attempt(lambda: services.create_job_type(**wishes), InvalidDocument)
        if isinstance(saved, InvalidDocument):
            assert [(each.name, each.description) for each in verdict.errors] == [(saved.name, saved.message)]
        else:
            assert (verdict.is_valid, saved.created) == (True, True)
            edited = services.create_job_type(**wishes)
            assert (edited.verdict, edited.job_type.revision_num) == (services.Verdict(), 2)
        transaction.set_rollback(True)


class TestValidateEdit:
    """What an edit would say, of one that is there."""

    @pytest.fixture
    def job_type(self) -> JobType:
        return create(manifest_of(settings=[{"name": "KEY", "secret": True}], **NO_FILES)).job_type

    def names(self, job_type: JobType, **wishes: Any) -> tuple[list[str], list[str]]:
        verdict = services.validate_edit(job_type, user=make_monitor().user, **wishes)
        return [each.name for each in verdict.errors], [each.name for each in verdict.warnings]

    def test_what_is_not_given_is_what_it_has(self, job_type: JobType) -> None:
        assert self.names(job_type, manifest=job_type.manifest) == ([], ["MISSING_SETTING"])
        services.edit_job_type(job_type, actor=None, configuration={"settings": {"KEY": "x"}})
        assert self.names(job_type, manifest=job_type.manifest) == ([], [])
        assert self.names(job_type, configuration={"priority": 3}) == ([], [])

    def test_what_would_be_refused_is_told(self, job_type: JobType) -> None:
        other = with_job(job_type.manifest, jobVersion="9.0.0")
        assert self.names(job_type, manifest=other) == (["JSON_VALIDATION_ERROR"], [])
        assert self.names(job_type, manifest={}) == (["JSON_VALIDATION_ERROR"], [])
        assert self.names(job_type, configuration={"priority": 0}) == (["INVALID_CONFIGURATION"], [])

    def test_nothing_is_saved(self, job_type: JobType) -> None:
        before = job_type.modified_at
        self.names(job_type, manifest=with_job(job_type.manifest, timeout=9), configuration={"priority": 3})
        job_type.refresh_from_db()
        assert (job_type.modified_at, job_type.revisions.count()) == (before, 1)


@pytest.mark.parametrize("length", [255, 256])
def test_a_secrets_name_has_the_length_that_is_kept(length: int) -> None:
    manifest = manifest_of(settings=[{"name": "S" * length, "secret": True}], **NO_FILES)
    configuration = {"settings": {"S" * length: "x"}}
    if length == 255:
        assert secrets_of(create(manifest, configuration=configuration).job_type) == {"S" * length: "x"}
    else:
        with pytest.raises(InvalidDocument, match="at most 255"):
            create(manifest, configuration=configuration)
