"""A Seed 1.0.0 manifest: what kind of job this is, what it reads, writes and needs."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jobtypes.seed import documents, schemas
from jobtypes.seed.verdicts import Invalid, listed, spelled_name

JsonType = Literal["array", "boolean", "integer", "number", "object", "string"]
Category = Literal["DATA", "ALGORITHM"]

MAX_TIMEOUT_SECONDS: Final = 30 * 24 * 3600
DEFAULT_MEDIA_TYPE: Final = "application/octet-stream"
OUTPUT_DIR: Final = "OUTPUT_DIR"
ALLOCATED: Final = "ALLOCATED_"

_NO_WORD = re.compile(r"[^a-z0-9]+")


@dataclass(frozen=True, slots=True)
class Maintainer:
    """Who answers for the image; texts as given, empty where not given."""

    name: str
    email: str
    organization: str
    url: str
    phone: str


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file, or with `multiple` several. Empty `media_types` means any."""

    name: str
    required: bool
    media_types: tuple[str, ...]
    multiple: bool
    partial: bool


@dataclass(frozen=True, slots=True)
class InputJson:
    """A JSON value of one type."""

    name: str
    type: JsonType
    required: bool


@dataclass(frozen=True, slots=True)
class OutputFile:
    """The files that match `pattern`, a glob in the output folder. Seed does not say that it stays inside."""

    name: str
    pattern: str
    media_type: str
    multiple: bool
    required: bool


@dataclass(frozen=True, slots=True)
class OutputJson:
    """The value that the job writes under `key`, which is the name unless the manifest says otherwise."""

    name: str
    key: str
    type: JsonType
    required: bool


@dataclass(frozen=True, slots=True)
class MountPoint:
    """An absolute path in the container where a configured mount appears."""

    name: str
    path: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that the configuration gives; a secret one is stored apart and never shown."""

    name: str
    secret: bool


@dataclass(frozen=True, slots=True)
class Resource:
    """Needs `value` + `input_multiplier` per MiB of input; cores for cpus, pieces for gpus, MiB for the others."""

    name: str
    value: float
    input_multiplier: float


@dataclass(frozen=True, slots=True)
class ManifestError:
    """What exit code `code` means. The name is derived where the manifest has none."""

    code: int
    name: str
    title: str
    description: str
    category: Category


@dataclass(frozen=True, slots=True)
class Manifest:
    """A valid manifest with every default filled in; `document` is what was given, untouched.

    `timeout_seconds` is at most 30 days, and None where the manifest's is not positive: no limit of its own.
    """

    document: Mapping[str, Any]
    name: str
    version: str
    package_version: str
    title: str
    description: str
    tags: tuple[str, ...]
    maintainer: Maintainer
    timeout_seconds: int | None
    command: str
    input_files: tuple[InputFile, ...]
    input_json: tuple[InputJson, ...]
    output_files: tuple[OutputFile, ...]
    output_json: tuple[OutputJson, ...]
    mounts: tuple[MountPoint, ...]
    settings: tuple[Setting, ...]
    resources: tuple[Resource, ...]
    errors: tuple[ManifestError, ...]


def read_manifest(document: Any) -> Manifest:
    """The manifest that any JSON value is.

    Invalid, with the first of: JSON_VALIDATION_ERROR, NAME_COLLISION_ERROR, DUPLICATE_MOUNT_NAMES,
    DUPLICATE_ERROR_NAMES, INVALID_MOUNT_PATH. Not checked, as Scale does not: placeholders of the command,
    names of outputs, media types, the timeout's sign.
    """
    fault = documents.find_fault(document) or documents.check(document, schemas.MANIFEST)
    if fault is not None:
        raise _invalid("JSON_VALIDATION_ERROR", str(fault))
    manifest = _filled(document)
    _check_gpus(manifest)
    _check_names(manifest, document["job"].get("errors", []))
    for mount in manifest.mounts:
        if not mount.path.startswith("/"):
            raise _invalid("INVALID_MOUNT_PATH", f"The path of the mount {spelled_name(mount.name)} must be absolute.")
    return manifest


def variable_name(name: str) -> str:
    """The environment variable of an input, setting or resource: upper case, `-` as `_`."""
    return name.upper().replace("-", "_")


def _invalid(name: str, description: str) -> Invalid:
    return Invalid(name, description, where="manifest")


def _filled(document: Mapping[str, Any]) -> Manifest:
    job = document["job"]
    interface = job.get("interface", {})
    inputs, outputs = interface.get("inputs", {}), interface.get("outputs", {})
    timeout = int(job["timeout"])
    return Manifest(
        document=document,
        name=job["name"],
        version=job["jobVersion"],
        package_version=job["packageVersion"],
        title=job["title"],
        description=job["description"],
        tags=tuple(job.get("tags", ())),
        maintainer=_maintainer(job["maintainer"]),
        timeout_seconds=min(timeout, MAX_TIMEOUT_SECONDS) if timeout > 0 else None,
        command=interface.get("command", ""),
        input_files=tuple(map(_input_file, inputs.get("files", ()))),
        input_json=tuple(InputJson(i["name"], i["type"], i.get("required", True)) for i in inputs.get("json", ())),
        output_files=tuple(map(_output_file, outputs.get("files", ()))),
        output_json=tuple(map(_output_json, outputs.get("json", ()))),
        mounts=tuple(MountPoint(m["name"], m["path"], m.get("mode") != "rw") for m in interface.get("mounts", ())),
        settings=tuple(Setting(s["name"], s.get("secret", False)) for s in interface.get("settings", ())),
        resources=tuple(map(_resource, job.get("resources", {}).get("scalar", ()))),
        errors=tuple(_errors(job.get("errors", ()))),
    )


def _maintainer(given: Mapping[str, str]) -> Maintainer:
    return Maintainer(
        given["name"], given["email"], given.get("organization", ""), given.get("url", ""), given.get("phone", "")
    )


def _input_file(given: Mapping[str, Any]) -> InputFile:
    return InputFile(
        name=given["name"],
        required=given.get("required", True),
        media_types=tuple(given.get("mediaTypes", ())),
        multiple=given.get("multiple", False),
        partial=given.get("partial", False),
    )


def _output_file(given: Mapping[str, Any]) -> OutputFile:
    return OutputFile(
        name=given["name"],
        pattern=given["pattern"],
        media_type=given.get("mediaType", DEFAULT_MEDIA_TYPE),
        multiple=given.get("multiple", False),
        required=given.get("required", True),
    )


def _output_json(given: Mapping[str, Any]) -> OutputJson:
    return OutputJson(given["name"], given.get("key", given["name"]), given["type"], given.get("required", True))


def _resource(given: Mapping[str, Any]) -> Resource:
    return Resource(given["name"], given["value"], given.get("inputMultiplier", 0))


# --- Errors, which may come without a name -------------------------------------------------------


def _errors(given: Iterable[Mapping[str, Any]]) -> Iterator[ManifestError]:
    given = list(given)
    taken = {error["name"] for error in given if "name" in error}
    for error in given:
        name = error.get("name") or _free(_derived(error), taken)
        taken.add(name)
        yield ManifestError(
            code=int(error["code"]),
            name=name,
            title=error.get("title", name),
            description=error.get("description", ""),
            category="DATA" if error.get("category") == "data" else "ALGORITHM",
        )


def _derived(error: Mapping[str, Any]) -> str:
    plain = unicodedata.normalize("NFKD", error.get("title", "")).encode("ascii", "ignore").decode().lower()
    slug = _NO_WORD.sub("-", plain).strip("-")[: schemas.ERROR_NAME_LENGTH].strip("-")
    return slug or f"error-{int(error['code'])}"


def _free(name: str, taken: Iterable[str]) -> str:
    """The name, or the first of name-2, name-3 … that is not taken."""
    free, number = name, 1
    while free in taken:
        number += 1
        ending = f"-{number}"
        free = name[: schemas.ERROR_NAME_LENGTH - len(ending)] + ending
    return free


# --- Rules that no schema says -------------------------------------------------------------------


def _check_gpus(manifest: Manifest) -> None:
    for index, resource in enumerate(manifest.resources):
        if resource.name.lower() == "gpus" and resource.value != int(resource.value):
            raise _invalid("JSON_VALIDATION_ERROR", f"job.resources.scalar[{index}].value: must be a whole number")


def _check_names(manifest: Manifest, errors: Iterable[Mapping[str, Any]]) -> None:
    if repeated := _repeated(_variables(manifest)):
        raise _invalid("NAME_COLLISION_ERROR", f"More than one thing would be the variable {listed(repeated)}.")
    if repeated := _repeated(mount.name for mount in manifest.mounts):
        raise _invalid("DUPLICATE_MOUNT_NAMES", f"More than one mount is named {listed(repeated)}.")
    if repeated := _repeated(error["name"] for error in errors if "name" in error):
        raise _invalid("DUPLICATE_ERROR_NAMES", f"More than one error is named {listed(repeated)}.")


def _variables(manifest: Manifest) -> Iterator[str]:
    yield OUTPUT_DIR
    yield from (variable_name(setting.name) for setting in manifest.settings)
    yield from (variable_name(file.name) for file in manifest.input_files)
    yield from (variable_name(value.name) for value in manifest.input_json)
    for resource in manifest.resources:
        yield ALLOCATED + variable_name(resource.name)


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]
