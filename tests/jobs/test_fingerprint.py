"""Fingerprints tell kinds of failures apart, and not the failures of a kind."""

from __future__ import annotations

import time
import uuid
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.fingerprint import LINES, SHOWN_CHARACTERS, TITLE_CHARACTERS, fingerprint, last_lines, normalised

pytestmark = pytest.mark.runs_once("sqlite", "asks no database")

WORDS: Final = st.text("ghijklmnopqrstuvwxyz", min_size=3, max_size=10)
NUMBERS: Final = st.one_of(st.integers(0, 10**12), st.floats(0, 1e6, allow_nan=False)).map(str)
PATHS: Final = st.lists(st.text("abcxyz0189_-.", min_size=1, max_size=8), min_size=2, max_size=5).map(
    lambda parts: "/x" + "/".join(parts) + "/y.tif"
)
MOMENTS: Final = st.datetimes().map(lambda at: f"{at:%Y-%m-%d} {at:%H:%M:%S},123".zfill(23))
HEX: Final = st.integers(0, 2**64).map(lambda n: f"0x{n:x}")
URLS: Final = PATHS.map(lambda path: f"s3://bucket{path}")


@st.composite
def logs_of_a_kind(draw: st.DrawFn) -> tuple[str, str]:
    """Two logs with the same words, between which everything else differs."""
    kinds = draw(st.lists(st.sampled_from([NUMBERS, PATHS, MOMENTS, HEX, URLS, st.uuids().map(str)]), max_size=8))
    lines = draw(st.lists(WORDS, min_size=len(kinds) + 1, max_size=len(kinds) + 1))
    first, second = ([draw(kind) for kind in kinds] for _ in range(2))
    return tuple(  # type: ignore[return-value]
        "\n".join([lines[0], *(f"{word}: {value} {word}" for word, value in zip(lines[1:], values, strict=True))])
        for values in (first, second)
    )


@given(logs_of_a_kind())
def test_what_differs_each_time_makes_no_difference(logs: tuple[str, str]) -> None:
    assert fingerprint(logs[0], "", "exit-code", 1) == fingerprint(logs[1], "", "exit-code", 1)


@given(WORDS, WORDS, NUMBERS)
def test_other_words_make_one(word: str, other: str, number: str) -> None:
    found = [fingerprint(f"step {number}\n{each} failed after {number}", "", "exit-code", 1) for each in (word, other)]
    assert (found[0] == found[1]) == (word == other)


@given(st.text(), st.text(), st.text(max_size=20), st.integers() | st.none())
@settings(max_examples=200)
def test_anything_has_one_that_can_be_kept(stderr: str, stdout: str, error: str, code: int | None) -> None:
    found = fingerprint(stderr, stdout, error, code)
    assert len(found.digest) == 40
    assert 0 < len(found.title) <= TITLE_CHARACTERS
    assert "\0" not in found.title
    found.title.encode()
    lines = last_lines(stderr)
    assert len(lines) <= LINES
    assert all(line and len(line) <= SHOWN_CHARACTERS for line in lines)


@pytest.mark.parametrize(
    "piece",
    [
        *(
            "1",
            "a",
            "/",
            "a/",
            "0x",
            "\x1b[",
            "\x1b]",
            "1:",
            "\\",
            "a_1",
            "\n",
            "1-",
            "a.",
            "http://",
            "<n>",
            "1,",
            "1e+",
        ),
        *("a-", "Jan ", "2026-01-01T", "a.b/", "\r", "é", "1 ", "a.\n", "{", "Traceback (most recent call last)\n"),
    ],
)
def test_no_log_takes_long(piece: str) -> None:
    log = (piece * 65_536)[:65_536]
    began = time.process_time()
    fingerprint(log, log, "exit-code", 1)
    assert time.process_time() - began < 0.5  # some 20 ms; what grows as the square takes many seconds


def test_error_and_exit_code_make_a_difference() -> None:
    found = {fingerprint("no", "", error, code).digest for error in ("exit-code", "timeout") for code in (None, 1, 2)}
    assert len(found) == 6


def test_standard_error_comes_before_standard_output() -> None:
    assert fingerprint("oh no", "some", "e", 1) == fingerprint("oh no", "other", "e", 1)
    assert fingerprint(" \n", "some", "e", 1) != fingerprint("", "other", "e", 1)


def test_without_output_it_says_error_and_code() -> None:
    assert fingerprint("", "\n", "timeout", None).title == "timeout, without output"
    assert fingerprint("", "", "exit-code", 137).title == "exit-code, exit code 137, without output"


def test_a_traceback_begins_it_whatever_was_written_before() -> None:
    trace = 'Traceback (most recent call last):\n  File "/a/b.py", line 3, in <module>\n    run()\nValueError: bad lens'
    found = fingerprint(f"reading the frames\n{trace}\n", "", "exit-code", 1)
    assert found == fingerprint(f"one more thing\nand another\n{trace.replace('3', '77')}\n", "", "exit-code", 1)
    assert found.title == "ValueError: bad lens"


def test_the_title_is_the_last_line_that_tells_of_something_wrong() -> None:
    assert fingerprint("disk: no such device sda1\nbye\n", "", "e", 1).title == "disk: no such device sda#"
    assert fingerprint("hello\nbye 5\n", "", "e", 1).title == "bye #"


def test_a_line_repeated_any_number_of_times_is_one() -> None:
    assert last_lines("begin\n" + "tile 1 is bad\n" * 5) == last_lines("begin\n" + "tile 2 is bad\n" * 9)


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        ("\x1b[31mERROR\x1b[0m  at   0x7ffee3", "ERROR at #"),
        (f"job {uuid.UUID(int=7)} of i-0abc123def456", "job # of i-#"),
        ("cannot read s3://bucket/a/b.tif, it's gone", "cannot read <url> it's gone"),
        ('File "/usr/lib/x.py", line 12', 'File "<path>", line #'),
        (r"C:\Users\ada\x.txt: missing", "<path>: missing"),
        ("read and/or write", "read and/or write"),
        ("2026-03-01T10:00:00.123Z went", "<time> went"),
        ("Jan  3 10:00:00 kernel: killed", "<time> kernel: killed"),
        ("KeyError: 'frames'", "KeyError: 'frames'"),
        ("deadbeef0123 and decade", "# and decade"),
    ],
)
def test_what_lines_come_to(line: str, plain: str) -> None:
    assert normalised(line) == plain
