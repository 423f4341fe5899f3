from __future__ import annotations

import pytest
import typer

from controlplane.cli.amounts import mib, moment, seconds


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("5m", 300), ("2H", 7200), ("1d", 86400)])
def test_durations_become_seconds(text: str, value: int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("512", 512), ("512m", 512), ("2g", 2048), ("1.5GiB", 1536), ("1tb", 2**20)]
)
def test_sizes_become_mib(text: str, value: int) -> None:
    assert mib(text) == value


@pytest.mark.parametrize("text", ["", "m", "-1", "1w", "1.5", "9" * 20])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        seconds(text)


@pytest.mark.parametrize("text", ["", "g", "-1", "1p", "inf", "nan"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        mib(text)


@pytest.mark.parametrize(
    ("text", "value"), [("2h", "PT7200S"), ("PT1H", "PT1H"), ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z")]
)
def test_a_time_may_be_so_long_ago(text: str, value: str) -> None:
    assert moment(text) == value
