"""What one job is given: files by id and JSON values, checked against the manifest's inputs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from controlplane.core.errors import InvalidRequest
from jobtypes.seed import documents
from jobtypes.seed.environment import value_text
from jobtypes.seed.manifest import InputFile, InputJson, Manifest
from jobtypes.seed.verdicts import spelled_name

VERSIONS: Final = ("6", "7", "1.0")
MEMBERS: Final = ("files", "json", "version")
MAX_FILES: Final = 10_000  # of one input
MAX_VALUE_BYTES: Final = 120_000  # Linux takes 128 KiB for one variable, and for one argument

_MAX_ID: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class JobInput:
    """File ids and values by the names of the manifest's inputs; optional ones that were not given are absent."""

    files: dict[str, list[int]]
    json: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The input as JSON, complete."""
        return {"files": {name: list(ids) for name, ids in self.files.items()}, "json": dict(self.json)}


def read_input(document: Any, manifest: Manifest) -> JobInput:
    """The input that any JSON value is to this manifest; None and {} are the empty one.

    Names that the manifest does not know are dropped. InvalidRequest names the field: a required input is missing,
    one is of the wrong kind or type, a list of files is empty, or has several for an input that takes one.
    """
    given = {} if document is None else document
    if fault := documents.find_fault(given):
        raise _refused(f"This {fault.rule}.", fault.path)
    if not isinstance(given, dict):
        raise _refused("This must be an object.")
    for name in given:
        if name not in MEMBERS:
            raise _refused(f"Not a known member; there are {', '.join(MEMBERS)}.", spelled_name(name))
    if given.get("version", VERSIONS[0]) not in VERSIONS:
        raise _refused(f"This must be one of {', '.join(VERSIONS)}.", "version")
    files, values = _object(given, "files"), _object(given, "json")
    _check_kinds(files, values, manifest)
    return JobInput(_read_files(files, manifest), _read_values(values, manifest))


def check_media_types(manifest: Manifest, job_input: JobInput, media_types: Mapping[int, str]) -> None:
    """InvalidRequest for a file whose media type the manifest does not list for its input.

    `media_types` tells them by file id. Parameters (`; charset=…`) and upper case do not count.
    """
    for declared in manifest.input_files:
        allowed = {_essence(name) for name in declared.media_types}
        if not allowed:
            continue
        for file_id in job_input.files.get(declared.name, ()):
            if _essence(media_types.get(file_id, "")) not in allowed:
                raise _refused(
                    f"The file {file_id} is of another media type than this input takes.",
                    f"files.{spelled_name(declared.name)}",
                )


def _refused(message: str, path: str = "") -> InvalidRequest:
    return InvalidRequest(message, field=f"input.{path}" if path else "input")


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _object(document: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    found = document.get(member, {})
    if not isinstance(found, dict):
        raise _refused("This must be an object.", member)
    return found


def _check_kinds(files: Mapping[str, Any], values: Mapping[str, Any], manifest: Manifest) -> None:
    file_names = {declared.name for declared in manifest.input_files}
    value_names = {declared.name for declared in manifest.input_json}
    for name in files:
        if name in value_names:
            raise _refused("This input takes a JSON value, not files.", f"files.{spelled_name(name)}")
    for name in values:
        if name in file_names:
            raise _refused("This input takes files, not a JSON value.", f"json.{spelled_name(name)}")


def _read_files(files: Mapping[str, Any], manifest: Manifest) -> dict[str, list[int]]:
    read = {}
    for declared in manifest.input_files:
        field = f"files.{spelled_name(declared.name)}"
        if declared.name in files:
            read[declared.name] = _read_ids(files[declared.name], declared, field)
        elif declared.required:
            raise _refused("This input is required.", field)
    return read


def _read_ids(given: Any, declared: InputFile, field: str) -> list[int]:
    if not isinstance(given, list) or not all(_is_id(value) for value in given):
        raise _refused("This must be a list of file ids.", field)
    if not given:
        raise _refused("This must name a file at least.", field)
    if len(given) > (MAX_FILES if declared.multiple else 1):
        raise _refused(f"This input takes {f'at most {MAX_FILES} files' if declared.multiple else 'one file'}.", field)
    if len(set(given)) < len(given):
        raise _refused("This names the same file twice.", field)
    return list(given)


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MAX_ID


def _read_values(values: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    read = {}
    for declared in manifest.input_json:
        field = f"json.{spelled_name(declared.name)}"
        if declared.name in values:
            read[declared.name] = _read_value(values[declared.name], declared, field)
        elif declared.required:
            raise _refused("This input is required.", field)
    return read


def _read_value(given: Any, declared: InputJson, field: str) -> Any:
    if not documents.is_of_type(given, declared.type):
        raise _refused(f"This must be of type {declared.type}.", field)
    value = int(given) if declared.type == "integer" else given  # 5.0 is an integer, and programs read it as 5
    if len(value_text(value).encode()) > MAX_VALUE_BYTES:
        raise _refused(f"This must not be larger than {MAX_VALUE_BYTES} bytes.", field)
    return value
