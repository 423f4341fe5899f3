"""A stand-in that runs nothing, empty at the start of each test, and a cloud that calls it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from clusters.providers.azure.cloud import AzureCloud
from clusters.providers.base import Work
from tests.clusters.azure import stand_in
from tests.clusters.azure.stand_in import BatchServer, OurToken
from tests.clusters.provider_contract import new_id


@pytest.fixture(scope="session")
def _idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchServer]:
    with stand_in.running(tmp_path_factory.mktemp("azure")) as server:
        yield server


@pytest.fixture
def batch(_idle: BatchServer) -> BatchServer:
    """It has the pools cp-high and cp-low, of 4 nodes with 8 slots each."""
    _idle.control("reset")
    _idle.add_pools()
    return _idle


@pytest.fixture
def azure(batch: BatchServer) -> Iterator[AzureCloud]:
    cloud = AzureCloud(batch.config(), OurToken())
    yield cloud
    cloud.close()


def a_work(**wishes: object) -> Work:
    fixed = {"image": "an/image:1", "vcpus_milli": 250, "memory_mib": 64, "customer": "acme"}
    return Work(new_id(), ("/bin/true",), **{**fixed, **wishes})  # type: ignore[arg-type]
