from __future__ import annotations

import itertools

import pytest
import semver
from hypothesis import given
from hypothesis import strategies as st

from jobtypes.seed.versions import KEY_LENGTH, is_version, sort_key
from tests.jobtypes.seed.documents import fuzzed

ASCENDING = [
    "0.0.0", "0.9.0", "0.10.0", "1.0.0-0", "1.0.0-2", "1.0.0-10", "1.0.0-10.a", "1.0.0--", "1.0.0-1a", "1.0.0-A",
    "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-alpha-", "1.0.0-alpha1", "1.0.0-beta", "1.0.0-beta.2",
    "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0.0-rc.1", "2.0.0", f"1{'0' * 60}.0.0",
]  # fmt: skip

numbers = st.one_of(st.integers(0, 120), st.integers(0, 10**40)).map(str)
identifiers = st.one_of(
    numbers, st.from_regex(r"[0-9]{0,3}[A-Za-z-][0-9A-Za-z-]{0,3}", fullmatch=True), st.sampled_from(["a", "a0", "A"])
)


def spell(core: tuple[str, str, str], pre_release: list[str], build: list[str]) -> str:
    text = ".".join(core)
    text += f"-{'.'.join(pre_release)}" if pre_release else ""
    return text + (f"+{'.'.join(build)}" if build else "")


versions = st.builds(
    spell,
    st.tuples(numbers, numbers, numbers) | st.just(("1", "0", "0")),
    st.lists(identifiers, max_size=3),
    st.lists(st.from_regex(r"[0-9A-Za-z-]{1,4}", fullmatch=True), max_size=2),
)


@pytest.mark.parametrize(("lower", "higher"), list(itertools.pairwise(ASCENDING)))
def test_a_later_version_has_a_higher_key(lower: str, higher: str) -> None:
    assert sort_key(lower) < sort_key(higher)


@fuzzed
@given(versions, versions)
def test_keys_are_ordered_as_the_semver_library_orders_versions(one: str, other: str) -> None:
    expected = semver.Version.parse(one).compare(other)
    found = (sort_key(one) > sort_key(other)) - (sort_key(one) < sort_key(other))
    assert found == expected


@pytest.mark.parametrize(
    "text",
    ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.00.0", "1.0.0-", "1.0.0-01", "1.0.0-a..b", "1.0.0+", "1.0.0+a+b", "v1.0.0",
     " 1.0.0", "1.0.0\n", "1.0.0-é", "１.0.0", "1.0.0-\0", "\ud800", "validation", "9" * 5000],
)  # fmt: skip
def test_what_is_no_version_stands_below_every_version(text: str) -> None:
    assert not is_version(text)
    assert sort_key(text) < sort_key("0.0.0-0")


@pytest.mark.parametrize("value", [None, 1, 1.0, b"1.0.0", ["1.0.0"], {}])
def test_only_a_text_is_a_version(value: object) -> None:
    assert not is_version(value)


@fuzzed
@given(st.text())
def test_every_text_has_a_key_of_digits_and_hexadecimal_letters(text: str) -> None:
    assert set(sort_key(text)) <= set("0123456789abcdef")
    assert is_version(text) == (sort_key(text) > "1")


def test_the_build_part_does_not_count() -> None:
    assert sort_key("1.0.0-rc.1+build.7") == sort_key("1.0.0-rc.1+other") == sort_key("1.0.0-rc.1")


@pytest.mark.parametrize("unit", ["a.", "0.", "10.", "a", "1", "-"])
def test_the_key_of_a_version_of_128_characters_fits(unit: str) -> None:
    version = ("1.0.0-" + unit * 128)[:128].rstrip(".")
    assert is_version(version)
    assert len(sort_key(version)) <= KEY_LENGTH
