"""A process that calls a cloud is suspended, past its lease and with a real request under way; another takes over.

There is one at the cloud for each execution in the end, of AWS Batch, of EC2 and of Azure Batch, over HTTP. Nothing
waits for time to pass: the stand-ins hold the request, and leases are over when the test says so.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import psutil
import pytest

from tests.clusters import engines
from tests.clusters.aws import account
from tests.clusters.aws.account import Aws
from tests.clusters.azure import stand_in
from tests.clusters.azure.stand_in import BatchServer
from tests.deployment import Deployment, Factory
from tests.environment import CHECKOUT
from tests.jobs.test_clouds_end_to_end import AZURE_REGION, of_aws, of_azure
from tests.jobs.test_seed_end_to_end import Client
from tests.kill.anatomy import wait_for

pytestmark = pytest.mark.runs_once("postgresql", "what is suspended is the caller, whose statements are tried on both")
LONG_AGO: Final = "2020-01-01 00:00:00+00:00"
SECONDS: Final = 60.0


class Stage(Protocol):
    """One kind of execution at a cloud of the tests' own."""

    cloud: str
    region: str
    jobs: list[dict[str, Any]]
    twice: int  # how many there are of each that was sent twice

    def settings(self) -> dict[str, str]: ...
    def hold(self, step: str, of: str) -> None:
        """Hold the next request, or answer, of the last step of a look-up ("find") or of a start ("submit")."""
        ...

    def fail_to_start(self) -> None: ...
    def held(self) -> int: ...
    def let_go(self) -> None: ...
    def started(self) -> list[str]:
        """All that was ever started, by the handles that we would have."""
        ...

    def living(self) -> list[str]: ...


class OnAws:
    """AWS Batch; the jobs go as one array."""

    cloud, region, twice = "aws", account.REGION, 2
    start, look_up = "SubmitJob", "ListJobs"

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        aws.order()
        self.before = set(self._all())
        alike = {"image": engines.IMAGE, "command": ["/bin/sleep", "600"], "vcpus": 0.25, "memory_mib": 64}
        self.jobs: list[dict[str, Any]] = [alike, alike]

    def settings(self) -> dict[str, str]:
        return of_aws(self.aws.endpoint)

    def hold(self, step: str, of: str) -> None:
        self.aws.order({"action": self.look_up if step == "find" else self.start, "hold": of})

    def fail_to_start(self) -> None:
        self.aws.order({"action": self.start, "status": 500, "code": "ServerException"})

    def held(self) -> int:
        return self.aws.held()

    def let_go(self) -> None:
        self.aws.let_go()

    def started(self) -> list[str]:
        return [handle for handle in self._all() if handle not in self.before]

    def living(self) -> list[str]:
        states = self._all()
        return [handle for handle in self.started() if states[handle] not in ("SUCCEEDED", "FAILED")]

    def _all(self) -> dict[str, str]:
        """Handles of children of arrays, with their states."""
        batch = self.aws.client("batch")
        rows = batch.list_jobs(jobQueue="low", filters=[{"name": "JOB_NAME", "values": ["*"]}])["jobSummaryList"]
        return {f"batch::{row['jobId']}": row["status"] for row in rows if ":" in row["jobId"]}


class OnMachines(OnAws):
    """EC2."""

    start, look_up = "CreateFleet", "DescribeInstances"

    def __init__(self, aws: Aws) -> None:
        super().__init__(aws)
        ec2 = aws.client("ec2")
        image = ec2.register_image(Name=f"worker-{len(self.before)}", Architecture="x86_64", EnaSupport=True)
        self.jobs = [{"machine_image": image["ImageId"], "user_data": "#!/bin/sh\n", "vcpus": 2, "memory_mib": 4096}]

    def living(self) -> list[str]:
        states = self._all()
        return [handle for handle in self.started() if states[handle] in ("pending", "running")]

    def _all(self) -> dict[str, str]:
        pages = self.aws.client("ec2").get_paginator("describe_instances").paginate()
        rows = [row for page in pages for group in page["Reservations"] for row in group["Instances"]]
        return {f"ec2::{row['InstanceId']}": row["State"]["Name"] for row in rows}


class OnAzure:
    """Azure Batch, where an execution's id is its task's: what is sent twice there is there once."""

    cloud, region, twice = "azure", AZURE_REGION, 1

    def __init__(self, server: BatchServer) -> None:
        self.server = server
        alike = {"image": "an/image:1", "command": ["/bin/true"], "vcpus": 0.25, "memory_mib": 64}
        self.jobs: list[dict[str, Any]] = [alike, alike]

    def settings(self) -> dict[str, str]:
        return of_azure(self.server)

    def hold(self, step: str, of: str) -> None:
        self.server.fault("GET /jobs/[^/]+/tasks$" if step == "find" else "/addtaskcollection$", hold=of)

    def fail_to_start(self) -> None:
        self.server.fault("/addtaskcollection$", status=500)

    def held(self) -> int:
        return int(self.server.look()["held"])

    def let_go(self) -> None:
        self.server.control("let_go")

    def started(self) -> list[str]:
        return [f"{name}/{task}" for name, job in self.server.look()["jobs"].items() for task in job["tasks"]]

    def living(self) -> list[str]:
        rows = (self.server.request("GET", f"/jobs/{name}/tasks")[2]["value"] for name in self.server.look()["jobs"])
        ended = {row["id"] for some in rows for row in some if row["state"] == "completed"}
        return [handle for handle in self.started() if handle.partition("/")[2] not in ended]


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with engines.running("dockerd") as engine, account.running(engine.url) as aws:
        yield aws


@pytest.fixture(scope="module")
def machines() -> Iterator[Aws]:
    with account.running() as aws:
        yield aws


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[BatchServer]:
    with stand_in.running(tmp_path) as server:
        server.add_pools()
        yield server


@pytest.fixture(params=[pytest.param("aws", marks=pytest.mark.needs("dockerd")), "machines", "azure"])
def stage(request: pytest.FixtureRequest) -> Stage:
    of: dict[str, Callable[[Any], Stage]] = {"aws": OnAws, "machines": OnMachines, "azure": OnAzure}
    return of[request.param](request.getfixturevalue(request.param))


class Process:
    """A caller in a process of its own."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._hear("ready")

    def _hear(self, word: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{word}\n"

    def begin(self) -> None:
        """Begin a turn."""
        assert self._process.stdin is not None
        self._process.stdin.write("turn\n")
        self._process.stdin.flush()

    def end(self) -> None:
        self._hear("done")

    def turn(self) -> None:
        self.begin()
        self.end()

    def suspend(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        seen = psutil.Process(self._process.pid)
        wait_for(lambda: seen.status() == psutil.STATUS_STOPPED, SECONDS, "that it stands still")

    def go_on(self) -> None:
        self._process.send_signal(signal.SIGCONT)


@contextmanager
def caller(place: Deployment, stage: Stage) -> Iterator[Process]:
    command = [sys.executable, "-m", "tests.kill.caller", stage.cloud, stage.region]
    with (place.folder / f"caller-{stage.cloud}.log").open("ab") as log:
        process = subprocess.Popen(
            command, cwd=CHECKOUT, env=place.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        yield Process(process)
    finally:
        process.kill()  # also one that stands still
        process.communicate()


def furnished(deployment: Factory, stage: Stage) -> Deployment:
    """With the stage's jobs in its queue, and nobody who calls."""
    place = deployment(**stage.settings(), DEBUG="1", LOCAL_ISOLATION="0")
    place.bootstrap("root")
    place.start_web()
    fixed = {"customer": "acme", "classification": "suspended", "cloud": stage.cloud, "region": stage.region}
    Client(place).call("POST", "/v6/jobs/", [{**fixed, **job} for job in stage.jobs])
    return place


def pass_of_time(place: Deployment) -> None:
    """Every lease is over, and what is to be looked at later is looked at."""
    place.rows("UPDATE jobs_submission SET leased_until = %s", [LONG_AGO])
    place.rows("UPDATE jobs_submission SET check_at = %s WHERE check_at IS NOT NULL", [LONG_AGO])
    place.rows("UPDATE jobs_place SET called_until = %s", [LONG_AGO])


def handles(place: Deployment) -> list[str]:
    rows = place.rows("SELECT handle, status FROM jobs_execution")
    assert {status for _, status in rows} <= {"SUBMITTED", "RUNNING"}, rows
    return sorted(handle for handle, _ in rows)


def one_each(place: Deployment, stage: Stage) -> None:
    """One that lives for each execution, and it is the one that we know."""
    known = handles(place)
    assert len(set(known)) == len(stage.jobs)
    wait_for(lambda: sorted(stage.living()) == known, SECONDS, f"that of {stage.started()} only {known} live")


def test_one_that_stood_still_after_looking_does_not_send(deployment: Factory, stage: Stage) -> None:
    place = furnished(deployment, stage)
    with caller(place, stage) as first, caller(place, stage) as second:
        stage.fail_to_start()
        first.turn()
        assert stage.started() == []
        pass_of_time(place)
        stage.hold("find", "answer")
        first.begin()
        wait_for(lambda: stage.held() == 1, SECONDS, "that it looks")
        first.suspend()
        stage.let_go()
        pass_of_time(place)
        second.turn()
        assert sorted(stage.started()) == handles(place)
        first.go_on()
        first.end()
        assert sorted(stage.started()) == handles(place), "it has sent what another sent"
        pass_of_time(place)
        second.turn()
        one_each(place, stage)


def test_what_one_sent_that_stood_still_in_sending_is_stopped(deployment: Factory, stage: Stage) -> None:
    place = furnished(deployment, stage)
    with caller(place, stage) as first, caller(place, stage) as second:
        stage.hold("submit", "request")
        first.begin()
        wait_for(lambda: stage.held() == 1, SECONDS, "that it sends")
        first.suspend()
        pass_of_time(place)
        second.turn()
        known = handles(place)
        assert sorted(stage.started()) == known
        stage.let_go()
        wait_for(lambda: stage.held() == 0, SECONDS, "that its request goes on")
        first.go_on()
        first.end()
        pass_of_time(place)
        second.turn()
        assert handles(place) == known, "what was written down stays"
        assert len(stage.started()) == stage.twice * len(known)
        one_each(place, stage)
