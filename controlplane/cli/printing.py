"""What goes to stdout: tables on a terminal, tab-separated text in a pipe, the API's JSON when asked for.

Texts that came from jobs are printed with their control characters escaped: a class or a tag must not
be able to write to somebody's terminal.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = dict[str, Any]
STYLES: Final = {
    "COMPLETED": "green", "RUNNING": "cyan", "STARTING": "cyan", "FAILED": "red", "REJECTED": "red",
    "CANCELED": "yellow", "CANCELING": "yellow", "STOPPED": "yellow", "STOPPING": "yellow",
}  # fmt: skip


def plain(value: Any) -> str:
    """One value as one cell: no tab, no line break, nothing that a terminal would act on."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = " ".join(f"{key}={item if isinstance(item, str) else json.dumps(item)}" for key, item in value.items())
    elif isinstance(value, list):
        value = shlex.join(str(item) for item in value)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def error(line: str) -> None:
    """One fault, on stderr."""
    print(f"error: {plain(line)}", file=sys.stderr, flush=True)


def note(line: str) -> None:
    """Something worth knowing that is not the answer, on stderr."""
    print(plain(line), file=sys.stderr, flush=True)


class Printer:
    """Writes answers in the form that was asked for."""

    def __init__(self, *, as_json: bool = False) -> None:
        self.as_json = as_json

    def document(self, value: Any) -> None:
        """One JSON document."""
        print(json.dumps(value, ensure_ascii=False, indent=2), flush=True)

    def json_line(self, value: Any) -> None:
        """One of a stream of JSON documents."""
        print(json.dumps(value, ensure_ascii=False), flush=True)

    def line(self, *cells: Any) -> None:
        """A line at once, for those who read along."""
        print("\t".join(plain(cell) for cell in cells), flush=True)

    def rows(self, rows: Iterable[Row], columns: Mapping[str, str]) -> None:
        """A list: `columns` name the fields to show, each with its heading."""
        if self.as_json:
            self._array(rows)
        elif sys.stdout.isatty():
            self._table(rows, columns)
        else:
            for row in rows:
                print("\t".join(plain(row.get(name)) for name in columns))
            sys.stdout.flush()

    def row(self, row: Row, columns: Mapping[str, str]) -> None:
        """One row of a list, alone: the API's JSON of it, or its columns."""
        if self.as_json:
            self.document(row)
        else:
            self.rows([row], columns)

    def fields(self, row: Row, fields: Sequence[str]) -> None:
        """One thing: a line for each field that has a value."""
        if self.as_json:
            self.document(row)
            return
        shown = [(name, row[name]) for name in fields if row.get(name) not in (None, "", [], {})]
        if not sys.stdout.isatty():
            for name, value in shown:
                print(f"{name}\t{plain(value)}")
            sys.stdout.flush()
            return
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in shown:
            table.add_row(Text(name), _cell(value))
        _console().print(table)

    def _array(self, rows: Iterable[Row]) -> None:
        """A JSON array, written as its rows arrive: a list may be longer than the memory."""
        separator = "["
        for row in rows:
            print(f"{separator}\n{json.dumps(row, ensure_ascii=False)}", end="")
            separator = ","
        print("[]" if separator == "[" else "\n]", flush=True)

    def _table(self, rows: Iterable[Row], columns: Mapping[str, str]) -> None:
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in columns.values():
            table.add_column(heading, overflow="fold")
        for row in rows:
            table.add_row(*(_cell(row.get(name)) for name in columns))
        _console().print(table)


def _cell(value: Any) -> Text:
    text = plain(value)
    return Text(text, style=STYLES.get(text, ""))


def _console() -> Console:
    return Console(highlight=False, markup=False, emoji=False)
