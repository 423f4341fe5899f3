"""What goes into a node and what comes out of it: files and JSON values by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from jobtypes.seed.inputs import JobInput, read_input
from jobtypes.seed.manifest import InputFile, InputJson, Maintainer, Manifest

Kind = Literal["files", "json"]
FILES: Final = "files"
JSON: Final = "json"

_NOBODY: Final = Maintainer("", "", "", "", "")
# A manifest that asks for nothing: an interface is one with its inputs.
_BARE: Final = Manifest({}, "", "", "", "", "", (), _NOBODY, None, "", (), (), (), (), (), (), (), ())


@dataclass(frozen=True, slots=True)
class Parameter:
    """A file or several of them, or a JSON value of `type`. Empty `media_types` means any."""

    name: str
    kind: Kind
    required: bool
    multiple: bool = False
    media_types: tuple[str, ...] = ()
    type: str = ""


@dataclass(frozen=True, slots=True)
class Interface:
    """What is taken in, and what is given. An output may have the name of another of the other kind."""

    inputs: tuple[Parameter, ...] = ()
    outputs: tuple[Parameter, ...] = ()

    def input(self, name: str) -> Parameter | None:
        return next((each for each in self.inputs if each.name == name), None)

    def output(self, name: str, kind: Kind) -> Parameter | None:
        """The output of this name: of this kind when there is one."""
        named = [each for each in self.outputs if each.name == name]
        return next((each for each in named if each.kind == kind), named[0] if named else None)

    def read(self, document: Any) -> JobInput:
        """The input that any JSON value is to this. Raises InvalidRequest naming the field."""
        return read_input(document, self.as_manifest())

    def as_manifest(self) -> Manifest:
        """A manifest with these inputs and nothing else."""
        return replace(_BARE, input_files=tuple(self._files()), input_json=tuple(self._values()))

    def _files(self) -> Iterator[InputFile]:
        for each in self.inputs:
            if each.kind == FILES:
                yield InputFile(each.name, each.required, each.media_types, each.multiple, False)

    def _values(self) -> Iterator[InputJson]:
        for each in self.inputs:
            if each.kind == JSON:
                yield InputJson(each.name, each.type, each.required)  # type: ignore[arg-type] # the schema's enum


def of_manifest(manifest: Manifest) -> Interface:
    """The interface of a job type."""
    files = [Parameter(f.name, FILES, f.required, f.multiple, f.media_types) for f in manifest.input_files]
    values = [Parameter(v.name, JSON, v.required, type=v.type) for v in manifest.input_json]
    given_files = [Parameter(f.name, FILES, f.required, f.multiple, (f.media_type,)) for f in manifest.output_files]
    given_values = [Parameter(v.name, JSON, v.required, type=v.type) for v in manifest.output_json]
    return Interface((*files, *values), (*given_files, *given_values))


def of_document(document: Mapping[str, Any]) -> tuple[Parameter, ...]:
    """The parameters of a definition's own input, or of a condition's; `document` keeps to the schema."""
    files = (
        Parameter(f["name"], FILES, f.get("required", True), f.get("multiple", False), tuple(f.get("media_types", ())))
        for f in document.get("files", ())
    )
    values = (Parameter(v["name"], JSON, v.get("required", True), type=v["type"]) for v in document.get("json", ()))
    return (*files, *values)
