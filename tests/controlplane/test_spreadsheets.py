"""CSV that spreadsheets open: text stays text."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.core.spreadsheets import as_csv, csv_answer

pytestmark = pytest.mark.runs_once("sqlite", "it is about text")


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), min_size=1, max_size=4))
def test_no_text_is_a_formula_and_none_is_lost(cells: list[str]) -> None:
    [_, found] = read(as_csv(["a"] * len(cells), [cells]))
    for was, cell in zip(cells, found, strict=True):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert cell in (was, f"'{was}")


def test_numbers_stay_numbers_and_nothing_is_empty() -> None:
    [_, found] = read(as_csv(["a", "b", "c", "d"], [[Decimal("-2.50"), -3, None, "-2.50"]]))
    assert found == ["-2.50", "-3", "", "'-2.50"]


def test_the_answer_is_a_file() -> None:
    answer = csv_answer("bill-7.csv", ["label"], [["a, b"]])
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"] == 'attachment; filename="bill-7.csv"'
    assert read(answer.content.decode()) == [["label"], ["a, b"]]
