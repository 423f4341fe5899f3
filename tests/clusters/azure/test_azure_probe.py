"""The look at a Batch account: what is missing is named, and nothing is changed."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from clusters.providers.azure.cloud import AzureCloud
from clusters.providers.azure.config import PoolTemplate
from clusters.providers.base import Probe
from tests.clusters.azure.stand_in import ACCOUNT, ACCOUNT_KEY, HIGH, LOW, BatchServer, OurToken

pytestmark = pytest.mark.runs_once("sqlite", "clouds know no database")

WRITES = ["Microsoft.Batch/batchAccounts/jobs/write", "Microsoft.Batch/batchAccounts/jobs/delete"]
READ = "Microsoft.Batch/batchAccounts/jobs/read"


class NoToken(OurToken):
    """A credential that has none to give."""

    def get_token(self, *scopes: str, **wishes: Any) -> Any:
        raise ClientAuthenticationError("no identity is assigned")


def failed(found: list[Probe]) -> list[str]:
    return [probe.what for probe in found if probe.ok is False]


def one(found: list[Probe], what: str) -> Probe:
    (probe,) = [probe for probe in found if probe.what == what]
    return probe


def test_all_is_looked_at_and_nothing_is_changed(azure: AzureCloud, batch: BatchServer) -> None:
    found = azure.probe()
    assert failed(found) == []
    assert [probe.what for probe in found if probe.ok is None] == WRITES
    assert [probe.what for probe in found if probe.what.startswith("pool")] == [f"pool {HIGH}", f"pool {LOW}"]
    assert all(seen.startswith("GET ") for seen in batch.look()["seen"])
    assert azure.probe("acme") == found


def test_the_accounts_key_permits_all_that_is_written(batch: BatchServer) -> None:
    cloud = AzureCloud(batch.config(account_name=ACCOUNT, account_key=ACCOUNT_KEY))
    found = cloud.probe()
    cloud.close()
    assert {probe.ok for probe in found} == {True}
    assert ACCOUNT in one(found, "credentials").words
    assert ACCOUNT_KEY not in str(found)


def test_without_a_token_nothing_more_is_asked(batch: BatchServer) -> None:
    cloud = AzureCloud(batch.config(), NoToken())
    found = cloud.probe()
    cloud.close()
    assert failed(found) == ["credentials"]
    assert len(found) == 1
    assert "AZURE_CLIENT_ID" in found[0].words
    assert batch.look()["seen"] == []


def test_a_permission_that_is_missing_is_named(azure: AzureCloud, batch: BatchServer) -> None:
    batch.fault("GET /jobs$", status=403, code="InsufficientAccountPermissions", message="Not for you.")
    found = azure.probe()
    assert failed(found) == [READ]
    assert f"the permission {READ} is missing" in one(found, READ).words
    assert "deploy/azure/role.json" in one(found, READ).words
    assert one(found, f"pool {LOW}").ok is True  # the rest is looked at all the same


def test_pools_that_may_not_be_read_are_named(azure: AzureCloud, batch: BatchServer) -> None:
    batch.fault("GET /pools/", status=403, code="InsufficientAccountPermissions", message="Not for you.", times=2)
    found = azure.probe()
    assert failed(found) == [f"pool {HIGH}", f"pool {LOW}"]
    assert "the permission Microsoft.Batch/batchAccounts/pools/read is missing" in one(found, f"pool {LOW}").words


def test_an_account_that_does_not_answer_is_told(batch: BatchServer) -> None:
    cloud = AzureCloud(batch.config(), OurToken())
    batch.fault("GET /jobs$", status=500)
    found = cloud.probe()
    cloud.close()
    assert failed(found) == [f"account {batch.url}"]
    assert "AZURE_BATCH_ENDPOINT" in found[-1].words


def test_throttling_is_no_fault(azure: AzureCloud, batch: BatchServer) -> None:
    batch.fault("GET /jobs$", status=429, code="TooManyRequests", retry_after="0")
    found = azure.probe()
    assert failed(found) == []
    assert one(found, READ).ok is None


def test_a_pool_that_is_not_there_is_a_fault_unless_it_is_made_when_needed(batch: BatchServer) -> None:
    pools = {"HIGH": HIGH, "LOW": "nowhere"}
    without, template = batch.config(pools=pools), PoolTemplate("Standard_D4s_v5", 2)
    cloud = AzureCloud(without, OurToken())
    assert failed(cloud.probe()) == ["pool nowhere"]
    cloud.close()
    cloud = AzureCloud(batch.config(pools=pools, new_pool=template), OurToken())
    found = cloud.probe()
    cloud.close()
    assert failed(found) == []
    assert "AZURE_BATCH_NEW_POOL" in one(found, "pool nowhere").words
    assert one(found, "Microsoft.Batch/batchAccounts/pools/write").ok is None
    assert "nowhere" not in str(batch.look()["pools"])


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"resizeErrors": [{"code": "AccountCoreQuotaReached", "message": "No cores."}]}, "AccountCoreQuotaReached"),
        ({"state": "deleting"}, "takes no jobs in this state"),
        (
            {"autoScaleRun": {"timestamp": "2026-01-01T00:00:00Z", "error": {"code": "Wrong", "message": "A typo."}}},
            "autoscale Wrong: A typo.",
        ),
    ],
)
def test_a_pool_in_trouble_says_so(
    azure: AzureCloud, batch: BatchServer, members: dict[str, object], words: str
) -> None:
    batch.control("set_pool", pool=LOW, members=members)
    found = azure.probe()
    assert failed(found) == [f"pool {LOW}"]
    assert words in one(found, f"pool {LOW}").words
