from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from jobtypes.seed.manifest import MAX_TIMEOUT_SECONDS, InputFile, InputJson, Manifest, MountPoint, read_manifest
from jobtypes.seed.verdicts import Finding, Invalid
from tests.jobtypes.seed.documents import (
    ODD_VALUES,
    attempt,
    document,
    fuzzed,
    json_values,
    manifest,
    mutations,
    nested,
    sample_manifest,
)


def refusal(value: Any) -> Finding:
    with pytest.raises(Invalid) as caught:
        read_manifest(value)
    assert caught.value.where == "manifest"
    return caught.value.finding


def changed(path: str, value: Any) -> dict[str, Any]:
    """The customer's sample with this value at a path like `job.interface.mounts.0.path`."""
    root = sample_manifest()
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place: Any = root
    for step in steps:
        place = place[step]
    place[last] = value
    return root


class TestAcceptance:
    def test_the_customers_own_sample_is_read(self) -> None:
        given_document = sample_manifest()
        read = read_manifest(given_document)
        assert read.document == sample_manifest()
        assert (read.name, read.version, read.package_version) == ("test", "1.0.0", "1.0.0")
        assert read.title == "Job to demonstrate job type APIs"
        assert read.tags == ("sample", "job")
        assert read.maintainer.organization == "E-corp"
        assert read.timeout_seconds == 3600
        assert read.command == "${INPUT_TEXT} ${INPUT_FILES} ${READ_LENGTH}"
        assert read.input_files == (InputFile("INPUT_TEXT", True, ("text/plain",), False, True),)
        assert read.input_json == (InputJson("READ_LENGTH", "integer", True),)
        assert read.mounts == (MountPoint("MOUNT_PATH", "/the/container/path", True),)
        assert [(s.name, s.secret) for s in read.settings] == [("DB_HOST", False), ("DB_PASS", True)]
        assert [(r.name, r.value, r.input_multiplier) for r in read.resources] == [
            ("cpus", 1.5, 0), ("mem", 244, 0), ("sharedMem", 1, 0), ("disk", 11, 4),
        ]  # fmt: skip

    def test_errors_without_names_get_them_from_their_titles(self) -> None:
        read = read_manifest(sample_manifest())
        assert [(e.code, e.name, e.category) for e in read.errors] == [
            (1, "data-issue-discovered", "DATA"),
            (2, "missing-environment", "ALGORITHM"),
        ]
        assert "name" not in read.document["job"]["errors"][0]

    def test_the_smallest_manifest_has_every_default(self) -> None:
        read = manifest()
        assert read.command == ""
        assert read.maintainer.url == ""
        for empty in (read.tags, read.input_files, read.input_json, read.output_files, read.output_json, read.mounts,
                      read.settings, read.resources, read.errors):  # fmt: skip
            assert empty == ()

    def test_members_have_their_defaults(self) -> None:
        read = manifest(
            interface={
                "inputs": {"files": [{"name": "f"}], "json": [{"name": "j", "type": "object"}]},
                "outputs": {"files": [{"name": "o", "pattern": "*"}], "json": [{"name": "k", "type": "array"}]},
                "mounts": [{"name": "m", "path": "/m"}, {"name": "w", "path": "/w", "mode": "rw"}],
                "settings": [{"name": "s"}],
            },
            errors=[{"code": 3, "name": "bad"}],
        )
        assert read.input_files[0] == InputFile("f", True, (), False, False)
        assert read.input_json[0].required
        output = read.output_files[0]
        assert (output.media_type, output.multiple, output.required) == ("application/octet-stream", False, True)
        assert (read.output_json[0].key, read.output_json[0].required) == ("k", True)
        assert [mount.read_only for mount in read.mounts] == [True, False]
        assert not read.settings[0].secret
        assert (read.errors[0].title, read.errors[0].description, read.errors[0].category) == ("bad", "", "ALGORITHM")

    @pytest.mark.parametrize(
        "interface",
        [{}, {"inputs": {}}, {"outputs": {}}, {"outputs": {"json": []}}, {"mounts": [], "settings": []}],
    )
    def test_every_list_is_optional(self, interface: dict[str, Any]) -> None:
        assert manifest(interface=interface, resources={}, errors=[], tags=[]).output_files == ()

    @pytest.mark.parametrize("version", ["0.0.0", "1.0.0-rc.1+b.7", "10.20.30-a-b", "1.0.0+001"])
    def test_full_semantic_versions_are_accepted(self, version: str) -> None:
        assert manifest(jobVersion=version, packageVersion=version).version == version

    @pytest.mark.parametrize(
        ("timeout", "seconds"),
        [(1, 1), (60.0, 60), (0, None), (-5, None), (10**12, MAX_TIMEOUT_SECONDS), (1e300, MAX_TIMEOUT_SECONDS)],
    )
    def test_a_timeout_is_any_integer(self, timeout: float, seconds: int | None) -> None:
        assert manifest(timeout=timeout).timeout_seconds == seconds

    def test_whole_gpus_are_accepted_in_either_spelling(self) -> None:
        assert manifest(resources={"scalar": [{"name": "gpus", "value": 2.0}]}).resources[0].value == 2

    def test_output_names_may_repeat_and_a_placeholder_needs_no_input(self) -> None:
        outputs = [{"name": "o", "pattern": "a"}, {"name": "o", "pattern": "../b"}]
        read = manifest(interface={"command": "${NOBODY} '", "outputs": {"files": outputs}})
        assert len(read.output_files) == 2


class TestSchema:
    @pytest.mark.parametrize(
        ("path", "value", "said"),
        [
            ("seedVersion", "1.0.1", "seedVersion: must be '1.0.0'"),
            ("more", 1, "more: is not a known member"),
            ("job.more", 1, "job.more: is not a known member"),
            ("job.name", "a_b", "job.name: must be letters, digits and - only"),
            ("job.name", "test\n", "job.name: must be letters"),
            ("job.name", "", "job.name: must be letters"),
            ("job.name", "a" * 129, "job.name: must have at most 128 characters"),
            ("job.jobVersion", "1.0", "job.jobVersion: must be a semantic version"),
            ("job.jobVersion", "01.0.0", "job.jobVersion: must be a semantic version"),
            ("job.jobVersion", "1.0.0-" + "a" * 123, "job.jobVersion: must have at most 128"),
            ("job.packageVersion", "latest", "job.packageVersion: must be a semantic version"),
            ("job.title", None, "job.title: must be of type string"),
            ("job.description", 5, "job.description: must be of type string"),
            ("job.timeout", "60", "job.timeout: must be of type integer"),
            ("job.timeout", 1.5, "job.timeout: must be of type integer"),
            ("job.timeout", True, "job.timeout: must be of type integer"),
            ("job.tags", "sample", "job.tags: must be of type array"),
            ("job.tags.0", "a" * 101, "job.tags[0]: must have at most 100"),
            ("job.maintainer", {"name": "Jo"}, "job.maintainer.email: is required"),
            ("job.maintainer.age", 5, "job.maintainer.age: is not a known member"),
            ("job.resources", [], "job.resources: must be of type object"),
            ("job.resources.scalar.0.value", "1", "job.resources.scalar[0].value: must be of type number"),
            ("job.resources.scalar.0.inputMultiplier", None, "inputMultiplier: must be of type number"),
            ("job.interface.command", [], "job.interface.command: must be of type string"),
            ("job.interface.inputs.files.0.name", "a b", "files[0].name: must be letters, digits, - and _ only"),
            ("job.interface.inputs.files.0.name", "a" * 1025, "files[0].name: must have at most 1024"),
            ("job.interface.inputs.files.0.required", "yes", "files[0].required: must be of type boolean"),
            ("job.interface.inputs.files.0.mediaTypes", "text/plain", "mediaTypes: must be of type array"),
            ("job.interface.inputs.json.0.type", "text", "type: must be one of array, boolean"),
            ("job.interface.outputs.files.0", {"name": "o"}, "outputs.files[0].pattern: is required"),
            ("job.interface.outputs.files.0.pattern", "a" * 1025, "pattern: must have at most 1024"),
            ("job.interface.outputs.json.0.key", 5, "outputs.json[0].key: must be of type string"),
            ("job.interface.mounts.0.mode", "rx", "mounts[0].mode: must be one of ro, rw"),
            ("job.interface.mounts.0.path", "/" * 1025, "mounts[0].path: must have at most 1024"),
            ("job.interface.settings.0.name", "a\n", "settings[0].name: must be letters, digits, - and _ only"),
            ("job.interface.settings.0.secret", 1, "settings[0].secret: must be of type boolean"),
            ("job.errors.0.code", "1", "job.errors[0].code: must be of type integer"),
            ("job.errors.0.code", 2**31, "job.errors[0].code: must be at most 2147483647"),
            ("job.errors.0.name", "a" * 65, "job.errors[0].name: must have at most 64"),
            ("job.errors.0.title", "a" * 129, "job.errors[0].title: must have at most 128"),
            ("job.errors.0.category", "system", "job.errors[0].category: must be one of job, data"),
            ("job.interface.inputs.files.0.mediaTypes", ["a"] * 101, "mediaTypes: must have at most 100 members"),
            ("job.tags", ["a"] * 1001, "job.tags: must have at most 1000 members"),
        ],
    )
    def test_a_breach_is_told_by_path_and_rule(self, path: str, value: Any, said: str) -> None:
        finding = refusal(changed(path, value))
        assert finding.name == "JSON_VALIDATION_ERROR"
        assert said in finding.description

    @pytest.mark.parametrize(
        "member", ["name", "jobVersion", "packageVersion", "title", "description", "maintainer", "timeout"]
    )
    def test_members_of_the_job_are_required(self, member: str) -> None:
        root = document()
        del root["job"][member]
        assert refusal(root) == Finding("JSON_VALIDATION_ERROR", f"job.{member}: is required")

    @pytest.mark.parametrize("value", [None, "{}", 5, [], {}, True, {"seedVersion": "1.0.0"}])
    def test_what_is_no_manifest_at_all_is_refused(self, value: Any) -> None:
        assert refusal(value).name == "JSON_VALIDATION_ERROR"

    @pytest.mark.parametrize("name", ["gpus", "GPUs"])
    def test_a_fraction_of_a_gpu_is_refused(self, name: str) -> None:
        finding = refusal(document(resources={"scalar": [{"name": name, "value": 0.5}]}))
        assert finding == Finding("JSON_VALIDATION_ERROR", "job.resources.scalar[0].value: must be a whole number")

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            (float("inf"), "finite"), (float("nan"), "finite"), (10**400, "double"), ("a\0", "NUL"), ("\ud800", "NUL"),
            ({"\0": 1}, "NUL"), (nested(40), "deeper than 32"), (nested(100_000), "deeper than 32"),
            ({1: 2}, "texts"), (b"x", "JSON value"), ("a" * 2**20, "1048576 bytes"), ([0] * 2**20, "1048576 bytes"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_kept_is_refused(self, value: Any, said: str) -> None:
        finding = refusal(changed("job.title", value))
        assert finding.name == "JSON_VALIDATION_ERROR"
        assert said in finding.description

    def test_a_circle_is_refused(self) -> None:
        circle: list[Any] = []
        circle.append(circle)
        assert "deeper" in refusal(circle).description


class TestNames:
    @pytest.mark.parametrize(
        ("interface", "resources"),
        [
            ({"settings": [{"name": "a-b"}, {"name": "A_B"}]}, []),
            ({"settings": [{"name": "output-dir"}]}, []),
            ({"settings": [{"name": "x"}], "inputs": {"files": [{"name": "X"}]}}, []),
            ({"inputs": {"files": [{"name": "x"}], "json": [{"name": "x", "type": "string"}]}}, []),
            ({"inputs": {"json": [{"name": "allocated_mem", "type": "string"}]}}, ["mem"]),
            ({}, ["cpus", "CPUS"]),
        ],
    )
    def test_two_things_of_one_variable_collide(self, interface: dict[str, Any], resources: list[str]) -> None:
        scalar = [{"name": name, "value": 1} for name in resources]
        finding = refusal(document(interface=interface, resources={"scalar": scalar}))
        assert finding.name == "NAME_COLLISION_ERROR"

    def test_outputs_and_mounts_are_no_variables(self) -> None:
        interface = {
            "inputs": {"files": [{"name": "x"}]},
            "outputs": {"files": [{"name": "x", "pattern": "x"}]},
            "mounts": [{"name": "x", "path": "/x"}],
        }
        assert manifest(interface=interface).mounts[0].name == "x"

    def test_two_mounts_of_one_name_are_refused(self) -> None:
        mounts = [{"name": "m", "path": "/a"}, {"name": "m", "path": "/b"}]
        assert refusal(document(interface={"mounts": mounts})).name == "DUPLICATE_MOUNT_NAMES"

    def test_two_errors_of_one_name_are_refused(self) -> None:
        errors = [{"code": 1, "name": "e"}, {"code": 2, "name": "e"}]
        assert refusal(document(errors=errors)).name == "DUPLICATE_ERROR_NAMES"

    def test_a_relative_mount_path_is_refused(self) -> None:
        finding = refusal(document(interface={"mounts": [{"name": "m", "path": "a/b"}]}))
        assert finding == Finding("INVALID_MOUNT_PATH", "The path of the mount m must be absolute.")

    def test_only_the_first_fault_is_told_in_the_order_of_the_checks(self) -> None:
        mounts = [{"name": "m", "path": "a"}, {"name": "m", "path": "b"}]
        settings = [{"name": "s"}, {"name": "S"}]
        errors = [{"code": 1, "name": "e"}, {"code": 2, "name": "e"}]
        assert refusal(document(interface={"mounts": mounts, "settings": settings})).name == "NAME_COLLISION_ERROR"
        assert refusal(document(interface={"mounts": mounts}, errors=errors)).name == "DUPLICATE_MOUNT_NAMES"
        assert refusal(document(interface={"mounts": mounts[:1]}, errors=errors)).name == "DUPLICATE_ERROR_NAMES"

    def test_derived_error_names_are_unique_and_fit(self) -> None:
        titles = [
            "Bad data!",
            "bad  DATA",
            "Bad Data",
            "名前",
            None,
            "Überlauf é",
            "a" * 128,
            "a" * 128,
            "b" * 63 + "-c",
        ]
        errors: list[dict[str, Any]] = [{"code": index, "title": title} for index, title in enumerate(titles) if title]
        errors += [{"code": 200}, {"code": 9, "name": "bad-data-2"}]
        names = [error.name for error in manifest(errors=errors).errors]
        assert names[:5] == ["bad-data", "bad-data-3", "bad-data-4", "error-3", "uberlauf-e"]
        assert names[5:8] == ["a" * 64, "a" * 62 + "-2", "b" * 63]
        assert names[8:] == ["error-200", "bad-data-2"]


@fuzzed
@given(json_values)
def test_any_json_is_read_or_refused(value: Any) -> None:
    _try(value)


@fuzzed
@given(mutations(sample_manifest))
def test_any_change_to_the_sample_is_read_or_refused(value: Any) -> None:
    _try(value)


@pytest.mark.parametrize("odd", ODD_VALUES, ids=range(len(ODD_VALUES)))
def test_odd_values_anywhere_are_read_or_refused(odd: Any) -> None:
    for path in ("seedVersion", "job", "job.name", "job.tags", "job.errors", "job.resources", "job.interface",
                 "job.errors.0.title", "job.interface.inputs.files", "job.interface.mounts.0.path"):  # fmt: skip
        _try(changed(path, odd))


def _try(value: Any) -> None:
    outcome = attempt(lambda: read_manifest(value), Invalid)
    if isinstance(outcome, Invalid):
        assert outcome.where == "manifest"
        assert len(outcome.finding.description) < 3000
    else:
        assert isinstance(outcome, Manifest)
        assert outcome.document is value
