"""Fields for what a job type or a recipe type takes in: files by id or name, and JSON values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from django import forms

from controlplane.core.admin import JsonField
from jobs import queries
from jobs.admin.shape_forms import ShapeForm, unix
from jobtypes.seed.documents import find_fault
from jobtypes.seed.inputs import MAX_FILES, MAX_VALUE_BYTES
from jobtypes.seed.manifest import InputFile, InputJson, Manifest

# As services name them when they refuse one.
_FILES: Final = "input.files."
_JSON: Final = "input.json."
_NAMES: Final = 1000  # of files that are looked for by name
_NAMESAKES: Final = 5  # shown


class InputForm(ShapeForm):
    """A form with a field for each input of an interface."""

    def add_inputs(self, interface: Manifest) -> None:
        self.interface = interface
        for file in interface.input_files:
            self._add_input(f"{_FILES}{file.name}", _file_field(file))
        for value in interface.input_json:
            self._add_input(f"{_JSON}{value.name}", _value_field(value))

    def _add_input(self, name: str, field: forms.Field) -> None:
        field.widget.attrs.setdefault("class", "cp-input")
        self.fields[name] = field

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        typed = {file.name: _words(cleaned.get(f"{_FILES}{file.name}") or "") for file in self.interface.input_files}
        names = {word for words in typed.values() for word in words if not _is_id(word)}
        if len(names) > _NAMES:
            raise forms.ValidationError(f"{len(names)} files are named; give ids for more than {_NAMES}.")
        known = queries.files_called(self.actor, names, at_most=10 * _NAMES) if names else {}
        self._files = {name: ids for name, words in typed.items() if (ids := self._ids(name, words, known))}
        return cleaned

    def _ids(self, name: str, words: list[str], known: Mapping[str, list[int]]) -> list[int]:
        found = []
        for word in words:
            ids = [int(word)] if _is_id(word) else known.get(word, [])
            if not ids:
                self.add_error(f"{_FILES}{name}", f"There is no file called {word}.")
            elif len(ids) > 1:
                some = ", ".join(map(str, ids[:_NAMESAKES]))
                self.add_error(f"{_FILES}{name}", f"Several files are called {word}, such as {some}: give an id.")
            elif ids[0] not in found:
                found.append(ids[0])
        return found

    def input(self) -> dict[str, Any]:
        """What was given, as the API takes it."""
        values = {}
        for value in self.interface.input_json:
            given = self.cleaned_data.get(f"{_JSON}{value.name}")
            if given is not None and given != "":
                values[value.name] = unix(given) if isinstance(given, str) else given
        return {name: part for name, part in (("files", self._files), ("json", values)) if part}


def initial_input(given: Mapping[str, Any] | None, interface: Manifest) -> dict[str, Any]:
    """What the fields begin with to ask for an input that there was before."""
    files, values = queries.files_of(given or {}), (given or {}).get("json", {})
    found: dict[str, Any] = {
        f"{_FILES}{file.name}": "\n".join(map(str, files[file.name]))
        for file in interface.input_files
        if file.name in files
    }
    for value in interface.input_json:
        if value.name in values:
            text = values[value.name]
            found[f"{_JSON}{value.name}"] = text if value.type == "string" else json.dumps(text, ensure_ascii=False)
    return found


def _file_field(file: InputFile) -> forms.Field:
    types = ", ".join(file.media_types)[:200] or "any media type"
    many = "Ids of files or their names, one in a line" if file.multiple else "The id of a file, or its name"
    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}) if file.multiple else forms.TextInput()
    return forms.CharField(
        label=f"Files {file.name}" if file.multiple else f"File {file.name}",
        required=file.required,
        max_length=300 * MAX_FILES,
        widget=widget,
        help_text=f"{many}; {types}.",
    )


def _value_field(value: InputJson) -> forms.Field:
    label, optional = f"Value {value.name}", "" if value.required else " Empty: not given."
    if value.type == "string":
        return forms.CharField(
            label=label, required=value.required, strip=False, max_length=MAX_VALUE_BYTES, help_text=f"Text.{optional}"
        )
    return ValueField(label=label, required=value.required, rows=2, help_text=f"JSON: {value.type}.{optional}")


class ValueField(JsonField):
    """Any JSON value that can be kept. Nothing that is JSON counts as left out, but what is empty."""

    empty_values = (None, "")  # an empty list is a value

    def to_python(self, value: Any) -> Any:
        found = super().to_python(value)
        if fault := find_fault(found):
            raise forms.ValidationError(f"This {fault.rule}.")
        return found


def _is_id(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) < 19


def _words(text: str) -> list[str]:
    """One in a line; ids may stand beside each other, with commas or spaces."""
    words: list[str] = []
    for line in text.splitlines():
        parts = line.replace(",", " ").split()
        if all(_is_id(part) for part in parts):
            words += parts
        elif line.strip():
            words.append(line.strip())
    return list(dict.fromkeys(words))
