"""Two documents beside each other for the admin, line by line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any, Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

MOST_LINES: Final = 5_000  # of each side: beyond it, comparing and showing take too long
_AROUND: Final = 3  # equal lines shown before and after what differs

Row = tuple[str, str, str]  # how the line stands: "", "cp-old", "cp-new", "cp-both" or "cp-gap"; left; right


def beside(left: Any, right: Any, heads: tuple[str, str]) -> SafeString:
    """Two JSON values as a table of their lines, with those that differ marked. Long equal parts are left out."""
    before, after = _lines(left), _lines(right)
    if max(len(before), len(after)) > MOST_LINES:
        return format_html("<p>{}</p>", "They are too long to be shown beside each other.")
    body = format_html_join(
        "", "<tr class='{}'><td><pre>{}</pre></td><td><pre>{}</pre></td></tr>", _rows(before, after)
    )
    head = format_html("<thead><tr><th scope='col'>{}</th><th scope='col'>{}</th></tr></thead>", *heads)
    return format_html("<div class='cp-scroll'><table class='cp-beside'>{}<tbody>{}</tbody></table></div>", head, body)


def _lines(value: Any) -> list[str]:
    return json.dumps(value, ensure_ascii=False, indent=2).splitlines()


def _rows(before: Sequence[str], after: Sequence[str]) -> Iterator[Row]:
    # autojunk, which is the default, keeps documents of many equal lines from taking the square of their length.
    groups = list(SequenceMatcher(None, before, after).get_grouped_opcodes(_AROUND))
    if not groups:
        yield from (("", line, line) for line in before)
        return
    end = 0
    for group in groups:
        if group[0][1] > end:
            yield "cp-gap", "…", "…"
        for _, left, left_end, right, right_end in group:
            old, new = before[left:left_end], after[right:right_end]
            for place in range(max(len(old), len(new))):
                one = old[place] if place < len(old) else None
                other = new[place] if place < len(new) else None
                yield _standing(one, other), one or "", other or ""
        end = group[-1][2]
    if end < len(before):
        yield "cp-gap", "…", "…"


def _standing(one: str | None, other: str | None) -> str:
    if one == other:
        return ""
    if one is None:
        return "cp-new"
    return "cp-old" if other is None else "cp-both"
