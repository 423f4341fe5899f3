"""Where a login is kept, and to whom its token is given."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from controlplane.cli import config
from controlplane.cli.config import Login
from controlplane.cli.errors import ExitCode, Failure

KEPT = Login("https://compute.example.com/below", "secret-token")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for name in (config.SERVER, config.TOKEN):
        monkeypatch.delenv(name, raising=False)


def test_a_stored_login_is_for_this_user_only() -> None:
    before = os.umask(0)
    try:
        path = config.store(KEPT)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert config.present() == KEPT
    assert [each.name for each in path.parent.iterdir()] == ["config.json"]


def test_a_link_or_an_open_file_in_its_place_gets_nothing(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    elsewhere.chmod(0o666)
    config.config_file().parent.mkdir()
    config.config_file().symlink_to(elsewhere)
    path = config.store(KEPT)
    assert elsewhere.read_text() == "mine"
    assert not path.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_environment_stands_above_the_file() -> None:
    config.store(KEPT)
    environ = {config.SERVER: "http://127.0.0.1:8000/", config.TOKEN: "other"}
    assert config.present(environ) == Login("http://127.0.0.1:8000", "other")
    assert config.present({config.TOKEN: "other"}) == Login(KEPT.server, "other")
    assert config.present({config.SERVER: "https://Compute.example.com/below/"}) == KEPT


def test_a_stored_token_is_not_sent_to_another_server() -> None:
    config.store(KEPT)
    with pytest.raises(Failure, match="not logged in to") as raised:
        config.present({config.SERVER: "https://elsewhere.example.com"})
    assert raised.value.code == ExitCode.NOT_ALLOWED


@pytest.mark.parametrize("text", ["", "{", "[]", '{"server": "http://x"}', "\0"])
def test_a_file_that_is_no_login_is_told(text: str) -> None:
    config.store(KEPT)
    config.config_file().write_text(text)
    with pytest.raises(Failure, match="run cpctl login"):
        config.present()


def test_forgetting_says_whether_there_was_anything() -> None:
    config.store(KEPT)
    assert config.forget()
    assert not config.forget()
    with pytest.raises(Failure, match="not logged in"):
        config.present()


@pytest.mark.parametrize(
    "text",
    [
        "compute.example.com", "ftp://x", "https://", "https://me:secret@x", "https://x?token=1", "https://x#y",
        "https://x y", "http://x:port", "http://[::1", "https://x\n",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_refused(text: str) -> None:
    if text.endswith("\n"):
        assert config.server_url(text) == "https://x"
        return
    with pytest.raises(Failure, match="server: ") as raised:
        config.server_url(text)
    assert raised.value.code == ExitCode.USAGE
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("text", ["", " ", "two words", "line\nbreak", "\u00e4", "x\x7f"])
def test_what_cannot_stand_in_a_header_is_no_token(text: str) -> None:
    with pytest.raises(Failure, match="token: "):
        config.checked_token(text)


@pytest.mark.parametrize(
    ("server", "told"),
    [("http://x", True), ("https://x", False), ("http://127.0.0.1:1", False), ("http://[::1]:1", False)],
)
def test_a_connection_that_others_can_read_is_known(server: str, told: bool) -> None:
    assert config.is_in_the_clear(server) is told


def test_a_folder_that_is_not_absolute_counts_as_not_given() -> None:
    assert config.config_file({"XDG_CONFIG_HOME": "here"}) == Path.home() / ".config/cpctl/config.json"
