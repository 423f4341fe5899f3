"""`manage.py check_provider`: what it prints, and when it fails."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from clusters.management.commands import check_provider
from clusters.providers.base import Probe
from clusters.queries import cloud_at
from tests.clouds import REGION, ScriptedCloud

pytestmark = pytest.mark.runs_once("sqlite", "clouds know no database")


@pytest.fixture
def cloud(settings: Any, monkeypatch: pytest.MonkeyPatch) -> ScriptedCloud:
    settings.AWS_REGIONS = [REGION, "south-1"]
    settings.AWS_BATCH_QUEUES = {region: {"HIGH": "urgent", "LOW": "bulk"} for region in settings.AWS_REGIONS}
    cloud = ScriptedCloud()
    monkeypatch.setattr(check_provider, "cloud_at", lambda name, region: cloud)
    return cloud


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command("check_provider", *arguments, stdout=out)
    return out.getvalue()


def test_each_region_is_told_line_by_line(cloud: ScriptedCloud) -> None:
    cloud.probes.append(Probe("batch:SubmitJob", None, "cannot be told"))
    assert said("aws").splitlines() == [
        *(
            line
            for region in (REGION, "south-1")
            for line in (
                f"aws/{region}",
                "  ok   identity: somebody of ours",
                "  ok   queue urgent: ENABLED, VALID",
                "  ?    batch:SubmitJob: cannot be told",
            )
        ),
        "Nothing is missing that can be told beforehand.",
    ]


def test_what_is_missing_fails_the_command_after_all_is_told(cloud: ScriptedCloud) -> None:
    cloud.probes.insert(0, Probe("queue bulk", False, "there is none of this name"))
    out = io.StringIO()
    with pytest.raises(CommandError, match=r"^1 of these is not as needed\.$") as caught:
        call_command("check_provider", "aws", "--region", REGION, stdout=out)
    assert caught.value.returncode == 1
    assert out.getvalue().splitlines() == [
        f"aws/{REGION}",
        "  FAIL queue bulk: there is none of this name",
        "  ok   identity: somebody of ours",
        "  ok   queue urgent: ENABLED, VALID",
    ]


def test_one_region_and_a_customer_can_be_asked_for(cloud: ScriptedCloud) -> None:
    lines = said("aws", "--region", "south-1", "--customer", "acme").splitlines()
    assert lines[0] == "aws/south-1"
    assert "  ?    role: of acme" in lines
    assert cloud.calls == ["probe"]


@pytest.mark.parametrize("name", ["local", "nowhere"])
def test_what_is_no_cloud_is_refused(name: str) -> None:
    with pytest.raises(CommandError, match="choose from 'aws', 'azure'"):
        said(name)


def test_a_cloud_that_is_not_set_up_is_told_with_the_settings_that_are_missing(settings: Any) -> None:
    settings.AZURE_REGION = settings.AZURE_BATCH_ENDPOINT = ""
    settings.AZURE_BATCH_POOLS = {"HIGH": "urgent", "LOW": "bulk"}
    with pytest.raises(CommandError, match="azure is not set up: AZURE_REGION, AZURE_BATCH_ENDPOINT not set"):
        said("azure")


def test_a_region_of_none_of_the_settings_is_told(cloud: ScriptedCloud) -> None:
    with pytest.raises(CommandError, match=f"no region west-9 of aws; they name {REGION}, south-1"):
        said("aws", "--region", "west-9")


def test_settings_that_contradict_each_other_are_told(settings: Any) -> None:
    settings.AWS_REGIONS, settings.AWS_BATCH_QUEUES = ["east-7"], {"elsewhere": {}}
    cloud_at.cache_clear()
    with pytest.raises(CommandError, match="settings of aws cannot be used: no queue is named for HIGH and LOW"):
        said("aws")
