"""What SubmitJob is given, and what cannot be given."""

from __future__ import annotations

from typing import Any

import pytest

from clusters.providers.aws.config import AwsConfig
from clusters.providers.aws.submission import MAX_PAYLOAD_BYTES, check, submission
from clusters.providers.base import Mount, Volume, Work
from clusters.providers.errors import Refused
from tests.clusters.provider_contract import new_id

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

CONFIG = AwsConfig("us-east-1", {"HIGH": "high", "LOW": "low"}, prefix="ours")


def work(*command: str, **wishes: Any) -> Work:
    return Work(new_id(), command or ("true",), **{"image": "one:1", **wishes})


def asked(*works: Work) -> dict[str, Any]:
    return submission(CONFIG, "a-name", works)


def test_all_that_differs_from_job_to_job_is_there() -> None:
    one = work("run", "it", env={"A": "1"}, vcpus_milli=1500, memory_mib=700, timeout_seconds=90)
    assert asked(one) == {
        "jobName": "a-name",
        "jobQueue": "low",
        "containerOverrides": {
            "resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "700"}],
            "environment": [{"name": "A", "value": "1"}],
            "command": ["run", "it"],
        },
        "tags": {"controlplane": "ours", "controlplane:execution": one.execution_id},
        "timeout": {"attemptDurationSeconds": 90},
    }


def test_many_are_an_array_without_a_name_for_each() -> None:
    several = asked(work(), work(), work())
    assert several["arrayProperties"] == {"size": 3}
    assert several["tags"] == {"controlplane": "ours"}


def test_a_timeout_is_a_minute_at_least() -> None:
    assert asked(work(timeout_seconds=1))["timeout"] == {"attemptDurationSeconds": 60}
    assert "timeout" not in asked(work())


def test_the_queue_is_the_wished_one_or_that_of_the_priority() -> None:
    assert asked(work(priority=50))["jobQueue"] == "high"
    assert asked(work(priority=100))["jobQueue"] == "low"
    assert asked(work(priority=50, queue="special"))["jobQueue"] == "special"


def test_no_command_leaves_the_image_s_own() -> None:
    assert "command" not in asked(Work(new_id(), (), image="one:1"))["containerOverrides"]


def test_arguments_like_placeholders_are_parameters() -> None:
    """Whatever AWS makes of a placeholder nobody has given a value, it does not see one."""
    one = asked(work("run", "Ref::input", "plain", "--to=Ref::output/x", "Ref::argument00001"))
    assert one["containerOverrides"]["command"] == [
        "run",
        "Ref::argument00001",
        "plain",
        "Ref::argument00003",
        "Ref::argument00004",
    ]
    assert one["parameters"] == {
        "argument00001": "Ref::input",
        "argument00003": "--to=Ref::output/x",
        "argument00004": "Ref::argument00001",
    }


def test_what_is_too_long_is_refused() -> None:
    long = work("echo", "x" * MAX_PAYLOAD_BYTES)
    with pytest.raises(Refused, match="command and environment are too long: AWS Batch takes 30720 bytes, these are 3"):
        asked(long)
    assert asked(work("echo", "x" * (MAX_PAYLOAD_BYTES - 1000)))
    with pytest.raises(Refused, match="too long"):
        asked(work(env={"A": "ä" * (MAX_PAYLOAD_BYTES // 2)}))


@pytest.mark.parametrize(
    ("wishes", "told"),
    [
        ({"mounts": [Mount("/data", "/data")]}, "folders of this machine"),
        ({"volumes": [Volume("/data")]}, "volumes of a container engine"),
        ({"network": False}, "no network at all"),
        ({"machine_image": "ami-1"}, "a machine image"),
        ({"image": ""}, "no image"),
        ({"env": {"AWS_BATCH_JOB_ID": "1"}}, "a variable whose name begins with AWS_BATCH"),
        ({"image": "", "network": False}, "no network at all, nor with no image"),
    ],
)
def test_what_batch_has_not_is_refused(wishes: dict[str, Any], told: str) -> None:
    with pytest.raises(Refused, match=told):
        check(work(**wishes), "EC2")


def test_an_empty_argument_is_refused() -> None:
    with pytest.raises(Refused, match="an empty argument"):
        check(work("run", ""), "EC2")


def test_fargate_has_its_own_dev_shm() -> None:
    check(work(shm_mib=64), "EC2")
    with pytest.raises(Refused, match="/dev/shm"):
        check(work(shm_mib=64), "FARGATE")
