"""Pools: which one a work goes to, how much of a node it takes, which are made, what the account holds."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.providers.azure.cloud import AzureCloud
from clusters.providers.azure.config import PoolTemplate, VmSize
from clusters.providers.azure.sizes import size_of
from clusters.providers.base import Capacity
from clusters.providers.errors import NoCapacity, Refused
from tests.clusters.azure import batch_rest as rest
from tests.clusters.azure.conftest import a_work
from tests.clusters.azure.stand_in import HIGH, LOW, BatchServer, OurToken
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "clouds know no database")

TEMPLATE = PoolTemplate("Standard_D8s_v5", max_nodes=3, slots_per_node=4)
MADE = {"HIGH": "made-high", "LOW": LOW}


def cloud_of(batch: BatchServer, **members: Any) -> AzureCloud:
    return AzureCloud(batch.config(**members), OurToken())


def submit(cloud: AzureCloud, **wishes: object) -> str:
    (handle,) = cloud.submit(new_id(), [a_work(**wishes)])
    return handle


# Which


def test_an_unknown_pool_is_refused_by_name(azure: AzureCloud, batch: BatchServer) -> None:
    with pytest.raises(Refused, match="there is no pool no-such-pool"):
        submit(azure, queue="no-such-pool")
    assert batch.look()["jobs"] == {}


def test_a_priority_without_a_pool_is_refused(batch: BatchServer) -> None:
    cloud = cloud_of(batch, pools={"HIGH": HIGH})
    assert submit(cloud, priority=99)
    with pytest.raises(Refused, match="no pool is set up for LOW"):
        submit(cloud)


def test_a_queue_is_a_priority_or_a_pool(azure: AzureCloud, batch: BatchServer) -> None:
    batch.add_pool("gpu", targetDedicatedNodes=1)
    pools = [submit(azure, queue=queue).split("-acme-")[0] for queue in ("HIGH", "LOW", HIGH, "gpu")]
    assert pools == [f"cp-{HIGH}", f"cp-{LOW}", f"cp-{HIGH}", "cp-gpu"]


def test_a_pool_that_is_being_deleted_takes_nothing_now(azure: AzureCloud, batch: BatchServer) -> None:
    batch.control("set_pool", pool=LOW, members={"state": "deleting"})
    with pytest.raises(NoCapacity, match=LOW):
        submit(azure)


def test_a_pool_is_looked_at_once_in_a_minute(azure: AzureCloud, batch: BatchServer) -> None:
    for _ in range(3):
        submit(azure)
    assert batch.look()["seen"].count(f"GET /pools/{LOW}") == 1
    assert batch.look()["seen"].count("POST /jobs") == 1


# Of nodes


@pytest.mark.parametrize(
    ("wishes", "slots"),
    [  # a node of the pool has 4 vCPUs, 16 GiB and 8 slots
        ({"vcpus_milli": 1, "memory_mib": 1}, 1),
        ({"vcpus_milli": 500, "memory_mib": 2048}, 1),
        ({"vcpus_milli": 501, "memory_mib": 64}, 2),
        ({"vcpus_milli": 250, "memory_mib": 2049}, 2),
        ({"vcpus_milli": 4000, "memory_mib": 16384}, 8),
    ],
)
def test_a_task_takes_its_share_of_a_node(
    azure: AzureCloud, batch: BatchServer, wishes: dict[str, Any], slots: int
) -> None:
    job, task = submit(azure, **wishes).split("/")
    assert batch.request("GET", f"/jobs/{job}/tasks/{task}")[2]["requiredSlots"] == slots


@pytest.mark.parametrize("wishes", [{"vcpus_milli": 4001}, {"memory_mib": 16385}])
def test_more_than_a_node_has_is_refused(azure: AzureCloud, wishes: dict[str, Any]) -> None:
    with pytest.raises(Refused, match=r"more than a node of the pool cp-low has \(Standard_D4s_v5\)"):
        submit(azure, **wishes)


def test_of_a_size_that_is_not_known_a_task_takes_one_slot(azure: AzureCloud, batch: BatchServer) -> None:
    batch.control("set_pool", pool=LOW, members={"vmSize": "Standard_XY9_v9"})
    job, task = submit(azure, vcpus_milli=64_000).split("/")
    assert batch.request("GET", f"/jobs/{job}/tasks/{task}")[2]["requiredSlots"] == 1


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("Standard_D4s_v5", VmSize(4000, 16384)),
        ("STANDARD_D2DS_V4", VmSize(2000, 8192)),
        ("Standard_D2lds_v5", VmSize(2000, 4096)),
        ("Standard_E8as_v5", VmSize(8000, 65536)),
        ("Standard_F16s_v2", VmSize(16000, 32768)),
        ("Standard_D2_v2", None),
        ("Standard_E64_v3", None),
        ("Standard_NC6s_v3", None),
        ("told", VmSize(1, 2)),
        ("", None),
    ],
)
def test_sizes_are_known_by_their_names(name: str, size: VmSize | None) -> None:
    assert size_of(name, {"Told": VmSize(1, 2)}) == size


# Made


def test_a_pool_of_ours_that_is_not_there_is_made(batch: BatchServer) -> None:
    cloud = cloud_of(batch, pools=MADE, new_pool=TEMPLATE)
    handle = submit(cloud, priority=1)
    status, _, row = batch.request("GET", "/pools/made-high")
    assert status == 200
    assert (row["vmSize"], row["taskSlotsPerNode"], row["enableAutoScale"]) == ("Standard_D8s_v5", 4, True)
    assert rest.seconds(row["autoScaleEvaluationInterval"]) == 300
    assert "min(3, ceil(tasks / $TaskSlotsPerNode))" in row["autoScaleFormula"]
    assert "$TargetDedicatedNodes = nodes;" in row["autoScaleFormula"]
    assert row["virtualMachineConfiguration"]["containerConfiguration"] == {"type": "dockerCompatible"}
    assert "made-high: steady; no nodes" in cloud.explain(handle)


def test_a_pool_of_spot_machines_is_made(batch: BatchServer) -> None:
    template = PoolTemplate("Standard_D8s_v5", max_nodes=3, spot=True)
    submit(cloud_of(batch, pools=MADE, new_pool=template), priority=1)
    formula = batch.request("GET", "/pools/made-high")[2]["autoScaleFormula"]
    assert "$TargetLowPriorityNodes = nodes;" in formula


def test_a_pool_that_somebody_makes_meanwhile_is_taken(batch: BatchServer) -> None:
    batch.fault("POST /pools", status=409, code="PoolExists")
    batch.fault("GET /pools/", status=404, code="PoolNotFound")
    assert submit(cloud_of(batch, new_pool=TEMPLATE))


def test_a_pool_that_is_only_asked_for_is_not_made(batch: BatchServer) -> None:
    with pytest.raises(Refused, match="typing-error"):
        submit(cloud_of(batch, new_pool=TEMPLATE), queue="typing-error")
    assert batch.look()["pools"] == sorted((HIGH, LOW))


@pytest.mark.parametrize("code", ["PoolQuotaReached", "AccountCoreQuotaReached"])
def test_a_pool_that_cannot_be_made_now_leaves_no_capacity(batch: BatchServer, code: str) -> None:
    batch.fault("POST /pools", status=409, code=code, message="No more.")
    with pytest.raises(NoCapacity, match=f"make the pool made-high: {code}: No more."):
        submit(cloud_of(batch, pools=MADE, new_pool=TEMPLATE), priority=1)


def test_a_formula_that_azure_does_not_take_is_refused(batch: BatchServer) -> None:
    template = PoolTemplate("Standard_D8s_v5", max_nodes=3, formula="{target} = min(1")
    with pytest.raises(Refused, match="AutoScalingFormulaSyntaxError"):
        submit(cloud_of(batch, pools=MADE, new_pool=template), priority=1)


# All of it


def test_capacity_is_nodes_times_their_size(batch: BatchServer) -> None:
    of_two_pools = Capacity(vcpus_milli=2 * 4 * 4000, memory_mib=2 * 4 * 16384)
    assert cloud_of(batch).capacity() == of_two_pools
    assert cloud_of(batch, pools={"HIGH": LOW, "LOW": LOW}).capacity() == Capacity(16_000, 65_536)
    assert cloud_of(batch, max_nodes={HIGH: 10, LOW: 0}).capacity() == Capacity(40_000, 163_840)


def test_capacity_of_a_pool_that_grows_is_the_most_it_may_have(batch: BatchServer) -> None:
    cloud = cloud_of(batch, pools={"HIGH": "made-high"}, new_pool=TEMPLATE)
    before = cloud.capacity()
    assert before == Capacity(3 * 8000, 3 * 32768)
    submit(cloud, priority=1)
    assert cloud.capacity() == before
    assert cloud_of(batch, pools={"HIGH": "made-high"}).capacity() == before, "it is noted at the pool"


def test_capacity_without_pools_is_none(batch: BatchServer) -> None:
    batch.add_pool("strange", targetDedicatedNodes=1)
    batch.control("set_pool", pool="strange", members={"vmSize": "Standard_XY9_v9"})
    pools = {"HIGH": "no-such-pool", "LOW": "strange"}
    assert cloud_of(batch, pools=pools).capacity() == Capacity(0, 0)
    told = {"standard_xy9_v9": VmSize(9000, 900)}
    assert cloud_of(batch, pools=pools, vm_sizes=told).capacity() == Capacity(9000, 900)


def test_what_went_wrong_with_a_pool_is_told_in_azures_words(azure: AzureCloud, batch: BatchServer) -> None:
    handle = submit(azure)
    error = {"code": "AccountCoreQuotaReached", "message": "The specified account has reached core quota"}
    run = {"timestamp": "2026-01-01T00:00:00Z", "error": {"code": "E", "message": "No such variable"}}
    batch.control(
        "set_pool", pool=LOW, members={"resizeErrors": [error], "allocationState": "resizing", "autoScaleRun": run}
    )
    said = azure.explain(handle)
    assert said.startswith("task active since 20")
    assert f"pool {LOW}: resizing; 4 dedicated nodes (idle 4)" in said
    assert "AccountCoreQuotaReached: The specified account has reached core quota" in said
    assert "autoscale E: No such variable" in said


def test_links_go_to_the_account(batch: BatchServer) -> None:
    account = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Batch/batchAccounts/a"
    assert cloud_of(batch, resource_id=account).link("j/t") == f"https://portal.azure.com/#resource{account}/jobs"
    assert cloud_of(batch).link("j/t").startswith("https://portal.azure.com/")
