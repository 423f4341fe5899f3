"""A real deployment runs jobs at AWS and at Azure: their interfaces by stand-ins over HTTP, real containers behind."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from tests.clusters import engines
from tests.clusters.aws import account
from tests.clusters.aws.account import Aws
from tests.clusters.azure import stand_in
from tests.clusters.azure.stand_in import BatchServer
from tests.clusters.engines import Engine
from tests.deployment import Deployment, Factory
from tests.jobs.test_seed_end_to_end import Client, wait
from tests.postgresql import free_port

IMAGE = engines.IMAGE
AZURE_REGION = "north-europe"
FAST = {"vcpus": 0.25, "memory_mib": 64, "image": IMAGE, "customer": "acme", "classification": "tour"}


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with engines.running("dockerd") as engine:
        yield engine


@pytest.fixture(scope="module")
def aws(engine: Engine) -> Iterator[Aws]:
    with account.running(engine.url) as aws:
        yield aws


@pytest.fixture(scope="module")
def azure(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchServer]:
    with stand_in.running(tmp_path_factory.mktemp("azure"), engine.url) as server:
        server.add_pools()
        yield server


def of_aws(endpoint: str) -> dict[str, str]:
    queues = f'{{"{account.REGION}": {{"HIGH": "high", "LOW": "low"}}}}'
    return {
        **account.ENVIRONMENT,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGIONS": account.REGION,
        "AWS_BATCH_QUEUES": queues,
    }


def of_azure(server: BatchServer) -> dict[str, str]:
    return {
        "AZURE_REGION": AZURE_REGION,
        "AZURE_BATCH_ENDPOINT": server.url,
        "AZURE_BATCH_POOLS": f'{{"HIGH": "{stand_in.HIGH}", "LOW": "{stand_in.LOW}"}}',
        "AZURE_BATCH_ACCOUNT": stand_in.ACCOUNT,
        "AZURE_BATCH_ACCOUNT_KEY": stand_in.ACCOUNT_KEY,
        "AZURE_CA_FILE": str(server.certificate),
    }


def job_at(client: Client, cloud: str, region: str, script: str, **wishes: Any) -> str:
    body = {**FAST, "cloud": cloud, "region": region, "command": ["/bin/sh", "-c", script], **wishes}
    return f"/v6/jobs/{client.call('POST', '/v6/jobs/', body)['id']}/"


def ended(client: Client, path: str, place: Deployment) -> Any:
    wait(lambda: client.call("GET", path)["ended"] is not None, place)
    return client.call("GET", path)


@pytest.mark.needs("dockerd")
@pytest.mark.runs_once("postgresql", "clouds know no database, and the caller's statements are tried on both")
def test_jobs_run_at_two_clouds_and_on_this_machine(aws: Aws, azure: BatchServer, deployment: Factory) -> None:
    place = deployment(**of_aws(aws.endpoint), **of_azure(azure), DEBUG="1", LOCAL_ISOLATION="0")
    place.bootstrap("root")
    place.start_web()
    place.start_manage("work")
    client = Client(place)
    clouds = (("aws", account.REGION), ("azure", AZURE_REGION))
    good = {c: job_at(client, c, r, 'echo "hello from $WHO"', env={"WHO": c, "PATH": "/bin"}) for c, r in clouds}
    bad = {c: job_at(client, c, r, "echo failing; exit 3", max_tries=1) for c, r in clouds}
    long = {c: job_at(client, c, r, "sleep 300") for c, r in clouds}
    here = job_at(client, "local", "local", "echo here")
    assert ended(client, here, place)["status"] == "COMPLETED"
    for cloud, _ in clouds:
        job = ended(client, good[cloud], place)
        assert (job["status"], job["execution"]["exit_code"]) == ("COMPLETED", 0)
        wait(lambda path=good[cloud]: "hello" in client.call("GET", f"{path}logs/combined/?format=txt"), place)  # type: ignore[misc]
        assert client.call("GET", f"{good[cloud]}logs/combined/?format=txt") == f"hello from {cloud}\n"
        job = ended(client, bad[cloud], place)
        assert (job["status"], job["reason"]) == ("FAILED", "EXIT_3")
        # The process that calls the clouds dies; another goes on with what it has begun.
        wait(lambda path=long[cloud]: client.call("GET", path)["status"] == "RUNNING", place)  # type: ignore[misc]
    kill_callers(place)
    for cloud, _ in clouds:
        client.call("POST", f"{long[cloud]}cancel/")
        assert ended(client, long[cloud], place)["status"] == "CANCELED"
    rows = place.rows("SELECT count(*), count(DISTINCT handle) FROM jobs_execution WHERE handle <> ''")
    assert rows == [(6, 6)]


def kill_callers(place: Deployment) -> None:
    callers = [p for p in place.processes() if p.cmdline()[2:4] == ["cluster", "clouds"]]
    assert callers
    for process in callers:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue


def test_a_cloud_out_of_reach_slows_nobody_and_says_so(deployment: Factory) -> None:
    place = deployment(**of_aws(f"http://127.0.0.1:{free_port()}"), DEBUG="1", LOCAL_ISOLATION="0")
    place.bootstrap("root")
    place.start_web()
    place.start_manage("work")
    client = Client(place)
    far = job_at(client, "aws", account.REGION, "true")
    wait(lambda: "PROVIDER_FAILING" in str(client.call("GET", f"{far}explain/")), place)
    took = []
    for _ in range(3):
        begun = time.monotonic()
        assert ended(client, job_at(client, "local", "local", "echo here"), place)["status"] == "COMPLETED"
        took.append(time.monotonic() - begun)
    assert min(took) < 5
    assert client.call("GET", far)["status"] == "QUEUED"
    client.call("POST", f"{far}cancel/")
    assert ended(client, far, place)["status"] == "CANCELED"
