"""What staff type to register, edit and configure job types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from django import forms

from controlplane.core.admin import JsonField, SeenForm, ServiceForm
from jobtypes.models import JobType
from jobtypes.seed.configuration import read_configuration
from jobtypes.seed.manifest import Manifest, MountPoint, Setting, read_manifest
from jobtypes.seed.schemas import INT32, SETTING_LENGTH, TEXT_LENGTH

MOST_SHOWN: Final = 60  # characters of a media type or pattern in a help text
_MOUNT_SHAPES: Final = (
    '{"type": "host", "host_path": "/data/maps"} or {"type": "volume", "driver": "…", "driver_opts": {…}}.'
)


class OptionsForm(ServiceForm):
    """What may be said of a job type that is registered, beside its documents."""

    is_published = forms.BooleanField(required=False, label="Published", help_text="Customers' users see and use it.")
    max_scheduled = forms.IntegerField(
        required=False, min_value=1, max_value=INT32, help_text="Most of its jobs at a time. Empty: no cap."
    )
    icon_code = forms.CharField(required=False, max_length=20, help_text="A Font Awesome code.")

    def clean_icon_code(self) -> str | None:
        return self.cleaned_data["icon_code"] or None


class ManifestForm(SeenForm):
    """The documents of a new revision."""

    docker_image = forms.CharField(required=False, max_length=TEXT_LENGTH, help_text="The image that holds it.")
    manifest = JsonField(rows=24, help_text="Its Seed 1.0.0 manifest. Name and version have to stay.")
    auto_update = forms.BooleanField(
        required=False, initial=True, help_text="Recipe types that hold it go over to the new revision."
    )


class NewJobTypeForm(OptionsForm):
    """A job type as it is registered."""

    docker_image = forms.CharField(max_length=TEXT_LENGTH, help_text="The image that holds it, such as words:1.0.0.")
    manifest = JsonField(rows=24, help_text="Its Seed 1.0.0 manifest, which gives name and version.")
    configuration = JsonField(
        rows=8, required=False, help_text="Mounts, output_workspaces, priority, settings. It may be given later."
    )
    is_paused = forms.BooleanField(required=False, label="Paused", help_text="Its jobs wait until it is resumed.")
    field_order = ("docker_image", "manifest", "configuration", "is_published", "is_paused")


class ConfigurationFields(ServiceForm):
    """A field for every mount, workspace and setting that a manifest leaves to be configured."""

    default_workspace = forms.CharField(
        required=False, max_length=TEXT_LENGTH, help_text="The name of the workspace for its output files."
    )

    def add_configuration(self, manifest: Manifest, present: Mapping[str, Any], secrets: frozenset[str]) -> None:
        """Make the fields. `present`: the complete configuration; `secrets`: the secret settings that have a value."""
        self._present = present
        outputs = present["output_workspaces"]
        self.fields["default_workspace"].initial = outputs["default"]
        for output in manifest.output_files:
            self._add_output(output.name, output.pattern, outputs["outputs"].get(output.name, ""))
        for mount in manifest.mounts:
            self._add_mount(mount.name, _about_mount(mount), present["mounts"].get(mount.name))
        for setting in manifest.settings:
            self._add_setting(setting, present["settings"].get(setting.name), setting.name in secrets)
        self._add_strangers(manifest, present)

    def configured(self) -> dict[str, Any]:
        """What was typed: mounts, workspaces and settings, each of them whole."""
        outputs = {name: value for name, value in self._given("output") if value}
        return {
            "mounts": {name: value for name, value in self._given("mount") if value is not None},
            "output_workspaces": {"default": self.cleaned_data["default_workspace"], "outputs": outputs},
            "settings": {
                name: self._kept(name, value) for name, value in self._given("setting") if self._is_set(name, value)
            },
        }

    def _given(self, kind: str) -> list[tuple[str, Any]]:
        prefix = f"{kind}:"
        return [(key.removeprefix(prefix), value) for key, value in self.cleaned_data.items() if key.startswith(prefix)]

    def _is_set(self, name: str, typed: str) -> bool:
        """A setting that is the empty text now stays so: a form cannot say that it is to be."""
        return bool(typed) or self._present["settings"].get(name) == ""

    def _kept(self, name: str, typed: str) -> str:
        """Browsers end lines in their own way, whatever the text had."""
        present = self._present["settings"].get(name, "")
        return present if _unix(typed) == _unix(present) else _unix(typed)

    def _add(self, kind: str, name: str, field: forms.Field) -> None:
        field.widget.attrs.setdefault("class", "cp-input")
        self.fields[f"{kind}:{name}"] = field

    def _add_output(self, name: str, pattern: str, present: str) -> None:
        help_text = f"Of the files {pattern[:MOST_SHOWN]}. Empty: the default workspace."
        label = f"Workspace of output {name}"
        field = forms.CharField(
            required=False, max_length=TEXT_LENGTH, label=label, help_text=help_text, initial=present
        )
        self._add("output", name, field)

    def _add_mount(self, name: str, about: str, present: Any) -> None:
        help_text = f"{about} {_MOUNT_SHAPES}"
        field = JsonField(rows=3, required=False, label=f"Mount {name}", help_text=help_text, initial=present)
        self._add("mount", name, field)

    def _add_setting(self, setting: Setting, present: str | None, is_kept: bool) -> None:
        wishes: dict[str, Any] = {"required": False, "max_length": SETTING_LENGTH, "strip": False}
        if setting.secret:
            hidden = forms.PasswordInput(attrs={"autocomplete": "new-password"})
            kept = "It has a value, which is not shown. Empty: it stays." if is_kept else "It has no value yet."
            field = forms.CharField(label=f"Secret setting {setting.name}", help_text=kept, widget=hidden, **wishes)
        else:
            shown = forms.Textarea(attrs={"rows": 4}) if "\n" in (present or "") else forms.TextInput()
            wishes |= {"initial": present, "widget": shown}
            field = forms.CharField(label=f"Setting {setting.name}", help_text="Empty: not set.", **wishes)
        self._add("setting", setting.name, field)

    def _add_strangers(self, manifest: Manifest, present: Mapping[str, Any]) -> None:
        """What is configured, and in no manifest: it is lost only if somebody empties it."""
        for name in present["mounts"].keys() - {mount.name for mount in manifest.mounts}:
            self._add_mount(name, "The manifest has no such mount.", present["mounts"][name])
        for name in present["output_workspaces"]["outputs"].keys() - {each.name for each in manifest.output_files}:
            self._add_output(name, "that the manifest does not know", present["output_workspaces"]["outputs"][name])
        for name in present["settings"].keys() - {setting.name for setting in manifest.settings}:
            self._add_setting(Setting(name, secret=False), present["settings"][name], is_kept=False)
            self.fields[f"setting:{name}"].help_text = "The manifest has no such setting. Empty removes it."


class ConfigurationForm(ConfigurationFields, SeenForm):
    """The whole configuration of a job type, to take the place of the present one."""

    priority = forms.IntegerField(min_value=1, max_value=INT32, help_text="Of its jobs; smaller runs first.")
    field_order = ("seen", "priority", "default_workspace")

    def __init__(
        self, data: Any, *, manifest: Manifest, present: Mapping[str, Any], secrets: frozenset[str], seen: str
    ) -> None:
        super().__init__(data, initial={"seen": seen, "priority": present["priority"]})
        self.add_configuration(manifest, present, secrets)

    def configuration(self) -> dict[str, Any]:
        """What was typed."""
        return {**self.configured(), "priority": self.cleaned_data["priority"]}


def restored_configuration(job_type: JobType, state: Mapping[str, Any]) -> dict[str, Any]:
    """What ConfigurationForm begins with to make it again the configuration that it was; of a secret nothing."""
    if "configuration" not in state:
        return {}
    then, now = (read_configuration(each).document() for each in (state["configuration"], job_type.configuration))
    manifest = read_manifest(job_type.manifest)
    secret = {each.name for each in manifest.settings if each.secret}
    outputs = {each.name for each in manifest.output_files} | set(now["output_workspaces"]["outputs"])
    mounts = {each.name for each in manifest.mounts} | set(now["mounts"])
    settings = ({each.name for each in manifest.settings} | set(now["settings"])) - secret
    return {
        "priority": then["priority"],
        "default_workspace": then["output_workspaces"]["default"],
        **{f"output:{name}": then["output_workspaces"]["outputs"].get(name, "") for name in sorted(outputs)},
        **{f"mount:{name}": then["mounts"].get(name) for name in sorted(mounts)},
        **{f"setting:{name}": then["settings"].get(name) for name in sorted(settings)},
    }


def _about_mount(mount: MountPoint) -> str:
    return f"Appears at {mount.path[:MOST_SHOWN]}, {'to be read only' if mount.read_only else 'to be written to, too'}:"


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def options_of(job_type: JobType) -> dict[str, Any]:
    """What OptionsForm begins with."""
    return {name: getattr(job_type, name) for name in OptionsForm.base_fields}
