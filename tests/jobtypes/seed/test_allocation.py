from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobtypes.seed.allocation import MAX_AMOUNT, MIB, Allocation, allocate
from jobtypes.seed.manifest import read_manifest
from tests.jobtypes.seed.documents import fuzzed, manifest, sample_manifest


def allocated(input_bytes: int = 0, **needs: Any) -> Allocation:
    """What a manifest gets that asks for NAME=value or NAME=(value, multiplier)."""
    scalar = [
        {"name": name, "value": need[0], "inputMultiplier": need[1]}
        if isinstance(need, tuple)
        else {"name": name, "value": need}
        for name, need in needs.items()
    ]
    return allocate(manifest(resources={"scalar": scalar}), input_bytes)


def test_who_asks_for_nothing_gets_the_least() -> None:
    assert allocate(manifest(), 0) == Allocation(250, 128, 0, None, 0, ())


def test_the_customers_own_sample_gets_what_it_asks_for() -> None:
    assert allocate(read_manifest(sample_manifest()), 10 * MIB + 1) == Allocation(1500, 244, 11 + 4 * 11, 1, 0, ())


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        ({"cpus": 0.1}, Allocation(250, 128, 0, None, 0)),
        ({"cpus": 1.1}, Allocation(1100, 128, 0, None, 0)),
        ({"cpus": 2.0001}, Allocation(2001, 128, 0, None, 0)),
        ({"CPUS": 2, "Mem": 200.2}, Allocation(2000, 201, 0, None, 0)),
        ({"mem": 1, "disk": 0.5}, Allocation(250, 128, 1, None, 0)),
        ({"SHAREDMEM": 0}, Allocation(250, 128, 0, 0, 0)),
        ({"sharedMem": 63.5}, Allocation(250, 128, 0, 64, 0)),
        ({"gpus": 2}, Allocation(250, 128, 0, None, 2)),
        ({"cpus": -5, "mem": -5, "disk": -5, "gpus": -5, "sharedmem": -5}, Allocation(250, 128, 0, 0, 0)),
    ],
)  # fmt: skip
def test_amounts_are_rounded_up_to_their_floors(needs: dict[str, Any], expected: Allocation) -> None:
    assert allocated(**needs) == expected


@pytest.mark.parametrize(("input_bytes", "disk"), [(0, 10), (1, 12), (MIB, 12), (MIB + 1, 14), (5 * MIB, 20), (-5, 10)])
def test_the_input_counts_in_whole_mebibytes(input_bytes: int, disk: int) -> None:
    assert allocated(input_bytes, disk=(10, 2)).disk_mib == disk


def test_every_amount_may_grow_with_the_input() -> None:
    found = allocated(4 * MIB, cpus=(1, 0.5), mem=(100, 100), gpus=(0, 0.3), sharedMem=(0, 1.1))
    assert found == Allocation(3000, 500, 0, 5, 2)


def test_resources_of_no_place_are_named_if_some_is_needed() -> None:
    found = allocated(MIB, chocolate=1, vanilla=0, Cream=(0, 1), milk=-1)
    assert found.unknown == ("chocolate", "Cream")


numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.integers(-(10**300), 10**300))


@fuzzed
@given(
    st.dictionaries(st.sampled_from(["cpus", "mem", "disk", "sharedMem", "chocolate"]), st.tuples(numbers, numbers)),
    st.integers(-(10**30), 10**30),
)
def test_absurd_amounts_are_capped(needs: dict[str, Any], input_bytes: int) -> None:
    found = allocated(input_bytes, **needs)
    for amount in (found.vcpus_milli, found.memory_mib, found.disk_mib, found.shm_mib or 0, found.gpus):
        assert isinstance(amount, int)
        assert 0 <= amount <= MAX_AMOUNT
