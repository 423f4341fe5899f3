"""The forms of files in the admin: how one comes, and what is said of it."""

from __future__ import annotations

from typing import Any, Final

from django import forms

from controlplane.core.admin import JsonField, ServiceForm
from controlplane.core.filters import MomentField
from jobs import services
from jobs.models import File
from jobs.services.descriptions import MAX_TEXT, TEXTS

# Named as the API names them, and as services do when they refuse one; the columns end with _at.
MOMENTS: Final = ("data_started", "data_ended", "source_started", "source_ended")
_MOMENT: Final = "2026-01-31T08:00Z, or PT1H: an hour ago."


class NewFileForm(ServiceForm):
    """A file that is sent, or one that is in the workspace already."""

    workspace = forms.CharField(max_length=50, help_text="Its name, or its id.")
    path = forms.CharField(max_length=1024, strip=False, help_text="Its place in the workspace, such as in/scene.tif.")
    file = forms.FileField(required=False, allow_empty_file=True)
    sha256 = forms.CharField(
        label="SHA-256",
        max_length=64,
        required=False,
        help_text="Only of a file that is there already: taken at your word. Empty: the file is read for it.",
    )
    media_type = forms.CharField(
        max_length=255, required=False, help_text="Such as image/tiff. Empty: guessed from the name."
    )
    customer = forms.CharField(
        max_length=255, required=False, help_text="The whole name of whose it is to be. Empty: only staff see it."
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        limit = services.max_upload_bytes() // 2**20
        self.fields["file"].help_text = (
            f"What is to be stored there, of at most {limit} MiB. None: it is in the workspace already, and is made "
            "known."
        )

    def clean_file(self) -> Any:
        sent, limit = self.cleaned_data["file"], services.max_upload_bytes()
        if sent is not None and sent.size > limit:
            raise forms.ValidationError(f"This has {sent.size} bytes; {limit} are the most that is taken.")
        return sent

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("file") is not None and cleaned.get("sha256"):
            self.add_error("sha256", "This is found out of what is sent; leave it empty.")
        return cleaned


def _moment() -> MomentField:
    return MomentField(required=False, help_text=_MOMENT)


def _text() -> forms.CharField:
    return forms.CharField(max_length=MAX_TEXT, required=False)


class DescribeForm(ServiceForm):
    """What may be said of a file. It begins with what is said, and what is emptied is said no more."""

    media_type = forms.CharField(max_length=255, required=False, help_text="Empty: as it is.")
    data_started = _moment()
    data_ended = _moment()
    source_started = _moment()
    source_ended = _moment()
    source_sensor_class = _text()
    source_sensor = _text()
    source_collection = _text()
    source_task = _text()
    geometry = JsonField(rows=8, required=False, help_text="A GeoJSON geometry, of 64 KiB at most.")
    meta_data = JsonField(label="Metadata", rows=8, required=False, help_text="An object, of 64 KiB at most.")

    @staticmethod
    def of(file: File) -> dict[str, Any]:
        """What the form begins with."""
        return {
            "media_type": file.media_type,
            **{name: getattr(file, f"{name}_at") for name in MOMENTS},
            **{name: getattr(file, name) for name in TEXTS},
            "geometry": file.geometry,
            "meta_data": file.meta_data or None,
        }

    def description(self) -> dict[str, Any]:
        """What was typed, as the service takes it: only what is another than it was.

        So a field that would be refused today does not keep the rest from being changed.
        """
        typed: dict[str, Any] = {name: self.cleaned_data[name] for name in self.changed_data}
        if "meta_data" in typed and typed["meta_data"] is None:
            typed["meta_data"] = {}
        return {f"{name}_at" if name in MOMENTS else name: value for name, value in typed.items()}
