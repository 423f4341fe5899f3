"""deploy/aws/terraform: what it makes is what the control plane needs, and what it prints are settings for it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from clusters.providers.aws.provider import AwsCloud
from clusters.providers.base import Phase, Work
from clusters.queries import REQUIRED_SETTINGS, aws_config
from controlplane.core.env import Reader
from controlplane.core.storage import open_storage
from tests.clusters.aws import account
from tests.clusters.aws.account import OWN, REGION, Aws
from tests.clusters.provider_contract import eventually, new_id
from tests.environment import CHECKOUT
from tests.needs import terraform_plugins

pytestmark = pytest.mark.runs_once("sqlite", "providers know no database")

FOLDER: Final = CHECKOUT / "deploy/aws/terraform"
POLICY: Final = (CHECKOUT / "deploy/aws/policy.json").read_text()
BUCKET: Final = "output-of-jobs"
# Those that are set, read as controlplane.settings does.
READERS: Final[dict[type, Callable[[Reader, str], Any]]] = {
    list: Reader.names,
    dict: lambda reader, name: reader.document(name, {}),
    str: Reader.text,
}
# Of a stand-in only: it has one address for all buckets.
OVERRIDE: Final = 'provider "aws" {\n  s3_use_path_style = true\n}\n'


@dataclass(frozen=True)
class Made:
    """What was made from a copy of the folder, in the AWS of a test."""

    aws: Aws
    folder: Path
    env: dict[str, str]

    def terraform(self, *arguments: str) -> str:
        return terraform(self.folder, self.env, *arguments)

    def settings(self) -> dict[str, str]:
        lines = self.terraform("output", "-raw", "settings").splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}


def terraform(folder: Path, env: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        ["terraform", *arguments], cwd=folder, env=env, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"terraform {arguments[0]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
    return done.stdout


def environment(**more: str) -> dict[str, str]:
    """Nothing of whoever runs the tests, and no look for newer versions."""
    quiet = {"CHECKPOINT_DISABLE": "1", "TF_CLI_CONFIG_FILE": os.devnull, "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
    return {"PATH": os.environ["PATH"], **quiet, **account.ENVIRONMENT, **more}


def copied(place: Path) -> Path:
    """A copy that is initialised, since terraform writes beside what it reads."""
    shutil.copytree(FOLDER.parent, place, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    folder = place / FOLDER.name
    (folder / "stand_in_override.tf").write_text(OVERRIDE)
    terraform(folder, environment(), "init", "-no-color", f"-plugin-dir={terraform_plugins()}")
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    """Applied once: the provider waits half a minute for queues, and a minute for the rules of a bucket."""
    folder = copied(tmp_path_factory.mktemp("terraform") / "aws")
    with account.running(managed_policies=True) as aws:
        subnet = aws.client("ec2").describe_subnets(Filters=[{"Name": "cidr-block", "Values": ["10.0.0.0/24"]}])
        wishes = {
            "region": REGION,
            "vpc_id": subnet["Subnets"][0]["VpcId"],
            "subnet_ids": f'["{subnet["Subnets"][0]["SubnetId"]}"]',
            "output_bucket": BUCKET,
        }
        variables = {f"TF_VAR_{name}": value for name, value in wishes.items()}
        made = Made(aws, folder, environment(AWS_ENDPOINT_URL=aws.endpoint, **variables))
        made.terraform("apply", "-auto-approve", "-no-color")
        yield made


@pytest.fixture
def at_work(made: Made, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Made:
    """The control plane has the settings that were printed."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.aws.endpoint)
    reader = Reader()
    for name, value in made.settings().items():
        monkeypatch.setenv(name, value)
        if hasattr(settings, name):
            setattr(settings, name, READERS[type(getattr(settings, name))](reader, name))
    assert reader.faults == []
    return made


# What the text says


def test_the_outputs_name_settings_that_there_are() -> None:
    block = (FOLDER / "outputs.tf").read_text().split("settings = {", 1)[1].split("\n  }\n")[0]
    names = re.findall(r"^    ([A-Z0-9_]+) +=", block, re.MULTILINE)
    readme, source = ((CHECKOUT / name).read_text() for name in ("README.md", "controlplane/settings.py"))
    assert set(REQUIRED_SETTINGS["aws"]) < set(names)
    for name in names:
        assert f"`{name}`" in readme, name
        assert f'("{name}"' in source, name


def test_roles_have_names_that_the_policy_permits_to_give() -> None:
    text = (FOLDER / "main.tf").read_text()
    for prefix in re.findall(r"role/(controlplane-[a-z]+-)\*", POLICY):
        assert f'"{prefix}' in text, prefix
    assert '"controlplane" = { service' in text  # whom customers' roles trust


def test_the_policy_stands_in_one_place() -> None:
    texts = "".join(path.read_text() for path in FOLDER.glob("*.tf"))
    assert 'file("${path.module}/../policy.json"), "ACCOUNT"' in texts
    assert not re.search(r'"(batch|ec2|logs|sts):[A-Z]', texts.replace('"sts:AssumeRole", Principal', ""))


# What terraform says


@pytest.mark.needs("terraform")
def test_it_is_well_formed(tmp_path: Path) -> None:
    terraform(FOLDER, environment(), "fmt", "-check", "-diff", "-no-color")
    terraform(copied(tmp_path / "aws"), environment(), "validate", "-no-color")


@pytest.mark.needs("terraform")
def test_made_once_there_is_nothing_left_to_do(made: Made) -> None:
    made.terraform("plan", "-detailed-exitcode", "-no-color")


@pytest.mark.needs("terraform")
def test_the_control_plane_finds_all_that_it_needs(at_work: Made, tmp_path: Path) -> None:
    env = {**os.environ, "DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "manage.py", "check_provider", "aws"], cwd=CHECKOUT, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("urgent", "bulk"):
        assert f"ok   queue {name}: ENABLED, VALID" in done.stdout
        assert f"ok   compute environment controlplane-{name}: ENABLED, VALID" in done.stdout


@pytest.mark.needs("terraform")
@pytest.mark.parametrize(("priority", "queue"), [(1, "urgent"), (200, "bulk")])
def test_jobs_run_in_its_queues_with_its_roles(at_work: Made, priority: int, queue: str) -> None:
    cloud = AwsCloud(aws_config(REGION))
    name, work = new_id(), Work(new_id(), ("true",), image="busybox", priority=priority)
    (handle,) = cloud.submit(name, [work])
    batch = at_work.aws.client("batch")
    assert [row["jobName"] for row in batch.list_jobs(jobQueue=queue)["jobSummaryList"]] == [name]
    eventually(lambda: cloud.observe([handle])[0].phase is Phase.ENDED, "its end", 20)
    (definition,) = batch.describe_job_definitions(status="ACTIVE")["jobDefinitions"]
    roles = definition["containerProperties"]
    assert roles["jobRoleArn"] == f"arn:aws:iam::{OWN}:role/controlplane-job-default"
    assert roles["executionRoleArn"] == f"arn:aws:iam::{OWN}:role/controlplane-job-execution"
    assert cloud.capacity().vcpus_milli == (64 + 256) * 1000


@pytest.mark.needs("terraform")
def test_the_role_of_the_control_plane_has_the_policy_for_this_account(made: Made) -> None:
    iam = made.aws.client("iam")
    attached = iam.list_attached_role_policies(RoleName="controlplane")["AttachedPolicies"]
    by_name = {row["PolicyName"]: row["PolicyArn"] for row in attached}
    assert by_name.keys() == {"controlplane", "controlplane-output"}
    version = iam.get_policy_version(PolicyArn=by_name["controlplane"], VersionId="v1")["PolicyVersion"]
    told = str(version["Document"])
    assert f"arn:aws:batch:*:{OWN}:job/*" in told
    assert "ACCOUNT" not in told


@pytest.mark.needs("terraform")
def test_output_is_kept_in_a_bucket_that_nobody_else_reads(at_work: Made, settings: Any) -> None:
    storage = open_storage({"broker": settings.OUTPUT_STORAGE})
    key = f"outputs/{uuid.uuid4()}/stdout"
    storage.put(key, [b"hello"])
    assert b"".join(storage.get(key)) == b"hello"
    s3 = at_work.aws.client("s3")
    assert s3.list_objects_v2(Bucket=BUCKET)["Contents"][0]["Key"] == key
    storage.delete(key)
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    (encryption,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert encryption["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_versioning(Bucket=BUCKET).get("Status") is None
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["Expiration"]["Days"] > settings.RETENTION_DAYS["executions"]
