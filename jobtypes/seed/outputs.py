"""What a job left in its output folder: files, JSON values, and metadata beside the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from jobtypes.seed import documents
from jobtypes.seed.folders import Folder, Missing, NotReadable, TooMany
from jobtypes.seed.manifest import Manifest, OutputFile, OutputJson
from jobtypes.seed.sidecars import read_sidecar
from jobtypes.seed.verdicts import listed, spelled_name

RESULTS: Final = "seed.outputs.json"
LEGACY_RESULTS: Final = "results_manifest.json"
SIDECAR: Final = ".metadata.json"

MAX_FILES: Final = 10_000
MAX_RESULTS_BYTES: Final = 16 * 1024 * 1024
MAX_SIDECAR_BYTES: Final = 1024 * 1024
MAX_SIDECARS_BYTES: Final = 64 * 1024 * 1024  # of all of a job together
MAX_WARNINGS: Final = 100

Metadata = Mapping[str, Any]
ErrorName = Literal["missing-required-output", "unexpected-multiple-outputs", "invalid-results-manifest"]


@dataclass(frozen=True, slots=True)
class OutputFound:
    """A file of the output `output`, at `path` below the folder; metadata as `read_sidecar` has it, or None."""

    output: str
    path: str
    media_type: str
    metadata: Metadata | None


@dataclass(frozen=True, slots=True)
class Captured:
    """All outputs; JSON values go by the manifest's name, metadata of inputs by the input's."""

    files: tuple[OutputFound, ...]
    json: dict[str, Any]
    input_metadata: dict[str, Metadata]
    warnings: tuple[str, ...]


class OutputFault(Exception):
    """The job did not write what its manifest promises; `error_name` is that of a built-in error."""

    def __init__(self, error_name: ErrorName, detail: str) -> None:
        self.error_name = error_name
        self.detail = detail
        super().__init__(f"{error_name}: {detail}")


def capture(folder: str, manifest: Manifest) -> Captured:
    """What the manifest's outputs are in this folder, whatever else is in it.

    OutputFault where the outputs break the manifest's promise; a sidecar that is no good is only a warning. Open the
    files found with `folders.Folder.open`: their paths were free of symbolic links when they were found. OSError if
    the folder itself cannot be read.
    """
    with Folder(folder) as opened:
        capturing = _Capturing(opened, manifest)
        values = capturing.json()
        files = tuple(capturing.files())
        return Captured(files, values, capturing.input_metadata(), tuple(capturing.warnings))


@dataclass
class _Capturing:
    folder: Folder
    manifest: Manifest
    warnings: list[str] = field(default_factory=list)
    sidecar_bytes: int = 0
    sidecars: dict[str, Metadata | None] = field(default_factory=dict)

    # --- Files ---

    def files(self) -> list[OutputFound]:
        found: list[OutputFound] = []
        for output in self.manifest.output_files:
            for path in self._paths(output, MAX_FILES - len(found)):
                found.append(OutputFound(output.name, path, output.media_type, self._sidecar(path + SIDECAR)))
        return found

    def _paths(self, output: OutputFile, room: int) -> list[str]:
        paths: list[str] = []
        name = spelled_name(output.name)
        try:
            for path in self.folder.matching(output.pattern):
                if _is_ours(path):
                    continue
                if len(paths) == room:
                    raise TooMany
                paths.append(path)
        except TooMany:
            detail = f"The output {name} makes more files than the {MAX_FILES} that a job may have."
            raise OutputFault("unexpected-multiple-outputs", detail) from None
        if output.required and not paths:
            raise OutputFault("missing-required-output", f"No file matches the pattern of the output {name}.")
        if len(paths) > 1 and not output.multiple:
            detail = f"The output {name} is one file, but there are {listed(paths)}."
            raise OutputFault("unexpected-multiple-outputs", detail)
        return paths

    # --- Metadata ---

    def input_metadata(self) -> dict[str, Metadata]:
        found = {}
        for declared in self.manifest.input_files:
            if not declared.multiple and (metadata := self._sidecar(declared.name + SIDECAR)) is not None:
                found[declared.name] = metadata
        return found

    def _sidecar(self, path: str) -> Metadata | None:
        if path not in self.sidecars:
            self.sidecars[path] = self._read_sidecar(path)
        return self.sidecars[path]

    def _read_sidecar(self, path: str) -> Metadata | None:
        room = min(MAX_SIDECAR_BYTES, MAX_SIDECARS_BYTES - self.sidecar_bytes)
        try:
            content = self.folder.read(path, room)
            self.sidecar_bytes += len(content)
            return read_sidecar(content)
        except Missing:
            return None
        except NotReadable:
            self._warn(path, "It cannot be read, or is too large.")
        except UnicodeDecodeError:
            self._warn(path, "It is no UTF-8.")
        except ValueError as error:
            self._warn(path, str(error))
        return None

    def _warn(self, path: str, reason: str) -> None:
        if len(self.warnings) < MAX_WARNINGS:
            self.warnings.append(f"The metadata in {spelled_name(path)} was left out. {reason}")

    # --- JSON values ---

    def json(self) -> dict[str, Any]:
        declared = self.manifest.output_json
        if not declared:
            return {}
        given = self._results()
        values = {}
        for output in declared:
            if output.key in given:
                values[output.name] = _value(given[output.key], output)
            elif output.required:
                detail = f"{RESULTS} has no {spelled_name(output.key)}, which is required."
                raise OutputFault("missing-required-output", detail)
        return values

    def _results(self) -> Mapping[str, Any]:
        """The content of the results file, empty if there is none."""
        try:
            given = documents.parse(self.folder.read(RESULTS, MAX_RESULTS_BYTES))
        except Missing:
            return {}
        except NotReadable:
            raise _invalid_results(f"{RESULTS} cannot be read, or is too large.") from None
        except ValueError:
            raise _invalid_results(f"{RESULTS} is no JSON.") from None
        if not isinstance(given, dict):
            raise _invalid_results(f"{RESULTS} is no object.")
        return given


def _is_ours(path: str) -> bool:
    """Whether this is a file about the outputs, not one of them."""
    name = path.rpartition("/")[2]
    return name.endswith(SIDECAR) or name in (RESULTS, LEGACY_RESULTS)


def _value(given: Any, output: OutputJson) -> Any:
    key = spelled_name(output.key)
    if not documents.is_of_type(given, output.type):
        raise _invalid_results(f"{key} in {RESULTS} must be of type {output.type}.")
    if fault := documents.find_fault(given, max_bytes=MAX_RESULTS_BYTES):
        raise _invalid_results(f"{key} in {RESULTS} {fault.rule}.")
    return int(given) if output.type == "integer" else given


def _invalid_results(detail: str) -> OutputFault:
    return OutputFault("invalid-results-manifest", detail)
