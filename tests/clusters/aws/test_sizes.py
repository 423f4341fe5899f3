"""Sizes in the numbers that AWS takes."""

from __future__ import annotations

import pytest

from clusters.providers.aws.sizes import requirements
from clusters.providers.base import Work
from clusters.providers.errors import Refused

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")


def size(platform: str, vcpus_milli: int, memory_mib: int, gpus: int = 0) -> tuple[str, ...]:
    work = Work("1", ("true",), vcpus_milli=vcpus_milli, memory_mib=memory_mib, gpus=gpus)
    found = requirements(work, platform)
    assert [row["type"] for row in found] == ["VCPU", "MEMORY", "GPU"][: len(found)]
    return tuple(row["value"] for row in found)


def test_ec2_counts_whole_vcpus() -> None:
    assert size("EC2", 250, 512) == ("1", "512")
    assert size("EC2", 1000, 513) == ("1", "513")
    assert size("EC2", 1001, 1) == ("2", "4")


def test_ec2_has_gpus() -> None:
    assert size("EC2", 4000, 8192, gpus=2) == ("4", "8192", "2")


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ((1, 1), ("0.25", "512")),
        ((250, 512), ("0.25", "512")),
        ((250, 513), ("0.25", "1024")),
        ((250, 2049), ("0.5", "3072")),
        ((500, 512), ("0.5", "1024")),
        ((1000, 2048), ("1", "2048")),
        ((1000, 8193), ("2", "9216")),
        ((3000, 1024), ("4", "8192")),
        ((4000, 30721), ("8", "32768")),
        ((8000, 16385), ("8", "20480")),
        ((8000, 61441), ("16", "65536")),
        ((16000, 122880), ("16", "122880")),
        ((16001, 1), ("32", "61440")),
        ((32000, 122881), ("32", "249856")),
    ],
)
def test_fargate_gives_the_next_pair_that_it_has(asked: tuple[int, int], given: tuple[str, str]) -> None:
    assert size("FARGATE", *asked) == given


def test_fargate_refuses_what_it_has_not() -> None:
    with pytest.raises(Refused, match=r"33 vCPUs and 512 MiB"):
        size("FARGATE", 33000, 512)
    with pytest.raises(Refused, match="249857 MiB"):
        size("FARGATE", 1000, 249857)
    with pytest.raises(Refused, match="no GPUs"):
        size("FARGATE", 1000, 512, gpus=1)
