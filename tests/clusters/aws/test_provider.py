"""The `aws` provider against moto over HTTP, whose Batch runs real containers on a real dockerd."""

from __future__ import annotations

import pytest

from clusters.providers.aws.provider import AwsCloud
from tests.clusters.aws.account import Aws
from tests.clusters.cloud_contract import CloudContract

pytestmark = [
    pytest.mark.runs_once("sqlite", "providers know no database"),
    pytest.mark.needs("dockerd"),
]

FAST = {"batch": 1000.0, "logs": 1000.0}  # the tests ask a hundred times a second


@pytest.fixture
def cloud(aws: Aws) -> AwsCloud:
    aws.order()
    return AwsCloud(aws.config(), rates=FAST, log_settle_seconds=0.0)


class TestAwsCloud(CloudContract):
    TELLS_TIMEOUTS = False  # moto has no word for them; and a minute is AWS's shortest
    LIVE_LOGS = False
    UNKNOWN_HANDLE = "batch::00000000-0000-4000-8000-000000000000"

    @pytest.fixture
    def cloud(self, cloud: AwsCloud) -> AwsCloud:  # the module's, for the contract
        return cloud
