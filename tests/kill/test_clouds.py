"""Jobs at AWS under SIGKILL and a bad line: each is started there once, and ends as it should."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import pytest

from tests.clusters import engines
from tests.clusters.aws import account
from tests.clusters.aws.account import Aws
from tests.deployment import Factory
from tests.kill.clouds import Ordeal, settings_of

JOBS: Final = 30  # `make soak` takes more


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    with engines.running("dockerd") as engine, account.running(engine.url) as aws:
        yield aws


@pytest.mark.needs("dockerd")
@pytest.mark.runs_once("postgresql", "what is killed here is the caller, whose statements are tried on both")
def test_each_is_started_once_and_ends_as_it_should(aws: Aws, deployment: Factory) -> None:
    place = deployment(**settings_of(aws), DEBUG="1", LOCAL_ISOLATION="0", DEFAULT_MAX_TRIES="60")
    report = Ordeal(place, aws, jobs=JOBS, seed=random.SystemRandom().randrange(10**6)).run()
    print(report)
    assert not report.faults, f"{report}\n{place.logs()}"
