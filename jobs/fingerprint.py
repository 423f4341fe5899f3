"""What failures have in common: the end of a log without what differs each time, and a digest of it.

Numbers and identifiers become #, moments, paths and addresses what they are; words stay. A log of any size and
content costs about the same: no more than the end of it is looked at.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

VERSION: Final = "1"  # with other rules come other fingerprints
LOOKED_AT: Final = 16_384  # characters of a log, its last ones
LINES: Final = 20  # from where a traceback begins
LINES_OF_NO_TRACEBACK: Final = 8
MOST_LINES: Final = 40  # that are looked at for so many that differ
LINE_CHARACTERS: Final = 4096
SHOWN_CHARACTERS: Final = 512
TITLE_CHARACTERS: Final = 200

_ANSI: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
_UNSEEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_MONTH: Final = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_TIME: Final = r"\d{1,2}:\d{2}:\d{2}(?:[.,]\d+)?(?: ?(?:Z|[AP]M|UTC|GMT|[+-]\d{2}:?\d{2}))?"
_DATE: Final = r"\d{4}([-/.])\d{1,2}\1\d{1,2}|\d{1,2}/\d{1,2}/\d{4}"


def _path(found: re.Match[str]) -> str:
    """Of a word what it is if it is a path: "/x", "./x", "a/b.c" and "a/b/c" are, "and/or" is none."""
    word = found.group()
    separators = word.count("/") + word.count("\\")
    marked = word[0] in "/\\.~" or "." in word.rstrip(".") or ":" in word
    if separators < 2 and not (separators and marked):
        return word
    return "<path>" if any(each.isalnum() for each in word) else word


# What is replaced, in this order: a later pattern meets what the ones before have left. Each is looked for where one
# of its characters is, which is quicker to see.
_RULES: Final[tuple[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]], ...]] = tuple(
    (signs, re.compile(pattern), word)
    for signs, pattern, word in (
        ("/", r"[A-Za-z][A-Za-z0-9+.-]{0,31}://[^\s'\"<>|]+", "<url>"),
        ("-", r"\b[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}\b", "#"),
        ("-/.", rf"(?<!\d)(?:{_DATE})(?:[T ]{_TIME})?(?!\d)", "<time>"),
        (":", rf"\b{_MONTH} {{1,2}}\d{{1,2}} {_TIME}(?: \d{{4}})?", "<time>"),
        (":", rf"(?<!\d){_TIME}(?!\d)", "<time>"),
        ("/\\", r"(?:\b[A-Za-z]:(?=[\\/]))?[\w.@%+~$\\/-]+", _path),
        ("xX", r"\b0[xX][0-9A-Fa-f]+\b", "#"),
        ("", r"\b(?=[A-Fa-f]*[0-9])[0-9A-Fa-f]{8,}\b", "#"),
        ("", r"\b(?=[A-Za-z_]*[0-9])(?=[0-9_]*[A-Za-z])\w{16,}\b", "#"),
        ("", r"(?:(?<!\w)[+-])?\d+(?:[.,]\d+)*(?:[eE][+-]?\d+)?", "#"),
    )
)
_AGAIN: Final = re.compile(r"#(?:[-_.:,]?#)+")
_BEGINS: Final = re.compile(r"Traceback \(most recent call last\)|Exception in thread |panic: |fatal error: ")
_TELLS: Final = re.compile(
    r"error|exception|fatal|fail|denied|refused|not found|no such|cannot|could ?n[o']t|unable|invalid|missing|killed"
    r"|out of memory|panic|abort|timed? ?out|segmentation",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`digest` is the same for failures that have the same in common, `title` says it in a line."""

    digest: str
    title: str


def fingerprint(stderr: str, stdout: str, error: str, exit_code: int | None) -> Fingerprint:
    """Of a failure: the ends of what it wrote, the name of its error, and what its command gave back.

    What is on standard error decides, and standard output where there is none. Without either, error and exit code do.
    """
    lines = last_lines(stderr) or last_lines(stdout)
    said = "\x1f".join([VERSION, error, "" if exit_code is None else str(exit_code), *lines])
    digest = hashlib.sha256(said.encode(errors="replace")).hexdigest()[:40]
    return Fingerprint(digest, _title(lines) or untold(error, exit_code))


def untold(error: str, exit_code: int | None) -> str:
    """The title of failures of which there is no log to tell more."""
    code = "" if exit_code is None else f", exit code {exit_code}"
    return f"{error or 'no error'}{code}, without output"[:TITLE_CHARACTERS]


def last_lines(log: str) -> list[str]:
    """The last lines that say something, without what differs each time, and each once where it is repeated."""
    text = log[-LOOKED_AT:]
    lines = text.splitlines() if len(log) <= LOOKED_AT else text.splitlines()[1:] or [text]
    found: list[str] = []
    for line in islice((each for each in reversed(lines) if each and not each.isspace()), MOST_LINES):
        plain = normalised(line)
        if plain and (not found or found[-1] != plain):
            found.append(plain)
        if len(found) == LINES:
            break
    found.reverse()
    begins = max((at for at, line in enumerate(found) if _BEGINS.search(line)), default=None)
    return found[-LINES_OF_NO_TRACEBACK:] if begins is None else found[begins:]


def normalised(line: str) -> str:
    """A line as it would be in every failure of its kind."""
    text = _UNSEEN.sub("", _ANSI.sub("", line[-LINE_CHARACTERS:]))
    for signs, pattern, word in _RULES:
        if not signs or any(sign in text for sign in signs):
            text = pattern.sub(word, text)
    return " ".join(_AGAIN.sub("#", text).split())[:SHOWN_CHARACTERS]


def _title(lines: Sequence[str]) -> str:
    """The last line that tells of something wrong, else the last one."""
    telling = next((line for line in reversed(lines) if _TELLS.search(line)), None)
    return (telling or (lines[-1] if lines else ""))[:TITLE_CHARACTERS]
