"""A job type's configuration: mounts, workspaces, priority and settings that one site gives a manifest."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jobtypes.seed import documents, schemas
from jobtypes.seed.manifest import Manifest
from jobtypes.seed.verdicts import Finding, Invalid, listed, spelled_name

VERSIONS: Final = ("6", "7", "2.0")
DEFAULT_PRIORITY: Final = 100
STANDARD_RESOURCES: Final = frozenset({"cpus", "mem", "disk", "gpus", "sharedmem"})


@dataclass(frozen=True, slots=True)
class HostMount:
    """A folder of the host, by its absolute path."""

    path: str

    def document(self) -> dict[str, Any]:
        return {"type": "host", "host_path": self.path}


@dataclass(frozen=True, slots=True)
class VolumeMount:
    """A container volume; an empty driver is the engine's default one."""

    driver: str
    driver_options: Mapping[str, str] = field(repr=False)  # may hold a password

    def document(self) -> dict[str, Any]:
        return {"type": "volume", "driver": self.driver, "driver_opts": dict(self.driver_options)}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A valid configuration with every default filled in. A workspace that is "" is none; lower priority runs first."""

    mounts: Mapping[str, HostMount | VolumeMount] = field(default_factory=dict)
    default_workspace: str = ""
    output_workspaces: Mapping[str, str] = field(default_factory=dict)
    priority: int = DEFAULT_PRIORITY
    settings: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets

    def document(self) -> dict[str, Any]:
        """The configuration as JSON, complete: all four members, and all of a mount's."""
        return {
            "mounts": {name: mount.document() for name, mount in self.mounts.items()},
            "output_workspaces": {"default": self.default_workspace, "outputs": dict(self.output_workspaces)},
            "priority": self.priority,
            "settings": dict(self.settings),
        }


def read_configuration(document: Any) -> Configuration:
    """The configuration that any JSON value is; None and {} are the empty one.

    Invalid, with the first of: INVALID_VERSION, INVALID_CONFIGURATION, HOST_ABSOLUTE_PATH. The schema always runs,
    so a priority below 1 or a setting that is null is INVALID_CONFIGURATION.
    """
    if document is None:
        return Configuration()
    if fault := documents.find_fault(document):
        raise _invalid("INVALID_CONFIGURATION", str(fault))
    if isinstance(document, dict) and document.get("version", VERSIONS[0]) not in VERSIONS:
        raise _invalid("INVALID_VERSION", f"version: must be one of {', '.join(VERSIONS)}")
    if fault := documents.check(document, schemas.CONFIGURATION):
        raise _invalid("INVALID_CONFIGURATION", str(fault))
    workspaces = document.get("output_workspaces", {})
    return Configuration(
        mounts={name: _mount(name, mount) for name, mount in document.get("mounts", {}).items()},
        default_workspace=workspaces.get("default", ""),
        output_workspaces=dict(workspaces.get("outputs", {})),
        priority=int(document.get("priority", DEFAULT_PRIORITY)),
        settings=dict(document.get("settings", {})),
    )


def merged(of_type: Mapping[str, Any], own: Mapping[str, Any] | None) -> dict[str, Any]:
    """A job's configuration: what it was given for itself, and for the rest that of its job type."""
    return {**of_type, **(own or {})}


def split_secrets(manifest: Manifest, configuration: Configuration) -> tuple[Configuration, dict[str, str]]:
    """The configuration without the settings that the manifest calls secret, and those, value by name."""
    secret = {setting.name for setting in manifest.settings if setting.secret}
    values = configuration.settings
    open_values = {name: value for name, value in values.items() if name not in secret}
    return replace(configuration, settings=open_values), {name: values[name] for name in values if name in secret}


def check_workspaces(manifest: Manifest, configuration: Configuration, workspaces: Mapping[str, bool]) -> list[Finding]:
    """A DEPRECATED_WORKSPACE warning for each named workspace that is inactive.

    `workspaces` says of those that exist whether they are active. Invalid with INVALID_WORKSPACE where a named one
    does not exist, MISSING_WORKSPACE where a file output, required or not, has none.
    """
    named = [configuration.default_workspace, *configuration.output_workspaces.values()]
    named = list(dict.fromkeys(name for name in named if name))
    if unknown := [name for name in named if name not in workspaces]:
        raise _invalid("INVALID_WORKSPACE", f"There is no workspace {listed(unknown)}.")
    if homeless := [output.name for output in manifest.output_files if not workspace_of(configuration, output.name)]:
        raise _invalid("MISSING_WORKSPACE", f"There is no workspace for the output {listed(homeless)}.")
    return [
        Finding("DEPRECATED_WORKSPACE", f"The workspace {spelled_name(name)} is not active.")
        for name in named
        if not workspaces[name]
    ]


def workspace_of(configuration: Configuration, output: str) -> str:
    """The workspace of a file output: its own, else the default; "" for none."""
    return configuration.output_workspaces.get(output) or configuration.default_workspace


def warnings_of(manifest: Manifest, configuration: Configuration, secrets: Collection[str]) -> list[Finding]:
    """What is worth a word though it is valid, one finding each.

    UNKNOWN_MOUNT, MISSING_MOUNT, UNKNOWN_SETTING, MISSING_SETTING, NONSTANDARD_RESOURCE. `secrets` names the secret
    settings that have a value, be it just given or stored before.
    """
    return [
        *_mount_warnings(manifest, configuration),
        *_setting_warnings(manifest, configuration, secrets),
        *_resource_warnings(manifest),
    ]


def _invalid(name: str, description: str) -> Invalid:
    return Invalid(name, description, where="configuration")


def _mount(name: str, given: Mapping[str, Any]) -> HostMount | VolumeMount:
    if given["type"] == "volume":
        return VolumeMount(given.get("driver", ""), dict(given.get("driver_opts", {})))
    if not given["host_path"].startswith("/"):
        raise _invalid("HOST_ABSOLUTE_PATH", f"mounts.{spelled_name(name)}.host_path: must be absolute")
    return HostMount(given["host_path"])


def _mount_warnings(manifest: Manifest, configuration: Configuration) -> Iterator[Finding]:
    known = {mount.name: None for mount in manifest.mounts}
    for name in configuration.mounts:
        if name not in known:
            yield Finding("UNKNOWN_MOUNT", f"The manifest has no mount {spelled_name(name)}.")
    for name in known:
        if name not in configuration.mounts:
            yield Finding("MISSING_MOUNT", f"The mount {spelled_name(name)} is not configured.")


def _setting_warnings(manifest: Manifest, configuration: Configuration, secrets: Collection[str]) -> Iterator[Finding]:
    known = {setting.name for setting in manifest.settings}
    for name in configuration.settings:
        if name not in known:
            yield Finding("UNKNOWN_SETTING", f"The manifest has no setting {spelled_name(name)}.")
    for setting in manifest.settings:
        has_value = setting.name in configuration.settings or (setting.secret and setting.name in secrets)
        if not has_value:
            yield Finding("MISSING_SETTING", f"The setting {spelled_name(setting.name)} is not configured.")


def _resource_warnings(manifest: Manifest) -> Iterator[Finding]:
    for resource in manifest.resources:
        if resource.name.lower() not in STANDARD_RESOURCES:
            yield Finding("NONSTANDARD_RESOURCE", f"The resource {spelled_name(resource.name)} is not a standard one.")
