"""Fixtures of the tests of the `aws` provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clusters import engines
from tests.clusters.aws import account
from tests.clusters.aws.account import Aws
from tests.clusters.aws.script import Script, running


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """An AWS with containers; its users are marked `needs("dockerd")`."""
    with engines.running("dockerd") as engine, account.running(engine.url) as aws:
        yield aws


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our own, from the environment; nothing else of the machine's."""
    for name, value in account.ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def script() -> Iterator[Script]:
    """An AWS that says what the test tells it to."""
    with running() as script:
        yield script
