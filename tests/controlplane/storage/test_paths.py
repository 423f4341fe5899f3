"""Names of stored files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.errors import InvalidRequest
from controlplane.core.storage import checked_path


@pytest.mark.parametrize(
    "path",
    ["a", "a/b.txt", "..a", "a..", "...", ".hidden", " ", "ü" * 127, "/".join(["x" * 255] * 4), "a#b?c%2F", "~", "*"],
)
def test_it_takes_relative_paths_as_they_are(path: str) -> None:
    assert checked_path(path) == path


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "empty"),
        ("/a", "relative"),
        ("/", "relative"),
        (".", "segment"),
        ("..", "segment"),
        ("a/../b", "segment"),
        ("a/.", "segment"),
        ("a//b", "segment"),
        ("a/", "segment"),
        ("a\\b", "backslash"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("a\x7f", "control"),
        ("half \ud800", "control"),
        ("x" * 256, "255 bytes"),
        ("ü" * 128, "255 bytes"),
        ("a/" * 512 + "b", "1024 bytes"),
    ],
)
def test_it_refuses_others_and_says_why(path: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why) as caught:
        checked_path(path, "files.0.path")
    assert caught.value.field == "files.0.path"


@given(st.text(st.characters() | st.sampled_from("/.\\")))
def test_what_it_takes_leads_nowhere_else(path: str) -> None:
    try:
        checked_path(path)
    except InvalidRequest:
        return
    assert not {"", ".", ".."} & set(path.split("/"))
    assert path.encode().decode() == path
