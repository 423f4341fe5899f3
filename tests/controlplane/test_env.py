from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.core.env import Fault, Reader


@pytest.mark.parametrize(
    ("text", "expected"), [("1", True), ("Yes", True), (" on ", True), ("0", False), ("FALSE", False), ("", False)]
)
def test_a_flag_reads_the_usual_words(monkeypatch: pytest.MonkeyPatch, text: str, expected: bool) -> None:
    monkeypatch.setenv("SWITCH", text)
    assert Reader().flag("SWITCH") is expected


def test_an_empty_flag_is_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", "")
    assert Reader().flag("SWITCH", True) is True


def test_what_is_no_flag_leaves_a_fault_and_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWITCH", "perhaps")
    reader = Reader()
    assert reader.flag("SWITCH", True) is True
    assert reader.faults == [Fault("SWITCH", "1 or 0")]


def test_a_number_below_its_minimum_leaves_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYS", "0")
    reader = Reader()
    assert reader.whole("DAYS", 30, minimum=1) == 30
    assert reader.faults == [Fault("DAYS", "a whole number of at least 1")]


def test_what_is_no_number_leaves_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAYS", "many")
    reader = Reader()
    assert reader.whole("DAYS", 30) == 30
    assert reader.faults == [Fault("DAYS", "a whole number")]


def test_a_list_is_split_at_commas_and_trimmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOSTS", " a , b,,c ")
    assert Reader().names("HOSTS") == ["a", "b", "c"]


def test_a_missing_list_is_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOSTS", raising=False)
    assert Reader().names("HOSTS", ("x", "y")) == ["x", "y"]


def test_a_secret_is_read_from_the_file_that_name_file_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n")
    monkeypatch.delenv("SECRET", raising=False)
    monkeypatch.setenv("SECRET_FILE", str(tmp_path / "secret"))
    assert Reader().text("SECRET").strip() == "s3cret"


def test_a_secret_file_that_is_not_there_leaves_a_fault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ELSEWHERE_FILE", str(tmp_path / "gone"))
    reader = Reader()
    assert reader.text("ELSEWHERE") == ""
    assert [fault.name for fault in reader.faults] == ["ELSEWHERE"]


def test_a_database_is_read_from_its_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHERE", "postgresql://me:pa%40ss@127.0.0.1:5433/jobs")
    found = Reader().database("WHERE", "sqlite:///x")
    assert found["ENGINE"] == "django.db.backends.postgresql"
    assert (found["USER"], found["PASSWORD"], found["HOST"], found["PORT"], found["NAME"]) == (
        "me", "pa@ss", "127.0.0.1", 5433, "jobs",
    )  # fmt: skip


def test_a_missing_database_is_the_default_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHERE", raising=False)
    found = Reader().database("WHERE", "sqlite:////tmp/x.sqlite3")
    assert (found["ENGINE"], found["NAME"]) == ("django.db.backends.sqlite3", "/tmp/x.sqlite3")


@pytest.mark.parametrize("url", ["what://is/this", "postgresql://host:port/name"])
def test_what_is_no_database_leaves_a_fault_and_the_default(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WHERE", url)
    reader = Reader()
    assert reader.database("WHERE", "sqlite:////tmp/x.sqlite3")["ENGINE"].endswith("sqlite3")
    assert [fault.name for fault in reader.faults] == ["WHERE"]


def test_a_document_is_a_json_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER", '{"type": "host"}')
    assert Reader().document("BROKER", {}) == {"type": "host"}
    monkeypatch.delenv("BROKER")
    assert Reader().document("BROKER", {"a": 1}) == {"a": 1}


@pytest.mark.parametrize("text", ["{", "[]", "3", "null"])
def test_what_is_no_document_leaves_a_fault_and_the_default(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BROKER", text)
    reader = Reader()
    assert reader.document("BROKER", {"a": 1}) == {"a": 1}
    assert [fault.name for fault in reader.faults] == ["BROKER"]
