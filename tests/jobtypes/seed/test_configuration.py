from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given

from jobtypes.seed.configuration import (
    Configuration,
    HostMount,
    VolumeMount,
    check_workspaces,
    read_configuration,
    split_secrets,
    warnings_of,
    workspace_of,
)
from jobtypes.seed.manifest import read_manifest
from jobtypes.seed.verdicts import Finding, Invalid
from tests.jobtypes.seed.documents import (
    ODD_VALUES,
    SAMPLE,
    attempt,
    fuzzed,
    json_values,
    manifest,
    mutations,
    sample_manifest,
)

EMPTY = {"mounts": {}, "output_workspaces": {"default": "", "outputs": {}}, "priority": 100, "settings": {}}

FULL: dict[str, Any] = {
    "version": "6",
    "mounts": {
        "mount_1": {"type": "host", "host_path": "/the/host/path"},
        "mount_2": {"type": "volume", "driver": "docker-driver", "driver_opts": {"opt_1": "foo"}},
    },
    "output_workspaces": {"default": "workspace_1", "outputs": {"output_1": "workspace_2"}},
    "priority": 7,
    "settings": {"setting_1": "foo", "setting_2": "bar"},
}


def full() -> dict[str, Any]:
    return copy.deepcopy(FULL)


def refusal(value: Any) -> Finding:
    with pytest.raises(Invalid) as caught:
        read_configuration(value)
    assert caught.value.where == "configuration"
    return caught.value.finding


def with_outputs(*names: str) -> dict[str, Any]:
    return {"outputs": {"files": [{"name": name, "pattern": "*", "required": False} for name in names]}}


class TestReading:
    @pytest.mark.parametrize("value", [None, {}, {"version": "7"}, EMPTY])
    def test_nothing_given_is_the_empty_configuration(self, value: Any) -> None:
        assert read_configuration(value) == Configuration()
        assert read_configuration(value).document() == EMPTY

    def test_everything_given_is_read_and_told_again_without_the_version(self) -> None:
        read = read_configuration(full())
        assert read.mounts == {
            "mount_1": HostMount("/the/host/path"),
            "mount_2": VolumeMount("docker-driver", {"opt_1": "foo"}),
        }
        assert (read.default_workspace, read.output_workspaces) == ("workspace_1", {"output_1": "workspace_2"})
        assert (read.priority, read.settings) == (7, {"setting_1": "foo", "setting_2": "bar"})
        assert read.document() == {name: value for name, value in FULL.items() if name != "version"}
        assert read_configuration(read.document()) == read

    def test_a_volume_has_its_defaults(self) -> None:
        read = read_configuration({"mounts": {"m": {"type": "volume"}}})
        assert read.document()["mounts"]["m"] == {"type": "volume", "driver": "", "driver_opts": {}}

    def test_the_customers_own_sample_is_read(self) -> None:
        assert read_configuration(SAMPLE["configuration"]).settings["DB_HOST"] == "som.host.name"

    @pytest.mark.parametrize("version", ["6", "7", "2.0"])
    def test_known_versions_are_accepted(self, version: str) -> None:
        assert read_configuration({"version": version}) == Configuration()

    @pytest.mark.parametrize("version", ["1.0", "", "8", 6, None, ["6"], {}])
    def test_another_version_is_refused_before_anything_else(self, version: Any) -> None:
        assert refusal({"version": version, "priority": "first"}).name == "INVALID_VERSION"

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ("{}", "The document must be of type object"),
            ([], "must be of type object"),
            (0, "must be of type object"),
            ({"more": 1}, "more: is not a known member"),
            ({"priority": 0}, "priority: must be at least 1"),
            ({"priority": -1}, "priority: must be at least 1"),
            ({"priority": 2**31}, "priority: must be at most"),
            ({"priority": "1"}, "priority: must be of type integer"),
            ({"priority": True}, "priority: must be of type integer"),
            ({"priority": None}, "priority: must be of type integer"),
            ({"settings": {"a": None}}, "settings.a: must be of type string"),
            ({"settings": {"a": 5}}, "settings.a: must be of type string"),
            ({"settings": []}, "settings: must be of type object"),
            ({"mounts": {"m": {}}}, "mounts.m.type: is required"),
            ({"mounts": {"m": {"type": "nfs"}}}, "mounts.m.type: must be one of host, volume"),
            ({"mounts": {"m": {"type": "host"}}}, "mounts.m.host_path: is required"),
            ({"mounts": {"m": {"type": "host", "host_path": 5}}}, "mounts.m.host_path: must be of type string"),
            ({"mounts": {"m": {"type": "host", "host_path": "/" * 1025}}}, "must have at most 1024 characters"),
            ({"mounts": {"m": {"type": "host", "host_path": "/", "driver": ""}}}, "mounts.m.driver: is not a known"),
            ({"mounts": {"m": {"type": "volume", "host_path": "/"}}}, "mounts.m.host_path: is not a known"),
            ({"mounts": {"m": {"type": "volume", "driver_opts": {"o": 1}}}}, "driver_opts.o: must be of type string"),
            ({"output_workspaces": {"default": None}}, "output_workspaces.default: must be of type string"),
            ({"output_workspaces": {"outputs": {"o": 1}}}, "output_workspaces.outputs.o: must be of type string"),
            ({"output_workspaces": {"more": {}}}, "output_workspaces.more: is not a known member"),
            ({"settings": {"a": "\0"}}, "settings.a: must not hold a NUL"),
            ({"settings": {"a": "b" * 32_001}}, "settings.a: must have at most 32000 characters"),
            ({"settings": {"a": "b" * 2**20}}, "must not be larger than"),
            ({"settings": {f"s{n}": "" for n in range(1001)}}, "settings: must have at most 1000 members"),
        ],
    )
    def test_a_breach_of_the_shape_is_told_by_path_and_rule(self, value: Any, said: str) -> None:
        finding = refusal(value)
        assert finding.name == "INVALID_CONFIGURATION"
        assert said in finding.description

    @pytest.mark.parametrize("path", ["", "relative/path", "~", "C:\\", " /a"])
    def test_a_host_path_must_be_absolute(self, path: str) -> None:
        finding = refusal({"mounts": {"m": {"type": "host", "host_path": path}}})
        assert finding == Finding("HOST_ABSOLUTE_PATH", "mounts.m.host_path: must be absolute")

    @pytest.mark.parametrize(
        "spoiled",
        [
            {"settings": {"DB_PASS": ["hunter2"]}},
            {"settings": {"DB_PASS": "hunter2\0"}},
            {"settings": {"DB_PASS": "hunter2"}, "priority": 0},
            {"settings": {"DB_PASS": "hunter2"}, "more": "hunter2"},
            {"settings": "hunter2"},
            {"version": "hunter2"},
            {"mounts": {"m": {"type": "volume", "driver_opts": {"password": {"x": "hunter2"}}}}},
            {"mounts": {"m": "hunter2"}},
        ],
    )
    def test_no_refusal_quotes_a_value(self, spoiled: dict[str, Any]) -> None:
        with pytest.raises(Invalid) as caught:
            read_configuration(spoiled)
        assert "hunter2" not in repr(caught.value) + str(caught.value) + caught.value.finding.description
        assert caught.value.__cause__ is caught.value.__context__ is None

    @fuzzed
    @given(json_values)
    def test_any_json_is_read_or_refused(self, value: Any) -> None:
        self._try(value)

    @fuzzed
    @given(mutations(full))
    def test_any_change_to_a_valid_one_is_read_or_refused(self, value: Any) -> None:
        self._try(value)

    @pytest.mark.parametrize("odd", ODD_VALUES, ids=range(len(ODD_VALUES)))
    def test_odd_values_anywhere_are_read_or_refused(self, odd: Any) -> None:
        for name in FULL:
            self._try({name: odd})
        for name in ("mounts", "output_workspaces", "settings"):
            self._try({name: {"x": odd}})
            self._try({name: {"outputs": {"x": odd}, "x": {"type": "volume", "driver_opts": odd}}})

    def _try(self, value: Any) -> None:
        outcome = attempt(lambda: read_configuration(value), Invalid)
        if isinstance(outcome, Configuration):
            assert read_configuration(outcome.document()) == outcome
        else:
            assert outcome.where == "configuration"


class TestSecrets:
    def test_the_values_of_secret_settings_are_split_off(self) -> None:
        configuration = read_configuration(SAMPLE["configuration"])
        kept, secrets = split_secrets(read_manifest(sample_manifest()), configuration)
        assert secrets == {"DB_PASS": "secret_password"}
        assert kept.settings == {"DB_HOST": "som.host.name"}
        assert kept.mounts == configuration.mounts
        assert "secret_password" not in repr(kept) + str(kept.document())
        assert configuration.settings["DB_PASS"] == "secret_password"

    def test_no_value_shows_where_a_configuration_is_printed(self) -> None:
        given_volume = {"type": "volume", "driver_opts": {"password": "hunter2"}}
        configuration = read_configuration({"settings": {"a": "hunter2"}, "mounts": {"m": given_volume}})
        assert "hunter2" not in repr(configuration)

    def test_a_setting_that_the_manifest_does_not_know_is_no_secret(self) -> None:
        kept, secrets = split_secrets(manifest(), Configuration(settings={"a": "b"}))
        assert (kept.settings, secrets) == ({"a": "b"}, {})


class TestWorkspaces:
    def test_an_active_default_workspace_is_enough(self) -> None:
        configuration = Configuration(default_workspace="one")
        assert check_workspaces(manifest(interface=with_outputs("a", "b")), configuration, {"one": True}) == []

    def test_every_output_may_have_its_own(self) -> None:
        configuration = Configuration(output_workspaces={"a": "one", "b": "two"})
        interface = with_outputs("a", "b")
        assert check_workspaces(manifest(interface=interface), configuration, {"one": True, "two": True}) == []
        assert workspace_of(configuration, "b") == "two"
        assert workspace_of(Configuration(default_workspace="one"), "b") == "one"

    def test_no_file_output_needs_no_workspace(self) -> None:
        json_only = manifest(interface={"outputs": {"json": [{"name": "a", "type": "string"}]}})
        assert check_workspaces(json_only, Configuration(), {}) == []

    def test_a_workspace_that_does_not_exist_is_refused_also_for_an_unknown_output(self) -> None:
        for configuration in (
            Configuration(default_workspace="gone"),
            Configuration(default_workspace="one", output_workspaces={"nobody": "gone"}),
        ):
            with pytest.raises(Invalid) as caught:
                check_workspaces(manifest(), configuration, {"one": True})
            assert caught.value.finding == Finding("INVALID_WORKSPACE", "There is no workspace gone.")
            assert caught.value.where == "configuration"

    def test_an_unknown_output_with_a_workspace_that_exists_is_accepted(self) -> None:
        configuration = Configuration(output_workspaces={"nobody": "one"})
        assert check_workspaces(manifest(), configuration, {"one": True}) == []

    @pytest.mark.parametrize("own", [{}, {"c": "one"}, {"a": "", "b": ""}])
    def test_outputs_without_a_workspace_are_named_in_one_error(self, own: dict[str, str]) -> None:
        with pytest.raises(Invalid) as caught:
            check_workspaces(
                manifest(interface=with_outputs("a", "b")), Configuration(output_workspaces=own), {"one": True}
            )
        assert caught.value.finding == Finding("MISSING_WORKSPACE", "There is no workspace for the output a, b.")

    def test_a_long_list_of_names_is_cut(self) -> None:
        with pytest.raises(Invalid) as caught:
            check_workspaces(manifest(interface=with_outputs(*(f"o{n}" for n in range(30)))), Configuration(), {})
        assert caught.value.finding.description.endswith("o9 and 20 more.")

    def test_each_inactive_workspace_is_warned_of_once(self) -> None:
        configuration = Configuration(default_workspace="old", output_workspaces={"a": "old", "b": "new", "c": "older"})
        found = check_workspaces(manifest(), configuration, {"old": False, "new": True, "older": False, "x": False})
        assert [finding.name for finding in found] == ["DEPRECATED_WORKSPACE"] * 2
        assert "older" in found[1].description


class TestWarnings:
    def test_a_fitting_configuration_has_none(self) -> None:
        read = read_manifest(sample_manifest())
        configuration, secrets = split_secrets(read, read_configuration(SAMPLE["configuration"]))
        assert warnings_of(read, configuration, secrets) == []

    def test_a_stored_secret_counts_as_configured(self) -> None:
        read = read_manifest(sample_manifest())
        configuration = read_configuration(SAMPLE["configuration"])
        kept, _ = split_secrets(read, configuration)
        assert warnings_of(read, kept, {"DB_PASS"}) == []
        assert [finding.name for finding in warnings_of(read, kept, set())] == ["MISSING_SETTING"]

    def test_every_misfit_is_one_warning_and_quotes_no_value(self) -> None:
        read = manifest(
            interface={
                "mounts": [{"name": "m1", "path": "/a"}, {"name": "m2", "path": "/b"}],
                "settings": [{"name": "s1"}, {"name": "s2", "secret": True}],
            },
            resources={"scalar": [{"name": name, "value": 0} for name in
                                  ("cpus", "MEM", "Disk", "gpus", "SHAREDMEM", "chocolate", "vanilla")]},
        )  # fmt: skip
        configuration = Configuration(mounts={"x": HostMount("/x")}, settings={"y": "hunter2", "z": "hunter2"})
        found = warnings_of(read, configuration, ["s1"])
        assert [finding.name for finding in found] == [
            "UNKNOWN_MOUNT", "MISSING_MOUNT", "MISSING_MOUNT", "UNKNOWN_SETTING", "UNKNOWN_SETTING",
            "MISSING_SETTING", "MISSING_SETTING", "NONSTANDARD_RESOURCE", "NONSTANDARD_RESOURCE",
        ]  # fmt: skip
        assert "hunter2" not in repr(found)
        assert "chocolate" in found[-2].description
