from __future__ import annotations

import errno
import json
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtypes.seed import folders, outputs
from jobtypes.seed.folders import Folder, NotReadable
from jobtypes.seed.manifest import Manifest, read_manifest
from jobtypes.seed.outputs import Captured, OutputFault, capture
from tests.jobtypes.seed.documents import attempt, fuzzed, json_values, manifest, sample_manifest

SIDECAR = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"cloud": 1}}
METADATA = {"geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"cloud": 1}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "out"
    made.mkdir()
    return made


def write(folder: Path, **content: Any) -> None:
    """Files by path, `__` for `/` and `_DOT_` for a dot; what is no text is written as JSON."""
    for name, value in content.items():
        path = folder / name.replace("__", "/").replace("_DOT_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))


def of_files(*patterns: str, multiple: bool = True, required: bool = False) -> Manifest:
    files = [
        {"name": f"out_{index}", "pattern": pattern, "multiple": multiple, "required": required}
        for index, pattern in enumerate(patterns)
    ]
    return manifest(interface={"outputs": {"files": files}})


def of_json(*declared: dict[str, Any]) -> Manifest:
    return manifest(interface={"outputs": {"json": list(declared)}})


def paths(captured: Captured) -> list[str]:
    return [file.path for file in captured.files]


def fault(folder: Path, read: Manifest) -> OutputFault:
    with pytest.raises(OutputFault) as caught:
        capture(str(folder), read)
    return caught.value


class TestFiles:
    def test_the_customers_own_sample_is_captured(self, folder: Path) -> None:
        write(folder, output_text_DOT_txt="text", seed_DOT_outputs_DOT_json={"TOTAL_INPUT": 5, "more": 1}, other="x")
        captured = capture(str(folder), read_manifest(sample_manifest()))
        (file,) = captured.files
        assert (file.output, file.path, file.media_type) == ("OUTPUT_TEXT", "output_text.txt", "text/plain")
        assert file.metadata is None
        assert captured.json == {"total_input": 5}
        assert (captured.input_metadata, captured.warnings) == ({}, ())

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("*.txt", ["a.txt", "b.txt"]),
            ("./a.txt", ["a.txt"]),
            ("?.txt", ["a.txt", "b.txt"]),
            ("[!a].txt", ["b.txt"]),
            ("*.TXT", []),
            ("sub/*.txt", ["sub/c.txt"]),
            ("sub//./c.txt", ["sub/c.txt"]),
            ("*/*.txt", ["sub/c.txt"]),
            ("*/*/*", ["sub/deep/d.txt"]),
            ("**", ["a.txt", "b.txt", "data"]),
            ("**/d.txt", []),
            ("*", ["a.txt", "b.txt", "data"]),
            (".*", [".hidden"]),
            (".hidden", [".hidden"]),
            ("sub", []),
            ("sub/", []),
            ("a.txt/x", []),
            ("nothing*", []),
            ("[", []),
            ("", []),
            (".", []),
            ("\0", []),
            ("a\0.txt", []),
            ("a" * 1000, []),
            ("*/" * 500 + "*", []),
        ],
    )  # fmt: skip
    def test_a_pattern_is_a_glob_in_the_folder(self, folder: Path, pattern: str, found: list[str]) -> None:
        write(
            folder, a_DOT_txt="a", b_DOT_txt="b", sub__c_DOT_txt="c", sub__deep__d_DOT_txt="d", data="", _DOT_hidden=""
        )
        outputs_of = [{"name": "out", "pattern": pattern.replace("\0", "x"), "multiple": True, "required": False}]
        read = manifest(interface={"outputs": {"files": outputs_of}})
        assert paths(capture(str(folder), read)) == found
        with Folder(str(folder)) as opened:
            assert list(opened.matching(pattern)) == found

    def test_files_about_the_outputs_are_none(self, folder: Path) -> None:
        write(folder, a="x", a_DOT_metadata_DOT_json=SIDECAR, seed_DOT_outputs_DOT_json={},
              results_manifest_DOT_json={}, my_seed_DOT_outputs_DOT_json={})  # fmt: skip
        assert paths(capture(str(folder), of_files("*"))) == ["a", "my_seed.outputs.json"]

    def test_one_file_may_belong_to_two_outputs(self, folder: Path) -> None:
        write(folder, a="x")
        captured = capture(str(folder), of_files("a", "*", multiple=False))
        assert [(file.output, file.path) for file in captured.files] == [("out_0", "a"), ("out_1", "a")]

    def test_a_required_output_must_be_there(self, folder: Path) -> None:
        found = fault(folder, of_files("*.txt", required=True))
        assert (found.error_name, "out_0" in found.detail) == ("missing-required-output", True)

    def test_an_optional_one_need_not(self, folder: Path) -> None:
        assert paths(capture(str(folder), of_files("*.txt"))) == []

    def test_a_single_output_takes_one_file(self, folder: Path) -> None:
        write(folder, a="", b="")
        found = fault(folder, of_files("*", multiple=False))
        assert found.error_name == "unexpected-multiple-outputs"
        assert "a, b" in found.detail

    def test_a_multiple_output_may_be_one_file(self, folder: Path) -> None:
        write(folder, a="")
        assert paths(capture(str(folder), of_files("*", required=True))) == ["a"]

    def test_the_number_of_files_is_bounded_over_all_outputs(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outputs, "MAX_FILES", 4)
        write(folder, a="", b="", c="")
        assert len(paths(capture(str(folder), of_files("*", "a")))) == 4
        assert fault(folder, of_files("*", "*")).error_name == "unexpected-multiple-outputs"

    def test_the_number_of_names_looked_at_is_bounded(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(folders, "MAX_ENTRIES", 5)
        write(folder, a="", b="", c="")
        assert paths(capture(str(folder), of_files("a*"))) == ["a"]
        assert fault(folder, of_files("a*", "a*")).error_name == "unexpected-multiple-outputs"

    def test_a_folder_that_is_not_there_is_no_fault_of_the_job(self, folder: Path) -> None:
        with pytest.raises(FileNotFoundError):
            capture(str(folder / "gone"), of_files("*"))


class TestStrangers:
    """The folder was written by somebody who wants to see what is not his."""

    @pytest.fixture(autouse=True)
    def secret(self, folder: Path) -> Path:
        secret = folder.parent / "secret"
        secret.mkdir()
        (secret / "key").write_text("gr5t7")
        (secret / "key.metadata.json").write_text(json.dumps(SIDECAR))
        return secret

    @pytest.fixture
    def failing(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
        """Makes opening these names fail with an error number; root may open everything, so no mode would."""
        really = os.open

        def make(number: int, *names: str) -> None:
            def refuse(name: str, *args: Any, **more: Any) -> int:
                if name in names:
                    raise OSError(number, os.strerror(number), name)
                return really(name, *args, **more)

            monkeypatch.setattr(os, "open", refuse)

        return make

    @pytest.mark.parametrize("pattern", ["../secret/key", "../*/key", "sub/../../secret/key", "/*", "..", "*/../a"])
    def test_no_pattern_leads_out(self, folder: Path, pattern: str) -> None:
        write(folder, a="", sub__b="")
        assert paths(capture(str(folder), of_files(pattern, f"{folder.parent}/secret/key"))) == []

    def test_no_symbolic_link_is_followed(self, folder: Path, secret: Path) -> None:
        write(folder, real__file="x")
        (folder / "key").symlink_to(secret / "key")
        (folder / "dir").symlink_to(secret)
        (folder / "inside").symlink_to("real/file")
        (folder / "loop").symlink_to("loop")
        (folder / "dangling").symlink_to("nowhere")
        found = capture(str(folder), of_files("*", "*/*", "key", "dir/key", "dir/*", "inside", "loop", "loop/x"))
        assert paths(found) == ["real/file"]

    def test_a_folder_that_became_a_link_is_not_opened(self, folder: Path, secret: Path) -> None:
        folder.rmdir()
        folder.symlink_to(secret)
        with pytest.raises(OSError, match="out"):
            capture(str(folder), of_files("*"))

    def test_only_regular_files_are_outputs(self, folder: Path) -> None:
        os.mkfifo(folder / "fifo")
        (folder / "directory").mkdir()
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.getcwd()
            os.chdir(folder)  # the path of a socket is short
            try:
                listener.bind("socket")
            finally:
                os.chdir(here)
            assert paths(capture(str(folder), of_files("*", "fifo", "socket", "directory", "fifo/x"))) == []

    def test_a_fifo_or_link_in_place_of_a_sidecar_is_a_warning(self, folder: Path, secret: Path) -> None:
        write(folder, a="", b="", c="")
        os.mkfifo(folder / "a.metadata.json")
        (folder / "b.metadata.json").symlink_to(secret / "key.metadata.json")
        (folder / "c.metadata.json").mkdir()
        captured = capture(str(folder), of_files("?"))
        assert [file.metadata for file in captured.files] == [None] * 3
        assert len(captured.warnings) == 3

    @pytest.mark.parametrize("kind", ["fifo", "link", "directory"])
    def test_what_stands_in_place_of_the_results_is_a_fault(self, folder: Path, secret: Path, kind: str) -> None:
        results = folder / "seed.outputs.json"
        match kind:
            case "fifo":
                os.mkfifo(results)
            case "link":
                (secret / "results").write_text('{"a": "gr5t7"}')
                results.symlink_to(secret / "results")
            case "directory":
                results.mkdir()
        found = fault(folder, of_json({"name": "a", "type": "string", "required": False}))
        assert found.error_name == "invalid-results-manifest"

    def test_a_name_that_is_no_utf8_is_passed_over(self, folder: Path) -> None:
        (Path(os.fsdecode(os.fsencode(folder) + b"/\xff"))).write_text("")
        write(folder, é="")
        assert paths(capture(str(folder), of_files("*"))) == ["é"]

    @pytest.mark.parametrize("number", [errno.EACCES, errno.ELOOP, errno.ENXIO, errno.ENOENT])
    def test_what_may_not_be_read_is_passed_over(self, folder: Path, failing: Callable[..., None], number: int) -> None:
        write(folder, shut__a="", b="", b_DOT_metadata_DOT_json=SIDECAR)
        failing(number, "shut", "b.metadata.json")
        captured = capture(str(folder), of_files("*/*", "*"))
        assert paths(captured) == ["b"]
        assert captured.files[0].metadata is None
        assert len(captured.warnings) == (number != errno.ENOENT)

    @pytest.mark.parametrize("pattern", ["shut/a", "*/a", "b"])
    def test_a_failing_disk_is_no_fault_of_the_job(
        self, folder: Path, failing: Callable[..., None], pattern: str
    ) -> None:
        write(folder, shut__a="", b="", b_DOT_metadata_DOT_json=SIDECAR)
        failing(errno.EIO, "shut", "b.metadata.json")
        with pytest.raises(OSError, match="Input/output"):
            capture(str(folder), of_files(pattern))

    def test_a_disk_that_fails_to_say_what_is_there_is_no_fault_either(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, b="")
        really = os.stat

        def refuse(name: Any, **more: Any) -> os.stat_result:
            if name == "b" and "dir_fd" in more:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return really(name, **more)

        monkeypatch.setattr(os, "stat", refuse)
        with pytest.raises(OSError, match="Input/output"):
            capture(str(folder), of_files("b"))

    def test_a_file_that_grows_while_it_is_read_is_not_read_on(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write(folder, b="12345")
        really = os.fstat
        monkeypatch.setattr(os, "fstat", lambda descriptor: _emptied(really(descriptor)))
        with Folder(str(folder)) as opened:
            assert opened.read("b", 5) == b"12345"
            with pytest.raises(NotReadable):
                opened.read("b", 4)

    def test_a_file_found_is_opened_without_following_what_it_became(self, folder: Path, secret: Path) -> None:
        write(folder, sub__key="mine")
        with Folder(str(folder)) as opened:
            with os.fdopen(opened.open("sub/key")) as file:
                assert file.read() == "mine"
            (folder / "sub").rename(folder / "was")
            (folder / "sub").symlink_to(secret)
            (folder / "was" / "key").unlink()
            (folder / "was" / "key").symlink_to(secret / "key")
            for path in ("sub/key", "was/key", "../secret/key", f"{secret}/key", "gone", "", "was", "\0", "\ud800"):
                with pytest.raises(NotReadable):
                    opened.open(path)

    def test_no_descriptor_is_left_open(self, folder: Path) -> None:
        write(folder, sub__deep__a="", sub__b="", seed_DOT_outputs_DOT_json={})
        (folder / "b.metadata.json").mkdir()
        before = len(os.listdir("/proc/self/fd"))
        capture(str(folder), of_files("*/*/*", "sub/*", "*"))
        fault(folder, of_files("*/*/none", required=True))
        assert len(os.listdir("/proc/self/fd")) == before


def _emptied(found: os.stat_result) -> os.stat_result:
    return os.stat_result((*found[: stat.ST_SIZE], 0, *found[stat.ST_SIZE + 1 :]))


class TestMetadata:
    def test_a_sidecar_lies_beside_its_file(self, folder: Path) -> None:
        write(folder, sub__a_DOT_txt="", sub__a_DOT_txt_DOT_metadata_DOT_json=SIDECAR)
        (file,) = capture(str(folder), of_files("sub/*")).files
        assert file.metadata == METADATA

    @pytest.mark.parametrize("content", ["", "{", "[]", '{"type": "FeatureCollection"}', "[" * 5000, "\ufeff", "NaN"])
    def test_a_bad_one_is_a_warning(self, folder: Path, content: str) -> None:
        write(folder, a="", a_DOT_metadata_DOT_json=content)
        captured = capture(str(folder), of_files("*"))
        assert captured.files[0].metadata is None
        assert len(captured.warnings) == 1
        assert "a.metadata.json" in captured.warnings[0]

    def test_one_that_is_no_utf8_is_a_warning(self, folder: Path) -> None:
        (folder / "a.metadata.json").write_bytes(b"\xff")
        write(folder, a="")
        assert "no UTF-8" in capture(str(folder), of_files("*")).warnings[0]

    def test_one_that_is_too_large_is_a_warning(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outputs, "MAX_SIDECAR_BYTES", 200)
        write(folder, a="", a_DOT_metadata_DOT_json=json.dumps(SIDECAR) + " " * 200)
        assert len(capture(str(folder), of_files("*")).warnings) == 1

    def test_all_together_are_bounded_as_are_the_warnings(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outputs, "MAX_SIDECARS_BYTES", 200)
        monkeypatch.setattr(outputs, "MAX_WARNINGS", 2)
        for name in "abcde":
            write(folder, **{name: "", f"{name}_DOT_metadata_DOT_json": SIDECAR})
        captured = capture(str(folder), of_files("*"))
        assert [file.metadata for file in captured.files] == [METADATA, *[None] * 4]
        assert len(captured.warnings) == 2

    def test_an_input_gets_the_metadata_that_is_named_for_it(self, folder: Path) -> None:
        inputs = [{"name": name, "multiple": name == "many"} for name in ("in-put", "many", "bad", "none")]
        for name in ("in-put", "many", "stranger"):
            (folder / f"{name}.metadata.json").write_text(json.dumps(SIDECAR))
        (folder / "bad.metadata.json").write_text("?")
        captured = capture(str(folder), manifest(interface={"inputs": {"files": inputs}}))
        assert captured.input_metadata == {"in-put": METADATA}
        assert len(captured.warnings) == 1


class TestJson:
    def test_values_are_taken_by_key_and_kept_by_name(self, folder: Path) -> None:
        write(folder, seed_DOT_outputs_DOT_json={"KEY": [1], "b": 5.0, "more": None})
        declared = of_json({"name": "a", "key": "KEY", "type": "array"}, {"name": "b", "type": "integer"})
        assert repr(capture(str(folder), declared).json) == "{'a': [1], 'b': 5}"

    @pytest.mark.parametrize(
        ("kind", "right", "wrong"),
        [
            ("array", [], {}), ("boolean", False, 0), ("integer", 5, 5.5), ("integer", 5, True), ("number", 1.5, "1.5"),
            ("object", {}, None), ("string", "", 5),
        ],
    )  # fmt: skip
    def test_a_value_must_be_of_its_type(self, folder: Path, kind: str, right: Any, wrong: Any) -> None:
        declared = of_json({"name": "a", "type": kind, "required": False})
        write(folder, seed_DOT_outputs_DOT_json={"a": right})
        assert capture(str(folder), declared).json == {"a": right}
        write(folder, seed_DOT_outputs_DOT_json={"a": wrong})
        assert fault(folder, declared).error_name == "invalid-results-manifest"

    @pytest.mark.parametrize("content", [None, {}, {"b": 1}])
    def test_a_required_value_must_be_there(self, folder: Path, content: Any) -> None:
        if content is not None:
            write(folder, seed_DOT_outputs_DOT_json=content)
        found = fault(folder, of_json({"name": "a", "type": "string"}))
        assert (found.error_name, "has no a" in found.detail) == ("missing-required-output", True)
        assert capture(str(folder), of_json({"name": "a", "type": "string", "required": False})).json == {}

    @pytest.mark.parametrize(
        "content",
        ["", "{", "[]", "null", "5", '{"a": NaN}', '{"a": 1, "more": NaN}', '{"a": 1e999}', '{"a": "\\u0000"}',
         '{"a": "\\ud800"}',
         '{"a": ' + "[" * 40 + "]" * 40 + "}", "[" * 100_000, '{"a": ' + "9" * 5000 + "}"],
    )  # fmt: skip
    @pytest.mark.parametrize("kind", ["number", "string", "array"])
    def test_what_is_no_object_of_json_is_a_fault(self, folder: Path, content: str, kind: str) -> None:
        write(folder, seed_DOT_outputs_DOT_json=content)
        assert fault(folder, of_json({"name": "a", "type": kind})).error_name == "invalid-results-manifest"

    def test_results_that_are_too_large_are_a_fault(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outputs, "MAX_RESULTS_BYTES", 10)
        write(folder, seed_DOT_outputs_DOT_json={"a": "b" * 10})
        assert fault(folder, of_json({"name": "a", "type": "string"})).error_name == "invalid-results-manifest"

    def test_nobody_reads_the_results_if_none_are_promised(self, folder: Path) -> None:
        write(folder, seed_DOT_outputs_DOT_json="{")
        assert capture(str(folder), manifest()).json == {}


@pytest.fixture(scope="module")
def fuzzed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzzed")
    write(made, a="", b="", sub__c="", a_DOT_metadata_DOT_json=SIDECAR)
    return made


@fuzzed
@given(pattern=st.text(st.sampled_from(list("abc*?[]!-./\\^{}é\n~")), max_size=12) | st.text(max_size=12))
def test_any_pattern_finds_files_of_the_folder(fuzzed_folder: Path, pattern: str) -> None:
    with Folder(str(fuzzed_folder)) as opened:
        found = list(opened.matching(pattern))
    assert set(found) <= {"a", "b", "sub/c", "a.metadata.json", "seed.outputs.json"}


@fuzzed
@given(value=json_values, wrapped=st.booleans())
def test_any_results_are_taken_or_refused(fuzzed_folder: Path, value: Any, wrapped: bool) -> None:
    (fuzzed_folder / "seed.outputs.json").write_text(json.dumps({"a": value} if wrapped else value))
    declared = of_json(*({"name": kind, "key": "a", "type": kind, "required": False} for kind in ("object", "number")))
    outcome = attempt(lambda: capture(str(fuzzed_folder), declared), OutputFault)
    assert isinstance(outcome, Captured) or outcome.error_name == "invalid-results-manifest"
